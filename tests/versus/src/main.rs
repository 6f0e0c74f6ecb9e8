//! detc beside its peers, on the same work, in the same run.
//!
//! ```sh
//! cargo run --release --manifest-path tests/versus/Cargo.toml -- terraform 1000 10000
//! cargo run --release --manifest-path tests/versus/Cargo.toml -- steno
//! ```

mod cost;
mod engine;
mod graph;
mod http;
mod terraform;

use std::process::ExitCode;

use clap::Parser;
use graph::Shape;

/// Measures detc beside a peer and prints both, with ratios.
#[derive(Debug, Parser)]
enum Command {
    /// Plan, apply and plan again, as whole processes, beside `terraform`, which must be on the PATH.
    Terraform {
        /// How many resources.
        #[arg(required = true)]
        counts: Vec<usize>,
        /// How they depend on each other.
        #[arg(long, value_enum, default_value = "layered")]
        shape: Shape,
        /// How often each is measured; medians are printed.
        #[arg(long, default_value = "3")]
        times: usize,
        /// The most resources that Terraform applies; beyond it is given the state that an apply would leave.
        #[arg(long, default_value = "1000")]
        apply_max: usize,
    },
    /// Actions that do nothing, in memory, beside the sagas of steno 0.4.1.
    Steno {
        /// After how many seconds steno is given up.
        #[arg(long, default_value = "100")]
        give_up: u64,
    },
    /// Runs steno once, and prints how long it took in milliseconds.
    #[command(hide = true)]
    OneSaga { stages: usize, width: usize },
    /// Runs a command, and prints what it cost on the last line of standard error.
    #[command(hide = true)]
    Cost {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Terraform { counts, shape, times, apply_max } => {
            counts.into_iter().try_for_each(|count| terraform::compare(count, shape, times, apply_max))
        }
        Command::Steno { give_up } => engine::compare(give_up),
        Command::OneSaga { stages, width } => engine::one_saga(stages, width),
        Command::Cost { command } => cost::pass_on(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
