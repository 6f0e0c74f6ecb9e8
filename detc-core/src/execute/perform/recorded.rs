//! What is recorded of an action's resource: when its making begins, when it has ended well, and when nothing came of it.

use bytes::Bytes;
use serde_json::Value;

use super::super::NodeEnd;
use super::super::journal::state_key;
use super::ground::Ground;
use super::{Open, PlanWork};
use crate::action::CrashClass;
use crate::model::secret::lies_in_mark;
use crate::model::{Observation, Record, RecordBody, Reference, ResourceId, collect_references};
use crate::plan::{PlannedAction, Verb};
use crate::store::Write;

impl PlanWork {
    /// What is recorded of a resource whose action ended so.
    pub(super) fn record(&self, index: u32, end: &NodeEnd, open: Open) -> (Record, RecordBody) {
        let (action, id) = self.action(index);
        let recording = action.recording.as_ref().expect("invariant: only what is made is recorded");
        let spec = open.spec.unwrap_or_else(|| action.spec.clone());
        let ground = self.ground(action, id, &spec);
        let made = ground.made();
        let kind = self.around.registry.kind(id.kind());
        let has_found = self.has_found(action, id, &ground, open.found);
        let observed = open.observed.unwrap_or(Observation::Unobservable);
        let mut output = match &observed {
            Observation::Present(present) => present.output.clone(),
            Observation::Absent
            | Observation::Needed(_)
            | Observation::Unobservable
            | Observation::Unknown(_) => None,
        };
        output = output.or(open.output).or_else(|| made.map(|body| body.output.clone()));
        let mut output = output.unwrap_or(Value::Null);
        self.around.seal_output(id, recording.extra.as_deref(), &mut output);
        let changed = match (end, made) {
            // What is only recorded has changed all the same, where it was recorded otherwise.
            (NodeEnd::Satisfied, Some(body))
                if (action.verb != Verb::Record || body.spec == spec) && !self.takes_part_of_mark(action) =>
            {
                body.changed.clone()
            }
            _ => format!("{}/{}", self.around.run, action.verb),
        };
        // What it is not to restart on any more, it may have restarted on after it was recorded.
        let carried = match &observed {
            Observation::Present(present) => present.triggers.clone(),
            _ => None,
        };
        let traces = self.around.traces(&spec, &observed, made);
        let was_adopted = made.is_some_and(|body| body.adopted);
        let body = RecordBody {
            adopted: has_found || (was_adopted && !matches!(action.verb, Verb::Create | Verb::Adopt)),
            cut_off: match (action.verb, &ground) {
                (Verb::Create, _) => open.is_found_made,
                (_, Ground::Begun(_)) => true,
                (_, _) => made.is_some_and(|body| body.cut_off),
            },
            made_as: match ground.base() {
                Some(body) => body.made_as.clone(),
                None => self.tried_as(action, id).filter(|tried| *tried != id).cloned(),
            },
            spec,
            output,
            host: action.host.clone(),
            after: recording.after.clone(),
            extra: recording.extra.clone(),
            triggers: open.triggers.or(carried).or_else(|| made.and_then(|body| body.triggers.clone())),
            traces,
            changed,
            schema: kind.map(|kind| kind.facts().schema.short()).unwrap_or_default(),
        };
        let seen = match (action.verb, &observed) {
            (Verb::Record, Observation::Unobservable) => {
                self.around.recorded.get(self.recorded_id(action, id)).map(Record::seen)
            }
            _ => None,
        };
        let seen = seen.unwrap_or_else(|| observed.fingerprint());
        (Record::new(recording.intent, recording.relations, seen, &body), body)
    }

    /// Whether it takes a part of what is marked as a whole. Later plans can compare that no more, and go by which of both was
    /// changed last: so it counts as changed also where the part is what it was.
    fn takes_part_of_mark(&self, action: &PlannedAction) -> bool {
        let mut references = Vec::new();
        if action.spec.may_hold_references() {
            let _never = collect_references(&action.spec.value(), &mut references);
        }
        references.iter().any(|Reference { from, output }| {
            self.record_of(from).is_some_and(|body| lies_in_mark(&body.output, output))
        })
    }

    /// What is written when the making of a resource begins: whatever becomes of this run, it is removed as detc's own when
    /// it is no longer desired.
    pub(super) fn note_begun(&self, index: u32, open: Open) -> Vec<Write> {
        let (action, id) = self.action(index);
        let (record, body) = self.record(index, &NodeEnd::Done, open);
        let recording = action.recording.as_ref().expect("invariant: only what is made is recorded");
        let begun = Record::begun(recording.relations, record.seen(), &body);
        let mut writes = vec![put(id, begun.as_bytes())];
        let before = self.recorded_id(action, id);
        writes.extend((before != id).then(|| Write::Delete(state_key(before))));
        writes
    }

    /// What is written when the making of a resource has failed: where nothing is there, what was recorded before it
    /// began; otherwise that it has begun.
    pub(super) fn note_failed(&self, index: u32, open: Open) -> Vec<Write> {
        let (action, id) = self.action(index);
        let before = self.recorded_id(action, id);
        let recorded = self.around.recorded.get(before);
        let is_begun_here = || {
            let begun = recorded.filter(|record| record.is_begun()).and_then(|record| record.body().ok());
            begun.is_some_and(|body| self.is_of_this_run(action, &body))
        };
        if !open.is_started && !is_begun_here() {
            return Vec::new();
        }
        if !open.is_nothing_made {
            // Of what must not be done twice, it is not noted when it begins: its doubt was.
            let is_unnoted = action.crash == CrashClass::AtMostOnce;
            return if is_unnoted { self.note_begun(index, open) } else { Vec::new() };
        }
        let ground = self.ground(action, id, open.spec.as_ref().unwrap_or(&action.spec));
        let kept = recorded.filter(|record| !record.is_begun() && !matches!(ground, Ground::SecondHalf));
        match kept {
            None => vec![Write::Delete(state_key(id))],
            Some(record) if before == id => vec![put(id, record.as_bytes())],
            Some(record) => vec![Write::Delete(state_key(id)), put(before, record.as_bytes())],
        }
    }
}

fn put(id: &ResourceId, record: &Bytes) -> Write {
    Write::Put { key: state_key(id), value: record.clone(), lease: None }
}
