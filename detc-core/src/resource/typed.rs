//! Typed specs and actions as what is desired: the model itself knows only documents.

use super::Resource;
use crate::action::Action;
use crate::model::DesiredResource;

impl DesiredResource {
    /// The resource called `name` with a typed spec.
    ///
    /// # Panics
    /// When `name` is not a name (see [`ResourceId::new`](crate::model::ResourceId::new)) or the spec can not be said in JSON:
    /// both are fixed in the calling code.
    pub fn new<R: Resource>(name: &str, spec: &R) -> Self {
        let fields = serde_json::to_value(spec).expect("invariant: a spec is JSON");
        Self::from_value(R::KIND, name, &fields).unwrap_or_else(|error| panic!("{}/{name}: {error}", R::KIND))
    }

    /// The step called `name`: an action that stands in the desired state.
    ///
    /// # Panics
    /// As [`new`](Self::new) does.
    pub fn step<A: Action>(name: &str, action: &A) -> Self {
        let fields = serde_json::to_value(action).expect("invariant: an action is JSON");
        Self::from_value(A::KIND, name, &fields).unwrap_or_else(|error| panic!("{}/{name}: {error}", A::KIND))
    }
}
