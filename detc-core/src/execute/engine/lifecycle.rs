//! The lifecycle of one action: what follows from where it is and what happens to it. It is the same function when a run goes on
//! and when it is replayed from its journal, and has an answer, or an invariant, for each pair.
//!
//! ```text
//!            ┌───────────── journaled: ended ─────────────────────────────┐
//! waiting ─▶ queued ─▶ checking ─needed─▶ starting ─durable─▶ queued ─▶ applying ─▶ verifying ─▶ done
//!    │ journaled: started  │ satisfied                          ▲           │ unknown     │ not so
//!    ▼                     ▼                                    └─ needed ─ settling      ▼
//!  begun ─▶ settling      done                                               └────────▶ failed
//! ```
//!
//! Who else is at work, what waits for whom and what is written is the [machine](super)'s.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Applied, Checked, NodeEnd, Phase, Retry};
use crate::action::{CrashClass, ErrorClass};

/// Where an action is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Comes after this many that have not ended.
    Waiting(u32),
    /// An earlier process has begun it, and not seen its end.
    Begun,
    /// Needs a slot, to do this.
    Queued(Next),
    Checking(Phase),
    /// Its start is in the journal and is not durable yet.
    Starting,
    Applying,
    /// Waits to do this again.
    Delayed(Next),
    Ended(NodeEnd),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Check(Phase),
    Apply,
}

/// What happens to an action.
#[derive(Debug)]
pub(super) enum Happening {
    /// The journal of an earlier process says that it started.
    JournaledStart,
    /// The journal of an earlier process says that it ended so.
    JournaledEnd(NodeEnd),
    /// The run goes on, and what can begin begins.
    Go,
    /// One that it comes after has ended well.
    Freed,
    /// One that it comes after, at once or through others, has not ended well: this one.
    CutOff(u32),
    /// It has its slot.
    Turn,
    /// Its start is durable.
    Durable,
    Checked(Checked),
    Applied(Applied),
    /// Its delay has passed.
    Waited,
}

/// What follows for it.
#[derive(Debug)]
pub(super) enum Move {
    Stay,
    /// It waits for so many; for none: until the run goes on with it.
    Wait(u32),
    /// An earlier process had begun it.
    Begin,
    /// It has ended so, which is recorded already.
    Take(NodeEnd),
    /// It needs a slot, to do this.
    Queue(Next),
    Check(Phase),
    Apply,
    /// Its start is recorded.
    Start,
    Delay(Delay),
    /// It has ended so, which is to be recorded.
    End(NodeEnd),
}

/// Something is done again after some time.
#[derive(Debug)]
pub(super) struct Delay {
    pub(super) next: Next,
    /// How often that was tried by now.
    pub(super) tries: u32,
    pub(super) time: Duration,
    /// Why the outcome of the last apply is not known, when it has just been lost.
    pub(super) lost: Option<String>,
}

/// What is known of the actions beside where they are.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) crash: Vec<CrashClass>,
    /// How often each was applied.
    pub(super) attempts: Vec<u32>,
    /// How often each had to be looked at again since it was last applied.
    pub(super) looks: Vec<u32>,
    /// Why the outcome of the last apply is not known, where it is not.
    pub(super) lost: BTreeMap<u32, String>,
    pub(super) retry: Retry,
    /// Nothing is begun any more.
    pub(super) stopping: bool,
}

/// What follows for `action`, which is in `state`, from what happens to it.
#[inline(always)]
pub(super) fn follow(state: &State, happening: Happening, action: u32, known: &Known) -> Move {
    use Happening as H;
    use State as S;
    match (state, happening) {
        (S::Waiting(_), H::JournaledStart) => Move::Begin,
        (S::Waiting(_) | S::Begun, H::JournaledEnd(end)) => Move::Take(end),
        // Said twice, it is so once.
        (S::Begun | S::Ended(_), H::JournaledStart) | (S::Ended(_), H::JournaledEnd(_)) => Move::Stay,

        (S::Waiting(0), H::Go) => Move::Queue(Next::Check(Phase::First)),
        (S::Begun, H::Go) => Move::Queue(Next::Check(Phase::Settle)),
        (S::Waiting(_) | S::Ended(_), H::Go) => Move::Stay,

        (S::Waiting(left @ 1..), H::Freed) => Move::Wait(left - 1),
        (S::Waiting(_), H::CutOff(failed)) => Move::End(NodeEnd::NotReached(failed)),
        // It was cut off by another one; or a journal says that it began before its time, and it goes on.
        (
            S::Begun
            | S::Queued(_)
            | S::Checking(_)
            | S::Starting
            | S::Applying
            | S::Delayed(_)
            | S::Ended(_),
            H::Freed | H::CutOff(_),
        ) => Move::Stay,

        // Nothing was begun of it: it is looked at again when the run is resumed.
        (S::Queued(Next::Check(Phase::First)), H::Turn) if known.stopping => Move::Wait(0),
        (S::Queued(Next::Check(phase)), H::Turn) => Move::Check(*phase),
        (S::Queued(Next::Apply), H::Turn) => Move::Apply,
        (S::Starting, H::Durable) => Move::Queue(Next::Apply),
        (S::Checking(phase), H::Checked(checked)) => known.checked(action, *phase, checked),
        (S::Applying, H::Applied(applied)) => known.applied(action, applied),
        (S::Delayed(next), H::Waited) => Move::Queue(*next),

        (
            S::Queued(_) | S::Checking(_) | S::Starting | S::Applying | S::Delayed(_),
            H::JournaledStart | H::JournaledEnd(_) | H::Go,
        )
        | (
            S::Waiting(_)
            | S::Begun
            | S::Checking(_)
            | S::Starting
            | S::Applying
            | S::Delayed(_)
            | S::Ended(_),
            H::Turn,
        )
        | (
            S::Waiting(_)
            | S::Begun
            | S::Queued(_)
            | S::Checking(_)
            | S::Applying
            | S::Delayed(_)
            | S::Ended(_),
            H::Durable,
        )
        | (
            S::Waiting(_) | S::Begun | S::Queued(_) | S::Starting | S::Applying | S::Delayed(_) | S::Ended(_),
            H::Checked(_),
        )
        | (
            S::Waiting(_)
            | S::Begun
            | S::Queued(_)
            | S::Checking(_)
            | S::Starting
            | S::Delayed(_)
            | S::Ended(_),
            H::Applied(_),
        )
        | (
            S::Waiting(_)
            | S::Begun
            | S::Queued(_)
            | S::Checking(_)
            | S::Starting
            | S::Applying
            | S::Ended(_),
            H::Waited,
        )
        | (S::Waiting(0), H::Freed) => {
            unreachable!("invariant: only what is asked for happens, and {action} in {state:?} has not asked")
        }
    }
}

impl Known {
    fn checked(&self, action: u32, phase: Phase, checked: Checked) -> Move {
        match (phase, checked) {
            (Phase::First, Checked::Satisfied) => Move::End(NodeEnd::Satisfied),
            (Phase::Verify | Phase::Settle, Checked::Satisfied) => Move::End(NodeEnd::Done),
            (Phase::First, Checked::Needed(_)) if self.stopping => Move::Wait(0),
            (Phase::First, Checked::Needed(_)) => Move::Start,
            (Phase::First | Phase::Settle, Checked::Moved(how)) => Move::End(NodeEnd::Held(how)),
            (Phase::Verify, Checked::Needed(why) | Checked::Moved(why)) => {
                let message = format!("it says that it is done, and it is not: {why}");
                Move::End(NodeEnd::Failed(message))
            }
            (Phase::Settle, Checked::Needed(_))
                if self.attempts[action as usize] < self.retry.attempts_max =>
            {
                Move::Queue(Next::Apply)
            }
            (Phase::Settle, Checked::Needed(why)) => {
                Move::End(NodeEnd::Failed(match self.lost.get(&action) {
                    Some(before) => format!("{before}; after that, {why}"),
                    None => why,
                }))
            }
            (Phase::Settle, Checked::Unknown(why))
                if self.crash[action as usize] == CrashClass::AtMostOnce =>
            {
                Move::End(NodeEnd::InDoubt(match self.lost.get(&action) {
                    Some(before) => format!("{before}; it is in doubt: {why}"),
                    None => format!("it had started, and its end was not recorded: {why}"),
                }))
            }
            (Phase::First | Phase::Verify | Phase::Settle, Checked::Unknown(why)) => {
                self.again(action, Next::Check(phase), format!("its state can not be found out: {why}"), None)
            }
            (Phase::First, Checked::Failed(ErrorClass::Permanent, why)) => Move::End(NodeEnd::Failed(why)),
            (Phase::Verify, Checked::Failed(ErrorClass::Permanent, why)) => {
                Move::End(self.undecided(action, format!("it was done, and that is not confirmed: {why}")))
            }
            (Phase::Settle, Checked::Failed(ErrorClass::Permanent, why)) => {
                Move::End(self.undecided(action, format!("its outcome can not be found out: {why}")))
            }
            (
                Phase::First | Phase::Verify | Phase::Settle,
                Checked::Failed(
                    ErrorClass::Transient | ErrorClass::Unreachable | ErrorClass::OutcomeUnknown,
                    why,
                ),
            ) => self.again(action, Next::Check(phase), why, None),
        }
    }

    fn applied(&self, action: u32, applied: Applied) -> Move {
        match applied {
            Applied::Done => Move::Check(Phase::Verify),
            Applied::Failed(ErrorClass::Permanent, why) => Move::End(NodeEnd::Failed(why)),
            Applied::Failed(ErrorClass::Transient | ErrorClass::Unreachable, why) => {
                self.again(action, Next::Apply, why, None)
            }
            Applied::Failed(ErrorClass::OutcomeUnknown, why) => {
                self.again(action, Next::Check(Phase::Settle), why.clone(), Some(why))
            }
        }
    }

    /// It is done again after a delay, or given up. Looks and applies are counted apart: a look that has to be repeated uses
    /// up no apply.
    fn again(&self, action: u32, next: Next, why: String, lost: Option<String>) -> Move {
        let tries = match next {
            Next::Apply => self.attempts[action as usize],
            Next::Check(_) => self.looks[action as usize] + 1,
        };
        match next {
            Next::Check(Phase::First) if self.stopping => Move::Wait(0),
            Next::Check(Phase::Verify | Phase::Settle) if tries >= self.retry.attempts_max => {
                Move::End(self.undecided(action, why))
            }
            Next::Check(Phase::First) | Next::Apply if tries >= self.retry.attempts_max => {
                Move::End(NodeEnd::Failed(why))
            }
            Next::Check(Phase::First | Phase::Verify | Phase::Settle) | Next::Apply => {
                Move::Delay(Delay { next, tries, time: self.retry.delay(tries), lost })
            }
        }
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
}

#[cfg(test)]
mod tests;
