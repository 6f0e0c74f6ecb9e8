//! What fields a type has, asked of its own `Deserialize`.

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use crate::model::{Digest, Hasher};

/// The field names of a struct, in the order of its declaration; `None` when it is no struct, or a flattened one.
pub(super) fn fields_of<T: for<'de> Deserialize<'de>>() -> Option<&'static [&'static str]> {
    let mut found = None;
    let _refused = T::deserialize(Probe { found: &mut found });
    found
}

/// A digest of a kind's name and fields: it changes when a newer version of a program adds or drops one. Of what type a field
/// is it does not tell, nor anything of a kind that is no struct: whether a spec still reads is asked of the spec itself.
pub(super) fn schema_of(kind: &str, fields: Option<&[&str]>, outputs: Option<&[&str]>) -> Digest {
    let mut hasher = Hasher::new("detc.schema/1");
    hasher.part(kind.as_bytes());
    for names in [fields, outputs] {
        let names = names.unwrap_or_default();
        hasher.part(&(names.len() as u64).to_le_bytes());
        for name in names {
            hasher.part(name.as_bytes());
        }
    }
    hasher.finish()
}

/// Takes note of the fields a struct asks for, and gives it nothing.
struct Probe<'a> {
    found: &'a mut Option<&'static [&'static str]>,
}

#[derive(Debug, thiserror::Error)]
#[error("asked")]
struct Asked;

impl de::Error for Asked {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Asked;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Asked> {
        Err(Asked)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Asked> {
        *self.found = Some(&[]);
        Err(Asked)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Asked> {
        *self.found = Some(fields);
        Err(Asked)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    #[allow(dead_code)]
    struct Spec {
        path: String,
        mode: Option<u32>,
    }

    #[test]
    fn a_struct_tells_its_fields_and_unit_has_none() {
        assert_eq!(fields_of::<Spec>(), Some(&["path", "mode"][..]));
        assert_eq!(fields_of::<()>(), Some(&[][..]));
        assert_eq!(fields_of::<serde_json::Value>(), None);
    }
}
