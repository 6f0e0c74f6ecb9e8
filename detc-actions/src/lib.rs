//! The library of resources, reusable actions and real backends for detc.
//!
//! - [`backends`]: hosts that are real, one feature each.

pub mod backends;

#[cfg(test)]
mod test_util;
