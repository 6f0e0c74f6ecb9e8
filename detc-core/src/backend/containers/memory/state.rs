//! What an engine in memory has, and how it is told.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::backend::containers::{
    Attachment, Container, ContainerSpec, FileInside, Image, Mount, Network, NetworkSpec, Phase, Published,
    Readiness, Source, Status, Volume, VolumeSpec,
};
use crate::backend::host::Ownership;
use crate::content::LEN_MAX;

/// Networks that each engine has and nobody can remove.
pub(super) const OWN_NETWORKS: [&str; 3] = [Networking::DEFAULT, "host", "none"];

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    pub(super) images: BTreeMap<String, Image>,
    pub(super) registry: BTreeMap<String, ImageDefaults>,
    pub(super) containers: BTreeMap<String, Held>,
    pub(super) networks: BTreeMap<String, Network>,
    pub(super) volumes: BTreeMap<String, Volume>,
    /// How much was made so far.
    made: u64,
}

/// A container.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) name: String,
    pub(super) image: String,
    /// With what it has of its image.
    pub(super) spec: ContainerSpec,
    pub(super) phase: Phase,
    pub(super) readiness: Readiness,
    /// How many health checks in a row have failed.
    pub(super) failed_probes: u32,
    pub(super) said: String,
    pub(super) restarts: u32,
    pub(super) published: Vec<Published>,
    pub(super) log: Vec<LogLine>,
    /// Where it is reached in its networks, in none of which another is.
    address: IpAddr,
    pub(super) host: MemoryHost,
}

impl PartialEq for Held {
    /// Its files are not compared: they are no state of the engine's.
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.image, &self.spec, self.phase, self.readiness, &self.said, self.restarts)
            == (
                &other.name,
                &other.image,
                &other.spec,
                other.phase,
                other.readiness,
                &other.said,
                other.restarts,
            )
            && self.log == other.log
    }
}

/// Why it was not done.
#[derive(Debug)]
pub(super) enum Why {
    NotFound(ObjectRef),
    Taken(ObjectRef),
    PortTaken { container: String, port: u16 },
    NotStarted { container: String, what: String },
    NotRunning(String),
    InUse { object: ObjectRef, by: String },
    Refused(String),
    Invalid(String),
}

impl Why {
    pub(super) fn said_by(self, engine: String, what: &str) -> ContainersError {
        match self {
            Self::NotFound(object) => ContainersError::NotFound { engine, object },
            Self::Taken(object) => ContainersError::Taken { engine, object },
            Self::PortTaken { container, port } => {
                ContainersError::PortTaken { engine, container, port: port.to_string() }
            }
            Self::NotStarted { container, what } => ContainersError::NotStarted { engine, container, what },
            Self::NotRunning(container) => ContainersError::NotRunning { engine, container },
            Self::InUse { object, by } => ContainersError::InUse { engine, object, by },
            Self::Refused(said) => ContainersError::Refused { engine, what: what.to_owned(), said },
            Self::Invalid(what) => ContainersError::Invalid { engine, what },
        }
    }
}

impl State {
    pub(super) fn new() -> Self {
        let mut state = Self::default();
        for name in OWN_NETWORKS {
            let id = state.next_id();
            state.networks.insert(id.clone(), Network::new(id, name, NetworkSpec::default()));
        }
        state
    }

    fn next_id(&mut self) -> String {
        self.made += 1;
        Sum::of(&self.made.to_be_bytes()).to_string()
    }

    pub(super) fn container_id(&self, called: &str) -> Result<String, Why> {
        let named = self.containers.iter().find(|(id, held)| *id == called || held.name == called);
        named.map(|(id, _)| id.clone()).ok_or_else(|| Why::NotFound(ObjectRef::container(called)))
    }

    pub(super) fn container(&mut self, called: &str) -> Result<(String, &mut Held), Why> {
        let id = self.container_id(called)?;
        let held = self.containers.get_mut(&id).expect("invariant: the id was just found");
        Ok((id, held))
    }

    pub(super) fn image_id(&self, called: &str) -> Result<String, Why> {
        let tagged = format!("{called}:latest");
        let named = self.images.iter().find(|(id, image)| {
            *id == called || image.references.contains(called) || image.references.contains(&tagged)
        });
        named.map(|(id, _)| id.clone()).ok_or_else(|| Why::NotFound(ObjectRef::image(called)))
    }

    pub(super) fn network(&self, called: &str) -> Result<&Network, Why> {
        let named = self.networks.values().find(|network| network.id == called || network.name == called);
        named.ok_or_else(|| Why::NotFound(ObjectRef::network(called)))
    }

    pub(super) fn add_image(
        &mut self,
        id: &str,
        references: impl IntoIterator<Item = String>,
        defaults: ImageDefaults,
    ) {
        let references: BTreeSet<_> = references.into_iter().collect();
        for image in self.images.values_mut() {
            image.references.retain(|it| !references.contains(it));
        }
        match self.images.get_mut(id) {
            Some(image) => image.references.extend(references),
            None => drop(self.images.insert(id.to_owned(), Image::new(id, references, 0, defaults))),
        }
    }

    pub(super) fn make_image(&mut self, from: &ImageFrom) -> Result<String, Why> {
        let (sum, references, defaults) = match from {
            ImageFrom::Pull(pull) => {
                let found = self.registry.get(&pull.reference).cloned();
                let missing = || Why::NotFound(ObjectRef::image(&pull.reference));
                let defaults = found.ok_or_else(missing)?;
                let sum = Sum::of(format!("{} {defaults:?}", pull.reference).as_bytes());
                (sum, BTreeSet::from([pull.reference.clone()]), defaults)
            }
            ImageFrom::Load(archive) => (archive.sum(), BTreeSet::new(), ImageDefaults::default()),
            ImageFrom::Build(build) => {
                let made_of =
                    (build.context.sum(), &build.dockerfile, &build.args, &build.target, &build.labels);
                let sum = Sum::of(format!("{made_of:?}").as_bytes());
                let defaults = ImageDefaults { labels: build.labels.clone(), ..ImageDefaults::default() };
                (sum, build.tags.clone(), defaults)
            }
        };
        let id = format!("sha256:{sum}");
        self.add_image(&id, references, defaults);
        Ok(id)
    }

    pub(super) fn make_network(&mut self, name: &str, spec: &NetworkSpec) -> Result<String, Why> {
        if self.networks.values().any(|network| network.name == name) {
            return Err(Why::Taken(ObjectRef::network(name)));
        }
        let id = self.next_id();
        self.networks.insert(id.clone(), Network::new(&id, name, spec.clone()));
        Ok(id)
    }

    pub(super) fn make_volume(&mut self, name: &str, spec: &VolumeSpec) -> Result<String, Why> {
        if self.volumes.contains_key(name) {
            return Err(Why::Taken(ObjectRef::volume(name)));
        }
        self.volumes.insert(name.to_owned(), Volume::new(name, spec.clone()));
        Ok(name.to_owned())
    }

    pub(super) fn make_container(
        &mut self,
        name: &str,
        spec: &ContainerSpec,
        files: &[FileInside],
        template: &MemoryHost,
    ) -> Result<String, Why> {
        if self.containers.values().any(|held| held.name == name) {
            return Err(Why::Taken(ObjectRef::container(name)));
        }
        let image = self.image_id(&spec.image)?;
        if let Networking::Networks(networks) = &spec.networking {
            networks.keys().try_for_each(|network| self.network(network).map(drop))?;
        }
        for mount in spec.mounts.values() {
            if let Source::Volume(volume) = &mount.source
                && !self.volumes.contains_key(volume)
            {
                return Err(Why::NotFound(ObjectRef::volume(volume)));
            }
        }
        let host = template.like(name);
        for file in files {
            let written = host.with_files(|all| {
                let parent = file.path.rsplit_once('/').map_or("/", |(parent, _)| parent);
                let mut ownership = file.ownership.clone();
                ownership.mode.get_or_insert(0o400);
                all.make_dir(if parent.is_empty() { "/" } else { parent }, &Ownership::default())?;
                all.write(&file.path, &file.content.bytes(LEN_MAX)?, &ownership)
            });
            written.map_err(|error| Why::Refused(error.to_string()))?;
        }
        let spec = with_image(spec.clone(), &self.images[&image].defaults);
        let id = self.next_id();
        let held = Held {
            name: name.to_owned(),
            image,
            spec,
            phase: Phase::Created,
            readiness: Readiness::Unchecked,
            failed_probes: 0,
            said: String::new(),
            restarts: 0,
            published: Vec::new(),
            log: Vec::new(),
            address: IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(self.made).unwrap_or(0))),
            host,
        };
        self.containers.insert(id.clone(), held);
        Ok(id)
    }

    pub(super) fn list(&self, query: &Query) -> Vec<Listed> {
        let with_labels =
            |listed: Listed, labels: &BTreeMap<String, String>| Listed { labels: labels.clone(), ..listed };
        let listed: Vec<_> = match query.kind {
            ObjectKind::Image => {
                let image = |image: &Image| {
                    let names = image.references.iter().cloned().collect();
                    with_labels(Listed::new(query.kind, &image.id, names), &image.defaults.labels)
                };
                self.images.values().map(image).collect()
            }
            ObjectKind::Container => self.containers.iter().map(|(id, held)| held.listed(id)).collect(),
            ObjectKind::Network => {
                let network = |it: &Network| {
                    with_labels(Listed::new(query.kind, &it.id, vec![it.name.clone()]), &it.spec.labels)
                };
                self.networks.values().map(network).collect()
            }
            ObjectKind::Volume => {
                let volume = |it: &Volume| {
                    with_labels(Listed::new(query.kind, &it.name, vec![it.name.clone()]), &it.spec.labels)
                };
                self.volumes.values().map(volume).collect()
            }
        };
        listed.into_iter().filter(|listed| query.wants(&listed.labels)).collect()
    }

    pub(super) fn inspect(&self, object: &ObjectRef) -> Option<Object> {
        match object.kind {
            ObjectKind::Image => {
                let id = self.image_id(&object.name).ok()?;
                Some(Object::Image(Box::new(self.images[&id].clone())))
            }
            ObjectKind::Container => {
                let id = self.container_id(&object.name).ok()?;
                Some(Object::Container(Box::new(self.containers[&id].in_full(&id))))
            }
            ObjectKind::Network => {
                let mut network = self.network(&object.name).ok()?.clone();
                let members =
                    self.containers.values().filter(|held| held.is_in(&network.name) && held.runs());
                network.members = members.map(|held| held.name.clone()).collect();
                Some(Object::Network(network))
            }
            ObjectKind::Volume => self.volumes.get(&object.name).cloned().map(Object::Volume),
        }
    }

    pub(super) fn dump(&self) -> String {
        let mut text = String::new();
        for image in self.images.values() {
            let _ = writeln!(text, "image {:?}", image.references);
        }
        let mut containers: Vec<_> = self.containers.values().collect();
        containers.sort_by_key(|held| &held.name);
        for held in containers {
            let Held { name, spec, phase, .. } = held;
            let _ = writeln!(text, "container {name} of {} {phase} {:?}", spec.image, spec.labels);
        }
        let mut networks: Vec<_> = self.networks.values().collect();
        networks.sort_by_key(|network| &network.name);
        for network in networks.into_iter().filter(|it| !OWN_NETWORKS.contains(&it.name.as_str())) {
            let _ = writeln!(text, "network {} {:?}", network.name, network.spec.labels);
        }
        for volume in self.volumes.values() {
            let _ = writeln!(text, "volume {} {:?}", volume.name, volume.spec.labels);
        }
        text
    }
}

impl Held {
    pub(super) fn runs(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Paused)
    }

    fn networks(&self) -> BTreeSet<String> {
        match &self.spec.networking {
            Networking::Networks(networks) => networks.keys().cloned().collect(),
            Networking::None => BTreeSet::from(["none".to_owned()]),
            Networking::Host => BTreeSet::from(["host".to_owned()]),
            Networking::Container(_) => BTreeSet::new(),
        }
    }

    pub(super) fn is_in(&self, network: &str) -> bool {
        self.networks().contains(network)
    }

    fn status(&self) -> Status {
        let readiness = if self.runs() { self.readiness } else { Readiness::Unchecked };
        Status::new(self.phase).with_readiness(readiness)
    }

    fn listed(&self, id: &str) -> Listed {
        Listed {
            labels: self.spec.labels.clone(),
            status: Some(self.status()),
            image: Some(self.image.clone()),
            networks: self.networks(),
            ..Listed::new(ObjectKind::Container, id, vec![self.name.clone()])
        }
    }

    fn in_full(&self, id: &str) -> Container {
        let mut full = Container::new(id, &self.name, &self.image, self.spec.clone(), self.status());
        full.said = self.said.clone();
        full.restarts = self.restarts;
        if self.runs() {
            full.published = self.published.clone();
            if let Networking::Networks(networks) = &self.spec.networking {
                let address =
                    |attached: &Attachment| attached.addresses.first().copied().unwrap_or(self.address);
                full.addresses = networks.iter().map(|(name, it)| (name.clone(), address(it))).collect();
            }
        }
        full
    }
}

/// What an engine tells of a container of an image.
fn with_image(mut spec: ContainerSpec, image: &ImageDefaults) -> ContainerSpec {
    let command = spec.command.take().filter(|command| !command.is_empty());
    let inherited = || if spec.entrypoint.is_none() { image.command.clone() } else { Vec::new() };
    spec.command = Some(command.unwrap_or_else(inherited));
    spec.entrypoint.get_or_insert_with(|| image.entrypoint.clone());
    for (name, value) in &image.env {
        spec.env.entry(name.clone()).or_insert_with(|| value.clone());
    }
    for (name, value) in &image.labels {
        spec.labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    spec.dir = spec.dir.or_else(|| image.dir.clone());
    spec.user = spec.user.or_else(|| image.user.clone());
    spec.ports.extend(&image.ports);
    for path in &image.volumes {
        let anonymous = || Mount::new(Source::Anonymous);
        spec.mounts.entry(path.clone()).or_insert_with(anonymous);
    }
    spec.health = spec.health.or_else(|| image.health.clone());
    spec.stop_signal = spec.stop_signal.or_else(|| image.stop_signal.clone());
    spec
}
