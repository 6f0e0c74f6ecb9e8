//! One life of a plan: it is applied, dies at a point, and others go on until there is nothing left to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Setting;
use super::world::{Thing, World};
use crate::execute::unseen;
use crate::manage::{ManageError, Settlement, lead};
use crate::model::{Digest, Observation, ResourceId};
use crate::plan::PlanError;
use crate::store::memory::MemoryStore;
use crate::store::{
    KeyRange, LeaseId, RangeOptions, RangeReply, Revision, Store, StoreError, Transaction, TxnReply, Watch,
};

/// How often it is gone on with before it is given up: what was held back, or found half done, is planned anew.
const ROUNDS_MAX: usize = 6;

/// What a life has come to.
#[derive(Debug)]
pub(super) struct End {
    /// What is there: for each resource what is seen of it, and how often it was made and removed.
    pub(super) world: BTreeMap<ResourceId, (Digest, [u32; 2])>,
    /// What a person had to settle.
    pub(super) doubts: BTreeSet<ResourceId>,
    /// What went wrong on the way.
    pub(super) violations: BTreeSet<String>,
    /// The points that were passed before it died.
    pub(super) points: Vec<String>,
    /// The plan that was applied.
    pub(super) plan: Digest,
}

/// Lives once, dying at the point of this index.
pub(super) async fn live(setting: &Setting, cut: Option<usize>) -> Result<End, ManageError> {
    let world = Arc::new(World::new(setting.things.clone(), setting.watched.clone()));
    let below = Arc::new(MemoryStore::new());
    below.transact(Transaction { compares: Vec::new(), writes: setting.records.clone() }).await?;
    let store: Arc<dyn Store> = Arc::new(Rehearsed { below: below.clone(), world: world.clone() });
    let life = async {
        let manager = setting.manager(&store, &world).await?;
        let planned = manager.plan_with(&setting.desired, &setting.selection, &mut unseen()).await?;
        let plan = planned.plan.id;
        world.begin(cut);
        let applied = manager.apply(planned).await?;
        tracing::debug!("rehearsed: {applied}");
        manager.close().await?;
        Ok::<_, ManageError>(plan)
    };
    let ended = tokio::select! {
        biased;
        () = world.death() => None,
        ended = life => Some(ended?),
    };
    world.go_on();
    let mut doubts = BTreeSet::new();
    let rests = go_on(setting, &world, (&store, &below), &mut doubts).await;
    let state = std::mem::take(&mut *world.state());
    let mut violations = state.violations;
    if let Err(why) = rests {
        violations.insert(why);
    }
    let seen = |thing: &Thing| match &thing.seen {
        // Which run it was restarted by differs.
        Observation::Present(present) => {
            Observation::Present(present.clone().with_triggers(None)).fingerprint()
        }
        other => other.fingerprint(),
    };
    let things = state.things.iter().map(|(id, thing)| (id.clone(), (seen(thing), thing.effects)));
    let plan = ended.unwrap_or(setting.plan);
    Ok(End { world: things.collect(), doubts, violations, points: state.points, plan })
}

/// Goes on until there is nothing left to do; an error is why there still is.
async fn go_on(
    setting: &Setting,
    world: &Arc<World>,
    (store, below): (&Arc<dyn Store>, &MemoryStore),
    doubts: &mut BTreeSet<ResourceId>,
) -> Result<(), String> {
    let mut why = String::new();
    for _ in 0..ROUNDS_MAX {
        // The lease of who died has run out.
        let freed = below.transact(Transaction::new().delete(lead::KEY)).await;
        freed.map_err(|error| error.to_string())?;
        match round(setting, world, store, doubts).await {
            Ok(None) => return Ok(()),
            Ok(Some(left)) => why = left,
            Err(error) => why = error.to_string(),
        }
    }
    Err(format!("it comes to no end: {why}"))
}

/// What a process does that is started again. `Some`: why there is something left to do.
async fn round(
    setting: &Setting,
    world: &Arc<World>,
    store: &Arc<dyn Store>,
    doubts: &mut BTreeSet<ResourceId>,
) -> Result<Option<String>, ManageError> {
    let manager = setting.manager(store, world).await?;
    manager.finish_interrupted(Some(&setting.desired)).await?;
    for id in manager.doubts().into_keys() {
        let was_done = world.state().things.get(&id).is_some_and(|thing| thing.effects[0] > 0);
        let found = if was_done { Settlement::Done(id.clone()) } else { Settlement::NotDone(id.clone()) };
        manager.settle(&found).await?;
        doubts.insert(id);
    }
    let planned = match manager.plan_with(&setting.desired, &setting.selection, &mut unseen()).await {
        // Of a part, there is nothing left that it could select.
        Err(ManageError::Plan(PlanError::NoMatch(_))) => None,
        planned => Some(planned?).filter(|planned| !planned.plan.is_empty()),
    };
    let Some(planned) = planned else {
        manager.close().await?;
        return Ok(None);
    };
    let applied = manager.apply(planned).await?;
    manager.close().await?;
    Ok(Some(applied.to_string()))
}

/// A store at each commit of which the process may die, before it or after it.
#[derive(Debug)]
struct Rehearsed {
    below: Arc<MemoryStore>,
    world: Arc<World>,
}

#[async_trait]
impl Store for Rehearsed {
    async fn range(&self, range: KeyRange, options: RangeOptions) -> Result<RangeReply, StoreError> {
        self.below.range(range, options).await
    }

    async fn transact(&self, transaction: Transaction) -> Result<TxnReply, StoreError> {
        self.world.point(|| "before a commit".to_owned()).await;
        let reply = self.below.transact(transaction).await;
        self.world.point(|| "after a commit".to_owned()).await;
        reply
    }

    async fn watch(&self, range: KeyRange, from: Revision) -> Result<Watch, StoreError> {
        self.below.watch(range, from).await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.below.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<Duration, StoreError> {
        self.below.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.below.revoke(lease).await
    }
}
