//! What holds of a plan's states by the program's own [predicates](Predicate): asked of every state where they are few, and of
//! some that are drawn where they are not.
//!
//! What an action is in the midst of has happened or not, for whoever looks: so an action is one event that changes the state,
//! and two where something is away in between. Actions that change nothing that a predicate is about are only order.

use serde::{Deserialize, Serialize};

use self::events::{Event, Events};
use super::super::explore::{Count, Does, Poset, Random, SEED, Walk};
use super::super::{Plan, PlanError, PlanInput};
use crate::model::state::{Slot, State};
use crate::model::{Predicate, Set};

mod events;

/// Of how many states a predicate is asked. A small one takes less than a microsecond for each.
const STATES_MAX: u64 = 50_000;

/// How many resources are gone through for that, in all: a second or so. Of a state of a hundred thousand resources two
/// hundred are looked at.
const MEMBERS_MAX: u64 = 20_000_000;

/// How many events are tried to be left out of a counter-example that was drawn.
const SHORTER_MAX: usize = 2_000;

/// What was found of a [`Predicate`] in the states that a plan can come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Examined {
    /// The predicate.
    pub name: String,
    /// Why it does not hold before the plan; then no state of the plan is held against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Why it does not hold when the plan is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Whether it held in each state that was looked at, or does not hold before.
    pub holds: bool,
    /// Whether it is about nothing: no resource, desired or recorded, is one that it is about.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub vacuous: bool,
    /// How many different states were looked at.
    pub looked_at: u64,
    /// How many there are.
    pub states: Count,
    /// How the states were drawn; none where all were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drawn: Option<Drawn>,
    /// A state in which it does not hold: a smallest one, where all were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counterexample: Option<Refuted>,
}

/// How states were drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Drawn {
    /// In so many runs from the beginning to the end.
    pub runs: u32,
    /// From this seed.
    pub seed: u64,
}

/// A state in which a predicate does not hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Refuted {
    /// The actions that have started, ascending.
    pub started: Vec<u32>,
    /// Those that have ended, too.
    pub ended: Vec<u32>,
    /// Why not, in the words of the predicate.
    pub why: String,
}

/// Asks all predicates of the registry.
pub(crate) fn examine(plan: &Plan, input: &PlanInput<'_>) -> Result<Vec<Examined>, PlanError> {
    let predicates = input.registry.predicates().iter();
    predicates.map(|predicate| Ok(World::of(plan, input, predicate)?.examine())).collect()
}

/// A plan as a predicate sees it.
struct World<'a> {
    plan: &'a Plan,
    predicate: &'a Predicate,
    slots: Vec<Slot>,
    /// What is there before.
    base: Vec<u32>,
    events: Vec<Event>,
    poset: Poset,
    /// Whether events that change nothing are among them.
    has_idle: bool,
}

impl<'a> World<'a> {
    fn of(plan: &'a Plan, input: &PlanInput<'_>, predicate: &'a Predicate) -> Result<Self, PlanError> {
        let Events { slots, base, events, before, has_idle } = Events::of(plan, input, predicate.selector())?;
        Ok(Self { plan, predicate, slots, base, events, poset: Poset::new(before), has_idle })
    }

    fn examine(&self) -> Examined {
        let all: Vec<u32> = (0..self.events.len() as u32).collect();
        let states_max = (MEMBERS_MAX / (self.slots.len() as u64).max(1)).clamp(200, STATES_MAX);
        let mut found = Examined {
            name: self.predicate.name().to_owned(),
            before: self.ask(&[]).err(),
            after: self.ask(&all).err(),
            holds: true,
            vacuous: self.slots.is_empty(),
            looked_at: 2.min(1 + self.events.len() as u64),
            states: Count::AtLeast(2.min(1 + self.events.len() as u64)),
            drawn: None,
            counterexample: None,
        };
        if found.before.is_some() {
            return found;
        }
        found.states = match self.poset.count(states_max) {
            // What changes nothing is no state of its own.
            Count::Exactly(states) | Count::AtLeast(states) if self.has_idle => {
                Count::AtLeast(states.min(states_max))
            }
            counted => counted,
        };
        let mut look = Look::new(self);
        if matches!(found.states, Count::Exactly(states) if states <= states_max) {
            self.poset.each_state(states_max, &mut look);
        } else {
            look.is_drawn = true;
            let does: Vec<Does> = self.events.iter().map(|event| event.does).collect();
            let runs = self.poset.sample(&does, states_max, &mut look);
            found.drawn = Some(Drawn { runs, seed: SEED });
        }
        found.looked_at = look.states;
        if let Count::AtLeast(least) = found.states {
            found.states = Count::AtLeast(least.max(look.states));
        }
        if let Some(mut events) = look.broken {
            events.sort_unstable();
            if found.drawn.is_some() {
                self.shorten(&mut events);
            }
            let why = self.ask(&events).expect_err("invariant: a predicate is a function of the state alone");
            found.holds = false;
            found.counterexample = Some(self.refuted(&events, why));
        }
        found
    }

    /// Asks in the state in which these events, ascending, have occurred.
    fn ask(&self, events: &[u32]) -> Result<(), String> {
        let (mut now, mut away) = (self.base.clone(), vec![0; self.base.len()]);
        for event in events {
            let event = &self.events[*event as usize];
            event.changes.iter().for_each(|&(slot, version)| now[slot as usize] = version);
            event.away.iter().for_each(|&(slot, by)| count(&mut away[slot as usize], by));
        }
        self.predicate.holds_in(&State { slots: &self.slots, now: &now, away: &away })
    }

    /// Leaves out latest events without which it does not hold either.
    fn shorten(&self, events: &mut Vec<u32>) {
        let (mut at, mut tries) = (events.len(), 0);
        while at > 0 && tries < SHORTER_MAX {
            at -= 1;
            let event = events[at];
            if self.poset.is_latest(event, events) {
                tries += 1;
                events.remove(at);
                if self.ask(events).is_ok() {
                    events.insert(at, event);
                }
            }
        }
    }

    /// The actions of a state, and all that has ended before them.
    fn refuted(&self, events: &[u32], why: String) -> Refuted {
        let actions = &self.plan.actions;
        let mut started = vec![false; actions.len()];
        let mut ended = vec![false; actions.len()];
        for event in events {
            let Event { action, is_last, .. } = self.events[*event as usize];
            started[action as usize] = true;
            ended[action as usize] |= is_last;
        }
        // Each comes after smaller ones only.
        for index in (0..actions.len()).rev() {
            if started[index] {
                for &before in &actions[index].after {
                    (started[before as usize], ended[before as usize]) = (true, true);
                }
            }
        }
        let those =
            |flags: &[bool]| (0..).zip(flags).filter(|(_, is)| **is).map(|(index, _)| index).collect();
        Refuted { started: those(&started), ended: those(&ended), why }
    }
}

/// Asks along the way.
struct Look<'a> {
    world: &'a World<'a>,
    now: Vec<u32>,
    away: Vec<u32>,
    occurred: Vec<u32>,
    /// What was at the slots that the events have changed.
    undo: Vec<(u32, u32)>,
    /// Whether a state may be met more than once.
    is_drawn: bool,
    /// Those that were met: the exclusive or of a number for each event (Zobrist 1970).
    met: Set<u128>,
    set: u128,
    states: u64,
    /// The events of the smallest state that it does not hold in.
    broken: Option<Vec<u32>>,
}

impl<'a> Look<'a> {
    fn new(world: &'a World<'a>) -> Self {
        Self {
            world,
            now: world.base.clone(),
            away: vec![0; world.base.len()],
            occurred: Vec::new(),
            undo: Vec::new(),
            is_drawn: false,
            met: Set::default(),
            set: 0,
            states: 0,
            broken: None,
        }
    }
}

impl Walk for Look<'_> {
    fn occur(&mut self, event: u32) {
        let changed = &self.world.events[event as usize];
        for &(slot, version) in &changed.changes {
            let was = std::mem::replace(&mut self.now[slot as usize], version);
            self.undo.push((slot, was));
        }
        changed.away.iter().for_each(|&(slot, by)| count(&mut self.away[slot as usize], by));
        self.occurred.push(event);
        if changed.does != Does::Neither {
            self.set ^= number(event);
        }
    }

    fn undo(&mut self, event: u32) {
        let changed = &self.world.events[event as usize];
        changed.away.iter().for_each(|&(slot, by)| count(&mut self.away[slot as usize], -by));
        for _ in &changed.changes {
            let (slot, was) = self.undo.pop().expect("invariant: what is undone has occurred");
            self.now[slot as usize] = was;
        }
        self.occurred.pop();
        if changed.does != Does::Neither {
            self.set ^= number(event);
        }
    }

    fn look(&mut self) {
        if self.is_drawn && !self.met.insert(self.set) {
            return;
        }
        self.states += 1;
        let is_smaller = self.broken.as_ref().is_none_or(|broken| self.occurred.len() < broken.len());
        let state = State { slots: &self.world.slots, now: &self.now, away: &self.away };
        if is_smaller && self.world.predicate.holds_in(&state).is_err() {
            self.broken = Some(self.occurred.clone());
        }
    }
}

fn count(count: &mut u32, by: i32) {
    *count = count.checked_add_signed(by).expect("invariant: what is given back was taken");
}

/// A number for each event that looks like any other.
fn number(event: u32) -> u128 {
    let mut random = Random(u64::from(event).wrapping_mul(0xd134_2543_de82_ef95));
    u128::from(random.next()) << 64 | u128::from(random.next())
}

#[cfg(test)]
mod tests;
