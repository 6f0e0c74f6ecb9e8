//! The machine that the manager runs on.
//!
//! Files are changed by blocking calls on tokio's blocking threads; commands are run in a process group of their own, so
//! that ending a command ends all that it started.

use std::fmt::{self, Debug, Display};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use detc_core::backend::host::{Command, Output, Ownership, Purpose, Remove, Sink, Stat};
use detc_core::backend::{Host, HostError};
use detc_core::content::Content;
use detc_core::model::{HostName, HostSpec};
use detc_core::resource::Connector;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

mod files;
mod owner;
mod replace;
mod run;
mod signals;

/// How much of a file is read by one blocking call: what a disk gives in a millisecond or less.
const PIECE_LEN: u64 = 1 << 20;

/// The machine that the manager runs on.
///
/// See [`Host`] for the contract. Besides: a crashed write leaves at most one file, `.detc-new-…`, beside the one it was to
/// replace; the next write of that file takes it away. A call that is dropped does nothing more after at most a few
/// system calls.
#[derive(Clone)]
pub struct LocalHost {
    name: Arc<str>,
    /// Places for calls on files.
    calls: Arc<Semaphore>,
    /// Places for commands that only ask.
    asks: Arc<Semaphore>,
}

/// How many calls on files are under way at once: each has a thread, and a file or two open, of which a process may commonly
/// have 1,024.
const CALLS_MAX: usize = 64;

/// How many commands that only ask are run at once: as many as there are of others by default.
const ASKS_MAX: usize = 8;

impl LocalHost {
    /// This machine, called `name` in messages.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
            asks: Arc::new(Semaphore::new(ASKS_MAX)),
        }
    }

    /// Runs blocking file work on `path`; when the call is dropped, the work stops before its effect.
    async fn on<T: Send + 'static>(
        &self,
        path: &str,
        verb: &str,
        work: impl FnOnce(&str, &Gate) -> io::Result<T> + Send + 'static,
    ) -> Result<T, HostError> {
        HostError::check_path(self, path)?;
        let _place = self.calls.acquire().await.expect("invariant: the semaphore is never closed");
        let gate = Arc::new(Gate::default());
        let _closes_when_dropped = CloseGate(Arc::clone(&gate));
        let owned = path.to_owned();
        let task = tokio::task::spawn_blocking(move || work(&owned, &gate));
        let done = match task.await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(io::Error::other("the runtime is shutting down")),
            },
        };
        done.map_err(|error| HostError::of_io(self, path, &format!("{verb} {path}"), error))
    }
}

#[async_trait]
impl Host for LocalHost {
    async fn run(&self, command: &Command) -> Result<Output, HostError> {
        HostError::check_command(self, command)?;
        let _place = match command.purpose {
            Purpose::Change => None,
            Purpose::Ask => {
                Some(self.asks.acquire().await.expect("invariant: the semaphore is never closed"))
            }
        };
        run::run(self, command).await
    }

    async fn stat(&self, path: &str) -> Result<Option<Stat>, HostError> {
        self.on(path, "look at", |path, _| absent_is_none(files::stat(path))).await
    }

    async fn read_to(&self, path: &str, limit: u64, into: &mut Sink<'_>) -> Result<u64, HostError> {
        let (mut open, mut len) = (None, 0);
        loop {
            // One more than there may be tells that there is more.
            let wanted = PIECE_LEN.min((limit - len).saturating_add(1));
            let read = move |path: &str, _: &Gate| {
                let mut file = open.map_or_else(|| files::open(path), Ok)?;
                let mut piece = Vec::new();
                Read::by_ref(&mut file).take(wanted).read_to_end(&mut piece)?;
                Ok((file, piece))
            };
            let (file, piece) = self.on(path, "read", read).await?;
            len += piece.len() as u64;
            if len > limit {
                return Err(HostError::TooLarge { host: self.to_string(), path: path.to_owned(), limit });
            }
            let given = into.write_all(&piece).await;
            given.map_err(|error| HostError::of_io(self, path, &format!("read {path}"), error))?;
            if (piece.len() as u64) < wanted {
                return Ok(len);
            }
            open = Some(file);
        }
    }

    async fn write_from(
        &self,
        path: &str,
        content: &Content,
        ownership: &Ownership,
    ) -> Result<(), HostError> {
        let (content, ownership) = (content.clone(), ownership.clone());
        let work = move |path: &str, gate: &Gate| replace::write(path, &content, &ownership, gate);
        self.on(path, "write", work).await.map_err(|error| error.of_making(path))
    }

    async fn make_dir(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        let ownership = ownership.clone();
        self.on(path, "make the directory", move |path, gate| {
            gate.enter()?;
            files::make_dir(path, &ownership)
        })
        .await
    }

    async fn set_ownership(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        let ownership = ownership.clone();
        self.on(path, "set mode and owner of", move |path, gate| {
            gate.enter()?;
            files::set_ownership(path, &ownership)
        })
        .await
    }

    async fn remove(&self, path: &str, how: Remove) -> Result<(), HostError> {
        self.on(path, "remove", move |path, gate| {
            gate.enter()?;
            absent_is_none(files::remove(path, how)).map(drop)
        })
        .await
    }
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// What a call passes just before its effect, and its dropped future closes: a write that was given up must not take
/// place seconds later, over one that was made since.
#[derive(Debug, Default)]
struct Gate(AtomicU8);

impl Gate {
    const OPEN: u8 = 0;
    const ENTERED: u8 = 1;
    const CLOSED: u8 = 2;

    /// # Errors
    /// `Interrupted` when nobody waits for the effect any more.
    fn enter(&self) -> io::Result<()> {
        match self.0.compare_exchange(Self::OPEN, Self::ENTERED, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) | Err(Self::ENTERED) => Ok(()),
            Err(_) => Err(io::ErrorKind::Interrupted.into()),
        }
    }

    /// # Errors
    /// `Interrupted` when nobody waits any more.
    fn check(&self) -> io::Result<()> {
        match self.0.load(Ordering::Acquire) {
            Self::CLOSED => Err(io::ErrorKind::Interrupted.into()),
            _ => Ok(()),
        }
    }

    fn close(&self) {
        // One that was entered stays so: its effect is on its way.
        let _entered = self.0.compare_exchange(Self::OPEN, Self::CLOSED, Ordering::AcqRel, Ordering::Acquire);
    }
}

struct CloseGate(Arc<Gate>);

impl Drop for CloseGate {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Display for LocalHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

impl Debug for LocalHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalHost({})", self.name)
    }
}

/// Where detc keeps its own things on a host; the manager reads it.
const STATE_DIR: &str = "state_dir";

/// Connects hosts of the scheme `local`. Their one option is `state_dir`, an absolute path.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalConnector;

#[async_trait]
impl Connector for LocalConnector {
    fn scheme(&self) -> &'static str {
        "local"
    }

    fn check(&self, spec: &HostSpec) -> Result<(), String> {
        if spec.connect != "local" {
            return Err(format!("`connect` is \"{}\": for this machine write \"local\"", spec.connect));
        }
        match spec.options.iter().find(|(name, _)| *name != STATE_DIR) {
            Some((name, _)) => {
                Err(format!("unknown field `{name}`: a local host has `connect`, `roots` and `{STATE_DIR}`"))
            }
            None => match spec.options.get(STATE_DIR) {
                Some(dir) if !dir.as_str().is_some_and(|dir| dir.starts_with('/')) => {
                    Err(format!("`{STATE_DIR}` must be an absolute path, not {dir}"))
                }
                Some(_) | None => Ok(()),
            },
        }
    }

    async fn connect(&self, name: &HostName, _: &HostSpec) -> Result<Arc<dyn Host>, HostError> {
        Ok(Arc::new(LocalHost::new(name.as_str())))
    }
}

#[cfg(test)]
mod tests;
