//! Kinds that live on services, sound and not, in a cluster whose every call goes wrong once.

use std::time::Duration;

use serde_json::json;

use super::kinds::*;
use super::*;
use crate::backend::containers::{Change, Containers};
use crate::model::{Desired, DesiredResource, FieldPath, Reference};
use crate::resource::Registry;
use crate::testing::calls::Fault;
use crate::testing::cluster::{Checked, Faults, Scenario, check_cluster, check_seeds};
use crate::testing::containers::check_containers;

/// A machine, a container and a name of it; the machine grows, the container has a new version, the name another address; then
/// all but the container is gone, and another machine is there.
fn scenario<const DEFECT: u8>() -> Scenario {
    let resource = |kind: &str, name: &str, fields: serde_json::Value| {
        DesiredResource::from_value(kind, name, &fields).unwrap()
    };
    let all = |size: &str, image: &str, entry: serde_json::Value| {
        let vm = resource("vm", "web", json!({ "tag": "web", "size": size }));
        let container = resource("run", "web", json!({ "container": "web", "image": image })).after(&vm.id);
        let mut name = resource("entry", "web", json!({ "entry": "web", "address": entry }));
        if entry.is_null() {
            let address: FieldPath = "address".parse().unwrap();
            name = name.bind(&address, Reference::new(vm.id.clone(), address.clone())).unwrap();
        }
        Desired::new().with(vm).with(container).with(name)
    };
    let db = resource("vm", "db", json!({ "tag": "db", "size": "small" }));
    let last =
        Desired::new().with(resource("run", "web", json!({ "container": "web", "image": "v2" }))).with(db);
    let states = [all("small", "v1", "10.0.0.1".into()), all("large", "v2", "10.0.0.2".into()), last];
    let registry = Registry::new()
        .with_resource::<Vm<DEFECT>>()
        .with_resource::<Run<DEFECT>>()
        .with_resource::<Entry<SOUND>>();
    on_services(Scenario::new(registry, states))
}

#[tokio::test(start_paused = true)]
async fn sound_kinds_come_through_every_single_fault_of_three_services() {
    let checked = check_cluster(scenario::<SOUND>, Faults::default()).await;
    assert!(checked.violations.is_empty(), "{checked}");
    assert_eq!(checked.lives, checked.lives_possible, "{checked}");
    assert!(checked.lives > 200, "{checked}");
}

#[tokio::test(start_paused = true)]
async fn and_through_many_at_once() {
    let checked = check_seeds(|_| scenario::<SOUND>(), 0..100).await;
    assert!(checked.violations.is_empty(), "{checked}");
}

#[tokio::test(start_paused = true)]
async fn defects_of_kinds_are_found_in_what_services_hold() {
    async fn found<const DEFECT: u8>() -> String {
        let checked: Checked = check_cluster(scenario::<DEFECT>, Faults::default()).await;
        checked.violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }
    for (found, what) in [
        (found::<SEES_BOOTING_AS_ABSENT>().await, "2 × machine db small"),
        (found::<SEES_STOPPED_AS_RUNNING>().await, "created, never started"),
    ] {
        assert!(found.contains(what), "{what}: {found}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cloud_boots_its_machines_and_may_lose_them() {
    let cloud = Machines::new(Calls::new()).booting_for(Duration::from_secs(40));
    let (one, two) =
        (cloud.create("web", "small").await.unwrap(), cloud.create("web", "small").await.unwrap());
    assert_ne!(one, two);
    let states = || async {
        let tagged = cloud.tagged("web").await.unwrap();
        tagged.into_iter().map(|it| (it.state, it.address)).collect::<Vec<_>>()
    };
    assert_eq!(states().await, [(MachineState::Booting, None), (MachineState::Booting, None)]);
    cloud.delete(&two).await.unwrap();
    cloud.delete(&two).await.unwrap();
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(states().await, [(MachineState::Running, Some("i-1.machines.test".to_owned()))]);
    cloud.lose("web");
    assert!(states().await.is_empty() && cloud.dump().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_engine_whose_calls_are_watched_conforms_and_goes_wrong() {
    let calls = Calls::new();
    let engine = engine(calls.clone());
    let found = check_containers(&engine, "v1", "suite").await;
    assert!(found.is_empty(), "{found:?}");
    for (fault, said) in [
        (Fault::AnswerLost, "the answer of the engine to tag image `v1` as `v3:1` was lost"),
        (Fault::Unreachable, "the engine can not be reached: there was no way to it"),
        (Fault::Full, "the engine refused to tag image `v1` as `v3:1`: there was no room"),
    ] {
        calls.begin(Some((0, fault)));
        let tag = Change::Tag { image: "v1".into(), tag: "v3:1".into() };
        assert_eq!(engine.change(&tag).await.unwrap_err().to_string(), said);
    }
    calls.begin(Some((0, Fault::Stale(1))));
    let seen: &dyn Containers = &engine;
    assert_eq!(seen.image("v3:1").await.unwrap(), None, "before it was tagged");
    assert!(seen.image("v3:1").await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_registry_forgets_what_is_not_registered_again() {
    let names = Names::new(Calls::new());
    let ttl = Some(Duration::from_secs(10));
    names.register("web", "10.0.0.1", ttl).await.unwrap();
    names.register("web", "10.0.0.2", None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(9)).await;
    names.register("web", "10.0.0.1", ttl).await.unwrap();
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(names.resolve("web").await.unwrap(), ["10.0.0.1", "10.0.0.2"]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(names.resolve("web").await.unwrap(), ["10.0.0.2"]);
    names.deregister("web", "10.0.0.2").await.unwrap();
    assert!(names.resolve("web").await.unwrap().is_empty());
}
