//! What an engine tells of what it has.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::net::IpAddr;
use std::sync::Arc;

use super::{ContainerSpec, ImageDefaults, Mark, NetworkSpec, Published, VolumeSpec};

/// What an engine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// What containers are made of.
    Image,
    /// A process and all it needs.
    Container,
    /// What containers reach each other by.
    Network,
    /// Data that outlives containers.
    Volume,
}

impl Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Image => "image",
            Self::Container => "container",
            Self::Network => "network",
            Self::Volume => "volume",
        })
    }
}

/// An object by its kind and its name, its id, or (of an image) one of its references.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: ObjectKind,
    /// What it is called.
    pub name: String,
}

impl ObjectRef {
    /// The object of this kind and name.
    pub fn new(kind: ObjectKind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }

    /// The image of this reference or id.
    pub fn image(name: impl Into<String>) -> Self {
        Self::new(ObjectKind::Image, name)
    }

    /// The container of this name or id.
    pub fn container(name: impl Into<String>) -> Self {
        Self::new(ObjectKind::Container, name)
    }

    /// The network of this name or id.
    pub fn network(name: impl Into<String>) -> Self {
        Self::new(ObjectKind::Network, name)
    }

    /// The volume of this name.
    pub fn volume(name: impl Into<String>) -> Self {
        Self::new(ObjectKind::Volume, name)
    }
}

impl Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind, self.name)
    }
}

/// Which objects to list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Query {
    /// Of this kind.
    pub kind: ObjectKind,
    /// With all these labels.
    pub labels: BTreeMap<String, String>,
}

impl Query {
    /// All of a kind, whether they run or not.
    pub fn new(kind: ObjectKind) -> Self {
        Self { kind, labels: BTreeMap::new() }
    }

    /// Those with this label.
    #[must_use]
    pub fn with_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Whether something with these labels is asked for.
    pub fn wants(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels.iter().all(|(name, value)| labels.get(name) == Some(value))
    }
}

/// What was listed, in order of names. Shared: one answer may serve many who asked.
pub type Listing = Arc<[Listed]>;

/// What a listing tells of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its id; of a volume, its name.
    pub id: String,
    /// Its name; of an image all its references (tags and digests), in order, of which there may be none.
    pub names: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// How a container is; `None` of anything else. Of what is told here, its exit has no more than its code.
    pub status: Option<Status>,
    /// The id of the image that a container was made of.
    pub image: Option<String>,
    /// The networks that a container is connected to.
    pub networks: BTreeSet<String>,
}

impl Listed {
    /// An object without labels.
    pub fn new(kind: ObjectKind, id: impl Into<String>, names: Vec<String>) -> Self {
        Self {
            kind,
            id: id.into(),
            names,
            labels: BTreeMap::new(),
            status: None,
            image: None,
            networks: BTreeSet::new(),
        }
    }

    /// Its first name, or its id where it has none.
    pub fn name(&self) -> &str {
        self.names.first().unwrap_or(&self.id)
    }

    /// Whose it is; `None`: not ours, and never touched.
    pub fn mark(&self) -> Option<Mark> {
        Mark::of(&self.labels)
    }
}

/// How far a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It was made and never started, or its start failed.
    Created,
    /// It runs.
    Running,
    /// It runs, and is held still.
    Paused,
    /// It has ended and is about to be started again by its restart policy.
    Restarting,
    /// It has ended, with this exit code.
    Exited(i32),
    /// It is being removed, or its removal failed.
    Removing,
}

impl Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.pad("created, never started"),
            Self::Running => f.pad("running"),
            Self::Paused => f.pad("paused"),
            Self::Restarting => f.pad("restarting"),
            Self::Exited(code) => write!(f, "ended with exit code {code}"),
            Self::Removing => f.pad("being removed"),
        }
    }
}

/// What a container's health check says while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readiness {
    /// It has none.
    #[default]
    Unchecked,
    /// It has not passed yet, and has not failed for long enough.
    Starting,
    /// It passed.
    Healthy,
    /// It failed as often as it may.
    Unhealthy,
}

/// How a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// How far it is.
    pub phase: Phase,
    /// What its health check says.
    pub readiness: Readiness,
}

impl Status {
    /// In this phase, without a health check.
    pub fn new(phase: Phase) -> Self {
        Self { phase, readiness: Readiness::Unchecked }
    }

    /// With what its health check says.
    #[must_use]
    pub fn with_readiness(mut self, readiness: Readiness) -> Self {
        self.readiness = readiness;
        self
    }

    /// Whether it serves: it runs, and its health check, where it has one, has passed.
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Running && matches!(self.readiness, Readiness::Unchecked | Readiness::Healthy)
    }
}

/// An object in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// An image.
    Image(Box<Image>),
    /// A container.
    Container(Box<Container>),
    /// A network.
    Network(Network),
    /// A volume.
    Volume(Volume),
}

/// An image in full.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Image {
    /// Its id: the digest of its configuration, `sha256:…`.
    pub id: String,
    /// Its tags, `name:tag`, and the digests that registries know it by, `name@sha256:…`.
    pub references: BTreeSet<String>,
    /// Its size in bytes.
    pub size: u64,
    /// What its containers get where they are not told otherwise; its labels, too.
    pub defaults: ImageDefaults,
}

impl Image {
    /// An image of this id and these defaults.
    pub fn new(
        id: impl Into<String>,
        references: BTreeSet<String>,
        size: u64,
        defaults: ImageDefaults,
    ) -> Self {
        Self { id: id.into(), references, size, defaults }
    }
}

/// A container in full.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The id of the image that it was made of.
    pub image: String,
    /// What it is, with what it has of its image merged in.
    pub spec: ContainerSpec,
    /// How it is.
    pub status: Status,
    /// Why it ended or did not start, in the engine's words: out of memory, program not found. Empty: nothing is said.
    pub said: String,
    /// How often its restart policy has started it again.
    pub restarts: u32,
    /// What its last health checks printed, the last one last.
    pub health_log: Vec<String>,
    /// Which addresses lead to its ports now.
    pub published: Vec<Published>,
    /// Its address in each of its networks, while it runs.
    pub addresses: BTreeMap<String, IpAddr>,
}

impl Container {
    /// A container of this spec, of which nothing else is known.
    pub fn new(
        id: impl Into<String>,
        name: impl Into<String>,
        image: impl Into<String>,
        spec: ContainerSpec,
        status: Status,
    ) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            image: image.into(),
            spec,
            status,
            said: String::new(),
            restarts: 0,
            health_log: Vec::new(),
            published: Vec::new(),
            addresses: BTreeMap::new(),
        }
    }
}

/// A network in full.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Network {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub spec: NetworkSpec,
    /// The names of the containers in it that run.
    pub members: BTreeSet<String>,
}

impl Network {
    /// A network with nobody in it.
    pub fn new(id: impl Into<String>, name: impl Into<String>, spec: NetworkSpec) -> Self {
        Self { id: id.into(), name: name.into(), spec, members: BTreeSet::new() }
    }
}

/// A volume in full.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// What it is.
    pub spec: VolumeSpec,
}

impl Volume {
    /// A volume.
    pub fn new(name: impl Into<String>, spec: VolumeSpec) -> Self {
        Self { name: name.into(), spec }
    }
}

/// Which output of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line that a container has printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// To where.
    pub stream: Stream,
    /// Without its line end; what is no UTF-8 is replaced.
    pub text: String,
}

/// Which lines of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogQuery {
    /// At most so many, the last ones.
    pub lines_max: usize,
    /// At most so many bytes of text in all: earlier lines are left out.
    pub bytes_max: usize,
}

impl LogQuery {
    /// The last lines, at most 64 KiB: what a person reads, also where a line is a megabyte.
    pub fn last(lines_max: usize) -> Self {
        Self { lines_max, bytes_max: 64 << 10 }
    }
}

impl LogQuery {
    /// The lines of `log`, oldest first, that are asked for.
    pub fn of(&self, log: impl DoubleEndedIterator<Item = LogLine>) -> Vec<LogLine> {
        let mut bytes = 0;
        let fits = |line: &LogLine| {
            bytes += line.text.len();
            bytes <= self.bytes_max
        };
        let mut lines: Vec<_> = log.rev().take(self.lines_max).take_while(fits).collect();
        lines.reverse();
        lines
    }
}
