//! One life of a plan: it is applied, dies at a point, and others go on until there is nothing left to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::Setting;
use super::world::{Thing, World};
use crate::execute::journal::STATE;
use crate::execute::unseen;
use crate::manage::{ManageError, Settlement, lead};
use crate::model::{Digest, Doc, HostName, Observation, Record, RecordBody, ResourceId};
use crate::plan::PlanError;
use crate::store::memory::MemoryStore;
use crate::store::{
    KeyRange, LeaseId, RangeOptions, RangeReply, Revision, Store, StoreError, Transaction, TxnReply, Watch,
    Write, read_all,
};

/// How often it is gone on with before it is given up: what was held back, or found half done, is planned anew.
const ROUNDS_MAX: usize = 6;

/// What a life has come to.
#[derive(Debug)]
pub(super) struct End {
    /// What is there: for each resource what is seen of it, and how often it was made and removed.
    pub(super) world: BTreeMap<ResourceId, (Digest, [u32; 2])>,
    /// What is recorded, as far as it does not tell of runs.
    pub(super) records: BTreeMap<ResourceId, Kept>,
    /// What a person had to settle.
    pub(super) doubts: BTreeSet<ResourceId>,
    /// What went wrong on the way.
    pub(super) violations: BTreeSet<String>,
    /// The points that were passed before it died.
    pub(super) points: Vec<String>,
    /// The plan that was applied.
    pub(super) plan: Digest,
}

/// What a record says: the spec, whether it was there before detc, the id it was made under, and where.
type Kept = (Doc, bool, Option<ResourceId>, Option<HostName>);

/// Lives once, dying at the point of this index.
pub(super) async fn live(setting: &Setting, cut: Option<usize>) -> Result<End, ManageError> {
    let world =
        Arc::new(World::new(setting.things.clone(), setting.watched.clone(), setting.by_record.clone()));
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
    let mut records = BTreeMap::new();
    for entry in read_all(&*below, KeyRange::prefix(STATE)).await?.0 {
        let id: Option<ResourceId> =
            std::str::from_utf8(&entry.key).ok().and_then(|key| key.strip_prefix(STATE)?.parse().ok());
        let body = Record::from_bytes(entry.value).and_then(|record| record.body()).ok();
        records
            .extend(id.zip(body).map(|(id, body)| (id, (body.spec, body.adopted, body.made_as, body.host))));
    }
    let things = state.things.iter().map(|(id, thing)| (id.clone(), (seen(thing), thing.effects)));
    let plan = ended.unwrap_or(setting.plan);
    Ok(End { world: things.collect(), records, doubts, violations, points: state.points, plan })
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
    for (id, record) in manager.doubts() {
        if setting.doubted.contains(&id) {
            continue;
        }
        let body = Record::from_bytes(record).and_then(|record| record.body());
        let body = body.map_err(|source| ManageError::Record { resource: id.to_string(), source })?;
        let identity = body.made_as.clone().unwrap_or_else(|| id.clone());
        let was_done = world.state().things.get(&identity).is_some_and(|thing| thing.was_made(&body));
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

impl Rehearsed {
    /// What is recorded from this transaction on, by the ids that things were made under.
    async fn recorded(&self, transaction: &Transaction) -> Vec<(ResourceId, Option<RecordBody>)> {
        let (mut gone, mut there) = (Vec::new(), Vec::new());
        for write in &transaction.writes {
            match write {
                Write::Put { key, value, .. } => there.extend(body_of(key, value)),
                Write::Delete(key) => {
                    let before = self.below.range(KeyRange::key(key.clone()), RangeOptions::default()).await;
                    let before = before.ok().and_then(|reply| reply.entries.into_iter().next());
                    gone.extend(before.and_then(|entry| body_of(&entry.key, &entry.value)));
                }
                Write::DeleteRange(_) => {}
            }
        }
        gone.retain(|(id, _)| there.iter().all(|(other, _)| other != id));
        let gone = gone.into_iter().map(|(id, _)| (id, None));
        gone.chain(there.into_iter().map(|(id, body)| (id, Some(body)))).collect()
    }
}

/// The id that a thing was made under, and what is recorded of it, if this is a record that it is there.
fn body_of(key: &Bytes, value: &Bytes) -> Option<(ResourceId, RecordBody)> {
    let id: ResourceId = std::str::from_utf8(key).ok()?.strip_prefix(STATE)?.parse().ok()?;
    let record = Record::from_bytes(value.clone()).ok().filter(|record| !record.is_begun())?;
    let body = record.body().ok()?;
    Some((body.made_as.clone().unwrap_or(id), body))
}

#[async_trait]
impl Store for Rehearsed {
    async fn range(&self, range: KeyRange, options: RangeOptions) -> Result<RangeReply, StoreError> {
        self.below.range(range, options).await
    }

    async fn transact(&self, transaction: Transaction) -> Result<TxnReply, StoreError> {
        self.world.point(|| "before a commit".to_owned()).await;
        let recorded = self.recorded(&transaction).await;
        let reply = self.below.transact(transaction).await;
        if let Ok(TxnReply::Committed(_)) = &reply {
            self.world.take_note(recorded);
        }
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
