//! Why a host did not do as asked.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use thiserror::Error;

use super::Command;
use super::file::check_path;

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
    /// The host is not, or not for certain, the one that it is said to be: nothing was asked of it, and nothing was shown
    /// to it.
    #[error("{host} is not trusted: {what}")]
    Untrusted {
        /// The host.
        host: String,
        /// Why.
        what: String,
        /// What to do next.
        hint: String,
    },
    /// The host did not let the user in: nothing was done.
    #[error("{host} does not let {user} in: {what}")]
    NotLetIn {
        /// The host.
        host: String,
        /// Who wanted in.
        user: String,
        /// What was offered, and what came of it.
        what: String,
        /// What to do next.
        hint: String,
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
        source: io::Error,
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

impl HostError {
    /// What the operator does next, where that can be said.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Untrusted { hint, .. } | Self::NotLetIn { hint, .. } => Some(hint),
            Self::Unreachable { .. } => Some("see that it is up, and that its address and port are right"),
            Self::AnswerLost { .. } => Some("see whether it was done before it is done again"),
            Self::Refused { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some("make room on it"),
                io::ErrorKind::PermissionDenied => Some("give the user the right to do it, or use another"),
                io::ErrorKind::ReadOnlyFilesystem => Some("the file system there can only be read"),
                _ => None,
            },
            Self::NotFound { .. }
            | Self::NotEmpty { .. }
            | Self::TooLarge { .. }
            | Self::TimedOut { .. }
            | Self::Invalid { .. } => None,
        }
    }

    /// The message with its cause and the hint, where nothing but a text goes on.
    pub fn full_message(&self) -> String {
        let mut text = self.to_string();
        if let Self::Refused { source, .. } = self {
            text = format!("{text}: {source}");
        }
        if let Some(hint) = self.hint() {
            text = format!("{text} ({hint})");
        }
        text
    }

    /// What a system call's failure means: `what` was tried (beginning with a verb) on `path` of `host`.
    pub fn of_io(host: &dyn Display, path: &str, what: &str, source: io::Error) -> Self {
        let host = host.to_string();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { host, path: path.to_owned() },
            io::ErrorKind::DirectoryNotEmpty => Self::NotEmpty { host, path: path.to_owned() },
            io::ErrorKind::InvalidInput => Self::Invalid { host, what: format!("{source} ({what})") },
            _ => Self::Refused { host, what: what.to_owned(), source },
        }
    }

    /// The same of a call that makes something at `path`: what is missing there is the directory that it would be in.
    #[must_use]
    pub fn of_making(self, path: &str) -> Self {
        match self {
            Self::NotFound { host, path: missing } if missing == path => {
                let dir = path.trim_end_matches('/').rsplit_once('/').map_or("", |(dir, _)| dir);
                Self::NotFound { host, path: if dir.is_empty() { "/" } else { dir }.to_owned() }
            }
            other => other,
        }
    }

    /// Refuses a path that no host can take: one that is relative or holds a NUL byte.
    ///
    /// # Errors
    /// [`HostError::Invalid`].
    pub fn check_path(host: &dyn Display, path: &str) -> Result<(), Self> {
        check_path(path).map_err(|what| Self::Invalid { host: host.to_string(), what })
    }

    /// Refuses a command that no host can run as it is written: see [`Command::validate`].
    ///
    /// # Errors
    /// [`HostError::Invalid`].
    pub fn check_command(host: &dyn Display, command: &Command) -> Result<(), Self> {
        command.validate().map_err(|what| Self::Invalid { host: host.to_string(), what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_error_is_told_apart_by_what_the_caller_does_next() {
        let of = |kind: io::ErrorKind| HostError::of_io(&"h1", "/f", "write /f", kind.into());
        assert_eq!(of(io::ErrorKind::NotFound).to_string(), "/f does not exist on h1");
        assert_eq!(of(io::ErrorKind::DirectoryNotEmpty).to_string(), "directory /f on h1 is not empty");
        for kind in [
            io::ErrorKind::StorageFull,
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::ReadOnlyFilesystem,
            io::ErrorKind::QuotaExceeded,
        ] {
            let error = of(kind);
            assert_eq!(error.to_string(), "h1 refused to write /f");
            assert!(error.hint().is_some(), "{kind:?}");
            assert!(matches!(error, HostError::Refused { source, .. } if source.kind() == kind));
        }
    }
}
