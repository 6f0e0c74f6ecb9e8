//! For those who write backends: suites that find out whether an implementation keeps its contract.
//!
//! A suite reports in the words of the contract which law was broken, and how. It is no part of a running system:
//! nothing outside of tests depends on this module.

pub mod store;
