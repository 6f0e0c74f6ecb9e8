//! Relief of what is overloaded: descent, machine by machine, with the move that gains most.
//!
//! Among moves that gain the same, that of the smallest instance is made. With an objective that counts moves, an overload
//! is so taken off by few, large instances. Linear in moves made, times residents of a machine, times looks.

use super::effort::Effort;
use super::run::Run;

/// Machines that are looked at for each resident of an overloaded machine.
const LOOKS: usize = 12;

/// Rounds over all machines; each begins with the heaviest burden.
const ROUNDS_MAX: usize = 20;

impl Run<'_> {
    /// Until nothing gains any more, as far as is looked, or `share` of the effort is spent.
    pub(crate) fn relieve(&mut self, effort: &Effort<'_>, share: f64) {
        let machines = self.state.dense.machines;
        for _ in 0..ROUNDS_MAX {
            let mut order: Vec<u32> = (0..machines as u32).collect();
            order.retain(|machine| self.state.burden(*machine) > 0);
            order.sort_by_key(|machine| (std::cmp::Reverse(self.state.burden(*machine)), *machine));
            let mut gained = false;
            for machine in order {
                while self.relieve_machine(machine) {
                    gained = true;
                    if effort.spent(self.steps).share() >= share {
                        return;
                    }
                }
            }
            if !gained {
                return;
            }
        }
    }

    /// Makes the best move from a machine, if one gains.
    fn relieve_machine(&mut self, machine: u32) -> bool {
        if self.state.burden(machine) == 0 {
            return false;
        }
        let mut best: Option<(i64, i64, u32, u32)> = None;
        for index in 0..self.state.residents(machine).len() {
            let instance = self.state.residents(machine)[index];
            if !self.state.dense.is_movable(instance) {
                continue;
            }
            for _ in 0..LOOKS {
                let to = self.rng.below(self.state.dense.machines) as u32;
                self.steps += 1;
                self.evaluated += 1;
                if to == machine {
                    continue;
                }
                let limit = best.map_or(-1, |(delta, ..)| delta);
                let Some(delta) = self.shift_delta(instance, to, limit) else { continue };
                let key = (delta, self.state.dense.size(instance), instance, to);
                if best.is_none_or(|best| key < best) {
                    best = Some(key);
                }
            }
        }
        let Some((delta, _, instance, to)) = best else { return false };
        self.evaluated -= 1;
        self.try_shift(instance, to, delta).is_some()
    }
}
