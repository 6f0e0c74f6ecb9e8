//! What a process that was gone before its end had begun to make is detc's own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, ErrorClass, Footprint};
use detc_core::backend::Host as _;
use detc_core::backend::host::{Ownership, Remove};
use detc_core::backend::memory::HostFault;
use detc_core::execute::Outcome;
use detc_core::manage::{Manager, ManagerOptions};
use detc_core::model::{Desired, DesiredResource, HostSpec, Observation, Present};
use detc_core::resource::value::ValueSpec;
use detc_core::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource};
use detc_core::store::Store;
use detc_core::store::memory::MemoryStore;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::world::{Line, World, converge, lines, lines_stay};

// What a test brings about by a file of this name.

/// Whoever makes something never comes to an end, when it is made.
const HANG: &str = "/hang";
/// The same, before it is made.
const HANG_BEFORE: &str = "/hang-before";
/// Nothing is made, and that is final.
const REFUSE: &str = "/refuse";
/// The next try comes to nothing, and only that.
const FAIL_ONCE: &str = "/fail-once";
/// It is made, its answer is lost, and nobody can look any more.
const LOSE: &str = "/lose";
/// Nobody can look.
const BLIND: &str = "/blind";
/// It is made, and is not seen yet.
const LATE: &str = "/late";
/// What is made is not seen.
const UNSEEN: &str = "/unseen";

/// A file, the writing of which may have to happen at most once, and may fail when it has been written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deed {
    path: String,
    once: bool,
    fails: bool,
}

fn deed(path: &str) -> Deed {
    Deed { path: path.to_owned(), once: false, fails: false }
}

#[async_trait]
impl Resource for Deed {
    const KIND: &'static str = "deed";
    type Output = ();

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.replace_on = &["path"];
        traits.host = HostNeed::Required;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Ok(Footprint::new(if self.once { CrashClass::AtMostOnce } else { CrashClass::DeterministicName }))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        if is_set(cx, BLIND).await? {
            return Err(ActionError::new(ErrorClass::Unreachable, "it is dark"));
        }
        let there = is_set(cx, &self.path).await? && !is_set(cx, UNSEEN).await?;
        Ok(match there {
            true => Observation::Present(Present::new().with_field("path", self.path.as_str())),
            false => Observation::Absent,
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        let host = cx.host()?;
        let own = Ownership::default();
        if is_set(cx, HANG_BEFORE).await? {
            std::future::pending::<()>().await;
        }
        if is_set(cx, REFUSE).await? {
            return Err(ActionError::permanent("it is not made"));
        }
        if is_set(cx, FAIL_ONCE).await? {
            host.remove(FAIL_ONCE, Remove::File).await?;
            return Err(ActionError::transient("not now"));
        }
        host.write(&self.path, b"done", &own).await?;
        if is_set(cx, HANG).await? {
            std::future::pending::<()>().await;
        }
        if is_set(cx, LOSE).await? {
            host.write(BLIND, b"", &own).await?;
            return Err(ActionError::outcome_unknown("no answer"));
        }
        if is_set(cx, LATE).await? {
            host.write(UNSEEN, b"", &own).await?;
        }
        match self.fails {
            true => Err(ActionError::permanent("it is written, and that is not enough")),
            false => Ok(()),
        }
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        cx.host()?.remove(&self.path, Remove::File).await?;
        Ok(Removed::Gone)
    }
}

async fn is_set(cx: &ActionCx<'_>, path: &str) -> Result<bool, ActionError> {
    Ok(cx.host()?.stat(path).await?.is_some())
}

/// Brings something about.
async fn set(world: &World, path: &str) {
    world.machine().write(path, b"", &Ownership::default()).await.unwrap();
}

/// Takes all of it back.
async fn all_is_well(world: &World) {
    for path in [HANG, HANG_BEFORE, REFUSE, FAIL_ONCE, LOSE, BLIND, LATE, UNSEEN] {
        world.host.remove(path, Remove::File).await.unwrap();
    }
}

/// Applies, in a process that is gone in the midst of it.
async fn cut_off(manager: &Manager, desired: &Desired) {
    let planned = manager.plan(desired).await.unwrap();
    let applying = tokio::time::timeout(Duration::from_secs(5), manager.apply(planned)).await;
    assert!(applying.is_err(), "it hangs");
}

async fn is_there(world: &World, path: &str) -> bool {
    world.machine().read(path, 16).await.is_ok()
}

fn desired(deed: &Deed) -> Desired {
    nothing().with(DesiredResource::new("x", deed).on("m"))
}

fn nothing() -> Desired {
    Desired::new().host("m", HostSpec { connect: "memory".to_owned(), ..HostSpec::local() })
}

async fn manager(world: &World, store: &Arc<dyn Store>) -> Manager {
    let registry = world.registry().with_resource::<Deed>();
    Manager::open(store.clone(), registry, ManagerOptions::default()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_done_twice_and_was_found_done_is_removed_again() {
    let (world, store): (_, Arc<dyn Store>) = (World::new(), Arc::new(MemoryStore::new()));
    let manager = manager(&world, &store).await;
    let desired = desired(&Deed { once: true, ..deed("/x") });
    set(&world, HANG).await;
    cut_off(&manager, &desired).await;
    all_is_well(&world).await;
    assert_eq!(converge(&manager, &desired).await, Outcome::Done);
    assert!(is_there(&world, "/x").await);
    assert_eq!(converge(&manager, &nothing()).await, Outcome::Done);
    assert!(!is_there(&world, "/x").await, "it was not there before it was done");
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_action_has_made_is_removed_and_nothing_that_is_found_elsewhere() {
    for moves in [false, true] {
        let (world, store): (_, Arc<dyn Store>) = (World::new(), Arc::new(MemoryStore::new()));
        let manager = manager(&world, &store).await;
        world.machine().write("/theirs", b"", &Ownership::default()).await.unwrap();
        assert_eq!(converge(&manager, &desired(&Deed { fails: true, ..deed("/x") })).await, Outcome::Failed);
        assert!(is_there(&world, "/x").await);
        if moves {
            let there = desired(&deed("/theirs"));
            assert_eq!(converge(&manager, &there).await, Outcome::Done);
            assert!(!is_there(&world, "/x").await);
        }
        assert_eq!(converge(&manager, &nothing()).await, Outcome::Done);
        assert!(!is_there(&world, "/x").await);
        assert!(is_there(&world, "/theirs").await);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_made_is_removed_whatever_became_of_the_try_that_made_it() {
    let fails = Deed { fails: true, ..deed("/x") };
    for (deed, troubles) in [
        (fails.clone(), &[][..]),
        (Deed { once: true, ..fails }, &[]),
        (deed("/x"), &[FAIL_ONCE, LOSE]),
        (deed("/x"), &[LATE]),
    ] {
        let (world, store): (_, Arc<dyn Store>) = (World::new(), Arc::new(MemoryStore::new()));
        let manager = manager(&world, &store).await;
        for trouble in troubles {
            set(&world, trouble).await;
        }
        assert_eq!(converge(&manager, &desired(&deed)).await, Outcome::Failed, "{deed:?} {troubles:?}");
        all_is_well(&world).await;
        assert!(is_there(&world, "/x").await, "{deed:?} {troubles:?}");
        assert_eq!(converge(&manager, &nothing()).await, Outcome::Done, "{deed:?} {troubles:?}");
        assert!(!is_there(&world, "/x").await, "{deed:?} {troubles:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_to_nothing_after_a_crash_leaves_no_claim() {
    let (world, store): (_, Arc<dyn Store>) = (World::new(), Arc::new(MemoryStore::new()));
    let manager = manager(&world, &store).await;
    set(&world, HANG_BEFORE).await;
    cut_off(&manager, &desired(&deed("/x"))).await;
    all_is_well(&world).await;
    set(&world, REFUSE).await;
    assert_eq!(converge(&manager, &desired(&deed("/x"))).await, Outcome::Failed);
    all_is_well(&world).await;
    set(&world, "/x").await;
    assert_eq!(converge(&manager, &desired(&deed("/x"))).await, Outcome::Done);
    assert_eq!(converge(&manager, &nothing()).await, Outcome::Done);
    assert!(is_there(&world, "/x").await, "somebody else made it");
}

#[tokio::test(start_paused = true)]
async fn what_detc_made_and_is_back_by_itself_is_still_its_own() {
    let (world, store): (_, Arc<dyn Store>) = (World::new(), Arc::new(MemoryStore::new()));
    let manager = manager(&world, &store).await;
    assert_eq!(converge(&manager, &desired(&deed("/x"))).await, Outcome::Done);
    set(&world, UNSEEN).await;
    let planned = manager.plan(&desired(&deed("/x"))).await.unwrap();
    all_is_well(&world).await;
    assert_eq!(manager.apply(planned).await.unwrap().report.tally.satisfied, 1);
    assert_eq!(converge(&manager, &nothing()).await, Outcome::Done);
    assert!(!is_there(&world, "/x").await);
}

/// Something that nobody can look at, and that is amended where it was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Letter {}

#[async_trait]
impl Resource for Letter {
    const KIND: &'static str = "letter";
    type Output = ();

    fn traits() -> KindTraits {
        Deed::traits()
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Ok(Footprint::new(CrashClass::DeterministicName))
    }

    async fn observe(&self, _: &ActionCx<'_>) -> Result<Observation, ActionError> {
        Ok(Observation::Unobservable)
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        if is_set(cx, HANG).await? {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn update(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        Err(ActionError::permanent("there is nothing to amend"))
    }

    async fn delete(&self, _: &ActionCx<'_>) -> Result<Removed, ActionError> {
        Ok(Removed::Gone)
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_never_made_is_not_amended() {
    for is_given_up in [false, true] {
        let (world, store): (_, Arc<dyn Store>) = (World::new(), Arc::new(MemoryStore::new()));
        let registry = world.registry().with_resource::<Letter>();
        let manager = Manager::open(store, registry, ManagerOptions::default()).await.unwrap();
        let desired = nothing().with(DesiredResource::new("x", &Letter {}).on("m"));
        set(&world, HANG).await;
        cut_off(&manager, &desired).await;
        all_is_well(&world).await;
        if is_given_up {
            let open = manager.interrupted().await.unwrap().unwrap();
            manager.give_up(open, "for a test").await.unwrap();
        }
        assert_eq!(converge(&manager, &desired).await, Outcome::Done);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_large_run_did_not_end_well_is_in_doubt_until_it_has_ended_well() {
    let (world, store): (_, Arc<dyn Store>) = (World::new(), Arc::new(MemoryStore::new()));
    let manager = world.manager(&store).await;
    assert_eq!(converge(&manager, &lines(3)).await, Outcome::Done);
    let value = |index: usize| ValueSpec::resource(&format!("v{index}"), &json!(index)).unwrap();
    let large = (0..20_001).map(value).fold(lines(3), Desired::with);
    let secret = Line { secret: Some("correct-horse".to_owned()), ..Line::new("l0") };
    let l0 = DesiredResource::new("l0", &secret).on("m");
    let changed = large.clone().with(l0.clone());
    let planned = manager.plan(&changed).await.unwrap();
    world.host.fail_all(Some(HostFault::Refused(std::io::ErrorKind::PermissionDenied)));
    assert_eq!(manager.apply(planned).await.unwrap().report.outcome, Outcome::Failed);
    world.host.fail_all(None);
    let mut wanted = large.invariant(lines_stay(1));
    for index in 0..3 {
        wanted = wanted.with(value(30_000 + index));
        let planned = manager.plan(&wanted).await.unwrap();
        assert_eq!(
            (planned.plan.actions.len(), planned.plan.proofs[0].base),
            (1, 2),
            "after {index} small runs"
        );
        assert_eq!(manager.apply(planned).await.unwrap().report.outcome, Outcome::Done);
    }
    let wanted = wanted.with(l0);
    assert_eq!(converge(&manager, &wanted).await, Outcome::Done);
    let planned = manager.plan(&wanted).await.unwrap();
    assert_eq!(planned.plan.proofs[0].base, 3);
}
