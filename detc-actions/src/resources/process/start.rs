//! Starts a process, detached: it survives the manager.
//!
//! ```text
//!   manager ── run ──▶ sh (waits) ──▶ setsid sh: writes the record ── exec ──▶ the process
//! ```
//!
//! The waiting shell lives only while the manager waits for the process to become ready; it is there to tell how the
//! process ended if it does not. The other shell *is* the process, before it becomes the program.

use std::collections::BTreeMap;
use std::time::Duration;

use detc_core::backend::host::{Command, ExitStatus, Output};

use super::ProcessSpec;
use super::mark::Mark;

/// A log that is longer than this is put aside, as `….1`, when its process starts: so a process that is started again and
/// again does not fill the disk.
const LOG_MAX: u64 = 64 << 20;

/// `$1`: path of the record, `$2`: log, `$3`: longest log, `$4`: `PATH` of the process or nothing; then its command. All
/// else is in the environment. The last line printed is the process's exit code.
///
/// The process is started in the foreground of this shell: one in the background would ignore SIGINT for ever. And in a
/// subshell, so that what this shell says of its end is not said in its log.
const SCRIPT: &str = r#"
record=$1 log=$2 max=$3
if [ -f "$log" ] && [ "$(wc -c <"$log")" -gt "$max" ]; then mv -f -- "$log" "$log.1"; fi
: >>"$log" || exit 1
shift 3
command -v setsid >/dev/null || { echo "there is no setsid" >&2; exit 1; }
( exec setsid sh -c '
record=$1 path=$2
shift 2
DETC_PROCESS_PID=$$
export DETC_PROCESS_PID
started() { stat=$(cat "/proc/$$/stat"); set -- ${stat##*) }; echo "${20}"; }
read -r boot </proc/sys/kernel/random/boot_id
(
  umask 077
  echo "$$ $(started) $boot $DETC_PROCESS_SPEC $DETC_PROCESS_TRIGGERS" >"$record.new" && mv -f -- "$record.new" "$record"
) || exit 126
if [ -n "$path" ]; then PATH=$path; export PATH; fi
exec "$@"
' sh "$record" "$@" </dev/null >>"$log" 2>&1 )
echo "ended $?"
"#;

/// The command that starts a process and waits for its end. Dropping it leaves the process alone.
pub(super) fn command(
    spec: &ProcessSpec,
    mark: &Mark,
    record: &str,
    log: &str,
    patience: Duration,
) -> Command {
    let max = LOG_MAX.to_string();
    let path = spec.env.get("PATH").map_or("", String::as_str);
    let mut argv: Vec<&str> = vec!["sh", "-c", SCRIPT, "sh", record, log, &max, path];
    argv.extend(spec.command.iter().map(String::as_str));
    let mut env: BTreeMap<String, String> = spec.env.clone();
    // The scripts need the host's own.
    env.remove("PATH");
    env.extend(mark.env());
    Command::new(argv).with_env(env).with_dir(spec.dir.clone()).with_timeout(patience)
}

/// How the process ended, by what the script printed; `Err`: why it was never started.
pub(super) fn ended(output: &Output) -> Result<ExitStatus, String> {
    /// How shells tell of a signal.
    const SIGNAL_BASE: i32 = 128;
    let text = String::from_utf8_lossy(&output.stdout);
    let code = text.lines().last().and_then(|line| line.strip_prefix("ended ")?.parse().ok());
    match code {
        Some(code) if code > SIGNAL_BASE => Ok(ExitStatus::Signal(code - SIGNAL_BASE)),
        Some(code) => Ok(ExitStatus::Code(code)),
        None => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}
