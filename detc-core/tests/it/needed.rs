//! Why a step is needed is what its check says, wherever a plan is shown.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use detc_core::action::{Action, ActionCx, ActionError, Check, CrashClass, Footprint};
use detc_core::execute::{Outcome, unseen};
use detc_core::manage::{Manager, ManagerOptions};
use detc_core::model::{Desired, DesiredResource};
use detc_core::plan::{Plan, render};
use detc_core::resource::Registry;
use detc_core::resource::value::ValueSpec;
use detc_core::store::memory::MemoryStore;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A step that never does anything about what it is to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Migrate {
    to: u32,
    at: u32,
}

#[async_trait]
impl Action for Migrate {
    const KIND: &'static str = "migrate";
    type Output = ();

    fn footprint(&self) -> Footprint {
        Footprint::new(CrashClass::CompareAndSet)
    }

    async fn check(&self, _: &ActionCx<'_>) -> Result<Check<()>, ActionError> {
        Ok(if self.at < self.to {
            Check::Needed(format!("the schema is at {}, not {}", self.at, self.to))
        } else {
            Check::Satisfied(())
        })
    }

    async fn apply(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        Ok(())
    }
}

fn schema(at: u32) -> Desired {
    let value = ValueSpec::resource("v", &json!(1)).unwrap();
    Desired::new().with(DesiredResource::step("schema", &Migrate { to: 4, at })).with(value)
}

async fn manager() -> Manager {
    let registry = Registry::new().with_action::<Migrate>().with_action::<Restless>();
    Manager::open(Arc::new(MemoryStore::new()), registry, ManagerOptions::default()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_plan_says_why_a_step_is_needed_as_its_check_does() {
    const WHY: &str = "it is needed: the schema is at 3, not 4";
    let manager = manager().await;
    let plan = manager.plan(&schema(3)).await.unwrap().plan;
    assert!(plan.to_string().contains(&format!("+ create migrate/schema ({WHY})")), "{plan}");
    let mut written = Vec::new();
    render::json(&plan, &[], &mut written).unwrap();
    let json: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!((&json["changes"][0]["reason"], &json["actions"][0]["reason"]), (&json!(WHY), &json!(WHY)));
}

#[tokio::test(start_paused = true)]
async fn a_step_that_did_nothing_is_told_by_its_own_check() {
    let manager = manager().await;
    let planned = manager.plan(&schema(3)).await.unwrap();
    let report = manager.apply(planned).await.unwrap().report;
    assert_eq!(report.outcome, Outcome::Failed);
    let error = &report.failures[0].error;
    assert_eq!(error, "it says that it is done, and it is not: the schema is at 3, not 4 (`migrate.create`)");
}

/// A step whose check never says the same twice.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Restless {
    word: String,
}

#[async_trait]
impl Action for Restless {
    const KIND: &'static str = "restless";
    type Output = ();

    fn footprint(&self) -> Footprint {
        Footprint::new(CrashClass::DeterministicName)
    }

    async fn check(&self, _: &ActionCx<'_>) -> Result<Check<()>, ActionError> {
        static LOOKS: AtomicU32 = AtomicU32::new(0);
        Ok(Check::Needed(format!(
            "{} was not heard in look {}",
            self.word,
            LOOKS.fetch_add(1, Ordering::SeqCst)
        )))
    }

    async fn apply(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        Ok(())
    }
}

fn restless() -> DesiredResource {
    DesiredResource::step("r", &Restless { word: "open sesame".to_owned() })
}

#[tokio::test(start_paused = true)]
async fn why_a_step_is_needed_gives_no_secret_away() {
    let mut secret = restless();
    secret.extra_mut().sensitive.push("word".parse().unwrap());
    let plan = manager().await.plan(&Desired::new().with(secret)).await.unwrap().plan;
    let kept = serde_json::to_string(&*plan).unwrap();
    assert!(kept.contains("was not heard") && !kept.contains("sesame"), "{kept}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_not_stale_for_other_words_of_a_check() {
    let manager = manager().await;
    let desired = Desired::new().with(restless());
    let plan = manager.plan(&desired).await.unwrap().plan;
    let saved: Plan = serde_json::from_str(&serde_json::to_string(&*plan).unwrap()).unwrap();
    assert!(saved.is_intact(), "{saved}");
    let planned = manager.prepare(saved, Some(&desired), &mut unseen()).await.unwrap();
    let report = manager.apply(planned).await.unwrap().report;
    assert_eq!(report.tally.held, 0, "{report:?}");
}
