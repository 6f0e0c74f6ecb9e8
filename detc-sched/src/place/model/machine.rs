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
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) taints: Vec<String>,
    pub(crate) devices: u32,
}

impl Machine {
    /// A machine that has nothing yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
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

    /// Stands in this domain. What is not told is domain 0 of the level.
    #[must_use]
    pub fn with_domain(mut self, level: LevelId, domain: DomainId) -> Self {
        self.domains.insert(level, domain);
        self
    }

    /// Is like this, for rules to ask.
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
