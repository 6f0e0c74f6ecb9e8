//! What the last runs tried and did not end well: such a try may still be under way on its host.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::resume::KeptRun;
use super::run::is_open;
use super::{ManageError, Manager};
use crate::execute::Outcome;
use crate::execute::journal::{self, RunHead, RunNumber, What};
use crate::model::{Health, Observation, ResourceId, Set};
use crate::plan::Observed;

/// How many runs it is looked back: more than a few without ever coming to it are rare, and reading a run costs as much as its
/// plan is long.
pub(super) const RUNS_MAX: usize = 4;

impl Manager {
    /// What was cut off in the midst of being changed, or failed at it, works only where that was seen: what has no health
    /// check may be half of it. Only invariants ask.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn doubt_health_of_begun(&self, observed: &mut Observed) -> Result<(), ManageError> {
        doubt_health(&self.begun_by_now().await?, observed);
        Ok(())
    }

    /// The resources whose last action has an end that is not known, or failed.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn begun_by_now(&self) -> Result<Set<ResourceId>, ManageError> {
        self.begun_before(RunNumber(u64::MAX)).await
    }

    /// The resources whose last action before run `number` has an end that is not known, or failed.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn begun_before(&self, number: RunNumber) -> Result<Set<ResourceId>, ManageError> {
        let heads = journal::heads(&*self.store).await?;
        let earlier = heads.iter().rev().filter(|head| head.number < number).take(RUNS_MAX);
        let earlier: Vec<&RunHead> = earlier.collect();
        // Before the oldest one that did not end well there is nothing to be told of.
        let is_well = |head: &&&RunHead| head.outcome == Some(Outcome::Done);
        let well = earlier.iter().rev().take_while(is_well).count();
        let mut told: Vec<Arc<Told>> = Vec::new();
        let mut begun = Set::default();
        for head in &earlier[..earlier.len() - well] {
            let of_run = self.told_by(head).await?;
            // A later run tells what came of it.
            let is_last = |id: &&ResourceId| !told.iter().any(|later| later.met.contains(*id));
            begun.extend(of_run.begun.iter().filter(is_last).cloned());
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
    begun: Set<ResourceId>,
}

impl Told {
    fn by(KeptRun { plan, log, .. }: KeptRun) -> Self {
        let mut last = vec![None; plan.actions.len()];
        for entry in log {
            if let Some(last) = last.get_mut(entry.action as usize) {
                *last = match entry.what {
                    What::Started | What::Failed { .. } | What::InDoubt { .. } => Some(true),
                    What::Done | What::Satisfied => Some(false),
                    // Nothing was done of it.
                    What::Held { .. } | What::NotReached { .. } => *last,
                };
            }
        }
        let mut told = Self::default();
        for (action, is_begun) in last.into_iter().enumerate() {
            let Some(is_begun) = is_begun else { continue };
            let id = plan.resource_of(action as u32);
            told.met.insert(id.clone());
            if is_begun {
                told.begun.insert(id.clone());
            }
        }
        told
    }
}

/// What of `begun` has no health check may be half of it.
pub(super) fn doubt_health(begun: &Set<ResourceId>, observed: &mut Observed) {
    for id in begun {
        if let Some(Observation::Present(present)) = observed.get_mut(id)
            && present.health == Health::None
        {
            present.health = Health::Unknown;
        }
    }
}
