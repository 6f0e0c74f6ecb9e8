//! What the last runs tried and did not end well: such a try may still be under way on its host.

use super::resume::KeptRun;
use super::{ManageError, Manager};
use crate::execute::journal::{self, RunNumber, What};
use crate::model::{ResourceId, Set};

/// How many runs it is looked back: more than a few without ever coming to it are rare, and reading a run costs as much as its
/// plan is long.
const RUNS_MAX: usize = 4;

impl Manager {
    /// The resources whose last action before run `number` has an end that is not known, or failed.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn begun_before(&self, number: RunNumber) -> Result<Set<ResourceId>, ManageError> {
        let heads = journal::heads(&*self.store).await?;
        let earlier = heads.iter().rev().filter(|head| head.number < number);
        let (mut begun, mut met) = (Set::default(), Set::default());
        for head in earlier.take(RUNS_MAX) {
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
