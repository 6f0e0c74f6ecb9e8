//! Runs a command on the host, in a session of its own.
//!
//! ```text
//! open a session ─ exec /bin/sh ─ script ─▶ MARK ok GROUP ─ input ─▶ output … status ─▶ closed
//! ```
//!
//! The work is done in a task of the link's, so that a command whose caller has gone is ended all the same.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use detc_core::backend::HostError;
use detc_core::backend::host::{Command, End, ExitStatus, Output};
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::become_user::ShellError;
use super::link::Link;
use crate::backends::shell::kept::Marked;
use crate::backends::shell::script::{self, Mark};

/// How long a command has, after its deadline, to clean up and go by itself: as on the local host.
const GRACE: Duration = Duration::from_secs(2);

/// How long what outlives its program has to print the rest of what it was given: as on the local host.
const LINGER: Duration = Duration::from_secs(1);

/// How long the host's shell has to begin. A start-up file may be slow; this one hangs.
pub(super) const SHELL_TIMEOUT: Duration = Duration::from_secs(60);

/// What a host is told of that prints more than [`START_UP_MAX`] before anything of ours.
pub(super) const ENDLESS: &str = "it prints without end: see the start-up files of its login shell";

/// Why a command has no output.
#[derive(Debug)]
pub(super) enum RunError {
    /// Nothing was sent: it was not begun.
    NotSent(String),
    /// The connection broke, and it may have been begun.
    Lost,
    /// The host says no.
    Host(Box<HostError>),
}

/// Runs `command` to its end, for the host called `name`, and tells `done`. When nobody waits for that any more, the command
/// is ended.
pub(super) async fn run(
    link: &Link,
    name: &str,
    command: &Command,
    mut done: oneshot::Sender<Result<Output, RunError>>,
) {
    let result = run_while(link, name, command, &mut done).await;
    let _given_up = done.send(result);
}

async fn run_while(
    link: &Link,
    name: &str,
    command: &Command,
    done: &mut oneshot::Sender<Result<Output, RunError>>,
) -> Result<Output, RunError> {
    let place = tokio::select! {
        place = link.sessions.acquire() => place,
        () = done.closed() => return Err(RunError::Lost),
    };
    let _place = place.expect("invariant: the semaphore is never closed");
    let mut session = Session::open(link, name, command).await?;
    // Even when nobody waits any more: what has begun can only be ended once its number is known.
    if let Err(error) = session.begin(command).await {
        session.close().await;
        return Err(error);
    }
    let deadline = Instant::now() + command.timeout;
    let finished = tokio::select! {
        finished = timeout_at(deadline, session.finish(command)) => finished.ok(),
        () = done.closed() => None,
    };
    match finished {
        Some(finished) => finished?,
        None => {
            session.end(link).await?;
            return Err(RunError::Host(Box::new(HostError::TimedOut {
                host: name.to_owned(),
                command: command.program().to_owned(),
                after: command.timeout,
            })));
        }
    }
    session.close().await;
    session.output()
}

/// Whether there is more to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    More,
    End,
}

/// One command's session.
struct Session<'a> {
    name: &'a str,
    program: String,
    read: ChannelReadHalf,
    write: Arc<ChannelWriteHalf<Msg>>,
    mark: Mark,
    out: Marked,
    err: Marked,
    group: Option<u32>,
    status: Option<ExitStatus>,
    is_closed: bool,
}

impl<'a> Session<'a> {
    async fn open(link: &Link, name: &'a str, command: &Command) -> Result<Self, RunError> {
        let channel = match link.shell().await {
            Ok(channel) => channel,
            Err(ShellError::Ssh(russh::Error::ChannelOpenFailure(reason))) => {
                let why = format!("it opens no more sessions ({reason:?}): see MaxSessions of its sshd");
                return Err(refused(name, "start a shell".to_owned(), why));
            }
            Err(ShellError::Ssh(error)) => return Err(RunError::NotSent(error.to_string())),
            Err(ShellError::Refused(why)) => return Err(refused(name, "start a shell".to_owned(), why)),
        };
        let mark = Mark::new();
        let (read, write) = channel.split();
        Ok(Self {
            name,
            program: command.program().to_owned(),
            read,
            write: Arc::new(write),
            out: Marked::new(mark.as_str(), command.output_max),
            err: Marked::new(mark.as_str(), command.output_max),
            mark,
            group: None,
            status: None,
            is_closed: false,
        })
    }

    fn refused(&self, what: String, why: impl Into<String>) -> RunError {
        refused(self.name, what, why)
    }

    /// Sends the script, and waits until the command begins.
    async fn begin(&mut self, command: &Command) -> Result<(), RunError> {
        let text = script::script(command, &self.mark);
        let then = if command.stdin.is_empty() { Then::End } else { Then::More };
        let mut send = Box::pin(self.send(text.into_bytes(), then));
        let mut is_sent = false;
        let deadline = Instant::now() + SHELL_TIMEOUT;
        while self.out.head().is_none() && !self.is_closed {
            // What can be sent is for the host to say: when the connection breaks before, it never does.
            let stepped = tokio::select! {
                () = &mut send, if !is_sent => {
                    is_sent = true;
                    continue;
                }
                stepped = timeout_at(deadline, self.step()) => stepped,
            };
            match stepped {
                Ok(stepped) => stepped?,
                Err(_) => {
                    let within = format!("it said nothing within {} s", SHELL_TIMEOUT.as_secs());
                    return Err(self.refused("start a shell".to_owned(), within));
                }
            }
            if self.out.is_endless() || self.err.is_endless() {
                return Err(self.refused("start a shell".to_owned(), ENDLESS));
            }
        }
        let Some(head) = self.out.head() else { return Err(self.no_shell()) };
        let host = self.name.to_owned();
        let error = match head.split_once(' ') {
            Some(("ok", group)) => {
                self.group = group.parse().ok();
                return Ok(());
            }
            Some(("no", "no-program")) => HostError::NotFound { host, path: command.program().to_owned() },
            Some(("no", "no-dir")) => {
                HostError::NotFound { host, path: command.dir.clone().unwrap_or_default() }
            }
            Some(("no", "dir-denied")) => {
                let what = format!("run {} in {}", self.program, command.dir.as_deref().unwrap_or_default());
                HostError::Refused { host, what, source: io::ErrorKind::PermissionDenied.into() }
            }
            _ => {
                let what = format!("run {}", self.program);
                HostError::Refused { host, what, source: io::ErrorKind::PermissionDenied.into() }
            }
        };
        Err(RunError::Host(Box::new(error)))
    }

    /// The session ended before the shell spoke.
    fn no_shell(&self) -> RunError {
        match self.status {
            None => return RunError::Lost,
            // It was ended, and had begun nothing: it says so before it does.
            Some(signal @ ExitStatus::Signal(_)) => {
                return RunError::NotSent(format!("its shell was ended by {signal}"));
            }
            Some(ExitStatus::Code(_)) => {}
        }
        let said = self.err.before().trim().to_owned();
        let why = if said.is_empty() { "it ends at once".to_owned() } else { said };
        self.refused("start a shell".to_owned(), why)
    }

    /// Feeds the command and reads it to its end.
    async fn finish(&mut self, command: &Command) -> Result<(), RunError> {
        let mut feed = Box::pin(self.send(command.stdin.clone(), Then::End));
        let mut is_fed = command.stdin.is_empty();
        let is_over = |session: &Self| {
            session.is_closed || (session.status.is_some() && command.end == End::WithItsProgram)
        };
        while !is_over(self) {
            tokio::select! {
                biased;
                () = &mut feed, if !is_fed => is_fed = true,
                message = self.read.wait() => self.take(message)?,
            }
        }
        if !self.is_closed {
            let lingering = async {
                while !self.is_closed {
                    self.step().await?;
                }
                Ok(())
            };
            if let Ok(lingered) = tokio::time::timeout(LINGER, lingering).await {
                lingered?;
            }
        }
        Ok(())
    }

    /// Sends what the other end reads, and whether that is all. That it does not want it is in its right; that the connection
    /// broke is seen where it is read.
    fn send(&self, bytes: Vec<u8>, then: Then) -> impl Future<Output = ()> + use<> {
        let write = Arc::clone(&self.write);
        async move {
            if write.data_bytes(bytes).await.is_ok() && then == Then::End {
                let _unread = write.eof().await;
            }
        }
    }

    async fn step(&mut self) -> Result<(), RunError> {
        let message = self.read.wait().await;
        self.take(message)
    }

    fn take(&mut self, message: Option<ChannelMsg>) -> Result<(), RunError> {
        match message {
            Some(ChannelMsg::Data { data }) => self.out.push(&data),
            Some(ChannelMsg::ExtendedData { data, .. }) => self.err.push(&data),
            Some(ChannelMsg::ExitStatus { exit_status }) => {
                self.status = Some(ExitStatus::Code(i32::try_from(exit_status).unwrap_or(i32::MAX)));
            }
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                self.status = Some(ExitStatus::Signal(number_of(&signal_name)));
            }
            Some(ChannelMsg::Failure) => {
                return Err(self.refused("start a shell".to_owned(), "the server says no"));
            }
            Some(ChannelMsg::Close) => self.is_closed = true,
            // The connection is gone, when no `Close` came before.
            None if self.status.is_none() => return Err(RunError::Lost),
            None => self.is_closed = true,
            Some(_) => {}
        }
        Ok(())
    }

    /// Asks the group to go, gives it [`GRACE`], and kills what is left.
    async fn end(&mut self, link: &Link) -> Result<(), RunError> {
        let Some(group) = self.group else { return Ok(()) };
        self.signal(link, group, "TERM").await?;
        let gone = async {
            while !self.is_closed && self.status.is_none() {
                self.step().await?;
            }
            Ok(())
        };
        // Gone or not: what it has started may be left.
        if let Ok(gone) = tokio::time::timeout(GRACE, gone).await {
            gone?;
        }
        self.signal(link, group, "KILL").await
    }

    /// Sends a signal in a session of its own. What the command prints meanwhile is read: as long as it is not, nothing else
    /// comes over the connection.
    async fn signal(&mut self, link: &Link, group: u32, signal: &str) -> Result<(), RunError> {
        let mut sent = Box::pin(async {
            let channel = link.shell().await?;
            Ok::<_, ShellError>(signal_group(channel, group, signal).await?)
        });
        loop {
            let is_open = !self.is_closed;
            tokio::select! {
                sent = &mut sent => return sent.map_err(|_| RunError::Lost),
                stepped = self.step(), if is_open => stepped?,
            }
        }
    }

    /// Closes what others may still hold at the other end.
    async fn close(&self) {
        if !self.is_closed {
            let _closed = self.write.close().await;
        }
    }

    fn output(self) -> Result<Output, RunError> {
        let status = self.status.ok_or(RunError::Lost)?;
        let (stdout, stderr) = (self.out.finish(), self.err.finish());
        if let Some(why) = stderr.failed_to_become {
            return Err(refused(self.name, format!("run {}", self.program), why));
        }
        let truncated = stdout.kept.more || stderr.kept.more;
        Ok(Output { status, stdout: stdout.kept.bytes, stderr: stderr.kept.bytes, truncated })
    }
}

fn refused(name: &str, what: String, why: impl Into<String>) -> RunError {
    let source = io::Error::other(why.into());
    RunError::Host(Box::new(HostError::Refused { host: name.to_owned(), what, source }))
}

/// Sends a signal to a process group, in a session of its own.
async fn signal_group(channel: Channel<Msg>, group: u32, signal: &str) -> Result<(), russh::Error> {
    // Gone already is as good.
    let script = format!("kill -{signal} -{group} 2>/dev/null\nexit 0\n");
    let (mut read, write) = channel.split();
    let mut send = Box::pin(async {
        write.data_bytes(script.into_bytes()).await?;
        write.eof().await
    });
    let mut is_sent = false;
    loop {
        tokio::select! {
            sent = &mut send, if !is_sent => {
                sent?;
                is_sent = true;
            }
            message = read.wait() => match message {
                Some(ChannelMsg::Close) => return Ok(()),
                Some(_) => {}
                None => return Err(russh::Error::Disconnect),
            },
        }
    }
}

/// The number of a signal, as Linux has it on most machines.
fn number_of(signal: &Sig) -> i32 {
    match signal {
        Sig::ABRT => 6,
        Sig::ALRM => 14,
        Sig::FPE => 8,
        Sig::HUP => 1,
        Sig::ILL => 4,
        Sig::INT => 2,
        Sig::KILL => 9,
        Sig::PIPE => 13,
        Sig::QUIT => 3,
        Sig::SEGV => 11,
        Sig::TERM => 15,
        Sig::USR1 => 10,
        Sig::Custom(name) => match name.as_str() {
            "USR2" => 12,
            "BUS" => 7,
            "TRAP" => 5,
            "XCPU" => 24,
            "XFSZ" => 25,
            "SYS" => 31,
            // OpenSSH sends a name of its own for those that the protocol has none for.
            _ => 0,
        },
    }
}
