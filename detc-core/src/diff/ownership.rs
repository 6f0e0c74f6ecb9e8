//! Fields that others decide: what is there counts for them, not what is written down.

use std::borrow::Cow;

use serde_json::Value;

use super::resource::{get_in, put};
use crate::model::{Doc, Extra, FieldOwner, FieldPath, Observation, Present};

/// The fields that others decide, now or for good.
fn theirs(extra: Option<&Extra>) -> impl Iterator<Item = &FieldPath> {
    let fields = extra.into_iter().flat_map(|extra| &extra.ownership);
    fields.filter(|(_, owner)| **owner != FieldOwner::Own).map(|(path, _)| path)
}

/// `wanted`, with the fields that others decide as they are.
pub(crate) fn with_theirs<'a>(wanted: &'a Doc, present: &Present, extra: Option<&Extra>) -> Cow<'a, Doc> {
    if theirs(extra).next().is_none() {
        return Cow::Borrowed(wanted);
    }
    let mut fields = wanted.value();
    for path in theirs(extra) {
        if let Some(seen) = get_in(&present.fields, path) {
            put(&mut fields, path, seen);
        }
    }
    Cow::Owned(Doc::new(&fields))
}

/// What was seen, without the fields that others decide: they may change at any time, and nothing rests on them.
pub(crate) fn ours<'a>(observed: &'a Observation, extra: Option<&Extra>) -> Cow<'a, Observation> {
    let Observation::Present(present) = observed else { return Cow::Borrowed(observed) };
    if theirs(extra).next().is_none() {
        return Cow::Borrowed(observed);
    }
    let mut present = present.clone();
    let mut fields = Value::Object(std::mem::take(&mut present.fields));
    for path in theirs(extra) {
        if let Some(part) = path.get_mut(&mut fields) {
            *part = Value::Null;
        }
    }
    if let Value::Object(fields) = fields {
        present.fields = fields;
    }
    Cow::Owned(Observation::Present(present))
}
