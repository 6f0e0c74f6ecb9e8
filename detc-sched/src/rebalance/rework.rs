//! Rework of a relief: some moves are taken back, and the machines that were relieved by them are relieved otherwise.
//!
//! Ruin and recreate (Schrimpf, Schneider, Stamm-Wilbrandt and Dueck, "Record Breaking Optimization Results Using the Ruin
//! and Recreate Principle", Journal of Computational Physics 159, 2000): what came to one machine, or left one, or both, goes home;
//! then its origins are relieved again, with some residents passed over by chance so that it comes out differently. What is
//! worse is undone. Where all moves cost the same, machines that gave more than the [fewest](super::fewest) they had to are looked
//! for first.

use super::dense::{Dense, NOWHERE};
use super::effort::Effort;
use super::run::Run;
use super::state::State;

/// Instances that are taken back at once, at most.
const RUINED_MAX: usize = 12;

/// Machines that could not be relieved and are tried again in a round, at most.
const RETRIED_MAX: usize = 12;

/// Moves of one origin that relief makes at most, in one rework: as many as any machine of twenty overloads needs.
const MOVES_MAX: usize = 64;

/// So many of those that were moved are drawn, to find one of a machine that gave more than it had to: of ten such machines in a
/// hundred one is met with 57 %.
const PICKS: usize = 8;

/// One in so many residents is passed over: of 6 and 12, 12 left a little less on shards.
const PASSED_OVER: usize = 12;

/// In so many of eight rounds for a machine that gave too many, another is emptied beside it, so that what is large finds room.
const BOTH_OF_EIGHT: usize = 6;

/// Who is elsewhere than where it ran and may go back, with what each machine gave of them.
#[derive(Debug)]
struct Moved {
    list: Vec<u32>,
    /// Where each instance is in the list.
    slots: Vec<u32>,
    gave: Vec<u32>,
    /// How many each machine has to give at least, where that has been asked.
    fewest: Vec<Option<u32>>,
}

impl Moved {
    fn new(state: &State<'_>) -> Self {
        let dense = state.dense;
        let mut moved = Self {
            list: Vec::new(),
            slots: vec![NOWHERE; state.at.len()],
            gave: vec![0; dense.machines],
            fewest: vec![None; dense.machines],
        };
        dense.movable.iter().for_each(|id| moved.look_at(state, *id));
        moved
    }

    /// An instance was moved, or may have been.
    fn look_at(&mut self, state: &State<'_>, id: u32) {
        let origin = state.dense.origin[id as usize];
        // Where it may not be any more it is not put back.
        let is_moved = origin != NOWHERE && state.at[id as usize] != origin && state.is_allowed(id, origin);
        match (is_moved, self.slots[id as usize]) {
            (true, NOWHERE) => {
                self.slots[id as usize] = self.list.len() as u32;
                self.list.push(id);
                self.gave[origin as usize] += 1;
            }
            (false, slot) if slot != NOWHERE => {
                self.list.swap_remove(slot as usize);
                if let Some(other) = self.list.get(slot as usize) {
                    self.slots[*other as usize] = slot;
                }
                self.slots[id as usize] = NOWHERE;
                self.gave[origin as usize] -= 1;
            }
            _ => {}
        }
    }

    fn came_from(&self, dense: &Dense, machine: u32) -> Vec<u32> {
        self.list.iter().copied().filter(|id| dense.origin[*id as usize] == machine).collect()
    }
}

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
        let mut moved = Moved::new(&self.state);
        while !moved.list.is_empty() && effort.spent(self.steps).share() < share {
            let before = self.state.cost().saturating_add(self.state.fine());
            let (from, to) = self.what_to_ruin(&mut moved);
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
            origins.extend(burdened.take(RETRIED_MAX));
            origins.sort_unstable();
            origins.dedup();
            let burden = |machine: u32| std::cmp::Reverse(self.state.burden(machine));
            origins.sort_by_key(|machine| (*machine != from, burden(*machine), *machine));
            let hint = (to != NOWHERE).then_some(to);
            for machine in origins {
                for _ in 0..MOVES_MAX {
                    if effort.spent(self.steps).share() >= share {
                        break;
                    }
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
            touched.into_iter().for_each(|id| moved.look_at(&self.state, id));
            self.steps += 1;
        }
    }

    /// A machine that gave, and one that took: one of them or both; the other is nowhere.
    fn what_to_ruin(&mut self, moved: &mut Moved) -> (u32, u32) {
        let dense = self.state.dense;
        let (pick, gave_too_many) = self.pick_of_moved(moved);
        let other = moved.list[self.rng.below(moved.list.len())];
        let way = match gave_too_many {
            true => self.rng.below(8).min(8 - BOTH_OF_EIGHT),
            false => self.rng.below(3),
        };
        match way {
            0 => (NOWHERE, self.state.at[pick as usize]),
            1 => (dense.origin[pick as usize], NOWHERE),
            // The room of the one is for what the other could not give away whole.
            _ => (dense.origin[pick as usize], self.state.at[other as usize]),
        }
    }

    /// One of those that were moved, by chance; and whether its machine gave more than it had to, which is looked for.
    fn pick_of_moved(&mut self, moved: &mut Moved) -> (u32, bool) {
        let dense = self.state.dense;
        let mut pick = moved.list[0];
        for _ in 0..PICKS {
            pick = moved.list[self.rng.below(moved.list.len())];
            let origin = dense.origin[pick as usize];
            let fewest = match moved.fewest[origin as usize] {
                Some(fewest) => fewest,
                None => {
                    let gone = moved.came_from(dense, origin);
                    let fewest = self.fewest_of_natives(origin, &gone) as u32;
                    moved.fewest[origin as usize] = Some(fewest);
                    fewest
                }
            };
            if moved.gave[origin as usize] > fewest {
                return (pick, true);
            }
        }
        (pick, false)
    }

    /// Those that went from one machine, and those that came to another, as many as are taken back at once.
    fn ruined(&mut self, moved: &Moved, from: u32, to: u32) -> Vec<u32> {
        let dense = self.state.dense;
        let mut ruined = if from == NOWHERE { Vec::new() } else { moved.came_from(dense, from) };
        while ruined.len() > RUINED_MAX {
            let slot = self.rng.below(ruined.len());
            ruined.swap_remove(slot);
        }
        let mut others: Vec<u32> = if to == NOWHERE { Vec::new() } else { self.state.residents(to).to_vec() };
        others.retain(|id| moved.slots[*id as usize] != NOWHERE && dense.origin[*id as usize] != from);
        while ruined.len() < RUINED_MAX && !others.is_empty() {
            let slot = self.rng.below(others.len());
            ruined.push(others.swap_remove(slot));
        }
        ruined
    }

    /// How many a machine has to give away at least, of those that ran there; any number, where that is not found.
    fn fewest_of_natives(&mut self, machine: u32, gone: &[u32]) -> usize {
        let state = &self.state;
        let dense = state.dense;
        let mut excess = state.excess(machine);
        let (mut natives, mut visitors) = (gone.to_vec(), Vec::new());
        // Who can not leave stays in what has to be taken off.
        for id in state.residents(machine).iter().copied().filter(|id| dense.is_movable(*id)) {
            if dense.origin[id as usize] == machine { natives.push(id) } else { visitors.push(id) }
        }
        for (resource, excess) in excess.iter_mut().enumerate() {
            *excess += gone.iter().map(|id| state.needs(*id)[resource]).sum::<i64>();
            *excess -= visitors.iter().map(|id| state.needs(*id)[resource]).sum::<i64>();
        }
        let (fewest, steps) = state.fewest(&excess, &natives);
        self.steps += steps;
        fewest.map_or(usize::MAX, |set| set.len()).min(u32::MAX as usize)
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
