//! Simulated annealing over shifts and swaps.
//!
//! Kirkpatrick, Gelatt and Vecchi, "Optimization by Simulated Annealing" (Science 220, 1983). For machine reassignment it was
//! shown to be among the best with no more than these two moves: Portal, Ritt, Borba and Buriol, "Simulated annealing for
//! the machine reassignment problem" (Annals of Operations Research 242, 2016).

use super::best::Best;
use super::effort::Effort;
use super::state::State;
use crate::rng::Rng;

/// Steps between two looks at what is spent: rare enough to cost nothing, often enough for a deadline in milliseconds.
const STEPS_PER_LOOK: u64 = 1024;

/// How a run cools: from one temperature to another, over a part of the effort.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cooling {
    pub(crate) hot: f64,
    pub(crate) cold: f64,
    /// Shares of the whole effort at which it begins and ends.
    pub(crate) begin: f64,
    pub(crate) end: f64,
}

/// A run of one thread.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) state: State<'a>,
    pub(crate) rng: Rng,
    pub(crate) best: Best,
    pub(crate) steps: u64,
    pub(crate) evaluated: u64,
}

impl Run<'_> {
    pub(crate) fn anneal(&mut self, effort: &Effort<'_>, cooling: Cooling) {
        let logs = log_table();
        loop {
            let share = effort.spent(self.steps).share();
            if share >= cooling.end || share >= 1.0 {
                break;
            }
            let progress = ((share - cooling.begin) / (cooling.end - cooling.begin)).clamp(0.0, 1.0);
            let temperature = cooling.hot * (cooling.cold / cooling.hot).powf(progress);
            for _ in 0..STEPS_PER_LOOK {
                let bits = self.rng.next();
                let limit = (temperature * logs[(bits & 1023) as usize]) as i64;
                if bits & (1 << 20) != 0 {
                    self.swap(limit);
                } else {
                    self.shift(limit);
                }
            }
            self.steps += STEPS_PER_LOOK;
        }
    }

    fn shift(&mut self, limit: i64) {
        let dense = self.state.dense;
        let instance = dense.movable[self.rng.below(dense.movable.len())];
        let to = self.rng.below(dense.machines) as u32;
        let from = self.state.at[instance as usize];
        if to == from {
            return;
        }
        self.evaluated += 1;
        let Some(delta) = self.state.shift_delta(instance, to) else { return };
        if delta <= limit && self.state.is_lawful(instance, to) {
            self.state.shift(instance, to);
            self.best.note(&[(instance, from)], &self.state.at, self.state.cost());
        }
    }

    fn swap(&mut self, limit: i64) {
        let dense = self.state.dense;
        let left = dense.movable[self.rng.below(dense.movable.len())];
        let right = dense.movable[self.rng.below(dense.movable.len())];
        let (a, b) = (self.state.at[left as usize], self.state.at[right as usize]);
        if a == b {
            return;
        }
        self.evaluated += 1;
        let Some(delta) = self.state.swap_delta(left, right) else { return };
        if delta <= limit && self.state.try_swap(left, right) {
            self.best.note(&[(left, a), (right, b)], &self.state.at, self.state.cost());
        }
    }
}

/// -ln of the middles of 1,024 equal parts of (0, 1).
fn log_table() -> Vec<f64> {
    (0..1024).map(|index| -((f64::from(index) + 0.5) / 1024.0).ln()).collect()
}
