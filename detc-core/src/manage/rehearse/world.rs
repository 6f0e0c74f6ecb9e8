//! The simulated world of a rehearsal: what is there, how far the process has come that acts in it, and what the invariants
//! come to. What stands for one resource is a [`Thing`].
//!
//! A death is what is left of it: a copy of the world and of the store. So one life has all its deaths, and goes on.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::mem::take;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::point::{Point, place};
use super::thing::{Counted, Thing, Things};
use super::touched::{Meeting, Taken, Touched};
use crate::action::Footprint;
use crate::model::{HostName, Invariant, InvariantBound, Observation, RecordBody, ResourceId};
use crate::store::memory::MemoryStore;

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

/// The world, and how far the process that acts in it has come.
#[derive(Debug)]
pub(super) struct World {
    pub(super) store: Arc<MemoryStore>,
    state: Mutex<State>,
    /// Which step it is at, where those who have come to a point wait for each other.
    step: watch::Sender<usize>,
}

#[derive(Debug)]
pub(super) struct State {
    things: Things,
    watched: Arc<[Watched]>,
    /// What each of `watched` comes to.
    values: Vec<i64>,
    /// The kinds of which only the record tells.
    by_record: Arc<BTreeSet<&'static str>>,
    touched: Touched,
    pace: Pace,
    /// The points that are passed at once: where it can die.
    steps: Vec<Vec<Point>>,
    /// The points at which somebody waits.
    held: Vec<Point>,
    /// Grows with whatever is done.
    moved: u64,
    copies: Option<Copies>,
    /// Whether it is the life of the plan itself, not of one who goes on with it.
    is_first: bool,
    /// What went wrong, and where.
    violations: Vec<(String, String)>,
}

/// How points are come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Nobody takes note of them.
    Unseen,
    /// One by one, under the manager's limits.
    OneByOne,
    /// All that can be under way goes on until nobody gets past the point that he is at; then each goes past it. So a
    /// plan has as many steps as it is deep, not as it is long.
    InStep,
}

/// Where to copy the world, and who gets the copies.
#[derive(Debug)]
pub(super) struct Copies {
    pub(super) at: BTreeSet<usize>,
    pub(super) to: SyncSender<Left>,
}

/// What is left of a process that died.
#[derive(Debug)]
pub(super) struct Left {
    /// The step at which it died.
    pub(super) step: usize,
    pub(super) points: Vec<Point>,
    things: Things,
    values: Vec<i64>,
    store: MemoryStore,
}

/// What a life has come to.
#[derive(Debug)]
pub(super) struct Lived {
    pub(super) things: Things,
    pub(super) steps: Vec<Vec<Point>>,
    pub(super) touched: Touched,
    pub(super) violations: Vec<(String, String)>,
}

/// How many times in a row nobody has moved, before those who wait go on. What runs is given its turn each time; one time too
/// few costs a step more.
const STILL: u32 = 8;

impl World {
    pub(super) fn new(
        things: Things,
        watched: Arc<[Watched]>,
        by_record: Arc<BTreeSet<&'static str>>,
        store: MemoryStore,
    ) -> Self {
        let values = watched.iter().map(|watched| value(&things, watched)).collect();
        Self::with(things, values, (watched, by_record), store)
    }

    /// The world that one who died has left.
    pub(super) fn left(
        left: Left,
        watched: Arc<[Watched]>,
        by_record: Arc<BTreeSet<&'static str>>,
    ) -> (Self, usize, Vec<Point>) {
        let Left { step, points, things, values, store } = left;
        (Self::with(things, values, (watched, by_record), store), step, points)
    }

    fn with(
        things: Things,
        values: Vec<i64>,
        (watched, by_record): (Arc<[Watched]>, Arc<BTreeSet<&'static str>>),
        store: MemoryStore,
    ) -> Self {
        let state = State {
            things,
            watched,
            values,
            by_record,
            touched: Touched::default(),
            pace: Pace::Unseen,
            steps: Vec::new(),
            held: Vec::new(),
            moved: 0,
            copies: None,
            is_first: false,
            violations: Vec::new(),
        };
        Self { store: Arc::new(store), state: Mutex::new(state), step: watch::Sender::new(0) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on it is the life of the plan.
    pub(super) fn begin(&self, pace: Pace, copies: Option<Copies>) {
        let mut state = self.state();
        (state.is_first, state.pace, state.copies) = (true, pace, copies);
    }

    /// Another process goes on, and does not die.
    pub(super) fn go_on(&self) {
        let mut state = self.state();
        (state.is_first, state.pace, state.copies) = (false, Pace::Unseen, None);
        state.touched.nobody_is_under_way();
    }

    /// What it has come to.
    pub(super) fn end(&self) -> Lived {
        let mut state = self.state();
        Lived {
            things: take(&mut state.things),
            steps: take(&mut state.steps),
            touched: take(&mut state.touched),
            violations: take(&mut state.violations),
        }
    }

    /// A point at which the process may die.
    pub(super) async fn point(&self, point: Point) {
        let mut step = self.step.subscribe();
        let (pace, copied) = {
            let mut state = self.state();
            state.moved += 1;
            state.look_at_invariants(&point);
            match state.pace {
                Pace::Unseen => (Pace::Unseen, None),
                Pace::InStep => {
                    state.held.push(point);
                    (Pace::InStep, None)
                }
                Pace::OneByOne => (Pace::OneByOne, state.pass(vec![point], &self.store)),
            }
        };
        send(copied);
        match pace {
            // So that all that may be in flight at once is.
            Pace::Unseen | Pace::OneByOne => tokio::task::yield_now().await,
            Pace::InStep => {
                let _ended = step.changed().await;
            }
        }
    }

    /// Lets those who wait at a point go on, each time that nobody gets any further.
    pub(super) async fn conduct(&self) -> Infallible {
        let (mut before, mut still) = (0, 0);
        loop {
            tokio::task::yield_now().await;
            let moved = self.state().moved;
            still = if moved == before { still + 1 } else { 0 };
            before = moved;
            if still < STILL {
                continue;
            }
            still = 0;
            let copied = {
                let mut state = self.state();
                let points = take(&mut state.held);
                if points.is_empty() { None } else { state.pass(points, &self.store) }
            };
            send(copied);
            self.step.send_modify(|step| *step += 1);
        }
    }

    /// What is seen of a resource.
    pub(super) fn look(&self, id: &ResourceId) -> Observation {
        let mut state = self.state();
        state.moved += 1;
        state.things.get(id).map_or(Observation::Absent, |thing| thing.seen.clone())
    }

    /// Takes note of what is recorded by now: what only its record tells of, and what is only forgotten.
    pub(super) fn take_note(&self, recorded: Vec<(ResourceId, Option<RecordBody>)>) {
        let mut state = self.state();
        for (id, body) in recorded {
            state.change(&id, |thing| match body {
                None => thing.counted = None,
                Some(body) => {
                    (thing.seen, thing.counted) = (Observation::Unobservable, Some(Counted::of(&body)));
                }
            });
        }
        state.look_at_invariants(&Point::AfterCommit);
    }

    /// Whether only its record tells of this one.
    pub(super) fn is_by_record(&self, id: &ResourceId) -> bool {
        self.state().by_record.contains(id.kind())
    }
}

/// Hands a copy to who goes on with it. It waits until there is somebody.
fn send(copied: Option<(SyncSender<Left>, Left)>) {
    if let Some((to, left)) = copied {
        // Nobody is left to take it only when something has gone wrong there, which is told.
        let _refused = to.send(left);
    }
}

impl State {
    /// These points are passed at once.
    fn pass(&mut self, points: Vec<Point>, store: &MemoryStore) -> Option<(SyncSender<Left>, Left)> {
        let step = self.steps.len();
        let copies = self.copies.as_ref().filter(|copies| copies.at.contains(&step));
        let copied = copies.map(|copies| {
            let (things, values) = (self.things.clone(), self.values.clone());
            (copies.to.clone(), Left { step, points: points.clone(), things, values, store: store.fork() })
        });
        self.steps.push(points);
        copied
    }

    /// The thing of this id, if there is one.
    pub(super) fn thing(&self, id: &ResourceId) -> Option<&Thing> {
        self.things.get(id).map(|thing| &**thing)
    }

    /// Changes the thing of this id; nothing is there where there is none.
    pub(super) fn change<T>(&mut self, id: &ResourceId, change: impl FnOnce(&mut Thing) -> T) -> T {
        let thing = self.things.entry(id.clone());
        let thing = thing.or_insert_with(|| Arc::new(Thing::new(Observation::Absent, None)));
        let amount = |thing: &Thing, watched: &Watched| thing.amount(id, &watched.invariant);
        let before: Vec<i64> = self.watched.iter().map(|watched| amount(thing, watched)).collect();
        let changed = change(Arc::make_mut(thing));
        for ((value, watched), before) in self.values.iter_mut().zip(&*self.watched).zip(before) {
            *value = value.saturating_add(amount(thing, watched).saturating_sub(before));
        }
        changed
    }

    /// Takes note of what is begun, and looks whether it meets another that is under way.
    pub(super) fn enter(&mut self, id: &ResourceId, host: Option<&HostName>, touches: (&Footprint, Taken)) {
        if let Some(Meeting { with, at }) = self.touched.enter(id, host, touches) {
            let what = format!("{id} and {with} touch {at} at the same time");
            self.violations.push((place(&self.held, Some(id)), what));
        }
    }

    /// Looks whether one of these, which it comes after, does not work yet.
    pub(super) fn looks_back<'a>(
        &mut self,
        id: &ResourceId,
        mut after: impl Iterator<Item = &'a ResourceId>,
    ) {
        let early = after.find(|other| self.things.get(*other).is_some_and(|thing| thing.is_unready));
        if let Some(other) = early {
            let what = format!("{id} is begun while {other}, which it comes after, is not healthy yet");
            self.violations.push((place(&self.held, Some(id)), what));
        }
    }

    /// What was begun has come to its end.
    pub(super) fn leave(&mut self, id: &ResourceId) {
        self.touched.leave(id);
    }

    /// Looks whether an invariant is worse than it may be.
    fn look_at_invariants(&mut self, at: &Point) {
        for (watched, value) in self.watched.iter().zip(&self.values) {
            let limit = if self.is_first { watched.worst } else { watched.bound };
            let is_worse = match watched.invariant.bound {
                InvariantBound::AtLeast(_) => *value < limit,
                InvariantBound::AtMost(_) => *value > limit,
            };
            if is_worse {
                let name = &watched.invariant.name;
                let by = if self.is_first { "the proof says" } else { "is allowed after a crash" };
                let what = format!("`{name}` is {value}, and {limit} is the worst that {by}");
                if self.violations.iter().all(|(_, told)| *told != what) {
                    self.violations.push((at.to_string(), what));
                }
            }
        }
    }
}

/// What an invariant comes to.
pub(super) fn value(things: &Things, watched: &Watched) -> i64 {
    let amounts = things.iter().map(|(id, thing)| thing.amount(id, &watched.invariant));
    amounts.fold(watched.besides, i64::saturating_add)
}
