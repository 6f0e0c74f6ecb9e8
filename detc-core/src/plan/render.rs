//! Plans for people and programs: text, JSON, graphs.
//!
//! ```text
//!            ┌─ fold ── entry ── text     Plan::text: what a reviewer reads
//!   Plan ────┼─ json                      json(): one object, streamed
//!            └─ graph ── layout ── svg    graph(): dot, mermaid, SVG
//! ```
//!
//! Readable at any size: ten thousand resources with the same change are one entry with a count and its exceptions.
//! Nothing here decides anything; everything is already in the plan.

use serde_json::Value;

use super::{Plan, PlannedAction, Verb};
use crate::diff::{Change, ChangeKind};
use crate::model::{HostName, ResourceId};

mod entry;
mod fold;
mod graph;
mod json;
mod layout;
mod lines;
mod proofs;
mod summary;
mod svg;
mod text;
mod value;
mod waits;

pub use graph::{GraphFormat, graph};
pub use json::json;
#[cfg(feature = "cli")]
pub(crate) use json::json_with;
pub use text::{Color, Detail, Purpose, TextOptions};
pub(crate) use value::plain;

/// Stands for "no action" among action numbers.
const NONE: u32 = u32::MAX;

/// A plan, with the way from each change to its actions.
struct Lookup<'a> {
    plan: &'a Plan,
    /// For each change the last of its actions: the one that makes or removes the thing.
    action_of: Vec<u32>,
}

impl<'a> Lookup<'a> {
    fn new(plan: &'a Plan) -> Self {
        let mut action_of = vec![NONE; plan.changes.len()];
        for (index, action) in plan.actions.iter().enumerate() {
            let slot = &mut action_of[action.change as usize];
            if *slot == NONE || !action.verb.removes() {
                *slot = index as u32;
            }
        }
        Self { plan, action_of }
    }

    fn change(&self, index: u32) -> &'a Change {
        &self.plan.changes[index as usize]
    }

    fn action(&self, change: u32) -> Option<&'a PlannedAction> {
        self.plan.actions.get(self.action_of[change as usize] as usize)
    }

    /// Where a change stands among all in the order in which they are done; what is not done comes last.
    fn place(&self, change: u32) -> (u32, u32) {
        (self.action_of[change as usize], change)
    }

    fn host(&self, change: u32) -> Option<&'a HostName> {
        self.action(change)?.host.as_ref()
    }

    /// Where the value of a reference to `id` will come from: the action, or the resource when no action of this plan
    /// makes it.
    fn source(&self, id: &ResourceId) -> String {
        let change = self.plan.changes.binary_search_by(|change| change.resource.cmp(id));
        match change.map(|change| self.action_of[change]) {
            Ok(action) if action != NONE => self.plan.action_id(action),
            Ok(_) | Err(_) => id.to_string(),
        }
    }
}

/// The character that stands for a kind of change.
fn symbol(kind: ChangeKind) -> char {
    match kind {
        ChangeKind::Create => '+',
        ChangeKind::Adopt => '=',
        ChangeKind::Update => '~',
        ChangeKind::Replace => '±',
        ChangeKind::Delete => '-',
        ChangeKind::Keep => ' ',
        ChangeKind::Unknown => '?',
    }
}

/// The character that stands for what an action does.
fn verb_symbol(verb: Verb) -> char {
    match verb {
        Verb::Create => '+',
        Verb::Adopt => '=',
        Verb::Update | Verb::Restart | Verb::Record => '~',
        Verb::Delete | Verb::Forget => '-',
    }
}

/// A whole number with a comma between each three digits.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `3 actions`, `1 action`.
fn counted(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// The top-level fields of a spec.
fn fields_of(spec: &crate::model::Doc) -> serde_json::Map<String, Value> {
    match spec.value() {
        Value::Object(object) => object,
        other => serde_json::Map::from_iter([("spec".to_owned(), other)]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Observation;
    use crate::plan::tests::support::{World, id, value};

    #[test]
    fn a_value_comes_from_an_action_or_else_from_its_resource() {
        let world = World::new().having([value("kept", json!(1))]);
        let world = world.want(["kept", "new", "unseen"].map(|name| value(name, json!(1))));
        let plan = world.see("value/unseen", Observation::Unknown("no answer".to_owned())).plan();
        let lookup = Lookup::new(&plan);
        let sources = ["value/kept", "value/new", "value/unseen"].map(|of| lookup.source(&id(of)));
        assert_eq!(sources, ["value/kept", "create:value/new", "value/unseen"]);
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        let text: Vec<String> = [0, 12, 999, 1_000, 25_000, 1_000_000].into_iter().map(grouped).collect();
        assert_eq!(text, ["0", "12", "999", "1,000", "25,000", "1,000,000"]);
    }
}
