//! What an operator meets, through the real program `fleet`: its contract, its end by SIGKILL at any moment, and what it
//! makes of broken input.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

mod breaking;
mod contract;
mod crash;
mod docker;
mod embedding;
mod golden_store;
mod modules;
mod proofs;
mod ssh;
mod support;
mod tutorial;
mod zoo;
