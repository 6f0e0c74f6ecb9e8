//! Lives of a plan: it is applied, and left where its process dies; others go on from there until nothing is left to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::point::{Point, place};
use super::setting::Setting;
use super::store::{Rehearsed, recorded_id};
use super::thing::{Thing, Things};
use super::touched::Touched;
use super::world::{Copies, Left, Lived, Pace, World};
use crate::execute::journal::STATE;
use crate::execute::unseen;
use crate::manage::{ManageError, Settlement, lead};
use crate::model::{Digest, Doc, HostName, Observation, Record, ResourceId};
use crate::plan::PlanError;
use crate::store::memory::MemoryStore;
use crate::store::{KeyRange, Store, Transaction, read_all};

/// How often it is gone on with before it is given up: what was held back, or found half done, is planned anew.
const ROUNDS_MAX: usize = 6;

/// Of one death so much is told.
const TOLD_MAX: usize = 8;

/// What a life has come to.
#[derive(Debug)]
pub(super) struct End {
    things: Things,
    /// What is recorded, by its key.
    records: BTreeMap<Bytes, Bytes>,
}

/// A life without a death.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) end: End,
    /// The points that it passes, by those that it is at at once.
    pub(super) steps: Vec<Vec<Point>>,
    pub(super) touched: Touched,
    /// What went wrong, and where.
    pub(super) violations: Vec<(String, String)>,
    /// The plan that was applied.
    pub(super) plan: Digest,
}

/// What came of a death.
#[derive(Debug)]
pub(super) struct Death {
    pub(super) step: usize,
    /// At how many points it was.
    pub(super) points: usize,
    /// What a person had to settle.
    pub(super) doubts: BTreeSet<ResourceId>,
    /// What went wrong, and where it died.
    pub(super) violations: Vec<(String, String)>,
}

/// What a record says: the spec, whether it was there before detc, the id it was made under, and where.
type Kept = (Doc, bool, Option<ResourceId>, Option<HostName>);

/// Lives once, at this pace, leaving copies where they are asked for.
pub(super) async fn whole(
    setting: &Setting,
    pace: Pace,
    copies: Option<Copies>,
) -> Result<Whole, ManageError> {
    let below = MemoryStore::new();
    below.transact(Transaction { compares: Vec::new(), writes: setting.records.clone() }).await?;
    let (watched, by_record) = (setting.watched.clone(), setting.by_record.clone());
    let world = Arc::new(World::new(setting.things.clone(), watched, by_record, below));
    let store: Arc<dyn Store> = Arc::new(Rehearsed(world.clone()));
    let life = async {
        let mut manager = setting.manager(&store, &world).await?;
        if pace == Pace::InStep {
            // How many are at work at once is no part of what is proven.
            manager.options.limits =
                manager.options.limits.with_global(AT_ONCE_MAX).with_per_host(AT_ONCE_MAX);
            manager.options.limits.per_label.clear();
        }
        let planned = manager.plan_with(&setting.desired, &setting.selection, &mut unseen()).await?;
        let plan = planned.plan.id;
        world.begin(pace, copies);
        let applied = manager.apply(planned).await?;
        tracing::debug!("rehearsed: {applied}");
        manager.close().await?;
        Ok::<_, ManageError>(plan)
    };
    let plan = tokio::select! {
        biased;
        ended = life => ended,
        never = world.conduct() => match never {},
    };
    world.go_on();
    let plan = plan?;
    let mut doubts = BTreeSet::new();
    let rests = go_on(setting, &world, &store, &mut doubts).await;
    let Lived { things, steps, touched, mut violations } = world.end();
    violations.extend(rests.err().map(|why| (place(&[], None), why)));
    let end = End { things, records: records(&world.store).await? };
    Ok(Whole { end, steps, touched, violations, plan })
}

/// More than any plan has, and than a semaphore can count.
const AT_ONCE_MAX: usize = 1 << 24;

/// Goes on with what one who died has left, and compares what it comes to.
pub(super) async fn go_on_from(setting: &Setting, left: Left, should: &End) -> Result<Death, ManageError> {
    let (world, step, points) = World::left(left, setting.watched.clone(), setting.by_record.clone());
    let world = Arc::new(world);
    let store: Arc<dyn Store> = Arc::new(Rehearsed(world.clone()));
    let mut doubts = BTreeSet::new();
    let rests = go_on(setting, &world, &store, &mut doubts).await;
    let Lived { things, violations, .. } = world.end();
    let end = End { things, records: records(&world.store).await? };
    // Where those are that went wrong on the way is less telling than where it had died.
    let on_the_way = violations.into_iter().map(|(_, what)| what).chain(rests.err());
    let on_the_way = on_the_way.map(|what| (place(&points, None), what));
    let differs = difference(should, &end);
    let differs = differs.take(TOLD_MAX).map(|(id, what)| (place(&points, Some(&id)), what));
    Ok(Death { step, points: points.len(), doubts, violations: on_the_way.chain(differs).collect() })
}

async fn records(store: &MemoryStore) -> Result<BTreeMap<Bytes, Bytes>, ManageError> {
    let entries = read_all(store, KeyRange::prefix(STATE)).await?.0;
    Ok(entries.into_iter().map(|entry| (entry.key, entry.value)).collect())
}

/// How the end of a life differs from the one that it should have.
pub(super) fn difference(should: &End, is: &End) -> impl Iterator<Item = (ResourceId, String)> {
    let both = |a: &End, b: &End| a.records.keys().chain(b.records.keys()).cloned().collect::<BTreeSet<_>>();
    let recorded = both(should, is).into_iter().filter_map(|key| {
        let (a, b) = (should.records.get(&key), is.records.get(&key));
        if a == b || a.and_then(kept) == b.and_then(kept) {
            return None;
        }
        let id = recorded_id(&key)?;
        let what = format!("{id} is recorded otherwise than without the death");
        Some((id, what))
    });
    let ids: BTreeSet<&ResourceId> = should.things.keys().chain(is.things.keys()).collect();
    let things = ids.into_iter().filter_map(|id| {
        let (a, b) = (should.things.get(id), is.things.get(id));
        if a.zip(b).is_some_and(|(a, b)| Arc::ptr_eq(a, b)) {
            return None;
        }
        let nothing = Thing::new(Observation::Absent, None);
        let [a, b] = [a, b].map(|it| it.map_or(&nothing, |it| &**it));
        if a.seen != b.seen && seen(a) != seen(b) {
            return Some((id.clone(), format!("{id} is not as it is without the death")));
        }
        let ([once, _], [made, _]) = (a.effects, b.effects);
        let what = || format!("{id} is made or changed {made} times, and {once} without the death");
        (made != once).then(|| (id.clone(), what()))
    });
    let mut found: Vec<(ResourceId, String)> = recorded.collect();
    found.extend(things);
    found.into_iter()
}

/// What is seen of it; which run it was restarted by differs.
fn seen(thing: &Thing) -> Digest {
    match &thing.seen {
        Observation::Present(present) => {
            Observation::Present(present.clone().with_triggers(None)).fingerprint()
        }
        other => other.fingerprint(),
    }
}

/// What is recorded, as far as it does not tell of runs.
fn kept(record: &Bytes) -> Option<Kept> {
    let body = Record::from_bytes(record.clone()).and_then(|record| record.body()).ok()?;
    Some((body.spec, body.adopted, body.made_as, body.host))
}

/// Goes on until there is nothing left to do; an error is why there still is.
async fn go_on(
    setting: &Setting,
    world: &Arc<World>,
    store: &Arc<dyn Store>,
    doubts: &mut BTreeSet<ResourceId>,
) -> Result<(), String> {
    let mut why = String::new();
    for _ in 0..ROUNDS_MAX {
        // The lease of who died has run out.
        let freed = world.store.transact(Transaction::new().delete(lead::KEY)).await;
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
        let was_done = world.state().thing(&identity).is_some_and(|thing| thing.was_made(&body));
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
