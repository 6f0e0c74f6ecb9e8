//! Why a machine is not taken.

use std::collections::BTreeMap;
use std::fmt;

use crate::place::ResourceId;

/// Why an instance can not be on a machine: the first that holds, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// The machine is [closed](super::Placer::close).
    Closed,
    /// The machine has a taint that the group does not tolerate.
    Taint,
    /// The group's rule number so lets it run on other machines only.
    Elsewhere(usize),
    /// Too little of a resource is left.
    Lacks(ResourceId),
    /// Too few devices have enough shares left.
    Devices,
    /// A port is taken.
    Port,
    /// The group's rule number so would be broken by where other instances are.
    Rule(usize),
    /// A rule of another group would be broken, which keeps apart from this one.
    KeptApart,
    /// Where it runs, this resource is occupied until it has moved, and was given to others.
    Leaving(ResourceId),
}

/// Why an instance is nowhere: how many machines for which reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The counts; their sum is the number of machines.
    pub reasons: BTreeMap<Reason, usize>,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("it is closed"),
            Self::Taint => f.write_str("a taint is not tolerated"),
            Self::Elsewhere(rule) => write!(f, "rule {rule} asks for other machines"),
            Self::Lacks(resource) => write!(f, "too little of {resource} is left"),
            Self::Devices => f.write_str("too few devices have enough left"),
            Self::Port => f.write_str("a port is taken"),
            Self::Rule(rule) => write!(f, "rule {rule} would be broken"),
            Self::KeptApart => f.write_str("another group keeps apart"),
            Self::Leaving(resource) => write!(f, "too little of {resource} is left where it runs"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (reason, count)) in self.reasons.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{count} × {reason}")?;
        }
        Ok(())
    }
}
