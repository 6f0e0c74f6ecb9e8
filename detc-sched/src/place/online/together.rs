//! Rules and wishes on where other instances are, kept as counts of those that are placed.
//!
//! Each group's rules are put into checks once; a check is then one or two looks at counts, whatever the group's size.

use super::Reason;
use super::cells::Cells;
use crate::place::check::{Check, has_bit};
use crate::place::{GroupId, LevelId, MachineId, Model, Rule};

/// Counts of placed instances, and what is asked of them.
#[derive(Clone, Debug)]
pub(super) struct Together {
    counters: Vec<Counter>,
    groups: Vec<Asked>,
}

/// How many instances of a group are in each domain of a level.
#[derive(Clone, Debug)]
struct Counter {
    level: LevelId,
    cells: Cells,
    /// In how many domains there is one.
    occupied: u32,
}

/// What is asked when an instance of a group is placed.
#[derive(Clone, Debug, Default)]
struct Asked {
    rules: Vec<(Check, Reason)>,
    wishes: Vec<(Check, i64)>,
    /// Counters of the group where others need it, and of those.
    needed: Vec<(u32, u32)>,
    counters: Vec<u32>,
    placed: u32,
    members: u32,
}

impl Together {
    pub(super) fn new(model: &Model) -> Self {
        let mut together = Self { counters: Vec::new(), groups: vec![Asked::default(); model.group_count()] };
        for (index, group) in model.groups.iter().enumerate() {
            let id = GroupId::new(index);
            together.groups[index].members = model.members(id).len() as u32;
            for (number, rule) in group.rules.iter().enumerate().filter(|(_, rule)| !rule.is_about_machines())
            {
                let Some(check) = together.check(model, id, rule) else { continue };
                together.groups[index].rules.push((check, Reason::Rule(number)));
            }
            for wish in &group.wishes {
                let Some(check) = together.check(model, id, &wish.rule) else { continue };
                together.groups[index].wishes.push((check, wish.weight));
            }
        }
        // What a group asks of another is asked of that one, too; after its own rules.
        for (index, group) in model.groups.iter().enumerate() {
            let id = GroupId::new(index);
            for rule in &group.rules {
                match together.mirrored(model, id, rule) {
                    Some((other, Check::Needed { own, other: needy })) => {
                        together.groups[other.index()].needed.push((own, needy));
                    }
                    Some((other, check)) => {
                        together.groups[other.index()].rules.push((check, Reason::KeptApart));
                    }
                    None => {}
                }
            }
            for wish in &group.wishes {
                if let Some((other, check)) = together.mirrored(model, id, &wish.rule) {
                    together.groups[other.index()].wishes.push((check, wish.weight));
                }
            }
        }
        together
    }

    fn mirrored(&mut self, model: &Model, id: GroupId, rule: &Rule) -> Option<(GroupId, Check)> {
        let is_mutual = matches!(rule, Rule::With { .. } | Rule::Apart { .. });
        let check = if is_mutual { self.check(model, id, rule)? } else { return None };
        check.mirrored(rule)
    }

    fn check(&mut self, model: &Model, id: GroupId, rule: &Rule) -> Option<Check> {
        Check::new(model, id, rule, |group, level| self.counter(model, group, level))
    }

    fn counter(&mut self, model: &Model, group: GroupId, level: LevelId) -> u32 {
        let known = self.groups[group.index()].counters.iter().copied();
        if let Some(counter) = known.into_iter().find(|counter| self.at(*counter).level == level) {
            return counter;
        }
        let cells = Cells::new(model.domain_count(level), model.members(group).len());
        let counter = self.counters.len() as u32;
        self.counters.push(Counter { level, cells, occupied: 0 });
        self.groups[group.index()].counters.push(counter);
        counter
    }

    fn at(&self, counter: u32) -> &Counter {
        &self.counters[counter as usize]
    }

    /// Counts that are kept.
    #[cfg(test)]
    pub(super) fn cells(&self) -> usize {
        let kept = |counter: &Counter| match &counter.cells {
            Cells::Row(row) => row.capacity(),
            Cells::Few(pairs) => 2 * pairs.capacity(),
        };
        self.counters.iter().map(kept).sum()
    }

    /// Whether it matters to a group where others are, by rules.
    pub(super) fn asks(&self, group: GroupId) -> bool {
        !self.groups[group.index()].rules.is_empty()
    }

    /// An instance of the group came to (1) or left (-1) a machine.
    pub(super) fn change(&mut self, model: &Model, group: GroupId, machine: MachineId, change: i32) {
        let asked = &mut self.groups[group.index()];
        asked.placed = asked.placed.wrapping_add_signed(change);
        for counter in &asked.counters {
            let counter = &mut self.counters[*counter as usize];
            let count = counter.cells.change(model.domain(counter.level, machine), change);
            match (change, count) {
                (1, 1) => counter.occupied += 1,
                (-1, 0) => counter.occupied -= 1,
                _ => {}
            }
        }
    }

    /// Why one more instance of a group can not be on a machine, by where others are.
    pub(super) fn reason(&self, model: &Model, group: GroupId, machine: MachineId) -> Option<Reason> {
        self.reasons(model, group, machine).next()
    }

    /// All such reasons; one that several groups give comes as often.
    pub(super) fn reasons<'t>(
        &'t self,
        model: &'t Model,
        group: GroupId,
        machine: MachineId,
    ) -> impl Iterator<Item = Reason> + 't {
        let asked = &self.groups[group.index()];
        let broken = move |(check, reason): &(Check, Reason)| {
            self.breaks(model, asked, check, machine).then_some(*reason)
        };
        asked.rules.iter().filter_map(broken)
    }

    /// Whether others need an instance of a group where a machine stands, and there is none.
    pub(super) fn is_missed(&self, model: &Model, group: GroupId, machine: MachineId) -> bool {
        let here = |counter: u32| self.here(model, counter, machine);
        self.groups[group.index()].needed.iter().any(|(own, needy)| here(*own) == 0 && here(*needy) > 0)
    }

    fn here(&self, model: &Model, counter: u32, machine: MachineId) -> u32 {
        let counter = self.at(counter);
        counter.cells.count(model.domain(counter.level, machine))
    }

    fn breaks(&self, model: &Model, asked: &Asked, check: &Check, machine: MachineId) -> bool {
        let here = |counter: u32| self.here(model, counter, machine);
        match check {
            Check::AtMost { own, count } => here(*own) >= *count,
            Check::Spread { own, domains } => {
                // Those that are still to come can open a domain each.
                let reached = self.at(*own).occupied + u32::from(here(*own) == 0);
                reached + asked.members.saturating_sub(asked.placed + 1) < *domains
            }
            Check::Together { own } => self.at(*own).occupied > 0 && here(*own) == 0,
            Check::With { other, .. } => here(*other) == 0,
            Check::Apart { other, .. } => here(*other) > 0,
            // Nobody is refused where another waits for it.
            Check::Needed { .. } => false,
            Check::Machines(allowed) => !has_bit(allowed, machine.0),
        }
    }

    /// What the wishes of all groups cost more when an instance of this one comes to a machine.
    pub(super) fn wish_delta(&self, model: &Model, group: GroupId, machine: MachineId) -> i64 {
        let here = |counter: u32| self.here(model, counter, machine);
        let more = |check: &Check| match check {
            Check::AtMost { own, count } => i64::from(here(*own) >= *count),
            Check::Spread { own, domains } => {
                -i64::from(here(*own) == 0 && self.at(*own).occupied < *domains)
            }
            Check::Together { own } => i64::from(here(*own) == 0 && self.at(*own).occupied > 0),
            Check::With { own, other } => i64::from(here(*other) == 0 && here(*own) == 0),
            Check::Needed { own, other } => -i64::from(here(*own) == 0 && here(*other) > 0),
            Check::Apart { own, other } => i64::from(here(*own) == 0 && here(*other) > 0),
            Check::Machines(allowed) => i64::from(!has_bit(allowed, machine.0)),
        };
        self.groups[group.index()].wishes.iter().map(|(check, weight)| more(check) * weight).sum()
    }

    /// No machine has a [wish delta](Self::wish_delta) below this: where it is met, nothing better need be looked for.
    pub(super) fn wish_floor(&self, group: GroupId) -> i64 {
        let least = |check: &Check| match check {
            Check::Spread { own, domains } => -i64::from(self.at(*own).occupied < *domains),
            Check::Needed { own, other } => {
                let own = &self.at(*own).cells;
                let needy = self.at(*other).cells.occupied();
                -i64::from(needy.into_iter().any(|domain| own.count(domain) == 0))
            }
            Check::AtMost { .. }
            | Check::Together { .. }
            | Check::With { .. }
            | Check::Apart { .. }
            | Check::Machines(_) => 0,
        };
        self.groups[group.index()].wishes.iter().map(|(check, weight)| least(check) * weight).sum()
    }
}
