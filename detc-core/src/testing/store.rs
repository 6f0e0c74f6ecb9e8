//! The conformance suite of [`Store`].
//!
//! ```
//! # use std::sync::Arc;
//! # use detc_core::store::{Store, memory::MemoryStore};
//! # use detc_core::testing::store::store_conformance;
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let outcome = store_conformance(async || Arc::new(MemoryStore::new()) as Arc<dyn Store>).await;
//! assert_eq!(outcome, Ok(()));
//! # }
//! ```
//!
//! Durability is not checked here: only a test that takes the power away can do that.

use super::Violation;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::store::{Revision, Store, StoreError, StoreEvent, Transaction, TxnReply, Watch};

mod leases;
mod ranges;
mod transactions;
mod watches;

/// How long one law may take before the store counts as hung. The slowest wait for a lease to run out: a few seconds,
/// and servers may be late by more than that.
const LAW_TIME_MAX: Duration = Duration::from_secs(120);

/// How long an event that has happened may take to arrive.
const EVENT_TIME_MAX: Duration = Duration::from_secs(20);

/// Checks every law of the contract of [`Store`], each on a new store from `make`.
///
/// The store must be empty and not written by anyone else. Time may be paused when the store runs on tokio's clock;
/// otherwise a run takes about ten seconds.
///
/// # Errors
/// The laws that were broken.
pub async fn store_conformance(make: impl AsyncFn() -> Arc<dyn Store>) -> Result<(), Vec<Violation>> {
    let mut violations = Vec::new();
    for (law, check) in laws() {
        let store = make().await;
        let outcome = timeout(LAW_TIME_MAX, check(store)).await;
        let outcome = outcome.unwrap_or_else(|_| {
            Err(Broken(format!("the store did not come to an answer within {} s", LAW_TIME_MAX.as_secs())))
        });
        if let Err(Broken(what)) = outcome {
            violations.push(Violation { law, detail: what });
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

type Check = fn(Arc<dyn Store>) -> Pin<Box<dyn Future<Output = Checked> + Send>>;

fn laws() -> Vec<(&'static str, Check)> {
    macro_rules! laws {
        ($($law:literal => $check:path,)*) => {
            vec![$(($law, (|store| Box::pin($check(store))) as Check),)*]
        };
    }
    laws![
        "order: keys are compared as bytes, and a range is returned in ascending order" => ranges::order,
        "order: a range goes from its start, included, to its end, excluded" => ranges::bounds,
        "pages: a page says whether the range goes on" => ranges::more,
        "pages: a range is read at one revision while writers go on" => ranges::pages_at_one_revision,
        "revisions: a past revision is read as it was" => ranges::past,
        "revisions: a revision ahead of the store is invalid" => ranges::ahead,
        "revisions: a transaction that writes takes the next revision, and its entries carry it"
            => transactions::next_revision,
        "revisions: a transaction that is refused, or writes nothing, takes none" => transactions::no_revision,
        "atomic: all writes of a transaction happen" => transactions::all_writes,
        "atomic: no reader sees a part of a transaction" => transactions::no_part,
        "atomic: a compare holds or fails as its words say" => transactions::compares,
        "atomic: a conflict says which compare failed on which entry, and nothing happens"
            => transactions::conflict,
        "atomic: two writes to one key in one transaction are refused as invalid" => transactions::twice,
        "atomic: the delete of a range spares what the transaction puts" => transactions::delete_range,
        "atomic: no update is lost between concurrent compare-and-swaps" => transactions::no_lost_update,
        "cancellation: a dropped transaction has happened as a whole or not at all" => transactions::cancelled,
        "watch: each event of the range is delivered once, in revision order, from the past on" => watches::past,
        "watch: each event of the range is delivered once, in revision order, while writers go on"
            => watches::live,
        "watch: only events of the range and from the revision asked for are delivered" => watches::filtered,
        "watch: deleted keys are delivered as deleted" => watches::deleted,
        "leases: revoking deletes what was put under the lease, in one transaction" => leases::revoke,
        "leases: what was put under a lease is deleted in one transaction when its time has run out"
            => leases::expire,
        "leases: a lease does not expire early" => leases::not_early,
        "leases: a lease that is kept alive has its full time again" => leases::keep_alive,
        "leases: a lease that has ended is not found" => leases::ended,
        "leases: an entry follows the lease that it was last put under" => leases::moved,
        "leases: an id is unique for ever" => leases::unique,
    ]
}

/// What the check of a law found.
type Checked = Result<(), Broken>;

/// How a law was broken.
#[derive(Debug)]
struct Broken(String);

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self(format!("the store failed: {error}"))
    }
}

/// Breaks the law unless `holds`.
fn ensure(holds: bool, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Broken(what())) }
}

/// Breaks the law unless the two are equal.
fn same<T: PartialEq + fmt::Debug>(what: &str, found: &T, expected: &T) -> Checked {
    ensure(found == expected, || format!("{what}: expected {expected:?}, found {found:?}"))
}

/// Breaks the law unless the two lists are equal, and shows where they first differ.
fn same_list<T: PartialEq + fmt::Debug>(what: &str, found: &[T], expected: &[T]) -> Checked {
    let longer = found.len().max(expected.len());
    match (0..longer).find(|at| found.get(*at) != expected.get(*at)) {
        None => Ok(()),
        Some(at) => Err(Broken(format!(
            "{what}: number {at} should be {:?}, and is {:?} ({} expected, {} found)",
            expected.get(at),
            found.get(at),
            expected.len(),
            found.len()
        ))),
    }
}

/// Commits a transaction that must not conflict.
async fn commit(store: &dyn Store, transaction: Transaction) -> Result<Revision, Broken> {
    match store.transact(transaction).await? {
        TxnReply::Committed(revision) => Ok(revision),
        TxnReply::Conflict(conflict) => {
            Err(Broken(format!("a transaction whose compares hold was refused: {conflict:?}")))
        }
    }
}

/// The next event of a watch, which must come.
async fn event(watch: &mut Watch) -> Result<StoreEvent, Broken> {
    match timeout(EVENT_TIME_MAX, watch.next()).await {
        Ok(Some(event)) => Ok(event?),
        Ok(None) => Err(Broken("the watch ended".into())),
        Err(_) => Err(Broken(format!("no event came within {} s", EVENT_TIME_MAX.as_secs()))),
    }
}

/// The next `count` events in words, those of one revision in the order of their keys.
async fn events(watch: &mut Watch, count: usize) -> Result<Vec<String>, Broken> {
    let mut events = Vec::with_capacity(count);
    for _ in 0..count {
        let event = event(watch).await?;
        let last = events.last().map_or(Revision(0), StoreEvent::revision);
        ensure(last <= event.revision(), || {
            format!("an event of revision {} came after one of revision {}", event.revision().0, last.0)
        })?;
        events.push(event);
    }
    events.sort_by(|a, b| (a.revision(), a.key()).cmp(&(b.revision(), b.key())));
    Ok(events.iter().map(words).collect())
}

fn words(event: &StoreEvent) -> String {
    match event {
        StoreEvent::Put(entry) => format!("{} put {:?} {:?}", entry.modified.0, entry.key, entry.value),
        StoreEvent::Deleted { key, revision } => format!("{} deleted {key:?}", revision.0),
    }
}
