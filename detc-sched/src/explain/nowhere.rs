//! Why nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::place::online::{Placer, Reason, Refusal};
use crate::place::{InstanceId, Model, Named};

/// Why an instance can be placed nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nowhere {
    /// Who.
    pub instance: InstanceId,
    /// How many machines for which first reason.
    pub refusal: Refusal,
    /// Enough to block it on all machines, and no part of it is: without any one of these the others leave a machine free.
    pub blocking: BTreeSet<Reason>,
    /// What would free it: to be without all reasons of one of these sets, and on how many machines that would do. None of the
    /// sets holds another.
    pub ways_out: BTreeMap<BTreeSet<Reason>, usize>,
}

/// Why an instance that is nowhere can be placed nowhere as things are; none when it can be placed. Linear in machines, times
/// rules.
///
/// What is blocking, and what would free, are facts and rules of a kind: [`Reason::Lacks`] is "what it needs of this
/// resource", on whatever machine, [`Reason::Taint`] "what is not tolerated". So [`Nowhere::blocking`] is a minimal
/// unsatisfiable set, and the [`Nowhere::ways_out`] are all minimal correction sets. A single thing that by itself would
/// free it is a way out of one element, and then is part of what blocks.
pub fn why_nowhere(placer: &mut Placer<'_>, model: &Model, instance: InstanceId) -> Option<Nowhere> {
    let refusal = placer.why_not(instance)?;
    let mut kinds: BTreeMap<BTreeSet<Reason>, usize> = BTreeMap::new();
    for machine in model.machines() {
        *kinds.entry(placer.reasons_on(instance, machine)).or_default() += 1;
    }
    // Each reason is dropped in turn, and stays dropped when the others still block every machine (the deletion filter of
    // Chinneck and Dravnieks, "Locating Minimal Infeasible Constraint Sets in Linear Programs", 1991).
    let mut blocking: BTreeSet<Reason> = kinds.keys().flatten().copied().collect();
    for reason in blocking.clone() {
        blocking.remove(&reason);
        if kinds.keys().any(|here| here.is_disjoint(&blocking)) {
            blocking.insert(reason);
        }
    }
    let mut ways_out = kinds.clone();
    ways_out.retain(|set, _| !kinds.keys().any(|other| other != set && other.is_subset(set)));
    Some(Nowhere { instance, refusal, blocking, ways_out })
}

impl Named for Nowhere {
    fn fmt_named(&self, model: &Model, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = model.group_of(self.instance);
        let joined = |set: &BTreeSet<Reason>| {
            let texts: Vec<String> =
                set.iter().map(|reason| model.named(&(group, *reason)).to_string()).collect();
            texts.join(", and ")
        };
        writeln!(
            f,
            "{} fits none of {} machines: {}",
            model.instance_name(self.instance),
            model.machine_count(),
            model.named(&(group, self.refusal.clone()))
        )?;
        write!(f, "enough to block it: {}", joined(&self.blocking))?;
        for (way, machines) in &self.ways_out {
            write!(f, "\nit would fit on {machines} but for {}", joined(way))?;
        }
        Ok(())
    }
}
