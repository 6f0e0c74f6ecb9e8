//! A field that a spec leaves out is its backend's: it is compared with nothing.

use std::sync::Arc;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint};
use detc_core::backend::MemoryHost;
use detc_core::backend::host::{Ownership, Remove};
use detc_core::execute::Outcome;
use detc_core::manage::Manager;
use detc_core::model::{Desired, DesiredResource, HostSpec, Observation, Present};
use detc_core::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource};
use detc_core::store::memory::MemoryStore;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::world::World;

/// An account. Its service fills in what is not given.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    mail: String,
    #[serde(default)]
    plan: Option<String>,
    #[serde(default)]
    region: String,
    #[serde(default = "one")]
    seats: u32,
}

fn one() -> u32 {
    1
}

const PATH: &str = "/account";

#[async_trait]
impl Resource for Account {
    const KIND: &'static str = "account";
    type Output = ();

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.host = HostNeed::Required;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Ok(Footprint::new(CrashClass::DeterministicName))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let host = cx.host()?;
        if host.stat(PATH).await?.is_none() {
            return Ok(Observation::Absent);
        }
        let there: Value = serde_json::from_slice(&host.read(PATH, 1 << 10).await?).unwrap();
        let fields = there.as_object().unwrap().iter();
        Ok(Observation::Present(
            fields.fold(Present::new(), |seen, (name, field)| seen.with_field(name, field.clone())),
        ))
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        let region = if self.region.is_empty() { "eu" } else { &self.region };
        let plan = self.plan.as_deref().unwrap_or("free");
        let there = json!({ "mail": self.mail, "plan": plan, "region": region, "seats": self.seats });
        Ok(cx.host()?.write(PATH, there.to_string().as_bytes(), &Ownership::default()).await?)
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        cx.host()?.remove(PATH, Remove::File).await?;
        Ok(Removed::Gone)
    }
}

struct Service {
    world: World,
    manager: Manager,
}

impl Service {
    async fn new() -> Self {
        let world = World::on(MemoryHost::new("m")).knowing(|registry| registry.with_resource::<Account>());
        let manager = world.manager(&(Arc::new(MemoryStore::new()) as _)).await;
        Self { world, manager }
    }

    /// What is planned: each change with its fields.
    async fn planned(&self, fields: &Value) -> Vec<String> {
        let planned = self.manager.plan(&desired(fields)).await.unwrap();
        let said = |change: &detc_core::diff::Change| {
            let fields = change.fields.iter().map(|it| format!(" {}: {} -> {}", it.path, it.from, it.to));
            format!("{}: {}{}", change.kind, change.reason, fields.collect::<String>())
        };
        planned.plan.changes.iter().map(said).collect()
    }

    /// Applies, after which nothing is left to do.
    async fn apply(&self, fields: &Value) {
        let planned = self.manager.plan(&desired(fields)).await.unwrap();
        let applied = self.manager.apply(planned).await.unwrap();
        assert_eq!(applied.report.outcome, Outcome::Done, "{applied}");
        assert!(self.planned(fields).await.is_empty());
    }

    async fn there(&self) -> Value {
        serde_json::from_slice(&self.world.machine().read(PATH, 1 << 10).await.unwrap()).unwrap()
    }

    /// Somebody else sets these.
    async fn set(&self, fields: &Value) {
        let mut there = self.there().await;
        there.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let text = there.to_string();
        self.world.machine().write(PATH, text.as_bytes(), &Ownership::default()).await.unwrap();
    }
}

fn desired(fields: &Value) -> Desired {
    let host = HostSpec { connect: "memory".to_owned(), ..HostSpec::local() };
    Desired::new().host("m", host).with(DesiredResource::from_value("account", "a", fields).unwrap().on("m"))
}

fn account(fields: &Value) -> Value {
    let mut account = json!({ "mail": "a@example.org" });
    account.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    account
}

#[tokio::test]
async fn what_a_backend_fills_in_is_neither_drift_nor_an_effect_that_did_not_come_about() {
    let service = Service::new().await;
    let plain = account(&json!({}));
    service.apply(&plain).await;
    assert_eq!(service.there().await, account(&json!({ "plan": "free", "region": "eu", "seats": 1 })));
    service.set(&json!({ "plan": "pro", "region": "us" })).await;
    assert!(service.planned(&plain).await.is_empty());
    assert!(service.planned(&account(&json!({ "plan": null }))).await.iter().all(|it| !it.contains("pro")));
    // What is given is compared, and so is a default that says something.
    service.set(&json!({ "mail": "b@example.org", "seats": 5 })).await;
    let drift = r#"update: drift: it was changed behind detc's back mail: "b@example.org" -> "a@example.org" seats: 5 -> null"#;
    assert_eq!(service.planned(&plain).await, [drift]);
    let status = service.manager.status(None, &mut detc_core::execute::unseen()).await.unwrap();
    let told = "`mail` is \"b@example.org\", not \"a@example.org\"; `seats` is 5, and is not as it is where it is not given";
    assert_eq!(status[0].detail.as_deref(), Some(told));
    service.apply(&plain).await;
    assert_eq!(service.there().await["seats"], 1);
}

#[tokio::test]
async fn what_is_left_out_by_now_changes_once_and_is_compared_no_more() {
    let service = Service::new().await;
    let (with, without) = (account(&json!({ "plan": "pro" })), account(&json!({})));
    service.apply(&with).await;
    service.set(&json!({ "plan": "free" })).await;
    assert_eq!(
        service.planned(&with).await,
        [r#"update: drift: it was changed behind detc's back plan: "free" -> "pro""#]
    );
    service.apply(&with).await;
    assert_eq!(service.planned(&without).await, [r#"update: the desired state changed plan: "pro" -> null"#]);
    service.apply(&without).await;
    assert_eq!(service.there().await["plan"], "free", "it was changed without it");
    service.set(&json!({ "plan": "pro" })).await;
    assert!(service.planned(&without).await.is_empty());
}

#[tokio::test]
async fn what_is_found_is_adopted_with_what_is_left_out() {
    let service = Service::new().await;
    let host = service.world.machine();
    host.write(
        PATH,
        account(&json!({ "plan": "pro", "seats": 1 })).to_string().as_bytes(),
        &Ownership::default(),
    )
    .await
    .unwrap();
    let plain = account(&json!({}));
    assert_eq!(service.planned(&plain).await, ["adopt: it exists already and is not recorded"]);
    service.apply(&plain).await;
    assert_eq!(service.there().await["plan"], "pro");
}
