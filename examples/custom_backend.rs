//! A kind of your own, on a backend of your own: feature flags, in a service that the application has already.
//!
//! `docs/extending.md` comes here step by step. Run it with `cargo run --example custom_backend`.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use detc_core::action::{Action, ActionCx, ActionError, Check, CrashClass, Footprint, Place};
use detc_core::backend::host::{Ownership, Remove};
use detc_core::backend::{HostError, MemoryHost};
use detc_core::manage::ManagerOptions;
use detc_core::model::{Observation, Present};
use detc_core::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource};
use detc_core::store::memory::MemoryStore;
use detc_core::testing::cluster::{Checked, Faults, Scenario, check_cluster};
use detc_core::testing::resource::{Calls, Trial, check_action, check_resource};
use detc_core::{Desired, DesiredResource, Manager, Registry};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The client of the flag service. Here the service is a table; yours sends requests.
#[derive(Debug, Default)]
struct Flags {
    percent: Mutex<BTreeMap<String, u8>>,
    layout: AtomicU32,
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

    async fn layout(&self) -> Result<u32, ActionError> {
        Ok(self.calls.look("layout", async { self.layout.load(Ordering::SeqCst) }).await?)
    }

    async fn migrate(&self, to: u32) -> Result<(), ActionError> {
        self.calls.change("migrate", async { self.layout.fetch_max(to, Ordering::SeqCst) }).await?;
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

/// The same under faults, in a time that passes at once where everybody only waits.
fn check_whole() -> Checked {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("invariant: a runtime needs no more than a thread");
    runtime.block_on(check_cluster(scenario, Faults::default()))
}

/// A step of the flag service: its tables get another layout.
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
        Footprint::new(CrashClass::CompareAndSet).writing(Place::name("flags", "layout"))
    }

    async fn check(&self, cx: &ActionCx<'_>) -> Result<Check<()>, ActionError> {
        let layout = cx.backend::<Flags>()?.layout().await?;
        Ok(match layout >= self.to {
            true => Check::Satisfied(()),
            false => Check::Needed(format!("the layout is {layout}")),
        })
    }

    async fn apply(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        cx.backend::<Flags>()?.migrate(self.to).await
    }
}

/// A flag service of its own for each trial, and two layouts.
fn migration() -> Trial {
    let flags = Arc::new(Flags::default());
    let seen = flags.clone();
    Trial::of_backend(flags.calls.clone(), [json!({ "to": 1 }), json!({ "to": 2 })], move || {
        format!("{:?}", seen.layout)
    })
    .with_backend(flags)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // What your tests do: every law of a resource, with each call cut off, lost and refused; and a whole manager.
    let mut broken = check_resource::<Flag>(trial).await;
    broken.extend(check_resource::<Greeting>(greeted).await);
    broken.extend(check_action::<Migrate>(migration).await);
    broken.extend(tokio::task::spawn_blocking(check_whole).await?.violations);
    println!("{} laws are broken.", broken.len());
    assert!(broken.is_empty(), "{broken:?}");

    // What your program does.
    let flags = Arc::new(Flags::default());
    let registry =
        Registry::new().with_resource::<Flag>().with_action::<Migrate>().with_backend(flags.clone());
    let manager = Manager::open(Arc::new(MemoryStore::new()), registry, ManagerOptions::default()).await?;
    let layout = DesiredResource::step("layout", &Migrate { to: 2 });
    let dark = DesiredResource::new("dark", &Flag { flag: "dark".to_owned(), percent: 10 }).after(&layout.id);
    let desired = Desired::new().with(layout).with(dark);
    for (happens, turned_to) in
        [("Nothing is there yet.", None), ("Somebody turns it.", Some(99)), ("Nothing.", None)]
    {
        flags.table().extend(turned_to.map(|percent| ("dark".to_owned(), percent)));
        let planned = manager.plan(&desired).await?;
        println!("\n{happens}\n{}", planned.plan);
        manager.apply(planned).await?.into_result()?;
        assert_eq!((flags.table()["dark"], flags.layout.load(Ordering::SeqCst)), (10, 2));
    }
    manager.close().await?;
    Ok(())
}
