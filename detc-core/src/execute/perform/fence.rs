//! Whether what an action was planned from is still so, just before it is done.
//!
//! What has moved holds the action back, unless the plan itself may have moved it: an action that it comes after writes, or
//! may write, a place that it touches. Which one it was in fact nobody can tell.

use super::around::{Call, Try};
use super::ground::Ground;
use super::{Phase, PlanWork, Verb};
use crate::action::{ActionError, CrashClass, Footprint, Place};
use crate::diff::{may_be_changed_by, may_be_made_by, with_theirs};
use crate::model::{Doc, HostName, Observation, ResourceId, Set};
use crate::plan::{self, Plan};
use crate::resource::{Known, LATER, ObservedBy};

impl PlanWork {
    /// What has become of the ground that an action was planned on, where it has moved and neither by this plan nor by a try of
    /// the action that was cut off.
    ///
    /// `seen` is what is there by the spec that is wanted; the plan was made from what was there by the recorded one.
    pub(super) async fn moved(
        &self,
        call: &Call<'_>,
        seen: &Observation,
        phase: Phase,
    ) -> Result<Option<&'static str>, ActionError> {
        let Call { index, action, id, ground, .. } = *call;
        let is_tried = phase == Phase::Settle;
        if action.verb == Verb::Create && (is_tried || matches!(ground, Ground::Begun(_))) {
            let is_others = !self.may_be_left_of_try(call, seen, seen)
                && !self.may_be_moved_by_plan(index, id, call.spec);
            return Ok(is_others.then_some("something else is there by now"));
        }
        let is_others = ground.is_unseen()
            && action.verb == Verb::Create
            && matches!(seen, Observation::Present(_))
            && action.crash != CrashClass::FindableByTag
            && self.is_thing(action, id);
        // Nobody has looked there before: what is found is shown before it is changed.
        let found = is_others.then_some("something is there already");
        let base = match ground {
            Ground::Late | Ground::SecondHalf => return Ok(found),
            Ground::New => None,
            Ground::Elsewhere(body) | Ground::Made(body) | Ground::Begun(body) => Some(&**body),
        };
        // A try that was not seen to end may have changed it.
        let may_be_tried = call.begun_before && !matches!(ground, Ground::Elsewhere(_));
        if may_be_tried && !self.is_known_what_tries_leave(call) {
            return Ok(None);
        }
        // What can not be seen is judged by its record, which only the leader writes.
        if *seen == Observation::Unobservable {
            return Ok(None);
        }
        let looked;
        let by_wanted = seen;
        let seen = match base {
            Some(base) if base.spec != *call.spec || base.host != action.host => {
                let token = base.triggers.as_deref();
                let place = (id, base.host.as_ref());
                // What another version has recorded was looked at by what is wanted, which is at the same place.
                let kind = self.around.registry.kind(id.kind());
                let spec = match kind.map(|kind| kind.facts().reads(&base.spec)) {
                    Some(Err(_)) => call.spec.clone(),
                    Some(Ok(())) | None => self.around.with_known(&base.spec, call.spec),
                };
                looked = self.around.look(place, &spec, Some(base), token, call.extra, Try::NONE).await?;
                &looked
            }
            Some(_) | None => seen,
        };
        let record = self.around.recorded.get(self.recorded_id(action, id));
        let extra = match &action.recording {
            Some(recording) => recording.extra.as_deref(),
            None => base.and_then(|base| base.extra.as_deref()),
        };
        if plan::basis(record, seen, extra) == action.basis {
            if found.is_some() {
                self.state().open.entry(index).or_default().is_obsolete = true;
            }
            return Ok(found);
        }
        if may_be_tried && self.may_be_left_of_try(call, by_wanted, seen) {
            return Ok(None);
        }
        // What is only removed after others is not what they changed.
        if !action.verb.removes() && self.may_be_moved_by_plan(index, id, call.spec) {
            return Ok(None);
        }
        Ok(Some(match (seen, action.verb) {
            (Observation::Absent | Observation::Needed(_), _) => "it is gone by now",
            (Observation::Present(_), Verb::Create) => "something is there by now",
            _ => "it has changed since",
        }))
    }

    /// Whether nothing is seen of what is to be removed, and no other look or answer bears that out: the plan was made from
    /// another one, or the end of a removal is not known.
    pub(super) fn is_gone_against_expectation(
        &self,
        call: &Call<'_>,
        phase: Phase,
        seen: &Observation,
    ) -> bool {
        let Call { action, id, ground, .. } = *call;
        if !action.verb.removes() || *seen != Observation::Absent {
            return false;
        }
        match phase {
            Phase::First => {
                let record = self.around.recorded.get(self.recorded_id(action, id));
                let extra = ground.base().and_then(|base| base.extra.as_deref());
                plan::basis(record, seen, extra) != action.basis
            }
            // What must not happen twice is in doubt where one look can not tell.
            Phase::Settle => action.crash != CrashClass::AtMostOnce,
            Phase::Verify => false,
        }
    }

    /// Whether anything is known of what a try that was cut off leaves: some fields are written at once, and nothing else tells
    /// whose it is, as a mark of detc's does.
    fn is_known_what_tries_leave(&self, call: &Call<'_>) -> bool {
        let Some(kind) = self.around.registry.kind(call.id.kind()) else { return false };
        let is_marked = || {
            let footprint = kind.inspect(call.spec, Known::SomeLater);
            footprint.is_ok_and(|footprint| footprint.crash == CrashClass::FindableByTag)
        };
        !kind.facts().traits.at_once.is_empty() && !is_marked()
    }

    /// Whether what is there may be what a try of the action has left that was cut off. `before` is what is there by the spec that
    /// the plan was made with.
    fn may_be_left_of_try(&self, call: &Call<'_>, seen: &Observation, before: &Observation) -> bool {
        let Call { action, id, .. } = *call;
        let (Observation::Present(seen), Observation::Present(before)) = (seen, before) else { return true };
        let Some(kind) = self.around.registry.kind(id.kind()) else { return true };
        if !self.is_known_what_tries_leave(call) {
            return true;
        }
        // What others decide tells nothing of a try: they may have changed it since.
        let spec = |present| with_theirs(call.spec, present, call.extra).value();
        match action.verb {
            Verb::Create => may_be_made_by(kind.facts(), &spec(seen), seen),
            // Its spec is the recorded one.
            Verb::Delete | Verb::Forget => may_be_made_by(kind.facts(), &spec(before), before),
            Verb::Adopt | Verb::Update | Verb::Restart | Verb::Record => {
                let change = self.plan.change_of(action);
                may_be_changed_by(kind.facts(), (&spec(seen), change), (seen, before))
            }
        }
    }

    /// Whether what a call has come upon may come from this very plan: nothing was there when it was made.
    pub(super) fn is_from_plan(&self, call: &Call<'_>) -> bool {
        let Call { index, action, id, ground, .. } = *call;
        action.verb == Verb::Create && !ground.is_unseen() && self.may_be_moved_by_plan(index, id, call.spec)
    }

    /// Whether an action that this one comes after, for more than an invariant's sake, may change what it touches.
    fn may_be_moved_by_plan(&self, index: u32, id: &ResourceId, spec: &Doc) -> bool {
        let own = self.footprint(id, spec);
        let host = self.plan.actions[index as usize].host.as_ref();
        let (mut met, mut open) = (Set::<u32>::default(), vec![index]);
        while let Some(index) = open.pop() {
            for before in &self.plan.actions[index as usize].after {
                if is_for_invariant(&self.plan, *before, index) || !met.insert(*before) {
                    continue;
                }
                if self.may_change(*before, &own, host) {
                    return true;
                }
                open.push(*before);
            }
        }
        false
    }

    /// Whether an action may change what `own` touches on `host`.
    fn may_change(&self, index: u32, own: &Footprint, host: Option<&HostName>) -> bool {
        let (action, id) = self.action(index);
        let kind = self.around.registry.kind(id.kind());
        let has_effects = kind.is_none_or(|kind| kind.facts().traits.observed_by == ObservedBy::Backend)
            && !matches!(action.verb, Verb::Record | Verb::Forget);
        if !has_effects {
            return false;
        }
        let theirs = self.footprint(id, &action.spec);
        let overlap = |written: &Place| {
            // What is owned says nothing of what lies within it, or nobody could own that; its removal does.
            let within = action.verb.removes() || !theirs.owns.contains(written);
            own.reads.iter().chain(&own.writes).any(|touched| {
                written == touched
                    || !is_known(written)
                    || !is_known(touched)
                    || written.lies_within(touched)
                    || (within && touched.lies_within(written))
            })
        };
        theirs.more || own.more || (action.host.as_ref() == host && theirs.writes.iter().any(overlap))
    }

    /// What an action touches; of what can not be understood it is not known.
    pub(super) fn footprint(&self, id: &ResourceId, spec: &Doc) -> Footprint {
        let kind = self.around.registry.kind(id.kind());
        let footprint = kind.and_then(|kind| kind.inspect(spec, Known::SomeLater).ok());
        footprint.unwrap_or_else(|| Footprint::new(CrashClass::DeterministicName).touching_more())
    }
}

/// Whether one action comes after another only so that an invariant holds.
fn is_for_invariant(plan: &Plan, before: u32, after: u32) -> bool {
    let at = plan.ordered.partition_point(|(b, a, _)| (*b, *a) < (before, after));
    plan.ordered.get(at).is_some_and(|(b, a, _)| (*b, *a) == (before, after))
}

/// Whether it is known where a place is.
fn is_known(place: &Place) -> bool {
    match place {
        Place::Path(path) => !path.contains(LATER) && path.split('/').all(|name| name != ".."),
        Place::Name { name, .. } => !name.contains(LATER),
    }
}
