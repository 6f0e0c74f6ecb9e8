//! A machine or a container whose shell does what it is told: what it is told, and what is kept of what comes.

pub(in crate::backends) mod kept;
pub(in crate::backends) mod script;
