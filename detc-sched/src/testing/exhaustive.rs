//! Every placement, tried: what is right by definition.
//!
//! Instances are placed one after the other on each machine, and on each choice of its devices; the independent judge is asked
//! at each step, and what it says that no further instance can mend is given up. There is no other idea in it, and no code
//! of the searches.

use std::fmt;

use crate::place::validate::Violation;
use crate::place::{InstanceId, MachineId, Model, Placement, Rule, bill, validate};

/// A solver that tries everything, for models of a handful of instances. Exponential in the instances that are to be placed.
#[derive(Clone, Debug)]
pub struct Exhaustive<'m> {
    model: &'m Model,
    start: Placement,
    placing: Vec<InstanceId>,
    without: Vec<MachineId>,
    tries_max: u64,
}

/// The model is too large to try everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// So many partial placements were tried.
    pub tried: u64,
}

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} placements were tried, and there are more: make the model smaller", self.tried)
    }
}

impl std::error::Error for TooMany {}

impl<'m> Exhaustive<'m> {
    /// How much is tried before it is given up: some seconds.
    const TRIES_MAX: u64 = 1 << 20;

    /// All instances are to be placed.
    pub fn new(model: &'m Model) -> Self {
        let placing = model.instances().collect();
        let start = Placement::empty(model);
        Self { model, start, placing, without: Vec::new(), tries_max: Self::TRIES_MAX }
    }

    /// Only these instances are to be placed; the others stay as they are in `start`.
    #[must_use]
    pub fn placing(mut self, instances: &[InstanceId], start: &Placement) -> Self {
        self.placing = instances.to_vec();
        self.start = start.clone();
        self
    }

    /// Places nothing on these machines.
    #[must_use]
    pub fn without(mut self, machines: &[MachineId]) -> Self {
        self.without = machines.to_vec();
        self
    }

    /// Tries so many partial placements at most.
    #[must_use]
    pub fn with_tries_max(mut self, tries_max: u64) -> Self {
        self.tries_max = tries_max;
        self
    }

    /// Some feasible placement, if there is one.
    ///
    /// # Errors
    /// When there is too much to try.
    pub fn first(&self) -> Result<Option<Placement>, TooMany> {
        let mut found = None;
        self.each(&mut |placement| {
            found = Some(placement.clone());
            Next::Stop
        })?;
        Ok(found)
    }

    /// The feasible placement of the least cost, and that cost; the first, if there are several.
    ///
    /// # Errors
    /// When there is too much to try.
    pub fn least(&self) -> Result<Option<(Placement, i128)>, TooMany> {
        let mut best: Option<(Placement, i128)> = None;
        self.each(&mut |placement| {
            let cost = bill(self.model, placement).total();
            if best.as_ref().is_none_or(|(_, least)| cost < *least) {
                best = Some((placement.clone(), cost));
            }
            Next::More
        })?;
        Ok(best)
    }

    fn each(&self, found: &mut dyn FnMut(&Placement) -> Next) -> Result<(), TooMany> {
        let mut placement = self.start.clone();
        self.placing.iter().for_each(|instance| placement.take(*instance));
        let mut tried = 0;
        self.descend(&mut placement, 0, &mut tried, found).map(drop)
    }

    fn descend(
        &self,
        placement: &mut Placement,
        depth: usize,
        tried: &mut u64,
        found: &mut dyn FnMut(&Placement) -> Next,
    ) -> Result<Next, TooMany> {
        *tried += 1;
        if *tried > self.tries_max {
            return Err(TooMany { tried: *tried });
        }
        let violations = validate(self.model, placement);
        let Some(instance) = self.placing.get(depth) else {
            return Ok(if violations.is_empty() { found(placement) } else { Next::More });
        };
        if violations.iter().any(|violation| !self.can_be_mended(violation)) {
            return Ok(Next::More);
        }
        for machine in self.model.machines().filter(|machine| !self.without.contains(machine)) {
            for devices in self.choices(*instance, machine) {
                placement.put_on_devices(*instance, machine, devices);
                if self.descend(placement, depth + 1, tried, found)? == Next::Stop {
                    return Ok(Next::Stop);
                }
            }
        }
        placement.take(*instance);
        Ok(Next::More)
    }

    /// Whether more instances could make it good again.
    fn can_be_mended(&self, violation: &Violation) -> bool {
        match violation {
            Violation::Rule { group, rule, .. } => {
                matches!(self.model.rules(*group)[*rule], Rule::Spread { .. } | Rule::With { .. })
            }
            _ => false,
        }
    }

    /// All sets of devices of a machine that have the right number.
    fn choices(&self, instance: InstanceId, machine: MachineId) -> Vec<Vec<u32>> {
        let wanted = self.model.device_need(instance).count as usize;
        let mut choices = vec![Vec::new()];
        for device in 0..self.model.devices(machine) {
            let with: Vec<Vec<u32>> = choices
                .iter()
                .filter(|choice: &&Vec<u32>| choice.len() < wanted)
                .map(|choice| [&choice[..], &[device]].concat())
                .collect();
            choices.extend(with);
        }
        choices.retain(|choice| choice.len() == wanted);
        choices
    }
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    More,
    Stop,
}
