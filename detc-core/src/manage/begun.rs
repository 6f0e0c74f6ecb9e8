//! What the last runs tried and did not end well: such a try may still be under way on its host.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::records;
use super::resume::KeptRun;
use super::run::is_open;
use super::{ManageError, Manager};
use crate::action::CrashClass;
use crate::execute::Outcome;
use crate::execute::journal::{self, RunHead, RunNumber, What};
use crate::model::{Health, Map, Observation, ResourceId, Set};
use crate::plan::Observed;

/// How many runs it is looked back: more than a few without ever coming to it are rare, and reading a run costs as much as its
/// plan is long.
pub(super) const RUNS_MAX: usize = 4;

impl Manager {
    /// What was cut off in the midst of being changed, or failed at it, and of which nobody has found out since what came of it: it
    /// may be half of what is recorded. Only invariants and predicates ask.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn half_done_for(&self, has_invariants: bool) -> Result<Set<ResourceId>, ManageError> {
        if !has_invariants && self.registry.predicates().is_empty() {
            return Ok(Set::default());
        }
        let mut begun = self.told_before(RunNumber(u64::MAX)).await?;
        begun.retain(|id, _| !self.is_by_record(id));
        let is_keyed = |tried: &Tried| tried.crash == CrashClass::IdempotencyKey;
        let keys = match begun.values().any(is_keyed) {
            true => records::keys(&*self.store).await?,
            false => Map::default(),
        };
        let is_open = |(id, tried): &(ResourceId, Tried)| match tried.crash {
            // A person is asked, and until then its doubt says so; but what has failed nobody is asked about.
            CrashClass::AtMostOnce => tried.has_failed,
            // Its key is kept until it has ended well, or a person has said that it was not done.
            CrashClass::IdempotencyKey => keys.contains_key(id),
            CrashClass::DeterministicName | CrashClass::FindableByTag | CrashClass::CompareAndSet => true,
        };
        Ok(begun.into_iter().filter(is_open).map(|(id, _)| id).collect())
    }

    /// The resources whose last action before run `number` has an end that is not known, or failed.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn begun_before(&self, number: RunNumber) -> Result<Set<ResourceId>, ManageError> {
        Ok(self.told_before(number).await?.into_keys().collect())
    }

    /// The same, with what was tried of each.
    async fn told_before(&self, number: RunNumber) -> Result<Map<ResourceId, Tried>, ManageError> {
        let heads = journal::heads(&*self.store).await?;
        let earlier = heads.iter().rev().filter(|head| head.number < number).take(RUNS_MAX);
        let earlier: Vec<&RunHead> = earlier.collect();
        // Before the oldest one that did not end well there is nothing to be told of.
        let is_well = |head: &&&RunHead| head.outcome == Some(Outcome::Done);
        let well = earlier.iter().rev().take_while(is_well).count();
        let mut told: Vec<Arc<Told>> = Vec::new();
        let mut begun = Map::default();
        for head in &earlier[..earlier.len() - well] {
            let of_run = self.told_by(head).await?;
            // A later run tells what came of it.
            let is_last = |id: &ResourceId| !told.iter().any(|later| later.met.contains(id));
            let last = of_run.begun.iter().filter(|(id, _)| is_last(id));
            begun.extend(last.map(|(id, tried)| (id.clone(), *tried)));
            told.push(of_run);
        }
        let oldest = earlier.last().map_or(number, |head| head.number);
        self.told().retain(|number, _| *number >= oldest);
        Ok(begun)
    }

    /// What a run tells of its resources. One that has ended does not change, and is read once.
    async fn told_by(&self, head: &RunHead) -> Result<Arc<Told>, ManageError> {
        if let Some(told) = self.told().get(&head.number) {
            return Ok(told.clone());
        }
        let told = match self.read_run(head.number).await? {
            Ok(run) => Arc::new(Told::by(run)),
            // What is not understood here was given up for that.
            Err(_) => Arc::default(),
        };
        if !is_open(head) {
            self.told().insert(head.number, told.clone());
        }
        Ok(told)
    }

    /// What the last runs that have ended tell, for as long as nothing is waited for.
    fn told(&self) -> MutexGuard<'_, BTreeMap<RunNumber, Arc<Told>>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the log of a run tells of its resources.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Those that something was done about.
    met: Set<ResourceId>,
    /// Of those, the ones an action of which has an end that is not known, or failed.
    begun: Map<ResourceId, Tried>,
}

/// An action that has not ended well.
#[derive(Clone, Copy, Debug)]
struct Tried {
    /// How it is found out what came of it.
    crash: CrashClass,
    /// It is known to have failed.
    has_failed: bool,
}

impl Told {
    fn by(KeptRun { plan, log, .. }: KeptRun) -> Self {
        let mut last = vec![None; plan.actions.len()];
        for entry in log {
            if let Some((last, action)) =
                last.get_mut(entry.action as usize).zip(plan.actions.get(entry.action as usize))
            {
                let tried = |has_failed| Some(Some(Tried { crash: action.crash, has_failed }));
                *last = match entry.what {
                    What::Started | What::InDoubt { .. } => tried(false),
                    What::Failed { .. } => tried(true),
                    What::Done | What::Satisfied => Some(None),
                    // Nothing was done of it.
                    What::Held { .. } | What::NotReached { .. } => *last,
                };
            }
        }
        let mut told = Self::default();
        for (action, tried) in last.into_iter().enumerate() {
            let Some(tried) = tried else { continue };
            let id = plan.resource_of(action as u32);
            told.met.insert(id.clone());
            if let Some(tried) = tried {
                told.begun.insert(id.clone(), tried);
            }
        }
        told
    }
}

/// What of these has no health check is not known to work.
pub(super) fn doubt_health(half_done: &Set<ResourceId>, observed: &mut Observed) {
    for id in half_done {
        if let Some(Observation::Present(present)) = observed.get_mut(id)
            && present.health == Health::None
        {
            present.health = Health::Unknown;
        }
    }
}
