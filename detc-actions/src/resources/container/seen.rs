//! What an engine tells of a container, in the words of its spec.
//!
//! A field that comes to the same is told as the spec has it, however that is spelt; another one as what it is.

use std::collections::BTreeMap;
use std::time::Duration;

use detc_core::backend::containers::{
    self as engine, Access, Attachment, Container, HealthCheck, Image, ImageDefaults, Limits, Logging, Mount,
    Networking, Port, Protocol, Restart, Source, Swap, Test,
};
use detc_core::model::Present;
use serde_json::Value;

use super::ContainerSpec;
use super::made::{plain, secret_env};
use super::parts::{
    AttachmentSpec, CapabilitiesSpec, CheckSpec, EndSpec, LimitsSpec, LoggingSpec, MemoryMountSpec,
    MountSpec, NetworkMode, PortProtocol, PortSpec, PublishSpec, RestartSpec,
};
use crate::resources::engines::without_marks;

/// The fields that an engine tells of. `container`, `image` and `secrets` are told by who looks.
const FIELDS: [&str; 19] = [
    "entrypoint",
    "command",
    "env",
    "dir",
    "user",
    "hostname",
    "engine_labels",
    "ports",
    "mounts",
    "networks",
    "network_mode",
    "limits",
    "read_only_root",
    "capabilities",
    "restart",
    "health",
    "stop",
    "logging",
    "init",
];

/// What is seen of a container beside what is wanted of it.
pub(super) struct Seen {
    wanted: engine::ContainerSpec,
    seen: engine::ContainerSpec,
    /// The wanted fields, as they are written.
    written: Value,
    /// What is seen, as it would be written.
    rewritten: Value,
}

impl Seen {
    /// `wanted_image` is what the wanted image is now.
    pub(super) fn new(spec: &ContainerSpec, seen: &Container, image: Option<&Image>) -> Self {
        let none = ImageDefaults::default();
        let defaults = image.map_or(&none, |image| &image.defaults);
        let wanted = plain(spec).beside(defaults);
        let mut beside = seen.spec.clone();
        beside.labels = without_marks(beside.labels);
        let beside = beside.beside(defaults);
        let written = serde_json::to_value(spec).expect("invariant: a spec is JSON");
        let rewritten = serde_json::to_value(rewritten(spec, &beside)).expect("invariant: a spec is JSON");
        Self { wanted, seen: beside, written, rewritten }
    }

    /// Whether a field is as it is wanted. What the spec leaves to the engine always is.
    pub(super) fn is_as_wanted(&self, field: &str) -> bool {
        let (wanted, seen) = (&self.wanted, &self.seen);
        match field {
            "entrypoint" => wanted.entrypoint == seen.entrypoint,
            "command" => wanted.command == seen.command,
            "env" => wanted.env == seen.env,
            "dir" => wanted.dir == seen.dir,
            "user" => wanted.user == seen.user,
            "hostname" => wanted.hostname.is_none() || wanted.hostname == seen.hostname,
            "engine_labels" => wanted.labels == seen.labels,
            "ports" => wanted.ports == seen.ports,
            "mounts" => wanted.mounts == seen.mounts,
            "networks" | "network_mode" => is_connected(&wanted.networking, &seen.networking),
            "limits" => wanted.limits == seen.limits,
            "read_only_root" => wanted.root == seen.root,
            "capabilities" => wanted.capabilities == seen.capabilities,
            "restart" => wanted.restart == seen.restart,
            "health" => wanted.health == seen.health,
            "stop" => {
                wanted.stop_signal == seen.stop_signal
                    && (wanted.stop_grace.is_none() || wanted.stop_grace == seen.stop_grace)
            }
            "logging" => wanted.logging.is_none() || wanted.logging == seen.logging,
            "init" => wanted.has_init == seen.has_init,
            _ => true,
        }
    }

    /// Whether all fields that are given are as wanted.
    pub(super) fn is_given_as_wanted(&self) -> bool {
        FIELDS.iter().all(|field| self.written[field].is_null() || self.is_as_wanted(field))
    }

    /// Adds the fields that the engine tells of.
    pub(super) fn tell(&self, mut present: Present) -> Present {
        for field in FIELDS {
            let value = if self.is_as_wanted(field) { &self.written[field] } else { &self.rewritten[field] };
            if !value.is_null() || !self.is_as_wanted(field) {
                present = present.with_field(field, value.clone());
            }
        }
        present
    }

    /// The networks that it is connected to.
    pub(super) fn networking(&self) -> &Networking {
        &self.seen.networking
    }
}

/// Whether it is connected as wanted. Addresses are the engine's choice where none is given.
fn is_connected(wanted: &Networking, seen: &Networking) -> bool {
    match (wanted, seen) {
        (Networking::Networks(wanted), Networking::Networks(seen)) => {
            wanted.len() == seen.len()
                && wanted
                    .iter()
                    .all(|(name, wanted)| seen.get(name).is_some_and(|seen| is_attached(wanted, seen)))
        }
        (wanted, seen) => wanted == seen,
    }
}

/// Whether it is connected to a network as wanted.
pub(super) fn is_attached(wanted: &Attachment, seen: &Attachment) -> bool {
    wanted.aliases == seen.aliases && (wanted.addresses.is_empty() || wanted.addresses == seen.addresses)
}

/// A container as it would be written, whoever has asked for it: two specs that come to the same are the same.
pub(super) fn rewritten(spec: &ContainerSpec, seen: &engine::ContainerSpec) -> ContainerSpec {
    let mut env = seen.env.clone();
    for (name, path) in secret_env(spec) {
        if env.get(&name) == Some(&path) {
            env.remove(&name);
        }
    }
    let (networks, network_mode) = networks(&seen.networking);
    ContainerSpec {
        entrypoint: seen.entrypoint.clone(),
        command: seen.command.clone(),
        env,
        dir: seen.dir.clone(),
        user: seen.user.clone(),
        hostname: seen.hostname.clone(),
        engine_labels: seen.labels.clone(),
        ports: seen.ports.iter().map(port).collect(),
        mounts: seen.mounts.iter().map(|(path, it)| (path.clone(), mount(it))).collect(),
        networks,
        network_mode,
        limits: Some(limits(&seen.limits)),
        read_only_root: Some(seen.root == Access::ReadOnly),
        capabilities: Some(CapabilitiesSpec {
            add: list(&seen.capabilities.add),
            drop: list(&seen.capabilities.drop),
        }),
        restart: Some(restart(seen.restart)),
        health: seen.health.as_ref().map(health),
        stop: Some(EndSpec {
            signal: seen.stop_signal.clone(),
            grace_s: seen.stop_grace.map(|grace| grace.as_secs()),
        }),
        logging: seen.logging.as_ref().map(logging),
        init: Some(seen.has_init),
        ..ContainerSpec::new(&spec.container, &seen.image)
    }
}

fn list<'a>(names: impl IntoIterator<Item = &'a String>) -> Option<Vec<String>> {
    Some(names.into_iter().cloned().collect::<Vec<_>>()).filter(|names| !names.is_empty())
}

fn read_only(access: Access) -> Option<bool> {
    (access == Access::ReadOnly).then_some(true)
}

fn port(port: &Port) -> PortSpec {
    let protocol = match port.protocol {
        Protocol::Tcp => None,
        Protocol::Udp => Some(PortProtocol::Udp),
        Protocol::Sctp => Some(PortProtocol::Sctp),
    };
    let publish = port.at.map(|at| PublishSpec { address: at.address, port: at.port });
    PortSpec { port: port.port, protocol, publish }
}

/// Bytes in mebibytes; what is no whole number of them is told in bytes, which nobody wants so many mebibytes of.
fn mib(bytes: u64) -> u64 {
    if bytes.is_multiple_of(1 << 20) { bytes >> 20 } else { bytes }
}

fn mount(mount: &Mount) -> MountSpec {
    let mut spec = MountSpec { read_only: read_only(mount.access), ..MountSpec::default() };
    match &mount.source {
        Source::Volume(name) => spec.volume = Some(name.clone()),
        Source::Bind(path) => spec.bind = Some(path.clone()),
        Source::Memory { size, mode } => {
            let mode = mode.map(|mode| format!("{mode:04o}"));
            spec.memory = Some(MemoryMountSpec { size_mib: size.map(mib), mode });
        }
        _ => {}
    }
    spec
}

fn networks(networking: &Networking) -> (BTreeMap<String, AttachmentSpec>, Option<NetworkMode>) {
    match networking {
        Networking::Networks(networks) => {
            let spec = |it: &Attachment| AttachmentSpec {
                aliases: list(&it.aliases),
                addresses: Some(it.addresses.iter().copied().collect::<Vec<_>>())
                    .filter(|addresses| !addresses.is_empty()),
            };
            (networks.iter().map(|(name, it)| (name.clone(), spec(it))).collect(), None)
        }
        Networking::None => (BTreeMap::new(), Some(NetworkMode::None)),
        Networking::Host => (BTreeMap::new(), Some(NetworkMode::Host)),
        Networking::Container(other) => (BTreeMap::new(), Some(NetworkMode::Container(other.clone()))),
        _ => (BTreeMap::new(), None),
    }
}

fn limits(limits: &Limits) -> LimitsSpec {
    LimitsSpec {
        memory_mib: limits.memory_bytes.map(mib),
        memory_reserved_mib: limits.memory_reserved_bytes.map(mib),
        swap_mib: limits.swap.map(|swap| match swap {
            Swap::Bytes(bytes) => mib(bytes),
            Swap::Unlimited => u64::MAX >> 20,
        }),
        cpu_millis: limits.cpu_nanos.map(|nanos| nanos.div_ceil(1_000_000)),
        cpu_weight: limits.cpu_weight,
        cpu_set: limits.cpu_set.clone(),
        pids_max: limits.pids_max,
    }
}

fn restart(restart: Restart) -> RestartSpec {
    match restart {
        Restart::Never => RestartSpec::Never,
        Restart::Always => RestartSpec::Always,
        Restart::UnlessStopped => RestartSpec::UnlessStopped,
        Restart::OnFailure { retries_max } => RestartSpec::OnFailure { retries_max },
    }
}

fn health(health: &HealthCheck) -> CheckSpec {
    let HealthCheck::Probe(probe) = health else {
        return CheckSpec { off: Some(true), ..CheckSpec::default() };
    };
    let (command, shell) = match &probe.test {
        Test::Command(argv) => (Some(argv.clone()), None),
        Test::Shell(line) => (None, Some(line.clone())),
    };
    let ms = |time: Duration| u64::try_from(time.as_millis()).ok();
    CheckSpec {
        command,
        shell,
        off: None,
        interval_ms: ms(probe.interval),
        timeout_ms: ms(probe.timeout),
        start_period_ms: ms(probe.start_period),
        retries: Some(probe.retries),
    }
}

fn logging(logging: &Logging) -> LoggingSpec {
    LoggingSpec {
        driver: Some(logging.driver.clone()),
        options: Some(logging.options.clone()),
        ..LoggingSpec::default()
    }
}
