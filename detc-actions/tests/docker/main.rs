//! Engines of containers by the Docker Engine API, against real dockerd processes that the tests start themselves.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

mod cluster;
mod conformance;
mod dockerd;
mod drift;
mod failures;
mod host;
mod hosts;
mod kinds;
mod life;
mod plans;
mod raw;
mod reach;
mod registry;
#[cfg(feature = "ssh")]
#[path = "../ssh/sshd.rs"]
mod sshd;
mod support;
mod troubles;
mod watching;
mod ways;
