//! Where a manager keeps what it must not lose: recorded state, journals, history, leadership.
//!
//! [`Store`] is the seam: an ordered map from byte keys to byte values with one revision counter, compare-and-swap
//! transactions, watches and leases. It is the common part of etcd's and ZooKeeper's models.
//!
//! - [`memory::MemoryStore`]: for tests and simulations; nothing survives the process.
//! - [`prefixed::Prefixed`]: a part of another store, as a store of its own.
//! - `file::FileStore` (feature `file-store`): the embedded default, one durable file, one process at a time.
//!
//! What lives here knows nothing of resources, plans or journals: those are laid out as keys by `manage`.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

mod feed;
#[cfg(feature = "file-store")]
pub mod file;
mod history;
mod leases;
pub mod memory;
pub mod prefixed;
mod prepared;
mod types;

pub use types::{
    Compare, Conflict, Entry, KeyRange, RangeOptions, RangeReply, StoreError, StoreEvent, Transaction,
    TxnReply, Watch, Write,
};

/// The store's logical clock: how many transactions with an effect have been committed. The empty store is at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// A lease's name, unique within its store for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseId(pub u64);

/// An ordered map with revisions, compare-and-swap, watch and leases.
///
/// # Contract
///
/// - **Order.** Keys are compared as bytes. A range is returned in ascending order.
/// - **Revisions.** A committed transaction that writes takes the next revision, and every entry it puts carries that
///   revision in `modified`. A transaction that is refused, or writes nothing, takes none.
/// - **Atomic.** All writes of a transaction happen, or none, and no reader sees a part of them. Compares are judged
///   on the state that the writes apply to. Two writes to one key in one transaction are refused as
///   [`StoreError::Invalid`].
/// - **Durable.** When `transact` returns a commit, the writes survive a crash of the process and, for stores that are
///   on disk, a loss of power.
/// - **Watch.** A watch delivers each event of its range once, in revision order, from the revision asked for. When the
///   store no longer holds that history the call (or the watch) fails with [`StoreError::Compacted`], and the caller
///   reads the range again: level-triggered use needs no more.
/// - **Leases.** Entries put under a lease are deleted, in one transaction, when it is revoked or its time has run out
///   without [`keep_alive`](Store::keep_alive). A lease never expires early; it may expire late. Expiry is judged by
///   the store's clock alone.
/// - **Cancellation.** Every future may be dropped. A dropped `transact` may or may not have committed; a caller that
///   needs to know reads again.
#[async_trait]
pub trait Store: Debug + Send + Sync + 'static {
    /// Reads the entries of `range`, a page at a time.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] when `options.at` is older than the history kept, [`StoreError::Invalid`] when it is
    /// ahead of the store or `options.limit` is zero.
    async fn range(&self, range: KeyRange, options: RangeOptions) -> Result<RangeReply, StoreError>;

    /// Applies `transaction` if all its compares hold; otherwise changes nothing and says which compare failed.
    ///
    /// # Errors
    /// [`StoreError::LeaseNotFound`] when a put names a lease that does not live; [`StoreError::Unavailable`] or
    /// [`StoreError::Full`] when the store can not take it. A failed compare is no error: see [`TxnReply::Conflict`].
    async fn transact(&self, transaction: Transaction) -> Result<TxnReply, StoreError>;

    /// Watches `range` for every event with a revision of `from` or later. `from` may lie ahead of the store.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] when the history since `from` is no longer held.
    async fn watch(&self, range: KeyRange, from: Revision) -> Result<Watch, StoreError>;

    /// Grants a lease that lives for `ttl`, and longer while it is kept alive.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when `ttl` is zero, or too long for the clock to count.
    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError>;

    /// Gives the lease its full time to live again, and returns that time.
    ///
    /// # Errors
    /// [`StoreError::LeaseNotFound`] when it has expired or was revoked: what it protected is gone.
    async fn keep_alive(&self, lease: LeaseId) -> Result<Duration, StoreError>;

    /// Ends the lease and deletes what was put under it.
    ///
    /// # Errors
    /// [`StoreError::LeaseNotFound`] when it has already ended.
    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError>;
}

/// Reads a whole range, page by page, all at the revision of the first page.
///
/// # Errors
/// Those of [`Store::range`].
pub async fn read_all(store: &dyn Store, range: KeyRange) -> Result<(Vec<Entry>, Revision), StoreError> {
    let mut options = RangeOptions::default();
    let mut range = range;
    let first = store.range(range.clone(), options.clone()).await?;
    let revision = first.revision;
    options.at = Some(revision);
    let (mut entries, mut more) = (first.entries, first.more);
    while more {
        let last: Bytes =
            entries.last().expect("invariant: a page with more to come is not empty").key.clone();
        range = range.after(&last);
        let page = store.range(range.clone(), options.clone()).await?;
        entries.extend(page.entries);
        more = page.more;
    }
    Ok((entries, revision))
}
