//! Relief for every harm along a sequence, from whoever makes it wait the least.

use std::collections::{BTreeMap, BTreeSet};

use super::AddedEdge;
use crate::plan::proof::between::Sides;
use crate::plan::proof::{Order, Question, Scale, sides};

/// How many predecessors are looked at for relief that costs no edge. More would find a little more in plans whose
/// long chains give back what their far ends take, at a cost for each action.
const NEAR_MAX: usize = 100;

/// What one question has left to give.
#[derive(Debug)]
struct Pool {
    sides: Sides,
    /// Room from the beginning.
    initial: i128,
    /// Unused relief of ended actions: by rank, how deep the action is and how much is left.
    left: BTreeMap<u32, (u32, i128)>,
    /// The same, by depth.
    by_depth: BTreeSet<(u32, u32)>,
}

/// The edges along which each harm gets its relief; their questions are places in `questions`. `sequence` keeps all
/// bounds when its nodes go one at a time.
pub(super) fn cover(order: &Order, questions: &[Question<'_>], sequence: &[u32]) -> Vec<AddedEdge> {
    let mut pools: Vec<Pool> = questions
        .iter()
        .map(|question| Pool {
            sides: sides(order, question),
            initial: Scale::of(question).room,
            left: BTreeMap::new(),
            by_depth: BTreeSet::new(),
        })
        .collect();
    let mut touched: Vec<Vec<usize>> = vec![Vec::new(); order.nodes() as usize];
    for (place, question) in questions.iter().enumerate() {
        for effect in question.effects {
            let touched = &mut touched[order.rank(effect.action) as usize];
            if touched.last() != Some(&place) {
                touched.push(place);
            }
        }
    }
    // How many nodes must have ended before a node starts, on the longest path; new edges included.
    let mut depth = vec![0_u32; order.nodes() as usize];
    // The ends of new edges, by where they lead.
    let mut new: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut added = Vec::new();
    for &rank in sequence {
        let before = order.before(rank).iter().map(|&before| depth[before as usize] + 1);
        let mut at = before.max().unwrap_or_default();
        let mut near: Option<Vec<u32>> = None;
        for &place in &touched[rank as usize] {
            let pool = &mut pools[place];
            let (start, end) = (pool.sides.harm(2 * rank), pool.sides.harm(2 * rank + 1));
            // An end may use what its own start gave.
            let wanted = start.max(0) + (end.max(0) + start.min(0)).max(0);
            let given = (-start).max(0) + (-end).max(0) - (-start).max(0).min(end.max(0));
            if wanted > 0 {
                let near = near.get_or_insert_with(|| near_before(order, &new, rank));
                for before in pool.take(wanted, near, at) {
                    at = at.max(depth[before as usize] + 1);
                    let chosen = new.entry(rank).or_default();
                    if !chosen.contains(&before) {
                        chosen.push(before);
                        near.push(before);
                        if let (Some(before), Some(after)) = (order.action(before), order.action(rank)) {
                            added.push(AddedEdge { before, after, question: place });
                        }
                    }
                }
            }
            if given > 0 {
                pool.left.insert(rank, (0, given));
            }
        }
        depth[rank as usize] = at;
        for &place in &touched[rank as usize] {
            let pool = &mut pools[place];
            if let Some(left) = pool.left.get_mut(&rank) {
                left.0 = at;
                pool.by_depth.insert((at, rank));
            }
        }
    }
    added
}

impl Pool {
    /// Takes so much: from nodes that come before anyhow, then from the beginning, then from the deepest node that is
    /// no deeper than waiting costs nothing, then from the least deep. Gives the nodes to wait for.
    fn take(&mut self, mut wanted: i128, near: &[u32], depth: u32) -> Vec<u32> {
        for &before in near {
            wanted -= self.take_from(before, wanted);
        }
        let free = wanted.min(self.initial);
        self.initial -= free;
        wanted -= free;
        let mut waits = Vec::new();
        while wanted > 0 {
            let shallow = self.by_depth.range(..(depth, 0)).next_back();
            let Some(&(_, before)) = shallow.or_else(|| self.by_depth.first()) else { break };
            wanted -= self.take_from(before, wanted);
            waits.push(before);
        }
        debug_assert_eq!(wanted, 0, "the sequence keeps the bound");
        waits
    }

    fn take_from(&mut self, rank: u32, wanted: i128) -> i128 {
        let Some((depth, left)) = self.left.get_mut(&rank) else { return 0 };
        let taken = wanted.min(*left);
        *left -= taken;
        if *left == 0 {
            self.by_depth.remove(&(*depth, rank));
            self.left.remove(&rank);
        }
        taken
    }
}

/// Some nodes that end before `rank` starts, nearest first.
fn near_before(order: &Order, new: &BTreeMap<u32, Vec<u32>>, rank: u32) -> Vec<u32> {
    let mut seen = BTreeSet::new();
    let mut found = vec![rank];
    let mut next = 0;
    while let Some(&node) = found.get(next) {
        next += 1;
        for &before in order.before(node).iter().chain(new.get(&node).into_iter().flatten()) {
            if found.len() <= NEAR_MAX && seen.insert(before) {
                found.push(before);
            }
        }
    }
    found.remove(0);
    found
}
