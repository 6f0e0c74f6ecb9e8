//! What a container has printed.

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptions;
use detc_core::backend::ContainersError;
use detc_core::backend::containers::{LogLine, LogQuery, ObjectKind, ObjectRef, Stream};
use futures_util::StreamExt;

use super::DockerEngine;
use super::look::{self, can_be_called};
use super::words::Fault;

/// How many bytes of a line an engine keeps together; a longer line is several entries of its log.
const ENTRY_LEN: usize = 16 << 10;

pub(super) async fn logs(
    engine: &DockerEngine,
    container: &str,
    query: &LogQuery,
) -> Result<Vec<LogLine>, ContainersError> {
    let object = ObjectRef::container(container);
    let what = format!("read the log of {object}");
    let words = engine.words(&what);
    if !can_be_called(ObjectKind::Container, container) {
        return Err(words.not_found(&object));
    }
    let found = look::container(engine, container).await?.ok_or_else(|| words.not_found(&object))?;
    // What is asked for are entries, of which a line has several; lines that are too many are left out below.
    let entries = query.lines_max.saturating_add(query.bytes_max / ENTRY_LEN).saturating_add(1);
    let options =
        LogsOptions { stdout: true, stderr: true, tail: entries.to_string(), ..LogsOptions::default() };
    let mut told = std::pin::pin!(engine.client().logs(&found.id, Some(options)));
    let mut tail = Tail::new(query);
    while let Some(output) = told.next().await {
        match output.map_err(Fault::from) {
            Ok(LogOutput::StdErr { message }) => tail.push(Stream::Stderr, &message),
            Ok(LogOutput::StdOut { message } | LogOutput::StdIn { message }) => {
                tail.push(Stream::Stdout, &message);
            }
            Ok(LogOutput::Console { message }) => tail.push(Stream::Stdout, &message),
            // One that has never run has printed nothing; some drivers have no log to read.
            Err(Fault::Said(said)) if said.code == 501 => return Err(words.refused(&said.message)),
            Err(Fault::Said(said)) => return Err(words.said(&said, Some(&object))),
            Err(fault) => return Err(words.no_answer(fault)),
        }
    }
    Ok(tail.finish())
}

/// The last lines, no more of them than are wanted.
struct Tail {
    lines_max: usize,
    bytes_max: usize,
    lines: std::collections::VecDeque<(Stream, Vec<u8>)>,
    len: usize,
    /// The lines that are not at their ends yet, by stream.
    open: [Vec<u8>; 2],
}

impl Tail {
    fn new(query: &LogQuery) -> Self {
        Self {
            lines_max: query.lines_max,
            bytes_max: query.bytes_max,
            lines: std::collections::VecDeque::new(),
            len: 0,
            open: [Vec::new(), Vec::new()],
        }
    }

    fn push(&mut self, stream: Stream, bytes: &[u8]) {
        let open = usize::from(stream == Stream::Stderr);
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let mut line = std::mem::take(&mut self.open[open]);
            line.extend_from_slice(&rest[..end]);
            self.line(stream, line);
            rest = &rest[end + 1..];
        }
        self.open[open].extend_from_slice(rest);
        // Its beginning is of no use, as it would be left out.
        let spare = self.open[open].len().saturating_sub(self.bytes_max.saturating_add(1));
        self.open[open].drain(..spare);
    }

    fn line(&mut self, stream: Stream, mut line: Vec<u8>) {
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        self.len += line.len();
        self.lines.push_back((stream, line));
        while self.lines.len() > self.lines_max || self.len > self.bytes_max {
            let Some((_, gone)) = self.lines.pop_front() else { break };
            self.len -= gone.len();
        }
    }

    fn finish(mut self) -> Vec<LogLine> {
        for (at, stream) in [Stream::Stdout, Stream::Stderr].into_iter().enumerate() {
            let line = std::mem::take(&mut self.open[at]);
            if !line.is_empty() {
                self.line(stream, line);
            }
        }
        let text = |line: Vec<u8>| String::from_utf8_lossy(&line).into_owned();
        self.lines.into_iter().map(|(stream, line)| LogLine { stream, text: text(line) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(lines_max: usize, bytes_max: usize, parts: &[(Stream, &str)]) -> Vec<String> {
        let mut query = LogQuery::last(lines_max);
        query.bytes_max = bytes_max;
        let mut tail = Tail::new(&query);
        parts.iter().for_each(|(stream, part)| tail.push(*stream, part.as_bytes()));
        tail.finish().into_iter().map(|line| format!("{:?} {}", line.stream, line.text)).collect()
    }

    #[test]
    fn the_last_lines_are_kept_whole_and_no_more_than_are_wanted() {
        use Stream::{Stderr, Stdout};
        let parts = [
            (Stdout, "one\ntw"),
            (Stderr, "bad\n"),
            (Stdout, "o\nthree\r\n"),
            (Stdout, "\n"),
            (Stdout, "end"),
        ];
        let all = ["Stdout one", "Stderr bad", "Stdout two", "Stdout three", "Stdout ", "Stdout end"];
        assert_eq!(tail(10, 100, &parts), all);
        assert_eq!(tail(2, 100, &parts), all[4..]);
        assert_eq!(tail(10, 8, &parts), all[3..]);
        assert_eq!(tail(10, 7, &parts), all[4..]);
        assert_eq!(tail(0, 100, &parts), [""; 0]);
    }
}
