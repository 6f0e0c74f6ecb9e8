//! The calls that a resource makes of its backend: they are written down, and one of them goes wrong.

use std::fmt::{self, Display};
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use thiserror::Error;

use crate::action::{ActionError, ErrorClass};
use crate::backend::host::{Command, Host, HostError, Output, Ownership, Remove, Stat};

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
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
pub(super) struct Touched {
    pub(super) what: &'static str,
    pub(super) path: String,
    /// Whether it can only be made to change something.
    pub(super) changes: bool,
}

impl Display for Touched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.what, self.path)
    }
}

/// What is watched.
#[derive(Debug, Default)]
struct Watch {
    touched: Vec<Touched>,
    fault: Option<(usize, Fault)>,
    is_cut: bool,
}

/// The calls that a resource makes of a backend that is no host. The test double of the backend passes each call through
/// [`look`](Calls::look) or [`change`](Calls::change), so that the suite can cut it off, or lose its answer.
///
/// Cloning gives another handle on the same.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    watch: Arc<Mutex<Watch>>,
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
    pub(super) fn begin(&self, fault: Option<(usize, Fault)>) {
        *self.lock() = Watch { fault, ..Watch::default() };
    }

    /// The calls since it began.
    pub(super) fn touched(&self) -> Vec<Touched> {
        self.lock().touched.clone()
    }

    /// Whether the caller is to be gone now.
    pub(super) fn is_cut(&self) -> bool {
        self.lock().is_cut
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
        self.lock().is_cut = true;
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
pub(super) struct Watched {
    inner: Arc<dyn Host>,
    calls: Calls,
}

impl Watched {
    pub(super) fn new(inner: Arc<dyn Host>, calls: Calls) -> Self {
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
