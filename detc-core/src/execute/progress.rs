//! What a front end sees of a run while it goes on.

use std::time::Duration;

use super::{NodeEnd, Outcome};
use crate::model::ResourceId;

/// Something that a person may want to see. The indices are those of [`Plan::actions`](crate::plan::Plan::actions).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// A run begins, or goes on.
    Began {
        /// How many actions there are in all.
        actions: usize,
        /// How many of them had ended before.
        ended: usize,
    },
    /// An action is being applied.
    Applying {
        /// Which.
        action: u32,
        /// The how-manieth try it is, from 1.
        attempt: u32,
    },
    /// An action will be tried again.
    Delayed {
        /// Which.
        action: u32,
        /// After how long.
        delay: Duration,
        /// Why.
        why: &'a str,
    },
    /// An action ended.
    Ended {
        /// Which.
        action: u32,
        /// How.
        end: &'a NodeEnd,
        /// How long it took, from its first check.
        took: Duration,
        /// What people should know of it.
        remark: Option<&'a str>,
    },
    /// What is in flight is finished, then the run stops.
    Stopping,
    /// What was recorded is durable, and the run is over.
    Over {
        /// How it ended.
        outcome: Outcome,
    },
    /// A resource is being observed, before or after the run.
    Observing {
        /// Which.
        resource: &'a ResourceId,
    },
}

/// Takes the progress of a run. It is called on the run's own task: it must be quick and must not block.
pub type ProgressSink = Box<dyn FnMut(&Progress<'_>) + Send>;

/// A sink that shows nothing.
pub fn unseen() -> ProgressSink {
    Box::new(|_| {})
}
