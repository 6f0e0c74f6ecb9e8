//! A model taken apart again, to be changed and built anew: what-if questions are asked of such models.

use super::{Builder, HOSTNAME};
use crate::place::{DomainId, Instance, LevelId, Machine, Model, ResourceId};

impl From<&Model> for Builder {
    /// The parts of a model, with the same numbers. Linear in the size of the model.
    fn from(model: &Model) -> Self {
        let amounts = |row: &[i64]| row.iter().copied().enumerate().map(with_resource).collect();
        let machines = model.machines().map(|id| {
            let index = id.index();
            let name = model.machine_names[index].clone();
            let mut attributes = model.attributes[index].clone();
            if attributes.get(HOSTNAME) == Some(&name) {
                attributes.remove(HOSTNAME);
            }
            let domain =
                |level: usize| (LevelId::new(level), DomainId::new(model.domains[level][index].index()));
            Machine {
                name,
                capacity: amounts(model.capacity(id)),
                safety: amounts(model.safety(id)),
                domains: (1..model.levels.len()).map(domain).collect(),
                paths: Vec::new(),
                attributes,
                taints: model.taints[index].clone(),
                devices: model.devices[index],
            }
        });
        let instances = model.instances().map(|id| Instance {
            group: model.group_of(id),
            needs: amounts(model.needs(id)),
            devices: model.device_need(id),
            ports: model.ports(id).to_vec(),
            runs_on: model.runs_on(id),
            move_cost: model.move_costs[id.index()],
        });
        Self {
            resources: model.resources.clone(),
            levels: model.levels.clone(),
            machines: machines.collect(),
            groups: model.groups.clone(),
            instances: instances.collect(),
            objective: model.objective.clone(),
        }
    }
}

fn with_resource((index, amount): (usize, i64)) -> (ResourceId, i64) {
    (ResourceId::new(index), amount)
}
