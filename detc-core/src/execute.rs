//! Execution: runs a plan's actions in their order, at the width that limits allow, and records every step.
//!
//! ```text
//!            ┌────────── events (checked, applied, durable, waited, stop) ──────────┐
//!            ▼                                                                      │
//!        Engine (pure: step(event) -> commands) ──commands──▶ driver ──▶ Perform (observe, create, …)
//!                                                               └─────▶ journal (group commit on a Store)
//! ```
//!
//! The engine chooses nothing but the next action among those that are ready. It has no clock and does no I/O, so that a
//! live run and a replay are the same function. What an action does lives behind [`Perform`].

mod driver;
mod engine;
pub mod journal;
mod limits;
pub(crate) mod panics;
mod perform;
mod progress;
mod report;

pub use driver::{Driver, DriverOptions, StopHandle};
pub use engine::{Applied, Checked, Command, Engine, Event, NodeEnd, Phase, Retry, Work};
pub use limits::Limits;
pub(crate) use perform::TriedKey;
pub use perform::{NotConnected, Perform, Performing, PlanWork, Surroundings};
pub(crate) use perform::{Try, how_to_settle, judge, judge_removed, unhealthy};
pub use progress::{Progress, ProgressSink, unseen};
pub use report::{Failure, Outcome, RunReport, Tally};
