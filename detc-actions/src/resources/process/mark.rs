//! What tells a process of ours from all others.
//!
//! A process carries its mark in its environment, `DETC_PROCESS=MARKER`, with the digests of what it was started from. As
//! some programs overwrite their environment, the shell that becomes the process also writes a record, *before* it does:
//! number, start time and boot. A bare process number is never trusted.

use std::collections::BTreeMap;

use detc_core::action::ActionCx;
use detc_core::model::{Digest, Doc, Hasher, Present};
use serde_json::Value;

/// The variable that holds the marker. Variables of this prefix are ours.
pub(super) const VARIABLE: &str = "DETC_PROCESS";

/// The fields that a running process was started from: a change of another needs no restart.
const FIELDS: [&str; 4] = ["command", "dir", "env", "log"];

/// The mark of one resource's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Of fixed length, so that none is the beginning of another.
    pub(super) marker: String,
    /// For people who look at the environment.
    pub(super) label: String,
    /// Digests of [`FIELDS`].
    pub(super) spec: String,
    /// The trigger token; empty for none.
    pub(super) triggers: String,
    /// Which action starts it, or looks at it.
    pub(super) action: String,
}

impl Mark {
    /// The mark that a process of `spec` should carry.
    pub(super) fn new(cx: &ActionCx<'_>, spec: &Value) -> Self {
        let mut hasher = Hasher::new("detc.process/1");
        hasher.part(cx.scope().as_bytes()).part(cx.identity().as_str().as_bytes());
        let mut marker = hasher.finish().to_string();
        marker.truncate(32);
        Self {
            marker,
            label: cx.identity().to_string(),
            spec: FIELDS.map(|field| digest(spec, field)).join("-"),
            triggers: cx.triggers().unwrap_or_default().to_owned(),
            action: Digest::of(cx.idempotency_key().as_bytes()).short(),
        }
    }

    /// The variables that carry it.
    pub(super) fn env(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (VARIABLE.to_owned(), format!("{}:{}", self.marker, self.label)),
            (format!("{VARIABLE}_SPEC"), self.spec.clone()),
            (format!("{VARIABLE}_TRIGGERS"), self.triggers.clone()),
        ])
    }
}

fn digest(spec: &Value, field: &str) -> String {
    Doc::new(spec.get(field).unwrap_or(&Value::Null)).digest().short()
}

/// Adds the fields of a process that was started from `running`, as far as they can be known: those that are as wanted,
/// those that are as recorded, and for others that they are neither. One that is not wanted at all, and that it was started
/// with, is told with its command, which always is: what a spec leaves out is not compared.
pub(super) fn observe(
    mut present: Present,
    running: &str,
    wanted: &Value,
    recorded: Option<&Value>,
) -> Present {
    let mut running = running.split('-');
    let mut surplus = Vec::new();
    for field in FIELDS {
        let running = running.next().unwrap_or_default();
        // What is sensitive in the recorded field is not there to be compared.
        present = present.with_trace(field, running);
        let seen = |spec: &Value| spec.get(field).cloned().unwrap_or(Value::Null);
        if seen(wanted).is_null() && running != digest(wanted, field) {
            surplus.push(format!("`{field}`"));
        }
        let value = if running == digest(wanted, field) {
            seen(wanted)
        } else if let Some(recorded) = recorded.filter(|spec| running == digest(spec, field)) {
            seen(recorded)
        } else {
            present = present.with_field(field, "(neither as wanted nor as recorded)");
            continue;
        };
        if value != seen(wanted) || !value.is_null() {
            present = present.with_field(field, value);
        }
    }
    if surplus.is_empty() {
        return present;
    }
    present.with_field("command", format!("(with {} that is not given)", surplus.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_seen_as_wanted_as_recorded_or_as_neither() {
        let started = json!({"command": ["a"], "env": {"K": "1"}});
        let running = FIELDS.map(|field| digest(&started, field)).join("-");
        let seen = |wanted: &Value, recorded: Option<&Value>| {
            Value::Object(observe(Present::new(), &running, wanted, recorded).fields)
        };
        assert_eq!(seen(&started, None), started);
        let wanted = json!({"command": ["b"], "dir": "/x", "env": {"K": "1"}});
        assert_eq!(seen(&wanted, Some(&started)), json!({"command": ["a"], "dir": null, "env": {"K": "1"}}));
        let fewer = json!({"command": ["a"]});
        let left = "(with `env` that is not given)";
        let both = json!({"command": left, "env": {"K": "1"}});
        assert_eq!(seen(&fewer, Some(&started)), both);
        let unseen = "(neither as wanted nor as recorded)";
        assert_eq!(seen(&fewer, None), json!({"command": left, "env": unseen}));
        assert_eq!(seen(&wanted, None), json!({"command": unseen, "dir": unseen, "env": {"K": "1"}}));
    }
}
