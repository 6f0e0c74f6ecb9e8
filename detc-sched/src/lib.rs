//! Pure scheduling decisions for detc: what should run where, and how to get there.
//!
//! Everything here is a function of its arguments: no clock, no I/O, no randomness that was not passed in. The same
//! input gives the same answer, and every "no" is a typed reason. What is decided here becomes desired state; planning
//! and doing it is `detc-core`'s business, and this crate does not depend on it.
//!
//! | module | decides |
//! |---|---|
//! | [`place`] | which instance runs on which machine: the model, its rules, what a placement costs, whether it is valid |
//! | [`explain`] | why here, why not there, why nowhere, and what if |
//! | [`rebalance`] | how a running placement gets better, with few moves |
//! | [`roll`] | the next safe step from the instances that run to those that should: rolling, canary, blue/green |
//! | `testing` | nothing: random models and a solver that tries everything, for tests (feature `testing`) |

pub mod explain;
pub mod place;
pub mod rebalance;
mod rng;
pub mod roll;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
