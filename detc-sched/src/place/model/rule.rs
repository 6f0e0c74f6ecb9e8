//! Rules: where the instances of a group may be, alone and together.
//!
//! A rule is a fact about the finished placement, not about the order of placing. Marathon's operators are said so, and
//! [`Builder::marathon`](super::Builder::marathon) reads them as they are written there:
//!
//! | Marathon | here |
//! |---|---|
//! | `["hostname", "UNIQUE"]` | [`Rule::unique`] |
//! | `[field, "MAX_PER", n]` | [`Rule::AtMost`] per the field's level |
//! | `[field, "GROUP_BY", k]` | [`Rule::Even`] over the field's level |
//! | `[field, "CLUSTER"]` | [`Rule::Together`] |
//! | `[field, "CLUSTER" or "IS", value]` | [`Rule::Machines`] with [`Test::Is`](super::Test::Is) |
//! | `[field, "LIKE" or "UNLIKE", regex]` | [`Rule::Machines`] with [`Test::Like`](super::Test::Like) or `Unlike` |
//!
//! A field's level is [`Builder::level_of_attribute`](super::Builder::level_of_attribute), or one of a
//! [tree](super::Builder::tree). [`Rule::Even`] lets domains stay empty (4 over 3: 2, 2 and 0 are even enough, as by
//! `MAX_PER`); who wants each used asks for [`Rule::Spread`], too.
//!
//! As [wishes](super::Wish) the same rules are soft: [`Rule::With`] and [`Rule::Machines`] affinity, [`Rule::Apart`] and
//! [`Rule::AtMost`] anti-affinity, [`Rule::Even`] an even spread. Balance, packing and fragmentation are terms of the
//! [objective](crate::place::Objective).

use std::fmt;

use crate::place::model::attribute::Requirement;
use crate::place::{GroupId, LevelId, MachineId, Model};

/// Where the instances of a group are, alone and together. Each has a *breach*, a whole number that is 0 when it holds:
/// what a [wish](super::Wish) pays for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// At most so many instances of the group in a domain. Breach: instances too many.
    AtMost {
        /// How many.
        count: u32,
        /// In each domain of this level.
        per: LevelId,
    },
    /// As evenly as can be over so many domains: at most ⌈instances / domains⌉ in each. Breach: instances too many.
    Even {
        /// The level.
        over: LevelId,
        /// How many domains there are to use; 0: as many as there are.
        domains: u32,
    },
    /// In at least so many domains. Breach: domains too few; instances that are nowhere count as if each would open one, and
    /// a group that is nowhere breaks nothing.
    Spread {
        /// The level.
        over: LevelId,
        /// How many.
        domains: u32,
    },
    /// All in one domain. Breach: domains beyond the first.
    Together {
        /// The level.
        within: LevelId,
    },
    /// Each instance has an instance of another group in its domain. Breach: domains without.
    With {
        /// The other.
        group: GroupId,
        /// The level.
        within: LevelId,
    },
    /// No domain has instances of both groups. Breach: such domains.
    Apart {
        /// The other.
        group: GroupId,
        /// The level.
        within: LevelId,
    },
    /// Only on machines that are like this. Breach: instances elsewhere.
    Machines(Requirement),
    /// Only on these machines. Breach: instances elsewhere.
    Pinned(Vec<MachineId>),
}

impl Rule {
    /// No two instances on one machine.
    pub const fn unique() -> Self {
        Self::AtMost { count: 1, per: LevelId::MACHINE }
    }

    /// Whether an instance may be on a machine, as far as that depends on the machine alone.
    pub(crate) fn admits(&self, model: &Model, machine: MachineId) -> bool {
        match self {
            Self::Machines(requirement) => requirement.holds(&model.attributes[machine.index()]),
            Self::Pinned(machines) => machines.contains(&machine),
            Self::AtMost { .. }
            | Self::Even { .. }
            | Self::Spread { .. }
            | Self::Together { .. }
            | Self::With { .. }
            | Self::Apart { .. } => true,
        }
    }

    /// Whether it is kept or broken by each instance alone, whatever the others do.
    pub(crate) const fn is_about_machines(&self) -> bool {
        matches!(self, Self::Machines(_) | Self::Pinned(_))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost { count, per } => write!(f, "at most {count} per {per}"),
            Self::Even { over, domains } => write!(f, "even over {domains} of {over}"),
            Self::Spread { over, domains } => write!(f, "in at least {domains} of {over}"),
            Self::Together { within } => write!(f, "together within {within}"),
            Self::With { group, within } => write!(f, "with {group} within {within}"),
            Self::Apart { group, within } => write!(f, "apart from {group} within {within}"),
            Self::Machines(requirement) => write!(f, "on machines where {requirement}"),
            Self::Pinned(machines) => {
                f.write_str("only on")?;
                machines.iter().try_for_each(|machine| write!(f, " {machine}"))
            }
        }
    }
}
