//! `status`: what is there, against what is recorded.

use serde_json::json;

use super::error::Failed;
use super::open::{Access, Session, defaults};
use super::output::Output;
use super::{DONE, FAILED, plan, progress};
use crate::manage::{ResourceStatus, StatusState};
use crate::model::{Health, ResourceId};
use crate::plan::render::plain;

pub(super) async fn run(session: Session, output: &Output) -> Result<u8, Failed> {
    let (desired, manager) = session.open_with_given(Access::Look).await?;
    let mut looking = progress::looking(output);
    let all = manager.status(desired.as_ref(), &mut looking).await?;
    drop(looking);
    if output.json {
        output.object(&json!({ "format": "detc.status/1", "resources": all }))?;
    } else {
        output.text(&match (&desired, all.is_empty()) {
            (None, true) => {
                let file = defaults().first().map_or("FILE".to_owned(), |file| file.display().to_string());
                format!("Nothing is recorded here. With `-f {file}` it is also said what is not made yet.\n")
            }
            _ => text(&all, output),
        })?;
    }
    plan::tell_interrupted(&manager, output).await?;
    let unknown: Vec<&ResourceId> = all
        .iter()
        .filter(|status| status.state == StatusState::Unknown)
        .map(|status| &status.resource)
        .collect();
    output.unseen(&unknown);
    let code = if unknown.is_empty() { DONE } else { FAILED };
    plan::leave(manager, (desired, all), output).await?;
    Ok(code)
}

fn text(all: &[ResourceStatus], output: &Output) -> String {
    if all.is_empty() {
        return "Nothing is recorded here, and nothing is desired.\n".to_owned();
    }
    let width = all.iter().map(|status| status.resource.as_str().chars().count()).max().unwrap_or(0).min(60);
    let mut text = String::new();
    let (mut well, mut uncompared) = (0, 0);
    for status in all {
        let good =
            status.state == StatusState::Present && matches!(status.health, Health::None | Health::Healthy);
        let is_compared = status.uncompared.is_empty();
        well += usize::from(good && is_compared);
        uncompared += usize::from(good && !is_compared);
        // Hundreds of lines that say that all is well hide the one that does not.
        const SHOWN_MAX: usize = 200;
        if good && is_compared && all.len() > SHOWN_MAX && !output.verbose {
            continue;
        }
        let state = match status.state {
            StatusState::Present => "present",
            StatusState::Absent => "absent",
            StatusState::Drifted => "drifted",
            StatusState::Unknown => "unknown",
        };
        // Of what could not be seen nothing is known, its health least of all.
        let health = match (status.state, status.health) {
            (StatusState::Unknown, _) | (_, Health::None) => String::new(),
            (_, Health::Unknown) => " health unknown".to_owned(),
            (_, health) => format!(" {health}"),
        };
        let (color, reset) = match (output.color, good) {
            (false, _) => ("", ""),
            (true, true) => ("\x1b[32m", "\x1b[0m"),
            (true, false) => ("\x1b[31m", "\x1b[0m"),
        };
        let detail =
            status.detail.as_deref().map(|detail| format!("  {}", plain(detail))).unwrap_or_default();
        text.push_str(&format!("{:width$}  {color}{state}{health}{reset}{detail}\n", status.resource));
    }
    text.push_str(&match (well, all.len()) {
        (1, 1) => "The only resource is as it should be.".to_owned(),
        (well, total) if well == total => format!("All {total} resources are as they should be."),
        (1, total) => format!("1 of {total} resources is as it should be."),
        (well, total) => format!("{well} of {total} resources are as they should be."),
    });
    match uncompared {
        0 => {}
        1 => text.push_str(" 1 could not be compared as a whole."),
        many => text.push_str(&format!(" {many} could not be compared as a whole.")),
    }
    text.push('\n');
    text
}
