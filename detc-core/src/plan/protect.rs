//! That nothing which is protected is destroyed.

use super::decide::{damaged, observation};
use super::{Plan, PlanError, PlanInput};
use crate::diff::ChangeKind;
use crate::model::{Observation, Record, RecordBody};

/// Refuses a plan that destroys what is protected, be it where it is desired or where it was recorded. It is asked of what
/// a plan does: a part of a plan that leaves the removal out is not refused for it.
pub(super) fn check_protected(plan: &Plan, input: &PlanInput<'_>) -> Result<(), PlanError> {
    for action in plan.actions.iter().filter(|action| action.verb.removes()) {
        let change = plan.change_of(action);
        let id = &change.resource;
        let record = input.recorded.get(action.renamed_from().unwrap_or(id));
        // Of what was only begun there may be nothing.
        let is_begun = record.is_some_and(Record::is_begun);
        let is_nothing = match observation(id, input) {
            Observation::Absent => is_begun,
            Observation::Needed(_) => is_begun && change.kind == ChangeKind::Delete,
            _ => false,
        };
        if is_nothing || !matches!(change.kind, ChangeKind::Delete | ChangeKind::Replace) {
            continue;
        }
        let body = record.map(|record| record.body().map_err(|source| damaged(id, source))).transpose()?;
        let desired = input.desired.resources.get(id);
        if desired.is_some_and(|desired| desired.extra().protect)
            || body.as_ref().is_some_and(RecordBody::protected)
        {
            return Err(PlanError::Protected {
                resource: id.clone(),
                verb: change.kind,
                reason: change.reason.to_string(),
            });
        }
    }
    Ok(())
}
