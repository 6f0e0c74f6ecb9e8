//! Applies a plan: journal, drive; then it is looked at [again](super::again).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::again::Ends;
use super::begun::RUNS_MAX;
use super::planned::base_id;
use super::{ApplyReport, ManageError, Manager, Planned, StaleAction, records};
use crate::execute::journal::{self, RunHead, RunNumber, tried_key};
use crate::execute::{
    Driver, Engine, Outcome, PlanWork, ProgressSink, RunReport, StopHandle, Surroundings, Tally, Work,
};
use crate::model::{HostName, Recorded, Set};
use crate::plan::Plan;
use crate::store::Write;

/// A plan larger than this is dropped from the store when its run has ended well, or is not read again; the run's head is
/// kept.
const KEPT_ACTIONS_MAX: usize = 20_000;

/// A run whose journal has begun.
pub(super) struct OpenRun {
    pub(super) plan: Arc<Plan>,
    pub(super) around: Surroundings,
    pub(super) head: RunHead,
    pub(super) engine: Engine,
    /// How many values its log has.
    pub(super) batches: u64,
    /// What the log's clock shows.
    pub(super) elapsed: Duration,
    /// The actions that an earlier process ended.
    pub(super) ended: Set<u32>,
}

impl Manager {
    /// Applies a plan, records every step, and looks again when it is done.
    ///
    /// Cancellation: a dropped call leaves what a crash leaves, to be resumed.
    ///
    /// # Errors
    /// [`ManageError::Unfinished`] when an earlier run is to be resumed first; otherwise when the store fails. A failed
    /// action is no error: see [`ApplyReport::report`].
    pub async fn apply(&self, planned: Planned) -> Result<ApplyReport, ManageError> {
        self.apply_with(planned, crate::execute::unseen(), StopHandle::new()).await
    }

    /// Applies a plan, tells `sink` how it goes, and stops in good order when `stop` says so.
    ///
    /// Cancellation: a dropped call leaves what a crash leaves, to be resumed.
    ///
    /// # Errors
    /// [`ManageError::Unfinished`] when an earlier run is to be resumed first, [`ManageError::Busy`] while another one goes
    /// on, [`ManageError::Stale`] when one went on since the plan was made and changed what it rests on; otherwise when the
    /// store fails. A failed action is no error: see [`ApplyReport::report`].
    pub async fn apply_with(
        &self,
        planned: Planned,
        sink: ProgressSink,
        stop: StopHandle,
    ) -> Result<ApplyReport, ManageError> {
        let _place = self.take_place()?;
        self.catch_up().await?;
        let Planned { plan, mut around, .. } = planned;
        if around.scope != self.scope {
            return Err(ManageError::Foreign);
        }
        let stale = self.moved_records(&plan, &around.recorded);
        if !stale.is_empty() {
            return Err(ManageError::Stale(stale));
        }
        around.recorded = self.recorded();
        if let Some(refused) = super::planned::broken(&plan) {
            return Err(refused);
        }
        let heads = journal::heads(&*self.store).await?;
        let open = heads.iter().rev().find(|head| is_open(head));
        // A try of an interrupted run may be under way.
        let keys = match open {
            None => self.keys_of_nothing(&plan).await?,
            Some(_) => Vec::new(),
        };
        if plan.is_empty() {
            if !keys.is_empty() {
                self.commit(keys).await?;
            }
            let mut report = RunReport::new(std::iter::empty(), Duration::ZERO);
            add_unknown(&plan, &mut report);
            return Ok(ApplyReport { run: None, plan, report });
        }
        if let Some(open) = open {
            return Err(ManageError::Unfinished(open.number));
        }
        let number = RunNumber(heads.last().map_or(1, |head| head.number.0 + 1));
        let head = RunHead {
            format: journal::FORMAT.to_owned(),
            number,
            plan: plan.id,
            actions: plan.actions.len(),
            began_ms: self.options.clock.now_ms(),
            ended_ms: None,
            outcome: None,
            tally: Tally::default(),
            note: None,
        };
        let mut writes = journal::begin(&head, &plan);
        let mut hosts = records::hosts(&*self.store).await?;
        hosts.extend(plan.hosts.iter().map(|(name, spec)| (name.clone(), spec.clone())));
        writes.push(records::put_hosts(&hosts));
        writes.extend(keys);
        self.commit(writes).await?;
        let engine = Engine::new(self.work(&plan), self.options.retry);
        let (elapsed, ended) = (Duration::ZERO, Set::default());
        let open = OpenRun { plan, around, head, engine, batches: 0, elapsed, ended };
        self.drive(open, sink, stop).await
    }

    /// The writes that drop the idempotency keys of what is neither desired nor recorded any more: should it be desired once
    /// more, that is another thing.
    async fn keys_of_nothing(&self, plan: &Plan) -> Result<Vec<Write>, ManageError> {
        let mut keys = records::keys(&*self.store).await?;
        if keys.is_empty() || plan.left_out > 0 {
            return Ok(Vec::new());
        }
        let (recorded, touched) = (self.recorded(), plan.touched());
        keys.retain(|id, _| !recorded.contains_key(id) && !touched.contains(id));
        keys.retain(|id, _| plan.changes.iter().all(|change| change.resource != *id));
        Ok(keys.keys().map(|id| Write::Delete(tried_key(id))).collect())
    }

    /// The actions whose records are not those any more that the plan was made from.
    fn moved_records(&self, plan: &Plan, before: &Arc<Recorded>) -> Vec<StaleAction> {
        let now = self.recorded();
        if Arc::ptr_eq(before, &now) {
            return Vec::new();
        }
        let mut stale = Vec::new();
        for (index, action) in plan.actions.iter().enumerate() {
            let resource = plan.resource_of(index as u32);
            let id = base_id(action, resource);
            if before.get(id) != now.get(id) {
                let what = "what is recorded of it has changed".to_owned();
                let action = plan.action_id(index as u32);
                stale.push(StaleAction { action, resource: resource.clone(), what });
            }
        }
        stale
    }

    /// Brings a run to its end, looks again at what it did, and closes it.
    pub(super) async fn drive(
        &self,
        open: OpenRun,
        sink: ProgressSink,
        stop: StopHandle,
    ) -> Result<ApplyReport, ManageError> {
        let OpenRun { plan, mut around, head, engine, batches, elapsed, ended } = open;
        let number = head.number;
        around.run = number;
        around.begun = Arc::new(self.begun_before(number).await?);
        around.keys = Arc::new(records::keys(&*self.store).await?);
        around.doubted_own = Arc::new(self.doubted_own());
        self.connect_missing(&plan, &mut around).await;
        let mut again = around.clone();
        // So that nobody else has them when they change.
        again.recorded = Arc::default();
        let work = Arc::new(PlanWork::new(plan.clone(), around));
        let driver = Driver::new(self.store.clone(), number, work.clone(), self.options.driver.clone())
            .resuming(batches, elapsed)
            .with_sink(sink)
            .with_stop(stop)
            .with_guard(self.guard()?);
        let was_stale = self.stale.swap(true, Ordering::SeqCst);
        let mut report = driver.run(engine).await?;
        let ends = Ends { removed: work.removed(), earlier: ended };
        drop(work);
        let len = if was_stale { usize::MAX } else { plan.actions.len() };
        self.refresh(len, || plan.touched()).await?;
        self.stale.store(false, Ordering::SeqCst);
        if report.outcome != Outcome::Interrupted {
            self.look_again(&plan, again, ends, &mut report).await?;
        }
        add_unknown(&plan, &mut report);
        self.close_run(head, &report).await?;
        Ok(ApplyReport { run: Some(number), plan, report })
    }

    async fn connect_missing(&self, plan: &Plan, around: &mut Surroundings) {
        let used = plan.actions.iter().filter_map(|action| action.host.clone());
        let missing = used.filter(|host: &HostName| !around.hosts.contains_key(host)).collect();
        around.hosts.extend(self.connect(&plan.hosts, &missing).await);
        if around.state_dirs.is_empty() {
            around.state_dirs = self.state_dirs(&plan.hosts);
        }
    }

    /// The engine's view of a plan, under this manager's limits.
    pub(super) fn work(&self, plan: &Plan) -> Work {
        let limits = &self.options.limits;
        let mut groups: Vec<usize> = Vec::new();
        let mut hosts: crate::model::Map<HostName, u32> = crate::model::Map::default();
        let labels: Vec<(&(String, String), u32)> = limits
            .per_label
            .iter()
            .map(|(label, limit)| {
                groups.push(*limit);
                (label, groups.len() as u32 - 1)
            })
            .collect();
        let mut member = Vec::new();
        for (index, action) in plan.actions.iter().enumerate() {
            let mut mine = Vec::new();
            if let Some(host) = &action.host {
                mine.push(*hosts.entry(host.clone()).or_insert_with(|| {
                    groups.push(limits.per_host);
                    groups.len() as u32 - 1
                }));
            }
            let recorded = match &action.recording {
                None if !labels.is_empty() => {
                    self.body(base_id(action, plan.resource_of(index as u32))).ok().flatten()
                }
                Some(_) | None => None,
            };
            let extra = match &action.recording {
                Some(recording) => recording.extra.as_ref(),
                None => recorded.as_ref().and_then(|body| body.extra.as_ref()),
            };
            let has = |key: &str, value: &str| {
                extra.and_then(|extra| extra.labels.get(key)).is_some_and(|v| v == value)
            };
            mine.extend(labels.iter().filter(|((key, value), _)| has(key, value)).map(|(_, group)| *group));
            if !mine.is_empty() {
                member.resize(plan.actions.len(), Box::default());
                member[index] = mine.into();
            }
        }
        Work {
            after: plan.actions.iter().map(|action| action.after.clone()).collect(),
            crash: plan.actions.iter().map(|action| action.crash).collect(),
            global: limits.global,
            groups,
            member,
            has_effect: (0..plan.actions.len() as u32)
                .map(|index| !self.is_by_record(plan.resource_of(index)))
                .collect(),
        }
    }

    pub(super) async fn commit(&self, writes: Vec<crate::store::Write>) -> Result<(), ManageError> {
        Ok(journal::commit_guarded(&*self.store, self.guard()?, writes).await?)
    }

    /// Writes how a run ended, and drops the oldest runs.
    pub(super) async fn close_run(&self, mut head: RunHead, report: &RunReport) -> Result<(), ManageError> {
        head.outcome = Some(report.outcome);
        head.tally = report.tally;
        head.ended_ms = Some(self.options.clock.now_ms());
        let mut writes = vec![journal::put_head(&head)];
        // What went wrong is kept for a while: it tells the next runs of what may still be under way.
        if report.outcome == Outcome::Done && head.actions > KEPT_ACTIONS_MAX {
            writes.extend(journal::drop_details(head.number));
        }
        let heads = journal::heads(&*self.store).await?;
        // Those are read again: what they did not end well may still be under way.
        let read = heads.len().saturating_sub(RUNS_MAX);
        let is_told = |at: usize, old: &RunHead| at >= read && old.outcome != Some(Outcome::Done);
        let is_large = |old: &RunHead| old.number != head.number && old.actions > KEPT_ACTIONS_MAX;
        let surplus = heads.len().saturating_sub(self.options.runs_max);
        let kept = heads.iter().enumerate().skip(surplus);
        let dropped = kept.filter(|(at, old)| is_large(old) && !is_told(*at, old));
        writes.extend(dropped.flat_map(|(_, old)| journal::drop_details(old.number)));
        for old in heads.iter().take(surplus).filter(|old| old.number != head.number) {
            writes.extend(journal::drop_details(old.number));
            writes.push(Write::Delete(journal::head_key(old.number)));
        }
        self.commit(writes).await
    }
}

/// Whether a run can be resumed.
pub(super) fn is_open(head: &RunHead) -> bool {
    matches!(head.outcome, None | Some(Outcome::Interrupted))
}

/// What could not be observed was not done: the run is not a success.
fn add_unknown(plan: &Plan, report: &mut RunReport) {
    if report.outcome == Outcome::Done && plan.unknown().next().is_some() {
        report.outcome = Outcome::Failed;
    }
}
