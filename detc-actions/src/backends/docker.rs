//! Engines of containers that speak the Docker Engine API.
//!
//! ```text
//! DockerEngine ─ words of detc ⇄ words of the API ─ client ─ wire (connections that are kept) ─┬─ Unix socket
//!                                                                                              ├─ TCP, mutual TLS
//!                                                                                              └─ any stream: see Dial
//! ```
//!
//! The words are those of [bollard](https://docs.rs/bollard); how they are carried is ours, so that an engine behind another
//! machine is one like any other. The version of the API is the oldest that has all that is needed (1.41, Docker 20.10), or the
//! oldest that a newer engine still speaks.

use std::fmt::{self, Debug, Display};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bollard::BollardRequest;
use bollard::errors::Error;
use detc_core::backend::containers::{
    Change, Listing, LogLine, LogQuery, New, Object, ObjectKind, ObjectRef, Query, Watch,
};
use detc_core::backend::{Containers, ContainersError, Host};
use hyper::Response;
use hyper::body::Incoming;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::task::JoinSet;

mod change;
mod container;
mod create;
mod dial;
mod files;
mod host;
mod hosts;
mod image;
mod list;
mod logs;
mod look;
mod network;
mod spec;
mod turns;
mod watch;
mod wire;
mod words;

pub use dial::{Dial, DialError, Duplex};
pub use hosts::DockerHosts;
pub use spec::{DockerSpec, TlsSpec};

use host::ContainerHost;
use turns::{Step, Turn, Turns};
use wire::Wire;
use words::Words;

/// How long an engine has to begin its answer: one that starts fifty containers at once takes seconds for each.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// How many containers an engine is asked to make or start at the same time. It does most of a start alone, whatever else it is asked
/// for: more at once do not end sooner, and the first of them, for which others may wait, ends as late as the last.
const TURNS_AT_ONCE: usize = 3;

/// How long a rename waits until no other begins or ends, and how often it looks: most do in a moment, and those that have minutes to
/// end are not waited for.
const REST_TIMEOUT: Duration = Duration::from_millis(500);
const REST_LOOK: Duration = Duration::from_millis(20);

/// An engine that speaks the Docker Engine API.
///
/// See [`Containers`] for the contract. Besides:
///
/// - Nothing is asked before the first call, and connections are made anew when they are lost.
/// - A look whose answer was lost is made once more; anything else is then [`ContainersError::AnswerLost`].
/// - A container that has another's network is told to have it by that one's name, also where its id was asked for.
/// - Names that are the beginning of some other object's id, which engines take for it, mean that object to nobody here.
#[derive(Clone)]
pub struct DockerEngine {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    client: bollard::Docker,
    wire: Wire,
    turns: Arc<Turns>,
    /// Held for reading by what changes how many are in a network, and for writing by what has the engine write that number anew.
    endpoints: RwLock<()>,
    /// What listens to the engine's events.
    tasks: Mutex<JoinSet<()>>,
}

impl DockerEngine {
    /// The engine called `name`, which is reached as `spec` says.
    ///
    /// # Errors
    /// [`ContainersError::Invalid`] when `spec` says something that is not done.
    pub fn new(name: impl Into<String>, spec: &DockerSpec) -> Result<Self, ContainersError> {
        let name = name.into();
        match spec.dial() {
            Ok(dial) => Ok(Self::over(name, dial)),
            Err(what) => Err(ContainersError::Invalid { engine: name, what }),
        }
    }

    /// The engine called `name` on a machine that is reached by SSH, by its socket there, which is often `/var/run/docker.sock`. It is
    /// used as the user that logs in.
    #[cfg(feature = "ssh")]
    pub fn through(name: impl Into<String>, host: &crate::backends::SshHost, socket: &str) -> Self {
        Self::over(name, Arc::new(dial::Through { host: host.clone(), socket: socket.to_owned() }))
    }

    /// The engine called `name`, which `dial` leads to.
    pub fn over(name: impl Into<String>, dial: Arc<dyn Dial>) -> Self {
        let wire = Wire::new(dial);
        let client = wire::client(wire.clone(), ANSWER_TIMEOUT);
        let turns = Turns::new(TURNS_AT_ONCE);
        Self {
            inner: Arc::new(Inner {
                name: name.into(),
                client,
                wire,
                turns,
                endpoints: RwLock::new(()),
                tasks: Mutex::default(),
            }),
        }
    }

    fn client(&self) -> &bollard::Docker {
        &self.inner.client
    }

    /// A client that waits longer for an answer.
    fn patient(&self, longer: Duration) -> bollard::Docker {
        self.inner.client.clone().with_timeout(ANSWER_TIMEOUT + longer)
    }

    /// Waits until one more container may be made or started.
    async fn turn(&self, step: Step) -> Turn {
        self.inner.turns.take(step).await
    }

    /// Held while containers begin or cease to be in networks.
    async fn endpoints(&self) -> RwLockReadGuard<'_, ()> {
        self.inner.endpoints.read().await
    }

    /// Held while a container is renamed. An engine then writes down again how many are in each of its networks, as many as it knew of
    /// before, though some have left meanwhile: the network could be removed no more until the engine is started again
    /// (<https://github.com/moby/moby/issues/42119>). `None`: some take long to end, and it is not waited for any more.
    async fn endpoints_at_rest(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        let rest = async {
            // Whoever waits for a lock to write keeps all others from reading: nobody is to wait for a name.
            loop {
                if let Ok(rest) = self.inner.endpoints.try_write() {
                    return rest;
                }
                tokio::time::sleep(REST_LOOK).await;
            }
        };
        tokio::time::timeout(REST_TIMEOUT, rest).await.ok()
    }

    /// Sends a request that the client has no good words for.
    async fn raw(&self, request: BollardRequest) -> Result<Response<Incoming>, Error> {
        let sent = tokio::time::timeout(ANSWER_TIMEOUT, self.inner.wire.send(request));
        sent.await.unwrap_or(Err(Error::RequestTimeoutError))
    }

    fn words<'a>(&'a self, what: &'a str) -> Words<'a> {
        Words { engine: &self.inner.name, what }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

#[async_trait]
impl Containers for DockerEngine {
    async fn list(&self, query: &Query) -> Result<Listing, ContainersError> {
        list::list(self, query).await
    }

    async fn inspect(&self, object: &ObjectRef) -> Result<Option<Object>, ContainersError> {
        Ok(match object.kind {
            ObjectKind::Container => {
                look::container(self, &object.name).await?.map(|it| Object::Container(Box::new(it)))
            }
            ObjectKind::Image => look::image(self, &object.name).await?.map(|it| Object::Image(Box::new(it))),
            ObjectKind::Network => look::network(self, &object.name).await?.map(Object::Network),
            ObjectKind::Volume => look::volume(self, &object.name).await?.map(Object::Volume),
        })
    }

    async fn create(&self, new: &New) -> Result<String, ContainersError> {
        new.validate().map_err(|what| self.words("").invalid(&what))?;
        match new {
            New::Image(from) => image::make(self, from, &new.to_string()).await,
            New::Container { name, spec, files } => create::container(self, name, spec, files).await,
            New::Network { name, spec } => network::make(self, name, spec).await,
            New::Volume { name, spec } => create::volume(self, name, spec).await,
        }
    }

    async fn change(&self, change: &Change) -> Result<(), ContainersError> {
        change::change(self, change).await
    }

    async fn logs(&self, container: &str, query: &LogQuery) -> Result<Vec<LogLine>, ContainersError> {
        logs::logs(self, container, query).await
    }

    async fn watch(&self) -> Result<Watch, ContainersError> {
        watch::watch(self).await
    }

    fn host(&self, container: &str) -> Arc<dyn Host> {
        Arc::new(ContainerHost::new(self.clone(), container))
    }
}

impl Display for DockerEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.inner.name)
    }
}

impl Debug for DockerEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerEngine")
            .field("name", &self.inner.name)
            .field("wire", &self.inner.wire)
            .finish_non_exhaustive()
    }
}
