//! How many instances of which group are in which domain, and by how much a move would break a rule more.

use super::dense::{Check, Counter, Dense, NOWHERE, Relations, has_bit};
use super::state::State;

/// The counts that the rules of a model need.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    cells: Vec<u32>,
    /// Per counter, in how many domains it is not zero.
    occupied: Vec<u32>,
}

impl Counts {
    pub(crate) fn new(dense: &Dense) -> Self {
        Self { cells: vec![0; dense.counter_cells], occupied: vec![0; dense.counters.len()] }
    }

    fn count(&self, dense: &Dense, at: &[u32], counter: u32, domain: u32) -> u32 {
        let Counter { group, level, row } = dense.counters[counter as usize];
        if row != NOWHERE {
            return self.cells[(row + domain) as usize];
        }
        let members = dense.starts[group as usize] as usize..dense.starts[group as usize + 1] as usize;
        let domains = &dense.domains[level as usize];
        at[members].iter().filter(|at| **at != NOWHERE && domains[**at as usize] == domain).count() as u32
    }

    /// Counts an instance that was nowhere.
    pub(crate) fn enter(&mut self, dense: &Dense, instance: u32, machine: u32) {
        let group = &dense.groups[dense.group[instance as usize] as usize];
        for counter in &group.counters {
            self.change(dense, *counter, machine, 1);
        }
    }

    /// Counts a move. `at` is still that before it.
    pub(crate) fn shift(&mut self, dense: &Dense, at: &[u32], instance: u32, to: u32) {
        let group = &dense.groups[dense.group[instance as usize] as usize];
        for counter in &group.counters {
            self.change(dense, *counter, at[instance as usize], -1);
            self.change(dense, *counter, to, 1);
        }
    }

    fn change(&mut self, dense: &Dense, counter: u32, machine: u32, change: i32) {
        let Counter { level, row, .. } = dense.counters[counter as usize];
        if row == NOWHERE {
            return;
        }
        let cell = &mut self.cells[(row + dense.domains[level as usize][machine as usize]) as usize];
        *cell = cell.wrapping_add_signed(change);
        let occupied = &mut self.occupied[counter as usize];
        match (change, *cell) {
            (1, 1) => *occupied += 1,
            (-1, 0) => *occupied -= 1,
            _ => {}
        }
    }

    /// By how much more rules of a group with others are broken when an instance of it goes to a machine.
    pub(crate) fn relations_delta(
        &self,
        state: &State<'_>,
        relations: &Relations,
        instance: u32,
        to: u32,
    ) -> i64 {
        let dense = state.dense;
        let domains = &dense.domains[dense.counters[relations.own as usize].level as usize];
        let (left, entered) = (domains[state.at[instance as usize] as usize], domains[to as usize]);
        let is_same_there = left == entered
            || (self.count(dense, &state.at, relations.own, entered) > 0
                && self.count(dense, &state.at, relations.own, left) > 1);
        if is_same_there {
            return 0;
        }
        relations.checks.iter().map(|check| self.breach_delta(state, check, instance, to)).sum()
    }

    /// By how much a rule is broken more when an instance goes to a machine. Written case by case from the breach that
    /// [`Rule`](crate::place::Rule) defines.
    pub(crate) fn breach_delta(&self, state: &State<'_>, check: &Check, instance: u32, to: u32) -> i64 {
        let dense = state.dense;
        let from = state.at[instance as usize];
        let count = |counter: u32, domain: u32| self.count(dense, &state.at, counter, domain);
        let ends = |counter: u32| {
            let domains = &dense.domains[dense.counters[counter as usize].level as usize];
            (domains[from as usize], domains[to as usize])
        };
        match check {
            Check::AtMost { own, count: limit } => {
                let (left, entered) = ends(*own);
                if left == entered {
                    return 0;
                }
                i64::from(count(*own, entered) >= *limit) - i64::from(count(*own, left) > *limit)
            }
            Check::Spread { own, domains } => {
                let before = i64::from(self.occupied(state, *own));
                let after = before + self.domains_delta(state, *own, ends(*own));
                let wanted = i64::from(*domains);
                (wanted - after).max(0) - (wanted - before).max(0)
            }
            Check::Together { own } => self.domains_delta(state, *own, ends(*own)),
            Check::With { own, other } => {
                let (left, entered) = ends(*own);
                if left == entered {
                    return 0;
                }
                i64::from(count(*other, entered) == 0 && count(*own, entered) == 0)
                    - i64::from(count(*other, left) == 0 && count(*own, left) == 1)
            }
            Check::Needed { own, other } => {
                let (left, entered) = ends(*own);
                if left == entered {
                    return 0;
                }
                i64::from(count(*own, left) == 1 && count(*other, left) > 0)
                    - i64::from(count(*own, entered) == 0 && count(*other, entered) > 0)
            }
            Check::Apart { own, other } => {
                let (left, entered) = ends(*own);
                if left == entered {
                    return 0;
                }
                i64::from(count(*own, entered) == 0 && count(*other, entered) > 0)
                    - i64::from(count(*own, left) == 1 && count(*other, left) > 0)
            }
            Check::Machines(bits) => i64::from(!has_bit(bits, to)) - i64::from(!has_bit(bits, from)),
        }
    }

    /// How many more domains the counter's group is in after a move.
    fn domains_delta(&self, state: &State<'_>, own: u32, (left, entered): (u32, u32)) -> i64 {
        if left == entered {
            return 0;
        }
        let count = |domain| self.count(state.dense, &state.at, own, domain);
        i64::from(count(entered) == 0) - i64::from(count(left) == 1)
    }

    /// In how many domains the counter's group is.
    fn occupied(&self, state: &State<'_>, counter: u32) -> u32 {
        let dense = state.dense;
        let Counter { group, level, row } = dense.counters[counter as usize];
        if row != NOWHERE {
            return self.occupied[counter as usize];
        }
        let members = dense.starts[group as usize] as usize..dense.starts[group as usize + 1] as usize;
        let mut seen: Vec<u32> = state.at[members]
            .iter()
            .filter(|at| **at != NOWHERE)
            .map(|at| dense.domains[level as usize][*at as usize])
            .collect();
        seen.sort_unstable();
        seen.dedup();
        seen.len() as u32
    }
}
