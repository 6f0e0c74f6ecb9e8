//! Puts a model together and checks it: after this, no part refers to one that is not there and no sum overflows.

use std::collections::BTreeMap;

pub use check::ModelError;

use super::{Group, Hold, Instance, Level, Machine, Model, Resource, Rule};
use crate::place::{DomainId, GroupId, InstanceId, LevelId, MachineId, Objective, ResourceId};

mod again;
mod check;
mod domains;

/// Collects the parts of a [`Model`].
///
/// ```
/// use detc_sched::place::{Builder, Group, Hold, Instance, LevelId, Machine, Objective, Rule};
///
/// let mut builder = Builder::new();
/// let cores = builder.resource("cores", Hold::Freed);
/// let tree = builder.tree(["zone", "row", "rack"]);
/// let [zone, ..] = tree;
/// for (name, path) in [("m1", "a/1/7"), ("m2", "a/1/8"), ("m3", "b/1/7")] {
///     builder.machine(Machine::new(name).with_capacity(cores, 16).with_path(&tree, path));
/// }
/// let web = builder.group(Group::new("web").with_rule(Rule::Spread { over: zone, domains: 2 }));
/// builder.instances(3, &Instance::new(web).with_need(cores, 4));
/// builder.objective(Objective::new().with_machine_use(1));
/// let model = builder.build()?;
/// assert_eq!(model.domain_count(zone), 2);
/// # Ok::<(), detc_sched::place::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    resources: Vec<Resource>,
    levels: Vec<Level>,
    machines: Vec<Machine>,
    groups: Vec<Group>,
    instances: Vec<Instance>,
    objective: Objective,
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
            levels: vec![Level::new("machine")],
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
        self.levels.push(Level::new(name));
        LevelId::new(self.levels.len() - 1)
    }

    /// Adds the levels of a tree of fault domains, of any depth, the widest first. Where a machine stands in it is told by
    /// [`Machine::with_path`].
    pub fn tree<const DEPTH: usize>(&mut self, names: [&str; DEPTH]) -> [LevelId; DEPTH] {
        names.map(|name| self.level(name))
    }

    /// The level whose domains are the values of an attribute; added when it is asked for first. Machines without the
    /// attribute are one domain more: rules that must not count it ask for [`Test::Present`](super::Test::Present), too.
    pub fn level_of_attribute(&mut self, attribute: &str) -> LevelId {
        let known = self.levels.iter().position(|level| level.attribute.as_deref() == Some(attribute));
        known.map_or_else(
            || {
                let level = self.level(attribute);
                self.levels[level.index()].attribute = Some(attribute.to_owned());
                level
            },
            LevelId::new,
        )
    }

    /// Adds a machine.
    pub fn machine(&mut self, machine: Machine) -> MachineId {
        self.machines.push(machine);
        MachineId::new(self.machines.len() - 1)
    }

    /// A machine that was added, to change it.
    ///
    /// # Panics
    /// When it was not added here.
    pub fn machine_mut(&mut self, machine: MachineId) -> &mut Machine {
        &mut self.machines[machine.index()]
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

    /// Adds so many instances that are alike; gives the first and the last number, if there are any.
    pub fn instances(&mut self, count: usize, like: &Instance) -> Option<(InstanceId, InstanceId)> {
        let first = self.instances.len();
        self.instances.extend(std::iter::repeat_n(like.clone(), count));
        (count > 0).then(|| (InstanceId::new(first), InstanceId::new(first + count - 1)))
    }

    /// An instance that was added, to change it.
    ///
    /// # Panics
    /// When it was not added here.
    pub fn instance_mut(&mut self, instance: InstanceId) -> &mut Instance {
        &mut self.instances[instance.index()]
    }

    /// Sets what is aimed at.
    pub fn objective(&mut self, objective: Objective) {
        self.objective = objective;
    }

    /// The model.
    ///
    /// # Errors
    /// When a part names another that is not there, an amount is out of range, or a path or version can not be read.
    pub fn build(mut self) -> Result<Model, ModelError> {
        self.check_names()?;
        self.find_domains()?;
        self.check_amounts()?;
        let resources = self.resources.len();
        let mut model = Model {
            levels: Vec::new(),
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
        for (number, level) in self.levels.into_iter().enumerate() {
            let own = |(index, machine): (usize, &Machine)| match number {
                0 => DomainId::new(index),
                _ => machine.domains.get(&LevelId::new(number)).copied().unwrap_or(DomainId(0)),
            };
            let domains: Vec<DomainId> = self.machines.iter().enumerate().map(own).collect();
            model.domain_counts.push(domains.iter().map(|domain| domain.0 + 1).max().unwrap_or(0));
            model.domains.push(domains);
            model.levels.push(level);
        }
        for mut machine in self.machines {
            for resource in (0..resources).map(ResourceId::new) {
                let capacity = machine.capacity.get(&resource).copied().unwrap_or(0);
                model.capacities.push(capacity);
                model.safeties.push(machine.safety.get(&resource).copied().unwrap_or(capacity));
            }
            machine.attributes.entry(HOSTNAME.to_owned()).or_insert_with(|| machine.name.clone());
            model.machine_names.push(machine.name);
            model.attributes.push(machine.attributes);
            model.taints.push(machine.taints);
            model.devices.push(machine.devices);
        }
        for (index, mut instance) in self.instances.into_iter().enumerate() {
            let id = InstanceId::new(index);
            let need = |resource| instance.needs.get(&ResourceId::new(resource)).copied().unwrap_or_default();
            model.needs.extend((0..resources).map(need));
            model.members[instance.group.index()].push(id);
            model.group_of.push(instance.group);
            model.move_costs.push(instance.move_cost);
            model.runs_on.push(instance.runs_on);
            model.device_needs.push(instance.devices);
            if !instance.ports.is_empty() {
                instance.ports.sort_unstable();
                instance.ports.dedup();
                model.ports.insert(id, instance.ports);
            }
        }
        // As many domains as there are: known only now.
        let counts = &model.domain_counts;
        let rules = model.groups.iter_mut().flat_map(Group::all_rules_mut);
        rules.for_each(|rule| {
            if let Rule::Even { over, domains: domains @ 0 } = rule {
                *domains = counts[over.index()];
            }
        });
        Ok(model)
    }
}

/// The attribute that each machine has: its name, unless it is told otherwise.
const HOSTNAME: &str = "hostname";
