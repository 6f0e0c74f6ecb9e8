//! Which kinds, actions and connectors a program has. It brings them back by name after a crash.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;

use async_trait::async_trait;

use super::erased::Typed;
use super::value::ValueKind;
use super::{Kind, ObservedBy, Resource};
use crate::backend::{Backends, Host, HostError};
use crate::model::load::StateReader;
use crate::model::{HostName, HostSpec, PROPERTIES, Predicate};

/// Makes hosts of one sort from their specs.
#[async_trait]
pub trait Connector: Debug + Send + Sync + 'static {
    /// The scheme of [`HostSpec::connect`] that it answers to (`local`, `ssh`).
    fn scheme(&self) -> &'static str;

    /// Checks a spec without connecting.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    fn check(&self, spec: &HostSpec) -> Result<(), String>;

    /// Connects, or prepares to: connecting at the first use is allowed.
    ///
    /// # Errors
    /// [`HostError::Unreachable`] when the host can not be reached now.
    async fn connect(&self, name: &HostName, spec: &HostSpec) -> Result<Arc<dyn Host>, HostError>;
}

/// The kinds and connectors that a program knows. A new one knows `value`; `detc_actions::resources::register` adds what people need.
///
/// ```
/// # use async_trait::async_trait;
/// # use detc_core::action::{Action, ActionCx, ActionError, Check, CrashClass, Footprint};
/// use detc_core::Registry;
///
/// # #[derive(Debug, serde::Serialize, serde::Deserialize)]
/// # struct Announce { text: String }
/// # #[async_trait]
/// # impl Action for Announce {
/// #     const KIND: &'static str = "announce";
/// #     type Output = ();
/// #     fn footprint(&self) -> Footprint { Footprint::new(CrashClass::AtMostOnce) }
/// #     async fn check(&self, _: &ActionCx<'_>) -> Result<Check<()>, ActionError> { Ok(Check::Needed("always".to_owned())) }
/// #     async fn apply(&self, _: &ActionCx<'_>) -> Result<(), ActionError> { Ok(()) }
/// # }
/// let registry = Registry::new().with_action::<Announce>();
/// assert_eq!(registry.kind_names().collect::<Vec<_>>(), ["announce", "value"]);
/// assert!(registry.kind("announce").is_some());
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    kinds: BTreeMap<&'static str, Arc<dyn Kind>>,
    connectors: BTreeMap<&'static str, Arc<dyn Connector>>,
    backends: Backends,
    predicates: Vec<Predicate>,
    readers: Vec<Arc<dyn StateReader>>,
}

impl Registry {
    /// A registry with the kind `value` alone.
    pub fn new() -> Self {
        let mut registry = Self::default();
        registry.kinds.insert(ValueKind::NAME, Arc::new(ValueKind::new()));
        registry
    }

    /// Adds a kind of resources.
    ///
    /// # Panics
    /// When a kind of that name is there already: two types can not share records. When a field has the name of one that every
    /// resource has in a file, such as `name` or `host`: nobody could give it there.
    #[must_use]
    pub fn with_resource<R: Resource>(mut self) -> Self {
        self.add(R::KIND, Arc::new(Typed::<R>::new()));
        self
    }

    fn add(&mut self, name: &'static str, kind: Arc<dyn Kind>) {
        let mut fields = kind.facts().fields.into_iter().flatten();
        if let Some(taken) = fields.find(|field| PROPERTIES.contains(field)) {
            panic!(
                "the kind `{name}` has a field `{taken}`, as every resource has one in a file: call it otherwise"
            );
        }
        let replaced = self.kinds.insert(name, kind);
        assert!(replaced.is_none(), "the kind `{name}` is registered twice");
    }

    /// Adds an action, as a kind that can stand in a desired state.
    ///
    /// # Panics
    /// As [`with_resource`](Self::with_resource).
    #[must_use]
    pub fn with_action<A: crate::action::Action>(mut self) -> Self {
        self.add(A::KIND, Arc::new(super::act::Step::<A>::new()));
        self
    }

    /// Adds a connector, in place of another of its scheme.
    #[must_use]
    pub fn with_connector(mut self, connector: impl Connector) -> Self {
        self.connectors.insert(connector.scheme(), Arc::new(connector));
        self
    }

    /// Adds a backend that kinds find by its type, with
    /// [`ActionCx::backend`](crate::action::ActionCx::backend): a client, a pool, a handle on the application itself. It
    /// takes the place of another of its type.
    #[must_use]
    pub fn with_backend<T: Send + Sync + 'static>(mut self, backend: Arc<T>) -> Self {
        self.backends = self.backends.with(backend);
        self
    }

    /// Adds what reads desired state from files of another kind.
    #[must_use]
    pub fn with_reader(mut self, reader: impl StateReader) -> Self {
        self.readers.push(Arc::new(reader));
        self
    }

    /// What reads desired state from files of another kind, the one that was added first before others.
    pub(crate) fn readers(&self) -> impl Iterator<Item = &dyn StateReader> {
        self.readers.iter().map(|reader| &**reader)
    }

    /// Adds what must hold of every state of every plan, beside the invariants of the desired state.
    ///
    /// # Panics
    /// When a predicate of that name is there already: nobody could tell which one is broken.
    #[must_use]
    pub fn with_predicate(mut self, predicate: Predicate) -> Self {
        let is_new = self.predicates.iter().all(|known| known.name() != predicate.name());
        assert!(is_new, "the predicate `{}` is registered twice", predicate.name());
        self.predicates.push(predicate);
        self
    }

    /// The same registry with others in place of its kinds that act in the world, and of its connectors.
    pub(crate) fn standing_in<C: Connector>(
        &self,
        kind: impl Fn(&Arc<dyn Kind>) -> Arc<dyn Kind>,
        connector: impl Fn(&'static str) -> C,
    ) -> Self {
        let mut other = self.clone();
        for known in other.kinds.values_mut() {
            if known.facts().traits.observed_by == ObservedBy::Backend {
                *known = kind(known);
            }
        }
        for (scheme, known) in &mut other.connectors {
            *known = Arc::new(connector(scheme));
        }
        other
    }

    /// The predicates, in the order in which they were added.
    pub fn predicates(&self) -> &[Predicate] {
        &self.predicates
    }

    /// The program's own backends.
    pub fn backends(&self) -> &Backends {
        &self.backends
    }

    /// The kind called `name`.
    pub fn kind(&self, name: &str) -> Option<&Arc<dyn Kind>> {
        self.kinds.get(name)
    }

    /// The names of all kinds.
    pub fn kind_names(&self) -> impl Iterator<Item = &'static str> {
        self.kinds.keys().copied()
    }

    /// The connector of a scheme.
    pub fn connector(&self, scheme: &str) -> Option<&Arc<dyn Connector>> {
        self.connectors.get(scheme)
    }

    /// The schemes of all connectors.
    pub fn schemes(&self) -> impl Iterator<Item = &'static str> {
        self.connectors.keys().copied()
    }
}

impl Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("kinds", &self.kinds.keys())
            .field("connectors", &self.connectors.keys())
            .field("backends", &self.backends)
            .field("predicates", &self.predicates)
            .field("readers", &self.readers)
            .finish()
    }
}

#[cfg(test)]
pub(super) mod tests;
