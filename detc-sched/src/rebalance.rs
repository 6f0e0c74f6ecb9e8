//! Improves a running placement.

use crate::place::{Bill, MachineId, Model, Placement, bill};
use crate::rng::Rng;
use anneal::{Cooling, Run};
use best::Best;
use dense::{Dense, NOWHERE};
pub use effort::{Effort, Spent};
use state::State;

mod anneal;
mod best;
mod counts;
mod dense;
mod effort;
mod state;

/// How a rebalance goes about its search.
#[derive(Clone, Debug)]
pub struct Options {
    seed: u64,
    threads: usize,
}

impl Options {
    /// One thread, and this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, threads: 1 }
    }

    /// So many threads.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }
}

/// What came of a rebalance.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The best placement found.
    pub placement: Placement,
    /// What it costs.
    pub bill: Bill,
    /// How many moves were evaluated, by all threads.
    pub evaluated: u64,
}

/// Improves.
pub fn rebalance(model: &Model, start: &Placement, options: &Options, effort: Effort<'_>) -> Outcome {
    let dense = Dense::new(model);
    let start_cost = i64::try_from(bill(model, start).total()).expect("invariant: costs were checked");
    let at: Vec<u32> = dense
        .order
        .iter()
        .map(|id| start.machine(*id).map_or(NOWHERE, |machine| machine.index() as u32))
        .collect();
    let env =
        |name: &str, default: f64| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let hot = env("HOT", 1e6);
    let cold = env("COLD", 1.0);
    let work = |thread: usize| {
        let mut run = Run {
            state: State::new(&dense, &at, start_cost),
            rng: Rng::new(options.seed, thread as u64),
            best: Best::new(&at, start_cost),
            steps: 0,
            evaluated: 0,
        };
        run.anneal(&effort, Cooling { hot, cold, begin: 0.0, end: 1.0 });
        let cost = run.best.cost();
        (cost, run.best.write_out(&run.state.at).to_vec(), run.evaluated)
    };
    let results: Vec<(i64, Vec<u32>, u64)> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..options.threads).map(|thread| scope.spawn(move || work(thread))).collect();
        handles.into_iter().map(|handle| handle.join().expect("invariant: a search does not panic")).collect()
    });
    let evaluated = results.iter().map(|result| result.2).sum();
    let (_, best, _) =
        results.into_iter().min_by_key(|result| result.0).expect("invariant: there is a thread");
    let mut placement = start.clone();
    for (id, machine) in dense.order.iter().zip(best) {
        if machine != NOWHERE && placement.machine(*id).map(|at| at.index()) != Some(machine as usize) {
            placement.put(*id, MachineId::new(machine as usize));
        }
    }
    let bill = bill(model, &placement);
    Outcome { placement, bill, evaluated }
}
