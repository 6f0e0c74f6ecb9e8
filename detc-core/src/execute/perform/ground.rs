//! What an action stands on: what is recorded of the very thing that it is about, and whose that is.

use std::sync::Arc;

use super::PlanWork;
use crate::action::CrashClass;
use crate::diff::{ChangeKind, moved};
use crate::model::{Doc, Observation, Record, RecordBody, ResourceId};
use crate::plan::{Plan, PlannedAction, Verb};
use crate::resource::{ObservedBy, Removal};

/// What is known of the very thing that an action is about, before it.
#[derive(Clone, Debug)]
pub(super) enum Ground {
    /// Nothing is recorded, and where it would be was looked at.
    New,
    /// Nothing is recorded, and where it would be was not known when that was planned.
    Late,
    /// It is what comes after a removal of the same plan: where it is to be, nobody has looked.
    SecondHalf,
    /// What is recorded is gone, and this is made at another place, where nobody has looked.
    Elsewhere(Arc<RecordBody>),
    /// It was made.
    Made(Arc<RecordBody>),
    /// It is only known that its making had begun, where it is to be.
    Begun(Arc<RecordBody>),
}

impl Ground {
    /// What is recorded of the thing itself.
    pub(super) fn base(&self) -> Option<&RecordBody> {
        match self {
            Self::Made(body) | Self::Begun(body) => Some(body),
            Self::New | Self::Late | Self::SecondHalf | Self::Elsewhere(_) => None,
        }
    }

    /// What was applied, of something that is known to have been made.
    pub(super) fn made(&self) -> Option<&RecordBody> {
        match self {
            Self::Made(body) => Some(body),
            Self::New | Self::Late | Self::SecondHalf | Self::Elsewhere(_) | Self::Begun(_) => None,
        }
    }

    /// Whether nobody had looked where it is to be when it was planned.
    pub(super) fn is_unseen(&self) -> bool {
        match self {
            Self::Late | Self::SecondHalf | Self::Elsewhere(_) => true,
            Self::New | Self::Made(_) | Self::Begun(_) => false,
        }
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
    pub(super) fn recorded_before(&self, action: &PlannedAction, id: &ResourceId) -> Option<Arc<RecordBody>> {
        let recorded = self.recorded_id(action, id);
        let mut body = self.record_of(recorded)?;
        if recorded != id && body.made_as.is_none() {
            Arc::make_mut(&mut body).made_as = Some(recorded.clone());
        }
        Some(body)
    }

    /// What an action of this spec, its references resolved, stands on.
    pub(super) fn ground(&self, action: &PlannedAction, id: &ResourceId, spec: &Doc) -> Ground {
        let second_half = is_second_half(&self.plan, action);
        let Some(body) = self.recorded_before(action, id) else {
            return match second_half {
                true => Ground::SecondHalf,
                false if action.spec.may_hold_references() => Ground::Late,
                false => Ground::New,
            };
        };
        let record = self.around.recorded.get(self.recorded_id(action, id));
        let is_begun = record.is_some_and(Record::is_begun);
        if second_half && !(is_begun && self.is_of_this_run(action, &body)) {
            return Ground::SecondHalf;
        }
        if action.verb == Verb::Create && self.is_elsewhere(action, id, spec, &body) {
            return Ground::Elsewhere(body);
        }
        if is_begun { Ground::Begun(body) } else { Ground::Made(body) }
    }

    /// Whether a record was made by this very action.
    pub(super) fn is_of_this_run(&self, action: &PlannedAction, body: &RecordBody) -> bool {
        body.changed == format!("{}/{}", self.around.run, action.verb)
    }

    /// Whether a record is about another place than the one that an action makes something at.
    fn is_elsewhere(&self, action: &PlannedAction, id: &ResourceId, spec: &Doc, body: &RecordBody) -> bool {
        // Of a kind that this program does not have nothing is done.
        let kind = self.around.registry.kind(id.kind());
        kind.is_some_and(|kind| moved(kind.facts(), (spec, action.host.as_ref()), body).is_some())
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
        ground: &Ground,
        found: Option<bool>,
    ) -> bool {
        let may_be_others = action.crash != CrashClass::FindableByTag && self.is_thing(action, id);
        match (action.verb, ground, found) {
            (Verb::Create, Ground::Begun(_), _) => false,
            // What was there when that was planned is not what the making that had begun would have left; it may have gone since,
            // and been made here.
            (Verb::Adopt, Ground::Begun(body), found) => {
                let is_found = self.plan.change_of(action).reason.is_found();
                is_found && !self.is_of_this_run(action, body) && found.unwrap_or(true)
            }
            // It was made here, was not seen when that was planned, and is back.
            (Verb::Create, Ground::Made(body), _) if !body.adopted => false,
            (Verb::Create, _, Some(found)) => found && may_be_others,
            // It had started before this process. Of what must not be done twice, its doubt tells; else it left no note
            // that it makes something new.
            (Verb::Create, _, None) => may_be_others && !self.around.doubted_own.contains(id),
            (Verb::Adopt, _, found) => found.unwrap_or(true),
            (Verb::Update | Verb::Restart | Verb::Record | Verb::Delete | Verb::Forget, _, _) => false,
        }
    }

    /// Whether an action makes something that was not there, and that would be nobody's if nothing was known of it.
    pub(super) fn is_made_anew(&self, index: u32) -> bool {
        let (action, id) = self.action(index);
        let open = self.state().open.get(&index).cloned().unwrap_or_default();
        let makes = match (action.verb, &open.observed) {
            (Verb::Create, _) => true,
            // What was to be adopted is gone by now.
            (Verb::Adopt, Some(Observation::Absent | Observation::Needed(_))) => true,
            _ => false,
        };
        if !makes || !self.is_thing(action, id) {
            return false;
        }
        let ground = self.ground(action, id, open.spec.as_ref().unwrap_or(&action.spec));
        !self.has_found(action, id, &ground, open.found)
    }

    /// Whether an action goes on with something of which only the beginning is known, and which was found to be detc's own: what it
    /// leaves when it is cut off in its turn is no longer what the first beginning has left.
    pub(super) fn is_made_on(&self, index: u32) -> bool {
        let (action, id) = self.action(index);
        if action.verb != Verb::Adopt || !self.is_thing(action, id) {
            return false;
        }
        let open = self.state().open.get(&index).cloned().unwrap_or_default();
        let ground = self.ground(action, id, open.spec.as_ref().unwrap_or(&action.spec));
        matches!(ground, Ground::Begun(_)) && !self.has_found(action, id, &ground, open.found)
    }

    /// The id under which a try of it may still be under way.
    pub(super) fn tried_as<'a>(
        &'a self,
        action: &'a PlannedAction,
        id: &'a ResourceId,
    ) -> Option<&'a ResourceId> {
        std::iter::once(id).chain(action.earlier_id()).find(|id| self.around.begun.contains(*id))
    }
}

/// Whether an action makes anew what another one of its plan has removed.
fn is_second_half(plan: &Plan, action: &PlannedAction) -> bool {
    action.verb == Verb::Create && plan.change_of(action).kind == ChangeKind::Replace
}
