//! What an action starts from: what is recorded of the very thing that it is about, and whose it is.

use std::sync::Arc;

use super::PlanWork;
use crate::action::CrashClass;
use crate::diff::ChangeKind;
use crate::model::{Doc, Record, RecordBody, ResourceId};
use crate::plan::{PlannedAction, Verb};
use crate::resource::{ObservedBy, Removal};

/// What is recorded of the very thing that an action is about.
#[derive(Clone, Debug)]
pub(super) struct Before {
    pub(super) body: Arc<RecordBody>,
    /// It is only known that its making had begun.
    pub(super) is_begun: bool,
}

impl Before {
    /// What was applied, of something that is known to have been made.
    pub(super) fn made(&self) -> Option<&RecordBody> {
        (!self.is_begun).then_some(&*self.body)
    }
}

impl PlanWork {
    /// The id that the resource is recorded under before this action.
    pub(super) fn recorded_id<'a>(&self, action: &'a PlannedAction, id: &'a ResourceId) -> &'a ResourceId {
        // Of a run that goes on, it may be recorded under the new one already.
        action.renamed_from().filter(|before| self.around.recorded.contains_key(*before)).unwrap_or(id)
    }

    pub(super) fn record_of(&self, id: &ResourceId) -> Option<Arc<RecordBody>> {
        if let Some(made) = self.state().made.get(id) {
            return Some(made.clone());
        }
        self.around.recorded.get(id).and_then(|record| record.body().ok()).map(Arc::new)
    }

    /// What is recorded of the resource, wherever that is.
    pub(super) fn recorded_before(&self, action: &PlannedAction, id: &ResourceId) -> Option<Before> {
        let recorded = self.recorded_id(action, id);
        let is_begun = self.around.recorded.get(recorded).is_some_and(Record::is_begun);
        let mut body = self.record_of(recorded)?;
        if recorded != id && body.made_as.is_none() {
            Arc::make_mut(&mut body).made_as = Some(recorded.clone());
        }
        Some(Before { body, is_begun })
    }

    /// What is recorded of the very thing that an action is about. What is made at another place than the recorded one, and
    /// what a replacement makes, is another thing.
    pub(super) fn before(&self, action: &PlannedAction, id: &ResourceId, spec: &Doc) -> Option<Before> {
        let before = self.recorded_before(action, id)?;
        if action.verb != Verb::Create {
            return Some(before);
        }
        let is_own =
            || before.is_begun && before.body.changed == format!("{}/{}", self.around.run, action.verb);
        if is_second_half(&self.plan, action) && !is_own() {
            return None;
        }
        (!self.is_elsewhere(action, id, spec, &before.body)).then_some(before)
    }

    /// Whether a record is about another place than the one that an action makes something at.
    fn is_elsewhere(&self, action: &PlannedAction, id: &ResourceId, spec: &Doc, body: &RecordBody) -> bool {
        if action.host != body.host {
            return true;
        }
        if *spec == body.spec {
            return false;
        }
        let kind = self.around.registry.kind(id.kind());
        let place = kind.map_or(&[][..], |kind| kind.facts().traits.replace_on);
        let (wanted, recorded) = (spec.value(), body.spec.value());
        let of = |spec: &serde_json::Value, field: &str| spec.get(field).filter(|it| !it.is_null()).cloned();
        place.iter().any(|field| of(&wanted, field) != of(&recorded, field))
    }

    /// Whether what an action makes is something that is there by itself, and is removed again: then it matters who made it.
    pub(super) fn is_thing(&self, action: &PlannedAction, id: &ResourceId) -> bool {
        let traits = self.around.registry.kind(id.kind()).map(|kind| &kind.facts().traits);
        action.recording.is_some()
            && traits.is_some_and(|it| it.removal == Removal::Delete && it.observed_by == ObservedBy::Backend)
    }

    /// Whether an action that makes something has come upon what was there before. What carries a mark of detc's is its own.
    pub(super) fn has_found(
        &self,
        action: &PlannedAction,
        id: &ResourceId,
        before: Option<&Before>,
        found: Option<bool>,
    ) -> bool {
        let is_marked = action.crash == CrashClass::FindableByTag;
        match (action.verb, found) {
            (Verb::Create | Verb::Adopt, _) if before.is_some_and(|before| before.is_begun) => false,
            (Verb::Create, Some(found)) => found && !is_marked && self.is_thing(action, id),
            // It had started before this process. Of what must not be done twice, its doubt tells; else it left no note
            // that it makes something new.
            (Verb::Create, None) => {
                !is_marked && self.is_thing(action, id) && !self.around.doubted_own.contains(id)
            }
            (Verb::Adopt, found) => found.unwrap_or(true),
            (Verb::Update | Verb::Restart | Verb::Record | Verb::Delete | Verb::Forget, _) => false,
        }
    }
}

/// Whether an action makes anew what another one of its plan has removed.
pub(super) fn is_second_half(plan: &crate::plan::Plan, action: &PlannedAction) -> bool {
    action.verb == Verb::Create && plan.change_of(action).kind == ChangeKind::Replace
}
