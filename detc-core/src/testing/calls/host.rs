//! A host whose calls are written down, and go wrong.

use std::fmt::{self, Display};
use std::io::ErrorKind;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::io::AsyncWriteExt;

use super::{CallError, Calls, Fault, MAKE_DIR, Noted, READ, REMOVE, RUN, STAT, Touched};
use crate::backend::MemoryHost;
use crate::backend::host::{Command, Host, HostError, Output, Ownership, Remove, Sink, Stat};
use crate::content::Content;

/// A host whose calls are written down.
#[derive(Debug)]
pub(in crate::testing) struct Watched {
    inner: Arc<dyn Host>,
    /// The same, where it remembers how it was.
    memory: Option<MemoryHost>,
    calls: Calls,
}

impl Watched {
    pub(in crate::testing) fn new(inner: Arc<dyn Host>, calls: Calls) -> Self {
        Self { inner, memory: None, calls }
    }

    /// One that can be seen as it was.
    pub(in crate::testing) fn of_memory(host: MemoryHost, calls: Calls) -> Self {
        Self { inner: Arc::new(host.clone()), memory: Some(host), calls }
    }

    /// Takes note of a call: what happens to it, and to which host it is made.
    async fn met(&self, call: Touched) -> Met {
        self.calls.pass().await;
        let words = call.to_string();
        let noted = self.calls.note(call);
        let host = match (noted.fault, &self.memory) {
            (Some(Fault::Stale(changes)), Some(memory)) => Arc::new(memory.before(usize::from(changes))),
            (_, _) => self.inner.clone(),
        };
        Met { noted, host, words }
    }

    async fn call<T: Send, F: Future<Output = Result<T, HostError>> + Send>(
        &self,
        Met { noted, words: what, .. }: &Met,
        call: impl Fn() -> F + Send + Sync,
    ) -> Result<T, HostError> {
        let called = async {
            let done = call().await;
            if noted.fault == Some(Fault::Doubled) {
                let _again = call().await;
            }
            done
        };
        let (host, what) = (self.to_string(), what.clone());
        match self.calls.call_with(*noted, called).await {
            Ok(done) => done,
            Err(CallError::AnswerLost) => Err(HostError::AnswerLost { host, what }),
            Err(CallError::Unreachable) => Err(HostError::Unreachable { host, what: "no answer".to_owned() }),
            Err(CallError::Refused) => {
                Err(HostError::Refused { host, what, source: ErrorKind::PermissionDenied.into() })
            }
            Err(CallError::Full) => {
                Err(HostError::Refused { host, what, source: ErrorKind::StorageFull.into() })
            }
        }
    }
}

/// A call that was taken note of.
struct Met {
    noted: Noted,
    host: Arc<dyn Host>,
    words: String,
}

fn changing(what: &'static str, path: &str) -> Touched {
    Touched { what, path: path.to_owned(), changes: true }
}

fn looking(what: &'static str, path: &str) -> Touched {
    Touched { what, path: path.to_owned(), changes: false }
}

impl Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.inner, f)
    }
}

#[async_trait]
impl Host for Watched {
    async fn run(&self, command: &Command) -> Result<Output, HostError> {
        let met = self.met(looking(RUN, &command.argv.join(" "))).await;
        self.call(&met, || met.host.run(command)).await
    }

    async fn stat(&self, path: &str) -> Result<Option<Stat>, HostError> {
        let met = self.met(looking(STAT, path)).await;
        self.call(&met, || met.host.stat(path)).await
    }

    async fn read_to(&self, path: &str, limit: u64, into: &mut Sink<'_>) -> Result<u64, HostError> {
        let met = self.met(looking(READ, path)).await;
        let content = self.call(&met, || met.host.read(path, limit)).await?;
        let given = into.write_all(&content).await;
        given.map_err(|error| HostError::of_io(self, path, &met.words, error))?;
        Ok(content.len() as u64)
    }

    async fn write_from(
        &self,
        path: &str,
        content: &Content,
        ownership: &Ownership,
    ) -> Result<(), HostError> {
        let met = self.met(changing("write", path)).await;
        self.call(&met, || met.host.write_from(path, content, ownership)).await
    }

    async fn make_dir(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        let met = self.met(changing(MAKE_DIR, path)).await;
        self.call(&met, || met.host.make_dir(path, ownership)).await
    }

    async fn set_ownership(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        let met = self.met(changing("set_ownership", path)).await;
        self.call(&met, || met.host.set_ownership(path, ownership)).await
    }

    async fn remove(&self, path: &str, how: Remove) -> Result<(), HostError> {
        let met = self.met(changing(REMOVE, path)).await;
        self.call(&met, || met.host.remove(path, how)).await
    }
}
