//! One run as a tree: each action below the one that it had to wait for longest.

use std::collections::BTreeMap;
use std::time::Duration;

use super::history::Times;
use crate::diff::Reason;
use crate::execute::journal::What;
use crate::manage::spoken;
use crate::model::ResourceId;
use crate::plan::Plan;
use crate::plan::render::plain;

pub(super) fn tree(plan: &Plan, times: &BTreeMap<u32, Times>) -> String {
    let ended_at = |index: u32| times.get(&index).and_then(|of| of.ended.as_ref()).map_or(0, |(at, _)| *at);
    let mut children: BTreeMap<Option<u32>, Vec<u32>> = BTreeMap::new();
    for (index, action) in plan.actions.iter().enumerate() {
        let parent = action.after.iter().copied().max_by_key(|before| (ended_at(*before), *before));
        children.entry(parent).or_default().push(index as u32);
    }
    let mut text = String::new();
    let mut stack: Vec<(u32, usize)> =
        children.remove(&None).unwrap_or_default().into_iter().rev().map(|root| (root, 1)).collect();
    while let Some((index, depth)) = stack.pop() {
        push(plan, index, times.get(&index), depth, &mut text);
        let below = children.remove(&Some(index)).unwrap_or_default();
        stack.extend(below.into_iter().rev().map(|child| (child, depth + 1)));
    }
    text
}

/// What is deeper than this stands this deep, with its depth before it: on any screen, lines further in can not be read, and
/// a chain would take the square of its length.
const DEPTH_MAX: usize = 30;

fn push(plan: &Plan, index: u32, times: Option<&Times>, depth: usize, text: &mut String) {
    let indent = depth.min(DEPTH_MAX) * 2;
    let deeper = if depth > DEPTH_MAX { format!("[{depth}] ") } else { String::new() };
    let (mark, outcome, error) = match times {
        Some(Times { ended: Some((_, what)), .. }) => word(what),
        Some(Times { started: Some(_), .. }) => word(&What::Started),
        _ => ("·", "not begun", None),
    };
    let at = |ms: &u64| spoken(Duration::from_millis(*ms));
    let time = match times {
        Some(Times { started: Some(started), ended: Some((ended, _)) }) => {
            format!(" in {}, begun at {}", at(&(ended.saturating_sub(*started))), at(started))
        }
        Some(Times { started: Some(started), ended: None }) => format!(", begun at {}", at(started)),
        Some(Times { started: None, ended: Some((ended, what)) })
            if !matches!(what, What::NotReached { .. }) =>
        {
            format!(" at {}", at(ended))
        }
        _ => String::new(),
    };
    let because = past(&plan.change_of(&plan.actions[index as usize]).reason);
    let id = plan.action_id(index);
    text.push_str(&format!("{:indent$}{deeper}{mark} {id} ({}): {outcome}{time}\n", "", plain(&because)));
    for line in error.iter().flat_map(|error| error.lines()) {
        text.push_str(format!("{:indent$}    {}", "", plain(line)).trim_end());
        text.push('\n');
    }
}

fn word(what: &What) -> (&'static str, &'static str, Option<&str>) {
    match what {
        What::Started => ("…", "in flight", None),
        What::Done => ("✓", "done", None),
        What::Satisfied => ("✓", "as it was", None),
        What::Failed { error } => ("✗", "failed", Some(error)),
        What::InDoubt { error } => ("?", "in doubt", Some(error)),
        What::Held { how } => ("↯", "held back", Some(how)),
        What::NotReached { .. } => ("-", "not reached", None),
    }
}

/// A reason as it is told afterwards: what was so when the plan was made.
fn past(reason: &Reason) -> String {
    match reason {
        Reason::New => "it was not there".to_owned(),
        Reason::Gone => "drift: it was gone".to_owned(),
        Reason::Needed(why) => format!("it was needed: {why}"),
        Reason::Found => "it was there, and not recorded".to_owned(),
        Reason::Renames(from) => {
            format!("it took the place of {from}, which was no longer desired and was removed first")
        }
        Reason::TakesPlace(of) => format!("it took the place of {of}, which was removed there first"),
        Reason::Trigger(ids) => {
            let ids: Vec<&str> = ids.iter().map(ResourceId::as_str).collect();
            format!("it restarts on {}, which changed", ids.join(", "))
        }
        Reason::Unhealthy(None) => "it was unhealthy".to_owned(),
        Reason::Unhealthy(Some(why)) => format!("it was unhealthy: {why}"),
        Reason::Late(id) => format!("it needed a value of {id}, which changed"),
        Reason::Immutable(field) => format!("`{field}` could not change in place"),
        Reason::Overtaken => "it was so already, and recorded otherwise".to_owned(),
        Reason::RecordOnly => "only what is recorded of it changed".to_owned(),
        Reason::NotDesired => "it was no longer desired".to_owned(),
        Reason::WasAdopted => "it was there before detc and was left as it was".to_owned(),
        Reason::WasOthers => "somebody else had made it, and it was left as it was".to_owned(),
        Reason::Unobserved(why) => format!("it could not be observed: {why}"),
        Reason::Waits(id) => format!("it came after {id}, of which nothing was known"),
        Reason::Same => "nothing differed".to_owned(),
        Reason::Restarts(why) => format!("{}; it was restarted", past(why)),
        Reason::Again(_) => reason.to_string().replacen("is done", "was done", 1),
        Reason::Begun | Reason::Intent | Reason::Drift | Reason::IntentAndDrift | Reason::Renamed(_) => {
            reason.to_string()
        }
    }
}
