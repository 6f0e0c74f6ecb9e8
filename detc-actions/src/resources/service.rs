//! `service`: whether a unit of systemd runs, and whether it is started at boot.
//!
//! The unit itself is a package's, or a `file`'s that this comes after and restarts on. Where there is no systemd a program is
//! kept by a `process`: which of the two is meant is said, and never guessed.

use std::time::Duration;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use detc_core::backend::HostError;
use detc_core::backend::host::Command;
use detc_core::model::{Health, Observation, Present};
use detc_core::resource::{ChangeEffect, HostNeed, InvalidField, KindTraits, Removed, Resource};
use serde::{Deserialize, Serialize};

use self::unit::Unit;
use super::common::{is_later, of_system, tail};

mod unit;

/// The spec of a `service`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// The unit, with what sort of one it is: `nginx.service`, `backup.timer`.
    pub unit: String,
    /// Whether it runs.
    #[serde(default = "yes")]
    pub running: bool,
    /// Whether it is started at boot; not looked at where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether it only reads its configuration again when what it restarts on has changed, where it can.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reload: bool,
}

fn yes() -> bool {
    true
}

/// How long systemd may take: a unit has 90 seconds to start, and as long to stop, where it says nothing else.
const TIMEOUT: Duration = Duration::from_secs(600);

/// What systemd says where it is not in charge.
const NOT_BOOTED: [&str; 2] = ["not been booted with systemd", "Failed to connect to bus"];

impl ServiceSpec {
    /// The unit called `unit`, running, and started at boot or not as it is.
    pub fn new(unit: impl Into<String>) -> Self {
        Self { unit: unit.into(), running: true, enabled: None, reload: false }
    }

    /// Whether all that is asked for is that there is nothing to be seen of it.
    fn is_to_be_idle(&self) -> bool {
        !self.running && self.enabled != Some(true)
    }

    /// The unit, as systemd sees it; or why nobody can tell.
    async fn look(&self, cx: &ActionCx<'_>) -> Result<Result<Unit, String>, ActionError> {
        let host = cx.host()?;
        let no_systemd = || {
            format!(
                "{host} has no systemd in charge, so that it has no services: keep the program there with a `process`"
            )
        };
        let properties = format!("--property={}", Unit::PROPERTIES);
        let command =
            Command::new(["systemctl", "show", &properties, "--", &self.unit]).with_timeout(TIMEOUT).asking();
        let output = match host.run(&of_system(command)).await {
            Err(HostError::NotFound { .. }) => return Ok(Err(no_systemd())),
            other => other?,
        };
        let said = tail(&output.stderr, 3);
        if NOT_BOOTED.iter().any(|words| said.contains(words)) {
            return Ok(Err(no_systemd()));
        }
        if !output.success() {
            let message =
                format!("`systemctl show` of {} ended with {}: {said}", cx.resource(), output.status);
            return Err(ActionError::permanent(message));
        }
        Ok(Unit::read(&String::from_utf8_lossy(&output.stdout))
            .ok_or_else(|| format!("what systemd says of {} is not understood", self.unit)))
    }

    async fn look_to_change(&self, cx: &ActionCx<'_>) -> Result<Unit, ActionError> {
        self.look(cx).await?.map_err(ActionError::permanent)
    }

    async fn systemctl(&self, cx: &ActionCx<'_>, words: &[&str]) -> Result<(), ActionError> {
        let argv = std::iter::once("systemctl").chain(words.iter().copied());
        let output = cx.host()?.run(&of_system(Command::new(argv).with_timeout(TIMEOUT))).await?;
        if output.success() {
            return Ok(());
        }
        let what = words.first().copied().unwrap_or_default();
        let said = tail(&output.stderr, 8);
        let message =
            format!("`systemctl {what}` of {} ended with {}:\n{said}", cx.resource(), output.status);
        let hint = format!("look at what it said: `journalctl -u {}` on {}", self.unit, cx.host()?);
        Err(ActionError::permanent(message).with_hint(hint))
    }

    async fn bring_about(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        let unit = self.look_to_change(cx).await?;
        if !unit.is_loaded() && !self.is_to_be_idle() {
            let message = format!(
                "{} can not be started: there is no unit {} on {}",
                cx.resource(),
                self.unit,
                cx.host()?
            );
            return Err(ActionError::permanent(message).with_hint(
                "install what has it with a `package`, or write it with a `file`, which comes before",
            ));
        }
        if unit.is_outdated {
            self.systemctl(cx, &["daemon-reload"]).await?;
        }
        if let Some(enabled) =
            self.enabled.filter(|enabled| *enabled != unit.is_enabled() && unit.is_loaded())
        {
            self.systemctl(cx, &[if enabled { "enable" } else { "disable" }, "--", &self.unit]).await?;
        }
        let recorded = cx.recorded().and_then(|body| body.triggers.as_deref());
        let is_due = cx.triggers().is_some() && cx.recorded().is_some() && recorded != cx.triggers();
        let verb = match (self.running, unit.is_running()) {
            (true, true) if is_due && self.reload => Some("reload-or-restart"),
            (true, true) if is_due => Some("restart"),
            (true, false) => Some("start"),
            (false, true) => Some("stop"),
            (true, true) | (false, false) => None,
        };
        if let Some(verb) = verb {
            self.systemctl(cx, &[verb, "--", &self.unit]).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Resource for ServiceSpec {
    const KIND: &'static str = "service";

    type Output = ();

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.replace_on = &["unit"];
        traits.host = HostNeed::Required;
        traits.change = ChangeEffect::Restart;
        traits.in_place = &["running", "enabled", "reload"];
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:@\\".contains(c);
        let sorts = ["service", "socket", "timer", "path", "target", "mount"];
        let sort = self.unit.rsplit_once('.').filter(|(name, _)| !name.is_empty()).map(|(_, sort)| sort);
        let is_good = sort.is_some_and(|sort| sorts.contains(&sort)) && self.unit.chars().all(is_plain);
        if !is_good && !is_later(&self.unit) {
            let problem = format!(
                "must be a unit with what sort of one it is, such as `nginx.service`, not `{}`",
                self.unit
            );
            return Err(InvalidField::new("unit", problem));
        }
        let place = Place::name("service", &self.unit);
        Ok(Footprint::new(CrashClass::DeterministicName).owning(place).touching_more())
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let unit = match self.look(cx).await? {
            Ok(unit) => unit,
            Err(why) => return Ok(Observation::Unknown(why)),
        };
        // One that nobody has started or enabled is not there: whoever does so made it, and may undo it.
        if !self.is_to_be_idle() && !unit.is_running() && !unit.is_enabled() {
            return Ok(match unit.is_loaded() {
                true => Observation::Needed(format!("{} is {}", self.unit, unit.active)),
                false => Observation::Absent,
            });
        }
        let health = match (self.running, unit.active.as_str()) {
            (true, "active" | "reloading") => Health::Healthy,
            (true, "activating") => Health::Unknown,
            (true, _) => Health::Unhealthy,
            (false, _) => Health::None,
        };
        let mut present = Present::new().with_health(health);
        if unit.is_running() != self.running || !self.running {
            present = present.with_field("running", unit.is_running());
        }
        if self.enabled.is_some() {
            present = present.with_field("enabled", unit.is_enabled());
        }
        Ok(Observation::Present(present))
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.bring_about(cx).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.bring_about(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        let unit = self.look_to_change(cx).await?;
        if unit.is_running() && self.running {
            self.systemctl(cx, &["stop", "--", &self.unit]).await?;
        }
        if unit.is_enabled() && self.enabled == Some(true) {
            self.systemctl(cx, &["disable", "--", &self.unit]).await?;
        }
        Ok(Removed::Gone)
    }
}

#[cfg(test)]
#[cfg(feature = "local")]
mod tests;
