//! How hot a search begins, how long it stays at which temperature and what it fines, from the model and the start alone:
//! nothing is set by hand.
//!
//! ```text
//!   relieve ─▶ pilot: all temperatures, evenly ─▶ main: from as hot as is worth it, long where costs fall ─▶ reheats
//!                         └── the cost at each temperature ──▲                └────── the same, anew ─────────▲
//! ```
//!
//! Each cycle ends with what a cold search no longer reaches: [`polish`](super::polish).
//!
//! Most of the temperatures of an even cooling are spent where nothing happens. The time to cool from one stage to the next
//! is given by what the costs fell there the last time, more where it is colder and all is slower: coarsely
//! the cooling at constant thermodynamic speed of Nulton and Salamon, "Statistical mechanics of combinatorial
//! optimization" (Physical Review A 37, 1988), which needs the heat capacity at each temperature.

use super::anneal::{Homing, Stage};
use super::dense::Dense;
use super::effort::Effort;
use super::run::Run;
use super::share::Exchange;
use super::state::Prices;

/// The highest temperature, as a multiple of what a random move changes: above, placements are random.
const HOT_BY_MOVE: f64 = 2.0;

/// Costs are whole numbers: at this temperature nothing that costs more is done any more.
const FROZEN: f64 = 0.1;

/// Temperatures from the highest to frozen, each the same part of the one before.
const STAGES: usize = 48;

/// How the effort is shared between a first look, the main cooling, and the reheats.
const CYCLES: [f64; 4] = [0.05, 0.75, 0.12, 0.08];

/// What part of a cycle is for cooling; the rest is for what a cold search does not reach.
const COOLED: f64 = 0.99;

/// What relieving may take.
const RELIEF: f64 = 0.3;

/// The main cooling begins where costs are as many times above the pilot's last as the start is, with so many steps an
/// instance for each: large structures want hot, and where there is no time to cool from it hot only does harm.
const STEPS_PER_HEAT: f64 = 1000.0;
const HEAT_MAX: f64 = 64.0;

/// The same where the start is as good as the pilot's last: as a share of all that costs fell.
const HEAT_MIN: f64 = 0.02;

/// A reheat goes to where costs are so much of the way up.
const REHEAT: f64 = 0.02;

/// How the time of a stage grows with what is gained there: by less than in proportion, since what is gained is known
/// coarsely.
const SHARE_OF_GAIN: f64 = 0.8;

/// How threads differ, in turn: which is better depends on the model, most where much is occupied twice, and so both are
/// tried.
const HOMING_OF_THREADS: [Homing; 2] = [Homing::Seldom, Homing::Often];

/// How much longer a stage is for being colder: by this power of the temperature.
const SLOWNESS: f64 = 0.1;

/// A stage of which nothing is known to be gained has the time of this share of the cost.
const GAIN_MIN: f64 = 1e-7;

/// Fines at the highest temperature, in weights of an overload. They grow as the temperature falls.
const FINE: f64 = 3.0;

/// When fines have grown so many times, nothing is worth breaking any more.
const DEARER_MAX: f64 = 1000.0;

/// What any excess of a capacity is fined, in temperatures.
const EXCESS: f64 = 3.0;

/// What breaking a rule by one is fined at first, in the highest temperature.
const BREACH: f64 = 10.0;

/// Moves that tell how much a move changes.
const TRIAL_MOVES: usize = 4096;

/// How much of the effort may have been spent when the rework of a relief ends.
const REWORK_SHARE: f64 = 0.9;

/// No price is higher at first: a thousand times that, times what a hundred thousand rules are broken by, is within 64 bits.
const PRICE_MAX: f64 = (1_u64 << 36) as f64;

impl Prices {
    /// Prices by which nothing is ever worth breaking.
    pub(crate) fn strict(dense: &Dense) -> Self {
        Self { capacity: vec![1 << 20; dense.resources], excess: 0, breach: 1 << 40 }
    }

    /// Prices by which the whole capacity of the first machine costs `price`, of whatever resource.
    pub(crate) fn level(dense: &Dense, price: i64) -> Self {
        let of = |capacity: &i64| (price / (*capacity).max(1)).max(1);
        let capacity = dense.capacities[..dense.resources].iter().map(of).collect();
        Self { capacity, excess: 0, breach: price }
    }

    /// Prices in proportion to what overloads cost: of the resource itself, and of all on average, so that a resource that
    /// costs nothing is not free to overflow.
    fn fair(dense: &Dense, hot: f64) -> Self {
        let price = |worth: f64| (FINE * worth).min(PRICE_MAX) as i64 + 1;
        let capacity = dense.worth_of_units().into_iter().map(price).collect();
        Self { capacity, excess: 0, breach: (BREACH * hot).min(PRICE_MAX) as i64 + 1 }
    }
}

impl Dense {
    /// What a unit of each resource is worth, by what its overloads cost and, for those that cost nothing, by its scarcity.
    pub(crate) fn worth_of_units(&self) -> Vec<f64> {
        let width = self.resources;
        let mean = |resource: usize| {
            let sum: f64 =
                self.capacities.iter().skip(resource).step_by(width).map(|value| *value as f64).sum();
            (sum / self.machines as f64).max(1.0)
        };
        let worth: f64 = (0..width).map(|resource| mean(resource) * self.overload[resource] as f64).sum();
        let worth = worth.max(1.0) / width as f64;
        (0..width).map(|resource| self.overload[resource] as f64 + worth / mean(resource)).collect()
    }
}

/// From which stage a cycle begins, and how its time is shared between the stages.
#[derive(Debug)]
struct Plan {
    top: f64,
    first: usize,
    weights: Vec<f64>,
    /// While large instances move.
    homing: Homing,
}

impl Plan {
    /// From the highest temperature, evenly.
    fn even(top: f64, homing: Homing) -> Self {
        Self { top, first: 0, weights: vec![1.0; STAGES], homing }
    }

    fn temperature(&self, stage: usize) -> f64 {
        self.top * (FROZEN / self.top).powf(stage as f64 / (STAGES - 1) as f64)
    }

    /// By the costs at each temperature of the last cycle. `goal` tells, from the highest and the lowest of these, how
    /// high a cost is to be reached.
    fn learn(&mut self, costs: &[f64], goal: impl Fn(f64, f64) -> f64) {
        // What is colder does not cost more, but by chance.
        let mut costs = costs.to_vec();
        for stage in (0..STAGES - 1).rev() {
            costs[stage] = costs[stage].max(costs[stage + 1]);
        }
        let last = costs[STAGES - 1];
        let weight = |stage: usize| {
            let gain = costs[stage.saturating_sub(1)] - costs[stage] + (last * GAIN_MIN).max(1.0);
            gain.powf(SHARE_OF_GAIN) * (self.top / self.temperature(stage)).powf(SLOWNESS)
        };
        let mut weights: Vec<f64> = (0..STAGES).map(weight).collect();
        for _ in 0..2 {
            let at = |stage: usize| weights[stage.min(STAGES - 1)];
            let mean = |stage: usize| (at(stage.saturating_sub(1)) + 2.0 * at(stage) + at(stage + 1)) / 4.0;
            weights = (0..STAGES).map(mean).collect();
        }
        self.weights = weights;
        let goal = goal(costs[self.first], last);
        self.first = costs.iter().position(|cost| *cost <= goal).unwrap_or(0).min(STAGES - 2);
    }
}

impl Run<'_> {
    /// The whole search of one thread.
    pub(crate) fn search(&mut self, effort: &Effort<'_>, exchange: &Exchange) {
        let dense = self.state.dense;
        if dense.movable.is_empty() || dense.machines < 2 {
            return;
        }
        self.relieve(effort, RELIEF);
        self.rework(effort, REWORK_SHARE);
        let start = self.state.cost() as f64;
        let homing = HOMING_OF_THREADS[exchange.thread() % HOMING_OF_THREADS.len()];
        let mut plan = Plan::even((HOT_BY_MOVE * self.mean_change()).max(1.0), homing);
        let begin = effort.spent(self.steps).share();
        let mut costs = vec![start; STAGES];
        let mut done = 0.0;
        for (cycle, share) in CYCLES.into_iter().enumerate() {
            let steps = self.steps;
            let at = |part: f64| begin + (1.0 - begin) * part;
            self.cool(effort, &plan, (at(done), at(done + share * COOLED)), &mut costs);
            done += share;
            self.back_to_best(effort);
            self.polish(effort, at(done));
            let steps_per_instance =
                (self.steps - steps) as f64 / share * CYCLES[1] / dense.movable.len() as f64;
            let heat = (steps_per_instance / STEPS_PER_HEAT).clamp(1.0, HEAT_MAX);
            plan.learn(&costs, |high, low| match cycle {
                0 => low + (start - low).max(HEAT_MIN * (high - low)) * heat,
                _ => low + (high - low) * REHEAT,
            });
            exchange.best_of_all(&mut self.best, &self.state.at);
            self.back_to_best(effort);
        }
    }

    /// Cools by a plan, from one share of the effort to another. Notes the cost at each temperature.
    fn cool(&mut self, effort: &Effort<'_>, plan: &Plan, (begin, end): (f64, f64), costs: &mut [f64]) {
        let dense = self.state.dense;
        let fair = Prices::fair(dense, plan.top);
        let total: f64 = plan.weights[plan.first..].iter().sum();
        let mut sum = 0.0;
        for (stage, cost) in costs.iter_mut().enumerate().skip(plan.first) {
            sum += plan.weights[stage] / total;
            let temperature = plan.temperature(stage);
            let dearer = plan.top / temperature;
            let (prices, homing) = match dearer < DEARER_MAX {
                true => (fair.times(dearer), plan.homing),
                false => (Prices::strict(dense), Homing::Often),
            };
            let prices = Prices { excess: (EXCESS * temperature).min(PRICE_MAX) as i64, ..prices };
            let end = begin + (end - begin) * sum;
            *cost = self.dwell(effort, &Stage { temperature, prices, end, homing });
        }
    }

    /// What a random move changes, on average.
    fn mean_change(&mut self) -> f64 {
        let dense = self.state.dense;
        let mut change = 0.0;
        for _ in 0..TRIAL_MOVES {
            let instance = dense.movable[self.rng.below(dense.movable.len())];
            let Some(to) = self.machine_for(instance) else { continue };
            if to != self.state.at[instance as usize] {
                change += self.state.shift_delta(instance, to).unsigned_abs() as f64 / TRIAL_MOVES as f64;
            }
        }
        change
    }
}
