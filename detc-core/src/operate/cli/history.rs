//! `history` and `show`: past runs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::error::Failed;
use super::open::{Access, Session};
use super::output::Output;
use super::{DONE, plan, tree};
use crate::execute::journal::{Entry, RunHead, RunNumber, What};
use crate::manage::spoken;
use crate::plan::Plan;

pub(super) async fn list(session: Session, output: &Output) -> Result<u8, Failed> {
    let manager = session.manager(Access::Read).await?;
    let heads = manager.history().await?;
    if output.json {
        output.object(
            &json!({ "format": "detc.history/1", "runs": heads.iter().map(head_json).collect::<Vec<_>>() }),
        )?;
    } else if heads.is_empty() {
        output.text("No run is recorded here.\n")?;
    } else {
        output.text(&heads.iter().map(|head| line(head) + "\n").collect::<String>())?;
    }
    plan::leave(manager, (), output).await?;
    Ok(DONE)
}

pub(super) async fn show(session: Session, number: RunNumber, output: &Output) -> Result<u8, Failed> {
    let manager = session.manager(Access::Read).await?;
    let (head, plan, log) = manager.run(number).await?;
    let times = times(&log);
    if output.json {
        let mut object = head_json(&head);
        object["format"] = "detc.run-detail/1".into();
        object["actions"] = plan.as_ref().map(|plan| actions_json(plan, &times)).into();
        output.object(&object)?;
    } else {
        let mut text = line(&head) + "\n";
        if let Some(note) = &head.note {
            text.push_str(&format!("  {note}\n"));
        }
        match &plan {
            Some(plan) => text.push_str(&tree::tree(plan, &times)),
            None => text.push_str("  Its plan was too large to be kept, or its time is over.\n"),
        }
        output.text(&text)?;
    }
    super::plan::leave(manager, (), output).await?;
    Ok(DONE)
}

fn outcome(head: &RunHead) -> String {
    head.outcome.map_or_else(|| "interrupted".to_owned(), |outcome| outcome.to_string())
}

fn line(head: &RunHead) -> String {
    let tally = head.tally;
    let took = head.ended_ms.map(|ended| spoken(Duration::from_millis(ended.saturating_sub(head.began_ms))));
    // As the result of the run counts: done is what there was nothing to do for, too.
    let mut counts = format!("{} of {} done", tally.done + tally.satisfied, head.actions);
    for (count, what) in [
        (tally.satisfied, "of them as before"),
        (tally.failed, "failed"),
        (tally.held, "held back"),
        (tally.in_flight, "in flight"),
        (tally.not_reached, if head.outcome.is_none() { "not begun" } else { "not reached" }),
    ] {
        if count > 0 {
            counts.push_str(&format!(", {count} {what}"));
        }
    }
    format!(
        "{}  {}  {:11}  {counts}  {}  plan {}",
        head.number,
        utc(head.began_ms),
        outcome(head),
        took.unwrap_or_else(|| "not ended".to_owned()),
        head.plan.short(),
    )
}

fn head_json(head: &RunHead) -> serde_json::Value {
    json!({
        "run": head.number.to_string(),
        "plan": head.plan,
        "began": utc(head.began_ms),
        "ended": head.ended_ms.map(utc),
        "outcome": outcome(head),
        "tally": head.tally,
        "note": head.note,
    })
}

/// When each action started and ended, and how.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// Milliseconds after the beginning of the run.
    pub(super) started: Option<u64>,
    pub(super) ended: Option<(u64, What)>,
}

fn times(log: &[Entry]) -> BTreeMap<u32, Times> {
    let mut times: BTreeMap<u32, Times> = BTreeMap::new();
    for entry in log {
        let of = times.entry(entry.action).or_default();
        match entry.what {
            What::Started => of.started = Some(entry.at),
            _ => of.ended = Some((entry.at, entry.what.clone())),
        }
    }
    times
}

fn actions_json(plan: &Plan, times: &BTreeMap<u32, Times>) -> Vec<serde_json::Value> {
    (0..plan.actions.len() as u32)
        .map(|index| {
            let of = times.get(&index);
            let ended = of.and_then(|of| of.ended.as_ref());
            json!({
                "id": plan.action_id(index),
                "resource": plan.resource_of(index),
                "reason": plan.change_of(&plan.actions[index as usize]).reason.to_string(),
                "started_ms": of.and_then(|of| of.started),
                "ended_ms": ended.map(|(at, _)| at),
                "outcome": ended.map(|(_, what)| what),
            })
        })
        .collect()
}

/// A time of day in UTC, as RFC 3339 writes it. Days to dates: Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", civil_from_days.
fn utc(ms: u64) -> String {
    let (days, of_day) = ((ms / 86_400_000) as i64, ms % 86_400_000);
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_as_rfc_3339_writes_it() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_795_412_925_123), "2026-11-23T05:48:45Z");
    }
}
