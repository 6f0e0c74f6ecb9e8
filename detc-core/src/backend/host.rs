//! One machine: run commands on it, look at its files, change them.

use std::fmt::{Debug, Display};

use async_trait::async_trait;
use tokio::io::AsyncWrite;

use crate::content::Content;

mod command;
mod error;
mod file;

pub use command::{Command, End, ExitStatus, Output, Purpose};
pub use error::HostError;
pub(super) use file::check_path;
pub(crate) use file::plain_path;
pub use file::{FileKind, Owner, Ownership, Remove, Stat};

/// Where what is read goes.
pub type Sink<'a> = dyn AsyncWrite + Send + Unpin + 'a;

/// A machine that commands run on and files live on.
///
/// # Contract
///
/// - **Argv.** [`run`](Host::run) passes the argument vector byte for byte; no shell reads it.
/// - **Paths** are absolute. A relative path is refused with [`HostError::Invalid`]. Only a read follows a symbolic link
///   in the last place.
/// - **Atomic write.** Whoever opens the path of a [write](Host::write_from) sees the old content or the new, never a
///   part; a crash leaves one of the two; when it returns, the new content is on disk. The file's mode is set before it
///   becomes visible. A symbolic link in the last place is replaced, not followed.
/// - **Absent is not an error** for `stat` (`None`) and `remove` (nothing to do); it is [`HostError::NotFound`] for
///   a read. What could not be found out is an error, never "absent".
/// - **Cancellation.** A dropped future may leave its effect done or not done, never half a file. The command of a
///   dropped `run` is ended.
#[async_trait]
pub trait Host: Debug + Display + Send + Sync + 'static {
    /// Runs a command to its end and returns its status and output, whatever its status. Its end is when it has exited
    /// and whoever inherited its outputs has closed them; see [`End`] for one that does not wait for those.
    ///
    /// # Errors
    /// [`HostError::NotFound`] when the program or the working directory does not exist, [`HostError::TimedOut`] when the deadline passed (the
    /// command was ended; what it did until then is not known).
    async fn run(&self, command: &Command) -> Result<Output, HostError>;

    /// Looks at a path. `None`: there is nothing.
    async fn stat(&self, path: &str) -> Result<Option<Stat>, HostError>;

    /// Reads a file of at most `limit` bytes into `into`, piece by piece, and returns its length. What is given to `into` before an
    /// error is a beginning of a file that was there.
    ///
    /// # Errors
    /// [`HostError::NotFound`] when it does not exist, [`HostError::TooLarge`] when it is longer,
    /// [`HostError::Refused`] when it is no regular file, or `into` takes no more.
    async fn read_to(&self, path: &str, limit: u64, into: &mut Sink<'_>) -> Result<u64, HostError>;

    /// Replaces a file's content, atomically. What `ownership` leaves open stays as it was; a new file gets mode `0644`,
    /// whatever the host's umask.
    ///
    /// # Errors
    /// [`HostError::NotFound`], of its directory, when that does not exist, [`HostError::Refused`] when `path` is a directory, the
    /// disk is full, the user unknown, the right to do it missing, or `content` not what it was any more. The old content then stays.
    async fn write_from(&self, path: &str, content: &Content, ownership: &Ownership)
    -> Result<(), HostError>;

    /// Makes a directory, with its missing parents, and gives it (not the parents) `ownership`; mode `0755` where it
    /// gives none. One that exists is kept, with `ownership` set.
    ///
    /// # Errors
    /// [`HostError::Refused`] when something other than a directory is there, or the right to do it is missing.
    async fn make_dir(&self, path: &str, ownership: &Ownership) -> Result<(), HostError>;

    /// Sets the mode and owner of the file or directory at `path`.
    ///
    /// # Errors
    /// [`HostError::NotFound`] when there is nothing, [`HostError::Invalid`] when it is a symbolic link,
    /// [`HostError::Refused`] when the user is unknown or the right to do it missing.
    async fn set_ownership(&self, path: &str, ownership: &Ownership) -> Result<(), HostError>;

    /// Removes a file, a link, or a directory as `how` says.
    ///
    /// # Errors
    /// [`HostError::NotEmpty`] and [`HostError::Invalid`] as [`Remove`] says, [`HostError::Refused`] when the right to do
    /// it is missing.
    async fn remove(&self, path: &str, how: Remove) -> Result<(), HostError>;
}

/// What is short enough to be held in memory.
impl dyn Host + '_ {
    /// Reads a file of at most `limit` bytes into memory.
    ///
    /// # Errors
    /// See [`Host::read_to`].
    pub async fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, HostError> {
        let mut content = Vec::new();
        self.read_to(path, limit, &mut content).await?;
        Ok(content)
    }

    /// Replaces a file's content by `bytes`.
    ///
    /// # Errors
    /// See [`Host::write_from`].
    pub async fn write(&self, path: &str, bytes: &[u8], ownership: &Ownership) -> Result<(), HostError> {
        self.write_from(path, &Content::from(bytes), ownership).await
    }
}
