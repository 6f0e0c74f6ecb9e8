//! Reading a page of a range from a redb snapshot.

use std::ops::Range;

use bytes::Bytes;
use redb::{Database, ReadOnlyTable, ReadableDatabase, TableError};

use super::failure::{self, Failure};
use super::inner::Inner;
use super::layout::{ENTRIES, Stored};
use super::open::revision;
use crate::store::history::overlaid;
use crate::store::{Entry, KeyRange, LeaseId, RangeOptions, RangeReply, Revision, StoreError};

/// How many bytes of keys and values a page may have before it ends early: a limit in entries alone would let a few
/// large values fill the memory.
const PAGE_BYTES_MAX: usize = 32 << 20;

type Entries = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// So many entries tell how long the others are, about.
const SAMPLE: usize = 64;

const WHAT: &str = "reading entries";

impl Inner {
    /// See [`Store::range`](crate::store::Store::range).
    pub(super) fn range(&self, range: &KeyRange, options: &RangeOptions) -> Result<RangeReply, StoreError> {
        self.with_database(|database| self.read(database, range, options))
            .and_then(|read| read)
            .map_err(|failure| failure.at(self.path()))?
    }

    fn read(
        &self,
        database: &Database,
        range: &KeyRange,
        options: &RangeOptions,
    ) -> Result<Result<RangeReply, StoreError>, Failure> {
        let snapshot = database.begin_read().map_err(failure::of(WHAT))?;
        let head = revision(&snapshot)?;
        let revision = match options.check(head) {
            Ok(revision) => revision,
            Err(error) => return Ok(Err(error)),
        };
        // A commit can be read a moment before it is published; the history must know what the snapshot shows.
        let overlay = match revision < head {
            true => match self.feed_at(head)?.undo(range, revision) {
                Ok(overlay) => overlay,
                Err(error) => return Ok(Err(error)),
            },
            false => Default::default(),
        };
        let table = match snapshot.open_table(ENTRIES) {
            Err(TableError::TableDoesNotExist(_)) => None,
            table => Some(table.map_err(failure::of(WHAT))?),
        };
        let (entries, more) = match table {
            Some(table) if !range.is_empty() && overlay.is_empty() => page(&table, range, options.limit)?,
            Some(table) if !range.is_empty() => {
                let current = table.range::<&[u8]>(range.bounds()).map_err(failure::of(WHAT))?;
                let current = current.map(|entry| {
                    let (key, value) = entry.map_err(failure::of(WHAT))?;
                    Ok(Stored::decode(value.value())?.entry(Bytes::copy_from_slice(key.value())))
                });
                overlaid(current, overlay, options.limit)?
            }
            _ => (Vec::new(), false),
        };
        Ok(Ok(RangeReply { entries, more, revision }))
    }
}

/// The first `limit` entries of `range`. Their keys and values share one buffer, so that a page costs two allocations
/// and not two per entry.
fn page(table: &Entries, range: &KeyRange, limit: usize) -> Result<(Vec<Entry>, bool), Failure> {
    struct Place {
        key: Range<usize>,
        value: Range<usize>,
        modified: Revision,
        lease: Option<LeaseId>,
    }
    let mut buffer = Vec::new();
    let mut places: Vec<Place> = Vec::new();
    let mut more = false;
    for entry in table.range::<&[u8]>(range.bounds()).map_err(failure::of(WHAT))? {
        let (key, value) = entry.map_err(failure::of(WHAT))?;
        if places.len() == limit || buffer.len() >= PAGE_BYTES_MAX {
            more = true;
            break;
        }
        let (key, stored) = (key.value(), Stored::decode(value.value())?);
        let start = buffer.len();
        buffer.extend_from_slice(key);
        let middle = buffer.len();
        buffer.extend_from_slice(stored.value);
        let (key, value) = (start..middle, middle..buffer.len());
        if places.len() == SAMPLE {
            let expected = buffer.len() / SAMPLE * limit.saturating_sub(SAMPLE);
            buffer.reserve(expected.min(PAGE_BYTES_MAX));
        }
        places.push(Place { key, value, modified: stored.modified, lease: stored.lease });
    }
    let buffer = Bytes::from(buffer);
    let entry = |place: Place| Entry {
        key: buffer.slice(place.key),
        value: buffer.slice(place.value),
        modified: place.modified,
        lease: place.lease,
    };
    Ok((places.into_iter().map(entry).collect(), more))
}
