//! The few programs that the conformance suite of [`Host`](crate::backend::Host) runs, as far as it uses them.

use super::{Files, MemoryHost, Ran};
use crate::backend::host::{Command, ExitStatus, Output};
use std::time::Duration;

pub(super) fn install(host: MemoryHost) -> MemoryHost {
    host.with_program("printf", printf)
        .with_program("cat", cat)
        .with_program("pwd", |command: &Command, _: &mut Files| {
            said(format!("{}\n", command.dir.as_deref().unwrap_or("/")))
        })
        .with_program("printenv", printenv)
        .with_program("ln", link)
        .with_program("sleep", sleep)
        .with_program("false", |_: &Command, _: &mut Files| failed(""))
}

fn said(stdout: impl Into<Vec<u8>>) -> Output {
    Output { stdout: stdout.into(), ..Output::default() }
}

fn failed(stderr: &str) -> Output {
    Output { status: ExitStatus::Code(1), stderr: stderr.as_bytes().to_vec(), ..Output::default() }
}

/// `printf FORMAT ARG…`, for a format of one `%s`: it is used again for each argument.
fn printf(command: &Command, _: &mut Files) -> Output {
    let [_, format, arguments @ ..] = &command.argv[..] else { return failed("no format") };
    let format = format.replace("\\n", "\n");
    said(arguments.iter().map(|argument| format.replacen("%s", argument, 1)).collect::<String>())
}

/// `cat PATH…`, or what it reads.
fn cat(command: &Command, files: &mut Files) -> Output {
    if command.argv.len() < 2 {
        return said(command.stdin.clone());
    }
    let mut all = Vec::new();
    for path in &command.argv[1..] {
        match files.read(path) {
            Ok(content) => all.extend_from_slice(content),
            Err(error) => return failed(&format!("cat: {path}: {error}\n")),
        }
    }
    said(all)
}

fn printenv(command: &Command, _: &mut Files) -> Output {
    match command.argv.get(1).and_then(|name| command.env.get(name)) {
        Some(value) => said(format!("{value}\n")),
        None => failed(""),
    }
}

/// `ln -s TARGET PATH`.
fn link(command: &Command, files: &mut Files) -> Output {
    let [_, _, target, path] = &command.argv[..] else { return failed("usage: ln -s TARGET PATH") };
    match files.symlink(target, path) {
        Ok(()) => Output::default(),
        Err(error) => failed(&error.to_string()),
    }
}

fn sleep(command: &Command, _: &mut Files) -> Ran {
    let seconds = command.argv.get(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    Ran::new(Output::default()).taking(Duration::from_secs(seconds))
}
