//! Hosts over SSH, against real sshd processes that the tests start themselves.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

mod argv;
mod asked;
mod bad_line;
mod certificates;
mod commands;
mod conformance;
mod cuts;
mod failures;
mod hostile;
mod identity;
mod relay;
mod sshd;
mod support;
mod transfer;
mod trips;
mod ways;
mod wire;
