//! Reads a spec that is not complete: where a reference stands for a value, a value of the asked type is made up.
//!
//! The same where the mark of a sensitive value stands that this process was not given.
//!
//! So a spec's shape and its known fields are checked when it is written, not when the last value is known.

use serde::Deserializer;
use serde::Serialize;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeOwned, IntoDeserializer, Visitor};
use serde_json::{Value, json};

use super::LATER;
use crate::model::Reference;
use crate::model::secret::mark_of;

/// Reads a `T` from `value`. `Ok(None)`: a whole structure is known only later, so that nothing can be said yet.
pub(super) fn read_late<T: DeserializeOwned>(value: &Value) -> Result<Option<T>, String> {
    match T::deserialize(Late::new(value)) {
        Ok(spec) => Ok(Some(spec)),
        Err(LateError::TooEarly) => Ok(None),
        Err(LateError::Wrong(message)) => Err(message),
    }
}

/// Reads a `T` from `value`, with structures made up, too: some value of the type, of which nothing follows for the one that
/// comes. `None` where none could be made up.
pub(super) fn make_up<T: DeserializeOwned>(value: &Value) -> Option<T> {
    T::deserialize(Late { levels: Some(LEVELS_MAX), ..Late::new(value) }).ok()
}

/// How deep structures are made up: types may hold themselves.
const LEVELS_MAX: u8 = 8;

/// A value of the type with these fields, made up; `None` where that takes more than numbers, texts and the like. A text of
/// it is [`LATER`] where its type is a text, and [`OF_ANY_TYPE`] where it may be anything.
pub(super) fn sample_of<T: Serialize + DeserializeOwned>(fields: &[&str]) -> Option<Value> {
    let later = json!({ "from": "value/later", "output": "input" });
    let value = Value::Object(fields.iter().map(|name| ((*name).to_owned(), later.clone())).collect());
    serde_json::to_value(T::deserialize(Late { any: OF_ANY_TYPE, ..Late::new(&value) }).ok()?).ok()
}

/// Stands in a [sample](sample_of) for what its type does not tell.
pub(crate) const OF_ANY_TYPE: &str = "\u{1}of any type\u{1}";

/// A value in which a reference may stand for any other.
#[derive(Clone, Copy)]
pub(super) struct Late<'a> {
    value: &'a Value,
    /// How many more levels of structures are made up; `None`: no structure is.
    levels: Option<u8>,
    /// What is made up where any type will do.
    any: &'static str,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum LateError {
    #[error("known only later")]
    TooEarly,
    #[error("{0}")]
    Wrong(String),
}

impl de::Error for LateError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Wrong(message.to_string())
    }
}

impl From<serde_json::Error> for LateError {
    fn from(error: serde_json::Error) -> Self {
        Self::Wrong(error.to_string())
    }
}

/// Makes up a value where a reference stands, and otherwise reads what is there.
macro_rules! made_up {
    ($($method:ident $visit:ident $value:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, LateError> {
            if is_later(self.value) { visitor.$visit($value) } else { self.deserialize_any(visitor) }
        }
    )*};
}

impl<'de> Deserializer<'de> for Late<'de> {
    type Error = LateError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, LateError> {
        match self.value {
            value if is_later(value) => visitor.visit_str(self.any),
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => Ok(number.deserialize_any(visitor)?),
            Value::String(text) => visitor.visit_str(text),
            Value::Array(items) => {
                visitor.visit_seq(SeqDeserializer::new(items.iter().map(|item| self.of(item))))
            }
            Value::Object(object) => visitor.visit_map(MapDeserializer::new(
                object.iter().map(|(key, value)| (key.as_str(), self.of(value))),
            )),
        }
    }

    made_up! {
        deserialize_bool visit_bool false;
        deserialize_i8 visit_i8 1;
        deserialize_i16 visit_i16 1;
        deserialize_i32 visit_i32 1;
        deserialize_i64 visit_i64 1;
        deserialize_i128 visit_i128 1;
        deserialize_u8 visit_u8 1;
        deserialize_u16 visit_u16 1;
        deserialize_u32 visit_u32 1;
        deserialize_u64 visit_u64 1;
        deserialize_u128 visit_u128 1;
        deserialize_f32 visit_f32 1.0;
        deserialize_f64 visit_f64 1.0;
        deserialize_str visit_str LATER;
        deserialize_string visit_str LATER;
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, LateError> {
        let is_too_deep = self.levels == Some(0) && is_later(self.value);
        if self.value.is_null() || is_too_deep { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, LateError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, LateError> {
        if mark_of(self.value).is_some() {
            // One of them: enough where none would be wrong.
            return visitor.visit_seq(SeqDeserializer::new(std::iter::once(self)));
        }
        self.unless_late()?.deserialize_any(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, LateError> {
        if mark_of(self.value).is_some() {
            return visitor.visit_map(MapDeserializer::new(std::iter::empty::<(&str, Self)>()));
        }
        self.unless_late()?.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, LateError> {
        match self.levels {
            Some(levels) if is_later(self.value) => {
                let levels = Some(levels.checked_sub(1).ok_or(LateError::TooEarly)?);
                let within = Late { levels, ..self };
                visitor.visit_map(MapDeserializer::new(fields.iter().map(|name| (*name, within))))
            }
            // What serde derives would take the fields by their places.
            _ if self.value.is_array() => Err(de::Error::invalid_type(de::Unexpected::Seq, &visitor)),
            _ => self.unless_late()?.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, LateError> {
        match self.levels {
            Some(_) if is_later(self.value) => {
                visitor.visit_seq(SeqDeserializer::new(std::iter::repeat_n(self, len)))
            }
            _ => self.unless_late()?.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, LateError> {
        if mark_of(self.value).is_some() || self.value == LATER {
            return Err(LateError::TooEarly);
        }
        let mut references = Vec::new();
        let any = crate::model::collect_references(self.value, &mut references);
        if any.is_ok() && !references.is_empty() {
            return Err(LateError::TooEarly);
        }
        Ok(self.value.deserialize_enum(name, variants, visitor)?)
    }

    serde::forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct tuple_struct identifier ignored_any
    }
}

/// Whether a value is known only later, or is sensitive and was not given to this process.
fn is_later(value: &Value) -> bool {
    Reference::is_form(value) || mark_of(value).is_some()
}

impl<'a> Late<'a> {
    pub(super) fn new(value: &'a Value) -> Self {
        Self { value, levels: None, any: LATER }
    }

    fn of(self, value: &'a Value) -> Self {
        Self { value, ..self }
    }

    fn unless_late(self) -> Result<Self, LateError> {
        if is_later(self.value) { Err(LateError::TooEarly) } else { Ok(self) }
    }
}

impl<'de> IntoDeserializer<'de, LateError> for Late<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Spec {
        path: String,
        port: Option<u16>,
        #[serde(default)]
        env: BTreeMap<String, String>,
        #[serde(default)]
        nested: Option<Nested>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Nested {
        a: bool,
    }

    fn later(name: &str) -> Value {
        json!({"from": format!("value/{name}"), "output": "input"})
    }

    #[test]
    fn a_value_of_the_asked_type_stands_for_what_is_known_later() {
        let read: Spec =
            read_late(&json!({"path": later("a"), "port": later("b"), "env": {"K": later("c"), "L": "x"}}))
                .unwrap()
                .unwrap();
        assert_eq!((read.path.as_str(), read.port), (LATER, Some(1)));
        assert_eq!((read.env["K"].as_str(), read.env["L"].as_str()), (LATER, "x"));
    }

    #[test]
    fn a_structure_that_is_known_later_is_left_for_later() {
        assert_eq!(read_late::<Spec>(&json!({"path": "/", "nested": later("a")})), Ok(None));
    }

    #[test]
    fn structures_are_made_up_where_that_is_asked_for() {
        let made: Spec = make_up(&json!({"path": "/", "nested": later("a")})).unwrap();
        assert_eq!(made.nested, Some(Nested { a: false }));
        #[derive(Debug, serde::Deserialize)]
        struct Chain {
            next: Option<Box<Chain>>,
        }
        let chain: Chain = make_up(&later("a")).unwrap();
        let links = std::iter::successors(Some(&chain), |link| link.next.as_deref());
        assert_eq!(links.count(), usize::from(LEVELS_MAX));
        assert_eq!(make_up::<(u8, String)>(&later("a")), Some((1, LATER.to_owned())));
    }

    #[test]
    fn the_known_fields_are_checked_all_the_same() {
        let error = read_late::<Spec>(&json!({"path": later("a"), "prot": 1})).unwrap_err();
        assert!(error.contains("unknown field `prot`"), "{error}");
        let error = read_late::<Spec>(&json!({"path": later("a"), "port": "x"})).unwrap_err();
        assert!(error.contains("expected u16"), "{error}");
    }
}
