//! Reads desired state files: JSON, and YAML and TOML where those features are on.
//!
//! ```text
//!   file ──▶ document ──▶ one raw text per resource ──▶ DesiredResource ──merge──▶ Desired ──check──▶ Topology
//! ```
//!
//! JSON is the fast path: the document is cut into resources without being understood, and the resources are read on
//! all cores. Everything that is wrong is an [`InvalidState`] with file, line and resource.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::check::check_host;
use super::parallel::in_parts;
use super::{Desired, DesiredResource, HostName, HostSpec, InvalidState, Invariant, Origin, StrictValue};
use crate::resource::{Registry, Source};

mod convert;
mod resource;

/// How a desired state file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// TOML.
    Toml,
}

impl Format {
    /// The format that a file's name tells.
    ///
    /// # Errors
    /// When it ends in none of `.json`, `.yaml`, `.yml` and `.toml`.
    pub fn of(path: &Path) -> Result<Self, InvalidState> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => Ok(Self::Json),
            Some("yaml" | "yml") => Ok(Self::Yaml),
            Some("toml") => Ok(Self::Toml),
            _ => {
                Err(InvalidState::new("the name of a desired state file ends in .json, .yaml, .yml or .toml")
                    .at(&path.display().to_string(), 0))
            }
        }
    }
}

/// The version of the file format that this program reads.
const VERSION: u64 = 1;

/// Reads and merges desired state files. The result is not yet checked: see [`Desired::check`].
///
/// # Errors
/// What is wrong, with file, line and resource: an unreadable file, bad syntax, an unknown field, a resource or host that
/// is given twice.
pub fn load(paths: &[impl AsRef<Path>], registry: &Registry) -> Result<Desired, InvalidState> {
    let mut desired = Desired::new();
    for path in paths {
        let path = path.as_ref();
        let name = path.display().to_string();
        let format = Format::of(path)?;
        let text = std::fs::read(path)
            .map_err(|error| InvalidState::new(format!("can not be read: {error}")).at(&name, 0))?;
        let text =
            String::from_utf8(text).map_err(|_| InvalidState::new("is not UTF-8 text").at(&name, 0))?;
        // Some editors begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let base = path.parent().unwrap_or(Path::new(""));
        merge(&mut desired, &name, text, format, base, registry)?;
    }
    Ok(desired)
}

/// Reads one text into `desired`. Files that specs name are looked up from `base`.
///
/// # Errors
/// See [`load`].
pub fn merge(
    desired: &mut Desired,
    name: &str,
    text: &str,
    format: Format,
    base: &Path,
    registry: &Registry,
) -> Result<(), InvalidState> {
    let file = u16::try_from(desired.files.len())
        .map_err(|_| InvalidState::new("more than 65,535 desired state files are given"))?;
    desired.files.push(name.to_owned());
    let converted;
    let (text, lines) = match format {
        Format::Json => (text, None),
        Format::Yaml | Format::Toml => {
            converted = convert::to_json(text, format).map_err(|error| error.named(name))?;
            (converted.json.as_str(), Some(converted.lines))
        }
    };
    let document: Document<'_> = serde_json::from_str(text).map_err(|error| {
        let line = if lines.is_some() { 0 } else { error.line() as u32 };
        InvalidState::new(resource::without_position(&error)).at(name, line)
    })?;
    if document.version != VERSION {
        let message = format!("`version` is {}: this program reads version {VERSION}", document.version);
        return Err(InvalidState::new(message).at(name, 0));
    }
    for (host, spec) in document.hosts.0 {
        check_host(&host, &spec, registry).map_err(|error| error.at(name, 0))?;
        if desired.hosts.insert(host.clone(), spec).is_some() {
            return Err(InvalidState::new(format!("host `{host}` is given twice")).at(name, 0));
        }
    }
    for invariant in document.invariants {
        let invariant = read_invariant(invariant.0).map_err(|error| error.at(name, 0))?;
        if desired.invariants.iter().any(|known| known.name == invariant.name) {
            return Err(
                InvalidState::new(format!("invariant `{}` is given twice", invariant.name)).at(name, 0)
            );
        }
        desired.invariants.push(invariant);
    }
    let origins = lines.unwrap_or_else(|| line_numbers(text, &document.resources));
    let read = read_all(&document.resources, &origins, file).map_err(|error| error.named(name))?;
    desired.resources.reserve(document.resources.len());
    for mut resource in read.into_iter().flatten() {
        read_sources(&mut resource, desired, base, registry)
            .map_err(|error| error.of(&resource.id).at(name, resource.origin.line))?;
        let origin = resource.origin;
        let (index, previous) = desired.resources.insert_full(resource.id.clone(), resource);
        if let Some(previous) = previous {
            let first = format!("{}:{}", desired.files[previous.origin.file as usize], previous.origin.line);
            let message = format!("is given twice; first at {first}");
            let id = desired.resources[index].id.clone();
            return Err(InvalidState::new(message).of(&id).at(name, origin.line));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'a> {
    version: u64,
    #[serde(default)]
    hosts: Hosts,
    #[serde(borrow, default)]
    resources: Vec<&'a RawValue>,
    #[serde(default)]
    invariants: Vec<StrictValue>,
}

/// Hosts, with an error for one that is given twice.
#[derive(Default)]
struct Hosts(BTreeMap<HostName, HostSpec>);

impl<'de> Deserialize<'de> for Hosts {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = StrictValue::deserialize(deserializer)?.0;
        let Value::Object(object) = value else {
            return Err(serde::de::Error::custom("`hosts` is an object of hosts by their names"));
        };
        object
            .into_iter()
            .map(|(name, spec)| {
                let spec = serde_json::from_value(spec)
                    .map_err(|error| serde::de::Error::custom(format!("host `{name}`: {error}")))?;
                Ok((HostName::new(&name), spec))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// Reads an invariant strictly: serde's flattening would let unknown fields pass.
fn read_invariant(value: Value) -> Result<Invariant, InvalidState> {
    const FIELDS: [&str; 5] = ["name", "available", "total", "at_least", "at_most"];
    let name = value.get("name").and_then(Value::as_str).unwrap_or("without a name").to_owned();
    let error = |message: String| InvalidState::new(format!("invariant `{name}`: {message}"));
    let object = value.as_object().ok_or_else(|| error("is not an object".to_owned()))?;
    if let Some(unknown) = object.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(error(format!("unknown field `{unknown}`: expected {}", FIELDS.join(", "))));
    }
    let one_of = |a: &str, b: &str| object.contains_key(a) != object.contains_key(b);
    if !one_of("available", "total") {
        return Err(error("expected one of `available` and `total`".to_owned()));
    }
    if !one_of("at_least", "at_most") {
        return Err(error("expected one of `at_least` and `at_most`".to_owned()));
    }
    serde_json::from_value(value).map_err(|cause| error(cause.to_string()))
}

/// The line that each resource begins at.
fn line_numbers(text: &str, resources: &[&RawValue]) -> Vec<u32> {
    let start = text.as_ptr() as usize;
    let (mut line, mut at) = (1_u32, 0_usize);
    resources
        .iter()
        .map(|raw| {
            let offset = raw.get().as_ptr() as usize - start;
            line += text.as_bytes()[at..offset].iter().filter(|byte| **byte == b'\n').count() as u32;
            at = offset;
            line
        })
        .collect()
}

/// Reads the resources, on several threads where there are many.
fn read_all(raw: &[&RawValue], lines: &[u32], file: u16) -> Result<Vec<Vec<DesiredResource>>, InvalidState> {
    let read = |range: std::ops::Range<usize>| {
        let mut resources = Vec::with_capacity(range.len());
        for at in range {
            resources.push(resource::read(raw[at].get(), Origin { file, line: lines[at] })?);
        }
        Ok(resources)
    };
    in_parts(raw.len(), read).into_iter().collect()
}

/// Reads the files that a spec names, and puts their digests into the spec.
fn read_sources(
    resource: &mut DesiredResource,
    desired: &mut Desired,
    base: &Path,
    registry: &Registry,
) -> Result<(), InvalidState> {
    let Some(kind) = registry.kind(resource.id.kind()) else { return Ok(()) };
    let sources = kind.facts().traits.sources;
    if sources.is_empty() {
        return Ok(());
    }
    let mut fields = resource.spec.value();
    let mut found = false;
    for path in sources {
        let path: super::FieldPath = path.parse().expect("invariant: a kind names its sources by paths");
        let Some(part) = path.get_mut(&mut fields) else { continue };
        let Value::String(named) = &*part else { continue };
        let (source, content) = Source::read(base, named).map_err(|error| {
            InvalidState::new(format!("`{path}`: {} can not be read: {error}", base.join(named).display()))
        })?;
        desired.blobs.insert(source.digest, content);
        *part = serde_json::to_value(&source).expect("invariant: a source is JSON");
        found = true;
    }
    if found {
        resource.spec = super::Doc::new(&fields);
    }
    Ok(())
}

impl InvalidState {
    /// Names the file of an error that knows only its line.
    fn named(mut self, file: &str) -> Self {
        let line = self.place.map_or(0, |(_, line)| line);
        self.place = Some((file.to_owned(), line));
        self
    }
}

#[cfg(test)]
mod tests;
