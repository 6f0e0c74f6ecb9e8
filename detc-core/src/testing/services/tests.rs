//! Kinds that live on services, sound and not, in a cluster whose every call goes wrong once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;
use crate::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use crate::model::{Desired, DesiredResource, FieldPath, Observation, Present, Reference};
use crate::resource::{InvalidField, KindTraits, Registry, Removed, Resource};
use crate::testing::cluster::{Checked, Faults, Scenario, check_cluster, check_seeds};

const SOUND: u8 = 0;
const SEES_BOOTING_AS_ABSENT: u8 = 1;
const SEES_STOPPED_AS_RUNNING: u8 = 2;

/// A machine of a cloud, found by its tag.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vm<const DEFECT: u8> {
    tag: String,
    size: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct At {
    address: String,
}

impl<const DEFECT: u8> Vm<DEFECT> {
    /// What is too much, or of another size, goes; what is missing is made, and waited for.
    async fn have_one(&self, cx: &ActionCx<'_>) -> Result<At, ActionError> {
        let cloud = cx.backend::<Machines>()?;
        let mut kept = None;
        for machine in cloud.tagged(&self.tag).await? {
            match kept.is_none() && machine.size == self.size {
                true => kept = Some(machine.id),
                false => cloud.delete(&machine.id).await?,
            }
        }
        let id = match kept {
            Some(id) => id,
            None => cloud.create(&self.tag, &self.size).await?,
        };
        self.booted(cx, &id).await
    }

    /// Where a machine is reached, once it runs.
    async fn booted(&self, cx: &ActionCx<'_>, id: &str) -> Result<At, ActionError> {
        let cloud = cx.backend::<Machines>()?;
        loop {
            let tagged = cloud.tagged(&self.tag).await?;
            let address = tagged.into_iter().find(|machine| machine.id == id).and_then(|it| it.address);
            if let Some(address) = address {
                return Ok(At { address });
            }
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
    }
}

#[async_trait]
impl<const DEFECT: u8> Resource for Vm<DEFECT> {
    const KIND: &'static str = "vm";
    type Output = At;

    fn traits() -> KindTraits {
        KindTraits { replace_on: &["tag"], ..KindTraits::default() }
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        let footprint = Footprint::new(CrashClass::FindableByTag);
        Ok(footprint.owning(Place::name("vm", &self.tag)))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let mut tagged = cx.backend::<Machines>()?.tagged(&self.tag).await?;
        if DEFECT == SEES_BOOTING_AS_ABSENT {
            tagged.retain(|machine| machine.state == MachineState::Running);
            tagged.truncate(1);
        }
        Ok(match tagged.as_slice() {
            [] => Observation::Absent,
            [one] => match &one.address {
                Some(address) => Observation::Present(
                    Present::new()
                        .with_field("size", one.size.as_str())
                        .with_output(&At { address: address.clone() }),
                ),
                // It is there, and not yet what was asked for.
                None => Observation::Present(Present::new().with_field("size", "booting")),
            },
            more => {
                Observation::Present(Present::new().with_field("size", format!("{} machines", more.len())))
            }
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<At, ActionError> {
        if DEFECT == SEES_BOOTING_AS_ABSENT {
            let id = cx.backend::<Machines>()?.create(&self.tag, &self.size).await?;
            return self.booted(cx, &id).await;
        }
        self.have_one(cx).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<At, ActionError> {
        self.have_one(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        let cloud = cx.backend::<Machines>()?;
        for machine in cloud.tagged(&self.tag).await? {
            cloud.delete(&machine.id).await?;
        }
        Ok(Removed::Gone)
    }
}

/// A container of an engine, found by its name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Run<const DEFECT: u8> {
    container: String,
    image: String,
}

impl<const DEFECT: u8> Run<DEFECT> {
    async fn run(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        let engine = cx.backend::<Containers>()?;
        let is_other = engine.inspect(&self.container).await?.is_some_and(|it| it.image != self.image);
        if is_other {
            engine.stop(&self.container).await?;
            engine.remove(&self.container).await?;
        }
        match engine.create(&self.container, &self.image, &BTreeMap::new()).await {
            Ok(()) | Err(ContainerError::Taken(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(engine.start(&self.container).await?)
    }
}

#[async_trait]
impl<const DEFECT: u8> Resource for Run<DEFECT> {
    const KIND: &'static str = "run";
    type Output = ();

    fn traits() -> KindTraits {
        KindTraits { replace_on: &["container"], ..KindTraits::default() }
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        let footprint = Footprint::new(CrashClass::DeterministicName);
        Ok(footprint.owning(Place::name("container", &self.container)))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let found = cx.backend::<Containers>()?.inspect(&self.container).await?;
        Ok(match found {
            None => Observation::Absent,
            Some(found) if found.is_running || DEFECT == SEES_STOPPED_AS_RUNNING => {
                Observation::Present(Present::new().with_field("image", found.image))
            }
            Some(_) => Observation::Present(Present::new().with_field("image", "stopped")),
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.run(cx).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.run(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        let engine = cx.backend::<Containers>()?;
        match engine.stop(&self.container).await {
            Ok(()) | Err(ContainerError::Missing(_)) => {}
            Err(error) => return Err(error.into()),
        }
        engine.remove(&self.container).await?;
        Ok(Removed::Gone)
    }
}

/// A name with one address.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    entry: String,
    address: String,
}

#[async_trait]
impl Resource for Entry {
    const KIND: &'static str = "entry";
    type Output = ();

    fn traits() -> KindTraits {
        KindTraits { replace_on: &["entry"], ..KindTraits::default() }
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        let footprint = Footprint::new(CrashClass::DeterministicName);
        Ok(footprint.owning(Place::name("entry", &self.entry)))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let addresses = cx.backend::<Names>()?.resolve(&self.entry).await?;
        Ok(match addresses.as_slice() {
            [] => Observation::Absent,
            all => Observation::Present(Present::new().with_field("address", all.join(", "))),
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        Ok(cx.backend::<Names>()?.register(&self.entry, &self.address, None).await?)
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        let names = cx.backend::<Names>()?;
        self.create(cx).await?;
        for other in names.resolve(&self.entry).await?.iter().filter(|it| **it != self.address) {
            names.deregister(&self.entry, other).await?;
        }
        Ok(())
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        let names = cx.backend::<Names>()?;
        for address in names.resolve(&self.entry).await? {
            names.deregister(&self.entry, &address).await?;
        }
        Ok(Removed::Gone)
    }
}

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
    let registry =
        Registry::new().with_resource::<Vm<DEFECT>>().with_resource::<Run<DEFECT>>().with_resource::<Entry>();
    let calls = Calls::new();
    let machines = Arc::new(Machines::new(calls.clone()).booting_for(Duration::from_secs(100)));
    let (containers, names) = (Arc::new(Containers::new(calls.clone())), Arc::new(Names::new(calls.clone())));
    let (m, c, n) = (machines.clone(), containers.clone(), names.clone());
    Scenario::new(registry, states)
        .with_backend(machines, calls.clone(), move || m.dump())
        .with_backend(containers, calls.clone(), move || c.dump())
        .with_backend(names, calls, move || n.dump())
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
        (found::<SEES_STOPPED_AS_RUNNING>().await, "does not run"),
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

#[tokio::test]
async fn an_engine_keeps_its_rules() {
    let engine = Containers::new(Calls::new());
    let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
    engine.create("web", "v1", &labels).await.unwrap();
    let taken = engine.create("web", "v2", &labels).await.unwrap_err();
    assert_eq!(taken.to_string(), "there is a container `web` already");
    engine.start("web").await.unwrap();
    assert_eq!(engine.remove("web").await, Err(ContainerError::Running("web".to_owned())));
    engine.exit("web", 3);
    let ended = engine.inspect("web").await.unwrap().unwrap();
    assert_eq!((ended.is_running, ended.exit_code, ended.labels), (false, Some(3), labels));
    engine.remove("web").await.unwrap();
    engine.remove("web").await.unwrap();
    assert_eq!(engine.stop("web").await, Err(ContainerError::Missing("web".to_owned())));
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
