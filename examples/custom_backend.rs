//! A kind of your own, on a backend of your own: feature flags, in a service that the application has already.
//!
//! `docs/extending.md` comes here step by step. Run it with `cargo run --example custom_backend`.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use detc_core::manage::ManagerOptions;
use detc_core::model::{Observation, Present};
use detc_core::resource::{InvalidField, KindTraits, Removed, Resource};
use detc_core::store::memory::MemoryStore;
use detc_core::testing::resource::{Calls, Trial, check_resource};
use detc_core::{Desired, DesiredResource, Manager, Registry};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The client of the flag service. Here the service is a table; yours sends requests.
#[derive(Debug, Default)]
struct Flags {
    percent: Mutex<BTreeMap<String, u8>>,
    calls: Calls,
}

impl Flags {
    fn table(&self) -> MutexGuard<'_, BTreeMap<String, u8>> {
        self.percent.lock().expect("invariant: nobody panics with the table in hand")
    }

    async fn get(&self, flag: &str) -> Result<Option<u8>, ActionError> {
        Ok(self.calls.look(&format!("get {flag}"), async { self.table().get(flag).copied() }).await?)
    }

    async fn put(&self, flag: &str, percent: u8) -> Result<(), ActionError> {
        let put = async { self.table().insert(flag.to_owned(), percent) };
        self.calls.change(&format!("put {flag}"), put).await?;
        Ok(())
    }

    async fn delete(&self, flag: &str) -> Result<(), ActionError> {
        let delete = async { self.table().remove(flag) };
        self.calls.change(&format!("delete {flag}"), delete).await?;
        Ok(())
    }
}

/// A feature flag: what share of the users have the feature.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flag {
    flag: String,
    percent: u8,
}

#[async_trait]
impl Resource for Flag {
    const KIND: &'static str = "flag";
    type Output = ();

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.replace_on = &["flag"];
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        if self.percent > 100 {
            return Err(InvalidField::new("percent", "must be at most 100"));
        }
        Ok(Footprint::new(CrashClass::DeterministicName).owning(Place::name("flag", &self.flag)))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        Ok(match cx.backend::<Flags>()?.get(&self.flag).await? {
            Some(percent) => Observation::Present(Present::new().with_field("percent", percent)),
            None => Observation::Absent,
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        cx.backend::<Flags>()?.put(&self.flag, self.percent).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        cx.backend::<Flags>()?.delete(&self.flag).await?;
        Ok(Removed::Gone)
    }
}

/// A flag service of its own for each trial, a flag in two states, and somebody else who turns it.
fn trial() -> Trial {
    let flags = Arc::new(Flags::default());
    let (seen, turned) = (flags.clone(), flags.clone());
    let specs = [json!({ "flag": "dark", "percent": 10 }), json!({ "flag": "dark", "percent": 50 })];
    Trial::of_backend(flags.calls.clone(), specs, move || format!("{:?}", seen.table()))
        .with_backend(flags)
        .tampered("somebody turns it", move || _ = turned.table().insert("dark".to_owned(), 99))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // What a test of yours does: every law of a resource, with each call cut off, lost and refused.
    let broken = check_resource::<Flag>(trial).await;
    println!("{} laws are broken.", broken.len());
    assert!(broken.is_empty(), "{broken:?}");

    // What your program does.
    let flags = Arc::new(Flags::default());
    let registry = Registry::new().with_resource::<Flag>().with_backend(flags.clone());
    let manager = Manager::open(Arc::new(MemoryStore::new()), registry, ManagerOptions::default()).await?;
    let dark = DesiredResource::new("dark", &Flag { flag: "dark".to_owned(), percent: 10 });
    let desired = Desired::new().with(dark);
    for (happens, turned_to) in
        [("Nothing is there yet.", None), ("Somebody turns it.", Some(99)), ("Nothing.", None)]
    {
        flags.table().extend(turned_to.map(|percent| ("dark".to_owned(), percent)));
        let planned = manager.plan(&desired).await?;
        println!("\n{happens}\n{}", planned.plan);
        manager.apply(planned).await?.into_result()?;
        assert_eq!(flags.table()["dark"], 10);
    }
    manager.close().await?;
    Ok(())
}
