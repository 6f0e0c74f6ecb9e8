//! Engines of containers by the Docker Engine API, against real dockerd processes that the tests start themselves.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

mod dockerd;
mod life;
mod support;
