//! Places instances one by one: filter, score, choose, over state that is kept in step.
//!
//! ```text
//!   instance ─▶ machines in order of fullness, those without room passed over ─▶ first that is allowed ─▶ Spot
//!           ╲─▶ or its class: what each machine is worth to it, remembered ────▶ the best ────────────╱  ╲▶ Refusal,
//!                                                                                                  counted by reason
//! ```
//!
//! Where a preference is the same for all instances (tight, loose), the machines stand in one order, and the first
//! that has room and breaks no rule is taken. Otherwise instances of one group with the same needs are one class, and what a
//! machine is worth to a class is remembered until the machine changes. A refusal is explained by the verdict on each
//! machine, which is remembered, too.
//!
//! Wishes come before preferences: of the machines on which wishes cost least more, the preferred one is taken.
//!
//! Filter and score are those of Nomad's and Kubernetes' schedulers ("feasible", "rank"; "Filter", "Score"); scores
//! and the choice among equals are exact and total here: the lowest machine number.

use std::collections::BTreeMap;

use crate::place::model::SHARES_OF_DEVICE;
use crate::place::{DeviceNeed, GroupId, InstanceId, MachineId, Model, Placement};

use class::{Changes, Class};
pub use mix::Mix;
use nature::Nature;
use order::{Order, Side};
pub use reason::{Reason, Refusal};
use together::Together;

mod cells;
mod class;
mod facts;
mod leaving;
mod mix;
mod nature;
mod order;
mod reason;
mod score;
#[cfg(test)]
mod tests;
mod together;

/// What is preferred among machines that fit.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Preference {
    /// The fullest machine, which has least left of what it has least of: free ones stay free.
    Tight,
    /// The emptiest machine, which has most left of what it has least of.
    Loose,
    /// The machine that then loses least of what the expected instances could use.
    Usable(Mix),
    /// The machine on which the model's [objective](crate::place::Objective) grows least: overloads, balances, machines in
    /// use. What moves cost is not asked: nothing moves when it is placed.
    Cheapest,
}

/// Places instances of a model, one by one.
#[derive(Clone, Debug)]
pub struct Placer<'m> {
    model: &'m Model,
    preference: Preference,
    placement: Placement,
    free: Free,
    together: Together,
    nature: Nature,
    order: Order,
    residents: Vec<Vec<InstanceId>>,
    changes: Changes,
    /// What each machine is worth to the expected instances, where that is asked.
    worths: Vec<i64>,
    classes: Vec<Class>,
    class_of: BTreeMap<ClassKey, usize>,
    closed: Vec<bool>,
}

type ClassKey = (GroupId, DeviceNeed, Vec<i64>, Vec<u16>);

/// What one machine is worth to a class. Rules on where other instances are are not in it: they are asked when choosing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It fits; less is better.
    Score(i64),
    /// It does not.
    Not(Reason),
}

/// What machines have left.
#[derive(Clone, Debug)]
pub(crate) struct Free {
    /// Per machine, a row of all resources.
    pub(crate) resources: Vec<i64>,
    /// Per machine, the shares left of each device; below 0 where what runs already was given more than there is.
    pub(crate) devices: Vec<Vec<i64>>,
    pub(crate) ports: Vec<Vec<u16>>,
}

/// What is done for an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Where it goes.
    pub machine: MachineId,
    /// The devices that it has there.
    pub devices: Vec<u32>,
    /// What has to go first. In [`Placer::place`] nothing.
    pub victims: Vec<InstanceId>,
}

impl<'m> Placer<'m> {
    /// A placer that begins with a placement.
    pub fn new(model: &'m Model, start: &Placement, preference: Preference) -> Self {
        let free = Free {
            resources: model.capacities.clone(),
            devices: model
                .devices
                .iter()
                .map(|count| vec![i64::from(SHARES_OF_DEVICE); *count as usize])
                .collect(),
            ports: vec![Vec::new(); model.machine_count()],
        };
        let mut placer = Self {
            model,
            preference: Preference::Tight,
            placement: Placement::empty(model),
            together: Together::new(model),
            nature: Nature::new(model),
            order: Order::new(model, &free),
            free,
            residents: vec![Vec::new(); model.machine_count()],
            changes: Changes::new(model.machine_count()),
            worths: Vec::new(),
            classes: Vec::new(),
            class_of: BTreeMap::new(),
            closed: vec![false; model.machine_count()],
        };
        for instance in model.instances() {
            if let Some(machine) = start.machine(instance) {
                placer.put(instance, machine, start.devices(instance).to_vec());
            }
        }
        placer.prefer(preference);
        placer
    }

    /// What is placed so far.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Prefers otherwise from now on.
    pub fn prefer(&mut self, preference: Preference) {
        self.worths = match &preference {
            Preference::Usable(mix) => {
                let worth = |machine| mix.worth(&self.free, machine, self.model.resource_count());
                (0..self.model.machine_count()).map(worth).collect()
            }
            Preference::Tight | Preference::Loose | Preference::Cheapest => Vec::new(),
        };
        self.preference = preference;
        self.forget();
    }

    /// Gives nothing more to a machine. What runs there stays until it is [taken](Self::take).
    pub fn close(&mut self, machine: MachineId) {
        self.closed[machine.index()] = true;
    }

    /// What runs on a machine, in the order in which it came.
    pub fn residents(&self, machine: MachineId) -> &[InstanceId] {
        &self.residents[machine.index()]
    }

    /// How many more instances like this would fit, up to `wanted`, and what would keep the next one away. They are
    /// new ones: nothing moves, and nothing is occupied twice.
    pub fn room_for_more(&self, like: InstanceId, wanted: usize) -> (usize, Option<Refusal>) {
        let mut placer = self.clone();
        for fitted in 0..wanted {
            let Some(machine) = placer.choose(like) else { return (fitted, Some(placer.refusal(like))) };
            let devices = devices_for(&placer.free.devices[machine.index()], self.model.device_need(like))
                .unwrap_or_default();
            placer.occupy(like, machine, &devices);
        }
        (wanted, None)
    }

    /// Places an instance where it fits best; among equals on the machine with the lowest number.
    ///
    /// # Errors
    /// With the reasons of all machines, when it fits nowhere.
    pub fn place(&mut self, instance: InstanceId) -> Result<Spot, Refusal> {
        self.take(instance);
        let Some(machine) = self.choose_for(instance) else { return Err(self.refusal_for(instance)) };
        let devices = devices_for(&self.free.devices[machine.index()], self.model.device_need(instance))
            .expect("invariant: a machine that fits has the devices");
        self.put(instance, machine, devices.clone());
        Ok(Spot { machine, devices, victims: Vec::new() })
    }

    /// Takes an instance away, if it is placed.
    pub fn take(&mut self, instance: InstanceId) {
        let Some(machine) = self.placement.machine(instance) else { return };
        self.give_back(instance, machine, 1);
        self.hold(instance, machine, 1);
        self.free.take_shares(machine, self.placement.devices(instance), -self.model.shares(instance));
        let ports = self.model.ports(instance);
        self.free.ports[machine.index()].retain(|port| !ports.contains(port));
        self.residents[machine.index()].retain(|resident| *resident != instance);
        self.together.change(self.model, self.model.group_of(instance), machine, -1);
        self.placement.take(instance);
        self.note(machine);
    }

    /// Why an instance can not be placed as things are; none when it can.
    pub fn why_not(&mut self, instance: InstanceId) -> Option<Refusal> {
        match self.choose_for(instance) {
            Some(_) => None,
            None => Some(self.refusal_for(instance)),
        }
    }

    /// Why an instance would not be put onto a machine; none when it could be.
    pub fn why_not_on(&mut self, instance: InstanceId, machine: MachineId) -> Option<Reason> {
        let group = self.model.group_of(instance);
        self.nature.learn(self.model, group);
        if self.closed[machine.index()] {
            return Some(Reason::Closed);
        }
        let nature = self.nature.reason(self.model, group, machine);
        let lack = || self.lack(instance, machine);
        nature
            .or_else(lack)
            .or_else(|| self.together.reason(self.model, group, machine))
            .or_else(|| self.held_back(instance, machine))
    }

    fn choose_for(&mut self, instance: InstanceId) -> Option<MachineId> {
        match self.bound(instance) {
            Some((origin, _)) => self.why_not_on(instance, origin).is_none().then_some(origin),
            None => self.choose(instance),
        }
    }

    fn refusal_for(&mut self, instance: InstanceId) -> Refusal {
        let mut refusal = self.refusal(instance);
        let counted: usize = refusal.reasons.values().sum();
        // Those that have no other reason.
        if let Some((_, reason)) = self.bound(instance).filter(|_| counted < self.model.machine_count()) {
            refusal.reasons.insert(reason, self.model.machine_count() - counted);
        }
        refusal
    }

    fn put(&mut self, instance: InstanceId, machine: MachineId, devices: Vec<u32>) {
        self.hold(instance, machine, -1);
        self.occupy(instance, machine, &devices);
        self.placement.put_on_devices(instance, machine, devices);
    }

    /// What it needs is taken on a machine.
    fn occupy(&mut self, instance: InstanceId, machine: MachineId, devices: &[u32]) {
        self.give_back(instance, machine, -1);
        self.free.take_shares(machine, devices, self.model.shares(instance));
        self.free.ports[machine.index()].extend_from_slice(self.model.ports(instance));
        self.residents[machine.index()].push(instance);
        self.together.change(self.model, self.model.group_of(instance), machine, 1);
        self.note(machine);
    }

    fn give_back(&mut self, instance: InstanceId, machine: MachineId, sign: i64) {
        let width = self.model.resource_count();
        let row = &mut self.free.resources[machine.index() * width..][..width];
        row.iter_mut().zip(self.model.needs(instance)).for_each(|(free, need)| *free += need * sign);
    }

    /// What is left on a machine has changed.
    fn note(&mut self, machine: MachineId) {
        self.order.change(self.model, &self.free, machine);
        if let Preference::Usable(mix) = &self.preference {
            let worth = mix.worth(&self.free, machine.index(), self.model.resource_count());
            self.worths[machine.index()] = worth;
        }
        if self.changes.len() == CHANGES_MAX {
            self.forget();
        }
        if !self.classes.is_empty() {
            self.changes.note(machine);
        }
    }

    fn forget(&mut self) {
        self.classes.clear();
        self.class_of.clear();
        self.changes = Changes::new(self.model.machine_count());
    }

    fn lack(&self, instance: InstanceId, machine: MachineId) -> Option<Reason> {
        let model = self.model;
        let (needs, devices, ports) =
            (model.needs(instance), model.device_need(instance), model.ports(instance));
        self.free.lack(machine, needs, devices, ports)
    }

    /// The machine for an instance, if there is one.
    fn choose(&mut self, instance: InstanceId) -> Option<MachineId> {
        match self.preference {
            Preference::Tight => self.first_in_order(instance, Side::Fullest),
            Preference::Loose => self.first_in_order(instance, Side::Emptiest),
            Preference::Usable(_) | Preference::Cheapest => self.best_of_class(instance),
        }
    }

    fn first_in_order(&mut self, instance: InstanceId, side: Side) -> Option<MachineId> {
        let model = self.model;
        let (group, need) = (model.group_of(instance), model.device_need(instance));
        self.nature.learn(model, group);
        let mut walk = self.order.walk(side, model.needs(instance), need);
        let floor = self.together.wish_floor(group);
        let mut best: Option<(i64, MachineId)> = None;
        while let Some(shelf) = self.order.step(&mut walk) {
            let mut room = false;
            for machine in self.order.on(shelf) {
                if self.lack(instance, machine).is_some() {
                    continue;
                }
                room = true;
                if !self.is_lawful(group, machine) || !self.nature.allows(group, machine) {
                    continue;
                }
                let wish = self.together.wish_delta(model, group, machine);
                if best.is_none_or(|(least, _)| wish < least) {
                    best = Some((wish, machine));
                }
                if wish <= floor {
                    return Some(machine);
                }
            }
            if !room {
                self.order.tighten(&self.free, shelf);
            }
        }
        best.map(|(_, machine)| machine)
    }

    fn best_of_class(&mut self, instance: InstanceId) -> Option<MachineId> {
        let (class, group) = (self.class(instance), self.model.group_of(instance));
        let mut best: Option<(i64, i64, MachineId)> = None;
        for (index, verdict) in self.classes[class].verdicts.iter().enumerate() {
            let Verdict::Score(score) = *verdict else { continue };
            let machine = MachineId::new(index);
            let wish = self.together.wish_delta(self.model, group, machine);
            let better = best.is_none_or(|(least, lowest, _)| (wish, score) < (least, lowest));
            if better && self.is_lawful(group, machine) {
                best = Some((wish, score, machine));
            }
        }
        best.map(|(.., machine)| machine)
    }

    /// Whether a machine is open, and no rule on where others are is against it.
    fn is_lawful(&self, group: GroupId, machine: MachineId) -> bool {
        !self.closed[machine.index()]
            && (!self.together.asks(group) || self.together.reason(self.model, group, machine).is_none())
    }

    /// The class of an instance, its verdicts in step.
    fn class(&mut self, instance: InstanceId) -> usize {
        let model = self.model;
        let (group, devices, needs) =
            (model.group_of(instance), model.device_need(instance), model.needs(instance));
        let next = self.classes.len();
        let key: ClassKey = (group, devices, needs.to_vec(), model.ports(instance).to_vec());
        let index = *self.class_of.entry(key).or_insert(next);
        if index == next {
            self.nature.learn(model, group);
            self.classes.push(Class::default());
        }
        let (free, nature, worths, residents) = (&self.free, &self.nature, &self.worths, &self.residents);
        let preference = &self.preference;
        self.classes[index].sync(&self.changes, |machine| {
            let nature = nature.reason(model, group, machine);
            let lack = || free.lack(machine, needs, devices, model.ports(instance));
            match (nature.or_else(lack), preference) {
                (Some(reason), _) => Verdict::Not(reason),
                // The order knows.
                (None, Preference::Tight | Preference::Loose) => Verdict::Score(0),
                (None, Preference::Usable(mix)) => {
                    let worth = mix.worth_after(free, machine.index(), needs, devices);
                    let loss = worths[machine.index()] - worth;
                    Verdict::Score(score::with_tie(loss, score::left(model, free, machine, needs, devices)))
                }
                (None, Preference::Cheapest) => {
                    let opened = residents[machine.index()].is_empty();
                    let cost = score::cost(model, free, machine, needs, opened);
                    Verdict::Score(score::with_tie(cost, score::left(model, free, machine, needs, devices)))
                }
            }
        });
        index
    }

    fn refusal(&mut self, instance: InstanceId) -> Refusal {
        let (class, group) = (self.class(instance), self.model.group_of(instance));
        let class = &self.classes[class];
        let mut reasons = class.counts.clone();
        if self.together.asks(group) || self.closed.contains(&true) {
            reasons.clear();
            for (machine, verdict) in self.model.machines().zip(&class.verdicts) {
                let reason = match verdict {
                    _ if self.closed[machine.index()] => Some(Reason::Closed),
                    Verdict::Not(reason) => Some(*reason),
                    Verdict::Score(_) => self.together.reason(self.model, group, machine),
                };
                reason.into_iter().for_each(|reason| count(&mut reasons, reason, 1));
            }
        }
        Refusal { reasons: reasons.into_iter().filter(|(_, count)| *count > 0).collect() }
    }
}

/// Counts one more, or less, of a reason: there are few, and a map would take most of the time of a refusal.
fn count(counts: &mut Vec<(Reason, usize)>, reason: Reason, change: isize) {
    match counts.iter_mut().find(|(counted, _)| *counted == reason) {
        Some((_, count)) => *count = count.wrapping_add_signed(change),
        None => counts.push((reason, change.unsigned_abs())),
    }
}

/// So many changes are remembered for classes that were not asked for since; then all classes are judged anew. Four
/// megabytes, and a thousand times what one judgement of all of a thousand machines takes.
const CHANGES_MAX: usize = 1 << 20;

/// The devices to give: those that have least left beyond the need, so that whole ones stay whole.
pub(crate) fn devices_for(free: &[i64], need: DeviceNeed) -> Option<Vec<u32>> {
    let mut fitting: Vec<(i64, u32)> = free
        .iter()
        .enumerate()
        .filter(|(_, free)| **free >= i64::from(need.shares))
        .map(|(index, free)| (*free, index as u32))
        .collect();
    if fitting.len() < need.count as usize {
        return None;
    }
    fitting.sort_unstable();
    let mut given: Vec<u32> = fitting.into_iter().take(need.count as usize).map(|(_, index)| index).collect();
    given.sort_unstable();
    Some(given)
}
