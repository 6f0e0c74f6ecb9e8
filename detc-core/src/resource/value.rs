//! `value`: recorded only. It names a value once for others to refer to, and measures the engine.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::erased::{COMMON, KindFacts};
use super::schema::schema_of;
use super::{Kind, KindTraits, Known, ObservedBy, Removal, Removed};
use crate::action::{ActionCx, ActionError, CrashClass, Footprint};
use crate::model::{DesiredResource, Doc, Observation, nearest};

/// The spec of a `value`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueSpec {
    /// Any JSON.
    pub input: Value,
}

impl ValueSpec {
    /// The kind's name.
    pub const KIND: &'static str = "value";

    /// The resource `value/name` with this input.
    ///
    /// # Errors
    /// When `name`, or a reference within `input`, is wrong.
    pub fn resource(name: &str, input: &Value) -> Result<DesiredResource, String> {
        DesiredResource::from_value(ValueKind::NAME, name, &serde_json::json!({ "input": input }))
    }
}

/// The kind, written by hand: a spec of it needs no type to be checked.
#[derive(Debug)]
pub(super) struct ValueKind {
    facts: KindFacts,
    nothing: Arc<Value>,
}

impl ValueKind {
    pub(super) const NAME: &'static str = ValueSpec::KIND;

    pub(super) fn new() -> Self {
        let fields: &'static [&'static str] = &["input"];
        let traits =
            KindTraits { removal: Removal::Forget, observed_by: ObservedBy::Record, ..KindTraits::default() };
        let schema = schema_of(Self::NAME, Some(fields), None);
        Self {
            facts: KindFacts {
                name: Self::NAME,
                fields: Some(fields),
                outputs: Some(&[]),
                sample: None,
                schema,
                traits,
                // Nothing is ever done by what is recorded of it.
                reads: |_, _| Ok(()),
                defaults: |_| None,
            },
            nothing: Arc::new(Value::Object(serde_json::Map::new())),
        }
    }
}

#[async_trait]
impl Kind for ValueKind {
    fn facts(&self) -> &KindFacts {
        &self.facts
    }

    fn inspect(&self, spec: &Doc, _: Known) -> Result<Footprint, String> {
        let text = spec.text();
        if !text.starts_with("{\"input\":") {
            return Err(if text == "{}" { "`input` is missing".to_owned() } else { unknown(spec) });
        }
        // Cheap for the common case: a document that begins with `input` may still have fields after it.
        if !is_only_field(text) {
            return Err(unknown(spec));
        }
        Ok(Footprint::new(CrashClass::DeterministicName))
    }

    async fn observe(&self, _: &Value, _: &ActionCx<'_>) -> Result<Observation, ActionError> {
        Ok(Observation::Unobservable)
    }

    async fn create(&self, _: &Value, _: &ActionCx<'_>) -> Result<Value, ActionError> {
        Ok(Value::clone(&self.nothing))
    }

    async fn update(&self, _: &Value, _: &ActionCx<'_>) -> Result<Value, ActionError> {
        Ok(Value::clone(&self.nothing))
    }

    async fn delete(&self, _: &Value, _: &ActionCx<'_>) -> Result<Removed, ActionError> {
        Ok(Removed::Gone)
    }
}

/// Whether a canonical object text that begins with a field has no second one: a scalar runs to the closing brace.
fn is_only_field(text: &str) -> bool {
    let body = &text["{\"input\":".len()..text.len() - 1];
    let closes = |byte: &u8| matches!(byte, b'"' | b'\\');
    let simple_text =
        body.len() >= 2 && body.starts_with('"') && !body.as_bytes()[1..body.len() - 1].iter().any(closes);
    let number = !body.is_empty() && body.bytes().all(|byte| byte.is_ascii_digit());
    simple_text || number || serde_json::from_str::<ValueSpec>(text).is_ok()
}

fn unknown(spec: &Doc) -> String {
    let fields = spec.value();
    let name = fields.as_object().and_then(|object| object.keys().find(|key| *key != "input").cloned());
    let name = name.unwrap_or_default();
    match nearest(&name, ["input"].into_iter().chain(COMMON)) {
        Some(near) => format!("unknown field `{name}`: did you mean `{near}`?"),
        None => format!("unknown field `{name}`: value has input"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn inspect(fields: &Value) -> Result<(), String> {
        ValueKind::new().inspect(&Doc::new(fields), Known::All).map(drop)
    }

    #[test]
    fn just_an_input_is_accepted() {
        for input in
            [json!(1), json!("x"), json!("a \"b\""), json!({"a": [1]}), json!(null), json!("x\",\"y\":\"")]
        {
            assert_eq!(inspect(&json!({ "input": input })), Ok(()), "{input}");
        }
        assert_eq!(inspect(&json!({})), Err("`input` is missing".to_owned()));
        assert_eq!(
            inspect(&json!({"input": 1, "zone": 2})),
            Err("unknown field `zone`: value has input".to_owned())
        );
        assert_eq!(
            inspect(&json!({"inptu": 1})),
            Err("unknown field `inptu`: did you mean `input`?".to_owned())
        );
        assert_eq!(
            inspect(&json!({"input": "a", "z": "b"})),
            Err("unknown field `z`: value has input".to_owned())
        );
    }
}
