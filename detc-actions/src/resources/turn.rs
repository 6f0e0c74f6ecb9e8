//! Turns: what is read, changed and written back as a whole is worked on by one at a time.
//!
//! Several resources may each own a part of one thing: lines of a file, accounts of one host, packages of one database. The
//! plan lets them go on at once, as they are in nobody's way; what they have in common takes turns here. It holds within this
//! process. Beyond it only one manager leads a store, and programs that are not detc have locks of their own, or none.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use detc_core::backend::Host;
use tokio::sync::OwnedMutexGuard;

/// One thing of one host.
type Key = (String, String);

/// Who waits for what, in this process. Hosts of two managers that have one name share turns, which costs only time.
static TURNS: Mutex<BTreeMap<Key, Weak<tokio::sync::Mutex<()>>>> = Mutex::new(BTreeMap::new());

/// Waits until nobody else works on `thing` of `host`, and keeps others waiting until what it returns is dropped.
///
/// It is held while its holder waits for the host: that is what it is for. A holder takes no second one.
pub(super) async fn turn(host: &dyn Host, thing: &str) -> OwnedMutexGuard<()> {
    let lock = {
        let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, lock| lock.strong_count() > 0);
        let key = (host.to_string(), thing.to_owned());
        let known = turns.get(&key).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let lock = Arc::new(tokio::sync::Mutex::new(()));
            turns.insert(key, Arc::downgrade(&lock));
            lock
        })
    };
    lock.lock_owned().await
}

#[cfg(test)]
mod tests {
    use detc_core::backend::MemoryHost;

    use super::*;

    #[tokio::test]
    async fn one_thing_is_worked_on_by_one_at_a_time_and_others_are_not_kept_waiting() {
        let (host, other) = (MemoryHost::new("turns"), MemoryHost::new("turns elsewhere"));
        let first = turn(&host, "/a").await;
        _ = turn(&host, "/b").await;
        _ = turn(&other, "/a").await;
        let mut second = Box::pin(turn(&host, "/a"));
        assert!(by_now(&mut second).await.is_none());
        drop(first);
        drop(second.await);
    }

    /// What a future has by now.
    async fn by_now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            done = future => Some(done),
            () = std::future::ready(()) => None,
        }
    }
}
