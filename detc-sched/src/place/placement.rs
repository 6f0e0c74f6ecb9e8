//! A placement: where each instance is. A value; whether it keeps the rules is for [`validate`](mod@crate::place::validate).

use std::collections::BTreeMap;

use crate::place::{InstanceId, MachineId, Model};

/// Where each instance of a model is, and which devices it has there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    machines: Vec<Option<MachineId>>,
    devices: BTreeMap<InstanceId, Vec<u32>>,
}

impl Placement {
    /// Nothing is placed.
    pub fn empty(model: &Model) -> Self {
        Self { machines: vec![None; model.instance_count()], devices: BTreeMap::new() }
    }

    /// As it runs now, by the model.
    pub fn running(model: &Model) -> Self {
        Self { machines: model.runs_on.clone(), devices: BTreeMap::new() }
    }

    /// Where an instance is, if anywhere.
    pub fn machine(&self, instance: InstanceId) -> Option<MachineId> {
        self.machines[instance.index()]
    }

    /// Which devices of its machine an instance has.
    pub fn devices(&self, instance: InstanceId) -> &[u32] {
        self.devices.get(&instance).map_or(&[], Vec::as_slice)
    }

    /// Puts an instance onto a machine, without devices.
    pub fn put(&mut self, instance: InstanceId, machine: MachineId) {
        self.machines[instance.index()] = Some(machine);
        self.devices.remove(&instance);
    }

    /// Puts an instance onto these devices of a machine.
    pub fn put_on_devices(&mut self, instance: InstanceId, machine: MachineId, devices: Vec<u32>) {
        self.put(instance, machine);
        if !devices.is_empty() {
            self.devices.insert(instance, devices);
        }
    }

    /// Takes an instance away.
    pub fn take(&mut self, instance: InstanceId) {
        self.machines[instance.index()] = None;
        self.devices.remove(&instance);
    }

    /// Where all instances are, in order.
    pub fn machines(&self) -> &[Option<MachineId>] {
        &self.machines
    }
}
