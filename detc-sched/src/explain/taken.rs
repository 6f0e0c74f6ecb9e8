//! May I take these machines down?

use std::fmt;

use crate::place::named::listed;
use crate::place::online::{Placer, Refusal};
use crate::place::{InstanceId, MachineId, Model, Named, Placement, Violation, newly_broken, validate};

/// What would become of the instances of machines that are taken down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenDown {
    /// The machines.
    pub machines: Vec<MachineId>,
    /// Where each would go.
    pub moves: Vec<(InstanceId, MachineId)>,
    /// Who would be nowhere, and why.
    pub stranded: Vec<(InstanceId, Refusal)>,
    /// What would be broken that is not now: rules of instances that stay, and needed those that go.
    pub broken: Vec<Violation>,
    /// All placed as they would be.
    pub after: Placement,
}

impl TakenDown {
    /// Whether all have a place, and nothing is broken.
    pub fn is_harmless(&self) -> bool {
        self.stranded.is_empty() && self.broken.is_empty()
    }
}

/// What would become of the instances of these machines if they were taken down, those of high priority first. Nothing
/// else is moved to make room: "yes" is a proof, "no" is that it can not be done so.
///
/// As many choices as there are instances; and once more for those that wait for others, which are needed where they go.
pub fn take_down(placer: &Placer<'_>, model: &Model, machines: &[MachineId]) -> TakenDown {
    let broken_now = validate(model, placer.placement());
    let mut placer = placer.clone();
    let mut waiting = Vec::new();
    for machine in machines {
        placer.close(*machine);
        waiting.extend_from_slice(placer.residents(*machine));
    }
    waiting.sort_by_key(|instance| (std::cmp::Reverse(model.priority(*instance)), *instance));
    waiting.dedup();
    waiting.iter().for_each(|instance| placer.take(*instance));
    let (mut moves, mut stranded) = (Vec::new(), Vec::new());
    while !waiting.is_empty() {
        let before = moves.len();
        stranded.clear();
        for instance in std::mem::take(&mut waiting) {
            match placer.place(instance) {
                Ok(spot) => moves.push((instance, spot.machine)),
                Err(refusal) => stranded.push((instance, refusal)),
            }
        }
        if moves.len() > before {
            waiting.extend(stranded.iter().map(|(instance, _)| *instance));
        }
    }
    let after = placer.placement().clone();
    let broken = newly_broken(&broken_now, validate(model, &after));
    TakenDown { machines: machines.to_vec(), moves, stranded, broken, after }
}

impl Named for TakenDown {
    fn fmt_named(&self, model: &Model, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = if self.is_harmless() { "yes" } else { "no" };
        write!(f, "{answer}: {} instances leave {}", self.moves.len() + self.stranded.len(), {
            listed(model, &self.machines)
        })?;
        for (instance, refusal) in &self.stranded {
            let refusal = (model.group_of(*instance), refusal.clone());
            let name = model.instance_name(*instance);
            write!(f, "\n  {name} would be nowhere: {}", model.named(&refusal))?;
        }
        for violation in &self.broken {
            write!(f, "\n  broken would be: {}", model.named(violation))?;
        }
        for (instance, machine) in &self.moves {
            write!(f, "\n  {} would go to {}", model.instance_name(*instance), model.machine_name(*machine))?;
        }
        Ok(())
    }
}
