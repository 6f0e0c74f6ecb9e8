//! One order of all actions, one at a time, in which every bound holds.
//!
//! An action that fits now and leaves no question worse off is done at once: whatever order there is, it can be moved
//! to the front of it. Only the others have to be tried out, depth first; a set of done actions that led nowhere is
//! not entered again.
//!
//! Which of them is tried first is learnt from dead ends: what follows a choice and does not fit tells who would have to
//! give way, and that one is tried next (after the conflict-driven orders of Boussemart, Hemery, Lecoutre and Sais,
//! "Boosting systematic search by weighting constraints", ECAI 2004). A row of moves, each into the place that the next one
//! leaves, is found from its free end in as many tries as it has members, whatever they are called.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::plan::proof::{Order, Question, Scale, sides};

/// How much is looked at before the search gives up, in nodes: a second or two. All sets of fifteen unordered actions
/// are within it; what is larger and needs that much trying out is for a person to order.
const WORK_MAX: usize = 20_000_000;

/// How many nodes are looked at on each side of what does not fit: it is only for what is tried first.
const NEAR_MAX: usize = 64;

/// What came of a search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The ranks of all nodes in such an order.
    Sequence(Vec<u32>),
    /// There is none.
    None {
        /// The ranks that were done in the dead end that came farthest.
        done: Vec<u32>,
    },
    /// There may be one.
    GaveUp {
        /// How many choices were made.
        steps: usize,
    },
}

/// What a node does to a question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Harm {
    pub(super) question: usize,
    /// The most harm while it goes on and when it is done, beyond what was before it.
    pub(super) peak: i128,
    /// The harm when it is done.
    pub(super) net: i128,
}

/// Finds an order of all nodes in which each question's bound holds before, between and during them.
pub(super) fn sequence(order: &Order, questions: &[Question<'_>]) -> Found {
    sequence_within(order, questions, &mut { WORK_MAX })
}

/// The same, with so much work, of which it takes what it needs.
pub(super) fn sequence_within(order: &Order, questions: &[Question<'_>], work: &mut usize) -> Found {
    let mut search = Search::new(order, questions);
    let mut entered: BTreeSet<u128> = BTreeSet::new();
    // For each choice: how long the sequence was, and what was tried there.
    let mut choices: Vec<(usize, BTreeSet<u32>)> = Vec::new();
    let mut farthest: Option<Vec<u32>> = None;
    let mut steps = 0;
    let found = loop {
        search.advance();
        if search.done.len() == order.nodes() as usize {
            break Found::Sequence(std::mem::take(&mut search.done));
        }
        // Whoever comes here again knows already that it leads nowhere.
        if entered.insert(search.set) {
            choices.push((search.done.len(), BTreeSet::new()));
        }
        let went_on = loop {
            let Some((length, tried)) = choices.last_mut() else { break false };
            search.back_to(*length);
            if let Some(rank) = search.option(tried) {
                tried.insert(rank);
                search.go(rank);
                break true;
            }
            if tried.is_empty() {
                if farthest.as_ref().is_none_or(|farthest| farthest.len() < search.done.len()) {
                    farthest = Some(search.done.clone());
                }
                let begun = choices.iter().rev().nth(1).map(|(length, _)| *length);
                search.learn(begun);
            }
            choices.pop();
        };
        if !went_on {
            break Found::None { done: farthest.unwrap_or_default() };
        }
        steps += 1;
        if search.work > *work {
            break Found::GaveUp { steps };
        }
    };
    *work = work.saturating_sub(search.work);
    found
}

/// What each node does to each question.
pub(super) fn harms(order: &Order, questions: &[Question<'_>]) -> Vec<Vec<Harm>> {
    let mut harms = vec![Vec::new(); order.nodes() as usize];
    for (place, question) in questions.iter().enumerate() {
        let sides = sides(order, question);
        let ranks: BTreeSet<u32> = question.effects.iter().map(|effect| order.rank(effect.action)).collect();
        for rank in ranks {
            let (start, net) = (sides.harm(2 * rank), sides.harm(2 * rank) + sides.harm(2 * rank + 1));
            harms[rank as usize].push(Harm { question: place, peak: start.max(net), net });
        }
    }
    harms
}

/// For each node that could go next, when all is done that leaves no question worse off: for lack of room in which question it
/// can not, or what follows it can not, and which of the others would have to go before that.
pub(super) fn needs_first(order: &Order, questions: &[Question<'_>]) -> BTreeMap<u32, (usize, Vec<u32>)> {
    let mut search = Search::new(order, questions);
    search.advance();
    let (begun, ready) = (search.done.len(), search.ready.iter().map(|&(_, rank)| rank).collect::<Vec<_>>());
    let mut needs = BTreeMap::new();
    for rank in ready {
        let mut tight = search.tight(rank);
        if tight.is_empty() {
            search.go(rank);
            search.advance();
            tight = search.tight_after(begun);
            search.back_to(begun);
        }
        if let Some(first) = tight.into_iter().next() {
            needs.insert(rank, first);
        }
        if search.work > WORK_MAX {
            break;
        }
    }
    needs
}

#[derive(Debug)]
struct Search<'a> {
    order: &'a Order,
    harms: Vec<Vec<Harm>>,
    /// How much more harm each question bears.
    room: Vec<i128>,
    /// How many nodes each one still waits for.
    waits: Vec<u32>,
    /// Those that wait for none, each by how urgent it is.
    ready: BTreeSet<(Reverse<u32>, u32)>,
    /// How urgent each node is: the later it was learnt that others need it, the more.
    urgency: Vec<u32>,
    /// How often something was learnt.
    lessons: u32,
    /// The nodes that leave each question better off.
    givers: Vec<Vec<u32>>,
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
        let harms = harms(order, questions);
        let mut givers = vec![Vec::new(); questions.len()];
        for (rank, harms) in (0_u32..).zip(&harms) {
            for harm in harms.iter().filter(|harm| harm.net < 0) {
                givers[harm.question].push(rank);
            }
        }
        let waits: Vec<u32> = (0..nodes).map(|rank| order.before(rank).len() as u32).collect();
        let free: BTreeSet<u32> = (0..nodes).filter(|&rank| waits[rank as usize] == 0).collect();
        Self {
            order,
            harms,
            room: questions.iter().map(|question| Scale::of(question).room).collect(),
            waits,
            ready: free.iter().map(|&rank| (Reverse(0), rank)).collect(),
            fresh: free,
            urgency: vec![0; nodes as usize],
            lessons: 0,
            givers,
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

    /// The most urgent ready node that could go next, and was not tried.
    fn option(&mut self, tried: &BTreeSet<u32>) -> Option<u32> {
        let Self { ready, harms, room, work, .. } = self;
        ready.iter().map(|&(_, rank)| rank).find(|rank| {
            *work += 1;
            !tried.contains(rank) && harms[*rank as usize].iter().all(|harm| harm.peak <= room[harm.question])
        })
    }

    /// Nothing fits any more. What follows what was done last, and does not fit, shows who has to give way before that: they
    /// are more urgent from now on. `begun`: how long the sequence was before the last choice.
    fn learn(&mut self, begun: Option<usize>) {
        let Some(begun) = begun else { return };
        let urgent: Vec<u32> = self.tight_after(begun).into_iter().flat_map(|(_, givers)| givers).collect();
        for rank in urgent.into_iter().rev() {
            self.lessons += 1;
            if self.ready.remove(&(Reverse(self.urgency[rank as usize]), rank)) {
                self.urgency[rank as usize] = self.lessons;
                self.ready.insert((Reverse(self.lessons), rank));
            }
        }
    }

    /// What follows what was done from `begun` on and does not fit: for which question, and which ready nodes lead to room
    /// there.
    fn tight_after(&self, begun: usize) -> Vec<(usize, Vec<u32>)> {
        let done = self.done[begun..].iter().take(NEAR_MAX);
        let next = done.flat_map(|&last| self.order.after(last).iter().take(NEAR_MAX));
        next.flat_map(|&next| self.tight(next)).collect()
    }

    /// For which questions a node does not fit, and which ready nodes lead to room there.
    fn tight(&self, rank: u32) -> Vec<(usize, Vec<u32>)> {
        let tight = self.harms[rank as usize].iter().filter(|harm| harm.peak > self.room[harm.question]);
        let givers = |question: usize| {
            self.givers[question].iter().filter_map(|&giver| self.first_of(giver)).take(NEAR_MAX).collect()
        };
        tight.map(|harm| (harm.question, givers(harm.question))).collect()
    }

    /// A ready node without which `rank` can not go; none when that is done, or too far away.
    fn first_of(&self, mut rank: u32) -> Option<u32> {
        for _ in 0..NEAR_MAX {
            if self.ready.contains(&(Reverse(self.urgency[rank as usize]), rank)) {
                return Some(rank);
            }
            let before = self.order.before(rank).iter();
            rank = *before.rev().find(|&&before| {
                self.waits[before as usize] > 0
                    || self.ready.contains(&(Reverse(self.urgency[before as usize]), before))
            })?;
        }
        None
    }

    fn go(&mut self, rank: u32) {
        self.ready.remove(&(Reverse(self.urgency[rank as usize]), rank));
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
                self.ready.insert((Reverse(self.urgency[after as usize]), after));
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
                self.ready.remove(&(Reverse(self.urgency[after as usize]), after));
                self.waits[after as usize] += 1;
            }
            self.ready.insert((Reverse(self.urgency[rank as usize]), rank));
        }
        self.blocked.iter_mut().for_each(BTreeSet::clear);
        self.fresh = self.ready.iter().map(|&(_, rank)| rank).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_has_two_numbers_as_published() {
        // The first four of SplitMix64 from 0.
        assert_eq!(number(0), 0xe220_a839_7b1d_cdaf_6e78_9e6a_a1b9_65f4);
        assert_eq!(number(1), 0x06c4_5d18_8009_454f_f88b_b8a8_724c_81ec);
    }
}
