//! One order of all actions, one at a time, in which every bound holds.
//!
//! An action that fits now and leaves no question worse off is done at once: whatever order there is, it can be moved
//! to the front of it. Only the others have to be tried out, depth first; a set of done actions that led nowhere is
//! not entered again.

use std::collections::BTreeSet;

use crate::plan::proof::{Order, Question, Scale, sides};

/// How much is looked at before the search gives up, in nodes: a second or two. All sets of fifteen unordered actions
/// are within it; what is larger and needs that much trying out is for a person to order.
const WORK_MAX: usize = 20_000_000;

/// What came of a search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The ranks of all nodes in such an order.
    Sequence(Vec<u32>),
    /// There is none.
    None,
    /// There may be one.
    GaveUp {
        /// How many choices were made.
        steps: usize,
    },
}

/// What a node does to a question.
#[derive(Clone, Copy, Debug)]
struct Harm {
    question: usize,
    /// The most harm while it goes on and when it is done, beyond what was before it.
    peak: i128,
    /// The harm when it is done.
    net: i128,
}

/// Finds an order of all nodes in which each question's bound holds before, between and during them.
pub(super) fn sequence(order: &Order, questions: &[Question<'_>]) -> Found {
    let mut search = Search::new(order, questions);
    let mut entered: BTreeSet<u128> = BTreeSet::new();
    // For each choice: how long the sequence was, and the first rank that was not tried there.
    let mut choices: Vec<(usize, u32)> = Vec::new();
    let mut steps = 0;
    loop {
        search.advance();
        if search.done.len() == order.nodes() as usize {
            return Found::Sequence(search.done);
        }
        // Whoever comes here again knows already that it leads nowhere.
        if entered.insert(search.set) {
            choices.push((search.done.len(), 0));
        }
        loop {
            let Some((length, untried)) = choices.last_mut() else { return Found::None };
            search.back_to(*length);
            if let Some(rank) = search.option(*untried) {
                *untried = rank + 1;
                search.go(rank);
                break;
            }
            choices.pop();
        }
        steps += 1;
        if search.work > WORK_MAX {
            return Found::GaveUp { steps };
        }
    }
}

#[derive(Debug)]
struct Search<'a> {
    order: &'a Order,
    harms: Vec<Vec<Harm>>,
    /// How much more harm each question bears.
    room: Vec<i128>,
    /// How many nodes each one still waits for.
    waits: Vec<u32>,
    ready: BTreeSet<u32>,
    /// Ready nodes that may fit by now and were not looked at since.
    fresh: BTreeSet<u32>,
    /// For each question: ready nodes that leave no question worse off and do not fit there, by their peak.
    blocked: Vec<BTreeSet<(i128, u32)>>,
    done: Vec<u32>,
    /// Stands for the set of done nodes: the exclusive or of a number for each (Zobrist 1970). That two of the sets
    /// of one search share it is less likely than 2⁻⁷⁰.
    set: u128,
    /// Nodes looked at so far.
    work: usize,
}

impl<'a> Search<'a> {
    fn new(order: &'a Order, questions: &[Question<'_>]) -> Self {
        let nodes = order.nodes();
        let mut harms = vec![Vec::new(); nodes as usize];
        for (place, question) in questions.iter().enumerate() {
            let sides = sides(order, question);
            let ranks: BTreeSet<u32> =
                question.effects.iter().map(|effect| order.rank(effect.action)).collect();
            for rank in ranks {
                let (start, net) = (sides.harm(2 * rank), sides.harm(2 * rank) + sides.harm(2 * rank + 1));
                harms[rank as usize].push(Harm { question: place, peak: start.max(net), net });
            }
        }
        let waits: Vec<u32> = (0..nodes).map(|rank| order.before(rank).len() as u32).collect();
        let ready: BTreeSet<u32> = (0..nodes).filter(|&rank| waits[rank as usize] == 0).collect();
        Self {
            order,
            harms,
            room: questions.iter().map(|question| Scale::of(question).room).collect(),
            waits,
            fresh: ready.clone(),
            ready,
            blocked: vec![BTreeSet::new(); questions.len()],
            done: Vec::new(),
            set: 0,
            work: 0,
        }
    }

    /// Does all that fits and leaves no question worse off.
    fn advance(&mut self) {
        while let Some(rank) = self.fresh.pop_first() {
            self.work += 1;
            if self.harms[rank as usize].iter().any(|harm| harm.net > 0) {
                continue;
            }
            let tight = self.harms[rank as usize].iter().find(|harm| harm.peak > self.room[harm.question]);
            match tight.copied() {
                Some(harm) => {
                    self.blocked[harm.question].insert((harm.peak, rank));
                }
                None => self.go(rank),
            }
        }
    }

    /// The first ready node from a rank on that could go next.
    fn option(&mut self, from: u32) -> Option<u32> {
        let Self { ready, harms, room, work, .. } = self;
        ready.range(from..).copied().find(|&rank| {
            *work += 1;
            harms[rank as usize].iter().all(|harm| harm.peak <= room[harm.question])
        })
    }

    fn go(&mut self, rank: u32) {
        self.ready.remove(&rank);
        self.done.push(rank);
        self.set ^= number(rank);
        for &Harm { question, net, .. } in &self.harms[rank as usize] {
            self.room[question] -= net;
            while let Some(&(peak, waiting)) = self.blocked[question].first()
                && peak <= self.room[question]
            {
                self.blocked[question].pop_first();
                self.fresh.insert(waiting);
            }
        }
        for &after in self.order.after(rank) {
            self.waits[after as usize] -= 1;
            if self.waits[after as usize] == 0 {
                self.ready.insert(after);
                self.fresh.insert(after);
            }
        }
    }

    fn back_to(&mut self, length: usize) {
        if self.done.len() == length {
            return;
        }
        while self.done.len() > length
            && let Some(rank) = self.done.pop()
        {
            self.work += 1;
            self.set ^= number(rank);
            for harm in &self.harms[rank as usize] {
                self.room[harm.question] += harm.net;
            }
            for &after in self.order.after(rank) {
                self.ready.remove(&after);
                self.waits[after as usize] += 1;
            }
            self.ready.insert(rank);
        }
        self.blocked.iter_mut().for_each(BTreeSet::clear);
        self.fresh.clone_from(&self.ready);
        self.advance();
    }
}

/// A number for each rank that looks like any other (two of SplitMix64: Steele, Lea and Flood 2014).
fn number(rank: u32) -> u128 {
    let mix = |seed: u64| {
        let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    u128::from(mix(2 * u64::from(rank) + 1)) << 64 | u128::from(mix(2 * u64::from(rank) + 2))
}
