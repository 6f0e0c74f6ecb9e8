//! What a container is to be.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::{Capabilities, HealthCheck, ImageDefaults, Logging, Restart, Swap};

/// What a container is to be. `None`, where nothing else is said, is what the image or the engine has.
///
/// In place only the [limits and the restart policy](super::Change::Update) and the [networks](super::Change::Connect) can be
/// changed, and its name; anything else makes another container.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContainerSpec {
    /// The reference or id of its image, which must be there.
    pub image: String,
    /// What is put before the command; none at all where it is empty. One that is given drops the image's command, too.
    pub entrypoint: Option<Vec<String>>,
    /// The command.
    pub command: Option<Vec<String>>,
    /// Variables, beside the image's. The engine tells them to whoever may ask: secrets belong in [files](super::FileInside).
    pub env: BTreeMap<String, String>,
    /// The working directory.
    pub dir: Option<String>,
    /// The user, and the group after a colon, by names of the image or by numbers.
    pub user: Option<String>,
    /// What it calls itself.
    pub hostname: Option<String>,
    /// Its labels, beside the image's.
    pub labels: BTreeMap<String, String>,
    /// Its ports, beside those that the image exposes.
    pub ports: BTreeSet<Port>,
    /// What is mounted, by the absolute paths inside.
    pub mounts: BTreeMap<String, Mount>,
    /// What it is connected to.
    pub networking: Networking,
    /// What it may use.
    pub limits: Limits,
    /// Whether it may write to its root: beneath its mounts it may, as they say.
    pub root: Access,
    /// What its root user may do, beside what the engine gives and without what it takes.
    pub capabilities: Capabilities,
    /// When the engine starts it again.
    pub restart: Restart,
    /// How to find out whether it works.
    pub health: Option<HealthCheck>,
    /// The signal that asks it to end, by its name, `SIGTERM`.
    pub stop_signal: Option<String>,
    /// How long it has to end, in whole seconds.
    pub stop_grace: Option<Duration>,
    /// Where what it prints goes, and how much of it is kept.
    pub logging: Option<Logging>,
    /// Whether a process before its own hands on signals and buries what nobody waits for.
    pub has_init: bool,
}

impl ContainerSpec {
    /// A container of `image` as it is.
    pub fn new(image: impl Into<String>) -> Self {
        Self {
            image: image.into(),
            entrypoint: None,
            command: None,
            env: BTreeMap::new(),
            dir: None,
            user: None,
            hostname: None,
            labels: BTreeMap::new(),
            ports: BTreeSet::new(),
            mounts: BTreeMap::new(),
            networking: Networking::default(),
            limits: Limits::default(),
            root: Access::ReadWrite,
            capabilities: Capabilities::default(),
            restart: Restart::Never,
            health: None,
            stop_signal: None,
            stop_grace: None,
            logging: None,
            has_init: false,
        }
    }

    /// The same, told beside its image: what is as the image has it anyway is left out. So what was asked and what the engine tells,
    /// in which the image is merged in, come to the same.
    #[must_use]
    pub fn beside(mut self, image: &ImageDefaults) -> Self {
        (self.entrypoint, self.command) = argv_beside(self.entrypoint, self.command, image);
        self.env.retain(|name, value| image.env.get(name) != Some(value));
        self.labels.retain(|name, value| image.labels.get(name) != Some(value));
        self.dir = self.dir.filter(|dir| *dir != *image.dir.as_deref().unwrap_or("/"));
        self.user = self.user.filter(|user| *user != *image.user.as_deref().unwrap_or(""));
        let published: BTreeSet<_> =
            self.ports.iter().filter_map(|port| port.at.map(|_| port.inside())).collect();
        self.ports.retain(|port| {
            port.at.is_some() || !(published.contains(&port.inside()) || image.ports.contains(port))
        });
        self.mounts.retain(|path, mount| mount.source != Source::Anonymous || !image.volumes.contains(path));
        self.health =
            self.health.filter(|health| *health != *image.health.as_ref().unwrap_or(&HealthCheck::Off));
        let signal = image.stop_signal.as_deref().unwrap_or("SIGTERM");
        self.stop_signal = self.stop_signal.filter(|it| it != signal);
        self
    }
}

/// Entrypoint and command, as far as they are not as the image has them.
fn argv_beside(
    entrypoint: Option<Vec<String>>,
    command: Option<Vec<String>>,
    image: &ImageDefaults,
) -> (Option<Vec<String>>, Option<Vec<String>>) {
    let command = command.filter(|command| !command.is_empty());
    let command = match &entrypoint {
        Some(_) => command.unwrap_or_default(),
        None => command.unwrap_or_else(|| image.command.clone()),
    };
    let entrypoint = entrypoint.unwrap_or_else(|| image.entrypoint.clone());
    match (entrypoint == image.entrypoint, command == image.command) {
        (true, true) => (None, None),
        (true, false) if !command.is_empty() => (None, Some(command)),
        (_, _) => (Some(entrypoint), Some(command).filter(|command| !command.is_empty())),
    }
}

/// Whether something may be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// It may.
    #[default]
    ReadWrite,
    /// It may not.
    ReadOnly,
}

/// What a port speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Its name, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// A port of a container, and one place where it can be reached from outside. One that can be reached at several places is there
/// several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// The port inside.
    pub port: u16,
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it is reached from outside; `None`: nowhere.
    pub at: Option<HostPort>,
}

/// Where a port is reached from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// At which address of the engine's machine; `None`: at all.
    pub address: Option<IpAddr>,
    /// The port there; `None`: one that is free, which is another for each start.
    pub port: Option<u16>,
}

impl Port {
    /// A TCP port that is not reached from outside.
    pub fn inner(port: u16) -> Self {
        Self { port, protocol: Protocol::Tcp, at: None }
    }

    /// A TCP port that is reached there.
    pub fn published(port: u16, at: HostPort) -> Self {
        Self { port, protocol: Protocol::Tcp, at: Some(at) }
    }

    /// The port inside.
    fn inside(&self) -> (u16, Protocol) {
        (self.port, self.protocol)
    }
}

/// Where a port is reached now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Published {
    /// The port inside.
    pub port: u16,
    /// What it speaks.
    pub protocol: Protocol,
    /// The address outside.
    pub address: IpAddr,
    /// The port outside.
    pub host_port: u16,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mount {
    /// What it is.
    pub source: Source,
    /// Whether it may be written.
    pub access: Access,
}

/// What is mounted, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Source {
    /// A volume, by its name. It must be there: none is made by the way.
    Volume(String),
    /// A directory or file of the engine's machine, which must be there.
    Bind(String),
    /// Memory, which is empty at each start.
    Memory {
        /// How many bytes; `None`: as many as the machine gives.
        size: Option<u64>,
        /// The mode of its root.
        mode: Option<u32>,
    },
    /// A volume of this container alone, which is made and removed with it.
    Anonymous,
}

impl Mount {
    /// Mounts it for writing.
    pub fn new(source: Source) -> Self {
        Self { source, access: Access::ReadWrite }
    }

    /// Mounts it for reading.
    pub fn read_only(source: Source) -> Self {
        Self { source, access: Access::ReadOnly }
    }
}

/// What a container is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Networking {
    /// These networks, at least one, by their names.
    Networks(BTreeMap<String, Attachment>),
    /// Nothing.
    None,
    /// What the engine's machine is connected to, as if it was no container.
    Host,
    /// What another container is connected to, by its name or id, as if both were one.
    Container(String),
}

impl Networking {
    /// What the engine connects a container to when nothing is said.
    pub const DEFAULT: &'static str = "bridge";

    /// These networks.
    pub fn of(networks: impl IntoIterator<Item = (String, Attachment)>) -> Self {
        Self::Networks(networks.into_iter().collect())
    }
}

impl Default for Networking {
    fn default() -> Self {
        Self::of([(Self::DEFAULT.to_owned(), Attachment::default())])
    }
}

/// As what a container is connected to a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attachment {
    /// The names that others in the network reach it by, beside its own. Several containers may have the same.
    pub aliases: BTreeSet<String>,
    /// Its IPv4 or IPv6 addresses; the engine chooses those of a family that has none here.
    pub addresses: BTreeSet<IpAddr>,
}

impl Attachment {
    /// With these aliases, and addresses of the engine's choice.
    pub fn aliased<S: Into<String>>(aliases: impl IntoIterator<Item = S>) -> Self {
        Self { aliases: aliases.into_iter().map(Into::into).collect(), addresses: BTreeSet::new() }
    }
}

/// What a container may use; `None`: as much as there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// Memory that is left to it when there is little, in bytes.
    pub memory_reserved_bytes: Option<u64>,
    /// Swap space beside its memory; `None`: as the engine does it.
    pub swap: Option<Swap>,
    /// Processors, in billionths of one.
    pub cpu_nanos: Option<u64>,
    /// Its weight where processors are short, beside others' 1024.
    pub cpu_weight: Option<u64>,
    /// Which processors, `0-3,7`.
    pub cpu_set: Option<String>,
    /// Processes and threads.
    pub pids_max: Option<u64>,
}

#[cfg(test)]
mod tests;
