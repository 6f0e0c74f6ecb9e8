//! Proof that a plan keeps its invariants, whatever happens while it runs.
//!
//! Each action of a plan has a start and an end. Whatever the interleaving, whatever fails, and wherever the manager
//! dies, the events that have occurred are a set *closed* under the plan's order: an end needs its start, and a start
//! needs the ends of all that its action waits for. Conversely each closed set can come about. An invariant bounds a
//! sum over the events that have occurred; its worst value over all closed sets is a maximum-weight closure, and so
//! one minimum cut (J.-C. Picard, "Maximal closure of a graph and applications to combinatorial problems", Management
//! Science 22, 1976). The answer is exact, for all of the exponentially many states at once.
//!
//! ```text
//! effects ──sides──▶ harm, relief ──between──▶ events that matter ──closure (collapse, cut)──▶ worst value
//!                                                                                   │ breaks the bound
//!                                                                        witness ◀──┘ a counter-example with no event too many
//!                                                                           └──fewest──▶ the smallest one
//! ```
//!
//! What an action does to an invariant's value is for the planner to say; here it is two numbers. An effect whose
//! moment is uncertain is put where it hurts: a replica is gone at the start of its restart and back at the end.
//!
//! ```
//! use detc_core::model::InvariantBound;
//! use detc_core::plan::proof::{Effect, Order, Question, prove};
//!
//! let restarts: Vec<Effect> = (0..3).map(|action| Effect { action, start: -1, end: 1 }).collect();
//! let question = Question { base: 3, effects: &restarts, bound: InvariantBound::AtLeast(2) };
//!
//! let at_once = prove(&Order::new(3, &[])?, &question);
//! assert_eq!(at_once.to_string(), "worst 0, after start 0, start 1");
//! let in_turn = prove(&Order::new(3, &[(0, 1), (1, 2)])?, &question);
//! assert_eq!(in_turn.to_string(), "holds, worst 2");
//! # Ok::<(), detc_core::plan::proof::NotAnOrder>(())
//! ```

mod between;
mod closure;
mod fewest;
mod flow;
mod order;
pub mod repair;
#[cfg(test)]
mod tests;
mod witness;

use std::fmt;

use self::between::{Event, LANES, Sides, between};
use self::closure::Weighted;
use self::fewest::fewest;
pub use self::order::{NotAnOrder, Order};
use crate::model::InvariantBound;

/// How many counter-examples one call of [`prove_all`] looks for. Each can be as long as the plan; a plan that breaks
/// more invariants than this is not repaired by reading them all, and for any one of them there is [`prove`].
pub const WITNESSES_MAX: usize = 100;

/// What one action does to an invariant's value. An action without one does nothing to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The action, counted from 0.
    pub action: u32,
    /// Added when the action starts.
    pub start: i64,
    /// Added when it ends.
    pub end: i64,
}

/// Whether a bound holds in each state that a plan can reach.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The value before the plan.
    pub base: i64,
    /// What the actions add to it. Effects of the same action add up.
    pub effects: &'a [Effect],
    /// What must hold of the value.
    pub bound: InvariantBound,
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The worst value that a reachable state has: the smallest for a lower bound, the greatest for an upper one. A
    /// value beyond the range of `i64` reads as the end of that range; the verdict itself is exact.
    pub worst: i64,
    /// Whether the bound holds in every reachable state.
    pub holds: bool,
    /// A way to break the bound; none when it holds, and none after [`WITNESSES_MAX`] in one call.
    pub witness: Option<Witness>,
}

/// A reachable state that breaks a bound, the one with the fewest events. Which that is can take for ever to find out: what is found
/// after 100,000 looks is taken, and of that it is only sure that without any one of its latest events it breaks nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The actions that have started, ascending.
    pub started: Vec<u32>,
    /// Those that have ended too, ascending.
    pub ended: Vec<u32>,
    /// The value in that state, limited to the range of `i64`.
    pub value: i64,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holds = if self.holds { "holds, " } else { "" };
        write!(f, "{holds}worst {}", self.worst)?;
        self.witness.iter().try_for_each(|witness| write!(f, ", {witness}"))
    }
}

impl Witness {
    fn new(order: &Order, events: &[Event], value: i64) -> Self {
        let actions = |parity: u32| {
            let of_kind = events.iter().filter(|&event| event % 2 == parity);
            let mut actions: Vec<u32> = of_kind.filter_map(|event| order.action(event / 2)).collect();
            actions.sort_unstable();
            actions
        };
        Self { started: actions(0), ended: actions(1), value }
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.started.is_empty() {
            return f.write_str("from the beginning");
        }
        let has_ended = |action: &u32| self.ended.binary_search(action).is_ok();
        let verb = |action| if has_ended(action) { "end" } else { "start" };
        f.write_str("after ")?;
        for (place, action) in self.started.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{} {action}", verb(action))?;
        }
        Ok(())
    }
}

/// Answers one question about a plan. For several, [`prove_all`] shares the work.
///
/// # Panics
/// When an effect names an action that the plan does not have.
pub fn prove(order: &Order, question: &Question<'_>) -> Verdict {
    prove_all(order, std::slice::from_ref(question)).pop().expect("invariant: one verdict a question")
}

/// Answers questions about one plan, in their order.
///
/// Linear in effects, plus O((actions + edges) · questions / 64) for the questions in which some relief comes before
/// some harm, plus for each of these a minimum cut of what lies between, after chains have been collapsed.
///
/// Sums are exact for any effects of up to 2³² actions: they are made in 128 bits.
///
/// # Panics
/// When an effect names an action that the plan does not have.
pub fn prove_all(order: &Order, questions: &[Question<'_>]) -> Vec<Verdict> {
    verdicts(order, questions, WITNESSES_MAX)
}

/// Whether the bounds of all questions hold.
fn all_hold(order: &Order, questions: &[Question<'_>]) -> bool {
    verdicts(order, questions, 0).iter().all(|verdict| verdict.holds)
}

/// The answers, the first so many of those that do not hold with a witness.
fn verdicts(order: &Order, questions: &[Question<'_>], witnesses_max: usize) -> Vec<Verdict> {
    let mut scratch = vec![0_u32; 2 * order.nodes() as usize];
    let mut verdicts = Vec::with_capacity(questions.len());
    let mut witnesses = 0;
    for questions in questions.chunks(LANES) {
        let sides: Vec<Sides> = questions.iter().map(|question| sides(order, question)).collect();
        let events = between(order, &sides.iter().collect::<Vec<_>>());
        for ((question, sides), events) in questions.iter().zip(&sides).zip(&events) {
            let scale = Scale::of(question);
            let (harm, occurred) = worst(order, sides, events, &mut scratch);
            let broken = harm > scale.room;
            let witness = (broken && witnesses < witnesses_max).then(|| {
                let least = scale.room + 1;
                let known = witness::smaller(order, sides, occurred, harm - least, &mut scratch);
                let (events, harm) = fewest(order, sides, known, least, &mut scratch);
                Witness::new(order, &events, scale.value(harm))
            });
            witnesses += usize::from(broken);
            verdicts.push(Verdict { worst: scale.value(harm), holds: !broken, witness });
        }
    }
    verdicts
}

/// The harm that each event does, as positive numbers for harm and negative ones for relief.
fn sides(order: &Order, question: &Question<'_>) -> Sides {
    let unit = Scale::of(question).unit;
    let mut events: Vec<(Event, i128)> = Vec::with_capacity(2 * question.effects.len());
    for effect in question.effects {
        let start = 2 * order.rank(effect.action);
        events.push((start, unit * i128::from(effect.start)));
        events.push((start + 1, unit * i128::from(effect.end)));
    }
    events.sort_unstable_by_key(|&(event, _)| event);
    events.dedup_by(|later, first| {
        later.0 == first.0 && {
            first.1 += later.1;
            true
        }
    });
    let mut sides = Sides::default();
    for (event, harm) in events {
        match harm.signum() {
            1 => sides.harm.push((event, harm)),
            -1 => sides.relief.push((event, harm)),
            _ => {}
        }
    }
    sides
}

/// The greatest harm of a closed set, and the harmful events of one such set. `scratch` is a zero for each event, on
/// return too.
fn worst(order: &Order, sides: &Sides, events: &[Event], scratch: &mut [u32]) -> (i128, Vec<Event>) {
    // One more than the number of the event's node; zero for an event that does not matter.
    let local = scratch;
    let mut graph = Weighted::default();
    for (node, &event) in (1_u32..).zip(events) {
        let needs = witness::needs(order, event).map(|need| local[need as usize]);
        graph.push(sides.harm(event), needs.filter(|&need| need != 0).map(|need| need - 1));
        local[event as usize] = node;
    }
    let heaviest = graph.heaviest();
    // Harm that waits for no relief is free.
    let mut harm = heaviest.weight;
    let mut occurred = Vec::new();
    for &(event, amount) in &sides.harm {
        match local[event as usize] {
            0 => harm += amount,
            node if !heaviest.taken[node as usize - 1] => continue,
            _ => {}
        }
        occurred.push(event);
    }
    for &event in events {
        local[event as usize] = 0;
    }
    (harm, occurred)
}

/// How a question's values read as harm.
#[derive(Clone, Copy, Debug)]
struct Scale {
    base: i128,
    /// What a unit of harm adds to the value.
    unit: i128,
    /// The most harm that is within the bound; negative when the base is not.
    room: i128,
}

impl Scale {
    fn of(question: &Question<'_>) -> Self {
        let base = i128::from(question.base);
        match question.bound {
            InvariantBound::AtLeast(least) => Self { base, unit: -1, room: base - i128::from(least) },
            InvariantBound::AtMost(most) => Self { base, unit: 1, room: i128::from(most) - base },
        }
    }

    /// The value after so much harm, limited to the range of `i64`.
    fn value(self, harm: i128) -> i64 {
        let value = self.base + self.unit * harm;
        value.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }
}
