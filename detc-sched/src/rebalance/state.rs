//! A placement with everything that is needed to tell in a few dozen instructions what a change of it would cost.
//!
//! Each machine has one row of `3 × resources` numbers: what is still free of its capacity, counting what is still
//! leaving (`slack`); how far it is beyond its safety level (`excess`); what is free without what is leaving (`free`).
//! A change of one machine's load is then read from one row, in order. Costs are exact: [`State::cost`] is the total of
//! the independent [bill](crate::place::bill).

use super::counts::Counts;
use super::dense::{Dense, NOWHERE};

/// A placement under search.
#[derive(Clone, Debug)]
pub(crate) struct State<'a> {
    pub(crate) dense: &'a Dense,
    pub(crate) at: Vec<u32>,
    rows: Vec<i64>,
    machine_costs: Vec<i64>,
    population: Vec<u32>,
    counts: Counts,
    moved: Vec<u32>,
    /// How many groups have so many moved instances.
    moved_histogram: Vec<u32>,
    most_moved: u32,
    cost: i64,
}

impl<'a> State<'a> {
    /// The state in which each instance is `at` a machine, or nowhere, which is known to cost `cost`.
    pub(crate) fn new(dense: &'a Dense, at: &[u32], cost: i64) -> Self {
        let width = dense.resources;
        let largest =
            (0..dense.groups.len()).map(|group| dense.size_of_group(group as u32)).max().unwrap_or(0);
        let mut moved_histogram = vec![0; largest + 2];
        moved_histogram[0] = dense.groups.len() as u32;
        let mut state = Self {
            dense,
            at: vec![NOWHERE; at.len()],
            rows: Vec::with_capacity(dense.machines * width * 3),
            machine_costs: vec![0; dense.machines],
            population: vec![0; dense.machines],
            counts: Counts::new(dense),
            moved: vec![0; dense.groups.len()],
            moved_histogram,
            most_moved: 0,
            cost: 0,
        };
        for (capacity, safety) in dense.capacities.chunks(width).zip(dense.safeties.chunks(width)) {
            state.rows.extend_from_slice(capacity);
            state.rows.extend(safety.iter().map(|safety| -safety));
            state.rows.extend_from_slice(capacity);
        }
        for machine in 0..dense.machines as u32 {
            state.machine_costs[machine as usize] = state.load_cost(machine, |_| 0);
        }
        for (instance, machine) in at.iter().enumerate().filter(|(_, machine)| **machine != NOWHERE) {
            let origin = dense.origin[instance];
            // What leaves its origin is occupied there, too; as if it had been there and moved.
            if origin != NOWHERE && origin != *machine {
                state.enter(instance as u32, origin);
                state.shift(instance as u32, *machine);
            } else {
                state.enter(instance as u32, *machine);
            }
        }
        state.cost = cost;
        state
    }

    /// What the placement costs.
    pub(crate) fn cost(&self) -> i64 {
        self.cost
    }

    #[inline]
    fn needs(&self, instance: u32) -> &'a [i64] {
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
    fn load_cost(&self, machine: u32, change: impl Fn(usize) -> i64) -> i64 {
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

    /// Whether an instance has room on a machine.
    #[inline]
    pub(crate) fn has_room(&self, instance: u32, machine: u32) -> bool {
        let needs = self.needs(instance);
        let (slack, ..) = self.row(machine);
        if self.dense.origin[instance as usize] == machine {
            let twice = &self.dense.twice;
            needs.iter().zip(slack).zip(twice).all(|((need, slack), twice)| need & !twice <= *slack)
        } else {
            needs.iter().zip(slack).all(|(need, slack)| need <= slack)
        }
    }

    /// What the moves cost more when an instance goes from where it is to `to`.
    #[inline]
    fn move_delta(&self, instance: u32, to: u32) -> i64 {
        let dense = self.dense;
        let (from, origin) = (self.at[instance as usize], dense.origin[instance as usize]);
        if origin == NOWHERE {
            return 0;
        }
        let group = dense.group[instance as usize] as usize;
        let mut delta = 0;
        if dense.machine_move != 0 {
            let way = |to: u32| match dense.moves_between.is_empty() {
                true => 0,
                false => i64::from(dense.moves_between[origin as usize * dense.machines + to as usize]),
            };
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

    /// What the cost becomes more when an instance goes to a machine, rules and wishes apart. None without room.
    #[inline]
    pub(crate) fn shift_delta(&self, instance: u32, to: u32) -> Option<i64> {
        if !self.has_room(instance, to) {
            return None;
        }
        let from = self.at[instance as usize];
        let needs = self.needs(instance);
        let mut delta = self.load_cost(to, |resource| needs[resource]) - self.machine_costs[to as usize];
        delta += self.load_cost(from, |resource| -needs[resource]) - self.machine_costs[from as usize];
        if self.dense.machine_use != 0 {
            delta += self.dense.machine_use * i64::from(self.population[to as usize] == 0);
            delta -= self.dense.machine_use * i64::from(self.population[from as usize] == 1);
        }
        Some(delta + self.move_delta(instance, to))
    }

    /// What the cost becomes more when two instances change places, rules and wishes apart. None without room.
    #[inline]
    pub(crate) fn swap_delta(&self, left: u32, right: u32) -> Option<i64> {
        let (a, b) = (self.at[left as usize], self.at[right as usize]);
        let (left_needs, right_needs) = (self.needs(left), self.needs(right));
        self.has_room_for_swap(left, right, a)?;
        self.has_room_for_swap(right, left, b)?;
        let grow = |resource: usize| right_needs[resource] - left_needs[resource];
        let mut delta = self.load_cost(a, grow) - self.machine_costs[a as usize];
        delta += self.load_cost(b, |resource| -grow(resource)) - self.machine_costs[b as usize];
        // The two moves' own costs add up, but for the most moved of one group: there the order could matter, and the
        // second is told as if the first were not made. `swap` settles the exact value.
        Some(delta + self.move_delta(left, b) + self.move_delta(right, a))
    }

    /// Whether `machine` has room when `leaves` goes and `enters` comes; what is too much already may stay so.
    #[inline]
    fn has_room_for_swap(&self, leaves: u32, enters: u32, machine: u32) -> Option<()> {
        let dense = self.dense;
        let stays = -i64::from(dense.origin[leaves as usize] == machine);
        let back = -i64::from(dense.origin[enters as usize] == machine);
        let (slack, ..) = self.row(machine);
        let (leaves, enters) = (self.needs(leaves), self.needs(enters));
        let fits = |resource: usize| {
            let twice = dense.twice[resource];
            let more = (enters[resource] & !(twice & back)) - (leaves[resource] & !(twice & stays));
            more <= slack[resource] || more <= 0
        };
        (0..slack.len()).all(fits).then_some(())
    }

    /// Whether the rules let an instance go to a machine: no breach grows.
    #[inline]
    pub(crate) fn is_lawful(&self, instance: u32, to: u32) -> bool {
        let group = self.dense.group[instance as usize];
        self.dense.is_allowed(group, to)
            && self.dense.groups[group as usize]
                .rules
                .iter()
                .all(|check| self.counts.breach_delta(self, check, instance, to) <= 0)
    }

    /// What an instance's going to a machine costs in wishes.
    #[inline]
    pub(crate) fn wish_delta(&self, instance: u32, to: u32) -> i64 {
        let group = self.dense.group[instance as usize];
        let wishes = &self.dense.groups[group as usize].wishes;
        wishes
            .iter()
            .map(|(check, weight)| self.counts.breach_delta(self, check, instance, to) * weight)
            .sum()
    }

    /// Puts an instance that is nowhere onto a machine.
    fn enter(&mut self, instance: u32, machine: u32) {
        self.at[instance as usize] = machine;
        self.population[machine as usize] += 1;
        self.counts.enter(self.dense, instance, machine);
        self.load(instance, machine, 1, 0);
    }

    /// Moves an instance. The caller has found it feasible.
    pub(crate) fn shift(&mut self, instance: u32, to: u32) {
        let dense = self.dense;
        let (from, origin) = (self.at[instance as usize], dense.origin[instance as usize]);
        self.cost += self.move_delta(instance, to) + self.wish_delta(instance, to);
        self.cost += dense.machine_use * i64::from(self.population[to as usize] == 0);
        self.cost -= dense.machine_use * i64::from(self.population[from as usize] == 1);
        self.population[to as usize] += 1;
        self.population[from as usize] -= 1;
        self.load(instance, from, -1, -i64::from(from == origin));
        self.load(instance, to, 1, -i64::from(to == origin));
        self.counts.shift(dense, &self.at, instance, to);
        self.at[instance as usize] = to;
        if origin == from {
            self.count_moved(dense.group[instance as usize] as usize, 1);
        } else if origin == to {
            self.count_moved(dense.group[instance as usize] as usize, -1);
        }
    }

    /// Adds (1) or takes (-1) an instance's needs on a machine. `kept` is all ones where this is its origin: what is
    /// occupied twice is then neither freed nor taken again.
    #[inline]
    fn load(&mut self, instance: u32, machine: u32, sign: i64, kept: i64) {
        let dense = self.dense;
        let width = dense.resources;
        let needs = &dense.needs[instance as usize * width..(instance as usize + 1) * width];
        let row = &mut self.rows[machine as usize * width * 3..(machine as usize + 1) * width * 3];
        for (resource, need) in needs.iter().enumerate() {
            let need = need * sign;
            row[resource] -= if dense.twice[resource] & kept == 0 { need } else { 0 };
            row[width + resource] += need;
            row[2 * width + resource] -= need;
        }
        let cost = self.load_cost(machine, |_| 0);
        self.cost += cost - self.machine_costs[machine as usize];
        self.machine_costs[machine as usize] = cost;
    }

    fn count_moved(&mut self, group: usize, change: i32) {
        let before = self.moved[group];
        let after = before.wrapping_add_signed(change);
        self.moved_histogram[before as usize] -= 1;
        self.moved_histogram[after as usize] += 1;
        self.moved[group] = after;
        if after > self.most_moved {
            self.most_moved = after;
        } else if before == self.most_moved && self.moved_histogram[before as usize] == 0 {
            self.most_moved = after;
        }
    }

    /// Whether two instances may change places by the rules; then they have. Otherwise nothing has changed.
    pub(crate) fn try_swap(&mut self, left: u32, right: u32) -> bool {
        let (a, b) = (self.at[left as usize], self.at[right as usize]);
        let (left_group, right_group) = (self.dense.group[left as usize], self.dense.group[right as usize]);
        if left_group == right_group {
            // The counts stay as they are.
            self.shift(left, b);
            self.shift(right, a);
            return true;
        }
        if !self.is_lawful(left, b) {
            return false;
        }
        let related = self.dense.groups[left_group as usize].related.binary_search(&right_group).is_ok();
        if !related {
            if !self.is_lawful(right, a) {
                return false;
            }
            self.shift(left, b);
        } else {
            self.shift(left, b);
            if !self.is_lawful(right, a) {
                self.shift(left, a);
                return false;
            }
        }
        self.shift(right, a);
        true
    }
}
