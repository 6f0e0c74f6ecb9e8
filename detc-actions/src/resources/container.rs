//! `container`: a process and all that it depends on, kept by the engine of a host.
//!
//! It is found by its labels: whose it is, and what it was made from. What carries none of ours is never touched, also where it
//! has the name. Where the labels tell that it is as wanted, one listing of the engine is all that is looked at, for however many
//! containers; where not, it is looked at in full, and each field is compared.
//!
//! ```text
//!   limits, restart, networks, container ─▶ changed in place
//!   anything else ─▶ another is made ─▶ started ─▶ works ─▶ takes the name ─▶ the old one goes
//!                                             └─▶ does not: it goes, and the old one stays
//! ```
//!
//! Secrets are no variables, which the engine tells to whoever may ask: `secrets.NAME` is the file `/run/secrets/NAME` inside, and
//! the variable `NAME_FILE` says so. They are in no label, and no digest of them is.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use detc_core::backend::containers::{HealthCheck, New, Probe, Test};
use detc_core::model::Observation;
use detc_core::resource::{ChangeEffect, HostNeed, InvalidField, KindTraits, Removed, Resource, Unhealthy};
use serde::{Deserialize, Serialize};

use super::common::{check_env, check_path, is_later, parse_mode};
use super::engines::check_labels;

mod keep;
mod look;
mod made;
mod parts;
mod ready;
mod seen;

use keep::Keeper;
pub use parts::{
    AttachmentSpec, CapabilitiesSpec, CheckSpec, EndSpec, LimitsSpec, LoggingSpec, MemoryMountSpec,
    MountSpec, NetworkMode, Order, PortProtocol, PortSpec, PublishSpec, RestartSpec,
};

/// The fields whose change makes no other container.
const IN_PLACE: [&str; 7] =
    ["container", "limits", "restart", "networks", "order", "min_ready_ms", "ready_timeout_ms"];

/// Longest name of a container: below the 255 letters that engines take, so that a second one beside it can be called after it.
const NAME_LEN_MAX: usize = 200;

/// More is a slip of the pen: as long as it lasts, an apply waits.
const MIN_READY_MS_MAX: u64 = 24 * 3600 * 1000;

/// The spec of a `container`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerSpec {
    /// What it is called on the engine, and by others in its networks. Changed in place.
    pub container: String,
    /// Its image, which is there: by id (`sha256:…`, the output `id` of an `image`) or digest (`name@sha256:…`) always the same;
    /// by tag (`name:tag`) another container is made when the tag is on another image.
    pub image: String,
    /// What is put before the command, in place of the image's, whose command is dropped then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// The command, in place of the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Variables, beside the image's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Secrets, by their names. Each is a file, `/run/secrets/NAME`, of which the variable `NAME_FILE` tells.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// The working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<String>,
    /// The user, and the group after a colon, by name or number. Only one that is given by number has its secrets for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Labels that the engine shows. Those that begin with `detc.` are detc's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub engine_labels: BTreeMap<String, String>,
    /// Its ports, beside those that the image exposes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortSpec>,
    /// What is mounted, by absolute paths inside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mounts: BTreeMap<String, MountSpec>,
    /// The networks that it is connected to, by their names on the engine; the engine's own where none is given. Changed in place:
    /// where it is connected to one otherwise than before, its connections there are cut.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, AttachmentSpec>,
    /// What it is connected to in place of networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_mode: Option<NetworkMode>,
    /// What it may use. Changed in place, where the engine can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsSpec>,
    /// Whether its root can only be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_root: Option<bool>,
    /// What its root user may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<CapabilitiesSpec>,
    /// When the engine starts it again by itself; never where it is not given. Changed in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartSpec>,
    /// How the engine finds out whether it works; as the image says where it is not given. Without a check, one that runs works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<CheckSpec>,
    /// How it is asked to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<EndSpec>,
    /// Where what it prints goes, and how much of it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<LoggingSpec>,
    /// Whether a process before its own hands on signals and buries what nobody waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// Whether it ends by itself when it is done, as a migration does: it works once it has ended with exit code 0, and stays as it is then.
    /// One that somebody has removed runs again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completes: Option<bool>,
    /// In which order another takes its place. Where it is not given: the new one first where both can be there at once, which
    /// they can not with a port or an address of their own, the machine's network, or what both write to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// How long it must have worked without a break, in milliseconds, before it counts as working; where it is not given, 300 for one without
    /// a health check, and no longer than until the check passes for one that has one. A day at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ready_ms: Option<u64>,
    /// How long it has to work after its start; where it is not given, as long as its health check may take to fail, and an hour for one
    /// that completes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_timeout_ms: Option<u64>,
}

/// What a `container` gives to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerOutput {
    /// Its id on the engine: another when another has taken its place.
    pub id: String,
    /// The id of its image.
    pub image: String,
    /// Where the ports are reached that it publishes wherever there is room, by what they are inside: `80/tcp` is
    /// `0.0.0.0:49153`. Another for each start.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub published: BTreeMap<String, String>,
}

impl ContainerSpec {
    /// The container called `container`, of `image` as it is.
    pub fn new(container: impl Into<String>, image: impl Into<String>) -> Self {
        Self {
            container: container.into(),
            image: image.into(),
            entrypoint: None,
            command: None,
            env: BTreeMap::new(),
            secrets: BTreeMap::new(),
            dir: None,
            user: None,
            hostname: None,
            engine_labels: BTreeMap::new(),
            ports: Vec::new(),
            mounts: BTreeMap::new(),
            networks: BTreeMap::new(),
            network_mode: None,
            limits: None,
            read_only_root: None,
            capabilities: None,
            restart: None,
            health: None,
            stop: None,
            logging: None,
            init: None,
            completes: None,
            order: None,
            min_ready_ms: None,
            ready_timeout_ms: None,
        }
    }

    /// Why two of it can not be there at once; `None`: they can.
    fn alone(&self) -> Option<&'static str> {
        let is_fixed = |port: &PortSpec| port.publish.is_some_and(|publish| publish.port.is_some());
        if self.ports.iter().any(is_fixed) {
            return Some("a port of the machine can only be had by one");
        }
        let has_address = |it: &AttachmentSpec| it.addresses.as_ref().is_some_and(|all| !all.is_empty());
        if self.networks.values().any(has_address) {
            return Some("an address can only be had by one");
        }
        matches!(self.network_mode, Some(NetworkMode::Host | NetworkMode::Container(_)))
            .then_some("both would have the same ports")
    }

    /// Whether both of two would write to the same.
    fn writes(&self) -> bool {
        let is_shared = |mount: &MountSpec| mount.volume.is_some() || mount.bind.is_some();
        self.mounts.values().any(|mount| is_shared(mount) && mount.read_only != Some(true))
    }

    /// In which order another takes its place.
    fn order(&self) -> Order {
        let is_alone = || self.alone().is_some() || self.writes();
        self.order.unwrap_or_else(|| if is_alone() { Order::StopFirst } else { Order::StartFirst })
    }

    /// Whether it works once it has ended.
    fn completes(&self) -> bool {
        self.completes == Some(true)
    }

    /// How long it has to work after its start.
    fn patience(&self) -> Duration {
        /// What is done once, such as a migration, may take its time.
        const COMPLETES_WITHIN: Duration = Duration::from_secs(3600);
        if self.completes() {
            return self.ready_timeout_ms.map_or(COMPLETES_WITHIN, Duration::from_millis);
        }
        let probe = match self.health.as_ref().map(made::health) {
            Some(HealthCheck::Probe(probe)) => probe,
            // That of the image is not known here: it has the engine's times, where it says nothing.
            Some(HealthCheck::Off) | None => Probe::new(Test::Command(Vec::new())),
        };
        let whole = (probe.interval + probe.timeout).saturating_mul(probe.retries.saturating_add(1));
        let default = probe.start_period.saturating_add(whole);
        self.ready_timeout_ms.map_or(default, Duration::from_millis)
    }

    /// How long it must have worked without a break, with a health check and without.
    fn min_ready(&self, is_checked: bool) -> Duration {
        /// Most programs that can not start say so within a fraction of this.
        const UNCHECKED: Duration = Duration::from_millis(300);
        let default = if is_checked { Duration::ZERO } else { UNCHECKED };
        self.min_ready_ms.map_or(default, Duration::from_millis)
    }

    /// How long it has to end.
    fn grace(&self) -> Duration {
        /// What engines give where nothing is said.
        const GRACE: Duration = Duration::from_secs(10);
        let given = self.stop.as_ref().and_then(|stop| stop.grace_s);
        given.map_or(GRACE, Duration::from_secs)
    }

    fn check(&self) -> Result<(), InvalidField> {
        check_name("container", &self.container)?;
        if self.image.is_empty() {
            return Err(InvalidField::new("image", "must name an image"));
        }
        check_env(&self.env)?;
        for name in self.secrets.keys() {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
                let problem = format!("must be called by letters, digits, `_`, `-` and `.`, not `{name}`");
                return Err(InvalidField::new("secrets", problem));
            }
        }
        if let Some((name, _)) = made::secret_env(self).find(|(name, _)| self.env.contains_key(name)) {
            let problem = format!("can not set `{name}`, which says where a secret is");
            return Err(InvalidField::new("env", problem));
        }
        check_labels(&self.engine_labels)?;
        self.check_mounts()?;
        self.check_network()?;
        self.check_health()?;
        self.check_completes()?;
        if self.min_ready_ms.is_some_and(|min| min > MIN_READY_MS_MAX) {
            let problem = format!("must be at most {MIN_READY_MS_MAX}, which is a day");
            return Err(InvalidField::new("min_ready_ms", problem));
        }
        if let (Some(Order::StartFirst), Some(why)) = (self.order, self.alone()) {
            return Err(InvalidField::new("order", format!("can not be `start_first`: {why}")));
        }
        // What is left is about how it is spelt. What is known only later is spelt in no way.
        let is_late = is_later(&serde_json::to_string(self).unwrap_or_default().replace("\\u0001", "\u{1}"));
        let new = New::Container {
            name: self.container.clone(),
            spec: Box::new(made::plain(self)),
            files: Vec::new(),
        };
        match new.validate() {
            Err(problem) if !is_late => {
                Err(InvalidField::new("container", format!("can not be made: {problem}")))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn check_mounts(&self) -> Result<(), InvalidField> {
        for (path, mount) in &self.mounts {
            check_path("mounts", path)?;
            if let Some(from) = &mount.bind {
                check_path("mounts", from)?;
            }
            let given = [mount.volume.is_some(), mount.bind.is_some(), mount.memory.is_some()];
            if given.into_iter().filter(|given| *given).count() > 1 {
                let problem = format!("must have one of `volume`, `bind` and `memory` at `{path}`");
                return Err(InvalidField::new("mounts", problem));
            }
            let mode = mount.memory.as_ref().and_then(|memory| memory.mode.as_deref());
            if let Some(mode) = mode.filter(|mode| !is_later(mode)) {
                parse_mode(mode).map_err(|problem| InvalidField::new("mounts", problem))?;
            }
        }
        Ok(())
    }

    fn check_network(&self) -> Result<(), InvalidField> {
        if self.network_mode.is_none() {
            return Ok(());
        }
        if !self.networks.is_empty() {
            return Err(InvalidField::new("network_mode", "can not be given beside `networks`"));
        }
        let is_published = |port: &PortSpec| port.publish.is_some();
        if self.ports.iter().any(is_published) {
            return Err(InvalidField::new("ports", "can not be published without networks of its own"));
        }
        Ok(())
    }

    fn check_completes(&self) -> Result<(), InvalidField> {
        if !self.completes() {
            return Ok(());
        }
        if matches!(self.restart, Some(RestartSpec::Always | RestartSpec::UnlessStopped)) {
            let problem =
                "must be `never` or `on_failure` where `completes` is true: it would begin anew without end";
            return Err(InvalidField::new("restart", problem));
        }
        if self.health.as_ref().is_some_and(|health| health.off != Some(true)) {
            let problem = "can not be checked where `completes` is true: it works when it has ended";
            return Err(InvalidField::new("health", problem));
        }
        if self.min_ready_ms.is_some() {
            let problem = "can not be given where `completes` is true: it works when it has ended";
            return Err(InvalidField::new("min_ready_ms", problem));
        }
        Ok(())
    }

    fn check_health(&self) -> Result<(), InvalidField> {
        let Some(health) = &self.health else { return Ok(()) };
        let given = [health.command.is_some(), health.shell.is_some(), health.off == Some(true)];
        if given.into_iter().filter(|given| *given).count() != 1 {
            return Err(InvalidField::new("health", "must have exactly one of `command`, `shell` and `off`"));
        }
        Ok(())
    }
}

/// That something can be called so on an engine.
pub(super) fn check_name(field: &str, name: &str) -> Result<(), InvalidField> {
    let is_next = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let is_good = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(is_next)
        && (2..=NAME_LEN_MAX).contains(&name.len());
    if is_good || is_later(name) {
        return Ok(());
    }
    let problem = format!(
        "must be 2 to {NAME_LEN_MAX} letters, digits, `_`, `.` and `-`, a letter or digit first, not `{name}`"
    );
    Err(InvalidField::new(field, problem))
}

#[async_trait]
impl Resource for ContainerSpec {
    const KIND: &'static str = "container";

    type Output = ContainerOutput;

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.host = HostNeed::Required;
        traits.sensitive = &["secrets"];
        traits.change = ChangeEffect::Restart;
        traits.in_place = &IN_PLACE;
        // It is made when it works.
        traits.unhealthy = Unhealthy::Restarted;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        self.check()?;
        let mut footprint =
            Footprint::new(CrashClass::FindableByTag).owning(Place::name("container", &self.container));
        let image = std::iter::once(("image", self.image.as_str()));
        let networks = self.networks.keys().map(|name| ("network", name.as_str()));
        let volumes = self.mounts.values().filter_map(|it| Some(("volume", it.volume.as_deref()?)));
        let other = self.network_mode.iter().filter_map(|mode| match mode {
            NetworkMode::Container(other) => Some(("container", other.as_str())),
            NetworkMode::None | NetworkMode::Host => None,
        });
        for (space, name) in
            image.chain(networks).chain(volumes).chain(other).filter(|(_, name)| !is_later(name))
        {
            footprint = footprint.reading(Place::name(space, name));
        }
        for path in
            self.mounts.values().filter_map(|mount| mount.bind.as_deref()).filter(|path| !is_later(path))
        {
            footprint = footprint.reading(Place::path(path));
        }
        for port in &self.ports {
            let Some(published) = port.publish.and_then(|publish| publish.port) else { continue };
            let protocol = made::port(port).protocol.as_str();
            footprint = footprint.owning(Place::name("port", &format!("{protocol}/{published}")));
        }
        if self.order() == Order::StartFirst {
            footprint = footprint.overlapping();
        }
        let grace = self.grace();
        let ready = self.patience().saturating_add(self.min_ready(false));
        Ok(footprint.lasting(ready.saturating_add(grace).saturating_add(grace)))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        look::observe(self, cx).await
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<ContainerOutput, ActionError> {
        Keeper::new(self, cx).await?.ensure().await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<ContainerOutput, ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        Keeper::new(self, cx).await?.clear().await?;
        Ok(Removed::Gone)
    }
}

#[cfg(test)]
mod tests;
