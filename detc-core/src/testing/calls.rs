//! The calls that a resource makes of its backend: they are written down, and one of them goes wrong.

use std::fmt::{self, Display};
use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use async_trait::async_trait;
use thiserror::Error;
use tokio::sync::Notify;

use crate::action::{ActionError, ErrorClass};
use crate::backend::host::{Command, Host, HostError, Output, Ownership, Remove, Stat};

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CutBefore => "was cut off before",
            Self::CutAfter => "was cut off after",
            Self::AnswerLost => "lost the answer of",
            Self::Unreachable => "reached nothing any more from",
            Self::Refused => "was refused",
        })
    }
}

/// A call as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::testing) struct Touched {
    pub(in crate::testing) what: &'static str,
    pub(in crate::testing) path: String,
    /// Whether it can only be made to change something.
    pub(in crate::testing) changes: bool,
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
    fault: Option<(usize, Fault)>,
}

/// The calls that a resource makes of a backend that is no host. The test double of the backend passes each call through
/// [`look`](Calls::look) or [`change`](Calls::change), so that the suite can cut it off, or lose its answer.
///
/// Cloning gives another handle on the same.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    watch: Arc<Mutex<Watch>>,
    cut: Arc<Notify>,
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
}

impl From<CallError> for ActionError {
    fn from(error: CallError) -> Self {
        let class = match error {
            CallError::AnswerLost => ErrorClass::OutcomeUnknown,
            CallError::Unreachable => ErrorClass::Unreachable,
            CallError::Refused => ErrorClass::Permanent,
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
        self.call(Touched { what: "look", path: what.to_owned(), changes: false }, call).await
    }

    /// Makes a call that changes something, or may, called `what`: `put /flags/a`.
    ///
    /// # Errors
    /// When it is to go wrong.
    pub async fn change<T>(&self, what: &str, call: impl Future<Output = T> + Send) -> Result<T, CallError> {
        self.call(Touched { what: "change", path: what.to_owned(), changes: true }, call).await
    }

    fn lock(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on: nothing is written down yet, and the call of this index goes wrong so.
    pub(in crate::testing) fn begin(&self, fault: Option<(usize, Fault)>) {
        *self.lock() = Watch { fault, ..Watch::default() };
    }

    /// The calls since it began.
    pub(in crate::testing) fn touched(&self) -> Vec<Touched> {
        self.lock().touched.clone()
    }

    /// Makes a commit, at which the caller may be gone.
    pub(in crate::testing) async fn commit<T>(&self, call: impl Future<Output = T> + Send) -> T {
        match self.note(Touched { what: "commit", path: String::new(), changes: true }) {
            Some(Fault::CutBefore) => {
                self.cut().await;
                call.await
            }
            Some(Fault::CutAfter) => {
                let done = call.await;
                self.cut().await;
                done
            }
            Some(Fault::AnswerLost | Fault::Unreachable | Fault::Refused) | None => call.await,
        }
    }

    /// Whether the fault has been met and has not passed.
    pub(in crate::testing) fn is_faulty(&self) -> bool {
        let watch = self.lock();
        watch.fault.is_some_and(|(at, _)| watch.touched.len() > at)
    }

    /// Drives the caller until it ends, or is to be gone.
    pub(in crate::testing) async fn until_cut<T>(&self, caller: impl Future<Output = T>) -> Option<T> {
        let (mut caller, mut cut) = (pin!(caller), pin!(self.cut.notified()));
        poll_fn(|cx| match (caller.as_mut().poll(cx), cut.as_mut().poll(cx)) {
            (Poll::Ready(done), _) => Poll::Ready(Some(done)),
            (Poll::Pending, Poll::Ready(())) => Poll::Ready(None),
            (Poll::Pending, Poll::Pending) => Poll::Pending,
        })
        .await
    }

    fn note(&self, call: Touched) -> Option<Fault> {
        let mut watch = self.lock();
        let index = watch.touched.len();
        watch.touched.push(call);
        let (at, fault) = watch.fault?;
        // A backend that is away stays away for the rest of it.
        let is_hit = index == at || (fault == Fault::Unreachable && index > at);
        is_hit.then_some(fault)
    }

    async fn cut(&self) {
        self.cut.notify_one();
        std::future::pending::<()>().await;
    }

    async fn call<T>(&self, touched: Touched, call: impl Future<Output = T> + Send) -> Result<T, CallError> {
        match self.note(touched) {
            None => Ok(call.await),
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
            Some(Fault::Unreachable) => Err(CallError::Unreachable),
            Some(Fault::Refused) => Err(CallError::Refused),
        }
    }
}

/// A host whose calls are written down.
#[derive(Debug)]
pub(in crate::testing) struct Watched {
    inner: Arc<dyn Host>,
    calls: Calls,
}

impl Watched {
    pub(in crate::testing) fn new(inner: Arc<dyn Host>, calls: Calls) -> Self {
        Self { inner, calls }
    }

    async fn call<T, F: Future<Output = Result<T, HostError>> + Send>(
        &self,
        (what, path, changes): (&'static str, &str, bool),
        call: F,
    ) -> Result<T, HostError> {
        let (host, words) = (self.to_string(), format!("{what} {path}"));
        match self.calls.call(Touched { what, path: path.to_owned(), changes }, call).await {
            Ok(done) => done,
            Err(CallError::AnswerLost) => Err(HostError::AnswerLost { host, what: words }),
            Err(CallError::Unreachable) => Err(HostError::Unreachable { host, what: "no answer".to_owned() }),
            Err(CallError::Refused) => {
                Err(HostError::Refused { host, what: words, source: ErrorKind::PermissionDenied.into() })
            }
        }
    }
}

impl Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.inner, f)
    }
}

#[async_trait]
impl Host for Watched {
    async fn run(&self, command: &Command) -> Result<Output, HostError> {
        let argv = command.argv.join(" ");
        self.call(("run", &argv, false), self.inner.run(command)).await
    }

    async fn stat(&self, path: &str) -> Result<Option<Stat>, HostError> {
        self.call(("stat", path, false), self.inner.stat(path)).await
    }

    async fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, HostError> {
        self.call(("read", path, false), self.inner.read(path, limit)).await
    }

    async fn write(&self, path: &str, content: &[u8], ownership: &Ownership) -> Result<(), HostError> {
        self.call(("write", path, true), self.inner.write(path, content, ownership)).await
    }

    async fn make_dir(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        self.call(("make_dir", path, true), self.inner.make_dir(path, ownership)).await
    }

    async fn set_ownership(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        self.call(("set_ownership", path, true), self.inner.set_ownership(path, ownership)).await
    }

    async fn remove(&self, path: &str, how: Remove) -> Result<(), HostError> {
        self.call(("remove", path, true), self.inner.remove(path, how)).await
    }
}
