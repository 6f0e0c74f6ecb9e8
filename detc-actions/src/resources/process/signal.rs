//! Ends processes.

use std::time::Duration;

use detc_core::action::ActionError;
use detc_core::backend::Host;
use detc_core::backend::host::Command;
use detc_core::resource::InvalidField;
use serde::{Deserialize, Serialize};

use crate::resources::common::is_later;

/// How a process is asked to end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopSpec {
    /// The signal it is asked with, `TERM` where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// How long it has to end by itself before it is killed; 10 seconds where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
}

/// How long a process has to end by itself where the spec does not say: as long as Docker gives it.
const GRACE: Duration = Duration::from_secs(10);

const SIGNALS: [&str; 7] = ["TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "KILL"];

impl StopSpec {
    pub(super) fn check(&self) -> Result<(), InvalidField> {
        let name = self.signal.as_ref().filter(|name| !is_later(name));
        if name.is_some_and(|_| !SIGNALS.contains(&self.signal())) {
            let problem = format!("must have a `signal` that is one of {}", SIGNALS.join(", "));
            return Err(InvalidField::new("stop", problem));
        }
        Ok(())
    }

    pub(super) fn grace(&self) -> Duration {
        self.grace_ms.map_or(GRACE, Duration::from_millis)
    }

    fn signal(&self) -> &str {
        // One that is sensitive is not known to who only removes it.
        let name = self.signal.as_deref().filter(|name| !is_later(name)).unwrap_or("TERM");
        name.strip_prefix("SIG").unwrap_or(name)
    }
}

/// What a signal goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The process and all of its group.
    Group,
    /// The process alone.
    One,
}

/// Asks, waits, kills. `$1`: process number, `$2`: its start time, `$3`: what `kill` is given, `$4`: signal, `$5`: how
/// often to look, every 50 ms, whether it has gone. The start time is looked at each time, so that another that is given
/// the number is left alone.
pub(super) const SCRIPT: &str = r#"
pid=$1 start=$2 target=$3 signal=$4 tries=$5
runs() {
  stat=$(cat "/proc/$pid/stat" 2>/dev/null) || return 1
  set -- ${stat##*) }
  case $1 in Z|X|x) return 1;; esac
  [ "${20}" = "$start" ]
}
gone() {
  left=$1
  while runs; do
    [ "$left" -gt 0 ] || return 1
    left=$((left - 1))
    sleep 0.05 2>/dev/null || sleep 1
  done
}
runs || exit 0
kill -s "$signal" -- "$target" || runs || exit 0
# One that was stopped takes the signal when it goes on.
kill -s CONT -- "$target" 2>/dev/null
gone "$tries" && [ "$target" = "$pid" ] && exit 0
kill -s KILL -- "$target" 2>/dev/null
gone 200 || { echo "it does not even end by KILL" >&2; exit 1; }
"#;

/// Ends the process of this number and start time. One that is not there any more has ended.
///
/// # Errors
/// When it can not be ended.
pub(super) async fn stop(
    host: &dyn Host,
    (pid, start): (u32, u64),
    target: Target,
    how: &StopSpec,
) -> Result<(), ActionError> {
    const MARGIN: Duration = Duration::from_secs(60);
    let grace = how.grace();
    let kill = match target {
        Target::Group => format!("-{pid}"),
        Target::One => pid.to_string(),
    };
    let tries = grace.as_millis().div_ceil(50).to_string();
    let (number, start) = (pid.to_string(), start.to_string());
    let argv = ["sh", "-c", SCRIPT, "sh", &number, &start, &kill, how.signal(), &tries];
    let output = host.run(&Command::new(argv).with_timeout(grace + MARGIN)).await?;
    if output.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(ActionError::permanent(format!("process {pid} on {host} can not be ended: {}", said.trim())))
}
