//! `apply` and `destroy`: show, ask, do, report.

use std::sync::Arc;

use serde_json::json;

use super::args::{ApplyArgs, DestroyArgs};
use super::ask::{Answer, ask, may_ask};
use super::error::Failed;
use super::interrupt::Interrupts;
use super::open::{Access, Session};
use super::output::Output;
use super::{DONE, FAILED, INTERRUPTED, REFUSED, plan, progress};
use crate::execute::{Outcome, ProgressSink};
use crate::manage::{ApplyReport, ManageError, Manager, Planned, Resumed};
use crate::model::Desired;
use crate::plan::render::Purpose;
use crate::plan::{PlanError, Selection, file};

pub(super) async fn run(session: Session, args: ApplyArgs, output: &Output) -> Result<u8, Failed> {
    let saved = args.plan.as_deref().map(file::open).transpose()?;
    if let Some(path) = args.plan.as_deref().filter(|_| !session.has_store()) {
        return Err(session.foreign(path));
    }
    let (desired, manager) = match &saved {
        Some(_) => session.open_with_given(Access::Write).await?,
        None => {
            let (desired, manager) = session.open(Access::Write).await?;
            (Some(desired), manager)
        }
    };
    if !args.settle.is_empty() && !args.yes && !may_ask() {
        return Err(Failed::refused(
            "not_confirmed",
            "nobody can be asked whether to apply what is settled so",
        )
        .with_hint("add `--yes` to apply without being asked"));
    }
    // Records, marks and processes are a store's own: elsewhere the plan would make twice what is there once.
    if let (Some(saved), Some(path)) = (&saved, &args.plan)
        && saved.store != manager.store_name()
    {
        return Err(session.foreign(path));
    }
    let interrupts = Interrupts::listen(output, "`apply` resumes the run.");
    if let Some(code) = finish_interrupted(&manager, desired.as_ref(), &args, &interrupts, output).await? {
        plan::leave(manager, desired).await?;
        return Ok(code);
    }
    // Only now: what an interrupted run left open is in doubt when that run has ended.
    for settlement in &args.settle {
        manager.settle(settlement).await?;
        output.say(&format!("settled: {settlement}"));
    }
    let mut looking = progress::looking(output);
    let planned = match (saved, &desired) {
        (Some(saved), desired) => manager.prepare(saved.plan, desired.as_ref(), &mut looking).await?,
        (None, Some(desired)) => {
            manager.plan_with(desired, &plan::selection(args.select.clone()), &mut looking).await?
        }
        (None, None) => unreachable!("invariant: without a saved plan the desired state was read"),
    };
    drop(looking);
    let work = Work { planned, yes: args.yes, purpose: Purpose::Desired };
    let code = confirm_and_run(&manager, work, &interrupts, output).await?;
    plan::leave(manager, desired).await?;
    Ok(code)
}

pub(super) async fn destroy(session: Session, args: DestroyArgs, output: &Output) -> Result<u8, Failed> {
    // To find out that there is nothing to destroy no store is made.
    let access = if session.has_store() { Access::Write } else { Access::Read };
    let (_, manager) = session.open_with_given(access).await?;
    let interrupts = Interrupts::listen(output, "`destroy` again removes what is left.");
    if let Some(open) = manager.interrupted().await? {
        let question = format!("{} was interrupted. Give it up?", open.number);
        if !args.yes && ask(&question, output)? == Answer::No {
            output.text("Nothing was changed.\n")?;
            return Ok(REFUSED);
        }
        output.say(&format!("{} was interrupted: it is given up, and what it did is removed.", open.number));
        manager.give_up(open, "everything was to be removed").await?;
    }
    let mut looking = progress::looking(output);
    let planned = manager.plan_with(&Desired::new(), &Selection::all(), &mut looking).await;
    drop(looking);
    let work = Work { planned: planned.map_err(undestroyed)?, yes: args.yes, purpose: Purpose::Destroy };
    let code = confirm_and_run(&manager, work, &interrupts, output).await?;
    plan::leave(manager, ()).await?;
    Ok(code)
}

/// Why nothing is destroyed.
fn undestroyed(error: ManageError) -> Failed {
    let of_protected = match &error {
        ManageError::Plan(PlanError::Protected { resource, .. }) => {
            Some(format!("{resource} is protected, so nothing is destroyed"))
        }
        _ => None,
    };
    let failed = Failed::from(error);
    Failed { message: of_protected.unwrap_or(failed.message), ..failed }
}

/// Goes on with an interrupted run. `Some`: that did not go well, and this is the exit code.
async fn finish_interrupted(
    manager: &Manager,
    desired: Option<&Desired>,
    args: &ApplyArgs,
    interrupts: &Interrupts,
    output: &Output,
) -> Result<Option<u8>, Failed> {
    let Some(open) = manager.interrupted().await? else { return Ok(None) };
    let number = open.number;
    if args.abandon {
        manager.give_up(open, "it was abandoned").await?;
        output.say(&format!("{number} was interrupted, and is given up."));
        return Ok(None);
    }
    if !args.yes && !may_ask() {
        return Err(Failed::refused(
            "not_confirmed",
            format!("{number} was interrupted and would be resumed"),
        )
        .with_hint("add `--yes`, or `--yes --abandon` to give it up"));
    }
    output.say(&format!("{number} was interrupted: it is finished first."));
    let (_, resumed_plan, _) = manager.run(number).await?;
    let sink: ProgressSink = match resumed_plan {
        Some(resumed) => progress::running(&Arc::new(resumed), output, interrupts),
        None => {
            interrupts.running();
            Box::new(|_| {})
        }
    };
    let resumed = manager.resume(open, desired, sink, interrupts.stop()).await?;
    interrupts.between();
    match resumed {
        Resumed::Finished(report) if report.report.outcome == Outcome::Done => {
            output.say(&format!("{number} is finished."));
            Ok(None)
        }
        Resumed::Finished(report) if !args.settle.is_empty() && report.report.outcome == Outcome::Failed => {
            output.say(&format!("{number} has ended, with what is settled now and the rest planned anew."));
            Ok(None)
        }
        Resumed::Finished(report) => {
            interrupts.over();
            self::report(&report, Purpose::Desired, output)?;
            Ok(Some(exit_code(report.report.outcome)))
        }
        Resumed::Superseded(number, why) => {
            output.say(&format!(
                "{number} can not be gone on with: {why}. Everything is looked at again and planned anew."
            ));
            Ok(None)
        }
    }
}

/// A plan that is about to be done.
struct Work {
    planned: Planned,
    yes: bool,
    purpose: Purpose,
}

async fn confirm_and_run(
    manager: &Manager,
    work: Work,
    interrupts: &Interrupts,
    output: &Output,
) -> Result<u8, Failed> {
    let Work { planned, yes, purpose } = work;
    let shown = planned.plan.clone();
    let is_shown = !output.json && (!yes || !output.quiet);
    if is_shown {
        output.text(&plan::text(&shown, purpose, output))?;
    }
    if is_shown && shown.is_settled() {
        // The plan has said that there is nothing to do.
        return Ok(DONE);
    }
    let question = match (purpose, shown.actions.len()) {
        (Purpose::Desired, 1) => "Apply 1 action?".to_owned(),
        (Purpose::Desired, many) => format!("Apply {many} actions?"),
        (Purpose::Destroy, 1) => "Destroy 1 resource?".to_owned(),
        (Purpose::Destroy, many) => format!("Destroy {many} resources?"),
    };
    if !shown.is_empty() && !yes && ask(&question, output)? == Answer::No {
        let more = if interrupts.has_run() { "more " } else { "" };
        output.text(&format!("Nothing {more}was changed.\n"))?;
        return Ok(REFUSED);
    }
    let sink = progress::running(&shown, output, interrupts);
    let report = manager.apply_with(planned, sink, interrupts.stop()).await?;
    interrupts.over();
    self::report(&report, purpose, output)?;
    Ok(exit_code(report.report.outcome))
}

fn exit_code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Done => DONE,
        Outcome::Failed | Outcome::Superseded => FAILED,
        Outcome::Interrupted => INTERRUPTED,
        Outcome::Refused => REFUSED,
    }
}

fn report(applied: &ApplyReport, purpose: Purpose, output: &Output) -> Result<(), Failed> {
    let (report, plan) = (&applied.report, &applied.plan);
    let tally = &report.tally;
    if output.json {
        let failures: Vec<_> = report
            .failures
            .iter()
            .map(|failure| {
                let unreached: Vec<_> =
                    failure.unreached.iter().map(|action| plan.action_id(*action)).collect();
                json!({
                    "action": plan.action_id(failure.action),
                    "resource": plan.resource_of(failure.action),
                    "error": failure.error,
                    "unreached": unreached,
                })
            })
            .chain(plan.unknown().map(|change| {
                json!({
                    "action": null, "resource": change.resource,
                    "error": change.reason.to_string(), "unreached": [],
                })
            }))
            .collect();
        return output.object(&json!({
            "format": "detc.run/1",
            "run": applied.run.map(|run| run.to_string()),
            "outcome": report.outcome,
            "actions": tally,
            "failures": failures,
            "duration_ms": report.took.as_millis() as u64,
        }));
    }
    let mut text = format!("{applied}\n");
    if purpose == Purpose::Destroy {
        // To apply again would make anew what is desired.
        text = text
            .replace(" Apply again to ", " Destroy again to ")
            .replace("to resume run", "to go on from run");
    }
    output.text(&text)
}
