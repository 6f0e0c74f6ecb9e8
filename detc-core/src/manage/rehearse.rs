//! The rehearsal of a plan: it is applied in a simulated world, and dies at each of its points.
//!
//! ```text
//!   Planned ─▶ records, what was seen ─▶ world ─ apply ─┬────────┬────────┬─▶ end
//!                                                       ✝        ✝        ✝      a copy of what is left
//!                                                       └▶ others go on: the same end, each effect once
//! ```
//!
//! The manager, the driver, the engine and the journal are the real ones; the store is in memory; each kind is stood in for by
//! one that keeps what the kind declares (its footprint, how its outcome is found out, what a change does to it). The points
//! are, for each action that has an effect, just before it, in the midst of it, before what it starts is healthy where it waits
//! for that, and when it is done and not recorded; and before and
//! after each commit: when it is recorded and nobody was told.
//!
//! What goes on after a death knows the journal and what a look tells, and takes each action by itself. So what comes of one
//! action that was under way does not depend on how far another one was that does not touch what it touches, and those that
//! can be under way at once die at once (a partial-order reduction: P. Godefroid, "Partial-Order Methods for the Verification of
//! Concurrent Systems", LNCS 1032, 1996): *in step*. A thousand files that do not wait for each other have some ten deaths. That
//! actions are independent where their footprints are is looked at on the way; and what is left of the budget goes to deaths
//! *one by one*, in the order and under the limits of the manager, where each is at a point of its own.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use self::lives::Budget;
use super::{ManageError, Manager, Planned};
use crate::model::{Desired, ResourceId};
use crate::plan::Selection;

mod life;
mod lives;
mod no_return;
mod point;
mod setting;
mod stand_in;
mod store;
#[cfg(test)]
mod tests;
mod thing;
mod touched;
mod world;

/// How much of a plan is rehearsed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RehearsalOptions {
    /// How many deaths are tried. Default 2,000.
    pub deaths_max: usize,
    /// How many resources are gone through for that, in all: what is desired, recorded and done, once for each death. Default
    /// 60,000, which is about a second on one core: 1,000 new resources die 30 times.
    pub work_max: usize,
    /// Where deaths are drawn from, where not all are tried. Default 1.
    pub seed: u64,
}

impl Default for RehearsalOptions {
    fn default() -> Self {
        Self { deaths_max: 2_000, work_max: 60_000, seed: 1 }
    }
}

impl RehearsalOptions {
    /// Sets how many deaths are tried.
    #[must_use]
    pub fn with_deaths_max(mut self, deaths: usize) -> Self {
        self.deaths_max = deaths;
        self
    }

    /// Sets how many resources are gone through in all.
    #[must_use]
    pub fn with_work_max(mut self, work: usize) -> Self {
        self.work_max = work;
        self
    }

    /// Sets where deaths are drawn from.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// What a rehearsal has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rehearsal {
    /// How many deaths were tried.
    pub deaths: usize,
    /// How many of these were at one point each.
    pub one_by_one: usize,
    /// How many points there are to die at, where all goes in step.
    pub points: usize,
    /// At how many of these it died.
    pub covered: usize,
    /// Where the deaths were drawn from; `None`: it died at all points.
    pub seed: Option<u64>,
    /// What went wrong, by the point of the death, in words.
    pub violations: Vec<(String, String)>,
    /// The resources about which a person has to be asked, if the process dies at the wrong moment.
    pub doubts: BTreeSet<ResourceId>,
    /// The actions from whose start on there is no way back: what they take away or do is not undone by bringing about what
    /// was desired before. In the order of the plan.
    pub no_return: Vec<String>,
}

/// In words, a line for each thing to be known.
impl Display for Rehearsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Rehearsed: {} of {} points to die at, in {} deaths",
            self.covered, self.points, self.deaths
        )?;
        if let Some(seed) = self.seed {
            write!(f, " drawn from seed {seed}")?;
        }
        match self.violations.first() {
            None => f.write_str(
                "; from each it goes on, to the same end, with nothing lost and nothing doubled.",
            )?,
            Some((point, what)) => {
                write!(f, "; {} go wrong. First, when it dies {point}: {what}.", self.violations.len())?;
            }
        }
        if !self.no_return.is_empty() {
            let first = few(self.no_return.iter().map(String::as_str));
            write!(f, "\nNo way back from here on, in this order: {first}.")?;
        }
        if !self.doubts.is_empty() {
            let asked = few(self.doubts.iter().map(ResourceId::as_str));
            write!(
                f,
                "\nWhen it dies in the midst of one of these, a person has to find out whether it was done: {asked}."
            )?;
        }
        Ok(())
    }
}

/// The first of these, and how many more there are.
fn few<'a>(all: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN_MAX: usize = 5;
    let more = all.len().saturating_sub(SHOWN_MAX);
    let mut shown: Vec<String> = all.take(SHOWN_MAX).map(str::to_owned).collect();
    shown.extend((more > 0).then(|| format!("{more} more")));
    shown.join(", ")
}

impl Manager {
    /// Rehearses a plan that [`plan_with`](Self::plan_with) has made of this desired state and selection: whatever the moment
    /// at which its process dies, does it come to the same end? Nothing is done outside of memory.
    ///
    /// Linear in the deaths that are tried, each of which takes what going on from there takes without hosts and disk; there are
    /// as many as the plan is deep. It is done on threads of its own, as many as there are cores.
    ///
    /// Cancellation: a dropped call leaves nothing behind; its threads end after the deaths that they are at.
    ///
    /// # Errors
    /// [`ManageError::NotSeen`] when the plan was read from a file, or made by a [`Live`](super::Live);
    /// [`ManageError::Broken`] when it is refused as it is; otherwise when the store fails.
    pub async fn rehearse(
        &self,
        planned: &Planned,
        desired: &Desired,
        selection: &Selection,
        options: RehearsalOptions,
    ) -> Result<Rehearsal, ManageError> {
        let seen = planned.seen.clone().ok_or(ManageError::NotSeen)?;
        let setting = self.setting(planned, &seen, desired, selection).await?;
        let no_return = self.no_return(&planned.plan);
        let work = planned.plan.actions.len() + desired.resources.len() + planned.around.recorded.len();
        let is_dropped = Arc::new(AtomicBool::new(false));
        let _flag = RaisedOnDrop(is_dropped.clone());
        let budget = Budget {
            deaths: options.deaths_max.min((options.work_max / work.max(1)).max(1)),
            seed: options.seed,
        };
        let lives = move || setting.lives(budget, &is_dropped);
        let rehearsed = tokio::task::spawn_blocking(lives).await;
        let rehearsed = rehearsed.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        Ok(Rehearsal { no_return, ..rehearsed })
    }
}

struct RaisedOnDrop(Arc<AtomicBool>);

impl Drop for RaisedOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
