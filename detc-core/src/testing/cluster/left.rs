//! Whether what a manager that is not detc's own has left, when nothing went wrong, is what was asked for.
//!
//! Lives with faults are compared with one without. A manager that does too little does that in all of them: only a look tells.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::life::declared;
use super::{STATE_DIR, Scenario};
use crate::manage::{Manager, ManagerOptions};
use crate::model::{Desired, DesiredResource, Observation};
use crate::resource::Removal;
use crate::store::memory::MemoryStore;
use crate::testing::calls::Calls;

/// What a look says of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// It is as it should be.
    Right,
    /// It is there, and is not.
    Otherwise,
    /// It is not there.
    Absent,
    /// No look tells.
    Untold,
}

/// A resource, by the state that asks for it and its place in there.
type At = (usize, usize);

/// What only earlier states ask for, and may be there before anything is done: that may stay.
#[derive(Debug, Default)]
pub(super) struct Found(BTreeSet<At>);

impl Found {
    /// What there is before a life. Of detc's own manager nothing is asked: it looks by itself whether something is left to do.
    pub(super) async fn before(scenario: &Scenario) -> Self {
        let mut found = BTreeSet::new();
        if scenario.manager.is_some() {
            for (at, resource) in gone(scenario) {
                if look(scenario, resource).await != Look::Absent {
                    found.insert(at);
                }
            }
        }
        Self(found)
    }

    /// What there is after a life without faults and should not be, or is not there and should be.
    pub(super) async fn wrong_after(&self, scenario: &Scenario) -> Option<String> {
        scenario.manager.as_ref()?;
        for resource in scenario.states.last().into_iter().flat_map(|state| state.resources.values()) {
            let id = &resource.id;
            match look(scenario, resource).await {
                Look::Right | Look::Untold => {}
                Look::Otherwise => return Some(format!("{id} is not as the last state says")),
                Look::Absent => return Some(format!("{id}, which the last state asks for, is not there")),
            }
        }
        for (at, resource) in gone(scenario).filter(|(at, _)| !self.0.contains(at)) {
            if look(scenario, resource).await == Look::Right {
                let (id, state) = (&resource.id, at.0 + 1);
                return Some(format!(
                    "{id} of state {state} is still there, and the last state does not ask for it"
                ));
            }
        }
        None
    }
}

/// What earlier states ask for and the last one does not, neither by its id nor at its place.
fn gone(scenario: &Scenario) -> impl Iterator<Item = (At, &DesiredResource)> {
    let earlier = &scenario.states[..scenario.states.len().saturating_sub(1)];
    let all = earlier.iter().enumerate().flat_map(|(state, desired)| {
        desired.resources.values().enumerate().map(move |(place, resource)| ((state, place), resource))
    });
    all.filter(|(_, resource)| {
        let Some(kind) = scenario.registry.kind(resource.id.kind()) else { return false };
        let traits = &kind.facts().traits;
        let spec = resource.spec.value();
        let is_it = |other: &DesiredResource| {
            let is_there = || {
                let theirs = other.spec.value();
                traits.replace_on.iter().all(|field| theirs.get(field) == spec.get(field))
            };
            let is_called_so = other.id == resource.id || !traits.replace_on.is_empty();
            other.id.kind() == resource.id.kind() && other.host == resource.host && is_called_so && is_there()
        };
        let is_wanted = scenario.states.last().is_some_and(|last| last.resources.values().any(is_it));
        traits.removal == Removal::Delete && !is_wanted
    })
}

/// Looks at a resource by itself; of one that refers to others that tells nothing. These calls are none of a life.
async fn look(scenario: &Scenario, resource: &DesiredResource) -> Look {
    if !resource.references.is_empty() {
        return Look::Untold;
    }
    let alone = DesiredResource::from_value(resource.id.kind(), resource.id.name(), &resource.spec.value());
    let mut alone = alone.expect("invariant: it is the spec of a resource");
    alone.host.clone_from(&resource.host);
    let desired = declared(scenario, Desired::new().with(alone));
    let options = ManagerOptions::default().with_state_dir(STATE_DIR);
    let planned = async {
        let registry = scenario.registry_of(&Calls::new());
        let manager = Manager::open(Arc::new(MemoryStore::new()), registry, options).await?;
        let planned = manager.plan(&desired).await?;
        manager.close().await?;
        Ok::<_, crate::ManageError>(planned)
    };
    let Ok(planned) = planned.await else { return Look::Untold };
    match planned.seen.as_ref().and_then(|seen| seen.get(&resource.id)) {
        Some(Observation::Absent | Observation::Needed(_)) => Look::Absent,
        Some(Observation::Present(_)) => {
            let differs = planned.plan.changes.iter().any(|change| !change.fields.is_empty());
            if differs { Look::Otherwise } else { Look::Right }
        }
        Some(Observation::Unobservable | Observation::Unknown(_)) | None => Look::Untold,
    }
}
