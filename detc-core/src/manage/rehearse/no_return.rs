//! From where on there is no way back: what is lost, or was done once, though all that was desired before is desired again.

use crate::action::CrashClass;
use crate::diff::{Cause, FieldChange};
use crate::manage::Manager;
use crate::plan::{Plan, PlannedAction, Verb};

impl Manager {
    /// The actions that have an effect which another plan does not undo, in the order of the plan: a removal (also the one
    /// in a replacement) takes along whatever is not in the spec; what is adopted and is otherwise than desired, or was changed by
    /// somebody else, is overwritten, and how it was is recorded nowhere; and what can not be looked at and happens once, happens.
    pub(super) fn no_return(&self, plan: &Plan) -> Vec<String> {
        let lasting = (0..).zip(&plan.actions).filter(|(_, action)| is_lasting(plan, action));
        let has_effect = |index: u32| !self.is_by_record(plan.resource_of(index));
        lasting.filter(|(index, _)| has_effect(*index)).map(|(index, _)| plan.action_id(index)).collect()
    }
}

fn is_lasting(plan: &Plan, action: &PlannedAction) -> bool {
    match action.verb {
        Verb::Record | Verb::Forget => false,
        Verb::Delete => true,
        Verb::Adopt => !plan.change_of(action).fields.is_empty() || action.crash == CrashClass::AtMostOnce,
        Verb::Update | Verb::Restart => {
            let has_drifted = |field: &FieldChange| match field.cause {
                Cause::Intent => false,
                Cause::Drift | Cause::Both => !field.from.is_null(),
            };
            plan.change_of(action).fields.iter().any(has_drifted) || action.crash == CrashClass::AtMostOnce
        }
        Verb::Create => action.crash == CrashClass::AtMostOnce,
    }
}
