//! The embedded store: one durable file, with one process at a time that writes, or several that read.
//!
//! ```text
//!   transact ─┐                     ┌─ one redb transaction, one sync ─┐
//!   transact ─┼─▶ queue ─▶ writer ──┤ judge, apply, judge, apply …     ├─▶ publish ─▶ replies
//!   grant    ─┘                     └──────────────────────────────────┘   (history, watches)
//!   range    ───▶ a redb snapshot, with newer changes undone when the past is asked for
//! ```
//!
//! The file is a [redb](https://docs.rs/redb) database: a copy-on-write B-tree whose commit is one write of a root. The
//! rules of the contract are judged here; redb keeps the bytes. Its file lock ends with the process, whichever way the
//! process ends, so that a store is never left locked.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

mod apply;
mod batch;
mod caught;
mod commit;
mod failure;
mod inner;
mod layout;
mod open;
mod overlay;
mod page;
mod place;
mod queue;

use caught::caught;
#[cfg(feature = "cli")]
pub(crate) use caught::tell_only_other_panics;
use inner::Inner;
use open::Opener;
use queue::{Outcome, Work};

use tokio::time::Instant;

use super::leases::{Leases, Reaper};
use super::{
    KeyRange, LeaseId, RangeOptions, RangeReply, Revision, Store, StoreError, Transaction, TxnReply, Watch,
};

/// A [`Store`] in one file.
///
/// # Guarantees
///
/// - A commit that was returned survives a crash of the process and a loss of power: it was written and synced.
///   Transactions that arrive while a commit is being synced share the next one, so that many small ones cost little
///   more than one.
/// - A lease ends with the process that had the store open: nobody else can have kept it alive. What was put under it is
///   deleted when the store is opened again.
/// - The history that watches and reads of the past are served from begins anew when the store opens.
///
/// # Caveats
///
/// Keys and values of one page share one buffer: who keeps a few of them for long does well to copy them. Dropping the
/// store waits for a commit in progress and closes the file.
pub struct FileStore {
    inner: Arc<Inner>,
    reaper: Reaper,
}

impl FileStore {
    /// Opens the store in the directory `dir`, and makes both when they do not exist yet.
    ///
    /// After a crash the whole file is checked first, which takes about a second per gigabyte. Those who have it open to
    /// read are waited for, at most ten seconds.
    ///
    /// # Errors
    /// [`StoreError::Held`] while another process, or this one, has it open. [`StoreError::Corrupt`] when the file is
    /// damaged or is no store, [`StoreError::Full`] and [`StoreError::Unavailable`] when the system refuses.
    ///
    /// Cancellation: the store may be opened nevertheless, and is closed again at once.
    pub async fn open(dir: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_by(open::at(dir.as_ref().to_path_buf())).await
    }

    /// Opens the store in the directory `dir` to read it: several may do so at once, and whoever wants to write waits
    /// until they have dropped it. What is written to it all the same stays in memory, and is gone with it.
    ///
    /// # Errors
    /// Those of [`open`](Self::open); [`StoreError::Held`] only while somebody has it open to write.
    pub async fn open_to_read(dir: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_by(open::to_read(dir.as_ref().to_path_buf())).await
    }

    /// Whether there is a store in the directory `dir`.
    #[cfg(feature = "cli")]
    pub(crate) fn exists(dir: &Path) -> bool {
        place::has_store(dir)
    }

    /// Opens a store on a storage of your own: what tests of crashes and full disks need.
    ///
    /// `storage` is called at the opening, and again when the store recovers from a full disk. `name` stands for the
    /// file in messages.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    #[cfg(feature = "testing")]
    pub async fn open_with<B: redb::StorageBackend>(
        name: impl Into<std::path::PathBuf>,
        storage: impl Fn() -> B + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        Self::open_by(open::on(name.into(), storage)).await
    }

    async fn open_by(opener: Opener) -> Result<Self, StoreError> {
        let opener = Arc::new(opener);
        let began = Instant::now();
        let opened = loop {
            let opening = Arc::clone(&opener);
            match blocking(opener.path(), move || opening.open()).await? {
                Err(failure) if opener.passes(&failure) && began.elapsed() < PATIENCE => {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                opened => break opened.map_err(|failure| failure.at(opener.path()))?,
            }
        };
        let store = Self { inner: Arc::new(Inner::new(opener, opened)?), reaper: Reaper::default() };
        if store.inner.leases().next_deadline().is_some() {
            store.inner.perform(Work::Expire).await?;
        }
        Ok(store)
    }

    /// The store's file.
    pub fn path(&self) -> &Path {
        self.inner.path()
    }
}

/// How long those are waited for who let go of a store soon: a command that only reads has what it needs at once, after a
/// second for a million records; the lock of one that died is gone when the last that it was about to start has begun.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked whether they have gone.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(move || caught(work)).await.map_err(|ended| failure::ended(ended).at(path))
}

#[async_trait]
impl Store for FileStore {
    async fn range(&self, range: KeyRange, options: RangeOptions) -> Result<RangeReply, StoreError> {
        let inner = Arc::clone(&self.inner);
        blocking(self.path(), move || inner.range(&range, &options)).await?
    }

    async fn transact(&self, transaction: Transaction) -> Result<TxnReply, StoreError> {
        match self.inner.perform(Work::Transact(transaction)).await? {
            Outcome::Transacted(reply) => Ok(reply),
            other => unreachable!("invariant: a transaction is not answered by {other:?}"),
        }
    }

    async fn watch(&self, range: KeyRange, from: Revision) -> Result<Watch, StoreError> {
        self.inner.feed().watch(range, from)
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        Leases::check(ttl)?;
        match self.inner.perform(Work::Grant(ttl)).await? {
            Outcome::Granted(lease) => {
                self.reaper.watch_over(&self.inner);
                Ok(lease)
            }
            other => unreachable!("invariant: a grant is not answered by {other:?}"),
        }
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<Duration, StoreError> {
        self.inner.leases().keep_alive(lease)
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.inner.perform(Work::Revoke(lease)).await.map(|_| ())
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").field("path", &self.path()).finish_non_exhaustive()
    }
}

impl Drop for FileStore {
    /// Closes the file here and now, although tasks that wind down may still refer to the store: whoever opens it next
    /// must not find it held.
    fn drop(&mut self) {
        self.inner.close();
    }
}
