//! The shortest loop, for the one who has to untie it.

use std::collections::VecDeque;

use super::Adjacency;
use crate::model::{Map, Set};

/// How many steps are taken in all to find a shorter one: a loop is an error to be shown, and the shortest that is found
/// within these is short enough.
const STEPS_MAX: usize = 4_000_000;

/// The shortest loop through any of the first of `stuck`, each of which is on a loop or after one: each member comes after
/// the next, and the last after the first. The search is breadth first, from each of them, and no further than the shortest
/// so far.
pub(crate) fn shortest_loop(before: &Adjacency, stuck: &[u32]) -> Vec<u32> {
    let all: Set<u32> = stuck.iter().copied().collect();
    let Some(on_one) = stuck.first().map(|first| on_a_loop(before, &all, *first)) else { return Vec::new() };
    let mut steps = usize::MAX;
    let mut best = loop_through(before, &all, on_one, usize::MAX, &mut steps).unwrap_or_default();
    steps = STEPS_MAX;
    for start in stuck {
        if let Some(found) = loop_through(before, &all, *start, best.len().saturating_sub(1), &mut steps) {
            best = found;
        }
    }
    best
}

/// One that is on a loop: from what is on one or after one, any way back ends there.
fn on_a_loop(before: &Adjacency, stuck: &Set<u32>, from: u32) -> u32 {
    let (mut met, mut at) = (Set::default(), from);
    while met.insert(at) {
        at = before.of(at).iter().copied().find(|it| stuck.contains(it)).unwrap_or(at);
    }
    at
}

/// The shortest loop through `start`, beginning with it, of no more than `len_max` members; `steps` are used up.
fn loop_through(
    before: &Adjacency,
    stuck: &Set<u32>,
    start: u32,
    len_max: usize,
    steps: &mut usize,
) -> Option<Vec<u32>> {
    let mut from: Map<u32, u32> = Map::default();
    let mut queue = VecDeque::from([(start, 1)]);
    while let Some((at, len)) = queue.pop_front() {
        if len > len_max {
            return None;
        }
        for next in before.of(at) {
            *steps = steps.checked_sub(1)?;
            if *next == start {
                let mut path = vec![at];
                while let Some(last) = path.last().filter(|last| **last != start) {
                    path.push(from[last]);
                }
                path.reverse();
                return Some(path);
            }
            if stuck.contains(next) && !from.contains_key(next) {
                from.insert(*next, at);
                queue.push_back((*next, len + 1));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shortest(after_before: &[(u32, u32)]) -> Vec<u32> {
        let before = Adjacency::new(8, after_before.iter().copied());
        shortest_loop(&before, &(0..8).collect::<Vec<u32>>())
    }

    #[test]
    fn a_loop_that_nothing_shorter_is_found_for_in_time_is_told_all_the_same() {
        // A ring, and before it, in the order of the search, all that only comes after it.
        let (after, ring) = (3_000_u32, 3_000_u32);
        let chain = (0..after).map(|at| (at, at + 1));
        let ring = (0..ring).map(|at| (after + at, after + (at + 1) % ring));
        let before = Adjacency::new(6_000, chain.chain(ring));
        let found = shortest_loop(&before, &(0..6_000).collect::<Vec<u32>>());
        assert_eq!(found.len(), 3_000);
    }

    #[test]
    fn the_shortest_of_all_loops_is_found_and_nothing_that_only_comes_after_it() {
        let long = [(0, 1), (1, 2), (2, 3), (3, 0)];
        assert_eq!(shortest(&long), [0, 1, 2, 3]);
        assert_eq!(shortest(&[&long[..], &[(4, 5), (5, 4), (6, 4), (7, 6)]].concat()), [4, 5]);
        assert_eq!(shortest(&[&long[..], &[(2, 0)]].concat()), [0, 1, 2]);
    }
}
