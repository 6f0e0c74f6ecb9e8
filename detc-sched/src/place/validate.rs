//! Whether a placement keeps all rules: an independent judge.
//!
//! Written from the definitions, over the whole placement, with maps and sets. It shares no code with the searches (not
//! their counters, not their tables of allowed machines), so that neither hides the other's mistakes. Slow and plain.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::place::model::{Group, Hold, Rule, SHARES_OF_DEVICE};
use crate::place::{DomainId, GroupId, InstanceId, LevelId, MachineId, Model, Placement, ResourceId};

/// A rule that a placement breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// A machine has more than it can hold.
    Capacity {
        /// The machine.
        machine: MachineId,
        /// Of what.
        resource: ResourceId,
        /// So much is used.
        used: i128,
        /// So much there is.
        capacity: i64,
    },
    /// A machine can not hold what runs there and what is still leaving.
    Transient {
        /// The machine.
        machine: MachineId,
        /// Of what.
        resource: ResourceId,
        /// So much is occupied while the moves are made.
        used: i128,
        /// So much there is.
        capacity: i64,
    },
    /// A group's rule does not hold.
    Rule {
        /// The group.
        group: GroupId,
        /// Its rule number so.
        rule: usize,
        /// By so much.
        breach: i128,
    },
    /// A machine with a taint has an instance whose group does not tolerate it.
    Taint {
        /// The instance.
        instance: InstanceId,
        /// The machine.
        machine: MachineId,
    },
    /// Devices are not as asked for: the wrong number, one twice, or one that the machine does not have.
    Devices {
        /// The instance.
        instance: InstanceId,
    },
    /// A device is given out more than whole.
    Device {
        /// The machine.
        machine: MachineId,
        /// The device.
        device: u32,
        /// So many shares are given out.
        shares: u64,
    },
    /// Two instances have one port.
    Port {
        /// The machine.
        machine: MachineId,
        /// The port.
        port: u16,
    },
}

/// All that a placement breaks; nothing, when it is feasible. Instances that are not placed break nothing but what
/// others need of them.
pub fn validate(model: &Model, placement: &Placement) -> Vec<Violation> {
    let mut found = Vec::new();
    capacities(model, placement, &mut found);
    for (index, group) in model.groups.iter().enumerate() {
        let id = GroupId::new(index);
        for (number, rule) in group.rules.iter().enumerate() {
            let breach = breach(model, placement, id, rule);
            if breach > 0 {
                found.push(Violation::Rule { group: id, rule: number, breach });
            }
        }
        taints(model, placement, id, group, &mut found);
    }
    devices_and_ports(model, placement, &mut found);
    found
}

impl Violation {
    /// Whether it is the same thing as `other`, and no worse.
    pub fn is_no_worse_than(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Capacity { machine, resource, used, .. },
                Self::Capacity { machine: m, resource: r, used: more, .. },
            )
            | (
                Self::Transient { machine, resource, used, .. },
                Self::Transient { machine: m, resource: r, used: more, .. }
                | Self::Capacity { machine: m, resource: r, used: more, .. },
            ) => machine == m && resource == r && used <= more,
            (Self::Rule { group, rule, breach }, Self::Rule { group: g, rule: r, breach: more }) => {
                group == g && rule == r && breach <= more
            }
            (
                Self::Device { machine, device, shares },
                Self::Device { machine: m, device: d, shares: more },
            ) => machine == m && device == d && shares <= more,
            (left, right) => left == right,
        }
    }
}

/// What is broken now and was not, or not as badly, before.
pub fn newly_broken(before: &[Violation], now: Vec<Violation>) -> Vec<Violation> {
    let is_new = |violation: &Violation| !before.iter().any(|old| violation.is_no_worse_than(old));
    now.into_iter().filter(is_new).collect()
}

fn capacities(model: &Model, placement: &Placement, found: &mut Vec<Violation>) {
    let mut used: BTreeMap<(MachineId, ResourceId), i128> = BTreeMap::new();
    let mut leaving: BTreeMap<(MachineId, ResourceId), i128> = BTreeMap::new();
    for instance in model.instances() {
        let Some(machine) = placement.machine(instance) else { continue };
        let origin = model.runs_on(instance).filter(|origin| *origin != machine);
        for (index, need) in model.needs(instance).iter().enumerate() {
            let resource = ResourceId::new(index);
            *used.entry((machine, resource)).or_default() += i128::from(*need);
            if let Some(origin) = origin.filter(|_| model.resources[index].hold == Hold::Twice) {
                *leaving.entry((origin, resource)).or_default() += i128::from(*need);
            }
        }
    }
    for machine in model.machines() {
        for (index, capacity) in model.capacity(machine).iter().copied().enumerate() {
            let resource = ResourceId::new(index);
            let now = used.get(&(machine, resource)).copied().unwrap_or(0);
            let with_leaving = now + leaving.get(&(machine, resource)).copied().unwrap_or(0);
            if now > i128::from(capacity) {
                found.push(Violation::Capacity { machine, resource, used: now, capacity });
            } else if with_leaving > i128::from(capacity) {
                found.push(Violation::Transient { machine, resource, used: with_leaving, capacity });
            }
        }
    }
}

/// By how much a rule of a group is broken, in the units that [`Rule`] tells. 0 when it holds.
pub fn breach(model: &Model, placement: &Placement, group: GroupId, rule: &Rule) -> i128 {
    let machines_of = |group: GroupId| model.members(group).iter().filter_map(|id| placement.machine(*id));
    let counts = |group: GroupId, level: LevelId| {
        let mut counts: BTreeMap<DomainId, i128> = BTreeMap::new();
        for machine in machines_of(group) {
            *counts.entry(model.domain(level, machine)).or_default() += 1;
        }
        counts
    };
    let too_many = |level: LevelId, limit: i128| {
        counts(group, level).values().map(|count| (count - limit).max(0)).sum::<i128>()
    };
    let domains = |group: GroupId, level: LevelId| counts(group, level).into_keys().collect::<BTreeSet<_>>();
    let elsewhere = |fits: &dyn Fn(MachineId) -> bool| {
        machines_of(group).filter(|machine| !fits(*machine)).count() as i128
    };
    match rule {
        Rule::AtMost { count, per } => too_many(*per, i128::from(*count)),
        Rule::Even { over, domains } => {
            let members = model.members(group).len() as i128;
            let domains = i128::from(*domains).max(1);
            too_many(*over, (members + domains - 1) / domains)
        }
        Rule::Spread { over, domains: wanted } => {
            let reached = domains(group, *over).len() as i128;
            let to_come = (model.members(group).len() - machines_of(group).count()) as i128;
            if reached == 0 { 0 } else { (i128::from(*wanted) - reached - to_come).max(0) }
        }
        Rule::Together { within } => (domains(group, *within).len() as i128 - 1).max(0),
        Rule::With { group: other, within } => {
            domains(group, *within).difference(&domains(*other, *within)).count() as i128
        }
        Rule::Apart { group: other, within } => {
            domains(group, *within).intersection(&domains(*other, *within)).count() as i128
        }
        Rule::Machines(requirement) => {
            elsewhere(&|machine| requirement.holds(&model.attributes[machine.index()]))
        }
        Rule::Pinned(machines) => elsewhere(&|machine| machines.contains(&machine)),
    }
}

fn taints(model: &Model, placement: &Placement, id: GroupId, group: &Group, found: &mut Vec<Violation>) {
    for instance in model.members(id) {
        let Some(machine) = placement.machine(*instance) else { continue };
        if model.taints[machine.index()].iter().any(|taint| !group.tolerations.contains(taint)) {
            found.push(Violation::Taint { instance: *instance, machine });
        }
    }
}

fn devices_and_ports(model: &Model, placement: &Placement, found: &mut Vec<Violation>) {
    let mut shares: BTreeMap<(MachineId, u32), u64> = BTreeMap::new();
    let mut ports: BTreeSet<(MachineId, u16)> = BTreeSet::new();
    for instance in model.instances() {
        let Some(machine) = placement.machine(instance) else { continue };
        let need = model.device_need(instance);
        let given: BTreeSet<u32> = placement.devices(instance).iter().copied().collect();
        let exact = given.len() == need.count as usize && given.len() == placement.devices(instance).len();
        if !exact || given.iter().any(|device| *device >= model.devices(machine)) {
            found.push(Violation::Devices { instance });
        }
        for device in given {
            *shares.entry((machine, device)).or_default() += u64::from(need.shares);
        }
        for port in model.ports(instance) {
            if !ports.insert((machine, *port)) {
                found.push(Violation::Port { machine, port: *port });
            }
        }
    }
    for ((machine, device), shares) in shares {
        if shares > u64::from(SHARES_OF_DEVICE) {
            found.push(Violation::Device { machine, device, shares });
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capacity { machine, resource, used, capacity } => {
                write!(f, "{machine} has {capacity} of {resource}, and {used} are used")
            }
            Self::Transient { machine, resource, used, capacity } => {
                write!(f, "{machine} has {capacity} of {resource}, and {used} are occupied during the moves")
            }
            Self::Rule { group, rule, breach } => write!(f, "rule {rule} of {group} is broken by {breach}"),
            Self::Taint { instance, machine } => {
                write!(f, "{instance} does not tolerate the taints of {machine}")
            }
            Self::Devices { instance } => write!(f, "{instance} does not have the devices that it needs"),
            Self::Device { machine, device, shares } => {
                write!(f, "device {device} of {machine} is given out by {shares} shares")
            }
            Self::Port { machine, port } => write!(f, "port {port} of {machine} is given to two instances"),
        }
    }
}
