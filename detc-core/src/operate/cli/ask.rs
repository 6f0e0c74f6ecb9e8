//! Asks before something is done.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use super::error::Failed;
use super::output::Output;

/// What a person said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
}

/// Whether there is a person to ask.
pub(super) fn may_ask() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Asks `question`; whatever is not `y` or `yes` is no.
pub(super) fn ask(question: &str, output: &Output) -> Result<Answer, Failed> {
    if output.json || !may_ask() {
        return Err(Failed::refused("not_confirmed", "nobody can be asked whether to go on")
            .with_hint("add `--yes` to go on without being asked"));
    }
    print!("{question} [y/N] ");
    let _closed = io::stdout().flush();
    let mut answer = String::new();
    match io::stdin().lock().read_line(&mut answer) {
        Ok(0) | Err(_) => {
            // The end of the input leaves the cursor behind the question.
            println!();
            Ok(Answer::No)
        }
        Ok(_) if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") => Ok(Answer::Yes),
        Ok(_) => Ok(Answer::No),
    }
}
