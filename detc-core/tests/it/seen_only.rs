//! A sensitive value that somebody else decides is nowhere but in the world: the desired state does not have it.

use std::sync::Arc;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint};
use detc_core::backend::host::{Ownership, Remove};
use detc_core::backend::memory::MemoryHost;
use detc_core::execute::{Outcome, StopHandle, unseen};
use detc_core::manage::{ManageError, Manager, Resumed};
use detc_core::model::{Desired, DesiredResource, FieldOwner, HostSpec, Observation, Present};
use detc_core::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource};
use detc_core::store::Store;
use detc_core::store::memory::MemoryStore;
use serde::{Deserialize, Serialize};

use super::world::{World, converge};

const NOTE: &str = "/note";

/// A text that its reader may change, and how it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    text: String,
    mode: u32,
}

#[async_trait]
impl Resource for Note {
    const KIND: &'static str = "note";
    type Output = ();

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.host = HostNeed::Required;
        traits.sensitive = &["text"];
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Ok(Footprint::new(CrashClass::DeterministicName))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let host = cx.host()?;
        if host.stat(NOTE).await?.is_none() {
            return Ok(Observation::Absent);
        }
        let note: Note = serde_json::from_slice(&host.read(NOTE, 1 << 10).await?).unwrap();
        Ok(Observation::Present(Present::new().with_field("text", note.text).with_field("mode", note.mode)))
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        let text = serde_json::to_vec(self).unwrap();
        cx.host()?.write(NOTE, &text, &Ownership::default()).await?;
        Ok(())
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        cx.host()?.remove(NOTE, Remove::File).await?;
        Ok(Removed::Gone)
    }
}

fn note(text: &str, mode: u32) -> Note {
    Note { text: text.to_owned(), mode }
}

fn desired(mode: u32) -> Desired {
    let mut resource = DesiredResource::new("n", &note("as it begins", mode)).on("m");
    resource.extra_mut().ownership.insert("text".parse().unwrap(), FieldOwner::Seed);
    Desired::new().host("m", HostSpec { connect: "memory".to_owned(), ..HostSpec::local() }).with(resource)
}

/// A note whose text another has changed since it was made.
async fn changed_note() -> (World, Arc<dyn Store>, Manager) {
    let world = World::on(MemoryHost::new("m")).knowing(|registry| registry.with_resource::<Note>());
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let manager = world.manager(&store).await;
    assert_eq!(converge(&manager, &desired(0o600)).await, Outcome::Done);
    let text = serde_json::to_vec(&note("as its reader has it", 0o600)).unwrap();
    world.machine().write(NOTE, &text, &Ownership::default()).await.unwrap();
    (world, store, manager)
}

async fn found(world: &World) -> Note {
    serde_json::from_slice(&world.machine().read(NOTE, 1 << 10).await.unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_rest_needs_it_is_given_up_and_the_next_plan_looks() {
    let (world, store, manager) = changed_note().await;
    let planned = manager.plan(&desired(0o640)).await.unwrap();
    let stop = StopHandle::new();
    stop.stop();
    let applied = manager.apply_with(planned, unseen(), stop).await.unwrap();
    assert_eq!(applied.report.outcome, Outcome::Interrupted);
    drop(manager);
    let manager = world.successor(&store).await;
    assert!(matches!(manager.finish_interrupted(None).await, Err(ManageError::NotKept(_))));
    match manager.finish_interrupted(Some(&desired(0o640))).await {
        Ok(Some(Resumed::Superseded(_, why))) => {
            assert_eq!(why, "what is left of it needs values that are known only when they are looked at");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(converge(&manager, &desired(0o640)).await, Outcome::Done);
    assert_eq!(found(&world).await, note("as its reader has it", 0o640));
}

#[tokio::test(start_paused = true)]
async fn a_saved_plan_that_needs_it_has_it_when_it_was_looked_at() {
    let (world, store, manager) = changed_note().await;
    let plan = manager.plan(&desired(0o640)).await.unwrap().plan;
    drop(manager);
    let manager = world.successor(&store).await;
    let planned = manager.prepare((*plan).clone(), Some(&desired(0o640)), &mut unseen()).await.unwrap();
    assert_eq!(manager.apply(planned).await.unwrap().report.outcome, Outcome::Done);
    assert_eq!(found(&world).await, note("as its reader has it", 0o640));
}
