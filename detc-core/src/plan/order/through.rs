//! What changes next below the resources that are kept: order reaches through them.
//!
//! ```text
//!   changes ──▶ kept ──▶ kept ──▶ changes       what each kept one leads to is found out once,
//!   changes ──────┘        └────▶ changes       however many come after it
//! ```

use crate::model::{Map, Set, Topology};

/// What the kept resources that were asked about lead to. Linear in them and their edges.
#[derive(Debug)]
pub(super) struct Through<'a> {
    topology: &'a Topology,
    /// For each kept resource, by its index, a part of `lists`.
    known: Map<u32, Part>,
    lists: Vec<Lead>,
    /// Longer lists, each shared by all that lead to just that.
    junctions: Set<Box<[Lead]>>,
}

/// Where a way through kept resources leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Lead {
    /// To a resource that changes, by its index.
    Change(u32),
    /// To all of a list of [`Through::junctions`].
    Junction(u32),
}

/// A list within [`Through::lists`].
#[derive(Clone, Copy, Debug)]
struct Part {
    start: u32,
    len: u32,
}

/// Longest list that is written out for a kept resource, so that a long chain of kept ones, each of which comes after
/// one more that changes, does not take a list of each length.
const LIST_MAX: usize = 16;

impl<'a> Through<'a> {
    /// Nothing is found out yet.
    pub(super) fn new(topology: &'a Topology) -> Self {
        Self { topology, known: Map::default(), lists: Vec::new(), junctions: Set::default() }
    }

    /// Adds to `found` the resources that change, and that the one at `index` comes after: directly, or through some
    /// that are kept. Some may be added twice.
    pub(super) fn below(&mut self, index: u32, changes: impl Fn(u32) -> bool, found: &mut Vec<u32>) {
        let mut leads = Vec::new();
        for dependency in self.topology.dependencies(index) {
            if changes(*dependency) {
                found.push(*dependency);
            } else {
                leads.extend_from_slice(self.of(*dependency, &changes));
            }
        }
        let mut seen = Set::<u32>::default();
        while let Some(lead) = leads.pop() {
            match lead {
                Lead::Change(index) => found.push(index),
                Lead::Junction(at) if seen.insert(at) => {
                    leads.extend_from_slice(&self.junctions[at as usize]);
                }
                Lead::Junction(_) => {}
            }
        }
    }

    /// What the kept resource at `index` leads to.
    fn of(&mut self, index: u32, changes: &impl Fn(u32) -> bool) -> &[Lead] {
        // Depth first, with how many dependencies of each were looked at.
        let mut path = Vec::new();
        if !self.known.contains_key(&index) {
            path.push((index, 0));
        }
        while let Some((kept, looked_at)) = path.pop() {
            let dependencies = self.topology.dependencies(kept);
            let is_open = |index: &u32| !changes(*index) && !self.known.contains_key(index);
            match dependencies[looked_at..].iter().position(is_open) {
                Some(at) => path.extend([(kept, looked_at + at + 1), (dependencies[looked_at + at], 0)]),
                None => self.find_out(kept, changes),
            }
        }
        self.list(self.known[&index])
    }

    fn list(&self, part: Part) -> &[Lead] {
        &self.lists[part.start as usize..(part.start + part.len) as usize]
    }

    /// Notes what a kept resource leads to, once that is known of all that it comes after.
    fn find_out(&mut self, kept: u32, changes: &impl Fn(u32) -> bool) {
        let mut leads: Vec<Lead> = Vec::new();
        let mut longest = Part { start: 0, len: 0 };
        for dependency in self.topology.dependencies(kept) {
            if changes(*dependency) {
                leads.push(Lead::Change(*dependency));
                continue;
            }
            let part = self.known[dependency];
            leads.extend_from_slice(self.list(part));
            longest = if part.len > longest.len { part } else { longest };
        }
        leads.sort_unstable();
        leads.dedup();
        if leads.len() > LIST_MAX {
            let (at, _) = self.junctions.insert_full(leads.into());
            leads = vec![Lead::Junction(at as u32)];
        }
        let part = if self.list(longest) == leads {
            longest
        } else {
            let start = self.lists.len() as u32;
            self.lists.extend_from_slice(&leads);
            Part { start, len: leads.len() as u32 }
        };
        self.known.insert(kept, part);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::model::{Edge, EdgeKind, ResourceId};

    fn topology(len: u32, pairs: impl IntoIterator<Item = (u32, u32)>) -> Topology {
        let resources: Map<ResourceId, ()> =
            (0..len).map(|index| (ResourceId::new("value", &format!("v{index}")).unwrap(), ())).collect();
        let edge = |(dependent, dependency)| Edge { dependent, dependency, kind: EdgeKind::After };
        let edges: Vec<Edge> = pairs.into_iter().map(edge).collect();
        Topology::new(&resources, &edges).unwrap()
    }

    /// The same by a walk of its own.
    fn walked(topology: &Topology, index: u32, changes: &[bool]) -> BTreeSet<u32> {
        let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut stack = topology.dependencies(index).to_vec();
        while let Some(index) = stack.pop() {
            if changes[index as usize] {
                found.insert(index);
            } else if seen.insert(index) {
                stack.extend_from_slice(topology.dependencies(index));
            }
        }
        found
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_a_walk_finds(
            pairs in prop::collection::vec((0_u32..90, 0_u32..90), 0..400),
            changes in prop::collection::vec(prop::bool::weighted(0.4), 90),
        ) {
            let topology = topology(90, pairs.into_iter().filter(|(a, b)| a > b));
            let mut through = Through::new(&topology);
            for index in (0..90).rev() {
                let mut found = Vec::new();
                through.below(index, |index| changes[index as usize], &mut found);
                prop_assert_eq!(BTreeSet::from_iter(found), walked(&topology, index, &changes));
            }
        }
    }

    #[test]
    fn each_kept_resource_is_looked_at_once_however_many_come_after_it() {
        /// A chain of kept ones on two that change, and as many that change after its end.
        const LEN: u32 = 2_000;
        let chain = (2..LEN).map(|index| (index, index - 1)).chain([(2, 0)]);
        let after = (LEN..2 * LEN).map(|index| (index, LEN - 1));
        let topology = topology(2 * LEN, chain.chain(after));
        let mut through = Through::new(&topology);
        let looks = std::cell::Cell::new(0_u64);
        for index in LEN..2 * LEN {
            let mut found = Vec::new();
            let changes = |index: u32| {
                looks.set(looks.get() + 1);
                !(2..LEN).contains(&index)
            };
            through.below(index, changes, &mut found);
            found.sort_unstable();
            assert_eq!(found, [0, 1]);
        }
        assert!(looks.get() < 10 * u64::from(LEN), "{} looks at {} resources", looks.get(), 2 * LEN);
    }

    #[test]
    fn lists_do_not_grow_with_the_chain_that_gathers_them() {
        /// Each kept one comes after the one before it, and after three that change.
        const LEN: u32 = 2_000;
        let chain = (1..LEN).map(|index| (index, index - 1));
        let changes = (0..3 * LEN).map(|change| (change / 3, LEN + change));
        let topology = topology(4 * LEN, chain.chain(changes));
        let mut through = Through::new(&topology);
        let mut found = Vec::new();
        through.below(LEN - 1, |index| index >= LEN, &mut found);
        assert_eq!(found.len() as u32, 3 * LEN);
        let shared: usize = through.junctions.iter().map(|list| list.len()).sum();
        assert!(through.lists.len() + shared < (LIST_MAX + 4) * LEN as usize, "{}", through.lists.len());
    }
}
