//! Checks a whole desired state against what the program knows, before anything is planned.

use std::collections::BTreeSet;
use std::fmt;

use super::hide::Hidden;
use super::parallel::in_parts;
use super::{
    Desired, DesiredResource, EdgeKind, FieldPath, HostName, HostSpec, Origin, ResourceId, Topology,
    declared_edges,
};
use crate::action::{Footprint, Place};
use crate::resource::{ChangeEffect, HostNeed, KindFacts, Known, LATER, Registry, nearest};

mod fields;
mod invariants;
mod placed;
mod referred;

use placed::check_lengths;
pub(crate) use placed::footprint_of;
pub use placed::{Placed, footprint_edges};

/// What is wrong with a desired state, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct InvalidState {
    /// The file and line (0: the line is not known) that it was read from.
    pub place: Option<(String, u32)>,
    /// The resource.
    pub resource: Option<ResourceId>,
    /// What is wrong, and what was expected.
    pub message: String,
    /// What to do next.
    pub hint: Option<Box<str>>,
    /// What else is wrong, in the order of the files; when that is much, the last one says how many more there are.
    pub others: Vec<InvalidState>,
}

/// How many things that are wrong are told at once: as many as one mends before the next try.
const TOLD_MAX: usize = 20;

impl InvalidState {
    /// Wrong, at no place in particular.
    pub fn new(message: impl Into<String>) -> Self {
        Self { place: None, resource: None, message: message.into(), hint: None, others: Vec::new() }
    }

    /// Each by itself.
    pub(super) fn each(mut self) -> Vec<Self> {
        let others = std::mem::take(&mut self.others);
        let mut each = vec![self];
        each.extend(others);
        each
    }

    /// The first of these, with the others; `None` when there is none.
    pub(super) fn all(errors: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut errors = errors.into_iter();
        let mut first = errors.next()?;
        first.others.extend(errors.by_ref().take(TOLD_MAX - 1));
        match errors.count() {
            0 => {}
            more => first.others.push(Self::new(format!("and {more} more"))),
        }
        Some(first)
    }

    /// Adds the place.
    #[must_use]
    pub fn at(mut self, file: &str, line: u32) -> Self {
        self.place = Some((file.to_owned(), line));
        self
    }

    /// Adds the resource.
    #[must_use]
    pub fn of(mut self, resource: &ResourceId) -> Self {
        self.resource = Some(resource.clone());
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into().into());
        self
    }

    /// What is wrong and where, without the others and what to do next.
    pub(crate) fn said(&self) -> String {
        let place = match &self.place {
            Some((file, 0)) => format!("{file}: "),
            Some((file, line)) => format!("{file}:{line}: "),
            None => String::new(),
        };
        let resource = self.resource.as_ref().map(|resource| format!("{resource}: ")).unwrap_or_default();
        format!("{place}{resource}{}", self.message)
    }

    fn located(mut self, desired: &Desired, origin: Origin) -> Self {
        if let Some(file) = desired.files.get(origin.file as usize).filter(|_| origin.line > 0) {
            self.place = Some((file.clone(), origin.line));
        }
        self
    }
}

/// That this program can connect to such a host.
pub(super) fn check_host(name: &HostName, spec: &HostSpec, registry: &Registry) -> Result<(), InvalidState> {
    name.check().map_err(|error| {
        InvalidState::new(error.to_string()).with_hint("a folder of detc's own is called by it, too")
    })?;
    let error = |message: String| InvalidState::new(format!("host {name}: {message}"));
    let connector = registry.connector(spec.scheme()).ok_or_else(|| {
        let known: Vec<_> = registry.schemes().collect();
        let is_bare = !spec.connect.contains("://") && known.contains(&"ssh");
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let hint = match is_bare {
            true => format!("a machine that is reached by SSH is written `ssh://{}`", spec.connect),
            false => "a program has those that it gives its registry: `Registry::with_connector`".to_owned(),
        };
        error(format!("no connector for `{}`: this program has {known}", spec.connect)).with_hint(hint)
    })?;
    let is_root = |root: &&String| root.starts_with('/') && root.split('/').all(|name| name != "..");
    if let Some(root) = spec.roots.iter().find(|root| !is_root(root)) {
        return Err(error(format!("`roots` must be absolute paths without `..`, not {root:?}")));
    }
    connector.check(spec).map_err(error)
}

/// Everything that is wrong, a line for each, with what to do next.
impl fmt::Display for InvalidState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said())?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        self.others.iter().try_for_each(|other| write!(f, "\n{other}"))
    }
}

impl Desired {
    /// Checks every resource and relation, and orders them.
    ///
    /// # Errors
    /// What is wrong: an unknown kind, field, host or id, also of an invariant, a missing output, a loop, two owners or
    /// two unordered writers of one place.
    pub fn check(&self, registry: &Registry) -> Result<Topology, InvalidState> {
        self.check_beside(&BTreeSet::new(), registry)
    }

    /// [`check`](Self::check), where some hosts stand here only because they were declared once: what is on one can be removed,
    /// whatever a host is to be like by now.
    pub(crate) fn check_beside(
        &self,
        known_hosts: &BTreeSet<HostName>,
        registry: &Registry,
    ) -> Result<Topology, InvalidState> {
        self.check_hosts(known_hosts, registry)?;
        let parts = in_parts(self.resources.len(), |range| {
            let is_renamed = |index: &usize| {
                self.resources[*index].given_extra().is_some_and(|extra| extra.renamed_from.is_some())
            };
            let renamed: Vec<usize> = range.clone().filter(is_renamed).collect();
            let is_wrong =
                range.into_iter().any(|index| self.check_one(&self.resources[index], registry).is_err());
            (is_wrong, renamed)
        });
        let is_wrong = parts.iter().any(|(is_wrong, _)| *is_wrong);
        let edges = declared_edges(self);
        let mut others = self.check_invariants(registry);
        others.extend(self.check_renames(parts.into_iter().flat_map(|(_, renamed)| renamed)));
        if is_wrong || edges.is_err() || !others.is_empty() {
            let errors = self.resources.values().flat_map(|resource| {
                let alone = self.check_one(resource, registry).err();
                let more = alone.as_ref().map_or_else(Vec::new, |first| self.more(first, resource, registry));
                alone.into_iter().chain(more).chain(self.dangling(resource, registry))
            });
            let errors = errors.chain(others);
            return Err(InvalidState::all(errors).expect("invariant: what is wrong once is wrong again"));
        }
        let mut edges = edges.expect("invariant: it was looked at");
        let placed = footprint_edges(self, registry);
        placed.check_owners(self, registry)?;
        edges.extend_from_slice(&placed.edges);
        let topology = Topology::new(&self.resources, &edges).map_err(|cycle| {
            InvalidState::new(format!("a loop: {cycle}; each one comes after the next"))
                .of(&cycle.0[0])
                .with_hint("remove one of these `after`, references or `restart_on`")
                .located(self, self.resources[&cycle.0[0]].origin)
        })?;
        placed.check_writers(self, &topology, registry)?;
        Ok(topology)
    }

    /// Checks one resource by itself; its order among the others is not looked at.
    pub(crate) fn check_one(
        &self,
        resource: &DesiredResource,
        registry: &Registry,
    ) -> Result<(), InvalidState> {
        self.check_resource(resource, registry).map_err(|error| {
            let error = hidden(resource, registry).hide(error);
            error.of(&resource.id).located(self, resource.origin)
        })
    }

    /// What is wrong with the fields of a resource, besides the `first`.
    fn more(
        &self,
        first: &InvalidState,
        resource: &DesiredResource,
        registry: &Registry,
    ) -> Vec<InvalidState> {
        let hidden = hidden(resource, registry);
        let told = |error| hidden.hide(error).of(&resource.id).located(self, resource.origin);
        let wrong = fields::wrong_fields(resource, registry).into_iter().map(told);
        wrong.filter(|error| error.message != first.message).collect()
    }

    /// The ids that a resource names and that are not there; but for those that would be, were a kind spelt right, which
    /// is told already.
    fn dangling(&self, resource: &DesiredResource, registry: &Registry) -> Vec<InvalidState> {
        // To look through more for a near one takes longer than to look for it by hand.
        const NEAR_MAX: usize = 10_000;
        let after = resource.dependencies().iter().map(|id| (id, EdgeKind::After));
        let references = resource.references.iter().map(|reference| (&reference.from, EdgeKind::Reference));
        let restart_on = resource.extra().restart_on.iter().map(|id| (id, EdgeKind::RestartOn));
        let named = after.chain(references).chain(restart_on);
        let error = |(missing, kind): (&ResourceId, EdgeKind)| {
            let near = if self.resources.len() <= NEAR_MAX { self.near(missing, &resource.id) } else { None };
            if near.as_ref().is_some_and(|near| registry.kind(near.kind()).is_none()) {
                return None;
            }
            let error = InvalidState::new(format!("{kind} {missing}, which is not in the desired state"))
                .of(&resource.id);
            let error = match near {
                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                None => error.with_hint(format!("add {missing}, or remove what names it")),
            };
            Some(error.located(self, resource.origin))
        };
        named.filter(|(id, _)| !self.resources.contains_key(*id)).filter_map(error).collect()
    }

    /// The resource, other than `not`, that was meant by this id, if one is near enough.
    fn near(&self, missing: &ResourceId, not: &ResourceId) -> Option<ResourceId> {
        let renamed = |resource: &&DesiredResource| resource.extra().renamed_from.as_ref() == Some(missing);
        if let Some(now) = self.resources.values().find(renamed) {
            return Some(now.id.clone());
        }
        let others = || self.resources.keys().filter(|id| *id != not);
        let alike = others().filter(|id| id.kind() == missing.kind()).map(ResourceId::name);
        match nearest(missing.name(), alike) {
            Some(name) => ResourceId::new(missing.kind(), name).ok(),
            // The kind was meant otherwise, or left out of a name that has a `/` of its own.
            None => others().find(|id| [missing.name(), missing.as_str()].contains(&id.name())).cloned(),
        }
    }

    fn check_hosts(&self, known_hosts: &BTreeSet<HostName>, registry: &Registry) -> Result<(), InvalidState> {
        let mut declared = self.hosts.iter().filter(|(name, _)| !known_hosts.contains(*name));
        declared.try_for_each(|(name, spec)| check_host(name, spec, registry))
    }

    /// That nothing is changed outside of the roots of its host.
    fn check_roots(&self, resource: &DesiredResource, footprint: &Footprint) -> Result<(), InvalidState> {
        let Some((name, host)) = resource.host.as_ref().and_then(|name| self.hosts.get_key_value(name))
        else {
            return Ok(());
        };
        if host.roots.is_empty() {
            return Ok(());
        }
        let is_late = |place: &&Place| matches!(place, Place::Path(path) if path.contains(LATER));
        let mut changed = footprint.writes.iter().chain(&footprint.sweeps).filter(|place| !is_late(place));
        match changed.find(|place| !place.is_beneath(&host.roots)) {
            Some(place) => {
                let roots = host.roots.join(", ");
                Err(InvalidState::new(format!(
                    "{place} is beneath none of the `roots` of host {name}: {roots}"
                )))
            }
            None => Ok(()),
        }
    }

    fn check_resource(&self, resource: &DesiredResource, registry: &Registry) -> Result<(), InvalidState> {
        let kind =
            registry.kind(resource.id.kind()).ok_or_else(|| unknown_kind(resource.id.kind(), registry))?;
        let facts = kind.facts();
        match (&resource.host, facts.traits.host) {
            (None, HostNeed::Required) => {
                return Err(InvalidState::new(format!(
                    "a {} lives on a host: `host` is missing",
                    facts.name
                ))
                .with_hint(format!("declared hosts: {}", self.host_names())));
            }
            (Some(host), HostNeed::None) => {
                return Err(InvalidState::new(format!(
                    "a {} lives on no host: remove `host: {host}`",
                    facts.name
                )));
            }
            (Some(host), HostNeed::Required) if !self.hosts.contains_key(host) => {
                return Err(InvalidState::new(format!("host `{host}` is not declared"))
                    .with_hint(format!("declared hosts: {}", self.host_names())));
            }
            (Some(_), HostNeed::Required) | (None, HostNeed::None) => {}
        }
        self.check_misread(resource)?;
        let footprint = kind.inspect(&resource.spec, Known::of(resource)).map_err(InvalidState::new)?;
        check_lengths(&footprint)?;
        self.check_roots(resource, &footprint)?;
        resource.references.iter().try_for_each(|reference| self.check_reference(reference, registry))?;
        self.check_referred(resource, &**kind, registry)?;
        self.check_sources(resource, facts, registry)?;
        self.check_sums(resource)?;
        let Some(extra) = resource.given_extra() else { return Ok(()) };
        if !extra.restart_on.is_empty() && facts.traits.change == ChangeEffect::InPlace {
            return Err(InvalidState::new(format!(
                "a {} has nothing to restart: remove `restart_on`",
                facts.name
            )));
        }
        self.check_renamed(resource)?;
        let fields = extra.sensitive.iter().chain(extra.ownership.keys());
        for path in fields {
            let name = path.segments().swap_remove(0);
            let known = |names: Option<&'static [&'static str]>| {
                names.is_none_or(|names| names.contains(&name.as_str()))
            };
            if !known(facts.fields) && !known(facts.outputs) {
                return Err(no_such_field(&path.to_string(), &name, facts));
            }
        }
        fields::check_parts(resource, &extra.sensitive)
    }

    fn host_names(&self) -> String {
        let names: Vec<&str> = self.hosts.keys().map(HostName::as_str).collect();
        if names.is_empty() {
            "none; add `\"hosts\": { \"here\": { \"connect\": \"local\" } }`".to_owned()
        } else {
            names.join(", ")
        }
    }
}

/// What must not be told of a resource.
pub(super) fn hidden(resource: &DesiredResource, registry: &Registry) -> Hidden {
    let of_kind = registry.kind(resource.id.kind()).map_or(&[][..], |kind| kind.facts().traits.sensitive);
    let mut paths: Vec<FieldPath> = of_kind
        .iter()
        .map(|path| path.parse().expect("invariant: a kind names its fields by paths"))
        .collect();
    paths.extend_from_slice(&resource.extra().sensitive);
    Hidden::new(&resource.spec.value(), &paths)
}

/// That neither a field nor an output is called so.
fn no_such_field(path: &str, name: &str, facts: &KindFacts) -> InvalidState {
    let (fields, outputs) = (facts.fields.unwrap_or_default(), facts.outputs.unwrap_or_default());
    let outputs_too =
        if outputs.is_empty() { String::new() } else { format!(", and the outputs {}", outputs.join(", ")) };
    let error = InvalidState::new(format!(
        "`{path}` names no field or output: {} has {}{outputs_too}",
        facts.name,
        fields.join(", ")
    ));
    match nearest(name, fields.iter().chain(outputs).copied()) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error,
    }
}

fn unknown_kind(kind: &str, registry: &Registry) -> InvalidState {
    let known: Vec<_> = registry.kind_names().collect();
    let error = InvalidState::new(format!("unknown kind `{kind}`: this program has {}", known.join(", ")));
    match nearest(kind, known) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error,
    }
}

#[cfg(test)]
mod tests;
