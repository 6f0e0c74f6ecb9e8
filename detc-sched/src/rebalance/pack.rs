//! As few machines as can be, for machines that are all alike: vector bin packing.
//!
//! ```text
//!   greedy ─▶ k machines ─▶ close one ─┬▶ those who were there take the places of others, until nobody waits ─┬▶ k - 1 …
//!                             ▲        └▶ or are spread over the others, until nothing is overfull ───────────┤
//!                             └────────────────────── in turn, while there is effort ◀───────────────────────┘
//! ```
//!
//! One machine less is a question of feasibility. Two searches answer it in turn: [`eject`], in which nothing is ever
//! overfull, and that of a rebalance, over fines alone. Each thread has both, in other order, in rounds that are ever longer;
//! who finds an answer ends the round. It ends at a bound below which the needs do not fit.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use eject::Pool;

use super::Options;
use super::anneal::Cooling;
use super::dense::{Dense, NOWHERE};
use super::effort::{Effort, Spent};
use super::run::Run;
use super::state::{Prices, Standing};
use crate::place::{MachineId, Model, Placement};
use crate::rng::Rng;

mod eject;

/// Places all instances on few machines. The machines are taken to be alike, and the groups to have no rules: then no
/// machine is special and the least number counts.
///
/// None, when there is an instance that does not fit an empty machine, or the machines do not suffice for first fit.
/// Of the options the seed and the threads count: nobody runs yet who could be moved.
pub fn pack(model: &Model, options: &Options, effort: Effort<'_>) -> Option<Placement> {
    let dense = Dense::new(model);
    let mut at = greedy(&dense)?;
    let bound = bound(&dense);
    let mut rng = Rng::new(options.seed, 0);
    let mut steps = 0;
    loop {
        let used = compact(&mut at);
        if used <= bound || used <= 1 {
            break;
        }
        let Some(better) = close_one(&dense, &at, used, (&mut rng, options.threads), &effort, &mut steps)
        else {
            break;
        };
        at = better;
    }
    let mut placement = Placement::empty(model);
    for (id, machine) in dense.order.iter().zip(at) {
        placement.put(*id, MachineId(machine));
    }
    Some(placement)
}

/// No fewer machines do: by the sum of the needs, and by how many instances are more than a half, a third, … of a machine, of
/// which one, two, … share one.
fn bound(dense: &Dense) -> usize {
    let width = dense.resources;
    let of = |resource: usize| {
        let needs = || dense.needs.iter().skip(resource).step_by(width).copied();
        let capacity = dense.capacities.get(resource).copied().unwrap_or(0);
        let sum: i128 = needs().map(i128::from).sum();
        let by_sum = (sum + i128::from(capacity.max(1)) - 1) / i128::from(capacity.max(1));
        let sharing = |most: usize| {
            let large = needs().filter(|need| i128::from(*need) * (most as i128 + 1) > i128::from(capacity));
            large.count().div_ceil(most)
        };
        (1..=SHARING_MAX).map(sharing).max().unwrap_or(0).max(by_sum as usize)
    };
    (0..width).map(of).max().unwrap_or(0)
}

/// Of so many on a machine the bound knows; of more their sum says as much.
const SHARING_MAX: usize = 4;

/// Best of a few greedy packings, bin by bin: the next instance is the one whose needs point most where there is room (dot
/// product; Panigrahy, Talwar, Uyeda and Wieder, "Heuristics for Vector Bin Packing", 2011).
fn greedy(dense: &Dense) -> Option<Vec<u32>> {
    let width = dense.resources;
    let instances = dense.order.len();
    let capacity = &dense.capacities[..width.min(dense.capacities.len())];
    let total =
        |resource: usize| dense.needs.iter().skip(resource).step_by(width).map(|need| *need as f64).sum();
    let totals: Vec<f64> = (0..width).map(total).collect();
    let mut best: Option<(usize, Vec<u32>)> = None;
    for normed in [Norm::Dot, Norm::Distance] {
        let mut at = vec![NOWHERE; instances];
        let mut waiting: Vec<usize> = (0..instances).collect();
        let mut machine = 0;
        while !waiting.is_empty() {
            if machine == dense.machines {
                return best.map(|best| best.1);
            }
            let mut free: Vec<i64> = capacity.to_vec();
            let mut filled = false;
            loop {
                let fits = |index: &usize| {
                    dense.needs[index * width..][..width].iter().zip(&free).all(|(need, free)| need <= free)
                };
                let score = |index: usize| -> f64 {
                    let needs = &dense.needs[index * width..][..width];
                    (0..width)
                        .map(|resource| {
                            let capacity = (capacity[resource] as f64).max(1.0);
                            let weight = totals[resource] / capacity / instances as f64;
                            let (need, free) =
                                (needs[resource] as f64 / capacity, free[resource] as f64 / capacity);
                            match normed {
                                Norm::Dot => weight * need * free,
                                Norm::Distance => -weight * (free - need).powi(2),
                            }
                        })
                        .sum()
                };
                let next = waiting.iter().copied().enumerate().filter(|(_, index)| fits(index)).max_by(
                    |left, right| score(left.1).total_cmp(&score(right.1)).then(right.1.cmp(&left.1)),
                );
                let Some((slot, index)) = next else { break };
                waiting.swap_remove(slot);
                at[index] = machine as u32;
                free.iter_mut().zip(&dense.needs[index * width..]).for_each(|(free, need)| *free -= need);
                filled = true;
            }
            if !filled {
                return None;
            }
            machine += 1;
        }
        if best.as_ref().is_none_or(|(least, _)| machine < *least) {
            best = Some((machine, at));
        }
    }
    best.map(|best| best.1)
}

/// How the greedy packing measures an instance against what is free.
#[derive(Clone, Copy, Debug)]
enum Norm {
    Dot,
    Distance,
}

/// Numbers the machines in use from 0 on; gives how many there are.
fn compact(at: &mut [u32]) -> usize {
    let mut used: Vec<u32> = at.to_vec();
    used.sort_unstable();
    used.dedup();
    for machine in at.iter_mut() {
        *machine = used.binary_search(machine).expect("invariant: it is of the same list") as u32;
    }
    used.len()
}

/// The instances on one machine less, if it is found.
fn close_one(
    dense: &Dense,
    at: &[u32],
    used: usize,
    (rng, threads): (&mut Rng, usize),
    effort: &Effort<'_>,
    steps: &mut u64,
) -> Option<Vec<u32>> {
    let smaller = dense.first_machines(used - 1);
    if smaller.movable.is_empty() {
        return None;
    }
    // The machine with the least on it is closed.
    let size = |machine: u32| -> i64 {
        (0..at.len() as u32)
            .filter(|index| at[*index as usize] == machine)
            .map(|index| dense.size(index))
            .sum()
    };
    let closed = (0..used as u32).min_by_key(|machine| size(*machine))?;
    let without = |machine: &u32| match *machine {
        machine if machine == closed => NOWHERE,
        machine if machine as usize == used - 1 => closed,
        machine => machine,
    };
    let waiting: Vec<u32> = at.iter().map(without).collect();
    let search = |thread: usize| Search::new(&smaller, &waiting, rng.next(), *steps, thread);
    let mut searches: Vec<Search<'_>> = (0..threads).map(search).collect();
    let mut round = ROUND_MIN;
    loop {
        let share = effort.spent(*steps).share();
        if share >= 1.0 {
            return None;
        }
        let end = (share + round).min(1.0);
        let found = round_of_all(&mut searches, effort, (share, end));
        *steps = searches.iter().map(|search| search.run.steps).max().unwrap_or(*steps);
        if found.is_some() {
            return found;
        }
        searches.iter_mut().for_each(|search| search.run.steps = *steps);
        round = (round * 2.0).min(ROUND_MAX);
    }
}

/// Lets all search from one share of the effort to another. Who finds something ends the round for all, unless steps are counted: then
/// the outcome must not depend on who is first.
fn round_of_all(
    searches: &mut [Search<'_>],
    effort: &Effort<'_>,
    (begin, end): (f64, f64),
) -> Option<Vec<u32>> {
    let is_found = AtomicBool::new(false);
    let spent = || if is_found.load(Relaxed) { Spent::ALL } else { effort.spent(0) };
    let effort = match effort {
        Effort::Steps(_) => *effort,
        Effort::Until(_) => Effort::Until(&spent),
    };
    let round = |search: &mut Search<'_>| {
        let found = search.round(&effort, (begin, end));
        is_found.fetch_or(found.is_some(), Relaxed);
        found
    };
    std::thread::scope(|scope| {
        let round = &round;
        let threads: Vec<_> = searches.iter_mut().map(|search| scope.spawn(move || round(search))).collect();
        let found =
            threads.into_iter().map(|thread| thread.join().expect("invariant: a search does not panic"));
        // All are waited for.
        found.collect::<Vec<_>>().into_iter().flatten().next()
    })
}

/// One thread's two searches for the same number of machines.
#[derive(Debug)]
struct Search<'a> {
    pool: Pool<'a>,
    run: Run<'a>,
    prices: Prices,
    /// Which search begins a round: with two threads both are at work at any time.
    cools_first: bool,
}

impl<'a> Search<'a> {
    /// From where they are `at`; those nowhere are placed by chance, where a machine may be overfull.
    fn new(dense: &'a Dense, at: &[u32], seed: u64, steps: u64, thread: usize) -> Self {
        let mut rng = Rng::new(seed, 1);
        let by_chance = |machine: &u32| match *machine {
            NOWHERE => rng.below(dense.machines) as u32,
            machine => machine,
        };
        let start: Vec<u32> = at.iter().map(by_chance).collect();
        let prices = Prices::level(dense, PRICE_OF_CAPACITY);
        let mut run = Run::new(dense, &start, Standing { cost: 0, breach: 0 }, prices.clone(), rng);
        run.steps = steps;
        Self { pool: Pool::new(dense, at), run, prices, cools_first: thread % 2 == 1 }
    }

    /// Each search for a part of the round: where all are, when one has found that.
    fn round(&mut self, effort: &Effort<'_>, (begin, end): (f64, f64)) -> Option<Vec<u32>> {
        let length = end - begin;
        if self.cools_first {
            let middle = begin + length * (1.0 - EJECTION_SHARE);
            self.cool(effort, (begin, middle)).or_else(|| self.eject(effort, end))
        } else {
            let middle = begin + length * EJECTION_SHARE;
            self.eject(effort, middle).or_else(|| self.cool(effort, (middle, end)))
        }
    }

    fn eject(&mut self, effort: &Effort<'_>, end: f64) -> Option<Vec<u32>> {
        self.pool.search(effort, &mut self.run.rng, &mut self.run.steps, end)
    }

    fn cool(&mut self, effort: &Effort<'_>, (begin, end): (f64, f64)) -> Option<Vec<u32>> {
        let cooling = Cooling {
            hot: PRICE_OF_CAPACITY as f64 * HOT_SHARE,
            cold: PRICE_OF_CAPACITY as f64 * COLD_SHARE,
            prices: self.prices.clone(),
            dearer: 1.0,
            begin,
            end,
        };
        self.run.anneal(effort, &cooling);
        (self.run.best.cost() == 0).then(|| self.run.best.write_out(&self.run.state.at).to_vec())
    }
}

/// What one machine's capacity of one resource is fined, when it is all in excess.
const PRICE_OF_CAPACITY: i64 = 1_000_000_000;

/// The temperatures of a round, as shares of it: at first an overflow of 2 % is nothing, at last one of 0.02 % is much.
const HOT_SHARE: f64 = 0.02;
const COLD_SHARE: f64 = 0.0005;

/// What share of the effort the first round takes, and the longest: each is twice as long as the one before.
const ROUND_MIN: f64 = 1.0 / 64.0;
const ROUND_MAX: f64 = 0.25;

/// And what share of a round goes to ejections before: they find what is few and large sooner, cooling what is many and
/// small.
const EJECTION_SHARE: f64 = 0.5;
