//! Performs what the engine commands: calls, delays, and the journal with group commit.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::journal::{self, Entry, RunNumber, What};
use super::panics::caught;
use super::{Applied, Checked, Command, Engine, Event, Perform, Progress, ProgressSink, RunReport};
use crate::action::ErrorClass;
use crate::model::Set;
use crate::store::{Compare, Store, StoreError, Write};

/// Asks a run to stop. Cloning shares it.
#[derive(Clone, Debug)]
pub struct StopHandle(watch::Sender<bool>);

impl StopHandle {
    /// A handle that has not been used.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Finish what is in flight, begin nothing.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was asked.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }
}

impl Default for StopHandle {
    fn default() -> Self {
        Self::new()
    }
}

/// How a driver performs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DriverOptions {
    /// How long one check may take, and any other look at a resource. Default one minute: what takes longer is not going to
    /// answer.
    pub check_timeout: Duration,
    /// How long one apply may take, beside the deadlines of its own that it [tells](crate::action::Footprint::lasting). Default one
    /// hour: what has none, and takes longer, has stuck.
    pub apply_timeout: Duration,
}

impl DriverOptions {
    /// Sets how long one check, or another look at a resource, may take.
    #[must_use]
    pub fn with_check_timeout(mut self, limit: Duration) -> Self {
        self.check_timeout = limit;
        self
    }

    /// Sets how long one apply may take.
    #[must_use]
    pub fn with_apply_timeout(mut self, limit: Duration) -> Self {
        self.apply_timeout = limit;
        self
    }
}

impl Default for DriverOptions {
    fn default() -> Self {
        Self { check_timeout: Duration::from_secs(60), apply_timeout: Duration::from_secs(3600) }
    }
}

/// Drives one run.
pub struct Driver {
    store: Arc<dyn Store>,
    number: RunNumber,
    work: Arc<dyn Perform>,
    options: DriverOptions,
    sink: ProgressSink,
    stop: StopHandle,
    /// What must hold for every commit: that this process leads.
    guard: Vec<Compare>,
    /// The next value of the log.
    batch: u64,
    /// What the log's clock shows at the beginning.
    elapsed: Duration,
}

/// How many bytes of journal and records are committed at once. A commit writes every page that it touches anew, and
/// the records of one batch lie scattered over a large store, so that larger batches write less in all; this many are
/// held twice, while one batch is written and the next one gathers.
const BATCH_MAX: usize = 32 << 20;

/// After so many events that did not wait, others get their turn: the lease is kept alive on the same threads.
const TURN: u32 = 256;

/// For how long after a commit it is not asked whether this process still leads: much shorter than the lease of 15 s that is the
/// default, and longer than what was committed waits to be begun, as a rule. A clock that stands still in a suspended machine does not
/// tell of that.
const SURE: Duration = Duration::from_secs(1);

type Call = Pin<Box<dyn Future<Output = Happened> + Send>>;

enum Happened {
    Event(Event),
    /// Up to this entry, and when this process led, if that went well.
    Committed(u64, Result<(), StoreError>, Instant),
    /// This process does not lead any more.
    Deposed(StoreError),
}

/// Journal lines and records that wait for the next commit.
#[derive(Default)]
struct Batch {
    lines: Vec<u8>,
    writes: Vec<Write>,
    bytes: usize,
    /// The number of the last entry in it.
    upto: u64,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Driver {
    /// A driver of run `number` that performs `work` and records in `store`.
    pub fn new(
        store: Arc<dyn Store>,
        number: RunNumber,
        work: Arc<dyn Perform>,
        options: DriverOptions,
    ) -> Self {
        let sink: ProgressSink = Box::new(|_| {});
        Self {
            store,
            number,
            work,
            options,
            sink,
            stop: StopHandle::new(),
            guard: Vec::new(),
            batch: 0,
            elapsed: Duration::ZERO,
        }
    }

    /// Sends progress to `sink`.
    #[must_use]
    pub fn with_sink(mut self, sink: ProgressSink) -> Self {
        self.sink = sink;
        self
    }

    /// Stops when `stop` says so.
    #[must_use]
    pub fn with_stop(mut self, stop: StopHandle) -> Self {
        self.stop = stop;
        self
    }

    /// Makes every commit depend on these conditions.
    #[must_use]
    pub fn with_guard(mut self, guard: Vec<Compare>) -> Self {
        self.guard = guard;
        self
    }

    /// Goes on with a log of `batches` values whose clock had come to `elapsed`.
    #[must_use]
    pub fn resuming(mut self, batches: u64, elapsed: Duration) -> Self {
        self.batch = batches;
        self.elapsed = elapsed;
        self
    }

    /// Runs `engine` to its end.
    ///
    /// Cancellation: a dropped run leaves what a crash leaves; it can be resumed.
    ///
    /// # Errors
    /// When the journal can not be written, or this process does not lead any more: nothing more was begun, what was in flight
    /// has come to its end, and the run can be resumed.
    pub async fn run(mut self, engine: Engine) -> Result<RunReport, StoreError> {
        let began = Instant::now();
        let ended = engine.ends().flatten().count();
        (self.sink)(&Progress::Began { actions: engine.ends().count(), ended });
        let mut state = Run {
            calls: JoinSet::new(),
            events: VecDeque::new(),
            batch: Batch::default(),
            committing: false,
            finishing: false,
            stopping: false,
            recorded: 0,
            checked_at: vec![None; engine.ends().count()],
            started: vec![false; engine.ends().count()],
            led_at: began,
            remarks: Vec::new(),
            began: began.checked_sub(self.elapsed).unwrap_or(began),
            engine,
        };
        if let Err(error) = self.go(&mut state).await {
            // What is cut off half done may look as if it were done, so it is waited for.
            while state.calls.join_next().await.is_some() {}
            return Err(error);
        }
        let mut report = RunReport::new(state.engine.ends(), began.elapsed());
        report.remarks = state.remarks;
        (self.sink)(&Progress::Over { outcome: report.outcome });
        Ok(report)
    }

    async fn go(&mut self, state: &mut Run) -> Result<(), StoreError> {
        let mut commands = Vec::new();
        if self.stop.is_stopped() {
            state.stopping = true;
            state.engine.step(Event::Stop, &mut commands);
        }
        state.engine.begin(&mut commands);
        self.perform(state, &mut commands);
        let mut stop = self.stop.0.subscribe();
        loop {
            let mut turn = 0;
            while let Some(event) = state.events.pop_front() {
                turn += 1;
                if turn % TURN == 0 {
                    tokio::task::yield_now().await;
                }
                self.notice_stop(state);
                state.engine.step(event, &mut commands);
                self.perform(state, &mut commands);
                if state.batch.bytes >= BATCH_MAX {
                    self.start_commit(state)?;
                }
            }
            self.start_commit(state)?;
            if !state.events.is_empty() {
                continue;
            }
            if state.finishing && !state.committing && state.batch.upto == 0 {
                return Ok(());
            }
            tokio::select! {
                biased;
                happened = state.calls.join_next(), if !state.calls.is_empty() => {
                    let happened = happened.expect("invariant: there is a call in flight");
                    self.take(state, happened.expect("invariant: a call does not panic"))?;
                    while let Some(more) = state.calls.try_join_next() {
                        self.take(state, more.expect("invariant: a call does not panic"))?;
                    }
                }
                _ = stop.wait_for(|stop| *stop), if !state.stopping => self.notice_stop(state),
            }
        }
    }

    fn notice_stop(&mut self, state: &mut Run) {
        if !state.stopping && self.stop.is_stopped() {
            state.stopping = true;
            (self.sink)(&Progress::Stopping);
            state.events.push_back(Event::Stop);
        }
    }

    fn take(&mut self, state: &mut Run, happened: Happened) -> Result<(), StoreError> {
        match happened {
            Happened::Event(event) => state.events.push_back(event),
            Happened::Committed(upto, result, at) => {
                state.committing = false;
                result?;
                state.led_at = at;
                state.events.push_back(Event::Durable(upto));
            }
            Happened::Deposed(error) => return Err(error),
        }
        Ok(())
    }

    fn perform(&mut self, state: &mut Run, commands: &mut Vec<Command>) {
        for command in commands.drain(..) {
            match command {
                Command::Check(action, phase) => {
                    state.checked_at[action as usize].get_or_insert_with(Instant::now);
                    let call = self.work.clone().check(action, phase);
                    let limit = self.options.check_timeout;
                    state.call(async move {
                        let checked = match tokio::time::timeout(limit, caught(call)).await {
                            Ok(Ok(checked)) => checked,
                            Ok(Err(panic)) => Checked::Failed(ErrorClass::Permanent, panic),
                            Err(_) => {
                                let why = format!("no answer within {} s", limit.as_secs());
                                Checked::Failed(ErrorClass::Transient, why)
                            }
                        };
                        Happened::Event(Event::Checked(action, checked))
                    });
                }
                Command::Apply(action, attempt) => {
                    (self.sink)(&Progress::Applying { action, attempt });
                    let call = self.work.clone().apply(action, attempt);
                    let limit = self.options.apply_timeout.saturating_add(self.work.lasts(action));
                    let is_sure = attempt == 1 && state.is_just_started(action);
                    let asked = (!is_sure && !self.guard.is_empty()).then(|| {
                        let (store, guard) = (self.store.clone(), self.guard.clone());
                        async move { leads(&*store, &guard).await }
                    });
                    state.call(async move {
                        // This process may have slept through its lease since it last committed, in the delay before another try,
                        // or in the look that settles an earlier one. What another process has done since is not undone.
                        match async { asked?.await.err() }.await {
                            None => {}
                            Some(error @ (StoreError::Held { .. } | StoreError::LeadLost { .. })) => {
                                return Happened::Deposed(error);
                            }
                            Some(error) => {
                                let why = format!("whether this manager still leads is not known: {error}");
                                let failed = Applied::Failed(ErrorClass::Transient, why);
                                return Happened::Event(Event::Applied(action, failed));
                            }
                        }
                        let applied = match tokio::time::timeout(limit, caught(call)).await {
                            Ok(Ok(applied)) => applied,
                            Ok(Err(panic)) => Applied::Failed(ErrorClass::OutcomeUnknown, panic),
                            Err(_) => {
                                let why = format!("not done within {} s", limit.as_secs());
                                Applied::Failed(ErrorClass::OutcomeUnknown, why)
                            }
                        };
                        Happened::Event(Event::Applied(action, applied))
                    });
                }
                Command::Wait(action, delay) => {
                    let why = self.work.last_error(action);
                    (self.sink)(&Progress::Delayed { action, delay, why: &why });
                    state.call(async move {
                        tokio::time::sleep(delay).await;
                        Happened::Event(Event::Waited(action))
                    });
                }
                Command::RecordStart(action) => {
                    state.started[action as usize] = true;
                    let writes = self.work.starting(action);
                    state.record(action, What::Started, writes);
                }
                Command::RecordEnd(action, end) => {
                    let remark = self.work.remark(action);
                    let writes = self.work.records(action, &end);
                    let took = state.checked_at[action as usize].map_or(Duration::ZERO, |at| at.elapsed());
                    (self.sink)(&Progress::Ended { action, end: &end, took, remark: remark.as_deref() });
                    state.remarks.extend(remark.map(|remark| (action, remark)));
                    state.record(action, What::from(&end), writes);
                }
                Command::Finish => state.finishing = true,
            }
        }
    }

    /// Commits what has gathered, unless a commit is under way: what gathers meanwhile is the next group.
    fn start_commit(&mut self, state: &mut Run) -> Result<(), StoreError> {
        if state.committing || state.batch.upto == 0 {
            return Ok(());
        }
        let batch = std::mem::take(&mut state.batch);
        let mut writes = last_of_each_key(batch.writes);
        let key = journal::log_key(self.number, self.batch);
        writes.push(Write::Put { key, value: batch.lines.into(), lease: None });
        self.batch += 1;
        state.committing = true;
        let (store, upto, compares) = (self.store.clone(), batch.upto, self.guard.clone());
        let commit = async move {
            let mut led_at = Instant::now();
            let mut committed = journal::commit_guarded(&*store, compares.clone(), writes).await;
            // Was the store slow, or was this process stopped before it was told, and another leads by now? It is asked once for all
            // that was committed.
            if committed.is_ok() && !compares.is_empty() && led_at.elapsed() >= SURE {
                (committed, led_at) = match leads(&*store, &compares).await {
                    Ok(at) => (Ok(()), at),
                    Err(error) => (Err(error), led_at),
                };
            }
            Happened::Committed(upto, committed, led_at)
        };
        if let Some(happened) = poll_or_spawn(Box::pin(commit), &mut state.calls) {
            self.take(state, happened)?;
        }
        Ok(())
    }
}

/// Asks whether this process leads, and when it did: an answer that took long may have been true only when it was given, to a process that
/// was stopped since, and is asked for again.
async fn leads(store: &dyn Store, guard: &[Compare]) -> Result<Instant, StoreError> {
    /// A store that is that slow each time is believed.
    const ASKED_MAX: u32 = 3;
    let mut asked = 0;
    loop {
        let at = Instant::now();
        journal::commit_guarded(store, guard.to_vec(), Vec::new()).await?;
        asked += 1;
        if asked == ASKED_MAX || at.elapsed() < SURE {
            return Ok(at);
        }
    }
}

struct Run {
    engine: Engine,
    calls: JoinSet<Happened>,
    events: VecDeque<Event>,
    batch: Batch,
    committing: bool,
    finishing: bool,
    stopping: bool,
    recorded: u64,
    checked_at: Vec<Option<Instant>>,
    /// Whose start was recorded by this driver.
    started: Vec<bool>,
    /// When the last commit that has succeeded began, or, of one that took long, when it was asked after it: this process led then.
    led_at: Instant,
    remarks: Vec<(u32, String)>,
    began: Instant,
}

impl Run {
    /// Whether the start of an action was recorded just now, which is done only while this process leads.
    fn is_just_started(&self, action: u32) -> bool {
        self.started[action as usize] && self.led_at.elapsed() < SURE
    }

    fn call(&mut self, call: impl Future<Output = Happened> + Send + 'static) {
        match poll_or_spawn(Box::pin(call), &mut self.calls) {
            Some(Happened::Event(event)) => self.events.push_back(event),
            // Whoever takes it ends the run.
            Some(ended @ (Happened::Deposed(_) | Happened::Committed(..))) => {
                self.calls.spawn(std::future::ready(ended));
            }
            None => {}
        }
    }

    fn record(&mut self, action: u32, what: What, writes: Vec<Write>) {
        let at = self.began.elapsed().as_millis() as u64;
        let before = self.batch.lines.len();
        journal::append(&Entry { at, action, what }, &mut self.batch.lines);
        self.batch.bytes += self.batch.lines.len() - before;
        for write in &writes {
            if let Write::Put { value, .. } = write {
                self.batch.bytes += value.len();
            }
        }
        self.batch.writes.extend(writes);
        self.recorded += 1;
        self.batch.upto = self.recorded;
    }
}

/// The writes of which the last one for each key counts: both halves of a replacement may end in one batch.
fn last_of_each_key(mut writes: Vec<Write>) -> Vec<Write> {
    let mut seen: Set<Bytes> = Set::with_capacity_and_hasher(writes.len(), Default::default());
    let mut is_last = |write: &Write| match write {
        Write::Put { key, .. } | Write::Delete(key) => seen.insert(key.clone()),
        Write::DeleteRange(_) => true,
    };
    let mut last: Vec<bool> = writes.iter().rev().map(&mut is_last).collect();
    if last.contains(&false) {
        writes.retain(|_| last.pop() == Some(true));
    }
    writes
}

/// Polls a call once where it stands: one that does not wait costs no task. Otherwise it becomes a task.
fn poll_or_spawn(mut call: Call, calls: &mut JoinSet<Happened>) -> Option<Happened> {
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(happened) => Some(happened),
        Poll::Pending => {
            calls.spawn(call);
            None
        }
    }
}

#[cfg(test)]
mod tests;
