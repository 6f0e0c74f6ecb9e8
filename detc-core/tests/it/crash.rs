//! The manager dies at every commit of a run, before it or after it; its successor finishes the run. Nothing is lost, and
//! nothing is done twice.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use detc_core::execute::Outcome;
use detc_core::manage::{ManageError, Resumed};
use detc_core::model::{Desired, DesiredResource};
use detc_core::store::memory::MemoryStore;
use detc_core::store::{
    KeyRange, LeaseId, RangeOptions, RangeReply, Revision, Store, StoreError, Transaction, TxnReply, Watch,
};
use serde_json::json;
use tokio::sync::Notify;

use super::world::{Line, World, converge, lines};

/// Where a commit is cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cut {
    Before,
    After,
}

/// A store whose process dies at one of its commits: the call never returns.
#[derive(Debug)]
pub(crate) struct Dying {
    inner: Arc<dyn Store>,
    /// At which commit from here on, and where.
    at: Mutex<Option<(u64, Cut)>>,
    died: Notify,
}

impl Dying {
    pub(crate) fn new(inner: &Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self { inner: inner.clone(), at: Mutex::default(), died: Notify::new() })
    }

    /// Lives until commit number `commit` from here on. `None`: it is dead.
    pub(crate) async fn until<T>(&self, commit: u64, cut: Cut, life: impl Future<Output = T>) -> Option<T> {
        *self.at.lock().unwrap() = Some((commit, cut));
        let lived = tokio::select! {
            lived = life => Some(lived),
            () = self.died.notified() => None,
        };
        *self.at.lock().unwrap() = None;
        lived
    }

    /// Where this commit is cut, if it is.
    fn cut(&self) -> Option<Cut> {
        let mut at = self.at.lock().unwrap();
        let (left, cut) = at.as_mut()?;
        *left -= 1;
        if *left > 0 {
            return None;
        }
        let cut = *cut;
        *at = None;
        Some(cut)
    }
}

#[async_trait]
impl Store for Dying {
    async fn range(&self, range: KeyRange, options: RangeOptions) -> Result<RangeReply, StoreError> {
        self.inner.range(range, options).await
    }

    async fn transact(&self, transaction: Transaction) -> Result<TxnReply, StoreError> {
        match self.cut() {
            None => return self.inner.transact(transaction).await,
            Some(Cut::After) => _ = self.inner.transact(transaction).await?,
            Some(Cut::Before) => {}
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
    let dying = Dying::new(inner);
    let store: Arc<dyn Store> = dying.clone();
    let life = async {
        let manager = world.manager(&store).await;
        converge(&manager, desired).await
    };
    let outcome = dying.until(commit, cut, life).await;
    assert!(matches!(outcome, None | Some(Outcome::Done)), "{outcome:?}");
    outcome.is_none()
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
            let dying = Dying::new(&inner);
            let manager = world.manager(&(dying.clone() as Arc<dyn Store>)).await;
            if let Some(outcome) = dying.until(commit, cut, converge(&manager, &desired)).await {
                assert_eq!(outcome, Outcome::Done);
                break;
            }
            drops += 1;
            let case = format!("dropped at commit {commit}, {cut:?}");
            assert_eq!(converge(&manager, &desired).await, Outcome::Done, "{case}");
            assert!(manager.plan(&desired).await.unwrap().plan.is_settled(), "{case}");
            assert_eq!(manager.recorded().len(), 4, "{case}");
        }
        assert!(drops > 5, "only {drops} commits were cut");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_run_is_not_done_by_half_without_the_values_that_it_needs() {
    let secret = Line { secret: Some("correct-horse".to_owned()), ..Line::new("x") };
    let (x, y) =
        (DesiredResource::new("x", &secret).on("m"), DesiredResource::new("y", &Line::new("y")).on("m"));
    let desired = lines(0).with(y.after(&x.id)).with(x.clone());
    let (mut refusals, mut ends) = (0, 0);
    for commit in 1.. {
        let (world, store) = (World::new(), Arc::new(MemoryStore::new()) as Arc<dyn Store>);
        let dying = Dying::new(&store);
        let manager = world.manager(&(dying.clone() as Arc<dyn Store>)).await;
        let planned = manager.plan(&desired).await.unwrap();
        if dying.until(commit, Cut::After, manager.apply(planned)).await.is_some() {
            break;
        }
        drop(manager);
        let manager = world.successor(&store).await;
        let needs = manager.recorded().get(&x.id).is_none_or(|record| record.is_begun());
        match manager.finish_interrupted(None).await {
            Err(ManageError::NotKept(id)) if needs => {
                assert_eq!(id, x.id);
                refusals += 1;
                assert!(matches!(
                    manager.finish_interrupted(Some(&desired)).await.unwrap(),
                    Some(Resumed::Finished(_))
                ));
            }
            Ok(_) if !needs => ends += 1,
            other => panic!("cut at commit {commit}: {other:?}"),
        }
        assert_eq!(world.lines().await, ["x", "y"]);
    }
    assert!(refusals > 1 && ends > 1, "{refusals} refusals, {ends} ends");
}
