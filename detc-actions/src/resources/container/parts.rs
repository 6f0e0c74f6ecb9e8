//! The parts of a container's spec, as they are written.
//!
//! What is given as its default is not the same as what is not given: it is compared. So all that can be left out is an `Option`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A port of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortSpec {
    /// The port inside.
    pub port: u16,
    /// What it speaks; TCP where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<PortProtocol>,
    /// Where it is reached from outside; nowhere where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<PublishSpec>,
}

/// What a port speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// Where a port is reached from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishSpec {
    /// The address of the engine's machine; all where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The port there; one that is free, another for each start, where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// What is mounted: at most one of `volume`, `bind` and `memory`; none: a volume of this container alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MountSpec {
    /// A volume, by its name on the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// A directory or file of the engine's machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<String>,
    /// Memory, empty at each start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryMountSpec>,
    /// Whether it can only be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}

/// Memory that is mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryMountSpec {
    /// How much; as much as there is where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_mib: Option<u64>,
    /// The mode of its root: `1777`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

/// As what a container is connected to a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachmentSpec {
    /// Names by which others in the network reach it, beside its own. Several may have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aliases: Option<Vec<String>>,
    /// Its addresses there; the engine's choice where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<IpAddr>>,
}

/// What a container is connected to where that is no network of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// Nothing.
    None,
    /// What its machine is connected to.
    Host,
    /// What another container is connected to, by its name on the engine.
    Container(String),
}

/// What a container may use; as much as there is, of what is not given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsSpec {
    /// Memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// Memory that is left to it when there is little.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_reserved_mib: Option<u64>,
    /// Swap space beside its memory, 0 for none; as the engine does it where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap_mib: Option<u64>,
    /// Processors, in thousandths of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u64>,
    /// Its weight where processors are short, beside others' 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_weight: Option<u64>,
    /// Which processors: `0-3,7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_set: Option<String>,
    /// Processes and threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids_max: Option<u64>,
}

/// What a container's root user may do, beside what the engine gives and without what it takes, by names such as `NET_ADMIN`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapabilitiesSpec {
    /// Given beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add: Option<Vec<String>>,
    /// Taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<Vec<String>>,
}

/// When the engine starts a container again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartSpec {
    /// Never: the next apply finds it ended.
    Never,
    /// When it has ended by itself, and when the engine has started.
    Always,
    /// The same, but not when it was stopped.
    UnlessStopped,
    /// When it has ended with another code than 0.
    OnFailure {
        /// At most so often in a row.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retries_max: Option<u32>,
    },
}

/// How the engine finds out whether a container works. Exactly one of `command`, `shell` and `off` is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckSpec {
    /// A command inside: healthy when it ends with code 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// The same, as a line for the image's shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// `true`: not at all, also where the image says how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off: Option<bool>,
    /// How long after one check the next begins, and the first after the start; 30 seconds where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
    /// How long one check may take; 30 seconds where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// For how long after the start a check that fails does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period_ms: Option<u64>,
    /// How many in a row have to fail; 3 where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
}

/// How a container is asked to end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndSpec {
    /// The signal, `SIGTERM`; the image's where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// How many seconds it has to end by itself before it is killed; 10 where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_s: Option<u64>,
}

/// Where what a container prints goes, and how much of it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoggingSpec {
    /// Which driver takes it; `json-file` where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The driver's options, as it spells them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<BTreeMap<String, String>>,
    /// How large a file of the log becomes: the option `max-size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_mib_max: Option<u64>,
    /// How many files are kept: the option `max-file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_max: Option<u32>,
}

/// In which order a container takes the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The new one is started, and the old one goes when that works. Both are there for a while.
    StartFirst,
    /// The old one is stopped, and the new one started. One that does not work gives its place back.
    StopFirst,
}
