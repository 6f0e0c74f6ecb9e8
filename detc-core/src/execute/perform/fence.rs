//! Whether what an action was planned from is still so, just before it is done.

use super::around::{Call, Try};
use super::{PlanWork, Verb};
use crate::action::ActionError;
use crate::diff::ChangeKind;
use crate::model::Observation;
use crate::plan::{self, Plan};

impl PlanWork {
    /// What has become of the ground that an action was planned on, where it has moved and not by this plan.
    ///
    /// `seen` is what is there by the spec that is wanted; the plan was made from what was there by the recorded one.
    pub(super) async fn moved(
        &self,
        call: &Call<'_>,
        seen: &Observation,
    ) -> Result<Option<&'static str>, ActionError> {
        let Call { index, action, id, base, .. } = *call;
        let is_own_doing = call.begun_before || is_moved_by(&self.plan, index);
        // What can not be seen is judged by its record, which only the leader writes.
        if is_own_doing || *seen == Observation::Unobservable {
            return Ok(None);
        }
        let looked;
        let seen = match base {
            Some(base) if base.spec != *call.spec || base.host != action.host => {
                let extra = action.recording.as_ref().and_then(|recording| recording.extra.as_deref());
                let extra = extra.or(base.extra.as_deref());
                let token = base.triggers.as_deref();
                let place = (id, base.host.as_ref());
                let spec = self.around.with_known(&base.spec, call.spec);
                looked = self.around.look(place, &spec, Some(base), token, extra, Try::NONE).await?;
                &looked
            }
            Some(_) | None => seen,
        };
        let record = self.around.recorded.get(Self::recorded_id(action, id));
        let extra = match &action.recording {
            Some(recording) => recording.extra.as_deref(),
            None => base.and_then(|base| base.extra.as_deref()),
        };
        if plan::basis(record, seen, extra) == action.basis {
            return Ok(None);
        }
        Ok(Some(match (seen, action.verb) {
            (Observation::Absent, _) => "it is gone by now",
            (Observation::Present(_), Verb::Create) => "something is there by now",
            _ => "it has changed since",
        }))
    }
}

/// Whether a plan moves the ground of its own action: the action comes after others for more than an invariant's sake, or
/// is the second half of a replacement. What is only removed after others is not what they changed.
fn is_moved_by(plan: &Plan, index: u32) -> bool {
    let action = &plan.actions[index as usize];
    let is_second_half = action.verb == Verb::Create && plan.change_of(action).kind == ChangeKind::Replace;
    let is_for_invariant = |before: &u32| {
        let at = plan.ordered.partition_point(|(b, a, _)| (b, a) < (before, &index));
        plan.ordered.get(at).is_some_and(|(b, a, _)| (b, a) == (before, &index))
    };
    is_second_half || (!action.verb.removes() && !action.after.iter().all(is_for_invariant))
}
