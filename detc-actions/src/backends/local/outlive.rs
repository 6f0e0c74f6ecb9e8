//! A command that goes on unharmed when whoever runs it is gone.
//!
//! A pipe whose reader is gone ends who writes to it, in the midst of its work. So a shell stands between: it leads the
//! command's process group, keeps what is printed in a folder of its own, and passes it on when the command has ended. The
//! other shape, outputs that are plain files, lets a command that prints without end fill the disk.

use detc_core::backend::HostError;
use detc_core::backend::host::{Command, ExitStatus, Output};

use super::LocalHost;
use super::run::run_plain;

/// Keeps at most `$2` bytes of each output of the rest in the folder `$1`, and says in the end, after a byte that stands
/// for nothing else, how it ended. Its own tools are those of the system, whatever `PATH` the command is given.
const SCRIPT: &str = r#"
kept=$1 max=$2
shift 2
command -v -- "$1" >/dev/null || { printf '\001missing'; exit 127; }
command -p rm -rf "$kept"
(umask 077; command -p mkdir -p "$kept" && command -p mkfifo "$kept/out" "$kept/err") || exit 125
keep() { command -p head -c "$max" >"$kept/$1.kept"; command -p cat >/dev/null; }
keep out <"$kept/out" 2>/dev/null &
keep err <"$kept/err" 2>/dev/null &
"$@" >"$kept/out" 2>"$kept/err"
code=$?
wait
command -p cat "$kept/out.kept"
command -p cat "$kept/err.kept" >&2
command -p rm -rf "$kept"
printf '\001%s' "$code"
"#;

/// What stands before how the command ended.
const ENDED: u8 = 1;

/// More than this is not said of how it ended.
const ENDED_LEN_MAX: usize = 16;

/// Runs `command`, which goes on when this call's process is gone, with its outputs kept in the folder `kept` until then.
pub(super) async fn run(host: &LocalHost, command: &Command, kept: &str) -> Result<Output, HostError> {
    // One more than is kept, so that it shows whether there was more.
    let max = command.output_max.saturating_add(1);
    let mut argv = vec!["/bin/sh".to_owned(), "-c".to_owned(), SCRIPT.to_owned(), "sh".to_owned()];
    argv.extend([kept.to_owned(), max.to_string()]);
    argv.extend(command.argv.iter().cloned());
    let shell = Command::new(argv)
        .with_env(command.env.clone())
        .with_dir(command.dir.clone())
        .with_stdin(command.stdin.clone())
        .with_timeout(command.timeout)
        .with_output_max(max.saturating_add(ENDED_LEN_MAX));
    let mut output = run_plain(host, &shell).await.map_err(|error| match error {
        HostError::TimedOut { host, after, .. } => {
            HostError::TimedOut { host, command: command.program().to_owned(), after }
        }
        other => other,
    })?;
    let Some(at) = output.stdout.iter().rposition(|byte| *byte == ENDED) else {
        // The shell itself did not come to its end.
        return Ok(output);
    };
    let ended = String::from_utf8_lossy(&output.stdout[at + 1..]).into_owned();
    output.stdout.truncate(at);
    match ended.parse() {
        Ok(code) => output.status = ExitStatus::Code(code),
        Err(_) => {
            let missing = std::io::ErrorKind::NotFound.into();
            let program = command.program();
            return Err(HostError::of_io(host, program, &format!("run {program}"), missing));
        }
    }
    for stream in [&mut output.stdout, &mut output.stderr] {
        if stream.len() > command.output_max {
            stream.truncate(command.output_max);
            output.truncated = true;
        }
    }
    Ok(output)
}
