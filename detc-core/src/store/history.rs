//! The recent past of a store: what each of its last transactions changed.
//!
//! It serves two readers. A watch that begins in the past is given the events since then. A range at a past revision
//! is the range as it is now with the newer changes undone, newest first:
//!
//! ```text
//!   floor                                  head
//!     |── commit ── commit ── commit ── commit|
//!     readable: floor ..= head     watchable: floor + 1 ..
//! ```
//!
//! The history lives in memory and begins anew with the process: whoever asks for more is told to read again.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::{Entry, KeyRange, Revision, StoreError, StoreEvent};

/// How many events are held. Half of what a watch may lag behind ([`Watch::BACKLOG_MAX`](super::Watch)), so that a
/// watch can always take in the whole history at once and still has room for what comes next.
pub(super) const EVENTS_MAX: usize = 32_768;

/// How many bytes of keys and values are held, old and new ones counted. 8 MiB keep a small process small, and hold
/// the changes of more than ten thousand actions: far more than happens while one reader pages through a range.
pub(super) const BYTES_MAX: usize = 8 << 20;

/// What an event costs beside its bytes: the structures that hold it.
const EVENT_OVERHEAD: usize = 224;

/// One change: what happened, and what was there before.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) event: StoreEvent,
    pub(super) old: Option<Entry>,
}

impl Change {
    fn bytes(&self) -> usize {
        let new = match &self.event {
            StoreEvent::Put(entry) => entry.value.len(),
            StoreEvent::Deleted { .. } => 0,
        };
        let old = self.old.as_ref().map_or(0, |old| old.value.len());
        self.event.key().len() + new + old + EVENT_OVERHEAD
    }
}

/// What a transaction changed, as far as it was written down.
#[derive(Debug)]
pub(super) enum Changes {
    /// All of it.
    Kept(Vec<Change>),
    /// Nothing: it was more than the history can hold, and nobody watched.
    Dropped,
}

/// The last transactions, within bounds.
#[derive(Debug)]
pub(super) struct History {
    commits: VecDeque<Commit>,
    events: usize,
    bytes: usize,
    floor: Revision,
    head: Revision,
}

#[derive(Debug)]
struct Commit {
    revision: Revision,
    changes: Vec<Change>,
    bytes: usize,
}

impl History {
    /// A history that begins at `head`, with nothing known of what came before.
    pub(super) fn begin(head: Revision) -> Self {
        Self { commits: VecDeque::new(), events: 0, bytes: 0, floor: head, head }
    }

    /// The newest revision recorded.
    pub(super) fn head(&self) -> Revision {
        self.head
    }

    /// Whether a transaction of so many events and bytes would be forgotten as soon as it was recorded.
    pub(super) fn outgrown_by(events: usize, bytes: usize) -> bool {
        events > EVENTS_MAX || bytes + events * EVENT_OVERHEAD > BYTES_MAX
    }

    /// Records the transaction that made `revision`, and forgets the oldest ones that no longer fit.
    pub(super) fn record(&mut self, revision: Revision, changes: Changes) {
        self.head = revision;
        let Changes::Kept(changes) = changes else {
            *self = Self::begin(revision);
            return;
        };
        let bytes = changes.iter().map(Change::bytes).sum();
        self.events += changes.len();
        self.bytes += bytes;
        self.commits.push_back(Commit { revision, changes, bytes });
        while self.events > EVENTS_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.commits.pop_front() else { break };
            self.events -= oldest.changes.len();
            self.bytes -= oldest.bytes;
            self.floor = oldest.revision;
        }
    }

    /// What has to be put back over the keys of `range` to read them as they were at `at`: an entry, or its absence.
    ///
    /// It may be laid over any state between `at` and the newest. Cost: linear in the changes since `at`.
    pub(super) fn undo(&self, range: &KeyRange, at: Revision) -> Result<Overlay, StoreError> {
        if at < self.floor {
            return Err(StoreError::Compacted { asked: at.0, oldest: self.floor.0 });
        }
        let mut overlay = Overlay::new();
        for commit in self.commits.iter().rev().take_while(|commit| commit.revision > at) {
            for change in commit.changes.iter().filter(|change| range.contains(change.event.key())) {
                overlay.insert(change.event.key().clone(), change.old.clone());
            }
        }
        Ok(overlay)
    }

    /// The events of `from` and later, oldest first.
    pub(super) fn since(&self, from: Revision) -> Result<impl Iterator<Item = &StoreEvent>, StoreError> {
        // No event has revision 0, so that a watch from there asks for nothing that a watch from 1 does not.
        if from.max(Revision(1)) <= self.floor {
            return Err(StoreError::Compacted { asked: from.0, oldest: self.floor.0 + 1 });
        }
        let first = self.commits.partition_point(|commit| commit.revision < from);
        Ok(self.commits.range(first..).flat_map(|commit| &commit.changes).map(|change| &change.event))
    }
}

/// Entries, and absences of entries, that take the place of what a store holds now.
pub(super) type Overlay = BTreeMap<Bytes, Option<Entry>>;

/// Lays `overlay` over `current`, both in ascending order, and returns the first `limit` entries and whether there
/// are more.
pub(super) fn overlaid<E>(
    current: impl Iterator<Item = Result<Entry, E>>,
    overlay: Overlay,
    limit: usize,
) -> Result<(Vec<Entry>, bool), E> {
    let mut entries = Vec::new();
    let mut current = current.peekable();
    let mut overlay = overlay.into_iter().peekable();
    loop {
        let over = match (current.peek(), overlay.peek()) {
            (None, None) => return Ok((entries, false)),
            (Some(Ok(entry)), Some((key, _))) => *key <= entry.key,
            (Some(_), _) => false,
            (None, Some(_)) => true,
        };
        let next = if over {
            let Some((key, old)) = overlay.next() else { continue };
            current.next_if(|entry| entry.as_ref().is_ok_and(|entry| entry.key == key));
            old
        } else {
            current.next().transpose()?
        };
        if let Some(entry) = next {
            if entries.len() == limit {
                return Ok((entries, true));
            }
            entries.push(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(revision: u64, key: &'static str, value: Vec<u8>, old: Option<Entry>) -> Change {
        let entry = Entry { key: key.into(), value: value.into(), modified: Revision(revision), lease: None };
        Change { event: StoreEvent::Put(entry), old }
    }

    #[test]
    fn a_history_forgets_its_oldest_transactions_when_its_bytes_are_used_up() {
        let mut history = History::begin(Revision(0));
        for revision in 1..=20 {
            let change = put(revision, "k", vec![0; BYTES_MAX / 10], None);
            history.record(Revision(revision), Changes::Kept(vec![change]));
        }
        assert_eq!(history.since(Revision(12)).unwrap().count(), 9);
        assert!(matches!(
            history.since(Revision(11)).err(),
            Some(StoreError::Compacted { asked: 11, oldest: 12 })
        ));
        assert!(history.undo(&KeyRange::all(), Revision(11)).is_ok());
        assert!(matches!(
            history.undo(&KeyRange::all(), Revision(10)),
            Err(StoreError::Compacted { asked: 10, oldest: 11 })
        ));
    }

    #[test]
    fn a_transaction_larger_than_the_history_empties_it() {
        let mut history = History::begin(Revision(0));
        history.record(Revision(1), Changes::Kept(vec![put(1, "k", Vec::new(), None)]));
        history.record(Revision(2), Changes::Dropped);
        assert!(history.since(Revision(2)).is_err());
        assert_eq!(history.since(Revision(3)).unwrap().count(), 0);
        assert!(history.undo(&KeyRange::all(), Revision(2)).unwrap().is_empty());
    }

    #[test]
    fn undoing_goes_back_to_the_oldest_value_after_the_revision() {
        let mut history = History::begin(Revision(0));
        let first = put(1, "k", b"one".to_vec(), None);
        let StoreEvent::Put(one) = first.event.clone() else { panic!("a put") };
        history.record(Revision(1), Changes::Kept(vec![first]));
        let second = put(2, "k", b"two".to_vec(), Some(one.clone()));
        let StoreEvent::Put(two) = second.event.clone() else { panic!("a put") };
        history.record(Revision(2), Changes::Kept(vec![second]));
        history.record(Revision(3), Changes::Kept(vec![put(3, "k", b"three".to_vec(), Some(two))]));
        let overlay = history.undo(&KeyRange::all(), Revision(1)).unwrap();
        assert_eq!(overlay.into_values().collect::<Vec<_>>(), [Some(one)]);
        let overlay = history.undo(&KeyRange::all(), Revision(0)).unwrap();
        assert_eq!(overlay.into_values().collect::<Vec<_>>(), [None]);
    }
}
