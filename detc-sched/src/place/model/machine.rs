//! Machines: what they have, where they stand, what they are like.

use std::collections::BTreeMap;

use crate::place::{DomainId, LevelId, ResourceId};

/// A place where instances run, as it is given to the [builder](crate::place::Builder).
#[derive(Clone, Debug, Default)]
pub struct Machine {
    pub(crate) name: String,
    pub(crate) capacity: BTreeMap<ResourceId, i64>,
    pub(crate) safety: BTreeMap<ResourceId, i64>,
    pub(crate) domains: BTreeMap<LevelId, DomainId>,
    /// Trees, and where it stands in them.
    pub(crate) paths: Vec<(Vec<LevelId>, String)>,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) taints: Vec<String>,
    pub(crate) devices: u32,
}

impl Machine {
    /// A machine that has nothing yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// The same under another name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Has so much of a resource, and no instance gets more. What is not told is 0.
    #[must_use]
    pub fn with_capacity(mut self, resource: ResourceId, amount: i64) -> Self {
        self.capacity.insert(resource, amount);
        self
    }

    /// Should be loaded up to this level only: more costs, by the [weight](crate::place::Objective) of the resource.
    /// What is not told is the capacity.
    #[must_use]
    pub fn with_safety(mut self, resource: ResourceId, amount: i64) -> Self {
        self.safety.insert(resource, amount);
        self
    }

    /// Stands in this domain of a level whose domains are told by number. What is not told is domain 0.
    #[must_use]
    pub fn with_domain(mut self, level: LevelId, domain: DomainId) -> Self {
        self.domains.insert(level, domain);
        self
    }

    /// Stands there in a [tree](crate::place::Builder::tree): the names of its domains, the widest first, with a `/` between
    /// them. Names need to be unique only within the next wider domain. A path may be shorter than the tree is deep; then
    /// all machines with this path are one domain of each level below.
    #[must_use]
    pub fn with_path(mut self, tree: &[LevelId], path: impl Into<String>) -> Self {
        self.paths.push((tree.to_vec(), path.into()));
        self
    }

    /// Is like this, for rules to ask. `hostname` is the machine's name, unless it is told here.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.insert(name.into(), value.into());
        self
    }

    /// Takes only groups that [tolerate](crate::place::Group::with_toleration) this.
    #[must_use]
    pub fn with_taint(mut self, taint: impl Into<String>) -> Self {
        self.taints.push(taint.into());
        self
    }

    /// Has so many devices (GPUs) of [1,000 shares](crate::place::SHARES_OF_DEVICE) each.
    #[must_use]
    pub fn with_devices(mut self, devices: u32) -> Self {
        self.devices = devices;
        self
    }
}
