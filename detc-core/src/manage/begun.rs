//! What the last runs tried and did not end well: such a try may still be under way on its host.

use super::resume::KeptRun;
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
        let (mut begun, mut met) = (Set::default(), Set::default());
        for head in &earlier[..earlier.len() - well] {
            // What is not understood here was given up for that.
            let Ok(KeptRun { plan, log, .. }) = self.read_run(head.number).await? else { continue };
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
            let told = last.iter().enumerate().filter_map(|(action, last)| Some((action as u32, (*last)?)));
            let told: Vec<(ResourceId, bool)> =
                told.map(|(action, open)| (plan.resource_of(action).clone(), open)).collect();
            // A later run tells what came of it.
            begun.extend(
                told.iter().filter(|(id, open)| *open && !met.contains(id)).map(|(id, _)| id.clone()),
            );
            met.extend(told.into_iter().map(|(id, _)| id));
        }
        Ok(begun)
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
