//! What changes of a placement would cost and be fined, without making them.

use super::State;
use crate::rebalance::dense::NOWHERE;

/// The most that one resource of a machine is fined: of a million such the sum is within 64 bits.
const FINE_MAX: i64 = 1 << 42;

/// By so much less is there than there may be, of what has no limit: far more than all needs together.
const NO_LIMIT: i64 = i64::MIN / 2;

impl<'a> State<'a> {
    #[inline]
    pub(crate) fn needs(&self, instance: u32) -> &'a [i64] {
        let width = self.dense.resources;
        &self.dense.needs[instance as usize * width..(instance as usize + 1) * width]
    }

    #[inline]
    fn row(&self, machine: u32) -> (&[i64], &[i64], &[i64]) {
        let width = self.dense.resources;
        let row = &self.rows[machine as usize * width * 3..(machine as usize + 1) * width * 3];
        let (slack, rest) = row.split_at(width);
        let (excess, free) = rest.split_at(width);
        (slack, excess, free)
    }

    /// What a machine's load costs when it changes by `change`.
    #[inline]
    pub(super) fn load_cost(&self, machine: u32, change: impl Fn(usize) -> i64) -> i64 {
        let (_, excess, free) = self.row(machine);
        let weights = &self.dense.overload[..excess.len()];
        let mut cost = 0;
        for resource in 0..excess.len() {
            cost += (excess[resource] + change(resource)).max(0) * weights[resource];
        }
        for balance in &self.dense.balances {
            let of = free[balance.of] - change(balance.of);
            let with = free[balance.with] - change(balance.with);
            cost += (balance.times * of - with).max(0) * balance.weight;
        }
        cost
    }

    /// What a machine is fined when its slack becomes less by `change`.
    #[inline]
    pub(super) fn load_fine(&self, machine: u32, change: impl Fn(usize) -> i64) -> i64 {
        let (slack, ..) = self.row(machine);
        let prices = &self.prices.capacity[..slack.len()];
        let mut fine = 0;
        for resource in 0..slack.len() {
            let beyond = change(resource) - slack[resource];
            let price = beyond.max(0).saturating_mul(prices[resource]).min(FINE_MAX);
            fine += price + i64::from(beyond > 0) * self.prices.excess;
        }
        fine
    }

    /// What the moves cost more when an instance goes from where it is to `to`.
    #[inline]
    pub(crate) fn move_delta(&self, instance: u32, to: u32) -> i64 {
        let dense = self.dense;
        let (from, origin) = (self.at[instance as usize], dense.origin[instance as usize]);
        if origin == NOWHERE {
            return 0;
        }
        let group = dense.group[instance as usize] as usize;
        let mut delta = 0;
        if !dense.moves_between.is_empty() {
            let way =
                |to: u32| i64::from(dense.moves_between[origin as usize * dense.machines + to as usize]);
            delta += (way(to) - way(from)) * dense.machine_move;
        }
        if from == origin {
            delta += dense.move_cost[instance as usize];
            if self.moved[group] == self.most_moved {
                delta += dense.group_move;
            }
        } else if to == origin {
            delta -= dense.move_cost[instance as usize];
            if self.moved[group] == self.most_moved && self.moved_histogram[self.most_moved as usize] == 1 {
                delta -= dense.group_move;
            }
        }
        delta
    }

    /// What machines in use cost more.
    #[inline]
    pub(super) fn use_delta(&self, instance: u32, to: u32) -> i64 {
        let from = self.at[instance as usize];
        let opened = i64::from(self.residents[to as usize].is_empty());
        let closed = i64::from(self.residents[from as usize].len() == 1);
        (opened - closed) * self.dense.machine_use
    }

    /// What the cost becomes more when an instance goes to a machine; wishes apart.
    #[inline]
    pub(crate) fn shift_delta(&self, instance: u32, to: u32) -> i64 {
        let from = self.at[instance as usize];
        let needs = self.needs(instance);
        let enters = self.load_cost(to, |resource| needs[resource]) - self.machine_costs[to as usize];
        let leaves = self.load_cost(from, |resource| -needs[resource]) - self.machine_costs[from as usize];
        enters + leaves + self.use_delta(instance, to) + self.move_delta(instance, to)
    }

    /// What its machine costs and is fined more without an instance.
    pub(crate) fn leave_delta(&self, instance: u32) -> i64 {
        let dense = self.dense;
        let from = self.at[instance as usize];
        let needs = self.needs(instance);
        let stays = -i64::from(dense.origin[instance as usize] == from);
        self.load_cost(from, |resource| -needs[resource]) - self.machine_costs[from as usize]
            + self.load_fine(from, |resource| -(needs[resource] & !(dense.twice[resource] & stays)))
            - self.machine_fines[from as usize]
    }

    /// How much more a machine takes, of what it takes least of, before it costs.
    pub(crate) fn room(&self, machine: u32) -> i64 {
        let (_, excess, _) = self.row(machine);
        excess.iter().map(|excess| -excess).min().unwrap_or(0)
    }

    /// What has to leave a machine, of each resource, before its load costs nothing and is not fined; apart from balances, and from fines for
    /// what is occupied twice, of which leaving frees nothing.
    pub(crate) fn excess(&self, machine: u32) -> Vec<i64> {
        let (slack, excess, _) = self.row(machine);
        let of = |resource: usize| {
            let beyond_safety = if self.dense.overload[resource] == 0 { NO_LIMIT } else { excess[resource] };
            let beyond_capacity = if self.dense.twice[resource] == 0 { -slack[resource] } else { NO_LIMIT };
            beyond_safety.max(beyond_capacity)
        };
        (0..slack.len()).map(of).collect()
    }

    /// What a machine would cost and be fined without these of its residents.
    pub(crate) fn burden_without(&self, machine: u32, leaving: &[u32]) -> i64 {
        let dense = self.dense;
        let sum = |resource: usize| -> i64 { leaving.iter().map(|id| self.needs(*id)[resource]).sum() };
        let freed = |resource: usize| -> i64 {
            let of = |id: &u32| {
                let stays = -i64::from(dense.origin[*id as usize] == machine);
                self.needs(*id)[resource] & !(dense.twice[resource] & stays)
            };
            leaving.iter().map(of).sum()
        };
        self.load_cost(machine, |resource| -sum(resource))
            + self.load_fine(machine, |resource| -freed(resource))
    }

    /// What a machine would cost and be fined when these come to it and those of its residents leave.
    pub(crate) fn burden_with(&self, machine: u32, coming: &[u32], leaving: &[u32]) -> i64 {
        let dense = self.dense;
        let counted = |id: &u32, resource: usize| {
            let ran_here = -i64::from(dense.origin[*id as usize] == machine);
            self.needs(*id)[resource] & !(dense.twice[resource] & ran_here)
        };
        let need = |id: &u32, resource: usize| self.needs(*id)[resource];
        let change = |of: &dyn Fn(&u32, usize) -> i64, resource: usize| -> i64 {
            coming.iter().map(|id| of(id, resource)).sum::<i64>()
                - leaving.iter().map(|id| of(id, resource)).sum::<i64>()
        };
        self.load_cost(machine, |resource| change(&need, resource))
            .saturating_add(self.load_fine(machine, |resource| change(&counted, resource)))
    }

    /// What an instance's going to a machine is fined more for capacities.
    #[inline]
    pub(crate) fn shift_fine(&self, instance: u32, to: u32) -> i64 {
        let dense = self.dense;
        let (from, origin) = (self.at[instance as usize], dense.origin[instance as usize]);
        let needs = self.needs(instance);
        let (stays, back) = (-i64::from(origin == from), -i64::from(origin == to));
        let twice = &dense.twice[..needs.len()];
        let enters = self.load_fine(to, |resource| needs[resource] & !(twice[resource] & back));
        let leaves = match self.machine_fines[from as usize] {
            0 => 0,
            fine => self.load_fine(from, |resource| -(needs[resource] & !(twice[resource] & stays))) - fine,
        };
        enters - self.machine_fines[to as usize] + leaves
    }

    /// What the cost becomes more when two instances change places; wishes apart. Where both are of the group with the
    /// most moved instances it is an estimate: the second is told as if the first were not made.
    #[inline]
    pub(crate) fn swap_delta(&self, left: u32, right: u32) -> i64 {
        let (a, b) = (self.at[left as usize], self.at[right as usize]);
        let (left_needs, right_needs) = (self.needs(left), self.needs(right));
        let grow = |resource: usize| right_needs[resource] - left_needs[resource];
        let mut delta = self.load_cost(a, grow) - self.machine_costs[a as usize];
        delta += self.load_cost(b, |resource| -grow(resource)) - self.machine_costs[b as usize];
        delta + self.move_delta(left, b) + self.move_delta(right, a)
    }

    /// What two instances' changing places is fined more for capacities.
    #[inline]
    pub(crate) fn swap_fine(&self, left: u32, right: u32) -> i64 {
        let (a, b) = (self.at[left as usize], self.at[right as usize]);
        self.swap_fine_at(left, right, a) + self.swap_fine_at(right, left, b)
    }

    #[inline]
    fn swap_fine_at(&self, leaves: u32, enters: u32, machine: u32) -> i64 {
        let dense = self.dense;
        let stays = -i64::from(dense.origin[leaves as usize] == machine);
        let back = -i64::from(dense.origin[enters as usize] == machine);
        let (leaves, enters) = (self.needs(leaves), self.needs(enters));
        let twice = &dense.twice[..leaves.len()];
        self.load_fine(machine, |resource| {
            (enters[resource] & !(twice[resource] & back)) - (leaves[resource] & !(twice[resource] & stays))
        }) - self.machine_fines[machine as usize]
    }

    /// Whether a machine is allowed to an instance at all.
    #[inline]
    pub(crate) fn is_allowed(&self, instance: u32, machine: u32) -> bool {
        self.dense.is_allowed(self.dense.group[instance as usize], machine)
            && !self.dense.is_left_for_good(instance, machine)
    }

    /// By how much more rules are broken when an instance goes to a machine.
    #[inline]
    pub(crate) fn breach_delta(&self, instance: u32, to: u32) -> i64 {
        let group = &self.dense.groups[self.dense.group[instance as usize] as usize];
        let own = group.rules.iter().map(|check| self.counts.breach_delta(self, check, instance, to));
        let with_others =
            group.relations.iter().map(|it| self.counts.relations_delta(self, it, instance, to));
        own.sum::<i64>() + with_others.sum::<i64>()
    }

    /// What an instance's going to a machine is fined more for rules.
    #[inline]
    pub(crate) fn breach_fine(&self, instance: u32, to: u32) -> i64 {
        self.breach_delta(instance, to).saturating_mul(self.prices.breach)
    }

    /// What an instance's going to a machine costs in wishes.
    #[inline]
    pub(crate) fn wish_delta(&self, instance: u32, to: u32) -> i64 {
        let wishes = &self.dense.groups[self.dense.group[instance as usize] as usize].wishes;
        wishes
            .iter()
            .map(|(check, weight)| self.counts.breach_delta(self, check, instance, to) * weight)
            .sum()
    }
}
