//! As few machines as can be, for machines that are all alike: vector bin packing.
//!
//! ```text
//!   greedy ─▶ k machines ─▶ close one ─┬▶ the threes that are worth it are searched for, the rest are pairs ───┬▶ k - 1 …
//!                             ▲        ├▶ those who were there take the places of others, until nobody waits ─┤
//!                             │        └▶ or are spread over the others, until nothing is overfull ───────────┤
//!                             └────────────────────── in turn, while there is effort ◀───────────────────────┘
//! ```
//!
//! One machine less is a question of feasibility. Three searches answer it in turn: [`pairs`], where machines hold two or three
//! each and a first round was in vain; [`eject`], in which nothing is ever overfull; and that of a rebalance, over fines alone. Each thread has
//! all of them, every second one the last two in the other order, in rounds that become longer up to a quarter of the effort. It ends
//! at a bound below which the needs do not fit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use eject::Pool;
use pairs::{Fits, Pairs};

use super::Options;
use super::anneal::Cooling;
use super::dense::{Dense, NOWHERE};
use super::effort::{Effort, Spent};
use super::run::Run;
use super::state::{Prices, Standing};
use crate::place::{MachineId, Model, Placement};
use crate::rng::Rng;

mod eject;
mod pairs;

/// Places all instances on few machines. The machines are taken to be alike, and the groups to have no rules: then no
/// machine is special and the least number counts.
///
/// None, when there is an instance that does not fit an empty machine, or the machines do not suffice for either of two greedy packings.
/// The first of these is made whatever the effort, and its time goes with the square of the instances.
/// Of the options the seed and the threads count: where instances run is not looked at.
pub fn pack(model: &Model, options: &Options, effort: Effort<'_>) -> Option<Placement> {
    let dense = Dense::new(model);
    let mut at = greedy(&dense, &effort)?;
    let bound = bound(&dense);
    let mut closing = Closing {
        dense: &dense,
        rng: Rng::new(options.seed, 0),
        threads: options.threads,
        effort,
        steps: 0,
        fits: None,
    };
    loop {
        let used = compact(&mut at);
        if used <= bound || used <= 1 {
            break;
        }
        let Some(better) = closing.close_one(&at, used) else { break };
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
fn greedy(dense: &Dense, effort: &Effort<'_>) -> Option<Vec<u32>> {
    let width = dense.resources;
    let instances = dense.order.len();
    let capacity = &dense.capacities[..width.min(dense.capacities.len())];
    let total =
        |resource: usize| dense.needs.iter().skip(resource).step_by(width).map(|need| *need as f64).sum();
    let totals: Vec<f64> = (0..width).map(total).collect();
    let mut best: Option<(usize, Vec<u32>)> = None;
    'norms: for normed in [Norm::Dot, Norm::Distance] {
        if best.is_some() && effort.spent(0) == Spent::ALL {
            break;
        }
        let mut at = vec![NOWHERE; instances];
        let mut waiting: Vec<usize> = (0..instances).collect();
        let mut machine = 0;
        while !waiting.is_empty() {
            if machine == dense.machines {
                continue 'norms;
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

/// What closing one machine after the other has left.
struct Closing<'a> {
    dense: &'a Dense,
    rng: Rng,
    threads: usize,
    effort: Effort<'a>,
    /// Of each thread.
    steps: u64,
    /// Who fits with whom, once that was asked; none, where it is of no use.
    fits: Option<Option<Arc<Fits>>>,
}

impl Closing<'_> {
    /// The instances on one machine less, if it is found.
    fn close_one(&mut self, at: &[u32], used: usize) -> Option<Vec<u32>> {
        let smaller = self.dense.first_machines(used - 1);
        if smaller.movable.is_empty() {
            return None;
        }
        // The machine with the least on it is closed.
        let mut sizes = vec![0_i64; used];
        for (index, machine) in at.iter().enumerate() {
            let size = &mut sizes[*machine as usize];
            *size = size.saturating_add(self.dense.size(index as u32));
        }
        let closed = (0..used as u32).min_by_key(|machine| sizes[*machine as usize])?;
        let without = |machine: &u32| match *machine {
            machine if machine == closed => NOWHERE,
            machine if machine as usize == used - 1 => closed,
            machine => machine,
        };
        let waiting: Vec<u32> = at.iter().map(without).collect();
        let seeds: Vec<u64> = (0..self.threads).map(|_| self.rng.next()).collect();
        let mut searches: Vec<Option<Search<'_>>> = seeds.iter().map(|_| None).collect();
        let mut length = match self.effort {
            Effort::Steps(_) => ROUND_OF_STEPS_MIN,
            Effort::Until(_) => ROUND_MIN,
        };
        loop {
            let begin = self.effort.spent(self.steps).share();
            if begin >= 1.0 {
                return None;
            }
            let round = (begin, (begin + length).min(1.0));
            let new = |thread: usize| Search::new(&smaller, &waiting, seeds[thread], thread);
            let found = self.round(&mut searches, &new, round);
            if found.is_some() {
                return found;
            }
            length = (length * 2.0).min(ROUND_MAX);
            if at.len() < used * ITEMS_OF_PAIRS {
                let (dense, effort, steps) = (self.dense, &self.effort, &mut self.steps);
                let fits = self.fits.get_or_insert_with(|| Fits::new(dense, effort, steps).map(Arc::new));
                for search in searches.iter_mut().flatten().filter(|search| search.pairs.is_none()) {
                    search.pairs = fits.as_ref().and_then(|fits| Pairs::new(Arc::clone(fits), at));
                }
            }
        }
    }

    /// Lets all search from one share of the effort to another. Who finds something ends the round for all, unless steps are counted:
    /// then the outcome must not depend on who is first.
    fn round<'d>(
        &mut self,
        searches: &mut [Option<Search<'d>>],
        new: &(impl Fn(usize) -> Search<'d> + Sync),
        (begin, end): (f64, f64),
    ) -> Option<Vec<u32>> {
        let is_found = AtomicBool::new(false);
        let (effort, steps) = (self.effort, self.steps);
        let spent = || if is_found.load(Relaxed) { Spent::ALL } else { effort.spent(steps) };
        let effort = match effort {
            Effort::Steps(_) => effort,
            Effort::Until(_) => Effort::Until(&spent),
        };
        let round = |(thread, search): (usize, &mut Option<Search<'d>>)| {
            let search = search.get_or_insert_with(|| new(thread));
            search.run.steps = steps;
            let found = search.round(&effort, (begin, end));
            is_found.fetch_or(found.is_some(), Relaxed);
            (search.run.steps, found)
        };
        let round = &round;
        let all: Vec<(u64, Option<Vec<u32>>)> = std::thread::scope(|scope| {
            let own = searches.iter_mut().enumerate();
            let threads: Vec<_> = own.map(|own| scope.spawn(move || round(own))).collect();
            let ended = threads.into_iter().map(|thread| thread.join());
            ended.map(|all| all.expect("invariant: a search does not panic")).collect()
        });
        self.steps = all.iter().map(|(steps, _)| *steps).max().unwrap_or(steps);
        all.into_iter().find_map(|(_, found)| found)
    }
}

/// One thread's searches for the same number of machines.
#[derive(Debug)]
struct Search<'a> {
    pool: Pool<'a>,
    run: Run<'a>,
    /// Where machines hold two or three each.
    pairs: Option<Pairs>,
    machines: usize,
    prices: Prices,
    /// Which of the two searches beside pairs comes first: with two threads both are at work then.
    cools_first: bool,
}

impl<'a> Search<'a> {
    /// From where they are `at`; those nowhere are placed by chance, where a machine may be overfull.
    fn new(dense: &'a Dense, at: &[u32], seed: u64, thread: usize) -> Self {
        let mut rng = Rng::new(seed, 1);
        let by_chance = |machine: &u32| match *machine {
            NOWHERE => rng.below(dense.machines) as u32,
            machine => machine,
        };
        let start: Vec<u32> = at.iter().map(by_chance).collect();
        let prices = Prices::level(dense, PRICE_OF_CAPACITY);
        let run = Run::new(dense, &start, Standing { cost: 0, breach: 0 }, prices.clone(), rng);
        Self {
            pool: Pool::new(dense, at),
            run,
            pairs: None,
            machines: dense.machines,
            prices,
            cools_first: thread % 2 == 1,
        }
    }

    /// Each search for a part of the round: where all are, when one has found that.
    fn round(&mut self, effort: &Effort<'_>, (begin, end): (f64, f64)) -> Option<Vec<u32>> {
        let mut begin = begin;
        if let Some(pairs) = &mut self.pairs {
            let middle = begin + (end - begin) * PAIRS_SHARE;
            let (rng, steps) = (&mut self.run.rng, &mut self.run.steps);
            if let Some(at) = pairs.search(self.machines, effort, rng, steps, middle) {
                return Some(at);
            }
            begin = middle;
        }
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

/// What share of the effort the first round takes, and the longest: each is twice as long as the one before. Where steps are counted
/// nobody ends it early, and so it is short.
const ROUND_MIN: f64 = 1.0 / 64.0;
const ROUND_OF_STEPS_MIN: f64 = 1.0 / 256.0;
const ROUND_MAX: f64 = 0.25;

/// Less than so many items a machine are a matter of pairs; and what share of a round they take.
const ITEMS_OF_PAIRS: usize = 3;
const PAIRS_SHARE: f64 = 0.5;

/// And what share of the rest goes to ejections: they find what is few and large sooner, cooling what is many and small.
const EJECTION_SHARE: f64 = 0.5;
