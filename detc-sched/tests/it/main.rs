//! The promises of scheduling, each for thousands of random models, judged by the validator and by trying everything.
//!
//! A failure prints its seed and the command that repeats it. `DETC_SEEDS=N` makes each test N times as long.

mod batch;
mod changes;
mod explaining;
mod judge;
mod model;
mod moves;
mod packing;
mod pictures;
mod placing;
mod rebalancing;
mod support;
mod what_if;
