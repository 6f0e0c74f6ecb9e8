//! `package`: a package of the host's own package manager, there or not, of one version or any.
//!
//! Nothing is upgraded that is not asked for, nothing else is removed, and the index is refreshed only when it lacks what is
//! asked for. What is the same for all managers is here and in `work`; what differs is in a file for each.

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use detc_core::model::{Observation, Present};
use detc_core::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource};
use serde::{Deserialize, Serialize};

use self::manager::{Installed, MANAGERS, Manager};
use self::work::Work;
use super::common::is_later;

mod apk;
mod apt;
mod dnf;
mod manager;
mod work;

/// The spec of a `package`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageSpec {
    /// What it is called.
    pub package: String,
    /// The version that it has, as the manager writes it; any where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `apt`, `dnf` or `apk`; the first of these that the host has where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
}

/// What a `package` gives to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageOutput {
    /// The version that is there.
    pub version: String,
}

impl PackageSpec {
    /// The package called `package`, of any version.
    pub fn new(package: impl Into<String>) -> Self {
        Self { package: package.into(), version: None, manager: None }
    }

    /// The manager that the spec names, or that the host has.
    async fn manager(&self, cx: &ActionCx<'_>) -> Result<&'static dyn Manager, ActionError> {
        let host = cx.host()?;
        for manager in MANAGERS {
            let is_meant = match &self.manager {
                Some(name) => name == manager.facts().name,
                None => host.stat(manager.facts().path).await?.is_some(),
            };
            if is_meant {
                return Ok(manager);
            }
        }
        let message = format!("{} can not be looked at: {host} has none of {}", cx.resource(), names());
        Err(ActionError::permanent(message).with_hint("install it with a `command` or an `archive`"))
    }

    async fn look(&self, work: &Work<'_>) -> Result<Installed, ActionError> {
        work.look(&self.package).await
    }

    async fn bring_about(&self, cx: &ActionCx<'_>) -> Result<PackageOutput, ActionError> {
        let work = Work::begin(cx, self.manager(cx).await?).await?;
        match self.look(&work).await? {
            Installed::Whole(version) if self.is_wanted(&version) => return Ok(PackageOutput { version }),
            Installed::Whole(_) | Installed::Not | Installed::Partly(_) => {}
        }
        work.install(&self.package, self.version.as_deref()).await?;
        match self.look(&work).await? {
            Installed::Whole(version) if self.is_wanted(&version) => Ok(PackageOutput { version }),
            other => {
                let message =
                    format!("{} was installed, and now {}", cx.resource(), other.words(&self.package));
                Err(ActionError::permanent(message)
                    .with_hint("correct `version`, or find out who else installs it"))
            }
        }
    }

    fn is_wanted(&self, version: &str) -> bool {
        self.version.as_deref().is_none_or(|wanted| wanted == version)
    }
}

fn names() -> String {
    MANAGERS.map(|manager| format!("`{}`", manager.facts().name)).join(", ")
}

/// That a name is one for every manager: no option, no path, no pattern, and no `name-`, by which `apt-get` removes.
fn check_name(name: &str) -> Result<(), InvalidField> {
    let is_next = |c: char| c.is_ascii_alphanumeric() || "+-._:".contains(c);
    let is_good = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(is_next)
        && !name.ends_with('-');
    match is_good || is_later(name) {
        true => Ok(()),
        false => Err(InvalidField::new("package", format!("must be the name of one package, not `{name}`"))),
    }
}

fn check_version(version: &str) -> Result<(), InvalidField> {
    let is_next = |c: char| c.is_ascii_alphanumeric() || "+-._:~^".contains(c);
    let is_good = version.starts_with(|c: char| c.is_ascii_alphanumeric()) && version.chars().all(is_next);
    match is_good || is_later(version) {
        true => Ok(()),
        false => Err(InvalidField::new("version", format!("must be one version, not `{version}`"))),
    }
}

#[async_trait]
impl Resource for PackageSpec {
    const KIND: &'static str = "package";

    type Output = PackageOutput;

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.replace_on = &["package", "manager"];
        traits.at_once = &["version"];
        traits.host = HostNeed::Required;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        check_name(&self.package)?;
        self.version.as_deref().map_or(Ok(()), check_version)?;
        if let Some(name) = self.manager.as_ref().filter(|name| !is_later(name))
            && MANAGERS.iter().all(|manager| manager.facts().name != name)
        {
            return Err(InvalidField::new("manager", format!("must be one of {}, not `{name}`", names())));
        }
        let place = Place::name("package", &self.package);
        // Where its files are only the package knows, and what its own scripts do.
        Ok(Footprint::new(CrashClass::DeterministicName).owning(place).touching_more())
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        Ok(match self.look(&Work::looking(cx, self.manager(cx).await?)).await? {
            Installed::Whole(version) => {
                let present = Present::new().with_output(&PackageOutput { version: version.clone() });
                Observation::Present(match self.version {
                    Some(_) => present.with_field("version", version),
                    None => present,
                })
            }
            Installed::Not => Observation::Absent,
            partly @ Installed::Partly(_) => Observation::Needed(partly.words(&self.package)),
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<PackageOutput, ActionError> {
        self.bring_about(cx).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<PackageOutput, ActionError> {
        self.bring_about(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        let work = Work::begin(cx, self.manager(cx).await?).await?;
        if self.look(&work).await? == Installed::Not {
            return Ok(Removed::Gone);
        }
        work.remove(&self.package).await
    }
}

#[cfg(test)]
#[cfg(feature = "local")]
mod play;
#[cfg(test)]
#[cfg(feature = "local")]
mod tests;
