//! What an engine can be asked to make, and to change.

use std::fmt::{self, Debug, Display};
use std::time::Duration;

use super::{Attachment, ContainerSpec, ImageFrom, Limits, NetworkSpec, ObjectRef, Restart, VolumeSpec};
#[cfg(doc)]
use super::{Containers, ContainersError, Phase};
use crate::backend::host::Ownership;
use crate::content::Content;

/// What is to be made.
#[derive(Clone, Debug)]
pub enum New {
    /// An image. What is made is the same image if it is there already.
    Image(Box<ImageFrom>),
    /// A container, which is not started yet.
    Container {
        /// Its name.
        name: String,
        /// What it is to be.
        spec: Box<ContainerSpec>,
        /// Files that are in it before it is ever started, such as secrets: neither [`Containers::inspect`] nor the engine's own
        /// tools tell of them. Missing directories are made. A path may lie below a mount, and in a container whose root is
        /// [read only](ContainerSpec::root).
        files: Vec<FileInside>,
    },
    /// A network.
    Network {
        /// Its name.
        name: String,
        /// What it is to be.
        spec: NetworkSpec,
    },
    /// A volume.
    Volume {
        /// Its name.
        name: String,
        /// What it is to be.
        spec: VolumeSpec,
    },
}

impl New {
    /// A container without files of its own.
    pub fn container(name: impl Into<String>, spec: ContainerSpec) -> Self {
        Self::Container { name: name.into(), spec: Box::new(spec), files: Vec::new() }
    }

    /// An image from there.
    pub fn image(from: ImageFrom) -> Self {
        Self::Image(Box::new(from))
    }
}

/// What is tried, beginning with a verb, for messages.
impl Display for New {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(from) => match &**from {
                ImageFrom::Pull(pull) => write!(f, "pull image `{}`", pull.reference),
                ImageFrom::Load(_) => f.pad("load an image"),
                ImageFrom::Build(_) => f.pad("build an image"),
            },
            Self::Container { name, .. } => write!(f, "create container `{name}`"),
            Self::Network { name, .. } => write!(f, "create network `{name}`"),
            Self::Volume { name, .. } => write!(f, "create volume `{name}`"),
        }
    }
}

/// A file that a container has from its beginning. Its content is not in its `Debug`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileInside {
    /// Where, absolute.
    pub path: String,
    /// What it holds.
    pub content: Content,
    /// Its mode and owner, by number; mode `0400` and root where nothing is given.
    pub ownership: Ownership,
}

impl FileInside {
    /// A file that only root can read.
    pub fn new(path: impl Into<String>, content: impl Into<Content>) -> Self {
        Self {
            path: path.into(),
            content: content.into(),
            ownership: Ownership::new(Some(0o400), None, None),
        }
    }

    /// Gives it another mode or owner.
    #[must_use]
    pub fn with_ownership(mut self, ownership: Ownership) -> Self {
        self.ownership = ownership;
        self
    }
}

impl Debug for FileInside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileInside").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What is to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Starts a container. [`ContainersError::NotStarted`] or [`ContainersError::PortTaken`] when it could not be started; one that
    /// starts and ends at once has been started.
    Start {
        /// Which.
        container: String,
    },
    /// Asks a container to end, and ends it when it has not after `grace`; `None`: after what its spec says, or ten seconds. Its
    /// restart policy does not start it again.
    Stop {
        /// Which.
        container: String,
        /// How long it has, in whole seconds.
        grace: Option<Duration>,
    },
    /// Sends a signal to a container. [`ContainersError::NotRunning`] when it does not run.
    Signal {
        /// Which.
        container: String,
        /// The signal by its name, `SIGHUP`.
        signal: String,
    },
    /// Gives a container another name. [`ContainersError::Taken`] when another has it.
    Rename {
        /// Which.
        container: String,
        /// The new name.
        to: String,
    },
    /// Changes what of a container can change while it runs. All limits are set: those that are not given are taken away where the
    /// engine can, and are [`ContainersError::Unsupported`] where it can not.
    Update {
        /// Which.
        container: String,
        /// Its limits.
        limits: Limits,
        /// Its restart policy.
        restart: Restart,
    },
    /// Connects a container to a network. One that is connected as asked is left; one that is connected otherwise is connected
    /// anew, which cuts its connections there.
    Connect {
        /// Which.
        container: String,
        /// To which network.
        network: String,
        /// As what.
        attachment: Attachment,
    },
    /// Disconnects a container from a network.
    Disconnect {
        /// Which.
        container: String,
        /// From which network.
        network: String,
    },
    /// Gives an image one more tag, which another loses if it has it.
    Tag {
        /// Which.
        image: String,
        /// The tag, `name:tag`.
        tag: String,
    },
    /// Removes an object. [`ContainersError::InUse`] when something still uses it: an image or volume that a container was made
    /// with, a network that one runs in, a container that runs.
    ///
    /// An image called by a reference loses that reference, and is gone with the last; called by its id it is gone with all of them.
    /// A container's anonymous volumes go with it.
    Remove {
        /// Which.
        object: ObjectRef,
        /// Whether also one that runs.
        how: RemoveHow,
    },
}

/// Whether what runs is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveHow {
    /// Only what does not run and nothing uses.
    Unused,
    /// A container also while it runs: it is ended at once. Of anything else the same as [`Unused`](RemoveHow::Unused).
    Running,
}

impl Change {
    /// Starts a container.
    pub fn start(container: impl Into<String>) -> Self {
        Self::Start { container: container.into() }
    }

    /// Stops a container, with the grace of its own.
    pub fn stop(container: impl Into<String>) -> Self {
        Self::Stop { container: container.into(), grace: None }
    }

    /// Removes what nothing uses.
    pub fn remove(object: ObjectRef) -> Self {
        Self::Remove { object, how: RemoveHow::Unused }
    }
}

/// What is tried, beginning with a verb, for messages.
impl Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { container } => write!(f, "start container `{container}`"),
            Self::Stop { container, .. } => write!(f, "stop container `{container}`"),
            Self::Signal { container, signal } => write!(f, "send {signal} to container `{container}`"),
            Self::Rename { container, to } => write!(f, "rename container `{container}` to `{to}`"),
            Self::Update { container, .. } => write!(f, "update container `{container}`"),
            Self::Connect { container, network, .. } => {
                write!(f, "connect container `{container}` to network `{network}`")
            }
            Self::Disconnect { container, network } => {
                write!(f, "disconnect container `{container}` from network `{network}`")
            }
            Self::Tag { image, tag } => write!(f, "tag image `{image}` as `{tag}`"),
            Self::Remove { object, .. } => write!(f, "remove {object}"),
        }
    }
}
