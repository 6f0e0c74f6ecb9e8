//! What a change waits for, in a few words.

use serde_json::Value;

use super::fold::label;
use super::{Lookup, NONE, grouped};
use crate::model::{Reference, ResourceId};

/// Most resources that are named one by one.
const NAMED_MAX: usize = 3;

/// Most kinds of resources that are told apart.
const KINDS_MAX: usize = 3;

/// Most predecessors that are compared with each other to leave out those that others imply.
const COMPARED_MAX: usize = 16;

/// What `members`, which are in order and shown as one, come after, each with a semicolon before it: `; after
/// directory/a, 12 file/web-*/conf`. Those that are `told` otherwise are left out.
pub(super) fn waits(lookup: &Lookup<'_>, members: &[u32], told: &[ResourceId]) -> String {
    let mut before = before(lookup, members);
    let all = before.len();
    before.retain(|change| members.binary_search(change).is_err());
    let among_themselves = before.len() < all;
    before.retain(|change| !told.contains(&lookup.change(*change).resource));
    let mut text = String::new();
    if !before.is_empty() {
        text = format!("; after {}", named(lookup, &before).join(", "));
    }
    if among_themselves {
        text.push_str("; some after others of these");
    }
    text
}

/// The changes that these come directly after, in order.
pub(super) fn before(lookup: &Lookup<'_>, members: &[u32]) -> Vec<u32> {
    let mut before = Vec::new();
    for member in members {
        push_before(lookup, *member, &mut before);
    }
    before.sort_unstable();
    before.dedup();
    before
}

/// The changes that one comes directly after.
fn push_before(lookup: &Lookup<'_>, change: u32, before: &mut Vec<u32>) {
    let action = lookup.action_of[change as usize];
    if action == NONE {
        return;
    }
    let actions = &lookup.plan.actions;
    let is_own = |action: &u32| actions[*action as usize].change == change;
    let after = &actions[action as usize].after;
    // What is made anew comes after its own removal, and after all that this comes after.
    // What it names itself is told also where something else that it comes after implies it.
    let named = actions[action as usize].recording.as_ref().map(|recording| &recording.after);
    let is_named = |action: &u32| {
        let id = &lookup.change(actions[*action as usize].change).resource;
        named.is_some_and(|named| named.contains(id))
    };
    let removals =
        after.iter().filter(|action| is_own(action)).map(|action| &actions[*action as usize].after);
    for after in removals.chain([after]) {
        let implied = |action: &u32| {
            let imply =
                |other: &u32| other != action && actions[*other as usize].after.binary_search(action).is_ok();
            after.len() <= COMPARED_MAX && after.iter().filter(|other| !is_own(other)).any(imply)
        };
        let direct = after.iter().filter(|action| !is_own(action) && (is_named(action) || !implied(action)));
        let changes = direct.map(|action| actions[*action as usize].change);
        // Of two that are made anew, one is removed before the other and made after it: it is told of the latter.
        before.extend(changes.filter(|other| lookup.place(*other) < lookup.place(change)));
    }
}

fn named(lookup: &Lookup<'_>, changes: &[u32]) -> Vec<String> {
    let id = |change: &u32| lookup.change(*change).resource.to_string();
    if changes.len() <= NAMED_MAX {
        return changes.iter().map(id).collect();
    }
    let kind = |change: &u32| lookup.change(*change).resource.kind();
    let kinds: Vec<&[u32]> = changes.chunk_by(|a, b| kind(a) == kind(b)).collect();
    let mut parts: Vec<String> = kinds
        .iter()
        .take(KINDS_MAX)
        .map(|changes| match changes {
            [one] => id(one),
            many => format!("{} {}", grouped(many.len()), label(lookup, many)),
        })
        .collect();
    let more: usize = kinds.iter().skip(KINDS_MAX).map(|changes| changes.len()).sum();
    if more > 0 {
        parts.push(format!("{} more", grouped(more)));
    }
    parts
}

/// The resources that a value refers to.
pub(super) fn sources(value: &Value) -> Vec<ResourceId> {
    if let Ok(Some(Reference { from, .. })) = Reference::read(value) {
        return vec![from];
    }
    match value {
        Value::Array(items) => items.iter().flat_map(sources).collect(),
        Value::Object(object) => object.values().flat_map(sources).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}
