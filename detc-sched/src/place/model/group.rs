//! Groups and their instances: what is to run, and what it needs.

use std::collections::BTreeMap;

use crate::place::{GroupId, MachineId, ResourceId, Rule};

/// How many shares one device has: a request of 250 is a quarter of a GPU.
pub const SHARES_OF_DEVICE: u32 = 1000;

/// Instances under common rules, as given to the [builder](crate::place::Builder).
#[derive(Clone, Debug, Default)]
pub struct Group {
    pub(crate) name: String,
    pub(crate) priority: i32,
    pub(crate) rules: Vec<Rule>,
    pub(crate) wishes: Vec<Wish>,
    pub(crate) tolerations: Vec<String>,
}

/// A rule that may be broken, at a cost.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What should be.
    pub rule: Rule,
    /// What each unit of [breach](Rule) costs.
    pub weight: i64,
}

impl Group {
    /// A group without rules, of priority 0.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// The same under another name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The rules that must be kept, in the order in which they were added.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rules that may be broken at a cost.
    pub fn wishes(&self) -> &[Wish] {
        &self.wishes
    }

    /// Must keep only those rules of which `keeps` is true; it is asked for each, with its number.
    #[must_use]
    pub fn with_rules_kept(mut self, mut keeps: impl FnMut(usize, &Rule) -> bool) -> Self {
        let mut numbers = 0..;
        self.rules.retain(|rule| numbers.next().is_some_and(|number| keeps(number, rule)));
        self
    }

    /// Wishes for nothing.
    #[must_use]
    pub fn without_wishes(mut self) -> Self {
        self.wishes.clear();
        self
    }

    pub(crate) fn all_rules_mut(&mut self) -> impl Iterator<Item = &mut Rule> {
        self.rules.iter_mut().chain(self.wishes.iter_mut().map(|wish| &mut wish.rule))
    }

    /// Must keep this rule.
    #[must_use]
    pub fn with_rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Must keep these rules.
    #[must_use]
    pub fn with_rules(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.rules.extend(rules);
        self
    }

    /// Should keep this rule: each unit of breach costs `weight`.
    #[must_use]
    pub fn with_wish(mut self, rule: Rule, weight: i64) -> Self {
        self.wishes.push(Wish { rule, weight });
        self
    }

    /// May run on machines with this taint.
    #[must_use]
    pub fn with_toleration(mut self, taint: impl Into<String>) -> Self {
        self.tolerations.push(taint.into());
        self
    }

    /// Of higher priority: may displace instances of lower priority where there is no other room.
    #[must_use]
    pub fn with_priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }
}

/// One thing that is to run, as given to the [builder](crate::place::Builder).
#[derive(Clone, Debug)]
pub struct Instance {
    pub(crate) group: GroupId,
    pub(crate) needs: BTreeMap<ResourceId, i64>,
    pub(crate) devices: DeviceNeed,
    pub(crate) ports: Vec<u16>,
    pub(crate) runs_on: Option<MachineId>,
    pub(crate) move_cost: i64,
}

/// Devices that an instance needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceNeed {
    /// How many different devices of one machine.
    pub count: u32,
    /// How many [shares](SHARES_OF_DEVICE) of each.
    pub shares: u32,
}

impl Instance {
    /// An instance that needs nothing and runs nowhere yet.
    pub fn new(group: GroupId) -> Self {
        Self {
            group,
            needs: BTreeMap::new(),
            devices: DeviceNeed::default(),
            ports: Vec::new(),
            runs_on: None,
            move_cost: 0,
        }
    }

    /// Needs so much of a resource.
    #[must_use]
    pub fn with_need(mut self, resource: ResourceId, amount: i64) -> Self {
        self.needs.insert(resource, amount);
        self
    }

    /// Needs so many different devices of its machine, and `shares` of each.
    #[must_use]
    pub fn with_devices(mut self, count: u32, shares: u32) -> Self {
        self.devices = DeviceNeed { count, shares };
        self
    }

    /// Needs this port of its machine for itself.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.ports.push(port);
        self
    }

    /// Needs no port.
    #[must_use]
    pub fn without_ports(mut self) -> Self {
        self.ports.clear();
        self
    }

    /// Runs there now.
    #[must_use]
    pub fn running_on(mut self, machine: MachineId) -> Self {
        self.runs_on = Some(machine);
        self
    }

    /// To move it costs so much, times the objective's weight of moved instances.
    #[must_use]
    pub fn with_move_cost(mut self, cost: i64) -> Self {
        self.move_cost = cost;
        self
    }
}
