//! The jobs of one commit, judged in order, each on the state that the ones before it left.

use std::time::Duration;

use bytes::Bytes;
use redb::{ReadableTable, Table, WriteTransaction};

use super::failure::{self, Failure};
use super::inner::Inner;
use super::layout::{
    ENTRIES, FORMAT, LEASED, LEASES, META, META_FORMAT, META_LEASE_LAST, META_REVISION, Stored, leased,
    leased_key, millis,
};
use super::queue::{Outcome, Work};
use crate::store::history::Changes;
use crate::store::prepared::Prepared;
use crate::store::{Conflict, Entry, LeaseId, Revision, StoreError, Transaction, TxnReply};

const WHAT: &str = "writing";

/// The open tables, and what has been done to them so far.
pub(super) struct Batch<'a> {
    pub(super) inner: &'a Inner,
    txn: &'a WriteTransaction,
    pub(super) entries: Table<'a, &'static [u8], &'static [u8]>,
    meta: Table<'a, &'static str, u64>,
    leased: Option<Table<'a, &'static [u8], ()>>,
    before: Revision,
    pub(super) head: Revision,
    pub(super) kept: Kept,
    /// The leases that are no longer alive, with their times to live, should the commit fail.
    ended: &'a mut Vec<(LeaseId, Duration)>,
    leases_changed: bool,
    pub(super) scratch: Vec<u8>,
}

/// What becomes known when the commit is durable.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) commits: Vec<(Revision, Changes)>,
    pub(super) granted: Vec<(LeaseId, Duration)>,
}

impl<'a> Batch<'a> {
    pub(super) fn open(
        inner: &'a Inner,
        txn: &'a WriteTransaction,
        ended: &'a mut Vec<(LeaseId, Duration)>,
    ) -> Result<Self, Failure> {
        let entries = txn.open_table(ENTRIES).map_err(failure::of(WHAT))?;
        let meta = txn.open_table(META).map_err(failure::of(WHAT))?;
        let head = inner.feed().head();
        Ok(Self {
            inner,
            txn,
            entries,
            meta,
            leased: None,
            before: head,
            head,
            kept: Kept::default(),
            ended,
            leases_changed: false,
            scratch: Vec::new(),
        })
    }

    /// Notes the revision; `None` when there is nothing to commit.
    pub(super) fn finish(mut self) -> Result<Option<Kept>, Failure> {
        if self.head == self.before && !self.leases_changed {
            return Ok(None);
        }
        for (name, number) in [(META_FORMAT, FORMAT), (META_REVISION, self.head.0)] {
            self.meta.insert(name, number).map_err(failure::of(WHAT))?;
        }
        Ok(Some(self.kept))
    }

    pub(super) fn perform(&mut self, work: Work) -> Result<Result<Outcome, StoreError>, Failure> {
        Ok(match work {
            Work::Transact(transaction) => self.transact(transaction)?.map(Outcome::Transacted),
            Work::Grant(ttl) => Ok(Outcome::Granted(self.grant(ttl)?)),
            Work::Revoke(lease) => self.revoke(lease)?.map(|()| Outcome::Ended),
            Work::Expire => {
                let due = self.inner.leases().due();
                for lease in due {
                    // One that has been revoked in the meantime has ended already.
                    let _ = self.revoke(lease)?;
                }
                Ok(Outcome::Ended)
            }
        })
    }

    /// Refuses before it writes: a refused transaction leaves no trace in the commit that others share with it.
    fn transact(&mut self, transaction: Transaction) -> Result<Result<TxnReply, StoreError>, Failure> {
        let Transaction { compares, writes } = transaction;
        let prepared = match Prepared::new(writes) {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Err(error)),
        };
        for (index, compare) in compares.iter().enumerate() {
            let current = self.get(compare.key())?;
            if !compare.holds(current.as_ref()) {
                let conflict = Conflict { compare: index, current, revision: self.head };
                return Ok(Ok(TxnReply::Conflict(conflict)));
            }
        }
        let dead = {
            let leases = self.inner.leases();
            prepared.leases().find(|lease| !leases.contains(*lease))
        };
        if let Some(dead) = dead {
            return Ok(Err(StoreError::LeaseNotFound(dead.0)));
        }
        Ok(Ok(TxnReply::Committed(self.apply(prepared)?)))
    }

    fn grant(&mut self, ttl: Duration) -> Result<LeaseId, Failure> {
        let last = self.meta.get(META_LEASE_LAST).map_err(failure::of(WHAT))?.map_or(0, |last| last.value());
        let lease = LeaseId(last + 1);
        self.meta.insert(META_LEASE_LAST, lease.0).map_err(failure::of(WHAT))?;
        let mut leases = self.txn.open_table(LEASES).map_err(failure::of(WHAT))?;
        leases.insert(lease.0, millis(ttl)).map_err(failure::of(WHAT))?;
        self.leases_changed = true;
        self.kept.granted.push((lease, ttl));
        Ok(lease)
    }

    fn revoke(&mut self, lease: LeaseId) -> Result<Result<(), StoreError>, Failure> {
        // From here on it is not alive: a keep-alive that comes while the commit is synced is too late.
        let Some(ttl) = self.inner.leases().end(lease) else {
            return Ok(Err(StoreError::LeaseNotFound(lease.0)));
        };
        self.ended.push((lease, ttl));
        self.leases_changed = true;
        self.txn.open_table(LEASES).map_err(failure::of(WHAT))?.remove(lease.0).map_err(failure::of(WHAT))?;
        let mut deletes = Vec::new();
        let (start, end) = (leased(lease, &[]), leased(LeaseId(lease.0 + 1), &[]));
        for row in self.leased()?.range(&start[..]..&end[..]).map_err(failure::of(WHAT))? {
            let (row, ()) = row.map(|(row, none)| (row, none.value())).map_err(failure::of(WHAT))?;
            deletes.push(leased_key(row.value()));
        }
        self.apply(Prepared { deletes, ..Prepared::default() })?;
        Ok(Ok(()))
    }

    fn get(&self, key: &Bytes) -> Result<Option<Entry>, Failure> {
        let stored = self.entries.get(&key[..]).map_err(failure::of(WHAT))?;
        stored.map(|stored| Ok(Stored::decode(stored.value())?.entry(key.clone()))).transpose()
    }

    pub(super) fn leased(&mut self) -> Result<&mut Table<'a, &'static [u8], ()>, Failure> {
        Ok(match &mut self.leased {
            Some(table) => table,
            none => none.insert(self.txn.open_table(LEASED).map_err(failure::of(WHAT))?),
        })
    }
}
