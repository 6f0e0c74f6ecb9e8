//! The labels that tell what is ours.

use std::collections::BTreeMap;

use super::{ObjectKind, Query};

/// Whose an object is, and what it was made from. What carries none is foreign, and never touched.
///
/// Labels can not be changed once an object is made. So [`spec`](Mark::spec) tells what it was *made* as: where that is what is
/// wanted now, a listing is all that has to be looked at; where not, the object is looked at in full, as it may have been changed
/// in place since.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The cluster's scope, as actions know it.
    pub cluster: String,
    /// The resource's id, `kind/name`. During a replacement two objects carry the same.
    pub resource: String,
    /// The digest of what it was made from.
    pub spec: String,
}

impl Mark {
    /// The label of the cluster.
    pub const CLUSTER: &'static str = "detc.cluster";
    /// The label of the resource.
    pub const RESOURCE: &'static str = "detc.resource";
    /// The label of the digest of the spec.
    pub const SPEC: &'static str = "detc.spec";
    /// What labels of ours begin with. A spec's own labels never do.
    pub const PREFIX: &'static str = "detc.";

    /// An object of this cluster and resource, made from a spec of this digest.
    pub fn new(cluster: impl Into<String>, resource: impl Into<String>, spec: impl Into<String>) -> Self {
        Self { cluster: cluster.into(), resource: resource.into(), spec: spec.into() }
    }

    /// What labels say; `None` where one of the three is missing.
    pub fn of(labels: &BTreeMap<String, String>) -> Option<Self> {
        let label = |name: &str| labels.get(name).cloned();
        Some(Self {
            cluster: label(Self::CLUSTER)?,
            resource: label(Self::RESOURCE)?,
            spec: label(Self::SPEC)?,
        })
    }

    /// The labels that say so.
    pub fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (Self::CLUSTER.to_owned(), self.cluster.clone()),
            (Self::RESOURCE.to_owned(), self.resource.clone()),
            (Self::SPEC.to_owned(), self.spec.clone()),
        ])
    }

    /// Asks for all of a kind that is of `cluster`.
    pub fn all_of(kind: ObjectKind, cluster: &str) -> Query {
        Query::new(kind).with_label(Self::CLUSTER, cluster)
    }

    /// Asks for what is of this resource, whatever it was made from: one, or several while one takes the place of another.
    pub fn same_resource(&self, kind: ObjectKind) -> Query {
        Self::all_of(kind, &self.cluster).with_label(Self::RESOURCE, &self.resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_from_its_labels_and_from_nothing_less() {
        let mark = Mark::new("c1", "container/web", "abc");
        let mut labels = mark.labels();
        labels.insert("app".into(), "web".into());
        assert_eq!(Mark::of(&labels), Some(mark.clone()));
        assert!(mark.same_resource(ObjectKind::Container).wants(&labels));
        assert!(!Mark::all_of(ObjectKind::Container, "c2").wants(&labels));
        for name in [Mark::CLUSTER, Mark::RESOURCE, Mark::SPEC] {
            let mut fewer = labels.clone();
            fewer.remove(name);
            assert_eq!(Mark::of(&fewer), None, "{name}");
        }
    }
}
