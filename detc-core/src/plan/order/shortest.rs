//! The shortest loop, for the one who has to untie it.

use std::collections::VecDeque;

use crate::model::{Adjacency, Map, Set};

/// How many starting points are tried: a loop is an error to be shown, and the shortest of these is short enough.
const STARTS_MAX: usize = 2_000;

/// The shortest loop through any of the first of `stuck`, each of which is on a loop or after one: each member comes after
/// the next, and the last after the first. The search is breadth first, from each of them.
pub(super) fn shortest_loop(before: &Adjacency, stuck: &[u32]) -> Vec<u32> {
    let all: Set<u32> = stuck.iter().copied().collect();
    let mut best: Vec<u32> = Vec::new();
    for start in stuck.iter().take(STARTS_MAX) {
        if let Some(found) = loop_through(before, &all, *start)
            && (best.is_empty() || found.len() < best.len())
        {
            best = found;
        }
    }
    best
}

/// The shortest loop through `start`, beginning with it.
fn loop_through(before: &Adjacency, stuck: &Set<u32>, start: u32) -> Option<Vec<u32>> {
    let mut from: Map<u32, u32> = Map::default();
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for next in before.of(at) {
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
                queue.push_back(*next);
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
    fn the_shortest_of_all_loops_is_found_and_nothing_that_only_comes_after_it() {
        let long = [(0, 1), (1, 2), (2, 3), (3, 0)];
        assert_eq!(shortest(&long), [0, 1, 2, 3]);
        assert_eq!(shortest(&[&long[..], &[(4, 5), (5, 4), (6, 4), (7, 6)]].concat()), [4, 5]);
        assert_eq!(shortest(&[&long[..], &[(2, 0)]].concat()), [0, 1, 2]);
    }
}
