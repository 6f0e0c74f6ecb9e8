//! A transaction's writes, checked and put in the order in which a store applies them.
//!
//! The writes of a transaction touch different keys, so that their order does not matter to the outcome. Stores apply
//! deletes first and puts in the order of their keys: that is the order in which a tree takes a million of them best.

use bytes::Bytes;

use super::{KeyRange, LeaseId, StoreError, Write};

/// How large a key and its value may be together. Far above what state and journals hold, and below the sizes at
/// which stores on disk have limits of their own: a mistake is refused here, not half-way through a commit.
const ENTRY_BYTES_MAX: usize = 1 << 30;

/// The writes of one transaction.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// In ascending order of their keys.
    pub(super) puts: Vec<Put>,
    /// In ascending order.
    pub(super) deletes: Vec<Bytes>,
    pub(super) ranges: Vec<KeyRange>,
    /// The bytes of all keys and values put.
    pub(super) bytes: usize,
}

/// See [`Write::Put`].
#[derive(Debug)]
pub(super) struct Put {
    pub(super) key: Bytes,
    pub(super) value: Bytes,
    pub(super) lease: Option<LeaseId>,
}

impl Prepared {
    /// Checks and sorts `writes`.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when two of them write one key, or one is too large. Ranges may overlap with deletes and
    /// with each other: there is no doubt about what is meant.
    pub(super) fn new(writes: Vec<Write>) -> Result<Self, StoreError> {
        let mut prepared = Self::default();
        for write in writes {
            match write {
                Write::Put { key, value, lease } => {
                    let bytes = key.len().saturating_add(value.len());
                    if bytes > ENTRY_BYTES_MAX {
                        let key = key.slice(..key.len().min(64));
                        return Err(StoreError::Invalid(format!(
                            "the entry {key:?} has {bytes} bytes, more than the {ENTRY_BYTES_MAX} it may have"
                        )));
                    }
                    prepared.bytes += bytes;
                    prepared.puts.push(Put { key, value, lease });
                }
                Write::Delete(key) => prepared.deletes.push(key),
                Write::DeleteRange(range) => prepared.ranges.push(range),
            }
        }
        prepared.puts.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        prepared.deletes.sort_unstable();
        let twice = prepared.puts.windows(2).find(|pair| pair[0].key == pair[1].key).map(|pair| &pair[0].key);
        let twice = twice
            .or_else(|| prepared.deletes.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| &pair[0]));
        let twice = twice.or_else(|| prepared.deletes.iter().find(|key| prepared.puts_key(key)));
        match twice {
            Some(key) => {
                Err(StoreError::Invalid(format!("the key {key:?} is written twice in one transaction")))
            }
            None => Ok(prepared),
        }
    }

    /// Whether one of the puts sets `key`.
    pub(super) fn puts_key(&self, key: &[u8]) -> bool {
        self.puts.binary_search_by(|put| put.key[..].cmp(key)).is_ok()
    }

    /// The leases that the puts name, each once or more.
    pub(super) fn leases(&self) -> impl Iterator<Item = LeaseId> {
        self.puts.iter().filter_map(|put| put.lease)
    }
}
