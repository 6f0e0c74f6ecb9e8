//! Who may run now: ready actions by priority, under limits.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// How many actions may be at work at once. Each limit has a default with a reason, and can be set.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// In all. Default 16: enough to hide the waiting of commands and connections, few enough that a mistake is seen
    /// before it is everywhere.
    pub global: usize,
    /// On one host. Default 12: a machine has its own work to do. Of commands by SSH eight run at once, and the others wait for them.
    pub per_host: usize,
    /// Among the resources that have one label `key=value`. None by default.
    pub per_label: BTreeMap<(String, String), usize>,
    /// How many resources are looked at at once. Default 8,192: a look is a few KiB of memory until its host has answered.
    pub looks: usize,
    /// How many of them on one host. Default 1,024: what is asked together shares its round trips, so that a host of a thousand
    /// resources is known after as many as one of ten. A host that hangs leaves places for seven others.
    pub looks_per_host: usize,
    /// How many hosts are connected to at once. Default 64: each has a handshake to compute, and no server of a thousand
    /// likes to be met by all of them in the same moment.
    pub connects: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            global: 16,
            per_host: 12,
            per_label: BTreeMap::new(),
            looks: 8192,
            looks_per_host: 1024,
            connects: 64,
        }
    }
}

impl Limits {
    /// Sets how many may be at work in all.
    #[must_use]
    pub fn with_global(mut self, limit: usize) -> Self {
        self.global = limit;
        self
    }

    /// Sets how many may be at work on one host.
    #[must_use]
    pub fn with_per_host(mut self, limit: usize) -> Self {
        self.per_host = limit;
        self
    }

    /// Sets how many may be at work among the resources with the label `key=value`.
    #[must_use]
    pub fn with_per_label(mut self, key: &str, value: &str, limit: usize) -> Self {
        self.per_label.insert((key.to_owned(), value.to_owned()), limit);
        self
    }

    /// Sets how many resources are looked at at once, in all and on one host.
    #[must_use]
    pub fn with_looks(mut self, in_all: usize, per_host: usize) -> Self {
        (self.looks, self.looks_per_host) = (in_all, per_host);
        self
    }

    /// Sets how many hosts are connected to at once.
    #[must_use]
    pub fn with_connects(mut self, limit: usize) -> Self {
        self.connects = limit;
        self
    }
}

/// What is ready to be done, and the slots it needs.
#[derive(Debug)]
pub(super) struct Slots {
    free: usize,
    groups: Vec<Group>,
    /// The groups of each action.
    member: Vec<Box<[u32]>>,
    ready: BinaryHeap<Entry>,
}

/// Actions that have begun come first, then those with the longest path behind them, then the order of the plan.
type Entry = (bool, u32, Reverse<u32>);

#[derive(Debug)]
struct Group {
    free: usize,
    parked: BinaryHeap<Entry>,
}

impl Slots {
    pub(super) fn new(global: usize, group_limits: &[usize], member: Vec<Box<[u32]>>) -> Self {
        let groups = group_limits
            .iter()
            .map(|limit| Group { free: (*limit).max(1), parked: BinaryHeap::new() })
            .collect();
        Self { free: global.max(1), groups, member, ready: BinaryHeap::new() }
    }

    /// Queues an action that needs a slot.
    pub(super) fn push(&mut self, action: u32, begun: bool, priority: u32) {
        self.ready.push((begun, priority, Reverse(action)));
    }

    /// Takes the next action that fits under all limits, with its slots.
    pub(super) fn pop(&mut self) -> Option<u32> {
        if self.free == 0 {
            return None;
        }
        while let Some(entry) = self.ready.pop() {
            let action = entry.2.0;
            let groups = self.groups_of(action);
            let full = groups.iter().find(|group| self.groups[**group as usize].free == 0);
            match full {
                Some(group) => {
                    self.groups[*group as usize].parked.push(entry);
                    // What let it go has still room: the next one there has its turn.
                    groups.iter().for_each(|group| self.wake(*group));
                }
                None => {
                    self.free -= 1;
                    for group in groups {
                        self.groups[group as usize].free -= 1;
                    }
                    return Some(action);
                }
            }
        }
        None
    }

    /// Gives back an action's slots.
    pub(super) fn release(&mut self, action: u32) {
        self.free += 1;
        for group in self.groups_of(action) {
            self.groups[group as usize].free += 1;
            self.wake(group);
        }
    }

    /// Gives the next one that a group holds back its turn, if the group has room.
    fn wake(&mut self, group: u32) {
        let group = &mut self.groups[group as usize];
        if group.free > 0
            && let Some(entry) = group.parked.pop()
        {
            self.ready.push(entry);
        }
    }

    fn groups_of(&self, action: u32) -> Box<[u32]> {
        self.member.get(action as usize).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_path_goes_first_and_what_has_begun_before_it() {
        let mut slots = Slots::new(9, &[], Vec::new());
        slots.push(0, false, 1);
        slots.push(1, false, 5);
        slots.push(2, true, 0);
        slots.push(3, false, 5);
        let order: Vec<u32> = std::iter::from_fn(|| slots.pop()).collect();
        assert_eq!(order, [2, 1, 3, 0]);
    }

    #[test]
    fn a_full_group_holds_back_its_members_and_nobody_else() {
        let mut slots = Slots::new(9, &[1], vec![[0].into(), [0].into(), [].into()]);
        for action in 0..3 {
            slots.push(action, false, 0);
        }
        assert_eq!((slots.pop(), slots.pop(), slots.pop()), (Some(0), Some(2), None));
        slots.release(0);
        assert_eq!((slots.pop(), slots.pop()), (Some(1), None));
    }

    proptest! {
        /// Groups of one or two, actions in some of them, and an order in which what is at work ends.
        #[test]
        fn nothing_that_fits_under_all_limits_waits(
            limits in prop::collection::vec(1_usize..3, 3),
            member in prop::collection::vec(prop::collection::btree_set(0_u32..3, 0..3), 1..12),
            ends in prop::collection::vec(any::<prop::sample::Index>(), 12),
        ) {
            let groups: Vec<Box<[u32]>> = member.iter().map(|of| of.iter().copied().collect()).collect();
            let mut slots = Slots::new(9, &limits, groups);
            let mut waiting: std::collections::BTreeSet<u32> = (0..member.len() as u32).collect();
            for action in &waiting {
                slots.push(*action, false, 0);
            }
            let mut at_work: Vec<u32> = Vec::new();
            for end in ends {
                while let Some(action) = slots.pop() {
                    waiting.remove(&action);
                    at_work.push(action);
                }
                let used = |group: &u32| at_work.iter().filter(|action| member[**action as usize].contains(group)).count();
                for group in 0..3 {
                    prop_assert!(used(&group) <= limits[group as usize]);
                }
                let is_full = |group: &u32| used(group) == limits[*group as usize];
                let fits = |action: &&u32| !member[**action as usize].iter().any(is_full);
                prop_assert_eq!(waiting.iter().find(|action| at_work.len() < 9 && fits(action)), None);
                if !at_work.is_empty() {
                    slots.release(at_work.swap_remove(end.index(at_work.len())));
                }
            }
            prop_assert!(waiting.is_empty(), "each end lets one go on");
        }
    }

    #[test]
    fn what_one_group_lets_go_and_another_holds_back_gives_its_turn_to_the_next() {
        /// A host and a label, with one place each.
        const BOTH: [u32; 2] = [0, 1];
        let member = vec![[0].into(), [1].into(), BOTH.into(), [0].into()];
        let mut slots = Slots::new(9, &[1, 1], member);
        for action in 0..4 {
            slots.push(action, false, 0);
        }
        assert_eq!((slots.pop(), slots.pop(), slots.pop()), (Some(0), Some(1), None));
        slots.release(0);
        assert_eq!((slots.pop(), slots.pop()), (Some(3), None), "the label is taken, and the host is not");
    }

    #[test]
    fn the_global_limit_holds() {
        let mut slots = Slots::new(1, &[], Vec::new());
        slots.push(0, false, 0);
        slots.push(1, false, 0);
        assert_eq!((slots.pop(), slots.pop()), (Some(0), None));
        slots.release(0);
        assert_eq!(slots.pop(), Some(1));
    }
}
