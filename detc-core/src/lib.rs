//! The engine of detc.
pub mod backend;
pub mod store;

#[cfg(feature = "testing")]
pub mod testing;
