//! The points at which the process of a plan can die.

use std::fmt::{self, Display};

use crate::model::ResourceId;

/// A point at which the process can die.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// Around something that is made, changed or removed, in this word.
    Effect(Moment, &'static str, ResourceId),
    /// Nothing of a commit is durable.
    BeforeCommit,
    /// A commit is durable, and nobody was told.
    AfterCommit,
}

/// Where it is around an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Moment {
    /// Its start is recorded, and nothing has happened.
    Before,
    /// It is half done.
    Midst,
    /// It is there, and does not work yet, as one that has just been started.
    Unready,
    /// It is done, and not recorded.
    After,
}

/// Points of one class go on in the same way: what there is to be known of them is that something of a kind was at a moment of
/// being made, changed or removed.
pub(super) type Class = Option<(Moment, &'static str, String)>;

impl Point {
    pub(super) fn class(&self) -> (Class, bool) {
        match self {
            Self::Effect(moment, verb, id) => (Some((*moment, *verb, id.kind().to_owned())), false),
            Self::BeforeCommit => (None, false),
            Self::AfterCommit => (None, true),
        }
    }

    /// Whether it is around this one.
    pub(super) fn is_of(&self, resource: &ResourceId) -> bool {
        matches!(self, Self::Effect(_, _, id) if id == resource)
    }
}

/// In words, after "when it dies".
impl Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Effect(moment, verb, id) => {
                let moment = match moment {
                    Moment::Before => "before",
                    Moment::Midst => "in the midst of",
                    Moment::Unready => "before what is started is healthy, in",
                    Moment::After => "after",
                };
                write!(f, "{moment} {verb} {id}")
            }
            Self::BeforeCommit => f.write_str("before a commit"),
            Self::AfterCommit => f.write_str("after a commit"),
        }
    }
}

/// Where a process died that was at all these points at once, by the one that is told of, if it is among them.
pub(super) fn place(points: &[Point], of: Option<&ResourceId>) -> String {
    let own = of.and_then(|id| points.iter().find(|point| point.is_of(id)));
    match (own.or_else(|| points.first()), points.len()) {
        (None, _) => "nowhere".to_owned(),
        (Some(point), 1) => point.to_string(),
        (Some(point), many) if own.is_none() => format!("{point}, and at {} others", many - 1),
        (Some(point), _) => point.to_string(),
    }
}
