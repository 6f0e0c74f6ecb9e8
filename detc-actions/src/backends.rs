//! Real backends for the seams of [`detc_core::backend`], one feature each.

#[cfg(feature = "local")]
pub mod local;

#[cfg(feature = "local")]
pub use local::{LocalConnector, LocalHost};
