//! The laws of what an action says that it does to invariants: after each of its calls it is looked whether that is so.
//!
//! The proof of a plan rests on this: it takes for certain that what is changed in place stays there, that a sum is never more
//! than what is stated, and that nothing else is kept from taking part.

use serde_json::Value;

use super::laws::{Life, Lived, name};
use super::stage::{Stage, Step};
use super::{Trial, note};
use crate::action::{Footprint, Meanwhile};
use crate::model::{FieldPath, Health, Observation, ResourceId};
use crate::resource::{ChangeEffect, Kind};
use crate::testing::Violation;
use crate::testing::calls::Fault;

pub(super) async fn check(
    kind: &dyn Kind,
    trial: &dyn Fn() -> Trial,
    life: &Life,
    found: &mut Vec<Violation>,
) {
    for (place, lived) in life.steps.iter().enumerate() {
        let Step::Make(at) = lived.step else { continue };
        let probes = trial();
        if at == 0 && probes.sums.is_empty() && probes.others.is_empty() {
            continue;
        }
        for call in 0..lived.calls.len() {
            let mut stage = Stage::new(kind, trial());
            for before in &life.steps[..place] {
                stage.take(before.step, None).await;
            }
            let was_healthy = is_healthy(&stage, at.saturating_sub(1)).await;
            stage.take(lived.step, Some((call, Fault::CutAfter))).await;
            let when = format!("{}, after {}", name(at), lived.calls[call]);
            sum_laws(&stage, (at, &when), found);
            part_laws(&stage, (at, &when), found);
            if was_healthy && stays(&stage, at) {
                stay_law(&stage, (at, &when), found).await;
            }
        }
        ended_laws(kind, trial, (place, life), lived, found).await;
    }
}

/// Whether the change to this spec is to leave in place what is there.
fn stays(stage: &Stage<'_>, at: usize) -> bool {
    let traits = &stage.kind.facts().traits;
    let is_itself = |stated: &Meanwhile| matches!(stated, Meanwhile::Suspends(id) if *id == stage.id);
    let is_in_place = || {
        let (before, after) = (stage.spec(at - 1).as_object(), stage.spec(at).as_object());
        let fields = before.into_iter().chain(after).flat_map(serde_json::Map::keys);
        let value = |at: usize, field: &String| stage.spec(at).get(field).cloned();
        fields
            .filter(|field| value(at - 1, field) != value(at, field))
            .all(|field| traits.in_place.contains(&field.as_str()))
    };
    at > 0
        && !stated(stage, at).iter().any(is_itself)
        && (traits.change != ChangeEffect::Restart || is_in_place() || overlaps(stage, at))
}

/// Whether the spec of this index states that what was there stays until what takes its place works.
fn overlaps(stage: &Stage<'_>, at: usize) -> bool {
    stated(stage, at).contains(&Meanwhile::Overlaps)
}

async fn is_healthy(stage: &Stage<'_>, at: usize) -> bool {
    let seen = stage.look(at, None).await;
    matches!(seen, Some(Ok(Observation::Present(present))) if present.health != Health::Unhealthy)
}

async fn stay_law(stage: &Stage<'_>, (at, when): (usize, &str), found: &mut Vec<Violation>) {
    const LAW: &str = "what is changed in place stays there";
    match stage.look(at, None).await {
        Some(Ok(Observation::Absent)) => note(found, LAW, format!("{when}: it is absent")),
        Some(Ok(Observation::Present(present))) if present.health == Health::Unhealthy => {
            note(found, LAW, format!("{when}: it is unhealthy"));
        }
        _ => {}
    }
}

/// What the spec of this index states of the time while it is brought about.
fn stated(stage: &Stage<'_>, at: usize) -> Vec<Meanwhile> {
    stage.footprint(at).map(|Footprint { meanwhile, .. }| meanwhile).unwrap_or_default()
}

fn number(spec: &Value, field: &FieldPath) -> i64 {
    field.get(spec).and_then(Value::as_i64).unwrap_or_default()
}

/// That no more of a field is in use than before or after, and what is stated.
fn sum_laws(stage: &Stage<'_>, (at, when): (usize, &str), found: &mut Vec<Violation>) {
    for (field, in_use) in &stage.trial.sums {
        let takes = |stated: Meanwhile| match stated {
            Meanwhile::Takes { field: of, amount } if of == *field => amount.max(0),
            _ => 0,
        };
        let before = if at == 0 { 0 } else { number(stage.spec(at - 1), field) };
        let after = number(stage.spec(at), field);
        let most = if overlaps(stage, at) { before + after } else { before.max(after) };
        let most = most + stated(stage, at).into_iter().map(takes).sum::<i64>();
        let now = in_use();
        if now > most {
            let detail =
                format!("{when}: {now} of `{field}` are in use, and {most} at most by what is stated");
            note(found, "what is taken while something is made or changed is stated", detail);
        }
    }
}

/// That nothing is kept from taking part but what is stated.
fn part_laws(stage: &Stage<'_>, (at, when): (usize, &str), found: &mut Vec<Violation>) {
    for (id, takes_part) in &stage.trial.others {
        let is_stated = |stated: &Meanwhile| matches!(stated, Meanwhile::Suspends(other) if other == id);
        if !takes_part() && !stated(stage, at).iter().any(is_stated) {
            let detail = format!("{when}: {id} takes no part, and that is not stated");
            note(found, "what is kept from taking part is stated", detail);
        }
    }
}

/// That when all is done what is in use is what the spec says, and everything takes part again.
async fn ended_laws(
    kind: &dyn Kind,
    trial: &dyn Fn() -> Trial,
    (place, life): (usize, &Life),
    lived: &Lived,
    found: &mut Vec<Violation>,
) {
    const LAW: &str = "what was taken meanwhile is given back";
    let Step::Make(at) = lived.step else { return };
    let mut stage = Stage::new(kind, trial());
    for before in &life.steps[..=place] {
        stage.take(before.step, None).await;
    }
    for (field, in_use) in &stage.trial.sums {
        let (now, said) = (in_use(), number(stage.spec(at), field));
        if now > said {
            note(
                found,
                LAW,
                format!(
                    "{}: {now} of `{field}` are in use when it is done, and the spec says {said}",
                    name(at)
                ),
            );
        }
    }
    let gone: Option<&ResourceId> =
        stage.trial.others.iter().find(|(_, takes_part)| !takes_part()).map(|(id, _)| id);
    if let Some(id) = gone {
        note(found, LAW, format!("{}: {id} takes no part when it is done", name(at)));
    }
}
