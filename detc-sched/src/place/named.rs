//! Texts with the names of a model's parts, where the parts themselves know only their numbers.

use std::fmt;

use crate::place::model::Rule;
use crate::place::objective::{Bill, Term};
use crate::place::online::{Reason, Refusal};
use crate::place::validate::Violation;
use crate::place::{GroupId, InstanceId, LevelId, MachineId, Model, ResourceId};

/// What can be told with the names of a model's parts.
///
/// ```
/// use detc_sched::place::{Builder, Group, LevelId, Machine, Rule};
///
/// let mut builder = Builder::new();
/// let zone = builder.level("zone");
/// let db = builder.group(Group::new("db"));
/// let model = builder.build()?;
/// let rule = Rule::With { group: db, within: zone };
/// assert_eq!(rule.to_string(), "with g0 within level1");
/// assert_eq!(model.named(&rule).to_string(), "with db within a zone");
/// # Ok::<(), detc_sched::place::ModelError>(())
/// ```
pub trait Named {
    /// Writes it with the names of a model.
    ///
    /// # Errors
    /// When it can not be written to.
    fn fmt_named(&self, model: &Model, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// Something with the names of a model. Made by [`Model::named`].
#[derive(Clone, Copy, Debug)]
pub struct WithNames<'a, T: ?Sized> {
    model: &'a Model,
    it: &'a T,
}

impl<T: Named + ?Sized> fmt::Display for WithNames<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.it.fmt_named(self.model, f)
    }
}

impl Model {
    /// Something of this model, to be shown with names.
    pub fn named<'a, T: Named + ?Sized>(&'a self, it: &'a T) -> WithNames<'a, T> {
        WithNames { model: self, it }
    }
}

impl Named for InstanceId {
    fn fmt_named(&self, model: &Model, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&model.instance_name(*self))
    }
}

impl Named for MachineId {
    fn fmt_named(&self, model: &Model, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(model.machine_name(*self))
    }
}

impl Named for GroupId {
    fn fmt_named(&self, model: &Model, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(model.group_name(*self))
    }
}

impl Named for ResourceId {
    fn fmt_named(&self, model: &Model, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(model.resource_name(*self))
    }
}

impl Named for LevelId {
    fn fmt_named(&self, model: &Model, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(model.level_name(*self))
    }
}

impl Named for Rule {
    fn fmt_named(&self, model: &Model, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = |level: LevelId| model.level_name(level);
        match self {
            Self::AtMost { count, per } => write!(f, "at most {count} in a {}", level(*per)),
            Self::Even { over, domains } => write!(f, "even over {domains} × {}", level(*over)),
            Self::Spread { over, domains } => write!(f, "in at least {domains} × {}", level(*over)),
            Self::Together { within } => write!(f, "together within a {}", level(*within)),
            Self::With { group, within } => {
                write!(f, "with {} within a {}", model.group_name(*group), level(*within))
            }
            Self::Apart { group, within } => {
                write!(f, "in no {} with {}", level(*within), model.group_name(*group))
            }
            Self::Machines(requirement) => write!(f, "where {requirement}"),
            Self::Pinned(machines) => write!(f, "only on {}", listed(model, machines)),
        }
    }
}

/// A reason that concerns an instance of this group.
impl Named for (GroupId, Reason) {
    fn fmt_named(&self, model: &Model, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (group, reason) = self;
        let rule = |number: usize| model.named(&model.rules(*group)[number]);
        match reason {
            Reason::Closed => f.write_str("closed"),
            Reason::Taint => write!(f, "a taint that {} does not tolerate", model.group_name(*group)),
            Reason::Elsewhere(number) | Reason::Rule(number) => write!(f, "the rule \"{}\"", rule(*number)),
            Reason::Lacks(resource) => write!(f, "too little {} left", model.resource_name(*resource)),
            Reason::Devices => f.write_str("too few devices with enough left"),
            Reason::Port => f.write_str("a port that is taken"),
            Reason::KeptApart => write!(f, "a group that keeps apart from {}", model.group_name(*group)),
            Reason::Leaving(resource) => {
                write!(f, "too little {} left where it runs", model.resource_name(*resource))
            }
        }
    }
}

/// The refusal of an instance of this group.
impl Named for (GroupId, Refusal) {
    fn fmt_named(&self, model: &Model, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (reason, count)) in self.1.reasons.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{count} × {}", model.named(&(self.0, *reason)))?;
        }
        Ok(())
    }
}

impl Named for Violation {
    fn fmt_named(&self, model: &Model, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capacity { machine, resource, used, capacity } => write!(
                f,
                "{} has {capacity} {}, and {used} are used",
                model.machine_name(*machine),
                model.resource_name(*resource)
            ),
            Self::Transient { machine, resource, used, capacity } => write!(
                f,
                "{} has {capacity} {}, and {used} are occupied during the moves",
                model.machine_name(*machine),
                model.resource_name(*resource)
            ),
            Self::Rule { group, rule, breach } => write!(
                f,
                "{} breaks its rule \"{}\", by {breach}",
                model.group_name(*group),
                model.named(&model.rules(*group)[*rule])
            ),
            Self::Taint { instance, machine } => write!(
                f,
                "{} does not tolerate the taints of {}",
                model.instance_name(*instance),
                model.machine_name(*machine)
            ),
            Self::Devices { instance } => {
                write!(f, "{} does not have the devices that it needs", model.instance_name(*instance))
            }
            Self::Device { machine, device, shares } => write!(
                f,
                "device {device} of {} is given out by {shares} shares",
                model.machine_name(*machine)
            ),
            Self::Port { machine, port } => {
                write!(f, "port {port} of {} is given to two instances", model.machine_name(*machine))
            }
        }
    }
}

impl Named for Term {
    fn fmt_named(&self, model: &Model, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overload(resource) => write!(f, "{} beyond safety", model.resource_name(*resource)),
            Self::Balance(index) => {
                let balance = model.objective().balances()[*index];
                write!(
                    f,
                    "free {} without {} {}",
                    model.resource_name(balance.of),
                    balance.times,
                    model.resource_name(balance.with)
                )
            }
            Self::Fragmentation(index) => {
                let need = model.objective().fragmentations().nth(*index).unwrap_or_default();
                write!(f, "device shares of no use to {} × {}", need.count, need.shares)
            }
            Self::Wish(group, number) => write!(
                f,
                "{}'s wish \"{}\"",
                model.group_name(*group),
                model.named(&model.groups[group.index()].wishes()[*number].rule)
            ),
            other => write!(f, "{other}"),
        }
    }
}

impl Named for Bill {
    fn fmt_named(&self, model: &Model, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_lines(&|term| model.named(term).to_string(), f)
    }
}

/// Names with commas between them; of many, the first and how many more.
pub(crate) fn listed<T: Named>(model: &Model, parts: &[T]) -> String {
    const SHOWN_MAX: usize = 8;
    let mut names: Vec<String> =
        parts.iter().take(SHOWN_MAX).map(|part| model.named(part).to_string()).collect();
    if parts.len() > SHOWN_MAX {
        names.push(format!("{} more", parts.len() - SHOWN_MAX));
    }
    names.join(", ")
}
