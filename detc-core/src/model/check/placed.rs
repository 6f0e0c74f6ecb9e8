//! What follows from what resources declare that they read and write: order, and who is in whose way.

use std::collections::{BTreeMap, BTreeSet};

use super::{InvalidState, hidden};
use crate::action::{Footprint, Place};
use crate::model::parallel::in_parts;
use crate::model::{Desired, DesiredResource, Edge, EdgeKind, HostName, Topology};
use crate::resource::{Known, LATER, Registry};

/// What follows from the footprints of the resources.
#[derive(Debug, Default)]
pub struct Placed {
    /// A resource comes after the one that writes what it reads, or that makes what it lives within.
    pub edges: Vec<Edge>,
    writers: Vec<(Place, Vec<u32>)>,
    owners: Vec<(Place, u32, u32)>,
}

type PlaceKey = (Option<HostName>, Place);

/// Derives order from what resources declare that they read and write.
pub fn footprint_edges(desired: &Desired, registry: &Registry) -> Placed {
    let mut writers: BTreeMap<PlaceKey, Vec<u32>> = BTreeMap::new();
    let mut touched: Vec<(u32, Option<HostName>, Footprint)> = Vec::new();
    let inspected = in_parts(desired.resources.len(), |range| {
        let inspect = |index: usize| {
            let resource = &desired.resources[index];
            Some((index, resource, footprint_of(resource, desired, registry)?))
        };
        range.filter_map(inspect).collect::<Vec<_>>()
    });
    for (index, resource, footprint) in inspected.into_iter().flatten() {
        for place in footprint.writes.iter().filter(|place| is_known(place)) {
            writers.entry((resource.host.clone(), place.clone())).or_default().push(index as u32);
        }
        touched.push((index as u32, resource.host.clone(), footprint));
    }
    let mut placed = Placed::default();
    let owns = |index: &u32, place: &Place| {
        let at = touched.binary_search_by_key(index, |(index, ..)| *index);
        at.is_ok_and(|at| touched[at].2.owns.contains(place))
    };
    for ((_, place), writing) in &mut writers {
        writing.dedup();
        if writing.len() > 1 {
            placed.writers.push((place.clone(), writing.clone()));
            let mut owners = writing.iter().filter(|index| owns(index, place));
            if let (Some(first), Some(second)) = (owners.next(), owners.next()) {
                placed.owners.push((place.clone(), *first, *second));
            }
        }
    }
    for (dependent, host, footprint) in touched {
        let own = placed.edges.len();
        let mut add = |place: Place| {
            for dependency in writers.get(&(host.clone(), place)).into_iter().flatten() {
                let edge = Edge { dependent, dependency: *dependency, kind: EdgeKind::Footprint };
                if edge.dependent != edge.dependency && !placed.edges[own..].contains(&edge) {
                    placed.edges.push(edge);
                }
            }
        };
        let first = placed_ancestors(&footprint);
        footprint.reads.iter().filter(|place| is_known(place)).cloned().chain(first).for_each(&mut add);
    }
    placed
}

/// What a resource reads and writes, if it does, as far as that is known before anything is done.
pub(crate) fn footprint_of(
    resource: &DesiredResource,
    desired: &Desired,
    registry: &Registry,
) -> Option<Footprint> {
    let kind = registry.kind(resource.id.kind())?;
    let footprint = match resource.references.is_empty() {
        true => kind.inspect(&resource.spec, Known::All),
        false => kind.inspect(&desired.known_spec(resource, registry), Known::SomeLater),
    };
    let footprint = footprint.ok()?;
    (!footprint.reads.is_empty() || !footprint.writes.is_empty()).then_some(footprint)
}

fn is_known(place: &Place) -> bool {
    match place {
        Place::Path(path) => !path.contains(LATER),
        Place::Name { name, .. } => !name.contains(LATER),
    }
}

/// Every path that a path of the footprint lies strictly within.
fn placed_ancestors(footprint: &Footprint) -> BTreeSet<Place> {
    let mut ancestors = BTreeSet::new();
    for place in footprint.reads.iter().chain(&footprint.writes).filter(|place| is_known(place)) {
        let Place::Path(path) = place else { continue };
        for (at, _) in path.match_indices('/').filter(|(at, _)| *at > 0) {
            ancestors.insert(Place::Path(path[..at].to_owned()));
        }
    }
    ancestors
}

impl Placed {
    pub(super) fn check_owners(&self, desired: &Desired, registry: &Registry) -> Result<(), InvalidState> {
        let Some((place, first, second)) = self.owners.first() else { return Ok(()) };
        let (a, b) = (&desired.resources[*first as usize], &desired.resources[*second as usize]);
        let what = if matches!(place, Place::Path(_)) { "path" } else { "name" };
        let place = said_of(place, [a, b], registry);
        Err(InvalidState::new(format!("{} and {} both own {place}: each would undo the other", a.id, b.id))
            .of(&b.id)
            .with_hint(format!("remove one of them, or give it another {what}"))
            .located(desired, b.origin))
    }

    pub(super) fn check_writers(
        &self,
        desired: &Desired,
        topology: &Topology,
        registry: &Registry,
    ) -> Result<(), InvalidState> {
        if self.writers.is_empty() {
            return Ok(());
        }
        let mut rank = vec![0_u32; desired.resources.len()];
        for (at, index) in topology.order().iter().enumerate() {
            rank[*index as usize] = at as u32;
        }
        for (place, writing) in &self.writers {
            // All are in order when each one is with the next, as they come in the order of all.
            let mut writing = writing.clone();
            writing.sort_unstable_by_key(|index| rank[*index as usize]);
            let is_unordered =
                |pair: &&[u32]| !topology.reaches(pair[1], pair[0]) && !topology.reaches(pair[0], pair[1]);
            let Some(pair) = writing.windows(2).find(is_unordered) else { continue };
            let (first, second) = (pair[0].min(pair[1]), pair[0].max(pair[1]));
            let (a, b) = (&desired.resources[first as usize], &desired.resources[second as usize]);
            let place = said_of(place, [a, b], registry);
            return Err(InvalidState::new(format!(
                "{} and {} both write {place}, and neither comes after the other",
                a.id, b.id
            ))
            .of(&b.id)
            .with_hint("remove one of them, or order them with `after`")
            .located(desired, b.origin));
        }
        Ok(())
    }
}

/// A place that two resources touch, unless it is sensitive for one of them.
fn said_of(place: &Place, by: [&DesiredResource; 2], registry: &Registry) -> String {
    by.iter().fold(place.to_string(), |said, resource| hidden(resource, registry).hide_text(&said))
}

/// The longest path, in bytes: that of Linux. A path is looked for in each of its ancestors.
const PATH_LEN_MAX: usize = 4096;

pub(super) fn check_lengths(footprint: &Footprint) -> Result<(), InvalidState> {
    let is_long = |place: &&Place| matches!(place, Place::Path(path) if path.len() > PATH_LEN_MAX);
    match footprint.reads.iter().chain(&footprint.writes).any(|place| is_long(&place)) {
        true => Err(InvalidState::new(format!(
            "a path of it has more than {PATH_LEN_MAX} bytes: no host has such"
        ))),
        false => Ok(()),
    }
}
