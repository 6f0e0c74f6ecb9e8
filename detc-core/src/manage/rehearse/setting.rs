//! What each life of a rehearsal begins with: the records, what was seen, and what stands for it in the simulated world.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use super::stand_in::{Nowhere, StandIn};
use super::thing::{Counted, Thing, Things};
use super::world::{Watched, World, value};
use crate::action::CrashClass;
use crate::execute::Outcome;
use crate::execute::journal::{self, DOUBT, TRIED, state_key};
use crate::manage::begun::RUNS_MAX;
use crate::manage::{ManageError, Manager, ManagerOptions, Planned, identity, records};
use crate::model::{
    Desired, DesiredResource, Health, Invariant, InvariantBound, Observation, ResourceId, Set,
};
use crate::plan::{Observed, Plan, Selection};
use crate::resource::{Kind, Known, ObservedBy, Registry};
use crate::store::{KeyRange, Store, Write, read_all};

/// What each life begins with.
pub(super) struct Setting {
    registry: Registry,
    options: ManagerOptions,
    pub(super) desired: Arc<Desired>,
    pub(super) selection: Selection,
    pub(super) records: Vec<Write>,
    pub(super) things: Things,
    pub(super) watched: Arc<[Watched]>,
    /// The kinds of which only the record tells.
    pub(super) by_record: Arc<BTreeSet<&'static str>>,
    /// What was in doubt before.
    pub(super) doubted: BTreeSet<ResourceId>,
    pub(super) plan: Arc<Plan>,
}

impl Setting {
    /// A manager in this world.
    pub(super) async fn manager(
        &self,
        store: &Arc<dyn Store>,
        world: &Arc<World>,
    ) -> Result<Manager, ManageError> {
        let stand_in = |kind: &Arc<dyn Kind>| {
            let (kind, world, desired) = (kind.clone(), world.clone(), self.desired.clone());
            Arc::new(StandIn { kind, world, desired }) as Arc<dyn Kind>
        };
        let registry = self.registry.standing_in(stand_in, Nowhere);
        Manager::open(store.clone(), registry, self.options.clone()).await
    }
}

impl Manager {
    pub(super) async fn setting(
        &self,
        planned: &Planned,
        seen: &Observed,
        desired: &Desired,
        selection: &Selection,
    ) -> Result<Setting, ManageError> {
        let recorded = &planned.around.recorded;
        let mut records = vec![identity::put(&self.scope, &self.key)];
        records.push(records::put_hosts(&records::hosts(&*self.store).await?));
        let put = |key: bytes::Bytes, value: bytes::Bytes| Write::Put { key, value, lease: None };
        records.extend(recorded.iter().map(|(id, record)| put(state_key(id), record.as_bytes().clone())));
        for prefix in [DOUBT, TRIED] {
            let (entries, _) = read_all(&*self.store, KeyRange::prefix(prefix)).await?;
            records.extend(entries.into_iter().map(|entry| put(entry.key, entry.value)));
        }
        let mut options = self.options.clone();
        options.holder = "a rehearsal".to_owned();
        options.retry = options.retry.with_delays(std::time::Duration::ZERO, std::time::Duration::ZERO);
        let heads = journal::heads(&*self.store).await?;
        for head in heads.iter().rev().take(RUNS_MAX).filter(|head| head.outcome != Some(Outcome::Done)) {
            // It tells what may be half done.
            records.extend(journal::details(&*self.store, head.number).await?);
        }
        for mut head in heads {
            // One that was interrupted is gone on with, or given up, before the plan.
            let ended = head.outcome.filter(|outcome| *outcome != Outcome::Interrupted);
            head.outcome = ended.or(Some(Outcome::Superseded));
            records.push(journal::put_head(&head));
        }
        let half_done = self.half_done_for(!planned.plan.proofs.is_empty()).await?;
        let things = self.things((planned, seen), desired, &half_done)?;
        let watched = planned.plan.proofs.iter().map(|proved| {
            let bound = match proved.invariant.bound {
                InvariantBound::AtLeast(bound) => bound.min(proved.base),
                InvariantBound::AtMost(bound) => bound.max(proved.base),
            };
            watch(&things, &proved.invariant, (proved.worst, bound, proved.base))
        });
        Ok(Setting {
            registry: self.registry.clone(),
            options,
            desired: Arc::new(desired.clone()),
            selection: selection.clone(),
            records,
            watched: watched.collect(),
            things,
            by_record: Arc::new(self.kinds_by_record().collect()),
            doubted: self.doubts().into_keys().collect(),
            plan: planned.plan.clone(),
        })
    }

    fn kinds_by_record(&self) -> impl Iterator<Item = &'static str> {
        let is_by_record = |name: &&'static str| {
            let kind = self.registry.kind(name);
            kind.is_some_and(|kind| kind.facts().traits.observed_by == ObservedBy::Record)
        };
        self.registry.kind_names().filter(is_by_record)
    }

    /// What stands for all that was seen, and for what only its record tells of.
    fn things(
        &self,
        (planned, seen): (&Planned, &Observed),
        desired: &Desired,
        half_done: &Set<ResourceId>,
    ) -> Result<Things, ManageError> {
        let recorded = &planned.around.recorded;
        let vault = planned.around.vault.lock().unwrap_or_else(PoisonError::into_inner);
        let mut things = BTreeMap::new();
        for (id, observation) in seen {
            let resource = desired.resources.get(id);
            let earlier = resource.and_then(|resource| resource.extra().renamed_from.as_ref());
            let known = [Some(id), earlier].into_iter().flatten().find(|id| recorded.contains_key(*id));
            let body = known.map(|known| self.body_as(known, id)).transpose()?.flatten();
            let identity = body.as_ref().and_then(|body| body.made_as.clone()).unwrap_or_else(|| id.clone());
            let counted = body.as_ref().filter(|_| is_there(observation)).map(Counted::of);
            let mut observation = observation.clone();
            if let Observation::Present(present) = &mut observation {
                // As the world has them: it knows of no marks.
                present
                    .fields
                    .values_mut()
                    .chain(&mut present.output)
                    .for_each(|it| vault.open_or_make_up(it));
            }
            let mut thing = Thing::new(observation, counted);
            thing.is_blind = match &thing.seen {
                Observation::Unobservable => true,
                // It was not looked at: where it is to be depends on what others are.
                Observation::Absent if body.is_none() => {
                    resource.is_some_and(|it| self.is_blind_and_late(it))
                }
                _ => false,
            };
            thing.is_doubtful = match &thing.seen {
                Observation::Present(present) => !matches!(present.health, Health::Healthy | Health::None),
                Observation::Unobservable => known.is_some_and(|known| half_done.contains(known)),
                Observation::Absent | Observation::Needed(_) | Observation::Unknown(_) => false,
            };
            things.insert(identity, Arc::new(thing));
        }
        let by_record: BTreeSet<&str> = self.kinds_by_record().collect();
        for id in recorded.keys().filter(|id| by_record.contains(id.kind())) {
            let Some(body) = self.body(id)? else { continue };
            let identity = body.made_as.clone().unwrap_or_else(|| id.clone());
            let thing = Thing::new(Observation::Unobservable, Some(Counted::of(&body)));
            things.insert(identity, Arc::new(thing));
        }
        Ok(things)
    }

    fn is_blind_and_late(&self, resource: &DesiredResource) -> bool {
        let Some(kind) = self.registry.kind(resource.id.kind()) else { return false };
        !resource.references.is_empty()
            && kind.facts().traits.observed_by == ObservedBy::Backend
            && kind.inspect(&resource.spec, Known::SomeLater).is_ok_and(|footprint| {
                matches!(footprint.crash, CrashClass::AtMostOnce | CrashClass::IdempotencyKey)
            })
    }
}

fn is_there(seen: &Observation) -> bool {
    match seen {
        Observation::Present(_) | Observation::Unobservable => true,
        Observation::Absent | Observation::Needed(_) | Observation::Unknown(_) => false,
    }
}

/// An invariant that begins with this base, whatever of it is in the world.
fn watch(things: &Things, invariant: &Invariant, (worst, bound, base): (i64, i64, i64)) -> Watched {
    let mut watched = Watched { invariant: invariant.clone(), worst, bound, besides: 0 };
    watched.besides = base.saturating_sub(value(things, &watched));
    watched
}
