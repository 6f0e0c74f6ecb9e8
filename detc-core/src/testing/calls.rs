//! The calls that a resource makes of its backend: they are written down, and one of them goes wrong.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::Notify;

use crate::action::{ActionError, ErrorClass};

mod host;

pub(in crate::testing) use host::Watched;

/// How a call goes wrong, or what happens to the manager at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::testing) enum Fault {
    /// The caller is gone before it happens.
    CutBefore,
    /// The caller is gone when it has happened.
    CutAfter,
    /// It happens, and the answer is lost.
    AnswerLost,
    /// The backend is not reached any more.
    Unreachable,
    /// The right to do it is missing.
    Refused,
    /// There is no room for it, nor for what comes after it.
    Full,
    /// It takes so long that its caller gives it up.
    Delayed,
    /// It is made twice.
    Doubled,
    /// It is answered from how things were so many changes ago.
    Stale(u8),
    /// The manager does nothing any more, until another has long taken over; then it goes on.
    Paused,
    /// The same, when it has happened and is not told yet.
    PausedAfter,
    /// The clock of the manager jumps by so many hours.
    Clock(i8),
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CutBefore => "was cut off before",
            Self::CutAfter => "was cut off after",
            Self::AnswerLost => "lost the answer of",
            Self::Unreachable => "reached nothing any more from",
            Self::Refused => "was refused",
            Self::Full => "had no room any more from",
            Self::Delayed => "had to wait too long for",
            Self::Doubled => "made twice",
            Self::Stale(changes) => return write!(f, "was told how it was {changes} changes before, by"),
            Self::Paused => "was paused until another had taken over, at",
            Self::PausedAfter => "was paused until another had taken over, after",
            Self::Clock(hours) => return write!(f, "had its clock moved by {hours} h at"),
        })
    }
}

impl Fault {
    /// Whether it goes on for what comes after it.
    fn lasts(self) -> bool {
        matches!(self, Self::Unreachable | Self::Full)
    }

    /// Whether this can happen to such a call.
    pub(in crate::testing) fn can_hit(self, call: &Touched) -> bool {
        match (call.what, self) {
            (_, Self::CutBefore | Self::CutAfter | Self::AnswerLost | Self::Clock(_)) => true,
            (_, Self::Full) => call.changes,
            // What a call that was on its way does to a host later, nothing can prevent.
            (what, Self::Paused | Self::PausedAfter) => what == COMMIT,
            (COMMIT, _) => false,
            // What it does is not known to be the same when it is done twice.
            (RUN | LOOK | CHANGE, Self::Doubled) => false,
            (_, Self::Stale(_)) => matches!(call.what, STAT | READ | SEE),
            (_, _) => true,
        }
    }
}

/// What calls do, where that makes a difference to what can go wrong with them.
pub(in crate::testing) const COMMIT: &str = "commit";
const RUN: &str = "run";
pub(in crate::testing) const STAT: &str = "stat";
pub(in crate::testing) const READ: &str = "read";
const LOOK: &str = "look";
/// A look at what remembers how it was.
const SEE: &str = "see";
const CHANGE: &str = "change";
pub(in crate::testing) const MAKE_DIR: &str = "make_dir";
pub(in crate::testing) const REMOVE: &str = "remove";

/// What goes wrong, by the index of the call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::testing) struct Script {
    /// One that can not happen to its call happens to the next one that it can happen to.
    pub(in crate::testing) faults: BTreeMap<usize, Fault>,
    /// For how many calls a fault that lasts does so; it passes with its process, too.
    pub(in crate::testing) outage: usize,
}

/// A call as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::testing) struct Touched {
    pub(in crate::testing) what: &'static str,
    pub(in crate::testing) path: String,
    /// Whether it can only be made to change something.
    pub(in crate::testing) changes: bool,
}

impl Touched {
    /// Whether its path is one of a host's files.
    pub(in crate::testing) fn is_of_file(&self) -> bool {
        !matches!(self.what, COMMIT | RUN | LOOK | SEE | CHANGE)
    }
}

impl Display for Touched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, " {}", self.path) }
    }
}

/// What is watched.
#[derive(Debug, Default)]
struct Watch {
    touched: Vec<Touched>,
    script: Script,
    /// What goes on to go wrong, before the call of this index.
    outage: Option<(usize, Fault)>,
    /// What went wrong, at which call.
    met: Vec<(usize, Fault)>,
    /// How many of them were met before this process.
    met_before: usize,
    /// By how many hours the clock is wrong.
    clock: i64,
    asks: Option<Asks>,
}

impl Watch {
    /// Writes down the call of this index: what goes wrong with it.
    fn fault(&mut self, index: usize, call: Touched) -> Option<Fault> {
        let due = self.script.faults.range(..=index).find(|(_, fault)| fault.can_hit(&call));
        let due = due.map(|(at, fault)| (*at, *fault));
        let lasting = self.outage.filter(|(until, fault)| index < *until && fault.can_hit(&call));
        self.touched.push(call);
        let Some((at, fault)) = due else { return lasting.map(|(_, fault)| fault) };
        self.script.faults.remove(&at);
        self.met.push((index, fault));
        if fault.lasts() {
            self.outage = Some((index.saturating_add(self.script.outage), fault));
        }
        if let Fault::Clock(hours) = fault {
            self.clock += i64::from(hours);
        }
        Some(fault)
    }
}

/// A call as it was taken note of: the index of it, and what goes wrong with it.
#[derive(Clone, Copy, Debug)]
struct Noted {
    at: usize,
    fault: Option<Fault>,
}

/// Looks at the world when the call of this index has happened.
#[derive(Clone)]
struct Asks(Arc<dyn Fn(usize) + Send + Sync>);

impl fmt::Debug for Asks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asks").finish_non_exhaustive()
    }
}

/// Why a caller is not driven any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::testing) enum Stopped {
    /// It is gone.
    Cut,
    /// It is paused.
    Paused,
}

/// Whether a process is paused.
#[derive(Debug, Default)]
pub(in crate::testing) struct Gate {
    is_shut: AtomicBool,
    opened: Notify,
}

impl Gate {
    pub(in crate::testing) fn open(&self) {
        self.is_shut.store(false, Ordering::Relaxed);
        self.opened.notify_waiters();
    }

    pub(in crate::testing) async fn pass(&self) {
        loop {
            let opened = self.opened.notified();
            if !self.is_shut.load(Ordering::Relaxed) {
                return;
            }
            opened.await;
        }
    }
}

/// The calls that a resource makes of a backend that is no host. The test double of the backend passes each call through
/// [`look`](Calls::look) or [`change`](Calls::change), so that the suite can cut it off, or lose its answer.
///
/// Cloning gives another handle on the same.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    watch: Arc<Mutex<Watch>>,
    cut: Arc<Notify>,
    paused: Arc<Notify>,
    /// Of the process whose calls these are.
    gate: Arc<Gate>,
}

/// A call went wrong, because it was to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CallError {
    /// It happened, and the answer was lost.
    #[error("the answer was lost")]
    AnswerLost,
    /// The backend was not reached, and nothing happened.
    #[error("there was no way to it")]
    Unreachable,
    /// The backend refused, and nothing happened.
    #[error("it was refused")]
    Refused,
    /// There was no room, and nothing happened.
    #[error("there was no room")]
    Full,
}

impl From<CallError> for ActionError {
    fn from(error: CallError) -> Self {
        let class = match error {
            CallError::AnswerLost => ErrorClass::OutcomeUnknown,
            CallError::Unreachable => ErrorClass::Unreachable,
            CallError::Refused | CallError::Full => ErrorClass::Permanent,
        };
        Self::new(class, error.to_string())
    }
}

impl Calls {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a call that only looks, called `what`: `get /flags/a`.
    ///
    /// # Errors
    /// When it is to go wrong.
    pub async fn look<T>(&self, what: &str, call: impl Future<Output = T> + Send) -> Result<T, CallError> {
        self.call(Touched { what: LOOK, path: what.to_owned(), changes: false }, call).await
    }

    /// Makes a call that only looks, called `what`, at a backend that remembers how it was: `view` is told from how many changes
    /// before now it is to be answered, which is 0 unless that is what goes wrong.
    ///
    /// # Errors
    /// When it is to go wrong.
    pub async fn look_back<T: Send>(
        &self,
        what: &str,
        view: impl FnOnce(usize) -> T + Send,
    ) -> Result<T, CallError> {
        self.pass().await;
        let noted = self.note(Touched { what: SEE, path: what.to_owned(), changes: false });
        let changes = match noted.fault {
            Some(Fault::Stale(changes)) => usize::from(changes),
            Some(_) | None => 0,
        };
        self.call_with(noted, async { view(changes) }).await
    }

    /// Makes a call that changes something, or may, called `what`: `put /flags/a`.
    ///
    /// # Errors
    /// When it is to go wrong.
    pub async fn change<T>(&self, what: &str, call: impl Future<Output = T> + Send) -> Result<T, CallError> {
        self.call(Touched { what: CHANGE, path: what.to_owned(), changes: true }, call).await
    }

    fn lock(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on: nothing is written down yet, and the call of this index goes wrong so.
    pub(in crate::testing) fn begin(&self, fault: Option<(usize, Fault)>) {
        self.play(Script { faults: fault.into_iter().collect(), outage: usize::MAX });
    }

    /// From now on: nothing is written down yet, and all this goes wrong.
    pub(in crate::testing) fn play(&self, script: Script) {
        *self.lock() = Watch { script, ..Watch::default() };
    }

    /// The same calls, made by a process with this gate; what lasts has passed.
    pub(in crate::testing) fn of_process(&self, gate: &Arc<Gate>) -> Self {
        let mut watch = self.lock();
        watch.outage = None;
        watch.met_before = watch.met.len();
        Self { gate: gate.clone(), ..self.clone() }
    }

    /// Has this asked of the world whenever a call has happened, with the index of the call, until it begins anew or `None` is given.
    /// What is under way at once takes turns then, call by call, so that each moment in between comes about.
    pub(in crate::testing) fn ask(&self, asks: Option<Arc<dyn Fn(usize) + Send + Sync>>) {
        self.lock().asks = asks.map(Asks);
    }

    /// Whether these are the calls that `other` has, too.
    pub(in crate::testing) fn is_handle_on(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.watch, &other.watch)
    }

    /// Nothing goes wrong any more.
    pub(in crate::testing) fn heal(&self) {
        let mut watch = self.lock();
        watch.script.faults.clear();
        watch.outage = None;
        watch.met_before = watch.met.len();
    }

    /// The calls since it began.
    pub(in crate::testing) fn touched(&self) -> Vec<Touched> {
        self.lock().touched.clone()
    }

    /// What went wrong since it began, at which call.
    pub(in crate::testing) fn met(&self) -> Vec<(usize, Fault)> {
        self.lock().met.clone()
    }

    /// By how many hours the clock is wrong.
    pub(in crate::testing) fn clock(&self) -> i64 {
        self.lock().clock
    }

    /// Makes a commit, at which the caller may be gone.
    pub(in crate::testing) async fn commit<T>(
        &self,
        call: impl Future<Output = T> + Send,
    ) -> Result<T, CallError> {
        self.call(Touched { what: COMMIT, path: String::new(), changes: true }, call).await
    }

    /// Passes when the process goes on.
    pub(in crate::testing) async fn pass(&self) {
        self.gate.pass().await;
    }

    /// Whether this process has met a fault.
    pub(in crate::testing) fn is_faulty(&self) -> bool {
        let watch = self.lock();
        watch.met.len() > watch.met_before
    }

    /// Drives the caller until it ends, or is to be gone or paused.
    pub(in crate::testing) async fn until_stopped<T>(
        &self,
        mut caller: Pin<&mut (impl Future<Output = T> + ?Sized)>,
    ) -> Result<T, Stopped> {
        let (mut cut, mut paused) = (pin!(self.cut.notified()), pin!(self.paused.notified()));
        poll_fn(|cx| {
            if let Poll::Ready(done) = caller.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            match (cut.as_mut().poll(cx), paused.as_mut().poll(cx)) {
                (Poll::Ready(()), _) => Poll::Ready(Err(Stopped::Cut)),
                (_, Poll::Ready(())) => Poll::Ready(Err(Stopped::Paused)),
                (Poll::Pending, Poll::Pending) => Poll::Pending,
            }
        })
        .await
    }

    /// Drives the caller until it ends, or is to be gone.
    pub(in crate::testing) async fn until_cut<T>(&self, caller: impl Future<Output = T>) -> Option<T> {
        self.until_stopped(pin!(caller)).await.ok()
    }

    fn note(&self, call: Touched) -> Noted {
        let mut watch = self.lock();
        let at = watch.touched.len();
        Noted { at, fault: watch.fault(at, call) }
    }

    async fn cut(&self) {
        self.cut.notify_one();
        std::future::pending::<()>().await;
    }

    async fn pause(&self) {
        self.gate.is_shut.store(true, Ordering::Relaxed);
        self.paused.notify_one();
        self.gate.pass().await;
    }

    async fn call<T>(&self, touched: Touched, call: impl Future<Output = T> + Send) -> Result<T, CallError> {
        self.pass().await;
        let noted = self.note(touched);
        self.call_with(noted, call).await
    }

    /// It has happened: what is to be asked of the world then is asked.
    async fn has_happened(&self, at: usize) {
        let asks = self.lock().asks.clone();
        if let Some(Asks(asks)) = asks {
            asks(at);
            tokio::task::yield_now().await;
        }
    }

    async fn call_with<T>(
        &self,
        Noted { at, fault }: Noted,
        call: impl Future<Output = T> + Send,
    ) -> Result<T, CallError> {
        let call = async {
            let done = call.await;
            self.has_happened(at).await;
            done
        };
        match fault {
            None | Some(Fault::Doubled | Fault::Stale(_) | Fault::Clock(_)) => Ok(call.await),
            Some(Fault::CutBefore) => {
                self.cut().await;
                Ok(call.await)
            }
            Some(Fault::CutAfter) => {
                let done = call.await;
                self.cut().await;
                Ok(done)
            }
            Some(Fault::AnswerLost) => {
                call.await;
                Err(CallError::AnswerLost)
            }
            Some(Fault::Delayed) => {
                tokio::time::sleep(DELAY).await;
                Ok(call.await)
            }
            Some(Fault::Paused) => {
                self.pause().await;
                Ok(call.await)
            }
            Some(Fault::PausedAfter) => {
                let done = call.await;
                self.pause().await;
                Ok(done)
            }
            Some(Fault::Unreachable) => Err(CallError::Unreachable),
            Some(Fault::Refused) => Err(CallError::Refused),
            Some(Fault::Full) => Err(CallError::Full),
        }
    }
}

/// Longer than any call is waited for.
const DELAY: Duration = Duration::from_secs(2 * 60 * 60);
