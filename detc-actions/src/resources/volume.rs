//! `volume`: data that outlives the containers that it is mounted in, kept by the engine of a host.
//!
//! Nothing of it can be changed in place, and what is in it is worth more than its driver: so it is never removed but by a spec
//! that says `removable`, and never made anew for another driver. What is left is told, and stays as it is.

use std::collections::BTreeMap;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use detc_core::backend::containers::{self as engine, Change, Listed, New, ObjectKind, ObjectRef, Volume};
use detc_core::model::{Doc, Observation, Present};
use detc_core::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource};
use serde::{Deserialize, Serialize};

use super::container::check_name;
use super::engines::{check_labels, engine, foreign, mark, ours, without_marks};

/// The spec of a `volume`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeSpec {
    /// What it is called on the engine.
    pub volume: String,
    /// Which driver makes it; `local` where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The driver's options.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Labels that the engine shows. Those that begin with `detc.` are detc's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub engine_labels: BTreeMap<String, String>,
    /// The name of the volume, once more: only so it is removed, with all that is in it, when it is no longer desired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removable: Option<String>,
}

/// What a `volume` gives to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeOutput {
    /// What it is called on the engine.
    pub name: String,
}

impl VolumeSpec {
    /// The volume called `volume`, of the engine's own driver, which is never removed.
    pub fn new(volume: impl Into<String>) -> Self {
        Self {
            volume: volume.into(),
            driver: None,
            options: BTreeMap::new(),
            engine_labels: BTreeMap::new(),
            removable: None,
        }
    }

    /// What the engine is to make.
    fn made(&self) -> engine::VolumeSpec {
        let mut made = engine::VolumeSpec::default();
        if let Some(driver) = &self.driver {
            made.driver.clone_from(driver);
        }
        made.options = self.options.clone();
        made.labels = self.engine_labels.clone();
        made
    }

    /// The digest of what it is made of.
    fn told(&self) -> String {
        let made = self.made();
        let value = serde_json::json!([made.driver, made.options, made.labels]);
        Doc::new(&value).digest().to_string()
    }

    fn output(&self) -> VolumeOutput {
        VolumeOutput { name: self.volume.clone() }
    }

    /// What is there of it.
    async fn look(&self, cx: &ActionCx<'_>) -> Result<Option<Listed>, ActionError> {
        let all = ours(&*engine(cx).await?, ObjectKind::Volume, cx).await?;
        // Another name is another volume, which is recorded under its own.
        Ok(all.into_iter().find(|one| one.id == self.volume))
    }

    /// A field that the spec has, as it is.
    fn tell(&self, mut present: Present, seen: Option<&Volume>) -> Present {
        let wanted = self.made();
        let (driver, options, labels) = match seen {
            Some(seen) => {
                (seen.spec.driver.clone(), seen.spec.options.clone(), without_marks(seen.spec.labels.clone()))
            }
            None => (wanted.driver, wanted.options, wanted.labels),
        };
        present = present.with_field("volume", self.volume.as_str());
        present = present.with_field("driver", driver);
        for (field, map) in [("options", options), ("engine_labels", labels)] {
            let map: serde_json::Map<_, _> = map.into_iter().map(|(name, it)| (name, it.into())).collect();
            present = present.with_field(field, serde_json::Value::Object(map));
        }
        present
    }

    async fn bring_about(&self, cx: &ActionCx<'_>) -> Result<VolumeOutput, ActionError> {
        let engine = engine(cx).await?;
        let told = self.told();
        match self.look(cx).await? {
            Some(one) if one.mark().is_some_and(|mark| mark.spec == told) => {}
            Some(_) => {
                let message = format!(
                    "{} is there with another driver, other options or labels, and can not be changed to these",
                    cx.resource()
                );
                return Err(ActionError::permanent(message).with_hint(
                    "what is in it would be lost: give the new one another name, and move what is in the old one",
                ));
            }
            None => {
                let mut spec = self.made();
                spec.labels.extend(mark(cx, &told).labels());
                let new = New::Volume { name: self.volume.clone(), spec };
                engine.create(&new).await.map_err(|error| foreign(cx, error))?;
            }
        }
        Ok(self.output())
    }
}

#[async_trait]
impl Resource for VolumeSpec {
    const KIND: &'static str = "volume";

    type Output = VolumeOutput;

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.host = HostNeed::Required;
        traits.replace_on = &["volume"];
        traits.at_once = &["driver", "options", "engine_labels"];
        traits.stable_outputs = &["name"];
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        check_name("volume", &self.volume)?;
        check_labels(&self.engine_labels)?;
        if let Some(name) = self.removable.as_ref().filter(|name| **name != self.volume) {
            let is_late = [name, &self.volume].into_iter().any(|text| super::common::is_later(text));
            if !is_late {
                let problem = format!("must be the name of the volume, `{}`, not `{name}`", self.volume);
                return Err(InvalidField::new("removable", problem));
            }
        }
        Ok(Footprint::new(CrashClass::FindableByTag).owning(Place::name("volume", &self.volume)))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let Some(one) = self.look(cx).await? else { return Ok(Observation::Absent) };
        let is_as_told = one.mark().is_some_and(|mark| mark.spec == self.told());
        let seen = match is_as_told {
            true => None,
            false => match engine(cx).await?.volume(&self.volume).await? {
                Some(seen) => Some(seen),
                None => return Ok(Observation::Absent),
            },
        };
        let present = self.tell(Present::new(), seen.as_ref());
        Ok(Observation::Present(present.with_output(&self.output())))
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<VolumeOutput, ActionError> {
        self.bring_about(cx).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<VolumeOutput, ActionError> {
        self.bring_about(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        if self.look(cx).await?.is_none() {
            return Ok(Removed::Gone);
        }
        if self.removable.as_ref() != Some(&self.volume) {
            return Ok(Removed::Left(format!(
                "volume `{}` and what is in it are kept: it is removed only with `removable: {}`",
                self.volume, self.volume
            )));
        }
        engine(cx).await?.change(&Change::remove(ObjectRef::volume(&self.volume))).await?;
        Ok(Removed::Gone)
    }
}

#[cfg(test)]
mod tests;
