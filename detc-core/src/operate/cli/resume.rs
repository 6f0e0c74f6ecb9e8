//! What `apply` does with an interrupted run before anything else.

use std::sync::Arc;

use super::apply::{exit_code, report};
use super::args::ApplyArgs;
use super::ask::{Answer, ask, may_ask};
use super::error::Failed;
use super::interrupt::Interrupts;
use super::output::Output;
use super::{REFUSED, progress};
use crate::execute::journal::{Entry, RunHead};
use crate::execute::{Outcome, ProgressSink};
use crate::manage::{ApplyReport, Manager, Resumed};
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
    /// To the next plan.
    After {
        /// The runs that were finished before it.
        earlier: Vec<ApplyReport>,
        /// The run that is to be given up for it.
        gives_up: Option<Box<GivesUp>>,
    },
}

impl Came {
    fn nothing_before() -> Self {
        Self::After { earlier: Vec::new(), gives_up: None }
    }
}

/// An interrupted run that is given up with what is done instead, and not before that is confirmed: whoever says no, or is
/// refused, has changed nothing.
#[derive(Debug)]
pub(super) struct GivesUp {
    pub(super) open: RunHead,
    /// For what, in words.
    pub(super) why: String,
    pub(super) when: GiveUp,
}

/// When a run is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GiveUp {
    /// When something else is done.
    WithWork,
    /// Also when nothing else is left to do.
    Always,
}

impl GivesUp {
    pub(super) async fn now(self, manager: &Manager, output: &Output) -> Result<(), Failed> {
        let Self { open, why, .. } = self;
        output.say(&format!("{} was interrupted, and is given up: {why}.", open.number));
        manager.give_up(open, &why).await?;
        Ok(())
    }
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
        let Some(open) = manager.interrupted().await? else { return Ok(Came::nothing_before()) };
        let number = open.number;
        // Nothing is done that nobody has asked for: what is left of that run may be no part of it.
        let (is_partial, is_saved) =
            (args.select.is_some(), saved.is_some_and(|saved| saved.id != open.plan));
        if args.abandon || is_partial || (is_saved && desired.is_none()) {
            if !args.yes && !may_ask() {
                return Err(unconfirmed(&format!("{number} was interrupted and would be given up")));
            }
            let (why, when) = match args.abandon {
                true => ("it is abandoned", GiveUp::Always),
                false if is_partial => ("a part of the plan is applied instead", GiveUp::WithWork),
                false => ("another plan is applied instead", GiveUp::WithWork),
            };
            let gives_up = GivesUp { open, why: why.to_owned(), when };
            // What is settled is in doubt only when that run has ended.
            if args.tells() {
                gives_up.now(manager, output).await?;
                return Ok(Came::nothing_before());
            }
            return Ok(Came::After { earlier: Vec::new(), gives_up: Some(Box::new(gives_up)) });
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
                return Ok(Came::nothing_before());
            }
        };
        let outcome = ran.report.outcome;
        let goes_on = match outcome {
            // The very plan that is to be applied.
            _ if saved.is_some_and(|saved| saved.id == ran.plan.id) => false,
            Outcome::Done | Outcome::Refused => true,
            Outcome::Failed => args.tells(),
            _ => false,
        };
        if !goes_on {
            interrupts.over();
            report(&ran, Purpose::Desired, &[], output)?;
            return Ok(Came::To(exit_code(outcome)));
        }
        if outcome == Outcome::Failed {
            output.say(&format!(
                "{number} has ended, with what is settled or forgotten now and the rest planned anew."
            ));
        } else {
            output.text(&format!("{ran}\n"))?;
        }
        if outcome == Outcome::Refused {
            output.say(&format!("{number} has ended, with what was held back planned anew."));
        }
        Ok(Came::After { earlier: vec![*ran], gives_up: None })
    }
}

fn unconfirmed(message: &str) -> Failed {
    Failed::refused("not_confirmed", message).with_hint("add `--yes`, or `--yes --abandon` to give it up")
}

/// How many actions have ended.
fn ended(log: &[Entry]) -> usize {
    log.iter().filter(|entry| entry.what.end().is_some()).count()
}
