//! A store in memory, for tests and simulations.
//!
//! It keeps the whole contract but durability: what it holds ends with it. Leases run on tokio's clock, so that a test
//! with paused time decides when they expire.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use super::feed::Feed;
use super::history::{Change, Changes, overlaid};
use super::leases::{Expiring, Leases, Reaper};
use super::prepared::Prepared;
use super::{
    Conflict, Entry, KeyRange, LeaseId, RangeOptions, RangeReply, Revision, Store, StoreError, StoreEvent,
    Transaction, TxnReply, Watch,
};

/// A [`Store`] that lives and ends in memory.
#[derive(Debug)]
pub struct MemoryStore {
    inner: Arc<Inner>,
    reaper: Reaper,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
}

/// Everything the store holds. Only ever locked for computations in memory, never across an await.
#[derive(Debug)]
struct State {
    entries: BTreeMap<Bytes, Entry>,
    leased: BTreeSet<(LeaseId, Bytes)>,
    leases: Leases,
    lease_last: LeaseId,
    feed: Feed,
}

impl MemoryStore {
    /// What is left of this store when its process dies and its leases run out: another one, which begins its history here.
    pub(crate) fn fork(&self) -> Self {
        let state = self.inner.state();
        let lasting = state.entries.iter().filter(|(_, entry)| entry.lease.is_none());
        let state = State {
            entries: lasting.map(|(key, entry)| (key.clone(), entry.clone())).collect(),
            leased: BTreeSet::new(),
            leases: Leases::default(),
            lease_last: state.lease_last,
            feed: Feed::begin(state.feed.head()),
        };
        Self { inner: Arc::new(Inner { state: Mutex::new(state) }), reaper: Reaper::default() }
    }

    /// An empty store, at revision 0.
    pub fn new() -> Self {
        let state = State {
            entries: BTreeMap::new(),
            leased: BTreeSet::new(),
            leases: Leases::default(),
            lease_last: LeaseId(0),
            feed: Feed::begin(Revision(0)),
        };
        Self { inner: Arc::new(Inner { state: Mutex::new(state) }), reaper: Reaper::default() }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn range(&self, range: KeyRange, options: RangeOptions) -> Result<RangeReply, StoreError> {
        self.inner.state().range(&range, &options)
    }

    async fn transact(&self, transaction: Transaction) -> Result<TxnReply, StoreError> {
        let Transaction { compares, writes } = transaction;
        let prepared = Prepared::new(writes)?;
        let mut state = self.inner.state();
        for (index, compare) in compares.iter().enumerate() {
            let current = state.entries.get(compare.key());
            if !compare.holds(current) {
                let conflict =
                    Conflict { compare: index, current: current.cloned(), revision: state.feed.head() };
                return Ok(TxnReply::Conflict(conflict));
            }
        }
        if let Some(dead) = prepared.leases().find(|lease| !state.leases.contains(*lease)) {
            return Err(StoreError::LeaseNotFound(dead.0));
        }
        Ok(TxnReply::Committed(state.apply(prepared)))
    }

    async fn watch(&self, range: KeyRange, from: Revision) -> Result<Watch, StoreError> {
        self.inner.state().feed.watch(range, from)
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        Leases::check(ttl)?;
        let lease = {
            let mut state = self.inner.state();
            state.lease_last.0 += 1;
            let lease = state.lease_last;
            state.leases.begin(lease, ttl);
            lease
        };
        self.reaper.watch_over(&self.inner);
        Ok(lease)
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<Duration, StoreError> {
        self.inner.state().leases.keep_alive(lease)
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.inner.state().end(lease)
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Expiring for Inner {
    fn next_deadline(&self) -> Option<Instant> {
        self.state().leases.next_deadline()
    }

    async fn expire(self: &Arc<Self>) {
        let mut state = self.state();
        for lease in state.leases.due() {
            state.end(lease).expect("invariant: a lease that is due lives");
        }
    }
}

impl State {
    fn range(&self, range: &KeyRange, options: &RangeOptions) -> Result<RangeReply, StoreError> {
        let head = self.feed.head();
        let revision = options.check(head)?;
        if range.is_empty() {
            return Ok(RangeReply { entries: Vec::new(), more: false, revision });
        }
        let overlay = self.feed.undo(range, revision)?;
        let current = self.entries.range::<[u8], _>(range.bounds());
        let current = current.map(|(_, entry)| Ok::<_, Infallible>(entry.clone()));
        let Ok((entries, more)) = overlaid(current, overlay, options.limit);
        Ok(RangeReply { entries, more, revision })
    }

    /// Ends a lease, and deletes what was put under it.
    fn end(&mut self, lease: LeaseId) -> Result<(), StoreError> {
        if self.leases.end(lease).is_none() {
            return Err(StoreError::LeaseNotFound(lease.0));
        }
        let from = (lease, Bytes::new());
        let deletes = self.leased.range(from..).take_while(|(of, _)| *of == lease);
        let deletes = deletes.map(|(_, key)| key.clone()).collect();
        self.apply(Prepared { deletes, ..Prepared::default() });
        Ok(())
    }

    /// Applies the writes and returns the revision that the store is then at.
    fn apply(&mut self, prepared: Prepared) -> Revision {
        let head = self.feed.head();
        let revision = Revision(head.0 + 1);
        let mut gone: BTreeSet<Bytes> = BTreeSet::new();
        for range in prepared.ranges.iter().filter(|range| !range.is_empty()) {
            let keys = self.entries.range::<[u8], _>(range.bounds()).map(|(key, _)| key);
            gone.extend(keys.filter(|key| !prepared.puts_key(key)).cloned());
        }
        gone.extend(prepared.deletes.iter().filter(|key| self.entries.contains_key(*key)).cloned());
        let events = gone.len() + prepared.puts.len();
        if events == 0 {
            return head;
        }
        let mut changes = self.feed.wants(events, prepared.bytes).then(|| Vec::with_capacity(events));
        for key in gone {
            let old = self.entries.remove(&key);
            self.moved(&key, old.as_ref(), None);
            if let Some(changes) = &mut changes {
                changes.push(Change { event: StoreEvent::Deleted { key, revision }, old });
            }
        }
        for put in prepared.puts {
            let entry = Entry { key: put.key, value: put.value, modified: revision, lease: put.lease };
            let old = self.entries.insert(entry.key.clone(), entry.clone());
            self.moved(&entry.key, old.as_ref(), entry.lease);
            if let Some(changes) = &mut changes {
                changes.push(Change { event: StoreEvent::Put(entry), old });
            }
        }
        self.feed.publish(revision, changes.map_or(Changes::Dropped, Changes::Kept));
        revision
    }

    /// Keeps the list of leased keys right when `key` leaves the lease of `old` and comes under `new`.
    fn moved(&mut self, key: &Bytes, old: Option<&Entry>, new: Option<LeaseId>) {
        let old = old.and_then(|old| old.lease);
        if old == new {
            return;
        }
        if let Some(lease) = old {
            self.leased.remove(&(lease, key.clone()));
        }
        if let Some(lease) = new {
            self.leased.insert((lease, key.clone()));
        }
    }
}
