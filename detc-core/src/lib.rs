//! The engine of detc.

pub mod action;
pub mod backend;
pub mod model;
pub mod resource;
pub mod store;
