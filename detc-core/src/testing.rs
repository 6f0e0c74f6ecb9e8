//! For those who write resources, actions and backends: suites that find out whether an implementation keeps its
//! contract.
//!
//! A suite reports in the words of the contract which law was broken, and how. It is no part of a running system:
//! nothing outside of tests depends on this module.

use std::fmt::{self, Display};

mod calls;
pub mod cluster;
pub mod connector;
pub mod containers;
pub mod host;
pub mod reader;
pub mod resource;
pub mod services;
pub mod store;

/// A law of a contract that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The law, as a sentence.
    pub law: &'static str,
    /// What was seen instead.
    pub detail: String,
}

impl Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the law \"{}\" was broken: {}", self.law, self.detail)
    }
}
