//! One machine: run commands on it, look at its files, change them.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

/// A machine that commands run on and files live on.
///
/// # Contract
///
/// - **Argv.** [`run`](Host::run) passes the argument vector byte for byte; no shell reads it.
/// - **Paths** are absolute. A relative path is refused with [`HostError::Invalid`]. `stat` does not follow a symbolic
///   link in the last place; `read` does.
/// - **Atomic write.** Whoever opens the path of a [`write`](Host::write) sees the old content or the new, never a
///   part; a crash leaves one of the two; when it returns, the new content is on disk. The file's mode is set before it
///   becomes visible. A symbolic link in the last place is replaced, not followed.
/// - **Absent is not an error** for `stat` (`None`) and `remove` (nothing to do); it is [`HostError::NotFound`] for
///   `read`. What could not be found out is an error, never "absent".
/// - **Cancellation.** A dropped future may leave its effect done or not done, never half a file. The command of a
///   dropped `run` is ended.
#[async_trait]
pub trait Host: Debug + Display + Send + Sync + 'static {
    /// Runs a command to its end and returns its status and output, whatever its status.
    ///
    /// # Errors
    /// [`HostError::NotFound`] when the program does not exist, [`HostError::TimedOut`] when the deadline passed (the
    /// command was ended; what it did until then is not known).
    async fn run(&self, command: &Command) -> Result<Output, HostError>;

    /// Looks at a path. `None`: there is nothing.
    async fn stat(&self, path: &str) -> Result<Option<Stat>, HostError>;

    /// Reads a file of at most `limit` bytes.
    ///
    /// # Errors
    /// [`HostError::TooLarge`] when it is longer.
    async fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, HostError>;

    /// Replaces a file's content, atomically. Its directory must exist.
    async fn write(&self, path: &str, content: &[u8], ownership: &Ownership) -> Result<(), HostError>;

    /// Makes a directory, with its missing parents, and gives it (not the parents) `ownership`. One that exists is
    /// kept, with `ownership` set.
    async fn make_dir(&self, path: &str, ownership: &Ownership) -> Result<(), HostError>;

    /// Sets the mode and owner of what is at `path`.
    async fn set_ownership(&self, path: &str, ownership: &Ownership) -> Result<(), HostError>;

    /// Removes a file, a link, or a directory as `how` says.
    async fn remove(&self, path: &str, how: Remove) -> Result<(), HostError>;
}

/// A command: an argument vector and what surrounds it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Command {
    /// Program and arguments. A program without a slash is looked up in the host's `PATH`.
    pub argv: Vec<String>,
    /// Variables set beside the host's own environment.
    pub env: BTreeMap<String, String>,
    /// The working directory; `None`: the host's default.
    pub dir: Option<String>,
    /// What it reads on standard input.
    pub stdin: Vec<u8>,
    /// How long it may take.
    pub timeout: Duration,
    /// How many bytes of each output stream are kept; more is read, dropped and said so in [`Output::truncated`].
    pub output_max: usize,
}

impl Command {
    /// A command of `argv` with an empty input, ten minutes, and 1 MiB kept of each output: enough for what people read,
    /// and small enough that a thousand of them fit in memory.
    pub fn new<I, S>(argv: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: BTreeMap::new(),
            dir: None,
            stdin: Vec::new(),
            timeout: Duration::from_secs(600),
            output_max: 1 << 20,
        }
    }

    /// Sets variables beside the host's environment.
    #[must_use]
    pub fn with_env(mut self, env: BTreeMap<String, String>) -> Self {
        self.env = env;
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn with_dir(mut self, dir: Option<String>) -> Self {
        self.dir = dir;
        self
    }

    /// Sets what it reads on standard input.
    #[must_use]
    pub fn with_stdin(mut self, stdin: impl Into<Vec<u8>>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// Sets how long it may take.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// What a command left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// The beginning of its standard output.
    pub stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub stderr: Vec<u8>,
    /// Whether a stream was longer than was kept.
    pub truncated: bool,
}

impl Output {
    /// Whether it ended with code 0.
    pub fn success(&self) -> bool {
        self.status == ExitStatus::Code(0)
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Default for ExitStatus {
    fn default() -> Self {
        Self::Code(0)
    }
}

impl Display for ExitStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stat {
    /// File, directory, link or something else.
    pub kind: FileKind,
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// Size in bytes (of a file).
    pub size: u64,
    /// The owner's name, or number where it has no name.
    pub owner: String,
    /// The group's name, or number where it has no name.
    pub group: String,
}

impl Stat {
    /// A stat of these facts.
    pub fn new(kind: FileKind, mode: u32, size: u64, owner: String, group: String) -> Self {
        Self { kind, mode, size, owner, group }
    }
}

/// What sort of thing is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, socket or pipe.
    Other,
}

/// Mode and owner to give; `None` leaves (or, for something new, defaults) that part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ownership {
    /// Permission bits.
    pub mode: Option<u32>,
    /// The owner, by name or number.
    pub owner: Option<String>,
    /// The group, by name or number.
    pub group: Option<String>,
}

impl Ownership {
    /// Nothing given.
    pub fn new(mode: Option<u32>, owner: Option<String>, group: Option<String>) -> Self {
        Self { mode, owner, group }
    }
}

/// How to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remove {
    /// A file or a link; a directory is refused with [`HostError::Invalid`].
    File,
    /// A directory without contents; [`HostError::NotEmpty`] otherwise.
    EmptyDirectory,
    /// A directory and all below it, never following a link.
    Tree,
}

/// Why a host did not do as asked. Variants differ by what the caller does next.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HostError {
    /// The host could not be reached: nothing is known of it, and nothing was done.
    #[error("{host} can not be reached: {what}")]
    Unreachable {
        /// The host.
        host: String,
        /// What happened.
        what: String,
    },
    /// There is no such file, directory or program.
    #[error("{path} does not exist on {host}")]
    NotFound {
        /// The host.
        host: String,
        /// The path or program.
        path: String,
    },
    /// The directory has contents.
    #[error("directory {path} on {host} is not empty")]
    NotEmpty {
        /// The host.
        host: String,
        /// The path.
        path: String,
    },
    /// The file is longer than the caller can take.
    #[error("{path} on {host} is longer than {limit} bytes")]
    TooLarge {
        /// The host.
        host: String,
        /// The path.
        path: String,
        /// The limit that was given.
        limit: u64,
    },
    /// The command was ended at its deadline; what it did is not known.
    #[error("`{command}` on {host} was ended after {} ms", .after.as_millis())]
    TimedOut {
        /// The host.
        host: String,
        /// The program.
        command: String,
        /// The time it had.
        after: Duration,
    },
    /// The host refused: permission, read-only file system, no space left.
    #[error("{host} refused to {what}")]
    Refused {
        /// The host.
        host: String,
        /// What was tried, beginning with a verb.
        what: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The connection broke after the request was sent: whether it happened is not known.
    #[error("the answer of {host} to {what} was lost")]
    AnswerLost {
        /// The host.
        host: String,
        /// What was tried, beginning with a verb.
        what: String,
    },
    /// The call itself is wrong.
    #[error("invalid request to {host}: {what}")]
    Invalid {
        /// The host.
        host: String,
        /// What is wrong with it.
        what: String,
    },
}
