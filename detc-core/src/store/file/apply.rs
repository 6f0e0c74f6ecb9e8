//! Applying a transaction's writes to the tables.

use std::collections::BTreeSet;
use std::ops::Bound;

use bytes::Bytes;
use redb::{CursorError, ReadableTable};

use super::batch::Batch;
use super::failure::{self, Failure};
use super::layout::{Stored, leased};
use crate::store::history::{Change, Changes};
use crate::store::prepared::{Prepared, Put};
use crate::store::{Entry, LeaseId, Revision, StoreEvent};

const WHAT: &str = "writing";

/// From how many puts on it is worth looking whether they all go into one gap between the keys that exist: redb then
/// builds whole leaves from them, three times as fast as by single inserts.
const BULK_MIN: usize = 64;

impl<'a> Batch<'a> {
    /// Applies the writes and returns the revision that the store is then at.
    pub(super) fn apply(&mut self, prepared: Prepared) -> Result<Revision, Failure> {
        let gone = self.gone(&prepared)?;
        let events = gone.len() + prepared.puts.len();
        if events == 0 {
            return Ok(self.head);
        }
        self.head.0 += 1;
        let wanted = self.inner.feed().wants(events, prepared.bytes);
        let mut changes = wanted.then(|| Vec::with_capacity(events));
        for key in gone {
            self.delete(&key, changes.as_mut())?;
        }
        if self.fit_one_gap(&prepared.puts)? {
            self.put_all(prepared.puts, changes.as_mut())?;
        } else {
            for put in prepared.puts {
                self.put(put, changes.as_mut())?;
            }
        }
        self.kept.commits.push((self.head, changes.map_or(Changes::Dropped, Changes::Kept)));
        Ok(self.head)
    }

    /// The keys that the deletes will find.
    fn gone(&self, prepared: &Prepared) -> Result<BTreeSet<Bytes>, Failure> {
        let mut gone = BTreeSet::new();
        for range in prepared.ranges.iter().filter(|range| !range.is_empty()) {
            for entry in self.entries.range::<&[u8]>(range.bounds()).map_err(failure::of(WHAT))? {
                let (key, _) = entry.map_err(failure::of(WHAT))?;
                if !prepared.puts_key(key.value()) {
                    gone.insert(Bytes::copy_from_slice(key.value()));
                }
            }
        }
        for key in &prepared.deletes {
            if self.entries.get(&key[..]).map_err(failure::of(WHAT))?.is_some() {
                gone.insert(key.clone());
            }
        }
        Ok(gone)
    }

    fn delete(&mut self, key: &Bytes, changes: Option<&mut Vec<Change>>) -> Result<(), Failure> {
        let removed = self.entries.remove(&key[..]).map_err(failure::of(WHAT))?;
        let stored = removed.as_ref().map(|old| Stored::decode(old.value())).transpose()?;
        let lease = stored.as_ref().and_then(|stored| stored.lease);
        if let Some(changes) = changes {
            let old = stored.map(|stored| stored.entry(key.clone()));
            changes
                .push(Change { event: StoreEvent::Deleted { key: key.clone(), revision: self.head }, old });
        }
        drop(removed);
        self.moved(key, lease, None)
    }

    fn put(&mut self, put: Put, changes: Option<&mut Vec<Change>>) -> Result<(), Failure> {
        let Put { key, value, lease } = put;
        Stored { modified: self.head, lease, value: &value }.encode(&mut self.scratch);
        let replaced = self.entries.insert(&key[..], &self.scratch[..]).map_err(failure::of(WHAT))?;
        let stored = replaced.as_ref().map(|old| Stored::decode(old.value())).transpose()?;
        let lease_before = stored.as_ref().and_then(|stored| stored.lease);
        if let Some(changes) = changes {
            let old = stored.map(|stored| stored.entry(key.clone()));
            let entry = Entry { key: key.clone(), value, modified: self.head, lease };
            changes.push(Change { event: StoreEvent::Put(entry), old });
        }
        drop(replaced);
        self.moved(&key, lease_before, lease)
    }

    /// Whether `puts` are many, and no key exists from their first to their last.
    fn fit_one_gap(&self, puts: &[Put]) -> Result<bool, Failure> {
        let (Some(first), Some(last)) = (puts.first(), puts.last()) else { return Ok(false) };
        if puts.len() < BULK_MIN {
            return Ok(false);
        }
        let mut between =
            self.entries.range::<&[u8]>(&first.key[..]..=&last.key[..]).map_err(failure::of(WHAT))?;
        Ok(between.next().is_none())
    }

    /// Puts what [fits one gap](Self::fit_one_gap).
    fn put_all(&mut self, puts: Vec<Put>, mut changes: Option<&mut Vec<Change>>) -> Result<(), Failure> {
        let start = puts.first().map(|put| put.key.clone()).unwrap_or_default();
        let mut leased = Vec::new();
        let mut gap = self.entries.lower_bound_mut(Bound::Included(&start[..])).map_err(failure::of(WHAT))?;
        for put in puts {
            let Put { key, value, lease } = put;
            Stored { modified: self.head, lease, value: &value }.encode(&mut self.scratch);
            gap.insert_before(&key[..], &self.scratch[..]).map_err(|error| match error {
                CursorError::Storage(error) => failure::of(WHAT)(error),
                error => unreachable!("invariant: sorted puts into a gap are in order: {error}"),
            })?;
            if lease.is_some() {
                leased.push((key.clone(), lease));
            }
            if let Some(changes) = &mut changes {
                let entry = Entry { key, value, modified: self.head, lease };
                changes.push(Change { event: StoreEvent::Put(entry), old: None });
            }
        }
        gap.close().map_err(failure::of(WHAT))?;
        leased.into_iter().try_for_each(|(key, lease)| self.moved(&key, None, lease))
    }

    /// Keeps the table of leased keys right when `key` leaves one lease and comes under another.
    fn moved(&mut self, key: &[u8], old: Option<LeaseId>, new: Option<LeaseId>) -> Result<(), Failure> {
        if old == new {
            return Ok(());
        }
        if let Some(old) = old {
            self.leased()?.remove(&leased(old, key)[..]).map_err(failure::of(WHAT))?;
        }
        if let Some(new) = new {
            self.leased()?.insert(&leased(new, key)[..], ()).map_err(failure::of(WHAT))?;
        }
        Ok(())
    }
}
