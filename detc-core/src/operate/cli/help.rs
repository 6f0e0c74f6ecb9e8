//! What the help of each command shows besides its options: one example.

use clap::Command;

/// For each command the arguments of its example, and what they do.
const EXAMPLES: [(&str, &str, &str); 7] = [
    ("plan", "-f site.yaml plan --out site.plan", "look, show, and keep the plan for review"),
    ("apply", "apply site.plan", "do exactly what was reviewed"),
    ("status", "-f site.yaml status", "what is there, and what is desired and not made yet"),
    ("destroy", "destroy", "show what goes, ask, remove it"),
    ("graph", "-f site.yaml graph --format svg > plan.svg", "the plan as a picture"),
    ("history", "history", "past runs, newest first"),
    ("show", "show run-7", "one of them as a tree"),
];

/// What the help of the program itself ends with.
pub(super) const EXIT_CODES: &str = "Exit codes:
  0    done, or nothing to do
  1    the world or some action failed, or something is unknown
  2    with --detailed-exitcode: there are changes
  3    refused, or held back in part: what was not done is named
  64   bad usage or bad input
  130  interrupted: the next `apply` resumes";

/// Gives each command the example of it, as one would type it for the program called `name`.
pub(super) fn with_examples(command: Command, name: &str) -> Command {
    EXAMPLES.into_iter().fold(command, |command, (of, arguments, does)| {
        command.mut_subcommand(of, |sub| sub.after_help(format!("Example: {does}\n  {name} {arguments}")))
    })
}
