//! All that keeps an instance from a machine, not only the first; and who would have to go for it.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::{Placer, Reason, Refusal, Spot, devices_for};
use crate::place::{InstanceId, MachineId, ResourceId};

/// Sets of victims that are looked at on one machine, to find the fewest and cheapest: where there are more, nobody goes without
/// need, and that is all.
const SETS_MAX: usize = 1000;

/// The same on all machines together, for one instance.
const LOOKS_MAX: usize = 100_000;

impl Placer<'_> {
    /// Everything that keeps an instance from a machine as things are; nothing, when it fits.
    pub fn reasons_on(&self, instance: InstanceId, machine: MachineId) -> BTreeSet<Reason> {
        let model = self.model;
        let group = model.group_of(instance);
        let mut reasons = self.reasons_of_nature(instance, machine);
        for (index, (free, need)) in self.free_row(machine).iter().zip(model.needs(instance)).enumerate() {
            if *need > 0 && free < need {
                reasons.insert(Reason::Lacks(ResourceId::new(index)));
            }
        }
        if devices_for(&self.free.devices[machine.index()], model.device_need(instance)).is_none() {
            reasons.insert(Reason::Devices);
        }
        if model.ports(instance).iter().any(|port| self.free.ports[machine.index()].contains(port)) {
            reasons.insert(Reason::Port);
        }
        reasons.extend(self.together.reasons(model, group, machine));
        reasons
    }

    fn free_row(&self, machine: MachineId) -> &[i64] {
        self.free.row(machine, self.model.resource_count())
    }

    /// What about the machine itself keeps an instance away: no change of what runs there would help.
    fn reasons_of_nature(&self, instance: InstanceId, machine: MachineId) -> BTreeSet<Reason> {
        let model = self.model;
        let group = &model.groups[model.group_of(instance).index()];
        let mut reasons = BTreeSet::new();
        if self.closed[machine.index()] {
            reasons.insert(Reason::Closed);
        }
        reasons.extend(self.held_back(instance, machine));
        if !model.tolerates(model.group_of(instance), machine) {
            reasons.insert(Reason::Taint);
        }
        for (index, rule) in group.rules.iter().enumerate() {
            if !rule.admits(model, machine) {
                reasons.insert(Reason::Elsewhere(index));
            }
        }
        reasons
    }

    /// Places an instance, and where there is no room takes away instances of lower priority: of the lowest priorities, then
    /// the fewest, then those that are cheapest to move, and nobody without need, on one machine. The victims are placed nowhere afterwards.
    /// Fewest and cheapest are exact as far as sets of candidates are looked at: a thousand on a machine, a hundred thousand in all.
    /// Beyond that they are those of whom none can stay.
    ///
    /// Makes room only; it does not take away instances that stand in the way by a rule.
    ///
    /// # Errors
    /// With the reasons of all machines, when it fits nowhere even so.
    pub fn place_displacing(&mut self, instance: InstanceId) -> Result<Spot, Refusal> {
        let refusal = match self.place(instance) {
            Ok(spot) => return Ok(spot),
            Err(refusal) => refusal,
        };
        let mut looks = LOOKS_MAX;
        let plans = self.model.machines().filter_map(|machine| {
            let victims = self.victims(instance, machine, &mut looks)?;
            let worst = victims.iter().map(|victim| self.model.priority(*victim)).max();
            let cost: i64 = victims.iter().map(|victim| self.model.move_costs[victim.index()]).sum();
            Some((worst, victims.len(), cost, machine, victims))
        });
        let mut plans: Vec<_> = plans.collect();
        plans.sort_unstable();
        for (.., machine, victims) in plans {
            let before: Vec<_> =
                victims.iter().map(|victim| (*victim, self.placement.devices(*victim).to_vec())).collect();
            victims.iter().for_each(|victim| self.take(*victim));
            let spot = self.place(instance);
            let missed = |victim: &InstanceId| {
                self.together.is_missed(self.model, self.model.group_of(*victim), machine)
            };
            match spot {
                Ok(spot) if !victims.iter().any(missed) => return Ok(Spot { victims, ..spot }),
                _ => self.take(instance),
            }
            // Rules on where others are forbid it after all.
            before.into_iter().for_each(|(victim, devices)| self.put(victim, machine, devices));
        }
        Err(refusal)
    }

    /// Who would have to leave a machine for an instance; none, when that does not help.
    fn victims(
        &self,
        instance: InstanceId,
        machine: MachineId,
        looks: &mut usize,
    ) -> Option<Vec<InstanceId>> {
        let model = self.model;
        let lasting = !self.reasons_of_nature(instance, machine).is_empty();
        if lasting || self.together.reason(model, model.group_of(instance), machine).is_some() {
            return None;
        }
        let below = |resident: &&InstanceId| self.model.priority(**resident) < self.model.priority(instance);
        let mut lower: Vec<InstanceId> =
            self.residents[machine.index()].iter().filter(below).copied().collect();
        lower.sort_by_key(|resident| (model.priority(*resident), *resident));
        // Only the lowest priorities with which it fits when all of them are gone.
        let mut ends: Vec<usize> = (1..=lower.len()).collect();
        ends.retain(|end| {
            lower.get(*end).is_none_or(|next| model.priority(*next) > model.priority(lower[end - 1]))
        });
        let end = ends.into_iter().find(|end| self.fits_without(instance, machine, &lower[..*end]))?;
        lower.truncate(end);
        // From the highest priority down, and of these the small ones first, who can stay does.
        let size = |resident: InstanceId| model.needs(resident).iter().sum::<i64>();
        lower.sort_by_key(|resident| (Reverse(model.priority(*resident)), size(*resident), *resident));
        let mut gone = lower.clone();
        for resident in &lower {
            let rest: Vec<InstanceId> = gone.iter().copied().filter(|other| other != resident).collect();
            if self.fits_without(instance, machine, &rest) {
                gone = rest;
            }
        }
        let allowed = SETS_MAX.min(*looks);
        let (fewest, looked) = self.fewest((instance, machine), &lower, gone, allowed);
        *looks -= looked;
        Some(fewest)
    }

    /// The fewest of these, of whom the cheapest, without whom an instance fits: as `gone`, which are enough, or better. How many
    /// sets were looked at, too.
    fn fewest(
        &self,
        (instance, machine): (InstanceId, MachineId),
        of: &[InstanceId],
        gone: Vec<InstanceId>,
        looks_max: usize,
    ) -> (Vec<InstanceId>, usize) {
        let cost = |set: &[InstanceId]| -> i64 {
            set.iter().map(|resident| self.model.move_costs[resident.index()]).sum()
        };
        let mut looks = 0;
        for size in 1..=gone.len() {
            let mut best = (size == gone.len()).then(|| (cost(&gone), gone.clone()));
            // All sets of so many, in order.
            let mut slots: Vec<usize> = (0..size).collect();
            loop {
                if looks == looks_max {
                    return (best.map_or(gone, |(_, set)| set), looks);
                }
                looks += 1;
                let set: Vec<InstanceId> = slots.iter().map(|slot| of[*slot]).collect();
                let cost = cost(&set);
                if best.as_ref().is_none_or(|(least, _)| cost < *least)
                    && self.fits_without(instance, machine, &set)
                {
                    best = Some((cost, set));
                }
                let Some(slot) = (0..size).rev().find(|slot| slots[*slot] < of.len() - size + slot) else {
                    break;
                };
                slots[slot] += 1;
                (slot + 1..size).for_each(|next| slots[next] = slots[next - 1] + 1);
            }
            if let Some((_, set)) = best {
                return (set, looks);
            }
        }
        (gone, looks)
    }

    fn fits_without(&self, instance: InstanceId, machine: MachineId, gone: &[InstanceId]) -> bool {
        let model = self.model;
        let mut free = self.free_row(machine).to_vec();
        let mut free_shares = self.free.devices[machine.index()].clone();
        let mut ports = self.free.ports[machine.index()].clone();
        for resident in gone {
            free.iter_mut().zip(model.needs(*resident)).for_each(|(free, need)| *free += need);
            for device in self.placement.devices(*resident) {
                if let Some(free) = free_shares.get_mut(*device as usize) {
                    *free += model.shares(*resident);
                }
            }
            ports.retain(|port| !model.ports(*resident).contains(port));
        }
        free.iter().zip(model.needs(instance)).all(|(free, need)| *need == 0 || need <= free)
            && devices_for(&free_shares, model.device_need(instance)).is_some()
            && !model.ports(instance).iter().any(|port| ports.contains(port))
    }
}
