//! Which machines a group may be on by what the machines are: taints, attributes, pins. That does not change.

use super::Reason;
use crate::place::{GroupId, MachineId, Model};

/// What is known so far, group by group: patterns are slow to match, and most groups ask for nothing.
#[derive(Clone, Debug)]
pub(super) struct Nature {
    tainted: bool,
    /// Per group, once it was asked for: the machines, or none of them, where all are allowed.
    allowed: Vec<Option<Vec<bool>>>,
}

impl Nature {
    pub(super) fn new(model: &Model) -> Self {
        let tainted = model.taints.iter().any(|taints| !taints.is_empty());
        Self { tainted, allowed: vec![None; model.group_count()] }
    }

    /// Finds out about a group, unless that is known.
    pub(super) fn learn(&mut self, model: &Model, group: GroupId) {
        if self.allowed[group.index()].is_some() {
            return;
        }
        let asks = self.tainted
            || model.groups[group.index()].rules.iter().any(crate::place::Rule::is_about_machines);
        let allowed = |machine| first(model, group, machine).is_none();
        self.allowed[group.index()] =
            Some(if asks { model.machines().map(allowed).collect() } else { Vec::new() });
    }

    /// Whether a group, of which it was learnt, may be on a machine.
    #[inline]
    pub(super) fn allows(&self, group: GroupId, machine: MachineId) -> bool {
        let allowed = self.allowed[group.index()].as_ref().expect("invariant: the group was learnt");
        allowed.get(machine.index()).copied().unwrap_or(true)
    }

    /// Why a group, of which it was learnt, may not be on a machine.
    pub(super) fn reason(&self, model: &Model, group: GroupId, machine: MachineId) -> Option<Reason> {
        if self.allows(group, machine) { None } else { first(model, group, machine) }
    }
}

fn first(model: &Model, id: GroupId, machine: MachineId) -> Option<Reason> {
    if !model.tolerates(id, machine) {
        return Some(Reason::Taint);
    }
    model.rules(id).iter().position(|rule| !rule.admits(model, machine)).map(Reason::Elsewhere)
}
