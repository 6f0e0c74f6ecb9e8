//! Why no order keeps an invariant, in the words of the plan: the actions that would have to swap places, and what would help.

use super::super::Plan;
use super::super::proof::repair::{Hopeless, Loosened, Stuck, Wait, Why};
use crate::model::InvariantBound;

/// How many members of a circle are named, and how many ways out.
const SHOWN_MAX: usize = 6;

/// A plan, and the place of the invariant that each question is about.
type Asked<'a> = (&'a Plan, &'a [usize]);

/// The words for it, which follow "no order helps:".
pub(super) fn words(plan: Asked<'_>, hopeless: &Hopeless) -> String {
    match &hopeless.why {
        Why::OnTheWay { stuck } => format!("{}{}", halt(plan, stuck), helps(plan, stuck)),
        Why::Conflict { stuck, .. } if stuck.circle.len() > 1 => {
            format!("{}{}", halt(plan, stuck), helps(plan, stuck))
        }
        Why::Conflict { others, stuck } => {
            let names = others.iter().map(|&other| name(plan, other)).collect();
            format!("it can not be kept together with {}{}", listed(names, ", "), helps(plan, stuck))
        }
        why => why.to_string(),
    }
}

/// Who waits for whom.
fn halt(plan: Asked<'_>, stuck: &Stuck) -> String {
    let for_what = |wait: &Wait| match wait.question {
        Some(question) => name(plan, question),
        None => "which it comes after".to_owned(),
    };
    match &stuck.circle[..] {
        [] => "whatever is done first, nothing more fits then".to_owned(),
        [alone] => {
            format!("{} takes more than {} ever allows", plan.0.action_id(alone.action), for_what(alone))
        }
        [first, ..] => {
            let next = stuck.circle.iter().skip(1).chain([first]);
            let waits = stuck.circle.iter().zip(next).map(|(wait, next)| {
                let waits = if wait == first {
                    format!("{} waits", plan.0.action_id(wait.action))
                } else {
                    "that".to_owned()
                };
                format!("{waits} for {} ({})", plan.0.action_id(next.action), for_what(wait))
            });
            let (many, waits) = (stuck.circle.len(), listed(waits.collect(), ", "));
            format!("{many} actions would have to swap places in a circle: {waits}")
        }
    }
}

/// What would help.
fn helps(plan: Asked<'_>, stuck: &Stuck) -> String {
    let help = |help: &Loosened| match help.bound {
        InvariantBound::AtLeast(_) => {
            format!("{} {} ({} less)", name(plan, help.question), help.bound, help.by)
        }
        InvariantBound::AtMost(_) => {
            format!("{} {} ({} more)", name(plan, help.question), help.bound, help.by)
        }
    };
    match stuck.helps.len() {
        0 => String::new(),
        _ => format!(
            "; there is an order with {}",
            listed(stuck.helps.iter().map(help).collect(), ", or with ")
        ),
    }
}

/// These, or as many as are read.
fn listed(mut parts: Vec<String>, between: &str) -> String {
    let more = parts.len().saturating_sub(SHOWN_MAX);
    if more > 1 {
        parts.truncate(SHOWN_MAX);
        parts.push(format!("{more} more"));
    }
    parts.join(between)
}

fn name(plan: Asked<'_>, question: usize) -> String {
    format!("`{}`", plan.0.proofs[plan.1[question]].invariant.name)
}
