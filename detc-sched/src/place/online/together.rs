//! Rules on where other instances are, kept as counts of those that are placed.

use std::collections::BTreeMap;

use super::Reason;
use crate::place::{GroupId, LevelId, MachineId, Model, Rule};

/// Counts of placed instances, for the groups whose rules ask for them.
#[derive(Clone, Debug)]
pub(super) struct Together {
    /// Per group: whether it has such a rule, or another group keeps apart from it.
    asked: Vec<bool>,
    /// Groups and levels at which others keep apart from a group.
    apart: BTreeMap<GroupId, Vec<(GroupId, LevelId)>>,
    /// Groups that need a group, and at which level.
    needing: BTreeMap<GroupId, Vec<(GroupId, LevelId)>>,
    /// Per group and level that is asked about, the instances in each domain.
    counts: BTreeMap<(GroupId, LevelId), Vec<u32>>,
    levels: Vec<Vec<LevelId>>,
    placed: Vec<u32>,
}

impl Together {
    pub(super) fn new(model: &Model) -> Self {
        let mut together = Self {
            asked: vec![false; model.group_count()],
            apart: BTreeMap::new(),
            needing: BTreeMap::new(),
            counts: BTreeMap::new(),
            levels: vec![Vec::new(); model.group_count()],
            placed: vec![0; model.group_count()],
        };
        for (index, group) in model.groups.iter().enumerate() {
            let id = GroupId::new(index);
            for rule in &group.rules {
                match rule {
                    Rule::AtMost { per: level, .. }
                    | Rule::Even { over: level, .. }
                    | Rule::Spread { over: level, .. }
                    | Rule::Together { within: level } => together.count(model, id, *level),
                    Rule::With { group: other, within } => {
                        together.asked[index] = true;
                        together.count(model, id, *within);
                        together.count(model, *other, *within);
                        together.needing.entry(*other).or_default().push((id, *within));
                    }
                    Rule::Apart { group: other, within } => {
                        together.count(model, id, *within);
                        together.count(model, *other, *within);
                        together.apart.entry(*other).or_default().push((id, *within));
                    }
                    Rule::Machines(_) | Rule::Pinned(_) => continue,
                }
                together.asked[index] = true;
            }
        }
        together
    }

    fn count(&mut self, model: &Model, group: GroupId, level: LevelId) {
        if !self.levels[group.index()].contains(&level) {
            self.levels[group.index()].push(level);
            self.counts.insert((group, level), vec![0; model.domain_count(level)]);
        }
    }

    /// Whether a group has rules of this kind.
    pub(super) fn asks(&self, group: GroupId) -> bool {
        self.asked[group.index()] || self.apart.contains_key(&group)
    }

    /// An instance of the group came to (1) or left (-1) a machine.
    pub(super) fn change(&mut self, model: &Model, group: GroupId, machine: MachineId, change: i32) {
        let placed = &mut self.placed[group.index()];
        *placed = placed.wrapping_add_signed(change);
        for level in &self.levels[group.index()] {
            if let Some(counts) = self.counts.get_mut(&(group, *level)) {
                let count = &mut counts[model.domain(*level, machine).index()];
                *count = count.wrapping_add_signed(change);
            }
        }
    }

    /// Why one more instance of a group can not be on a machine, by where others are.
    pub(super) fn reason(&self, model: &Model, group: GroupId, machine: MachineId) -> Option<Reason> {
        self.reasons(model, group, machine).next()
    }

    /// All such reasons.
    pub(super) fn reasons<'t>(
        &'t self,
        model: &'t Model,
        group: GroupId,
        machine: MachineId,
    ) -> impl Iterator<Item = Reason> + 't {
        let rules = &model.groups[group.index()].rules;
        let broken = move |(index, rule): (usize, &Rule)| {
            self.breaks(model, group, rule, machine).then_some(Reason::Rule(index))
        };
        let keeps_apart = move |(other, level): &(GroupId, LevelId)| {
            (self.here(model, *other, *level, machine) > 0).then_some(Reason::KeptApart)
        };
        let apart = self.apart.get(&group).into_iter().flatten();
        rules.iter().enumerate().filter_map(broken).chain(apart.filter_map(keeps_apart))
    }

    /// Whether others need an instance of a group where a machine stands, and there is none.
    pub(super) fn is_missed(&self, model: &Model, group: GroupId, machine: MachineId) -> bool {
        let missed = |(needing, level): &(GroupId, LevelId)| {
            self.here(model, group, *level, machine) == 0 && self.here(model, *needing, *level, machine) > 0
        };
        self.needing.get(&group).is_some_and(|all| all.iter().any(missed))
    }

    fn here(&self, model: &Model, group: GroupId, level: LevelId, machine: MachineId) -> u32 {
        self.counts[&(group, level)][model.domain(level, machine).index()]
    }

    fn breaks(&self, model: &Model, group: GroupId, rule: &Rule, machine: MachineId) -> bool {
        let here = |group: GroupId, level: LevelId| self.here(model, group, level, machine);
        let members = model.members(group).len() as u32;
        match rule {
            Rule::AtMost { count, per } => here(group, *per) >= *count,
            Rule::Even { over, domains } => here(group, *over) >= members.div_ceil((*domains).max(1)),
            Rule::Spread { over, domains } => {
                // Those that are still to come can open a domain each.
                let reached = self.counts[&(group, *over)].iter().filter(|count| **count > 0).count() as u32
                    + u32::from(here(group, *over) == 0);
                reached + (members - self.placed[group.index()]).saturating_sub(1) < *domains
            }
            Rule::Together { within } => self.placed[group.index()] > 0 && here(group, *within) == 0,
            Rule::With { group: other, within } => *other != group && here(*other, *within) == 0,
            Rule::Apart { group: other, within } => here(*other, *within) > 0,
            Rule::Machines(_) | Rule::Pinned(_) => false,
        }
    }
}
