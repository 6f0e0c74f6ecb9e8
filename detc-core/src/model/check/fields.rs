//! All that is wrong with the fields of one resource. A reader stops at the first: what it stumbles over is taken out of its
//! way, and it reads again.

use serde_json::{Value, json};

use super::InvalidState;
use crate::model::{DesiredResource, Doc, FieldPath, Reference};
use crate::resource::{COMMON, Known, Registry, nearest};

/// How many are told of one resource: as many as one mends before the next try.
const TOLD_MAX: usize = 10;

/// What is wrong with the fields of a resource, one by one.
pub(super) fn wrong_fields(resource: &DesiredResource, registry: &Registry) -> Vec<InvalidState> {
    let Some(kind) = registry.kind(resource.id.kind()) else { return Vec::new() };
    let mut spec = resource.spec.value();
    let mut known = Known::of(resource);
    let mut wrong: Vec<String> = Vec::new();
    let mut removed: Vec<(FieldPath, Value)> = Vec::new();
    while let Err(said) = kind.inspect(&Doc::new(&spec), known) {
        let Some(at) = place_of(&said) else { break };
        // What is missing only since it was taken away is told already.
        let stand_in = removed.iter().find(|(before, _)| *before == at).map(|(_, stand_in)| stand_in.clone());
        let again = stand_in.is_some();
        if wrong.contains(&said) || wrong.len() == TOLD_MAX {
            break;
        }
        let done = if again || said.ends_with(" is missing") {
            known = Known::SomeLater;
            put(&mut spec, &at, stand_in.unwrap_or_else(later))
        } else {
            removed.push((at.clone(), stand_in_for(&said)));
            remove(&mut spec, &at, &said)
        };
        if !again {
            wrong.push(said);
        }
        if !done {
            break;
        }
    }
    wrong.into_iter().map(InvalidState::new).collect()
}

/// What is known only later, which is of any type.
fn later() -> Value {
    json!({ "from": "value/later", "output": "input" })
}

/// What can be read where a message was about what stood there.
fn stand_in_for(said: &str) -> Value {
    match said {
        _ if said.contains(" must be a list, ") => json!([later()]),
        _ if said.contains(" must be an object, ") => json!({}),
        _ => later(),
    }
}

/// The field that a message begins with: `` `a.b` must … ``, `` unknown field `c`: … `` or `` `a`: unknown field `c`: … ``.
fn place_of(said: &str) -> Option<FieldPath> {
    let quoted = |text: &str| Some(text.strip_prefix('`')?.split_once('`')?.0.to_owned());
    let unknown = |text: &str| quoted(text.strip_prefix("unknown field ")?);
    if let Some(name) = unknown(said) {
        return Some(FieldPath::from_segments([name]));
    }
    let first = quoted(said)?;
    let path: FieldPath = first.parse().ok()?;
    match said[first.len() + 2..].strip_prefix(": ").and_then(unknown) {
        Some(name) => Some(path.child(&name)),
        None => Some(path),
    }
}

/// The object that a field is in, and its name there.
fn parent<'v>(
    spec: &'v mut Value,
    at: &FieldPath,
) -> Option<(&'v mut serde_json::Map<String, Value>, String)> {
    let mut segments = at.segments();
    let name = segments.pop()?;
    let parent = if segments.is_empty() { spec } else { FieldPath::from_segments(segments).get_mut(spec)? };
    Some((parent.as_object_mut()?, name))
}

/// Takes a field away, and gives it the name that was meant where that is told.
fn remove(spec: &mut Value, at: &FieldPath, said: &str) -> bool {
    let Some((object, name)) = parent(spec, at) else { return put(spec, at, later()) };
    let Some(value) = object.remove(&name) else { return false };
    let meant = said.split_once("did you mean `").and_then(|(_, rest)| rest.strip_suffix("`?"));
    // What belongs to every resource is none of the fields of its kind.
    if let Some(meant) = meant.filter(|meant| !COMMON.contains(meant)) {
        object.entry(meant).or_insert(value);
    }
    true
}

fn put(spec: &mut Value, at: &FieldPath, value: Value) -> bool {
    if let Some(part) = at.get_mut(spec) {
        return std::mem::replace(part, value.clone()) != value;
    }
    parent(spec, at).is_some_and(|(object, name)| object.insert(name, value).is_none())
}

/// That what is sensitive within a field is there: a slip of the pen would show it.
pub(super) fn check_parts(resource: &DesiredResource, sensitive: &[FieldPath]) -> Result<(), InvalidState> {
    let within: Vec<(&FieldPath, Vec<String>)> =
        sensitive.iter().map(|path| (path, path.segments())).filter(|(_, names)| names.len() > 1).collect();
    if within.is_empty() {
        return Ok(());
    }
    let spec = resource.spec.value();
    for (path, names) in within {
        let Some(mut part) = spec.get(&names[0]) else { continue };
        for name in &names[1..] {
            let Some(object) = part.as_object().filter(|_| !Reference::is_form(part)) else { break };
            let Some(inner) = object.get(name) else {
                let error =
                    InvalidState::new(format!("`sensitive` names `{path}`, and there is no `{name}`"));
                return Err(match nearest(name, object.keys().map(String::as_str)) {
                    Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                    None => error.with_hint("correct it, or remove it"),
                });
            };
            part = inner;
        }
    }
    Ok(())
}
