//! `apply` and `destroy`: show, ask, do, report.

use serde_json::json;

use super::args::{ApplyArgs, DestroyArgs};
use super::ask::{Answer, ask, may_ask};
use super::error::Failed;
use super::interrupt::Interrupts;
use super::open::{Access, Session};
use super::output::Output;
use super::resume::{Came, GiveUp, GivesUp, Resume};
use super::{DONE, FAILED, INTERRUPTED, REFUSED, plan, progress};
use crate::execute::Outcome;
use crate::manage::{ApplyReport, ManageError, Manager, Planned};
use crate::model::{Desired, Digest};
use crate::plan::render::Purpose;
use crate::plan::{Plan, PlanError, Selection, file};

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
    if args.tells() && !args.yes && !may_ask() {
        return Err(Failed::refused(
            "not_confirmed",
            "nobody can be asked whether to apply what is settled or forgotten so",
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
    let resume =
        Resume { desired: desired.as_ref(), saved: saved.as_ref().map(|saved| &saved.plan), args: &args };
    let (earlier, gives_up) = match resume.finish(&manager, &interrupts, output).await? {
        Came::To(code) => {
            plan::leave(manager, desired, output).await?;
            return Ok(code);
        }
        Came::After { earlier, gives_up } => (earlier, gives_up),
    };
    // Only now: what an interrupted run left open is in doubt when that run has ended.
    for settlement in &args.settle {
        manager.settle(settlement).await?;
        output.say(&format!("settled: {settlement}"));
    }
    for id in &args.forget {
        manager.forget(id).await?;
        output.say(&format!("forgotten: {id}"));
    }
    let operator = Operator {
        manager: &manager,
        yes: args.yes,
        interrupts: &interrupts,
        earlier,
        gives_up,
        let_go: Vec::new(),
        known: None,
        output,
    };
    let code = match (saved, &desired) {
        (Some(saved), desired) => operator.apply_saved(saved.plan, desired.as_ref()).await?,
        (None, Some(desired)) => {
            operator.bring_about(desired, &plan::selection(args.select.clone()), Purpose::Desired).await?
        }
        (None, None) => unreachable!("invariant: without a saved plan the desired state was read"),
    };
    plan::leave(manager, desired, output).await?;
    Ok(code)
}

pub(super) async fn destroy(session: Session, args: DestroyArgs, output: &Output) -> Result<u8, Failed> {
    // To find out that there is nothing to destroy no store is made.
    let access = if session.has_store() { Access::Write } else { Access::Read };
    let (known, manager) = session.open_with_given(access).await?;
    let let_go = session.invariants(known.as_ref()).await;
    let interrupts = Interrupts::listen(output, "`destroy` again removes what is left.");
    let gives_up = manager.interrupted().await?.map(|open| {
        let why = "everything is to be removed".to_owned();
        Box::new(GivesUp { open, why, when: GiveUp::Always })
    });
    let operator = Operator {
        manager: &manager,
        yes: args.yes,
        interrupts: &interrupts,
        earlier: Vec::new(),
        gives_up,
        let_go,
        known: known.as_ref(),
        output,
    };
    let code = operator.bring_about(&Desired::new(), &Selection::all(), Purpose::Destroy).await?;
    plan::leave(manager, (), output).await?;
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

/// How often what is held back is planned anew in one command: once for whoever was there in between, once more for good
/// measure. What moves all the time is a fight with somebody else, and is for a person to see.
const ROUNDS_MAX: usize = 3;

/// Who has plans confirmed and done.
struct Operator<'a> {
    manager: &'a Manager,
    yes: bool,
    interrupts: &'a Interrupts,
    /// The runs of the same command before the next one.
    earlier: Vec<ApplyReport>,
    /// The run that was interrupted, and is given up with what is done now.
    gives_up: Option<Box<GivesUp>>,
    /// The invariants that are not kept, since everything is to go.
    let_go: Vec<String>,
    /// A desired state that has the sensitive values by which something is found that is to go.
    known: Option<&'a Desired>,
    output: &'a Output,
}

/// What came of a plan.
enum Applied {
    /// It was not done; this is the exit code.
    Undone(u8),
    /// It was done, so.
    Done(ApplyReport),
}

impl Operator<'_> {
    /// Does exactly what was planned before.
    async fn apply_saved(mut self, saved: Plan, desired: Option<&Desired>) -> Result<u8, Failed> {
        let mut looking = progress::looking(self.output);
        let id = saved.id;
        let planned = match self.manager.prepare(saved, desired, &mut looking).await {
            Ok(planned) => planned,
            Err(error) => return Err(self.refused(self.done_before(id, error).await)),
        };
        drop(looking);
        match self.confirm_and_run(planned, Purpose::Desired).await? {
            Applied::Undone(code) => Ok(code),
            Applied::Done(report) => self.end(&report, Purpose::Desired),
        }
    }

    /// Says of a stale plan by which run it was done, if it was.
    async fn done_before(&self, plan: Digest, error: ManageError) -> Failed {
        let is_stale = matches!(error, ManageError::Stale(_));
        let failed = Failed::from(error);
        let runs = if is_stale { self.manager.history().await.unwrap_or_default() } else { Vec::new() };
        match runs.iter().find(|run| run.plan == plan && run.outcome == Some(Outcome::Done)) {
            Some(run) => failed.with_hint(format!(
                "{} has done it already; run `plan --out` again for what is to do now",
                run.number
            )),
            None => failed,
        }
    }

    /// Plans and does; what was held back since the world moved is planned anew, and confirmed anew.
    async fn bring_about(
        mut self,
        desired: &Desired,
        selection: &Selection,
        purpose: Purpose,
    ) -> Result<u8, Failed> {
        let mut rounds = 0;
        loop {
            rounds += 1;
            let mut looking = progress::looking(self.output);
            let planned = self.manager.plan_knowing(desired, self.known, selection, &mut looking).await;
            drop(looking);
            let planned = planned.map_err(|error| match purpose {
                Purpose::Desired => self.refused(error.into()),
                Purpose::Destroy => self.refused(undestroyed(error)),
            })?;
            let report = match self.confirm_and_run(planned, purpose).await? {
                Applied::Undone(code) => return Ok(code),
                Applied::Done(report) => report,
            };
            let is_held = report.report.outcome == Outcome::Refused;
            if report.run.is_none() || !is_held || rounds >= ROUNDS_MAX {
                return self.end(&report, purpose);
            }
            self.interrupts.between();
            self.output.text(&format!("{report}\n"))?;
            self.earlier.push(report);
            self.output.say("What was held back is planned anew.");
        }
    }

    async fn confirm_and_run(&mut self, planned: Planned, purpose: Purpose) -> Result<Applied, Failed> {
        let (output, interrupts) = (self.output, self.interrupts);
        let shown = planned.plan.clone();
        let is_shown = !output.json && (!self.yes || !output.quiet);
        if is_shown {
            output.text(&plan::text(&shown, purpose, output))?;
            if !self.let_go.is_empty() && !shown.is_empty() {
                let names = self.let_go.join(", ");
                output.text(&format!("No invariant is kept, as everything is to go: {names}.\n"))?;
            }
        }
        if shown.is_empty() && self.gives_up.as_ref().is_some_and(|it| it.when == GiveUp::WithWork) {
            self.gives_up = None;
        }
        if is_shown && shown.is_settled() && self.gives_up.is_none() {
            // The plan has said that there is nothing to do.
            return Ok(Applied::Undone(DONE));
        }
        let question = self.question(purpose, shown.actions.len());
        let is_asked = !shown.is_empty() || self.gives_up.is_some();
        if is_asked && !self.yes && ask(&question, output)? == Answer::No {
            let more = if interrupts.has_run() { "more " } else { "" };
            output.text(&format!("Nothing {more}was changed.\n"))?;
            return Ok(Applied::Undone(REFUSED));
        }
        if let Some(refusal) = planned.refusal() {
            return Err(self.refused(refusal.into()));
        }
        if let Some(gives_up) = self.gives_up.take() {
            gives_up.now(self.manager, output).await?;
            if is_shown && shown.is_settled() {
                return Ok(Applied::Undone(DONE));
            }
        }
        let sink = progress::running(&shown, output, interrupts);
        Ok(Applied::Done(self.manager.apply_with(planned, sink, interrupts.stop()).await?))
    }

    /// An error before anything is done, with what became of the run that was to be given up: nothing.
    fn refused(&self, error: Failed) -> Failed {
        let Some(gives_up) = &self.gives_up else { return error };
        let kept = format!("{} is not given up", gives_up.open.number);
        let hint = error.hint.as_ref().map_or_else(|| kept.clone(), |hint| format!("{hint}; {kept}"));
        Failed { hint: Some(hint), ..error }
    }

    /// What is asked before anything is done.
    fn question(&self, purpose: Purpose, actions: usize) -> String {
        let (verb, one, many) = match purpose {
            Purpose::Desired => ("Apply", "action", "actions"),
            Purpose::Destroy => ("Destroy", "resource", "resources"),
        };
        let things = if actions == 1 { one } else { many };
        match &self.gives_up {
            None => format!("{verb} {actions} {things}?"),
            Some(gives_up) if actions == 0 => {
                format!("{} was interrupted. Give it up?", gives_up.open.number)
            }
            Some(gives_up) => {
                format!(
                    "{} was interrupted. Give it up, and {} {actions} {things}?",
                    gives_up.open.number,
                    verb.to_lowercase()
                )
            }
        }
    }

    fn end(&self, report: &ApplyReport, purpose: Purpose) -> Result<u8, Failed> {
        self.interrupts.over();
        let is_nothing = report.run.is_none() && report.report.outcome == Outcome::Done;
        match self.earlier.split_last() {
            // Nothing was left to do after a run that was resumed: what this command did is that run.
            Some((last, before))
                if self.output.json && is_nothing && last.report.outcome == Outcome::Done =>
            {
                self::report(last, purpose, before, self.output)?;
            }
            _ => self::report(report, purpose, &self.earlier, self.output)?,
        }
        Ok(exit_code(report.report.outcome))
    }
}

pub(super) fn exit_code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Done => DONE,
        Outcome::Failed | Outcome::Superseded => FAILED,
        Outcome::Interrupted => INTERRUPTED,
        Outcome::Refused => REFUSED,
    }
}

/// Reports a run. `earlier` are those of the same command before it: one that was resumed, those in which something was
/// held back.
pub(super) fn report(
    applied: &ApplyReport,
    purpose: Purpose,
    earlier: &[ApplyReport],
    output: &Output,
) -> Result<(), Failed> {
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
        let mut object = json!({
            "format": "detc.run/1",
            "run": applied.run.map(|run| run.to_string()),
            "outcome": report.outcome,
            "actions": tally,
            "failures": failures,
            "duration_ms": report.took.as_millis() as u64,
        });
        if !report.remarks.is_empty() {
            let remark = |(action, remark): &(u32, String)| json!({ "action": plan.action_id(*action), "resource": plan.resource_of(*action), "remark": remark });
            object["remarks"] = report.remarks.iter().map(remark).collect();
        }
        if !earlier.is_empty() {
            let told = |earlier: &ApplyReport| {
                let run = earlier.run.map(|run| run.to_string());
                json!({ "run": run, "outcome": earlier.report.outcome, "actions": earlier.report.tally })
            };
            object["earlier"] = earlier.iter().map(told).collect();
        }
        return output.object(&object);
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
