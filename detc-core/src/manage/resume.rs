//! Goes on with a run that was interrupted, or gives it up in good order.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::str::FromStr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use super::planned::check_complete;
use super::run::{OpenRun, is_open};
use super::{ApplyReport, ManageError, Manager, records};
use crate::execute::journal::{self, JournalError, RunHead, RunNumber, doubt_key, state_key, tried_key};
use crate::execute::{Engine, Event, NodeEnd, Outcome, ProgressSink, StopHandle};
use crate::model::secret::Vault;
use crate::model::{Desired, HostName, HostSpec, Record, ResourceId, Set};
use crate::plan::Plan;
use crate::store::Write;

/// Why a run is given up that the desired state has not all the values for.
const ONLY_SEEN: &str = "what is left of it needs values that are known only when they are looked at";

/// What became of an interrupted run.
#[derive(Debug)]
pub enum Resumed {
    /// It was run to its end.
    Finished(Box<ApplyReport>),
    /// It was given up, for this reason; what it had done is recorded, and the rest is planned anew.
    Superseded(RunNumber, String),
}

impl Display for Resumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished(report) => report.fmt(f),
            Self::Superseded(number, why) => write!(f, "{number} was given up: {why}."),
        }
    }
}

/// What a person found out about an action that was in doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It happened.
    Done(ResourceId),
    /// It did not happen.
    NotDone(ResourceId),
}

impl FromStr for Settlement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}`: expected `done=KIND/NAME` or `not-done=KIND/NAME`");
        let (what, id) = text.split_once('=').ok_or_else(expected)?;
        let id = id.parse().map_err(|error| format!("{error}"))?;
        match what {
            "done" => Ok(Self::Done(id)),
            "not-done" => Ok(Self::NotDone(id)),
            _ => Err(expected()),
        }
    }
}

impl Display for Settlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(id) => write!(f, "{id} was done"),
            Self::NotDone(id) => write!(f, "{id} was not done"),
        }
    }
}

/// A run as its journal has it.
pub(super) struct KeptRun {
    pub(super) plan: Plan,
    pub(super) log: Vec<journal::Entry>,
    /// How many values the log is kept in.
    batches: u64,
}

impl Manager {
    /// The run that was interrupted, if there is one.
    ///
    /// Cancellation: a dropped call leaves nothing behind.
    ///
    /// # Errors
    /// When the store fails, or an earlier version's journal can not be understood.
    pub async fn interrupted(&self) -> Result<Option<RunHead>, ManageError> {
        Ok(journal::heads(&*self.store).await?.into_iter().rev().find(is_open))
    }

    /// Goes on with the interrupted run `head`. Actions that had started are looked at before anything else; `desired`
    /// gives back the sensitive values and file contents that were not stored. When `desired` no longer asks for what is
    /// left to do, or has not all of the values that it needs, or the run was to keep invariants, it is given up, for the
    /// next plan to be made from what is there.
    ///
    /// Cancellation: a dropped call leaves what a crash leaves, to be resumed.
    ///
    /// # Errors
    /// [`ManageError::Busy`] while another run goes on; [`ManageError::NotKept`] where `desired` is `None` and what is left
    /// of it needs values or contents that are not kept: it can still be resumed with that; otherwise when the store fails.
    pub async fn resume(
        &self,
        head: RunHead,
        desired: Option<&Desired>,
        sink: ProgressSink,
        stop: StopHandle,
    ) -> Result<Resumed, ManageError> {
        let number = head.number;
        let _place = self.take_place()?;
        self.catch_up().await?;
        // Somebody else may have gone on with it, or given it up, since it was asked for.
        let Some(head) = self.interrupted().await?.filter(|open| open.number == number) else {
            return Ok(Resumed::Superseded(number, "it has ended meanwhile".to_owned()));
        };
        let KeptRun { plan, log, batches } = match self.read_run(number).await? {
            Ok(kept) => kept,
            Err(why) => return self.end_given_up(head, &why).await,
        };
        if let Some(why) = self.unknown_kind(&plan) {
            return self.end_given_up(head, &why).await;
        }
        if log.iter().any(|entry| entry.action as usize >= plan.actions.len()) {
            return self.end_given_up(head, "its log names an action that its plan does not have").await;
        }
        let ended = log.iter().filter_map(|entry| Some((entry.action, entry.what.end()?)));
        let ended: Vec<(u32, NodeEnd)> = ended.collect();
        if let Some(why) = self.unreadable(&plan, &ended) {
            return self.end_given_up(head, &why).await;
        }
        let vault = Arc::new(Mutex::new(Vault::new()));
        let empty = Desired::new();
        let given = desired.unwrap_or(&empty);
        self.keep_secrets(given, &vault);
        if desired.is_some()
            && let Some(why) = self.no_longer_desired(&plan, &ended, given, &vault)
        {
            return self.end_given_up(head, &why).await;
        }
        // What has fallen over since may be what an invariant counts on: the rest is proven anew, from what is there.
        if !(plan.proofs.is_empty() && plan.examined.is_empty()) {
            return self.end_given_up(head, "it was proven for the world as it was then").await;
        }
        let mut around = self.surroundings(given, vault);
        around.state_dirs = self.state_dirs(&plan.hosts);
        let ended: Set<u32> = ended.into_iter().map(|(action, _)| action).collect();
        let left = (0..plan.actions.len() as u32).filter(|action| !ended.contains(action));
        if let Err(not_kept) = check_complete(&plan, left, &around) {
            // It is what is desired, so that the desired state has no more to give: who plans anew looks.
            return match desired {
                Some(_) => self.end_given_up(head, ONLY_SEEN).await,
                None => Err(not_kept),
            };
        }
        let mut engine = Engine::new(self.work(&plan), self.options.retry);
        let elapsed = log.iter().map(|entry| entry.at).max().unwrap_or_default();
        for entry in log {
            // Before it begins, it commands nothing.
            engine.step(Event::Journaled(entry.action, entry.what), &mut Vec::new());
        }
        let (plan, elapsed) = (Arc::new(plan), Duration::from_millis(elapsed));
        let open = OpenRun { plan, around, head, engine, batches, elapsed, ended };
        let report = self.drive(open, sink, stop).await?;
        Ok(Resumed::Finished(Box::new(report)))
    }

    /// Goes on with the interrupted run, if there is one, and tells what became of it: what a program does first that was
    /// started again. See [`resume`](Self::resume).
    ///
    /// Cancellation: a dropped call leaves what a crash leaves, to be resumed.
    ///
    /// # Errors
    /// Those of [`resume`](Self::resume).
    pub async fn finish_interrupted(
        &self,
        desired: Option<&Desired>,
    ) -> Result<Option<Resumed>, ManageError> {
        let Some(head) = self.interrupted().await? else { return Ok(None) };
        self.resume(head, desired, crate::execute::unseen(), StopHandle::new()).await.map(Some)
    }

    /// Reads a run; the inner error says why it can not be gone on with.
    pub(super) async fn read_run(&self, number: RunNumber) -> Result<Result<KeptRun, String>, ManageError> {
        let plan = match journal::plan(&*self.store, number).await {
            Ok(Some(plan)) => plan,
            Ok(None) => return Ok(Err("its plan was not kept".to_owned())),
            Err(JournalError::NotUnderstood { what, .. }) => return Ok(Err(what)),
            Err(error) => return Err(error.into()),
        };
        match journal::log(&*self.store, number).await {
            Ok((log, batches)) => Ok(Ok(KeptRun { plan, log, batches })),
            Err(JournalError::NotUnderstood { what, .. }) => Ok(Err(what)),
            Err(error) => Err(error.into()),
        }
    }

    /// Why what is left of a plan is not what is desired by now.
    fn no_longer_desired(
        &self,
        plan: &Plan,
        ended: &[(u32, NodeEnd)],
        desired: &Desired,
        vault: &Mutex<Vault>,
    ) -> Option<String> {
        let is_moved = |(name, spec): &(&HostName, &HostSpec)| {
            desired.hosts.get(*name).is_some_and(|declared| declared != *spec)
        };
        if let Some((name, _)) = plan.hosts.iter().find(is_moved) {
            return Some(format!("the declaration of host `{name}` has changed since"));
        }
        let mut is_left = vec![true; plan.actions.len()];
        // What has failed for what was desired then is tried again with what is desired now.
        for (action, _) in ended.iter().filter(|(_, end)| !matches!(end, NodeEnd::Failed(_))) {
            is_left[*action as usize] = false;
        }
        let mut left = (0..plan.actions.len() as u32).filter(|action| is_left[*action as usize]);
        let action = left.find(|action| !self.is_still_desired(plan, *action, desired, vault))?;
        let id = plan.resource_of(action);
        Some(match (&plan.actions[action as usize].recording, desired.resources.contains_key(id)) {
            (None, _) => format!("it would remove {id}, which is desired"),
            (Some(_), true) => format!("the desired state of {id} has changed since"),
            (Some(_), false) => format!("{id} is no longer desired"),
        })
    }

    /// Gives an interrupted run up: what it had done is recorded already, and the rest is observed and planned anew. Of one
    /// that has ended meanwhile nothing is changed.
    ///
    /// Cancellation: it is given up, or it is not.
    ///
    /// # Errors
    /// [`ManageError::Busy`] while a run of this manager goes on, [`ManageError::ReadOnly`] without the lead; otherwise when
    /// the store fails.
    pub async fn give_up(&self, head: RunHead, why: &str) -> Result<Resumed, ManageError> {
        let _place = self.take_place()?;
        self.catch_up().await?;
        match self.interrupted().await?.filter(|open| open.number == head.number) {
            Some(head) => self.end_given_up(head, why).await,
            None => Ok(Resumed::Superseded(head.number, "it has ended meanwhile".to_owned())),
        }
    }

    async fn end_given_up(&self, mut head: RunHead, why: &str) -> Result<Resumed, ManageError> {
        let number = head.number;
        if let Ok((log, _)) = journal::log(&*self.store, number).await {
            head.tally = crate::execute::Tally::default();
            for entry in &log {
                if let Some(end) = entry.what.end() {
                    head.tally.count(Some(&end));
                }
            }
            let ended = head.tally;
            let counted = ended.done + ended.satisfied + ended.failed + ended.held + ended.not_reached;
            head.tally.not_reached += head.actions.saturating_sub(counted);
        }
        head.outcome = Some(Outcome::Superseded);
        head.ended_ms = Some(self.options.clock.now_ms());
        head.note = Some(why.to_owned());
        self.commit(vec![journal::put_head(&head)]).await?;
        Ok(Resumed::Superseded(number, why.to_owned()))
    }

    /// Takes note of what a person found out about an action that was in doubt. That one was not done also drops its
    /// idempotency key: the next try has another.
    ///
    /// Cancellation: it is settled, or it is not; what is recorded is read again before it is used.
    ///
    /// # Errors
    /// [`ManageError::NoDoubt`] when nothing is, [`ManageError::Busy`] while a run of this manager goes on: it may be about to
    /// settle that itself; [`ManageError::ReadOnly`] without the lead; otherwise when the store fails.
    pub async fn settle(&self, settlement: &Settlement) -> Result<(), ManageError> {
        let _place = self.take_place()?;
        self.catch_up().await?;
        let (Settlement::Done(id) | Settlement::NotDone(id)) = settlement;
        let doubts = self.doubts();
        let has_key = records::keys(&*self.store).await?.contains_key(id);
        let mut settled = BTreeSet::from([id.clone()]);
        let mut writes = match (settlement, doubts.get(id)) {
            (Settlement::NotDone(_), Some(_)) => vec![Write::Delete(doubt_key(id))],
            (Settlement::NotDone(_), None) if has_key => Vec::new(),
            (Settlement::Done(_), Some(record)) => {
                let done = Write::Put { key: state_key(id), value: record.clone(), lease: None };
                let before = self.recorded_before(id, record)?;
                settled.extend(before.clone());
                let renamed = before.map(|before| Write::Delete(state_key(&before)));
                [Write::Delete(doubt_key(id)), done].into_iter().chain(renamed).collect()
            }
            (Settlement::Done(_) | Settlement::NotDone(_), None) => {
                return Err(ManageError::NoDoubt(id.clone()));
            }
        };
        writes.extend(has_key.then(|| Write::Delete(tried_key(id))));
        self.stale.store(true, Ordering::SeqCst);
        self.commit(writes).await?;
        self.refresh(settled.len(), || settled).await?;
        self.stale.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// The earlier id under which the very thing is recorded that is in doubt: it would be taken for another, and removed.
    fn recorded_before(&self, id: &ResourceId, doubt: &Bytes) -> Result<Option<ResourceId>, ManageError> {
        let doubted = Record::from_bytes(doubt.clone()).and_then(|record| record.body());
        let doubted = doubted.map_err(|source| ManageError::Record { resource: id.to_string(), source })?;
        let Some(before) = doubted.extra.as_ref().and_then(|extra| extra.renamed_from.as_ref()) else {
            return Ok(None);
        };
        let recorded = self.body_as(before, id)?;
        let is_same = recorded.is_some_and(|body| body.made_as.is_some() && body.made_as == doubted.made_as);
        Ok(is_same.then(|| before.clone()))
    }

    /// All runs that are kept, newest first; one that has not ended with what its log tells of it.
    ///
    /// Cancellation: a dropped call leaves nothing behind.
    ///
    /// # Errors
    /// When the store fails, or an earlier version's journal can not be understood.
    pub async fn history(&self) -> Result<Vec<RunHead>, ManageError> {
        let mut heads = Vec::new();
        for head in journal::heads(&*self.store).await?.into_iter().rev() {
            heads.push(self.counted(head).await?);
        }
        Ok(heads)
    }

    /// One run: its head, its plan (unless it was too large to be kept), and its log.
    ///
    /// Cancellation: a dropped call leaves nothing behind.
    ///
    /// # Errors
    /// [`ManageError::NoRun`] when it is not kept; otherwise when the store fails, or what it holds can not be understood.
    pub async fn run(
        &self,
        number: RunNumber,
    ) -> Result<(RunHead, Option<Plan>, Vec<journal::Entry>), ManageError> {
        let heads = journal::heads(&*self.store).await?;
        let head = heads.into_iter().find(|head| head.number == number).ok_or(ManageError::NoRun(number))?;
        let head = self.counted(head).await?;
        let plan = journal::plan(&*self.store, number).await?;
        let (log, _) = journal::log(&*self.store, number).await?;
        Ok((head, plan, log))
    }
}
