//! The tutorial `docs/extending.md`: its first attempt, with the defect that the suite finds; and that all else that it shows are
//! the examples that compile and run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use detc_core::model::{Observation, Present};
use detc_core::resource::{InvalidField, KindTraits, Removed, Resource};
use detc_core::testing::resource::{Calls, Trial, check_resource};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Default)]
struct Flags {
    percent: Mutex<BTreeMap<String, u8>>,
    calls: Calls,
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
        let (seen, turned) = (flags.clone(), flags.clone());
        let specs = [json!({ "flag": "dark", "percent": 10 }), json!({ "flag": "dark", "percent": 50 })];
        let world = move || format!("{:?}", seen.table());
        Trial::of_backend(flags.calls.clone(), specs, world)
            .with_backend(flags)
            .tampered("somebody turns it", move || _ = turned.table().insert("dark".to_owned(), 99))
    })
    .await;
    let told: Vec<String> = broken.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(text("docs/extending.md").contains(&told[0]), "the tutorial shows: {}", told[0]);
}

#[test]
fn what_the_tutorial_shows_are_the_examples_to_the_letter_and_its_first_attempt_stands_here() {
    let tutorial = text("docs/extending.md");
    for (frames, name) in
        [("", "custom_backend"), (",resource", "custom_resource"), (",action", "custom_action")]
    {
        let shown: String = blocks(&tutorial, &format!("```rust{frames}\n")).concat();
        let example = text(&format!("examples/{name}.rs"));
        assert_eq!(plain(&shown), plain(&example), "one after the other, its frames are {name}");
        assert!(example.lines().count() < 150, "{name} is to be read at a glance");
    }
    let first = blocks(&tutorial, "```rust,first\n");
    assert_eq!(first.len(), 2);
    let here = plain(&text("tests/it/tutorial.rs"));
    for quote in first {
        assert!(here.contains(&plain(quote)), "nowhere:\n{quote}");
    }
}

fn blocks<'t>(tutorial: &'t str, begin: &str) -> Vec<&'t str> {
    tutorial.split(begin).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn text(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

/// Lines without their indentation, none empty and none that is a remark.
fn plain(code: &str) -> String {
    let lines = code.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.fold(String::new(), |text, line| text + line + "\n")
}
