//! A placement with everything that is needed to tell in a few dozen instructions what a change of it would cost.
//!
//! Each machine has one row of `3 × resources` numbers: what is still free of its capacity, counting what is still
//! leaving (`slack`); how far it is beyond its safety level (`excess`); what is free without what is leaving (`free`).
//! A change of one machine's load is then read from one row, in order. Costs are exact: [`State::cost`] is the total of
//! the independent [bill](crate::place::bill).
//!
//! A search may go through placements that break capacities and rules; what they break is *fined*, by prices that the
//! search sets. Only placements without a fine are results. What changes would cost is in [`price`].

use super::claims::Claimants;
use super::counts::Counts;
use super::dense::{Dense, NOWHERE};

mod price;

/// A placement under search.
#[derive(Clone, Debug)]
pub(crate) struct State<'a> {
    pub(crate) dense: &'a Dense,
    pub(crate) at: Vec<u32>,
    rows: Vec<i64>,
    machine_costs: Vec<i64>,
    residents: Vec<Vec<u32>>,
    /// Where an instance is among the residents of its machine.
    slots: Vec<u32>,
    counts: Counts,
    /// Instances that are not where they ran, and where each is in this list.
    away: Vec<u32>,
    away_slots: Vec<u32>,
    moved: Vec<u32>,
    /// How many groups have so many moved instances.
    moved_histogram: Vec<u32>,
    most_moved: u32,
    cost: i64,
    prices: Prices,
    machine_fines: Vec<i64>,
    capacity_fine: i64,
    /// By how much rules are broken, all together.
    breach: i64,
    /// Devices and ports, where anybody needs any.
    pub(super) claimants: Option<Claimants>,
}

/// What breaking a rule is fined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prices {
    /// Per resource, each unit beyond a capacity.
    pub(crate) capacity: Vec<i64>,
    /// Each capacity that is exceeded, by however little: a small excess must not freeze in, for want of a small move.
    pub(crate) excess: i64,
    /// Each unit of a rule's breach.
    pub(crate) breach: i64,
}

/// What a placement is known to cost, and by how much it breaks rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) cost: i64,
    pub(crate) breach: i64,
}

impl<'a> State<'a> {
    /// The state in which each instance is `at` a machine, or nowhere.
    pub(crate) fn new(dense: &'a Dense, at: &[u32], standing: Standing) -> Self {
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
            residents: vec![Vec::new(); dense.machines],
            slots: vec![0; at.len()],
            counts: Counts::new(dense),
            away: Vec::new(),
            away_slots: vec![0; at.len()],
            moved: vec![0; dense.groups.len()],
            moved_histogram,
            most_moved: 0,
            cost: 0,
            prices: Prices { capacity: vec![1; width], excess: 0, breach: 1 },
            machine_fines: vec![0; dense.machines],
            capacity_fine: 0,
            breach: 0,
            claimants: None,
        };
        for machine in 0..dense.machines {
            let row = machine * width..(machine + 1) * width;
            state.rows.extend_from_slice(&dense.limits[row.clone()]);
            state.rows.extend(dense.safeties[row.clone()].iter().map(|safety| -safety));
            state.rows.extend_from_slice(&dense.capacities[row]);
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
        state.claimants = Claimants::new(dense, at);
        state.cost = standing.cost;
        state.breach = standing.breach;
        state
    }

    /// How much of a resource is held on a machine for who has left it.
    pub(crate) fn held(&self, machine: u32, resource: usize) -> i64 {
        let width = self.dense.resources;
        let row = &self.rows[machine as usize * width * 3..][..width * 3];
        // Where what stays is too much, slack begins at more than the capacity.
        let at = machine as usize * width + resource;
        row[2 * width + resource] - row[resource] + self.dense.limits[at] - self.dense.capacities[at]
    }

    /// What the placement costs.
    pub(crate) fn cost(&self) -> i64 {
        self.cost
    }

    /// What is fined now; 0 when all capacities and rules hold.
    pub(crate) fn fine(&self) -> i64 {
        let claims = self.claimants.as_ref().map_or(0, Claimants::fine);
        let fine = self.capacity_fine.saturating_add(self.breach.saturating_mul(self.prices.breach));
        fine.saturating_add(claims)
    }

    /// Whether no rule is broken.
    pub(crate) fn is_lawful(&self) -> bool {
        self.breach == 0
    }

    /// The instances on a machine.
    pub(crate) fn residents(&self, machine: u32) -> &[u32] {
        &self.residents[machine as usize]
    }

    /// The instances that are not where they ran.
    pub(crate) fn away(&self) -> &[u32] {
        &self.away
    }

    /// What a machine's load costs and is fined.
    pub(crate) fn burden(&self, machine: u32) -> i64 {
        self.machine_costs[machine as usize].saturating_add(self.machine_fines[machine as usize])
    }

    /// What breaking rules is fined.
    pub(crate) fn prices(&self) -> &Prices {
        &self.prices
    }

    /// Sets what breaking rules is fined.
    pub(crate) fn set_prices(&mut self, prices: Prices) {
        self.prices = prices;
        self.capacity_fine = 0;
        for machine in 0..self.dense.machines as u32 {
            self.machine_fines[machine as usize] = self.load_fine(machine, |_| 0);
            self.capacity_fine += self.machine_fines[machine as usize];
        }
    }

    /// Puts an instance that is nowhere onto a machine.
    fn enter(&mut self, instance: u32, machine: u32) {
        self.at[instance as usize] = machine;
        self.slots[instance as usize] = self.residents[machine as usize].len() as u32;
        self.residents[machine as usize].push(instance);
        self.counts.enter(self.dense, instance, machine);
        self.load(instance, machine, 1, 0);
    }

    /// Moves an instance.
    pub(crate) fn shift(&mut self, instance: u32, to: u32) {
        let dense = self.dense;
        let (from, origin) = (self.at[instance as usize], dense.origin[instance as usize]);
        self.cost +=
            self.move_delta(instance, to) + self.wish_delta(instance, to) + self.use_delta(instance, to);
        self.breach += self.breach_delta(instance, to);
        if let Some(claimants) = &mut self.claimants {
            self.cost += claimants.shift(dense, instance, from, to);
        }

        let slot = self.slots[instance as usize] as usize;
        self.residents[from as usize].swap_remove(slot);
        if let Some(other) = self.residents[from as usize].get(slot) {
            self.slots[*other as usize] = slot as u32;
        }
        self.slots[instance as usize] = self.residents[to as usize].len() as u32;
        self.residents[to as usize].push(instance);

        self.load(instance, from, -1, -i64::from(from == origin));
        self.load(instance, to, 1, -i64::from(to == origin));
        self.counts.shift(dense, &self.at, instance, to);
        self.at[instance as usize] = to;
        if origin == from {
            self.count_moved(dense.group[instance as usize] as usize, 1);
            self.away_slots[instance as usize] = self.away.len() as u32;
            self.away.push(instance);
        } else if origin == to {
            self.count_moved(dense.group[instance as usize] as usize, -1);
            let slot = self.away_slots[instance as usize];
            self.away.swap_remove(slot as usize);
            if let Some(other) = self.away.get(slot as usize) {
                self.away_slots[*other as usize] = slot;
            }
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
            row[resource] -= need & !(dense.twice[resource] & kept);
            row[width + resource] += need;
            row[2 * width + resource] -= need;
        }
        let cost = self.load_cost(machine, |_| 0);
        self.cost += cost - self.machine_costs[machine as usize];
        self.machine_costs[machine as usize] = cost;
        let fine = self.load_fine(machine, |_| 0);
        self.capacity_fine += fine - self.machine_fines[machine as usize];
        self.machine_fines[machine as usize] = fine;
    }

    fn count_moved(&mut self, group: usize, change: i32) {
        let before = self.moved[group];
        let after = before.wrapping_add_signed(change);
        self.moved_histogram[before as usize] -= 1;
        self.moved_histogram[after as usize] += 1;
        self.moved[group] = after;
        let emptied = before == self.most_moved && self.moved_histogram[before as usize] == 0;
        if after > self.most_moved || emptied {
            self.most_moved = after;
        }
    }
}
