//! The conformance suite finds what it is for: each fault is reported as the law that it breaks.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use detc_core::store::memory::MemoryStore;
use detc_core::store::{
    KeyRange, LeaseId, RangeOptions, RangeReply, Revision, Store, StoreError, StoreEvent, Transaction,
    TxnReply, Watch, Write,
};
use detc_core::testing::store::store_conformance;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    LosesTheLastWrite,
    CommitsWritesOneByOne,
    IgnoresCompares,
    BlamesTheFirstCompare,
    TakesOneKeyTwice,
    DeletesWhatItPuts,
    ReversesRanges,
    IncludesTheEnd,
    ForgetsThatThereIsMore,
    ReadsPagesAtTheHead,
    DeliversTwice,
    DeliversOutOfOrder,
    BeginsAWatchTooLate,
    IgnoresLeases,
    ExpiresEarly,
    ForgetsToKeepAlive,
    ReadsAhead,
    CountsWhatWritesNothing,
    MissesTheFirstNewEvent,
    WatchesEverything,
    HidesDeletions,
    KeepsWhatIsRevoked,
    RevokesTwice,
    KeepsTheFirstLease,
    GrantsOneIdForEver,
}

#[derive(Debug)]
struct Broken {
    below: MemoryStore,
    fault: Fault,
    tasks: Mutex<JoinSet<()>>,
    granted: OnceLock<LeaseId>,
}

impl Broken {
    /// The lease that a key is under.
    async fn lease(&self, key: &[u8]) -> Result<Option<LeaseId>, StoreError> {
        let range = KeyRange::key(key.to_vec());
        let reply = self.below.range(range, RangeOptions::default()).await?;
        Ok(reply.entries.first().and_then(|entry| entry.lease))
    }
}

#[async_trait]
impl Store for Broken {
    async fn range(&self, mut range: KeyRange, mut options: RangeOptions) -> Result<RangeReply, StoreError> {
        match self.fault {
            Fault::ReadsPagesAtTheHead => {
                let at = options.at.take();
                let mut reply = self.below.range(range, options).await?;
                reply.revision = at.unwrap_or(reply.revision);
                return Ok(reply);
            }
            Fault::IncludesTheEnd => {
                range.end = range.end.map(|end| [&end[..], b"\0"].concat().into());
            }
            Fault::ReadsAhead => {
                let head = self.below.range(KeyRange::key("none"), RangeOptions::default()).await?.revision;
                options.at = options.at.map(|at| at.min(head));
            }
            _ => {}
        }
        let mut reply = self.below.range(range, options).await?;
        match self.fault {
            Fault::ReversesRanges => reply.entries.reverse(),
            Fault::ForgetsThatThereIsMore => reply.more = false,
            _ => {}
        }
        Ok(reply)
    }

    async fn transact(&self, mut transaction: Transaction) -> Result<TxnReply, StoreError> {
        let writes = &mut transaction.writes;
        match self.fault {
            Fault::LosesTheLastWrite if writes.len() > 1 => drop(writes.pop()),
            Fault::CommitsWritesOneByOne => {
                while writes.len() > 1 {
                    let first = vec![writes.remove(0)];
                    let compares = std::mem::take(&mut transaction.compares);
                    let reply = self.below.transact(Transaction { compares, writes: first }).await?;
                    if matches!(reply, TxnReply::Conflict(_)) {
                        return Ok(reply);
                    }
                    tokio::task::yield_now().await;
                }
            }
            Fault::IgnoresCompares => transaction.compares.clear(),
            Fault::TakesOneKeyTwice => {
                let mut seen = Vec::new();
                writes.retain(|write| match write {
                    Write::Put { key, .. } | Write::Delete(key) => {
                        let new = !seen.contains(key);
                        seen.push(key.clone());
                        new
                    }
                    _ => true,
                });
            }
            Fault::DeletesWhatItPuts => {
                let ranges: Vec<_> = writes
                    .iter()
                    .filter_map(|write| match write {
                        Write::DeleteRange(range) => Some(range.clone()),
                        _ => None,
                    })
                    .collect();
                writes.retain(|write| match write {
                    Write::Put { key, .. } => !ranges.iter().any(|range| range.contains(key)),
                    _ => true,
                });
            }
            Fault::CountsWhatWritesNothing if writes.is_empty() => {
                writes.extend(Transaction::new().put("nothing", "").writes);
            }
            Fault::KeepsTheFirstLease => {
                for write in writes {
                    if let Write::Put { key, lease, .. } = write {
                        *lease = self.lease(key).await?.or(*lease);
                    }
                }
            }
            Fault::IgnoresLeases => {
                for write in writes {
                    if let Write::Put { lease, .. } = write {
                        *lease = None;
                    }
                }
            }
            _ => {}
        }
        let mut reply = self.below.transact(transaction).await?;
        if let (Fault::BlamesTheFirstCompare, TxnReply::Conflict(conflict)) = (self.fault, &mut reply) {
            conflict.compare = 0;
        }
        Ok(reply)
    }

    async fn watch(&self, range: KeyRange, from: Revision) -> Result<Watch, StoreError> {
        let from = match self.fault {
            Fault::BeginsAWatchTooLate => Revision(from.0.max(1) + 1),
            _ => from,
        };
        let range = if self.fault == Fault::WatchesEverything { KeyRange::all() } else { range };
        let head = self.below.range(KeyRange::key("none"), RangeOptions::default()).await?.revision;
        let mut below = self.below.watch(range, from).await?;
        let (sender, receiver) = mpsc::channel(Watch::BACKLOG_MAX);
        let fault = self.fault;
        self.tasks.lock().expect("no test panics with it").spawn(async move {
            let mut held = None;
            while let Some(Ok(event)) = below.next().await {
                let turn = event.revision().0 % 5;
                let mut out = vec![event];
                match fault {
                    Fault::DeliversTwice if turn == 3 => out.push(out[0].clone()),
                    Fault::MissesTheFirstNewEvent if out[0].revision().0 == head.0 + 1 => out.clear(),
                    Fault::HidesDeletions if matches!(out[0], StoreEvent::Deleted { .. }) => out.clear(),
                    Fault::DeliversOutOfOrder if turn == 3 && held.is_none() => held = out.pop(),
                    _ => {}
                }
                if !out.is_empty() {
                    out.extend(held.take());
                }
                for event in out {
                    let _ = sender.send(Ok(event)).await;
                }
            }
        });
        Ok(Watch::new(receiver))
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        let ttl = if self.fault == Fault::ExpiresEarly { ttl / 2 } else { ttl };
        let lease = self.below.grant(ttl).await?;
        let first = *self.granted.get_or_init(|| lease);
        Ok(if self.fault == Fault::GrantsOneIdForEver { first } else { lease })
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<Duration, StoreError> {
        match self.fault {
            Fault::ForgetsToKeepAlive => Ok(Duration::from_secs(2)),
            _ => self.below.keep_alive(lease).await,
        }
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        match self.fault {
            Fault::KeepsWhatIsRevoked => Ok(()),
            Fault::RevokesTwice => match self.below.revoke(lease).await {
                Err(StoreError::LeaseNotFound(_)) => Ok(()),
                other => other,
            },
            _ => self.below.revoke(lease).await,
        }
    }
}

async fn check(fault: Fault, law: &str) {
    let make = async || {
        let tasks = Mutex::new(JoinSet::new());
        Arc::new(Broken { below: MemoryStore::new(), fault, tasks, granted: OnceLock::new() })
            as Arc<dyn Store>
    };
    let violations = store_conformance(make).await.expect_err("a broken store was not found out");
    let found = violations.iter().any(|violation| violation.law.starts_with(law));
    assert!(found, "{fault:?} should break the law \"{law}\", but broke {violations:#?}");
}

#[tokio::test(start_paused = true)]
async fn each_fault_is_reported_as_the_law_that_it_breaks() {
    use Fault::*;
    check(LosesTheLastWrite, "atomic: all writes of a transaction happen").await;
    check(CommitsWritesOneByOne, "atomic: no reader sees a part").await;
    check(CommitsWritesOneByOne, "revisions: a transaction that writes takes the next").await;
    check(IgnoresCompares, "atomic: a compare holds or fails").await;
    check(IgnoresCompares, "atomic: no update is lost").await;
    check(BlamesTheFirstCompare, "atomic: a conflict says which compare failed").await;
    check(TakesOneKeyTwice, "atomic: two writes to one key").await;
    check(DeletesWhatItPuts, "atomic: the delete of a range spares").await;
    check(ReversesRanges, "order: keys are compared as bytes").await;
    check(IncludesTheEnd, "order: a range goes from its start").await;
    check(ForgetsThatThereIsMore, "pages: a page says").await;
    check(ReadsPagesAtTheHead, "pages: a range is read at one revision").await;
    check(ReadsPagesAtTheHead, "revisions: a past revision is read as it was").await;
    check(DeliversTwice, "watch: each event of the range is delivered once").await;
    check(DeliversOutOfOrder, "watch: each event of the range is delivered once").await;
    check(BeginsAWatchTooLate, "watch: each event of the range is delivered once").await;
    check(IgnoresLeases, "leases: what was put under a lease is deleted").await;
    check(ExpiresEarly, "leases: a lease does not expire early").await;
    check(ForgetsToKeepAlive, "leases: a lease that is kept alive").await;
    check(ReadsAhead, "revisions: a revision ahead of the store is invalid").await;
    check(CountsWhatWritesNothing, "revisions: a transaction that is refused, or writes nothing, takes none")
        .await;
    check(CommitsWritesOneByOne, "cancellation: a dropped transaction has happened as a whole or not at all")
        .await;
    check(
        MissesTheFirstNewEvent,
        "watch: each event of the range is delivered once, in revision order, while writers go on",
    )
    .await;
    check(WatchesEverything, "watch: only events of the range and from the revision asked for are delivered")
        .await;
    check(HidesDeletions, "watch: deleted keys are delivered as deleted").await;
    check(KeepsWhatIsRevoked, "leases: revoking deletes what was put under the lease, in one transaction")
        .await;
    check(RevokesTwice, "leases: a lease that has ended is not found").await;
    check(KeepsTheFirstLease, "leases: an entry follows the lease that it was last put under").await;
    check(GrantsOneIdForEver, "leases: an id is unique for ever").await;
}
