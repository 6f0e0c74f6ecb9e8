//! What is tried again, and what is not where another process leads by then; what is committed together, and who waits for whom.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;

use super::*;
use crate::action::CrashClass;
use crate::execute::{NodeEnd, Outcome, Performing, Phase, Retry, Work};
use crate::store::memory::MemoryStore;
use crate::store::{KeyRange, LeaseId, RangeOptions, RangeReply, Revision, Transaction, TxnReply, Watch};

const LEADER: &str = "leader";

/// One action. Something happens at its first try, which fails; or, where an earlier process had begun it, at the look that
/// settles that.
struct Once<F> {
    meanwhile: F,
    is_resumed: bool,
    applied: AtomicU32,
}

impl<F: Fn() + Send + Sync + 'static> Perform for Once<F> {
    fn check(self: Arc<Self>, _: u32, phase: Phase) -> Performing<Checked> {
        if phase == Phase::Settle {
            (self.meanwhile)();
        }
        Box::pin(std::future::ready(match phase {
            Phase::First | Phase::Settle => Checked::Needed(String::new()),
            Phase::Verify => Checked::Satisfied,
        }))
    }

    fn apply(self: Arc<Self>, _: u32, attempt: u32) -> Performing<Applied> {
        Box::pin(async move {
            self.applied.fetch_add(1, Ordering::Relaxed);
            if attempt > 1 || self.is_resumed {
                return Applied::Done;
            }
            (self.meanwhile)();
            Applied::Failed(ErrorClass::Transient, "not now".to_owned())
        })
    }

    fn lasts(&self, _: u32) -> Duration {
        Duration::ZERO
    }

    fn starting(&self, _: u32) -> Vec<Write> {
        Vec::new()
    }

    fn records(&self, _: u32, _: &NodeEnd) -> Vec<Write> {
        Vec::new()
    }

    fn remark(&self, _: u32) -> Option<String> {
        None
    }

    fn last_error(&self, _: u32) -> String {
        String::new()
    }
}

/// A store that counts its commits, and is away for one when it is told to; or whose caller is stopped when its next one has been
/// made, until another one leads.
#[derive(Debug, Default)]
struct AwayOnce {
    inner: MemoryStore,
    is_away: AtomicBool,
    commits: AtomicU32,
    stops_caller: AtomicBool,
}

#[async_trait]
impl Store for AwayOnce {
    async fn range(&self, range: KeyRange, options: RangeOptions) -> Result<RangeReply, StoreError> {
        self.inner.range(range, options).await
    }

    async fn transact(&self, transaction: Transaction) -> Result<TxnReply, StoreError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        if self.is_away.swap(false, Ordering::Relaxed) {
            let (store, what) = ("of the test".to_owned(), "a commit".to_owned());
            return Err(StoreError::Unavailable { store, what, source: "no route".into() });
        }
        let done = self.inner.transact(transaction).await;
        if self.stops_caller.swap(false, Ordering::Relaxed) {
            is_deposed(self);
            stop();
        }
        done
    }

    async fn watch(&self, range: KeyRange, from: Revision) -> Result<Watch, StoreError> {
        self.inner.watch(range, from).await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.inner.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<Duration, StoreError> {
        self.inner.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.inner.revoke(lease).await
    }
}

/// One action by itself, with an effect in the world.
fn one() -> Work {
    Work {
        after: vec![Box::default()],
        crash: vec![CrashClass::DeterministicName],
        global: 1,
        groups: Vec::new(),
        member: Vec::new(),
        has_effect: vec![true],
    }
}

/// Runs the action, or goes on with it where an earlier process had begun it. How that ended, and how often it was tried here.
async fn run(is_resumed: bool, meanwhile: fn(&AwayOnce)) -> (Result<RunReport, StoreError>, u32) {
    let store = Arc::new(AwayOnce::default());
    store.transact(Transaction::new().put(LEADER, "process 1")).await.unwrap();
    let seen = store.clone();
    let meanwhile = move || meanwhile(&seen);
    let work = Arc::new(Once { meanwhile, is_resumed, applied: AtomicU32::new(0) });
    let mut engine = Engine::new(one(), Retry::default());
    if is_resumed {
        engine.step(Event::Journaled(0, What::Started), &mut Vec::new());
    }
    let driver = Driver::new(store, RunNumber(1), work.clone(), DriverOptions::default())
        .with_guard(vec![Compare::Value(LEADER.into(), "process 1".into())]);
    let ended = driver.run(engine).await;
    (ended, work.applied.load(Ordering::Relaxed))
}

/// Has another process lead from now on.
fn is_deposed(store: &AwayOnce) {
    let takes = store.inner.transact(Transaction::new().put(LEADER, "process 2"));
    let taken = Box::pin(takes).as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(taken, Poll::Ready(Ok(TxnReply::Committed(_)))));
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_tried_again_by_who_still_leads() {
    let (ended, applied) = run(false, |_| {}).await;
    assert_eq!((ended.unwrap().outcome, applied), (Outcome::Done, 2));
    let (ended, applied) = run(true, |_| {}).await;
    assert_eq!((ended.unwrap().outcome, applied), (Outcome::Done, 1));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_lead_any_more_tries_nothing_again() {
    for (is_resumed, tries) in [(false, 1), (true, 0)] {
        let (ended, applied) = run(is_resumed, is_deposed).await;
        let error = ended.unwrap_err();
        assert!(matches!(&error, StoreError::Held { holder, .. } if holder == "process 2"), "{error}");
        assert_eq!(applied, tries);
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_store_can_not_be_asked_nothing_is_tried_and_the_run_goes_on_after_it() {
    for (is_resumed, tries) in [(false, 2), (true, 1)] {
        let (ended, applied) = run(is_resumed, |store| store.is_away.store(true, Ordering::Relaxed)).await;
        assert_eq!((ended.unwrap().outcome, applied), (Outcome::Done, tries));
    }
}

/// The process is stopped for a while.
#[allow(clippy::disallowed_methods, reason = "a process that is stopped, which virtual time can not be")]
fn stop() {
    std::thread::sleep(SURE);
}

/// That one who was stopped until another leads, at a moment that this prepares or has a sink for, begins nothing.
async fn begins_nothing_when_stopped(stopped: impl FnOnce(Arc<AwayOnce>) -> ProgressSink) {
    let store = Arc::new(AwayOnce::default());
    store.transact(Transaction::new().put(LEADER, "process 1")).await.unwrap();
    let work = Arc::new(Once { meanwhile: || {}, is_resumed: true, applied: AtomicU32::new(0) });
    let sink = stopped(store.clone());
    let driver = Driver::new(store, RunNumber(1), work.clone(), DriverOptions::default())
        .with_guard(vec![Compare::Value(LEADER.into(), "process 1".into())])
        .with_sink(sink);
    let error = driver.run(Engine::new(one(), Retry::default())).await.unwrap_err();
    assert!(matches!(&error, StoreError::Held { holder, .. } if holder == "process 2"), "{error}");
    assert_eq!(work.applied.load(Ordering::Relaxed), 0);
}

/// The process is stopped between the commit of a start and what was to begin then.
#[tokio::test]
async fn what_was_committed_some_time_ago_is_not_begun_before_it_is_asked_who_leads() {
    let stopped = |store: Arc<AwayOnce>| -> ProgressSink {
        Box::new(move |progress| {
            if matches!(progress, Progress::Applying { .. }) {
                is_deposed(&store);
                stop();
            }
        })
    };
    begins_nothing_when_stopped(stopped).await;
}

/// The process is stopped when the store has said that it leads, and it has not been told yet.
#[tokio::test]
async fn an_answer_that_it_leads_which_is_told_late_is_asked_for_again() {
    let stopped = |store: Arc<AwayOnce>| -> ProgressSink {
        Box::new(move |progress| {
            if matches!(progress, Progress::Applying { .. }) {
                // What was committed so long ago is asked for, and that is answered late.
                stop();
                store.stops_caller.store(true, Ordering::Relaxed);
            }
        })
    };
    begins_nothing_when_stopped(stopped).await;
}

/// The process is stopped when the store has made the commit of a start, and not told it yet.
#[tokio::test]
async fn a_commit_that_is_told_late_is_not_gone_by_before_it_is_asked_who_leads() {
    let stopped = |store: Arc<AwayOnce>| -> ProgressSink {
        store.stops_caller.store(true, Ordering::Relaxed);
        Box::new(|_| {})
    };
    begins_nothing_when_stopped(stopped).await;
}

/// Actions whose looks and tries go so; this is recorded at the end of each.
struct Scripted {
    check: fn(Phase) -> Performing<Checked>,
    apply: fn() -> Performing<Applied>,
    record: Bytes,
}

impl Scripted {
    /// Whatever it is, it is there already.
    fn found(record: Vec<u8>) -> Self {
        let check = |_| ready(Checked::Satisfied);
        Self { check, apply: || unreachable!("it is there"), record: record.into() }
    }

    /// It is not there before it is done.
    fn done(apply: fn() -> Performing<Applied>) -> Self {
        let check = |phase| {
            ready(match phase {
                Phase::First | Phase::Settle => Checked::Needed("it is not there".to_owned()),
                Phase::Verify => Checked::Satisfied,
            })
        };
        Self { check, apply, record: Bytes::new() }
    }
}

fn ready<T: Send + 'static>(value: T) -> Performing<T> {
    Box::pin(std::future::ready(value))
}

impl Perform for Scripted {
    fn check(self: Arc<Self>, _: u32, phase: Phase) -> Performing<Checked> {
        (self.check)(phase)
    }

    fn apply(self: Arc<Self>, _: u32, _: u32) -> Performing<Applied> {
        (self.apply)()
    }

    fn lasts(&self, _: u32) -> Duration {
        Duration::ZERO
    }

    fn starting(&self, _: u32) -> Vec<Write> {
        Vec::new()
    }

    fn records(&self, action: u32, _: &NodeEnd) -> Vec<Write> {
        vec![Write::Put { key: format!("record-{action}").into(), value: self.record.clone(), lease: None }]
    }

    fn remark(&self, _: u32) -> Option<String> {
        None
    }

    fn last_error(&self, _: u32) -> String {
        String::new()
    }
}

/// So many actions that have nothing to do with each other, so many of them at once.
fn many(count: usize, global: usize) -> Work {
    let after = vec![Box::default(); count];
    Work { after, crash: vec![CrashClass::DeterministicName; count], global, ..Work::default() }
}

/// How a driver of these ends, and how often it has committed or asked.
async fn drive(
    work: Scripted,
    shape: Work,
    with: impl FnOnce(Driver) -> Driver,
) -> (Result<RunReport, StoreError>, u32) {
    let store = Arc::new(AwayOnce::default());
    store.transact(Transaction::new().put(LEADER, "process 1")).await.unwrap();
    store.commits.store(0, Ordering::Relaxed);
    let driver = Driver::new(store.clone(), RunNumber(1), Arc::new(work), DriverOptions::default());
    let ended = with(driver).run(Engine::new(shape, Retry::default().with_attempts_max(1))).await;
    (ended, store.commits.load(Ordering::Relaxed))
}

fn guarded(driver: Driver) -> Driver {
    driver.with_guard(vec![Compare::Value(LEADER.into(), "process 1".into())])
}

#[tokio::test(start_paused = true)]
async fn what_ends_together_is_committed_together_and_others_get_their_turn_now_and_then() {
    let turns = AtomicU32::new(0);
    let others = async {
        loop {
            turns.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        (ended, commits) = drive(Scripted::found(vec![0; 16]), many(2_000, 2_000), |driver| driver) => {
            assert_eq!((ended.unwrap().tally.satisfied, commits), (2_000, 1));
        }
        () = others => {}
    }
    let turns = turns.load(Ordering::Relaxed);
    assert!((5..10).contains(&turns), "each {TURN} of 2000 events: {turns} times");
}

#[tokio::test(start_paused = true)]
async fn no_more_gathers_for_a_commit_than_is_to_be_held_at_once() {
    let large = vec![0; BATCH_MAX / 2 + 1];
    let (ended, commits) = drive(Scripted::found(large), many(5, 5), |driver| driver).await;
    assert_eq!((ended.unwrap().tally.satisfied, commits), (5, 3));
}

#[tokio::test(start_paused = true)]
async fn who_leads_is_asked_before_a_try_unless_its_start_was_committed_just_now() {
    let at_once = || Scripted::done(|| ready(Applied::Done));
    let slowly = || {
        Scripted::done(|| {
            Box::pin(async {
                tokio::time::sleep(SURE).await;
                Applied::Done
            })
        })
    };
    // Both start in one commit. The second one waits for its turn until the first one has ended, and each end is a commit.
    for (work, shape, asked_or_committed) in [(at_once(), many(1, 1), 2), (slowly(), many(2, 1), 4)] {
        let (ended, commits) = drive(work, shape, guarded).await;
        assert_eq!((ended.unwrap().outcome, commits), (Outcome::Done, asked_or_committed));
    }
    let (ended, commits) = drive(slowly(), many(2, 1), |driver| driver).await;
    assert_eq!((ended.unwrap().outcome, commits), (Outcome::Done, 3), "nobody else can lead");
}

#[tokio::test(start_paused = true)]
async fn what_takes_longer_than_it_may_is_given_up() {
    let options = DriverOptions::default()
        .with_check_timeout(Duration::from_secs(7))
        .with_apply_timeout(Duration::from_secs(9));
    let never = Scripted { check: |_| Box::pin(std::future::pending()), ..Scripted::found(Vec::new()) };
    for (work, told) in [
        (never, "no answer within 7 s"),
        (Scripted::done(|| Box::pin(std::future::pending())), "not done within 9 s"),
    ] {
        let options = options.clone();
        let (ended, _) = drive(work, one(), |driver| Driver { options, ..driver }).await;
        let report = ended.unwrap();
        assert_eq!((report.outcome, report.failures[0].error.as_str()), (Outcome::Failed, told));
    }
}

#[test]
fn a_driver_is_shown_by_its_run() {
    let work = Arc::new(Scripted::found(Vec::new()));
    let driver = Driver::new(Arc::new(MemoryStore::new()), RunNumber(7), work, DriverOptions::default());
    assert_eq!(format!("{driver:?}"), "Driver { number: RunNumber(7), .. }");
}
