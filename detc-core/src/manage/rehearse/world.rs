//! The simulated world of a rehearsal: what stands for each resource, how far the process has come in it, and what the
//! invariants come to.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};
use tokio::sync::Notify;

use crate::action::Footprint;
use crate::model::{
    HostName, Invariant, InvariantBound, Measure, Observation, Present, RecordBody, ResourceId,
};

/// What stands for a resource.
#[derive(Clone, Debug)]
pub(super) struct Thing {
    pub(super) seen: Observation,
    /// No look tells what is there.
    pub(super) is_blind: bool,
    /// What counts for the invariants.
    pub(super) counted: Option<Counted>,
    /// What that becomes, while an action is in the midst of it, and whether it takes no part then.
    becoming: Option<(Option<Counted>, Part)>,
    /// The idempotency keys of what was made.
    keys: BTreeSet<String>,
    /// The trigger token that it was made or changed with last.
    triggers: Option<String>,
    /// How often it was made or changed, and removed.
    pub(super) effects: [u32; 2],
}

/// Whether what is being changed takes part meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Takes,
    Away,
}

/// What a resource counts by.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    pub(super) host: Option<HostName>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) spec: Value,
}

/// An invariant, and what it must not be worse than.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) invariant: Invariant,
    /// What the proof says is the worst.
    pub(super) worst: i64,
    /// What must be kept by whoever goes on after a crash: the bound, or what it was before where that is worse.
    pub(super) bound: i64,
    /// What counts for it that is not in this world, or that nobody can see.
    pub(super) besides: i64,
}

impl Thing {
    pub(super) fn new(seen: Observation, counted: Option<Counted>) -> Self {
        let (becoming, keys, triggers, effects, is_blind) = (None, BTreeSet::new(), None, [0; 2], false);
        Self { seen, is_blind, counted, becoming, keys, triggers, effects }
    }
}

/// The world, and how far the process that acts in it has come.
#[derive(Debug, Default)]
pub(super) struct World {
    state: Mutex<State>,
    died: Notify,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) things: BTreeMap<ResourceId, Thing>,
    pub(super) watched: Vec<Watched>,
    /// The points that were passed since the process began to apply.
    pub(super) points: Vec<String>,
    /// The kinds of which only the record tells.
    by_record: BTreeSet<&'static str>,
    /// What is being made, changed or removed, and what that touches.
    in_flight: BTreeMap<ResourceId, (Option<HostName>, Footprint)>,
    is_counting: bool,
    cut: Option<usize>,
    is_dead: bool,
    /// Whether it is the life of the plan itself, not of one who goes on with it.
    is_first: bool,
    pub(super) violations: BTreeSet<String>,
}

impl World {
    pub(super) fn new(
        things: BTreeMap<ResourceId, Thing>,
        watched: Vec<Watched>,
        by_record: BTreeSet<&'static str>,
    ) -> Self {
        let state = State { things, watched, by_record, ..State::default() };
        Self { state: Mutex::new(state), died: Notify::new() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on points are counted, and the process dies at the one of this index.
    pub(super) fn begin(&self, cut: Option<usize>) {
        let mut state = self.state();
        (state.is_counting, state.is_first, state.cut) = (true, true, cut);
    }

    /// Another process goes on, and does not die.
    pub(super) fn go_on(&self) {
        let mut state = self.state();
        (state.is_counting, state.is_first, state.cut, state.is_dead) = (false, false, None, false);
        state.in_flight.clear();
    }

    /// Waits until the process has died.
    pub(super) async fn death(&self) {
        self.died.notified().await;
    }

    /// A point at which a process may die. Whoever is at one when another one dies gets no further.
    pub(super) async fn point(&self, name: impl FnOnce() -> String) {
        if self.passes(name) {
            // So that all that may be in flight at once is.
            tokio::task::yield_now().await;
            if !self.state().is_dead {
                return;
            }
        }
        pending::<()>().await;
    }

    /// Takes note of what is recorded by now: what only its record tells of, and what is only forgotten.
    pub(super) fn take_note(&self, recorded: Vec<(ResourceId, Option<RecordBody>)>) {
        let mut state = self.state();
        for (id, body) in recorded {
            match body {
                None => state.thing(&id).counted = None,
                Some(body) if state.by_record.contains(id.kind()) => {
                    let thing = state.thing(&id);
                    (thing.seen, thing.counted) = (Observation::Unobservable, Some(Counted::of(&body)));
                }
                Some(_) => {}
            }
        }
        state.look_at_invariants();
    }

    fn passes(&self, name: impl FnOnce() -> String) -> bool {
        let mut state = self.state();
        if state.is_dead {
            return false;
        }
        state.look_at_invariants();
        if !state.is_counting {
            return true;
        }
        state.points.push(name());
        if state.cut == Some(state.points.len() - 1) {
            state.is_dead = true;
            self.died.notify_one();
            return false;
        }
        true
    }
}

impl State {
    /// The thing of this id; nothing is there where there is none.
    pub(super) fn thing(&mut self, id: &ResourceId) -> &mut Thing {
        self.things.entry(id.clone()).or_insert_with(|| Thing::new(Observation::Absent, None))
    }

    /// Takes note of what is begun, and looks whether it meets another that is under way.
    pub(super) fn enter(&mut self, id: &ResourceId, host: Option<&HostName>, touches: Footprint) {
        for (other, (at, theirs)) in &self.in_flight {
            let meets = |ours: &Footprint, theirs: &Footprint| {
                let mut touched = theirs.reads.iter().chain(&theirs.writes);
                touched.find(|place| ours.writes.contains(place)).cloned()
            };
            let met = meets(&touches, theirs).or_else(|| meets(theirs, &touches));
            if let Some(place) = met.filter(|_| at.as_ref() == host && other != id) {
                self.violations.insert(format!("{id} and {other} touch {place} at the same time"));
            }
        }
        self.in_flight.insert(id.clone(), (host.cloned(), touches));
    }

    /// What was begun has come to its end.
    pub(super) fn leave(&mut self, id: &ResourceId) {
        self.in_flight.remove(id);
    }

    /// Looks whether an invariant is worse than it may be.
    fn look_at_invariants(&mut self) {
        for watched in &self.watched {
            let limit = if self.is_first { watched.worst } else { watched.bound };
            let value = self.value(watched);
            let is_worse = match watched.invariant.bound {
                InvariantBound::AtLeast(_) => value < limit,
                InvariantBound::AtMost(_) => value > limit,
            };
            if is_worse {
                let name = &watched.invariant.name;
                let by = if self.is_first { "the proof says" } else { "is allowed after a crash" };
                self.violations.insert(format!("`{name}` is {value}, and {limit} is the worst that {by}"));
            }
        }
    }

    pub(super) fn value(&self, watched: &Watched) -> i64 {
        let amounts = self.things.iter().map(|(id, thing)| thing.amount(id, &watched.invariant));
        amounts.fold(watched.besides, i64::saturating_add)
    }
}

impl Thing {
    /// What it counts for, in the midst of a change the worse of what it was and what it becomes.
    fn amount(&self, id: &ResourceId, invariant: &Invariant) -> i64 {
        let of =
            |counted: &Option<Counted>| counted.as_ref().map_or(0, |it| it.amount(id, &invariant.measure));
        let is = of(&self.counted);
        let Some((next, part)) = &self.becoming else { return is };
        match invariant.bound {
            InvariantBound::AtMost(_) => is.max(of(next)),
            InvariantBound::AtLeast(_)
                if *part == Part::Away && matches!(invariant.measure, Measure::Available(_)) =>
            {
                0
            }
            InvariantBound::AtLeast(_) => is.min(of(next)),
        }
    }

    /// It is half made or half changed.
    pub(super) fn become_half(&mut self, next: &Counted, part: Part, whole: &Present, keep: &[String]) {
        self.becoming = Some((Some(next.clone()), part));
        let is_kept = |name: &String| keep.contains(name);
        let half = |(name, value): (&String, &Value)| {
            (name.clone(), if is_kept(name) { value.clone() } else { Value::Null })
        };
        let mut present = Present::new().with_triggers(Some("half".to_owned()));
        present.fields = whole.fields.iter().map(half).collect::<Map<String, Value>>();
        present.output.clone_from(&whole.output);
        let is_there = matches!(self.seen, Observation::Present(_));
        if !is_there && present.fields == whole.fields {
            // Nothing tells a half of it from the whole: it is made in one step.
            return;
        }
        self.see(Observation::Present(present));
    }

    /// It is made or changed, by a call with this key.
    pub(super) fn become_whole(&mut self, counted: Counted, whole: Present, key: Option<&str>) {
        (self.counted, self.becoming) = (Some(counted), None);
        self.triggers.clone_from(&whole.triggers);
        self.see(Observation::Present(whole));
        if key.is_none_or(|key| self.keys.insert(key.to_owned())) {
            self.effects[0] += 1;
        }
    }

    /// Whether what is to be recorded of it was brought about: what a person finds out who looks.
    pub(super) fn was_made(&self, body: &RecordBody) -> bool {
        let spec = self.counted.as_ref().map(|counted| &counted.spec);
        self.effects[0] > 0
            && self.becoming.is_none()
            && spec == Some(&body.spec.value())
            && (self.triggers.is_none() || self.triggers == body.triggers)
    }

    /// It is half removed: it takes no part any more, and is still there.
    pub(super) fn vanish(&mut self) {
        self.becoming = Some((None, Part::Takes));
    }

    /// It is gone.
    pub(super) fn be_gone(&mut self) {
        (self.counted, self.becoming) = (None, None);
        self.see(Observation::Absent);
        self.effects[1] += 1;
    }

    fn see(&mut self, seen: Observation) {
        self.seen = if self.is_blind { Observation::Unobservable } else { seen };
    }
}

impl Counted {
    /// What a record says.
    pub(super) fn of(body: &RecordBody) -> Self {
        Self { host: body.host.clone(), labels: body.labels(), spec: body.spec.value() }
    }

    fn amount(&self, id: &ResourceId, measure: &Measure) -> i64 {
        if !measure.selector().matches(id, self.host.as_ref(), &self.labels) {
            return 0;
        }
        match measure {
            Measure::Available(_) => 1,
            Measure::Total { field, .. } => field.get(&self.spec).and_then(Value::as_i64).unwrap_or(0),
        }
    }
}
