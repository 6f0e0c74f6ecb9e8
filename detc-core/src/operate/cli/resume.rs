//! What `apply` does with an interrupted run before anything else.

use std::sync::Arc;

use super::apply::{exit_code, report};
use super::args::ApplyArgs;
use super::ask::{Answer, ask, may_ask};
use super::error::Failed;
use super::interrupt::Interrupts;
use super::output::Output;
use super::{REFUSED, progress};
use crate::execute::journal::{Entry, RunNumber};
use crate::execute::{Outcome, ProgressSink};
use crate::manage::{Manager, Resumed};
use crate::model::Desired;
use crate::plan::Plan;
use crate::plan::render::Purpose;

/// What is asked for while a run may have been interrupted.
pub(super) struct Resume<'a> {
    pub(super) desired: Option<&'a Desired>,
    pub(super) saved: Option<&'a Plan>,
    pub(super) args: &'a ApplyArgs,
}

/// Where that leads.
pub(super) enum Came {
    /// To the end of the command: it did not go well, or there is nothing to do after it. This is the exit code.
    To(u8),
    /// To the next plan, after these runs.
    After(Vec<RunNumber>),
}

impl Resume<'_> {
    /// Goes on with an interrupted run, where there is one.
    pub(super) async fn finish(
        &self,
        manager: &Manager,
        interrupts: &Interrupts,
        output: &Output,
    ) -> Result<Came, Failed> {
        let Self { desired, saved, args } = *self;
        let Some(open) = manager.interrupted().await? else { return Ok(Came::After(Vec::new())) };
        let number = open.number;
        if args.abandon {
            manager.give_up(open, "it was abandoned").await?;
            output.say(&format!("{number} was interrupted, and is given up."));
            return Ok(Came::After(Vec::new()));
        }
        // Nothing is done that nobody has asked for: what is left of that run may be no part of it.
        let (is_partial, is_saved) =
            (args.select.is_some(), saved.is_some_and(|saved| saved.id != open.plan));
        if is_partial || (is_saved && desired.is_none()) {
            let what = if is_partial { "a part of the plan" } else { "another plan" };
            if !args.yes && !may_ask() {
                return Err(unconfirmed(&format!("{number} was interrupted and would be given up")));
            }
            output.say(&format!("{number} was interrupted, and is given up for {what}."));
            manager.give_up(open, &format!("{what} was applied")).await?;
            return Ok(Came::After(Vec::new()));
        }
        if !args.yes && !may_ask() {
            return Err(unconfirmed(&format!("{number} was interrupted and would be resumed")));
        }
        let (_, resumed_plan, log) = manager.run(number).await?;
        if !args.yes {
            let left = open.actions.saturating_sub(ended(&log));
            let question =
                format!("{number} was interrupted, with {left} of {} actions left. Finish it?", open.actions);
            if ask(&question, output)? == Answer::No {
                output.text(&format!(
                    "Nothing was changed. `apply --abandon` gives {number} up, and plans anew.\n"
                ))?;
                return Ok(Came::To(REFUSED));
            }
        }
        output.say(&format!(
            "{number} was interrupted: what is left of it comes first, where it is still desired."
        ));
        let sink: ProgressSink = match resumed_plan {
            Some(resumed) => progress::running(&Arc::new(resumed), output, interrupts),
            None => {
                interrupts.running();
                Box::new(|_| {})
            }
        };
        let resumed = manager.resume(open, desired, sink, interrupts.stop()).await?;
        interrupts.between();
        let ran = match resumed {
            Resumed::Finished(ran) => ran,
            Resumed::Superseded(number, why) => {
                output.say(&format!(
                    "{number} is not gone on with: {why}. Everything is looked at again and planned anew."
                ));
                return Ok(Came::After(Vec::new()));
            }
        };
        let outcome = ran.report.outcome;
        let goes_on = match outcome {
            // The very plan that is to be applied.
            _ if saved.is_some_and(|saved| saved.id == ran.plan.id) => false,
            Outcome::Done | Outcome::Refused => true,
            Outcome::Failed => !args.settle.is_empty(),
            _ => false,
        };
        if !goes_on {
            interrupts.over();
            report(&ran, Purpose::Desired, &[], output)?;
            return Ok(Came::To(exit_code(outcome)));
        }
        if outcome == Outcome::Failed {
            output.say(&format!("{number} has ended, with what is settled now and the rest planned anew."));
        } else {
            output.text(&format!("{ran}\n"))?;
        }
        if outcome == Outcome::Refused {
            output.say(&format!("{number} has ended, with what was held back planned anew."));
        }
        Ok(Came::After(vec![number]))
    }
}

fn unconfirmed(message: &str) -> Failed {
    Failed::refused("not_confirmed", message).with_hint("add `--yes`, or `--yes --abandon` to give it up")
}

/// How many actions have ended.
fn ended(log: &[Entry]) -> usize {
    log.iter().filter(|entry| entry.what.end().is_some()).count()
}
