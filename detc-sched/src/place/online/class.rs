//! What each machine is worth to a class of like instances, remembered until the machine changes.

use super::{Reason, Verdict, count};
use crate::place::MachineId;

/// Instances of one group with the same needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Class {
    pub(super) verdicts: Vec<Verdict>,
    /// On how many machines for which reason not.
    pub(super) counts: Vec<(Reason, usize)>,
    /// How long the log of changes was when it was judged last.
    synced: usize,
}

/// Machines in the order in which they changed.
#[derive(Clone, Debug)]
pub(super) struct Changes {
    log: Vec<u32>,
    /// Per machine, the length of the log after its last change.
    last: Vec<u32>,
}

impl Changes {
    pub(super) fn new(machines: usize) -> Self {
        Self { log: Vec::new(), last: vec![0; machines] }
    }

    pub(super) fn len(&self) -> usize {
        self.log.len()
    }

    pub(super) fn note(&mut self, machine: MachineId) {
        self.log.push(machine.0);
        self.last[machine.index()] = self.log.len() as u32;
    }

    /// The machines that changed since the log was so long, each once.
    fn since(&self, synced: usize) -> impl Iterator<Item = MachineId> + '_ {
        let news = self.log[synced..].iter().enumerate();
        let is_last = move |(index, machine): &(usize, &u32)| {
            self.last[**machine as usize] as usize == synced + index + 1
        };
        news.filter(is_last).map(|(_, machine)| MachineId(*machine))
    }
}

impl Class {
    /// Judges the machines that changed since it was synced last.
    pub(super) fn sync(&mut self, changes: &Changes, judge: impl Fn(MachineId) -> Verdict) {
        if self.verdicts.is_empty() {
            self.verdicts = (0..changes.last.len()).map(|machine| judge(MachineId::new(machine))).collect();
            for verdict in &self.verdicts {
                if let Verdict::Not(reason) = verdict {
                    count(&mut self.counts, *reason, 1);
                }
            }
        } else {
            for machine in changes.since(self.synced) {
                let old = std::mem::replace(&mut self.verdicts[machine.index()], judge(machine));
                for (verdict, change) in [(old, -1), (self.verdicts[machine.index()], 1)] {
                    if let Verdict::Not(reason) = verdict {
                        count(&mut self.counts, reason, change);
                    }
                }
            }
        }
        self.synced = changes.len();
    }
}
