//! A spec in the engine's words, and in which digests it is told again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use detc_core::action::ActionCx;
use detc_core::backend::containers::{
    self as engine, Access, Attachment, Capabilities, FileInside, HealthCheck, HostPort, Limits, Logging,
    Mount, Networking, Port, Probe, Protocol, Restart, Source, Swap, Test,
};
use detc_core::backend::host::Ownership;
use detc_core::model::Doc;
use serde_json::Value;

use super::parts::{
    AttachmentSpec, CheckSpec, LimitsSpec, LoggingSpec, MountSpec, NetworkMode, PortProtocol, PortSpec,
    RestartSpec,
};
use super::seen::rewritten;
use super::{ContainerSpec, IN_PLACE};
use crate::resources::common::parse_mode;
use crate::resources::engines::mark;

/// The label with the digest of all that can not be changed in place.
pub(super) const MADE: &str = "detc.made";

/// The label with the trigger token.
pub(super) const TRIGGERS: &str = "detc.triggers";

/// Where secrets are, by their names.
const SECRETS: &str = "/run/secrets";

/// What is added to a secret's name to call the variable that says where it is.
const FILE: &str = "_FILE";

/// Fields that are no part of any digest: a secret's digest would tell whether a guess is right, and the others say nothing of
/// what is made.
const UNTOLD: [&str; 5] = ["secrets", "container", "order", "min_ready_ms", "ready_timeout_ms"];

/// The file of a secret.
pub(super) fn secret_path(name: &str) -> String {
    format!("{SECRETS}/{name}")
}

/// The variables that say where secrets are.
pub(super) fn secret_env(spec: &ContainerSpec) -> impl Iterator<Item = (String, String)> + '_ {
    spec.secrets.keys().map(|name| (format!("{name}{FILE}"), secret_path(name)))
}

/// The digests that a container of a spec is labelled with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Of all that it is made of.
    pub(super) spec: String,
    /// Of that part of it which can not be changed in place.
    pub(super) made: String,
}

impl Told {
    pub(super) fn of(spec: &ContainerSpec) -> Self {
        // However it is spelt.
        let plain = rewritten(spec, &plain(spec));
        let mut value = serde_json::to_value(plain).expect("invariant: a spec is JSON");
        let fields = value.as_object_mut().expect("invariant: a spec is an object");
        fields.retain(|name, _| !UNTOLD.contains(&name.as_str()));
        let names: Vec<Value> = spec.secrets.keys().map(|name| name.as_str().into()).collect();
        fields.insert("secrets".to_owned(), names.into());
        if spec.completes() {
            fields.insert("completes".to_owned(), true.into());
        }
        let all = Doc::new(&Value::Object(fields.clone())).digest();
        fields.retain(|name, _| !IN_PLACE.contains(&name.as_str()));
        // What can only be made so, and not changed to it.
        fields.insert("mode".to_owned(), spec.network_mode.is_some().into());
        let made = Doc::new(&value).digest();
        Self { spec: all.to_string(), made: made.to_string() }
    }
}

/// What the engine is to make of a spec, with the labels that say whose it is.
pub(super) fn made(spec: &ContainerSpec, cx: &ActionCx<'_>) -> engine::ContainerSpec {
    let told = Told::of(spec);
    let mut made = plain(spec);
    made.labels.extend(mark(cx, &told.spec).labels());
    made.labels.insert(MADE.to_owned(), told.made);
    if let Some(triggers) = cx.triggers() {
        made.labels.insert(TRIGGERS.to_owned(), triggers.to_owned());
    }
    made
}

/// What the engine is to make of a spec.
pub(super) fn plain(spec: &ContainerSpec) -> engine::ContainerSpec {
    let mut made = engine::ContainerSpec::new(&spec.image);
    made.entrypoint.clone_from(&spec.entrypoint);
    made.command.clone_from(&spec.command);
    made.env = spec.env.clone();
    made.env.extend(secret_env(spec));
    made.dir.clone_from(&spec.dir);
    made.user.clone_from(&spec.user);
    made.hostname.clone_from(&spec.hostname);
    made.labels = spec.engine_labels.clone();
    made.ports = spec.ports.iter().map(port).collect();
    made.mounts = spec.mounts.iter().map(|(path, it)| (path.clone(), mount(it))).collect();
    made.networking = networking(spec);
    made.limits = spec.limits.as_ref().map(limits).unwrap_or_default();
    made.root = access(spec.read_only_root);
    if let Some(capabilities) = &spec.capabilities {
        made.capabilities = Capabilities { add: rights(&capabilities.add), drop: rights(&capabilities.drop) };
    }
    made.restart = spec.restart.map_or(Restart::Never, restart);
    made.health = spec.health.as_ref().map(health);
    if let Some(stop) = &spec.stop {
        made.stop_signal = stop.signal.as_deref().map(signal);
        made.stop_grace = stop.grace_s.map(Duration::from_secs);
    }
    made.logging = spec.logging.as_ref().map(logging);
    made.has_init = spec.init == Some(true);
    made
}

/// The files that secrets are in. Its user can read them: by number, as nobody's name is known before it runs; where that is not
/// given, everybody in it can.
pub(super) fn files(spec: &ContainerSpec) -> Vec<FileInside> {
    let mut ids = spec.user.as_deref().unwrap_or_default().split(':');
    let mut number = || ids.next().filter(|id| id.parse::<u32>().is_ok()).map(str::to_owned);
    let (owner, group) = (number(), number());
    let mode = if owner.is_some() { 0o400 } else { 0o444 };
    let ownership = Ownership::new(Some(mode), owner, group);
    let file = |(name, value): (&String, &String)| {
        FileInside::new(secret_path(name), value.as_bytes()).with_ownership(ownership.clone())
    };
    spec.secrets.iter().map(file).collect()
}

fn access(read_only: Option<bool>) -> Access {
    if read_only == Some(true) { Access::ReadOnly } else { Access::ReadWrite }
}

/// A port in the engine's words.
pub(super) fn port(spec: &PortSpec) -> Port {
    let protocol = match spec.protocol {
        None | Some(PortProtocol::Tcp) => Protocol::Tcp,
        Some(PortProtocol::Udp) => Protocol::Udp,
        Some(PortProtocol::Sctp) => Protocol::Sctp,
    };
    let at = spec.publish.map(|publish| HostPort { address: publish.address, port: publish.port });
    Port { port: spec.port, protocol, at }
}

/// Mebibytes in bytes.
fn bytes(mib: u64) -> u64 {
    mib.saturating_mul(1 << 20)
}

fn mount(spec: &MountSpec) -> Mount {
    let source = match (&spec.volume, &spec.bind, &spec.memory) {
        (Some(volume), _, _) => Source::Volume(volume.clone()),
        (None, Some(bind), _) => Source::Bind(bind.clone()),
        (None, None, Some(memory)) => {
            let mode = memory.mode.as_deref().and_then(|mode| parse_mode(mode).ok());
            Source::Memory { size: memory.size_mib.map(bytes), mode }
        }
        (None, None, None) => Source::Anonymous,
    };
    Mount { source, access: access(spec.read_only) }
}

/// What it is connected to.
pub(super) fn networking(spec: &ContainerSpec) -> Networking {
    match &spec.network_mode {
        Some(NetworkMode::None) => Networking::None,
        Some(NetworkMode::Host) => Networking::Host,
        Some(NetworkMode::Container(other)) => Networking::Container(other.clone()),
        None if spec.networks.is_empty() => Networking::default(),
        None => Networking::of(spec.networks.iter().map(|(name, it)| (name.clone(), attachment(it)))),
    }
}

fn attachment(spec: &AttachmentSpec) -> Attachment {
    let mut attachment = Attachment::aliased(spec.aliases.iter().flatten());
    attachment.addresses = spec.addresses.iter().flatten().copied().collect();
    attachment
}

pub(super) fn limits(spec: &LimitsSpec) -> Limits {
    let mut limits = Limits::default();
    limits.memory_bytes = spec.memory_mib.map(bytes);
    limits.memory_reserved_bytes = spec.memory_reserved_mib.map(bytes);
    limits.swap = spec.swap_mib.map(|mib| Swap::Bytes(bytes(mib)));
    limits.cpu_nanos = spec.cpu_millis.map(|millis| millis.saturating_mul(1_000_000));
    limits.cpu_weight = spec.cpu_weight;
    limits.cpu_set.clone_from(&spec.cpu_set);
    limits.pids_max = spec.pids_max;
    limits
}

fn rights(names: &Option<Vec<String>>) -> BTreeSet<String> {
    let plain = |name: &String| {
        let name = name.to_ascii_uppercase();
        name.strip_prefix("CAP_").map_or(name.clone(), str::to_owned)
    };
    names.iter().flatten().map(plain).collect()
}

pub(super) fn restart(spec: RestartSpec) -> Restart {
    match spec {
        RestartSpec::Never => Restart::Never,
        RestartSpec::Always => Restart::Always,
        RestartSpec::UnlessStopped => Restart::UnlessStopped,
        RestartSpec::OnFailure { retries_max } => Restart::OnFailure { retries_max },
    }
}

/// A health check in the engine's words.
pub(super) fn health(spec: &CheckSpec) -> HealthCheck {
    let test = match (&spec.command, &spec.shell) {
        (Some(command), _) => Test::Command(command.clone()),
        (None, Some(line)) => Test::Shell(line.clone()),
        (None, None) => return HealthCheck::Off,
    };
    let mut probe = Probe::new(test);
    let set = |time: &mut Duration, ms: Option<u64>| *time = ms.map_or(*time, Duration::from_millis);
    set(&mut probe.interval, spec.interval_ms);
    set(&mut probe.timeout, spec.timeout_ms);
    set(&mut probe.start_period, spec.start_period_ms);
    probe.retries = spec.retries.unwrap_or(probe.retries);
    HealthCheck::Probe(probe)
}

fn signal(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    if name.starts_with("SIG") { name } else { format!("SIG{name}") }
}

fn logging(spec: &LoggingSpec) -> Logging {
    let mut options: BTreeMap<String, String> = spec.options.clone().unwrap_or_default();
    if let Some(mib) = spec.size_mib_max {
        options.insert("max-size".to_owned(), format!("{mib}m"));
    }
    if let Some(files) = spec.files_max {
        options.insert("max-file".to_owned(), files.to_string());
    }
    Logging::new(spec.driver.as_deref().unwrap_or("json-file"), options)
}
