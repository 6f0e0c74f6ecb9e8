//! What changes of a placement change on its bill and break, by looking only at what they touch.
//!
//! The same sums as [`bill`](crate::place::bill), over the machines and groups that a change concerns. That both agree is
//! tested.

use std::collections::{BTreeMap, BTreeSet};

use super::Move;
use crate::place::model::{Hold, SHARES_OF_DEVICE};
use crate::place::objective::unusable;
use crate::place::validate::breach;
use crate::place::{GroupId, InstanceId, MachineId, Model, Placement, ResourceId, Rule, Term};

/// Costs by term.
pub(super) type Costs = BTreeMap<Term, i128>;

/// A placement with what it needs to be asked about.
pub(super) struct Ledger<'m> {
    model: &'m Model,
    pub(super) placement: Placement,
    residents: Vec<BTreeSet<InstanceId>>,
    /// Instances that ran on a machine, and are elsewhere.
    left: Vec<BTreeSet<InstanceId>>,
    moved: Vec<i128>,
    /// How many groups have so many moved instances.
    histogram: BTreeMap<i128, usize>,
    /// Groups whose rules and wishes count a group, itself among them.
    asking: Vec<Vec<GroupId>>,
}

impl<'m> Ledger<'m> {
    pub(super) fn new(model: &'m Model, placement: &Placement) -> Self {
        let mut asking: Vec<Vec<GroupId>> =
            (0..model.group_count()).map(|index| vec![GroupId::new(index)]).collect();
        for (index, group) in model.groups.iter().enumerate() {
            for rule in group.rules.iter().chain(group.wishes.iter().map(|wish| &wish.rule)) {
                if let Rule::With { group: other, .. } | Rule::Apart { group: other, .. } = rule {
                    asking[other.index()].push(GroupId::new(index));
                }
            }
        }
        let mut ledger = Self {
            model,
            placement: Placement::empty(model),
            residents: vec![BTreeSet::new(); model.machine_count()],
            left: vec![BTreeSet::new(); model.machine_count()],
            moved: vec![0; model.group_count()],
            histogram: BTreeMap::from([(0, model.group_count())]),
            asking,
        };
        for instance in model.instances() {
            ledger.put(instance, placement.machine(instance), placement.devices(instance).to_vec());
        }
        ledger
    }

    /// Puts an instance where it is told.
    pub(super) fn put(&mut self, instance: InstanceId, to: Option<MachineId>, devices: Vec<u32>) {
        let group = self.model.group_of(instance).index();
        let origin = self.model.runs_on(instance);
        for (machine, change) in [(self.placement.machine(instance), -1), (to, 1)] {
            let Some(machine) = machine else { continue };
            match change {
                1 => self.residents[machine.index()].insert(instance),
                _ => self.residents[machine.index()].remove(&instance),
            };
            if let Some(origin) = origin.filter(|origin| *origin != machine) {
                match change {
                    1 => self.left[origin.index()].insert(instance),
                    _ => self.left[origin.index()].remove(&instance),
                };
                let before = self.moved[group];
                self.moved[group] += change;
                let emptied = self.histogram.entry(before).or_default();
                *emptied -= 1;
                if *emptied == 0 {
                    self.histogram.remove(&before);
                }
                *self.histogram.entry(before + change).or_default() += 1;
            }
        }
        match to {
            Some(machine) => self.placement.put_on_devices(instance, machine, devices),
            None => self.placement.take(instance),
        }
    }

    /// Makes moves.
    pub(super) fn make(&mut self, moves: &[Move], after: &Placement) {
        for Move { instance, to, .. } in moves {
            self.put(*instance, *to, after.devices(*instance).to_vec());
        }
    }

    /// Takes moves back.
    pub(super) fn take_back(&mut self, moves: &[Move], before: &Placement) {
        for Move { instance, from, .. } in moves {
            self.put(*instance, *from, before.devices(*instance).to_vec());
        }
    }

    /// Machines that moves touch.
    fn machines(moves: &[Move]) -> BTreeSet<MachineId> {
        moves.iter().flat_map(|it| [it.from, it.to]).flatten().collect()
    }

    /// Groups whose rules and wishes see the moves.
    fn groups(&self, moves: &[Move]) -> BTreeSet<GroupId> {
        let of = |it: &Move| &self.asking[self.model.group_of(it.instance).index()];
        moves.iter().flat_map(of).copied().collect()
    }

    fn used(&self, machine: MachineId, resource: usize) -> i128 {
        let needs = |id: &InstanceId| i128::from(self.model.needs(*id)[resource]);
        self.residents[machine.index()].iter().map(needs).sum()
    }

    fn free_shares(&self, machine: MachineId) -> Vec<i128> {
        let mut free = vec![i128::from(SHARES_OF_DEVICE); self.model.devices(machine) as usize];
        for instance in &self.residents[machine.index()] {
            let shares = i128::from(self.model.device_need(*instance).shares);
            for device in self.placement.devices(*instance) {
                // What runs already may have what is not there.
                if let Some(free) = free.get_mut(*device as usize) {
                    *free = (*free - shares).max(0);
                }
            }
        }
        free
    }

    /// What is on the bill for all that moves touch, as things are.
    pub(super) fn costs(&self, moves: &[Move]) -> Costs {
        let (model, objective) = (self.model, self.model.objective());
        let mut costs = Costs::new();
        let mut add = |term: Term, amount: i128, weight: i64| {
            *costs.entry(term).or_default() += amount * i128::from(weight);
        };
        for machine in Self::machines(moves) {
            let width = model.resource_count();
            let used: Vec<i128> = (0..width).map(|resource| self.used(machine, resource)).collect();
            let free = |resource: ResourceId| {
                i128::from(model.capacity(machine)[resource.index()]) - used[resource.index()]
            };
            for (resource, weight) in &objective.overload {
                let safety = i128::from(model.safety(machine)[resource.index()]);
                add(Term::Overload(*resource), (used[resource.index()] - safety).max(0), *weight);
            }
            for (index, balance) in objective.balances.iter().enumerate() {
                let lack = i128::from(balance.times) * free(balance.of) - free(balance.with);
                add(Term::Balance(index), lack.max(0), balance.weight);
            }
            for (index, (need, weight)) in objective.fragmentations.iter().enumerate() {
                add(Term::Fragmentation(index), unusable(&self.free_shares(machine), *need), *weight);
            }
            let in_use = i128::from(!self.residents[machine.index()].is_empty());
            add(Term::MachineUse, in_use, objective.machine_use);
        }
        for Move { instance, .. } in moves {
            let (Some(machine), Some(origin)) = (self.placement.machine(*instance), model.runs_on(*instance))
            else {
                continue;
            };
            if machine != origin {
                add(
                    Term::InstanceMoves,
                    i128::from(model.move_costs[instance.index()]),
                    objective.instance_move,
                );
                let pair = origin.index() * model.machine_count() + machine.index();
                let way = i128::from(objective.moves_between.get(pair).copied().unwrap_or(0));
                add(Term::MachineMoves, way, objective.machine_move);
            }
        }
        let most = self.histogram.keys().next_back().copied().unwrap_or(0);
        add(Term::GroupMoves, most, objective.group_move);
        for group in self.groups(moves) {
            for (number, wish) in model.groups[group.index()].wishes.iter().enumerate() {
                add(
                    Term::Wish(group, number),
                    breach(model, &self.placement, group, &wish.rule),
                    wish.weight,
                );
            }
        }
        costs
    }

    /// By how much, all together, capacities and rules are broken where moves touch; 0 when nothing is.
    pub(super) fn broken(&self, moves: &[Move]) -> i128 {
        let model = self.model;
        let mut broken = 0;
        for machine in Self::machines(moves) {
            for (resource, capacity) in model.capacity(machine).iter().enumerate() {
                let mut used = self.used(machine, resource);
                if model.resources[resource].hold == Hold::Twice {
                    let needs = |id: &InstanceId| i128::from(model.needs(*id)[resource]);
                    used += self.left[machine.index()].iter().map(needs).sum::<i128>();
                }
                broken += (used - i128::from(*capacity)).max(0);
            }
            let mut shares: BTreeMap<u32, i128> = BTreeMap::new();
            let mut ports: BTreeMap<u16, i128> = BTreeMap::new();
            for instance in &self.residents[machine.index()] {
                for device in self.placement.devices(*instance) {
                    *shares.entry(*device).or_default() += i128::from(model.device_need(*instance).shares);
                }
                model.ports(*instance).iter().for_each(|port| *ports.entry(*port).or_default() += 1);
            }
            let whole = i128::from(SHARES_OF_DEVICE);
            broken += shares.values().map(|shares| (shares - whole).max(0)).sum::<i128>();
            broken += ports.values().map(|holders| holders - 1).sum::<i128>();
        }
        for group in self.groups(moves) {
            let rules = model.rules(group).iter();
            broken += rules.map(|rule| breach(model, &self.placement, group, rule)).sum::<i128>();
        }
        broken
    }
}
