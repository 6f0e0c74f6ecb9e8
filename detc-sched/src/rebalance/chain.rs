//! Ejection chains: an instance goes where it does not fit, and what stands in its way goes on.
//!
//! Glover, "Ejection chains, reference structures and alternating path methods for traveling salesman problems" (Discrete
//! Applied Mathematics 65, 1996). What stands in the way shows in the fines: whoever leaves the machine that was entered last is
//! chosen, with where it goes, by what both cost together, be it room or a rule that it frees. The machine that the first one
//! left is always among those offered, so that rotations of two, three and more are chains that close.
//!
//! A chain is accepted or taken back as a whole. While it is hot these are of no use: they choose the best of several, and that
//! keeps a search from the evenness that annealing lives from.

use super::run::Run;

/// Links of a chain, at most.
const LINKS_MAX: usize = 4;

/// Residents that are looked at for each link.
const RESIDENTS: usize = 8;

/// Machines that each of these is offered to, beside the one that the first left.
const OFFERS: usize = 3;

impl Run<'_> {
    /// Tries one chain, beginning with `first` going to a machine by chance, for no more than `limit`.
    pub(crate) fn try_chain(&mut self, first: u32, limit: i64) -> bool {
        let home = self.state.at[first as usize];
        let Some(to) = self.machine_for(first) else { return false };
        if to == home || !self.state.is_allowed(first, to) {
            return false;
        }
        self.evaluated += 1;
        let before = self.value();
        let mut moves = [(0, 0); LINKS_MAX];
        moves[0] = (first, home);
        let mut links = 1;
        self.state.shift(first, to);
        let mut entered = to;
        let mut total = self.value().saturating_sub(before);
        while total > limit && links < LINKS_MAX {
            let Some((next, to)) = self.next_link(&moves[..links], entered, home) else { break };
            moves[links] = (next, entered);
            links += 1;
            self.state.shift(next, to);
            entered = to;
            total = self.value().saturating_sub(before);
        }
        self.keep_or_undo(&moves[..links], total <= limit)
    }

    /// Moves have been made from where these were: notes them, or takes them back.
    pub(crate) fn keep_or_undo(&mut self, moves: &[(u32, u32)], keep: bool) -> bool {
        let leave = |(instance, from): &&(u32, u32)| self.state.dense.origin[*instance as usize] == *from;
        let keep = keep && (self.state.away().len() <= self.moved_max || !moves.iter().any(|it| leave(&it)));
        match keep {
            true => self.note(moves),
            false => moves.iter().rev().for_each(|(instance, from)| self.state.shift(*instance, *from)),
        }
        keep
    }

    /// What the placement costs and is fined.
    pub(crate) fn value(&self) -> i64 {
        self.state.cost().saturating_add(self.state.fine())
    }

    /// Who of a machine's residents goes on, and where to: what costs least of what is looked at.
    fn next_link(&mut self, moved: &[(u32, u32)], machine: u32, home: u32) -> Option<(u32, u32)> {
        let count = self.state.residents(machine).len();
        let mut best: Option<(i64, u32, u32)> = None;
        let begin = self.rng.below(count.max(1));
        for index in 0..count.min(RESIDENTS) {
            let instance = self.state.residents(machine)[(begin + index) % count];
            if moved.iter().any(|(other, _)| *other == instance) || !self.state.dense.is_movable(instance) {
                continue;
            }
            for offer in 0..=OFFERS {
                let to = match offer {
                    0 => Some(home).filter(|home| self.can_reach(instance, *home)),
                    _ => self.machine_for(instance),
                };
                let Some(to) = to.filter(|to| *to != machine) else { continue };
                self.evaluated += 1;
                let limit = best.map_or(i64::MAX, |(delta, ..)| delta - 1);
                if let Some(delta) = self.shift_delta(instance, to, limit) {
                    best = Some((delta, instance, to));
                }
            }
        }
        best.map(|(_, instance, to)| (instance, to))
    }
}
