//! A plan as one JSON object, `detc.plan/1`, streamed: a million changes never stand in memory as a tree.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Lookup;
use crate::diff::{Cause, Change, ChangeKind, shown};
use crate::model::{Doc, ResourceId};
use crate::plan::{Examined, Plan, PlannedAction, Proved, Verb};

/// Writes `plan` for programs. `kept` are the ids of resources that are kept as they are, where they are to be listed;
/// the plan itself knows only how many there are.
///
/// # Errors
/// When `out` can not be written.
pub fn json(plan: &Plan, kept: &[ResourceId], out: &mut dyn Write) -> io::Result<()> {
    json_with(plan, kept, None, out)
}

/// The same, with something else that is known of the plan, by its name.
pub(crate) fn json_with(
    plan: &Plan,
    kept: &[ResourceId],
    more: Option<(&'static str, Value)>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let lookup = Lookup::new(plan);
    let mut out = io::BufWriter::with_capacity(1 << 16, out);
    serde_json::to_writer(&mut out, &Whole { lookup: &lookup, kept, more })?;
    out.write_all(b"\n")?;
    out.flush()
}

struct Whole<'a> {
    lookup: &'a Lookup<'a>,
    kept: &'a [ResourceId],
    more: Option<(&'static str, Value)>,
}

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (lookup, plan) = (self.lookup, self.lookup.plan);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("format", "detc.plan/1")?;
        map.serialize_entry("id", &plan.id)?;
        let changes = (0..plan.changes.len() as u32).map(|index| ChangeJson { lookup, index });
        map.serialize_entry(
            "changes",
            &Listed(|| changes.clone().map(Item::Change).chain(self.kept.iter().map(Item::Kept))),
        )?;
        map.serialize_entry("kept", &plan.kept)?;
        map.serialize_entry("left_out", &plan.left_out)?;
        let actions = (0..plan.actions.len() as u32).map(|index| ActionJson { plan, index });
        map.serialize_entry("actions", &Listed(|| actions.clone()))?;
        map.serialize_entry(
            "proof",
            &Listed(|| {
                let sums = plan.proofs.iter().map(|proved| Found::Sum(ProofJson { plan, proved }));
                sums.chain(plan.examined.iter().map(|found| Found::States(examined(plan, found))))
            }),
        )?;
        if let Some((name, more)) = &self.more {
            map.serialize_entry(name, more)?;
        }
        map.end()
    }
}

/// A list whose members are made one at a time.
struct Listed<F>(F);

impl<F: Fn() -> I, I: Iterator<Item: Serialize>> Serialize for Listed<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0())
    }
}

/// Something that serialises as its text.
struct Text<T>(T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

enum Item<'a> {
    Change(ChangeJson<'a>),
    Kept(&'a ResourceId),
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Change(change) => change.serialize(serializer),
            Self::Kept(id) => {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("resource", id)?;
                map.serialize_entry("change", &ChangeKind::Keep)?;
                map.serialize_entry("fields", &[(); 0])?;
                map.serialize_entry("reason", &Text(crate::diff::Reason::Same))?;
                map.end()
            }
        }
    }
}

#[derive(Clone, Copy)]
struct ChangeJson<'a> {
    lookup: &'a Lookup<'a>,
    index: u32,
}

impl Serialize for ChangeJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let change = self.lookup.change(self.index);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("resource", &change.resource)?;
        map.serialize_entry("change", &change.kind)?;
        map.serialize_entry("fields", &FieldsJson { lookup: self.lookup, change })?;
        map.serialize_entry("reason", &Text(&change.reason))?;
        map.end()
    }
}

struct FieldsJson<'a> {
    lookup: &'a Lookup<'a>,
    change: &'a Change,
}

impl Serialize for FieldsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let (ChangeKind::Create, Some(spec)) = (self.change.kind, &self.change.to) {
            return self.created(spec, serializer);
        }
        let known_after = |id: &ResourceId| self.lookup.source(id);
        let mut list = serializer.serialize_seq(Some(self.change.fields.len()))?;
        for field in &self.change.fields {
            list.serialize_element(&FieldJson {
                path: field.path.as_str(),
                from: &shown(&field.from, &known_after),
                to: &shown(&field.to, &known_after),
                cause: Some(field.cause),
            })?;
        }
        list.end()
    }
}

impl FieldsJson<'_> {
    /// The fields of something new: those of its spec, from nothing.
    fn created<S: Serializer>(&self, spec: &Doc, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        if !may_hold_placeholders(spec.text())
            && let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(spec.text())
        {
            for (path, to) in fields.iter().filter(|(_, to)| to.get() != "null") {
                list.serialize_element(&FieldJson {
                    path: &plain_path(path),
                    from: &Value::Null,
                    to,
                    cause: None,
                })?;
            }
            return list.end();
        }
        let known_after = |id: &ResourceId| self.lookup.source(id);
        for (path, to) in super::fields_of(spec).iter().filter(|(_, to)| !to.is_null()) {
            let to = shown(to, &known_after);
            list.serialize_element(&FieldJson {
                path: &plain_path(path),
                from: &Value::Null,
                to: &to,
                cause: None,
            })?;
        }
        list.end()
    }
}

/// Whether a document may hold marks or references; if it can not, its text is written as it is.
fn may_hold_placeholders(text: &str) -> bool {
    text.contains("$sensitive") || (text.contains("\"from\":") && text.contains("\"output\":"))
}

fn plain_path(name: &str) -> String {
    crate::model::FieldPath::from_segments([name]).as_str().to_owned()
}

struct FieldJson<'a, T> {
    path: &'a str,
    from: &'a Value,
    to: &'a T,
    cause: Option<Cause>,
}

impl<T: Serialize> Serialize for FieldJson<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("path", self.path)?;
        map.serialize_entry("from", self.from)?;
        map.serialize_entry("to", self.to)?;
        if let Some(cause) = self.cause {
            map.serialize_entry("cause", &cause)?;
        }
        map.end()
    }
}

#[derive(Clone, Copy)]
struct ActionJson<'a> {
    plan: &'a Plan,
    index: u32,
}

impl Serialize for ActionJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (plan, action) = (self.plan, &self.plan.actions[self.index as usize]);
        let change = plan.change_of(action);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &Text(Id { plan, index: self.index }))?;
        map.serialize_entry("kind", &Text(format_args!("{}.{}", change.resource.kind(), action.verb)))?;
        map.serialize_entry("resource", &change.resource)?;
        if let Some(host) = &action.host {
            map.serialize_entry("host", host)?;
        }
        map.serialize_entry("summary", &Text(Summary { action, change }))?;
        map.serialize_entry("reason", &Text(&change.reason))?;
        map.serialize_entry(
            "after",
            &Listed(|| action.after.iter().map(|index| Text(Id { plan, index: *index }))),
        )?;
        map.serialize_entry("crash", &action.crash)?;
        let index = self.index;
        let effects = plan.proofs.iter().filter_map(move |proved| {
            let at = proved.effects.binary_search_by_key(&index, |(action, _, _)| *action).ok()?;
            let (_, start, end) = proved.effects[at];
            Some(json!({ "invariant": proved.invariant.name, "start": start, "end": end }))
        });
        map.serialize_entry("effects", &Listed(|| effects.clone()))?;
        map.end()
    }
}

/// What was proven of one invariant.
struct ProofJson<'a> {
    plan: &'a Plan,
    proved: &'a Proved,
}

impl Serialize for ProofJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (plan, proved) = (self.plan, self.proved);
        let counterexample = proved.counterexample.as_ref().map(|found| {
            json!({
                "started": ids(plan, &found.started),
                "ended": ids(plan, &found.ended),
                "value": found.value,
                "story": plan.story(proved),
            })
        });
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("invariant", &proved.invariant.name)?;
        map.serialize_entry("bound", &proved.invariant.bound)?;
        map.serialize_entry("base", &proved.base)?;
        map.serialize_entry("worst", &proved.worst)?;
        if let Some(if_at_work) = &proved.if_at_work {
            let told = json!({ "base": proved.base_if_at_work(), "worst": if_at_work.worst });
            map.serialize_entry("if_at_work", &told)?;
        }
        map.serialize_entry("after", &proved.after())?;
        map.serialize_entry("holds", &proved.holds)?;
        map.serialize_entry("vacuous", &proved.vacuous)?;
        map.serialize_entry("counterexample", &counterexample)?;
        let own = plan.proofs.iter().position(|other| std::ptr::eq(other, proved));
        let added = plan.ordered.iter().filter(|(_, _, proof)| own == Some(*proof as usize));
        let added = added.map(|(before, after, _)| {
            json!({ "before": plan.action_id(*before), "after": plan.action_id(*after) })
        });
        map.serialize_entry("added", &Listed(|| added.clone()))?;
        map.end()
    }
}

/// What was proven of an invariant, or found of a predicate.
enum Found<'a> {
    Sum(ProofJson<'a>),
    States(Value),
}

impl Serialize for Found<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Sum(proof) => proof.serialize(serializer),
            Self::States(found) => found.serialize(serializer),
        }
    }
}

fn ids(plan: &Plan, actions: &[u32]) -> Vec<String> {
    actions.iter().map(|action| plan.action_id(*action)).collect()
}

/// What was found of a predicate. It has no number: what is one of a sum is null here.
fn examined(plan: &Plan, found: &Examined) -> Value {
    let counterexample = found.counterexample.as_ref().map(|refuted| {
        json!({
            "started": ids(plan, &refuted.started),
            "ended": ids(plan, &refuted.ended),
            "value": null,
            "story": plan.story_of(found),
        })
    });
    json!({
        "invariant": found.name,
        "bound": null,
        "base": null,
        "worst": null,
        "after": null,
        "holds": found.holds,
        "vacuous": found.vacuous,
        "not_before": found.before,
        "not_after": found.after,
        "states": { "looked_at": found.looked_at, "of": found.states, "drawn": found.drawn },
        "counterexample": counterexample,
    })
}

/// [`Plan::action_id`], without a string in between.
struct Id<'a> {
    plan: &'a Plan,
    index: u32,
}

impl Display for Id<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let action = &self.plan.actions[self.index as usize];
        write!(f, "{}:{}", action.verb, self.plan.change_of(action).resource)
    }
}

/// What an action does, in a few words.
pub(super) struct Summary<'a> {
    pub(super) action: &'a PlannedAction,
    pub(super) change: &'a Change,
}

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = &self.change.resource;
        match (self.action.verb, self.change.kind) {
            (Verb::Create, ChangeKind::Replace) => write!(f, "make {id} anew")?,
            (Verb::Delete, ChangeKind::Replace) => write!(f, "remove {id}, to make it anew")?,
            (Verb::Create, _) => write!(f, "create {id}")?,
            (Verb::Adopt, _) => write!(f, "adopt {id}")?,
            (Verb::Update, _) => write!(f, "update {id}")?,
            (Verb::Restart, _) => write!(f, "restart {id}")?,
            (Verb::Record, _) => write!(f, "change what is recorded of {id}")?,
            (Verb::Delete, _) => write!(f, "delete {id}")?,
            (Verb::Forget, _) => write!(f, "drop the record of {id}")?,
        }
        if self.action.sweeps {
            f.write_str(" with all that is in it")?;
        }
        match &self.action.host {
            Some(host) => write!(f, " on {host}"),
            None => Ok(()),
        }
    }
}
