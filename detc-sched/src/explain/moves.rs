//! What moves bought: in an order in which they can be made, step by step, term by term.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;

use super::ledger::{Costs, Ledger};
use crate::place::{Bill, InstanceId, MachineId, Model, Named, Placement, Term, bill};

/// A change of where one instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Move {
    /// Who.
    pub instance: InstanceId,
    /// From where, if it was anywhere.
    pub from: Option<MachineId>,
    /// To where, if it is anywhere.
    pub to: Option<MachineId>,
}

/// Moves that are made together: one, or several of which none has room before the others are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The moves.
    pub moves: Vec<Move>,
    /// What costs more (above 0) and less (below) by them; only what changes.
    pub change: BTreeMap<Term, i128>,
}

impl Step {
    /// What the whole cost changes by.
    pub fn total(&self) -> i128 {
        self.change.values().sum()
    }
}

/// All moves between two placements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// What was paid before.
    pub before: Bill,
    /// The steps, in an order in which they can be made. Their changes sum up, term by term, to the difference of the bills.
    pub steps: Vec<Step>,
    /// What is paid after.
    pub after: Bill,
}

/// What each move between two placements bought, in the order of what they buy: first the one that buys most, of those for
/// which there is room at that time. No step breaks more than was broken before it, all capacities and rules together; moves for which
/// that can not be are in one step.
///
/// A move is looked at again when it comes up or when what was in its way has gone: about so many times as it has
/// neighbours on its machines, each time linear in what is on its machines and in the groups concerned.
///
/// # Panics
/// When the placements are not of this model.
pub fn account_of_moves(model: &Model, before: &Placement, after: &Placement) -> Account {
    let mut ledger = Ledger::new(model, before);
    let mut steps = Vec::new();
    let mut waiting: BinaryHeap<(Reverse<i128>, Reverse<Move>)> = BinaryHeap::new();
    for instance in model.instances() {
        let (from, to) = (before.machine(instance), after.machine(instance));
        if from != to || before.devices(instance) != after.devices(instance) {
            let single = Move { instance, from, to };
            let (change, _) = ledger.try_out(&[single], before, after);
            waiting.push((Reverse(change.values().sum()), Reverse(single)));
        }
    }
    let mut blocked: Vec<Move> = Vec::new();
    loop {
        let Some((Reverse(expected), Reverse(single))) = waiting.pop() else {
            if blocked.is_empty() {
                break;
            }
            let together = bundle(&mut ledger, &mut blocked, before, after);
            steps.push(ledger.step(together, before, after));
            waiting.extend(blocked.drain(..).map(|single| (Reverse(0), Reverse(single))));
            continue;
        };
        let (change, worse) = ledger.try_out(&[single], before, after);
        let total: i128 = change.values().sum();
        if worse {
            blocked.push(single);
        } else if total > expected && waiting.peek().is_some_and(|(next, _)| *next > Reverse(total)) {
            // It buys less than it did: others may come first.
            waiting.push((Reverse(total), Reverse(single)));
        } else {
            steps.push(ledger.step(vec![single], before, after));
            // Who has waited for this one's place, or for a rule, may go now.
            let ready = |other: &Move| other.to == single.from || model_group_asks(model, *other, single);
            let (go, stay) = blocked.into_iter().partition(|other| ready(other));
            blocked = stay;
            let go: Vec<Move> = go;
            for other in go {
                let (change, _) = ledger.try_out(&[other], before, after);
                waiting.push((Reverse(change.values().sum()), Reverse(other)));
            }
        }
    }
    Account { before: bill(model, before), steps, after: bill(model, after) }
}

/// Whether rules could link two moves: they are of one group, or of groups that have rules about others.
fn model_group_asks(model: &Model, left: Move, right: Move) -> bool {
    use crate::place::Rule;
    let (left, right) = (model.group_of(left.instance), model.group_of(right.instance));
    let asks = |group, other| {
        model.rules(group).iter().any(
            |rule| matches!(rule, Rule::With { group, .. } | Rule::Apart { group, .. } if *group == other),
        )
    };
    left == right || asks(left, right) || asks(right, left)
}

/// Moves of those that are blocked, taken out, that together break nothing more: along the chain of who stands where another
/// wants to go.
fn bundle(
    ledger: &mut Ledger<'_>,
    blocked: &mut Vec<Move>,
    before: &Placement,
    after: &Placement,
) -> Vec<Move> {
    blocked.sort_unstable();
    let mut together = vec![blocked.remove(0)];
    while !blocked.is_empty() && ledger.try_out(&together, before, after).1 {
        let leaves = |other: &Move| together.iter().any(|it| it.to.is_some() && it.to == other.from);
        let next = blocked.iter().position(leaves).unwrap_or(0);
        together.push(blocked.remove(next));
    }
    together
}

impl Ledger<'_> {
    /// What moves would change, and whether they would break more than is broken.
    fn try_out(&mut self, moves: &[Move], before: &Placement, after: &Placement) -> (Costs, bool) {
        let (costs, broken) = (self.costs(moves), self.broken(moves));
        self.make(moves, after);
        let (new_costs, worse) = (self.costs(moves), self.broken(moves) > broken);
        self.take_back(moves, before);
        let mut change = new_costs;
        for (term, cost) in costs {
            *change.entry(term).or_default() -= cost;
        }
        change.retain(|_, change| *change != 0);
        (change, worse)
    }

    fn step(&mut self, moves: Vec<Move>, before: &Placement, after: &Placement) -> Step {
        let (change, _) = self.try_out(&moves, before, after);
        self.make(&moves, after);
        Step { moves, change }
    }
}

/// What each move between two placements is worth: what the bill would be more without it, all others made. Moves that pay
/// only together show that: each alone is worth more than its part.
pub fn what_moves_bought(model: &Model, before: &Placement, after: &Placement) -> Vec<(InstanceId, i128)> {
    let mut ledger = Ledger::new(model, after);
    let moved = model.instances().filter(|instance| before.machine(*instance) != after.machine(*instance));
    let worth = |instance: InstanceId| {
        let back = Move { instance, from: after.machine(instance), to: before.machine(instance) };
        let (change, _) = ledger.try_out(&[back], after, before);
        (instance, change.values().sum())
    };
    moved.map(worth).collect()
}

impl Named for Move {
    fn fmt_named(&self, model: &Model, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |machine: Option<MachineId>| machine.map_or("nowhere", |it| model.machine_name(it));
        let (from, to) = (name(self.from), name(self.to));
        write!(f, "{} from {from} to {to}", model.instance_name(self.instance))
    }
}

impl Named for Step {
    fn fmt_named(&self, model: &Model, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, single) in self.moves.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", with " };
            write!(f, "{comma}{}", model.named(single))?;
        }
        write!(f, ": {:+}", self.total())?;
        for (index, (term, change)) in self.change.iter().enumerate() {
            let comma = if index == 0 { " (" } else { ", " };
            write!(f, "{comma}{} {change:+}", model.named(term))?;
        }
        f.write_str(if self.change.is_empty() { "" } else { ")" })
    }
}

impl Named for Account {
    fn fmt_named(&self, model: &Model, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cost before: {}", self.before.total())?;
        for (index, step) in self.steps.iter().enumerate() {
            write!(f, "\n{:>4}. {}", index + 1, model.named(step))?;
        }
        write!(f, "\ncost after: {}", self.after.total())
    }
}
