//! A kind of your own that lives on machines: a file that greets, on whatever host it is given, and tried with a whole manager.
//!
//! `docs/extending.md` explains it. Run it with `cargo run --example custom_resource`.

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use detc_core::backend::host::{Ownership, Remove};
use detc_core::backend::{HostError, MemoryHost};
use detc_core::model::{Observation, Present};
use detc_core::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource};
use detc_core::testing::cluster::{Faults, Scenario, check_cluster};
use detc_core::testing::resource::{Trial, check_resource};
use detc_core::{Desired, DesiredResource, Registry};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A file that greets whoever comes to a machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Greeting {
    text: String,
}

/// What others may refer to: `{ "from": "greeting/a", "output": "bytes" }`.
#[derive(Debug, Serialize, Deserialize)]
struct Greeted {
    bytes: usize,
}

const PLACE: &str = "/greeting";

#[async_trait]
impl Resource for Greeting {
    const KIND: &'static str = "greeting";
    type Output = Greeted;

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.host = HostNeed::Required;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Ok(Footprint::new(CrashClass::DeterministicName).owning(Place::path(PLACE)))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let text = match cx.host()?.read(PLACE, 4096).await {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(HostError::NotFound { .. }) => return Ok(Observation::Absent),
            Err(other) => return Err(other.into()),
        };
        let greeted = Greeted { bytes: text.len() };
        Ok(Observation::Present(Present::new().with_field("text", text).with_output(&greeted)))
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<Greeted, ActionError> {
        cx.host()?.write(PLACE, self.text.as_bytes(), &Ownership::default()).await?;
        Ok(Greeted { bytes: self.text.len() })
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<Greeted, ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        cx.host()?.remove(PLACE, Remove::File).await?;
        Ok(Removed::Gone)
    }
}

/// A machine of its own for each trial, and somebody else who removes the file.
fn greeted() -> Trial {
    let host = MemoryHost::new("a");
    let others = host.clone();
    Trial::in_memory(host, [json!({ "text": "hello" }), json!({ "text": "hello all" })]).tampered(
        "its file is removed",
        move || {
            others.with_files(|files| _ = files.remove(PLACE, Remove::File));
        },
    )
}

/// A machine that greets, and greets otherwise, and greets nobody.
fn scenario() -> Scenario {
    let greets = |text: &str| {
        let greeting = Greeting { text: text.to_owned() };
        Desired::new().with(DesiredResource::new("a", &greeting).on("a"))
    };
    let registry = Registry::new().with_resource::<Greeting>();
    Scenario::new(registry, [greets("hello"), greets("hello all"), Desired::new()])
        .with_host("a", MemoryHost::new("a"))
}

fn main() {
    // In a time that passes at once where everybody only waits.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("invariant: a runtime needs no more than a thread");
    let broken = runtime.block_on(check_resource::<Greeting>(greeted));
    println!("{} laws of a resource are broken.", broken.len());
    let checked = runtime.block_on(check_cluster(scenario, Faults::default()));
    println!("{} laws of a cluster are broken, in {} lives.", checked.violations.len(), checked.lives);
    assert!(broken.is_empty() && checked.violations.is_empty(), "{broken:?} {checked}");
}
