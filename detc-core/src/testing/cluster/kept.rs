//! What is to be kept at every moment: asked of the world whenever a call has happened.
//!
//! What is looked at is what the world's test doubles hold, by the author's own functions; neither the manager, nor a proof, nor a
//! kind is asked. So this is a second ledger of what detc promises, and not the same one read again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::model::{
    Desired, DesiredResource, Health, Invariant, InvariantBound, Map, Measure, Present, ResourceId,
};

/// Asks something of the world, while this state is brought about; why not, in words.
type Holds = dyn Fn(&Desired) -> Result<(), String> + Send + Sync;

/// What is there of a resource as a state has it.
type Measures = dyn Fn(&DesiredResource) -> Option<Present> + Send + Sync;

/// What a scenario is to keep, and how it is seen.
#[derive(Clone, Default)]
pub(super) struct Kept {
    promises: Vec<(String, Arc<Holds>)>,
    /// By kind.
    measures: BTreeMap<String, Arc<Measures>>,
}

impl Kept {
    pub(super) fn promise(
        &mut self,
        name: String,
        holds: impl Fn(&Desired) -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.promises.push((name, Arc::new(holds)));
    }

    pub(super) fn measure(
        &mut self,
        kind: String,
        measures: impl Fn(&DesiredResource) -> Option<Present> + Send + Sync + 'static,
    ) {
        self.measures.insert(kind, Arc::new(measures));
    }

    /// Whether there is anything to keep in these states.
    fn is_nothing(&self, states: &[Desired]) -> bool {
        self.promises.is_empty() && states.iter().all(|state| state.invariants.is_empty())
    }
}

/// What was not kept, at the call of this index.
#[derive(Clone, Debug)]
pub(super) struct Broken {
    pub(super) at: usize,
    pub(super) words: String,
}

/// What is kept in the course of a life.
///
/// A promise is to be kept in each state at whose begin it holds. An invariant, too; and where it does not hold then, it is not
/// to become worse: that is what a plan is proven to do, and those that follow a death begin from no worse.
pub(super) struct Ledger {
    kept: Kept,
    states: Vec<Desired>,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    /// How many states were begun.
    begun: usize,
    /// Those that are to be kept now, by their indices.
    promises: BTreeSet<usize>,
    /// For each invariant of this state what is to be kept of it.
    bounds: Vec<InvariantBound>,
    /// The promises that were to be kept in some state.
    ever: BTreeSet<usize>,
    /// The first that was not kept.
    broken: Option<Broken>,
}

impl Ledger {
    /// `None`: there is nothing to keep.
    ///
    /// # Panics
    /// When an invariant is about a kind of which it is not known how to see what is there.
    pub(super) fn of(kept: &Kept, states: &[Desired]) -> Option<Arc<Self>> {
        if kept.is_nothing(states) {
            return None;
        }
        for state in states {
            for invariant in &state.invariants {
                let unseen = selected(invariant, &state.resources).find(|it| kept.measures_of(it).is_none());
                if let Some(DesiredResource { id, .. }) = unseen {
                    let name = &invariant.name;
                    panic!(
                        "the invariant `{name}` is about {id}: `Scenario::measuring` has to say how to see it"
                    );
                }
            }
        }
        Some(Arc::new(Self { kept: kept.clone(), states: states.to_vec(), now: Mutex::default() }))
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of this index is brought about from now on, if it is later than all before.
    pub(super) fn begin(&self, state: usize) {
        let mut now = self.lock();
        if state < now.begun {
            return;
        }
        let wanted = &self.states[state];
        now.begun = state + 1;
        let promises = self.kept.promises.iter().enumerate();
        now.promises =
            promises.filter(|(_, (_, holds))| holds(wanted).is_ok()).map(|(index, _)| index).collect();
        let held = now.promises.clone();
        now.ever.extend(held);
        let bound = |invariant: &Invariant| no_worse(invariant.bound, self.value(invariant, state).0);
        now.bounds = wanted.invariants.iter().map(bound).collect();
    }

    /// The call of this index has happened.
    pub(super) fn look(&self, at: usize) {
        let mut now = self.lock();
        let Some(state) = now.begun.checked_sub(1).filter(|_| now.broken.is_none()) else { return };
        let broken = self.broken_promise(&now, state).or_else(|| self.broken_invariant(&now, state));
        now.broken = broken.map(|words| Broken { at, words });
    }

    fn broken_promise(&self, now: &Now, state: usize) -> Option<String> {
        now.promises.iter().find_map(|index| {
            let (name, holds) = &self.kept.promises[*index];
            Some(format!("`{name}` is not kept: {}", holds(&self.states[state]).err()?))
        })
    }

    fn broken_invariant(&self, now: &Now, state: usize) -> Option<String> {
        let bounds = self.states[state].invariants.iter().zip(&now.bounds);
        bounds.filter_map(|(invariant, bound)| self.excess(invariant, *bound, state)).next()
    }

    /// How an invariant is not kept, in words.
    fn excess(&self, invariant: &Invariant, bound: InvariantBound, state: usize) -> Option<String> {
        let (value, counted) = self.value(invariant, state);
        if bound.allows(value) {
            return None;
        }
        let counted: Vec<&str> = counted.iter().map(|id| id.as_str()).collect();
        let counted = if counted.is_empty() { "nothing".to_owned() } else { counted.join(", ") };
        let name = &invariant.name;
        Some(format!("`{name}` is not kept: it is {value}, and is to be {bound}; {counted} counts"))
    }

    /// The value of an invariant in the world, and what counts for it. What is there may be as this state has it, or as the one
    /// before; it counts once.
    fn value<'a>(&'a self, invariant: &'a Invariant, state: usize) -> (i64, BTreeSet<&'a ResourceId>) {
        let mut counted: BTreeMap<&ResourceId, i64> = BTreeMap::new();
        for versions in &self.states[state.saturating_sub(1)..=state] {
            for version in selected(invariant, &versions.resources) {
                let measures = self.kept.measures_of(version).expect("invariant: it was looked at");
                let amount =
                    measures(version).map_or(0, |present| amount(&invariant.measure, version, present));
                let most = counted.entry(self.known_as(&version.id, state)).or_default();
                *most = amount.max(*most);
            }
        }
        let counted = counted.into_iter().filter(|(_, amount)| *amount != 0);
        let (ids, amounts): (BTreeSet<_>, Vec<i64>) = counted.unzip();
        (amounts.into_iter().fold(0, i64::saturating_add), ids)
    }

    /// What it is called in this state, if it is renamed.
    fn known_as<'a>(&'a self, id: &'a ResourceId, state: usize) -> &'a ResourceId {
        let renamed = |it: &&DesiredResource| it.extra().renamed_from.as_ref() == Some(id);
        self.states[state].resources.values().find(renamed).map_or(id, |it| &it.id)
    }

    /// What was not kept.
    pub(super) fn broken(&self) -> Option<Broken> {
        self.lock().broken.clone()
    }

    /// The promises that were to be kept in no state, since they held at the begin of none.
    pub(super) fn never_held(&self) -> Vec<String> {
        let now = self.lock();
        let names = self.kept.promises.iter().enumerate().filter(|(index, _)| !now.ever.contains(index));
        names.map(|(_, (name, _))| name.clone()).collect()
    }
}

impl Kept {
    fn measures_of(&self, resource: &DesiredResource) -> Option<&Measures> {
        self.measures.get(resource.id.kind()).map(|measures| &**measures)
    }
}

/// What an invariant is about.
fn selected<'a>(
    invariant: &'a Invariant,
    resources: &'a Map<ResourceId, DesiredResource>,
) -> impl Iterator<Item = &'a DesiredResource> {
    let selector = invariant.measure.selector();
    resources.values().filter(|it| selector.matches(&it.id, it.host.as_ref(), &it.extra().labels))
}

/// What something that is there counts for.
fn amount(measure: &Measure, version: &DesiredResource, present: Present) -> i64 {
    match measure {
        Measure::Available(_) => i64::from(matches!(present.health, Health::Healthy | Health::None)),
        Measure::Total { field, .. } => {
            let (seen, said) = (Value::Object(present.fields), version.spec.value());
            field.get(&seen).or_else(|| field.get(&said)).and_then(Value::as_i64).unwrap_or(0)
        }
    }
}

/// The bound, or this value if it is beyond it.
fn no_worse(bound: InvariantBound, value: i64) -> InvariantBound {
    match bound {
        InvariantBound::AtLeast(least) => InvariantBound::AtLeast(least.min(value)),
        InvariantBound::AtMost(most) => InvariantBound::AtMost(most.max(value)),
    }
}

#[cfg(test)]
mod tests;
