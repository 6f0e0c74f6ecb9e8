//! `apply` and `destroy`: show, ask, do, report.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;

use serde_json::json;

use super::args::{ApplyArgs, DestroyArgs};
use super::error::Failed;
use super::open::{Access, Session};
use super::output::Output;
use super::{DONE, FAILED, INTERRUPTED, REFUSED, plan, progress};
use crate::execute::{Outcome, ProgressSink, StopHandle};
use crate::manage::{ApplyReport, Manager, Planned, Resumed};
use crate::model::Desired;
use crate::plan::{Plan, Selection, file};

pub(super) async fn run(session: Session, args: ApplyArgs, output: &Output) -> Result<u8, Failed> {
    let saved = args.plan.as_deref().map(file::open).transpose()?;
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
    let stop = stop_on_interrupt();
    if let Some(code) = finish_interrupted(&manager, desired.as_ref(), &args, &stop, output).await? {
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
        (Some(saved), desired) => manager.prepare(saved, desired.as_ref(), &mut looking).await?,
        (None, Some(desired)) => {
            manager.plan_with(desired, &plan::selection(args.select.clone()), &mut looking).await?
        }
        (None, None) => unreachable!("invariant: without a saved plan the desired state was read"),
    };
    drop(looking);
    let code = confirm_and_run(&manager, planned, args.yes, stop, output).await?;
    plan::leave(manager, desired).await?;
    Ok(code)
}

pub(super) async fn destroy(session: Session, args: DestroyArgs, output: &Output) -> Result<u8, Failed> {
    let (_, manager) = session.open_with_given(Access::Write).await?;
    let stop = stop_on_interrupt();
    if let Some(open) = manager.interrupted().await? {
        output.say(&format!("{} was interrupted: it is given up, and what it did is removed.", open.number));
        manager.give_up(open, "everything was to be removed").await?;
    }
    let mut looking = progress::looking(output);
    let planned = manager.plan_with(&Desired::new(), &Selection::all(), &mut looking).await?;
    drop(looking);
    let code = confirm_and_run(&manager, planned, args.yes, stop, output).await?;
    plan::leave(manager, ()).await?;
    Ok(code)
}

/// Goes on with an interrupted run. `Some`: that did not go well, and this is the exit code.
async fn finish_interrupted(
    manager: &Manager,
    desired: Option<&Desired>,
    args: &ApplyArgs,
    stop: &StopHandle,
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
        Some(resumed) => progress::running(&Arc::new(resumed), output),
        None => Box::new(|_| {}),
    };
    match manager.resume(open, desired, sink, stop.clone()).await? {
        Resumed::Finished(report) if report.report.outcome == Outcome::Done => {
            output.say(&format!("{number} is finished."));
            Ok(None)
        }
        Resumed::Finished(report) if !args.settle.is_empty() && report.report.outcome == Outcome::Failed => {
            output.say(&format!("{number} has ended, with what is settled now and the rest planned anew."));
            Ok(None)
        }
        Resumed::Finished(report) => {
            self::report(&report, output)?;
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

async fn confirm_and_run(
    manager: &Manager,
    planned: Planned,
    yes: bool,
    stop: StopHandle,
    output: &Output,
) -> Result<u8, Failed> {
    let shown = planned.plan.clone();
    if !output.json && (!yes || !output.quiet) {
        output.text(&plan::text(&shown, output))?;
    }
    if !shown.is_empty() && !yes {
        confirm(&shown, output)?;
    }
    let report = manager.apply_with(planned, progress::running(&shown, output), stop).await?;
    self::report(&report, output)?;
    Ok(exit_code(report.report.outcome))
}

fn may_ask() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

fn confirm(plan: &Plan, output: &Output) -> Result<(), Failed> {
    let hint = "add `--yes` to apply without being asked";
    if output.json || !may_ask() {
        return Err(Failed::refused("not_confirmed", "nobody can be asked whether to apply this plan")
            .with_hint(hint));
    }
    print!(
        "Apply {} {}? [y/N] ",
        plan.actions.len(),
        if plan.actions.len() == 1 { "action" } else { "actions" }
    );
    let _closed = io::stdout().flush();
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failed::refused("not_confirmed", "not applied: the answer was not `y`"))
}

/// The first interrupt stops the run in good order, the second ends the process.
fn stop_on_interrupt() -> StopHandle {
    let stop = StopHandle::new();
    let handle = stop.clone();
    #[allow(
        clippy::disallowed_methods,
        reason = "it listens as long as the process lives; there is nothing to join"
    )]
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            handle.stop();
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(i32::from(INTERRUPTED));
        }
    });
    stop
}

fn exit_code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Done => DONE,
        Outcome::Failed | Outcome::Superseded => FAILED,
        Outcome::Interrupted => INTERRUPTED,
        Outcome::Refused => REFUSED,
    }
}

fn report(applied: &ApplyReport, output: &Output) -> Result<(), Failed> {
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
    output.text(&format!("{applied}\n"))
}
