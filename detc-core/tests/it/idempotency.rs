//! What nobody can look up is made once all the same, where the other side remembers the key of a try: whatever became of
//! the runs that tried it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use detc_core::action::{Action, ActionCx, ActionError, Check, CrashClass, Footprint};
use detc_core::backend::MemoryHost;
use detc_core::backend::host::{Command, ExitStatus, Output, Ownership};
use detc_core::backend::memory::{Files, HostFault};
use detc_core::execute::Outcome;
use detc_core::manage::{ManageError, Manager, ManagerOptions};
use detc_core::model::{Desired, DesiredResource, HostSpec, Observation};
use detc_core::plan::Verb;
use detc_core::resource::value::ValueSpec;
use detc_core::resource::{HostNeed, InvalidField, KindTraits, Registry, Removed, Resource};
use detc_core::store::memory::MemoryStore;
use detc_core::store::{KeyRange, Store, read_all};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::world::{World, converge, lines};

/// Where the store keeps the keys.
const TRIED: &str = "key/";

const BOOK: &str = "/book";

/// Something that is ordered from a shop that tells nobody what it has sent, and knows an order by its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    what: String,
}

#[async_trait]
impl Resource for Order {
    const KIND: &'static str = "order";
    type Output = ();

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.host = HostNeed::Required;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Ok(Footprint::new(CrashClass::IdempotencyKey))
    }

    async fn observe(&self, _: &ActionCx<'_>) -> Result<Observation, ActionError> {
        Ok(Observation::Unobservable)
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        cx.host()?.run(&Command::new(["order", cx.idempotency_key(), &self.what])).await?;
        Ok(())
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, _: &ActionCx<'_>) -> Result<Removed, ActionError> {
        Ok(Removed::Gone)
    }
}

/// A world with such a shop.
fn shop() -> World {
    let order = |command: &Command, files: &mut Files| {
        let mut book = String::from_utf8(files.read(BOOK).unwrap_or_default().to_vec()).unwrap();
        let (key, what) = (&command.argv[1], &command.argv[2]);
        if !book.lines().any(|line| line.starts_with(&format!("{key} "))) {
            book.push_str(&format!("{key} {what}\n"));
            files.write(BOOK, book.as_bytes(), &Ownership::default()).unwrap();
        }
        Output { status: ExitStatus::Code(0), ..Output::default() }
    };
    World::on(MemoryHost::new("m").with_program("order", order))
}

fn registry(world: &World) -> Registry {
    world.registry().with_resource::<Order>()
}

async fn manager(world: &World, store: &Arc<dyn Store>) -> Manager {
    Manager::open(store.clone(), registry(world), ManagerOptions::default()).await.unwrap()
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

fn nothing() -> Desired {
    Desired::new().host("m", HostSpec { connect: "memory".to_owned(), ..HostSpec::local() })
}

fn order(what: &str) -> Desired {
    nothing().with(DesiredResource::new("x", &Order { what: what.to_owned() }).on("m"))
}

/// What was ordered, in order.
async fn sent(world: &World) -> Vec<String> {
    let book = world.machine().read(BOOK, 1 << 20).await.unwrap_or_default();
    let book = String::from_utf8(book.to_vec()).unwrap();
    book.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
}

/// The keys that are kept.
async fn kept(store: &Arc<dyn Store>) -> Vec<String> {
    let (entries, _) = read_all(&**store, KeyRange::prefix(TRIED)).await.unwrap();
    entries.iter().map(|entry| String::from_utf8_lossy(&entry.key).into_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_try_after_a_run_that_failed_has_the_key_of_the_first() {
    let (world, store) = (shop(), memory());
    let manager = manager(&world, &store).await;
    world.host.fail_all(Some(HostFault::AnswerLost));
    for _ in 0..2 {
        assert_eq!(converge(&manager, &order("one")).await, Outcome::Failed);
    }
    assert_eq!(kept(&store).await, ["key/order/x"]);
    world.host.fail_all(None);
    assert_eq!(converge(&manager, &order("one")).await, Outcome::Done);
    assert_eq!(sent(&world).await, ["one"], "it was ordered once");
    assert_eq!(kept(&store).await, [""; 0], "what ended well needs no key any more");
}

#[tokio::test(start_paused = true)]
async fn a_try_under_another_name_has_the_key_of_the_first_and_leaves_none() {
    let (world, store) = (shop(), memory());
    let manager = manager(&world, &store).await;
    world.host.fail_all(Some(HostFault::AnswerLost));
    assert_eq!(converge(&manager, &order("one")).await, Outcome::Failed);
    world.host.fail_all(None);
    let mut renamed = order("one");
    let mut of_x = renamed.resources.shift_remove("order/x").unwrap();
    of_x.id = "order/y".parse().unwrap();
    of_x.extra_mut().renamed_from = Some("order/x".parse().unwrap());
    assert_eq!(converge(&manager, &renamed.with(of_x)).await, Outcome::Done);
    assert_eq!(sent(&world).await, ["one"], "it was ordered once");
    assert_eq!(kept(&store).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_try_after_a_crash_has_the_key_of_the_first_though_the_run_was_given_up_and_other_fields_are_asked_for()
 {
    let (world, store) = (shop(), memory());
    let dying = manager(&world, &store).await;
    let planned = dying.plan(&order("one")).await.unwrap();
    world.host.fail_all(Some(HostFault::AnswerLost));
    // It waits for its next look when it dies.
    let cut_off = tokio::time::timeout(Duration::from_millis(50), dying.apply(planned)).await;
    assert!(cut_off.is_err());
    drop(dying);
    world.host.fail_all(None);
    assert_eq!(sent(&world).await, ["one"]);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let successor = manager(&world, &store).await;
    assert_eq!(converge(&successor, &order("two")).await, Outcome::Done);
    assert_eq!(successor.history().await.unwrap().len(), 2, "the first run was given up");
    assert_eq!(sent(&world).await, ["one"], "two of it would be one too many");
    assert_eq!(kept(&store).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_ended_well_and_is_made_again_has_another_key() {
    let (world, store) = (shop(), memory());
    let manager = manager(&world, &store).await;
    for desired in [order("one"), nothing(), order("one")] {
        assert_eq!(converge(&manager, &desired).await, Outcome::Done);
    }
    assert_eq!(sent(&world).await, ["one", "one"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_has_the_key_of_its_own_first_try_and_of_no_other_change() {
    let (world, store) = (shop(), memory());
    let manager = manager(&world, &store).await;
    assert_eq!(converge(&manager, &order("one")).await, Outcome::Done);
    world.host.fail_all(Some(HostFault::AnswerLost));
    for what in ["two", "two", "three"] {
        assert_eq!(converge(&manager, &order(what)).await, Outcome::Failed);
    }
    world.host.fail_all(None);
    assert_eq!(converge(&manager, &order("three")).await, Outcome::Done);
    assert_eq!(sent(&world).await, ["one", "two", "three"]);
    assert_eq!(kept(&store).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_dropped_when_a_person_says_that_it_was_not_done() {
    let (world, store) = (shop(), memory());
    let manager = manager(&world, &store).await;
    world.host.fail_all(Some(HostFault::AnswerLost));
    assert_eq!(converge(&manager, &order("one")).await, Outcome::Failed);
    world.host.fail_all(None);
    let done = manager.settle(&"done=order/x".parse().unwrap()).await;
    assert!(matches!(done, Err(ManageError::NoDoubt(_))), "it is not known what would be recorded");
    manager.settle(&"not-done=order/x".parse().unwrap()).await.unwrap();
    assert_eq!(kept(&store).await, [""; 0]);
    assert_eq!(converge(&manager, &order("one")).await, Outcome::Done);
    assert_eq!(sent(&world).await, ["one", "one"], "the person was wrong");
}

/// A step that is done again whenever something changes, and whose other side knows each time by its key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ring {}

#[async_trait]
impl Action for Ring {
    const KIND: &'static str = "ring";
    type Output = ();

    fn footprint(&self) -> Footprint {
        Footprint::new(CrashClass::IdempotencyKey)
    }

    async fn check(&self, _: &ActionCx<'_>) -> Result<Check<()>, ActionError> {
        Ok(Check::Satisfied(()))
    }

    async fn apply(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_done_once_more_under_a_key_is_never_in_doubt() {
    let registry = Registry::new().with_action::<Ring>();
    let manager = Manager::open(memory(), registry, ManagerOptions::default()).await.unwrap();
    let ring = |tune: &str| {
        let tune = ValueSpec::resource("tune", &json!(tune)).unwrap();
        let ring = DesiredResource::step("ring", &Ring {}).restart_on(&"value/tune".parse().unwrap());
        Desired::new().with(tune).with(ring)
    };
    assert_eq!(converge(&manager, &ring("high")).await, Outcome::Done);
    let plan = manager.plan(&ring("low")).await.unwrap().plan;
    let again = plan.actions.iter().find(|action| action.verb == Verb::Restart).expect("it rings again");
    assert_eq!(again.crash, CrashClass::IdempotencyKey, "{plan}");
}

#[tokio::test(start_paused = true)]
async fn what_is_found_out_by_a_look_keeps_no_key() {
    let (world, store) = (World::new(), memory());
    let manager = world.manager(&store).await;
    world.host.fail_call(2, HostFault::Refused(std::io::ErrorKind::StorageFull));
    assert_eq!(converge(&manager, &lines(1)).await, Outcome::Failed);
    let (all, _) = read_all(&*store, KeyRange::all()).await.unwrap();
    assert!(all.iter().all(|entry| !entry.key.starts_with(TRIED.as_bytes())));
}

/// Something that nobody can look at, and that fails.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Crack {}

#[async_trait]
impl Action for Crack {
    const KIND: &'static str = "crack";
    type Output = ();

    fn footprint(&self) -> Footprint {
        Footprint::new(CrashClass::IdempotencyKey)
    }

    async fn check(&self, _: &ActionCx<'_>) -> Result<Check<()>, ActionError> {
        Ok(Check::Needed("it is whole".to_owned()))
    }

    async fn apply(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        Err(ActionError::permanent("it is too hard"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_dropped_with_the_last_that_is_known_of_its_resource() {
    let (store, registry) = (memory(), Registry::new().with_action::<Crack>());
    let manager = Manager::open(store.clone(), registry, ManagerOptions::default()).await.unwrap();
    let value = |input: u8| Desired::new().with(ValueSpec::resource("v", &json!(input)).unwrap());
    let both = value(1).with(DesiredResource::step("nut", &Crack {}));
    assert_eq!(converge(&manager, &both).await, Outcome::Failed);
    assert_eq!(kept(&store).await, ["key/crack/nut"]);
    assert_eq!(converge(&manager, &both).await, Outcome::Failed);
    assert_eq!(kept(&store).await, ["key/crack/nut"], "it is still desired");
    assert_eq!(converge(&manager, &value(2)).await, Outcome::Done);
    assert_eq!(kept(&store).await, [""; 0]);
}
