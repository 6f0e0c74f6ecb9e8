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
    /// On one host. Default 8: an SSH server takes ten sessions on a connection, and a machine has its own work to do.
    pub per_host: usize,
    /// Among the resources that have one label `key=value`. None by default.
    pub per_label: BTreeMap<(String, String), usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { global: 16, per_host: 8, per_label: BTreeMap::new() }
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
type Entry = (bool, u64, Reverse<u32>);

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
    pub(super) fn push(&mut self, action: u32, begun: bool, priority: u64) {
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
                Some(group) => self.groups[*group as usize].parked.push(entry),
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
            let group = &mut self.groups[group as usize];
            group.free += 1;
            if let Some(entry) = group.parked.pop() {
                self.ready.push(entry);
            }
        }
    }

    fn groups_of(&self, action: u32) -> Box<[u32]> {
        self.member.get(action as usize).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
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
