//! The engine: a run as a function from events to commands. No clock, no I/O, no choice but the next ready action.
//!
//! One action's lifecycle, in [`Engine::step`]:
//!
//! ```text
//! waiting ─▶ queued ─▶ checking ─needed─▶ starting ─durable─▶ queued ─▶ applying ─▶ verifying ─▶ done
//!                         │ satisfied                          ▲           │ unknown     │ not so
//!                         ▼                                    └─ needed ─ settling      ▼
//!                       done                                               └────────▶ failed
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use super::limits::Slots;
use crate::action::{CrashClass, ErrorClass};

/// The shape of the work: what the engine must know of the actions.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// For each action, those it comes after.
    pub after: Vec<Box<[u32]>>,
    /// For each action, how its outcome is found out after a crash.
    pub crash: Vec<CrashClass>,
    /// How many may be at work in all.
    pub global: usize,
    /// How many may be at work in each group.
    pub groups: Vec<usize>,
    /// For each action, its groups; empty: none has any.
    pub member: Vec<Box<[u32]>>,
    /// For each action, whether it has an effect in the world; empty: none has any. Such a one is recorded as started only
    /// when it will be applied at once: what was seen before is still so then, and a crash leaves few that had begun.
    pub has_effect: Vec<bool>,
}

/// How often a failed call is tried again.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Retry {
    /// How often in all. Default 5: with the delays below that is about six seconds, longer than most restarts of a
    /// service and shorter than a person's patience.
    pub attempts_max: u32,
    /// The first delay; it doubles each time. Default 200 ms.
    pub delay_first: Duration,
    /// The longest delay. Default 10 s.
    pub delay_max: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts_max: 5, delay_first: Duration::from_millis(200), delay_max: Duration::from_secs(10) }
    }
}

impl Retry {
    /// Sets how often an action is tried in all; at least once.
    #[must_use]
    pub fn with_attempts_max(mut self, attempts: u32) -> Self {
        self.attempts_max = attempts.max(1);
        self
    }

    /// Sets the delay before the second try, which doubles before each further one, and the longest.
    #[must_use]
    pub fn with_delays(mut self, first: Duration, max: Duration) -> Self {
        (self.delay_first, self.delay_max) = (first, max);
        self
    }

    fn delay(&self, attempt: u32) -> Duration {
        self.delay_first.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(self.delay_max)
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The journal is durable up to this entry, counted from 1.
    Durable(u64),
    /// A check ended.
    Checked(u32, Checked),
    /// An apply ended.
    Applied(u32, Applied),
    /// A delay has passed.
    Waited(u32),
    /// Stop: finish what is in flight, begin nothing.
    Stop,
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// The effect is there.
    Satisfied,
    /// The effect is not there, for this reason.
    Needed(String),
    /// The effect is not there, and what it was to follow from is not any more what the plan was made from. Only the first
    /// look says so.
    Moved(String),
    /// It can not be found out, for this reason.
    Unknown(String),
    /// Looking failed.
    Failed(ErrorClass, String),
}

/// How an apply ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It says that it is done.
    Done,
    /// It failed.
    Failed(ErrorClass, String),
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Look whether the effect is there.
    Check(u32, Phase),
    /// Bring the effect about.
    Apply(u32, u32),
    /// Say so after this delay.
    Wait(u32, Duration),
    /// Append to the journal: the action has started.
    RecordStart(u32),
    /// Append to the journal: the action has ended so.
    RecordEnd(u32, NodeEnd),
    /// The run is over, once the journal is durable up to what was appended.
    Finish,
}

/// Why a check is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before anything was done.
    First,
    /// After `apply` said that it is done.
    Verify,
    /// After an outcome was lost.
    Settle,
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeEnd {
    /// Its effect was brought about.
    Done,
    /// Its effect was there already.
    Satisfied,
    /// It failed, with this message.
    Failed(String),
    /// It may have happened, and that can not be found out: a person decides.
    InDoubt(String),
    /// It was held back: what it was planned from is no longer so, in this way.
    Held(String),
    /// It comes after this one, which failed or was not reached.
    NotReached(u32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Comes after this many that have not ended.
    Waiting(u32),
    /// Needs a slot, to do this.
    Queued(Next),
    Checking(Phase),
    /// Its start is entry `.0` of the journal and is not durable yet.
    Starting(u64),
    Applying,
    /// Waits to do this again.
    Delayed(Next),
    Ended(NodeEnd),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Check(Phase),
    Apply,
}

/// A run of some work, as a function from events to commands.
#[derive(Debug)]
pub struct Engine {
    crash: Vec<CrashClass>,
    has_effect: Vec<bool>,
    dependents: Vec<Vec<u32>>,
    states: Vec<State>,
    /// How often each was applied.
    attempts: Vec<u32>,
    /// How often each had to be looked at again since it was last applied.
    looks: Vec<u32>,
    /// Why the outcome of the last apply is not known, where it is not.
    lost: BTreeMap<u32, String>,
    priority: Vec<u32>,
    slots: Slots,
    retry: Retry,
    journaled: u64,
    starting: std::collections::VecDeque<(u64, u32)>,
    left: usize,
    in_flight: usize,
    stopping: bool,
    finished: bool,
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
            attempts: vec![0; len],
            looks: vec![0; len],
            lost: BTreeMap::new(),
            dependents,
            priority,
            slots: Slots::new(work.global, &work.groups, work.member),
            crash: work.crash,
            has_effect: work.has_effect,
            retry,
            journaled: 0,
            starting: std::collections::VecDeque::new(),
            left: len,
            in_flight: 0,
            stopping: false,
            finished: false,
        }
    }

    /// Takes over what an earlier process had recorded, before [`begin`](Engine::begin): `ended` has the outcome of each
    /// action that had ended, and `started` those that had started and not ended, whose outcome is to be found out.
    pub fn restore(&mut self, ended: &[(u32, NodeEnd)], started: &[u32], commands: &mut Vec<Command>) {
        for (action, end) in ended {
            self.states[*action as usize] = State::Ended(end.clone());
            self.left -= 1;
        }
        for (action, end) in ended {
            let dependents = std::mem::take(&mut self.dependents[*action as usize]);
            match end {
                NodeEnd::Done | NodeEnd::Satisfied => {
                    for dependent in &dependents {
                        if let State::Waiting(left) = &mut self.states[*dependent as usize] {
                            *left -= 1;
                        }
                    }
                }
                NodeEnd::Failed(_) | NodeEnd::InDoubt(_) | NodeEnd::Held(_) | NodeEnd::NotReached(_) => {
                    self.cut_off(*action, &dependents, commands);
                }
            }
            self.dependents[*action as usize] = dependents;
        }
        for action in started {
            if !matches!(self.states[*action as usize], State::Ended(_)) {
                self.queue(*action, Next::Check(Phase::Settle));
            }
        }
    }

    /// The first commands.
    pub fn begin(&mut self, commands: &mut Vec<Command>) {
        for action in 0..self.states.len() as u32 {
            if self.states[action as usize] == State::Waiting(0) {
                self.queue(action, Next::Check(Phase::First));
            }
        }
        self.dispatch(commands);
    }

    /// What follows from an event.
    pub fn step(&mut self, event: Event, commands: &mut Vec<Command>) {
        match event {
            Event::Durable(upto) => self.durable(upto),
            Event::Checked(action, checked) => self.checked(action, checked, commands),
            Event::Applied(action, applied) => self.applied(action, applied, commands),
            Event::Waited(action) => {
                if let State::Delayed(next) = self.states[action as usize] {
                    self.in_flight -= 1;
                    self.queue(action, next);
                }
            }
            Event::Stop => self.stopping = true,
        }
        self.dispatch(commands);
    }

    /// How each action ended; `None` for those that have not.
    pub fn ends(&self) -> impl Iterator<Item = Option<&NodeEnd>> {
        self.states.iter().map(|state| match state {
            State::Ended(end) => Some(end),
            State::Waiting(_)
            | State::Queued(_)
            | State::Checking(_)
            | State::Starting(_)
            | State::Applying
            | State::Delayed(_) => None,
        })
    }

    /// How many entries it has appended to the journal.
    pub fn journaled(&self) -> u64 {
        self.journaled
    }

    fn queue(&mut self, action: u32, next: Next) {
        self.states[action as usize] = State::Queued(next);
        self.slots.push(action, next != Next::Check(Phase::First), self.priority[action as usize]);
    }

    fn dispatch(&mut self, commands: &mut Vec<Command>) {
        while !self.finished {
            let Some(action) = self.next() else { break };
            let State::Queued(next) = self.states[action as usize] else {
                unreachable!("invariant: what is popped was queued")
            };
            self.in_flight += 1;
            match next {
                Next::Check(phase) => {
                    self.states[action as usize] = State::Checking(phase);
                    commands.push(Command::Check(action, phase));
                }
                Next::Apply => {
                    self.states[action as usize] = State::Applying;
                    self.attempts[action as usize] += 1;
                    self.looks[action as usize] = 0;
                    commands.push(Command::Apply(action, self.attempts[action as usize]));
                }
            }
        }
        if !self.finished
            && self.in_flight == 0
            && self.starting.is_empty()
            && (self.left == 0 || self.stopping)
        {
            self.finished = true;
            commands.push(Command::Finish);
        }
    }

    /// The next action to work on. Once stopping, only what is in flight goes on: an action whose start is recorded.
    fn next(&mut self) -> Option<u32> {
        loop {
            let action = self.slots.pop()?;
            if self.stopping && self.states[action as usize] == State::Queued(Next::Check(Phase::First)) {
                self.slots.release(action);
                self.states[action as usize] = State::Waiting(0);
                continue;
            }
            return Some(action);
        }
    }

    fn durable(&mut self, upto: u64) {
        while self.starting.front().is_some_and(|(entry, _)| *entry <= upto) {
            let (_, action) = self.starting.pop_front().expect("invariant: the front was looked at");
            if self.holds_slot_while_starting(action) {
                self.slots.release(action);
                self.in_flight -= 1;
            }
            self.queue(action, Next::Apply);
        }
    }

    /// See [`Work::has_effect`]. What only is recorded is begun many at a time: their starts share commits.
    fn holds_slot_while_starting(&self, action: u32) -> bool {
        self.crash[action as usize] == CrashClass::AtMostOnce
            || self.has_effect.get(action as usize).copied().unwrap_or_default()
    }

    fn checked(&mut self, action: u32, checked: Checked, commands: &mut Vec<Command>) {
        let State::Checking(phase) = self.states[action as usize] else {
            unreachable!("invariant: only what is being checked reports a check")
        };
        match (phase, checked) {
            (Phase::First, Checked::Satisfied) => self.end(action, NodeEnd::Satisfied, commands),
            (Phase::Verify | Phase::Settle, Checked::Satisfied) => self.end(action, NodeEnd::Done, commands),
            (Phase::First, Checked::Needed(_)) => {
                if self.stopping {
                    self.release(action);
                    self.states[action as usize] = State::Waiting(0);
                    return;
                }
                self.journaled += 1;
                commands.push(Command::RecordStart(action));
                self.starting.push_back((self.journaled, action));
                self.states[action as usize] = State::Starting(self.journaled);
                if !self.holds_slot_while_starting(action) {
                    self.release(action);
                }
            }
            (Phase::First, Checked::Moved(how)) => self.end(action, NodeEnd::Held(how), commands),
            (Phase::Verify, Checked::Needed(why) | Checked::Moved(why)) => {
                let message = format!("it says that it is done, and it is not: {why}");
                self.end(action, NodeEnd::Failed(message), commands);
            }
            (Phase::Settle, Checked::Needed(why) | Checked::Moved(why)) => {
                if self.attempts[action as usize] < self.retry.attempts_max {
                    self.release(action);
                    self.queue(action, Next::Apply);
                } else {
                    let why = match self.lost.remove(&action) {
                        Some(before) => format!("{before}; after that, {why}"),
                        None => why,
                    };
                    self.end(action, NodeEnd::Failed(why), commands);
                }
            }
            (Phase::Settle, Checked::Unknown(why))
                if self.crash[action as usize] == CrashClass::AtMostOnce =>
            {
                let why = match self.lost.remove(&action) {
                    Some(before) => format!("{before}; it is in doubt: {why}"),
                    None => format!("it had started, and its end was not recorded: {why}"),
                };
                self.end(action, NodeEnd::InDoubt(why), commands);
            }
            (phase, Checked::Unknown(why)) => {
                self.again(
                    action,
                    Next::Check(phase),
                    format!("its state can not be found out: {why}"),
                    commands,
                );
            }
            (phase, Checked::Failed(ErrorClass::Permanent, why)) => {
                let end = match phase {
                    Phase::First => NodeEnd::Failed(why),
                    Phase::Verify => {
                        self.undecided(action, format!("it was done, and that is not confirmed: {why}"))
                    }
                    Phase::Settle => {
                        self.undecided(action, format!("its outcome can not be found out: {why}"))
                    }
                };
                self.end(action, end, commands);
            }
            (
                phase,
                Checked::Failed(
                    ErrorClass::Transient | ErrorClass::Unreachable | ErrorClass::OutcomeUnknown,
                    why,
                ),
            ) => {
                self.again(action, Next::Check(phase), why, commands);
            }
        }
    }

    fn applied(&mut self, action: u32, applied: Applied, commands: &mut Vec<Command>) {
        match applied {
            Applied::Done => {
                self.states[action as usize] = State::Checking(Phase::Verify);
                commands.push(Command::Check(action, Phase::Verify));
            }
            Applied::Failed(ErrorClass::Permanent, why) => self.end(action, NodeEnd::Failed(why), commands),
            Applied::Failed(ErrorClass::Transient | ErrorClass::Unreachable, why) => {
                self.again(action, Next::Apply, why, commands);
            }
            Applied::Failed(ErrorClass::OutcomeUnknown, why) => {
                self.lost.insert(action, why.clone());
                self.again(action, Next::Check(Phase::Settle), why, commands);
            }
        }
    }

    /// Does it again after a delay, or gives up. Looks and applies are counted apart: a look that has to be repeated uses
    /// up no apply.
    fn again(&mut self, action: u32, next: Next, why: String, commands: &mut Vec<Command>) {
        let tries = match next {
            Next::Apply => self.attempts[action as usize],
            Next::Check(_) => {
                self.looks[action as usize] += 1;
                self.looks[action as usize]
            }
        };
        if self.stopping && next == Next::Check(Phase::First) {
            // Nothing was begun of it: it is looked at again when the run is resumed.
            self.release(action);
            self.states[action as usize] = State::Waiting(0);
            return;
        }
        if tries >= self.retry.attempts_max {
            let end = match next {
                Next::Check(Phase::Verify | Phase::Settle) => self.undecided(action, why),
                Next::Check(Phase::First) | Next::Apply => NodeEnd::Failed(why),
            };
            self.end(action, end, commands);
            return;
        }
        self.slots.release(action);
        self.states[action as usize] = State::Delayed(next);
        commands.push(Command::Wait(action, self.retry.delay(tries)));
    }

    /// The end of an action that was applied, and whose outcome could not be found out.
    fn undecided(&self, action: u32, why: String) -> NodeEnd {
        match self.crash[action as usize] {
            CrashClass::AtMostOnce => NodeEnd::InDoubt(why),
            CrashClass::DeterministicName
            | CrashClass::IdempotencyKey
            | CrashClass::FindableByTag
            | CrashClass::CompareAndSet => NodeEnd::Failed(why),
        }
    }

    fn release(&mut self, action: u32) {
        self.slots.release(action);
        self.in_flight -= 1;
    }

    fn end(&mut self, action: u32, end: NodeEnd, commands: &mut Vec<Command>) {
        self.release(action);
        let went_well = matches!(end, NodeEnd::Done | NodeEnd::Satisfied);
        self.record_end(action, end, commands);
        let dependents = std::mem::take(&mut self.dependents[action as usize]);
        if went_well {
            for dependent in &dependents {
                if let State::Waiting(left) = &mut self.states[*dependent as usize] {
                    *left -= 1;
                    if *left == 0 {
                        self.queue(*dependent, Next::Check(Phase::First));
                    }
                }
            }
        } else {
            self.cut_off(action, &dependents, commands);
        }
        self.dependents[action as usize] = dependents;
    }

    /// Everything that comes after a failed action is not reached.
    fn cut_off(&mut self, failed: u32, dependents: &[u32], commands: &mut Vec<Command>) {
        let mut stack = dependents.to_vec();
        while let Some(action) = stack.pop() {
            if matches!(self.states[action as usize], State::Waiting(_)) {
                self.record_end(action, NodeEnd::NotReached(failed), commands);
                stack.extend_from_slice(&self.dependents[action as usize]);
            }
        }
    }

    fn record_end(&mut self, action: u32, end: NodeEnd, commands: &mut Vec<Command>) {
        self.states[action as usize] = State::Ended(end.clone());
        self.left -= 1;
        self.journaled += 1;
        commands.push(Command::RecordEnd(action, end));
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
