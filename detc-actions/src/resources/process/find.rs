//! Finds a process again, by its mark.

use detc_core::action::ActionError;
use detc_core::backend::Host;
use detc_core::backend::host::Command;

use super::mark::{Mark, VARIABLE};
use crate::resources::common::tail;

/// Prints the boot, the record, how the last process ended, and each process that the record names or that carries the marker: number, state and
/// the rest of its `stat`, then its variables of ours. `$1`: marker, `$2`: path of the record.
pub(super) const SCRIPT: &str = r#"
for tool in cat grep tr; do command -v "$tool" >/dev/null || { echo "there is no $tool" >&2; exit 1; }; done
read -r boot </proc/sys/kernel/random/boot_id || exit 1
printf 'boot %s\n' "$boot"
show() {
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  printf 'process %s %s\n' "$1" "${stat##*) }"
  2>/dev/null tr '\0' '\n' <"/proc/$1/environ" | grep '^DETC_PROCESS'
}
recorded=
if [ -r "$2" ] && read -r line <"$2"; then
  printf 'record %s\n' "$line"
  recorded=${line%% *}
  show "$recorded"
fi
if [ -r "$2.end" ] && read -r line <"$2.end"; then printf 'ended %s\n' "$line"; fi
for file in $(grep -lsF -- "DETC_PROCESS=$1" /proc/[0-9]*/environ); do
  pid=${file#/proc/}
  pid=${pid%/environ}
  [ "$pid" = "$recorded" ] || show "$pid"
done
exit 0
"#;

/// A process that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instance {
    pub(super) pid: u32,
    /// When it started, in clock ticks since the boot.
    pub(super) start: u64,
    /// The boot.
    pub(super) boot: String,
    /// What it was started from: see [`Mark::spec`].
    pub(super) spec: String,
    /// The trigger token it was started with.
    pub(super) triggers: String,
}

impl Instance {
    /// Which start this is, among all.
    pub(super) fn started(&self) -> String {
        format!("{}@{}", self.start, self.boot)
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The process itself.
    pub(super) instance: Option<Instance>,
    /// Others that carry the mark: its children, the shell that waits for it, what is left of an earlier one, a start that
    /// is under way.
    pub(super) others: Vec<(u32, u64)>,
    /// Others that became the process as well: a start that was given up and went on all the same.
    pub(super) doubles: Vec<(u32, u64)>,
    /// The exit code of the last one that ended.
    pub(super) ended: Option<i32>,
    /// Which action started the last one (see [`Mark::action`]), and how long its log was before.
    pub(super) started_by: Option<(String, u64)>,
}

/// Looks for the process that carries `mark`.
///
/// # Errors
/// When looking failed: nothing is known then.
pub(super) async fn find(host: &dyn Host, mark: &Mark, record: &str) -> Result<Found, ActionError> {
    let command = Command::new(["sh", "-c", SCRIPT, "sh", &mark.marker, record]).asking();
    let output = host.run(&command).await?;
    if !output.success() {
        let said = tail(&output.stderr, 3);
        return Err(ActionError::permanent(format!("processes of {host} can not be looked at: {said}"))
            .with_hint("kind `process` needs a POSIX shell and Linux's /proc on its host"));
    }
    parse(&String::from_utf8_lossy(&output.stdout), &mark.marker)
        .ok_or_else(|| ActionError::permanent(format!("what {host} says of its processes makes no sense")))
}

#[derive(Default)]
struct Process {
    pid: u32,
    runs: bool,
    start: u64,
    marked: bool,
    own: Option<u32>,
    spec: String,
    triggers: String,
}

fn parse(text: &str, marker: &str) -> Option<Found> {
    let mut lines = text.lines();
    let boot = lines.next()?.strip_prefix("boot ")?;
    let mut record = None;
    let mut found = Found::default();
    let mut processes: Vec<Process> = Vec::new();
    for line in lines {
        if let Some(rest) = line.strip_prefix("record ") {
            record = parse_record(rest, boot);
            found.started_by = record.as_ref().and_then(|_| parse_action(rest));
        } else if let Some(code) = line.strip_prefix("ended ") {
            found.ended = code.parse().ok();
        } else if let Some(rest) = line.strip_prefix("process ") {
            processes.push(parse_process(rest)?);
        } else if let (Some((name, value)), Some(process)) = (line.split_once('='), processes.last_mut()) {
            match name.strip_prefix(VARIABLE)? {
                "" => process.marked = value.starts_with(marker),
                "_PID" => process.own = value.parse().ok(),
                "_SPEC" => value.clone_into(&mut process.spec),
                "_TRIGGERS" => value.clone_into(&mut process.triggers),
                _ => {}
            }
        }
    }
    for process in processes.into_iter().filter(|process| process.runs) {
        let Process { pid, start, marked, own, spec, triggers, .. } = process;
        let is_recorded = record.as_ref().is_some_and(|known| known.pid == pid && known.start == start);
        if is_recorded && found.instance.is_none() {
            found.instance.clone_from(&record);
        } else if marked && own == Some(pid) && found.instance.is_none() {
            found.instance = Some(Instance { pid, start, boot: boot.to_owned(), spec, triggers });
        } else if marked && own == Some(pid) {
            found.doubles.push((pid, start));
        } else if marked {
            found.others.push((pid, start));
        }
    }
    Some(found)
}

/// A record of this boot; `None` for one of an earlier boot, or a damaged one.
fn parse_record(line: &str, boot: &str) -> Option<Instance> {
    let mut parts = line.split(' ');
    let (pid, start) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let recorded_boot = parts.next()?.to_owned();
    let spec = parts.next()?.to_owned();
    let triggers = parts.next().unwrap_or_default().to_owned();
    (recorded_boot == boot).then_some(Instance { pid, start, boot: recorded_boot, spec, triggers })
}

/// The action that a record is of, behind all else of it.
fn parse_action(line: &str) -> Option<(String, u64)> {
    let (action, log_start) = line.split(' ').nth(5)?.split_once('@')?;
    Some((action.to_owned(), log_start.parse().ok()?))
}

/// `PID STATE PPID …`: what follows the name in `/proc/PID/stat`, from the third field on.
fn parse_process(line: &str) -> Option<Process> {
    const START: usize = 22 - 3;
    let (pid, rest) = line.split_once(' ')?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let runs = !matches!(fields.first(), Some(&"Z" | &"X" | &"x"));
    Some(Process {
        pid: pid.parse().ok()?,
        runs,
        start: fields.get(START)?.parse().ok()?,
        ..Process::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0";

    fn found(text: &str) -> Found {
        parse(&text.replace("REST", REST), "abc").unwrap()
    }

    fn instance(pid: u32, start: u64) -> Option<Instance> {
        Some(Instance { pid, start, boot: "b1".into(), spec: "s".into(), triggers: "t".into() })
    }

    #[test]
    fn a_recorded_process_is_found_though_it_lost_its_environment() {
        assert_eq!(found("boot b1\nrecord 7 99 b1 s t\nprocess 7 S REST 99 0\n").instance, instance(7, 99));
    }

    #[test]
    fn it_is_known_which_action_started_the_last_one_though_it_is_gone() {
        let by = Some(("ab12".to_owned(), 30));
        for token in ["t", ""] {
            let record = format!("boot b1\nrecord 7 99 b1 s {token} ab12@30\nended 3\n");
            assert_eq!(found(&record), Found { ended: Some(3), started_by: by.clone(), ..Found::default() });
        }
        assert_eq!(found("boot b2\nrecord 7 99 b1 s t ab12@30\nended 3\n").started_by, None);
    }

    #[test]
    fn a_number_that_was_given_to_another_is_not_ours() {
        assert_eq!(found("boot b1\nrecord 7 99 b1 s t\nprocess 7 S REST 100 0\n"), Found::default());
        assert_eq!(found("boot b2\nrecord 7 99 b1 s t\nprocess 7 S REST 99 0\n"), Found::default());
        assert_eq!(
            found("boot b1\nrecord 7 99 b1 s t\nended 137\nprocess 7 Z REST 99 0\n"),
            Found { ended: Some(137), ..Found::default() }
        );
    }

    #[test]
    fn a_marked_process_is_found_without_a_record_and_its_children_are_told_apart() {
        let vars =
            "DETC_PROCESS=abc:process/a\nDETC_PROCESS_SPEC=s\nDETC_PROCESS_TRIGGERS=t\nDETC_PROCESS_PID=7\n";
        let text = format!("boot b1\nprocess 8 S REST 101 0\n{vars}process 7 S REST 99 0\n{vars}");
        assert_eq!(
            found(&text),
            Found { instance: instance(7, 99), others: vec![(8, 101)], ..Found::default() }
        );
        let other = vars.replace("abc", "abd");
        assert_eq!(found(&format!("boot b1\nprocess 7 S REST 99 0\n{other}")), Found::default());
    }

    #[test]
    fn nonsense_is_no_finding() {
        assert_eq!(parse("", "abc"), None);
        assert_eq!(parse("boot b1\nprocess x\n", "abc"), None);
    }
}
