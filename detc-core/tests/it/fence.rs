//! What somebody else changes between a plan and an action is held back, and what the plan itself may have changed is not.

use std::sync::Arc;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use detc_core::backend::host::{Command, ExitStatus, Output, Ownership, Remove};
use detc_core::backend::memory::Files;
use detc_core::backend::{Host, HostError, MemoryHost};
use detc_core::execute::Outcome;
use detc_core::manage::{Manager, ManagerOptions};
use detc_core::model::{Desired, DesiredResource, HostSpec, Observation, Present, Reference, ResourceId};
use detc_core::plan::Verb;
use detc_core::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource};
use detc_core::store::memory::MemoryStore;
use serde::{Deserialize, Serialize};

use super::world::World;

/// What a page says that it touches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Says {
    /// Its path, which it owns.
    Owns,
    /// Its path and what lies there.
    Writes,
    /// Its path and whatever else.
    More,
}

/// A page of text. While it is written, somebody else may write another one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    path: String,
    text: String,
    says: Says,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meanwhile: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Written {
    next: String,
}

impl Written {
    fn new() -> Self {
        Self { next: TAKEN.to_owned() }
    }
}

#[async_trait]
impl Resource for Page {
    const KIND: &'static str = "page";
    type Output = Written;

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.host = HostNeed::Required;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        let (footprint, path) = (Footprint::new(CrashClass::DeterministicName), Place::path(&self.path));
        Ok(match self.says {
            Says::Owns => footprint.owning(path),
            Says::Writes => footprint.writing(path),
            Says::More => footprint.owning(path).touching_more(),
        })
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        Ok(match cx.host()?.read(&kept(&self.path), 1 << 20).await {
            Ok(text) => {
                let text = String::from_utf8_lossy(&text).into_owned();
                Observation::Present(Present::new().with_field("text", text).with_output(&Written::new()))
            }
            Err(HostError::NotFound { .. }) => Observation::Absent,
            Err(error) => return Err(error.into()),
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<Written, ActionError> {
        let mut argv = vec!["write", &self.path, &self.text];
        argv.extend(self.meanwhile.as_deref());
        match cx.host()?.run(&Command::new(argv)).await?.status {
            ExitStatus::Code(0) => Ok(Written::new()),
            _ => Err(ActionError::permanent("it can not be written")),
        }
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<Written, ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        cx.host()?.remove(&kept(&self.path), Remove::File).await?;
        Ok(Removed::Gone)
    }
}

/// Where a page is kept: pages may lie within others, so they are kept side by side.
fn kept(path: &str) -> String {
    format!("/{}", path.replace('/', "|"))
}

/// A host on which pages are written.
fn host() -> Arc<MemoryHost> {
    let write = |command: &Command, files: &mut Files| {
        let [path, text, meanwhile @ ..] = &command.argv[1..] else { unreachable!("it is given both") };
        if text == BAD {
            return Output { status: ExitStatus::Code(1), ..Output::default() };
        }
        let written =
            [(path, text.as_str())].into_iter().chain(meanwhile.iter().map(|path| (path, "theirs")));
        for (path, text) in written {
            files.write(&kept(path), text.as_bytes(), &Ownership::default()).unwrap();
        }
        Output { status: ExitStatus::Code(0), ..Output::default() }
    };
    Arc::new(MemoryHost::new("m").with_program("write", write))
}

/// A text that can not be written.
const BAD: &str = "bad";

const TAKEN: &str = "/a/taken";

/// The first page, during which somebody writes [`TAKEN`].
fn first(path: &str, says: Says) -> DesiredResource {
    let page =
        Page { path: path.to_owned(), text: "ours".to_owned(), says, meanwhile: Some(TAKEN.to_owned()) };
    DesiredResource::new("first", &page).on("m")
}

fn page(name: &str, path: &str, after: &str) -> DesiredResource {
    let (path, text) = (path.to_owned(), "ours".to_owned());
    let page = Page { path, text, says: Says::Owns, meanwhile: None };
    DesiredResource::new(name, &page).on("m").after(&id(after))
}

fn id(name: &str) -> ResourceId {
    ResourceId::new("page", name).unwrap()
}

/// Makes these pages, and gives what became of the one that somebody took meanwhile.
async fn taken(pages: impl IntoIterator<Item = DesiredResource>) -> (Outcome, String) {
    let world = World::on(host());
    let registry = world.registry().with_resource::<Page>();
    let store = Arc::new(MemoryStore::new());
    let manager = Manager::open(store, registry, ManagerOptions::default()).await.unwrap();
    let spec = || HostSpec { connect: "memory".to_owned(), ..HostSpec::local() };
    let desired = Desired::new().host("m", spec()).host("other", spec());
    let desired = pages.into_iter().fold(desired, Desired::with);
    let planned = manager.plan(&desired).await.unwrap();
    let outcome = manager.apply(planned).await.unwrap().report.outcome;
    let text = world.machine().read(&kept(TAKEN), 1 << 10).await.unwrap();
    (outcome, String::from_utf8(text.to_vec()).unwrap())
}

fn held() -> (Outcome, String) {
    (Outcome::Refused, "theirs".to_owned())
}

fn went_on() -> (Outcome, String) {
    (Outcome::Done, "ours".to_owned())
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_an_action_that_writes_elsewhere_is_held_back_when_somebody_else_was_there() {
    let after = || page("taken", TAKEN, "first");
    assert_eq!(taken([first("/b/first", Says::Owns), after()]).await, held());
    assert_eq!(taken([first("/a", Says::Owns), after()]).await, held(), "a folder is not what is in it");
    assert_eq!(taken([first("/a/take", Says::Writes), after()]).await, held(), "a name is not its beginning");
    let elsewhere = first("/a", Says::Writes).on("other");
    assert_eq!(taken([elsewhere, after()]).await, held(), "another host has other files");
}

#[tokio::test(start_paused = true)]
async fn what_the_plan_may_have_changed_itself_goes_on() {
    let after = || page("taken", TAKEN, "first");
    assert_eq!(taken([first("/b/first", Says::More), after()]).await, went_on(), "it may write anything");
    assert_eq!(
        taken([first("/a", Says::Writes), after()]).await,
        went_on(),
        "it may write all that is in it"
    );
    assert_eq!(
        taken([first("/b/../a/taken", Says::Owns), after()]).await,
        went_on(),
        "nobody knows where it is"
    );
    let between = page("between", "/b/between", "first");
    let last = page("taken", TAKEN, "between");
    assert_eq!(
        taken([first("/b/first", Says::More), between, last]).await,
        went_on(),
        "not at once, and all the same"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_found_where_nobody_had_looked_is_held_back() {
    let next = Reference { from: id("first"), output: "next".parse().unwrap() };
    let last = page("taken", "/later", "first").bind(&"path".parse().unwrap(), next).unwrap();
    assert_eq!(taken([first("/b/first", Says::Owns), last]).await, held());
}

/// It was not there when the plan was made, or one look said so; and it is there when that is applied. What only drops the record
/// removes nothing: neither what is detc's own, nor what was there before, nor where an earlier try has failed.
#[tokio::test(start_paused = true)]
async fn what_is_there_after_all_is_not_forgotten_and_not_removed() {
    for (is_adopted, has_failed) in [(false, false), (false, true), (true, false), (true, true)] {
        let world = World::on(host());
        let registry = world.registry().with_resource::<Page>();
        let store = Arc::new(MemoryStore::new());
        let manager = Manager::open(store, registry, ManagerOptions::default()).await.unwrap();
        let spec = || HostSpec { connect: "memory".to_owned(), ..HostSpec::local() };
        let nothing = || Desired::new().host("m", spec());
        let apply = async |desired: &Desired| {
            let planned = manager.plan(desired).await.unwrap();
            manager.apply(planned).await.unwrap().report.outcome
        };
        let of_text = |text: &str| {
            let page =
                Page { path: "/x".to_owned(), text: text.to_owned(), says: Says::Owns, meanwhile: None };
            nothing().with(DesiredResource::new("x", &page).on("m"))
        };
        let put = async || world.machine().write(&kept("/x"), b"ours", &Ownership::default()).await.unwrap();
        if is_adopted {
            put().await;
        }
        assert_eq!(apply(&of_text("ours")).await, Outcome::Done);
        if has_failed {
            assert_eq!(apply(&of_text(BAD)).await, Outcome::Failed);
        }
        world.host.remove(&kept("/x"), Remove::File).await.unwrap();
        let planned = manager.plan(&nothing()).await.unwrap();
        assert_eq!(planned.plan.actions[0].verb, Verb::Forget);
        put().await;
        let case = (is_adopted, has_failed);
        assert_eq!(manager.apply(planned).await.unwrap().report.outcome, Outcome::Refused, "{case:?}");
        assert!(world.host.stat(&kept("/x")).await.unwrap().is_some(), "{case:?}");
        assert_eq!(manager.recorded().len(), 1, "{case:?}");
        // The next plan knows what to do with it.
        assert_eq!(apply(&nothing()).await, Outcome::Done);
        assert_eq!(world.host.stat(&kept("/x")).await.unwrap().is_some(), is_adopted, "{case:?}");
        assert!(manager.recorded().is_empty(), "{case:?}");
    }
}
