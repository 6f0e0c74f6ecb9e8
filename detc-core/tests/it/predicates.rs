//! Predicates through the manager: what is not part of a saved plan counts as it is when that is applied.

use std::sync::Arc;

use detc_core::execute::{Outcome, unseen};
use detc_core::manage::{ManageError, Manager, ManagerOptions};
use detc_core::model::{Desired, DesiredResource, HostSpec, Predicate};
use detc_core::store::Store;
use detc_core::store::memory::MemoryStore;

use super::world::{Line, World, converge};

fn desired(lines: &[&str]) -> Desired {
    let desired = Desired::new().host("m", HostSpec { connect: "memory".to_owned(), ..HostSpec::local() });
    let line = |text: &&str| DesiredResource::new(text, &Line::new(text)).on("m");
    lines.iter().map(line).fold(desired, Desired::with)
}

/// Of a world in which there have to be two lines.
async fn manager(world: &World, store: &Arc<dyn Store>) -> Manager {
    let two = Predicate::new("two lines", |state| match state.resources().filter(|it| it.is_up()).count() {
        0 | 1 => Err("fewer than two are there".to_owned()),
        _ => Ok(()),
    });
    let registry = world.registry().with_predicate(two);
    Manager::open(store.clone(), registry, ManagerOptions::default()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_a_saved_plan_does_not_touch_is_looked_at_again_before_it_is_applied() {
    let (world, store) = (World::new(), Arc::new(MemoryStore::new()) as Arc<dyn Store>);
    let manager = manager(&world, &store).await;
    assert_eq!(converge(&manager, &desired(&["a", "b", "c"])).await, Outcome::Done);
    let fewer = desired(&["a", "b"]);
    let saved = manager.plan(&fewer).await.unwrap();
    assert!(saved.refusal().is_none(), "two are left");
    let saved = (*saved.plan).clone();

    // Somebody else takes away another one, with which this plan has nothing to do.
    world.machine().write("/ledger", b"a\nc\n", &Default::default()).await.unwrap();
    match manager.prepare(saved.clone(), None, &mut unseen()).await {
        Err(ManageError::Broken { name, story }) => {
            assert_eq!(name, "two lines");
            assert_eq!(story, "when delete:line/c had ended, fewer than two are there");
        }
        other => panic!("{other:?}"),
    }
    world.machine().write("/ledger", b"a\nb\nc\n", &Default::default()).await.unwrap();
    let prepared = manager.prepare(saved, None, &mut unseen()).await.unwrap();
    assert_eq!(manager.apply(prepared).await.unwrap().report.outcome, Outcome::Done);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_can_break_a_predicate_is_not_applied() {
    let (world, store) = (World::new(), Arc::new(MemoryStore::new()) as Arc<dyn Store>);
    let manager = manager(&world, &store).await;
    assert_eq!(converge(&manager, &desired(&["a", "b", "c"])).await, Outcome::Done);
    let planned = manager.plan(&desired(&["b"])).await.unwrap();
    let refusal = planned.refusal().expect("one is left").to_string();
    assert!(
        refusal
            .ends_with("`two lines`: when delete:line/a, delete:line/c had ended, fewer than two are there")
    );
    assert!(matches!(manager.apply(planned).await, Err(ManageError::Broken { .. })));
    assert_eq!(world.lines().await, ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_live_plan_is_asked_as_well() {
    let (world, store) = (World::new(), Arc::new(MemoryStore::new()) as Arc<dyn Store>);
    let manager = manager(&world, &store).await;
    let mut live = manager.live(desired(&["a", "b"])).await.unwrap();
    let planned = live.plan(&manager).await.unwrap();
    assert!(planned.refusal().is_none(), "it does not hold yet");
    live.apply(&manager, planned).await.unwrap().into_result().unwrap();
    live.remove(&"line/a".parse().unwrap());
    let planned = live.plan(&manager).await.unwrap();
    assert!(matches!(planned.refusal(), Some(ManageError::Broken { .. })));
}
