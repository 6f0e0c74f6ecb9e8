//! What the last runs tried and did not end well: such a try may still be under way on its host.

use super::resume::KeptRun;
use super::{ManageError, Manager};
use crate::execute::Outcome;
use crate::execute::journal::{self, RunNumber, What};
use crate::model::{ResourceId, Set};

/// How many runs it is looked back. One that goes on is seen in the next run already; more than a few that fail or are given
/// up in a row without ever coming to it are rare, and reading a run costs as much as its plan is long.
const RUNS_MAX: usize = 4;

impl Manager {
    /// The resources whose last action before run `number` has an end that is not known, or failed. Runs before one that
    /// went well are not looked at.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn begun_before(&self, number: RunNumber) -> Result<Set<ResourceId>, ManageError> {
        let heads = journal::heads(&*self.store).await?;
        let earlier = heads.iter().rev().filter(|head| head.number < number);
        let mut begun = Set::default();
        for head in earlier.take_while(|head| head.outcome != Some(Outcome::Done)).take(RUNS_MAX) {
            // What is not understood here was given up for that.
            let Ok(KeptRun { plan, log, .. }) = self.read_run(head.number).await? else { continue };
            let mut last = vec![false; plan.actions.len()];
            for entry in log {
                if let Some(last) = last.get_mut(entry.action as usize) {
                    *last = match entry.what {
                        What::Started | What::Failed { .. } | What::InDoubt { .. } => true,
                        What::Done | What::Satisfied | What::Held { .. } | What::NotReached { .. } => false,
                    };
                }
            }
            let open = last.iter().enumerate().filter(|(_, open)| **open);
            begun.extend(open.map(|(action, _)| plan.resource_of(action as u32).clone()));
        }
        Ok(begun)
    }
}
