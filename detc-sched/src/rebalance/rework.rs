//! Rework of a relief: some moves are taken back, and the machines that were relieved by them are relieved otherwise.
//!
//! Ruin and recreate (Schrimpf, Schneider, Stamm-Wilbrandt and Dueck, "Record Breaking Optimization Results Using the Ruin
//! and Recreate Principle", Journal of Computational Physics 159, 2000): what came to one machine, or left one, goes home; then
//! its origins are relieved again, with some residents passed over by chance so that it comes out differently. What is
//! worse is undone.

use super::dense::NOWHERE;
use super::effort::Effort;
use super::run::Run;

/// Machines whose moves are taken back at once, at most.
const RUINED_MAX: usize = 12;

/// Moves of one origin that relief makes at most, in one rework: as many as any machine of twenty overloads needs.
const MOVES_MAX: usize = 64;

/// One in so many residents is passed over.
const PASSED_OVER: usize = 6;

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
        while !moved.is_empty() && effort.spent(self.steps).share() < share {
            let before = self.state.cost().saturating_add(self.state.fine());
            let pick = moved[self.rng.below(moved.len())];
            // One machine that was relieved, or one that took others' instances.
            let (from, to) = (dense.origin[pick as usize], self.state.at[pick as usize]);
            let ruins_target = self.rng.below(2) == 0;
            let mut ruined: Vec<u32> = moved
                .iter()
                .copied()
                .filter(|id| match ruins_target {
                    true => self.state.at[*id as usize] == to,
                    false => dense.origin[*id as usize] == from,
                })
                .collect();
            while ruined.len() > RUINED_MAX {
                let slot = self.rng.below(ruined.len());
                ruined.swap_remove(slot);
            }
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
            origins.sort_by_key(|machine| (std::cmp::Reverse(self.state.burden(*machine)), *machine));
            for machine in origins {
                for _ in 0..MOVES_MAX {
                    match self.relieve_machine(machine, PASSED_OVER) {
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

    /// Moves an instance, whatever that costs.
    fn shift_noted(&mut self, instance: u32, to: u32) {
        let from = self.state.at[instance as usize];
        if from != to {
            self.state.shift(instance, to);
            self.note(&[(instance, from)]);
        }
    }
}
