//! Starts a process, detached: it survives the manager.
//!
//! ```text
//!   manager ── run ──▶ sh ── setsid ──▶ sh (waits) ──▶ setsid sh: writes the record ── exec ──▶ the process
//!                      └▶ returns at once      └▶ when it has ended: writes how
//! ```
//!
//! The last shell *is* the process, before it becomes the program. The waiting one is its parent, and stays as long as
//! it: nobody else can tell how it ended. No call to the host is held open meanwhile: where calls are limited, many
//! starts at once would take all the places, and leave none for looking how they get on.
//!
//! A start whose manager died goes on, and hands over from one process to the next where a look at all processes may miss
//! it. So each start has a permit, a file that is there before it, and asks for it in the end, when it will hand over no
//! more. Who ends the process takes the permit away first: a start is then seen, or does not come about.

use std::collections::BTreeMap;

use detc_core::backend::host::{Command, ExitStatus};

use super::ProcessSpec;
use super::keep::Files;
use super::mark::{Mark, VARIABLE};

/// A log that is longer than this is put aside, as `….1`, when its process starts: so a process that is started again and
/// again does not fill the disk.
const LOG_MAX: u64 = 64 << 20;

/// `$1`: script of the waiting shell, `$2`: script of the process, `$3`: path of the record, `$4`: permit, `$5`: log, `$6`:
/// longest log, `$7`: `PATH` of the process or nothing; then its command. All else is in the environment.
///
/// A shell's background jobs ignore SIGINT for ever, so `setsid` itself is asked to go to the background, where it can.
pub(super) const SCRIPT: &str = r#"
wait=$1 become=$2 record=$3 permit=$4 log=$5 max=$6
shift 6
command -v setsid >/dev/null || { echo "there is no setsid" >&2; exit 1; }
if [ -f "$log" ] && [ "$(wc -c <"$log")" -gt "$max" ]; then mv -f -- "$log" "$log.1"; fi
if [ -p "$log" ] || [ -S "$log" ]; then echo "its log $log is a pipe or a socket, not a file" >&2; exit 1; fi
: >>"$log" || exit 1
rm -f -- "$record.end" || exit 1
if setsid -f true 2>/dev/null; then
  setsid -f sh -c "$wait" sh "$become" "$record" "$permit" "$log" "$@" </dev/null >/dev/null 2>&1
else
  setsid sh -c "$wait" sh "$become" "$record" "$permit" "$log" "$@" </dev/null >/dev/null 2>&1 &
fi
"#;

/// Waits for the process. It runs in a subshell, so that what this shell says of its end is not said in its log. How one
/// ended that was to end is of no interest, and would be taken for the end of the next.
const WAIT: &str = r#"
become=$1 record=$2 permit=$3 log=$4
shift 4
( exec setsid sh -c "$become" sh "$record" "$permit" "$@" ) >>"$log" 2>&1
code=$?
[ "$(cat "$record.permit" 2>/dev/null)" = "$permit" ] || exit 0
umask 077
echo "$code" >"$record.end.new" && mv -f -- "$record.end.new" "$record.end"
"#;

/// Becomes the process.
const BECOME: &str = r#"
record=$1 permit=$2 path=$3
shift 3
DETC_PROCESS_PID=$$
export DETC_PROCESS_PID
started() { stat=$(cat "/proc/$$/stat"); set -- ${stat##*) }; echo "${20}"; }
read -r boot </proc/sys/kernel/random/boot_id
[ "$(cat "$record.permit" 2>/dev/null)" = "$permit" ] || exit 125
(
  umask 077
  echo "$$ $(started) $boot $DETC_PROCESS_SPEC $DETC_PROCESS_TRIGGERS $DETC_PROCESS_ACTION" >"$record.new" && mv -f -- "$record.new" "$record"
) || exit 126
if [ -n "$path" ]; then PATH=$path; export PATH; fi
exec "$@"
"#;

/// The command that starts a process; it ends at once.
///
/// `permit`: what is in the file beside its record while it may start. `log_start`: how long its log is before.
pub(super) fn command(
    spec: &ProcessSpec,
    mark: &Mark,
    files: &Files,
    permit: &str,
    log_start: u64,
) -> Command {
    let max = LOG_MAX.to_string();
    let path = spec.env.get("PATH").map_or("", String::as_str);
    let mut argv: Vec<&str> =
        vec!["sh", "-c", SCRIPT, "sh", WAIT, BECOME, &files.record, permit, &files.log, &max, path];
    argv.extend(spec.command.iter().map(String::as_str));
    let mut env: BTreeMap<String, String> = spec.env.clone();
    // The scripts need the host's own.
    env.remove("PATH");
    env.extend(mark.env());
    env.insert(format!("{VARIABLE}_ACTION"), format!("{}@{log_start}", mark.action));
    Command::new(argv).with_env(env).with_dir(spec.dir.clone())
}

/// How a process ended, by the code that its shell saw.
pub(super) fn exit_status(code: i32) -> ExitStatus {
    /// How shells tell of a signal.
    const SIGNAL_BASE: i32 = 128;
    if code > SIGNAL_BASE { ExitStatus::Signal(code - SIGNAL_BASE) } else { ExitStatus::Code(code) }
}
