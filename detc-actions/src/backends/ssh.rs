//! Machines that are reached by SSH.
//!
//! ```text
//! SshHost ─ link (made when first needed, made anew when lost) ─┬─ one SFTP session ── files
//!                                                               └─ a session each ──── commands
//! ```
//!
//! Nothing is installed on the host: an SSH server with SFTP, and a POSIX shell at `/bin/sh` for commands, are all that is
//! needed. One process drives many hosts; the client is [russh](https://docs.rs/russh).

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display};
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError, Weak};

use async_trait::async_trait;
use detc_core::backend::host::{Command, Output, Ownership, Remove, Sink, Stat};
use detc_core::backend::{Host, HostError};
use detc_core::content::Content;
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};
use tokio::task::JoinSet;

mod asked;
mod auth;
mod become_user;
mod config;
mod connector;
mod destination;
mod files;
mod identity;
mod known_hosts;
mod link;
mod passphrases;
mod relay;
mod run;
mod settings;
mod sftp;
mod stream;
mod terminal;

pub use connector::SshConnector;
pub use identity::HostKeyPolicy;

use asked::Asked;
use connector::Dialer;
use files::{Accounts, FileError, Reading, Remote};
use link::Link;
use run::RunError;
use settings::Settings;

use super::shell::script::check_env;

/// How often the connection may break under a call that goes on where it was: of a line that breaks every second, a quarter of an hour.
const CUTS_MAX: usize = 1000;

/// A machine that is reached by SSH.
///
/// See [`Host`] for the contract. Besides:
///
/// - Arguments and paths are texts, so that they are UTF-8; any of it but NUL arrives byte for byte.
/// - A lost connection is made anew. A call on files is then done once more: each of them has the same effect twice as once.
///   A command that may have begun is not: that is [`HostError::AnswerLost`].
/// - A crashed write leaves at most one file, `.detc-new-…`, beside the one it was to replace; the next write of that file
///   takes it away. One of large content leaves a folder of such a name with what has arrived, also when it is dropped, and the
///   next write of that content goes on with it.
/// - The command of a dropped [`run`](Host::run) is ended as long as there is a connection.
#[derive(Clone)]
pub struct SshHost {
    inner: Arc<Inner>,
}

struct Inner {
    name: Arc<str>,
    dialer: Dialer,
    /// Whoever needs a connection waits here for the one that is being made.
    link: Mutex<Option<Arc<Link>>>,
    accounts: Accounts,
    turns: Turns,
    asked: Asked,
    /// Commands, and the ends of those that nobody waits for any more.
    tasks: StdMutex<JoinSet<()>>,
}

/// A call on files.
#[derive(Clone, Copy)]
enum FileCall<'a> {
    Stat,
    Read { limit: u64, reading: &'a Mutex<Reading<'a>> },
    Write { content: &'a Content, ownership: &'a Ownership, progress: &'a AtomicU64 },
    MakeDir { ownership: &'a Ownership },
    SetOwnership { ownership: &'a Ownership },
    Remove { how: Remove },
}

enum Answer {
    Stat(Option<Stat>),
    /// `None`: it is longer than can be taken.
    Read(Option<u64>),
    Done,
}

impl FileCall<'_> {
    /// What it is to a person, with the path after it.
    fn verb(&self) -> &'static str {
        match self {
            Self::Stat => "look at",
            Self::Read { .. } => "read",
            Self::Write { .. } => "write",
            Self::MakeDir { .. } => "make the directory",
            Self::SetOwnership { .. } => "set mode and owner of",
            Self::Remove { .. } => "remove",
        }
    }

    /// How much of it is done, of what goes on where it was when the connection broke.
    async fn progress(&self) -> u64 {
        match self {
            Self::Read { reading, .. } => reading.lock().await.given,
            Self::Write { progress, .. } => progress.load(Ordering::Relaxed),
            Self::Stat | Self::MakeDir { .. } | Self::SetOwnership { .. } | Self::Remove { .. } => 0,
        }
    }
}

impl SshHost {
    fn new(name: &str, dialer: Dialer) -> Self {
        Self {
            inner: Arc::new(Inner {
                name: name.into(),
                dialer,
                link: Mutex::new(None),
                accounts: Accounts::default(),
                turns: Turns::default(),
                asked: Asked::default(),
                tasks: StdMutex::default(),
            }),
        }
    }

    /// The connection that there is, or a new one.
    async fn link(&self) -> Result<Arc<Link>, HostError> {
        let mut link = self.inner.link.lock().await;
        if let Some(link) = link.as_ref().filter(|link| !link.is_closed()) {
            return Ok(Arc::clone(link));
        }
        let made = Arc::new(self.inner.dialer.dial(&self.inner.name).await?);
        *link = Some(Arc::clone(&made));
        Ok(made)
    }

    fn settings(&self) -> &Settings {
        self.inner.dialer.settings()
    }

    /// Puts a connection away that does not work any more, though it may not know yet.
    async fn drop_link(&self, lost: &Arc<Link>) {
        let mut link = self.inner.link.lock().await;
        if link.as_ref().is_some_and(|link| Arc::ptr_eq(link, lost)) {
            *link = None;
        }
    }

    async fn on(&self, path: &str, call: FileCall<'_>) -> Result<Answer, HostError> {
        HostError::check_path(self, path)?;
        let what = format!("{} {path}", call.verb());
        let _turn = match call {
            FileCall::Write { .. } => Some(self.inner.turns.of(path).await),
            _ => None,
        };
        let (mut is_second_try, mut before) = (false, 0);
        for _ in 0..CUTS_MAX {
            let link = match self.link().await {
                // What was sent over the connection that broke may have been done.
                Err(HostError::Unreachable { .. }) if is_second_try => return Err(self.lost(&what)),
                link => link?,
            };
            match self.perform(&link, path, call).await {
                Ok(answer) => return Ok(answer),
                Err(FileError::Lost) => {
                    self.drop_link(&link).await;
                    let now = call.progress().await;
                    if is_second_try && now == before {
                        return Err(self.lost(&what));
                    }
                    (is_second_try, before) = (true, now);
                }
                Err(FileError::Host(error)) => return Err(error),
                Err(FileError::Io(error)) => return Err(HostError::of_io(self, path, &what, error)),
            }
        }
        Err(self.lost(&what))
    }

    async fn perform(&self, link: &Arc<Link>, path: &str, call: FileCall<'_>) -> Result<Answer, FileError> {
        let sftp = link.sftp().await?;
        let accounts = &self.inner.accounts;
        match call {
            FileCall::Stat => return Ok(Answer::Stat(files::stat(sftp, accounts, path).await?)),
            FileCall::Read { limit, reading } => {
                let mut reading = reading.lock().await;
                if reading.given > 0 {
                    let sum = Remote { host: self, link }.sum_of_beginning(path, reading.given).await?;
                    if sum != Some(reading.summer.finish()) {
                        let what =
                            "it was cut off in the midst, and what is there now does not begin like that";
                        return Err(io::Error::other(what).into());
                    }
                }
                return Ok(Answer::Read(files::read_to(sftp, path, limit, &mut reading).await?));
            }
            FileCall::Write { content, ownership, progress } => match content.held() {
                Some(bytes) if !content.is_large() => {
                    files::write(sftp, accounts, path, bytes, ownership).await?;
                }
                _ => {
                    let at = Remote { host: self, link };
                    files::write_large(at, accounts, path, (content, ownership), progress).await?;
                }
            },
            FileCall::MakeDir { ownership } => files::make_dir(sftp, accounts, path, ownership).await?,
            FileCall::SetOwnership { ownership } => {
                files::set_ownership(sftp, accounts, path, ownership).await?;
            }
            FileCall::Remove { how: Remove::File } => files::file(sftp, path).await?,
            FileCall::Remove { how: Remove::EmptyDirectory } => files::empty_directory(sftp, path).await?,
            FileCall::Remove { how: Remove::Tree } => match files::stat(sftp, accounts, path).await? {
                Some(found) if found.kind == detc_core::backend::host::FileKind::Directory => {
                    if files::is_root(sftp, path).await? {
                        return Err(io::Error::new(ErrorKind::InvalidInput, "the root is not removed").into());
                    }
                    self.remove_tree(path).await?;
                }
                Some(_) => files::file(sftp, path).await?,
                None => {}
            },
        }
        Ok(Answer::Done)
    }

    /// Connects to a socket there, as the user that has logged in.
    #[cfg(feature = "docker")]
    pub(in crate::backends) async fn socket(
        &self,
        path: &str,
    ) -> Result<russh::ChannelStream<russh::client::Msg>, HostError> {
        let mut is_second_try = false;
        loop {
            let link = self.link().await?;
            match link.socket(path).await {
                Ok(stream) => return Ok(stream),
                Err(russh::Error::ChannelOpenFailure(reason)) => {
                    let source = io::Error::other(format!("{reason:?}"));
                    let what = format!("lead to the socket {path}");
                    return Err(HostError::Refused { host: self.to_string(), what, source });
                }
                Err(error) => {
                    self.drop_link(&link).await;
                    if is_second_try {
                        let what = error.to_string();
                        return Err(HostError::Unreachable { host: self.to_string(), what });
                    }
                    is_second_try = true;
                }
            }
        }
    }

    async fn remove_tree(&self, path: &str) -> Result<(), FileError> {
        let output =
            self.run(&Command::new(["rm", "-rf", "--", path])).await.map_err(|error| match error {
                HostError::AnswerLost { .. } => FileError::Lost,
                other => FileError::Host(other),
            })?;
        if output.success() {
            return Ok(());
        }
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()).into())
    }

    fn lost(&self, what: &str) -> HostError {
        HostError::AnswerLost { host: self.to_string(), what: what.to_owned() }
    }

    /// Runs a command in a session of its own.
    async fn run_alone(&self, command: &Command) -> Result<Output, HostError> {
        let mut is_second_try = false;
        loop {
            let link = self.link().await?;
            match self.run_on(Arc::clone(&link), command).await {
                Ok(output) => return Ok(output),
                Err(RunError::NotSent(why)) => {
                    self.drop_link(&link).await;
                    if is_second_try {
                        return Err(HostError::Unreachable { host: self.to_string(), what: why });
                    }
                    is_second_try = true;
                }
                Err(RunError::Lost) => {
                    self.drop_link(&link).await;
                    return Err(self.lost(&format!("run {}", command.program())));
                }
                Err(RunError::Host(error)) => return Err(*error),
            }
        }
    }

    /// Runs it in a task of its own, which ends it when this future is dropped.
    async fn run_on(&self, link: Arc<Link>, command: &Command) -> Result<Output, RunError> {
        let (done, waits) = oneshot::channel();
        let (name, command) = (Arc::clone(&self.inner.name), command.clone());
        self.spawn(async move { run::run(&link, &name, &command, done).await });
        waits.await.unwrap_or(Err(RunError::Lost))
    }

    /// Does something that outlives its caller, but not the host.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

/// Two writes of one path come one after the other.
#[derive(Debug, Default)]
struct Turns(StdMutex<BTreeMap<String, Weak<Mutex<()>>>>);

impl Turns {
    /// Waits for the turn of a write of `path`.
    async fn of(&self, path: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let turn = turns.get(path).and_then(Weak::upgrade).unwrap_or_default();
            turns.insert(path.to_owned(), Arc::downgrade(&turn));
            turn
        };
        turn.lock_owned().await
    }
}

#[async_trait]
impl Host for SshHost {
    async fn run(&self, command: &Command) -> Result<Output, HostError> {
        HostError::check_command(self, command)?;
        check_env(command).map_err(|what| HostError::Invalid { host: self.to_string(), what })?;
        if asked::is_asked_together(command)
            && let Some(answer) = self.inner.asked.ask(self, command).await
        {
            return answer;
        }
        self.run_alone(command).await
    }

    async fn stat(&self, path: &str) -> Result<Option<Stat>, HostError> {
        match self.on(path, FileCall::Stat).await? {
            Answer::Stat(stat) => Ok(stat),
            Answer::Read(_) | Answer::Done => unreachable!("a look is answered by what was seen"),
        }
    }

    async fn read_to(&self, path: &str, limit: u64, into: &mut Sink<'_>) -> Result<u64, HostError> {
        let reading = Mutex::new(Reading::new(into));
        match self.on(path, FileCall::Read { limit, reading: &reading }).await? {
            Answer::Read(Some(len)) => Ok(len),
            Answer::Read(None) => {
                Err(HostError::TooLarge { host: self.to_string(), path: path.to_owned(), limit })
            }
            Answer::Stat(_) | Answer::Done => unreachable!("a read is answered by a length"),
        }
    }

    async fn write_from(
        &self,
        path: &str,
        content: &Content,
        ownership: &Ownership,
    ) -> Result<(), HostError> {
        let progress = AtomicU64::new(0);
        let call = FileCall::Write { content, ownership, progress: &progress };
        self.on(path, call).await.map(drop)
    }

    async fn make_dir(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        self.on(path, FileCall::MakeDir { ownership }).await.map(drop)
    }

    async fn set_ownership(&self, path: &str, ownership: &Ownership) -> Result<(), HostError> {
        self.on(path, FileCall::SetOwnership { ownership }).await.map(drop)
    }

    async fn remove(&self, path: &str, how: Remove) -> Result<(), HostError> {
        self.on(path, FileCall::Remove { how }).await.map(drop)
    }
}

impl Display for SshHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.inner.name)
    }
}

impl Debug for SshHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SshHost({})", self.inner.name)
    }
}
