//! A container as a host.
//!
//! ```text
//! it runs, and has a shell ── one exec for each call: commands as its user, files as root
//! it does not run ─────────── the engine's archives: files are read and written, and nothing else
//! ```

use std::fmt::{self, Debug, Display};
use std::io::{self, ErrorKind};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use detc_core::backend::host::{Command, Output, Ownership, Remove, Sink, Stat};
use detc_core::backend::{ContainersError, Host, HostError};
use detc_core::content::Content;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};

use super::DockerEngine;
use super::files::pieces;
use super::words::Fault;
use crate::backends::shell::script::check_env;

mod cold;
mod exec;
mod scripts;

use exec::{Feed, Job};
use scripts::Done;

/// How many pieces of what is read wait to be taken: as many as keep the engine busy meanwhile.
const AHEAD: usize = 4;

/// A container as a host.
///
/// See [`Host`] for the contract. Besides:
///
/// - While it runs, it needs a shell at `/bin/sh`, and for files the programs `cat`, `chmod`, `chown`, `mkdir`, `mv`, `rm`, `rmdir`,
///   `stat`, `sync` and `wc`, as busybox and coreutils have them. Commands are run as its user, files are root's to change.
/// - While it does not run, files are read and written by the engine, but not those in memory, and no owner is known by name. All else
///   is refused.
/// - Of what a command leaves in the background the engine reads the outputs for two seconds more.
/// - The command of a dropped [`run`](Host::run) is ended as long as the engine is reached.
/// - A command's end by a signal is told as the exit code 128 and its number: engines do not tell one from the other.
#[derive(Clone)]
pub(super) struct ContainerHost {
    engine: DockerEngine,
    container: Arc<str>,
}

/// Why something was not done in a container.
#[derive(Debug)]
enum Problem {
    /// It does not run, or has no shell: what is done by the engine alone can be.
    Cold(HostError),
    Host(HostError),
}

impl From<HostError> for Problem {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

impl Problem {
    fn into_error(self) -> HostError {
        match self {
            Self::Cold(error) | Self::Host(error) => error,
        }
    }
}

impl ContainerHost {
    pub(super) fn new(engine: DockerEngine, container: &str) -> Self {
        Self { engine, container: container.into() }
    }

    fn refused(&self, what: &str, source: io::Error) -> HostError {
        HostError::Refused { host: self.to_string(), what: what.to_owned(), source }
    }

    fn not_found(&self, path: &str) -> HostError {
        HostError::NotFound { host: self.to_string(), path: path.to_owned() }
    }

    /// What a call to the engine came to, which tried `what`.
    fn of_fault(&self, what: &str, fault: Fault) -> HostError {
        let host = self.to_string();
        match self.engine.words(what).no_answer(fault) {
            ContainersError::Unreachable { what, .. } => HostError::Unreachable { host, what },
            ContainersError::Untrusted { what, hint, .. } => HostError::Untrusted { host, what, hint },
            ContainersError::NotLetIn { what, hint, .. } => {
                HostError::NotLetIn { host, user: "us".to_owned(), what, hint }
            }
            ContainersError::AnswerLost { what, .. } => HostError::AnswerLost { host, what },
            ContainersError::Refused { said, .. } => self.refused(what, io_of(&said)),
            other => self.refused(what, io::Error::other(other.to_string())),
        }
    }

    /// Runs a job in a task of its own, which ends it when this future is dropped.
    async fn job(&self, job: Job) -> Result<Output, Problem> {
        let what = format!("run {}", job.command.program());
        let (done, waits) = oneshot::channel();
        let host = self.clone();
        self.engine.spawn(async move { exec::run(&host, job, done).await });
        let lost = || HostError::AnswerLost { host: self.to_string(), what };
        waits.await.unwrap_or_else(|_| Err(lost().into()))
    }

    /// Runs one of our scripts, as root.
    async fn script(
        &self,
        script: &str,
        arguments: &[&str],
        feed: Feed,
        taken: Option<mpsc::Sender<Bytes>>,
    ) -> Result<Done, Problem> {
        let output = self.job(scripts::job(script, arguments, feed, taken)).await?;
        Ok(Done::of(&output))
    }

    async fn read_running(&self, path: &str, limit: u64, into: &mut Sink<'_>) -> Result<u64, Problem> {
        let what = format!("read {path}");
        let (sender, mut pieces) = mpsc::channel(AHEAD);
        // What a shell counts with ends there.
        let shown = limit.min(i64::MAX as u64).to_string();
        let arguments = [path, &shown];
        let mut reading = Box::pin(self.script(scripts::READ, &arguments, Feed::empty(), Some(sender)));
        let (mut done, mut len) = (None, 0);
        loop {
            tokio::select! {
                ended = &mut reading, if done.is_none() => done = Some(ended?),
                piece = pieces.recv() => {
                    let Some(piece) = piece else { break };
                    len += piece.len() as u64;
                    if len > limit {
                        break;
                    }
                    into.write_all(&piece).await.map_err(|error| self.refused(&what, error))?;
                }
            }
        }
        if len > limit {
            return Err(self.too_large(path, limit).into());
        }
        let done = match done {
            Some(done) => done,
            None => reading.await?,
        };
        match done {
            Done::Well(_) => Ok(len),
            Done::TooLarge => Err(self.too_large(path, limit).into()),
            other => Err(self.undone(other, path, &what).into()),
        }
    }

    fn too_large(&self, path: &str, limit: u64) -> HostError {
        HostError::TooLarge { host: self.to_string(), path: path.to_owned(), limit }
    }

    async fn write_running(
        &self,
        path: &str,
        content: &Content,
        ownership: &Ownership,
    ) -> Result<(), Problem> {
        let what = format!("write {path}");
        let new = scripts::new_name(path);
        let len = content.len().to_string();
        let mode = scripts::octal(ownership.mode);
        let owner = ownership.owner.as_deref().unwrap_or_default();
        let group = ownership.group.as_deref().unwrap_or_default();
        let arguments = [path, &new.all, &new.this, &len, &mode, owner, group];
        if content.held().is_none() {
            // Only when all of it was sent it is known that it is what it was.
            let feed = Feed::Pieces(pieces(content).boxed());
            match self.script(scripts::BRING, &arguments, feed, None).await? {
                Done::Well(_) => {}
                other => return Err(self.undone(other, path, &what).into()),
            }
        }
        let (script, feed) = match content.held() {
            Some(bytes) => (scripts::WRITE, Feed::held(bytes)),
            None => (scripts::PLACE, Feed::empty()),
        };
        match self.script(script, &arguments, feed, None).await? {
            Done::Well(_) => Ok(()),
            other => Err(self.undone(other, path, &what).into()),
        }
    }

    /// What it means that a script did not come to a good end.
    fn undone(&self, done: Done, path: &str, what: &str) -> HostError {
        let host = self.to_string();
        match done {
            Done::Well(_) | Done::Absent => self.not_found(path),
            Done::NoDirectory => self.not_found(path).of_making(path),
            Done::TooLarge => self.too_large(path, 0),
            Done::Invalid(what) => HostError::Invalid { host, what },
            Done::NotEmpty => HostError::NotEmpty { host, path: path.to_owned() },
            Done::Refused(said) => self.refused(what, io_of(&said)),
        }
    }

    async fn changed(
        &self,
        path: &str,
        what: &str,
        script: &str,
        arguments: &[&str],
    ) -> Result<(), HostError> {
        HostError::check_path(self, path)?;
        match self.script(script, arguments, Feed::empty(), None).await {
            Ok(Done::Well(_)) => Ok(()),
            Ok(other) => Err(self.undone(other, path, what)),
            Err(problem) => Err(problem.into_error()),
        }
    }
}

/// What a program or an engine says of a failed call.
fn io_of(said: &str) -> io::Error {
    const KINDS: [(&str, ErrorKind); 6] = [
        ("ermission denied", ErrorKind::PermissionDenied),
        ("peration not permitted", ErrorKind::PermissionDenied),
        ("o space left on device", ErrorKind::StorageFull),
        ("uota exceeded", ErrorKind::QuotaExceeded),
        ("ead-only file system", ErrorKind::ReadOnlyFilesystem),
        ("marked read-only", ErrorKind::ReadOnlyFilesystem),
    ];
    let kind =
        KINDS.iter().find(|(words, _)| said.contains(words)).map_or(ErrorKind::Other, |(_, kind)| *kind);
    io::Error::new(kind, said.trim().to_owned())
}

#[async_trait]
impl Host for ContainerHost {
    async fn run(&self, command: &Command) -> Result<Output, HostError> {
        HostError::check_command(self, command)?;
        check_env(command).map_err(|what| HostError::Invalid { host: self.to_string(), what })?;
        self.job(Job::of(command)).await.map_err(Problem::into_error)
    }

    async fn stat(&self, path: &str) -> Result<Option<Stat>, HostError> {
        HostError::check_path(self, path)?;
        match self.script(scripts::STAT, &[path], Feed::empty(), None).await {
            Ok(Done::Absent) => Ok(None),
            Ok(Done::Well(said)) => match scripts::stat_of(&said) {
                Some(stat) => Ok(Some(stat)),
                None => Err(self.refused(&format!("look at {path}"), io::Error::other(said))),
            },
            Ok(other) => Err(self.undone(other, path, &format!("look at {path}"))),
            Err(Problem::Cold(why)) => self.cold_stat(path, why).await,
            Err(Problem::Host(error)) => Err(error),
        }
    }

    async fn read_to(&self, path: &str, limit: u64, into: &mut Sink<'_>) -> Result<u64, HostError> {
        HostError::check_path(self, path)?;
        match self.read_running(path, limit, into).await {
            Ok(len) => Ok(len),
            Err(Problem::Cold(why)) => self.cold_read(path, limit, into, why).await,
            Err(Problem::Host(error)) => Err(error),
        }
    }

    async fn write_from(
        &self,
        path: &str,
        content: &Content,
        ownership: &Ownership,
    ) -> Result<(), HostError> {
        HostError::check_path(self, path)?;
        match self.write_running(path, content, ownership).await {
            Ok(()) => Ok(()),
            Err(Problem::Cold(why)) => self.cold_write(path, content, ownership, why).await,
            Err(Problem::Host(error)) => Err(error),
        }
    }

    async fn make_dir(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        let (mode, owner, group) = scripts::words_of(ownership);
        let what = format!("make the directory {path}");
        self.changed(path, &what, scripts::MAKE_DIR, &[path, &mode, owner, group]).await
    }

    async fn set_ownership(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        let (mode, owner, group) = scripts::words_of(ownership);
        let what = format!("set mode and owner of {path}");
        self.changed(path, &what, scripts::SET_OWNERSHIP, &[path, &mode, owner, group]).await
    }

    async fn remove(&self, path: &str, how: Remove) -> Result<(), HostError> {
        HostError::check_path(self, path)?;
        if path.split('/').all(|part| part.is_empty() || part == ".") {
            let what = "the root is not removed".to_owned();
            return Err(HostError::Invalid { host: self.to_string(), what });
        }
        let script = match how {
            Remove::File => scripts::REMOVE_FILE,
            Remove::EmptyDirectory => scripts::REMOVE_EMPTY,
            Remove::Tree => scripts::REMOVE_TREE,
        };
        match self.changed(path, &format!("remove {path}"), script, &[path]).await {
            // What is not there needs no removing.
            Err(HostError::NotFound { path: missing, .. }) if missing == path => Ok(()),
            done => done,
        }
    }
}

impl Display for ContainerHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container `{}` on {}", self.container, self.engine)
    }
}

impl Debug for ContainerHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContainerHost({} on {})", self.container, self.engine)
    }
}
