//! Relief of what is overloaded: descent, machine by machine, with the move that gains most.
//!
//! What leaving gains does not depend on where an instance goes. So the residents are put in order of that, and only the
//! first few are offered to other machines: the one that is taken without cost ends the search for a better one. Among
//! residents that gain the same the smallest goes. With an objective that counts moves, an overload is so taken off by
//! few, large instances.

use super::effort::Effort;
use super::run::Run;

/// Machines that an instance is offered to. Where one in ten has room, one of so many has with 90 %.
const OFFERS: usize = 24;

/// Rounds over all machines; each begins with the heaviest burden.
const ROUNDS_MAX: usize = 20;

impl Run<'_> {
    /// Until nothing gains any more, as far as is looked, or `share` of the effort is spent.
    pub(crate) fn relieve(&mut self, effort: &Effort<'_>, share: f64) {
        for _ in 0..ROUNDS_MAX {
            let mut order: Vec<u32> = (0..self.state.dense.machines as u32).collect();
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

    /// Makes a good move from a machine, if one gains.
    fn relieve_machine(&mut self, machine: u32) -> bool {
        if self.state.burden(machine) == 0 {
            return false;
        }
        let dense = self.state.dense;
        let movable = self.state.residents(machine).iter().filter(|instance| dense.is_movable(**instance));
        let mut leaving: Vec<(i64, i64, u32)> = movable
            .map(|instance| (self.state.leave_delta(*instance), dense.size(*instance), *instance))
            .filter(|(gain, ..)| *gain < 0)
            .collect();
        leaving.sort_unstable();
        self.steps += leaving.len() as u64;
        self.evaluated += leaving.len() as u64;
        let mut best: Option<(i64, u32, u32)> = None;
        for (gain, _, instance) in leaving {
            if best.is_some_and(|(delta, ..)| gain >= delta) {
                break;
            }
            for _ in 0..OFFERS {
                let to = self.rng.below(dense.machines) as u32;
                self.steps += 1;
                self.evaluated += 1;
                let limit = best.map_or(0, |(delta, ..)| delta) - 1;
                if to == machine {
                    continue;
                }
                let Some(delta) = self.shift_delta(instance, to, limit) else { continue };
                best = Some((delta, instance, to));
                if delta <= gain.saturating_add(dense.move_cost[instance as usize]) {
                    break;
                }
            }
        }
        let Some((delta, instance, to)) = best else { return false };
        self.try_shift(instance, to, delta).is_some()
    }
}
