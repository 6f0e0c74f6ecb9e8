//! What came of applying a plan, in words.

use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Duration;

use crate::execute::journal::RunNumber;
use crate::execute::{Failure, Outcome, RunReport};
use crate::plan::render::plain;
use crate::plan::{Plan, Verb};

/// What came of applying a plan. A failed action is told here: [`into_result`](Self::into_result) makes an error of it.
#[derive(Clone, Debug)]
#[must_use = "what failed, or was not reached, is told here and is no error by itself"]
#[non_exhaustive]
pub struct ApplyReport {
    /// The run, by its number; `None` when there was nothing to run.
    pub run: Option<RunNumber>,
    /// The plan that was run.
    pub plan: Arc<Plan>,
    /// What came of it.
    pub report: RunReport,
}

/// How many ids are listed before only a count goes on.
const SHOWN_MAX: usize = 5;

impl Display for ApplyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in &self.report.failures {
            self.write_failure(failure, f)?;
        }
        for (action, remark) in self.report.remarks.iter().take(SHOWN_MAX) {
            writeln!(f, "! {}: {}", self.plan.action_id(*action), plain(remark))?;
        }
        if self.report.remarks.len() > SHOWN_MAX {
            writeln!(f, "! and {} more that left something", self.report.remarks.len() - SHOWN_MAX)?;
        }
        for change in self.plan.unknown().take(SHOWN_MAX) {
            writeln!(f, "? {}: {}", change.resource, plain(&change.reason.to_string()))?;
        }
        let (tally, total) = (&self.report.tally, self.plan.actions.len());
        let ended = tally.done + tally.satisfied;
        let Some(run) = self.run else {
            let unknown = self.plan.unknown().count();
            return match unknown {
                0 => f.write_str("Done: there was nothing to do."),
                1 => {
                    f.write_str("Failed: 1 resource could not be observed, and nothing else was to be done.")
                }
                _ => write!(
                    f,
                    "Failed: {unknown} resources could not be observed, and nothing else was to be done."
                ),
            };
        };
        match self.report.outcome {
            Outcome::Done => {
                // What was to be gone and is still there, in whole or in part.
                let left = self.report.remarks.len();
                write!(f, "Done: {} of {total} actions had an effect", tally.done.saturating_sub(left))?;
                // Which look at nothing and change nothing but what is recorded.
                let of = |verb| self.plan.actions.iter().filter(|action| action.verb == verb).count();
                let (dropped, noted) = (of(Verb::Forget), of(Verb::Record));
                let idle = tally.satisfied.saturating_sub(dropped + noted);
                let parts = [
                    (dropped, "dropped a record"),
                    (noted, "changed what is recorded"),
                    (idle, "had nothing to do"),
                    (left, "left something"),
                ];
                for (count, what) in parts.into_iter().filter(|(count, _)| *count > 0) {
                    write!(f, ", {count} {what}")?;
                }
                write!(f, ". {run}, {}.", spoken(self.report.took))
            }
            Outcome::Interrupted => write!(
                f,
                "Stopped: {ended} of {total} actions have ended, {} {} left. Apply again to resume {run}.",
                tally.not_reached,
                if tally.not_reached == 1 { "is" } else { "are" }
            ),
            Outcome::Refused => write!(
                f,
                "Held back: {} of {total} actions, as what they were planned from has moved; {ended} done, {} not \
                 reached. {run}, {}. Apply again to plan them anew.",
                tally.held,
                tally.not_reached,
                spoken(self.report.took)
            ),
            Outcome::Failed | Outcome::Superseded => {
                let unknown = self.plan.unknown().count();
                write!(f, "Failed: {ended} done")?;
                if tally.failed > 0 || unknown == 0 {
                    write!(f, ", {} failed, {} not reached", tally.failed, tally.not_reached)?;
                }
                if tally.held > 0 {
                    write!(f, ", {} held back", tally.held)?;
                }
                if unknown > 0 {
                    write!(f, ", {unknown} resource{} unknown", if unknown == 1 { "" } else { "s" })?;
                }
                write!(f, ". {run}, {}. ", spoken(self.report.took))?;
                // To apply again alone would do nothing about those, nor to what comes after them.
                match tally.in_doubt {
                    0 => f.write_str("When that is mended, apply again: it does what is left."),
                    doubts => write!(
                        f,
                        "Find out whether {} in doubt {} done, and say so with `apply --settle`: that does what is \
                         left, too.",
                        if doubts == 1 { "the one" } else { "those" },
                        if doubts == 1 { "was" } else { "were" }
                    ),
                }
            }
        }
    }
}

/// A run that did not end well, as an error, which tells its outcome and the first reason; the report has them all. Its
/// `Debug` says the same: it is what a `main` that returns it shows.
#[derive(Clone, thiserror::Error)]
#[error("the outcome is `{}`{}", .0.report.outcome, first_reason(.0))]
pub struct NotDone(pub Box<ApplyReport>);

impl fmt::Debug for NotDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn first_reason(applied: &ApplyReport) -> String {
    let failed = applied.report.failures.first();
    let failed = failed.map(|failure| (applied.plan.action_id(failure.action), failure.error.clone()));
    let unknown = || applied.plan.unknown().next().map(|it| (it.resource.to_string(), it.reason.to_string()));
    failed.or_else(unknown).map(|(what, why)| format!(": {what}: {}", plain(&why))).unwrap_or_default()
}

impl ApplyReport {
    /// Nothing where the run ended well, and everything else as an error: for callers who only go on when everything is
    /// done.
    ///
    /// # Errors
    /// When the outcome is any other than [`Outcome::Done`]: something failed, was held back, was not observed, or was
    /// stopped.
    pub fn into_result(self) -> Result<(), NotDone> {
        match self.report.outcome {
            Outcome::Done => Ok(()),
            _ => Err(NotDone(Box::new(self))),
        }
    }

    fn write_failure(&self, failure: &Failure, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = plain(&failure.error).replace('\n', "\n    ");
        writeln!(f, "✗ {}: {error}", self.plan.action_id(failure.action))?;
        if failure.unreached.is_empty() {
            return Ok(());
        }
        f.write_str("  not reached because of it: ")?;
        for (index, action) in failure.unreached.iter().take(SHOWN_MAX).enumerate() {
            write!(f, "{}{}", if index > 0 { ", " } else { "" }, self.plan.action_id(*action))?;
        }
        match failure.unreached.len().saturating_sub(SHOWN_MAX) {
            0 => writeln!(f),
            more => writeln!(f, " and {more} more"),
        }
    }
}

/// A duration as people read it.
pub(crate) fn spoken(took: Duration) -> String {
    let ms = took.as_millis();
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_in_its_own_unit() {
        let read = |ms| spoken(Duration::from_millis(ms));
        assert_eq!([read(7), read(1_250), read(125_000)], ["7 ms", "1.2 s", "2 min 5 s"]);
    }
}
