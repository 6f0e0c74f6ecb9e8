//! Compose files as desired state, so that one can begin with what is there.
//!
//! A file as the [Compose specification](https://github.com/compose-spec/compose-spec) describes it becomes resources: each service is an
//! `image` and as many `container`s as it has replicas, and networks and volumes are what they are called. They are ordered by
//! `depends_on`, and called on the engine as Compose calls them. **What is not supported is an error with its line**: nothing is passed over
//! in silence but extensions (`x-…`) and `version`.
//!
//! ```text
//! text ─YAML─▶ tree with lines ─variables─▶ services, networks, volumes, secrets ─▶ resources, ordered
//!                                              └─ what is wrong, each with its line
//! ```
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::path::Path;
//! use detc_actions::compose::{ComposeOptions, read_text};
//!
//! let text = "
//! name: shop
//! services:
//!   db: { image: 'postgres:16', volumes: ['data:/var/lib/postgresql/data'] }
//!   web: { image: 'shop/web:1.4', depends_on: [db], deploy: { replicas: 2 } }
//! volumes: { data: {} }
//! ";
//! let desired = read_text("compose.yaml", text, Path::new("."), &ComposeOptions::new())?;
//! let ids: Vec<&str> = desired.resources.keys().map(|id| id.as_str()).collect();
//! assert_eq!(
//!     ids,
//!     ["network/shop_default", "volume/shop_data", "image/postgres:16", "image/shop/web:1.4",
//!      "container/shop-db-1", "container/shop-web-1", "container/shop-web-2"]
//! );
//! # Ok(())
//! # }
//! ```
//!
//! What differs from Compose:
//!
//! - A variable that is not set, and has no other value, is an error, and not empty.
//! - A service counts as started when it works: with a health check, when that passes, also for `service_started`.
//! - Secrets are files in `/run/secrets`, and a variable `NAME_FILE` says where each is.
//! - `deploy.update_config.parallelism` is an invariant of the desired state: so many replicas fewer at most, at every moment.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use detc_core::model::load::StateReader;
use detc_core::model::{
    Desired, DesiredResource, HostName, HostSpec, InvalidState, Invariant, InvariantBound, Measure, Origin,
    Reference, ResourceId, Selector,
};
use detc_core::resource::Resource;

use crate::resources::ImageSpec;
use crate::resources::container::NetworkMode;

mod addresses;
mod context;
mod deploy;
mod life;
mod node;
mod parts;
mod ports;
mod service;
#[cfg(test)]
#[cfg(feature = "local")]
mod tests;
mod units;
mod vars;

use node::{Errors, Node, Raw};
use parts::Parts;
use service::{Built, Service, beside};

/// How Compose files are read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ComposeOptions {
    /// The host on whose engine it all is.
    pub host: HostName,
    /// How that is reached.
    pub connect: HostSpec,
    /// What all is called after; where it is not given, as the variable `COMPOSE_PROJECT_NAME` says, the file in `name`, or the folder
    /// is called that it is in.
    pub project: Option<String>,
    /// Services that have profiles are only there with one of these, or of the variable `COMPOSE_PROFILES`.
    pub profiles: BTreeSet<String>,
    /// Variables. They go before those of the file `.env` beside the Compose file. Those of this process are
    /// `std::env::vars().collect()`.
    pub vars: BTreeMap<String, String>,
}

impl Default for ComposeOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl ComposeOptions {
    /// On the engine of this machine, called `local`; without profiles and variables.
    pub fn new() -> Self {
        Self {
            host: HostName::new("local"),
            connect: HostSpec::local(),
            project: None,
            profiles: BTreeSet::new(),
            vars: BTreeMap::new(),
        }
    }
}

/// Reads Compose files wherever a program takes desired state files: those that are called `compose.yaml`, `compose.yml`,
/// `docker-compose.yaml` or `docker-compose.yml`. [`read`] and [`read_text`] take one that is called otherwise.
///
/// ```
/// # #[cfg(feature = "local")] {
/// use detc_actions::{backends::LocalConnector, compose::{ComposeOptions, ComposeReader}, resources};
/// use detc_core::resource::Registry;
///
/// let mut options = ComposeOptions::new();
/// options.vars = std::env::vars().collect();
/// let registry = resources::register(Registry::new())
///     .with_connector(LocalConnector)
///     .with_reader(ComposeReader::new(options));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ComposeReader {
    options: ComposeOptions,
}

impl ComposeReader {
    /// Reads them so.
    pub fn new(options: ComposeOptions) -> Self {
        Self { options }
    }
}

impl StateReader for ComposeReader {
    fn reads(&self, path: &Path) -> bool {
        let names = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| names.contains(&name))
    }

    fn read(&self, path: &Path) -> Result<Desired, InvalidState> {
        read(path, &self.options)
    }
}

/// Reads a file. What it names is looked for beside it.
///
/// # Errors
/// All that is wrong with it, each with its line, and what is not supported.
pub fn read(path: &Path, options: &ComposeOptions) -> Result<Desired, InvalidState> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|error| InvalidState::new(format!("can not be read: {error}")).at(&name, 0))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        InvalidState::new("has bytes that are no text in UTF-8")
            .at(&name, line.try_into().unwrap_or(u32::MAX))
    })?;
    let base = path.parent().unwrap_or(Path::new(""));
    // Compose itself would read both.
    let over = [
        "compose.override.yaml",
        "compose.override.yml",
        "docker-compose.override.yaml",
        "docker-compose.override.yml",
    ];
    if let Some(over) = over.iter().find(|over| base.join(over).exists()) {
        let message =
            format!("{over} beside it is not read, and Compose would merge the two: that is not supported");
        return Err(InvalidState::new(message)
            .at(&name, 0)
            .with_hint("merge them, as with `docker compose config`"));
    }
    read_text(&name, &text, base, options)
}

/// Reads a text that is called `name`; the files that it names are looked for in `base`.
///
/// # Errors
/// See [`read`].
pub fn read_text(
    name: &str,
    text: &str,
    base: &Path,
    options: &ComposeOptions,
) -> Result<Desired, InvalidState> {
    let mut reader = Reader {
        options,
        base,
        vars: BTreeMap::new(),
        project: String::new(),
        errors: Errors::of(name),
        desired: Desired::new(),
    };
    reader.desired.files.push(name.to_owned());
    reader.read(text.strip_prefix('\u{feff}').unwrap_or(text));
    match reader.errors.finish() {
        None => Ok(reader.desired),
        Some(error) => Err(error),
    }
}

/// The fields of a file, for those that are nearly called so.
const TOP: [&str; 6] = ["version", "name", "services", "networks", "volumes", "secrets"];

struct Reader<'a> {
    options: &'a ComposeOptions,
    base: &'a Path,
    vars: BTreeMap<String, String>,
    project: String,
    errors: Errors,
    desired: Desired,
}

impl Reader<'_> {
    /// What can be read of it is in `desired`, and what is wrong in `errors`.
    fn read(&mut self, text: &str) -> Option<()> {
        let mut root = Node::read(text, &mut self.errors)?;
        self.read_vars();
        let (vars, errors) = (&self.vars, &mut self.errors);
        root.each_text(&mut |line, text| match vars::interpolate(text, vars) {
            Ok(said) => *text = said,
            Err(why) => errors.wrong(line, why).unwrap_or_default(),
        });
        if !matches!(root.value, Raw::Map(_)) {
            let is = root.is();
            return errors.wrong(root.line, format!("is {is}: expected a map with `services`"));
        }
        let mut top = root.fields("", errors)?;
        let _old = top.take("version");
        let named = top.take("name");
        self.name_project(named.as_ref());
        let mut parts = Parts::read(self, &mut top);
        let services = top.take("services");
        top.finish(&TOP, &mut self.errors);
        let Some(services) = services else {
            return self.errors.wrong(root.line, "has no `services`: it is no Compose file");
        };
        let entries = services.entries("services", &mut self.errors)?;
        let services: Vec<Service> =
            entries.iter().filter_map(|entry| Service::read(entry, self, &mut parts)).collect();
        self.desired.hosts.insert(self.options.host.clone(), self.options.connect.clone());
        addresses::check(&parts.networks(), &services, &mut self.errors);
        parts.put(self);
        let images = self.images(&services);
        let by_name: BTreeMap<&str, &Service> =
            services.iter().map(|service| (service.name.as_str(), service)).collect();
        if !self.is_held(&services, &by_name) {
            return None;
        }
        for service in services.iter().filter(|service| service.is_enabled) {
            self.containers(service, &images, &by_name);
        }
        Some(())
    }

    /// Whether a service is there that has these profiles.
    fn has_profile(&self, profiles: &[String]) -> bool {
        let given = self.vars.get("COMPOSE_PROFILES").map(String::as_str).unwrap_or_default();
        let is_given = |profile: &String| given.split(',').any(|given| given.trim() == profile);
        profiles.iter().any(|profile| self.options.profiles.contains(profile) || is_given(profile))
    }

    /// The variables of `.env`, and those that are given.
    fn read_vars(&mut self) {
        let path = self.base.join(".env");
        let name = path.display().to_string();
        match units::text_of(&path) {
            Ok(text) => self.vars = vars::read_file(&name, &text, &self.options.vars, &mut self.errors, 0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // Others keep an environment of their own in a folder that is called so.
            Err(_) if path.is_dir() => {}
            Err(error) => {
                let () = self.errors.wrong(0, format!("{name} can not be read: {error}")).unwrap_or_default();
            }
        }
        self.vars.extend(self.options.vars.clone());
    }

    fn name_project(&mut self, named: Option<&Node>) {
        let line = named.map_or(0, |node| node.line);
        let given = self.options.project.as_ref().or_else(|| self.vars.get("COMPOSE_PROJECT_NAME"));
        let given = given.filter(|name| !name.is_empty()).cloned();
        let given = given.or_else(|| named.and_then(|node| node.text("name", &mut self.errors)));
        let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        let project = given.unwrap_or_else(|| {
            let folder = beside(self.base, ".");
            let name = Path::new(&folder).file_name().map(|name| name.to_string_lossy().to_lowercase());
            let name: String = name.unwrap_or_default().chars().filter(|c| is_good(*c)).collect();
            name.trim_start_matches(['_', '-']).to_owned()
        });
        if !project.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            || !project.chars().all(is_good)
        {
            let message = format!(
                "the project can not be called `{project}`: expected lower-case letters, digits, `-` and `_`, a letter or digit first"
            );
            let () = self.errors.hint(line, message, "give the file a `name`").unwrap_or_default();
        }
        self.project = project;
    }

    /// Adds a resource that was read on this line.
    fn put<R: Resource>(&mut self, line: u32, name: &str, spec: &R) -> Option<ResourceId> {
        let fields = match serde_json::to_value(spec) {
            Ok(fields) => fields,
            Err(error) => return self.errors.wrong(line, format!("`{name}` can not be written: {error}")),
        };
        match DesiredResource::from_value(R::KIND, name, &fields) {
            Ok(resource) => self.put_resource(line, resource),
            Err(why) => self.errors.wrong(line, why),
        }
    }

    fn put_resource(&mut self, line: u32, mut resource: DesiredResource) -> Option<ResourceId> {
        resource.origin = Origin { file: 0, line };
        resource = resource.on(self.options.host.as_str()).label("compose.project", &self.project);
        let id = resource.id.clone();
        if let Some(before) = self.desired.resources.insert(id.clone(), resource) {
            return self
                .errors
                .wrong(line, format!("{id} is there twice; first on line {}", before.origin.line));
        }
        Some(id)
    }

    /// The images of the services that are there, by their references.
    fn images(&mut self, services: &[Service]) -> BTreeMap<String, ResourceId> {
        let mut images: BTreeMap<String, (ResourceId, ImageSpec)> = BTreeMap::new();
        let is_there = services.iter().filter(|service| service.is_enabled);
        // Those that only name an image have that which another one builds under the name.
        let (builders, others): (Vec<_>, Vec<_>) = is_there.partition(|service| service.built.is_some());
        for service in builders.into_iter().chain(others) {
            let spec = match &service.built {
                None => ImageSpec { platform: service.platform.clone(), ..ImageSpec::new(&service.image) },
                Some(Built { source, content, build }) => {
                    self.desired.blobs.insert(source.digest, content.clone());
                    ImageSpec {
                        context: Some(source.clone()),
                        build: build.clone(),
                        ..ImageSpec::new(&service.image)
                    }
                }
            };
            if let Some((id, first)) = images.get(&service.image) {
                let is_named = spec == ImageSpec::new(&service.image);
                if *first != spec && !is_named {
                    let message = format!(
                        "`{id}` is made in another way by a service before it: give it another `image`"
                    );
                    let () = self.errors.wrong(service.line, message).unwrap_or_default();
                }
                continue;
            }
            if let Some(id) = self.put(service.line, &service.image, &spec) {
                images.insert(service.image.clone(), (id, spec));
            }
        }
        images.into_iter().map(|(image, (id, _))| (image, id)).collect()
    }

    /// Whether all of it can be held: so many containers, and so many that come before them.
    fn is_held(&mut self, services: &[Service], by_name: &BTreeMap<&str, &Service>) -> bool {
        const CONTAINERS_MAX: u64 = 100_000;
        const ORDERS_MAX: u64 = 1_000_000;
        const PORTS_MAX: u64 = 1_000_000;
        let replicas = |name: &str| by_name.get(name).map_or(0, |it| u64::from(it.replicas));
        let (mut containers, mut orders, mut ports) = (0, 0, 0);
        for service in services.iter().filter(|service| service.is_enabled) {
            let many = u64::from(service.replicas);
            containers += many;
            orders += many * service.depends_on.iter().map(|it| replicas(&it.service)).sum::<u64>();
            ports += many * service.spec.ports.len() as u64;
            for (count, most, of) in [
                (ports, PORTS_MAX, "ports of containers"),
                (containers, CONTAINERS_MAX, "containers"),
                (orders, ORDERS_MAX, "pairs of a container and one that comes before it"),
            ] {
                if count > most {
                    let message =
                        format!("up to `{}` there are {count} {of}: at most {most} can be", service.name);
                    let () = self.errors.wrong(service.line, message).unwrap_or_default();
                    return false;
                }
            }
        }
        true
    }

    /// The containers of a service.
    fn containers(
        &mut self,
        service: &Service,
        images: &BTreeMap<String, ResourceId>,
        services: &BTreeMap<&str, &Service>,
    ) -> Option<()> {
        let before = self.dependencies(service, services);
        let mode = match &service.beside {
            None => service.spec.network_mode.clone(),
            Some((other, line)) => match services.get(other.as_str()).filter(|other| other.is_enabled) {
                Some(other) => Some(NetworkMode::Container(self.container_name(other, 1))),
                None => {
                    let message = format!(
                        "`{}` is in the networks of `{other}`, which is no service that is there",
                        service.name
                    );
                    return self.errors.wrong(*line, message);
                }
            },
        };
        // Who waits for its end says that it ends.
        let mut waiting =
            services.values().filter(|other| other.is_enabled).flat_map(|other| &other.depends_on);
        let completes = waiting.any(|it| it.completes && it.service == service.name).then_some(true);
        let image = images.get(&service.image)?;
        // What only one can have is told already.
        let replicas =
            if service.container_name.is_some() { service.replicas.min(1) } else { service.replicas };
        for number in 1..=replicas {
            let mut spec = service.spec.clone();
            spec.network_mode.clone_from(&mode);
            spec.completes = completes;
            spec.container = self.container_name(service, number);
            let fields = serde_json::to_value(&spec).expect("invariant: a spec is JSON");
            let bound =
                DesiredResource::from_value("container", &spec.container, &fields).and_then(|resource| {
                    let output =
                        Reference::new(image.clone(), "id".parse().expect("invariant: it is a path"));
                    resource.bind(&"image".parse().expect("invariant: it is a path"), output)
                });
            let mut resource = match bound {
                Ok(resource) => resource.label("compose.service", &service.name),
                Err(why) => return self.errors.wrong(service.line, why),
            };
            for (id, restart) in &before {
                resource = resource.after(id);
                if *restart {
                    resource = resource.restart_on(id);
                }
            }
            self.put_resource(service.line, resource)?;
        }
        if let Some(parallelism) = service.parallelism.filter(|away| *away < service.replicas) {
            let labels = [("compose.project", &self.project), ("compose.service", &service.name)];
            let labels = labels.map(|(key, value)| (key.to_owned(), value.clone())).into();
            let of = Selector { kind: Some("container".to_owned()), labels, ..Selector::default() };
            let least = service.replicas - parallelism;
            self.desired.invariants.push(Invariant {
                name: format!("{} of {} serve at every moment", least, service.name),
                measure: Measure::Available(of),
                bound: InvariantBound::AtLeast(least.into()),
            });
        }
        Some(())
    }

    fn container_name(&self, service: &Service, number: u32) -> String {
        let named = service.container_name.clone();
        named.unwrap_or_else(|| format!("{}-{}-{number}", self.project, service.name))
    }

    /// The containers that come before those of a service, and whether it is restarted with them.
    fn dependencies(
        &mut self,
        service: &Service,
        services: &BTreeMap<&str, &Service>,
    ) -> Vec<(ResourceId, bool)> {
        let mut before = Vec::new();
        for dependency in &service.depends_on {
            let name = dependency.service.as_str();
            let Some(of) = services.get(name) else {
                let message = format!("`{}` depends on `{name}`, which is no service", service.name);
                let () = self.errors.wrong(dependency.line, message).unwrap_or_default();
                continue;
            };
            if !of.is_enabled {
                if dependency.is_required {
                    let message = format!(
                        "`{}` depends on `{name}`, which is only there with one of its profiles",
                        service.name
                    );
                    let () = self.errors.wrong(dependency.line, message).unwrap_or_default();
                }
                continue;
            }
            for number in 1..=of.replicas {
                match ResourceId::new("container", &self.container_name(of, number)) {
                    Ok(id) => before.push((id, dependency.restart)),
                    Err(error) => self.errors.wrong(dependency.line, error.to_string()).unwrap_or_default(),
                }
            }
        }
        before
    }
}
