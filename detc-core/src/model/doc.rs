//! Canonical documents: JSON with sorted keys and no white space, so that equal content has equal bytes and digests.
//!
//! Specs, outputs and observed fields travel through diff, plan and journal in this form. Comparing two is comparing
//! two digests; they are taken apart only where they differ.

use std::fmt::{self, Debug, Display, Write as _};
use std::sync::Arc;

use serde::de::{self, DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Digest;

/// A canonical JSON document and its digest. Cloning shares the text.
#[derive(Clone)]
pub struct Doc {
    text: Arc<str>,
    digest: Digest,
}

impl Doc {
    /// The document of a value.
    pub fn new(value: &Value) -> Self {
        let mut text = String::new();
        write_canonical(value, &mut text);
        Self::from_canonical(text)
    }

    /// The document of anything that serialises.
    ///
    /// # Errors
    /// When the value can not be said in JSON (a map with keys that are no strings).
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_value(value).map(|value| Self::new(&value))
    }

    /// A document of text that is canonical already.
    pub(crate) fn from_canonical(text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        let digest = Digest::of(text.as_bytes());
        Self { text, digest }
    }

    /// `{}`.
    pub fn empty() -> Self {
        Self::from_canonical("{}")
    }

    /// The canonical text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The digest of the text.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether a reference may stand somewhere within: one has a field `from`, as other objects may have, too. It is a look at
    /// the text, as most documents have none, and to take one apart costs much more.
    pub(crate) fn may_hold_references(&self) -> bool {
        self.text.contains("\"from\":")
    }

    /// The document as a tree.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.text).expect("invariant: a document is valid JSON")
    }

    /// The document as a typed value.
    ///
    /// # Errors
    /// When it does not have the shape of `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.text)
    }
}

impl PartialEq for Doc {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Doc {}

impl Debug for Doc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Display for Doc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Doc {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.text).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Doc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        StrictValue::deserialize(deserializer).map(|value| Self::new(&value.0))
    }
}

/// Writes `value` with sorted keys and no white space.
pub fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => {
            write!(out, "{number}").expect("invariant: writing to a string does not fail");
        }
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| key.as_str());
            out.push('{');
            for (index, (key, item)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(key, out);
                out.push(':');
                write_canonical(item, out);
            }
            out.push('}');
        }
    }
}

/// Writes `text` as a JSON string.
pub(crate) fn write_string(text: &str, out: &mut String) {
    let plain = text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    if plain {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::to_string(text).expect("invariant: a string is JSON"));
    }
}

/// A JSON value in which an object that names a key twice is an error, where serde_json keeps the last one in silence.
#[derive(Clone, Debug, PartialEq)]
pub struct StrictValue(pub Value);

impl<'de> Deserialize<'de> for StrictValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        let number = serde_json::Number::from_f64(value)
            .ok_or_else(|| E::custom("a number that is infinite or not a number can not be kept"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<StrictValue>()? {
            items.push(item.0);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value::<StrictValue>()?.0;
            if object.contains_key(&key) {
                return Err(de::Error::custom(format_args!("`{key}` is given twice")));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_of_nothing_but_what_is_escaped_is_escaped() {
        for text in ["\n", "\u{1f}\n", "\"", "\"\"", "\\", " ", ""] {
            let doc = Doc::new(&json!({ "a": text }));
            assert_eq!(serde_json::from_str::<Value>(doc.text()).unwrap(), json!({ "a": text }), "{text:?}");
        }
    }

    #[test]
    fn equal_content_has_equal_text_whatever_its_order() {
        let a: Doc =
            serde_json::from_str(r#" { "b": [1, 2.50, null], "a": {"y": "\u0041\n", "x": true} } "#).unwrap();
        let b: Doc = serde_json::from_str(r#"{"a":{"x":true,"y":"A\n"},"b":[1,2.5,null]}"#).unwrap();
        assert_eq!(a, b);
        assert_eq!(a.text(), r#"{"a":{"x":true,"y":"A\n"},"b":[1,2.5,null]}"#);
        assert_eq!(a.value(), json!({"a": {"x": true, "y": "A\n"}, "b": [1, 2.5, null]}));
    }

    #[test]
    fn a_key_given_twice_is_an_error_at_any_depth() {
        let error = serde_json::from_str::<StrictValue>(r#"{"a":[{"b":1,"b":2}]}"#).unwrap_err();
        assert!(error.to_string().starts_with("`b` is given twice"), "{error}");
    }
}
