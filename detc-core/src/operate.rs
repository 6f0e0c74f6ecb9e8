//! What every embedding application offers its operators: the same commands, flags, exit codes and JSON.

#[cfg(feature = "cli")]
pub mod cli;
