//! What is held where it ran comes home, while some machines around it adapt.
//!
//! What is occupied twice while it moves blocks the machine that it left: where more is held there than lies between the safety
//! level and the capacity, the machine can not be loaded up to its level any more, and as much is overloaded elsewhere. At
//! temperatures at which that is worth mending, large instances do not return by single moves: many that have come instead must
//! leave at once, and each step between is fined far beyond what it gains. (On model b_1 of the 2012 challenge this was most of what
//! was left to gain, and it differed by seed: it was settled by chance while it was hot.)
//!
//! So one of those that block a machine is put home, however much that breaks, and held there; the machine, the one that it comes from
//! and a third, if there is one, are annealed for a while at the temperature of the moment; then all of it is accepted as one move
//! would be, or taken back. This is a large neighbourhood as in Shaw's search (see [`divide`](super::divide)), with the search itself in place of a solver.
//!
//! ```text
//!   blocked machines ─▶ one that left, by what it holds ─▶ home, and held ─▶ shifts and swaps among 3 machines ─▶ kept, or taken back
//! ```

use super::dense::NOWHERE;
use super::effort::Effort;
use super::run::Run;

#[cfg(test)]
mod tests;

/// Steps between two rounds. Where more are away than that, as many more: they are looked through each time.
const STEPS_BETWEEN: u64 = 16_384;

/// While rounds keep nothing, the next is twice as far away, up to so many times.
const GAPS_MAX: u64 = 64;

/// Tries in a round, at most. (With 24, the sum over four models of the challenge was worse by both seeds that were tried.)
const TRIES: usize = 8;

/// After so many steps no more is tried in a round: about four of five steps are for homecomings then, where they keep anything.
const STEPS_OF_ROUND: u64 = 4 * STEPS_BETWEEN;

/// Steps for each instance of the machines that adapt.
const STEPS_PER_INSTANCE: u64 = 40;

/// Where more instances than this would adapt, it is not tried: it would take longer than a round may.
const INSTANCES_MAX: usize = 2048;

/// Steps between two looks at what is spent.
const STEPS_PER_LOOK: u64 = 256;

/// What holds more than a machine can spare of a resource, and how much each holds.
type Holders = Vec<(u32, i64)>;

/// When the next round is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounds {
    next: u64,
    gap: u64,
}

impl Rounds {
    pub(crate) fn new() -> Self {
        Self { next: STEPS_BETWEEN, gap: STEPS_BETWEEN }
    }
}

/// What became of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Try {
    Kept,
    TakenBack,
    /// It can not be there, or too many would have to adapt.
    NotMade,
}

/// Some machines, and who can move among them.
#[derive(Debug)]
struct Part {
    machines: Vec<u32>,
    /// In order of size.
    instances: Vec<u32>,
    held: u32,
}

impl Run<'_> {
    /// When it is time: a round, in which some that block machines by more than a temperature come home. Ends with the round, or at `end` of
    /// the effort.
    pub(crate) fn homecomings(&mut self, effort: &Effort<'_>, end: f64, temperature: f64) {
        if self.steps < self.rounds.next {
            return;
        }
        let begun = self.steps;
        let blocked = self.blocked(temperature);
        let mut is_any_kept = false;
        for _ in 0..TRIES.min(2 * blocked.len()) {
            if self.steps - begun >= STEPS_OF_ROUND || effort.spent(self.steps).share() >= end {
                break;
            }
            let holders = &blocked[self.rng.below(blocked.len())];
            let instance = drawn(holders, &mut self.rng);
            is_any_kept |= self.come_home(instance, effort, end, temperature) == Try::Kept;
        }
        let Rounds { gap, .. } = self.rounds;
        let gap = if is_any_kept { STEPS_BETWEEN } else { (2 * gap).min(GAPS_MAX * STEPS_BETWEEN) };
        self.rounds = Rounds { next: self.steps + gap.max(self.state.away().len() as u64), gap };
    }

    /// Who holds what and may come home, for each resource of a machine of which so much is held that, with a load up to its level, this
    /// would cost more than the temperature.
    fn blocked(&self, temperature: f64) -> Vec<Holders> {
        let dense = self.state.dense;
        let width = dense.resources;
        let counts: Vec<usize> =
            (0..width).filter(|index| dense.twice[*index] != 0 && dense.overload[*index] > 0).collect();
        let mut all: Vec<Holders> = Vec::new();
        if counts.is_empty() {
            return all;
        }
        // Where a machine's first entry is in the list of all; one more machine than there are.
        let mut begins = Vec::with_capacity(dense.machines + 1);
        let mut resources = Vec::new();
        for machine in 0..dense.machines {
            begins.push(all.len());
            if self.state.residents(machine as u32).len() > INSTANCES_MAX {
                continue;
            }
            for resource in &counts {
                let at = machine * width + resource;
                let room = dense.capacities[at].saturating_sub(dense.safeties[at]).max(0);
                let beyond = self.state.held(machine as u32, *resource).saturating_sub(room);
                if beyond as f64 * dense.overload[*resource] as f64 > temperature {
                    all.push(Vec::new());
                    resources.push(*resource);
                }
            }
        }
        begins.push(all.len());
        if all.is_empty() {
            return all;
        }
        for instance in self.state.away() {
            let origin = dense.origin[*instance as usize];
            let here = begins[origin as usize]..begins[origin as usize + 1];
            if here.is_empty() || !dense.is_movable(*instance) || !self.state.is_allowed(*instance, origin) {
                continue;
            }
            for index in here {
                let need = dense.needs[*instance as usize * width + resources[index]];
                if need > 0 {
                    all[index].push((*instance, need));
                }
            }
        }
        all.retain(|holders| !holders.is_empty());
        all
    }

    /// Puts an instance where it ran, lets the machines around it adapt, until `end` of the effort at most, and keeps that or not.
    fn come_home(&mut self, instance: u32, effort: &Effort<'_>, end: f64, temperature: f64) -> Try {
        let (home, from) = (self.state.dense.origin[instance as usize], self.state.at[instance as usize]);
        if home == from || !self.state.is_allowed(instance, home) {
            return Try::NotMade;
        }
        let Some(part) = self.part_around(instance, home, from) else { return Try::NotMade };
        let before = self.value();
        let were: Vec<u32> = part.instances.iter().map(|id| self.state.at[*id as usize]).collect();
        self.state.shift(instance, home);
        self.note(&[(instance, from)]);
        for step in 0..STEPS_PER_INSTANCE * part.instances.len() as u64 {
            if step.is_multiple_of(STEPS_PER_LOOK) && effort.spent(self.steps).share() >= end {
                break;
            }
            self.step_within(&part, temperature);
            self.steps += 1;
        }
        let bits = self.rng.next();
        if self.value().saturating_sub(before) <= self.drawn_limit(temperature, bits) {
            return Try::Kept;
        }
        // The moves are noted already: their undoing is, too.
        let mut undone = vec![(instance, home)];
        self.state.shift(instance, from);
        for (id, was) in part.instances.iter().zip(were) {
            let now = self.state.at[*id as usize];
            if now != was {
                undone.push((*id, now));
                self.state.shift(*id, was);
            }
        }
        self.note(&undone);
        Try::TakenBack
    }

    /// These machines and a third, if there is one, with all that can move there but for one instance.
    fn part_around(&mut self, held: u32, home: u32, from: u32) -> Option<Part> {
        let mut machines = vec![home.min(from), home.max(from)];
        if self.state.dense.machines > 2 {
            let mut third = self.rng.below(self.state.dense.machines - 2) as u32;
            for machine in &machines {
                third += u32::from(third >= *machine);
            }
            machines.push(third);
        }
        let residents = |machine: &u32| self.state.residents(*machine);
        if machines.iter().map(|machine| residents(machine).len()).sum::<usize>() > INSTANCES_MAX {
            return None;
        }
        let all = machines.iter().flat_map(residents).copied();
        let mut instances: Vec<u32> =
            all.filter(|id| *id != held && self.state.dense.is_movable(*id)).collect();
        instances.sort_unstable_by_key(|id| self.picker.rank(*id));
        (!instances.is_empty()).then_some(Part { machines, instances, held })
    }

    /// Tries one move that stays within a part.
    fn step_within(&mut self, part: &Part, temperature: f64) {
        let bits = self.rng.next();
        let limit = self.drawn_limit(temperature, bits);
        let index = (((bits >> 32) * part.instances.len() as u64) >> 32) as usize;
        let one = part.instances[index];
        let at = self.state.at[one as usize];
        let home = self.state.dense.origin[one as usize];
        let is_homeward = home != at && home != NOWHERE && part.machines.contains(&home);
        match (bits >> 10) & 63 {
            0..=3 if is_homeward => drop(self.try_shift(one, home, limit)),
            4..=11 if is_homeward => {
                let residents = self.state.residents(home);
                if residents.is_empty() {
                    return;
                }
                let other = residents[self.rng.below(residents.len())];
                if other != part.held && self.state.dense.is_movable(other) && self.can_reach(other, at) {
                    self.try_swap(one, other, limit);
                }
            }
            0..=31 => {
                let to = part.machines[self.rng.below(part.machines.len())];
                if to != at && self.can_reach(one, to) {
                    self.try_shift(one, to, limit);
                }
            }
            _ => {
                let Some(other) = self.partner_within(part, index) else { return };
                let to = self.state.at[other as usize];
                if to != at && self.can_reach(one, to) && self.can_reach(other, at) {
                    self.try_swap(one, other, limit);
                }
            }
        }
    }

    /// Another of a part, the more often the nearer it is in size.
    fn partner_within(&mut self, part: &Part, index: usize) -> Option<u32> {
        let bits = self.rng.next();
        let span = (part.instances.len() >> (bits & 7)).max(1) as u64;
        let distance = 1 + (((bits >> 32) * span) >> 32) as usize;
        let other = if bits & 8 == 0 { index.checked_sub(distance)? } else { index + distance };
        part.instances.get(other).copied()
    }
}

/// One of these, by how much it holds.
fn drawn(holders: &Holders, rng: &mut crate::rng::Rng) -> u32 {
    let total: i64 = holders.iter().map(|(_, need)| *need).fold(0, i64::saturating_add);
    let mut left = rng.below(usize::try_from(total).unwrap_or(usize::MAX)) as i64;
    for (instance, need) in holders {
        if left < *need {
            return *instance;
        }
        left -= need;
    }
    holders[holders.len() - 1].0
}
