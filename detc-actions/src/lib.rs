//! The library of resources, reusable actions and real backends for detc.
//!
//! - [`backends`]: hosts that are real, one feature each.
//! - `compose` (feature `compose`): Compose files as desired state.
//! - [`resources`]: the kinds that people need on a host.
//!
//! ```
//! # #[cfg(feature = "local")] {
//! use detc_actions::{backends::LocalConnector, resources};
//! use detc_core::resource::Registry;
//!
//! let registry = resources::register(Registry::new()).with_connector(LocalConnector);
//! assert!(registry.kind("process").is_some());
//! # }
//! ```

mod artifact;
pub mod backends;
#[cfg(feature = "compose")]
pub mod compose;
pub mod resources;

#[cfg(test)]
#[cfg(feature = "containers")]
mod test_engine;
#[cfg(test)]
#[cfg(feature = "local")]
mod test_util;
