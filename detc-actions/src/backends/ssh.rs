//! Machines that are reached by SSH.
//!
//! ```text
//! SshHost ─ link (made when first needed, made anew when lost) ─┬─ one SFTP session ── files
//!                                                               └─ a session each ──── commands
//! ```
//!
//! Nothing is installed on the host: an SSH server with SFTP, and a POSIX shell at `/bin/sh` for commands, are all that is
//! needed. One process drives many hosts; the client is [russh](https://docs.rs/russh).

use std::fmt::{self, Debug, Display};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use async_trait::async_trait;
use detc_core::backend::host::{Command, Output, Ownership, Remove, Stat};
use detc_core::backend::{Host, HostError};
use tokio::sync::{Mutex, oneshot};
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
mod run;
mod settings;
mod sftp;
mod stream;

pub use connector::SshConnector;
pub use identity::HostKeyPolicy;

use asked::Asked;
use connector::Dialer;
use files::{Accounts, FileError};
use link::Link;
use run::RunError;

/// How many locks the paths of a host's writes share: two writes of one path come one after the other; two paths meet
/// seldom.
const WRITE_LOCKS: usize = 16;

/// A machine that is reached by SSH.
///
/// See [`Host`] for the contract. Besides:
///
/// - Arguments and paths are texts, so that they are UTF-8; any of it but NUL arrives byte for byte.
/// - A lost connection is made anew. A call on files is then done once more: each of them has the same effect twice as once.
///   A command that may have begun is not: that is [`HostError::AnswerLost`].
/// - A crashed write leaves at most one file, `.detc-new-…`, beside the one it was to replace; the next write of that file
///   takes it away.
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
    writes: [Mutex<()>; WRITE_LOCKS],
    asked: Asked,
    /// Commands, and the ends of those that nobody waits for any more.
    tasks: StdMutex<JoinSet<()>>,
}

/// A call on files.
#[derive(Clone, Copy, Debug)]
enum FileCall<'a> {
    Stat,
    Read { limit: u64 },
    Write { content: &'a [u8], ownership: &'a Ownership },
    MakeDir { ownership: &'a Ownership },
    SetOwnership { ownership: &'a Ownership },
    Remove { how: Remove },
}

enum Answer {
    Stat(Option<Stat>),
    /// `None`: it is longer than can be taken.
    Content(Option<Vec<u8>>),
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
}

impl SshHost {
    fn new(name: &str, dialer: Dialer) -> Self {
        Self {
            inner: Arc::new(Inner {
                name: name.into(),
                dialer,
                link: Mutex::new(None),
                accounts: Accounts::default(),
                writes: std::array::from_fn(|_| Mutex::new(())),
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
            FileCall::Write { .. } => Some(self.inner.writes[slot(path)].lock().await),
            _ => None,
        };
        let mut is_second_try = false;
        loop {
            let link = match self.link().await {
                // What was sent over the connection that broke may have been done.
                Err(HostError::Unreachable { .. }) if is_second_try => return Err(self.lost(&what)),
                link => link?,
            };
            match self.perform(&link, path, call).await {
                Ok(answer) => return Ok(answer),
                Err(FileError::Lost) => {
                    self.drop_link(&link).await;
                    if is_second_try {
                        return Err(self.lost(&what));
                    }
                    is_second_try = true;
                }
                Err(FileError::Host(error)) => return Err(error),
                Err(FileError::Io(error)) => return Err(HostError::of_io(self, path, &what, error)),
            }
        }
    }

    async fn perform(&self, link: &Arc<Link>, path: &str, call: FileCall<'_>) -> Result<Answer, FileError> {
        let sftp = link.sftp().await?;
        let accounts = &self.inner.accounts;
        match call {
            FileCall::Stat => return Ok(Answer::Stat(files::stat(sftp, accounts, path).await?)),
            FileCall::Read { limit } => return Ok(Answer::Content(files::read(sftp, path, limit).await?)),
            FileCall::Write { content, ownership } => {
                files::write(sftp, accounts, path, content, ownership).await?;
            }
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
        {
            let mut tasks = self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            while tasks.try_join_next().is_some() {}
            tasks.spawn(async move { run::run(&link, &name, &command, done).await });
        }
        waits.await.unwrap_or(Err(RunError::Lost))
    }
}

/// Which lock a path has.
fn slot(path: &str) -> usize {
    path.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte))) % WRITE_LOCKS
}

#[async_trait]
impl Host for SshHost {
    async fn run(&self, command: &Command) -> Result<Output, HostError> {
        HostError::check_command(self, command)?;
        run::check_env(command).map_err(|what| HostError::Invalid { host: self.to_string(), what })?;
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
            Answer::Content(_) | Answer::Done => unreachable!("a look is answered by what was seen"),
        }
    }

    async fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, HostError> {
        match self.on(path, FileCall::Read { limit }).await? {
            Answer::Content(Some(content)) => Ok(content),
            Answer::Content(None) => {
                Err(HostError::TooLarge { host: self.to_string(), path: path.to_owned(), limit })
            }
            Answer::Stat(_) | Answer::Done => unreachable!("a read is answered by content"),
        }
    }

    async fn write(&self, path: &str, content: &[u8], ownership: &Ownership) -> Result<(), HostError> {
        self.on(path, FileCall::Write { content, ownership }).await.map(drop)
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
