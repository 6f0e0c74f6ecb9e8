//! Why here.

use std::fmt;

use crate::place::named::listed;
use crate::place::online::{Placer, Reason, Refusal};
use crate::place::{InstanceId, MachineId, Model, Named};

/// Why an instance is where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    /// Who.
    pub instance: InstanceId,
    /// Where it is.
    pub machine: MachineId,
    /// Machines that would be preferred to it as things are now, the best first: none when it was put there last. As many
    /// as were looked at.
    pub preferred: Vec<MachineId>,
    /// Whether its own machine was come by when these were looked at.
    pub rank: Option<usize>,
    /// Machines that would be next, the best first.
    pub next: Vec<MachineId>,
    /// Why not the others: how many machines for which first reason. None when more fit than were looked at.
    pub refusal: Option<Refusal>,
}

/// How many machines are looked at in the order in which they are preferred: each is a choice among all.
const LOOKS_MAX: usize = 16;

/// How many that come next are told.
const NEXT_MAX: usize = 3;

/// Why an instance is where it is: how its machine stands among those that it could be on as things are now, by the placer's
/// preference. None when it is nowhere.
pub fn why_here(placer: &Placer<'_>, instance: InstanceId) -> Option<Here> {
    let machine = placer.placement().machine(instance)?;
    let mut placer = placer.clone();
    let mut here =
        Here { instance, machine, preferred: Vec::new(), rank: None, next: Vec::new(), refusal: None };
    // What is preferred most is chosen; then it is closed, and what is preferred most of the others is chosen.
    for look in 0..LOOKS_MAX {
        match placer.place(instance) {
            Ok(spot) if spot.machine == machine => here.rank = Some(look + 1),
            Ok(spot) if here.rank.is_none() => here.preferred.push(spot.machine),
            Ok(spot) => here.next.push(spot.machine),
            Err(mut refusal) => {
                // Those that were looked at are closed only here.
                if let Some(closed) = refusal.reasons.get_mut(&Reason::Closed) {
                    *closed -= look;
                }
                refusal.reasons.retain(|_, count| *count > 0);
                here.refusal = Some(refusal);
                break;
            }
        }
        if here.next.len() == NEXT_MAX {
            break;
        }
        let chosen = placer.placement().machine(instance)?;
        placer.close(chosen);
    }
    Some(here)
}

impl Named for Here {
    fn fmt_named(&self, model: &Model, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, machine) = (model.instance_name(self.instance), model.machine_name(self.machine));
        match (self.rank, self.preferred.len()) {
            (Some(1), _) => write!(f, "{name} is on {machine}: of what fits it is preferred most")?,
            (Some(rank), _) => write!(
                f,
                "{name} is on {machine}: as things are now that is choice {rank}, after {}",
                listed(model, &self.preferred)
            )?,
            (None, 0) => write!(f, "{name} is on {machine}: now it would fit nowhere")?,
            (None, _) => write!(
                f,
                "{name} is on {machine}: now it would rather be on {}",
                listed(model, &self.preferred)
            )?,
        }
        if !self.next.is_empty() {
            write!(f, "; next would be {}", listed(model, &self.next))?;
        }
        Ok(())
    }
}
