//! What instances are expected, and how much of a machine's devices they could use.
//!
//! After "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient Descent" (Weng et al.,
//! USENIX ATC 2023): choose the machine whose *fragmentation*, the device shares that expected instances can not use, grows
//! least. There a class of instances counts a device as usable when one of the class fits. Here a class counts what can
//! be used by filling the machine with it: that sees processors and memory run short before they do.

use std::collections::BTreeMap;

use crate::place::{DeviceNeed, InstanceId, Model};

use super::{Free, devices_for};

/// Classes of expected instances, each with how often it is expected.
#[derive(Clone, Debug, Default)]
pub struct Mix {
    classes: Vec<Expected>,
}

#[derive(Clone, Debug)]
struct Expected {
    needs: Vec<i64>,
    devices: DeviceNeed,
    weight: i64,
    allowed: Vec<bool>,
}

impl Mix {
    /// The mix of these instances; only those that need devices count. Of rare classes only the `classes_max` most frequent
    /// are kept: they cost time at each choice.
    pub fn of(model: &Model, instances: impl Iterator<Item = InstanceId>, classes_max: usize) -> Self {
        let mut classes: BTreeMap<_, (i64, InstanceId)> = BTreeMap::new();
        for instance in instances.filter(|instance| model.device_need(*instance).count > 0) {
            let key = (model.group_of(instance), model.device_need(instance), model.needs(instance));
            classes.entry(key).or_insert((0, instance)).0 += 1;
        }
        let mut classes: Vec<_> = classes.into_iter().collect();
        classes.sort_by_key(|(_, (weight, like))| (-weight, *like));
        classes.truncate(classes_max);
        let classes = classes.into_iter().map(|((group, devices, needs), (weight, _))| {
            let group = &model.groups[group.index()];
            let fits = |machine| group.rules.iter().all(|rule| rule.admits(model, machine));
            Expected { needs: needs.to_vec(), devices, weight, allowed: model.machines().map(fits).collect() }
        });
        Self { classes: classes.collect() }
    }

    /// How much less the expected instances could use of a machine's devices if it took this.
    pub(super) fn loss(&self, free: &Free, machine: usize, needs: &[i64], devices: DeviceNeed) -> i64 {
        let width = needs.len();
        let row = &free.resources[machine * width..(machine + 1) * width];
        let before = &free.devices[machine];
        if before.is_empty() {
            return 0;
        }
        let after_row: Vec<i64> = row.iter().zip(needs).map(|(free, need)| free - need).collect();
        let mut after = before.clone();
        let base = self.usable(machine, row, before);
        for device in devices_for(before, devices).unwrap_or_default() {
            after[device as usize] -= devices.shares;
        }
        base - self.usable(machine, &after_row, &after)
    }

    fn usable(&self, machine: usize, row: &[i64], devices: &[u32]) -> i64 {
        let total: i64 = devices.iter().map(|free| i64::from(*free)).sum();
        if total == 0 {
            return 0;
        }
        let of = |class: &Expected| {
            if !class.allowed[machine] {
                return 0;
            }
            let shares = class.devices.shares;
            let slots: u32 = devices.iter().map(|free| free / shares).sum();
            let mut fit = i64::from(slots / class.devices.count);
            if class.devices.count > 1 {
                let whole = devices.iter().filter(|free| **free >= shares).count() as u32;
                if whole < class.devices.count {
                    fit = 0;
                }
            }
            for (free, need) in row.iter().zip(&class.needs) {
                if *need > 0 {
                    fit = fit.min((free / need).max(0));
                }
            }
            fit * i64::from(class.devices.count * shares) * class.weight
        };
        self.classes.iter().map(of).sum()
    }
}
