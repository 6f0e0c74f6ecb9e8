//! What is touched by what: two that touch one place, one of them to change it, must come one after the other.

use std::collections::{BTreeMap, BTreeSet};

use crate::action::{Footprint, Place};
use crate::model::{HostName, ResourceId};
use crate::plan::Plan;
use crate::resource::LATER;

/// A place, on the host that has it.
type At = (Option<HostName>, Place);

/// How a place is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    Reads,
    Writes,
}

/// What is under way, and what has been.
#[derive(Debug, Default)]
pub(super) struct Touched {
    under_way: BTreeMap<At, BTreeMap<ResourceId, How>>,
    places: BTreeMap<ResourceId, Vec<At>>,
    /// Who has touched a place at all, and how.
    ever: BTreeMap<At, BTreeMap<ResourceId, How>>,
    /// What those take that only a real run tells, and that is made up here.
    taken: BTreeMap<ResourceId, Taken>,
}

/// Outputs of others: whose, and which.
pub(super) type Taken = BTreeSet<(ResourceId, String)>;

/// Two are at one place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Meeting {
    pub(super) with: ResourceId,
    pub(super) at: Place,
}

impl Touched {
    /// Takes note of what is begun. Returns whom of those that are under way it meets.
    pub(super) fn enter(
        &mut self,
        id: &ResourceId,
        host: Option<&HostName>,
        (footprint, taken): (&Footprint, Taken),
    ) -> Option<Meeting> {
        if !taken.is_empty() {
            self.taken.insert(id.clone(), taken);
        }
        let reads = footprint.reads.iter().map(|place| (place, How::Reads));
        let touches = reads.chain(footprint.writes.iter().map(|place| (place, How::Writes)));
        let mut met = None;
        for (place, how) in touches.filter(|(place, _)| !is_made_up(place)) {
            let at = (host.cloned(), place.clone());
            let there = self.under_way.entry(at.clone()).or_default();
            if met.is_none() {
                let mut others =
                    there.iter().filter(|(other, theirs)| *other != id && how.max(**theirs) == How::Writes);
                let other = others.find(|(other, _)| is_told(&self.taken, id, other));
                met = other.map(|(other, _)| Meeting { with: other.clone(), at: place.clone() });
            }
            let note = |of: &mut BTreeMap<ResourceId, How>| {
                let noted = of.entry(id.clone()).or_insert(how);
                *noted = how.max(*noted);
            };
            note(there);
            note(self.ever.entry(at.clone()).or_default());
            self.places.entry(id.clone()).or_default().push(at);
        }
        met
    }

    /// What was begun has come to its end.
    pub(super) fn leave(&mut self, id: &ResourceId) {
        for at in self.places.remove(id).unwrap_or_default() {
            if let Some(there) = self.under_way.get_mut(&at) {
                there.remove(id);
            }
        }
    }

    /// Who was under way is gone.
    pub(super) fn nobody_is_under_way(&mut self) {
        self.under_way.clear();
        self.places.clear();
    }

    /// Those that touch one place, one of them to change it, though the plan has none of them come after the other: what the
    /// plan was ordered by does not say that they do. Of each place the first two.
    pub(super) fn without_order(&self, plan: &Plan) -> Vec<String> {
        let mut actions: BTreeMap<&ResourceId, Vec<u32>> = BTreeMap::new();
        for (index, action) in (0..).zip(&plan.actions) {
            actions.entry(plan.resource_of(index)).or_default().push(index);
            if let Some(earlier) = action.renamed_from() {
                actions.entry(earlier).or_default().push(index);
            }
        }
        let actions = |id: &ResourceId| actions.get(id).map_or(&[][..], Vec::as_slice);
        let mut told = Vec::new();
        for ((_, place), by) in &self.ever {
            let writers = by.iter().filter(|(_, how)| **how == How::Writes);
            let pairs = writers.flat_map(|(writer, _)| by.keys().map(move |other| (writer, other)));
            let pairs = pairs.filter(|(writer, other)| writer != other).take(PAIRS_MAX);
            let pairs = pairs.filter(|(writer, other)| is_told(&self.taken, writer, other));
            let is_free = |a: &ResourceId, b: &ResourceId| {
                let pairs = actions(a).iter().flat_map(|a| actions(b).iter().map(move |b| (*a, *b)));
                pairs.into_iter().any(|(a, b)| !comes_after(plan, a.max(b), a.min(b)))
            };
            let free = pairs.into_iter().find(|(writer, other)| is_free(writer, other));
            told.extend(free.map(|(a, b)| {
                format!("{a} and {b} touch {place}, and the plan has neither come after the other")
            }));
        }
        told
    }
}

/// Of a place that many read, so many pairs are looked at.
const PAIRS_MAX: usize = 1_000;

/// Whether it tells anything that these two are at one place: where they are may follow from what is made up, and that is the
/// same for all. It tells when both take the same.
fn is_told(taken: &BTreeMap<ResourceId, Taken>, a: &ResourceId, b: &ResourceId) -> bool {
    match (taken.get(a), taken.get(b)) {
        (None, None) => true,
        (Some(a), Some(b)) => a == b,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// A place that is known only later is not where this says.
fn is_made_up(place: &Place) -> bool {
    match place {
        Place::Path(path) => path.contains(LATER),
        Place::Name { name, .. } => name.contains(LATER),
    }
}

fn comes_after(plan: &Plan, later: u32, earlier: u32) -> bool {
    let (mut seen, mut todo) = (BTreeSet::new(), vec![later]);
    while let Some(action) = todo.pop() {
        if action == earlier {
            return true;
        }
        let before = plan.actions[action as usize].after.iter().copied();
        todo.extend(before.filter(|before| *before >= earlier && seen.insert(*before)));
    }
    false
}
