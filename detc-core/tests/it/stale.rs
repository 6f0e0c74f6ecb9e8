//! What a saved plan rests on besides the records, and who has made what is found.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint};
use detc_core::execute::{Outcome, unseen};
use detc_core::manage::{ManageError, Manager, ManagerOptions};
use detc_core::model::{Desired, DesiredResource, HostSpec, Observation, Present};
use detc_core::resource::{InvalidField, KindTraits, Registry, Removed, Resource};
use detc_core::store::Store;
use detc_core::store::memory::MemoryStore;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::world::{World, converge, lines};

#[tokio::test(start_paused = true)]
async fn a_saved_plan_is_stale_when_its_host_is_declared_otherwise_by_now() {
    let (world, store) = (World::new(), Arc::new(MemoryStore::new()) as Arc<dyn Store>);
    let manager = world.manager(&store).await;
    let desired = lines(2);
    let plan = manager.plan(&desired).await.unwrap().plan;
    let mut other = HostSpec { connect: "memory".to_owned(), ..HostSpec::local() };
    other.options.insert("port".to_owned(), json!(2200));
    let moved = desired.clone().host("m", other);
    let error = manager.prepare((*plan).clone(), Some(&moved), &mut unseen()).await.unwrap_err();
    let ManageError::Stale(stale) = error else { panic!("{error}") };
    let told: Vec<&str> = stale.iter().map(|action| action.what.as_str()).collect();
    assert_eq!(told, ["the declaration of host `m` has changed"; 2]);
    let planned = manager.prepare((*plan).clone(), Some(&desired), &mut unseen()).await.unwrap();
    assert_eq!(manager.apply(planned).await.unwrap().report.outcome, Outcome::Done);
}

/// A machine that is rented: all of them are found again by a tag that only detc gives, if `TAGGED`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Machine<const TAGGED: bool> {}

#[derive(Debug, Default)]
struct Machines {
    is_there: AtomicBool,
}

#[async_trait]
impl<const TAGGED: bool> Resource for Machine<TAGGED> {
    const KIND: &'static str = if TAGGED { "tagged" } else { "named" };
    type Output = ();

    fn traits() -> KindTraits {
        KindTraits::default()
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        let class = if TAGGED { CrashClass::FindableByTag } else { CrashClass::DeterministicName };
        Ok(Footprint::new(class))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        Ok(match cx.backend::<Machines>()?.is_there.load(Ordering::Relaxed) {
            true => Observation::Present(Present::new()),
            false => Observation::Absent,
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        cx.backend::<Machines>()?.is_there.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        cx.backend::<Machines>()?.is_there.store(false, Ordering::Relaxed);
        Ok(Removed::Gone)
    }
}

/// Whether one that is there before it is recorded is still there when it is no longer desired.
async fn is_left<const TAGGED: bool>() -> bool {
    let machines = Arc::new(Machines::default());
    machines.is_there.store(true, Ordering::Relaxed);
    let registry = Registry::new().with_resource::<Machine<TAGGED>>().with_backend(machines.clone());
    let manager =
        Manager::open(Arc::new(MemoryStore::new()), registry, ManagerOptions::default()).await.unwrap();
    let desired = Desired::new().with(DesiredResource::new("m", &Machine::<TAGGED> {}));
    assert_eq!(converge(&manager, &desired).await, Outcome::Done);
    assert_eq!(converge(&manager, &Desired::new()).await, Outcome::Done);
    assert!(manager.recorded().is_empty());
    machines.is_there.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn what_carries_the_tag_is_detcs_own_though_nobody_recorded_it_and_what_has_the_name_is_not() {
    assert!(!is_left::<true>().await, "who made it gave it the tag, and that was detc");
    assert!(is_left::<false>().await, "anybody may have made it");
}
