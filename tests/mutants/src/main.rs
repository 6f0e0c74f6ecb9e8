//! Mutation testing in one build.
//!
//! cargo-mutants builds once for each mutant and then runs all tests. Here the same mutants, as it lists them, are put into one
//! build, each behind a switch; then each mutant runs against the tests that reach it, the quickest first, until one fails.
//!
//! ```text
//! cargo mutants --list --json ─▶ inject ─▶ compile ─▶ cover ─▶ hunt ─▶ RESULTS, a line for each mutant
//!                                  ▲          │ what does not compile is taken out again
//!                                  └──────────┘
//! ```
//!
//! What can not be put behind a switch (a constant, a return type that hides the real one) is told apart, for cargo-mutants itself.

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;

mod compile;
mod cover;
mod hunt;
mod inject;
mod list;
mod process;

/// Whatever goes wrong, in words.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Parser)]
struct Options {
    /// What `cargo mutants --list --json` has printed.
    list: PathBuf,
    /// Where to build; made when missing, and to be used again. The tracked files of this repository are copied into it.
    work: PathBuf,
    /// Where the outcomes go, and are kept from run to run: what is there is not tried again.
    results: PathBuf,
    /// What was built last is used as it is.
    #[arg(long)]
    as_built: bool,
    /// Which tests.
    #[arg(long, value_enum, default_value = "core")]
    suite: compile::Suite,
    /// Only mutants whose names contain this.
    #[arg(long, default_value = "")]
    only: String,
    /// Tests that take longer than this, in seconds, are not run.
    #[arg(long, default_value_t = 10.0)]
    slowest_s: f64,
    /// Mutants that no test has found are tried again.
    #[arg(long)]
    again: bool,
    /// How many mutants run at once.
    #[arg(long, default_value_t = 2)]
    at_once: usize,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let mutants = list::read(&options.list)?;
    let build = match options.as_built {
        true => compile::Build::read(&options.work, options.suite)?,
        false => compile::compile(&inject::Tree::copy(&options.work)?, &mutants, options.suite)?,
    };
    let tests = cover::cover(&build, &options)?;
    hunt::hunt(&mutants, &tests, &build, &options)
}
