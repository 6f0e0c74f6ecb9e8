//! The model: what there is, what is to run, and under which rules. A value; it decides nothing.
//!
//! ```text
//!   Builder ── resource, level, machine, group, instance, objective ──build──▶ Model (checked, flat)
//! ```
//!
//! The parts are given one by one to a [`Builder`], with names; the [`Model`] that it builds holds them by number, in
//! flat arrays, because searches read them millions of times a second. All amounts are whole numbers, so that sums are
//! exact and do not depend on their order.

use std::borrow::Cow;
use std::collections::BTreeMap;

pub(crate) use attribute::is_version;
pub use attribute::{Pattern, PatternError, Requirement, Test};
pub use builder::{Builder, ModelError};
pub use group::{DeviceNeed, Group, Instance, SHARES_OF_DEVICE, Wish};
pub use machine::Machine;
pub use marathon::ConstraintError;
pub use rule::Rule;

use crate::place::{DomainId, GroupId, InstanceId, LevelId, MachineId, Objective, ResourceId};

mod attribute;
mod builder;
mod group;
mod machine;
mod marathon;
mod rule;

/// Something that machines have and instances need.
#[derive(Clone, Debug)]
pub struct Resource {
    /// What it is called.
    pub name: String,
    /// What becomes of it while an instance moves.
    pub hold: Hold,
}

/// What becomes of a resource while an instance moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It is free again as soon as the instance leaves.
    Freed,
    /// It stays occupied on the machine that the instance moves from, too (disk space, while it is copied).
    Twice,
}

/// A level of fault domains.
#[derive(Clone, Debug)]
pub(crate) struct Level {
    pub(crate) name: String,
    /// What its domains are called; those that are told by number alone are not there.
    pub(crate) domain_names: Vec<String>,
    /// The attribute whose values are its domains.
    pub(crate) attribute: Option<String>,
}

impl Level {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), domain_names: Vec::new(), attribute: None }
    }
}

/// Everything that a placement is decided from.
#[derive(Clone, Debug)]
pub struct Model {
    pub(crate) resources: Vec<Resource>,
    pub(crate) levels: Vec<Level>,
    /// How many domains each level has.
    pub(crate) domain_counts: Vec<u32>,
    /// Per level, the domain of each machine.
    pub(crate) domains: Vec<Vec<DomainId>>,
    pub(crate) machine_names: Vec<String>,
    /// Per machine, a row of all resources.
    pub(crate) capacities: Vec<i64>,
    pub(crate) safeties: Vec<i64>,
    pub(crate) attributes: Vec<BTreeMap<String, String>>,
    pub(crate) taints: Vec<Vec<String>>,
    pub(crate) devices: Vec<u32>,
    pub(crate) groups: Vec<Group>,
    pub(crate) members: Vec<Vec<InstanceId>>,
    /// Per instance.
    pub(crate) group_of: Vec<GroupId>,
    pub(crate) needs: Vec<i64>,
    pub(crate) move_costs: Vec<i64>,
    pub(crate) runs_on: Vec<Option<MachineId>>,
    pub(crate) device_needs: Vec<DeviceNeed>,
    pub(crate) ports: BTreeMap<InstanceId, Vec<u16>>,
    pub(crate) objective: Objective,
}

impl Model {
    /// How many machines there are.
    pub fn machine_count(&self) -> usize {
        self.machine_names.len()
    }

    /// How many instances there are to place.
    pub fn instance_count(&self) -> usize {
        self.group_of.len()
    }

    /// How many groups there are.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// How many resources there are.
    pub fn resource_count(&self) -> usize {
        self.resources.len()
    }

    /// All machines.
    pub fn machines(&self) -> impl Iterator<Item = MachineId> + use<> {
        (0..self.machine_count()).map(MachineId::new)
    }

    /// All instances.
    pub fn instances(&self) -> impl Iterator<Item = InstanceId> + use<> {
        (0..self.instance_count()).map(InstanceId::new)
    }

    /// The instances of a group.
    pub fn members(&self, group: GroupId) -> &[InstanceId] {
        &self.members[group.index()]
    }

    /// What a machine is called.
    pub fn machine_name(&self, machine: MachineId) -> &str {
        &self.machine_names[machine.index()]
    }

    /// What a resource is called.
    pub fn resource_name(&self, resource: ResourceId) -> &str {
        &self.resources[resource.index()].name
    }

    /// What a group is called.
    pub fn group_name(&self, group: GroupId) -> &str {
        &self.groups[group.index()].name
    }

    /// What a level is called.
    pub fn level_name(&self, level: LevelId) -> &str {
        &self.levels[level.index()].name
    }

    /// The group of an instance.
    pub fn group_of(&self, instance: InstanceId) -> GroupId {
        self.group_of[instance.index()]
    }

    /// How urgent an instance is.
    pub fn priority(&self, instance: InstanceId) -> i32 {
        self.groups[self.group_of(instance).index()].priority
    }

    /// What an instance needs of each resource.
    pub fn needs(&self, instance: InstanceId) -> &[i64] {
        row(&self.needs, instance.index(), self.resource_count())
    }

    /// What a machine has of each resource.
    pub fn capacity(&self, machine: MachineId) -> &[i64] {
        row(&self.capacities, machine.index(), self.resource_count())
    }

    /// Up to where a machine should be loaded.
    pub fn safety(&self, machine: MachineId) -> &[i64] {
        row(&self.safeties, machine.index(), self.resource_count())
    }

    /// Where a machine stands.
    pub fn domain(&self, level: LevelId, machine: MachineId) -> DomainId {
        self.domains[level.index()][machine.index()]
    }

    /// How many domains a level has.
    pub fn domain_count(&self, level: LevelId) -> usize {
        self.domain_counts[level.index()] as usize
    }

    /// What a domain is called: its path in its tree, the value of the attribute, the machine; or its number.
    pub fn domain_name(&self, level: LevelId, domain: DomainId) -> Cow<'_, str> {
        match (level, self.levels[level.index()].domain_names.get(domain.index())) {
            (LevelId::MACHINE, _) => Cow::Borrowed(&self.machine_names[domain.index()]),
            (_, Some(name)) => Cow::Borrowed(name),
            (_, None) => Cow::Owned(format!("{} {}", self.level_name(level), domain.index())),
        }
    }

    /// What an instance is called: the name of its group, and its number among the group's, from 1.
    pub fn instance_name(&self, instance: InstanceId) -> String {
        let group = self.group_of(instance);
        let number = self.members(group).binary_search(&instance).map_or(0, |index| index + 1);
        format!("{}.{number}", self.group_name(group))
    }

    /// The rules of a group that must be kept.
    pub fn rules(&self, group: GroupId) -> &[Rule] {
        &self.groups[group.index()].rules
    }

    /// The attributes of a machine.
    pub fn attributes(&self, machine: MachineId) -> &BTreeMap<String, String> {
        &self.attributes[machine.index()]
    }

    /// The taints of a machine.
    pub fn taints(&self, machine: MachineId) -> &[String] {
        &self.taints[machine.index()]
    }

    /// The taints of a machine that a group does not tolerate.
    pub(crate) fn untolerated(&self, group: GroupId, machine: MachineId) -> impl Iterator<Item = &String> {
        let tolerations = &self.groups[group.index()].tolerations;
        self.taints(machine).iter().filter(|taint| !tolerations.contains(taint))
    }

    /// Whether a group tolerates all taints of a machine.
    pub(crate) fn tolerates(&self, group: GroupId, machine: MachineId) -> bool {
        self.untolerated(group, machine).next().is_none()
    }

    /// Where an instance ran when the model was made.
    pub fn runs_on(&self, instance: InstanceId) -> Option<MachineId> {
        self.runs_on[instance.index()]
    }

    /// Which devices an instance needs.
    pub fn device_need(&self, instance: InstanceId) -> DeviceNeed {
        self.device_needs[instance.index()]
    }

    /// Shares that an instance needs of each device that it has.
    pub(crate) fn shares(&self, instance: InstanceId) -> i64 {
        i64::from(self.device_need(instance).shares)
    }

    /// How many devices a machine has.
    pub fn devices(&self, machine: MachineId) -> u32 {
        self.devices[machine.index()]
    }

    /// The ports that an instance needs for itself.
    pub fn ports(&self, instance: InstanceId) -> &[u16] {
        self.ports.get(&instance).map_or(&[], Vec::as_slice)
    }

    /// What is aimed at.
    pub fn objective(&self) -> &Objective {
        &self.objective
    }
}

/// Row `index` of a flat table.
fn row(table: &[i64], index: usize, width: usize) -> &[i64] {
    &table[index * width..(index + 1) * width]
}
