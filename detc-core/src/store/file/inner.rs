//! What the calls on a store share with its writer and its reaper.

use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use redb::Database;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::caught::caught;
use super::failure::Failure;
use super::open::{Opened, Opener, Remembered};
use super::queue::{Queue, WAITING_MAX, Work};
use crate::store::feed::Feed;
use crate::store::leases::{Expiring, Leases};
use crate::store::{Revision, StoreError};

/// How long a commit that can be read may take to be published. Nothing waits between the two, so that it is
/// microseconds; only a commit that failed after it became visible is never published, and must not hold readers.
const PUBLISH_TIME_MAX: Duration = Duration::from_secs(1);

/// An open store.
///
/// Locks are taken in the order of the fields, and never held across an await.
#[derive(Debug)]
pub(super) struct Inner {
    opener: Arc<Opener>,
    pub(super) writer: Mutex<JoinSet<()>>,
    queue: Mutex<Queue>,
    pub(super) places: Arc<Semaphore>,
    access: RwLock<Access>,
    feed: Mutex<Feed>,
    published: Condvar,
    leases: Mutex<Leases>,
}

/// What there is of the database.
#[derive(Debug)]
enum Access {
    Open(Opened),
    /// A write failed and opening again failed too; the next write tries once more.
    Broken(Failure),
    /// The store was dropped.
    Closed,
}

impl Inner {
    /// What `opener` has opened.
    pub(super) fn new(
        opener: Arc<Opener>,
        (opened, remembered): (Opened, Remembered),
    ) -> Result<Self, StoreError> {
        let Remembered { revision, leases: remembered } = remembered;
        let mut leases = Leases::default();
        for (lease, ttl) in remembered {
            if Leases::check(ttl).is_err() {
                let what = format!("lease {} lives for {} ms", lease.0, ttl.as_millis());
                return Err(Failure::Corrupt(what).at(opener.path()));
            }
            // Only the process that had the store open could keep it alive, and that process is gone.
            leases.begin(lease, Duration::ZERO);
        }
        Ok(Self {
            opener,
            writer: Mutex::default(),
            queue: Mutex::default(),
            places: Arc::new(Semaphore::new(WAITING_MAX)),
            access: RwLock::new(Access::Open(opened)),
            feed: Mutex::new(Feed::begin(revision)),
            published: Condvar::new(),
            leases: Mutex::new(leases),
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.opener.path()
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn feed(&self) -> MutexGuard<'_, Feed> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The feed once `revision`, which can be read, has been published.
    pub(super) fn feed_at(&self, revision: Revision) -> Result<MutexGuard<'_, Feed>, Failure> {
        let behind = |feed: &mut Feed| feed.head() < revision;
        let (feed, _) = self
            .published
            .wait_timeout_while(self.feed(), PUBLISH_TIME_MAX, behind)
            .unwrap_or_else(PoisonError::into_inner);
        if feed.head() < revision {
            let said = "its newest revision was never confirmed: a write has failed".into();
            return Err(Failure::Unavailable { what: "reading its past", said });
        }
        Ok(feed)
    }

    /// That the store is still where it was opened.
    pub(super) fn check_place(&self) -> Result<(), Failure> {
        match &*self.access.read().unwrap_or_else(PoisonError::into_inner) {
            Access::Open(opened) => opened.check_place(self.path()),
            Access::Broken(_) | Access::Closed => Ok(()),
        }
    }

    /// Publishes commits, by `publish`.
    pub(super) fn publish(&self, publish: impl FnOnce(&mut Feed)) {
        publish(&mut self.feed());
        self.published.notify_all();
    }

    /// Lets `work` use the database, which stays open meanwhile.
    pub(super) fn with_database<T>(&self, work: impl FnOnce(&Database) -> T) -> Result<T, Failure> {
        match &*self.access.read().unwrap_or_else(PoisonError::into_inner) {
            Access::Open(opened) => Ok(work(&opened.database)),
            Access::Broken(failure) => Err(failure.clone()),
            Access::Closed => {
                Err(Failure::Unavailable { what: "using it", said: "the store was closed".into() })
            }
        }
    }

    /// Opens the database again after a write failed, and returns the revision that it is then at. redb refuses all
    /// work after a failed write until this was done.
    pub(super) fn reopen(&self) -> Result<Revision, Failure> {
        let mut access = self.access.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(*access, Access::Closed) {
            return Err(Failure::Unavailable { what: "using it", said: "the store was closed".into() });
        }
        // The old one goes first: it holds the lock.
        let again =
            Failure::Unavailable { what: "opening it again", said: "it did not come to an end".into() };
        *access = Access::Broken(again);
        match self.open_again() {
            Ok((opened, remembered)) => {
                *access = Access::Open(opened);
                Ok(remembered.revision)
            }
            Err(failure) => {
                *access = Access::Broken(failure.clone());
                Err(failure)
            }
        }
    }

    /// Opens what this store has just let go of. Its lock is gone when the last process that was about to be started while it
    /// was held has begun.
    #[allow(
        clippy::disallowed_methods,
        reason = "nothing tells when the lock is gone; this thread may block"
    )]
    fn open_again(&self) -> Result<(Opened, Remembered), Failure> {
        const TRIES_MAX: u32 = 100;
        const PAUSE: Duration = Duration::from_millis(10);
        let mut tries = 0;
        loop {
            match self.opener.open() {
                Err(Failure::Held | Failure::HeldForAMoment(_)) if tries < TRIES_MAX => {
                    tries += 1;
                    std::thread::sleep(PAUSE);
                }
                opened => return opened,
            }
        }
    }

    /// Whether a write has to open the database again first.
    pub(super) fn is_broken(&self) -> bool {
        matches!(*self.access.read().unwrap_or_else(PoisonError::into_inner), Access::Broken(_))
    }

    /// Closes the database, after the work on it that is under way.
    ///
    /// What was committed is safe already. A database that turns out to be damaged when it tidies up is left as it is,
    /// and is checked when it is opened again.
    pub(super) fn close(&self) {
        let mut access = self.access.write().unwrap_or_else(PoisonError::into_inner);
        let was = mem::replace(&mut *access, Access::Closed);
        if caught(|| panic::catch_unwind(AssertUnwindSafe(|| drop(was)))).is_err() {
            tracing::error!(store = %self.path().display(), "the store is damaged: it could not be closed in order");
        }
    }
}

impl Expiring for Inner {
    fn next_deadline(&self) -> Option<Instant> {
        self.leases().next_deadline()
    }

    async fn expire(self: &Arc<Self>) {
        if let Err(error) = self.perform(Work::Expire).await {
            // They live for another full time, and are tried again then.
            tracing::warn!(%error, "the entries of expired leases could not be deleted");
        }
    }
}
