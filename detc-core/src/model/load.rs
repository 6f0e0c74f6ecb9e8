//! Reads desired state files: JSON, and YAML and TOML where those features are on.
//!
//! ```text
//!   file ──▶ document ──▶ one raw text per resource ──▶ DesiredResource ──merge──▶ Desired ──check──▶ Topology
//! ```
//!
//! JSON is the fast path: the document is cut into resources without being understood, and the resources are read on
//! all cores. Everything that is wrong is an [`InvalidState`] with file, line and resource.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

pub use self::others::StateReader;
use self::others::append;
use super::check::{check_host, hidden};
use super::parallel::in_parts;
use super::words::in_words;
use super::{Desired, DesiredResource, HostName, HostSpec, InvalidState, Invariant, Origin, StrictValue};
use crate::resource::{Registry, Source, nearest};

#[cfg(feature = "yaml")]
mod beyond;
mod convert;
mod numbers;
mod others;
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

/// Longest file that is read, or input: it is held in memory, and a million resources are far less.
const LEN_MAX: u64 = 1 << 30;

/// The version of the file format that this program reads.
const VERSION: u64 = 1;

/// Reads and merges desired state files. The result is not yet checked: see [`Desired::check`]. `-` is what comes by standard
/// input: JSON where it begins with `{`, and YAML otherwise.
///
/// # Errors
/// What is wrong, with file, line and resource: an unreadable file, bad syntax, an unknown field, a resource or host that
/// is given twice.
pub fn load(paths: &[impl AsRef<Path>], registry: &Registry) -> Result<Desired, InvalidState> {
    let mut desired = Desired::new();
    let reader = |path: &Path| registry.readers().find(|reader| reader.reads(path));
    // What others read comes last: how a host is reached is for the desired state to say.
    let (others, own): (Vec<&Path>, Vec<&Path>) =
        paths.iter().map(AsRef::as_ref).partition(|path| reader(path).is_some());
    let own = own.into_iter().map(|path| merge_file(&mut desired, path, registry));
    let mut errors: Vec<InvalidState> = own.filter_map(Result::err).flat_map(InvalidState::each).collect();
    for path in others {
        let read = reader(path).map_or_else(|| Ok(Desired::new()), |reader| reader.read(path));
        match read.and_then(|read| append(&mut desired, read)) {
            Ok(()) => {}
            Err(error) => errors.extend(error.each()),
        }
    }
    match InvalidState::all(errors) {
        None => Ok(desired),
        Some(error) => Err(error),
    }
}

fn merge_file(desired: &mut Desired, path: &Path, registry: &Registry) -> Result<(), InvalidState> {
    let is_input = path == Path::new("-");
    let name = if is_input { "standard input".to_owned() } else { path.display().to_string() };
    let named = if is_input { None } else { Some(Format::of(path)?) };
    let too_long = || {
        let message = format!("is longer than {} MiB: split it into several files", LEN_MAX >> 20);
        Err(InvalidState::new(message).at(&name, 0))
    };
    let read = match std::fs::metadata(path) {
        _ if is_input => match read_within(io::stdin().lock(), LEN_MAX) {
            Ok(None) => return too_long(),
            Ok(Some(bytes)) => Ok(bytes),
            Err(error) => Err(error),
        },
        // A pipe that nobody writes to would be waited for without end.
        Ok(found) if !found.is_file() => {
            return Err(InvalidState::new("can not be read: it is no regular file")
                .at(&name, 0)
                .with_hint("what a pipe brings is read from standard input, with `-f -`"));
        }
        Ok(found) if found.len() > LEN_MAX => return too_long(),
        Ok(_) => std::fs::read(path),
        Err(error) => Err(error),
    };
    let text = read.map_err(|error| InvalidState::new(format!("can not be read: {error}")).at(&name, 0))?;
    let text = String::from_utf8(text).map_err(|_| InvalidState::new("is not UTF-8 text").at(&name, 0))?;
    // Some editors begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let begins_as_json = || text.trim_start().starts_with(['{', '[']);
    let format = named.unwrap_or_else(|| if begins_as_json() { Format::Json } else { Format::Yaml });
    let base = path.parent().unwrap_or(Path::new(""));
    merge(desired, &name, text, format, base, registry)
}

/// All that comes of an input whose length is not known before; `None` where that is more than `len_max` bytes.
fn read_within(input: impl Read, len_max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    input.take(len_max + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= len_max))
}

/// How many resources are read while those before them are put with the others: enough for the cores of most machines, and
/// few enough that the memory they take meanwhile is used again for the next ones. New memory costs as much as reading into it.
const BATCH: usize = 65_536;

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
    let original = text;
    let converted;
    let (text, lines) = match format {
        Format::Json => (text, None),
        Format::Yaml | Format::Toml => {
            converted = convert::to_json(text, format).map_err(|error| error.named(name))?;
            (converted.json.as_str(), Some(converted.lines))
        }
    };
    // What serde derives would take the fields by their places, and nothing in `[1]` would be nothing desired.
    if text.trim_start().starts_with('[') {
        let before = original.len() - original.trim_start().len();
        let line = 1 + original[..before].matches('\n').count() as u32;
        return Err(InvalidState::new("a desired state must be an object, not a list")
            .at(name, line)
            .with_hint("write `{ \"version\": 1, \"resources\": [ … ] }`"));
    }
    let document: Document<'_> = serde_json::from_str(text).map_err(|error| {
        let line = if lines.is_some() { 0 } else { error.line() as u32 };
        outline(original, text, &error, line).named(name)
    })?;
    if document.version != VERSION {
        let message = format!("`version` is {}: this program reads version {VERSION}", document.version);
        return Err(InvalidState::new(message).at(name, line_of(original, "version")));
    }
    let mut errors = Vec::new();
    for (host, spec) in document.hosts.0 {
        let mut wrong =
            |message: InvalidState| errors.push(message.at(name, line_of(original, host.as_str())));
        if let Err(error) = check_host(&host, &spec, registry) {
            wrong(error);
        } else if desired.hosts.insert(host.clone(), spec).is_some() {
            let first =
                desired.host_files.get(&host).and_then(|first| desired.files.get(usize::from(*first)));
            let first = first.map(|first| format!("; first in {first}")).unwrap_or_default();
            wrong(InvalidState::new(format!("host `{host}` is given twice{first}")));
        } else {
            desired.host_files.insert(host, file);
        }
    }
    for invariant in document.invariants {
        let line = invariant.0.get("name").and_then(Value::as_str).map_or(0, |it| line_of(original, it));
        match read_invariant(invariant.0) {
            Err(error) => errors.push(error.at(name, line)),
            Ok(invariant) if desired.invariants.iter().any(|known| known.name == invariant.name) => {
                let message = format!("invariant `{}` is given twice", invariant.name);
                errors.push(InvalidState::new(message).at(name, line));
            }
            Ok(invariant) => {
                desired.invariant_origins.insert(invariant.name.clone(), Origin { file, line });
                desired.invariants.push(invariant);
            }
        }
    }
    let origins = lines.unwrap_or_else(|| line_numbers(text, &document.resources));
    desired.resources.reserve(document.resources.len());
    let read = in_batches(&document.resources, &origins, file, |resources| {
        for mut resource in resources {
            if let Err(error) = read_sources(&mut resource, desired, base, registry) {
                let error = hidden(&resource, registry).hide(error);
                errors.push(error.of(&resource.id).at(name, resource.origin.line));
            }
            let origin = resource.origin;
            let (index, previous) = desired.resources.insert_full(resource.id.clone(), resource);
            if let Some(previous) = previous {
                let first =
                    format!("{}:{}", desired.files[previous.origin.file as usize], previous.origin.line);
                let message = format!("is given twice; first at {first}");
                let id = desired.resources[index].id.clone();
                errors.push(InvalidState::new(message).of(&id).at(name, origin.line));
            }
        }
    });
    if read.is_err() {
        let wrong = |(raw, line): (&&RawValue, &u32)| {
            resource::read(raw.get(), Origin { file, line: *line }, &mut resource::Scratch::default()).err()
        };
        errors.extend(document.resources.iter().zip(&origins).filter_map(wrong).map(|it| it.named(name)));
    }
    InvalidState::all(errors).map_or(Ok(()), Err)
}

/// What is wrong with a document as a whole. `json` is what was made of the `original` text, and may be the same.
fn outline(original: &str, json: &str, error: &serde_json::Error, line: u32) -> InvalidState {
    if original.trim().is_empty() {
        return InvalidState::new("is empty")
            .at("", 0)
            .with_hint("begin with the field `version`, which is 1");
    }
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let again = serde_path_to_error::deserialize::<_, Document<'_>>(&mut deserializer).err();
    let path = again.map(|error| error.path().to_string()).filter(|path| path != ".").unwrap_or_default();
    let message = error.to_string();
    let unknown = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    let said = match (unknown, error.is_data()) {
        (None, true) if !path.is_empty() && !message.starts_with("host `") => {
            in_words(&format!("`{path}`: {message}"))
        }
        (None, true) if message.starts_with("invalid") => in_words(&format!("a desired state: {message}")),
        _ => in_words(&message),
    };
    let line = if line == 0 { line_of(original, unknown.unwrap_or(&path)) } else { line };
    let said = InvalidState::new(said).at("", line);
    if message.starts_with("missing field `version`") {
        return said.with_hint("add the field `version`, which is 1");
    }
    said
}

/// The line on which a name stands as that of a field or a table, or as a text by itself; 0 when it is not found.
fn line_of(text: &str, name: &str) -> u32 {
    let is_named = |line: &str| {
        line.match_indices(name).any(|(at, _)| {
            let before = line[..at].trim_end_matches(['"', '\'']).chars().next_back();
            let after = line[at + name.len()..].trim_start_matches(['"', '\'']).trim_start().chars().next();
            !name.is_empty()
                && matches!(before, None | Some(' ' | '{' | '[' | ',' | '.' | ':' | '\t'))
                && matches!(after, None | Some(':' | '=' | ']' | ',' | '}'))
        })
    };
    text.lines().position(is_named).map_or(0, |at| at as u32 + 1)
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
            return Err(serde::de::Error::custom("must be an object of hosts by their names"));
        };
        object
            .into_iter()
            .map(|(name, spec)| {
                let near = spec.as_object().filter(|spec| !spec.contains_key("connect")).and_then(|spec| {
                    let near = spec.keys().find(|key| nearest(key, ["connect"]).is_some())?;
                    Some(format!(": did you mean it by `{near}`?"))
                });
                let spec = serde_json::from_value(spec).map_err(|error| {
                    let near = near.unwrap_or_default();
                    let said = in_words(&format!("host `{name}`: {error}"));
                    serde::de::Error::custom(format!("{said}{near}"))
                })?;
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
        return Err(error(match nearest(unknown, FIELDS) {
            Some(near) => format!("unknown field `{unknown}`: did you mean `{near}`?"),
            None => format!("unknown field `{unknown}`: expected {}", FIELDS.join(", ")),
        }));
    }
    for [a, b] in [["available", "total"], ["at_least", "at_most"]] {
        match (object.contains_key(a), object.contains_key(b)) {
            (true, true) => {
                return Err(error(format!("has `{a}` and `{b}`: expected one of them")));
            }
            (false, false) => return Err(error(format!("expected one of `{a}` and `{b}`"))),
            (true, false) | (false, true) => {}
        }
    }
    // The same of what it measures: a list is no selector.
    let measure = value.get("available").or_else(|| value.get("total"));
    let measured = if object.contains_key("available") { "available" } else { "total" };
    let of = (measured == "total").then(|| measure.and_then(|total| total.get("of"))).flatten();
    for (field, part) in [(measured, measure), ("total.of", of)] {
        if part.is_some_and(Value::is_array) {
            return Err(error(format!("`{field}` must be an object, not a list")));
        }
    }
    match value.get("name") {
        None => Err(error("`name` is missing".to_owned())),
        Some(Value::String(_)) => {
            serde_json::from_value(value).map_err(|cause| error(in_words(&cause.to_string())))
        }
        Some(other) => Err(error(format!("`name` must be text, not {other}: write it with quotes"))),
    }
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

/// Reads the resources, and gives them to `take` in their order, one batch after the other, while the next one is read.
fn in_batches(
    raw: &[&RawValue],
    lines: &[u32],
    file: u16,
    mut take: impl FnMut(Vec<DesiredResource>),
) -> Result<(), InvalidState> {
    let mut batches = raw.chunks(BATCH).zip(lines.chunks(BATCH));
    let mut read = batches.next().map(|(raw, lines)| read_all(raw, lines, file));
    while let Some(parts) = read.take() {
        let parts = parts?;
        std::thread::scope(|scope| {
            let next = batches.next().map(|(raw, lines)| scope.spawn(move || read_all(raw, lines, file)));
            parts.into_iter().for_each(&mut take);
            let join = |next: std::thread::ScopedJoinHandle<'_, _>| {
                next.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            read = next.map(join);
        });
    }
    Ok(())
}

/// Reads the resources, on several threads where there are many.
fn read_all(raw: &[&RawValue], lines: &[u32], file: u16) -> Result<Vec<Vec<DesiredResource>>, InvalidState> {
    let read = |range: std::ops::Range<usize>| {
        let (mut resources, mut scratch) = (Vec::with_capacity(range.len()), resource::Scratch::default());
        for at in range {
            let origin = Origin { file, line: lines[at] };
            resources.push(resource::read(raw[at].get(), origin, &mut scratch)?);
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
        let named = match &*part {
            Value::String(named) => named,
            Value::Object(_) | Value::Null => continue,
            Value::Array(_) | Value::Bool(_) | Value::Number(_) => {
                return Err(InvalidState::new(format!("`{path}` must be the name of a file, as text")));
            }
        };
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
        self.others = self.others.into_iter().map(|other| other.named(file)).collect();
        self
    }
}

#[cfg(test)]
mod tests;
