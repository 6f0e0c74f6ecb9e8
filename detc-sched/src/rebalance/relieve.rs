//! Relief of what is overloaded: descent, machine by machine, with the few residents that gain most together.
//!
//! What leaving gains does not depend on where an instance goes. So the residents are put in order of that, and of the first
//! few every one, two and three are weighed together: what a machine costs without them, and what it costs to move them. With an
//! objective that counts moves, an overload of several resources is so taken off by the fewest that do it, where taking the
//! largest first needs one more: where no balance counts too and all moves cost the same, the [fewest](super::fewest) of all
//! residents are searched for. Among sets that cost the same the smallest instances go: they find room more easily.
//!
//! Who goes is offered to other machines. Of those that take it without cost the fullest gets it (best fit).

use super::effort::Effort;
use super::fewest::SET_MAX;
use super::run::Run;

#[cfg(test)]
mod tests;

/// Machines that an instance is offered to. Where one in ten has room, one of so many has with 99 %.
const OFFERS: usize = 48;

/// Rounds over all machines; each begins with the heaviest burden.
const ROUNDS_MAX: usize = 20;

/// Residents that are weighed in twos, where no set was found that takes off all. Of so many there are 276 pairs.
const WEIGHED_MAX: usize = 24;

/// And in threes: of so many there are 560 sets.
const WEIGHED_IN_THREES_MAX: usize = 16;

/// Sets that are tried before residents one by one.
const SETS_MAX: usize = 2;

/// Residents that are offered in one go: some hundredths of a second, after which it is asked again how much is spent.
const OFFERED_MAX: usize = 4096;

/// Whether all of a machine's residents were offered.
#[derive(Clone, Copy, Debug)]
enum Offered {
    All,
    Some,
}

/// Residents that were weighed together.
#[derive(Clone, Copy, Debug, Default)]
struct Weighed {
    cost: i64,
    /// What of it is left on the machine.
    burden: i64,
    size: i64,
    set: [u32; SET_MAX],
    len: usize,
}

impl Run<'_> {
    /// Until nothing gains any more, as far as is looked, or `share` of the effort is spent.
    pub(crate) fn relieve(&mut self, effort: &Effort<'_>, share: f64) {
        for _ in 0..ROUNDS_MAX {
            let mut order: Vec<u32> = (0..self.state.dense.machines as u32).collect();
            order.retain(|machine| self.state.burden(*machine) > 0);
            order.sort_by_key(|machine| (std::cmp::Reverse(self.state.burden(*machine)), *machine));
            let mut gained = false;
            for machine in order {
                let mut begin = 0;
                loop {
                    if effort.spent(self.steps).share() >= share {
                        return;
                    }
                    match self.relieve_from(machine, 0, begin, None) {
                        (Some(_), _) => (gained, begin) = (true, 0),
                        (None, Offered::Some) => begin += OFFERED_MAX,
                        (None, Offered::All) => break,
                    }
                }
            }
            if !gained {
                return;
            }
        }
    }

    /// Makes a good move from a machine, if one gains: who went from there. One in `passed_over` residents is not looked at;
    /// with 0, all are. A machine that is a `hint` is offered each first.
    pub(crate) fn relieve_machine(
        &mut self,
        machine: u32,
        passed_over: usize,
        hint: Option<u32>,
    ) -> Option<(u32, u32)> {
        self.relieve_from(machine, passed_over, 0, hint).0
    }

    /// The same with those from the `begin`th on, as many as are offered in one go.
    fn relieve_from(
        &mut self,
        machine: u32,
        passed_over: usize,
        begin: usize,
        hint: Option<u32>,
    ) -> (Option<(u32, u32)>, Offered) {
        if self.state.burden(machine) == 0 {
            return (None, Offered::All);
        }
        let mut leaving = self.leaving(machine);
        leaving.retain(|_| passed_over == 0 || self.rng.below(passed_over) > 0);
        let mut best: Option<(i64, u32, u32)> = None;
        // The largest of the best set; where nobody has room for it, the same without it; at last whoever gains.
        let sets = if begin == 0 { SETS_MAX } else { 0 };
        let offered = if leaving.len() > begin + OFFERED_MAX { Offered::Some } else { Offered::All };
        for attempt in 0..sets + OFFERED_MAX {
            let instance = match attempt < sets {
                true => self.best_set(machine, &leaving),
                false => leaving.get(begin + attempt - sets).map(|(.., instance)| *instance),
            };
            let Some(instance) = instance else { break };
            if attempt < sets {
                leaving.retain(|(.., other)| *other != instance);
            }
            let gain = self.state.leave_delta(instance);
            if attempt >= sets && best.is_some_and(|(delta, ..)| gain >= delta) {
                break;
            }
            let is_home = self.state.dense.origin[instance as usize] == machine;
            let move_cost = if is_home { self.state.dense.move_cost[instance as usize] } else { 0 };
            let costless = gain.saturating_add(move_cost);
            let Some((delta, to)) = self.offer(instance, best.map_or(0, |(delta, ..)| delta), costless, hint)
            else {
                continue;
            };
            best = Some((delta, instance, to));
            if delta <= costless {
                break;
            }
        }
        let went = best.and_then(|(delta, instance, to)| {
            self.try_shift(instance, to, delta).map(|_| (instance, machine))
        });
        (went, offered)
    }

    /// Who gains by leaving: how much, how large it is, who.
    fn leaving(&mut self, machine: u32) -> Vec<(i64, i64, u32)> {
        let dense = self.state.dense;
        let movable = self.state.residents(machine).iter().filter(|instance| dense.is_movable(**instance));
        let mut leaving: Vec<(i64, i64, u32)> = movable
            .map(|instance| (self.state.leave_delta(*instance), dense.size(*instance), *instance))
            .filter(|(gain, ..)| *gain < 0)
            .collect();
        leaving.sort_unstable();
        self.steps += leaving.len() as u64;
        self.evaluated += leaving.len() as u64;
        leaving
    }

    /// Of those whose leaving together costs least, of all that are weighed, the largest. More are weighed only when fewer leave something
    /// that costs.
    fn best_set(&mut self, machine: u32, leaving: &[(i64, i64, u32)]) -> Option<u32> {
        let weighed = &leaving[..leaving.len().min(WEIGHED_MAX)];
        let mut best = Weighed { cost: i64::MAX, ..Weighed::default() };
        for first in weighed {
            self.weigh(machine, &[first.2], first.1, &mut best);
        }
        // What is out of balance is no excess.
        if best.burden > 0 && self.state.dense.balances.is_empty() {
            let ids: Vec<u32> = leaving.iter().map(|(.., id)| *id).collect();
            let (fewest, steps) = self.state.fewest(&self.state.excess(machine), &ids);
            self.steps += steps;
            if let Some(set) = fewest.filter(|set| !set.is_empty()) {
                let size = set.iter().map(|id| self.state.dense.size(*id)).sum();
                self.weigh(machine, &set, size, &mut best);
            }
        }
        if best.burden > 0 {
            for (index, first) in weighed.iter().enumerate() {
                for second in &weighed[..index] {
                    self.weigh(machine, &[second.2, first.2], first.1 + second.1, &mut best);
                }
            }
        }
        if best.burden > 0 {
            let weighed = &weighed[..weighed.len().min(WEIGHED_IN_THREES_MAX)];
            for (index, first) in weighed.iter().enumerate() {
                for (next, second) in weighed[..index].iter().enumerate() {
                    for third in &weighed[..next] {
                        let set = [third.2, second.2, first.2];
                        self.weigh(machine, &set, first.1 + second.1 + third.1, &mut best);
                    }
                }
            }
        }
        let size = |instance: &u32| self.state.dense.size(*instance);
        best.set[..best.len]
            .iter()
            .copied()
            .max_by_key(|instance| (size(instance), std::cmp::Reverse(*instance)))
    }

    fn weigh(&mut self, machine: u32, set: &[u32], size: i64, best: &mut Weighed) {
        let moves: i64 = set.iter().map(|instance| self.state.dense.move_cost[*instance as usize]).sum();
        let burden = self.state.burden_without(machine, set);
        let cost = burden.saturating_add(moves);
        self.evaluated += 1;
        self.steps += 1;
        if (cost, size) < (best.cost, best.size) {
            *best = Weighed { cost, burden, size, len: set.len(), ..Weighed::default() };
            best.set[..set.len()].copy_from_slice(set);
        }
    }

    /// Where moving an instance costs least, below `limit`. Of machines where it costs no more than `enough`, the one with
    /// least room: that on the others is kept for larger ones.
    fn offer(&mut self, instance: u32, limit: i64, enough: i64, hint: Option<u32>) -> Option<(i64, u32)> {
        // What is no gain is never enough.
        let enough = enough.min(limit - 1);
        let mut best: Option<(i64, i64, u32)> = None;
        for offer in 0..OFFERS {
            let by_chance = self.rng.below(self.state.dense.machines) as u32;
            let to = hint.filter(|_| offer == 0).unwrap_or(by_chance);
            self.steps += 1;
            self.evaluated += 1;
            if to == self.state.at[instance as usize] {
                continue;
            }
            let limit = best.map_or(limit - 1, |(delta, ..)| delta.max(enough));
            let Some(delta) = self.shift_delta(instance, to, limit) else { continue };
            let offered = (delta.max(enough), self.state.room(to), to);
            if best.is_none_or(|(least, room, _)| (offered.0, offered.1) < (least, room)) {
                best = Some((delta.max(enough), offered.1, to));
            }
        }
        best.map(|(delta, _, to)| (delta, to))
    }
}
