//! One line for each invariant: its bound, the worst that can happen, and how, where that breaks it.

use std::fmt::Write as _;

use super::entry::Writer;
use super::grouped;
use super::text::Paint;
use crate::model::{Invariant, Measure};
use crate::plan::{Plan, Proved};

pub(super) fn proofs(writer: &mut Writer<'_>) {
    let plan = writer.lookup.plan;
    for (index, proved) in plan.proofs.iter().enumerate() {
        let bound = proved.invariant.bound;
        let (name, now) = (&proved.invariant.name, proved.base);
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
    }
}

fn worst(plan: &Plan, index: usize, proved: &Proved) -> String {
    let ordered = plan.ordered.iter().filter(|(_, _, proof)| *proof as usize == index).count();
    let because = match ordered {
        0 => String::new(),
        1 => ", by one wait that was added".to_owned(),
        count => format!(", by {} waits that were added", grouped(count)),
    };
    format!("never worse than {}{because}", proved.worst)
}

fn selects_none(invariant: &Invariant) -> String {
    let of = invariant.measure.selector();
    match &invariant.measure {
        Measure::Available(_) => format!("no resource is selected by {of}"),
        Measure::Total { field, .. } => format!("no resource selected by {of} has a number `{field}`"),
    }
}
