//! Leases: which live, until when, and the task that ends them in time.
//!
//! The deadlines are kept in memory, on tokio's clock; a store that outlives its process keeps the leases themselves
//! and ends those of the process before it when it opens. What was put under a lease is the store's business.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::{LeaseId, StoreError};

/// The leases that live.
#[derive(Debug, Default)]
pub(super) struct Leases {
    living: BTreeMap<LeaseId, Lease>,
    deadlines: BTreeSet<(Instant, LeaseId)>,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    ttl: Duration,
    deadline: Instant,
}

impl Leases {
    /// Refuses a time to live that can not be counted.
    pub(super) fn check(ttl: Duration) -> Result<(), StoreError> {
        if ttl.is_zero() {
            return Err(StoreError::Invalid("a lease needs a time to live above zero".into()));
        }
        match Instant::now().checked_add(ttl) {
            Some(_) => Ok(()),
            None => Err(StoreError::Invalid(format!("a lease can not live for {} s", ttl.as_secs()))),
        }
    }

    /// Lets `lease` live for `ttl` from now on.
    pub(super) fn begin(&mut self, lease: LeaseId, ttl: Duration) {
        self.end(lease);
        let now = Instant::now();
        let deadline =
            now.checked_add(ttl).expect("invariant: a time to live is checked before it is granted");
        self.living.insert(lease, Lease { ttl, deadline });
        self.deadlines.insert((deadline, lease));
    }

    /// Gives `lease` its full time again.
    pub(super) fn keep_alive(&mut self, lease: LeaseId) -> Result<Duration, StoreError> {
        let ttl = self.living.get(&lease).ok_or(StoreError::LeaseNotFound(lease.0))?.ttl;
        self.begin(lease, ttl);
        Ok(ttl)
    }

    /// Whether `lease` lives.
    pub(super) fn contains(&self, lease: LeaseId) -> bool {
        self.living.contains_key(&lease)
    }

    /// Ends `lease`; returns its time to live, if it lived.
    pub(super) fn end(&mut self, lease: LeaseId) -> Option<Duration> {
        let ended = self.living.remove(&lease)?;
        self.deadlines.remove(&(ended.deadline, lease));
        Some(ended.ttl)
    }

    /// The leases whose time has run out by now, the longest due first.
    pub(super) fn due(&self) -> Vec<LeaseId> {
        let now = Instant::now();
        self.deadlines.iter().take_while(|(deadline, _)| *deadline <= now).map(|(_, lease)| *lease).collect()
    }

    /// When the next lease runs out.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }
}

/// A store whose leases run out.
pub(super) trait Expiring: Send + Sync + 'static {
    /// When the next lease runs out.
    fn next_deadline(&self) -> Option<Instant>;

    /// Ends all leases that are due and deletes what was put under them.
    fn expire(self: &Arc<Self>) -> impl Future<Output = ()> + Send;
}

/// Owns the task that ends leases when they are due. Dropping it ends the task.
#[derive(Debug, Default)]
pub(super) struct Reaper {
    task: Mutex<JoinSet<()>>,
    earlier: Arc<Notify>,
}

impl Reaper {
    /// Sees to it that the leases of `store` are ended, now that one more has been granted.
    ///
    /// The task begins with the first lease: a store without leases costs nothing, and can be made outside a runtime.
    pub(super) fn watch_over<S: Expiring>(&self, store: &Arc<S>) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        // The task only ends with the runtime it was spawned on; the next one starts another.
        while task.try_join_next().is_some() {}
        if task.is_empty() {
            task.spawn(reap(Arc::clone(store), Arc::clone(&self.earlier)));
        }
        self.earlier.notify_one();
    }
}

async fn reap<S: Expiring>(store: Arc<S>, earlier: Arc<Notify>) {
    loop {
        match store.next_deadline() {
            None => earlier.notified().await,
            Some(deadline) => tokio::select! {
                () = earlier.notified() => {}
                () = sleep_until(deadline) => store.expire().await,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_is_kept_alive_is_due_a_full_time_later() {
        let mut leases = Leases::default();
        leases.begin(LeaseId(1), Duration::from_secs(10));
        leases.begin(LeaseId(2), Duration::from_secs(12));
        tokio::time::advance(Duration::from_secs(9)).await;
        leases.keep_alive(LeaseId(1)).unwrap();
        tokio::time::advance(Duration::from_millis(9_999)).await;
        assert_eq!(leases.due(), [LeaseId(2)]);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(leases.due(), [LeaseId(2), LeaseId(1)]);
        assert_eq!(leases.end(LeaseId(2)), Some(Duration::from_secs(12)));
        assert_eq!(leases.end(LeaseId(2)), None);
        assert!(matches!(leases.keep_alive(LeaseId(2)), Err(StoreError::LeaseNotFound(2))));
    }

    #[test]
    fn a_time_to_live_that_can_not_be_counted_is_refused() {
        assert!(Leases::check(Duration::ZERO).is_err());
        assert!(Leases::check(Duration::MAX).is_err());
        assert!(Leases::check(Duration::from_secs(86_400)).is_ok());
    }
}
