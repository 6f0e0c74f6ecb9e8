//! Who comes after whom among the desired resources, by dense indices.

use std::fmt::{self, Display};

use super::parallel::in_parts;
use super::{Desired, Map, ResourceId};

mod shortest;

pub(crate) use shortest::shortest_loop;

/// The order among the resources of a [`Desired`], as indices into its `resources`.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    dependencies: Adjacency,
    order: Vec<u32>,
}

/// One thing comes after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The one that comes after.
    pub dependent: u32,
    /// The one that comes first.
    pub dependency: u32,
    /// Why.
    pub kind: EdgeKind,
}

/// Why one thing comes after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EdgeKind {
    /// It says so (`after`).
    After,
    /// It needs an output.
    Reference,
    /// It restarts when the other changed.
    RestartOn,
    /// It lives within something that the other makes, or reads what the other writes.
    Footprint,
}

impl Display for EdgeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::After => "is after",
            Self::Reference => "needs an output of",
            Self::RestartOn => "restarts on",
            Self::Footprint => "lives within or reads what is written by",
        })
    }
}

/// A loop: each one comes after the next, and the last after the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle(pub Vec<ResourceId>);

impl Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for id in &self.0 {
            write!(f, "{id} → ")?;
        }
        write!(f, "{}", self.0.first().expect("invariant: a loop has a member"))
    }
}

/// The edges that the resources themselves name: `after`, references, triggers.
///
/// # Errors
/// The first dependency that is not desired: who names it, what, and how.
pub fn declared_edges(desired: &Desired) -> Result<Vec<Edge>, (ResourceId, ResourceId, EdgeKind)> {
    let resources = &desired.resources;
    let parts = in_parts(resources.len(), |range| {
        let mut edges = Vec::with_capacity(range.len() * 2);
        for index in range {
            let resource = &resources[index];
            let mut add = |id: &ResourceId, kind| match resources.get_index_of(id) {
                Some(dependency) => {
                    edges.push(Edge { dependent: index as u32, dependency: dependency as u32, kind });
                    Ok(())
                }
                None => Err((resource.id.clone(), id.clone(), kind)),
            };
            resource.dependencies().iter().try_for_each(|id| add(id, EdgeKind::After))?;
            resource.references.iter().try_for_each(|reference| add(&reference.from, EdgeKind::Reference))?;
            resource.extra().restart_on.iter().try_for_each(|id| add(id, EdgeKind::RestartOn))?;
        }
        Ok(edges)
    });
    let mut parts = parts.into_iter();
    let mut edges = parts.next().unwrap_or(Ok(Vec::new()))?;
    for part in parts {
        edges.append(&mut part?);
    }
    Ok(edges)
}

impl Topology {
    /// The order that `edges` give to the resources of `desired`. Linear in resources and edges.
    ///
    /// # Errors
    /// When there is no order: the shortest loop.
    pub fn new<V>(resources: &Map<ResourceId, V>, edges: &[Edge]) -> Result<Self, Cycle> {
        let len = resources.len();
        let dependencies = Adjacency::new(len, edges.iter().map(|edge| (edge.dependent, edge.dependency)));
        let dependents = Adjacency::new(len, edges.iter().map(|edge| (edge.dependency, edge.dependent)));
        let mut waiting: Vec<u32> =
            (0..len as u32).map(|index| dependencies.of(index).len() as u32).collect();
        let mut order: Vec<u32> = Vec::with_capacity(len);
        order.extend((0..len as u32).filter(|index| waiting[*index as usize] == 0));
        let mut next = 0;
        while next < order.len() {
            let done = order[next];
            next += 1;
            for dependent in dependents.of(done) {
                let left = &mut waiting[*dependent as usize];
                *left -= 1;
                if *left == 0 {
                    order.push(*dependent);
                }
            }
        }
        let topology = Self { dependencies, order };
        if topology.order.len() < len {
            let stuck: Vec<u32> = (0..len as u32).filter(|index| waiting[*index as usize] > 0).collect();
            let loop_ = shortest_loop(&topology.dependencies, &stuck);
            let id = |index: &u32| {
                resources
                    .get_index(*index as usize)
                    .expect("invariant: an index of these resources")
                    .0
                    .clone()
            };
            return Err(Cycle(loop_.iter().map(id).collect()));
        }
        Ok(topology)
    }

    /// What the resource at `index` comes directly after.
    pub fn dependencies(&self, index: u32) -> &[u32] {
        self.dependencies.of(index)
    }

    /// How many edges there are in all.
    pub(crate) fn edge_count(&self) -> usize {
        self.dependencies.targets.len()
    }

    /// Whether `after` comes, directly or not, after `before`.
    pub fn reaches(&self, after: u32, before: u32) -> bool {
        let mut seen = super::Set::<u32>::default();
        let mut stack = vec![after];
        while let Some(index) = stack.pop() {
            for dependency in self.dependencies(index) {
                if *dependency == before {
                    return true;
                }
                if seen.insert(*dependency) {
                    stack.push(*dependency);
                }
            }
        }
        false
    }

    /// All resources, each after what it depends on.
    pub fn order(&self) -> &[u32] {
        &self.order
    }
}

/// Adjacency lists in two flat arrays: the targets of `i` are `targets[starts[i]..starts[i + 1]]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Adjacency {
    starts: Vec<u32>,
    targets: Vec<u32>,
}

impl Adjacency {
    /// The lists of `len` nodes, each in the order of `pairs` (from, to).
    pub(crate) fn new(len: usize, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        // `starts[i + 2]` counts, then `starts[i + 1]` is where the next target of `i` goes, which ends as it should.
        let mut starts = vec![0_u32; len + 2];
        for (from, _) in pairs.clone() {
            starts[from as usize + 2] += 1;
        }
        for index in 2..starts.len() {
            starts[index] += starts[index - 1];
        }
        let mut targets = vec![0_u32; starts[len + 1] as usize];
        for (from, to) in pairs {
            let slot = &mut starts[from as usize + 1];
            targets[*slot as usize] = to;
            *slot += 1;
        }
        starts.pop();
        Self { starts, targets }
    }

    /// The targets of all nodes, one after the other.
    pub(crate) fn into_targets(self) -> Vec<u32> {
        self.targets
    }

    /// The targets of the node at `index`.
    pub(crate) fn of(&self, index: u32) -> &[u32] {
        let index = index as usize;
        &self.targets[self.starts[index] as usize..self.starts[index + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn topology(len: usize, pairs: &[(u32, u32)]) -> Result<Topology, Cycle> {
        let resources: Map<ResourceId, ()> =
            (0..len).map(|index| (ResourceId::new("value", &format!("v{index}")).unwrap(), ())).collect();
        let edges: Vec<Edge> = pairs
            .iter()
            .map(|&(dependent, dependency)| Edge { dependent, dependency, kind: EdgeKind::After })
            .collect();
        Topology::new(&resources, &edges)
    }

    #[test]
    fn a_loop_is_told_behind_however_many_that_only_come_after_it() {
        let after: Vec<(u32, u32)> = (0..2_500).map(|index| (index, 2_500)).collect();
        let error = topology(2_502, &[&after[..], &[(2_500, 2_501), (2_501, 2_500)]].concat()).unwrap_err();
        assert_eq!(error.to_string(), "value/v2500 → value/v2501 → value/v2500");
    }

    #[test]
    fn the_shortest_loop_is_shown() {
        let cycle = topology(5, &[(0, 1), (1, 2), (2, 3), (3, 0), (1, 4), (4, 1)]).unwrap_err();
        assert_eq!(cycle.to_string(), "value/v1 → value/v4 → value/v1");
    }

    #[test]
    fn a_resource_after_itself_is_a_loop() {
        assert_eq!(topology(2, &[(1, 1)]).unwrap_err().to_string(), "value/v1 → value/v1");
    }

    proptest! {
        #[test]
        fn the_order_keeps_every_edge(pairs in prop::collection::vec((0_u32..20, 0_u32..20), 0..40)) {
            let pairs: Vec<_> = pairs.into_iter().filter(|(a, b)| a > b).collect();
            let topology = topology(20, &pairs).unwrap();
            let mut place = [0; 20];
            for (at, index) in topology.order().iter().enumerate() {
                place[*index as usize] = at;
            }
            for (dependent, dependency) in pairs {
                prop_assert!(place[dependency as usize] < place[dependent as usize]);
            }
        }
    }
}
