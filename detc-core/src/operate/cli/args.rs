//! The words of the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use super::help;
use crate::execute::journal::RunNumber;
use crate::manage::Settlement;
use crate::model::ResourceId;
use crate::plan::Pattern;

/// Brings a cluster to its desired state: plan, review, apply.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, subcommand_required = true, after_help = help::EXIT_CODES)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Where the help lists what every command takes.
const GLOBAL: &str = "Options of every command";

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Global {
    /// Desired state (.json, .yaml, .yml or .toml; `-`: standard input); may be repeated, and is merged. Without it `plan`, `apply` and `graph`
    /// take detc.json (or .yaml, .yml, .toml) of this folder, and `status` knows only what is recorded.
    #[arg(short, long = "file", value_name = "FILE", global = true, help_heading = GLOBAL)]
    pub(super) files: Vec<PathBuf>,
    /// Where the embedded store is, from this folder on.
    #[arg(long, value_name = "DIR", default_value = ".detc", global = true, help_heading = GLOBAL)]
    pub(super) store: PathBuf,
    /// How many actions may be at work at once [default: 16, and 12 on one host].
    #[arg(long, value_name = "N", global = true, help_heading = GLOBAL, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) parallel: Option<u16>,
    /// Machine-readable output on standard output, and nothing else there.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(super) json: bool,
    /// Only results and errors.
    #[arg(short, long, global = true, help_heading = GLOBAL, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// More: what is kept, every action as it begins.
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    pub(super) verbose: bool,
    /// Colours; `auto`: on a terminal, unless NO_COLOR is set or TERM is `dumb`.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ColorWhen::Auto, global = true, help_heading = GLOBAL)]
    pub(super) color: ColorWhen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorWhen {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show what would be done, and why; change nothing.
    Plan(PlanArgs),
    /// Do it: a reviewed plan exactly, or plan and apply. Resumes an interrupted run first.
    Apply(ApplyArgs),
    /// What is there, against what is recorded.
    Status,
    /// Remove everything that is recorded, in reverse order.
    Destroy(DestroyArgs),
    /// Draw a plan.
    Graph(GraphArgs),
    /// Past runs, newest first.
    History,
    /// One run as a tree, with reasons and times.
    Show {
        /// The run, as `history` names it: `run-7` or `7`.
        run: RunNumber,
    },
}

#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct SelectArgs {
    /// Only the changes of these resources (`*` stands for any text), and what they need.
    #[arg(long, value_name = "ID")]
    pub(super) only: Vec<Pattern>,
    /// Not the changes of these resources, nor what needs them.
    #[arg(long, value_name = "ID")]
    pub(super) except: Vec<Pattern>,
}

impl SelectArgs {
    /// Whether only a part is asked for.
    pub(super) fn is_some(&self) -> bool {
        !self.only.is_empty() || !self.except.is_empty()
    }
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct PlanArgs {
    /// Save the plan here, to be reviewed and applied exactly.
    #[arg(long, value_name = "PLAN")]
    pub(super) out: Option<PathBuf>,
    /// Exit with 2 when there are changes.
    #[arg(long)]
    pub(super) detailed_exitcode: bool,
    /// Rehearse it: let it die at each of its points in a simulated world, and go on from there.
    #[arg(long)]
    pub(super) rehearse: bool,
    #[command(flatten)]
    pub(super) select: SelectArgs,
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct ApplyArgs {
    /// A plan that `plan --out` saved.
    pub(super) plan: Option<PathBuf>,
    /// Do not ask.
    #[arg(long)]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) select: SelectArgs,
    /// Give an interrupted run up, and plan anew from what is there.
    #[arg(long)]
    pub(super) abandon: bool,
    /// Say what came of an action that is in doubt: `done=KIND/NAME` or `not-done=KIND/NAME`.
    #[arg(long, value_name = "WHAT=ID")]
    pub(super) settle: Vec<Settlement>,
    /// Drop the record of what this program can make nothing of: another version has written it, or it has no such kind. The
    /// thing itself is left as it is.
    #[arg(long, value_name = "ID")]
    pub(super) forget: Vec<ResourceId>,
}

impl ApplyArgs {
    /// Whether something is said of what is recorded or in doubt, before anything else.
    pub(super) fn tells(&self) -> bool {
        !self.settle.is_empty() || !self.forget.is_empty()
    }
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct DestroyArgs {
    /// Do not ask.
    #[arg(long)]
    pub(super) yes: bool,
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct GraphArgs {
    /// A saved plan; without one, the plan that `plan` would show.
    pub(super) plan: Option<PathBuf>,
    /// How it is drawn.
    #[arg(long, value_enum, default_value_t = Drawing::Dot)]
    pub(super) format: Drawing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Drawing {
    Dot,
    Mermaid,
    Svg,
}
