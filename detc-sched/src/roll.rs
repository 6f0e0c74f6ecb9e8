//! The next safe step from the instances that run to those that should.
//!
//! [`step`] looks at the instances of one service and says which to start, stop or replace now, or what it waits for.
//! It is asked again after each step and whenever an instance changes; it remembers nothing, so it can be asked by a
//! manager that has just come back from a crash, and the answer is the same.
//!
//! ```text
//!   instances ─┐
//!   Goal ──────┼─step─▶ Change { start, stop, replace } ──▶ (done by the caller) ──▶ asked again
//!   Strategy ──┘   ├──▶ Wait(Waiting)
//!                  └──▶ Done
//! ```
//!
//! **Guarantees.** The parts of a change may be done in any order, at once, and any number of them may fail:
//! - no change makes fewer instances healthy than the [floor](Strategy::floor); when the world itself took some, no
//!   change takes more of the healthy;
//! - no change makes more instances than the [ceiling](Strategy::ceiling) there are;
//! - once each started instance becomes healthy and stays so, [`Step::Done`] is reached, in at most as many changes as
//!   there are instances to start and to stop.
//!
//! **Assumes** that an instance being stopped is reported as unhealthy of its version until it is gone, and one being
//! started as unhealthy of the new one: then asking again in the middle is harmless.
//!
//! **Does not** heal instances of the new version, nor roll back: both are changes of the desired state. A new version
//! that does not become healthy uses up the window and the roll waits, with the culprits named.
//!
//! The window is that of Kubernetes Deployments (`maxUnavailable`, `maxSurge`: kubernetes.io, "Deployments", "Rolling
//! Update Deployment"), and so is the rule that unhealthy old instances go first, but no more than the window has room
//! for: they may yet be needed. Canary and blue/green are described in Humble and Farley, "Continuous Delivery" (2010),
//! chapter 10.
//!
//! ```
//! use detc_sched::roll::{Goal, Health, Instance, Step, Strategy, Version, Window, step};
//!
//! let old = |id| Instance { id, version: Version::Other, health: Health::Healthy };
//! let one_less = Strategy::Rolling(Window::new(1, 0)?);
//! let next = step(&[old("a"), old("b"), old("c")], Goal { count: 3 }, one_less);
//! assert_eq!(next, Step::Change { start: 0, stop: vec![], replace: vec!["a"] });
//! # Ok::<(), detc_sched::roll::NoRoom>(())
//! ```

use std::num::NonZeroU32;

use thiserror::Error;

#[cfg(test)]
mod tests;

/// An instance that runs, is about to, or is about to cease to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance<I> {
    /// What it is called.
    pub id: I,
    /// What it runs.
    pub version: Version,
    /// How it is.
    pub health: Health,
}

/// What an instance runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// What is wanted.
    Target,
    /// Anything else.
    Other,
}

/// How an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It serves.
    Healthy,
    /// It does not, not yet, or not any more.
    Unhealthy,
}

/// Where a roll leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goal {
    /// How many instances of the target version, and none of any other.
    pub count: u32,
}

/// How a roll proceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Some at a time, as the window allows.
    Rolling(Window),
    /// First a few, which must become healthy and be approved; then the rest within the same window. Before that
    /// nothing but the few is started, not even for old instances that vanished. A first batch of all instances is a
    /// rolling change, which asks nobody.
    Canary {
        /// How many instances the first batch is.
        first: NonZeroU32,
        /// The window of the first batch and of the rest.
        window: Window,
        /// Whether the rest may follow.
        approval: Approval,
    },
    /// All new instances beside the old ones; when all are healthy and approved, the old ones go at once.
    BlueGreen {
        /// Whether the old ones may go.
        approval: Approval,
    },
}

/// Whether what was started may take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// Not yet: somebody still looks at it.
    Pending,
    /// Yes, as soon as it is healthy.
    Given,
}

/// How far a roll may stray from the wanted number of instances. At least one instance in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    max_unavailable: u32,
    max_surge: u32,
}

/// A window without room: nothing could ever be stopped or started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a roll needs room: allow at least one instance to be unavailable or one more to run meanwhile")]
pub struct NoRoom;

impl Window {
    /// Up to `max_unavailable` instances fewer than wanted are healthy, and up to `max_surge` more than wanted are
    /// there. Without surge instances are replaced where they are.
    ///
    /// # Errors
    /// When both are zero.
    pub const fn new(max_unavailable: u32, max_surge: u32) -> Result<Self, NoRoom> {
        if max_unavailable == 0 && max_surge == 0 {
            return Err(NoRoom);
        }
        Ok(Self { max_unavailable, max_surge })
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step<I> {
    /// Do all of this, in any order. Never empty.
    Change {
        /// How many instances of the target version to start.
        start: u32,
        /// Those to stop.
        stop: Vec<I>,
        /// Those to stop and to start again as the target version, each in its place.
        replace: Vec<I>,
    },
    /// Nothing can be done now.
    Wait(Waiting<I>),
    /// The goal is reached, all of it healthy.
    Done,
}

/// What a roll waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waiting<I> {
    /// For these instances of the target version to become healthy.
    Unhealthy(Vec<I>),
    /// For somebody's approval: all that was started is healthy.
    Unapproved,
}

impl Strategy {
    /// The least number of healthy instances that a roll to `goal` leaves.
    pub fn floor(self, goal: Goal) -> u32 {
        match self {
            Self::Rolling(window) | Self::Canary { window, .. } => {
                goal.count.saturating_sub(window.max_unavailable)
            }
            Self::BlueGreen { .. } => goal.count,
        }
    }

    /// The greatest number of instances that a roll to `goal` makes; `others` of another version are there.
    pub fn ceiling(self, goal: Goal, others: u32) -> u32 {
        match self {
            Self::Rolling(window) | Self::Canary { window, .. } => {
                goal.count.saturating_add(window.max_surge)
            }
            Self::BlueGreen { .. } => goal.count.saturating_add(others),
        }
    }

    /// What may be done now, when so many instances of the target version are healthy and so many others are there.
    fn stage(self, goal: Goal, healthy: u32, others: u32) -> Stage {
        let whole = Stage { wanted: goal.count, kept: 0 };
        match self {
            Self::Rolling(_) => whole,
            Self::Canary { first, approval, .. } => {
                let first = goal.count.min(first.get());
                match approval {
                    Approval::Given if healthy >= first => whole,
                    _ => Stage { wanted: first, kept: goal.count - first },
                }
            }
            Self::BlueGreen { approval: Approval::Given } if healthy >= goal.count => whole,
            Self::BlueGreen { .. } => Stage { wanted: goal.count, kept: others },
        }
    }

    /// Whether an instance is replaced where it is, because there is no room beside it.
    fn is_in_place(self) -> bool {
        match self {
            Self::Rolling(window) | Self::Canary { window, .. } => window.max_surge == 0,
            Self::BlueGreen { .. } => false,
        }
    }
}

/// What may be done now.
#[derive(Clone, Copy, Debug)]
struct Stage {
    /// How many instances of the target version.
    wanted: u32,
    /// How many others are kept.
    kept: u32,
}

/// The next safe step of a roll to `goal`. Among equals the instances given first go first. Linear in instances.
pub fn step<I: Clone>(instances: &[Instance<I>], goal: Goal, strategy: Strategy) -> Step<I> {
    let of = |version, health| -> Vec<I> {
        let fits = |instance: &&Instance<I>| instance.version == version && instance.health == health;
        instances.iter().filter(fits).map(|instance| instance.id.clone()).collect()
    };
    let [mut sick_old, mut old] =
        [Health::Unhealthy, Health::Healthy].map(|health| of(Version::Other, health));
    let [sick_new, new] = [Health::Unhealthy, Health::Healthy].map(|health| of(Version::Target, health));
    let [sick_olds, olds, sick_news, news] = [&sick_old, &old, &sick_new, &new].map(|ids| count(ids));

    let stage = strategy.stage(goal, news, sick_olds + olds);
    let total = sick_olds + olds + sick_news + news;
    let ceiling = strategy.ceiling(goal, sick_olds + olds);
    let start = stage.wanted.saturating_sub(sick_news + news).min(ceiling.saturating_sub(total));

    // New instances that are not healthy yet are no reason to stop old ones, not even unhealthy ones.
    let floor = strategy.floor(goal);
    let room = (sick_olds + olds + news).saturating_sub(floor);
    let leaving = (sick_olds + olds).saturating_sub(stage.kept);
    let sick_leaving = sick_olds.min(leaving).min(room);
    let old_leaving = (leaving - sick_leaving).min(olds).min(room - sick_leaving);
    sick_old.truncate(sick_leaving as usize);
    old.truncate(old_leaving as usize);

    let missing = stage.wanted.saturating_sub(sick_news + news + start);
    let placed = if strategy.is_in_place() { missing.min(sick_leaving + old_leaving) } else { 0 };
    let mut replace: Vec<I> = sick_old.into_iter().chain(old).collect();
    let mut stop = replace.split_off(placed as usize);

    // Of too many new ones the unhealthy go first. When healthy ones go too, as many as wanted remain: the floor holds.
    let extra = (sick_news + news).saturating_sub(goal.count);
    let sick_extra = extra.min(sick_news);
    let new_extra = extra - sick_extra;
    stop.extend(sick_new.iter().take(sick_extra as usize).cloned());
    stop.extend(new.into_iter().take(new_extra as usize));

    if start > 0 || !stop.is_empty() || !replace.is_empty() {
        Step::Change { start, stop, replace }
    } else if !sick_new.is_empty() {
        Step::Wait(Waiting::Unhealthy(sick_new))
    } else if sick_olds + olds > 0 || news < goal.count {
        Step::Wait(Waiting::Unapproved)
    } else {
        Step::Done
    }
}

/// How many there are. More than 2³² are counted as that many, and nobody has them.
fn count<I>(ids: &[I]) -> u32 {
    u32::try_from(ids.len()).unwrap_or(u32::MAX)
}
