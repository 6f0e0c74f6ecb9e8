//! Field by field.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Cause;
use crate::model::{FieldPath, Reference, secret};

/// One field that differs. `null` stands for a field that is not there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Which field.
    pub path: FieldPath,
    /// What it is: as observed, or else as recorded.
    pub from: Value,
    /// What it will be.
    pub to: Value,
    /// Why it differs.
    pub cause: Cause,
}

/// The fields in which `now` differs from `wanted`. Objects are entered; lists, marks and references are whole.
pub fn compare(now: &Value, wanted: &Value, cause: Cause) -> Vec<FieldChange> {
    let mut found = Vec::new();
    walk(&mut Vec::new(), now, wanted, cause, &mut found);
    found
}

fn walk(path: &mut Vec<String>, now: &Value, wanted: &Value, cause: Cause, found: &mut Vec<FieldChange>) {
    if now == wanted {
        return;
    }
    match (entered(now), entered(wanted)) {
        (Some(a), Some(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                path.push(key.clone());
                walk(
                    path,
                    a.get(key).unwrap_or(&Value::Null),
                    b.get(key).unwrap_or(&Value::Null),
                    cause,
                    found,
                );
                path.pop();
            }
        }
        _ => found.push(FieldChange {
            path: FieldPath::from_segments(path.iter()),
            from: now.clone(),
            to: wanted.clone(),
            cause,
        }),
    }
}

fn entered(value: &Value) -> Option<&Map<String, Value>> {
    value.as_object().filter(|_| secret::mark_of(value).is_none() && !Reference::is_form(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_entered_and_lists_are_whole() {
        let changes = compare(
            &json!({"env": {"A": "1", "B": "2"}, "run": ["a", "b"], "mode": "0644"}),
            &json!({"env": {"A": "1", "B": "3", "C": "4"}, "run": ["a"], "mode": "0644"}),
            Cause::Intent,
        );
        let text: Vec<String> = changes
            .iter()
            .map(|change| format!("{}: {} -> {}", change.path, change.from, change.to))
            .collect();
        assert_eq!(text, ["env.B: \"2\" -> \"3\"", "env.C: null -> \"4\"", "run: [\"a\",\"b\"] -> [\"a\"]"]);
    }

    #[test]
    fn a_reference_is_one_value() {
        let reference = json!({"from": "value/a", "output": "input"});
        let changes = compare(&json!({"x": {"y": 1}}), &json!({ "x": reference }), Cause::Intent);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].path.as_str(), "x");
    }
}
