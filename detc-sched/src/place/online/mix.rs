//! What instances are expected, and how many of them a machine could still take.
//!
//! After "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient Descent" (Weng et al.,
//! USENIX ATC 2023): choose the machine whose loss for the instances that are expected is least. There a machine is worth to
//! a class of instances the device shares that are free where one of the class fits. Here it is worth two things: that,
//! counted in instances (so that those with many devices, of which few come, do not outweigh all others), and how far the
//! machine could be *filled* with the class, in parts of an instance: that sees processors and memory run short before
//! none fits any more.

use std::collections::BTreeMap;

use crate::place::{DeviceNeed, InstanceId, Model};

use super::{Free, devices_for};

/// Classes of expected instances, each with how often it is expected.
#[derive(Clone, Debug, Default)]
pub struct Mix {
    /// Those that need the same devices are side by side.
    classes: Vec<Expected>,
}

#[derive(Clone, Debug)]
struct Expected {
    needs: Vec<i64>,
    /// Per resource, `(ONE << FRACTION) / need`: dividing by it is most of the work otherwise.
    inverses: Vec<i64>,
    devices: DeviceNeed,
    weight: i64,
    allowed: Vec<bool>,
}

/// Parts of an instance in which room is counted.
const ONE: i64 = 1000;

/// Bits after the point of [inverses](Expected::inverses).
const FRACTION: u32 = 20;

/// Of [`WHOLE`], what is free where one fits counts so much, and what could be filled the rest. On six traces of a GPU
/// cluster anything between 0.7 and 0.9 of the whole is better than either alone.
const OPEN: i64 = 17;
const WHOLE: i64 = 20;

/// Weights of classes are brought below this, so that no worth leaves 64 bits.
const WEIGHT_MAX: i64 = 10_000;

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
        classes.sort_by_key(|((_, devices, _), (_, like))| (*devices, *like));
        let heaviest = classes.iter().map(|(_, (weight, _))| *weight).max().unwrap_or(0).max(WEIGHT_MAX);
        let classes = classes.into_iter().map(|((group, devices, needs), (weight, _))| {
            let rules = model.rules(group);
            let fits = |machine| {
                model.tolerates(group, machine) && rules.iter().all(|rule| rule.admits(model, machine))
            };
            Expected {
                needs: needs.to_vec(),
                inverses: needs.iter().map(|need| (ONE << FRACTION) / (*need).max(1)).collect(),
                devices,
                weight: (weight * WEIGHT_MAX / heaviest).max(1),
                allowed: model.machines().map(fits).collect(),
            }
        });
        Self { classes: classes.collect() }
    }

    /// What a machine is worth to the expected instances as it is.
    pub(super) fn worth(&self, free: &Free, machine: usize, width: usize) -> i64 {
        let row = &free.resources[machine * width..][..width];
        self.worth_of(machine, row, &free.devices[machine])
    }

    /// What a machine would be worth if it took this.
    pub(super) fn worth_after(&self, free: &Free, machine: usize, needs: &[i64], need: DeviceNeed) -> i64 {
        let width = needs.len();
        let before = &free.resources[machine * width..][..width];
        let row: Vec<i64> = before.iter().zip(needs).map(|(free, need)| free - need).collect();
        if need.count == 0 {
            return self.worth_of(machine, &row, &free.devices[machine]);
        }
        let mut devices = free.devices[machine].clone();
        for device in devices_for(&devices, need).unwrap_or_default() {
            devices[device as usize] -= i64::from(need.shares);
        }
        self.worth_of(machine, &row, &devices)
    }

    fn worth_of(&self, machine: usize, row: &[i64], devices: &[i64]) -> i64 {
        if devices.iter().all(|free| *free <= 0) {
            return 0;
        }
        let mut worth = 0;
        let mut known = DeviceNeed::default();
        let (mut open, mut slots) = (0, 0);
        for class in self.classes.iter().filter(|class| class.allowed[machine]) {
            if class.devices != known {
                known = class.devices;
                (open, slots) = room_on(devices, known);
            }
            if open == 0 {
                continue;
            }
            let mut fill = slots;
            let mut fits = true;
            for ((free, need), inverse) in row.iter().zip(&class.needs).zip(&class.inverses) {
                if *need > 0 {
                    fits &= free >= need;
                    let part = (i128::from((*free).max(0)) * i128::from(*inverse)) >> FRACTION;
                    fill = fill.min(part as i64);
                }
            }
            if fits {
                worth += (open * OPEN + fill * (WHOLE - OPEN)) * class.weight;
            }
        }
        worth
    }
}

/// How many instances the free shares are, on devices that have enough for one; and how many the devices could take. In
/// parts; both 0 when they can take none.
fn room_on(devices: &[i64], need: DeviceNeed) -> (i64, i64) {
    // No device has more than fits 32 bits, which are divided faster.
    let enough = devices.iter().filter(|free| **free >= i64::from(need.shares)).map(|free| *free as u32);
    let (mut whole, mut shares, mut slots) = (0, 0, 0);
    for free in enough {
        whole += 1;
        shares += free;
        slots += free / need.shares;
    }
    if whole < need.count {
        return (0, 0);
    }
    let asked = i64::from(need.count) * i64::from(need.shares);
    (i64::from(shares) * ONE / asked, i64::from(slots / need.count) * ONE)
}
