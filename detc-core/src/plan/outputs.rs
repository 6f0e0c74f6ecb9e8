//! That every value that an action waits for is told by somebody.

use super::decide::damaged;
use super::{Plan, PlanError, PlanInput, Verb};
use crate::model::secret::lies_in_mark;
use crate::model::{Map, Observation, Reference, ResourceId, collect_references};
use crate::resource::ChangeEffect;

/// Refuses a plan in which something waits for an output that is not recorded and that nothing tells. It is asked of what a plan
/// does: a part of a plan that leaves out what waits is not refused for it.
///
/// What was sensitive is not refused: it was told, and is not stored.
pub(super) fn check_outputs(plan: &Plan, input: &PlanInput<'_>) -> Result<(), PlanError> {
    let mut verbs: Option<Map<&ResourceId, Verb>> = None;
    for action in plan.actions.iter().filter(|action| action.recording.is_some()) {
        if !action.spec.may_hold_references() {
            continue;
        }
        let mut references = Vec::new();
        let _never = collect_references(&action.spec.value(), &mut references);
        for reference in references {
            let verbs = verbs.get_or_insert_with(|| {
                let makes = plan.actions.iter().filter(|action| action.recording.is_some());
                makes.map(|action| (&plan.change_of(action).resource, action.verb)).collect()
            });
            if is_lost(&reference, verbs.get(&reference.from).copied(), input)? {
                let resource = plan.change_of(action).resource.clone();
                return Err(PlanError::NoOutput { resource, from: reference.from, output: reference.output });
            }
        }
    }
    Ok(())
}

/// Whether nobody knows an output, nor will. `verb` is what is done to what it is of.
fn is_lost(reference: &Reference, verb: Option<Verb>, input: &PlanInput<'_>) -> Result<bool, PlanError> {
    let Reference { from, output } = reference;
    let (Some(desired), Some(kind)) = (input.desired.resources.get(from), input.registry.kind(from.kind()))
    else {
        return Ok(false);
    };
    let (facts, top) = (kind.facts(), output.segments().swap_remove(0));
    let is_computed = facts.outputs.is_none_or(|outputs| outputs.contains(&top.as_str()));
    let present = match input.observed.get(from) {
        Some(Observation::Present(present)) => Some(present),
        _ => None,
    };
    let seen = present.and_then(|present| present.output.as_ref());
    if !is_computed || seen.is_some_and(|seen| output.get(seen).is_some() || lies_in_mark(seen, output)) {
        return Ok(false);
    }
    match verb {
        Some(Verb::Create | Verb::Update | Verb::Restart | Verb::Delete | Verb::Forget) => Ok(false),
        // What is known to be done already is not done.
        Some(Verb::Adopt) => {
            let is_done = present.is_some_and(|present| present.fields.is_empty());
            Ok(facts.traits.change == ChangeEffect::Rerun && is_done)
        }
        Some(Verb::Record) | None => {
            let earlier = || input.recorded.get(desired.extra().renamed_from.as_ref()?);
            let Some(record) = input.recorded.get(from).or_else(earlier) else { return Ok(false) };
            let body = record.body().map_err(|source| damaged(from, source))?;
            Ok(body.lookup(output).is_none() && !lies_in_mark(&body.output, output))
        }
    }
}
