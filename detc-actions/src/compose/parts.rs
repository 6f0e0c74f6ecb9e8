//! What services share: networks, volumes and secrets.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Reader;
use super::node::{Entry, Errors, Fields, Node, Raw};
use super::service::beside;
use super::units::{bytes, text_of};
use crate::resources::container::{AttachmentSpec, MemoryMountSpec, MountSpec};
use crate::resources::network::SubnetSpec;
use crate::resources::{NetworkSpec, VolumeSpec};

/// The networks, volumes and secrets of a file.
#[derive(Default)]
pub(super) struct Parts {
    networks: BTreeMap<String, Part<NetworkSpec>>,
    volumes: BTreeMap<String, Part<VolumeSpec>>,
    /// What secrets are, by their names; `None`: it is told why that is not known.
    secrets: BTreeMap<String, Option<String>>,
}

/// A network, or a volume.
struct Part<S> {
    line: u32,
    /// What it is called on the engine.
    name: String,
    /// How it is made; `None`: somebody else does.
    spec: Option<S>,
    /// Whether a service that is there is in it.
    is_used: bool,
}

impl Parts {
    pub(super) fn read(reader: &mut Reader<'_>, top: &mut Fields) -> Self {
        let mut parts = Self::default();
        for entry in entries(top, "networks", &mut reader.errors) {
            if let Some(network) = network(&entry, reader) {
                parts.networks.insert(entry.name, network);
            }
        }
        for entry in entries(top, "volumes", &mut reader.errors) {
            if let Some(volume) = volume(&entry, reader) {
                parts.volumes.insert(entry.name, volume);
            }
        }
        for entry in entries(top, "secrets", &mut reader.errors) {
            let secret = secret(&entry, reader);
            parts.secrets.insert(entry.name, secret);
        }
        let line = top.line;
        parts.networks.entry("default".to_owned()).or_insert_with(|| {
            let name = format!("{}_default", reader.project);
            Part { line, spec: Some(NetworkSpec::new(&name)), name, is_used: false }
        });
        parts
    }

    /// The networks that are made here, by what they are called on the engine.
    pub(super) fn networks(&self) -> BTreeMap<&str, &NetworkSpec> {
        self.networks.values().filter_map(|it| Some((it.name.as_str(), it.spec.as_ref()?))).collect()
    }

    /// Adds the networks that are used, and all volumes.
    pub(super) fn put(self, reader: &mut Reader<'_>) {
        for network in self.networks.values().filter(|network| network.is_used) {
            if let Some(spec) = &network.spec {
                reader.put(network.line, &network.name, spec);
            }
        }
        for volume in self.volumes.values() {
            if let Some(spec) = &volume.spec {
                reader.put(volume.line, &volume.name, spec);
            }
        }
    }

    /// The networks of the service `name`; where none is given, the one that all have if `has_default`.
    pub(super) fn networks_of(
        &mut self,
        name: &str,
        fields: &mut Fields,
        has_default: bool,
        reader: &mut Reader<'_>,
    ) -> BTreeMap<String, AttachmentSpec> {
        let errors = &mut reader.errors;
        let path = fields.path("networks");
        let mut given = Vec::new();
        match fields.take("networks") {
            None if has_default => given.push(("default".to_owned(), fields.line, AttachmentSpec::default())),
            None => {}
            Some(node) => match &node.value {
                Raw::Map(entries) => {
                    for entry in entries {
                        let attachment = attachment(entry, &path, errors).unwrap_or_default();
                        given.push((entry.name.clone(), entry.line, attachment));
                    }
                }
                _ => {
                    for item in node.list(&path, errors).unwrap_or_default() {
                        let Some(network) = item.text(&path, errors) else { continue };
                        given.push((network, item.line, AttachmentSpec::default()));
                    }
                }
            },
        }
        let mut networks = BTreeMap::new();
        for (network, line, mut attachment) in given {
            let Some(part) = self.networks.get_mut(&network) else {
                let message = format!("`{path}` has `{network}`, which `networks` at the top has not");
                let () = errors.wrong(line, message).unwrap_or_default();
                continue;
            };
            part.is_used = true;
            let mut aliases = vec![name.to_owned()];
            aliases.extend(attachment.aliases.take().into_iter().flatten().filter(|alias| alias != name));
            attachment.aliases = Some(aliases);
            networks.insert(part.name.clone(), attachment);
        }
        networks
    }

    /// What is mounted in a service.
    pub(super) fn mounts_of(
        &mut self,
        fields: &mut Fields,
        reader: &mut Reader<'_>,
    ) -> BTreeMap<String, MountSpec> {
        let mut mounts = BTreeMap::new();
        let path = fields.path("volumes");
        let node = fields.take("volumes");
        let items = node.as_ref().and_then(|node| node.list(&path, &mut reader.errors)).unwrap_or_default();
        for item in items {
            let mount = match &item.value {
                Raw::Map(_) => self.long_mount(item, &path, reader),
                _ => self.short_mount(item, &path, reader),
            };
            if let Some((at, mount)) = mount
                && mounts.insert(at.clone(), mount).is_some()
            {
                let () = reader
                    .errors
                    .wrong(item.line, format!("`{path}` mounts two at `{at}`"))
                    .unwrap_or_default();
            }
        }
        let path = fields.path("tmpfs");
        if let Some(node) = fields.take("tmpfs") {
            for text in node.texts(&path, &mut reader.errors).unwrap_or_default() {
                if let Some((at, memory)) = memory(&text, node.line, &path, &mut reader.errors) {
                    mounts.insert(at, MountSpec { memory: Some(memory), ..MountSpec::default() });
                }
            }
        }
        mounts
    }

    /// `[SOURCE:]PATH[:ro]`.
    fn short_mount(
        &mut self,
        item: &Node,
        path: &str,
        reader: &mut Reader<'_>,
    ) -> Option<(String, MountSpec)> {
        let text = item.text(path, &mut reader.errors)?;
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, mode) = match parts[..] {
            [target] => return Some((target.to_owned(), MountSpec::default())),
            [source, target] => (source, target, None),
            [source, target, mode] => (source, target, Some(mode)),
            _ => {
                let message =
                    format!("`{path}`: `{text}` can not be read: expected `SOURCE:PATH` or `SOURCE:PATH:ro`");
                return reader.errors.wrong(item.line, message);
            }
        };
        let read_only = match mode {
            None | Some("rw") => None,
            Some("ro") => Some(true),
            Some(other) => {
                let message =
                    format!("`{path}`: `{text}` has the option `{other}`: only `ro` and `rw` are supported");
                return reader.errors.wrong(item.line, message);
            }
        };
        let mut mount = MountSpec { read_only, ..MountSpec::default() };
        if source.starts_with(['/', '.', '~']) {
            mount.bind = Some(bound(source, item.line, path, reader)?);
        } else {
            mount.volume = Some(self.volume_called(source, item.line, path, &mut reader.errors)?);
        }
        Some((target.to_owned(), mount))
    }

    fn long_mount(
        &mut self,
        item: &Node,
        path: &str,
        reader: &mut Reader<'_>,
    ) -> Option<(String, MountSpec)> {
        let mut fields = item.fields(path, &mut reader.errors)?;
        let kind = fields.text("type", &mut reader.errors);
        let source = fields.text("source", &mut reader.errors);
        let target = fields.text("target", &mut reader.errors);
        let read_only = fields.flag("read_only", &mut reader.errors);
        let memory_path = fields.path("tmpfs");
        let memory = fields.take("tmpfs");
        fields.finish(&["type", "source", "target", "read_only", "tmpfs"], &mut reader.errors);
        let Some(target) = target else {
            return reader.errors.wrong(item.line, format!("`{path}` has no `target`"));
        };
        let mut mount = MountSpec { read_only, ..MountSpec::default() };
        match (kind.as_deref(), source) {
            (Some("volume"), None) => {}
            (Some("volume"), Some(source)) => {
                mount.volume = Some(self.volume_called(&source, item.line, path, &mut reader.errors)?);
            }
            (Some("bind"), Some(source)) => mount.bind = Some(bound(&source, item.line, path, reader)?),
            (Some("tmpfs"), None) => {
                let errors = &mut reader.errors;
                let mut options = MemoryMountSpec::default();
                if let Some(mut given) = memory.and_then(|node| node.fields(&memory_path, errors)) {
                    options.size_mib =
                        given.text("size", errors).and_then(|size| mib(&size, item.line, path, errors));
                    options.mode = given.text("mode", errors);
                    given.finish(&["size", "mode"], errors);
                }
                mount.memory = Some(options);
            }
            (kind, source) => {
                let kind = kind.map_or("no type".to_owned(), |kind| format!("the type `{kind}`"));
                let source = if source.is_some() { "a" } else { "no" };
                let message = format!(
                    "`{path}` has {kind} and {source} source: expected `volume`, `bind` with a source, or `tmpfs` without"
                );
                return reader.errors.wrong(item.line, message);
            }
        }
        Some((target, mount))
    }

    fn volume_called(&self, name: &str, line: u32, path: &str, errors: &mut Errors) -> Option<String> {
        match self.volumes.get(name) {
            Some(volume) => Some(volume.name.clone()),
            None => errors.hint(
                line,
                format!("`{path}` has `{name}`, which `volumes` at the top has not"),
                "a folder is written with `./`",
            ),
        }
    }

    /// The secrets of a service, by the names of their files.
    pub(super) fn secrets_of(
        &self,
        fields: &mut Fields,
        reader: &mut Reader<'_>,
    ) -> BTreeMap<String, String> {
        let errors = &mut reader.errors;
        let path = fields.path("secrets");
        let mut secrets = BTreeMap::new();
        let node = fields.take("secrets");
        for item in node.as_ref().and_then(|node| node.list(&path, errors)).unwrap_or_default() {
            let named = match &item.value {
                Raw::Map(_) => item.fields(&path, errors).and_then(|mut given| {
                    let (source, target) = (given.text("source", errors), given.text("target", errors));
                    given.finish(&["source", "target"], errors);
                    let source = source?;
                    Some((target.unwrap_or_else(|| source.clone()), source))
                }),
                _ => item.text(&path, errors).map(|name| (name.clone(), name)),
            };
            let Some((target, source)) = named else { continue };
            match self.secrets.get(&source) {
                Some(value) => {
                    secrets.extend(value.clone().map(|value| (target, value)));
                }
                None => {
                    let message = format!("`{path}` has `{source}`, which `secrets` at the top has not");
                    let () = errors.wrong(item.line, message).unwrap_or_default();
                }
            }
        }
        secrets
    }
}

fn entries(top: &mut Fields, name: &str, errors: &mut Errors) -> Vec<Entry> {
    let node = top.take(name);
    node.as_ref().and_then(|node| node.entries(name, errors)).unwrap_or_default().to_vec()
}

/// Whether somebody else makes it, and what it is called.
fn named(entry: &Entry, fields: &mut Fields, reader: &mut Reader<'_>) -> (bool, String) {
    let is_external = fields.flag("external", &mut reader.errors).unwrap_or(false);
    let name = fields.text("name", &mut reader.errors).unwrap_or_else(|| match is_external {
        true => entry.name.clone(),
        false => format!("{}_{}", reader.project, entry.name),
    });
    (is_external, name)
}

fn options(fields: &mut Fields, errors: &mut Errors) -> BTreeMap<String, String> {
    let pairs = fields.pairs("driver_opts", errors);
    pairs.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect()
}

fn network(entry: &Entry, reader: &mut Reader<'_>) -> Option<Part<NetworkSpec>> {
    let mut fields = entry.node.fields(&format!("networks.{}", entry.name), &mut reader.errors)?;
    let (is_external, name) = named(entry, &mut fields, reader);
    let errors = &mut reader.errors;
    let mut spec = NetworkSpec::new(&name);
    spec.driver = fields.text("driver", errors);
    spec.options = options(&mut fields, errors);
    spec.internal = fields.flag("internal", errors);
    spec.ipv6 = fields.flag("enable_ipv6", errors);
    spec.engine_labels = fields.labels(errors);
    let path = fields.path("ipam");
    if let Some(mut ipam) = fields.take("ipam").and_then(|node| node.fields(&path, errors)) {
        let line = ipam.line_of("driver");
        if let Some(driver) = ipam.text("driver", errors).filter(|driver| driver != "default") {
            let () = errors
                .wrong(line, format!("`{path}.driver` is `{driver}`: only `default` is supported"))
                .unwrap_or_default();
        }
        let path = ipam.path("config");
        let config = ipam.take("config");
        for item in config.as_ref().and_then(|config| config.list(&path, errors)).unwrap_or_default() {
            spec.subnets.extend(subnet(item, &path, errors));
        }
        ipam.finish(&["driver", "config"], errors);
    }
    let supported =
        ["external", "name", "driver", "driver_opts", "internal", "enable_ipv6", "labels", "ipam"];
    fields.finish(&supported, errors);
    Some(Part { line: entry.line, spec: (!is_external).then_some(spec), name, is_used: false })
}

fn subnet(item: &Node, path: &str, errors: &mut Errors) -> Option<SubnetSpec> {
    let mut fields = item.fields(path, errors)?;
    let subnet = fields.text("subnet", errors);
    let range = fields.text("ip_range", errors);
    let line = fields.line_of("gateway");
    let gateway = fields.text("gateway", errors);
    fields.finish(&["subnet", "ip_range", "gateway"], errors);
    let gateway = gateway.and_then(|gateway| address(&gateway, line, path, errors));
    match subnet {
        Some(subnet) => Some(SubnetSpec { subnet, range, gateway }),
        None => errors.wrong(item.line, format!("`{path}` has no `subnet`")),
    }
}

fn volume(entry: &Entry, reader: &mut Reader<'_>) -> Option<Part<VolumeSpec>> {
    let mut fields = entry.node.fields(&format!("volumes.{}", entry.name), &mut reader.errors)?;
    let (is_external, name) = named(entry, &mut fields, reader);
    let errors = &mut reader.errors;
    let mut spec = VolumeSpec::new(&name);
    spec.driver = fields.text("driver", errors);
    spec.options = options(&mut fields, errors);
    spec.engine_labels = fields.labels(errors);
    fields.finish(&["external", "name", "driver", "driver_opts", "labels"], errors);
    Some(Part { line: entry.line, spec: (!is_external).then_some(spec), name, is_used: false })
}

fn secret(entry: &Entry, reader: &mut Reader<'_>) -> Option<String> {
    let path = format!("secrets.{}", entry.name);
    let mut fields = entry.node.fields(&path, &mut reader.errors)?;
    let (file, variable) =
        (fields.text("file", &mut reader.errors), fields.text("environment", &mut reader.errors));
    fields.finish(&["file", "environment"], &mut reader.errors);
    match (file, variable) {
        (Some(file), None) => {
            let read = text_of(&reader.base.join(&file));
            let why = |error| format!("`{path}`: {file} can not be read as text: {error}");
            read.map_err(why).map_or_else(|why| reader.errors.wrong(entry.line, why), Some)
        }
        (None, Some(variable)) => {
            let value = reader.vars.get(&variable).cloned();
            value.or_else(|| {
                reader.errors.wrong(entry.line, format!("`{path}`: the variable `{variable}` is not set"))
            })
        }
        (_, _) => {
            reader.errors.wrong(entry.line, format!("`{path}` must have one of `file` and `environment`"))
        }
    }
}

fn attachment(entry: &Entry, path: &str, errors: &mut Errors) -> Option<AttachmentSpec> {
    let path = format!("{path}.{}", entry.name);
    let mut fields = entry.node.fields(&path, errors)?;
    let aliases = fields.take("aliases").and_then(|node| node.texts(&format!("{path}.aliases"), errors));
    let mut addresses: Vec<IpAddr> = Vec::new();
    for name in ["ipv4_address", "ipv6_address"] {
        let line = fields.line_of(name);
        let given = fields.text(name, errors);
        addresses.extend(given.and_then(|given| address(&given, line, &path, errors)));
    }
    fields.finish(&["aliases", "ipv4_address", "ipv6_address"], errors);
    Some(AttachmentSpec { aliases, addresses: Some(addresses).filter(|addresses| !addresses.is_empty()) })
}

fn address(text: &str, line: u32, path: &str, errors: &mut Errors) -> Option<IpAddr> {
    let read = text.parse().ok();
    read.or_else(|| errors.wrong(line, format!("`{path}` has the address `{text}`: expected one by numbers")))
}

/// A folder or file of the machine.
fn bound(source: &str, line: u32, path: &str, reader: &mut Reader<'_>) -> Option<String> {
    let Some(rest) = source.strip_prefix('~') else { return Some(beside(reader.base, source)) };
    match reader.vars.get("HOME") {
        Some(home) if rest.is_empty() || rest.starts_with('/') => Some(format!("{home}{rest}")),
        _ => {
            let message = format!("`{path}` has `{source}`, and no variable `HOME` says where that is");
            reader.errors.hint(line, message, "write the whole path")
        }
    }
}

/// `PATH[:size=64m,mode=1777]`.
fn memory(text: &str, line: u32, path: &str, errors: &mut Errors) -> Option<(String, MemoryMountSpec)> {
    let (at, options) = text.split_once(':').unwrap_or((text, ""));
    let mut memory = MemoryMountSpec::default();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("size", size)) => memory.size_mib = Some(mib(size, line, path, errors)?),
            Some(("mode", mode)) => memory.mode = Some(mode.to_owned()),
            _ => {
                let message =
                    format!("`{path}`: the option `{option}` is not supported: expected `size` and `mode`");
                return errors.wrong(line, message);
            }
        }
    }
    Some((at.to_owned(), memory))
}

fn mib(size: &str, line: u32, path: &str, errors: &mut Errors) -> Option<u64> {
    let whole = bytes(size).filter(|size| size % (1 << 20) == 0 && *size > 0).map(|size| size >> 20);
    whole.or_else(|| {
        errors.wrong(line, format!("`{path}` has the size `{size}`: expected whole MiB, as in `64m`"))
    })
}
