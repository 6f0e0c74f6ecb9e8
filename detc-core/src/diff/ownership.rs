//! Fields that others decide: what is there counts for them, not what is written down.

use std::borrow::Cow;

use serde_json::Value;

use super::resource::{get_in, put};
use crate::model::secret::holds_mark;
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

/// Where what is there is not as recorded because somebody else decides it: which fields, and who, in words.
pub(crate) fn said_of_theirs(recorded: &Doc, present: &Present, extra: Option<&Extra>) -> Option<String> {
    let recorded = recorded.value();
    let differs = |path: &FieldPath| {
        let recorded = path.get(&recorded);
        // A secret is recorded by its mark, with which a value is not compared.
        let is_secret = recorded.is_some_and(holds_mark);
        get_in(&present.fields, path).is_some_and(|seen| !is_secret && Some(&seen) != recorded)
    };
    let said = |(path, owner): (&FieldPath, &FieldOwner)| {
        let who = match owner {
            FieldOwner::Own => return None,
            FieldOwner::Yield(writer) => writer.as_str(),
            FieldOwner::Seed | FieldOwner::Observe => "somebody else",
        };
        differs(path).then(|| format!("`{path}` is as {who} has it, and not as recorded"))
    };
    let all: Vec<String> = extra?.ownership.iter().filter_map(said).collect();
    (!all.is_empty()).then(|| all.join("; "))
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
