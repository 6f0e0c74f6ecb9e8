//! A command that outlived the manager that started it.
//!
//! A command goes on when its manager is killed or its connection breaks, and until it has ended `creates` and `unless` do
//! not tell of it. So it carries a mark in its environment, and a try after one whose end is not known looks for the mark
//! first. A first try looks for nothing: reading every process's environment takes longer than most commands do.
//!
//! What carries the mark is the program itself when it leads a process group, as what a host runs does: what that left in
//! the background does not. The leader of a session (`setsid`) is meant to outlive the command, and counts only while it
//! holds an output: as what a host runs in a session of its own does. Not found is what changes its user or its
//! environment, and what runs where there is no `/proc`.

use std::time::Duration;

use detc_core::action::{ActionCx, ActionError};
use detc_core::backend::host::Command;
use detc_core::model::Hasher;
use tokio::time::Instant;

use crate::resources::common::tail;

/// The variable that holds the mark.
pub(super) const VARIABLE: &str = "DETC_COMMAND";

/// First wait between two looks, and the longest: the end of a short command is seen soon, and a long one is not slowed
/// down by being looked for.
const WAITS: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];

/// Prints when it started, and the number of the group, of each process that carries the mark `$1` and is under way. One
/// that has no name has just ended.
const SCRIPT: &str = r#"
[ -r /proc/self/environ ] || exit 0
for tool in cat grep readlink; do command -v "$tool" >/dev/null || { echo "there is no $tool" >&2; exit 1; }; done
fields() { state=$1 group=$3 session=$4; shift 19; began=$1; }
for file in $(grep -lsF -- "DETC_COMMAND=$1" /proc/[0-9]*/environ); do
  pid=${file#/proc/}
  pid=${pid%/environ}
  stat=$(cat "/proc/$pid/stat" 2>/dev/null) || continue
  fields ${stat##*) }
  case $state in Z|X|x) continue ;; esac
  [ "$group" = "$pid" ] || continue
  if [ "$session" = "$pid" ]; then
    case $(readlink "/proc/$pid/fd/1")$(readlink "/proc/$pid/fd/2") in *pipe:*|*socket:*) ;; *) continue ;; esac
  fi
  name=$(cat "/proc/$pid/comm" 2>/dev/null)
  [ -z "$name" ] || printf '%s %s\n' "$began" "$group"
done
exit 0
"#;

/// The value of [`VARIABLE`]: first what it is found by, of fixed length, so that none is the beginning of another; then
/// the id, for people.
pub(super) fn mark(cx: &ActionCx<'_>) -> String {
    format!("{}:{}", marker(cx), cx.identity())
}

fn marker(cx: &ActionCx<'_>) -> String {
    const LEN: usize = 32;
    let mut hasher = Hasher::new("detc.command/1");
    hasher.part(cx.scope().as_bytes()).part(cx.identity().as_str().as_bytes());
    let mut marker = hasher.finish().to_string();
    marker.truncate(LEN);
    marker
}

/// An earlier try that runs `program`, in words: `None` when there is none, or when no earlier try can be under way.
///
/// # Errors
/// When looking failed: nothing is known then.
pub(super) async fn find(cx: &ActionCx<'_>, program: &str) -> Result<Option<Orphan>, ActionError> {
    if !cx.begun_before() {
        return Ok(None);
    }
    let output = cx.host()?.run(&Command::new(["sh", "-c", SCRIPT, "sh", &marker(cx)])).await?;
    if !output.success() {
        let what = format!("whether an earlier try of {} still runs can not be looked at", cx.resource());
        return Err(ActionError::permanent(format!("{what}: {}", tail(&output.stderr, 3))));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    // The first that was started: the others are what it has started itself.
    let found = text.lines().filter_map(|line| {
        let (began, group) = line.split_once(' ')?;
        Some((began.parse::<u64>().ok()?, group.parse::<u64>().ok()?))
    });
    Ok(found.min().map(|(_, group)| Orphan {
        group,
        what: format!(
            "process group {group} (`{program}`), which an earlier try of {} started",
            cx.resource()
        ),
    }))
}

/// The process group of an earlier try.
#[derive(Debug)]
pub(super) struct Orphan {
    group: u64,
    what: String,
}

impl Orphan {
    /// What to say of it while it runs.
    pub(super) fn still_runs(&self) -> String {
        format!("{}, still runs", self.what)
    }

    /// What to say of it when it does no more.
    pub(super) fn has_ended(&self) -> String {
        format!("{}, has ended only now", self.what)
    }
}

/// Waits until no earlier try is under way. `Some` is the one that was last waited for.
///
/// Cancellation: nothing was done.
///
/// # Errors
/// When looking failed, and when one still runs after `patience`.
pub(super) async fn wait(
    cx: &ActionCx<'_>,
    program: &str,
    patience: Duration,
) -> Result<Option<Orphan>, ActionError> {
    let began = Instant::now();
    let [mut wait, longest] = WAITS;
    let mut last = None;
    while let Some(orphan) = find(cx, program).await? {
        if began.elapsed() >= patience {
            let message = format!("{} after {} ms", orphan.still_runs(), patience.as_millis());
            let hint =
                format!("wait for its end, or end it with `kill -TERM -{}` on {}", orphan.group, cx.host()?);
            return Err(ActionError::permanent(message).with_hint(format!("{hint}, and apply again")));
        }
        last = Some(orphan);
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(longest);
    }
    Ok(last)
}
