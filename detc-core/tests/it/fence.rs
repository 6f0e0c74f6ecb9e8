//! What somebody else changes between a plan and an action is held back, and what the plan itself may have changed is not.

use std::sync::Arc;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use detc_core::backend::host::{Command, ExitStatus, Output, Ownership, Remove};
use detc_core::backend::memory::Files;
use detc_core::backend::{Host, HostError, MemoryHost};
use detc_core::execute::{Outcome, RunReport};
use detc_core::manage::{Manager, ManagerOptions, Planned};
use detc_core::model::{
    Desired, DesiredResource, HostSpec, Invariant, InvariantBound, Measure, Observation, Present, Reference,
    ResourceId, Selector,
};
use detc_core::plan::Verb;
use detc_core::resource::value::ValueSpec;
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
    /// The name at the end of its path.
    Named,
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
            Says::Named => footprint.writing(Place::name("page", self.path.rsplit('/').next().unwrap())),
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
        Output { status: ExitStatus::Code(i32::from(text == HALF)), ..Output::default() }
    };
    Arc::new(MemoryHost::new("m").with_program("write", write))
}

/// A text that can not be written.
const BAD: &str = "bad";
/// A text that is written, and that is not enough.
const HALF: &str = "half";

const TAKEN: &str = "/a/taken";

/// The first page, during which somebody writes [`TAKEN`].
fn first(path: &str, says: Says) -> DesiredResource {
    let page =
        Page { path: path.to_owned(), text: "ours".to_owned(), says, meanwhile: Some(TAKEN.to_owned()) };
    DesiredResource::new("first", &page).on("m")
}

fn page(name: &str, path: &str, after: &str) -> DesiredResource {
    says(name, path, Says::Owns).after(&id(after))
}

fn says(name: &str, path: &str, says: Says) -> DesiredResource {
    let (path, text) = (path.to_owned(), "ours".to_owned());
    DesiredResource::new(name, &Page { path, text, says, meanwhile: None }).on("m")
}

fn id(name: &str) -> ResourceId {
    ResourceId::new("page", name).unwrap()
}

/// A host with pages, and their manager.
struct Site {
    world: World,
    manager: Manager,
}

impl Site {
    async fn new() -> Self {
        let world = World::on(host());
        let registry = world.registry().with_resource::<Page>();
        let store = Arc::new(MemoryStore::new());
        let manager = Manager::open(store, registry, ManagerOptions::default()).await.unwrap();
        Self { world, manager }
    }

    async fn plan(&self, desired: &Desired) -> Planned {
        self.manager.plan(desired).await.unwrap()
    }

    async fn apply(&self, planned: Planned) -> RunReport {
        self.manager.apply(planned).await.unwrap().report
    }

    /// Somebody else writes this.
    async fn put(&self, path: &str, text: &str) {
        self.world.machine().write(&kept(path), text.as_bytes(), &Ownership::default()).await.unwrap();
    }

    async fn text(&self, path: &str) -> Option<String> {
        let text = self.world.machine().read(&kept(path), 1 << 10).await.ok()?;
        Some(String::from_utf8(text).unwrap())
    }
}

fn desired(pages: impl IntoIterator<Item = DesiredResource>) -> Desired {
    let spec = || HostSpec { connect: "memory".to_owned(), ..HostSpec::local() };
    let desired = Desired::new().host("m", spec()).host("other", spec());
    pages.into_iter().fold(desired, Desired::with)
}

fn errors(report: &RunReport) -> Vec<&str> {
    report.failures.iter().map(|failure| failure.error.as_str()).collect()
}

/// Makes these pages, and gives what became of the one that somebody took meanwhile.
async fn taken(pages: impl IntoIterator<Item = DesiredResource>) -> (Outcome, String) {
    let site = Site::new().await;
    let planned = site.plan(&desired(pages)).await;
    let outcome = site.apply(planned).await.outcome;
    (outcome, site.text(TAKEN).await.unwrap())
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
    let named = says("taken", TAKEN, Says::Named).after(&id("first"));
    assert_eq!(taken([first("/b/first", Says::Named), named]).await, held(), "another name is another thing");
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
    const SOMEWHERE: &str = "/b/../somewhere";
    let (site, first_page) = (Site::new().await, says("first", "/b/first", Says::Owns));
    let planned = site.plan(&desired([first_page, page("there", SOMEWHERE, "first")])).await;
    site.put(SOMEWHERE, "theirs").await;
    assert_eq!(site.apply(planned).await.outcome, Outcome::Done, "nobody knows where the other one is");
    let named = says("taken", TAKEN, Says::Named).after(&id("first"));
    assert_eq!(taken([first("/b/taken", Says::Named), named]).await, went_on(), "it has the same name");
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

#[tokio::test(start_paused = true)]
async fn what_the_plan_has_made_is_its_own_and_what_looks_the_same_is_not() {
    for (of_first, there, meanwhile, is_removed) in [
        (Says::More, None, None, true),
        // Nothing of the plan can have made it.
        (Says::Owns, None, Some("ours"), false),
        // It was there before the plan, which may change it.
        (Says::More, Some("theirs"), None, false),
    ] {
        let site = Site::new().await;
        if let Some(there) = there {
            site.put(TAKEN, there).await;
        }
        let first = match meanwhile {
            Some(_) => says("first", "/b/first", of_first),
            None => first("/b/first", of_first),
        };
        let planned = site.plan(&desired([first, page("taken", TAKEN, "first")])).await;
        if let Some(meanwhile) = meanwhile {
            site.put(TAKEN, meanwhile).await;
        }
        let case = (of_first, there, meanwhile);
        assert_eq!(site.apply(planned).await.outcome, Outcome::Done, "{case:?}");
        let planned = site.plan(&desired([])).await;
        assert_eq!(site.apply(planned).await.outcome, Outcome::Done, "{case:?}");
        assert_eq!(site.text(TAKEN).await.is_none(), is_removed, "{case:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_made_where_something_was_to_be_adopted_is_removed_also_when_its_making_has_failed() {
    let site = Site::new().await;
    site.put(TAKEN, "theirs").await;
    let first = says("first", "/b/first", Says::More);
    let half = Page { path: TAKEN.to_owned(), text: HALF.to_owned(), says: Says::Owns, meanwhile: None };
    let taken = DesiredResource::new("taken", &half).on("m").after(&first.id);
    let planned = site.plan(&desired([first, taken])).await;
    assert_eq!(planned.plan.actions[1].verb, Verb::Adopt);
    site.world.host.remove(&kept(TAKEN), Remove::File).await.unwrap();
    assert_eq!(site.apply(planned).await.outcome, Outcome::Failed);
    assert_eq!(site.text(TAKEN).await.as_deref(), Some(HALF));
    let planned = site.plan(&desired([])).await;
    assert_eq!(site.apply(planned).await.outcome, Outcome::Done);
    assert_eq!(site.text(TAKEN).await, None);
}

/// What only waits so that an invariant holds needs nothing of what it waits for, and comes after none of its effects.
#[tokio::test(start_paused = true)]
async fn what_waits_for_an_invariants_sake_is_held_back_when_somebody_else_was_there() {
    let measure = Measure::Available(Selector { kind: Some("page".to_owned()), ..Selector::default() });
    let at_most = |bound| InvariantBound::AtMost(bound);
    let few = |pages: [DesiredResource; 2]| {
        let (name, measure) = ("few pages".to_owned(), measure.clone());
        desired(pages).invariant(Invariant { name, measure, bound: at_most(2) })
    };
    let site = Site::new().await;
    let planned = site.plan(&few([says("a", "/old/a", Says::More), says("b", "/old/b", Says::More)])).await;
    assert_eq!(site.apply(planned).await.outcome, Outcome::Done);
    let planned = site.plan(&few([says("c", "/new/c", Says::Owns), says("d", "/new/d", Says::Owns)])).await;
    assert_eq!(planned.plan.ordered.len(), 2, "{}", planned.plan);
    site.put("/new/c", "theirs").await;
    site.put("/new/d", "theirs").await;
    let report = site.apply(planned).await;
    assert_eq!((report.tally.done, report.tally.held), (2, 2), "{report:?}");
    let told = "something is there by now, and this was planned from what was there before";
    assert_eq!(errors(&report), [told, told]);
}

#[tokio::test(start_paused = true)]
async fn what_only_is_recorded_changes_nothing_that_comes_after_it() {
    let site = Site::new().await;
    let value = ValueSpec::resource("v", &1.into()).unwrap();
    let page = says("taken", TAKEN, Says::More).after(&value.id);
    let planned = site.plan(&desired([value, page])).await;
    site.put(TAKEN, "theirs").await;
    let report = site.apply(planned).await;
    assert_eq!(report.outcome, Outcome::Refused);
    assert_eq!(site.text(TAKEN).await.as_deref(), Some("theirs"));
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_says_what_has_become_of_its_ground() {
    let of = |text: &str| {
        let page = Page { path: TAKEN.to_owned(), text: text.to_owned(), says: Says::Owns, meanwhile: None };
        desired([DesiredResource::new("taken", &page).on("m")])
    };
    for (before, now, told) in [
        (None, Some("theirs"), "something is there by now"),
        (Some("ours"), None, "it is gone by now"),
        (Some("ours"), Some("theirs"), "it has changed since"),
    ] {
        let site = Site::new().await;
        if let Some(before) = before {
            let planned = site.plan(&of(before)).await;
            assert_eq!(site.apply(planned).await.outcome, Outcome::Done);
        }
        let planned = site.plan(&of("changed")).await;
        match now {
            Some(now) => site.put(TAKEN, now).await,
            None => site.world.host.remove(&kept(TAKEN), Remove::File).await.unwrap(),
        }
        let report = site.apply(planned).await;
        assert_eq!(report.outcome, Outcome::Refused, "{told}");
        assert_eq!(errors(&report), [format!("{told}, and this was planned from what was there before")]);
    }
}

/// It was not there when the plan was made, or one look said so; and it is there when that is applied. What only drops the record
/// removes nothing: neither what is detc's own, nor what was there before, nor where an earlier try has failed.
#[tokio::test(start_paused = true)]
async fn what_is_there_after_all_is_not_forgotten_and_not_removed() {
    for (is_adopted, has_failed) in [(false, false), (false, true), (true, false), (true, true)] {
        let site = Site::new().await;
        let Site { world, manager } = &site;
        let nothing = || desired([]);
        let apply = async |desired: &Desired| {
            let planned = site.plan(desired).await;
            site.apply(planned).await.outcome
        };
        let of_text = |text: &str| {
            let page =
                Page { path: "/x".to_owned(), text: text.to_owned(), says: Says::Owns, meanwhile: None };
            desired([DesiredResource::new("x", &page).on("m")])
        };
        let put = async || site.put("/x", "ours").await;
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
