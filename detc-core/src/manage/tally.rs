//! How far a run has come that has not ended: its head is written at its beginning and at its end only.

use std::collections::{BTreeMap, BTreeSet};

use super::run::is_open;
use super::{ManageError, Manager};
use crate::execute::journal::{self, JournalError, RunHead};
use crate::execute::{NodeEnd, Tally};

impl Manager {
    /// The head of a run, counted by its log where it is open.
    ///
    /// # Errors
    /// When the store fails. A log that is not understood here counts as none.
    pub(super) async fn counted(&self, mut head: RunHead) -> Result<RunHead, ManageError> {
        if !is_open(&head) {
            return Ok(head);
        }
        let log = match journal::log(&*self.store, head.number).await {
            Ok((log, _)) => log,
            Err(JournalError::NotUnderstood { .. }) => return Ok(head),
            Err(error) => return Err(error.into()),
        };
        let ends: BTreeMap<u32, NodeEnd> =
            log.iter().filter_map(|entry| Some((entry.action, entry.what.end()?))).collect();
        head.tally = Tally::default();
        for end in ends.values() {
            head.tally.count(Some(end));
        }
        let begun: BTreeSet<u32> = log.iter().map(|entry| entry.action).collect();
        head.tally.in_flight = begun.len() - ends.len();
        head.tally.not_reached += head.actions.saturating_sub(begun.len());
        Ok(head)
    }
}
