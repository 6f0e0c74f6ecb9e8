//! Edges that make a plan keep its invariants, and the reason when none can.
//!
//! Each unit of harm that an event does must be covered: by the room that there is in the beginning, or by a unit of
//! relief from an action that has ended before. That is the flow of the proof read backwards, so a plan holds exactly
//! when such a cover exists along its order. Repair makes one:
//!
//! 1. `sequence` finds one order of all actions, one at a time, in which every bound holds;
//! 2. `cover` walks along it and gives each harm its relief, from whoever makes it wait the least. What is not needed
//!    as relief is not ordered. Of *n* restarts of which *k* may be away this makes *k* chains, each as long as the
//!    others; of takers of memory each waits for the givers that it needs.
//!
//! This is *chaining* of N. Policella et al., "Generating robust schedules through temporal flexibility" (ICAPS 2004).
//! More edges never break an invariant, because they only take reachable states away; so the questions that hold
//! already need no thought.

mod cover;
mod sequence;
mod stuck;
#[cfg(test)]
mod tests;

use thiserror::Error;

use self::cover::cover;
use self::sequence::{Found, sequence};
pub use self::stuck::{Loosened, Stuck, Wait};
use super::{Effect, Order, Question, Scale, all_hold, verdicts};

/// How much proving goes into leaving out edges again, in nodes and edges of the plan looked at: a tenth of a second. A cover along
/// one sequence may order more than is needed; for small plans it is worth to try without.
const TRIALS_MAX: usize = 200_000;

/// An edge that a repair adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddedEdge {
    /// The action that ends first.
    pub before: u32,
    /// The action that starts after it.
    pub after: u32,
    /// The place of the question for whose sake it was added.
    pub question: usize,
}

/// A question that no added edges help, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no order can keep invariant {question}: {why}")]
pub struct Hopeless {
    /// The place of the question.
    pub question: usize,
    /// Why not.
    pub why: Why,
}

/// Why a plan was not repaired.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Why {
    /// The bound is broken before anything is done. Repair what is there first, or loosen the bound.
    #[error("it is broken before the plan begins, with {value}")]
    Base {
        /// The value before the plan.
        value: i64,
    },
    /// The bound is broken when all is done: what is desired contradicts it.
    #[error("it is broken when all is done, with {value}")]
    End {
        /// The value after the plan.
        value: i64,
    },
    /// Every order breaks the bound on the way: each action that could go needs what another one holds.
    #[error("whatever the order, it is broken on the way: {stuck}")]
    OnTheWay {
        /// Where it comes to a halt.
        stuck: Stuck,
    },
    /// There are orders for each broken bound, and none for all of them.
    #[error("no order keeps it and the others at {others:?} too: {stuck}")]
    Conflict {
        /// The places of the other broken questions, ascending.
        others: Vec<usize>,
        /// Where it comes to a halt.
        stuck: Stuck,
    },
    /// There may be an order; none was found with the work allowed.
    #[error("none was found after {steps} tries")]
    GaveUp {
        /// How many choices were made.
        steps: usize,
    },
}

/// Edges that make all questions hold when they are added to the order; none when they hold already. The result has
/// been proven again.
///
/// Against the best edges by brute force, on random plans of four actions, 99 % as many states remain reachable and
/// the longest chains are as short. The search for a sequence is exact for small plans and where no action has to be tried out, and
/// bounded otherwise (finding one is NP-hard: Abdel-Wahab and Kameda, "Scheduling to minimize maximum cumulative cost subject to
/// series-parallel precedence constraints", Operations Research 26, 1978).
///
/// # Errors
/// When no order keeps all bounds, or none was found.
///
/// # Panics
/// When an effect names an action that the plan does not have.
pub fn repair(order: &Order, questions: &[Question<'_>]) -> Result<Vec<AddedEdge>, Hopeless> {
    let broken: Vec<usize> = (0..)
        .zip(verdicts(order, questions, 0))
        .filter(|(_, verdict)| !verdict.holds)
        .map(|(q, _)| q)
        .collect();
    for &question in &broken {
        possible(&questions[question]).map_err(|why| Hopeless { question, why })?;
    }
    let asked = |chosen: &[usize]| -> Vec<Question<'_>> { chosen.iter().map(|&q| questions[q]).collect() };
    let all = asked(&broken);
    let sequence = match sequence(order, &all) {
        Found::Sequence(sequence) => sequence,
        Found::None { done } => return Err(culprit(order, questions, &broken, &done)),
        Found::GaveUp { steps } => {
            let question = broken.first().copied().unwrap_or_default();
            return Err(Hopeless { question, why: Why::GaveUp { steps } });
        }
    };
    let mut added = cover(order, &all, &sequence);
    thin(order, &all, &mut added);
    let holds = order
        .with(added.iter().map(|edge| (edge.before, edge.after)))
        .is_ok_and(|order| all_hold(&order, questions));
    assert!(holds, "invariant: harm that is covered along an order keeps the bound");
    for edge in &mut added {
        edge.question = broken[edge.question];
    }
    Ok(added)
}

/// Whether the bound holds before and after the plan.
fn possible(question: &Question<'_>) -> Result<(), Why> {
    let scale = Scale::of(question);
    if scale.room < 0 {
        return Err(Why::Base { value: question.base });
    }
    let sum = |effect: &Effect| i128::from(effect.start) + i128::from(effect.end);
    let harm = scale.unit * question.effects.iter().map(sum).sum::<i128>();
    if harm > scale.room { Err(Why::End { value: scale.value(harm) }) } else { Ok(()) }
}

/// The question to name when no sequence keeps all of the broken ones. `done`: how far it goes with all of them.
fn culprit(order: &Order, questions: &[Question<'_>], broken: &[usize], done: &[u32]) -> Hopeless {
    for &question in broken {
        if let Found::None { done } = sequence(order, &[questions[question]]) {
            let stuck = Stuck::of(order, questions, (&[question], broken), &done);
            return Hopeless { question, why: Why::OnTheWay { stuck } };
        }
    }
    let others = broken.iter().skip(1).copied().collect();
    let stuck = Stuck::of(order, questions, (broken, broken), done);
    Hopeless { question: broken.first().copied().unwrap_or_default(), why: Why::Conflict { others, stuck } }
}

/// Leaves out edges without which all questions hold too, last ones first, as long as it costs little.
fn thin(order: &Order, questions: &[Question<'_>], added: &mut Vec<AddedEdge>) {
    let size = order.size() + questions.iter().map(|question| question.effects.len()).sum::<usize>();
    let mut trials = TRIALS_MAX / (size + added.len()).max(1);
    for place in (0..added.len()).rev() {
        if trials == 0 {
            break;
        }
        trials -= 1;
        let rest = added.iter().enumerate().filter(|&(at, _)| at != place);
        let without = order.with(rest.map(|(_, edge)| (edge.before, edge.after)));
        if without.is_ok_and(|order| all_hold(&order, questions)) {
            added.remove(place);
        }
    }
}
