//! The engine of detc.
pub mod backend;
pub mod store;
