//! The checker finds what a manager would do wrong with kinds that are wrong, and nothing with those that are right.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::*;
use crate::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use crate::backend::HostError;
use crate::backend::host::{Ownership, Remove};
use crate::model::{DesiredResource, Observation, Present};
use crate::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource};

mod idle;
mod kept;
mod managers;
mod pairs;
mod worlds;

const SOUND: u8 = 0;
const COUNTS_ITS_TRIES: u8 = 1;
const SAYS_ABSENT_ON_ERROR: u8 = 2;
const SEES_HALF_AS_WHOLE: u8 = 3;
const TAKES_ANOTHER_WAY_THE_SECOND_TIME: u8 = 4;

/// A page, and the index in which it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page<const DEFECT: u8> {
    path: String,
    text: String,
}

impl<const DEFECT: u8> Page<DEFECT> {
    fn index(&self) -> String {
        format!("{}.index", self.path)
    }

    async fn text(&self, cx: &ActionCx<'_>, path: &str) -> Result<Option<String>, ActionError> {
        match cx.host()?.read(path, 1 << 10).await {
            Ok(text) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
            Err(HostError::NotFound { .. }) => Ok(None),
            Err(_) if DEFECT == SAYS_ABSENT_ON_ERROR => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[async_trait]
impl<const DEFECT: u8> Resource for Page<DEFECT> {
    const KIND: &'static str = "page";
    type Output = ();

    fn traits() -> KindTraits {
        KindTraits { replace_on: &["path"], host: HostNeed::Required, ..KindTraits::default() }
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        let footprint = Footprint::new(CrashClass::DeterministicName);
        Ok(footprint.owning(Place::path(&self.path)).owning(Place::path(&self.index())))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let text = self.text(cx, &self.path).await?;
        let index = match DEFECT {
            SEES_HALF_AS_WHOLE => text.clone(),
            _ => self.text(cx, &self.index()).await?,
        };
        Ok(match (text, index) {
            (None, None) => Observation::Absent,
            (None, Some(_)) if DEFECT == TAKES_ANOTHER_WAY_THE_SECOND_TIME => {
                Observation::Present(Present::new().with_field("text", self.text.as_str()))
            }
            (Some(text), Some(_)) => Observation::Present(Present::new().with_field("text", text)),
            (Some(_), None) | (None, Some(_)) => Observation::Present(Present::new().with_field("text", "")),
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        let (host, own) = (cx.host()?, Ownership::default());
        if DEFECT == COUNTS_ITS_TRIES {
            let tries = format!("{}.tries", self.path);
            let before = self.text(cx, &tries).await?.unwrap_or_default();
            host.write(&tries, (before + "x").as_bytes(), &own).await?;
        }
        if DEFECT == TAKES_ANOTHER_WAY_THE_SECOND_TIME && cx.begun_before() {
            host.write(&self.index(), b"1", &own).await?;
        }
        host.write(&self.path, self.text.as_bytes(), &own).await?;
        Ok(host.write(&self.index(), b"1", &own).await?)
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        let host = cx.host()?;
        host.remove(&self.index(), Remove::File).await?;
        host.remove(&self.path, Remove::File).await?;
        Ok(Removed::Gone)
    }
}

/// Three pages in a row; one of them changed, one moved; then one of them gone.
fn scenario<const DEFECT: u8>() -> Scenario {
    let page = |name: &str, path: &str, text: &str| {
        DesiredResource::new(name, &Page::<DEFECT> { path: path.to_owned(), text: text.to_owned() }).on("m")
    };
    let after = |page: DesiredResource, before: &str| page.after(&before.parse().unwrap());
    let all = |b: &str, c: &str| {
        Desired::new()
            .with(page("a", "/a", "one"))
            .with(after(page("b", "/b", b), "page/a"))
            .with(after(page("c", c, "three"), "page/b"))
    };
    let states = [all("two", "/c"), all("TWO", "/d"), Desired::new().with(page("a", "/a", "one"))];
    let registry = Registry::new().with_resource::<Page<DEFECT>>();
    Scenario::new(registry, states).with_host("m", MemoryHost::new("m"))
}

#[tokio::test(start_paused = true)]
async fn a_manager_of_sound_kinds_comes_through_every_single_fault() {
    let checked = check_cluster(scenario::<SOUND>, Faults::default()).await;
    assert!(checked.violations.is_empty(), "{checked}");
    assert_eq!(checked.lives, checked.lives_possible, "{checked}");
    assert!(checked.lives > 200, "{checked}");
}

#[tokio::test(start_paused = true)]
async fn and_through_a_second_death() {
    let faults = Faults { lives_max: 100, twice: Twice::Yes };
    let checked = check_cluster(scenario::<SOUND>, faults).await;
    assert!(checked.violations.is_empty(), "{checked}");
    assert!((50..=100).contains(&checked.lives), "{checked}");
}

#[tokio::test(start_paused = true)]
async fn defects_of_kinds_are_found_in_the_world_that_they_leave() {
    for (what, checked) in [
        (
            "it was cut off after write /a.tries: there is /a.tries (644 root root): \"xx\" instead of /a.tries (644 root \
             root): \"x\"",
            check_cluster(scenario::<COUNTS_ITS_TRIES>, Faults::default()).await,
        ),
        (
            "it reached nothing any more from read /c.index: there is also /c (644 root root)",
            check_cluster(scenario::<SAYS_ABSENT_ON_ERROR>, Faults::default()).await,
        ),
        (
            "it was cut off after write /a: there is no more /a.index",
            check_cluster(scenario::<SEES_HALF_AS_WHOLE>, Faults::default()).await,
        ),
    ] {
        let found = checked.violations.first().map(ToString::to_string).unwrap_or_default();
        assert!(found.contains("what was asked for, once") && found.contains(what), "{what}: {checked}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_comes_through_many_faults_at_once() {
    let checked = check_seeds(|_| scenario::<SOUND>(), 0..300).await;
    assert!(checked.violations.is_empty(), "{checked}");
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_has_the_same_trace_byte_for_byte() {
    let mut traces = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let once = trace(worlds::random_world, seed).await;
        assert_eq!(once, trace(worlds::random_world, seed).await, "seed {seed}");
        assert!(once.contains("it ") && once.contains("commit"), "{once}");
        traces.insert(once);
    }
    assert_eq!(traces.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_failure_tells_its_seed_and_the_fewest_faults_and_comes_again() {
    let once = check_seeds(|_| scenario::<COUNTS_ITS_TRIES>(), 0..30).await;
    let again = check_seeds(|_| scenario::<COUNTS_ITS_TRIES>(), 0..30).await;
    assert_eq!(once.violations, again.violations);
    let found = once.violations.first().map(|found| found.detail.clone()).unwrap_or_default();
    assert!(found.starts_with("seed ") && found.matches("call ").count() == 1, "{once}");
}
