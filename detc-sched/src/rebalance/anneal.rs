//! Simulated annealing over shifts and swaps, through placements that break capacities and rules at a price.
//!
//! Kirkpatrick, Gelatt and Vecchi, "Optimization by Simulated Annealing" (Science 220, 1983). For machine reassignment it was
//! shown to be among the best with no more than these two moves: Portal, Ritt, Borba and Buriol, "Simulated annealing for
//! the machine reassignment problem" (Annals of Operations Research 242, 2016). They keep capacities; here a full machine
//! is no wall but a slope: what is beyond a capacity is fined, and the fines grow as the temperature falls (as in
//! Glover's strategic oscillation), so that the search crosses what it could not go around and ends where nothing is
//! broken.

use super::effort::Effort;
use super::run::Run;
use super::state::Prices;

/// Steps between two looks at what is spent: rare enough to cost nothing, often enough for a deadline in milliseconds.
const STEPS_PER_LOOK: u64 = 1024;

/// Looks between two settings of the fines, which touch each machine.
const LOOKS_PER_PRICING: u64 = 64;

/// How a run cools: from one temperature to another, over a part of the effort.
#[derive(Clone, Debug)]
pub(crate) struct Cooling {
    pub(crate) hot: f64,
    pub(crate) cold: f64,
    /// Fines at the beginning,
    pub(crate) prices: Prices,
    /// and how many times that they are at the end.
    pub(crate) dearer: f64,
    /// Shares of the whole effort at which it begins and ends.
    pub(crate) begin: f64,
    pub(crate) end: f64,
}

impl Run<'_> {
    pub(crate) fn anneal(&mut self, effort: &Effort<'_>, cooling: &Cooling) {
        if self.state.dense.movable.is_empty() {
            return;
        }
        let logs = log_table();
        for look in 0.. {
            // Nothing costs less than nothing.
            let share = effort.spent(self.steps).share();
            if share >= cooling.end || share >= 1.0 || self.best.cost() == 0 {
                break;
            }
            let progress = ((share - cooling.begin) / (cooling.end - cooling.begin)).clamp(0.0, 1.0);
            if look % LOOKS_PER_PRICING == 0 {
                self.state.set_prices(cooling.prices.times(cooling.dearer.powf(progress)));
            }
            let temperature = cooling.hot * (cooling.cold / cooling.hot).powf(progress);
            for _ in 0..STEPS_PER_LOOK {
                let bits = self.rng.next();
                let limit = (temperature * logs[(bits & 1023) as usize]) as i64;
                match (bits >> 10) & 15 {
                    0 => self.random_return(limit),
                    1..=7 => self.random_shift(limit),
                    _ => self.random_swap(limit),
                }
            }
            self.steps += STEPS_PER_LOOK;
        }
    }

    /// Only downwards, for so many steps.
    pub(crate) fn descend(&mut self, steps: u64, prices: Prices) {
        self.state.set_prices(prices);
        for _ in 0..steps / 2 {
            self.random_shift(0);
            self.random_swap(0);
        }
        self.steps += steps;
    }

    fn random_instance(&mut self) -> u32 {
        let movable = &self.state.dense.movable;
        movable[self.rng.below(movable.len())]
    }

    fn random_shift(&mut self, limit: i64) {
        let instance = self.random_instance();
        let to = self.rng.below(self.state.dense.machines) as u32;
        if to != self.state.at[instance as usize] {
            self.try_shift(instance, to, limit);
        }
    }

    /// To where it ran: there it occupies nothing twice, and the move costs nothing.
    fn random_return(&mut self, limit: i64) {
        let instance = self.random_instance();
        let to = self.state.dense.origin[instance as usize];
        if to != super::dense::NOWHERE && to != self.state.at[instance as usize] {
            self.try_shift(instance, to, limit);
        }
    }

    fn random_swap(&mut self, limit: i64) {
        let (left, right) = (self.random_instance(), self.random_instance());
        if self.state.at[left as usize] != self.state.at[right as usize] {
            self.try_swap(left, right, limit);
        }
    }
}

impl Prices {
    /// So many times these.
    fn times(&self, factor: f64) -> Self {
        let times = |price: i64| ((price as f64 * factor) as i64).max(1);
        Self { capacity: self.capacity.iter().copied().map(times).collect(), breach: times(self.breach) }
    }
}

/// -ln of the middles of 1,024 equal parts of (0, 1).
fn log_table() -> Vec<f64> {
    (0..1024).map(|index| -((f64::from(index) + 0.5) / 1024.0).ln()).collect()
}
