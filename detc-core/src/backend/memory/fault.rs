//! What goes wrong on a memory host, as data.

use std::collections::BTreeMap;
use std::io;

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostFault {
    /// The host is not reached: nothing happens.
    Unreachable,
    /// It happens, and the answer is lost.
    AnswerLost,
    /// The host refuses, with this error: nothing happens.
    Refused(io::ErrorKind),
}

/// Which calls go wrong.
#[derive(Debug, Default)]
pub(in crate::backend) struct Faults {
    calls: u64,
    all: Option<HostFault>,
    planned: BTreeMap<u64, HostFault>,
}

impl Faults {
    pub(in crate::backend) fn fail_call(&mut self, nth: u64, fault: HostFault) {
        self.planned.insert(self.calls + nth, fault);
    }

    pub(in crate::backend) fn fail_all(&mut self, fault: Option<HostFault>) {
        self.all = fault;
        if fault.is_none() {
            self.planned.clear();
        }
    }

    pub(in crate::backend) fn calls(&self) -> u64 {
        self.calls
    }

    /// Counts a call, and tells its fate. A fault that was planned for this very call goes before a general one.
    pub(in crate::backend) fn next(&mut self) -> Option<HostFault> {
        let fault = self.planned.remove(&self.calls).or(self.all);
        self.calls += 1;
        fault
    }
}
