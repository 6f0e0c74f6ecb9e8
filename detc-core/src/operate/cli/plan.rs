//! `plan`: observe, diff, plan, prove; show it.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::args::{PlanArgs, SelectArgs};
use super::error::{Failed, UNBROKEN};
use super::open::{Access, Session};
use super::output::Output;
use super::{CHANGES, DONE, FAILED, REFUSED, progress};
use crate::manage::{Manager, Rehearsal, RehearsalOptions};
use crate::model::{Desired, ResourceId};
use crate::plan::render::{self, Color, Detail, Purpose, TextOptions, plain};
use crate::plan::{Plan, Selection, file};

pub(super) async fn run(session: Session, args: PlanArgs, output: &Output) -> Result<u8, Failed> {
    let access = if args.out.is_some() { Access::Write } else { Access::Look };
    if let Some(path) = &args.out {
        check_replaceable(path, &session.files()?)?;
    }
    let (desired, manager) = session.open(access).await?;
    let mut looking = progress::looking(output);
    let selection = selection(args.select);
    let planned = manager.plan_with(&desired, &selection, &mut looking).await?;
    let plan = planned.plan.clone();
    // What is refused is not done, and so not rehearsed.
    let rehearsal = match args.rehearse && plan.broken().is_none() {
        true => Some(manager.rehearse(&planned, &desired, &selection, RehearsalOptions::default()).await?),
        false => None,
    };
    show(&plan, (&desired, rehearsal.as_ref()), output)?;
    if let Some(path) = &args.out {
        file::save(&plan, manager.store_name(), path)?;
        if plan.broken().is_some() {
            output.say("Saved, to be read: `apply` refuses it as it is.");
        } else if !output.json {
            let given = if manager.needs_desired(&plan) { session.files()? } else { Vec::new() };
            output.say(&format!("Saved. `{}` does exactly this.", apply_of(path, &given)));
        }
    }
    tell_interrupted(&manager, output).await?;
    let unknown: Vec<&ResourceId> = plan.unknown().map(|change| &change.resource).collect();
    output.unseen(&unknown);
    if plan.broken().is_some() {
        output.say(&format!("This plan is refused: {UNBROKEN}."));
    }
    let goes_wrong = rehearsal.is_some_and(|rehearsal| !rehearsal.violations.is_empty());
    let code = match (plan.broken(), unknown.len()) {
        (Some(_), _) => REFUSED,
        (None, _) if goes_wrong => REFUSED,
        (None, 1..) => FAILED,
        (None, 0) if args.detailed_exitcode && !plan.is_settled() => CHANGES,
        (None, 0) => DONE,
    };
    leave(manager, (desired, planned), output).await?;
    Ok(code)
}

/// That a plan saved there takes nothing away that somebody wrote.
fn check_replaceable(path: &Path, desired: &[PathBuf]) -> Result<(), Failed> {
    let same = |other: &PathBuf| match (std::fs::canonicalize(path), std::fs::canonicalize(other)) {
        (Ok(path), Ok(other)) => path == other,
        (Err(_), _) | (_, Err(_)) => path == other,
    };
    let what = if desired.iter().any(same) {
        "is the desired state itself"
    } else if file::may_be_replaced(path) {
        return Ok(());
    } else {
        "is there already, and is no saved plan"
    };
    let message = format!("the plan can not be saved as {}: it {what}", path.display());
    Err(Failed::usage(message).with_hint("name another file with `--out`"))
}

/// The words that apply the plan in this file, as a shell reads them.
fn apply_of(plan: &Path, files: &[PathBuf]) -> String {
    let word = |path: &Path| {
        let text = path.display().to_string();
        let is_plain = |c: char| c.is_alphanumeric() || "/._-+,@:".contains(c);
        if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
    };
    let given: String = files.iter().map(|file| format!("-f {} ", word(file))).collect();
    format!("apply {given}{}", word(plan))
}

/// Says what `apply` comes to first.
pub(super) async fn tell_interrupted(manager: &Manager, output: &Output) -> Result<(), Failed> {
    if let Some(open) = manager.interrupted().await? {
        output.say(&format!(
            "{0} was interrupted. `apply` finishes what is still desired of it first, and plans the rest then; \
             `apply --abandon` gives it up. `show {0}` shows how far it came.",
            open.number
        ));
    }
    Ok(())
}

pub(super) fn selection(args: SelectArgs) -> Selection {
    let mut selection = Selection::all();
    for pattern in args.only {
        selection = selection.only(pattern);
    }
    for pattern in args.except {
        selection = selection.except(pattern);
    }
    selection
}

/// Shows a plan as text or JSON, with what its rehearsal has shown.
pub(super) fn show(
    plan: &Plan,
    (desired, rehearsal): (&Desired, Option<&Rehearsal>),
    output: &Output,
) -> Result<(), Failed> {
    if output.json {
        let kept: Vec<ResourceId> = if output.verbose { kept(plan, desired) } else { Vec::new() };
        let rehearsal = rehearsal.map(|rehearsal| ("rehearsal", rehearsal_json(rehearsal)));
        return output.result(|out| render::json_with(plan, &kept, rehearsal, out));
    }
    output.text(&text(plan, Purpose::Desired, output))?;
    rehearsal.map_or(Ok(()), |rehearsal| output.text(&format!("{}\n", plain(&rehearsal.to_string()))))
}

fn rehearsal_json(rehearsal: &Rehearsal) -> serde_json::Value {
    let violations = rehearsal.violations.iter().map(|(point, what)| json!({ "point": point, "what": what }));
    json!({
        "deaths": rehearsal.deaths,
        "one_by_one": rehearsal.one_by_one,
        "points": rehearsal.points,
        "covered": rehearsal.covered,
        "seed": rehearsal.seed,
        "violations": violations.collect::<Vec<_>>(),
        "needs_a_person": rehearsal.doubts,
        "no_return": rehearsal.no_return,
    })
}

pub(super) fn text(plan: &Plan, purpose: Purpose, output: &Output) -> String {
    let color = if output.color { Color::Always } else { Color::Never };
    let detail = if output.verbose { Detail::Full } else { Detail::Folded };
    plan.text(&TextOptions::default().with_color(color).with_detail(detail).with_purpose(purpose))
}

fn kept(plan: &Plan, desired: &Desired) -> Vec<ResourceId> {
    let changed = |id: &ResourceId| plan.changes.binary_search_by(|change| change.resource.cmp(id)).is_ok();
    let mut kept: Vec<ResourceId> = desired.resources.keys().filter(|id| !changed(id)).cloned().collect();
    kept.sort_unstable();
    kept
}

/// Closes the store in good order. What is large is left to the end of the process, where that comes now: freeing a million
/// resources one by one takes longer than planning them.
pub(super) async fn leave<T>(manager: Manager, large: T, output: &Output) -> Result<(), Failed> {
    if output.ends_process {
        std::mem::forget((manager.recorded(), large));
    }
    Ok(manager.close().await?)
}
