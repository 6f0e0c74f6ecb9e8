//! The manager dies at every commit of a run, before it or after it; its successor finishes the run. Nothing is lost, and
//! nothing is done twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use detc_core::execute::Outcome;
use detc_core::model::{Desired, DesiredResource};
use detc_core::store::memory::MemoryStore;
use detc_core::store::{
    KeyRange, LeaseId, RangeOptions, RangeReply, Revision, Store, StoreError, Transaction, TxnReply, Watch,
};
use serde_json::json;
use tokio::sync::Notify;

use super::world::{World, converge, lines};

/// Where a commit is cut.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    Before,
    After,
}

/// A store whose process dies at one of its commits: the call never returns.
#[derive(Debug)]
struct Dying {
    inner: Arc<dyn Store>,
    left: AtomicU64,
    cut: Cut,
    died: Notify,
}

#[async_trait]
impl Store for Dying {
    async fn range(&self, range: KeyRange, options: RangeOptions) -> Result<RangeReply, StoreError> {
        self.inner.range(range, options).await
    }

    async fn transact(&self, transaction: Transaction) -> Result<TxnReply, StoreError> {
        if self.left.fetch_sub(1, Ordering::SeqCst) != 1 {
            return self.inner.transact(transaction).await;
        }
        if self.cut == Cut::After {
            self.inner.transact(transaction).await?;
        }
        self.died.notify_one();
        std::future::pending().await
    }

    async fn watch(&self, range: KeyRange, from: Revision) -> Result<Watch, StoreError> {
        self.inner.watch(range, from).await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.inner.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<Duration, StoreError> {
        self.inner.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.inner.revoke(lease).await
    }
}

/// Runs until the process dies at commit number `commit`. `false`: it came to its end before that.
async fn dies(world: &World, inner: &Arc<dyn Store>, desired: &Desired, commit: u64, cut: Cut) -> bool {
    let dying =
        Arc::new(Dying { inner: inner.clone(), left: AtomicU64::new(commit), cut, died: Notify::new() });
    let store: Arc<dyn Store> = dying.clone();
    let life = async {
        let manager = world.manager(&store).await;
        converge(&manager, desired).await
    };
    tokio::select! {
        outcome = life => {
            assert_eq!(outcome, Outcome::Done);
            false
        }
        () = dying.died.notified() => true,
    }
}

/// Dies just after commit number `commit`.
pub(crate) async fn die_at_commit(
    world: &World,
    store: &Arc<dyn Store>,
    desired: &Desired,
    commit: u64,
) -> bool {
    dies(world, store, desired, commit, Cut::After).await
}

async fn heals(world: &World, store: &Arc<dyn Store>, desired: &Desired, case: &str) {
    let manager = world.successor(store).await;
    assert_eq!(converge(&manager, desired).await, Outcome::Done, "{case}");
    let mut expected: Vec<String> = desired.resources.keys().map(|id| id.name().to_owned()).collect();
    expected.sort();
    assert_eq!(world.lines().await, expected, "{case}: each line once");
    assert!(manager.plan(desired).await.unwrap().plan.is_settled(), "{case}: there is nothing left to do");
    manager.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_commit_is_resumed_with_nothing_lost_and_nothing_done_twice() {
    let desired = lines(30);
    for cut in [Cut::Before, Cut::After] {
        let mut deaths = 0;
        for commit in 1.. {
            let (world, store) = (World::new(), Arc::new(MemoryStore::new()) as Arc<dyn Store>);
            if !dies(&world, &store, &desired, commit, cut).await {
                break;
            }
            deaths += 1;
            heals(&world, &store, &desired, &format!("cut {cut:?} commit {commit}")).await;
        }
        assert!(deaths > 10, "only {deaths} commits were cut");
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_during_the_recovery_from_a_crash_is_resumed_as_well() {
    let desired = lines(6);
    for first in 3..12 {
        for second in 1.. {
            let (world, store) = (World::new(), Arc::new(MemoryStore::new()) as Arc<dyn Store>);
            let case = format!("cut at commit {first}, and again at {second}");
            if !dies(&world, &store, &desired, first, Cut::After).await {
                break;
            }
            tokio::time::sleep(Duration::from_secs(20)).await;
            if !dies(&world, &store, &desired, second, Cut::Before).await {
                break;
            }
            heals(&world, &store, &desired, &case).await;
        }
    }
}

/// Lines in a chain, the secret of each of which is known when the one before is written.
fn chain(count: usize) -> Desired {
    let mut desired = lines(0);
    for index in 0..count {
        let before = match index {
            0 => json!(null),
            _ => json!({ "from": format!("signed/l{}", index - 1), "output": "letters" }),
        };
        let fields = json!({ "text": format!("l{index}"), "secret": before });
        let line = DesiredResource::from_value("signed", &format!("l{index}"), &fields);
        desired = desired.with(line.unwrap().on("m"));
    }
    desired
}

#[tokio::test(start_paused = true)]
async fn a_manager_whose_apply_was_dropped_goes_on_with_what_that_had_recorded() {
    let desired = chain(4);
    for cut in [Cut::Before, Cut::After] {
        let mut drops = 0;
        for commit in 1.. {
            let (world, inner) = (World::new(), Arc::new(MemoryStore::new()) as Arc<dyn Store>);
            let dying = Arc::new(Dying { inner, left: AtomicU64::new(u64::MAX), cut, died: Notify::new() });
            let manager = world.manager(&(dying.clone() as Arc<dyn Store>)).await;
            dying.left.store(commit, Ordering::SeqCst);
            tokio::select! {
                outcome = converge(&manager, &desired) => {
                    assert_eq!(outcome, Outcome::Done);
                    break;
                }
                () = dying.died.notified() => drops += 1,
            }
            let case = format!("dropped at commit {commit}, {cut:?}");
            assert_eq!(converge(&manager, &desired).await, Outcome::Done, "{case}");
            assert!(manager.plan(&desired).await.unwrap().plan.is_settled(), "{case}");
            assert_eq!(manager.recorded().len(), 4, "{case}");
        }
        assert!(drops > 5, "only {drops} commits were cut");
    }
}
