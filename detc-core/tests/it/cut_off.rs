//! What somebody else did while a run was cut off is not taken for what that run has left.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint};
use detc_core::backend::Host as _;
use detc_core::backend::host::{Ownership, Remove};
use detc_core::execute::{self, Outcome, StopHandle};
use detc_core::manage::{Manager, ManagerOptions, Resumed};
use detc_core::model::{Desired, DesiredResource, FieldOwner, HostSpec, Observation, Present};
use detc_core::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource};
use detc_core::store::memory::MemoryStore;
use serde::{Deserialize, Serialize};

use super::world::World;

/// While this is there, whoever makes, changes or removes a page never comes to it.
const HANG: &str = "/hang";
const PATH: &str = "/page";
/// This is there once a page was removed that may be somebody else's.
const CAREFUL: &str = "/careful";

/// A page: its text is written at once, unless it may be any, and then its seal, when something is sealed. It may carry a mark of
/// whose it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seal: Option<String>,
    #[serde(default)]
    is_marked: bool,
}

fn page(text: &str) -> Page {
    Page { text: Some(text.to_owned()), ..Page::default() }
}

async fn read(cx: &ActionCx<'_>, path: &str) -> Result<Option<String>, ActionError> {
    if cx.host()?.stat(path).await?.is_none() {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&cx.host()?.read(path, 1 << 10).await?).into_owned()))
}

async fn wait(cx: &ActionCx<'_>) -> Result<(), ActionError> {
    if cx.host()?.stat(HANG).await?.is_some() {
        std::future::pending::<()>().await;
    }
    Ok(())
}

#[async_trait]
impl Resource for Page {
    const KIND: &'static str = "page";
    type Output = ();

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.host = HostNeed::Required;
        traits.at_once = &["text"];
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Ok(Footprint::new(match self.is_marked {
            true => CrashClass::FindableByTag,
            false => CrashClass::DeterministicName,
        }))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let Some(text) = read(cx, PATH).await? else { return Ok(Observation::Absent) };
        let mut present = Present::new().with_field("text", text);
        if self.seal.is_some() {
            present = present.with_field("seal", read(cx, "/seal").await?);
        }
        Ok(Observation::Present(present))
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        if self.seal.is_none() {
            wait(cx).await?;
        }
        if self.text.is_some() || cx.host()?.stat(PATH).await?.is_none() {
            let text = self.text.as_deref().unwrap_or_default();
            cx.host()?.write(PATH, text.as_bytes(), &Ownership::default()).await?;
        }
        if let Some(seal) = &self.seal {
            wait(cx).await?;
            cx.host()?.write("/seal", seal.as_bytes(), &Ownership::default()).await?;
        }
        Ok(())
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        wait(cx).await?;
        if cx.was_cut_off() {
            cx.host()?.write(CAREFUL, b"", &Ownership::default()).await?;
        }
        cx.host()?.remove(PATH, Remove::File).await?;
        Ok(Removed::Gone)
    }
}

/// A manager in a world where a page may be.
struct Scene {
    world: World,
    manager: Manager,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        let registry = world.registry().with_resource::<Page>();
        let store = Arc::new(MemoryStore::new());
        let manager = Manager::open(store, registry, ManagerOptions::default()).await.unwrap();
        Self { world, manager }
    }

    /// Applies this, by a manager that is gone in the midst of it.
    async fn cut_off(&self, desired: &Desired) {
        self.write(HANG, "").await;
        let planned = self.manager.plan(desired).await.unwrap();
        let applying = tokio::time::timeout(Duration::from_secs(5), self.manager.apply(planned)).await;
        assert!(applying.is_err(), "it hangs");
        self.world.host.remove(HANG, Remove::File).await.unwrap();
    }

    /// Goes on with the run that was cut off.
    async fn resume(&self, desired: &Desired) -> Outcome {
        let head = self.manager.interrupted().await.unwrap().unwrap();
        let resumed = self.manager.resume(head, Some(desired), execute::unseen(), StopHandle::new()).await;
        match resumed.unwrap() {
            Resumed::Finished(report) => report.report.outcome,
            given_up @ Resumed::Superseded(..) => panic!("{given_up}"),
        }
    }

    async fn give_up(&self) {
        let head = self.manager.interrupted().await.unwrap().unwrap();
        self.manager.give_up(head, "for a test").await.unwrap();
    }

    /// Plans and applies, and gives what was planned.
    async fn apply(&self, desired: &Desired) -> String {
        let planned = self.manager.plan(desired).await.unwrap();
        let changes = planned.plan.changes.iter();
        let told = changes.map(|change| format!("{} ({})", change.kind, change.reason)).collect();
        let report = self.manager.apply(planned).await.unwrap();
        assert_eq!(report.report.outcome, Outcome::Done);
        told
    }

    async fn write(&self, path: &str, text: &str) {
        self.world.machine().write(path, text.as_bytes(), &Ownership::default()).await.unwrap();
    }

    async fn text(&self) -> Option<String> {
        let text = self.world.machine().read(PATH, 1 << 10).await.ok()?;
        Some(String::from_utf8(text).unwrap())
    }
}

fn desired(page: &Page) -> Desired {
    nothing().with(DesiredResource::new("x", page).on("m"))
}

fn nothing() -> Desired {
    Desired::new().host("m", HostSpec { connect: "memory".to_owned(), ..HostSpec::local() })
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_made_where_the_making_had_begun_is_shown_before_it_is_changed_and_is_theirs() {
    for is_given_up in [false, true] {
        let scene = Scene::new().await;
        let ours = desired(&page("ours"));
        scene.cut_off(&ours).await;
        scene.write(PATH, "theirs").await;
        if is_given_up {
            scene.give_up().await;
        } else {
            assert_eq!(scene.resume(&ours).await, Outcome::Refused);
        }
        assert_eq!(scene.text().await, text("theirs"));
        assert_eq!(scene.apply(&ours).await, "adopt (it exists already and is not recorded)");
        assert_eq!(scene.text().await, text("ours"));
        scene.apply(&nothing()).await;
        assert_eq!(scene.text().await, text("ours"), "it was there before, and is left");
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_made_where_the_making_had_begun_is_not_removed() {
    for is_given_up in [false, true] {
        let scene = Scene::new().await;
        scene.cut_off(&desired(&page("ours"))).await;
        scene.write(PATH, "theirs").await;
        if is_given_up {
            scene.give_up().await;
            assert!(scene.apply(&nothing()).await.starts_with("delete (an earlier run had begun to make it"));
        } else {
            assert_eq!(scene.resume(&desired(&page("ours"))).await, Outcome::Refused);
            assert_eq!(scene.apply(&nothing()).await, "");
        }
        assert_eq!(scene.text().await, text("theirs"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_carries_a_mark_is_what_a_making_has_left_whatever_it_says() {
    let scene = Scene::new().await;
    let ours = desired(&Page { is_marked: true, ..page("ours") });
    scene.cut_off(&ours).await;
    scene.write(PATH, "altered").await;
    assert_eq!(scene.resume(&ours).await, Outcome::Done);
    assert_eq!(scene.text().await, text("ours"));
    scene.apply(&nothing()).await;
    assert_eq!(scene.text().await, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_there_before_a_making_begins_once_more_is_told_from_what_the_first_one_left() {
    let scene = Scene::new().await;
    let ours = desired(&page("ours"));
    scene.cut_off(&ours).await;
    scene.give_up().await;
    let planned = scene.manager.plan(&ours).await.unwrap();
    scene.write(PATH, "theirs").await;
    let report = scene.manager.apply(planned).await.unwrap().report;
    assert_eq!(report.outcome, Outcome::Refused);
    let told = "something else is there by now, and this was planned from what was there before";
    assert_eq!(report.failures[0].error, told);
}

#[tokio::test(start_paused = true)]
async fn what_a_making_in_stages_has_left_is_finished() {
    for is_given_up in [false, true] {
        let scene = Scene::new().await;
        let ours = desired(&Page { seal: Some("seal".to_owned()), ..page("ours") });
        scene.cut_off(&ours).await;
        assert_eq!(scene.text().await, text("ours"));
        if is_given_up {
            scene.give_up().await;
            assert_eq!(scene.apply(&ours).await, "adopt (an earlier run had begun to make it)");
        } else {
            assert_eq!(scene.resume(&ours).await, Outcome::Done);
        }
        assert!(scene.world.machine().read("/seal", 16).await.is_ok());
        scene.apply(&nothing()).await;
        assert_eq!(scene.text().await, None);
    }
}

/// A sealed page whose text is somebody else's to change.
fn seeded(text: Option<&str>, seal: &str) -> Desired {
    let page = Page { text: text.map(str::to_owned), seal: Some(seal.to_owned()), ..Page::default() };
    let mut page = DesiredResource::new("x", &page).on("m");
    page.extra_mut().ownership.insert("text".parse().unwrap(), FieldOwner::Seed);
    nothing().with(page)
}

#[tokio::test(start_paused = true)]
async fn what_others_decide_tells_nothing_of_who_made_or_changed_it() {
    let scene = Scene::new().await;
    let first = seeded(Some("seed"), "first");
    scene.cut_off(&first).await;
    scene.write(PATH, "theirs").await;
    assert_eq!(scene.resume(&first).await, Outcome::Done);
    let second = seeded(Some("seed"), "second");
    scene.cut_off(&second).await;
    scene.write(PATH, "theirs again").await;
    scene.write("/seal", "half").await;
    assert_eq!(scene.resume(&second).await, Outcome::Done);
    assert_eq!(scene.text().await, text("theirs again"));
    scene.apply(&nothing()).await;
    assert_eq!(scene.text().await, None);
}

#[tokio::test(start_paused = true)]
async fn what_was_left_out_before_a_change_may_be_as_it_was() {
    let scene = Scene::new().await;
    let sealed = |text: Option<&str>, seal: &str| {
        desired(&Page { text: text.map(str::to_owned), seal: Some(seal.to_owned()), ..Page::default() })
    };
    scene.apply(&sealed(None, "first")).await;
    let second = sealed(Some("second"), "second");
    scene.cut_off(&second).await;
    scene.write(PATH, "as it was").await;
    scene.write("/seal", "half").await;
    assert_eq!(scene.resume(&second).await, Outcome::Done);
    assert_eq!(scene.text().await, text("second"));
}

#[tokio::test(start_paused = true)]
async fn what_is_found_only_when_it_is_to_be_made_once_more_may_be_somebody_elses() {
    for is_found in [false, true] {
        let scene = Scene::new().await;
        let ours = desired(&page("ours"));
        scene.cut_off(&ours).await;
        scene.give_up().await;
        let planned = scene.manager.plan(&ours).await.unwrap();
        if is_found {
            scene.write(PATH, "ours").await;
        }
        assert_eq!(scene.manager.apply(planned).await.unwrap().report.outcome, Outcome::Done);
        scene.apply(&nothing()).await;
        assert_eq!(scene.text().await, None);
        assert_eq!(scene.world.machine().read(CAREFUL, 16).await.is_ok(), is_found);
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_wrote_before_a_change_that_had_begun_is_shown_first() {
    for (there, then) in [("first", Outcome::Done), ("second", Outcome::Done), ("theirs", Outcome::Refused)] {
        let scene = Scene::new().await;
        scene.apply(&desired(&page("first"))).await;
        let second = desired(&page("second"));
        scene.cut_off(&second).await;
        scene.write(PATH, there).await;
        assert_eq!(scene.resume(&second).await, then, "{there}");
        let left = if then == Outcome::Done { "second" } else { there };
        assert_eq!(scene.text().await, text(left));
        scene.apply(&second).await;
        assert_eq!(scene.text().await, text("second"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_put_in_the_place_of_what_was_being_removed_is_not_removed() {
    for (there, then) in [("first", Outcome::Done), ("theirs", Outcome::Refused)] {
        let scene = Scene::new().await;
        scene.apply(&desired(&page("first"))).await;
        scene.cut_off(&nothing()).await;
        scene.write(PATH, there).await;
        assert_eq!(scene.resume(&nothing()).await, then, "{there}");
        assert_eq!(scene.text().await, (then == Outcome::Refused).then(|| there.to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_before_its_making_had_ended_is_removed_as_detcs_own() {
    for is_written in [false, true] {
        let scene = Scene::new().await;
        let sealed = |text: &str| desired(&Page { seal: Some("seal".to_owned()), ..page(text) });
        scene.cut_off(&sealed("first")).await;
        scene.give_up().await;
        scene.cut_off(&sealed("second")).await;
        assert_eq!(scene.text().await, text("second"));
        if !is_written {
            scene.write(PATH, "first").await;
        }
        scene.give_up().await;
        let told = scene.apply(&nothing()).await;
        assert_eq!(scene.text().await, None, "{told}");
    }
}
