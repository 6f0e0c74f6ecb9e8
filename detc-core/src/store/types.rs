//! The values that go in and out of a [`Store`](super::Store).

use std::fmt;
use std::ops::Bound;

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::mpsc;

use super::{LeaseId, Revision};

/// A half-open range of keys: from `start`, included, to `end`, excluded (`None`: no upper bound).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key of the range.
    pub start: Bytes,
    /// The first key after the range.
    pub end: Option<Bytes>,
}

impl KeyRange {
    /// Every key.
    pub fn all() -> Self {
        Self { start: Bytes::new(), end: None }
    }

    /// Just `key`.
    pub fn key(key: impl Into<Bytes>) -> Self {
        let start: Bytes = key.into();
        let mut end = start.to_vec();
        end.push(0);
        Self { start, end: Some(end.into()) }
    }

    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let start: Bytes = prefix.into();
        let mut end = start.to_vec();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                return Self { start, end: Some(end.into()) };
            }
        }
        Self { start, end: None }
    }

    /// The part of this range that comes after `key`.
    #[must_use]
    pub fn after(&self, key: &[u8]) -> Self {
        let mut start = key.to_vec();
        start.push(0);
        Self { start: start.into(), end: self.end.clone() }
    }

    /// Whether no key at all can lie in the range.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Its bounds, as ordered maps of bytes take them. They refuse inverted bounds by a panic: ask
    /// [`is_empty`](Self::is_empty) first.
    pub(super) fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        let end = self.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        (Bound::Included(&self.start), end)
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= &self.start[..] && self.end.as_ref().is_none_or(|end| key < &end[..])
    }
}

/// How to read a range.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RangeOptions {
    /// Read the store as it was at this revision; `None`: as it is now.
    pub at: Option<Revision>,
    /// How many entries to return at the most.
    pub limit: usize,
}

impl Default for RangeOptions {
    /// The newest revision, 16,384 entries: with entries of a few hundred bytes a page is some megabytes, so that
    /// neither a page's overhead nor its memory counts.
    fn default() -> Self {
        Self { at: None, limit: 16_384 }
    }
}

impl RangeOptions {
    /// Reads the store as it was at `revision`.
    #[must_use]
    pub fn with_at(mut self, revision: Revision) -> Self {
        self.at = Some(revision);
        self
    }

    /// Returns `limit` entries at the most.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The revision to read, for a store that is at `head`.
    pub(super) fn check(&self, head: Revision) -> Result<Revision, StoreError> {
        if self.limit == 0 {
            return Err(StoreError::Invalid("a page must have room for one entry".into()));
        }
        match self.at {
            Some(at) if at > head => Err(StoreError::Invalid(format!(
                "revision {} is ahead of the store, which is at {}",
                at.0, head.0
            ))),
            at => Ok(at.unwrap_or(head)),
        }
    }
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The revision that last put this key.
    pub modified: Revision,
    /// The lease it was put under.
    pub lease: Option<LeaseId>,
}

/// One page of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeReply {
    /// The entries, in ascending order of their keys.
    pub entries: Vec<Entry>,
    /// Whether the range goes on after the last entry.
    pub more: bool,
    /// The revision that was read.
    pub revision: Revision,
}

/// A condition on one key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compare {
    /// The key does not exist.
    Absent(Bytes),
    /// The key exists.
    Present(Bytes),
    /// The key was last put at exactly this revision.
    Modified(Bytes, Revision),
    /// The key has exactly this value.
    Value(Bytes, Bytes),
}

impl Compare {
    /// The key it is about.
    pub fn key(&self) -> &Bytes {
        match self {
            Self::Absent(key) | Self::Present(key) | Self::Modified(key, _) | Self::Value(key, _) => key,
        }
    }

    /// Whether it holds for `current`, the key's entry as it is.
    pub fn holds(&self, current: Option<&Entry>) -> bool {
        match (self, current) {
            (Self::Absent(_), current) => current.is_none(),
            (Self::Present(_), current) => current.is_some(),
            (Self::Modified(_, revision), Some(entry)) => entry.modified == *revision,
            (Self::Value(_, value), Some(entry)) => entry.value == *value,
            (Self::Modified(..) | Self::Value(..), None) => false,
        }
    }
}

/// A change to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Write {
    /// Sets a key, under a lease or for good.
    Put {
        /// The key.
        key: Bytes,
        /// Its new value.
        value: Bytes,
        /// The lease that it lives under.
        lease: Option<LeaseId>,
    },
    /// Deletes a key; nothing happens when it does not exist.
    Delete(Bytes),
    /// Deletes every key of a range, except those that this transaction puts.
    DeleteRange(KeyRange),
}

/// Writes that happen together, if all compares hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// What must hold.
    pub compares: Vec<Compare>,
    /// What then happens.
    pub writes: Vec<Write>,
}

impl Transaction {
    /// A transaction without conditions and effects.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition.
    #[must_use]
    pub fn when(mut self, compare: Compare) -> Self {
        self.compares.push(compare);
        self
    }

    /// Adds a put without a lease.
    #[must_use]
    pub fn put(mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.writes.push(Write::Put { key: key.into(), value: value.into(), lease: None });
        self
    }

    /// Adds a put under `lease`.
    #[must_use]
    pub fn put_leased(mut self, key: impl Into<Bytes>, value: impl Into<Bytes>, lease: LeaseId) -> Self {
        self.writes.push(Write::Put { key: key.into(), value: value.into(), lease: Some(lease) });
        self
    }

    /// Adds the delete of a whole range.
    #[must_use]
    pub fn delete_range(mut self, range: KeyRange) -> Self {
        self.writes.push(Write::DeleteRange(range));
        self
    }

    /// Adds a delete.
    #[must_use]
    pub fn delete(mut self, key: impl Into<Bytes>) -> Self {
        self.writes.push(Write::Delete(key.into()));
        self
    }
}

/// What came of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxnReply {
    /// It happened; the store is now at this revision.
    Committed(Revision),
    /// A compare did not hold; nothing happened.
    Conflict(Conflict),
}

/// The first compare that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Which compare failed: its index in [`Transaction::compares`].
    pub compare: usize,
    /// The entry that it was judged on.
    pub current: Option<Entry>,
    /// The revision that it was judged at.
    pub revision: Revision,
}

/// One change, as a watch delivers it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreEvent {
    /// A key was put.
    Put(Entry),
    /// A key was deleted.
    Deleted {
        /// The key.
        key: Bytes,
        /// The revision that deleted it.
        revision: Revision,
    },
}

impl StoreEvent {
    /// The revision of the change.
    pub fn revision(&self) -> Revision {
        match self {
            Self::Put(entry) => entry.modified,
            Self::Deleted { revision, .. } => *revision,
        }
    }

    /// The key that changed.
    pub fn key(&self) -> &Bytes {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Deleted { key, .. } => key,
        }
    }
}

/// A stream of events. Dropping it ends the watch.
pub struct Watch {
    events: mpsc::Receiver<Result<StoreEvent, StoreError>>,
    rewrite: Option<Rewrite>,
}

/// How a decorator changes the events that pass through it.
type Rewrite = Box<dyn FnMut(StoreEvent) -> StoreEvent + Send + Sync>;

impl Watch {
    /// How many undelivered events a watch holds before the store ends it with [`StoreError::Compacted`]: a reader
    /// that is this far behind does better by reading the range again.
    pub const BACKLOG_MAX: usize = 65_536;

    /// A watch that delivers what is sent to `events`.
    pub fn new(events: mpsc::Receiver<Result<StoreEvent, StoreError>>) -> Self {
        Self { events, rewrite: None }
    }

    /// The same watch with every event rewritten, for decorators: it needs no task of its own.
    #[must_use]
    pub fn map(self, mut rewrite: impl FnMut(StoreEvent) -> StoreEvent + Send + Sync + 'static) -> Self {
        let mut inner = self.rewrite;
        let rewrite: Rewrite = Box::new(move |event| match &mut inner {
            Some(inner) => rewrite(inner(event)),
            None => rewrite(event),
        });
        Self { events: self.events, rewrite: Some(rewrite) }
    }

    /// Waits for the next event; `None` when the store has closed.
    ///
    /// Cancellation: a dropped call loses no event.
    pub async fn next(&mut self) -> Option<Result<StoreEvent, StoreError>> {
        let next = self.events.recv().await?;
        Some(match &mut self.rewrite {
            Some(rewrite) => next.map(rewrite),
            None => next,
        })
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("waiting", &self.events.len()).finish_non_exhaustive()
    }
}

/// Why a store could not do as asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The history asked for is gone; read the range again.
    #[error("revision {asked} is no longer held by the store: the oldest is {oldest}")]
    Compacted {
        /// What was asked for.
        asked: u64,
        /// The oldest revision that can be read or watched.
        oldest: u64,
    },
    /// The lease has expired or was revoked.
    #[error("lease {0} is not alive: it has expired or was revoked")]
    LeaseNotFound(u64),
    /// The lease by which this manager leads has run out, and nobody else leads by now: take the lead again.
    #[error("this manager does not lead the store {store} any more: its lease ran out")]
    LeadLost {
        /// Where the store is.
        store: String,
    },
    /// Another process holds the store.
    #[error("the store {store} is held by a live manager ({holder})")]
    Held {
        /// Where the store is.
        store: String,
        /// Who holds it, as far as is known: process and host.
        holder: String,
    },
    /// The store has no room left; nothing of the transaction was kept.
    #[error("the store {store} is full")]
    Full {
        /// Where the store is.
        store: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The store can not be reached or read now; whether a transaction was kept is not known.
    #[error("the store {store} can not be used: {what}")]
    Unavailable {
        /// Where the store is.
        store: String,
        /// What was tried.
        what: String,
        /// What the system said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What is stored is damaged, or of a format this program does not know.
    #[error("the store {store} can not be understood: {what}")]
    Corrupt {
        /// Where the store is.
        store: String,
        /// What is wrong.
        what: String,
    },
    /// The call itself is wrong.
    #[error("invalid store request: {0}")]
    Invalid(String),
}
