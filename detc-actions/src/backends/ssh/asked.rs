//! Commands that only ask, several in one session.
//!
//! ```text
//! ask ─┐
//! ask ─┼─ waiting ─ whoever gets a place takes its share ─▶ one shell, one after the other ─▶ an answer each
//! ask ─┘                                                          └─ anything unusual: each by itself
//! ```
//!
//! A session costs a host a process of its server, a login shell and some waiting, whatever is run in it. What comes together is
//! therefore asked together, in as many sessions as a connection has: as many for a thousand as for ten. A shell can not tell a signal
//! from an exit code, nor why it could not become a program: what ends so is run again by itself, which it may be.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use detc_core::backend::HostError;
use detc_core::backend::host::{Command, End, ExitStatus, Output, Purpose};
use tokio::sync::{Semaphore, oneshot};

use super::SshHost;
use crate::backends::shell::script::{CODE_MAX, Mark, script_of_several};

/// In how many sessions is asked at once: as many as a connection has.
const SESSIONS_MAX: usize = super::link::SESSIONS_MAX;

/// How long is waited for others who ask in the same moment: a tenth of what a session takes.
const GATHERING: Duration = Duration::from_millis(1);

/// How many are asked in one session: a thousand fit into the sessions of a connection.
const TOGETHER_MAX: usize = 128;

/// How long those in one session may take together. What takes longer is better run side by side.
const TOGETHER_TIMEOUT: Duration = Duration::from_secs(30);

/// How much of their outputs is read; those that have no room left are run by themselves.
const OUTPUT_MAX: usize = 16 << 20;

/// What is asked of one host.
#[derive(Debug)]
pub(super) struct Asked {
    queue: Mutex<Queue>,
    places: Semaphore,
}

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    waiting: Vec<Waiting>,
}

impl Default for Asked {
    fn default() -> Self {
        Self { queue: Mutex::default(), places: Semaphore::new(SESSIONS_MAX) }
    }
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    command: Command,
    /// Dropped: it is to be run by itself.
    answer: oneshot::Sender<Output>,
}

/// Whether it may share a session.
pub(super) fn is_asked_together(command: &Command) -> bool {
    command.purpose == Purpose::Ask && command.stdin.is_empty() && command.end == End::WithItsOutputs
}

impl Asked {
    /// The answer to `command`; `None`: it is to be run by itself.
    pub(super) async fn ask(&self, host: &SshHost, command: &Command) -> Option<Result<Output, HostError>> {
        let (answer, mut answered) = oneshot::channel();
        let own = self.wait(command.clone(), answer);
        tokio::time::sleep(GATHERING).await;
        let place = tokio::select! {
            biased;
            answer = &mut answered => return answer.ok().map(Ok),
            place = self.places.acquire() => place.expect("invariant: the semaphore is never closed"),
        };
        let share = self.share(own);
        match share.len() {
            // Another asks it, with others.
            0 => drop(place),
            1 => return Some(host.run_alone(command).await),
            _ => together(host, share).await,
        }
        answered.await.ok().map(Ok)
    }

    fn wait(&self, command: Command, answer: oneshot::Sender<Output>) -> u64 {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let number = queue.next;
        queue.next += 1;
        queue.waiting.push(Waiting { number, command, answer });
        number
    }

    /// The one of this number, and as many of the others who wait as fall to each session that is free. None, where it waits
    /// no more.
    fn share(&self, own: u64) -> Vec<Waiting> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = &mut queue.waiting;
        waiting.retain(|waiting| !waiting.answer.is_closed());
        let Some(at) = waiting.iter().position(|waiting| waiting.number == own) else { return Vec::new() };
        waiting[..=at].rotate_right(1);
        let len = waiting.len().div_ceil(self.places.available_permits() + 1).min(TOGETHER_MAX);
        waiting.drain(..len).collect()
    }
}

/// Asks all in one session. Who gets no answer is told so.
async fn together(host: &SshHost, share: Vec<Waiting>) {
    let mark = Mark::new();
    let script = script_of_several(share.iter().map(|waiting| &waiting.command), &mark);
    let timeout = share.iter().map(|waiting| waiting.command.timeout).min().unwrap_or_default();
    let command = Command::new(["/bin/sh"])
        .with_stdin(script)
        .with_timeout(timeout.min(TOGETHER_TIMEOUT))
        .with_output_max(OUTPUT_MAX);
    let Ok(output) = host.run_alone(&command).await else { return };
    let (out, err) = (parts(&output.stdout, &mark), parts(&output.stderr, &mark));
    for ((waiting, (stdout, code)), (stderr, _)) in share.into_iter().zip(out).zip(err) {
        if let Some(output) = answer(&waiting.command, code, stdout, stderr) {
            let _given_up = waiting.answer.send(output);
        }
    }
}

fn answer(command: &Command, code: &[u8], stdout: &[u8], stderr: &[u8]) -> Option<Output> {
    let code: i32 = std::str::from_utf8(code).ok()?.trim().parse().ok()?;
    let kept = |stream: &[u8]| stream[..stream.len().min(command.output_max)].to_vec();
    let truncated = stdout.len().max(stderr.len()) > command.output_max;
    let status = ExitStatus::Code(code);
    let output = Output { status, stdout: kept(stdout), stderr: kept(stderr), truncated };
    (0..=CODE_MAX).contains(&code).then_some(output)
}

/// What stands before each mark, and what after it on its line.
fn parts<'a>(mut text: &'a [u8], mark: &Mark) -> Vec<(&'a [u8], &'a [u8])> {
    let mark = mark.as_str().as_bytes();
    let mut parts = Vec::new();
    while let Some(at) = text.windows(mark.len()).position(|window| window == mark) {
        let after = &text[at + mark.len()..];
        let Some(end) = after.iter().position(|byte| *byte == b'\n') else { break };
        parts.push((&text[..at], &after[..end]));
        text = &after[end + 1..];
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_before_a_mark_is_one_answer_to_the_byte() {
        let mark = Mark::new();
        let text = format!("no end{0} 0\n\n\0{0} 3\n{0} 0\n{0} 1", mark.as_str());
        let parts = parts(text.as_bytes(), &mark);
        assert_eq!(parts, [(&b"no end"[..], &b" 0"[..]), (b"\n\0", b" 3"), (b"", b" 0")]);
    }

    #[test]
    fn what_a_shell_says_of_signals_and_of_what_is_not_there_is_no_answer() {
        let command = Command::new(["x"]).with_output_max(2);
        let answered = answer(&command, b" 3", b"out", b"e").unwrap();
        assert_eq!((answered.status, answered.truncated), (ExitStatus::Code(3), true));
        assert_eq!((answered.stdout, answered.stderr), (b"ou".to_vec(), b"e".to_vec()));
        for code in [" 126", " 127", " 143", " 200", "", " x"] {
            assert!(answer(&command, code.as_bytes(), b"", b"").is_none(), "{code}");
        }
    }
}
