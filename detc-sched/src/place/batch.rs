//! Places many instances at once, and moves others to make room where time is given.
//!
//! ```text
//!   urgent and large first ─▶ one by one ─▶ who has no place is put where the least is in its way ─▶ repair by rebalancing
//!                                                    ▲ fewer of them ◀── still broken ──┘└▶ all rules hold: placed
//! ```
//!
//! Placing one by one never moves what is placed, and so refuses what would fit after a few moves. Here those are put in spite of
//! what is in their way, and the [rebalance](crate::rebalance), which goes through placements that break capacities and
//! rules at a price, finds the moves: as in the "ejection" of Nagata and Bräysy ("A powerful route minimization heuristic
//! for the vehicle routing problem with time windows", Operations Research Letters 37, 2009), a failure is a start.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::place::online::{Placer, Preference, Reason, Refusal};
use crate::place::{DeviceNeed, InstanceId, Model, Placement, newly_broken, validate};
use crate::rebalance::{Effort, Options, Spent, rebalance};

#[cfg(test)]
mod tests;

/// What came of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Batch {
    /// All that have a place; those that had one still have one, maybe another.
    pub placement: Placement,
    /// Who has none, and why not as things were when it was asked last: now, unless the effort ended.
    pub refused: Vec<(InstanceId, Refusal)>,
    /// Whose turn did not come before the effort ended.
    pub untried: Vec<InstanceId>,
}

/// Part of the effort that is left goes to each try to make room.
const SHARE_OF_TRY: f64 = 0.4;

/// Part of a try goes at most into where to put those that have no place.
const SHARE_OF_FORCING: f64 = 0.25;

/// Places all instances that are nowhere in `start`, those of high priority first, of these the large ones.
///
/// **Guarantees.** Nothing is broken that was not broken in `start`, and nobody loses its place. With [`Effort::Steps`] it depends
/// on nothing but the arguments. Without effort it is placing one by one, and then again for those that wait for others. With
/// [`Effort::Until`] it is asked before each instance, and when all is spent what has a place by then is given.
///
/// **Does not** make room by moving for instances that need devices or ports, and nobody gives way for good:
/// [`Placer::place_displacing`] does.
pub fn place_all(
    model: &Model,
    start: &Placement,
    preference: &Preference,
    options: &Options,
    effort: Effort<'_>,
) -> Batch {
    let broken = validate(model, start);
    let holds = |placement: &Placement| newly_broken(&broken, validate(model, placement)).is_empty();
    let mut placer = Placer::new(model, start, preference.clone());
    let mut waiting: Vec<InstanceId> =
        model.instances().filter(|instance| start.machine(*instance).is_none()).collect();
    let size = share_of_all(model);
    waiting.sort_by_key(|id| (Reverse(model.priority(*id)), Reverse(size(*id)), *id));
    let waiting = waiting.into_iter().map(|id| (id, None)).collect();
    let (mut refused, untried) = one_by_one(&mut placer, waiting, &effort);
    let mut placement = placer.placement().clone();
    let mut spent = 0.0;
    let mut trying: Vec<InstanceId> = match &effort {
        Effort::Steps(0) => Vec::new(),
        Effort::Until(spent) if spent() == Spent::ALL => Vec::new(),
        _ => movable(model, &refused),
    };
    while !trying.is_empty() {
        let until = spent + (1.0 - spent) * SHARE_OF_TRY;
        let forcing = spent + (until - spent) * SHARE_OF_FORCING;
        let forced =
            part(&effort, spent, forcing, |effort| force(model, &placement, preference, &trying, &effort));
        trying.retain(|instance| forced.machine(*instance).is_some());
        if trying.is_empty() {
            break;
        }
        let found =
            part(&effort, spent, until, |effort| rebalance(model, &forced, options, effort).placement);
        spent = match &effort {
            Effort::Steps(_) => until,
            Effort::Until(spent) => spent().share(),
        };
        if holds(&found) {
            placement = found;
            let mut placer = Placer::new(model, &placement, preference.clone());
            let waiting = refused.into_iter().filter(|(instance, _)| placement.machine(*instance).is_none());
            let waiting = waiting.map(|(instance, refusal)| (instance, Some(refusal)));
            refused = one_by_one(&mut placer, waiting.collect(), &effort).0;
            placement = placer.placement().clone();
            trying = movable(model, &refused);
        } else {
            // The less urgent half has to wait.
            trying.truncate(trying.len() / 2);
        }
        if spent > 0.99 {
            break;
        }
    }
    Batch { placement, refused, untried }
}

/// How large an instance is: of the resource of which it needs the greatest part of all there is, in millionths.
fn share_of_all(model: &Model) -> impl Fn(InstanceId) -> i128 {
    let width = model.resource_count();
    let all: Vec<i128> = (0..width)
        .map(|index| model.machines().map(|machine| i128::from(model.capacity(machine)[index])).sum())
        .collect();
    move |instance| {
        let parts = model.needs(instance).iter().zip(&all);
        parts.map(|(need, all)| i128::from(*need) * 1_000_000 / (*all).max(1)).max().unwrap_or(0)
    }
}

/// Who waits, and why it has no place yet, if it was tried.
type Waiting = Vec<(InstanceId, Option<Refusal>)>;

/// Places what has a place, and again those that waited for others, as long as that helps and there is time. Gives who has none,
/// and whose turn did not come.
fn one_by_one(
    placer: &mut Placer<'_>,
    mut waiting: Waiting,
    effort: &Effort<'_>,
) -> (Vec<(InstanceId, Refusal)>, Vec<InstanceId>) {
    // In steps, effort is for moves alone.
    let is_over = || matches!(effort, Effort::Until(spent) if spent() == Spent::ALL);
    let mut over = false;
    loop {
        let count = waiting.len();
        let mut still = Waiting::new();
        for (instance, before) in waiting {
            over = over || is_over();
            if over {
                still.push((instance, before));
            } else if let Err(refusal) = placer.place(instance) {
                still.push((instance, Some(refusal)));
            }
        }
        waiting = still;
        if over || waiting.is_empty() || waiting.len() == count {
            break;
        }
    }
    let untried = waiting.iter().filter(|(_, refusal)| refusal.is_none()).map(|(id, _)| *id).collect();
    (waiting.into_iter().filter_map(|(id, refusal)| Some((id, refusal?))).collect(), untried)
}

fn movable(model: &Model, refused: &[(InstanceId, Refusal)]) -> Vec<InstanceId> {
    let plain =
        |id: &InstanceId| model.device_need(*id) == DeviceNeed::default() && model.ports(*id).is_empty();
    refused.iter().map(|(instance, _)| *instance).filter(plain).collect()
}

/// Puts instances where the least is in their way, of what others could clear; as many as there is time for, when each look at a
/// machine is a step.
fn force(
    model: &Model,
    placement: &Placement,
    preference: &Preference,
    instances: &[InstanceId],
    effort: &Effort<'_>,
) -> Placement {
    let mut forced = placement.clone();
    let placer = Placer::new(model, placement, preference.clone());
    for (number, instance) in instances.iter().enumerate() {
        if effort.spent((number * model.machine_count()) as u64) == Spent::ALL {
            break;
        }
        let lasting = |reasons: &BTreeSet<Reason>| {
            reasons
                .iter()
                .any(|reason| !matches!(reason, Reason::Lacks(_) | Reason::Rule(_) | Reason::KeptApart))
        };
        let count = model.machine_count();
        // Equals are taken in turn, so that not all stand on one.
        let machines = model.machines().filter_map(|machine| {
            let reasons = placer.reasons_on(*instance, machine);
            let turn = (machine.index() + count - number % count) % count;
            (!lasting(&reasons)).then_some((reasons.len(), turn, machine))
        });
        if let Some((.., machine)) = machines.min() {
            forced.put(*instance, machine);
        }
    }
    forced
}

/// Does something with a part of an effort.
fn part<T>(effort: &Effort<'_>, from: f64, to: f64, does: impl FnOnce(Effort<'_>) -> T) -> T {
    const WHOLE: f64 = 1e6;
    match effort {
        Effort::Steps(steps) => does(Effort::Steps((*steps as f64 * (to - from)) as u64)),
        Effort::Until(spent) => {
            let inner = || {
                let share = (spent().share() - from) / (to - from).max(1e-9);
                Spent::of((share.clamp(0.0, 1.0) * WHOLE) as u64, WHOLE as u64)
            };
            does(Effort::Until(&inner))
        }
    }
}
