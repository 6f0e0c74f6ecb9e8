//! Runs a command in a process group of its own.
//!
//! The group's leader is not waited for (and so its number not given to another) before the group needs no more signals.

use std::io::{self, ErrorKind};
use std::process::Stdio;
use std::sync::Once;
use std::time::Duration;

use detc_core::backend::HostError;
use detc_core::backend::host::{Command, End, ExitStatus, Output};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, ChildStdin};

use super::{LocalHost, signals};

mod stand_in;

use stand_in::StandIn;

/// How long a command has, after its deadline, to clean up and go by itself: what databases and package managers need
/// to put their locks away.
const GRACE: Duration = Duration::from_secs(2);

/// How often it is looked whether it has gone; only after a deadline.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long what outlives its program (the `tee` of a process substitution) has to print the rest of what it was given.
const LINGER: Duration = Duration::from_secs(1);

pub(super) async fn run(host: &LocalHost, command: &Command) -> Result<Output, HostError> {
    let failed = |error| HostError::of_io(host, command.program(), "run a command", error);
    let Spawned { mut child, stdin, stdout, stderr, stand_in } = spawn(host, command).await?;
    // Dropped before `child`: while its leader is not waited for, the group's number is ours.
    let mut group = Group::of(&child);
    let (mut out, mut err) = (Kept::new(command), Kept::new(command));
    let mut streams = Box::pin(async {
        let (out, err, ()) = tokio::join!(out.drain(stdout), err.drain(stderr), feed(stdin, &command.stdin));
        out.and(err)
    });
    let mut is_closed = false;
    let exited = tokio::time::timeout(command.timeout, async {
        if command.end == End::WithItsProgram {
            tokio::select! {
                drained = &mut streams => drained?,
                exited = child.wait() => return exited,
            }
        } else {
            streams.as_mut().await?;
        }
        is_closed = true;
        child.wait().await
    })
    .await;
    let Ok(exited) = exited else {
        // What it still says while it cleans up is read as well: it is not to be stopped by that.
        tokio::select! {
            () = group.end() => {}
            () = async { if !is_closed { let _lost = streams.await; } std::future::pending().await } => {}
        }
        return Err(HostError::TimedOut {
            host: host.to_string(),
            command: command.program().to_owned(),
            after: command.timeout,
        });
    };
    let exited = exited.map_err(failed)?;
    group.forget();
    if !is_closed && let Ok(drained) = tokio::time::timeout(LINGER, streams.as_mut()).await {
        drained.map_err(failed)?;
        is_closed = true;
    }
    drop(streams);
    // Where others still hold the outputs, what they print from now on is for the stand-in to read.
    if is_closed && let Some(stand_in) = stand_in {
        stand_in.dismiss();
    }
    let truncated = out.more || err.more;
    Ok(Output { status: exit_status(exited), stdout: out.bytes, stderr: err.bytes, truncated })
}

/// A command that runs.
struct Spawned {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver,
    stderr: Receiver,
    stand_in: Option<StandIn>,
}

async fn spawn(host: &LocalHost, command: &Command) -> Result<Spawned, HostError> {
    let failed = |error| HostError::of_io(host, command.program(), "run a command", error);
    static SIGNALS: Once = Once::new();
    SIGNALS.call_once(signals::keep_to_ourselves);
    let (stdout, stdout_of_child) = io::pipe().map_err(failed)?;
    let (stderr, stderr_of_child) = io::pipe().map_err(failed)?;
    // Before the command: it is not there for a moment without.
    let stand_in = match command.end {
        End::WithItsProgram => StandIn::for_reader_of(&stdout, &stderr),
        End::WithItsOutputs => None,
    };
    let mut process = tokio::process::Command::new(command.program());
    process
        .args(&command.argv[1..])
        .envs(&command.env)
        .stdin(if command.stdin.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(stdout_of_child)
        .stderr(stderr_of_child)
        .process_group(0)
        .kill_on_drop(true);
    if let Some(dir) = &command.dir {
        process.current_dir(dir);
    }
    let mut child = spawn_when_free(&mut process).await.map_err(|error| explain(host, command, error))?;
    let stdin = child.stdin.take();
    let [stdout, stderr] = [stdout, stderr].map(|reader| Receiver::from_owned_fd(reader.into()));
    Ok(Spawned { child, stdin, stdout: stdout.map_err(failed)?, stderr: stderr.map_err(failed)?, stand_in })
}

/// A program that was written a moment ago may still be held open for writing by a child that another thread has forked
/// and that has not yet become its own program. That passes.
async fn spawn_when_free(process: &mut tokio::process::Command) -> io::Result<Child> {
    const BUSY_TRIES_MAX: u32 = 50;
    let mut tries = 0;
    loop {
        match process.spawn() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES_MAX => {
                tries += 1;
                tokio::time::sleep(LOOK_EVERY).await;
            }
            spawned => return spawned,
        }
    }
}

/// A missing program and a missing directory are one error code.
fn explain(host: &LocalHost, command: &Command, error: io::Error) -> HostError {
    let program = command.program();
    let missing_dir = command.dir.as_deref().filter(|dir| !std::path::Path::new(dir).is_dir());
    match missing_dir {
        Some(dir) => HostError::of_io(host, dir, &format!("run {program} in {dir}"), error),
        None => HostError::of_io(host, program, &format!("run {program}"), error),
    }
}

/// The beginning of a stream.
struct Kept {
    bytes: Vec<u8>,
    max: usize,
    /// Whether there was more.
    more: bool,
}

impl Kept {
    fn new(command: &Command) -> Self {
        Self { bytes: Vec::new(), max: command.output_max, more: false }
    }

    /// Reads to the end.
    async fn drain(&mut self, mut stream: Receiver) -> io::Result<()> {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let read = stream.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            let room = read.min(self.max - self.bytes.len());
            self.bytes.extend_from_slice(&buffer[..room]);
            self.more |= room < read;
        }
    }
}

/// Writes the input. A command that does not want it all is in its right.
async fn feed(stdin: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _unread = stdin.write_all(input).await;
    }
}

fn exit_status(status: std::process::ExitStatus) -> ExitStatus {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, signal) => ExitStatus::Signal(signal.unwrap_or_default()),
    }
}

/// The process group of a command that runs; killed when dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    /// The command has ended: its number may be another's soon.
    fn forget(&mut self) {
        self.0 = None;
    }

    /// Asks the group to go, gives its leader [`GRACE`], and kills what is left (by being dropped).
    async fn end(self) {
        let Some(leader) = self.0 else { return };
        let _gone = killpg(leader, Signal::SIGTERM);
        let gone = async {
            while is_running(leader) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let _gone_or_not = tokio::time::timeout(GRACE, gone).await;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            let _gone = killpg(leader, Signal::SIGKILL);
        }
    }
}

/// Whether our child `leader` runs, without taking note of its end: it keeps its number.
fn is_running(leader: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    matches!(waitid(Id::Pid(leader), flags), Ok(WaitStatus::StillAlive))
}
