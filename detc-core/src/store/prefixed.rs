//! A part of another store, as a store of its own: several applications, or several clusters, in one store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::{
    Compare, Conflict, Entry, KeyRange, LeaseId, RangeOptions, RangeReply, Revision, Store, StoreError,
    StoreEvent, Transaction, TxnReply, Watch, Write,
};

/// The keys of a store that begin with a prefix, seen without it.
///
/// Revisions and leases are those of the store below: they move on with what others write beside the prefix, and
/// whoever knows a lease of the store below can keep it alive or revoke it through here.
#[derive(Clone, Debug)]
pub struct Prefixed {
    below: Arc<dyn Store>,
    prefix: Bytes,
}

impl Prefixed {
    /// The part of `below` whose keys begin with `prefix`.
    ///
    /// Two parts of one store keep apart when neither prefix begins with the other: end them with a separator.
    pub fn new(below: Arc<dyn Store>, prefix: impl Into<Bytes>) -> Self {
        Self { below, prefix: prefix.into() }
    }

    fn key(&self, key: &[u8]) -> Bytes {
        let mut below = BytesMut::with_capacity(self.prefix.len() + key.len());
        below.extend_from_slice(&self.prefix);
        below.extend_from_slice(key);
        below.freeze()
    }

    fn range(&self, range: &KeyRange) -> KeyRange {
        let end = match &range.end {
            Some(end) => Some(self.key(end)),
            None => KeyRange::prefix(self.prefix.clone()).end,
        };
        KeyRange { start: self.key(&range.start), end }
    }

    fn compare(&self, compare: Compare) -> Compare {
        match compare {
            Compare::Absent(key) => Compare::Absent(self.key(&key)),
            Compare::Present(key) => Compare::Present(self.key(&key)),
            Compare::Modified(key, revision) => Compare::Modified(self.key(&key), revision),
            Compare::Value(key, value) => Compare::Value(self.key(&key), value),
        }
    }

    fn write(&self, write: Write) -> Write {
        match write {
            Write::Put { key, value, lease } => Write::Put { key: self.key(&key), value, lease },
            Write::Delete(key) => Write::Delete(self.key(&key)),
            Write::DeleteRange(range) => Write::DeleteRange(self.range(&range)),
        }
    }
}

/// Takes a prefix of `len` bytes off an entry that came from below.
fn strip(len: usize, entry: Entry) -> Entry {
    Entry { key: entry.key.slice(len..), ..entry }
}

#[async_trait]
impl Store for Prefixed {
    async fn range(&self, range: KeyRange, options: RangeOptions) -> Result<RangeReply, StoreError> {
        let mut reply = self.below.range(self.range(&range), options).await?;
        for entry in &mut reply.entries {
            entry.key = entry.key.slice(self.prefix.len()..);
        }
        Ok(reply)
    }

    async fn transact(&self, transaction: Transaction) -> Result<TxnReply, StoreError> {
        let compares = transaction.compares.into_iter().map(|compare| self.compare(compare)).collect();
        let writes = transaction.writes.into_iter().map(|write| self.write(write)).collect();
        Ok(match self.below.transact(Transaction { compares, writes }).await? {
            TxnReply::Committed(revision) => TxnReply::Committed(revision),
            TxnReply::Conflict(conflict) => TxnReply::Conflict(Conflict {
                current: conflict.current.map(|entry| strip(self.prefix.len(), entry)),
                ..conflict
            }),
        })
    }

    async fn watch(&self, range: KeyRange, from: Revision) -> Result<Watch, StoreError> {
        let len = self.prefix.len();
        let watch = self.below.watch(self.range(&range), from).await?;
        Ok(watch.map(move |event| match event {
            StoreEvent::Put(entry) => StoreEvent::Put(strip(len, entry)),
            StoreEvent::Deleted { key, revision } => StoreEvent::Deleted { key: key.slice(len..), revision },
        }))
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.below.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<Duration, StoreError> {
        self.below.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.below.revoke(lease).await
    }
}
