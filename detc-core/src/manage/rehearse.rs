//! The rehearsal of a plan: it is applied in a simulated world, again and again, and dies at another point each time.
//!
//! ```text
//!   Planned ─▶ records, what was seen ─▶ world ─ apply ─▶ end     (once, without a death: its points are counted)
//!                                          └─── apply ✝ ─▶ others go on ─▶ the same end, each effect once
//! ```
//!
//! The manager, the driver, the engine and the journal are the real ones; the store is in memory; each kind is stood in for by
//! one that keeps what the kind declares (its footprint, how its outcome is found out, what a change does to it). The points
//! are, for each action that has an effect, just before it, in the midst of it, and when it is done and not recorded; and before and
//! after each commit: when it is recorded and nobody was told.
//!
//! What goes on after a death knows the journal and what a look tells. So of all orders in which independent actions can be
//! under way one is enough, as long as each of them is met at each of its points: that of this plan under the manager's limits,
//! with everything in flight at once that can be.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use self::life::{End, live};
use self::stand_in::{Nowhere, StandIn};
use self::world::{Counted, Thing, Watched, World};
use super::{ManageError, Manager, ManagerOptions, Planned, identity, records};
use crate::action::CrashClass;
use crate::execute::Outcome;
use crate::execute::journal::{self, DOUBT, TRIED, state_key};
use crate::model::{Desired, Digest, Health, Invariant, InvariantBound, Observation, ResourceId};
use crate::plan::{Observed, Random, Selection};
use crate::resource::{ObservedBy, Registry};
use crate::store::{KeyRange, Store, StoreError, Write, read_all};

mod life;
mod stand_in;
#[cfg(test)]
mod tests;
mod world;

/// How much of a plan is rehearsed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RehearsalOptions {
    /// How many deaths are tried. Default 2,000: all of a plan of some 300 actions, in seconds.
    pub deaths_max: usize,
    /// How many resources are gone through for that, in all: what is desired, recorded and done, once for each death. Default
    /// four million, so that of a large cluster some hundred deaths are tried and not thousands.
    pub work_max: usize,
    /// Where deaths are drawn from, where not all are tried. Default 1.
    pub seed: u64,
}

impl Default for RehearsalOptions {
    fn default() -> Self {
        Self { deaths_max: 2_000, work_max: 4_000_000, seed: 1 }
    }
}

impl RehearsalOptions {
    /// Sets how many deaths are tried.
    #[must_use]
    pub fn with_deaths_max(mut self, deaths: usize) -> Self {
        self.deaths_max = deaths;
        self
    }

    /// Sets how many resources are gone through in all.
    #[must_use]
    pub fn with_work_max(mut self, work: usize) -> Self {
        self.work_max = work;
        self
    }

    /// Sets where deaths are drawn from.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// What a rehearsal has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rehearsal {
    /// How many deaths were tried.
    pub deaths: usize,
    /// How many points there are to die at.
    pub points: usize,
    /// Where the deaths were drawn from; `None`: all were tried.
    pub seed: Option<u64>,
    /// What went wrong, by the point of the death, in words.
    pub violations: Vec<(String, String)>,
    /// The resources about which a person has to be asked, if the process dies at the wrong moment.
    pub doubts: BTreeSet<ResourceId>,
}

/// In words, a line for each thing to be known.
impl Display for Rehearsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rehearsed: {} of {} points to die at", self.deaths, self.points)?;
        if let Some(seed) = self.seed {
            write!(f, ", drawn from seed {seed}")?;
        }
        match self.violations.first() {
            None => f.write_str(
                "; from each it goes on, to the same end, with nothing lost and nothing doubled.",
            )?,
            Some((point, what)) => {
                write!(f, "; {} go wrong. First, when it dies {point}: {what}.", self.violations.len())?;
            }
        }
        if !self.doubts.is_empty() {
            const SHOWN_MAX: usize = 5;
            let mut ids: Vec<&str> = self.doubts.iter().take(SHOWN_MAX).map(ResourceId::as_str).collect();
            let more = format!("{} more", self.doubts.len().saturating_sub(SHOWN_MAX));
            ids.extend((self.doubts.len() > SHOWN_MAX).then_some(more.as_str()));
            write!(
                f,
                "\nWhen it dies in the midst of one of these, a person has to find out whether it was done: {}.",
                ids.join(", ")
            )?;
        }
        Ok(())
    }
}

/// What each life begins with.
struct Setting {
    registry: Registry,
    options: ManagerOptions,
    desired: Arc<Desired>,
    selection: Selection,
    records: Vec<Write>,
    things: BTreeMap<ResourceId, Thing>,
    watched: Vec<Watched>,
    /// The kinds of which only the record tells.
    by_record: BTreeSet<&'static str>,
    /// What was in doubt before.
    doubted: BTreeSet<ResourceId>,
    plan: Digest,
}

impl Manager {
    /// Rehearses a plan that [`plan_with`](Self::plan_with) has made of this desired state and selection: whatever the moment
    /// at which its process dies, does it come to the same end? Nothing is done outside of memory.
    ///
    /// Linear in the points that are tried, each of which takes what planning and applying take without hosts and disk. It is
    /// done on a thread of its own.
    ///
    /// Cancellation: a dropped call leaves nothing behind; its thread ends after the death that it is at.
    ///
    /// # Errors
    /// [`ManageError::NotSeen`] when the plan was read from a file, or made by a [`Live`](super::Live);
    /// [`ManageError::Broken`] when it is refused as it is; otherwise when the store fails.
    pub async fn rehearse(
        &self,
        planned: &Planned,
        desired: &Desired,
        selection: &Selection,
        options: RehearsalOptions,
    ) -> Result<Rehearsal, ManageError> {
        let seen = planned.seen.clone().ok_or(ManageError::NotSeen)?;
        let setting = self.setting(planned, &seen, desired, selection).await?;
        let work = planned.plan.actions.len() + desired.resources.len() + planned.around.recorded.len();
        let is_dropped = Arc::new(AtomicBool::new(false));
        let _flag = RaisedOnDrop(is_dropped.clone());
        let lives = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let runtime = runtime.map_err(|error| StoreError::Unavailable {
                store: "of a rehearsal".to_owned(),
                what: "the system gives no threads".to_owned(),
                source: Box::new(error),
            })?;
            runtime.block_on(setting.lives(options, work, &is_dropped))
        };
        let rehearsed = tokio::task::spawn_blocking(lives).await;
        rehearsed.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    async fn setting(
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
        for mut head in journal::heads(&*self.store).await? {
            // One that was interrupted is gone on with, or given up, before the plan.
            let ended = head.outcome.filter(|outcome| *outcome != Outcome::Interrupted);
            head.outcome = ended.or(Some(Outcome::Superseded));
            records.push(journal::put_head(&head));
        }
        let things = self.things((planned, seen), desired)?;
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
            by_record: self.kinds_by_record().collect(),
            doubted: self.doubts().into_keys().collect(),
            plan: planned.plan.id,
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
    ) -> Result<BTreeMap<ResourceId, Thing>, ManageError> {
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
            things.insert(identity, thing);
        }
        let by_record: BTreeSet<&str> = self.kinds_by_record().collect();
        for id in recorded.keys().filter(|id| by_record.contains(id.kind())) {
            let Some(body) = self.body(id)? else { continue };
            let identity = body.made_as.clone().unwrap_or_else(|| id.clone());
            things.insert(identity, Thing::new(Observation::Unobservable, Some(Counted::of(&body))));
        }
        Ok(things)
    }

    fn is_blind_and_late(&self, resource: &crate::model::DesiredResource) -> bool {
        let Some(kind) = self.registry.kind(resource.id.kind()) else { return false };
        !resource.references.is_empty()
            && kind.facts().traits.observed_by == ObservedBy::Backend
            && kind.inspect(&resource.spec, true).is_ok_and(|footprint| {
                matches!(footprint.crash, CrashClass::AtMostOnce | CrashClass::IdempotencyKey)
            })
    }
}

fn is_there(seen: &Observation) -> bool {
    match seen {
        Observation::Present(present) => matches!(present.health, Health::Healthy | Health::None),
        Observation::Unobservable => true,
        Observation::Absent | Observation::Needed(_) | Observation::Unknown(_) => false,
    }
}

/// An invariant that begins with this base, whatever of it is in the world.
fn watch(
    things: &BTreeMap<ResourceId, Thing>,
    invariant: &Invariant,
    (worst, bound, base): (i64, i64, i64),
) -> Watched {
    let mut watched = Watched { invariant: invariant.clone(), worst, bound, besides: 0 };
    let inside = World::new(things.clone(), Vec::new(), BTreeSet::new()).state().value(&watched);
    watched.besides = base.saturating_sub(inside);
    watched
}

impl Setting {
    /// A manager in this world.
    async fn manager(&self, store: &Arc<dyn Store>, world: &Arc<World>) -> Result<Manager, ManageError> {
        let stand_in = |kind: &Arc<dyn crate::resource::Kind>| {
            let (kind, world, desired) = (kind.clone(), world.clone(), self.desired.clone());
            Arc::new(StandIn { kind, world, desired }) as Arc<dyn crate::resource::Kind>
        };
        let registry = self.registry.standing_in(stand_in, Nowhere);
        Manager::open(store.clone(), registry, self.options.clone()).await
    }

    async fn lives(
        &self,
        options: RehearsalOptions,
        work: usize,
        is_dropped: &AtomicBool,
    ) -> Result<Rehearsal, ManageError> {
        let whole = live(self, None).await?;
        let points = whole.points.len();
        let mut rehearsal = Rehearsal {
            deaths: 0,
            points,
            seed: None,
            violations: whole.violations.iter().map(|what| ("nowhere".to_owned(), what.clone())).collect(),
            doubts: BTreeSet::new(),
        };
        if whole.plan != self.plan {
            let what = "in its world the plan is another one".to_owned();
            rehearsal.violations.push(("nowhere".to_owned(), what));
        }
        let deaths = points.min(options.deaths_max).min((options.work_max / work.max(1)).max(1));
        rehearsal.seed = (deaths < points).then_some(options.seed);
        for cut in drawn(points, deaths, options.seed) {
            if is_dropped.load(Ordering::Relaxed) {
                break;
            }
            let end = live(self, Some(cut)).await?;
            let point = end.points.last().cloned().unwrap_or_default();
            let differs = difference(&whole, &end).into_iter();
            rehearsal
                .violations
                .extend(end.violations.iter().cloned().chain(differs).map(|what| (point.clone(), what)));
            rehearsal.doubts.extend(end.doubts);
            rehearsal.deaths += 1;
        }
        Ok(rehearsal)
    }
}

/// So many of these points, one of each stretch.
fn drawn(points: usize, deaths: usize, seed: u64) -> Vec<usize> {
    let mut random = Random(seed);
    let bounds = |at: usize| (at * points / deaths, (at + 1) * points / deaths);
    let mut draw = |(from, to): (usize, usize)| from + (random.next() % (to - from) as u64) as usize;
    (0..deaths).map(|at| draw(bounds(at))).collect()
}

/// How the end of a life differs from the one that it should have.
fn difference(whole: &End, end: &End) -> Option<String> {
    let worlds = whole.world.keys().chain(end.world.keys());
    let ids: BTreeSet<&ResourceId> = worlds.chain(whole.records.keys()).chain(end.records.keys()).collect();
    ids.into_iter().find_map(|id| {
        let nothing = (Observation::Absent.fingerprint(), [0; 2]);
        let of = |life: &End| life.world.get(id).copied().unwrap_or(nothing);
        if whole.records.get(id) != end.records.get(id) {
            return Some(format!("{id} is recorded otherwise than without the death"));
        }
        let ((should, [made_once, _]), (is, [made, _])) = (of(whole), of(end));
        if should != is {
            return Some(format!("{id} is not as it is without the death"));
        }
        (made != made_once)
            .then(|| format!("{id} is made or changed {made} times, and {made_once} without the death"))
    })
}

struct RaisedOnDrop(Arc<AtomicBool>);

impl Drop for RaisedOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
