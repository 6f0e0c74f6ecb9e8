//! How well a machine that fits suits.

use super::{Free, Reason};
use crate::place::{DeviceNeed, MachineId, Model, ResourceId, SHARES_OF_DEVICE};

/// Above every tie-break.
const TIE: i64 = 1 << 14;

/// A score, and what decides among equals.
pub(super) fn with_tie(score: i64, tie: i64) -> i64 {
    score.saturating_mul(TIE).saturating_add(tie.clamp(0, TIE - 1))
}

/// What is left on a machine afterwards, in thousandths of what it has, summed over resources and devices.
pub(super) fn left(
    model: &Model,
    free: &Free,
    machine: MachineId,
    needs: &[i64],
    devices: DeviceNeed,
) -> i64 {
    let capacity = model.capacity(machine);
    let parts = free.row(machine, needs.len()).iter().zip(needs).zip(capacity);
    let sum: i64 = parts
        .map(|((free, need), capacity)| match capacity {
            0 => 0,
            capacity => ((free - need) * 1000).div_euclid(*capacity),
        })
        .sum();
    let shares: i64 = free.devices[machine.index()].iter().map(|shares| (*shares).max(0)).sum();
    let all = i64::from(SHARES_OF_DEVICE) * i64::from(model.devices(machine));
    let asked = i64::from(devices.count) * i64::from(devices.shares);
    sum + if all == 0 { 0 } else { (shares - asked) * 1000 / all }
}

/// What the objective costs more when these needs come to a machine; `opened` tells that it was empty.
pub(super) fn cost(model: &Model, free: &Free, machine: MachineId, needs: &[i64], opened: bool) -> i64 {
    let objective = &model.objective;
    let (row, capacity, safety) =
        (free.row(machine, needs.len()), model.capacity(machine), model.safety(machine));
    let mut cost = if opened { objective.machine_use } else { 0 };
    for (resource, weight) in &objective.overload {
        let at = resource.index();
        let excess = capacity[at] - row[at] - safety[at];
        cost += ((excess + needs[at]).max(0) - excess.max(0)) * weight;
    }
    for balance in &objective.balances {
        let left = |resource: ResourceId, taken: i64| row[resource.index()] - taken * needs[resource.index()];
        let lack = |taken| (balance.times * left(balance.of, taken) - left(balance.with, taken)).max(0);
        cost += (lack(1) - lack(0)) * balance.weight;
    }
    cost
}

impl Free {
    /// What a machine has left of the resources, of which there are `width`.
    #[inline]
    pub(super) fn row(&self, machine: MachineId, width: usize) -> &[i64] {
        &self.resources[machine.index() * width..][..width]
    }

    /// Takes so many shares of each of these devices. What runs already may have more than there is, and what is not there.
    pub(super) fn take_shares(&mut self, machine: MachineId, devices: &[u32], shares: i64) {
        let here = &mut self.devices[machine.index()];
        for device in devices {
            if let Some(free) = here.get_mut(*device as usize) {
                *free -= shares;
            }
        }
    }

    /// What a machine has too little of, of resources, devices and ports in this order. A need of 0 is met even where
    /// more than all is taken.
    #[inline]
    pub(super) fn lack(
        &self,
        machine: MachineId,
        needs: &[i64],
        devices: DeviceNeed,
        ports: &[u16],
    ) -> Option<Reason> {
        let row = self.row(machine, needs.len());
        let lacks = row.iter().zip(needs).position(|(free, need)| *need > 0 && free < need);
        if let Some(resource) = lacks {
            return Some(Reason::Lacks(ResourceId::new(resource)));
        }
        if devices.count > 0 {
            let here = &self.devices[machine.index()];
            let fitting = here.iter().filter(|free| **free >= i64::from(devices.shares)).count();
            if fitting < devices.count as usize {
                return Some(Reason::Devices);
            }
        }
        ports.iter().any(|port| self.ports[machine.index()].contains(port)).then_some(Reason::Port)
    }
}
