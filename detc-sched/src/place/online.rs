//! Places instances one by one: filter, score, choose, over state that is kept in step.
//!
//! ```text
//!   instance ─▶ its class ─▶ sync verdicts with machines that changed ─▶ choose the least score ─▶ Spot
//!                              (filter: why not; score: how well)      └▶ none: Refusal, counted by reason
//! ```
//!
//! Instances of one group with the same needs are one class, and what a machine is worth to a class is remembered until
//! the machine changes. An arrival then costs one look at each machine's verdict and a judgement of the few machines that
//! have changed since the class was asked for last. Why each machine was not taken is part of the verdict, so that a
//! refusal is explained without looking again.
//!
//! Filter and score are those of Nomad's and Kubernetes' schedulers ("feasible", "rank"; "Filter", "Score"); scores
//! and the choice among equals are exact and total here: the lowest machine number.

use std::collections::BTreeMap;

use crate::place::model::SHARES_OF_DEVICE;
use crate::place::{DeviceNeed, GroupId, InstanceId, MachineId, Model, Placement};

use class::{Class, Verdict};
pub use mix::Mix;
pub use reason::{Reason, Refusal};
use together::Together;

mod class;
mod facts;
mod leaving;
mod mix;
mod reason;
#[cfg(test)]
mod tests;
mod together;

/// What is preferred among machines that fit.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Preference {
    /// The fullest machine: free ones stay free.
    Tight,
    /// The emptiest machine.
    Loose,
    /// The machine that then loses least of what the expected instances could use.
    Usable(Mix),
}

/// Places instances of a model, one by one.
#[derive(Clone, Debug)]
pub struct Placer<'m> {
    model: &'m Model,
    preference: Preference,
    placement: Placement,
    free: Free,
    together: Together,
    residents: Vec<Vec<InstanceId>>,
    /// Machines in the order in which they changed.
    changed: Vec<u32>,
    classes: Vec<Class>,
    class_of: BTreeMap<ClassKey, usize>,
    closed: Vec<bool>,
}

type ClassKey = (GroupId, DeviceNeed, Vec<i64>, Vec<u16>);

/// What machines have left.
#[derive(Clone, Debug)]
pub(crate) struct Free {
    /// Per machine, a row of all resources.
    pub(crate) resources: Vec<i64>,
    /// Per machine, the shares left of each device.
    pub(crate) devices: Vec<Vec<u32>>,
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
        let mut placer = Self {
            model,
            preference,
            placement: Placement::empty(model),
            free: Free {
                resources: model.capacities.clone(),
                devices: model.devices.iter().map(|count| vec![SHARES_OF_DEVICE; *count as usize]).collect(),
                ports: vec![Vec::new(); model.machine_count()],
            },
            together: Together::new(model),
            residents: vec![Vec::new(); model.machine_count()],
            changed: Vec::new(),
            classes: Vec::new(),
            class_of: BTreeMap::new(),
            closed: vec![false; model.machine_count()],
        };
        for instance in model.instances() {
            if let Some(machine) = start.machine(instance) {
                placer.put(instance, machine, start.devices(instance).to_vec());
            }
        }
        placer
    }

    /// What is placed so far.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Prefers otherwise from now on.
    pub fn prefer(&mut self, preference: Preference) {
        self.preference = preference;
        self.classes.clear();
        self.class_of.clear();
    }

    /// Gives nothing more to a machine. What runs there stays until it is [taken](Self::take).
    pub fn close(&mut self, machine: MachineId) {
        self.closed[machine.index()] = true;
    }

    /// What runs on a machine, in the order in which it came.
    pub fn residents(&self, machine: MachineId) -> &[InstanceId] {
        &self.residents[machine.index()]
    }

    /// How many more instances like this would fit, up to `wanted`, and what would keep the next one away.
    pub fn room_for_more(&self, like: InstanceId, wanted: usize) -> (usize, Option<Refusal>) {
        let mut placer = self.clone();
        let group = self.model.group_of(like);
        for fitted in 0..wanted {
            let class = placer.class(like);
            let Some(machine) = placer.choose(class, group) else {
                return (fitted, Some(placer.refusal(class, group)));
            };
            placer.placement.take(like);
            let devices = devices_for(&placer.free.devices[machine.index()], self.model.device_need(like))
                .unwrap_or_default();
            placer.put(like, machine, devices);
        }
        (wanted, None)
    }

    /// Places an instance where it fits best; among equals on the machine with the lowest number.
    ///
    /// # Errors
    /// With the reasons of all machines, when it fits nowhere.
    pub fn place(&mut self, instance: InstanceId) -> Result<Spot, Refusal> {
        self.take(instance);
        let class = self.class(instance);
        let Some(machine) = self.choose_for(instance, class) else {
            return Err(self.refusal_for(instance, class));
        };
        let devices = devices_for(&self.free.devices[machine.index()], self.model.device_need(instance))
            .expect("invariant: a machine that fits has the devices");
        self.put(instance, machine, devices.clone());
        Ok(Spot { machine, devices, victims: Vec::new() })
    }

    /// Takes an instance away, if it is placed.
    pub fn take(&mut self, instance: InstanceId) {
        let Some(machine) = self.placement.machine(instance) else { return };
        self.change(instance, machine, 1);
        self.hold(instance, machine, 1);
        for device in self.placement.devices(instance) {
            let shares = self.model.device_need(instance).shares;
            self.free.devices[machine.index()][*device as usize] += shares;
        }
        let ports = self.model.ports(instance);
        self.free.ports[machine.index()].retain(|port| !ports.contains(port));
        self.residents[machine.index()].retain(|resident| *resident != instance);
        self.together.change(self.model, self.model.group_of(instance), machine, -1);
        self.placement.take(instance);
    }

    /// Why an instance can not be placed as things are; none when it can.
    pub fn why_not(&mut self, instance: InstanceId) -> Option<Refusal> {
        let class = self.class(instance);
        match self.choose_for(instance, class) {
            Some(_) => None,
            None => Some(self.refusal_for(instance, class)),
        }
    }

    /// Why an instance would not be put onto a machine; none when it could be.
    pub fn why_not_on(&mut self, instance: InstanceId, machine: MachineId) -> Option<Reason> {
        let class = self.class(instance);
        let group = self.model.group_of(instance);
        match self.classes[class].verdicts[machine.index()] {
            _ if self.closed[machine.index()] => Some(Reason::Closed),
            Verdict::Not(reason) => Some(reason),
            Verdict::Score(_) => {
                self.together.reason(self.model, group, machine).or_else(|| self.held_back(instance, machine))
            }
        }
    }

    fn choose_for(&mut self, instance: InstanceId, class: usize) -> Option<MachineId> {
        match self.bound(instance) {
            Some((origin, _)) => self.why_not_on(instance, origin).is_none().then_some(origin),
            None => self.choose(class, self.model.group_of(instance)),
        }
    }

    fn refusal_for(&self, instance: InstanceId, class: usize) -> Refusal {
        let mut refusal = self.refusal(class, self.model.group_of(instance));
        let counted: usize = refusal.reasons.values().sum();
        // Those that have no other reason.
        if let Some((_, reason)) = self.bound(instance).filter(|_| counted < self.model.machine_count()) {
            refusal.reasons.insert(reason, self.model.machine_count() - counted);
        }
        refusal
    }

    fn put(&mut self, instance: InstanceId, machine: MachineId, devices: Vec<u32>) {
        self.change(instance, machine, -1);
        self.hold(instance, machine, -1);
        for device in &devices {
            let shares = self.model.device_need(instance).shares;
            self.free.devices[machine.index()][*device as usize] -= shares;
        }
        self.free.ports[machine.index()].extend_from_slice(self.model.ports(instance));
        self.residents[machine.index()].push(instance);
        self.together.change(self.model, self.model.group_of(instance), machine, 1);
        self.placement.put_on_devices(instance, machine, devices);
    }

    fn change(&mut self, instance: InstanceId, machine: MachineId, sign: i64) {
        let width = self.model.resource_count();
        let row = &mut self.free.resources[machine.index() * width..][..width];
        row.iter_mut().zip(self.model.needs(instance)).for_each(|(free, need)| *free += need * sign);
        self.changed.push(machine.0);
    }

    /// The class of an instance, its verdicts in step.
    fn class(&mut self, instance: InstanceId) -> usize {
        let model = self.model;
        let key: ClassKey = (
            model.group_of(instance),
            model.device_need(instance),
            model.needs(instance).to_vec(),
            model.ports(instance).to_vec(),
        );
        let next = self.classes.len();
        let index = *self.class_of.entry(key).or_insert(next);
        if index == next {
            self.classes.push(Class::new(model, instance));
        }
        self.classes[index].sync(model, &self.free, &self.preference, &self.changed);
        index
    }

    fn choose(&self, class: usize, group: GroupId) -> Option<MachineId> {
        let verdicts = &self.classes[class].verdicts;
        let fits = |machine: MachineId| {
            !self.closed[machine.index()]
                && (!self.together.asks(group) || self.together.reason(self.model, group, machine).is_none())
        };
        let mut best: Option<(i64, MachineId)> = None;
        for (index, verdict) in verdicts.iter().enumerate() {
            let Verdict::Score(score) = verdict else { continue };
            let machine = MachineId::new(index);
            if best.is_none_or(|(least, _)| *score < least) && fits(machine) {
                best = Some((*score, machine));
            }
        }
        best.map(|(_, machine)| machine)
    }

    fn refusal(&self, class: usize, group: GroupId) -> Refusal {
        let mut refusal = Refusal::default();
        for (index, verdict) in self.classes[class].verdicts.iter().enumerate() {
            let reason = match verdict {
                _ if self.closed[index] => Some(Reason::Closed),
                Verdict::Not(reason) => Some(*reason),
                Verdict::Score(_) => self.together.reason(self.model, group, MachineId::new(index)),
            };
            if let Some(reason) = reason {
                *refusal.reasons.entry(reason).or_default() += 1;
            }
        }
        refusal
    }
}

/// The devices to give: those that have least left beyond the need, so that whole ones stay whole.
pub(crate) fn devices_for(free: &[u32], need: DeviceNeed) -> Option<Vec<u32>> {
    let mut fitting: Vec<(u32, u32)> = free
        .iter()
        .enumerate()
        .filter(|(_, free)| **free >= need.shares)
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
