//! The model as a search reads it: flat arrays, instances numbered so that a group's are side by side, rules as checks
//! on counts. Nothing here changes during a search.

use super::claims::Claims;
pub(crate) use crate::place::check::{Check, has_bit};
use crate::place::check::{SHORT_ROW_DOMAINS, bits};
use crate::place::model::{Hold, Rule};
use crate::place::{GroupId, InstanceId, LevelId, MachineId, Model, Placement};

/// No machine.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// Groups up to this size are counted by looking at their members: a cache line of machines is read faster than a counter
/// that is elsewhere.
const SCANNED_MAX: usize = 12;

/// A model, flat.
#[derive(Debug)]
pub(crate) struct Dense {
    pub(crate) machines: usize,
    pub(crate) resources: usize,
    /// The model's number of each instance of ours.
    pub(crate) order: Vec<InstanceId>,
    pub(crate) group: Vec<u32>,
    /// Where each group's instances begin; one more entry than groups.
    pub(crate) starts: Vec<u32>,
    pub(crate) needs: Vec<i64>,
    pub(crate) origin: Vec<u32>,
    /// What moving an instance costs, weighted.
    pub(crate) move_cost: Vec<i64>,
    /// Instances that may be moved.
    pub(crate) movable: Vec<u32>,
    /// All ones for a resource that is occupied twice while moving, else 0.
    pub(crate) twice: Vec<i64>,
    pub(crate) overload: Vec<i64>,
    pub(crate) balances: Vec<FlatBalance>,
    pub(crate) group_move: i64,
    pub(crate) machine_move: i64,
    pub(crate) moves_between: Vec<u32>,
    pub(crate) machine_use: i64,
    pub(crate) capacities: Vec<i64>,
    /// What is fined beyond: the capacities, or what stays where that is more.
    pub(crate) limits: Vec<i64>,
    /// Instances that may not go back to where they ran, in order.
    pub(crate) no_return: Vec<u32>,
    pub(crate) safeties: Vec<i64>,
    /// Per level, the domain of each machine.
    pub(crate) domains: Vec<Vec<u32>>,
    pub(crate) counters: Vec<Counter>,
    pub(crate) counter_cells: usize,
    pub(crate) groups: Vec<FlatGroup>,
    /// Whether some rule may be broken at a cost.
    pub(crate) has_wishes: bool,
    /// Devices and ports, of those that [may be moved with them](Dense::admit_claims).
    pub(crate) claims: Claims,
}

/// See [`Balance`](crate::place::Balance).
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlatBalance {
    pub(crate) of: usize,
    pub(crate) times: i64,
    pub(crate) with: usize,
    pub(crate) weight: i64,
}

/// How many instances of a group are in each domain of a level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter {
    pub(crate) group: u32,
    pub(crate) level: u32,
    /// Where its row of counts begins, or [`NOWHERE`] when the members are looked at instead.
    pub(crate) row: u32,
}

/// What is asked about one group.
#[derive(Debug, Default)]
pub(crate) struct FlatGroup {
    /// One bit a machine, or empty: all are allowed.
    pub(crate) allowed: Vec<u64>,
    /// Its counters that have rows.
    pub(crate) counters: Vec<u32>,
    /// Its rules that are about it alone.
    pub(crate) rules: Vec<Check>,
    /// Its rules with other groups.
    pub(crate) relations: Vec<Relations>,
    pub(crate) wishes: Vec<(Check, i64)>,
    /// Other groups that its checks count, in order.
    pub(crate) related: Vec<u32>,
}

/// The rules of a group with others that hold in the domains of one level. None of them is asked unless the group comes to
/// a domain anew, or leaves one for good: with thousands of them that is what makes them cheap.
#[derive(Debug)]
pub(crate) struct Relations {
    pub(crate) own: u32,
    pub(crate) checks: Vec<Check>,
}

impl Dense {
    pub(crate) fn new(model: &Model) -> Self {
        let objective = &model.objective;
        let mut order = Vec::with_capacity(model.instance_count());
        let mut starts = vec![0];
        for members in &model.members {
            order.extend(members.iter().copied());
            starts.push(order.len() as u32);
        }
        // A model without resources is one of a resource that nobody needs.
        let resources = model.resource_count().max(1);
        let padded = |rows: &[i64], count: usize| match rows {
            [] => vec![0; count * resources],
            rows => rows.to_vec(),
        };
        let mut overload = vec![0; resources];
        for (resource, weight) in &objective.overload {
            overload[resource.index()] = *weight;
        }
        let balances = objective.balances.iter().map(|balance| FlatBalance {
            of: balance.of.index(),
            times: balance.times,
            with: balance.with.index(),
            weight: balance.weight,
        });
        let of = |id: &InstanceId| id.index();
        let fixed = |id: &InstanceId| model.device_need(*id).count > 0 || !model.ports(*id).is_empty();
        let mut dense = Self {
            machines: model.machine_count(),
            resources,
            group: order.iter().map(|id| model.group_of(*id).0).collect(),
            needs: padded(
                &order.iter().flat_map(|id| model.needs(*id).iter().copied()).collect::<Vec<_>>(),
                order.len(),
            ),
            origin: order
                .iter()
                .map(|id| model.runs_on[of(id)].map_or(NOWHERE, |machine| machine.0))
                .collect(),
            move_cost: order.iter().map(|id| model.move_costs[of(id)] * objective.instance_move).collect(),
            movable: (0..order.len() as u32).filter(|index| !fixed(&order[*index as usize])).collect(),
            twice: padded(
                &model
                    .resources
                    .iter()
                    .map(|resource| -i64::from(resource.hold == Hold::Twice))
                    .collect::<Vec<_>>(),
                1,
            ),
            overload,
            balances: balances.collect(),
            group_move: objective.group_move,
            machine_move: objective.machine_move,
            moves_between: without_diagonal(&objective.moves_between, model.machine_count()),
            machine_use: objective.machine_use,
            capacities: padded(&model.capacities, model.machine_count()),
            limits: padded(&model.capacities, model.machine_count()),
            no_return: Vec::new(),
            safeties: padded(&model.safeties, model.machine_count()),
            domains: model
                .domains
                .iter()
                .map(|level| level.iter().map(|domain| domain.0).collect())
                .collect(),
            counters: Vec::new(),
            counter_cells: 0,
            groups: Vec::new(),
            claims: Claims::default(),
            has_wishes: model.groups.iter().any(|group| !group.wishes.is_empty()),
            order,
            starts,
        };
        dense.groups.resize_with(model.group_count(), FlatGroup::default);
        let tainted: Vec<MachineId> =
            model.machines().filter(|machine| !model.taints(*machine).is_empty()).collect();
        for index in 0..model.group_count() {
            dense.add_rules(model, GroupId::new(index), &tainted);
        }
        for group in &mut dense.groups {
            group.related.sort_unstable();
            group.related.dedup();
        }
        dense
    }

    /// Instances that are nowhere could open a domain each: see [`Rule::Spread`].
    pub(crate) fn expect_those_nowhere(&mut self, at: &[u32]) {
        for (index, group) in self.groups.iter_mut().enumerate() {
            let members = self.starts[index] as usize..self.starts[index + 1] as usize;
            let nowhere = at[members].iter().filter(|at| **at == NOWHERE).count() as u32;
            for check in group.rules.iter_mut().chain(group.wishes.iter_mut().map(|(check, _)| check)) {
                if let Check::Spread { domains, .. } = check {
                    *domains = domains.saturating_sub(nowhere);
                }
            }
        }
    }

    /// Lets those be moved, too, that have devices and ports, with what they have of them at the start.
    pub(crate) fn admit_claims(&mut self, model: &Model, start: &Placement) {
        self.claims = Claims::new(model, start, self);
        if self.claims.any() {
            let claims = &self.claims;
            self.movable =
                (0..self.order.len() as u32).filter(|instance| claims.lets_move(*instance)).collect();
        }
    }

    /// Of what stays, whatever is moved, a machine may have more than it holds: that can not be helped, and nothing more goes
    /// there. Were it fined, no other placement would be a result either. Who has left such a machine, and is counted there only while it
    /// leaves, may not go back: then it would last.
    pub(crate) fn suffer_what_stays(&mut self, at: &[u32]) {
        let width = self.resources;
        let mut loads = vec![0; self.limits.len()];
        for (index, machine) in at.iter().copied().enumerate().filter(|(_, at)| *at != NOWHERE) {
            let (origin, stays) = (self.origin[index], !self.is_movable(index as u32));
            for (resource, need) in self.needs[index * width..][..width].iter().enumerate() {
                // What is occupied twice is occupied where it ran, wherever it goes.
                let held = if origin == NOWHERE { 0 } else { need & self.twice[resource] };
                if held > 0 {
                    loads[origin as usize * width + resource] += held;
                }
                if stays && (held == 0 || machine != origin) {
                    loads[machine as usize * width + resource] += need;
                }
            }
        }
        let is_overfull = |machine: u32| {
            let row = machine as usize * width..(machine as usize + 1) * width;
            loads[row.clone()].iter().zip(&self.limits[row]).any(|(load, limit)| load > limit)
        };
        let ran_elsewhere =
            |index: usize| at[index] != NOWHERE && ![NOWHERE, at[index]].contains(&self.origin[index]);
        self.no_return = (0..self.order.len())
            .filter(|index| ran_elsewhere(*index) && is_overfull(self.origin[*index]))
            .map(|index| index as u32)
            .collect();
        self.limits.iter_mut().zip(loads).for_each(|(limit, load)| *limit = load.max(*limit));
    }

    pub(crate) fn size_of_group(&self, group: u32) -> usize {
        (self.starts[group as usize + 1] - self.starts[group as usize]) as usize
    }

    /// Whether an instance has left this machine, which is overfull while it leaves: were it back, that would last.
    #[inline]
    pub(crate) fn is_left_for_good(&self, instance: u32, machine: u32) -> bool {
        self.origin[instance as usize] == machine && self.no_return.binary_search(&instance).is_ok()
    }

    pub(crate) fn is_allowed(&self, group: u32, machine: u32) -> bool {
        has_bit(&self.groups[group as usize].allowed, machine)
    }

    /// The same with the first machines only, of a model without rules.
    pub(crate) fn first_machines(&self, machines: usize) -> Self {
        let cells = machines * self.resources;
        Self {
            machines,
            capacities: self.capacities[..cells].to_vec(),
            limits: self.capacities[..cells].to_vec(),
            no_return: Vec::new(),
            safeties: self.capacities[..cells].to_vec(),
            order: self.order.clone(),
            group: self.group.clone(),
            starts: self.starts.clone(),
            needs: self.needs.clone(),
            origin: vec![NOWHERE; self.origin.len()],
            move_cost: self.move_cost.clone(),
            movable: self.movable.clone(),
            twice: self.twice.clone(),
            overload: vec![0; self.resources],
            balances: Vec::new(),
            moves_between: Vec::new(),
            domains: self.domains.clone(),
            counters: Vec::new(),
            groups: (0..self.groups.len()).map(|_| FlatGroup::default()).collect(),
            resources: self.resources,
            group_move: 0,
            machine_move: 0,
            machine_use: 0,
            counter_cells: 0,
            has_wishes: false,
            claims: Claims::default(),
        }
    }

    /// Whether an instance may be moved.
    pub(crate) fn is_movable(&self, instance: u32) -> bool {
        self.movable.len() == self.order.len() || self.movable.binary_search(&instance).is_ok()
    }

    /// How large an instance is, all resources together.
    pub(crate) fn size(&self, instance: u32) -> i64 {
        self.needs[instance as usize * self.resources..][..self.resources].iter().sum()
    }

    /// Whether checks of one group count the other.
    pub(crate) fn are_related(&self, left: u32, right: u32) -> bool {
        self.groups[left as usize].related.binary_search(&right).is_ok()
    }

    fn add_rules(&mut self, model: &Model, id: GroupId, tainted: &[MachineId]) {
        let group = &model.groups[id.index()];
        let tolerated = |machine: MachineId| model.tolerates(id, machine);
        if !tainted.iter().copied().all(tolerated) {
            self.restrict(id, &bits(model, tolerated));
        }
        for rule in &group.rules {
            if let Some(check) = self.check(model, id, rule) {
                self.add(id, rule, check, None);
            }
        }
        for wish in &group.wishes {
            if let Some(check) = self.check(model, id, &wish.rule) {
                self.add(id, &wish.rule, check, Some(wish.weight));
            }
        }
    }

    fn add(&mut self, id: GroupId, rule: &Rule, check: Check, weight: Option<i64>) {
        // A rule between two groups is a check of both.
        if let Some((other, check)) = check.mirrored(rule) {
            self.groups[id.index()].related.push(other.0);
            self.groups[other.index()].related.push(id.0);
            self.push(other, check, weight);
        }
        self.push(id, check, weight);
    }

    fn push(&mut self, id: GroupId, check: Check, weight: Option<i64>) {
        let group = &mut self.groups[id.index()];
        match (check, weight) {
            (Check::Machines(bits), None) => self.restrict(id, &bits),
            (check, Some(weight)) => group.wishes.push((check, weight)),
            (
                check @ (Check::With { own, .. } | Check::Needed { own, .. } | Check::Apart { own, .. }),
                None,
            ) => match group.relations.iter_mut().find(|relations| relations.own == own) {
                Some(relations) => relations.checks.push(check),
                None => group.relations.push(Relations { own, checks: vec![check] }),
            },
            (check, None) => group.rules.push(check),
        }
    }

    fn restrict(&mut self, id: GroupId, bits: &[u64]) {
        let allowed = &mut self.groups[id.index()].allowed;
        if allowed.is_empty() {
            allowed.extend_from_slice(bits);
        } else {
            allowed.iter_mut().zip(bits).for_each(|(word, other)| *word &= other);
        }
    }

    /// The check of a rule; none where it can not be broken.
    fn check(&mut self, model: &Model, id: GroupId, rule: &Rule) -> Option<Check> {
        match rule {
            Rule::AtMost { count, .. } if *count as usize >= self.size_of_group(id.0) => None,
            Rule::Spread { domains: 0 | 1, .. } => None,
            _ => Check::new(model, id, rule, |group, level| self.counter(model, group, level)),
        }
    }

    /// The counter of a group at a level, made when it is asked for first.
    fn counter(&mut self, model: &Model, group: GroupId, level: LevelId) -> u32 {
        // Spread, together and relations ask for numbers of domains, which only rows know; hence rows for all but the
        // level of machines, which are asked for by `AtMost` alone in nearly all models.
        let found = self.groups[group.index()]
            .counters
            .iter()
            .copied()
            .find(|counter| self.counters[*counter as usize].level == level.0);
        if let Some(found) = found {
            return found;
        }
        let domains = model.domain_count(level);
        let scanned = self.size_of_group(group.0) <= SCANNED_MAX && domains > SHORT_ROW_DOMAINS;
        let row = if scanned { NOWHERE } else { self.counter_cells as u32 };
        if !scanned {
            self.counter_cells += domains;
        }
        let counter = self.counters.len() as u32;
        self.counters.push(Counter { group: group.0, level: level.0, row });
        self.groups[group.index()].counters.push(counter);
        counter
    }
}

/// What stays costs nothing, whatever the table says.
fn without_diagonal(table: &[u32], machines: usize) -> Vec<u32> {
    let mut table = table.to_vec();
    table.iter_mut().step_by(machines + 1).for_each(|entry| *entry = 0);
    table
}
