//! The engines of containers, one of each host, and what of them is ours.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError};
use detc_core::backend::containers::{
    Containers, ContainersError, Listed, Mark, ObjectKind, SharedContainers,
};
use detc_core::backend::host::Host;
use detc_core::resource::InvalidField;

/// Finds the engine of a host.
#[async_trait]
pub trait EngineConnector: Debug + Send + Sync + 'static {
    /// The engine that makes the containers of `host`. Connecting at the first use is allowed.
    ///
    /// # Errors
    /// When the host can have none, or it can not be reached now.
    async fn connect(&self, host: &Arc<dyn Host>) -> Result<Arc<dyn Containers>, ContainersError>;
}

/// The engines of hosts: the backend by which the kinds `image`, `container`, `network` and `volume` find theirs. A resource is on
/// the engine of its `host`.
///
/// ```
/// # use std::sync::Arc;
/// # use detc_actions::resources::{self, Engines};
/// # use detc_core::backend::containers::Containers;
/// # use detc_core::resource::Registry;
/// # fn registry(engine: Arc<dyn Containers>) -> Registry {
/// resources::register(Registry::new()).with_backend(Arc::new(Engines::new().with_engine("h1", engine)))
/// # }
/// ```
#[derive(Default)]
pub struct Engines {
    given: BTreeMap<String, Arc<dyn Containers>>,
    connector: Option<Arc<dyn EngineConnector>>,
    connected: Mutex<BTreeMap<String, Connected>>,
    looks_in_full: bool,
}

/// The engine that was found for a host, as long as that is the same one.
struct Connected {
    host: Weak<dyn Host>,
    engine: Arc<dyn Containers>,
}

impl Engines {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the engine of the host called `host`.
    #[must_use]
    pub fn with_engine(mut self, host: impl Into<String>, engine: Arc<dyn Containers>) -> Self {
        self.given.insert(host.into(), shared(engine));
        self
    }

    /// Finds the engines of all other hosts by `connector`.
    #[must_use]
    pub fn with_connector(mut self, connector: impl EngineConnector) -> Self {
        self.connector = Some(Arc::new(connector));
        self
    }

    /// Looks at each container by itself also where one listing would tell, so that what somebody has changed in its limits, its
    /// restart policy or its aliases is found: a call for each container, and one more for each of its secrets.
    #[must_use]
    pub fn looking_in_full(mut self) -> Self {
        self.looks_in_full = true;
        self
    }

    /// Whether each container is looked at by itself.
    pub(super) fn looks_in_full(&self) -> bool {
        self.looks_in_full
    }

    /// The engine of a host.
    ///
    /// # Errors
    /// When it has none, or it can not be reached.
    pub async fn of(&self, host: &Arc<dyn Host>) -> Result<Arc<dyn Containers>, ActionError> {
        let name = host.to_string();
        if let Some(engine) = self.given.get(&name).cloned().or_else(|| self.known(&name, host)) {
            return Ok(engine);
        }
        let Some(connector) = &self.connector else {
            let message = format!("this program knows no engine of containers of {name}");
            return Err(ActionError::permanent(message).with_hint("add it, with `Engines::with_engine`"));
        };
        let engine = shared(connector.connect(host).await?);
        let connected = Connected { host: Arc::downgrade(host), engine: Arc::clone(&engine) };
        self.connected.lock().unwrap_or_else(PoisonError::into_inner).insert(name, connected);
        Ok(engine)
    }

    /// The engine that was found before for this very host: one that was declared anew may be another machine.
    fn known(&self, name: &str, host: &Arc<dyn Host>) -> Option<Arc<dyn Containers>> {
        let connected = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        let known = connected.get(name)?;
        let same = known.host.upgrade().is_some_and(|known| Arc::ptr_eq(&known, host));
        same.then(|| Arc::clone(&known.engine))
    }
}

impl Debug for Engines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engines")
            .field("given", &self.given.keys())
            .field("connector", &self.connector)
            .field("looks_in_full", &self.looks_in_full)
            .finish_non_exhaustive()
    }
}

/// What is listed for one is listed for all who look at the same time.
fn shared(engine: Arc<dyn Containers>) -> Arc<dyn Containers> {
    Arc::new(SharedContainers::new(engine))
}

/// The engine of a resource.
pub(super) async fn engine(cx: &ActionCx<'_>) -> Result<Arc<dyn Containers>, ActionError> {
    cx.backend::<Engines>()?.of(cx.host()?).await
}

/// The mark of a resource's objects that are made from what has the digest `spec`.
pub(super) fn mark(cx: &ActionCx<'_>, spec: &str) -> Mark {
    Mark::new(cx.scope(), cx.identity().as_str(), spec)
}

/// What is there of a resource: one object, none, or several while one takes the place of another. It is read off a listing of
/// all that this cluster has of the kind, which is one call for all that are looked at together.
pub(super) async fn ours(
    engine: &dyn Containers,
    kind: ObjectKind,
    cx: &ActionCx<'_>,
) -> Result<Vec<Listed>, ActionError> {
    let listing = engine.list(&mark(cx, "").same_resource(kind)).await?;
    Ok(listing.iter().filter(|it| it.mark().is_some()).cloned().collect())
}

/// What a resource can not be made of since somebody else has its name.
pub(super) fn foreign(cx: &ActionCx<'_>, error: ContainersError) -> ActionError {
    match error {
        ContainersError::Taken { engine, object } => {
            let message = format!(
                "{} can not have its name: there is a {object} on {engine} that is not its own",
                cx.resource()
            );
            ActionError::permanent(message).with_hint(
                "what detc has not made it never touches: remove it, or give this one another name",
            )
        }
        other => other.into(),
    }
}

/// What of the labels of an object is not detc's own.
pub(super) fn without_marks(mut labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
    labels.retain(|name, _| !name.starts_with(Mark::PREFIX));
    labels
}

/// That labels are none of detc's own.
pub(super) fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), InvalidField> {
    match labels.keys().find(|name| name.starts_with(Mark::PREFIX) || name.is_empty()) {
        Some(name) => {
            Err(InvalidField::new("engine_labels", format!("can not set `{name}`, which is detc's")))
        }
        None => Ok(()),
    }
}
