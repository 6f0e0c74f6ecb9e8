//! The engine of detc.

pub mod action;
pub mod backend;
pub mod diff;
pub mod execute;
pub mod manage;
pub mod model;
pub mod operate;
pub mod plan;
pub mod resource;
pub mod store;

#[cfg(feature = "testing")]
pub mod testing;
