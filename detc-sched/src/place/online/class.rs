//! What each machine is worth to a class of like instances, remembered until the machine changes.

use super::{Free, Preference, Reason};
use crate::place::{DeviceNeed, InstanceId, MachineId, Model, ResourceId, SHARES_OF_DEVICE};

/// What one machine is worth to a class. Rules on where other instances are are not in it: they are asked when choosing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It fits; less is better.
    Score(i64),
    /// It does not.
    Not(Reason),
}

/// Instances of one group with the same needs.
#[derive(Clone, Debug)]
pub(super) struct Class {
    pub(super) verdicts: Vec<Verdict>,
    /// Verdicts that do not change: by the machine's nature.
    nature: Vec<Option<Reason>>,
    needs: Vec<i64>,
    devices: DeviceNeed,
    ports: Vec<u16>,
    synced: usize,
}

impl Class {
    pub(super) fn new(model: &Model, instance: InstanceId) -> Self {
        let group = &model.groups[model.group_of(instance).index()];
        let nature = |machine: MachineId| {
            if model.taints[machine.index()].iter().any(|taint| !group.tolerations.contains(taint)) {
                return Some(Reason::Taint);
            }
            group.rules.iter().position(|rule| !rule.admits(model, machine)).map(Reason::Elsewhere)
        };
        Self {
            verdicts: Vec::new(),
            nature: model.machines().map(nature).collect(),
            needs: model.needs(instance).to_vec(),
            devices: model.device_need(instance),
            ports: model.ports(instance).to_vec(),
            synced: 0,
        }
    }

    /// Judges the machines that changed since it was synced last; all, where that is less.
    pub(super) fn sync(&mut self, model: &Model, free: &Free, preference: &Preference, changed: &[u32]) {
        let machines = model.machine_count();
        let news = &changed[self.synced..];
        if self.verdicts.is_empty() || news.len() >= machines {
            self.verdicts =
                (0..machines).map(|machine| self.judge(model, free, preference, machine)).collect();
        } else {
            for machine in news {
                let machine = *machine as usize;
                self.verdicts[machine] = self.judge(model, free, preference, machine);
            }
        }
        self.synced = changed.len();
    }

    fn judge(&self, model: &Model, free: &Free, preference: &Preference, machine: usize) -> Verdict {
        if let Some(reason) = self.nature[machine] {
            return Verdict::Not(reason);
        }
        let width = self.needs.len();
        let row = &free.resources[machine * width..(machine + 1) * width];
        // A need of 0 is met even where more than all is taken.
        let lacks = row.iter().zip(&self.needs).position(|(free, need)| *need > 0 && free < need);
        if let Some(resource) = lacks {
            return Verdict::Not(Reason::Lacks(ResourceId::new(resource)));
        }
        if self.devices.count > 0 {
            let fitting = free.devices[machine].iter().filter(|free| **free >= self.devices.shares).count();
            if fitting < self.devices.count as usize {
                return Verdict::Not(Reason::Devices);
            }
        }
        if self.ports.iter().any(|port| free.ports[machine].contains(port)) {
            return Verdict::Not(Reason::Port);
        }
        let left = left(model, free, machine, row, &self.needs, self.devices);
        Verdict::Score(match preference {
            Preference::Tight => left,
            Preference::Loose => -left,
            Preference::Usable(mix) => {
                mix.loss(free, machine, &self.needs, self.devices).saturating_mul(TIE).saturating_add(left)
            }
        })
    }
}

/// Above every tie-break.
const TIE: i64 = 1 << 24;

/// What is left on a machine afterwards, in thousandths of what it has, summed over resources and devices.
fn left(model: &Model, free: &Free, machine: usize, row: &[i64], needs: &[i64], devices: DeviceNeed) -> i64 {
    let capacity = model.capacity(MachineId::new(machine));
    let parts = row.iter().zip(needs).zip(capacity).map(|((free, need), capacity)| match capacity {
        0 => 0,
        capacity => ((free - need) * 1000).div_euclid(*capacity),
    });
    let shares: u32 = free.devices[machine].iter().sum();
    let all = i64::from(SHARES_OF_DEVICE) * free.devices[machine].len() as i64;
    let asked = i64::from(devices.count) * i64::from(devices.shares);
    parts.sum::<i64>() + if all == 0 { 0 } else { (i64::from(shares) - asked) * 1000 / all }
}
