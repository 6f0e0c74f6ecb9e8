//! The tutorial `docs/extending.md`: its first attempt, with the defect that the suite finds; and that what it quotes stands
//! in code that compiles.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use detc_core::action::{Action, ActionCx, ActionError, Check, CrashClass, Footprint, Place};
use detc_core::manage::ManagerOptions;
use detc_core::model::{Observation, Present};
use detc_core::resource::{InvalidField, KindTraits, Removed, Resource};
use detc_core::store::memory::MemoryStore;
use detc_core::testing::resource::{Calls, Trial, check_action, check_resource};
use detc_core::{Desired, DesiredResource, Manager, Registry};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Default)]
struct Flags {
    percent: Mutex<BTreeMap<String, u8>>,
    calls: Calls,
    layout: AtomicU32,
}

impl Flags {
    fn table(&self) -> MutexGuard<'_, BTreeMap<String, u8>> {
        self.percent.lock().unwrap()
    }

    async fn post(&self, flag: &str, percent: u8) -> Result<(), ActionError> {
        let post = async {
            let mut table = self.table();
            let is_new = !table.contains_key(flag);
            table.entry(flag.to_owned()).or_insert(percent);
            is_new
        };
        let is_new = self.calls.change(&format!("post {flag}"), post).await?;
        is_new.then_some(()).ok_or_else(|| ActionError::permanent(format!("there is a flag {flag} already")))
    }

    async fn layout(&self) -> Result<u32, ActionError> {
        Ok(self.calls.look("layout", async { self.layout.load(Ordering::SeqCst) }).await?)
    }

    async fn migrate(&self, to: u32) -> Result<(), ActionError> {
        self.calls.change("migrate", async { self.layout.fetch_max(to, Ordering::SeqCst) }).await?;
        Ok(())
    }
}

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
        KindTraits::default()
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Ok(Footprint::new(CrashClass::DeterministicName).owning(Place::name("flag", &self.flag)))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let flags = cx.backend::<Flags>()?;
        let percent = flags.calls.look("get", async { flags.table().get(&self.flag).copied() }).await?;
        Ok(percent.map_or(Observation::Absent, |percent| {
            Observation::Present(Present::new().with_field("percent", percent))
        }))
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        cx.backend::<Flags>()?.post(&self.flag, self.percent).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        let flags = cx.backend::<Flags>()?;
        flags.calls.change("put", async { flags.table().insert(self.flag.clone(), self.percent) }).await?;
        Ok(())
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        let flags = cx.backend::<Flags>()?;
        flags.calls.change("delete", async { flags.table().remove(&self.flag) }).await?;
        Ok(Removed::Gone)
    }
}

#[tokio::test]
async fn the_suite_finds_the_defect_of_the_first_attempt() {
    let broken = check_resource::<Flag>(|| {
        let flags = Arc::new(Flags::default());
        let seen = flags.clone();
        let specs = [json!({ "flag": "dark", "percent": 10 }), json!({ "flag": "dark", "percent": 50 })];
        let world = move || format!("{:?}", seen.table());
        Trial::of_backend(flags.calls.clone(), specs, world).with_backend(flags)
    })
    .await;
    let told: Vec<String> = broken.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(text("docs/extending.md").contains(&told[0]), "the tutorial shows: {}", told[0]);
}

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

fn migration() -> Trial {
    let flags = Arc::new(Flags::default());
    let seen = flags.clone();
    let world = move || format!("{:?}", seen.layout);
    Trial::of_backend(flags.calls.clone(), [json!({ "to": 1 }), json!({ "to": 2 })], world)
        .with_backend(flags)
}

#[tokio::test]
async fn the_action_of_the_tutorial_breaks_no_law_and_stands_in_a_desired_state() {
    let broken = check_action::<Migrate>(migration).await;
    assert!(broken.is_empty(), "{broken:?}");

    let flags = Arc::new(Flags::default());
    let registry =
        Registry::new().with_resource::<Flag>().with_action::<Migrate>().with_backend(flags.clone());
    let layout = DesiredResource::step("layout", &Migrate { to: 2 });
    let dark = DesiredResource::new("dark", &Flag { flag: "dark".to_owned(), percent: 10 }).after(&layout.id);
    let desired = Desired::new().with(layout).with(dark);
    let manager =
        Manager::open(Arc::new(MemoryStore::new()), registry, ManagerOptions::default()).await.unwrap();
    let planned = manager.plan(&desired).await.unwrap();
    let ids: Vec<String> = (0..2).map(|at| planned.plan.action_id(at)).collect();
    assert_eq!(ids, ["create:migrate/layout", "create:flag/dark"]);
    manager.apply(planned).await.unwrap().into_result().unwrap();
    assert_eq!((flags.layout.load(Ordering::SeqCst), flags.table()["dark"]), (2, 10));
    assert!(manager.plan(&desired).await.unwrap().plan.is_settled());
    manager.close().await.unwrap();
}

#[test]
fn what_the_tutorial_quotes_stands_in_code_that_compiles() {
    let tutorial = text("docs/extending.md");
    let code = [text("examples/custom_backend.rs"), text("tests/it/tutorial.rs")].map(|code| plain(&code));
    let quotes: Vec<&str> =
        tutorial.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(quotes.len() >= 5, "there are {}", quotes.len());
    for quote in quotes {
        assert!(code.iter().any(|code| code.contains(&plain(quote))), "nowhere:\n{quote}");
    }
}

fn text(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

/// Lines without their indentation, none empty.
fn plain(code: &str) -> String {
    let lines = code.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.fold(String::new(), |text, line| text + line + "\n")
}
