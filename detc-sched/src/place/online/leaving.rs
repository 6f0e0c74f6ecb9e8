//! What is occupied twice while an instance moves: it stays occupied where the instance ran, until all is done.

use super::{Placer, Reason};
use crate::place::model::Hold;
use crate::place::{InstanceId, MachineId, ResourceId};

impl Placer<'_> {
    /// An instance came to (-1) or left (1) a machine: what it holds where it ran, if that is elsewhere.
    pub(super) fn hold(&mut self, instance: InstanceId, machine: MachineId, sign: i64) {
        let model = self.model;
        let Some(origin) = model.runs_on(instance).filter(|origin| *origin != machine) else { return };
        let width = model.resource_count();
        for (index, need) in model.needs(instance).iter().enumerate() {
            if *need > 0 && model.resources[index].hold == Hold::Twice {
                self.free.resources[origin.index() * width + index] += need * sign;
            }
        }
        self.note(origin);
    }

    /// The only machine that an instance that is nowhere may go to, and why: where it ran, because what it held there was given
    /// to others in the meantime.
    pub(super) fn bound(&self, instance: InstanceId) -> Option<(MachineId, Reason)> {
        let model = self.model;
        let origin = model.runs_on(instance)?;
        let free = &self.free.resources[origin.index() * model.resource_count()..];
        let mut needs = model.needs(instance).iter().enumerate();
        let lacking = needs.find(|(index, need)| {
            **need > 0 && model.resources[*index].hold == Hold::Twice && free[*index] < **need
        });
        lacking.map(|(index, _)| (origin, Reason::Leaving(ResourceId::new(index))))
    }

    /// Why an instance may not leave where it ran for this machine.
    pub(super) fn held_back(&self, instance: InstanceId, machine: MachineId) -> Option<Reason> {
        self.bound(instance).filter(|(origin, _)| *origin != machine).map(|(_, reason)| reason)
    }
}
