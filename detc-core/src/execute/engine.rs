//! The engine: a run as a function from events to commands. No clock, no I/O, no choice but the next ready action.
//!
//! What follows for one action is its [lifecycle]; here is what the actions are to each other: what waits for whom, who has a
//! slot, and when it is over. A run that is resumed begins with what its journal says, which are events like any other.

use std::collections::{BTreeMap, VecDeque};

use super::limits::Slots;
use crate::action::CrashClass;
use lifecycle::{Delay, Happening, Known, Move, Next, State, follow};

mod lifecycle;
mod words;
mod work;

pub use words::{Applied, Checked, Command, Event, NodeEnd, Phase};
pub use work::{Retry, Work};

/// A run of some work, as a function from events to commands.
#[derive(Debug)]
pub struct Engine {
    known: Known,
    has_effect: Vec<bool>,
    dependents: Vec<Vec<u32>>,
    states: Vec<State>,
    priority: Vec<u32>,
    slots: Slots,
    journaled: u64,
    /// The actions whose starts are not durable yet, each with its entry's number.
    starting: VecDeque<(u64, u32)>,
    left: usize,
    in_flight: usize,
    begun: bool,
    finished: bool,
}

/// What an action takes up in some state.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    Nothing,
    /// The run is not over without it.
    Flight,
    /// A slot, while it is in flight.
    Slot,
}

impl Engine {
    /// A run of `work` from its beginning.
    pub fn new(work: Work, retry: Retry) -> Self {
        let len = work.after.len();
        let mut dependents = vec![Vec::new(); len];
        for (action, after) in work.after.iter().enumerate() {
            for before in after {
                dependents[*before as usize].push(action as u32);
            }
        }
        let priority = longest_paths(&dependents);
        Self {
            states: work.after.iter().map(|after| State::Waiting(after.len() as u32)).collect(),
            known: Known {
                crash: work.crash,
                attempts: vec![0; len],
                looks: vec![0; len],
                lost: BTreeMap::new(),
                retry,
                stopping: false,
            },
            dependents,
            priority,
            slots: Slots::new(work.global, &work.groups, work.member),
            has_effect: work.has_effect,
            journaled: 0,
            starting: VecDeque::new(),
            left: len,
            in_flight: 0,
            begun: false,
            finished: false,
        }
    }

    /// The first commands. What an earlier process had begun is looked at before anything else.
    pub fn begin(&mut self, commands: &mut Vec<Command>) {
        self.begun = true;
        for action in 0..self.states.len() as u32 {
            if matches!(&self.states[action as usize], State::Ended(end) if !went_well(end)) {
                self.cut_off(action, commands);
            }
        }
        for action in 0..self.states.len() as u32 {
            self.happens(action, Happening::Go, commands);
        }
        self.dispatch(commands);
    }

    /// What follows from an event.
    pub fn step(&mut self, event: Event, commands: &mut Vec<Command>) {
        match event {
            Event::Journaled(action, what) => {
                let happening = what.end().map_or(Happening::JournaledStart, Happening::JournaledEnd);
                self.happens(action, happening, commands);
                return;
            }
            Event::Durable(upto) => self.durable(upto, commands),
            Event::Checked(action, checked) => self.happens(action, Happening::Checked(checked), commands),
            Event::Applied(action, applied) => self.happens(action, Happening::Applied(applied), commands),
            Event::Waited(action) => self.happens(action, Happening::Waited, commands),
            Event::Stop => self.known.stopping = true,
        }
        self.dispatch(commands);
    }

    /// How each action ended; `None` for those that have not.
    pub fn ends(&self) -> impl Iterator<Item = Option<&NodeEnd>> {
        self.states.iter().map(|state| match state {
            State::Ended(end) => Some(end),
            State::Waiting(_)
            | State::Begun
            | State::Queued(_)
            | State::Checking(_)
            | State::Starting
            | State::Applying
            | State::Delayed(_) => None,
        })
    }

    /// How many entries it has appended to the journal.
    pub fn journaled(&self) -> u64 {
        self.journaled
    }

    fn durable(&mut self, upto: u64, commands: &mut Vec<Command>) {
        while let Some((entry, action)) = self.starting.front().copied()
            && entry <= upto
        {
            self.starting.pop_front();
            self.happens(action, Happening::Durable, commands);
        }
    }

    /// Gives slots to those that are ready. Once stopping, only what is in flight goes on: an action whose start is recorded.
    fn dispatch(&mut self, commands: &mut Vec<Command>) {
        while !self.finished {
            let Some(action) = self.slots.pop() else { break };
            self.happens(action, Happening::Turn, commands);
        }
        if !self.finished
            && self.in_flight == 0
            && self.starting.is_empty()
            && (self.left == 0 || self.known.stopping)
        {
            self.finished = true;
            commands.push(Command::Finish);
        }
    }

    // Inlined, like what it calls: what happens is known where it is called, and what can not follow from that falls away.
    #[inline(always)]
    fn happens(&mut self, action: u32, happening: Happening, commands: &mut Vec<Command>) {
        let index = action as usize;
        match follow(&self.states[index], happening, action, &self.known) {
            Move::Stay => {}
            Move::Wait(left) => self.becomes(action, State::Waiting(left)),
            Move::Begin => self.becomes(action, State::Begun),
            Move::Take(end) => self.ends_with(action, end, commands),
            Move::Queue(next) => {
                self.becomes(action, State::Queued(next));
                self.slots.push(action, next != Next::Check(Phase::First), self.priority[index]);
            }
            Move::Check(phase) => {
                self.becomes(action, State::Checking(phase));
                commands.push(Command::Check(action, phase));
            }
            Move::Apply => {
                self.becomes(action, State::Applying);
                self.known.attempts[index] += 1;
                self.known.looks[index] = 0;
                commands.push(Command::Apply(action, self.known.attempts[index]));
            }
            Move::Start => {
                self.journaled += 1;
                commands.push(Command::RecordStart(action));
                self.starting.push_back((self.journaled, action));
                self.becomes(action, State::Starting);
            }
            Move::Delay(Delay { next, tries, time, lost }) => {
                if next != Next::Apply {
                    self.known.looks[index] = tries;
                }
                self.known.lost.extend(lost.map(|why| (action, why)));
                self.becomes(action, State::Delayed(next));
                commands.push(Command::Wait(action, time));
            }
            Move::End(end) => {
                self.record_end(action, &end, commands);
                self.ends_with(action, end, commands);
            }
        }
    }

    /// Sets where an action is, and gives back what it takes up no more. What is queued has a slot when it is popped.
    #[inline(always)]
    fn becomes(&mut self, action: u32, state: State) {
        let before = match self.states[action as usize] {
            State::Queued(_) => {
                self.in_flight += 1;
                Hold::Slot
            }
            ref state => self.hold(action, state),
        };
        let after = self.hold(action, &state);
        if before == Hold::Slot && after != Hold::Slot {
            self.slots.release(action);
        }
        if before != Hold::Nothing && after == Hold::Nothing {
            self.in_flight -= 1;
        }
        self.states[action as usize] = state;
    }

    #[inline(always)]
    fn hold(&self, action: u32, state: &State) -> Hold {
        match state {
            State::Waiting(_) | State::Begun | State::Queued(_) | State::Ended(_) => Hold::Nothing,
            State::Delayed(_) => Hold::Flight,
            State::Starting if !self.holds_slot_while_starting(action) => Hold::Nothing,
            State::Checking(_) | State::Starting | State::Applying => Hold::Slot,
        }
    }

    /// See [`Work::has_effect`]. What only is recorded is begun many at a time: their starts share commits.
    fn holds_slot_while_starting(&self, action: u32) -> bool {
        self.known.crash[action as usize] == CrashClass::AtMostOnce
            || self.has_effect.get(action as usize).copied().unwrap_or_default()
    }

    /// An action has ended: others go on, or are not reached.
    fn ends_with(&mut self, action: u32, end: NodeEnd, commands: &mut Vec<Command>) {
        let is_well = went_well(&end);
        self.known.lost.remove(&action);
        self.becomes(action, State::Ended(end));
        self.left -= 1;
        if is_well {
            let dependents = std::mem::take(&mut self.dependents[action as usize]);
            for dependent in &dependents {
                let state = &self.states[*dependent as usize];
                if let Move::Wait(left) = follow(state, Happening::Freed, *dependent, &self.known) {
                    self.states[*dependent as usize] = State::Waiting(left);
                    if left == 0 && self.begun {
                        self.happens(*dependent, Happening::Go, commands);
                    }
                }
            }
            self.dependents[action as usize] = dependents;
        } else if self.begun {
            self.cut_off(action, commands);
        }
    }

    /// Everything that comes after an action that did not end well is not reached.
    fn cut_off(&mut self, failed: u32, commands: &mut Vec<Command>) {
        let mut stack = self.dependents[failed as usize].clone();
        while let Some(action) = stack.pop() {
            let happening = Happening::CutOff(failed);
            if let Move::End(end) = follow(&self.states[action as usize], happening, action, &self.known) {
                self.record_end(action, &end, commands);
                self.becomes(action, State::Ended(end));
                self.left -= 1;
                stack.extend_from_slice(&self.dependents[action as usize]);
            }
        }
    }

    fn record_end(&mut self, action: u32, end: &NodeEnd, commands: &mut Vec<Command>) {
        self.journaled += 1;
        commands.push(Command::RecordEnd(action, end.clone()));
    }
}

fn went_well(end: &NodeEnd) -> bool {
    match end {
        NodeEnd::Done | NodeEnd::Satisfied => true,
        NodeEnd::Failed(_) | NodeEnd::InDoubt(_) | NodeEnd::Held(_) | NodeEnd::NotReached(_) => false,
    }
}

/// For each action how many there are on the longest path that begins with it.
fn longest_paths(dependents: &[Vec<u32>]) -> Vec<u32> {
    let mut paths = vec![0; dependents.len()];
    for action in (0..dependents.len()).rev() {
        let longest =
            dependents[action].iter().map(|dependent| paths[*dependent as usize]).max().unwrap_or(0);
        paths[action] = longest + 1;
    }
    paths
}

#[cfg(test)]
mod tests;
