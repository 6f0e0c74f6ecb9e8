//! Hosts and the engines beside them, as a desired state file declares both.
//!
//! | `connect` of a host | its engine |
//! |---|---|
//! | `local` | its `engine`; where that is not given, what `DOCKER_HOST` says, or the socket of this machine |
//! | `ssh://…` | its `engine`, a socket there; where that is not given, `unix:///var/run/docker.sock` |
//! | `unix://…`, `tcp://…` | itself: containers and what they are made of are on it, and nothing else |
//!
//! What is remembered is the way to an engine, by the name of its host. Nothing is asked of an engine before it is needed: a host
//! whose engine is broken is a host all the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use detc_core::backend::{Containers, ContainersError, Host, HostError};
use detc_core::model::{HostName, HostSpec};
use detc_core::resource::{Connector, Registry};

use super::{DockerEngine, DockerSpec};
use crate::resources::{EngineConnector, Engines};

mod alone;

use alone::EngineHost;

/// What of a host's spec says where its engine is.
#[cfg(any(feature = "local", feature = "ssh"))]
const ENGINE: &str = "engine";

/// Finds the engines of hosts.
///
/// ```
/// # #[cfg(all(feature = "local", feature = "ssh"))] {
/// use detc_actions::backends::{DockerHosts, LocalConnector, SshConnector};
/// use detc_actions::resources;
/// use detc_core::resource::Registry;
///
/// let docker = DockerHosts::new();
/// let registry = resources::register(Registry::new())
///     .with_connector(docker.local(LocalConnector))
///     .with_connector(docker.ssh(SshConnector::default()));
/// let registry = docker.register(registry);
/// assert!(registry.connector("unix").is_some());
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct DockerHosts {
    ways: Arc<Mutex<BTreeMap<String, Way>>>,
}

/// How the engine of a host is reached.
#[derive(Clone, Debug)]
enum Way {
    At(DockerSpec),
    #[cfg(feature = "ssh")]
    Through(Box<crate::backends::SshHost>, String),
}

impl DockerHosts {
    /// None yet: those are known that its connectors connect.
    pub fn new() -> Self {
        Self::default()
    }

    /// The machine that the manager runs on, with its engine.
    #[cfg(feature = "local")]
    pub fn local(&self, hosts: crate::backends::LocalConnector) -> impl Connector + use<> {
        Local { hosts, engines: self.clone() }
    }

    /// Machines that are reached by SSH, with their engines.
    #[cfg(feature = "ssh")]
    pub fn ssh(&self, hosts: crate::backends::SshConnector) -> impl Connector + use<> {
        Ssh { hosts, engines: self.clone() }
    }

    /// `registry` with hosts that are engines and nothing else, of the schemes `unix` and `tcp`, and with these as the [`Engines`] of
    /// its containers.
    #[must_use]
    pub fn register(&self, registry: Registry) -> Registry {
        registry
            .with_connector(Alone { scheme: "unix", engines: self.clone() })
            .with_connector(Alone { scheme: "tcp", engines: self.clone() })
            .with_backend(Arc::new(Engines::new().with_connector(self.clone())))
    }

    fn remember(&self, host: &HostName, way: Way) {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_string(), way);
    }
}

#[async_trait]
impl EngineConnector for DockerHosts {
    async fn connect(&self, host: &Arc<dyn Host>) -> Result<Arc<dyn Containers>, ContainersError> {
        let engine = host.to_string();
        let way = self.ways.lock().unwrap_or_else(PoisonError::into_inner).get(&engine).cloned();
        match way {
            Some(Way::At(spec)) => Ok(Arc::new(DockerEngine::new(engine, &spec)?)),
            #[cfg(feature = "ssh")]
            Some(Way::Through(host, socket)) => Ok(Arc::new(DockerEngine::through(engine, &host, &socket))),
            None => {
                let what = "where its engine is was not said when it was connected".to_owned();
                Err(ContainersError::Invalid { engine, what })
            }
        }
    }
}

/// What of a host's spec is the machine's, and where its engine is.
#[cfg(any(feature = "local", feature = "ssh"))]
fn split(spec: &HostSpec) -> Result<(HostSpec, Option<DockerSpec>), String> {
    let mut machine = spec.clone();
    let engine = match machine.options.remove(ENGINE) {
        None => None,
        Some(serde_json::Value::String(connect)) => Some(DockerSpec::new(connect)),
        Some(other) => Some(serde_json::from_value(other).map_err(|error| format!("`{ENGINE}`: {error}"))?),
    };
    if let Some(engine) = &engine {
        engine.dial().map_err(|what| format!("`{ENGINE}`: {what}"))?;
    }
    Ok((machine, engine))
}

#[cfg(any(feature = "local", feature = "ssh"))]
fn invalid(name: &HostName, what: String) -> HostError {
    HostError::Invalid { host: name.to_string(), what }
}

#[cfg(feature = "local")]
#[derive(Debug)]
struct Local {
    hosts: crate::backends::LocalConnector,
    engines: DockerHosts,
}

#[cfg(feature = "local")]
#[async_trait]
impl Connector for Local {
    fn scheme(&self) -> &'static str {
        self.hosts.scheme()
    }

    fn check(&self, spec: &HostSpec) -> Result<(), String> {
        self.hosts.check(&split(spec)?.0)
    }

    async fn connect(&self, name: &HostName, spec: &HostSpec) -> Result<Arc<dyn Host>, HostError> {
        let (machine, engine) = split(spec).map_err(|what| invalid(name, what))?;
        let host = self.hosts.connect(name, &machine).await?;
        self.engines.remember(name, Way::At(engine.unwrap_or_else(DockerSpec::from_env)));
        Ok(host)
    }
}

#[cfg(feature = "ssh")]
#[derive(Debug)]
struct Ssh {
    hosts: crate::backends::SshConnector,
    engines: DockerHosts,
}

#[cfg(feature = "ssh")]
impl Ssh {
    /// The machine's part of a spec, and the socket of its engine.
    fn read(spec: &HostSpec) -> Result<(HostSpec, String), String> {
        let (machine, engine) = split(spec)?;
        let engine = engine.unwrap_or_else(|| DockerSpec::new(DockerSpec::SOCKET));
        match engine.connect.strip_prefix("unix://") {
            Some(socket) => Ok((machine, socket.to_owned())),
            None => Err(format!(
                "`{ENGINE}` must be a socket there, `unix:///…`, not `{}`: for one that is reached over the network declare a host of its own",
                engine.connect
            )),
        }
    }
}

#[cfg(feature = "ssh")]
#[async_trait]
impl Connector for Ssh {
    fn scheme(&self) -> &'static str {
        self.hosts.scheme()
    }

    fn check(&self, spec: &HostSpec) -> Result<(), String> {
        self.hosts.check(&Self::read(spec)?.0)
    }

    async fn connect(&self, name: &HostName, spec: &HostSpec) -> Result<Arc<dyn Host>, HostError> {
        let (machine, socket) = Self::read(spec).map_err(|what| invalid(name, what))?;
        let host = self.hosts.host(name, &machine).await?;
        self.engines.remember(name, Way::Through(Box::new(host.clone()), socket));
        Ok(Arc::new(host))
    }
}

/// Hosts that are engines.
#[derive(Debug)]
struct Alone {
    scheme: &'static str,
    engines: DockerHosts,
}

impl Alone {
    fn read(spec: &HostSpec) -> Result<DockerSpec, String> {
        let value = serde_json::to_value(spec).map_err(|error| error.to_string())?;
        let spec: DockerSpec = serde_json::from_value(value).map_err(|error| error.to_string())?;
        spec.dial()?;
        Ok(spec)
    }
}

#[async_trait]
impl Connector for Alone {
    fn scheme(&self) -> &'static str {
        self.scheme
    }

    fn check(&self, spec: &HostSpec) -> Result<(), String> {
        Self::read(spec).map(drop)
    }

    async fn connect(&self, name: &HostName, spec: &HostSpec) -> Result<Arc<dyn Host>, HostError> {
        let spec = Self::read(spec).map_err(|what| HostError::Invalid { host: name.to_string(), what })?;
        self.engines.remember(name, Way::At(spec));
        Ok(Arc::new(EngineHost::new(name.as_str())))
    }
}
