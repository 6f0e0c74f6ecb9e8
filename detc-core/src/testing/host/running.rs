//! Laws of [`Host::run`](crate::backend::Host::run).

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Bench, Findings, Verdict, expect, failed, refuses, same};
use crate::backend::HostError;
use crate::backend::host::{Command, ExitStatus, Output};

pub(super) async fn check(bench: &Bench<'_>, found: &mut Findings) {
    found.note("an argument vector is passed byte for byte", argv(bench).await);
    found.note("a status other than 0 is an output, not an error", status(bench).await);
    found.note("a program that does not exist is NotFound", no_program(bench).await);
    found.note("a command that can not be run as written is Invalid", invalid(bench).await);
    found.note("a command reads its input to the end", stdin(bench).await);
    found.note("an input that nobody reads does no harm", unread(bench).await);
    found.note("output beyond the limit is read, dropped and said so", limit(bench).await);
    found.note("a command has the variables that it is given", env(bench).await);
    found.note("a command runs in the directory that it is given", dir(bench).await);
    found.note("a command is ended at its deadline", deadline(bench).await);
}

async fn run(bench: &Bench<'_>, command: &Command) -> Result<Output, String> {
    bench.host.run(command).await.map_err(|error| failed("run", &error))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn argv(bench: &Bench<'_>) -> Verdict {
    let arguments = ["a b", "", "$HOME", "`x`", "*", "'\"\\", "-n", "ü\u{1f980}", "line\nline", "#;&|<>!"];
    let mut argv = vec!["printf", "<%s>"];
    argv.extend(arguments);
    let wanted: String = arguments.iter().map(|argument| format!("<{argument}>")).collect();
    same("the arguments, one by one", &text(&bench.run(&argv).await?), &wanted)
}

async fn status(bench: &Bench<'_>) -> Verdict {
    same("the status of `false`", &bench.run(&["false"]).await?.status, &ExitStatus::Code(1))
}

async fn no_program(bench: &Bench<'_>) -> Verdict {
    let nowhere = bench.path("no-such-program");
    for program in ["detc-no-such-program", &nowhere] {
        let result = bench.host.run(&Command::new([program])).await;
        refuses("run", result, |error| matches!(error, HostError::NotFound { .. }))?;
    }
    Ok(())
}

async fn invalid(bench: &Bench<'_>) -> Verdict {
    let commands = [
        Command::new(Vec::<String>::new()),
        Command::new(["printf", "a\0b"]),
        Command::new(["pwd"]).with_dir(Some("relative".to_owned())),
    ];
    for command in commands {
        let result = bench.host.run(&command).await;
        refuses("run", result, |error| matches!(error, HostError::Invalid { .. }))?;
    }
    Ok(())
}

/// More than a pipe holds, so that a host which writes all before it reads hangs, and is caught by the timeout.
const MORE_THAN_A_PIPE: usize = 300_000;

async fn stdin(bench: &Bench<'_>) -> Verdict {
    let input: Vec<u8> = (0..MORE_THAN_A_PIPE).map(|index| (index % 251) as u8).collect();
    let command = Command::new(["cat"]).with_stdin(input.clone()).with_timeout(Duration::from_secs(20));
    let output = run(bench, &command).await?;
    expect(output.stdout == input, || format!("`cat` gave {} bytes back", output.stdout.len()))
}

async fn unread(bench: &Bench<'_>) -> Verdict {
    let command = Command::new(["printf", "%s", "done"]).with_stdin(vec![b'x'; MORE_THAN_A_PIPE]);
    same("the output", &text(&run(bench, &command).await?), &"done".to_owned())
}

async fn limit(bench: &Bench<'_>) -> Verdict {
    let command = Command::new(["cat"])
        .with_stdin(vec![b'x'; MORE_THAN_A_PIPE])
        .with_output_max(1000)
        .with_timeout(Duration::from_secs(20));
    let output = run(bench, &command).await?;
    same("length and `truncated`", &(output.stdout.len(), output.truncated), &(1000, true))?;
    let exact = run(bench, &Command::new(["printf", "%s", "four"]).with_output_max(4)).await?;
    same("length and `truncated`", &(exact.stdout.len(), exact.truncated), &(4, false))
}

async fn env(bench: &Bench<'_>) -> Verdict {
    let env = BTreeMap::from([("DETC_SUITE".to_owned(), "a = $b\nc".to_owned())]);
    let output = run(bench, &Command::new(["printenv", "DETC_SUITE"]).with_env(env)).await?;
    same("the variable", &text(&output), &"a = $b\nc\n".to_owned())
}

async fn dir(bench: &Bench<'_>) -> Verdict {
    let dir = bench.dir("a dir").await?;
    let output = run(bench, &Command::new(["pwd"]).with_dir(Some(dir.clone()))).await?;
    same("the directory", &text(&output), &format!("{dir}\n"))?;
    let missing = Command::new(["pwd"]).with_dir(Some(bench.path("no-such-dir")));
    let result = bench.host.run(&missing).await;
    refuses("run in a missing directory", result, |error| matches!(error, HostError::NotFound { .. }))
}

async fn deadline(bench: &Bench<'_>) -> Verdict {
    let command = Command::new(["sleep", "600"]).with_timeout(Duration::from_millis(50));
    let result = bench.host.run(&command).await;
    refuses("run", result, |error| matches!(error, HostError::TimedOut { .. }))
}
