//! What is aimed at, and what a placement costs by it, term by term.
//!
//! [`bill`] is written from the definitions, over the whole placement, in 128 bits. Searches have their own, incremental
//! arithmetic; that both agree is tested, and so this file is what their results are checked by.

use std::collections::BTreeMap;
use std::fmt;

use crate::place::model::SHARES_OF_DEVICE;
use crate::place::validate::breach;
use crate::place::{DeviceNeed, GroupId, MachineId, Model, Placement, ResourceId};

/// What a placement costs. All terms are added; a term of weight 0 is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objective {
    /// Per resource, what each unit beyond a machine's safety level costs.
    pub(crate) overload: BTreeMap<ResourceId, i64>,
    pub(crate) balances: Vec<Balance>,
    pub(crate) instance_move: i64,
    pub(crate) group_move: i64,
    pub(crate) machine_move: i64,
    /// Per pair of machines, or empty.
    pub(crate) moves_between: Vec<u32>,
    pub(crate) machine_use: i64,
    pub(crate) fragmentations: Vec<(DeviceNeed, i64)>,
}

/// For each free unit of `of` a machine should have `times` free units of `with`: what lacks costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// The resource that is free in vain,
    pub of: ResourceId,
    /// without so much
    pub times: i64,
    /// of this one.
    pub with: ResourceId,
    /// What each lacking unit costs.
    pub weight: i64,
}

impl Objective {
    /// Nothing costs anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Each unit of a resource beyond a machine's safety level costs `weight`.
    #[must_use]
    pub fn with_overload(mut self, resource: ResourceId, weight: i64) -> Self {
        self.overload.insert(resource, weight);
        self
    }

    /// What is free should be of use.
    #[must_use]
    pub fn with_balance(mut self, balance: Balance) -> Self {
        self.balances.push(balance);
        self
    }

    /// A moved instance costs its own cost times `weight`.
    #[must_use]
    pub fn with_instance_move(mut self, weight: i64) -> Self {
        self.instance_move = weight;
        self
    }

    /// The greatest number of moved instances of one group costs `weight` each.
    #[must_use]
    pub fn with_group_move(mut self, weight: i64) -> Self {
        self.group_move = weight;
        self
    }

    /// A move from one machine to another costs the entry of the table (a row for each machine that is left) times
    /// `weight`.
    #[must_use]
    pub fn with_machine_move(mut self, weight: i64, table: Vec<u32>) -> Self {
        self.machine_move = weight;
        self.moves_between = table;
        self
    }

    /// Each machine that has an instance costs `weight`: few machines are used.
    #[must_use]
    pub fn with_machine_use(mut self, weight: i64) -> Self {
        self.machine_use = weight;
        self
    }

    /// Each free share of a device that instances with this need could not use costs `weight`: what is left of devices should
    /// be of use to those that are expected.
    #[must_use]
    pub fn with_fragmentation(mut self, expected: DeviceNeed, weight: i64) -> Self {
        self.fragmentations.push((expected, weight));
        self
    }

    /// What a move from one machine to another costs by the table, before its weight; 0 where there is no table.
    ///
    /// # Panics
    /// With a machine that the table does not have.
    pub fn way(&self, from: MachineId, to: MachineId) -> u32 {
        let machines = self.moves_between.len().isqrt();
        match self.moves_between.len() {
            0 => 0,
            _ => self.moves_between[from.index() * machines + to.index()],
        }
    }

    /// The needs whose fragmentation costs.
    pub fn fragmentations(&self) -> impl Iterator<Item = DeviceNeed> {
        self.fragmentations.iter().map(|(need, _)| *need)
    }

    /// What is asked to be in balance.
    pub fn balances(&self) -> &[Balance] {
        &self.balances
    }

    pub(crate) fn resources(&self) -> impl Iterator<Item = ResourceId> {
        self.overload
            .keys()
            .copied()
            .chain(self.balances.iter().flat_map(|balance| [balance.of, balance.with]))
    }

    pub(crate) fn weights(&self) -> impl Iterator<Item = i64> {
        let single = [self.instance_move, self.group_move, self.machine_move, self.machine_use];
        let balances = self.balances.iter().flat_map(|balance| [balance.weight, balance.times]);
        let fragmentations = self.fragmentations.iter().map(|(_, weight)| *weight);
        self.overload.values().copied().chain(single).chain(balances).chain(fragmentations)
    }

    /// More than any placement can cost, when the units of all machines and instances are `units`, their move costs
    /// `moves`, their number `count`, and the shares of all devices `shares`.
    pub(crate) fn worst(&self, units: i128, moves: i128, count: i128, shares: i128) -> i128 {
        let heaviest = self.overload.values().copied().max().unwrap_or(0);
        let balances: i128 = self
            .balances
            .iter()
            .map(|balance| i128::from(balance.weight).saturating_mul(i128::from(balance.times + 1)))
            .sum();
        let units = units.saturating_mul(i128::from(heaviest) + balances);
        let farthest = i128::from(self.moves_between.iter().copied().max().unwrap_or(0));
        let moved = moves.saturating_mul(i128::from(self.instance_move));
        let each = i128::from(self.group_move)
            + i128::from(self.machine_use)
            + i128::from(self.machine_move) * farthest;
        let unused: i128 = self.fragmentations.iter().map(|(_, weight)| shares * i128::from(*weight)).sum();
        units.saturating_add(moved).saturating_add(count.saturating_mul(each)).saturating_add(unused)
    }
}

/// What one term of the objective is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Term {
    /// Units beyond the safety levels.
    Overload(ResourceId),
    /// Units that lack in balance number so.
    Balance(usize),
    /// Costs of moved instances.
    InstanceMoves,
    /// The most moved instances of one group.
    GroupMoves,
    /// Costs of the ways moved.
    MachineMoves,
    /// Machines in use.
    MachineUse,
    /// Free shares of devices that expected need number so could not use.
    Fragmentation(usize),
    /// Wish number so of a group.
    Wish(GroupId, usize),
}

/// One line of a bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// For what.
    pub term: Term,
    /// How much of it there is.
    pub amount: i128,
    /// What each costs.
    pub weight: i64,
}

impl Entry {
    /// What this line costs.
    pub fn cost(&self) -> i128 {
        self.amount * i128::from(self.weight)
    }
}

/// What a placement costs, line by line: every term that has a weight, also those that cost nothing here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    /// The lines, in the order of [`Term`].
    pub entries: Vec<Entry>,
}

impl Bill {
    /// The sum of all lines.
    pub fn total(&self) -> i128 {
        self.entries.iter().map(Entry::cost).sum()
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overload(resource) => write!(f, "overload of {resource}"),
            Self::Balance(index) => write!(f, "balance {index}"),
            Self::InstanceMoves => f.write_str("moved instances"),
            Self::GroupMoves => f.write_str("most moved of one group"),
            Self::MachineMoves => f.write_str("ways moved"),
            Self::MachineUse => f.write_str("machines in use"),
            Self::Fragmentation(index) => write!(f, "fragmentation {index}"),
            Self::Wish(group, index) => write!(f, "wish {index} of {group}"),
        }
    }
}

impl Bill {
    pub(crate) fn fmt_lines(
        &self,
        name: &dyn Fn(&Term) -> String,
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        let names: Vec<String> = self.entries.iter().map(|entry| name(&entry.term)).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(24);
        for (entry, name) in self.entries.iter().zip(names) {
            writeln!(f, "{name:width$} {:>16} × {:<10} = {:>18}", entry.amount, entry.weight, entry.cost())?;
        }
        write!(f, "{:width$} {:>50}", "total", self.total())
    }
}

/// With numbers instead of names; [`Model::named`] has those.
impl fmt::Display for Bill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_lines(&ToString::to_string, f)
    }
}

/// What a placement costs. Instances that are not placed cost nothing: that they lack is for the caller to weigh.
/// Linear in instances, machines times resources, and wishes.
pub fn bill(model: &Model, placement: &Placement) -> Bill {
    let objective = &model.objective;
    let resources = model.resource_count();
    let mut usage = vec![0_i128; model.machine_count() * resources];
    let mut used = vec![false; model.machine_count()];
    let mut instance_moves = 0_i128;
    let mut machine_moves = 0_i128;
    let mut moved = vec![0_i128; model.group_count()];
    for instance in model.instances() {
        let Some(machine) = placement.machine(instance) else { continue };
        used[machine.index()] = true;
        for (resource, need) in model.needs(instance).iter().enumerate() {
            usage[machine.index() * resources + resource] += i128::from(*need);
        }
        let Some(origin) = model.runs_on(instance).filter(|origin| *origin != machine) else { continue };
        instance_moves += i128::from(model.move_costs[instance.index()]);
        moved[model.group_of(instance).index()] += 1;
        let pair = origin.index() * model.machine_count() + machine.index();
        machine_moves += i128::from(objective.moves_between.get(pair).copied().unwrap_or(0));
    }
    let used_of = |machine: usize, resource: ResourceId| usage[machine * resources + resource.index()];
    let capacity = |machine: usize, resource: ResourceId| {
        i128::from(model.capacities[machine * resources + resource.index()])
    };
    let mut entries = Vec::new();
    let mut add = |term, amount: i128, weight: i64| {
        // What has no weight is no part of the objective.
        entries.extend((weight != 0).then_some(Entry { term, amount, weight }));
    };
    for (resource, weight) in &objective.overload {
        let over = |machine| {
            let safety = i128::from(model.safeties[machine * resources + resource.index()]);
            (used_of(machine, *resource) - safety).max(0)
        };
        add(Term::Overload(*resource), (0..model.machine_count()).map(over).sum(), *weight);
    }
    for (index, balance) in objective.balances.iter().enumerate() {
        let free = |machine, resource| capacity(machine, resource) - used_of(machine, resource);
        let lack = |machine| {
            (i128::from(balance.times) * free(machine, balance.of) - free(machine, balance.with)).max(0)
        };
        add(Term::Balance(index), (0..model.machine_count()).map(lack).sum(), balance.weight);
    }
    add(Term::InstanceMoves, instance_moves, objective.instance_move);
    add(Term::GroupMoves, moved.iter().copied().max().unwrap_or(0), objective.group_move);
    add(Term::MachineMoves, machine_moves, objective.machine_move);
    add(Term::MachineUse, used.iter().filter(|used| **used).count() as i128, objective.machine_use);
    if !objective.fragmentations.is_empty() {
        let free = free_shares(model, placement);
        for (index, (need, weight)) in objective.fragmentations.iter().enumerate() {
            add(Term::Fragmentation(index), free.iter().map(|free| unusable(free, *need)).sum(), *weight);
        }
    }
    for (index, group) in model.groups.iter().enumerate() {
        let id = GroupId::new(index);
        for (number, wish) in group.wishes.iter().enumerate() {
            add(Term::Wish(id, number), breach(model, placement, id, &wish.rule), wish.weight);
        }
    }
    Bill { entries }
}

/// Per machine, what is free of each device; nothing where more than all is given out.
fn free_shares(model: &Model, placement: &Placement) -> Vec<Vec<i128>> {
    let whole = |devices: &u32| vec![i128::from(SHARES_OF_DEVICE); *devices as usize];
    let mut free: Vec<Vec<i128>> = model.devices.iter().map(whole).collect();
    for instance in model.instances() {
        let Some(machine) = placement.machine(instance) else { continue };
        for device in placement.devices(instance) {
            if let Some(free) = free[machine.index()].get_mut(*device as usize) {
                *free = (*free - i128::from(model.device_need(instance).shares)).max(0);
            }
        }
    }
    free
}

/// How many of the free shares of a machine's devices are left when as many as can be with a need are on them. So many fit as
/// have `count` different devices each: `k`, where no device counts for more than `k` of them.
pub(crate) fn unusable(free: &[i128], need: DeviceNeed) -> i128 {
    let (count, shares) = (i128::from(need.count.max(1)), i128::from(need.shares.max(1)));
    let slots = || free.iter().map(|free| free / shares);
    let fits =
        |instances: &i128| slots().map(|slots| slots.min(*instances)).sum::<i128>() >= instances * count;
    let most = slots().sum::<i128>() / count;
    let instances = (0..=most).rev().find(fits).unwrap_or(0);
    free.iter().sum::<i128>() - instances * count * shares
}
