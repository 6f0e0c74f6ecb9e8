//! Rules as checks on counts: what both the placing one by one and the rebalance ask, each in its own way.
//!
//! A rule names groups and levels. Here these are numbers of counters, each of which counts the instances of one group in the domains
//! of one level; who asks keeps them.

use crate::place::{GroupId, LevelId, MachineId, Model, Rule};

/// Levels of up to so many domains are counted in whole rows in any case: these are short.
pub(crate) const SHORT_ROW_DOMAINS: usize = 64;

/// A rule, by the numbers of counters: `own` of the group whose instance comes or goes, `other` of another.
#[derive(Clone, Debug)]
pub(crate) enum Check {
    /// See [`Rule::AtMost`]; [`Rule::Even`] is one, too.
    AtMost { own: u32, count: u32 },
    /// See [`Rule::Spread`].
    Spread { own: u32, domains: u32 },
    /// See [`Rule::Together`].
    Together { own: u32 },
    /// See [`Rule::With`]; the other is needed.
    With { own: u32, other: u32 },
    /// The same, seen from the group that the other needs.
    Needed { own: u32, other: u32 },
    /// See [`Rule::Apart`]; the same seen from both.
    Apart { own: u32, other: u32 },
    /// One bit an allowed machine.
    Machines(Vec<u64>),
}

impl Check {
    /// The check of a group's rule; none where it can not be broken. `counter` gives the number of a counter.
    pub(crate) fn new(
        model: &Model,
        id: GroupId,
        rule: &Rule,
        mut counter: impl FnMut(GroupId, LevelId) -> u32,
    ) -> Option<Self> {
        Some(match rule {
            Rule::AtMost { count, per } => Self::AtMost { own: counter(id, *per), count: *count },
            Rule::Even { over, domains } => {
                let count = (model.members(id).len() as u32).div_ceil((*domains).max(1));
                Self::AtMost { own: counter(id, *over), count }
            }
            Rule::Spread { over, domains } => Self::Spread { own: counter(id, *over), domains: *domains },
            Rule::Together { within } => Self::Together { own: counter(id, *within) },
            Rule::With { group, .. } if *group == id => return None,
            Rule::With { group, within } => {
                Self::With { own: counter(id, *within), other: counter(*group, *within) }
            }
            Rule::Apart { group, within } => {
                Self::Apart { own: counter(id, *within), other: counter(*group, *within) }
            }
            Rule::Machines(_) | Rule::Pinned(_) => {
                Self::Machines(bits(model, |machine| rule.admits(model, machine)))
            }
        })
    }

    /// The same rule between two groups, seen from the other; and which that is.
    pub(crate) fn mirrored(&self, rule: &Rule) -> Option<(GroupId, Self)> {
        match (rule, self) {
            (Rule::With { group, .. }, Self::With { own, other }) => {
                Some((*group, Self::Needed { own: *other, other: *own }))
            }
            (Rule::Apart { group, .. }, Self::Apart { own, other }) => {
                Some((*group, Self::Apart { own: *other, other: *own }))
            }
            _ => None,
        }
    }
}

/// A set of machines, one bit each.
pub(crate) fn bits(model: &Model, holds: impl Fn(MachineId) -> bool) -> Vec<u64> {
    let mut bits = vec![0; model.machine_count().div_ceil(64)];
    for machine in model.machines().filter(|machine| holds(*machine)) {
        bits[machine.index() / 64] |= 1 << (machine.index() % 64);
    }
    bits
}

/// Whether a set has a machine; the empty set has all.
#[inline]
pub(crate) fn has_bit(bits: &[u64], machine: u32) -> bool {
    bits.is_empty() || bits[machine as usize / 64] & (1 << (machine % 64)) != 0
}
