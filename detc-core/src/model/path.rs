//! Paths into documents: `env.PORT`, `ports.0`, `labels."a.b"`.

use std::fmt::{self, Debug, Display};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use thiserror::Error;

/// A path to a part of a document: keys and array indices joined by dots. A key that holds a dot or a quote, or is
/// empty, stands in double quotes, with `\"` and `\\` inside. At least one segment.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(Arc<str>);

/// What is wrong with a path.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{path}` is not a field path: {what}")]
pub struct InvalidPath {
    path: String,
    what: &'static str,
}

impl FieldPath {
    /// The path of these segments.
    pub fn from_segments<I, S>(segments: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let mut path = String::new();
        for segment in segments {
            push_segment(&mut path, segment.as_ref());
        }
        Self(path.into())
    }

    /// This path, one segment longer.
    #[must_use]
    pub fn child(&self, segment: &str) -> Self {
        let mut path = self.0.to_string();
        push_segment(&mut path, segment);
        Self(path.into())
    }

    /// The path as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its keys and indices.
    pub fn segments(&self) -> Vec<String> {
        split(&self.0).expect("invariant: a path was checked when it was made")
    }

    /// Whether this path is `other`, or leads to something that holds it.
    pub fn covers(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.segments(), other.segments());
        theirs.starts_with(&mine)
    }

    /// The part of `value` that it leads to.
    pub fn get<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.segments().iter().try_fold(value, |value, segment| match value {
            Value::Object(object) => object.get(segment),
            Value::Array(items) => items.get(segment.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// The part of `value` that it leads to, to be changed.
    pub fn get_mut<'v>(&self, value: &'v mut Value) -> Option<&'v mut Value> {
        self.segments().iter().try_fold(value, |value, segment| match value {
            Value::Object(object) => object.get_mut(segment),
            Value::Array(items) => items.get_mut(segment.parse::<usize>().ok()?),
            _ => None,
        })
    }
}

fn push_segment(path: &mut String, segment: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    if segment.is_empty() || segment.contains(['.', '"', '\\']) {
        path.push('"');
        for c in segment.chars() {
            if matches!(c, '"' | '\\') {
                path.push('\\');
            }
            path.push(c);
        }
        path.push('"');
    } else {
        path.push_str(segment);
    }
}

fn split(path: &str) -> Result<Vec<String>, &'static str> {
    let mut segments = Vec::new();
    let mut chars = path.chars().peekable();
    loop {
        let mut segment = String::new();
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars.next() {
                    Some('"') => break,
                    Some('\\') => segment.push(chars.next().ok_or("it ends within a quoted key")?),
                    Some(c) => segment.push(c),
                    None => return Err("it ends within a quoted key"),
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| *c != '.') {
                segment.push(c);
            }
            if segment.is_empty() {
                return Err("a key is empty");
            }
        }
        segments.push(segment);
        match chars.next() {
            None => return Ok(segments),
            Some('.') => {}
            Some(_) => return Err("a quoted key is followed by something other than a dot"),
        }
    }
}

impl FromStr for FieldPath {
    type Err = InvalidPath;

    fn from_str(path: &str) -> Result<Self, InvalidPath> {
        let segments = split(path).map_err(|what| InvalidPath { path: path.to_owned(), what })?;
        Ok(Self::from_segments(segments))
    }
}

impl Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Debug for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for FieldPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FieldPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_through_objects_and_arrays() {
        let value = json!({"a": [{"b.c": 1}]});
        let path: FieldPath = r#"a.0."b.c""#.parse().unwrap();
        assert_eq!(path.get(&value), Some(&json!(1)));
        assert_eq!("a.1".parse::<FieldPath>().unwrap().get(&value), None);
    }

    #[test]
    fn a_path_covers_what_lies_below_it() {
        let path = |text: &str| text.parse::<FieldPath>().unwrap();
        assert!(path("a.b").covers(&path("a.b.c")));
        assert!(!path("a.b").covers(&path("a.bc")));
    }

    #[test]
    fn bad_paths_are_refused() {
        for bad in ["", "a.", ".a", "\"a", "\"a\"b"] {
            assert!(bad.parse::<FieldPath>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_segments_read_back(segments in prop::collection::vec(".{0,6}", 1..4)) {
            let path = FieldPath::from_segments(&segments);
            prop_assert_eq!(path.as_str().parse::<FieldPath>().unwrap().segments(), segments);
        }
    }
}
