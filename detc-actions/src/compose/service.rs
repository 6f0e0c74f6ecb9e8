//! One service of a file.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use detc_core::content::Content;
use detc_core::resource::Source;

use super::context::context;
use super::life::{health, logging, restart, stop};
use super::node::{Entry, Errors, Fields, Node, Raw};
use super::parts::Parts;
use super::ports::{expose, port_twice, publish, shared_port};
use super::units::text_of;
use super::{Reader, vars};
use crate::resources::ContainerSpec;
use crate::resources::container::{CapabilitiesSpec, NetworkMode};
use crate::resources::image::BuildSpec;

/// What a service may have; all else is not supported.
const FIELDS: [&str; 42] = [
    "image",
    "build",
    "platform",
    "pull_policy",
    "profiles",
    "depends_on",
    "container_name",
    "command",
    "entrypoint",
    "env_file",
    "environment",
    "secrets",
    "working_dir",
    "user",
    "hostname",
    "labels",
    "ports",
    "expose",
    "volumes",
    "tmpfs",
    "networks",
    "network_mode",
    "mem_limit",
    "mem_reservation",
    "memswap_limit",
    "cpus",
    "cpu_shares",
    "cpuset",
    "pids_limit",
    "read_only",
    "cap_add",
    "cap_drop",
    "restart",
    "healthcheck",
    "stop_signal",
    "stop_grace_period",
    "logging",
    "init",
    "deploy",
    "scale",
    "privileged",
    "tty",
];

/// A service, as resources have it; image, networks and volumes by the names that they have on the engine.
pub(super) struct Service {
    pub(super) name: String,
    pub(super) line: u32,
    /// Whether it is there with the profiles that are given.
    pub(super) is_enabled: bool,
    /// What its image is called.
    pub(super) image: String,
    pub(super) built: Option<Built>,
    pub(super) platform: Option<String>,
    pub(super) replicas: u32,
    /// How many of them may be away at a time.
    pub(super) parallelism: Option<u32>,
    pub(super) container_name: Option<String>,
    pub(super) depends_on: Vec<Dependency>,
    /// Whose networks it is in, where it has none of its own, and the line that says so.
    pub(super) beside: Option<(String, u32)>,
    /// All but its names.
    pub(super) spec: ContainerSpec,
}

/// What an image is built from.
pub(super) struct Built {
    pub(super) source: Source,
    pub(super) content: Content,
    pub(super) build: Option<BuildSpec>,
}

/// A service that has to be there before.
pub(super) struct Dependency {
    pub(super) service: String,
    pub(super) line: u32,
    /// Whether it has to be done by then, and not to serve.
    pub(super) completes: bool,
    /// Whether who depends is restarted with it.
    pub(super) restart: bool,
    pub(super) is_required: bool,
}

impl Service {
    pub(super) fn read(entry: &Entry, reader: &mut Reader<'_>, parts: &mut Parts) -> Option<Self> {
        let name = entry.name.clone();
        let path = format!("services.{name}");
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
            let message =
                format!("a service can not be called `{name}`: expected letters, digits, `.`, `_` and `-`");
            return reader.errors.wrong(entry.line, message);
        }
        let mut fields = entry.node.fields(&path, &mut reader.errors)?;
        let profiles = texts(&mut fields, "profiles", &mut reader.errors);
        let is_enabled = profiles.is_empty() || reader.has_profile(&profiles);
        let platform = fields.text("platform", &mut reader.errors);
        let build = fields.take("build");
        let (line_of_image, image) = (fields.line_of("image"), fields.take("image"));
        // What is wrong is told once.
        let image = match image {
            None => None,
            Some(node) => Some(node.text(&fields.path("image"), &mut reader.errors)?),
        };
        check_pull(&mut fields, build.is_some(), &mut reader.errors);
        let image = match (image, &build) {
            (Some(image), _) => image,
            (None, Some(_)) => format!("{}-{name}", reader.project),
            (None, None) => {
                reader.errors.wrong(entry.line, format!("`{path}` has neither `image` nor `build`"))?
            }
        };
        // What nobody asked for needs not be there to be built.
        let built = match build.filter(|_| is_enabled) {
            None => None,
            Some(build) => Some(read_build(&build, &format!("{path}.build"), reader)?),
        };
        let mut spec = ContainerSpec::new("named-later", "bound-later");
        spec.command = words(&mut fields, "command", &mut reader.errors);
        spec.entrypoint = words(&mut fields, "entrypoint", &mut reader.errors);
        spec.env = environment(&mut fields, reader);
        spec.secrets = parts.secrets_of(&mut fields, reader);
        spec.dir = fields.text("working_dir", &mut reader.errors);
        spec.user = fields.text("user", &mut reader.errors);
        spec.hostname = fields.text("hostname", &mut reader.errors);
        spec.engine_labels = fields.labels(&mut reader.errors);
        spec.ports = publish(&mut fields, &mut reader.errors);
        expose(&mut fields, &mut spec.ports, &mut reader.errors);
        spec.mounts = parts.mounts_of(&mut fields, reader);
        let beside = network(&name, &mut fields, &mut spec, is_enabled, reader, parts);
        spec.read_only_root = fields.flag("read_only", &mut reader.errors);
        spec.capabilities = capabilities(&mut fields, &mut reader.errors);
        spec.restart = restart(&mut fields, &mut reader.errors);
        spec.health = health(&mut fields, &mut reader.errors);
        spec.stop = stop(&mut fields, &mut reader.errors);
        spec.logging = logging(&mut fields, &mut reader.errors);
        spec.init = fields.flag("init", &mut reader.errors);
        for off in ["privileged", "tty"] {
            let line = fields.line_of(off);
            if fields.flag(off, &mut reader.errors) == Some(true) {
                let () =
                    reader.errors.wrong(line, format!("`{path}.{off}` is not supported")).unwrap_or_default();
            }
        }
        let scale = replicas(&mut fields, "scale", &mut reader.errors);
        let mut service = Self {
            depends_on: depends_on(&mut fields, &mut reader.errors),
            container_name: fields.text("container_name", &mut reader.errors),
            line: entry.line,
            replicas: scale.unwrap_or(1),
            parallelism: None,
            beside,
            name,
            is_enabled,
            image,
            built,
            platform,
            spec,
        };
        if service.image.is_empty() {
            return reader
                .errors
                .wrong(line_of_image, format!("`{path}.image` is empty: expected the name of an image"));
        }
        service.limits(&mut fields, &mut reader.errors);
        service.deploy(scale, &mut fields, &mut reader.errors);
        service.check(&path, &mut reader.errors);
        fields.finish(&FIELDS, &mut reader.errors);
        Some(service)
    }

    fn check(&self, path: &str, errors: &mut Errors) {
        let mut wrong = |message: String| -> () { errors.wrong(self.line, message).unwrap_or_default() };
        if let Some(port) = port_twice(&self.spec.ports) {
            wrong(format!("`{path}` publishes port {port} of the machine twice"));
        }
        if let Some(long) = self.spec.hostname.as_ref().filter(|name| name.len() > HOSTNAME_LEN_MAX) {
            wrong(format!("`{path}.hostname` has {} letters: at most {HOSTNAME_LEN_MAX} can be", long.len()));
        }
        if self.replicas < 2 {
            return;
        }
        let addresses = self.spec.networks.iter().find(|(_, attachment)| attachment.addresses.is_some());
        if addresses.is_some() {
            wrong(format!(
                "`{path}` has an address of its own, which only one of {} can have",
                self.replicas
            ));
        }
        if self.container_name.is_some() {
            let message =
                format!("`{path}` has a `container_name`, which only one of {} can have", self.replicas);
            let () = errors.wrong(self.line, message).unwrap_or_default();
        }
        if let Some(port) = shared_port(&self.spec.ports) {
            let message =
                format!("`{path}` publishes port {port}, which only one of {} can have", self.replicas);
            let () = errors.hint(self.line, message, "leave out the port of the machine").unwrap_or_default();
        }
    }
}

/// The longest name that Linux has for a machine.
const HOSTNAME_LEN_MAX: usize = 64;

/// How many of one service can be: more than an engine has room for.
const REPLICAS_MAX: u32 = 10_000;

/// How many there are to be.
pub(super) fn replicas(fields: &mut Fields, name: &str, errors: &mut Errors) -> Option<u32> {
    let (line, path) = (fields.line_of(name), fields.path(name));
    let replicas = fields.count_u32(name, errors)?;
    if replicas > REPLICAS_MAX {
        return errors.wrong(line, format!("`{path}` is {replicas}: at most {REPLICAS_MAX} can be"));
    }
    Some(replicas)
}

fn texts(fields: &mut Fields, name: &str, errors: &mut Errors) -> Vec<String> {
    let path = fields.path(name);
    fields.take(name).and_then(|node| node.texts(&path, errors)).unwrap_or_default()
}

fn check_pull(fields: &mut Fields, is_built: bool, errors: &mut Errors) {
    let line = fields.line_of("pull_policy");
    let path = fields.path("pull_policy");
    match fields.text("pull_policy", errors).as_deref() {
        None | Some("missing" | "if_not_present") => {}
        Some("build") if is_built => {}
        Some(other) => {
            let message = format!(
                "`{path}` is `{other}`: an image is pulled when it is not there, and no other way is supported"
            );
            let () = errors
                .hint(line, message, "name an image by its digest to have another one")
                .unwrap_or_default();
        }
    }
}

/// A command: words, or a line that is split into them as a shell would.
fn words(fields: &mut Fields, name: &str, errors: &mut Errors) -> Option<Vec<String>> {
    let path = fields.path(name);
    let node = fields.take(name)?;
    match &node.value {
        Raw::List(_) => node.texts(&path, errors),
        _ => {
            let text = node.text(&path, errors)?;
            shlex::split(&text)
                .or_else(|| errors.wrong(node.line, format!("`{path}` has a quote that is not closed")))
        }
    }
}

/// The variables of a service: those of its files, and then its own.
fn environment(fields: &mut Fields, reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let path = fields.path("env_file");
    if let Some(node) = fields.take("env_file") {
        let files = match &node.value {
            Raw::List(items) => items.clone(),
            _ => vec![node],
        };
        for node in files {
            env.extend(env_file(&node, &path, reader).unwrap_or_default());
        }
    }
    for (name, value) in fields.pairs("environment", &mut reader.errors) {
        // One without a value has that of a variable, if there is one.
        if let Some(value) = value.or_else(|| reader.vars.get(&name).cloned()) {
            env.insert(name, value);
        }
    }
    env
}

fn env_file(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<BTreeMap<String, String>> {
    let (file, is_required) = match &node.value {
        Raw::Map(_) => {
            let mut fields = node.fields(path, &mut reader.errors)?;
            let file = fields.text("path", &mut reader.errors);
            let is_required = fields.flag("required", &mut reader.errors).unwrap_or(true);
            fields.finish(&["path", "required"], &mut reader.errors);
            (file, is_required)
        }
        _ => (node.text(path, &mut reader.errors), true),
    };
    let Some(file) = file else {
        return reader.errors.wrong(node.line, format!("`{path}` has no `path`"));
    };
    match text_of(&reader.base.join(&file)) {
        Ok(text) => Some(vars::read_file(&file, &text, &reader.vars, &mut reader.errors, node.line)),
        Err(error) if !is_required && error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => reader.errors.wrong(node.line, format!("`{path}`: {file} can not be read: {error}")),
    }
}

fn read_build(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Built> {
    let errors = &mut reader.errors;
    let (folder, build) = match &node.value {
        Raw::Map(_) => {
            let mut fields = node.fields(path, errors)?;
            let folder = fields.text("context", errors).unwrap_or_else(|| ".".to_owned());
            let mut args = BTreeMap::new();
            let line = fields.line_of("args");
            for (name, value) in fields.pairs("args", errors) {
                match value.or_else(|| reader.vars.get(&name).cloned()) {
                    Some(value) => {
                        args.insert(name, value);
                    }
                    None => errors
                        .wrong(
                            line,
                            format!(
                                "`{path}.args` has `{name}` without a value, and no variable is called so"
                            ),
                        )
                        .unwrap_or_default(),
                }
            }
            let labels = fields.labels(errors);
            let build = BuildSpec {
                dockerfile: fields.text("dockerfile", errors),
                target: fields.text("target", errors),
                args: Some(args).filter(|args| !args.is_empty()),
                labels: Some(labels).filter(|labels| !labels.is_empty()),
            };
            fields.finish(&["context", "args", "labels", "dockerfile", "target"], errors);
            (folder, Some(build).filter(|build| *build != BuildSpec::default()))
        }
        _ => (node.text(path, errors)?, None),
    };
    if folder.contains("://") || folder.starts_with("git@") {
        let message = format!("`{path}` is built from {folder}: only folders beside the file are supported");
        return reader.errors.wrong(node.line, message);
    }
    let dockerfile = build.as_ref().and_then(|build| build.dockerfile.as_deref());
    match context(&reader.base.join(&folder), dockerfile) {
        Ok((digest, content)) => Some(Built { source: Source { path: folder, digest }, content, build }),
        Err(why) => reader.errors.wrong(node.line, format!("`{path}`: {why}")),
    }
}

/// What it is connected to; the service whose networks it is in, if that is what it says.
fn network(
    name: &str,
    fields: &mut Fields,
    spec: &mut ContainerSpec,
    is_enabled: bool,
    reader: &mut Reader<'_>,
    parts: &mut Parts,
) -> Option<(String, u32)> {
    let line = fields.line_of("network_mode");
    let path = fields.path("network_mode");
    let mode = fields.text("network_mode", &mut reader.errors);
    let networks = parts.networks_of(name, fields, mode.is_none() && is_enabled, reader);
    let Some(mode) = mode else {
        spec.networks = networks;
        return None;
    };
    if !networks.is_empty() {
        let message = format!("`{path}` can not be given beside `networks`");
        let () = reader.errors.wrong(line, message).unwrap_or_default();
    }
    spec.network_mode = match (mode.as_str(), mode.split_once(':')) {
        ("none", _) => Some(NetworkMode::None),
        ("host", _) => Some(NetworkMode::Host),
        (_, Some(("container", other))) => Some(NetworkMode::Container(other.to_owned())),
        (_, Some(("service", other))) if other == name => reader
            .errors
            .wrong(line, format!("`{path}` is `{mode}`: a service can not be in its own networks")),
        (_, Some(("service", other))) => return Some((other.to_owned(), line)),
        (_, _) => reader.errors.wrong(
            line,
            format!("`{path}` is `{mode}`: expected `none`, `host`, `service:NAME` or `container:NAME`"),
        ),
    };
    None
}

fn capabilities(fields: &mut Fields, errors: &mut Errors) -> Option<CapabilitiesSpec> {
    let mut list = |name| Some(texts(fields, name, errors)).filter(|list| !list.is_empty());
    let capabilities = CapabilitiesSpec { add: list("cap_add"), drop: list("cap_drop") };
    Some(capabilities).filter(|capabilities| *capabilities != CapabilitiesSpec::default())
}

fn depends_on(fields: &mut Fields, errors: &mut Errors) -> Vec<Dependency> {
    let path = fields.path("depends_on");
    let Some(node) = fields.take("depends_on") else { return Vec::new() };
    let plain = |service: String, line| Dependency {
        service,
        line,
        completes: false,
        restart: false,
        is_required: true,
    };
    if let Raw::List(items) = &node.value {
        let each = |item: &Node| Some(plain(item.text(&path, errors)?, item.line));
        return items.iter().filter_map(each).collect();
    }
    let entries = node.entries(&path, errors).unwrap_or_default();
    let each = |entry: &Entry| {
        let path = format!("{path}.{}", entry.name);
        let mut given = entry.node.fields(&path, errors)?;
        let line = given.line_of("condition");
        let completes = match given.text("condition", errors).as_deref() {
            None | Some("service_started" | "service_healthy") => false,
            Some("service_completed_successfully") => true,
            Some(other) => {
                let message = format!(
                    "`{path}.condition` is `{other}`: expected `service_started`, `service_healthy` or `service_completed_successfully`"
                );
                errors.wrong(line, message).unwrap_or(false)
            }
        };
        let dependency = Dependency {
            completes,
            restart: given.flag("restart", errors).unwrap_or(false),
            is_required: given.flag("required", errors).unwrap_or(true),
            ..plain(entry.name.clone(), entry.line)
        };
        given.finish(&["condition", "restart", "required"], errors);
        Some(dependency)
    };
    entries.iter().filter_map(each).collect()
}

/// A folder beside the file, as an absolute path.
pub(super) fn beside(base: &Path, path: &str) -> String {
    let joined = base.join(path);
    let absolute = std::path::absolute(&joined).unwrap_or(joined);
    // `.` and `..` are left out by name, as Compose does it.
    let mut parts: Vec<&std::ffi::OsStr> = Vec::new();
    for component in absolute.components() {
        match component {
            std::path::Component::Normal(part) => parts.push(part),
            std::path::Component::ParentDir => {
                let _above = parts.pop();
            }
            _ => {}
        }
    }
    let path: std::path::PathBuf = std::iter::once(std::ffi::OsStr::new("/")).chain(parts).collect();
    path.to_string_lossy().into_owned()
}
