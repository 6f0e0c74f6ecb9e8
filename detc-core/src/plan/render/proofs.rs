//! One line for each invariant: its bound, the worst that can happen, and how, where that breaks it.

use std::fmt::Write as _;

use super::entry::Writer;
use super::grouped;
use super::text::{Detail, Paint};
use crate::model::{Invariant, Measure};
use crate::plan::{Count, Drawn, Examined, Plan, Proved};

pub(super) fn proofs(writer: &mut Writer<'_>) {
    let plan = writer.lookup.plan;
    for (index, proved) in plan.proofs.iter().enumerate() {
        let bound = proved.invariant.bound;
        let (name, now) = (&proved.invariant.name, now(proved));
        let line = if !proved.holds {
            let story = plan.story(proved);
            writer.paint(Paint::Unknown, &format!("BROKEN: {name}: {bound}; now {now}, and {story}."))
        } else if proved.vacuous {
            let none = selects_none(&proved.invariant);
            writer.paint(Paint::Drift, &format!("Proves nothing: {name}: {bound}; {none}."))
        } else if proved.held_before() {
            format!("Proven: {name}: {bound}; now {now}, {}.", worst(plan, index, proved))
        } else {
            let after = proved.after();
            let end =
                if proved.invariant.bound.allows(after) { "" } else { ", where it still does not hold" };
            let worst = worst(plan, index, proved);
            let line =
                format!("Does not hold yet: {name}: {bound}; now {now}, {worst}, {after} at the end{end}.");
            writer.paint(Paint::Drift, &line)
        };
        let _ = writeln!(writer.out, "{line}");
        added(writer, index);
    }
    for found in &plan.examined {
        let line = examined(writer, found);
        let _ = writeln!(writer.out, "{line}");
    }
}

/// The waits that were added for the sake of an invariant; all of them where all is shown.
fn added(writer: &mut Writer<'_>, index: usize) {
    const SHOWN_MAX: usize = 3;
    let plan = writer.lookup.plan;
    let waits: Vec<&(u32, u32, u32)> = plan.ordered.iter().filter(|wait| wait.2 as usize == index).collect();
    let shown = match writer.options.detail {
        Detail::Full => waits.len(),
        Detail::Folded if waits.len() <= SHOWN_MAX + 1 => waits.len(),
        Detail::Folded => SHOWN_MAX,
    };
    for (before, after, _) in &waits[..shown] {
        let (after, before) = (plan.action_id(*after), plan.action_id(*before));
        let _ = writeln!(writer.out, "  {after} waits for {before}");
    }
    if shown < waits.len() {
        let _ = writeln!(writer.out, "  … and {} more", grouped(waits.len() - shown));
    }
}

/// What was found of a predicate, and by looking at what.
fn examined(writer: &Writer<'_>, found: &Examined) -> String {
    let (plan, name) = (writer.lookup.plan, &found.name);
    if !found.holds {
        return writer.paint(Paint::Unknown, &format!("BROKEN: {name}: {}.", plan.story_of(found)));
    }
    if found.vacuous {
        return writer
            .paint(Paint::Drift, &format!("Proves nothing: {name}: there is no resource that it is about."));
    }
    if let Some(before) = &found.before {
        let end = match &found.after {
            None => "it holds at the end".to_owned(),
            Some(why) => format!("at the end {why}"),
        };
        return writer.paint(Paint::Drift, &format!("Does not hold yet: {name}: now {before}; {end}."));
    }
    let looked_at = grouped(found.looked_at as usize);
    match (found.drawn, found.states) {
        (None, _) if found.looked_at == 1 => {
            format!("Proven: {name}: it holds now, and nothing that it is about changes.")
        }
        (None, _) => format!("Proven: {name}: it holds in all {looked_at} states."),
        (Some(Drawn { runs, seed, .. }), states) => {
            let of = match states {
                Count::Exactly(states) => grouped(states as usize),
                Count::AtLeast(states) => format!("{} or more", grouped(states as usize)),
            };
            let text = format!(
                "Sampled, not proven: {name}: it holds in {looked_at} states of {of}, drawn in {} runs from seed {seed}.",
                grouped(runs as usize)
            );
            writer.paint(Paint::Drift, &text)
        }
    }
}

fn worst(plan: &Plan, index: usize, proved: &Proved) -> String {
    let ordered = plan.ordered.iter().filter(|(_, _, proof)| *proof as usize == index).count();
    let because = match ordered {
        0 => String::new(),
        1 => ", by one wait that was added".to_owned(),
        count => format!(", by {} waits that were added", grouped(count)),
    };
    let if_at_work = match &proved.if_at_work {
        Some(if_at_work) => format!(", nor than {} if all of that works", if_at_work.worst),
        None => String::new(),
    };
    format!("never worse than {}{if_at_work}{because}", proved.worst)
}

/// Its value before the plan; both ends, where it is not known.
fn now(proved: &Proved) -> String {
    match proved.if_at_work {
        None => proved.base.to_string(),
        Some(_) => format!(
            "{} or up to {} (what an earlier run was cut off in may work or not)",
            proved.base,
            proved.base_if_at_work()
        ),
    }
}

fn selects_none(invariant: &Invariant) -> String {
    let of = invariant.measure.selector();
    match &invariant.measure {
        Measure::Available(_) => format!("no resource is selected by {of}"),
        Measure::Total { field, .. } => format!("no resource selected by {of} has a number `{field}`"),
    }
}
