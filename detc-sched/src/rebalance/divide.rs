//! A large neighbourhood, enumerated: some instances of three machines are divided over these anew, in the way that costs least of
//! what depends on each machine alone.
//!
//! Large neighbourhoods are from Shaw, "Using constraint programming and local search methods to solve vehicle routing
//! problems" (CP 1998); on machine reassignment, Jaśkowski, Szubert and Gawron, "A hybrid MIP-based large neighborhood search
//! heuristic for solving the machine reassignment problem" (Annals of Operations Research 242, 2016), give such parts to a solver.
//! Here a part is small enough to need none: what a machine costs depends on the set that comes to it alone, so each of its
//! 2ⁿ sets is priced once, and all 3ⁿ divisions are sums of three entries and of what the moves cost.
//!
//! Rules, wishes, devices and the most moved group do not split by machines, so they are left out of the sums or estimated: the cheapest divisions are made, one after the other, until
//! one is within the limit with all that it breaks.

use super::run::Run;

/// Machines of a part.
const MACHINES: usize = 3;

/// Instances of a part, at most: 3 × 2⁶ sets are priced, and 3⁶ divisions added.
const INSTANCES_MAX: usize = 6;

/// Divisions that are made, at most, until one keeps the rules.
const DIVISIONS: usize = 3;

impl Run<'_> {
    /// Divides some instances of a machine and two others anew, for no more than `limit`. `first` is one of them.
    pub(crate) fn try_divide(&mut self, first: u32, limit: i64) -> bool {
        let Some(machines) = self.three_machines(first) else { return false };
        let part = self.part(first, &machines);
        let sets = 1 << part.len();
        let mut prices = [[0; 1 << INSTANCES_MAX]; MACHINES];
        for (machine, prices) in machines.iter().zip(&mut prices) {
            let here: Vec<u32> =
                part.iter().copied().filter(|id| self.state.at[*id as usize] == *machine).collect();
            for (set, price) in prices.iter_mut().enumerate().take(sets) {
                *price = self.price_of_set(*machine, &here, &part, set);
            }
        }
        let mut as_it_is = [0; MACHINES];
        for (index, id) in part.iter().enumerate() {
            let machine = machines.iter().position(|machine| *machine == self.state.at[*id as usize]);
            as_it_is[machine.expect("invariant: a part is of these machines")] |= 1 << index;
        }
        let now = |machine: u32| {
            let is_used = !self.state.residents(machine).is_empty();
            self.state.burden(machine).saturating_add(self.price_of_use(is_used))
        };
        let before = machines.iter().map(|machine| now(*machine)).fold(0, i64::saturating_add);
        let mut found: Vec<(i64, [usize; MACHINES])> = Vec::new();
        for one in 0..sets {
            let rest = (sets - 1) & !one;
            let mut two = rest;
            loop {
                let three = rest & !two;
                let sum = prices[0][one].saturating_add(prices[1][two]).saturating_add(prices[2][three]);
                let delta = sum.saturating_sub(before);
                if delta <= limit && [one, two, three] != as_it_is {
                    found.push((delta, [one, two, three]));
                }
                if two == 0 {
                    break;
                }
                two = (two - 1) & rest;
            }
        }
        self.evaluated += (MACHINES * sets) as u64;
        found.sort_unstable();
        found.into_iter().take(DIVISIONS).any(|(_, division)| self.divide(&part, &machines, division, limit))
    }

    /// That of `first`, one that it can go to, and one that somebody there can go to: so that rotations are among the divisions.
    fn three_machines(&mut self, first: u32) -> Option<[u32; MACHINES]> {
        let one = self.state.at[first as usize];
        let two = self.machine_for(first).filter(|machine| *machine != one)?;
        let residents = self.state.residents(two);
        let asked = match residents {
            [] => first,
            _ => residents[self.rng.below(residents.len())],
        };
        let three = self.machine_for(asked).filter(|machine| ![one, two].contains(machine))?;
        Some([one, two, three])
    }

    /// `first`, and others of these machines that can be on more than one of them.
    fn part(&mut self, first: u32, machines: &[u32]) -> Vec<u32> {
        let mut part = vec![first];
        for attempt in 0..INSTANCES_MAX * 2 {
            let residents = self.state.residents(machines[attempt % machines.len()]);
            if residents.is_empty() || part.len() == INSTANCES_MAX {
                continue;
            }
            let instance = residents[self.rng.below(residents.len())];
            let ways = machines.iter().filter(|machine| self.can_reach(instance, **machine)).count();
            if ways > 1 && !part.contains(&instance) && self.state.dense.is_movable(instance) {
                part.push(instance);
            }
        }
        part
    }

    /// What a machine would cost and be fined with this set of the part, the moves of those who come to it among it.
    fn price_of_set(&self, machine: u32, here: &[u32], part: &[u32], set: usize) -> i64 {
        let is_in = |index: usize| set & (1 << index) != 0;
        let members = || part.iter().enumerate().filter(|(index, _)| is_in(*index)).map(|(_, id)| *id);
        if members().any(|id| self.state.at[id as usize] != machine && !self.can_reach(id, machine)) {
            return i64::MAX;
        }
        let coming: Vec<u32> = members().filter(|id| !here.contains(id)).collect();
        let leaving: Vec<u32> =
            here.iter().copied().filter(|id| !members().any(|member| member == *id)).collect();
        let moves: i64 = coming.iter().map(|id| self.state.move_delta(*id, machine)).sum();
        let is_used = self.state.residents(machine).len() + coming.len() > leaving.len();
        self.state
            .burden_with(machine, &coming, &leaving)
            .saturating_add(moves)
            .saturating_add(self.price_of_use(is_used))
    }

    fn price_of_use(&self, is_used: bool) -> i64 {
        if is_used { self.state.dense.machine_use } else { 0 }
    }

    fn divide(
        &mut self,
        part: &[u32],
        machines: &[u32; MACHINES],
        division: [usize; MACHINES],
        limit: i64,
    ) -> bool {
        let before = self.value();
        let mut moves = Vec::with_capacity(part.len());
        for (index, instance) in part.iter().enumerate() {
            let machine = (0..MACHINES).find(|machine| division[*machine] & (1 << index) != 0);
            let to = machines[machine.expect("invariant: a division has all of the part")];
            let from = self.state.at[*instance as usize];
            if to != from {
                moves.push((*instance, from));
                self.state.shift(*instance, to);
            }
        }
        let delta = self.value().saturating_sub(before);
        !moves.is_empty() && self.keep_or_undo(&moves, delta <= limit)
    }
}
