//! What a spec leaves to its backend: the fields that it leaves out.
//!
//! Such a field is not detc's. It is not compared with what is observed, so that what a backend fills in there is neither drift
//! nor an effect that did not come about; so it is with Terraform's attributes that are optional and computed, and with
//! Kubernetes' server-side apply. A field that has a default says what that says, and is compared with it.

use serde_json::Value;

use super::KindFacts;
use crate::model::{Extra, Observation};

/// `seen`, which was looked for by `spec`, without the fields that this leaves to its backend.
pub(crate) fn of_spec(
    facts: &KindFacts,
    spec: &Value,
    extra: Option<&Extra>,
    seen: Observation,
) -> Observation {
    let Observation::Present(mut present) = seen else { return seen };
    let is_given = |name: &String| spec.get(name).is_some_and(|field| !field.is_null());
    // What others decide is kept as they have it, also where the spec says nothing of it.
    let theirs = |name: &String| {
        let mut paths = extra.into_iter().flat_map(|extra| extra.ownership.keys());
        paths.any(|path| path.segments().first() == Some(name))
    };
    let mut defaults = None;
    present.fields.retain(|name, seen| {
        if seen.is_null() || is_given(name) || theirs(name) {
            return true;
        }
        let defaults = defaults.get_or_insert_with(|| (facts.defaults)(spec).unwrap_or_default());
        let default = defaults.get(name).unwrap_or(&Value::Null);
        if seen == default {
            // It is seen to be what it is where it is left out.
            *seen = Value::Null;
            return true;
        }
        !says_nothing(default)
    });
    Observation::Present(present)
}

/// Whether a default leaves it open what the field is: there is none, or it has nothing in it.
fn says_nothing(default: &Value) -> bool {
    match default {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
