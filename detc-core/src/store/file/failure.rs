//! What the file system and redb answer, in the words of [`StoreError`].
//!
//! A [`Failure`] can be told to every transaction that shared a commit: it can be cloned, which errors of the system
//! can not.

use std::io;
use std::path::Path;

use tokio::task::JoinError;

use crate::store::StoreError;

/// Why the file could not be used.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// Someone else holds the lock.
    Held,
    /// It is held, by such as let go of it soon.
    HeldForAMoment(&'static str),
    /// No room is left.
    Full { kind: io::ErrorKind, said: String },
    /// What is in the file makes no sense.
    Corrupt(String),
    /// Everything else.
    Unavailable { what: &'static str, said: String },
}

/// The failure of `what`, for `map_err`.
pub(super) fn of<E: Into<redb::Error>>(what: &'static str) -> impl FnOnce(E) -> Failure {
    move |error| match error.into() {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Failure::Held,
        redb::Error::Corrupted(said) => Failure::Corrupt(said),
        error @ (redb::Error::UpgradeRequired(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TypeDefinitionChanged { .. }) => Failure::Corrupt(error.to_string()),
        redb::Error::Io(error) => io(what)(error),
        redb::Error::PreviousIo => {
            let said = "an earlier write failed: free what it lacked, and open the store again".into();
            Failure::Unavailable { what, said }
        }
        error => Failure::Unavailable { what, said: error.to_string() },
    }
}

/// The failure of `what`, for `map_err` after calls to the file system.
pub(super) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Failure {
    move |error| match error.kind() {
        kind @ (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            Failure::Full { kind, said: error.to_string() }
        }
        // redb reports a file that is no database in this way.
        io::ErrorKind::InvalidData => Failure::Corrupt(error.to_string()),
        io::ErrorKind::UnexpectedEof => Failure::Corrupt("the file ends too early".into()),
        _ => Failure::Unavailable { what, said: error.to_string() },
    }
}

/// The failure of blocking work that did not come to its end. redb panics on some kinds of damage.
pub(super) fn ended(ended: JoinError) -> Failure {
    match ended.try_into_panic() {
        Ok(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let said = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("nothing");
            Failure::Corrupt(format!("only damage explains what the database said of it: {said}"))
        }
        Err(_cancelled) => {
            Failure::Unavailable { what: "running it", said: "the runtime is shutting down".into() }
        }
    }
}

impl Failure {
    /// The error for the caller of the store at `path`.
    pub(super) fn at(&self, path: &Path) -> StoreError {
        let store = path.display().to_string();
        match self {
            Self::Held => StoreError::Held { store, holder: super::place::holder(path) },
            Self::HeldForAMoment(holder) => StoreError::Held { store, holder: (*holder).to_owned() },
            Self::Full { kind, said } => {
                StoreError::Full { store, source: io::Error::new(*kind, said.clone()) }
            }
            Self::Corrupt(what) => StoreError::Corrupt { store, what: what.clone() },
            Self::Unavailable { what, said } => {
                StoreError::Unavailable { store, what: format!("{what} failed"), source: said.clone().into() }
            }
        }
    }
}
