//! Whether what was seen is what is wanted.

use serde_json::Value;

use super::super::{Checked, Phase};
use crate::action::{CrashClass, ErrorClass};
use crate::diff::{Cause, Reason, compare};
use crate::model::{Doc, Health, Observation, Present, RecordBody, ResourceId, secret};
use crate::resource::Unhealthy;

/// Judges an observation against the wanted spec (sensitive values marked) and trigger token.
///
/// What a backend can not see is judged by the record before an apply, and taken for done after one.
pub(crate) fn judge(
    wanted: &Doc,
    observed: &Observation,
    recorded: Option<&RecordBody>,
    token: Option<&str>,
    phase: Phase,
    crash: CrashClass,
) -> Checked {
    let same_record = recorded.is_some_and(|body| body.spec == *wanted && body.triggers.as_deref() == token);
    match (observed, phase) {
        (Observation::Unknown(why), _) => Checked::Unknown(why.clone()),
        (Observation::Absent, _) => Checked::Needed("it is not there".to_owned()),
        (Observation::Needed(why), _) => Checked::Needed(why.clone()),
        (Observation::Unobservable, Phase::Verify) => Checked::Satisfied,
        (Observation::Unobservable, Phase::First | Phase::Settle) if same_record => Checked::Satisfied,
        (Observation::Unobservable, Phase::First) => Checked::Needed("it is not recorded so".to_owned()),
        (Observation::Unobservable, Phase::Settle) => match crash {
            CrashClass::AtMostOnce => Checked::Unknown("whether it happened can not be seen".to_owned()),
            CrashClass::DeterministicName
            | CrashClass::IdempotencyKey
            | CrashClass::FindableByTag
            | CrashClass::CompareAndSet => Checked::Needed("it is not recorded".to_owned()),
        },
        (Observation::Present(present), _) => {
            let wanted = wanted.value();
            if let Some(why) = seen_difference(&wanted, present, token) {
                return Checked::Needed(why);
            }
            match recorded_difference(&wanted, present, recorded, token) {
                Some(_) if phase == Phase::Settle && crash == CrashClass::AtMostOnce => {
                    Checked::Unknown("whether it was done once more can not be seen".to_owned())
                }
                Some(why) if phase != Phase::Verify => Checked::Needed(why),
                Some(_) | None => Checked::Satisfied,
            }
        }
    }
}

/// Judges the health of something that is as it should be: an action is done only when what it made works, if its kind says
/// that it comes to its end then. `is_begun`: an earlier try of it was not seen to end, so that nobody has waited until it works.
pub(super) fn judge_health(
    observed: &Observation,
    kind: Unhealthy,
    (phase, is_begun): (Phase, bool),
    crash: CrashClass,
) -> Checked {
    let Observation::Present(present) = observed else { return Checked::Satisfied };
    let is_awaited = is_begun && phase != Phase::Verify;
    let works = match (present.health, kind) {
        (Health::Healthy | Health::None, _) => true,
        (Health::Unhealthy, Unhealthy::Restarted) => false,
        (Health::Unhealthy, Unhealthy::Told) => !is_awaited,
        // Who makes it waits until it has answered. Of one that had answered before nothing follows.
        (Health::Unknown, Unhealthy::Restarted) => !is_awaited,
        (Health::Unknown, Unhealthy::Told) => true,
    };
    if works {
        return Checked::Satisfied;
    }
    let why = unhealthy(present);
    match phase {
        // Its kind waits for it, as it would have done, and says what comes of it.
        Phase::First => Checked::Needed(why),
        Phase::Settle if crash != CrashClass::AtMostOnce => Checked::Needed(why),
        Phase::Settle => Checked::Unknown(why),
        // It worked a moment ago.
        Phase::Verify => Checked::Failed(ErrorClass::Transient, why),
    }
}

/// That it does not work, and why not.
pub(crate) fn unhealthy(present: &Present) -> String {
    match present.health {
        Health::Unknown => match &present.detail {
            Some(why) => format!("its health is not known: {why}"),
            None => "its health is not known".to_owned(),
        },
        Health::Healthy | Health::Unhealthy | Health::None => {
            Reason::Unhealthy(present.detail.clone()).to_string()
        }
    }
}

/// What a person has to do about a resource whose last action may or may not have happened.
pub(crate) fn how_to_settle(id: &ResourceId) -> String {
    format!(
        "it must not be done twice: find out whether it was done, then settle it with `apply --settle done={id}` or \
         `apply --settle not-done={id}`"
    )
}

/// Judges an observation of something that should not be there.
pub(crate) fn judge_removed(observed: &Observation, phase: Phase) -> Checked {
    match (observed, phase) {
        (Observation::Unknown(why), _) => Checked::Unknown(why.clone()),
        (Observation::Absent | Observation::Needed(_), _) | (Observation::Unobservable, Phase::Verify) => {
            Checked::Satisfied
        }
        (Observation::Present(_), _) | (Observation::Unobservable, Phase::First | Phase::Settle) => {
            Checked::Needed("it is still there".to_owned())
        }
    }
}

/// In what that was seen differs from what is wanted.
fn seen_difference(wanted: &Value, present: &Present, token: Option<&str>) -> Option<String> {
    /// More are counted: it is a sentence.
    const TOLD_MAX: usize = 5;
    let mut told = Vec::new();
    for (name, seen) in &present.fields {
        let wanted = wanted.get(name).unwrap_or(&Value::Null);
        told.extend(compare(seen, wanted, Cause::Intent).into_iter().map(|change| {
            let path = if change.path.as_str().is_empty() {
                name.clone()
            } else {
                format!("{name}.{}", change.path)
            };
            format!("`{path}` is {}", differing(&change.from, &change.to))
        }));
    }
    let more = told.len().saturating_sub(TOLD_MAX);
    told.truncate(TOLD_MAX);
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    if !told.is_empty() {
        return Some(told.join("; "));
    }
    if let (Some(seen), Some(token)) = (&present.triggers, token)
        && seen != token
    {
        return Some("it has not restarted since what it restarts on changed".to_owned());
    }
    None
}

/// In what the record differs from what is wanted, where nothing was seen.
fn recorded_difference(
    wanted: &Value,
    present: &Present,
    recorded: Option<&RecordBody>,
    token: Option<&str>,
) -> Option<String> {
    let unseen = |value: &Value| {
        let mut value = value.clone();
        if let Some(object) = value.as_object_mut() {
            object.retain(|name, _| !present.fields.contains_key(name));
        }
        value
    };
    let recorded_spec = recorded.map_or(Value::Null, |body| body.spec.value());
    if recorded.is_some()
        && let Some(change) = compare(&unseen(&recorded_spec), &unseen(wanted), Cause::Intent).first()
    {
        let (is, should_be) = (&change.from, &change.to);
        return Some(match should_be.is_null() {
            true => format!("`{}` is recorded as {}, and is not given any more", change.path, brief(is)),
            false => format!("`{}` is recorded as {}", change.path, differing(is, should_be)),
        });
    }
    let judged_by_record = present.triggers.is_none() && token.is_some();
    if judged_by_record && recorded.is_some_and(|body| body.triggers.as_deref() != token) {
        return Some("it has not been done since what it restarts on changed".to_owned());
    }
    None
}

/// What a field is and should be, where the two are not the same.
fn differing(is: &Value, should_be: &Value) -> String {
    if secret::mark_of(is).is_some() && secret::mark_of(should_be).is_some() {
        return "another value, which is sensitive".to_owned();
    }
    match (is.is_null(), should_be.is_null()) {
        (_, true) => format!("{}, and is not as it is where it is not given", brief(is)),
        (true, false) => format!("not set, and should be {}", brief(should_be)),
        (false, false) => format!("{}, not {}", brief(is), brief(should_be)),
    }
}

/// A value, short enough for a sentence.
fn brief(value: &Value) -> String {
    const LEN_MAX: usize = 60;
    if value.is_null() {
        return "not set".to_owned();
    }
    let text = crate::diff::shown(value, &ToString::to_string).to_string();
    match text.char_indices().nth(LEN_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
