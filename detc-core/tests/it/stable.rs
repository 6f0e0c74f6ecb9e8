//! An output that no update changes is known all through one.

use std::sync::Arc;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint};
use detc_core::backend::MemoryHost;
use detc_core::backend::host::{Ownership, Remove};
use detc_core::execute::Outcome;
use detc_core::manage::{ApplyReport, Manager};
use detc_core::model::{Desired, DesiredResource, HostSpec, Observation, Present};
use detc_core::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource};
use detc_core::store::memory::MemoryStore;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::world::World;

const PATH: &str = "/tenant";

/// A tenant, with the id that its service has given it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tenant {
    quota: u32,
    /// What somebody who did not tell the truth about it changes.
    epoch: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Ids {
    id: u32,
    version: u32,
}

#[async_trait]
impl Resource for Tenant {
    const KIND: &'static str = "tenant";
    type Output = Ids;

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.host = HostNeed::Required;
        traits.stable_outputs = &["id"];
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
        let there: Self = serde_json::from_slice(&host.read(PATH, 1 << 10).await?).unwrap();
        let seen = Present::new().with_field("quota", there.quota).with_field("epoch", there.epoch);
        Ok(Observation::Present(seen.with_output(&there.ids())))
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<Ids, ActionError> {
        let text = json!(self).to_string();
        cx.host()?.write(PATH, text.as_bytes(), &Ownership::default()).await?;
        Ok(self.ids())
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<Ids, ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        cx.host()?.remove(PATH, Remove::File).await?;
        Ok(Removed::Gone)
    }
}

impl Tenant {
    fn ids(&self) -> Ids {
        Ids { id: 7 + self.epoch, version: self.quota }
    }
}

/// A tenant, and who uses this output of it.
fn desired(quota: u32, epoch: u32, output: &str) -> Desired {
    let host = HostSpec { connect: "memory".to_owned(), ..HostSpec::local() };
    let uses = json!({ "input": { "from": "tenant/t", "output": output } });
    Desired::new()
        .host("m", host)
        .with(DesiredResource::new("t", &Tenant { quota, epoch }).on("m"))
        .with(DesiredResource::from_value("value", "uses", &uses).unwrap())
}

async fn changed(manager: &Manager, desired: &Desired) -> Vec<String> {
    let planned = manager.plan(desired).await.unwrap();
    planned.plan.changes.iter().map(|change| change.resource.to_string()).collect()
}

async fn apply(manager: &Manager, desired: &Desired) -> ApplyReport {
    let planned = manager.plan(desired).await.unwrap();
    manager.apply(planned).await.unwrap()
}

async fn manager() -> Manager {
    let world = World::on(MemoryHost::new("m")).knowing(|registry| registry.with_resource::<Tenant>());
    world.manager(&(Arc::new(MemoryStore::new()) as _)).await
}

#[tokio::test]
async fn who_refers_to_it_is_not_affected_by_an_update() {
    for (output, affected) in [("id", &["tenant/t"][..]), ("version", &["tenant/t", "value/uses"])] {
        let manager = manager().await;
        assert_eq!(apply(&manager, &desired(1, 0, output)).await.report.outcome, Outcome::Done);
        assert_eq!(changed(&manager, &desired(2, 0, output)).await, affected, "{output}");
        assert_eq!(apply(&manager, &desired(2, 0, output)).await.report.outcome, Outcome::Done);
        assert!(changed(&manager, &desired(2, 0, output)).await.is_empty());
    }
}

#[tokio::test]
async fn an_update_that_changes_it_all_the_same_fails_and_names_the_kind() {
    let manager = manager().await;
    assert_eq!(apply(&manager, &desired(1, 0, "id")).await.report.outcome, Outcome::Done);
    let applied = apply(&manager, &desired(1, 1, "id")).await;
    let errors: Vec<&str> = applied.report.failures.iter().map(|failure| failure.error.as_str()).collect();
    let told = "kind `tenant` says that no update changes its output `id`, and this one has changed it; take `id` out of \
                `stable_outputs` of its `KindTraits`";
    assert_eq!(errors, [told]);
}
