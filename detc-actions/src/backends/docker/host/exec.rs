//! Runs a command in a container.
//!
//! ```text
//! exec /bin/sh ─ script ─▶ MARK ok GROUP ─ input ─▶ output … ─▶ end ─ look at its exit code
//! ```
//!
//! What the shell is told comes on its standard input: an engine tells the argument vector of an exec to whoever listens to its
//! events. An engine can not end an exec, so that its process group is, by another one.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::StartExecResults;
use bollard::models::ExecConfig;
use bytes::Bytes;
use detc_core::backend::HostError;
use detc_core::backend::host::{Command, End, ExitStatus, Output};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::{ContainerHost, Problem, io_of};
use crate::backends::docker::look::can_be_called;
use crate::backends::docker::words::Fault;
use crate::backends::shell::kept::Marked;
use crate::backends::shell::script::{Mark, script};
use detc_core::backend::containers::ObjectKind;

/// How long a command has, after its deadline, to clean up and go by itself: as on the local host.
const GRACE: Duration = Duration::from_secs(2);

/// How long a shell has to begin on an engine that starts many at once.
const SHELL_TIMEOUT: Duration = Duration::from_secs(60);

/// How often a command is looked at whose end is not that of its outputs.
const LOOK: Duration = Duration::from_millis(100);

/// How often it is looked at whether an exec whose outputs are closed has ended, and for how long: it has, or is about to.
const END_LOOK: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(10));

/// What a command reads.
pub(super) enum Feed {
    Held(Bytes),
    Pieces(BoxStream<'static, io::Result<Bytes>>),
}

impl Feed {
    pub(super) fn empty() -> Self {
        Self::Held(Bytes::new())
    }

    pub(super) fn held(bytes: &[u8]) -> Self {
        Self::Held(Bytes::copy_from_slice(bytes))
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Held(bytes) if bytes.is_empty())
    }

    fn into_stream(self) -> BoxStream<'static, io::Result<Bytes>> {
        match self {
            Self::Held(bytes) => stream::once(async { Ok(bytes) }).boxed(),
            Self::Pieces(pieces) => pieces,
        }
    }
}

/// A command, and what surrounds it here.
pub(super) struct Job {
    /// Without its input.
    pub(super) command: Command,
    /// As whom; `None`: as the container's user.
    pub(super) user: Option<String>,
    pub(super) feed: Feed,
    /// Who takes what it prints on standard output, which is then not kept.
    pub(super) taken: Option<mpsc::Sender<Bytes>>,
}

impl Job {
    pub(super) fn of(command: &Command) -> Self {
        let feed = Feed::held(&command.stdin);
        let mut command = command.clone();
        if !feed.is_empty() {
            // What it is matters to nobody, that there is one does: see `script`.
            command.stdin = vec![0];
        }
        Self { command, user: None, feed, taken: None }
    }
}

/// Runs a job to its end, and tells `done`. When nobody waits for that any more, its command is ended.
pub(super) async fn run(host: &ContainerHost, job: Job, mut done: oneshot::Sender<Result<Output, Problem>>) {
    let result = run_while(host, job, &mut done).await;
    let _given_up = done.send(result);
}

async fn run_while(
    host: &ContainerHost,
    job: Job,
    done: &mut oneshot::Sender<Result<Output, Problem>>,
) -> Result<Output, Problem> {
    let Job { mut command, user, feed, taken } = job;
    if !feed.is_empty() {
        command.stdin = vec![0];
    }
    let mut session = Session::open(host, &command, user).await?;
    // Even when nobody waits any more: what has begun can only be ended once its number is known.
    session.begin(&command).await?;
    let deadline = Instant::now() + command.timeout;
    let finished = tokio::select! {
        finished = timeout_at(deadline, session.finish(&command, feed, taken)) => finished.ok(),
        () = done.closed() => None,
    };
    match finished {
        Some(finished) => finished?,
        None => {
            session.end().await?;
            return Err(Problem::Host(HostError::TimedOut {
                host: host.to_string(),
                command: command.program().to_owned(),
                after: command.timeout,
            }));
        }
    }
    session.output().await
}

type Outputs = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;
type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// One exec.
struct Session<'a> {
    host: &'a ContainerHost,
    id: String,
    what: String,
    outputs: Outputs,
    input: Option<Input>,
    mark: Mark,
    out: Marked,
    err: Marked,
    group: Option<u32>,
    is_closed: bool,
}

impl<'a> Session<'a> {
    async fn open(host: &'a ContainerHost, command: &Command, user: Option<String>) -> Result<Self, Problem> {
        let what = format!("run {}", command.program());
        let (id, outputs, input) = start(host, user, &what).await?;
        let mark = Mark::new();
        Ok(Self {
            host,
            id,
            what,
            outputs,
            input: Some(input),
            out: Marked::new(mark.as_str(), command.output_max),
            err: Marked::new(mark.as_str(), command.output_max),
            mark,
            group: None,
            is_closed: false,
        })
    }

    fn lost(&self) -> Problem {
        HostError::AnswerLost { host: self.host.to_string(), what: self.what.clone() }.into()
    }

    /// Sends the script, and waits until the command begins.
    async fn begin(&mut self, command: &Command) -> Result<(), Problem> {
        let text = script(command, &self.mark);
        let input = self.input.as_mut().expect("invariant: nothing was sent yet");
        // A shell that is not there reads nothing; what the engine says of it is read below.
        let sent = async {
            input.write_all(text.as_bytes()).await?;
            input.flush().await
        };
        let _unread = timeout(SHELL_TIMEOUT, sent).await;
        if command.stdin.is_empty() {
            self.close_input().await;
        }
        let deadline = Instant::now() + SHELL_TIMEOUT;
        while self.out.head().is_none() && !self.is_closed {
            match timeout_at(deadline, self.step(None)).await {
                Ok(stepped) => stepped?,
                Err(_) => {
                    let within = format!("it said nothing within {} s", SHELL_TIMEOUT.as_secs());
                    return Err(self.host.refused("start a shell", io::Error::other(within)).into());
                }
            }
        }
        let Some(head) = self.out.head() else { return Err(self.no_shell()) };
        let dir = || command.dir.clone().unwrap_or_default();
        let denied = |what: &str| self.host.refused(what, io::ErrorKind::PermissionDenied.into());
        Err(Problem::Host(match head.split_once(' ') {
            Some(("ok", group)) => {
                self.group = group.parse().ok();
                return Ok(());
            }
            Some(("no", "no-program")) => self.host.not_found(command.program()),
            Some(("no", "no-dir")) => self.host.not_found(&dir()),
            Some(("no", "dir-denied")) => denied(&format!("{} in {}", self.what, dir())),
            _ => denied(&self.what),
        }))
    }

    /// The exec ended before the shell spoke.
    fn no_shell(&self) -> Problem {
        let said = format!("{} {}", self.out.before(), self.err.before());
        let said = said.trim();
        let is_missing = said.contains("/bin/sh") && said.contains("no such file or directory");
        let why = if said.is_empty() { "it ends at once" } else { said };
        let error = self.host.refused("start a shell", io_of(why));
        if is_missing { Problem::Cold(error) } else { Problem::Host(error) }
    }

    /// Feeds the command and reads it to its end.
    async fn finish(
        &mut self,
        command: &Command,
        feed: Feed,
        taken: Option<mpsc::Sender<Bytes>>,
    ) -> Result<(), Problem> {
        let input = self.input.take();
        let what = self.what.clone();
        let host = self.host;
        let mut feeding = Box::pin(async move {
            let Some(mut input) = input else { return std::future::pending().await };
            let mut pieces = feed.into_stream();
            loop {
                let piece = pieces.try_next().await.map_err(|error| host.refused(&what, error))?;
                let Some(piece) = piece else { break };
                // That it does not want it is in its right; that the connection broke is seen where it is read.
                if input.write_all(&piece).await.is_err() {
                    break;
                }
            }
            let _unread = input.shutdown().await;
            // It is kept: some engines take its end for the end of all.
            std::future::pending::<Result<(), HostError>>().await
        });
        let mut looks = tokio::time::interval(LOOK);
        if let Some(taken) = &taken {
            // What came together with the mark.
            let _had_enough = taken.send(self.out.take_kept().into()).await;
        }
        while !self.is_closed {
            tokio::select! {
                fed = &mut feeding => fed?,
                stepped = self.step(taken.as_ref()) => stepped?,
                _ = looks.tick(), if command.end == End::WithItsProgram => {
                    if self.has_ended().await? {
                        self.linger(taken.as_ref()).await?;
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads what has been printed, of a command that others hold the outputs of.
    async fn linger(&mut self, taken: Option<&mpsc::Sender<Bytes>>) -> Result<(), Problem> {
        /// As on the local host.
        const LINGER: Duration = Duration::from_secs(1);
        let rest = async {
            while !self.is_closed {
                self.step(taken).await?;
            }
            Ok(())
        };
        timeout(LINGER, rest).await.unwrap_or(Ok(()))
    }

    async fn step(&mut self, taken: Option<&mpsc::Sender<Bytes>>) -> Result<(), Problem> {
        match self.outputs.next().await {
            Some(Ok(LogOutput::StdOut { message } | LogOutput::Console { message })) => match taken {
                // Whoever takes it may have had enough.
                Some(taken) if self.out.head().is_some() => drop(taken.send(message).await),
                _ => self.out.push(&message),
            },
            Some(Ok(LogOutput::StdErr { message })) => self.err.push(&message),
            Some(Ok(LogOutput::StdIn { .. })) => {}
            Some(Err(_)) => return Err(self.lost()),
            None => self.is_closed = true,
        }
        Ok(())
    }

    async fn close_input(&mut self) {
        if let Some(mut input) = self.input.take() {
            let _unread = input.shutdown().await;
        }
    }

    async fn has_ended(&mut self) -> Result<bool, Problem> {
        let found = self.host.engine.client().inspect_exec(&self.id).await;
        let found = found.map_err(|error| self.host.of_fault(&self.what, error.into()))?;
        Ok(found.running == Some(false))
    }

    /// Asks the group to go, gives it [`GRACE`], and kills what is left. What it prints meanwhile is read.
    async fn end(&mut self) -> Result<(), Problem> {
        let Some(group) = self.group else { return Ok(()) };
        signal(self.host, group, "TERM").await?;
        let gone = async {
            while !self.is_closed {
                self.step(None).await?;
            }
            Ok::<_, Problem>(())
        };
        if let Ok(gone) = timeout(GRACE, gone).await {
            gone?;
        }
        signal(self.host, group, "KILL").await
    }

    async fn output(mut self) -> Result<Output, Problem> {
        let status = self.status().await?;
        let (stdout, stderr) = (self.out.finish(), self.err.finish());
        if let Some(why) = stderr.failed_to_become {
            return Err(self.host.refused(&self.what, io_of(&why)).into());
        }
        let truncated = stdout.kept.more || stderr.kept.more;
        Ok(Output { status, stdout: stdout.kept.bytes, stderr: stderr.kept.bytes, truncated })
    }

    async fn status(&mut self) -> Result<ExitStatus, Problem> {
        let deadline = Instant::now() + END_LOOK.1;
        loop {
            let found = self.host.engine.client().inspect_exec(&self.id).await;
            let found = found.map_err(|error| self.host.of_fault(&self.what, error.into()))?;
            if let (Some(false), Some(code)) = (found.running, found.exit_code) {
                return Ok(ExitStatus::Code(i32::try_from(code).unwrap_or(i32::MAX)));
            }
            // Its outputs are closed, and it goes on, or the container was removed meanwhile.
            if Instant::now() > deadline {
                return Err(self.lost());
            }
            tokio::time::sleep(END_LOOK.0).await;
        }
    }
}

/// Begins an exec of the shell.
async fn start(
    host: &ContainerHost,
    user: Option<String>,
    what: &str,
) -> Result<(String, Outputs, Input), Problem> {
    if !can_be_called(ObjectKind::Container, &host.container) {
        return Err(host.not_found(&host.container).into());
    }
    let config = ExecConfig {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(vec!["/bin/sh".to_owned()]),
        user,
        ..ExecConfig::default()
    };
    let client = host.engine.client();
    let made = client.create_exec(&host.container, config).await.map_err(|error| said(host, error, what))?;
    match client.start_exec(&made.id, None).await.map_err(|error| said(host, error, what))? {
        StartExecResults::Attached { output, input } => Ok((made.id, output, input)),
        StartExecResults::Detached => unreachable!("it was not asked to be detached"),
    }
}

fn said(host: &ContainerHost, error: Error, what: &str) -> Problem {
    match Fault::from(error) {
        Fault::Said(said) if said.code == 404 => Problem::Host(host.not_found(&host.container)),
        Fault::Said(said) if said.code == 409 => {
            let error = host.refused(what, io::Error::other(said.message.clone()));
            if said.has(&["paused"]) { Problem::Host(error) } else { Problem::Cold(error) }
        }
        fault => Problem::Host(host.of_fault(what, fault)),
    }
}

/// Sends a signal to a process group, by an exec of its own.
async fn signal(host: &ContainerHost, group: u32, signal: &str) -> Result<(), Problem> {
    // Gone already is as good.
    let script = format!("kill -{signal} -{group} 2>/dev/null\nexit 0\n");
    let what = format!("end process group {group}");
    let (_, mut outputs, mut input) = start(host, Some("0:0".to_owned()), &what).await?;
    let _unread = input.write_all(script.as_bytes()).await;
    let _unread = input.shutdown().await;
    let read = async { while outputs.next().await.is_some_and(|output| output.is_ok()) {} };
    // Whether it came to its end is seen by whether the group does.
    let _too_long = timeout(SHELL_TIMEOUT, read).await;
    Ok(())
}
