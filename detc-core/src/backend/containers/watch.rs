//! When to look again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::ObjectRef;

/// What to look at again. It says nothing of what happened: that is seen by looking.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Again {
    /// At this object, by its id or name.
    One(ObjectRef),
    /// At everything: something may have been missed.
    Everything,
}

/// How many objects a watch holds that nobody has looked at again yet, before it says "everything": whoever is this far behind does
/// better with one listing.
const OBJECTS_MAX: usize = 4096;

/// Tells when to look again. Dropping it ends it.
#[derive(Debug)]
pub struct Watch(Arc<Shared>);

/// The other end of a [`Watch`]: what a backend tells. Dropping it ends the watch once all was told.
#[derive(Debug)]
pub struct Notifier(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    due: Mutex<Due>,
    /// For the watch: something is due, or nothing more will be.
    told: Notify,
    /// For the backend: nobody watches any more.
    left: Notify,
}

#[derive(Debug, Default)]
struct Due {
    everything: bool,
    objects: BTreeSet<ObjectRef>,
    has_ended: bool,
    is_left: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// A watch, and what tells it.
    pub fn new() -> (Notifier, Self) {
        let shared = Arc::<Shared>::default();
        (Notifier(shared.clone()), Self(shared))
    }

    /// Waits for what to look at again; `None` when its backend is gone. What was told more than once before it was asked for is
    /// told once.
    ///
    /// Cancellation: a dropped call loses nothing.
    pub async fn next(&mut self) -> Option<Again> {
        loop {
            {
                let mut due = self.0.lock();
                if std::mem::take(&mut due.everything) {
                    return Some(Again::Everything);
                }
                if let Some(object) = due.objects.pop_first() {
                    return Some(Again::One(object));
                }
                if due.has_ended {
                    return None;
                }
            }
            // One permit is kept when nobody waits yet, so nothing is missed between the look above and the wait.
            self.0.told.notified().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.lock().is_left = true;
        self.0.left.notify_one();
    }
}

impl Notifier {
    /// Tells to look again.
    pub fn tell(&self, again: Again) {
        let mut due = self.0.lock();
        match again {
            Again::One(object) if !due.everything => {
                due.objects.insert(object);
                due.everything = due.objects.len() > OBJECTS_MAX;
            }
            Again::One(_) => {}
            Again::Everything => due.everything = true,
        }
        if due.everything {
            due.objects.clear();
        }
        drop(due);
        self.0.told.notify_one();
    }

    /// Whether nobody watches any more.
    pub fn is_left(&self) -> bool {
        self.0.lock().is_left
    }

    /// Returns when nobody watches any more.
    pub async fn left(&self) {
        while !self.is_left() {
            self.0.left.notified().await;
        }
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.0.lock().has_ended = true;
        self.0.told.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_told_is_merged_and_nothing_is_lost() {
        let (notifier, mut watch) = Watch::new();
        let one = |name: &str| Again::One(ObjectRef::container(name));
        for name in ["b", "a", "b"] {
            notifier.tell(one(name));
        }
        assert_eq!(watch.next().await, Some(one("a")));
        assert_eq!(watch.next().await, Some(one("b")));
        notifier.tell(one("c"));
        notifier.tell(Again::Everything);
        notifier.tell(one("d"));
        assert_eq!(watch.next().await, Some(Again::Everything));
        for count in 0..=OBJECTS_MAX {
            notifier.tell(one(&count.to_string()));
        }
        assert_eq!(watch.next().await, Some(Again::Everything));
        notifier.tell(one("last"));
        assert!(!notifier.is_left());
        drop(notifier);
        assert_eq!((watch.next().await, watch.next().await), (Some(one("last")), None));
    }

    #[tokio::test]
    async fn one_who_waits_is_woken_and_one_who_left_is_noticed() {
        let (notifier, mut watch) = Watch::new();
        let tell = async {
            tokio::task::yield_now().await;
            notifier.tell(Again::Everything);
        };
        assert_eq!(tokio::join!(watch.next(), tell).0, Some(Again::Everything));
        let leave = async {
            tokio::task::yield_now().await;
            drop(watch);
        };
        tokio::join!(notifier.left(), leave);
        assert!(notifier.is_left());
    }
}
