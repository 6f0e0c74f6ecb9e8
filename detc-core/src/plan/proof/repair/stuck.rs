//! Why there is no order: which actions wait for each other in a circle, and what would help.
//!
//! In a dead end each action that is left waits: for one that comes before it, or for room that others hold. Following who
//! waits for whom comes to a circle, or to one for which there will never be room (R. C. Holt, "Some deadlock properties of
//! computer systems", Computing Surveys 4, 1972). Two services that are to swap two full machines are such a circle.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::{self, Display};

use super::sequence::{Found, Harm, harms, needs_first, sequence, sequence_within};
use crate::model::InvariantBound;
use crate::plan::proof::{Effect, Order, Question, Scale};

/// From how many actions the shortest circle is looked for.
const BEGINS_MAX: usize = 50;

/// How many actions are looked at for it, each time.
const LOOKED_MAX: usize = 20_000;

/// For how many bounds it is found out whether a looser one would help.
const HELPS_MAX: usize = 12;

/// How much work goes into finding out what would help, in nodes looked at: half a second.
const WORK_MAX: usize = 5_000_000;

/// Where every order comes to a halt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stuck {
    /// Actions that wait for each other, each for the next one, and the last for the first: a swap that no order can do. Of
    /// only one: it needs more room than all others leave, and waits for nobody.
    pub circle: Vec<Wait>,
    /// What would help, any one of these alone.
    pub helps: Vec<Loosened>,
}

/// An action that can not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The action.
    pub action: u32,
    /// The place of the question that has no room for it; none when it has to come after what it waits for anyhow.
    pub question: Option<usize>,
}

/// A bound that is looser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loosened {
    /// The place of the question.
    pub question: usize,
    /// By how much: less where the bound is a least, more where it is a most.
    pub by: i64,
    /// The bound that it would be then.
    pub bound: InvariantBound,
}

impl Stuck {
    /// Where it comes to a halt when all that can be done, of the questions at `places`, is `done`. `broken` are the places of
    /// all questions that have to be kept.
    pub(super) fn of(
        order: &Order,
        questions: &[Question<'_>],
        (places, broken): (&[usize], &[usize]),
        done: &[u32],
    ) -> Self {
        let asked = |places: &[usize]| places.iter().map(|&place| questions[place]).collect::<Vec<_>>();
        let some = asked(places);
        let circle = swap(order, &some).unwrap_or_else(|| Left::new(order, &some, done).circle());
        // Where many wait for many there are nodes that only stand for that.
        let waits = circle.iter().filter_map(|(rank, question)| {
            Some(Wait { action: order.action(*rank)?, question: question.map(|question| places[question]) })
        });
        let circle: Vec<Wait> = waits.collect();
        let takes = |question: usize, wait: &Wait| {
            let of = questions[question].effects.iter().filter(|effect| effect.action == wait.action);
            of.map(|effect| Scale::of(&questions[question]).unit * i128::from(effect.start)).sum::<i128>() > 0
        };
        let is_in_it = |&question: &usize| {
            circle.iter().any(|wait| wait.question == Some(question) || takes(question, wait))
        };
        let in_it: Vec<usize> = places.iter().copied().filter(is_in_it).take(HELPS_MAX).collect();
        let (mut work, all) = (WORK_MAX, asked(broken));
        let helps = in_it.into_iter().filter_map(|question| {
            let by = least(order, &all, broken.binary_search(&question).ok()?, &mut work)?;
            Some(Loosened { question, by, bound: loosened(questions[question].bound, by)? })
        });
        Self { helps: helps.collect(), circle }
    }
}

/// The members of a swap, where there is one that can not be done even if nothing else is to be done.
fn swap(order: &Order, questions: &[Question<'_>]) -> Option<Vec<(u32, Option<usize>)>> {
    let needs = needs_first(order, questions);
    let waits_for = |rank: u32| {
        needs.get(&rank).map_or((None, Vec::new()), |(question, first)| (Some(*question), first.clone()))
    };
    let circles = needs.keys().take(BEGINS_MAX).filter_map(|&rank| circle_through(rank, &waits_for));
    let circle = circles.min_by_key(Vec::len).filter(|circle| circle.len() > 1)?;
    let after = |rank: u32| order.after(rank).iter().copied();
    let members: BTreeSet<u32> = circle
        .iter()
        .flat_map(|&(rank, _)| after(rank).chain([rank]))
        .filter_map(|rank| order.action(rank))
        .collect();
    let is_member = |effect: &&Effect| members.contains(&effect.action);
    let effects: Vec<Vec<Effect>> = questions
        .iter()
        .map(|question| question.effects.iter().filter(is_member).copied().collect())
        .collect();
    let alone: Vec<Question<'_>> =
        questions.iter().zip(&effects).map(|(question, effects)| Question { effects, ..*question }).collect();
    matches!(sequence(order, &alone), Found::None { .. }).then_some(circle)
}

/// What is left in a dead end.
struct Left<'a> {
    order: &'a Order,
    harms: Vec<Vec<Harm>>,
    room: Vec<i128>,
    is_left: Vec<bool>,
    /// Those that are left and give each question room.
    givers: BTreeMap<usize, Vec<u32>>,
}

impl<'a> Left<'a> {
    fn new(order: &'a Order, questions: &[Question<'_>], done: &[u32]) -> Self {
        let harms = harms(order, questions);
        let mut room: Vec<i128> = questions.iter().map(|question| Scale::of(question).room).collect();
        let mut is_left = vec![true; order.nodes() as usize];
        for &rank in done {
            is_left[rank as usize] = false;
            for harm in &harms[rank as usize] {
                room[harm.question] -= harm.net;
            }
        }
        let mut givers: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for rank in (0..order.nodes()).filter(|&rank| is_left[rank as usize]) {
            for harm in harms[rank as usize].iter().filter(|harm| harm.net < 0) {
                givers.entry(harm.question).or_default().push(rank);
            }
        }
        Self { order, harms, room, is_left, givers }
    }

    /// Whom a node waits for, and for room in which question.
    fn waits_for(&self, rank: u32) -> (Option<usize>, Vec<u32>) {
        let is_left = |before: &&u32| self.is_left[**before as usize];
        let before: Vec<u32> = self.order.before(rank).iter().filter(is_left).copied().collect();
        if !before.is_empty() {
            return (None, before);
        }
        let tight = self.harms[rank as usize].iter().find(|harm| harm.peak > self.room[harm.question]);
        let Some(tight) = tight else { return (None, Vec::new()) };
        let mut givers = self.givers.get(&tight.question).cloned().unwrap_or_default();
        givers.retain(|&giver| giver != rank);
        (Some(tight.question), givers)
    }

    /// The shortest circle that was found; or one node that waits for nobody.
    fn circle(&self) -> Vec<(u32, Option<usize>)> {
        let left = (0..self.order.nodes()).filter(|&rank| self.is_left[rank as usize]);
        let tight = left.filter_map(|rank| {
            let (question, givers) = self.waits_for(rank);
            question.map(|_| (rank, question, givers.is_empty()))
        });
        let tight: Vec<(u32, Option<usize>, bool)> = tight.take(BEGINS_MAX).collect();
        if let Some(&(alone, question, _)) = tight.iter().find(|(_, _, is_alone)| *is_alone) {
            return vec![(alone, question)];
        }
        let waits_for = |rank| self.waits_for(rank);
        let circles = tight.iter().filter_map(|&(rank, _, _)| circle_through(rank, &waits_for));
        circles.min_by_key(Vec::len).unwrap_or_default()
    }
}

/// The shortest circle through a node, by breadth.
fn circle_through(
    begin: u32,
    waits_for: &dyn Fn(u32) -> (Option<usize>, Vec<u32>),
) -> Option<Vec<(u32, Option<usize>)>> {
    let mut came_from: BTreeMap<u32, u32> = BTreeMap::new();
    let mut queue = VecDeque::from([begin]);
    let mut looked = 0;
    while let Some(rank) = queue.pop_front() {
        for next in waits_for(rank).1 {
            looked += 1;
            if next == begin {
                let back = std::iter::successors(Some(rank), |at| came_from.get(at).copied());
                let mut circle: Vec<(u32, Option<usize>)> =
                    back.map(|rank| (rank, waits_for(rank).0)).collect();
                circle.reverse();
                return Some(circle);
            }
            if let Entry::Vacant(entry) = came_from.entry(next) {
                entry.insert(rank);
                queue.push_back(next);
            }
        }
        if looked > LOOKED_MAX {
            return None;
        }
    }
    None
}

/// The least by which one bound has to be looser for an order to be found; none when no looser one helps, or that would take
/// too much work to find out.
fn least(order: &Order, questions: &[Question<'_>], place: usize, work: &mut usize) -> Option<i64> {
    let mut helps = |by: i64| {
        let bound = loosened(questions[place].bound, by)?;
        let mut questions = questions.to_vec();
        questions[place].bound = bound;
        match sequence_within(order, &questions, work) {
            Found::Sequence(_) => Some(true),
            Found::None { .. } => Some(false),
            Found::GaveUp { .. } => None,
        }
    };
    let (mut too_little, mut enough) = (0_i64, 1_i64);
    let most = questions[place].effects.iter().map(|effect| {
        let harm = i128::from(effect.start).abs() + i128::from(effect.end).abs();
        i64::try_from(harm).unwrap_or(i64::MAX)
    });
    let most = most.fold(0_i64, i64::saturating_add);
    while !helps(enough)? {
        if enough >= most {
            return None;
        }
        (too_little, enough) = (enough, enough.saturating_mul(2).min(most));
    }
    while enough - too_little > 1 {
        let middle = too_little + (enough - too_little) / 2;
        match helps(middle) {
            Some(true) => enough = middle,
            Some(false) => too_little = middle,
            // It is enough all the same.
            None => break,
        }
    }
    Some(enough)
}

fn loosened(bound: InvariantBound, by: i64) -> Option<InvariantBound> {
    Some(match bound {
        InvariantBound::AtLeast(least) => InvariantBound::AtLeast(least.checked_sub(by)?),
        InvariantBound::AtMost(most) => InvariantBound::AtMost(most.checked_add(by)?),
    })
}

impl Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.circle[..] {
            [] => f.write_str("nothing fits")?,
            [alone] => write!(f, "action {} fits nowhere", alone.action)?,
            [first, ..] => {
                f.write_str("in a circle, ")?;
                let next = self.circle.iter().skip(1).chain([first]);
                for (place, (wait, next)) in self.circle.iter().zip(next).enumerate() {
                    let comma = if place == 0 { "" } else { ", " };
                    write!(f, "{comma}{} waits for {}", wait.action, next.action)?;
                    if let Some(question) = wait.question {
                        write!(f, " (invariant {question})")?;
                    }
                }
            }
        }
        for (place, help) in self.helps.iter().enumerate() {
            let or = if place == 0 { "; it could be done with" } else { ", or" };
            write!(f, "{or} {} in invariant {}", help.bound, help.question)?;
        }
        Ok(())
    }
}
