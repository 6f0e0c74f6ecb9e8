//! How the store lies in redb's tables.
//!
//! | table | key | value |
//! |---|---|---|
//! | `entries` | the key | header (16 bytes), then the value |
//! | `leased` | lease (8 bytes, big endian), then the key | nothing |
//! | `leases` | lease | its time to live in milliseconds |
//! | `meta` | `format`, `revision`, `lease_last` | a number |
//!
//! The header is the revision that put the entry and its lease (0: none), 8 bytes each, little endian. A store that
//! was never written has no tables: making one costs no commit.

use std::time::Duration;

use bytes::Bytes;
use redb::TableDefinition;

use super::failure::Failure;
use crate::store::{Entry, LeaseId, Revision};

/// The version of this layout. A store of another version is refused, not guessed at.
pub(super) const FORMAT: u64 = 1;

pub(super) const ENTRIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");
pub(super) const LEASED: TableDefinition<'_, &[u8], ()> = TableDefinition::new("leased");
pub(super) const LEASES: TableDefinition<'_, u64, u64> = TableDefinition::new("leases");
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

pub(super) const META_FORMAT: &str = "format";
pub(super) const META_REVISION: &str = "revision";
pub(super) const META_LEASE_LAST: &str = "lease_last";

const HEADER: usize = 16;

/// A stored value, taken apart.
pub(super) struct Stored<'a> {
    pub(super) modified: Revision,
    pub(super) lease: Option<LeaseId>,
    pub(super) value: &'a [u8],
}

impl<'a> Stored<'a> {
    pub(super) fn decode(stored: &'a [u8]) -> Result<Self, Failure> {
        let damaged = || Failure::Corrupt("an entry has no header".into());
        let (header, value) = stored.split_first_chunk::<HEADER>().ok_or_else(damaged)?;
        let [modified, lease] = [0, 8].map(|at| {
            let mut number = [0; 8];
            number.copy_from_slice(&header[at..at + 8]);
            u64::from_le_bytes(number)
        });
        let lease = (lease != 0).then_some(LeaseId(lease));
        Ok(Self { modified: Revision(modified), lease, value })
    }

    /// The entry, with bytes of its own.
    pub(super) fn entry(&self, key: Bytes) -> Entry {
        let value = Bytes::copy_from_slice(self.value);
        Entry { key, value, modified: self.modified, lease: self.lease }
    }

    /// Writes it over `out`.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.modified.0.to_le_bytes());
        out.extend_from_slice(&self.lease.map_or(0, |lease| lease.0).to_le_bytes());
        out.extend_from_slice(self.value);
    }
}

/// The key of the `leased` table for `key` under `lease`; all keys under one lease lie together.
pub(super) fn leased(lease: LeaseId, key: &[u8]) -> Vec<u8> {
    [&lease.0.to_be_bytes()[..], key].concat()
}

/// The key that a key of the `leased` table speaks of.
pub(super) fn leased_key(leased: &[u8]) -> Bytes {
    Bytes::copy_from_slice(leased.get(8..).unwrap_or_default())
}

/// A time to live as it is stored: rounded up, since a lease may not expire early.
pub(super) fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
