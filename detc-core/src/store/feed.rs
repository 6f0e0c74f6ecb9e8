//! How a committed transaction becomes visible: it enters the history and goes out to the watches.
//!
//! Both stores keep one [`Feed`] behind a lock. Because a new watch takes its past from the history and joins the live
//! ones under that same lock, no event can fall between the two or come twice.

use tokio::sync::mpsc;

use super::history::{Change, Changes, History, Overlay};
use super::{KeyRange, Revision, StoreError, StoreEvent, Watch};

/// The history of a store, and those who watch it.
#[derive(Debug)]
pub(super) struct Feed {
    history: History,
    live: Vec<Live>,
}

/// A watch that has been given everything up to the head of the history.
#[derive(Debug)]
struct Live {
    range: KeyRange,
    from: Revision,
    events: mpsc::Sender<Result<StoreEvent, StoreError>>,
}

/// What is to become of a watch.
#[derive(PartialEq)]
enum Fate {
    GoesOn,
    Ended,
}

impl Feed {
    pub(super) fn begin(head: Revision) -> Self {
        Self { history: History::begin(head), live: Vec::new() }
    }

    /// The newest revision that was published.
    pub(super) fn head(&self) -> Revision {
        self.history.head()
    }

    /// Whether anyone will read the changes of a transaction of so many events and bytes. When not, its writer may
    /// spare itself from collecting them and publish [`Changes::Dropped`].
    pub(super) fn wants(&self, events: usize, bytes: usize) -> bool {
        !self.live.is_empty() || !History::outgrown_by(events, bytes)
    }

    /// Makes the transaction of `revision` known.
    pub(super) fn publish(&mut self, revision: Revision, changes: Changes) {
        match &changes {
            Changes::Kept(kept) => self.live.retain(|watch| watch.deliver(kept) == Fate::GoesOn),
            Changes::Dropped => self.live.retain(|watch| {
                let missed = watch.from <= revision;
                if missed {
                    watch.end(revision);
                }
                !missed
            }),
        }
        self.history.record(revision, changes);
    }

    /// See [`Store::watch`](super::Store::watch).
    pub(super) fn watch(&mut self, range: KeyRange, from: Revision) -> Result<Watch, StoreError> {
        self.live.retain(|watch| !watch.events.is_closed());
        // One more than promised: the last place is kept for the error that ends the watch.
        let (events, receiver) = mpsc::channel(Watch::BACKLOG_MAX + 1);
        let watch = Live { range, from, events };
        for event in self.history.since(from)?.filter(|event| watch.range.contains(event.key())) {
            if watch.send(event) == Fate::Ended {
                return Ok(Watch::new(receiver));
            }
        }
        self.live.push(watch);
        Ok(Watch::new(receiver))
    }

    /// What to lay over `range` to read it as it was at `at`; `None` stands for the newest.
    pub(super) fn undo(&self, range: &KeyRange, at: Revision) -> Result<Overlay, StoreError> {
        self.history.undo(range, at)
    }
}

impl Live {
    fn deliver(&self, changes: &[Change]) -> Fate {
        if self.events.is_closed() {
            return Fate::Ended;
        }
        let mine = changes
            .iter()
            .map(|change| &change.event)
            .filter(|event| event.revision() >= self.from && self.range.contains(event.key()));
        for event in mine {
            if self.send(event) == Fate::Ended {
                return Fate::Ended;
            }
        }
        Fate::GoesOn
    }

    fn send(&self, event: &StoreEvent) -> Fate {
        if self.events.capacity() <= 1 {
            self.end(event.revision());
            return Fate::Ended;
        }
        match self.events.try_send(Ok(event.clone())) {
            Ok(()) => Fate::GoesOn,
            Err(_) => Fate::Ended,
        }
    }

    /// Ends the watch because it can not be given the events of `missed`.
    fn end(&self, missed: Revision) {
        let error = StoreError::Compacted { asked: missed.0, oldest: missed.0 + 1 };
        // A receiver that has gone needs no error.
        let _ = self.events.try_send(Err(error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Entry;

    fn puts(revision: u64, count: usize) -> Changes {
        let put = |n: usize| {
            let key = n.to_be_bytes().to_vec().into();
            let entry = Entry { key, value: "v".into(), modified: Revision(revision), lease: None };
            Change { event: StoreEvent::Put(entry), old: None }
        };
        Changes::Kept((0..count).map(put).collect())
    }

    #[tokio::test]
    async fn a_watch_that_lags_too_far_is_ended_after_what_it_was_given() {
        let mut feed = Feed::begin(Revision(0));
        let mut watch = feed.watch(KeyRange::all(), Revision(0)).unwrap();
        feed.publish(Revision(1), puts(1, Watch::BACKLOG_MAX));
        feed.publish(Revision(2), puts(2, 1));
        for _ in 0..Watch::BACKLOG_MAX {
            assert_eq!(watch.next().await.unwrap().unwrap().revision(), Revision(1));
        }
        assert!(matches!(watch.next().await, Some(Err(StoreError::Compacted { asked: 2, .. }))));
        assert!(watch.next().await.is_none());
    }

    #[tokio::test]
    async fn a_watch_is_told_when_a_transaction_was_not_written_down() {
        let mut feed = Feed::begin(Revision(0));
        let mut concerned = feed.watch(KeyRange::all(), Revision(1)).unwrap();
        let mut later = feed.watch(KeyRange::all(), Revision(2)).unwrap();
        feed.publish(Revision(1), Changes::Dropped);
        feed.publish(Revision(2), puts(2, 1));
        assert!(matches!(concerned.next().await, Some(Err(StoreError::Compacted { .. }))));
        assert_eq!(later.next().await.unwrap().unwrap().revision(), Revision(2));
    }

    #[test]
    fn a_dropped_watch_is_forgotten() {
        let mut feed = Feed::begin(Revision(0));
        drop(feed.watch(KeyRange::all(), Revision(1)).unwrap());
        feed.publish(Revision(1), puts(1, 1));
        assert!(!feed.wants(usize::MAX >> 16, 0));
    }
}
