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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Invariant, Measure, Selector};
    use crate::plan::tests::support::{World, value};

    /// Of values `v0` to `v8` and invariants `i0` to `i8`, the question at each place about the next one.
    fn said(why: Why) -> String {
        let mut world = World::new().want((0..9).map(|n| value(&format!("v{n}"), json!(n))));
        for n in 0..9 {
            let measure = Measure::Available(Selector::default());
            let (name, bound) = (format!("i{n}"), InvariantBound::AtLeast(0));
            world.desired = world.desired.invariant(Invariant { name, measure, bound });
        }
        let asked: Vec<usize> = (1..9).collect();
        words((&world.plan(), &asked), &Hopeless { question: 0, why })
    }

    fn stuck(circle: &[(u32, Option<usize>)], helps: &[(usize, i64, InvariantBound)]) -> Stuck {
        Stuck {
            circle: circle.iter().map(|&(action, question)| Wait { action, question }).collect(),
            helps: helps.iter().map(|&(question, by, bound)| Loosened { question, by, bound }).collect(),
        }
    }

    #[test]
    fn who_waits_for_whom_is_told_with_what_would_help() {
        let on_the_way = |stuck| said(Why::OnTheWay { stuck });
        assert_eq!(on_the_way(stuck(&[], &[])), "whatever is done first, nothing more fits then");
        assert_eq!(
            on_the_way(stuck(&[(2, Some(0))], &[(1, 3, InvariantBound::AtLeast(4))])),
            "create:value/v2 takes more than `i1` ever allows; there is an order with `i2` at least 4 (3 less)"
        );
        assert_eq!(
            on_the_way(stuck(
                &[(0, None), (1, Some(2))],
                &[(0, 1, InvariantBound::AtMost(5)), (1, 2, InvariantBound::AtMost(6))]
            )),
            "2 actions would have to swap places in a circle: create:value/v0 waits for create:value/v1 (which it comes after), \
             that for create:value/v0 (`i3`); there is an order with `i1` at most 5 (1 more), or with `i2` at most 6 (2 more)"
        );
    }

    #[test]
    fn of_bounds_that_exclude_each_other_the_circle_is_told_or_else_their_names() {
        let conflict = |circle: &[(u32, Option<usize>)]| {
            said(Why::Conflict { others: vec![1, 2], stuck: stuck(circle, &[]) })
        };
        assert_eq!(conflict(&[]), "it can not be kept together with `i2`, `i3`");
        assert_eq!(conflict(&[(0, Some(0))]), "it can not be kept together with `i2`, `i3`");
        assert_eq!(
            conflict(&[(0, Some(0)), (1, Some(1))]),
            "2 actions would have to swap places in a circle: create:value/v0 waits for create:value/v1 (`i1`), \
             that for create:value/v0 (`i2`)"
        );
        assert_eq!(said(Why::GaveUp { steps: 7 }), "none was found after 7 tries");
    }

    #[test]
    fn up_to_seven_are_listed() {
        let listed = |count: usize| listed((0..count).map(|n| n.to_string()).collect(), " ");
        assert_eq!([listed(7), listed(8)], ["0 1 2 3 4 5 6", "0 1 2 3 4 5 2 more"]);
    }
}
