//! How a running placement gets better.
//!
//! ```text
//!   Model ──Dense──▶ State ◀─ shift, swap ─ Run (one a thread) ── relieve ── anneal ── polish ──▶ best of all ──▶ Outcome
//!                  Reach (where who can be)                        homecomings     chains, divisions of three machines
//! ```
//!
//! **Guarantees.** Where the start is feasible, the outcome is never infeasible and never costs more than the start; the
//! best that was found is what is given, whenever the effort ends. With [`Effort::Steps`] the outcome depends on nothing
//! but the arguments, on one platform and toolchain: temperatures are floating point.
//!
//! **Caveats.** Where the start is infeasible, it is given back unless all that is broken is mended. A machine that is overfull by
//! what is not moved stays so, and is not filled further, and so do devices and ports that are given twice at the start; a rule that
//! such instances break stops the whole search.
//!
//! **Devices and ports.** Who is moved gets devices that are free where it goes, by best fit; who is not keeps those that it has. An
//! instance that has not just what it needs at the start is not moved.
//!
//! **Does not** place what is not placed: that is for [`place::online`](crate::place::online).

use crate::place::validate::breach;
use crate::place::{Bill, GroupId, MachineId, Model, Placement, bill};
use crate::rng::Rng;
use dense::{Dense, NOWHERE};
pub use effort::{Effort, Spent};
pub use pack::pack;
use reach::Reach;
use run::Run;
use share::Exchange;
use state::{Prices, Standing};

mod anneal;
mod best;
mod chain;
mod claims;
mod counts;
mod dense;
mod divide;
mod effort;
mod fewest;
mod homecoming;
mod pack;
mod pick;
mod polish;
mod reach;
mod relieve;
mod rework;
mod run;
mod share;
mod state;
#[cfg(test)]
mod tests;
mod tune;

/// How a rebalance or a packing goes about its search.
#[derive(Clone, Debug)]
pub struct Options {
    seed: u64,
    threads: usize,
    moved_max: usize,
}

impl Options {
    /// More threads are not begun: each holds placements of its own.
    pub const THREADS_MAX: usize = 256;

    /// One thread, and this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, threads: 1, moved_max: usize::MAX }
    }

    /// So many threads, [`THREADS_MAX`](Self::THREADS_MAX) at most.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.clamp(1, Self::THREADS_MAX);
        self
    }

    /// That at most so many instances are elsewhere than where they run; or, where more are in the start, no more than these.
    #[must_use]
    pub fn with_moved_max(mut self, instances: usize) -> Self {
        self.moved_max = instances;
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
    /// What the search took its cost to be: that of the bill, or the search has a bug.
    #[cfg(test)]
    searched_cost: i128,
}

/// The best placement that is found from `start` on within an effort.
///
/// # Panics
/// When `start` is of another model.
pub fn rebalance(model: &Model, start: &Placement, options: &Options, effort: Effort<'_>) -> Outcome {
    if effort.spent(0) == Spent::ALL {
        let bill = bill(model, start);
        #[cfg(test)]
        let searched_cost = bill.total();
        return Outcome {
            placement: start.clone(),
            bill,
            evaluated: 0,
            #[cfg(test)]
            searched_cost,
        };
    }
    let mut dense = Dense::new(model);
    let standing = standing(model, start);
    let at: Vec<u32> =
        dense.order.iter().map(|id| start.machine(*id).map_or(NOWHERE, |machine| machine.0)).collect();
    dense.admit_claims(model, start);
    dense.movable.retain(|instance| at[*instance as usize] != NOWHERE);
    dense.expect_those_nowhere(&at);
    dense.suffer_what_stays(&at);
    let reach = Reach::new(&dense, &at);
    if let Some(reach) = &reach {
        dense.movable.retain(|instance| reach.of(*instance) != [at[*instance as usize]]);
    }
    let dense = dense;
    let search = |thread: usize, exchange: Exchange| {
        let rng = Rng::new(options.seed, thread as u64);
        let mut run = Run::new(&dense, &at, standing, Prices::strict(&dense), rng);
        run.moved_max = options.moved_max;
        run.reach = reach.as_ref();
        run.search(&effort, &exchange);
        let cost = run.best.cost();
        (cost, run.best.write_out(&run.state.at).to_vec(), run.evaluated)
    };
    let results: Vec<(i64, Vec<u32>, u64)> = std::thread::scope(|scope| {
        let search = &search;
        let exchanges = Exchange::all(options.threads).into_iter().enumerate();
        let threads: Vec<_> =
            exchanges.map(|(thread, exchange)| scope.spawn(move || search(thread, exchange))).collect();
        threads.into_iter().map(|thread| thread.join().expect("invariant: a search does not panic")).collect()
    });
    let evaluated = results.iter().map(|result| result.2).sum();
    let (_searched, best, _) =
        results.into_iter().min_by_key(|result| result.0).expect("invariant: there is a thread");
    let mut placement = start.clone();
    for (id, machine) in dense.order.iter().zip(&best) {
        if *machine != NOWHERE && placement.machine(*id) != Some(MachineId(*machine)) {
            placement.put(*id, MachineId(*machine));
        }
    }
    dense.claims.write_out(&dense, &best, &mut placement);
    let bill = bill(model, &placement);
    Outcome {
        placement,
        bill,
        evaluated,
        #[cfg(test)]
        searched_cost: i128::from(_searched),
    }
}

/// What a placement costs and breaks, by the independent judge.
fn standing(model: &Model, placement: &Placement) -> Standing {
    let cost = i64::try_from(bill(model, placement).total()).expect("invariant: costs are within 64 bits");
    // Which rules count as broken by how much is for the judge to say; machines that are not allowed are not breaches
    // here, since instances never go to such.
    let breaches = model.groups.iter().enumerate().map(|(index, group)| {
        let counted = group.rules.iter().filter(|rule| !rule.is_about_machines());
        counted.map(|rule| breach(model, placement, GroupId::new(index), rule)).sum::<i128>()
    });
    let breach =
        i64::try_from(breaches.sum::<i128>()).expect("invariant: breaches count instances and domains");
    Standing { cost, breach }
}
