//! Runs a command in a process group of its own.
//!
//! The group's leader is not waited for (and so its number not given to another) before the group needs no more signals.

use std::io::{self, ErrorKind};
use std::process::Stdio;
use std::sync::Once;
use std::time::Duration;

use detc_core::backend::HostError;
use detc_core::backend::host::{Command, ExitStatus, Output};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};

use super::{LocalHost, outlive, signals};

/// How long a command has, after its deadline, to clean up and go by itself: what databases and package managers need
/// to put their locks away.
const GRACE: Duration = Duration::from_secs(2);

/// How often it is looked whether it has gone; only after a deadline.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub(super) async fn run(host: &LocalHost, command: &Command) -> Result<Output, HostError> {
    match &command.outliving {
        Some(kept) => outlive::run(host, command, kept).await,
        None => run_plain(host, command).await,
    }
}

pub(super) async fn run_plain(host: &LocalHost, command: &Command) -> Result<Output, HostError> {
    let mut child = spawn(host, command).await?;
    // Dropped before `child`: while its leader is not waited for, the group's number is ours.
    let mut group = Group::of(&child);
    let mut output = Output::default();
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let streams = async {
        let (out, err, ()) = tokio::join!(
            drain(stdout, command.output_max, &mut output.stdout),
            drain(stderr, command.output_max, &mut output.stderr),
            feed(stdin, &command.stdin),
        );
        Ok::<bool, io::Error>(out? | err?)
    };
    let ended = tokio::time::timeout(command.timeout, async {
        let truncated = streams.await?;
        Ok::<_, io::Error>((truncated, child.wait().await?))
    })
    .await;
    match ended {
        Ok(Ok((truncated, status))) => {
            group.forget();
            output.truncated = truncated;
            output.status = exit_status(status);
            Ok(output)
        }
        Ok(Err(error)) => Err(HostError::of_io(host, command.program(), "run a command", error)),
        Err(_) => {
            group.end().await;
            Err(HostError::TimedOut {
                host: host.to_string(),
                command: command.program().to_owned(),
                after: command.timeout,
            })
        }
    }
}

async fn spawn(host: &LocalHost, command: &Command) -> Result<Child, HostError> {
    static SIGNALS: Once = Once::new();
    SIGNALS.call_once(signals::keep_to_ourselves);
    let mut process = tokio::process::Command::new(command.program());
    process
        .args(&command.argv[1..])
        .envs(&command.env)
        .stdin(if command.stdin.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(dir) = &command.dir {
        process.current_dir(dir);
    }
    /// A program that was written a moment ago may still be held open for writing by a child that another thread has
    /// forked and that has not yet become its own program. That passes.
    const BUSY_TRIES_MAX: u32 = 50;
    let mut tries = 0;
    loop {
        match process.spawn() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES_MAX => {
                tries += 1;
                tokio::time::sleep(LOOK_EVERY).await;
            }
            spawned => return spawned.map_err(|error| explain(host, command, error)),
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

/// Reads to the end, keeps the first `max` bytes, says whether there were more.
async fn drain(stream: Option<impl AsyncRead + Unpin>, max: usize, kept: &mut Vec<u8>) -> io::Result<bool> {
    let Some(mut stream) = stream else { return Ok(false) };
    let mut truncated = false;
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(truncated);
        }
        let room = read.min(max - kept.len());
        kept.extend_from_slice(&buffer[..room]);
        truncated |= room < read;
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
