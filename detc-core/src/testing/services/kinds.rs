//! Kinds that live on services, one of each service, for tests.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::*;
use crate::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use crate::backend::containers::{
    Change, ContainerSpec, Containers, ContainersError, ImageDefaults, New, ObjectRef,
};
use crate::model::{Observation, Present};
use crate::resource::{ChangeEffect, InvalidField, KindTraits, Removed, Resource};
use crate::testing::cluster::Scenario;

pub(crate) const SOUND: u8 = 0;
pub(crate) const SEES_BOOTING_AS_ABSENT: u8 = 1;
pub(crate) const SEES_STOPPED_AS_RUNNING: u8 = 2;
pub(crate) const TAKES_AWAY_BEFORE_IT_GIVES: u8 = 3;
pub(crate) const EMPTIES_A_NAME: u8 = 4;

/// A machine of a cloud, found by its tag.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vm<const DEFECT: u8> {
    tag: String,
    size: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct At {
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
pub(crate) struct Run<const DEFECT: u8> {
    pub(crate) container: String,
    pub(crate) image: String,
}

impl<const DEFECT: u8> Run<DEFECT> {
    async fn run(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        let engine = cx.backend::<Engine>()?;
        let there = (&*engine as &dyn Containers).container(&self.container).await?;
        if there.is_some_and(|it| it.spec.image != self.image) {
            self.take_down(&engine).await?;
        }
        Ok(self.make(&engine).await?)
    }

    pub(crate) async fn make(&self, engine: &Engine) -> Result<(), ContainersError> {
        let mut spec = ContainerSpec::new(&self.image);
        spec.command = Some(vec!["sleep".to_owned(), "600".to_owned()]);
        match engine.create(&New::container(&self.container, spec)).await {
            Ok(_) | Err(ContainersError::Taken { .. }) => {}
            Err(error) => return Err(error),
        }
        engine.change(&Change::start(&self.container)).await
    }

    pub(crate) async fn take_down(&self, engine: &Engine) -> Result<(), ContainersError> {
        match engine.change(&Change::stop(&self.container)).await {
            Ok(()) | Err(ContainersError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        engine.change(&Change::remove(ObjectRef::container(&self.container))).await
    }
}

#[async_trait]
impl<const DEFECT: u8> Resource for Run<DEFECT> {
    const KIND: &'static str = "run";
    type Output = ();

    fn traits() -> KindTraits {
        // What a container is made from can not be changed: it is taken away, and another one given.
        let change = match DEFECT {
            TAKES_AWAY_BEFORE_IT_GIVES => ChangeEffect::InPlace,
            _ => ChangeEffect::Restart,
        };
        KindTraits { replace_on: &["container"], change, ..KindTraits::default() }
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        let footprint = Footprint::new(CrashClass::DeterministicName);
        Ok(footprint.owning(Place::name("container", &self.container)))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let engine: &dyn Containers = &*cx.backend::<Engine>()?;
        let found = engine.container(&self.container).await?;
        Ok(match found {
            None => Observation::Absent,
            Some(found) if found.status.is_ready() || DEFECT == SEES_STOPPED_AS_RUNNING => {
                Observation::Present(Present::new().with_field("image", found.spec.image))
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
        self.take_down(&*cx.backend::<Engine>()?).await?;
        Ok(Removed::Gone)
    }
}

/// A name with one address.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry<const DEFECT: u8> {
    entry: String,
    address: String,
}

#[async_trait]
impl<const DEFECT: u8> Resource for Entry<DEFECT> {
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
        if DEFECT != EMPTIES_A_NAME {
            self.create(cx).await?;
        }
        for other in names.resolve(&self.entry).await?.iter().filter(|it| **it != self.address) {
            names.deregister(&self.entry, other).await?;
        }
        if DEFECT == EMPTIES_A_NAME { self.create(cx).await } else { Ok(()) }
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        let names = cx.backend::<Names>()?;
        for address in names.resolve(&self.entry).await? {
            names.deregister(&self.entry, &address).await?;
        }
        Ok(Removed::Gone)
    }
}

/// An engine with the images that are used here.
pub(crate) fn engine(calls: Calls) -> Engine {
    let engine = Engine::new(calls);
    for image in ["v1", "v2", "v3"] {
        engine.memory().add_image(image, ImageDefaults::default());
    }
    engine
}

/// Adds a cloud whose machines take 100 s to boot, an engine and a registry of names.
pub(crate) fn on_services(scenario: Scenario) -> Scenario {
    let calls = Calls::new();
    let machines = Arc::new(Machines::new(calls.clone()).booting_for(Duration::from_secs(100)));
    let (containers, names) = (Arc::new(engine(calls.clone())), Arc::new(Names::new(calls.clone())));
    let (m, c, n) = (machines.clone(), containers.clone(), names.clone());
    // Which address a machine has differs from life to life; whose it is does not.
    let addresses = {
        let machines = machines.clone();
        move || {
            let whose = |word: &str| match machines.tag_at(word.trim_end_matches(',')) {
                Some(tag) => format!("the one of {tag}"),
                None => word.to_owned(),
            };
            let line = |line: &str| line.split(' ').map(whose).collect::<Vec<_>>().join(" ") + "\n";
            names.dump().lines().map(line).collect::<String>()
        }
    };
    // How often each is made; which machine is ended, and which address is registered, differs from life to life.
    let (m_made, c_made) = (machines.clone(), containers.clone());
    let made = move || {
        let all = m_made.changes().into_iter().chain(c_made.changes());
        all.filter(|(what, _)| what.starts_with("create ")).collect::<BTreeMap<_, _>>()
    };
    scenario
        .counting(made)
        .with_service(calls.clone(), move |calls| m.called_by(calls), move || machines.dump())
        .with_service(calls.clone(), move |calls| c.called_by(calls), move || containers.dump())
        .with_service(calls, move |calls| n.called_by(calls), addresses)
}

/// How many calls were made.
pub(crate) fn count(calls: &Calls) -> usize {
    calls.touched().len()
}
