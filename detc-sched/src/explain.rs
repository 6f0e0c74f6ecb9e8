//! Why here, why not there, why nowhere; and what would happen if.
//!
//! | question | answer |
//! |---|---|
//! | why not there? | [`Placer::reasons_on`]: all that keeps an instance from one machine |
//! | why nowhere? | [`why_nowhere`]: counts, a minimal set that blocks it, and what would free it |
//! | may I take these machines down? | [`take_down`]: where all would go, or who would not |
//! | how many more would fit? | [`Placer::room_for_more`] |
//! | what does it cost, and why? | [`bill`] |
//! | what did each move buy? | [`what_moves_bought`] |

use std::collections::{BTreeMap, BTreeSet};

use crate::place::online::{Placer, Reason, Refusal};
use crate::place::{InstanceId, MachineId, Model, Placement, bill};

#[cfg(test)]
mod tests;

/// Why an instance can be placed nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nowhere {
    /// How many machines for which first reason.
    pub refusal: Refusal,
    /// Enough to block it on all machines, and no part of it is: without any one of these the others leave a machine free.
    pub blocking: BTreeSet<Reason>,
    /// What would free it: to be without all reasons of one of these sets, and on how many machines that would do.
    pub ways_out: BTreeMap<BTreeSet<Reason>, usize>,
}

/// Why an instance can be placed nowhere as things are; none when it can be placed. Linear in machines, times rules.
pub fn why_nowhere(placer: &mut Placer<'_>, model: &Model, instance: InstanceId) -> Option<Nowhere> {
    let refusal = placer.why_not(instance)?;
    let reasons: Vec<BTreeSet<Reason>> =
        model.machines().map(|machine| placer.reasons_on(instance, machine)).collect();
    // Each reason is dropped in turn, and stays dropped when the others still block every machine (the deletion filter of
    // Chinneck and Dravnieks, "Locating Minimal Infeasible Constraint Sets in Linear Programs", 1991).
    let mut blocking: BTreeSet<Reason> = reasons.iter().flatten().copied().collect();
    for reason in blocking.clone() {
        blocking.remove(&reason);
        if reasons.iter().any(|here| here.is_disjoint(&blocking)) {
            blocking.insert(reason);
        }
    }
    let mut ways_out: BTreeMap<BTreeSet<Reason>, usize> = BTreeMap::new();
    for here in &reasons {
        *ways_out.entry(here.clone()).or_default() += 1;
    }
    let sets: Vec<BTreeSet<Reason>> = ways_out.keys().cloned().collect();
    ways_out.retain(|set, _| !sets.iter().any(|other| other != set && other.is_subset(set)));
    Some(Nowhere { refusal, blocking, ways_out })
}

/// What would become of the instances of machines that are taken down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenDown {
    /// Where each would go.
    pub moves: Vec<(InstanceId, MachineId)>,
    /// Who would be nowhere, and why.
    pub stranded: Vec<(InstanceId, Refusal)>,
}

/// What would become of the instances of these machines if they were taken down, those of high priority first. Nothing
/// else is moved to make room.
pub fn take_down(placer: &Placer<'_>, model: &Model, machines: &[MachineId]) -> TakenDown {
    let mut placer = placer.clone();
    let mut leaving = Vec::new();
    for machine in machines {
        placer.close(*machine);
        leaving.extend_from_slice(placer.residents(*machine));
    }
    for instance in &leaving {
        placer.take(*instance);
    }
    leaving.sort_by_key(|instance| (std::cmp::Reverse(model.priority(*instance)), *instance));
    let mut taken = TakenDown { moves: Vec::new(), stranded: Vec::new() };
    for instance in leaving {
        match placer.place(instance) {
            Ok(spot) => taken.moves.push((instance, spot.machine)),
            Err(refusal) => taken.stranded.push((instance, refusal)),
        }
    }
    taken
}

/// What each move between two placements is worth: what the bill would be more without it, all others made. Moves that pay
/// only together show that: each alone is worth more than its part. Linear in moves times the size of the model.
pub fn what_moves_bought(model: &Model, before: &Placement, after: &Placement) -> Vec<(InstanceId, i128)> {
    let total = bill(model, after).total();
    let moved = model.instances().filter(|instance| before.machine(*instance) != after.machine(*instance));
    let worth = |instance: InstanceId| {
        let mut without = after.clone();
        match before.machine(instance) {
            Some(machine) => without.put_on_devices(instance, machine, before.devices(instance).to_vec()),
            None => without.take(instance),
        }
        (instance, bill(model, &without).total() - total)
    };
    moved.map(worth).collect()
}
