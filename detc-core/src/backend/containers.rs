//! One engine of containers: images, containers, networks and volumes; and a container seen as a [`Host`].
//!
//! The words are detc's own, in one form each, so that what was asked compares equal to what is there. How an engine says them is
//! its backend's business. Which object belongs to which resource is told by [labels](Mark), which cost nothing to list.

use std::fmt::{Debug, Display};
use std::sync::Arc;

use async_trait::async_trait;

use super::host::Host;

mod change;
mod check;
mod container;
mod error;
mod image;
mod mark;
pub mod memory;
mod network;
mod object;
mod run;
mod shared;
mod watch;

pub use change::{Change, FileInside, New, RemoveHow};
pub use container::{
    Access, Attachment, ContainerSpec, HostPort, Limits, Mount, Networking, Port, Protocol, Published, Source,
};
pub use error::ContainersError;
pub use image::{Build, ImageDefaults, ImageFrom, Pull, RegistryLogin};
pub use mark::Mark;
pub use memory::MemoryContainers;
pub use network::{NetworkSpec, Subnet, VolumeSpec};
pub use object::{
    Container, Image, Listed, Listing, LogLine, LogQuery, Network, Object, ObjectKind, ObjectRef, Phase,
    Query, Readiness, Status, Stream, Volume,
};
pub use run::{Capabilities, HealthCheck, Logging, Probe, Restart, Swap, Test};
pub use shared::SharedContainers;
pub use watch::{Again, Notifier, Watch};

/// An engine of containers.
///
/// # Contract
///
/// - **Names.** An object is called by its name or by its id; an image also by any of its references. `create` gives the id.
/// - **Nothing is taken over.** [`create`](Containers::create) of a name that is there is [`ContainersError::Taken`], whoever has it
///   and whatever it is like. An image is its content: making one that is there gives the same id.
/// - **Absent is not an error** for [`inspect`](Containers::inspect) (`None`) and [`Change::Remove`] (nothing to do). What could not be
///   found out is an error, never "absent".
/// - **As asked.** What `inspect` says of an object that was made with a spec equals that spec once both are told
///   [beside the image](ContainerSpec::beside), but for what the spec leaves to the engine: the `None`s.
/// - **Changes are idempotent**: a container that runs is started, one that does not is stopped, one that is connected as asked is
///   connected.
/// - **Made, then started.** A container that was made does not run before it is [started](Change::Start). One that is found
///   [`Phase::Created`] may be one whose making was cut off, before all its [files](New::Container) were in it, or it in all
///   its networks: whoever did not get
///   its id from `create` removes it and makes another.
/// - **Looking again.** After [`watch`](Containers::watch) has returned, whatever changes is told, or merged with something that is
///   told later; a stream that broke is mended by the backend and told as [`Again::Everything`].
/// - **Cancellation.** A dropped future may leave its effect done or not done; of a container that is made, also made without its
///   files, see above.
#[async_trait]
pub trait Containers: Debug + Display + Send + Sync + 'static {
    /// Lists the objects of a kind that carry the labels asked for, in order of their names, in one call, however many there are.
    ///
    /// # Errors
    /// When the engine was not reached or refused.
    async fn list(&self, query: &Query) -> Result<Listing, ContainersError>;

    /// Looks at one object. `None`: there is none of that name.
    ///
    /// # Errors
    /// When the engine was not reached or refused.
    async fn inspect(&self, object: &ObjectRef) -> Result<Option<Object>, ContainersError>;

    /// Makes an object, and tells its id.
    ///
    /// # Errors
    /// [`ContainersError::Taken`] as the contract says, [`ContainersError::NotFound`] when the image or volume that it needs does
    /// not exist (of a network it may be said only at the start), [`ContainersError::Invalid`] when it can not be as
    /// [written](New::validate).
    async fn create(&self, new: &New) -> Result<String, ContainersError>;

    /// Changes or removes an object. Returns when that has happened: a stopped container has ended, a started one has been started,
    /// which is not to say that it is ready.
    ///
    /// # Errors
    /// [`ContainersError::NotFound`] when the object (or the network that it is to be connected to) does not exist,
    /// and others as [`Change`] says.
    async fn change(&self, change: &Change) -> Result<(), ContainersError>;

    /// The last lines that a container has printed, oldest first, also of one that has ended.
    ///
    /// # Errors
    /// [`ContainersError::NotFound`]; [`ContainersError::Refused`] when its log can not be read.
    async fn logs(&self, container: &str, query: &LogQuery) -> Result<Vec<LogLine>, ContainersError>;

    /// Tells from now on when to look again.
    ///
    /// # Errors
    /// When the engine was not reached or refused. Once it has returned, a stream that breaks is no error.
    async fn watch(&self) -> Result<Watch, ContainersError>;

    /// A container, by its name or id, as a host: commands are run in it, its files are read and written. Nothing is asked of the
    /// engine yet. What is done with one that is not there is [`HostError::NotFound`](super::HostError::NotFound); files can be
    /// read and written also while it does not run, commands can not.
    fn host(&self, container: &str) -> Arc<dyn Host>;
}

/// What is looked at by kind.
impl dyn Containers + '_ {
    /// Looks at a container, by name or id.
    ///
    /// # Errors
    /// See [`Containers::inspect`].
    pub async fn container(&self, name: &str) -> Result<Option<Container>, ContainersError> {
        Ok(match self.inspect(&ObjectRef::container(name)).await? {
            Some(Object::Container(container)) => Some(*container),
            Some(Object::Image(_) | Object::Network(_) | Object::Volume(_)) | None => None,
        })
    }

    /// Looks at an image, by reference or id.
    ///
    /// # Errors
    /// See [`Containers::inspect`].
    pub async fn image(&self, name: &str) -> Result<Option<Image>, ContainersError> {
        Ok(match self.inspect(&ObjectRef::image(name)).await? {
            Some(Object::Image(image)) => Some(*image),
            Some(Object::Container(_) | Object::Network(_) | Object::Volume(_)) | None => None,
        })
    }

    /// Looks at a network, by name or id.
    ///
    /// # Errors
    /// See [`Containers::inspect`].
    pub async fn network(&self, name: &str) -> Result<Option<Network>, ContainersError> {
        Ok(match self.inspect(&ObjectRef::network(name)).await? {
            Some(Object::Network(network)) => Some(network),
            Some(Object::Container(_) | Object::Image(_) | Object::Volume(_)) | None => None,
        })
    }

    /// Looks at a volume, by name.
    ///
    /// # Errors
    /// See [`Containers::inspect`].
    pub async fn volume(&self, name: &str) -> Result<Option<Volume>, ContainersError> {
        Ok(match self.inspect(&ObjectRef::volume(name)).await? {
            Some(Object::Volume(volume)) => Some(volume),
            Some(Object::Container(_) | Object::Image(_) | Object::Network(_)) | None => None,
        })
    }
}
