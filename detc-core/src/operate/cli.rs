//! The command line that any application can embed.
//!
//! ```
//! use detc_core::operate::cli::App;
//! use detc_core::resource::Registry;
//!
//! // In `main`: `App::new("fleet", registry).main()`, which takes the arguments of the process.
//! let code = App::new("fleet", Registry::new()).run(["fleet", "--version"].map(Into::into));
//! assert_eq!(code, std::process::ExitCode::SUCCESS);
//! ```
//!
//! Human text goes to standard output, progress and diagnostics to standard error. With `--json` there is one JSON object
//! on standard output and nothing else.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::resource::Registry;

mod apply;
mod args;
mod ask;
mod error;
mod graph;
mod help;
mod history;
mod interrupt;
mod open;
mod output;
mod plan;
mod progress;
mod resume;
mod status;
mod tree;

use args::{Args, Command};
use error::Failed;
use open::Session;
use output::Output;

/// Exit code: done, or nothing to do.
pub const DONE: u8 = 0;
/// Exit code: the world, or some action, failed.
pub const FAILED: u8 = 1;
/// Exit code with `--detailed-exitcode`: there are changes.
pub const CHANGES: u8 = 2;
/// Exit code: refused, in whole, or in part where what an action was planned from has moved.
pub const REFUSED: u8 = 3;
/// Exit code: bad usage or bad input.
pub const USAGE: u8 = 64;
/// Exit code: stopped by an interrupt; the next `apply` resumes.
pub const INTERRUPTED: u8 = 130;

/// An application's command line.
#[derive(Debug)]
pub struct App {
    name: &'static str,
    about: Option<&'static str>,
    registry: Registry,
}

impl App {
    /// The command line of the program called `name`, which manages the kinds of `registry`.
    pub fn new(name: &'static str, registry: Registry) -> Self {
        Self { name, about: None, registry }
    }

    /// Sets what the help says of the program.
    #[must_use]
    pub fn about(mut self, about: &'static str) -> Self {
        self.about = Some(about);
        self
    }

    /// Runs with the arguments of this process, and returns its exit code.
    ///
    /// The process is taken to be the program's own: a panic that a damaged store causes is told as an error, and no more
    /// by the panic hook.
    pub fn main(self) -> ExitCode {
        #[cfg(feature = "file-store")]
        crate::store::file::tell_only_other_panics();
        self.run_in(Process::EndsWithIt, std::env::args_os())
    }

    /// Runs with `args`, the program's name first, and returns the exit code.
    ///
    /// While `apply` or `destroy` runs, it listens for interrupts: the first one finishes what is in flight, and another one
    /// ends the process.
    pub fn run(self, args: impl IntoIterator<Item = OsString>) -> ExitCode {
        self.run_in(Process::GoesOn, args)
    }

    fn run_in(self, process: Process, args: impl IntoIterator<Item = OsString>) -> ExitCode {
        let mut command = Args::command().name(self.name).bin_name(self.name);
        if let Some(about) = self.about {
            command = command.about(about);
        }
        let command = help::with_examples(command, self.name);
        let args: Vec<OsString> = args.into_iter().collect();
        let json = args.iter().any(|arg| arg == "--json");
        let parsed = command.try_get_matches_from(args).and_then(|matches| Args::from_arg_matches(&matches));
        let args = match parsed {
            Ok(args) => args,
            Err(error) if !error.use_stderr() => {
                let printed = error.print().and_then(|()| io::stdout().flush());
                let Err(failed) = output::written(printed) else { return ExitCode::from(DONE) };
                Output { json, ..Output::json_only() }.error(&failed);
                return ExitCode::from(failed.exit);
            }
            Err(error) => {
                if json {
                    Output::json_only().error(&usage(&error));
                } else {
                    let _closed = error.print();
                }
                return ExitCode::from(USAGE);
            }
        };
        let ends_process = process == Process::EndsWithIt;
        let output = Output { ends_process, ..Output::new(&args.global) };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                output.error(&Failed::world(format!("the system gives no threads: {error}")));
                return ExitCode::from(FAILED);
            }
        };
        let code = runtime.block_on(self.perform(args, &output)).unwrap_or_else(|failed| {
            output.error(&failed);
            failed.exit
        });
        runtime.shutdown_background();
        ExitCode::from(code)
    }

    async fn perform(self, args: Args, output: &Output) -> Result<u8, Failed> {
        let session = Session::new(self.registry, args.global, *output);
        match args.command {
            Command::Plan(args) => plan::run(session, args, output).await,
            Command::Apply(args) => apply::run(session, args, output).await,
            Command::Status => status::run(session, output).await,
            Command::Destroy(args) => apply::destroy(session, args, output).await,
            Command::Graph(args) => graph::run(session, args, output).await,
            Command::History => history::list(session, output).await,
            Command::Show { run } => history::show(session, run, output).await,
        }
    }
}

/// What becomes of the process after a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Process {
    GoesOn,
    EndsWithIt,
}

/// What clap says, in one line, and its tips as the hint.
fn usage(error: &clap::Error) -> Failed {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let message: Vec<&str> = lines
        .by_ref()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .collect();
    let (tips, message): (Vec<&str>, Vec<&str>) =
        message.into_iter().partition(|line| line.starts_with("tip: "));
    let failed = Failed::usage(message.join(" ").trim_start_matches("error: "));
    match tips.first() {
        Some(tip) => failed.with_hint(tip.trim_start_matches("tip: ")),
        None => failed.with_hint("see `--help`"),
    }
}
