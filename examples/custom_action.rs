//! An action of your own: a step that is no thing, and that nothing removes. Here the tables of a service get another layout.
//!
//! `docs/extending.md` explains it. Run it with `cargo run --example custom_action`.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use detc_core::action::{Action, ActionCx, ActionError, Check, CrashClass, Footprint, Place};
use detc_core::manage::ManagerOptions;
use detc_core::store::memory::MemoryStore;
use detc_core::testing::resource::{Calls, Trial, check_action};
use detc_core::{Desired, DesiredResource, Manager, Registry};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The client of a service that has tables.
#[derive(Debug, Default)]
struct Tables {
    layout: AtomicU32,
    calls: Calls,
}

impl Tables {
    async fn layout(&self) -> Result<u32, ActionError> {
        Ok(self.calls.look("layout", async { self.layout.load(Ordering::SeqCst) }).await?)
    }

    async fn migrate(&self, to: u32) -> Result<(), ActionError> {
        self.calls.change("migrate", async { self.layout.fetch_max(to, Ordering::SeqCst) }).await?;
        Ok(())
    }
}

/// The tables get another layout.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Migrate {
    to: u32,
}

#[async_trait]
impl Action for Migrate {
    const KIND: &'static str = "migrate";
    type Output = ();

    fn footprint(&self) -> Footprint {
        Footprint::new(CrashClass::CompareAndSet).writing(Place::name("tables", "layout"))
    }

    async fn check(&self, cx: &ActionCx<'_>) -> Result<Check<()>, ActionError> {
        let layout = cx.backend::<Tables>()?.layout().await?;
        Ok(match layout >= self.to {
            true => Check::Satisfied(()),
            false => Check::Needed(format!("the layout is {layout}")),
        })
    }

    async fn apply(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        cx.backend::<Tables>()?.migrate(self.to).await
    }
}

/// A service of its own for each trial, and two layouts.
fn migration() -> Trial {
    let tables = Arc::new(Tables::default());
    let (seen, restored) = (tables.clone(), tables.clone());
    let specs = [json!({ "to": 1 }), json!({ "to": 2 })];
    Trial::of_backend(tables.calls.clone(), specs, move || format!("{:?}", seen.layout))
        .with_backend(tables)
        .tampered("an old backup is restored", move || restored.layout.store(0, Ordering::SeqCst))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let broken = check_action::<Migrate>(migration).await;
    println!("{} laws are broken.", broken.len());
    assert!(broken.is_empty(), "{broken:?}");

    let tables = Arc::new(Tables::default());
    let registry = Registry::new().with_action::<Migrate>().with_backend(tables.clone());
    let manager = Manager::open(Arc::new(MemoryStore::new()), registry, ManagerOptions::default()).await?;
    for to in [1, 2, 2] {
        let desired = Desired::new().with(DesiredResource::step("layout", &Migrate { to }));
        let planned = manager.plan(&desired).await?;
        println!("\n{}", planned.plan);
        manager.apply(planned).await?.into_result()?;
        assert_eq!(tables.layout.load(Ordering::SeqCst), to);
    }
    manager.close().await?;
    Ok(())
}
