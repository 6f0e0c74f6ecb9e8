//! Why not there, with the numbers.
//!
//! Written from the definitions, over the placement; that it tells the same reasons as the placer is tested.

use std::fmt;

use crate::place::model::Hold;
use crate::place::named::listed;
use crate::place::online::{Placer, Reason};
use crate::place::{
    DomainId, GroupId, InstanceId, LevelId, MachineId, Model, Named, Placement, ResourceId, Rule,
    SHARES_OF_DEVICE,
};

/// One thing that keeps an instance from a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// Who.
    pub instance: InstanceId,
    /// From where.
    pub machine: MachineId,
    /// What, in the words in which [`Nowhere`](super::Nowhere) counts.
    pub reason: Reason,
    /// The facts behind it.
    pub fact: Fact,
}

/// The facts behind a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// The machine takes nothing more.
    Closed,
    /// These taints are not tolerated.
    Taints(Vec<String>),
    /// The rule asks for machines that are like this or listed, and this is none.
    Machine {
        /// The value of the attribute that the rule asks about, if it is about one and there is one.
        value: Option<String>,
    },
    /// So much is free.
    Free {
        /// Of what.
        resource: ResourceId,
        /// What is free; negative where the machine is overfull.
        free: i128,
        /// Of how much.
        capacity: i64,
        /// What is needed.
        needs: i64,
    },
    /// It runs elsewhere, holds this there until it has moved, and so much is free there.
    Leaving {
        /// Where it runs.
        origin: MachineId,
        /// Of what.
        resource: ResourceId,
        /// What is free there.
        free: i128,
        /// What is needed.
        needs: i64,
    },
    /// So many devices have enough shares free.
    Devices {
        /// How many have,
        fitting: usize,
        /// of how many,
        devices: u32,
        /// and how many are needed.
        needs: u32,
        /// How many shares are needed of each.
        shares: u32,
    },
    /// A port that is needed is another's.
    Port {
        /// The port.
        port: u16,
        /// Whose.
        holder: InstanceId,
    },
    /// So many of the group are in the domain already.
    Full {
        /// The level,
        level: LevelId,
        /// and the domain.
        domain: DomainId,
        /// How many are there,
        there: usize,
        /// of how many that may be.
        limit: u32,
    },
    /// With those still to come the group would not reach enough domains.
    TooFew {
        /// The level.
        level: LevelId,
        /// Domains that would be reached,
        reached: usize,
        /// Instances that could still open one,
        to_come: usize,
        /// and how many domains there must be.
        wanted: u32,
    },
    /// The group is elsewhere.
    Elsewhere {
        /// The level,
        level: LevelId,
        /// and the domain where it is.
        domain: DomainId,
    },
    /// A group that is needed is not in the domain.
    Missing {
        /// The group that is needed.
        group: GroupId,
        /// The level,
        level: LevelId,
        /// and the domain.
        domain: DomainId,
    },
    /// A group from which it must be apart is in the domain.
    Present {
        /// The other group.
        group: GroupId,
        /// The level,
        level: LevelId,
        /// and the domain.
        domain: DomainId,
    },
}

/// All that keeps an instance from a machine as things are, where it is not on the machine; nothing, when it fits. Linear in
/// the instances of the model.
pub fn why_not_there(
    placer: &Placer<'_>,
    model: &Model,
    instance: InstanceId,
    machine: MachineId,
) -> Vec<Obstacle> {
    let placement = placer.placement();
    let look = Look { model, placement, instance, machine };
    let mut facts = Vec::new();
    if placer.reasons_on(instance, machine).contains(&Reason::Closed) {
        facts.push((Reason::Closed, Fact::Closed));
    }
    look.leaving(&mut facts);
    look.nature(&mut facts);
    look.room(&mut facts);
    look.others(&mut facts);
    facts.into_iter().map(|(reason, fact)| Obstacle { instance, machine, reason, fact }).collect()
}

type Facts = Vec<(Reason, Fact)>;

/// An instance before a machine.
struct Look<'a> {
    model: &'a Model,
    placement: &'a Placement,
    instance: InstanceId,
    machine: MachineId,
}

impl Look<'_> {
    /// What others leave free: those that are there, and those that ran there and hold it until they have moved.
    fn free(&self, machine: MachineId, index: usize) -> i128 {
        let model = self.model;
        let twice = model.resources[index].hold == Hold::Twice;
        let holds = |id: &InstanceId| {
            let at = self.placement.machine(*id).filter(|_| *id != self.instance);
            at == Some(machine) || at.is_some() && twice && model.runs_on(*id) == Some(machine)
        };
        let used: i128 = model.instances().filter(holds).map(|id| i128::from(model.needs(id)[index])).sum();
        i128::from(model.capacity(machine)[index]) - used
    }

    /// Why it can not leave where it runs for here.
    fn leaving(&self, facts: &mut Facts) {
        let model = self.model;
        let origin = model.runs_on(self.instance).filter(|origin| *origin != self.machine);
        let Some(origin) = origin else { return };
        for (index, needs) in model.needs(self.instance).iter().copied().enumerate() {
            let free = self.free(origin, index);
            if needs > 0 && model.resources[index].hold == Hold::Twice && free < i128::from(needs) {
                let resource = ResourceId::new(index);
                facts.push((Reason::Leaving(resource), Fact::Leaving { origin, resource, free, needs }));
                return;
            }
        }
    }

    /// The others on the machine.
    fn residents(&self) -> impl Iterator<Item = InstanceId> {
        let here =
            |id: &InstanceId| *id != self.instance && self.placement.machine(*id) == Some(self.machine);
        self.model.instances().filter(here)
    }

    fn nature(&self, facts: &mut Facts) {
        let group = self.model.group_of(self.instance);
        let taints: Vec<String> = self.model.untolerated(group, self.machine).cloned().collect();
        if !taints.is_empty() {
            facts.push((Reason::Taint, Fact::Taints(taints)));
        }
        for (number, rule) in self.model.rules(group).iter().enumerate() {
            let value = match rule {
                Rule::Machines(asked) if !asked.holds(self.model.attributes(self.machine)) => {
                    self.model.attributes(self.machine).get(&asked.attribute).cloned()
                }
                Rule::Pinned(machines) if !machines.contains(&self.machine) => None,
                _ => continue,
            };
            facts.push((Reason::Elsewhere(number), Fact::Machine { value }));
        }
    }

    fn room(&self, facts: &mut Facts) {
        let model = self.model;
        for (index, needs) in model.needs(self.instance).iter().copied().enumerate() {
            let capacity = model.capacity(self.machine)[index];
            let free = self.free(self.machine, index);
            if needs > 0 && free < i128::from(needs) {
                let resource = ResourceId::new(index);
                let fact = Fact::Free { resource, free, capacity, needs };
                facts.push((Reason::Lacks(resource), fact));
            }
        }
        let need = model.device_need(self.instance);
        let devices = model.devices(self.machine);
        let given = |device: u32| -> u32 {
            let has = |id: &InstanceId| self.placement.devices(*id).contains(&device);
            self.residents().filter(has).map(|id| model.device_need(id).shares).sum()
        };
        let fits = |device: &u32| given(*device) + need.shares <= SHARES_OF_DEVICE;
        let fitting = if need.count == 0 { 0 } else { (0..devices).filter(fits).count() };
        if fitting < need.count as usize {
            let fact = Fact::Devices { fitting, devices, needs: need.count, shares: need.shares };
            facts.push((Reason::Devices, fact));
        }
        for port in model.ports(self.instance) {
            if let Some(holder) = self.residents().find(|id| model.ports(*id).contains(port)) {
                facts.push((Reason::Port, Fact::Port { port: *port, holder }));
            }
        }
    }

    /// How many of a group, without the instance, are in a domain.
    fn count(&self, group: GroupId, level: LevelId, domain: DomainId) -> usize {
        let there = |id: &&InstanceId| {
            let at = self.placement.machine(**id).filter(|_| **id != self.instance);
            at.is_some_and(|machine| self.model.domain(level, machine) == domain)
        };
        self.model.members(group).iter().filter(there).count()
    }

    fn others(&self, facts: &mut Facts) {
        let model = self.model;
        let group = model.group_of(self.instance);
        let members = model.members(group);
        let domain = |level| model.domain(level, self.machine);
        let full = |level: LevelId, limit: u32| {
            let there = self.count(group, level, domain(level));
            (there >= limit as usize).then_some(Fact::Full { level, domain: domain(level), there, limit })
        };
        let others = || members.iter().filter(|id| **id != self.instance);
        let domains = |level: LevelId| {
            let mut domains: Vec<DomainId> = others()
                .filter_map(|id| self.placement.machine(*id))
                .map(|machine| model.domain(level, machine))
                .collect();
            domains.sort_unstable();
            domains.dedup();
            domains
        };
        for (number, rule) in model.rules(group).iter().enumerate() {
            let fact = match rule {
                Rule::AtMost { count, per } => full(*per, *count),
                Rule::Even { over, domains } => {
                    full(*over, (members.len() as u32).div_ceil((*domains).max(1)))
                }
                Rule::Spread { over, domains: wanted } => {
                    let reached = domains(*over);
                    let reached = reached.len() + usize::from(!reached.contains(&domain(*over)));
                    let to_come = others().filter(|id| self.placement.machine(**id).is_none()).count();
                    let too_few = reached + to_come < *wanted as usize;
                    too_few.then_some(Fact::TooFew { level: *over, reached, to_come, wanted: *wanted })
                }
                Rule::Together { within } => {
                    let there = domains(*within);
                    let elsewhere = there.first().filter(|_| !there.contains(&domain(*within)));
                    elsewhere.map(|first| Fact::Elsewhere { level: *within, domain: *first })
                }
                Rule::With { group: other, within } => (self.count(*other, *within, domain(*within)) == 0)
                    .then(|| Fact::Missing { group: *other, level: *within, domain: domain(*within) }),
                Rule::Apart { group: other, within } => self.present(*other, *within),
                Rule::Machines(_) | Rule::Pinned(_) => None,
            };
            facts.extend(fact.map(|fact| (Reason::Rule(number), fact)));
        }
        for other in (0..model.group_count()).map(GroupId::new) {
            for rule in model.rules(other) {
                let fact = match rule {
                    Rule::Apart { group: kept, within } if *kept == group => self.present(other, *within),
                    _ => None,
                };
                facts.extend(fact.map(|fact| (Reason::KeptApart, fact)));
            }
        }
    }

    fn present(&self, group: GroupId, level: LevelId) -> Option<Fact> {
        let domain = self.model.domain(level, self.machine);
        (self.count(group, level, domain) > 0).then_some(Fact::Present { group, level, domain })
    }
}

impl Named for Obstacle {
    fn fmt_named(&self, model: &Model, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, machine) = (model.instance_name(self.instance), model.machine_name(self.machine));
        let group = model.group_of(self.instance);
        let place = |level: &LevelId, domain: &DomainId| match *level {
            LevelId::MACHINE => machine.to_owned(),
            level => format!("{} {}", model.level_name(level), model.domain_name(level, *domain)),
        };
        let rule = |number: usize| model.named(&model.rules(group)[number]);
        match (&self.fact, self.reason) {
            (Fact::Closed, _) => write!(f, "{machine} is closed")?,
            (Fact::Taints(taints), _) => {
                write!(f, "{machine} is {}, which {name} does not tolerate", taints.join(", "))?;
            }
            (Fact::Machine { value: Some(value) }, _) => write!(f, "on {machine} it is {value}")?,
            (Fact::Machine { value: None }, _) => write!(f, "{machine} is no such machine")?,
            (Fact::Free { resource, free, capacity, needs }, _) => {
                let resource = model.resource_name(*resource);
                write!(f, "{machine} has {free} of {capacity} {resource} free, and {name} needs {needs}")?;
            }
            (Fact::Leaving { origin, resource, free, needs }, _) => write!(
                f,
                "{name} holds {needs} {} on {} until it has moved, and {free} are free there",
                model.resource_name(*resource),
                model.machine_name(*origin)
            )?,
            (Fact::Devices { fitting, devices, needs, shares }, _) => write!(
                f,
                "{fitting} of {devices} devices of {machine} have {shares} shares free, and {name} needs {needs}"
            )?,
            (Fact::Port { port, holder }, _) => {
                write!(f, "{} has port {port} of {machine}", model.instance_name(*holder))?;
            }
            (Fact::Full { level, domain, there, limit }, _) => write!(
                f,
                "{} has {there} of {}, and {limit} may be there",
                place(level, domain),
                model.group_name(group)
            )?,
            (Fact::TooFew { level, reached, to_come, wanted }, _) => write!(
                f,
                "{} would be in {reached} × {}, with {to_come} to come, and {wanted} must be reached",
                model.group_name(group),
                model.level_name(*level)
            )?,
            (Fact::Elsewhere { level, domain }, _) => {
                write!(f, "{} is in {}", model.group_name(group), place(level, domain))?;
            }
            (Fact::Missing { group, level, domain }, _) => {
                write!(f, "{} has no {}", place(level, domain), model.group_name(*group))?;
            }
            (Fact::Present { group, level, domain }, _) => {
                write!(f, "{} has {}", place(level, domain), listed(model, &[*group]))?;
            }
        }
        match self.reason {
            Reason::Rule(number) | Reason::Elsewhere(number) => {
                write!(f, " (rule: {})", rule(number))
            }
            _ => Ok(()),
        }
    }
}
