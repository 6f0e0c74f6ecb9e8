//! One machine less, without ever being overfull: who has no place waits, and takes the place of others.
//!
//! ```text
//!   waiting ── fits somewhere ────────────────▶ placed
//!      ▲   └── fits nowhere: takes a place ───▶ placed ─┐
//!      └────── one or two that were easy to place ◀─────┘      … then a few exchanges by chance, and the next
//! ```
//!
//! An instance counts how often it was found without a place; those with the lowest counts have to go (the ejection pool of
//! Nagata and Bräysy, "A powerful route minimization heuristic for the vehicle routing problem with time windows",
//! Operations Research Letters 37, 2009). Where machines hold two or three instances each, such chains are the
//! alternating paths of a matching, which a search over what is overfull finds badly. What is many and small it does better.

use std::collections::VecDeque;

use crate::rebalance::dense::{Dense, NOWHERE};
use crate::rebalance::effort::Effort;
use crate::rng::Rng;

#[cfg(test)]
mod tests;

/// Exchanges by chance after each ejection: without them triplets are hardly packed; eight times as many gave no more.
const EXCHANGES: usize = 64;

/// The whole of a machine, in the units of sizes.
const WHOLE: i128 = 1_000_000;

/// Instances on machines of which none is overfull, and those that wait.
#[derive(Debug)]
pub(super) struct Pool<'a> {
    dense: &'a Dense,
    at: Vec<u32>,
    slots: Vec<u32>,
    residents: Vec<Vec<u32>>,
    free: Vec<i64>,
    waiting: VecDeque<u32>,
    /// How often each was found without a place.
    counts: Vec<u64>,
    sizes: Vec<i64>,
}

/// Who leaves a machine, of which there are one or two.
#[derive(Clone, Copy, Debug)]
struct Ejection {
    count: u64,
    size: i64,
    machine: usize,
    first: u32,
    second: Option<u32>,
}

impl<'a> Pool<'a> {
    /// As they are `at` machines; who is nowhere waits.
    pub(super) fn new(dense: &'a Dense, at: &[u32]) -> Self {
        let (width, machines) = (dense.resources, dense.machines);
        let capacity = &dense.capacities[..width];
        let share = |index: usize| -> i64 {
            let needs = dense.needs[index * width..][..width].iter().zip(capacity);
            needs
                .map(|(need, capacity)| (i128::from(*need) * WHOLE / i128::from((*capacity).max(1))) as i64)
                .sum()
        };
        let mut pool = Self {
            dense,
            at: vec![NOWHERE; at.len()],
            slots: vec![0; at.len()],
            residents: vec![Vec::new(); machines],
            free: capacity.repeat(machines),
            waiting: VecDeque::new(),
            counts: vec![1; at.len()],
            sizes: (0..at.len()).map(share).collect(),
        };
        for (index, machine) in at.iter().enumerate() {
            match *machine {
                NOWHERE => pool.waiting.push_back(index as u32),
                machine => pool.put(index as u32, machine as usize),
            }
        }
        pool
    }

    /// Searches until nobody waits, or `share` of the effort is spent. Gives where all are, in the former case.
    pub(super) fn search(
        &mut self,
        effort: &Effort<'_>,
        rng: &mut Rng,
        steps: &mut u64,
        share: f64,
    ) -> Option<Vec<u32>> {
        while let Some(instance) = self.waiting.pop_front() {
            *steps += self.dense.machines as u64;
            if effort.spent(*steps).share() >= share {
                self.waiting.push_front(instance);
                return None;
            }
            if let Some(machine) = self.room(instance, rng) {
                self.put(instance, machine);
                continue;
            }
            self.counts[instance as usize] += 1;
            match self.ejection(instance, rng) {
                Some(ejection) => {
                    self.eject(ejection.first);
                    ejection.second.into_iter().for_each(|second| self.eject(second));
                    self.put(instance, ejection.machine);
                }
                // It fits an empty machine: one is emptied.
                None => {
                    let machine = rng.below(self.dense.machines);
                    while let Some(resident) = self.residents[machine].last().copied() {
                        self.eject(resident);
                    }
                    self.put(instance, machine);
                }
            }
            for _ in 0..EXCHANGES {
                self.exchange(rng);
            }
            *steps += EXCHANGES as u64;
        }
        Some(self.at.clone())
    }

    fn needs(&self, instance: u32) -> &'a [i64] {
        let width = self.dense.resources;
        &self.dense.needs[instance as usize * width..][..width]
    }

    fn free(&self, machine: usize) -> &[i64] {
        &self.free[machine * self.dense.resources..][..self.dense.resources]
    }

    fn put(&mut self, instance: u32, machine: usize) {
        let width = self.dense.resources;
        let needs = self.needs(instance);
        self.free[machine * width..][..width].iter_mut().zip(needs).for_each(|(free, need)| *free -= need);
        self.at[instance as usize] = machine as u32;
        self.slots[instance as usize] = self.residents[machine].len() as u32;
        self.residents[machine].push(instance);
    }

    fn take(&mut self, instance: u32) {
        let width = self.dense.resources;
        let machine = self.at[instance as usize] as usize;
        let needs = self.needs(instance);
        self.free[machine * width..][..width].iter_mut().zip(needs).for_each(|(free, need)| *free += need);
        let slot = self.slots[instance as usize] as usize;
        self.residents[machine].swap_remove(slot);
        if let Some(other) = self.residents[machine].get(slot) {
            self.slots[*other as usize] = slot as u32;
        }
        self.at[instance as usize] = NOWHERE;
    }

    fn eject(&mut self, instance: u32) {
        self.take(instance);
        self.waiting.push_back(instance);
    }

    /// A machine with room, any.
    fn room(&self, instance: u32, rng: &mut Rng) -> Option<usize> {
        let needs = self.needs(instance);
        let first = rng.below(self.dense.machines);
        (first..self.dense.machines).chain(0..first).find(|machine| are_within(needs, self.free(*machine)))
    }

    /// How often an instance was without a place, and its size.
    fn worth(&self, instance: u32) -> (u64, i64) {
        (self.counts[instance as usize], self.sizes[instance as usize])
    }

    /// One or two residents of a machine that make room: with the lowest counts, and the smallest of these.
    fn ejection(&self, instance: u32, rng: &mut Rng) -> Option<Ejection> {
        let needs = self.needs(instance);
        let is_no_better = |(count, size): (u64, i64), best: Option<Ejection>| {
            best.is_some_and(|best| (count, size) >= (best.count, best.size))
        };
        let mut best: Option<Ejection> = None;
        let first = rng.below(self.dense.machines);
        let mut lack = vec![0; needs.len()];
        for machine in (first..self.dense.machines).chain(0..first) {
            for (lack, (need, free)) in lack.iter_mut().zip(needs.iter().zip(self.free(machine))) {
                *lack = need - free;
            }
            let residents = &self.residents[machine];
            for (index, resident) in residents.iter().enumerate() {
                let (count, size) = self.worth(*resident);
                if is_no_better((count, size), best) {
                    continue;
                }
                let freed = self.needs(*resident);
                if are_within(&lack, freed) {
                    best = Some(Ejection { count, size, machine, first: *resident, second: None });
                    continue;
                }
                // Nobody counts less than once.
                if is_no_better((count + 1, size), best) {
                    continue;
                }
                for other in &residents[..index] {
                    let more = self.worth(*other);
                    let (count, size) = (count + more.0, size + more.1);
                    if is_no_better((count, size), best) {
                        continue;
                    }
                    if are_within_both(&lack, freed, self.needs(*other)) {
                        best =
                            Some(Ejection { count, size, machine, first: *resident, second: Some(*other) });
                    }
                }
            }
        }
        best
    }

    /// Lets two that are chosen by chance change places, or one go elsewhere, where there is room for it.
    fn exchange(&mut self, rng: &mut Rng) {
        let left = rng.below(self.at.len()) as u32;
        let from = self.at[left as usize];
        if from == NOWHERE {
            return;
        }
        let right = rng.below(self.at.len()) as u32;
        let to = self.at[right as usize];
        if to == NOWHERE || to == from {
            return;
        }
        let (from, to) = (from as usize, to as usize);
        let (goes, comes) = (self.needs(left), self.needs(right));
        if are_within(goes, self.free(to)) {
            self.take(left);
            self.put(left, to);
        } else if are_within_both(goes, self.free(to), comes) && are_within_both(comes, self.free(from), goes)
        {
            self.take(left);
            self.take(right);
            self.put(left, to);
            self.put(right, from);
        }
    }
}

/// Whether there is as much of each resource. Plain loops here and below: they are most of the time, and adaptors were not inlined.
#[inline(always)]
fn are_within(needs: &[i64], free: &[i64]) -> bool {
    for resource in 0..needs.len().min(free.len()) {
        if needs[resource] > free[resource] {
            return false;
        }
    }
    true
}

/// The same with what somebody else leaves, too.
#[inline(always)]
fn are_within_both(needs: &[i64], free: &[i64], left: &[i64]) -> bool {
    for resource in 0..needs.len().min(free.len()).min(left.len()) {
        if needs[resource] > free[resource] + left[resource] {
            return false;
        }
    }
    true
}
