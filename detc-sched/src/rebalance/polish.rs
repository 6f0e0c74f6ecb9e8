//! The end of a cycle: what single shifts and swaps no longer reach.
//!
//! [Chains](super::chain) and [divisions](super::divide) cost as much as dozens of plain tries, and change several instances
//! at once. They come when a cooling has ended, from the best that was found, and only what costs no more is done. Which of the two is
//! tried how often follows from what each has gained for the moves that it evaluated.

use super::effort::Effort;
use super::run::Run;

#[cfg(test)]
mod tests;

/// Tries between two looks at what is spent.
const TRIES_PER_LOOK: usize = 16;

/// After so many tries an instance without a gain, none is expected any more.
const TRIES_IN_VAIN: usize = 12;

/// Each kind has at least this share of the tries, so that it can show that it has become useful.
const SHARE_MIN: f64 = 0.1;

/// What a kind of move has gained, and what it took.
#[derive(Clone, Copy, Debug)]
struct Worth {
    gained: f64,
    evaluated: f64,
}

impl Worth {
    fn rate(self) -> f64 {
        self.gained / self.evaluated.max(1.0)
    }
}

impl Run<'_> {
    /// Until `end` of the effort is spent, or nothing gains any more.
    pub(crate) fn polish(&mut self, effort: &Effort<'_>, end: f64) {
        let mut worth = [Worth { gained: 0.0, evaluated: 0.0 }; 2];
        let mut in_vain = 0;
        let enough = TRIES_IN_VAIN.saturating_mul(self.state.dense.movable.len());
        while in_vain < enough && self.best.cost() > 0 && effort.spent(self.steps).share() < end {
            let rates = worth.map(Worth::rate);
            let total = rates[0] + rates[1];
            let share = if total > 0.0 { rates[0] / total } else { 0.5 };
            let chains = (share.clamp(SHARE_MIN, 1.0 - SHARE_MIN) * 1024.0) as usize;
            for _ in 0..TRIES_PER_LOOK {
                let kind = usize::from(self.rng.below(1024) >= chains);
                let (before, evaluated) = (self.value(), self.evaluated);
                let first = self.state.dense.movable[self.rng.below(self.state.dense.movable.len())];
                match kind {
                    0 => self.try_chain(first, 0),
                    _ => self.try_divide(first, 0),
                };
                let gained = before.saturating_sub(self.value());
                worth[kind].gained += gained as f64;
                worth[kind].evaluated += (self.evaluated - evaluated) as f64;
                in_vain = if gained > 0 { 0 } else { in_vain + 1 };
            }
            self.steps += TRIES_PER_LOOK as u64;
        }
    }
}
