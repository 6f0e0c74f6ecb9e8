//! The words between the engine and its driver: events in, commands out.

use std::time::Duration;

use crate::action::ErrorClass;
use crate::execute::journal::What;

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
    /// An earlier process has journaled this of an action. Such events come first, in the journal's order, before
    /// [`begin`](super::Engine::begin).
    Journaled(u32, What),
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
