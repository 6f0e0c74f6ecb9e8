//! An [`Action`] as a kind: a step that stands in the desired state like any resource, is brought back after a crash by its
//! name, and has outputs that others refer to.

use std::fmt::{self, Debug};
use std::marker::PhantomData;

use async_trait::async_trait;
use serde_json::Value;

use super::erased::{
    KindFacts, explain, explain_late, read_known, reads_as, said, unknown_yet, with_defaults,
};
use super::late::{make_up, read_late, sample_of};
use super::schema::{fields_of, schema_of};
use super::{ChangeEffect, Kind, KindTraits, Known, Removal, Removed};
use crate::action::{Action, ActionCx, ActionError, Check, Footprint};
use crate::model::secret::has_mark;
use crate::model::{Doc, Observation, Present};

/// The kind of an action: looking is `check`, making and changing is `apply`, and there is nothing to remove.
pub(super) struct Step<A> {
    facts: KindFacts,
    action: PhantomData<fn() -> A>,
}

impl<A: Action> Step<A> {
    pub(super) fn new() -> Self {
        let (fields, outputs) = (fields_of::<A>(), fields_of::<A::Output>());
        let schema = schema_of(A::KIND, fields, outputs);
        let traits =
            KindTraits { change: ChangeEffect::Rerun, removal: Removal::Forget, ..KindTraits::default() };
        let sample = outputs.and_then(sample_of::<A::Output>);
        Self {
            facts: KindFacts {
                name: A::KIND,
                fields,
                outputs,
                sample,
                schema,
                traits,
                reads: reads_as::<A>,
                defaults: with_defaults::<A>,
            },
            action: PhantomData,
        }
    }

    fn read(&self, fields: &Value) -> Result<A, ActionError> {
        read_known(fields, &self.facts)
            .map_err(|said| ActionError::permanent(format!("the fields do not fit `{}`: {said}", A::KIND)))
    }

    async fn apply(&self, fields: &Value, cx: &ActionCx<'_>) -> Result<Value, ActionError> {
        said(A::KIND, &self.read(fields)?.apply(cx).await?)
    }
}

impl<A> Debug for Step<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Step({})", self.facts.name)
    }
}

#[async_trait]
impl<A: Action> Kind for Step<A> {
    fn facts(&self) -> &KindFacts {
        &self.facts
    }

    fn inspect(&self, spec: &Doc, known: Known) -> Result<Footprint, String> {
        if known == Known::SomeLater || has_mark(spec.text()) {
            let early = read_late::<A>(&spec.value())
                .map_err(|error| explain_late::<A>(&self.facts, spec, &error))?;
            let unknown = || unknown_yet(make_up::<A>(&spec.value()).map(|action| action.footprint()));
            return Ok(early.map_or_else(unknown, |action| action.footprint()));
        }
        spec.parse::<A>()
            .map(|action| action.footprint())
            .map_err(|error| explain::<A>(&self.facts, spec, &error))
    }

    async fn observe(&self, fields: &Value, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        Ok(match self.read(fields)?.check(cx).await? {
            Check::Satisfied(output) => {
                // What the check has found to be so is as these fields say.
                let mut present = Present::new().with_output(&output);
                present.fields = fields.as_object().cloned().unwrap_or_default();
                Observation::Present(present)
            }
            Check::Needed(why) => Observation::Needed(why),
            Check::Unknown(why) => Observation::Unknown(why),
        })
    }

    async fn create(&self, fields: &Value, cx: &ActionCx<'_>) -> Result<Value, ActionError> {
        self.apply(fields, cx).await
    }

    async fn update(&self, fields: &Value, cx: &ActionCx<'_>) -> Result<Value, ActionError> {
        self.apply(fields, cx).await
    }

    async fn delete(&self, _: &Value, _: &ActionCx<'_>) -> Result<Removed, ActionError> {
        Ok(Removed::Gone)
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;
    use crate::action::CrashClass;

    #[derive(Debug, Serialize, Deserialize)]
    struct Pay {
        account: Account,
        #[serde(default)]
        by: Way,
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Account {
        number: u64,
    }

    #[derive(Debug, Default, Serialize, Deserialize)]
    enum Way {
        #[default]
        Wire,
        Card {
            number: u64,
        },
    }

    #[async_trait]
    impl Action for Pay {
        const KIND: &'static str = "pay";
        type Output = ();

        fn footprint(&self) -> Footprint {
            Footprint::new(match self.by {
                Way::Wire => CrashClass::IdempotencyKey,
                Way::Card { .. } => CrashClass::AtMostOnce,
            })
        }

        async fn check(&self, _: &ActionCx<'_>) -> Result<Check<()>, ActionError> {
            Ok(Check::Unknown("nothing tells".into()))
        }

        async fn apply(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
            Ok(())
        }
    }

    #[test]
    fn how_an_outcome_is_found_out_is_known_though_a_structure_is_late_or_sensitive_and_never_guessed() {
        let class =
            |fields: Value| Step::<Pay>::new().inspect(&Doc::new(&fields), Known::SomeLater).unwrap().crash;
        for account in [
            json!({"from": "value/a", "output": "input"}),
            json!({"$sensitive": crate::model::Digest::of(b"x")}),
        ] {
            assert_eq!(class(json!({ "account": account })), CrashClass::IdempotencyKey);
            let by_card = json!({ "account": account, "by": { "Card": { "number": 1 } } });
            assert_eq!(class(by_card), CrashClass::AtMostOnce);
            assert_eq!(class(json!({ "account": { "number": 1 }, "by": account })), CrashClass::AtMostOnce);
        }
    }
}
