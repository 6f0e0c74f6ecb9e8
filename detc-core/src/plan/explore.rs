//! The states that a plan can come to, one after the other: all of them where they are few, some where they are not.
//!
//! The events that have occurred are a set closed under the plan's order, an *order ideal*, and each ideal can come about. Each
//! is made exactly once, by adding events in ascending order (after G. Steiner, "An algorithm to generate the ideals of a partial
//! order", Operations Research Letters 5, 1986). How many there are is hard to say in general (J. S. Provan and M. O. Ball, "The
//! complexity of counting cuts", SIAM Journal on Computing 12, 1983), and is a product over parts that do not depend on
//! each other.
//!
//! Where they are too many, whole runs are drawn. Every second run takes each next event evenly from those that can occur; the
//! others go by a priority of each event, drawn anew for each run, which reaches far states such as "all that could be away
//! is" (S. Burckhardt, P. Kothari, M. Musuvathi, S. Nagarakatte, "A randomized scheduler with probabilistic guarantees of
//! finding bugs", ASPLOS 2010). Before them come the run that takes away first and the one that makes first.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// More states than this are not told apart, so that every reader of JSON reads the number as it is.
const COUNT_MAX: u64 = 1_000_000_000_000_000;

/// How many candidates a walk over all states keeps in memory at most.
const KEPT_MAX: usize = 4_000_000;

/// What random draws begin with.
pub(super) const SEED: u64 = 1;

/// Events, each of which occurs after those that it names, all of smaller number.
#[derive(Clone, Debug, Default)]
pub(super) struct Poset {
    before: Vec<Vec<u32>>,
    after: Vec<Vec<u32>>,
}

/// Goes along.
pub(super) trait Walk {
    /// An event occurs.
    fn occur(&mut self, event: u32);
    /// The last event has not occurred.
    fn undo(&mut self, event: u32);
    /// A state has been reached.
    fn look(&mut self);
}

/// How many states there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// So many.
    Exactly(u64),
    /// So many, or more: they were not counted to the end.
    AtLeast(u64),
}

/// What an event does, for those that look for trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    TakesAway,
    Makes,
    Neither,
}

impl Poset {
    pub(super) fn new(before: Vec<Vec<u32>>) -> Self {
        let mut after = vec![Vec::new(); before.len()];
        for (event, before) in (0_u32..).zip(&before) {
            for &before in before {
                after[before as usize].push(event);
            }
        }
        Self { before, after }
    }

    fn waits(&self) -> Vec<u32> {
        self.before.iter().map(|before| before.len() as u32).collect()
    }

    fn first(&self) -> Vec<u32> {
        (0..self.before.len() as u32).filter(|&event| self.before[event as usize].is_empty()).collect()
    }

    /// Reaches each state once, the empty one first; or stops when there are more than `max`, or they take too much memory.
    /// How many were reached, and whether these are all.
    pub(super) fn each_state(&self, max: u64, walk: &mut impl Walk) -> (u64, bool) {
        struct Frame {
            event: Option<u32>,
            /// What may be added here: ascending, all greater than the event.
            candidates: Vec<u32>,
            next: usize,
        }
        let mut waits = self.waits();
        let (mut states, mut kept, mut is_all) = (1, 0, true);
        walk.look();
        let mut frames = vec![Frame { event: None, candidates: self.first(), next: 0 }];
        while let Some(frame) = frames.last_mut() {
            let Some(&event) = frame.candidates.get(frame.next).filter(|_| is_all) else {
                kept -= frame.candidates.len().min(kept);
                if let Some(event) = frame.event {
                    for &after in &self.after[event as usize] {
                        waits[after as usize] += 1;
                    }
                    walk.undo(event);
                }
                frames.pop();
                continue;
            };
            if states == max || kept > KEPT_MAX {
                is_all = false;
                continue;
            }
            frame.next += 1;
            let mut candidates = frame.candidates[frame.next..].to_vec();
            for &after in &self.after[event as usize] {
                waits[after as usize] -= 1;
                if waits[after as usize] == 0 {
                    candidates.push(after);
                }
            }
            candidates.sort_unstable();
            kept += candidates.len();
            states += 1;
            walk.occur(event);
            walk.look();
            frames.push(Frame { event: Some(event), candidates, next: 0 });
        }
        (states, is_all)
    }

    /// How many states there are: exactly, where no part has more than `max`.
    pub(super) fn count(&self, max: u64) -> Count {
        let (mut product, mut is_exact) = (1_u64, true);
        for part in self.parts() {
            let (states, is_all) = part.each_state(max, &mut Nowhere);
            product = product.saturating_mul(states);
            is_exact &= is_all;
            if product >= COUNT_MAX {
                return Count::AtLeast(COUNT_MAX);
            }
        }
        if is_exact { Count::Exactly(product) } else { Count::AtLeast(product) }
    }

    /// The parts that do not depend on each other.
    fn parts(&self) -> Vec<Self> {
        let mut root: Vec<u32> = (0..self.before.len() as u32).collect();
        fn find(root: &mut [u32], mut at: u32) -> u32 {
            while root[at as usize] != at {
                root[at as usize] = root[root[at as usize] as usize];
                at = root[at as usize];
            }
            at
        }
        for (event, before) in (0_u32..).zip(&self.before) {
            for &before in before {
                let (one, other) = (find(&mut root, event), find(&mut root, before));
                root[one as usize] = other;
            }
        }
        let mut members: std::collections::BTreeMap<u32, Vec<u32>> = std::collections::BTreeMap::new();
        let mut place = vec![0_u32; self.before.len()];
        for event in 0..self.before.len() as u32 {
            let part = members.entry(find(&mut root, event)).or_default();
            place[event as usize] = part.len() as u32;
            part.push(event);
        }
        let own =
            |event: &u32| self.before[*event as usize].iter().map(|before| place[*before as usize]).collect();
        members.into_values().map(|part| Self::new(part.iter().map(own).collect())).collect()
    }

    /// Draws runs until about `looks` states were reached, the same ones counted again; how many runs.
    pub(super) fn sample(&self, does: &[Does], looks: u64, walk: &mut impl Walk) -> u32 {
        // Even of a plan that is longer than that some runs are worth it.
        const RUNS_MIN: u64 = 16;
        let events = self.before.len() as u64;
        let runs = (looks / (events + 1)).max(RUNS_MIN) as u32;
        // Of a long run only some of the states are looked at.
        let stride = (u64::from(runs) * (events + 1)).div_ceil(looks.max(1)).max(1);
        let mut random = Random(SEED);
        for run in 0..runs {
            let order = match run {
                0 => Draw::Keys(does.iter().map(|does| u64::from(*does != Does::TakesAway)).collect()),
                1 => Draw::Keys(does.iter().map(|does| u64::from(*does != Does::Makes)).collect()),
                _ if run % 2 == 0 => Draw::Keys(does.iter().map(|_| random.next()).collect()),
                _ => Draw::Evenly,
            };
            self.run(&order, &mut random, stride, walk);
        }
        runs
    }

    /// One run from the empty state to the end, and back.
    fn run(&self, draw: &Draw, random: &mut Random, stride: u64, walk: &mut impl Walk) {
        let mut waits = self.waits();
        let mut even = if matches!(draw, Draw::Evenly) { self.first() } else { Vec::new() };
        let key =
            |event: u32| if let Draw::Keys(keys) = draw { (keys[event as usize], event) } else { (0, event) };
        let mut keyed: BTreeSet<(u64, u32)> = match draw {
            Draw::Evenly => BTreeSet::new(),
            Draw::Keys(_) => self.first().into_iter().map(key).collect(),
        };
        let mut done = Vec::with_capacity(self.before.len());
        walk.look();
        loop {
            let next = match draw {
                Draw::Evenly if even.is_empty() => None,
                Draw::Evenly => Some(even.swap_remove(random.below(even.len() as u64) as usize)),
                Draw::Keys(_) => keyed.pop_first().map(|(_, event)| event),
            };
            let Some(event) = next else { break };
            walk.occur(event);
            done.push(event);
            if random.below(stride) == 0 {
                walk.look();
            }
            for &after in &self.after[event as usize] {
                waits[after as usize] -= 1;
                if waits[after as usize] == 0 {
                    match draw {
                        Draw::Evenly => even.push(after),
                        Draw::Keys(_) => _ = keyed.insert(key(after)),
                    }
                }
            }
        }
        for event in done.into_iter().rev() {
            walk.undo(event);
        }
    }

    /// Whether a set, ascending, is still closed without its member `event`.
    pub(super) fn is_latest(&self, event: u32, set: &[u32]) -> bool {
        self.after[event as usize].iter().all(|after| set.binary_search(after).is_err())
    }
}

/// How the next event of a run is found.
enum Draw {
    /// Evenly among those that can occur.
    Evenly,
    /// By the smallest of these keys.
    Keys(Vec<u64>),
}

/// Looks at nothing.
struct Nowhere;

impl Walk for Nowhere {
    fn occur(&mut self, _: u32) {}
    fn undo(&mut self, _: u32) {}
    fn look(&mut self) {}
}

/// SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[cfg(test)]
mod tests;
