//! How hot a search begins and what it fines, from the model and the start alone: nothing is set by hand.
//!
//! The numbers were found on generated models and on the public instances of the ROADEF/EURO challenge of 2012.

use super::anneal::Cooling;
use super::dense::Dense;
use super::effort::Effort;
use super::run::Run;
use super::state::Prices;

/// The first temperature, as a share of what a random move changes.
const HOT_BY_MOVE: f64 = 2.0;

/// And not more than so many instances' share of the whole cost: where little is left to gain, hot does harm.
const HOT_BY_COST: f64 = 24.0;

/// So many steps an instance deserve the full temperature; with fewer, there is no time to cool from it.
const STEPS_PER_INSTANCE: f64 = 100_000.0;

/// The last temperature at which rules can be broken, as a share of the first.
const COLD: f64 = 1.0 / 200.0;

/// Costs are whole numbers: at this temperature nothing that costs more is done any more.
const FROZEN: f64 = 0.1;

/// Fines at first, in weights of an overload; at last so many times that.
const FINE: f64 = 3.0;
const DEARER: f64 = 300.0;

/// How hot threads begin, in turn: which is better depends on the model and the time, and so both are tried.
const HEAT_OF_THREADS: [f64; 2] = [1.0, 0.5];

/// Cycles of cooling: the share of the effort of each, and how hot it begins, as a share of the first temperature. Each
/// begins at the best so far: the later ones change it less.
const CYCLES: [(f64, f64); 2] = [(0.7, 1.0), (0.3, 0.2)];

/// What breaking a rule by one is fined at first, in temperatures.
const BREACH: f64 = 10.0;

/// How much of a cycle is left for its end, where nothing may be broken.
const END_SHARE: f64 = 0.1;

/// Steps that tell how many there will be, and moves that tell how much a move changes.
const TRIAL_STEPS: u64 = 16 * 1024;
const TRIAL_MOVES: usize = 4096;

impl Prices {
    /// Prices by which nothing is ever worth breaking.
    pub(crate) fn strict(dense: &Dense) -> Self {
        Self { capacity: vec![1 << 20; dense.resources], breach: 1 << 40 }
    }

    /// Prices by which the whole capacity of the first machine costs `price`, of whatever resource.
    pub(crate) fn level(dense: &Dense, price: i64) -> Self {
        let of = |capacity: &i64| (price / (*capacity).max(1)).max(1);
        Self { capacity: dense.capacities[..dense.resources].iter().map(of).collect(), breach: price }
    }

    /// Prices in proportion to what overloads cost: of the resource itself, and of all on average, so that a resource that
    /// costs nothing is not free to overflow.
    fn fair(dense: &Dense, hot: f64) -> Self {
        let width = dense.resources;
        let mean = |resource: usize| {
            let sum: f64 =
                dense.capacities.iter().skip(resource).step_by(width).map(|value| *value as f64).sum();
            (sum / dense.machines as f64).max(1.0)
        };
        let worth: f64 = (0..width).map(|resource| mean(resource) * dense.overload[resource] as f64).sum();
        let worth = worth / width as f64;
        let price = |resource: usize| FINE * (dense.overload[resource] as f64 + worth / mean(resource)) + 1.0;
        Self {
            capacity: (0..width).map(|resource| price(resource) as i64).collect(),
            breach: (BREACH * hot) as i64 + 1,
        }
    }
}

impl Run<'_> {
    /// The whole search of thread number so.
    pub(crate) fn search(&mut self, effort: &Effort<'_>, thread: usize) {
        let dense = self.state.dense;
        if dense.movable.is_empty() || dense.machines < 2 {
            return;
        }
        self.relieve(effort, 0.9);
        let strict = Prices::strict(dense);
        let hot = self.first_temperature(effort) * HEAT_OF_THREADS[thread % HEAT_OF_THREADS.len()];
        let begin = effort.spent(self.steps).share();
        let at = |share: f64| begin + (1.0 - begin) * share;
        let mut done = 0.0;
        for (share, heat) in CYCLES {
            let hot = (hot * heat).max(FROZEN);
            let cold = hot * COLD;
            let prices = Prices::fair(dense, hot);
            let turn = done + share * (1.0 - END_SHARE);
            self.anneal(
                effort,
                &Cooling { hot, cold, prices, dearer: DEARER, begin: at(done), end: at(turn) },
            );
            // What is still broken is repaired; only from there the best may be better.
            done += share;
            let last = Cooling {
                hot: cold,
                cold: FROZEN.min(cold),
                prices: strict.clone(),
                dearer: 1.0,
                begin: at(turn),
                end: at(done),
            };
            self.anneal(effort, &last);
            self.back_to_best();
        }
    }

    fn first_temperature(&mut self, effort: &Effort<'_>) -> f64 {
        let dense = self.state.dense;
        let mut change = 0.0;
        for _ in 0..TRIAL_MOVES {
            let instance = dense.movable[self.rng.below(dense.movable.len())];
            let to = self.rng.below(dense.machines) as u32;
            if to != self.state.at[instance as usize] {
                change += self.state.shift_delta(instance, to).unsigned_abs() as f64 / TRIAL_MOVES as f64;
            }
        }
        let instances = dense.movable.len() as f64;
        let by_cost = HOT_BY_COST * self.state.cost() as f64 / instances;
        // A descent, to see how fast steps are.
        let (steps, spent) = (self.steps, effort.spent(self.steps).share());
        let prices = Prices::strict(dense);
        self.descend(TRIAL_STEPS, prices);
        let taken = (effort.spent(self.steps).share() - spent).max(1e-6);
        let coming = (self.steps - steps) as f64 * (1.0 - spent) / taken;
        let time = (coming / instances / STEPS_PER_INSTANCE).min(1.0).sqrt();
        ((HOT_BY_MOVE * change).min(by_cost) * time).max(FROZEN)
    }
}
