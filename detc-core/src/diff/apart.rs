//! Which fields are apart: of what is seen, of what is recorded, of what is desired beside the spec.

use serde_json::Value;

use super::{Cause, FieldChange, compare};
use crate::model::{DesiredResource, Present, RecordBody};

/// The observed fields that differ from the wanted ones: drift where the wanted value is the recorded one, and where what
/// is seen is neither.
pub(super) fn seen_changes(present: &Present, recorded: &Value, wanted: &Value) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    for (name, seen) in &present.fields {
        let (wanted, recorded) =
            (wanted.get(name).unwrap_or(&Value::Null), recorded.get(name).unwrap_or(&Value::Null));
        let wrap = |value: &Value| Value::Object(serde_json::Map::from_iter([(name.clone(), value.clone())]));
        for mut change in compare(&wrap(seen), &wrap(wanted), Cause::Intent) {
            let recorded = wrap(recorded);
            let left = change.path.get(&recorded).unwrap_or(&Value::Null);
            if *left == change.to {
                change.cause = Cause::Drift;
            } else if !left.is_null() && *left != change.from {
                change.cause = Cause::Both;
            }
            changes.push(change);
        }
    }
    changes
}

pub(super) fn without_fields(value: &Value, present: Option<&Present>) -> Value {
    let mut value = value.clone();
    if let (Some(object), Some(present)) = (value.as_object_mut(), present) {
        object.retain(|name, _| !present.fields.contains_key(name));
    }
    value
}

/// What differs in relations, labels and protection.
pub(super) fn relation_changes(desired: &DesiredResource, body: &RecordBody) -> Vec<FieldChange> {
    let value =
        |extra: &crate::model::Extra| serde_json::to_value(extra).expect("invariant: properties are JSON");
    let before = body.extra.as_deref().map_or(Value::Object(serde_json::Map::new()), value);
    compare(&before, &value(desired.extra()), Cause::Intent)
}
