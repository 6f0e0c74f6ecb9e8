//! What should be: hosts, resources with their relations, and invariants to keep.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Digest, Doc, FieldPath, Hasher, HostName, InvalidId, Map, Reference, ResourceId, collect_references,
};
use crate::content::Content;

/// The desired state of a cluster: a value, made in code as here, or read from files by [`load`](super::load).
///
/// ```
/// use detc_core::resource::value::ValueSpec;
/// use detc_core::{Desired, Registry};
///
/// let size = ValueSpec::resource("size", &2.into())?;
/// let web = ValueSpec::resource("web", &"nginx".into())?.after(&size.id).label("app", "web");
/// let desired = Desired::new().with(web).with(size);
/// desired.check(&Registry::new())?;
/// assert_eq!(desired.resources.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// The hosts that resources live on, by name.
    pub hosts: BTreeMap<HostName, HostSpec>,
    /// The resources, by id, in the order in which they were added.
    pub resources: Map<ResourceId, DesiredResource>,
    /// What must hold at every moment of every change.
    pub invariants: Vec<Invariant>,
    /// Contents of files that specs name, by their digest.
    pub blobs: BTreeMap<Digest, Content>,
    /// The names of the files that it was read from.
    pub files: Vec<String>,
    /// Which of these files each host was read from, by its index.
    pub host_files: BTreeMap<HostName, u16>,
    /// Where each invariant was read, by its name.
    pub invariant_origins: BTreeMap<String, Origin>,
}

/// How to reach a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostSpec {
    /// `local`, or a URL whose scheme names a connector (`ssh://user@address:port`).
    pub connect: String,
    /// Beneath which absolute paths alone files of it are written, owned and removed, and through no symbolic link beneath them; without
    /// any, wherever resources say. See [`RootedHost`](crate::backend::RootedHost).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<String>,
    /// What else the connector needs.
    #[serde(flatten)]
    pub options: BTreeMap<String, Value>,
}

impl HostSpec {
    /// The machine that the manager runs on.
    pub fn local() -> Self {
        Self { connect: "local".to_owned(), roots: Vec::new(), options: BTreeMap::new() }
    }

    /// The part of `connect` that names the connector.
    pub fn scheme(&self) -> &str {
        self.connect.split_once("://").map_or(self.connect.as_str(), |(scheme, _)| scheme)
    }
}

/// One resource as it should be.
#[derive(Clone, Debug)]
pub struct DesiredResource {
    /// Its identity.
    pub id: ResourceId,
    /// The host it lives on, for kinds that live on one.
    pub host: Option<HostName>,
    /// The fields of its kind, references unresolved.
    pub spec: Doc,
    /// The outputs of others that its spec needs.
    pub references: Box<[Reference]>,
    /// Where it was read.
    pub origin: Origin,
    after: Arc<[ResourceId]>,
    extra: Option<Box<Extra>>,
    /// The digest of `after` and `extra`, taken while their texts were at hand: reading them again, a million times,
    /// costs more than keeping it. `None` while they are being changed.
    relations: Option<Digest>,
}

/// A place in a desired state file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Which file: an index into [`Desired::files`].
    pub file: u16,
    /// The line, from 1; 0: it was read from no file.
    pub line: u32,
}

/// The less common properties of a resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Extra {
    /// Words to select it by.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Restart it when one of these changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restart_on: Vec<ResourceId>,
    /// Refuse plans that would destroy it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub protect: bool,
    /// Fields (of spec or output) that are never shown or stored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sensitive: Vec<FieldPath>,
    /// Who decides a field's value, where it is not the desired state.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ownership: BTreeMap<FieldPath, FieldOwner>,
    /// The id under which it was recorded before it was renamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<ResourceId>,
}

/// Who decides the value of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldOwner {
    /// The desired state does, always: any difference is drift.
    Own,
    /// The desired state does at creation; afterwards it is left as it is.
    Seed,
    /// The named writer does, after creation. Its changes are not drift.
    Yield(String),
    /// Somebody else does, from the beginning; the field is reported and never changed. What is not there is made with it.
    Observe,
}

/// What every resource may have in a file beside the fields of its kind.
pub(crate) const PROPERTIES: [&str; 10] = [
    "kind",
    "name",
    "host",
    "after",
    "labels",
    "restart_on",
    "protect",
    "sensitive",
    "ownership",
    "renamed_from",
];

static NO_EXTRA: Extra = Extra {
    labels: BTreeMap::new(),
    restart_on: Vec::new(),
    protect: false,
    sensitive: Vec::new(),
    ownership: BTreeMap::new(),
    renamed_from: None,
};

impl DesiredResource {
    /// The resource `kind/name` with these fields.
    ///
    /// # Errors
    /// When the id, or a reference within `fields`, is wrong.
    pub fn from_value(kind: &str, name: &str, fields: &Value) -> Result<Self, String> {
        let id = ResourceId::new(kind, name).map_err(|error: InvalidId| error.to_string())?;
        let mut references = Vec::new();
        collect_references(fields, &mut references)?;
        Ok(Self::with_relations(id, Doc::new(fields), references, &[], None))
    }

    /// The resource of this id, spec and relations; `references` are those within the spec.
    pub(super) fn with_relations(
        id: ResourceId,
        spec: Doc,
        references: Vec<Reference>,
        after: &[ResourceId],
        extra: Option<Box<Extra>>,
    ) -> Self {
        let relations = Some(digest_of(after, extra.as_deref()));
        Self {
            id,
            host: None,
            spec,
            references: references.into(),
            origin: Origin::default(),
            after: after.into(),
            extra,
            relations,
        }
    }

    /// Puts it on a host.
    #[must_use]
    pub fn on(mut self, host: &str) -> Self {
        self.host = Some(HostName::new(host));
        self
    }

    /// Orders it after another resource.
    #[must_use]
    pub fn after(mut self, id: &ResourceId) -> Self {
        self.after = self.after.iter().chain([id]).cloned().collect();
        self.relations = None;
        self
    }

    /// Restarts it when another resource changed.
    #[must_use]
    pub fn restart_on(mut self, id: &ResourceId) -> Self {
        self.extra_mut().restart_on.push(id.clone());
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.extra_mut().labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Refuses plans that would destroy it.
    #[must_use]
    pub fn protect(mut self) -> Self {
        self.extra_mut().protect = true;
        self
    }

    /// Binds the field at `path` to another resource's output. What stood there until then, a placeholder of its type, does not
    /// matter.
    ///
    /// ```
    /// use detc_core::model::Reference;
    /// use detc_core::resource::value::ValueSpec;
    /// use detc_core::{Desired, Registry};
    ///
    /// let port = ValueSpec::resource("port", &8080.into())?;
    /// let url = ValueSpec::resource("url", &serde_json::json!({ "port": 0 }))?;
    /// let url = url.bind(&"input.port".parse()?, Reference::new(port.id.clone(), "input".parse()?))?;
    /// Desired::new().with(port).with(url).check(&Registry::new())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the spec has nothing at the parent of `path`.
    pub fn bind(mut self, path: &FieldPath, to: Reference) -> Result<Self, String> {
        let mut fields = self.spec.value();
        let mut segments = path.segments();
        let last = segments.pop().unwrap_or_default();
        let parent = if segments.is_empty() {
            Some(&mut fields)
        } else {
            FieldPath::from_segments(&segments).get_mut(&mut fields)
        };
        match parent {
            Some(Value::Object(object)) => {
                object.insert(last, to.to_value());
            }
            Some(Value::Array(items)) if last.parse().is_ok_and(|index: usize| index < items.len()) => {
                items[last.parse::<usize>().unwrap_or_default()] = to.to_value();
            }
            _ => return Err(format!("{} has no field that holds `{path}`", self.id)),
        }
        let mut references = self.references.into_vec();
        if !references.contains(&to) {
            references.push(to);
        }
        self.references = references.into();
        self.spec = Doc::new(&fields);
        Ok(self)
    }

    /// What must be done before it, as it says itself.
    pub fn dependencies(&self) -> &Arc<[ResourceId]> {
        &self.after
    }

    /// Its less common properties.
    pub fn extra(&self) -> &Extra {
        self.extra.as_deref().unwrap_or(&NO_EXTRA)
    }

    /// Its less common properties, if it has any.
    pub(crate) fn given_extra(&self) -> Option<&Extra> {
        self.extra.as_deref()
    }

    /// Its less common properties, to be changed.
    pub fn extra_mut(&mut self) -> &mut Extra {
        self.relations = None;
        self.extra.get_or_insert_default()
    }

    /// A digest of everything but the spec: relations, labels, protection.
    pub fn relations_digest(&self) -> Digest {
        self.relations.unwrap_or_else(|| digest_of(&self.after, self.extra.as_deref()))
    }
}

/// Equal content is equal, whether or not its digest has been taken.
impl PartialEq for DesiredResource {
    fn eq(&self, other: &Self) -> bool {
        let Self { id, host, spec, references, origin, after, extra, relations: _ } = self;
        *id == other.id
            && *host == other.host
            && *spec == other.spec
            && *references == other.references
            && *origin == other.origin
            && *after == other.after
            && *extra == other.extra
    }
}

fn digest_of(after: &[ResourceId], extra: Option<&Extra>) -> Digest {
    let mut hasher = Hasher::default();
    for id in after {
        hasher.part(id.as_str().as_bytes());
    }
    if let Some(extra) = extra {
        hasher.part(&serde_json::to_vec(extra).expect("invariant: properties are JSON"));
    }
    hasher.finish()
}

impl Desired {
    /// Nothing desired.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a host.
    #[must_use]
    pub fn host(mut self, name: &str, spec: HostSpec) -> Self {
        self.hosts.insert(HostName::new(name), spec);
        self
    }

    /// Adds a resource, or replaces the one of that id.
    #[must_use]
    pub fn with(mut self, resource: DesiredResource) -> Self {
        self.resources.insert(resource.id.clone(), resource);
        self
    }

    /// Adds an invariant.
    #[must_use]
    pub fn invariant(mut self, invariant: Invariant) -> Self {
        self.invariants.push(invariant);
        self
    }
}

/// Something that must hold at every moment of every change.
///
/// ```
/// use detc_core::model::{Invariant, InvariantBound, Measure, Selector};
/// use detc_core::Desired;
///
/// let web = Selector { labels: [("app".to_owned(), "web".to_owned())].into(), ..Selector::default() };
/// let desired = Desired::new()
///     .invariant(Invariant {
///         name: "web stays up".to_owned(),
///         measure: Measure::Available(web.clone()),
///         bound: InvariantBound::AtLeast(2),
///     })
///     .invariant(Invariant {
///         name: "memory of web".to_owned(),
///         measure: Measure::Total { field: "memory_mib".parse()?, of: web },
///         bound: InvariantBound::AtMost(65_536),
///     });
/// assert_eq!(desired.invariants.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invariant {
    /// What people call it.
    pub name: String,
    /// What is summed.
    #[serde(flatten)]
    pub measure: Measure,
    /// The bound on the sum.
    #[serde(flatten)]
    pub bound: InvariantBound,
}

impl Measure {
    /// Which resources it is about.
    pub fn selector(&self) -> &Selector {
        match self {
            Self::Available(selector) | Self::Total { of: selector, .. } => selector,
        }
    }
}

impl InvariantBound {
    /// Whether `value` keeps it.
    pub fn allows(self, value: i64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

/// A number of a state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// How many of the selected resources are there.
    Available(Selector),
    /// The sum of a whole-number field over the selected resources.
    Total {
        /// The field.
        field: FieldPath,
        /// Of which resources.
        of: Selector,
    },
}

/// A bound on a measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvariantBound {
    /// Never less.
    AtLeast(i64),
    /// Never more.
    AtMost(i64),
}

impl Display for InvariantBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "at least {bound}"),
            Self::AtMost(bound) => write!(f, "at most {bound}"),
        }
    }
}

/// Which resources: all given conditions hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Selector {
    /// Of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// On this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// With these labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Selector {
    /// Whether it selects a resource of this id, host and labels.
    pub fn matches(
        &self,
        id: &ResourceId,
        host: Option<&HostName>,
        labels: &BTreeMap<String, String>,
    ) -> bool {
        self.kind.as_ref().is_none_or(|kind| kind == id.kind())
            && self.host.as_ref().is_none_or(|wanted| Some(wanted) == host)
            && self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

/// The conditions, as a file says them.
impl Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.iter().map(|kind| format!("kind {kind}"));
        let host = self.host.iter().map(|host| format!("host {host}"));
        let labels = self.labels.iter().map(|(key, value)| format!("label {key}={value}"));
        let conditions: Vec<String> = kind.chain(host).chain(labels).collect();
        f.write_str(if conditions.is_empty() { "everything" } else { "" })?;
        f.write_str(&conditions.join(", "))
    }
}

#[cfg(test)]
mod tests;
