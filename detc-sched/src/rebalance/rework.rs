//! Rework of a relief: some moves are taken back, and the machines that were relieved by them are relieved otherwise.
//!
//! Ruin and recreate (Schrimpf, Schneider, Stamm-Wilbrandt and Dueck, "Record Breaking Optimization Results Using the Ruin
//! and Recreate Principle", Journal of Computational Physics 159, 2000): what came to one machine, or left one, or both, goes home;
//! then its origins are relieved again, with some residents passed over by chance so that it comes out differently. What is
//! worse is undone. Machines that gave more than the [fewest](super::fewest) they had to are drawn first: they are all that there is
//! to gain.

use std::collections::HashMap;

use super::dense::NOWHERE;
use super::effort::Effort;
use super::run::Run;

/// Machines whose moves are taken back at once, at most.
const RUINED_MAX: usize = 12;

/// Moves of one origin that relief makes at most, in one rework: as many as any machine of twenty overloads needs.
const MOVES_MAX: usize = 64;

/// So many of those that were moved are drawn, to find one of a machine that gave more than it had to.
const PICKS: usize = 8;

/// One in so many residents is passed over.
const PASSED_OVER: usize = 12;

impl Run<'_> {
    /// Where nothing but overloads and moved instances costs, until `share` of the effort is spent.
    pub(crate) fn rework(&mut self, effort: &Effort<'_>, share: f64) {
        let dense = self.state.dense;
        let counts_moves = dense.move_cost.iter().any(|cost| *cost > 0);
        let costs_more = !dense.balances.is_empty()
            || dense.group_move > 0
            || dense.machine_move > 0
            || dense.machine_use > 0
            || dense.has_wishes;
        // It takes moves back to make others: by how many there are, it does not count.
        if costs_more || !counts_moves || self.moved_max != usize::MAX {
            return;
        }
        let is_moved = |run: &Self, id: u32| {
            let origin = dense.origin[id as usize];
            // Where it may not be any more it is not put back.
            origin != NOWHERE && run.state.at[id as usize] != origin && run.state.is_allowed(id, origin)
        };
        let mut moved: Vec<u32> = dense.movable.iter().copied().filter(|id| is_moved(self, *id)).collect();
        let mut fewest: HashMap<u32, usize> = HashMap::new();
        while !moved.is_empty() && effort.spent(self.steps).share() < share {
            let before = self.state.cost().saturating_add(self.state.fine());
            let (pick, gave_too_many) = self.pick_of_moved(&moved, &mut fewest);
            let other = moved[self.rng.below(moved.len())];
            // One machine that took others' instances, one that was relieved, or one of each: then the room of the one is for
            // what the other could not give away whole.
            let (from, to) = match self.rng.below(if gave_too_many { 8 } else { 3 }) {
                0 => (NOWHERE, self.state.at[pick as usize]),
                1 => (dense.origin[pick as usize], NOWHERE),
                _ => (dense.origin[pick as usize], self.state.at[other as usize]),
            };
            let ruined = self.ruined(&moved, from, to);
            let mut undo: Vec<(u32, u32)> = Vec::new();
            let mut origins: Vec<u32> = Vec::new();
            for id in ruined {
                undo.push((id, self.state.at[id as usize]));
                origins.push(dense.origin[id as usize]);
                self.shift_noted(id, dense.origin[id as usize]);
            }
            // Those that could not be relieved have another chance.
            let burdened = (0..dense.machines as u32).filter(|machine| self.state.burden(*machine) > 0);
            origins.extend(burdened.take(RUINED_MAX));
            origins.sort_unstable();
            origins.dedup();
            let burden = |machine: u32| std::cmp::Reverse(self.state.burden(machine));
            origins.sort_by_key(|machine| (*machine != from, burden(*machine), *machine));
            let hint = (to != NOWHERE).then_some(to);
            for machine in origins {
                for _ in 0..MOVES_MAX {
                    match self.relieve_machine(machine, PASSED_OVER, hint) {
                        Some(change) => undo.push(change),
                        None => break,
                    }
                }
            }
            let after = self.state.cost().saturating_add(self.state.fine());
            let touched: Vec<u32> = undo.iter().map(|(id, _)| *id).collect();
            if after > before {
                while let Some((id, back)) = undo.pop() {
                    self.shift_noted(id, back);
                }
            }
            moved.retain(|id| !touched.contains(id));
            let mut touched = touched;
            touched.sort_unstable();
            touched.dedup();
            moved.extend(touched.into_iter().filter(|id| is_moved(self, *id)));
            self.steps += 1;
        }
    }

    /// One of those that were moved, by chance; and whether its machine gave more than it had to, which is looked for.
    fn pick_of_moved(&mut self, moved: &[u32], fewest: &mut HashMap<u32, usize>) -> (u32, bool) {
        let mut pick = moved[self.rng.below(moved.len())];
        for _ in 0..PICKS {
            let origin = self.state.dense.origin[pick as usize];
            let gone: Vec<u32> =
                moved.iter().copied().filter(|id| self.state.dense.origin[*id as usize] == origin).collect();
            let fewest = *fewest.entry(origin).or_insert_with(|| self.fewest_of_natives(origin, &gone));
            if gone.len() > fewest {
                return (pick, true);
            }
            pick = moved[self.rng.below(moved.len())];
        }
        (pick, false)
    }

    /// Those that went from one machine, and those that came to another, as many as are taken back at once.
    fn ruined(&mut self, moved: &[u32], from: u32, to: u32) -> Vec<u32> {
        let (mut ruined, mut others): (Vec<u32>, Vec<u32>) =
            moved.iter().partition(|id| self.state.dense.origin[**id as usize] == from);
        while ruined.len() > RUINED_MAX {
            let slot = self.rng.below(ruined.len());
            ruined.swap_remove(slot);
        }
        others.retain(|id| self.state.at[*id as usize] == to);
        while ruined.len() < RUINED_MAX && !others.is_empty() {
            let slot = self.rng.below(others.len());
            ruined.push(others.swap_remove(slot));
        }
        ruined
    }

    /// How many a machine has to give away at least, of those that ran there; as many as went, where that is not found.
    fn fewest_of_natives(&mut self, machine: u32, gone: &[u32]) -> usize {
        let state = &self.state;
        let dense = state.dense;
        let mut excess = state.excess(machine);
        let (stayed, visitors): (Vec<u32>, Vec<u32>) =
            state.residents(machine).iter().partition(|id| dense.origin[**id as usize] == machine);
        for (resource, excess) in excess.iter_mut().enumerate() {
            *excess += gone.iter().map(|id| state.needs(*id)[resource]).sum::<i64>();
            *excess -= visitors.iter().map(|id| state.needs(*id)[resource]).sum::<i64>();
        }
        let natives = stayed.iter().filter(|id| dense.is_movable(**id)).chain(gone);
        let (fewest, looks) = state.fewest(&excess, natives.copied());
        self.steps += looks;
        fewest.map_or(gone.len(), |set| set.len())
    }

    /// Moves an instance, whatever that costs.
    fn shift_noted(&mut self, instance: u32, to: u32) {
        let from = self.state.at[instance as usize];
        if from != to {
            self.state.shift(instance, to);
            self.note(&[(instance, from)]);
        }
    }
}
