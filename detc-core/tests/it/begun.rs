//! What a process that was gone before its end had begun to make is detc's own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint};
use detc_core::backend::Host as _;
use detc_core::backend::host::{Ownership, Remove};
use detc_core::execute::Outcome;
use detc_core::manage::{Manager, ManagerOptions};
use detc_core::model::{Desired, DesiredResource, HostSpec, Observation, Present};
use detc_core::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource};
use detc_core::store::Store;
use detc_core::store::memory::MemoryStore;
use serde::{Deserialize, Serialize};

use super::world::{World, converge};

/// While there is a file of this name, whoever makes something never comes to an end.
const HANG: &str = "/hang";

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
        let there = cx.host()?.read(&self.path, 16).await.is_ok();
        Ok(match there {
            true => Observation::Present(Present::new().with_field("path", self.path.as_str())),
            false => Observation::Absent,
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        let host = cx.host()?;
        host.write(&self.path, b"done", &Ownership::default()).await?;
        if host.read(HANG, 16).await.is_ok() {
            std::future::pending::<()>().await;
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

async fn is_there(world: &World, path: &str) -> bool {
    world.host.read(path, 16).await.is_ok()
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
    world.host.write(HANG, b"", &Ownership::default()).await.unwrap();
    let planned = manager.plan(&desired).await.unwrap();
    let cut_off = tokio::time::timeout(Duration::from_secs(5), manager.apply(planned)).await;
    assert!(cut_off.is_err(), "it hangs");
    world.host.remove(HANG, Remove::File).await.unwrap();
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
        world.host.write("/theirs", b"", &Ownership::default()).await.unwrap();
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
