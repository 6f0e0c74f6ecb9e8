//! The engine's integration tests: one binary, a module per subject.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

mod begun;
mod broken_stores;
mod campaign;
mod counting;
mod crash;
mod cut_off;
mod deadlines;
mod fence;
mod gated;
mod golden;
mod grounds;
mod idempotency;
mod kept;
mod left_out;
mod live;
mod manager;
mod meanwhile;
mod needed;
mod power_cut;
mod predicates;
mod schedule;
mod second_look;
mod seen_only;
mod silent;
mod stable;
mod stage;
mod stale;
mod store_conformance;
mod store_file;
mod store_model;
mod tries;
mod versions;
mod world;
