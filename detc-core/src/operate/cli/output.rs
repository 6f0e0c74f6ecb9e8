//! Where text goes: results to standard output, everything else to standard error.

use std::io::{self, IsTerminal as _, Write};

use serde_json::json;

use super::args::{ColorWhen, Global};
use super::error::Failed;
use crate::model::ResourceId;
use crate::plan::render::plain;

/// How this command speaks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    pub(super) json: bool,
    pub(super) quiet: bool,
    pub(super) verbose: bool,
    /// Colours on standard output.
    pub(super) color: bool,
    /// Colours on standard error.
    pub(super) color_err: bool,
    /// Whether a person watches standard error.
    pub(super) watched: bool,
    /// Whether a bar can move there.
    pub(super) bars: bool,
    /// Whether the process ends with the command.
    pub(super) ends_process: bool,
}

impl Output {
    pub(super) fn new(global: &Global) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        // One that only adds lines: what colours it, or moves on it, is shown as it stands.
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let color = |terminal: bool| match global.color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => terminal && !plain && !dumb,
        };
        let watched = io::stderr().is_terminal();
        Self {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            color: color(io::stdout().is_terminal()),
            color_err: color(watched),
            watched,
            bars: watched && !dumb,
            ends_process: false,
        }
    }

    pub(super) fn json_only() -> Self {
        Self {
            json: true,
            quiet: true,
            verbose: false,
            color: false,
            color_err: false,
            watched: false,
            bars: false,
            ends_process: false,
        }
    }

    /// Writes a result. A closed pipe is no error: the reader has seen enough.
    pub(super) fn result(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failed> {
        let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
        written(write(&mut out).and_then(|()| out.flush()))
    }

    /// Writes a result in words, unless JSON is wanted.
    pub(super) fn text(&self, text: &str) -> Result<(), Failed> {
        if self.json { Ok(()) } else { self.result(|out| out.write_all(text.as_bytes())) }
    }

    /// Writes a JSON object as the result.
    pub(super) fn object(&self, value: &serde_json::Value) -> Result<(), Failed> {
        self.result(|out| {
            serde_json::to_writer(&mut *out, value)?;
            out.write_all(b"\n")
        })
    }

    /// Says something beside the result. What others have put in it does nothing to the terminal.
    pub(super) fn say(&self, text: &str) {
        self.say_painted(&plain(text));
    }

    /// Says something with colours of our own in it.
    pub(super) fn say_painted(&self, text: &str) {
        if !self.quiet {
            let _closed = writeln!(io::stderr(), "{text}");
        }
    }

    /// Says what went wrong, and what to do next.
    pub(super) fn error(&self, failed: &Failed) {
        if self.json {
            let mut error = json!({
                "format": "detc.error/1",
                "code": failed.code,
                "message": failed.message,
                "resource": failed.resource,
                "hint": failed.hint,
            });
            if !failed.others.is_empty() {
                let other = |other: &Failed| json!({ "message": other.message, "resource": other.resource, "hint": other.hint });
                error["others"] = failed.others.iter().map(other).collect();
            }
            if let Err(unwritten) = self.object(&error) {
                if unwritten.message == failed.message {
                    return self.complain(failed);
                }
                let _closed =
                    writeln!(io::stderr(), "error: {}: {}", unwritten.message, plain(&failed.message));
            }
            return;
        }
        self.complain(failed);
    }

    /// Says beside a result which resources are not known, if there are any; the result says why.
    pub(super) fn unseen(&self, unknown: &[&ResourceId]) {
        const NAMED_MAX: usize = 5;
        if unknown.is_empty() {
            return;
        }
        let mut names: Vec<String> = unknown.iter().take(NAMED_MAX).map(ToString::to_string).collect();
        if unknown.len() > NAMED_MAX {
            names.push(format!("{} more", unknown.len() - NAMED_MAX));
        }
        let resources = if unknown.len() == 1 { "resource is" } else { "resources are" };
        let message = format!("{} {resources} unknown: {}", unknown.len(), names.join(", "));
        self.complain(
            &Failed::world(message)
                .with_hint("nothing is done to what can not be seen; the reason stands above"),
        );
    }

    /// Writes an error to standard error, whatever the result is written as.
    fn complain(&self, failed: &Failed) {
        let (red, dim, end) =
            if self.color_err { ("\x1b[1;31m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
        let mut err = io::stderr().lock();
        for failed in std::iter::once(failed).chain(&failed.others) {
            let _closed = writeln!(err, "{red}error:{end} {}", plain(&failed.message));
            if let Some(hint) = &failed.hint {
                let _closed = writeln!(err, "{dim} hint:{end} {}", plain(hint));
            }
        }
    }
}

/// What came of writing to standard output. A closed pipe is no error: the reader has seen enough.
pub(super) fn written(result: io::Result<()>) -> Result<(), Failed> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failed::world(format!("standard output can not be written: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
