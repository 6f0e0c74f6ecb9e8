//! Puts a model together and checks it: after this, no part refers to one that is not there and no sum overflows.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{DeviceNeed, Group, Hold, Instance, Machine, Model, Resource, Rule, SHARES_OF_DEVICE};
use crate::place::{DomainId, GroupId, InstanceId, LevelId, MachineId, Objective, ResourceId};

/// The greatest amount and weight. Products of two and sums over a million instances stay within 64 bits by the check
/// of [`Builder::build`]; this bound keeps that check itself within 128 bits.
const AMOUNT_MAX: i64 = 1 << 48;

/// Collects the parts of a [`Model`].
#[derive(Clone, Debug)]
pub struct Builder {
    resources: Vec<Resource>,
    levels: Vec<String>,
    machines: Vec<Machine>,
    groups: Vec<Group>,
    instances: Vec<Instance>,
    objective: Objective,
}

/// Why no model can be made of the parts.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A part that was not added is named.
    #[error("{by} names {part}, which was not added to the model")]
    Unknown {
        /// Who names it.
        by: String,
        /// What is named.
        part: String,
    },
    /// A group's rule is about itself where it needs another.
    #[error(
        "{by} has a rule that keeps it with or apart from itself: ask for at most so many, or for a spread"
    )]
    Itself {
        /// The group.
        by: String,
    },
    /// An amount is negative or beyond 2⁴⁸.
    #[error("{of} has the amount {amount}: amounts are from 0 to 2^48")]
    Amount {
        /// Whose amount.
        of: String,
        /// The amount.
        amount: i64,
    },
    /// The costs could add up to more than 64 bits hold.
    #[error("the costs of this model can add up to more than 2^62: use coarser units or smaller weights")]
    TooLarge,
    /// The table of moves between machines does not have a row and a column for each machine.
    #[error("the table of moves has {entries} entries, and there are {machines} machines")]
    MoveTable {
        /// Entries of the table.
        entries: usize,
        /// Machines of the model.
        machines: usize,
    },
    /// More than all of a device, or no share of it.
    #[error("{of} asks for {shares} shares of a device: a device has 1 to 1000")]
    Shares {
        /// Whose need.
        of: String,
        /// What was asked for.
        shares: u32,
    },
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// A model without parts; only the level of machines is there.
    pub fn new() -> Self {
        Self {
            resources: Vec::new(),
            levels: vec!["machine".to_owned()],
            machines: Vec::new(),
            groups: Vec::new(),
            instances: Vec::new(),
            objective: Objective::default(),
        }
    }

    /// Adds a resource.
    pub fn resource(&mut self, name: impl Into<String>, hold: Hold) -> ResourceId {
        self.resources.push(Resource { name: name.into(), hold });
        ResourceId::new(self.resources.len() - 1)
    }

    /// Adds a level of fault domains. Levels need not nest: a rack may have two power feeds.
    pub fn level(&mut self, name: impl Into<String>) -> LevelId {
        self.levels.push(name.into());
        LevelId::new(self.levels.len() - 1)
    }

    /// Adds a machine.
    pub fn machine(&mut self, machine: Machine) -> MachineId {
        self.machines.push(machine);
        MachineId::new(self.machines.len() - 1)
    }

    /// Adds a group.
    pub fn group(&mut self, group: Group) -> GroupId {
        self.groups.push(group);
        GroupId::new(self.groups.len() - 1)
    }

    /// A group that was added, to add rules that name later groups.
    ///
    /// # Panics
    /// When it was not added here.
    pub fn group_mut(&mut self, group: GroupId) -> &mut Group {
        &mut self.groups[group.index()]
    }

    /// Adds an instance.
    pub fn instance(&mut self, instance: Instance) -> InstanceId {
        self.instances.push(instance);
        InstanceId::new(self.instances.len() - 1)
    }

    /// Sets what is aimed at.
    pub fn objective(&mut self, objective: Objective) {
        self.objective = objective;
    }

    /// The model.
    ///
    /// # Errors
    /// When a part names another that is not there, or an amount is out of range.
    pub fn build(self) -> Result<Model, ModelError> {
        self.check_names()?;
        self.check_amounts()?;
        let resources = self.resources.len();
        let mut model = Model {
            levels: self.levels,
            domain_counts: Vec::new(),
            domains: Vec::new(),
            machine_names: Vec::new(),
            capacities: Vec::with_capacity(self.machines.len() * resources),
            safeties: Vec::with_capacity(self.machines.len() * resources),
            attributes: Vec::new(),
            taints: Vec::new(),
            devices: Vec::new(),
            members: vec![Vec::new(); self.groups.len()],
            groups: self.groups,
            group_of: Vec::with_capacity(self.instances.len()),
            needs: Vec::with_capacity(self.instances.len() * resources),
            move_costs: Vec::with_capacity(self.instances.len()),
            runs_on: Vec::with_capacity(self.instances.len()),
            device_needs: Vec::with_capacity(self.instances.len()),
            ports: BTreeMap::new(),
            objective: self.objective,
            resources: self.resources,
        };
        for level in 0..model.levels.len() {
            let own = |(index, machine): (usize, &Machine)| match level {
                0 => DomainId::new(index),
                _ => machine.domains.get(&LevelId::new(level)).copied().unwrap_or(DomainId(0)),
            };
            let domains: Vec<DomainId> = self.machines.iter().enumerate().map(own).collect();
            model.domain_counts.push(domains.iter().map(|domain| domain.0 + 1).max().unwrap_or(0));
            model.domains.push(domains);
        }
        for machine in self.machines {
            for resource in (0..resources).map(ResourceId::new) {
                let capacity = machine.capacity.get(&resource).copied().unwrap_or(0);
                model.capacities.push(capacity);
                model.safeties.push(machine.safety.get(&resource).copied().unwrap_or(capacity));
            }
            model.machine_names.push(machine.name);
            model.attributes.push(machine.attributes);
            model.taints.push(machine.taints);
            model.devices.push(machine.devices);
        }
        for (index, instance) in self.instances.into_iter().enumerate() {
            let id = InstanceId::new(index);
            let need = |resource| instance.needs.get(&ResourceId::new(resource)).copied().unwrap_or_default();
            model.needs.extend((0..resources).map(need));
            model.members[instance.group.index()].push(id);
            model.group_of.push(instance.group);
            model.move_costs.push(instance.move_cost);
            model.runs_on.push(instance.runs_on);
            model.device_needs.push(instance.devices);
            if !instance.ports.is_empty() {
                model.ports.insert(id, instance.ports);
            }
        }
        Ok(model)
    }

    fn check_names(&self) -> Result<(), ModelError> {
        let known = |by: &str, part: String, index: usize, count: usize| match index < count {
            true => Ok(()),
            false => Err(ModelError::Unknown { by: by.to_owned(), part }),
        };
        let level = |by: &str, level: LevelId| known(by, level.to_string(), level.index(), self.levels.len());
        let group = |by: &str, id: GroupId| known(by, id.to_string(), id.index(), self.groups.len());
        let resource = |by: &str, id: ResourceId| known(by, id.to_string(), id.index(), self.resources.len());
        let machine = |by: &str, id: MachineId| known(by, id.to_string(), id.index(), self.machines.len());
        for part in &self.machines {
            let by = &part.name;
            part.domains.keys().try_for_each(|id| level(by, *id))?;
            part.capacity.keys().chain(part.safety.keys()).try_for_each(|id| resource(by, *id))?;
        }
        for (index, part) in self.groups.iter().enumerate() {
            let by = &part.name;
            for rule in part.rules.iter().chain(part.wishes.iter().map(|wish| &wish.rule)) {
                match rule {
                    Rule::AtMost { per: id, .. }
                    | Rule::Even { over: id, .. }
                    | Rule::Spread { over: id, .. }
                    | Rule::Together { within: id } => level(by, *id)?,
                    Rule::With { group: other, .. } | Rule::Apart { group: other, .. }
                        if other.index() == index =>
                    {
                        return Err(ModelError::Itself { by: by.clone() });
                    }
                    Rule::With { group: other, within } | Rule::Apart { group: other, within } => {
                        group(by, *other)?;
                        level(by, *within)?;
                    }
                    Rule::Machines(_) => {}
                    Rule::Pinned(machines) => machines.iter().try_for_each(|id| machine(by, *id))?,
                }
            }
        }
        for (index, part) in self.instances.iter().enumerate() {
            let by = &format!("instance {index}");
            group(by, part.group)?;
            part.needs.keys().try_for_each(|id| resource(by, *id))?;
            part.runs_on.iter().try_for_each(|id| machine(by, *id))?;
        }
        let by = "the objective";
        self.objective.resources().try_for_each(|id| resource(by, id))?;
        match self.objective.moves_between.len() {
            0 => Ok(()),
            entries if entries == self.machines.len().pow(2) => Ok(()),
            entries => Err(ModelError::MoveTable { entries, machines: self.machines.len() }),
        }
    }

    /// Amounts are in range, and the worst conceivable cost is within 64 bits.
    fn check_amounts(&self) -> Result<(), ModelError> {
        let amount = |of: &str, amount: i64| match (0..=AMOUNT_MAX).contains(&amount) {
            true => Ok(()),
            false => Err(ModelError::Amount { of: of.to_owned(), amount }),
        };
        let mut capacity_sum = 0_i128;
        for part in &self.machines {
            for value in part.capacity.values().chain(part.safety.values()) {
                amount(&part.name, *value)?;
                capacity_sum += i128::from(*value);
            }
        }
        let mut move_sum = 0_i128;
        let mut need_sum = 0_i128;
        for (index, part) in self.instances.iter().enumerate() {
            let of = &format!("instance {index}");
            part.needs.values().try_for_each(|value| amount(of, *value))?;
            amount(of, part.move_cost)?;
            need_sum += part.needs.values().map(|value| i128::from(*value)).sum::<i128>();
            move_sum += i128::from(part.move_cost);
            let DeviceNeed { count, shares } = part.devices;
            if count > 0 && !(1..=SHARES_OF_DEVICE).contains(&shares) {
                return Err(ModelError::Shares { of: of.clone(), shares });
            }
        }
        let wishes = self.groups.iter().flat_map(|group| group.wishes.iter().map(|wish| wish.weight));
        for weight in self.objective.weights().chain(wishes.clone()) {
            amount("a weight of the objective", weight)?;
        }
        let count = self.instances.len() as i128 + self.machines.len() as i128;
        let wish_sum: i128 = wishes.map(|weight| i128::from(weight) * count).sum();
        let worst = self.objective.worst(capacity_sum + need_sum, move_sum, count) + wish_sum;
        if worst < 1 << 62 { Ok(()) } else { Err(ModelError::TooLarge) }
    }
}
