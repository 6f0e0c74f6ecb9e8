//! Planning that follows change: what was decided is kept, and only what a delta may alter is decided again.
//!
//! ```text
//!   set, remove, recorded, observed ──▶ dirty ──decide──▶ steps (kept between plans) ──assemble──▶ Plan
//!                                         ▲      │
//!                                         └──────┘ those that need what has just been decided otherwise
//! ```
//!
//! A plan of a [`Planner`] is the plan that [`build`](super::build) makes of the same input, to the byte: both decide
//! with the same code, resource by resource, and assemble with the same code.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::build::finish;
use super::decide::{Decider, renames, settled};
use super::keep::{Counting, Sums};
use super::order::Steps;
use super::outputs::check_outputs;
use super::protect::check_protected;
use super::resolve::Decided;
use super::{Observed, Plan, PlanError, PlanInput};
use crate::action::Place;
use crate::diff::ChangeKind;
use crate::model::secret::{MarkKey, Vault};
use crate::model::{
    Adjacency, Desired, DesiredResource, HostName, HostSpec, InvalidState, Map, Observation, Record,
    Recorded, ResourceId, Set, Topology, footprint_of,
};
use crate::resource::Registry;

/// Keeps what was decided between plans, so that a plan costs what has changed, not what there is.
///
/// # Cost
///
/// - A changed spec, record or observation: that resource and those that need its outputs or restart on it, as far as
///   what is known of them changes with it. Independent of how many resources there are.
/// - A changed relation (`after`, references, `restart_on`, host, what it reads and writes), a resource that is new or
///   goes, anything about a rename: everything is checked, ordered and decided anew, as [`build`](super::build) does.
/// - Beside the dirty ones, each plan puts together all changes that it has, `n log n` in them, and proves that they keep the
///   invariants, whose values are kept in step with what is recorded and seen.
/// - All records are read where a plan removes a directory with all that is in it. For a
///   [predicate](crate::model::Predicate), those that it is about are. What is desired is gone through for an invariant that
///   nothing recorded counts for.
#[derive(Debug)]
pub struct Planner {
    desired: Desired,
    /// Hosts that stand in the desired state only because they were declared once.
    known_hosts: BTreeSet<HostName>,
    recorded: Recorded,
    observed: Observed,
    half_done: Set<ResourceId>,
    registry: Registry,
    key: MarkKey,
    vault: Arc<Mutex<Vault>>,
    kept: Kept,
    /// The sums of the invariants over what is recorded; `None`: to be summed up.
    sums: Option<Sums>,
    pending: Pending,
}

/// What was decided, and what that rests on.
#[derive(Debug, Default)]
struct Kept {
    topology: Topology,
    /// The place of each resource in the topology's order.
    rank: Vec<u32>,
    /// Who comes directly after each.
    dependents: Adjacency,
    /// Who needs an output of each, or restarts on it.
    needers: Adjacency,
    renames: Map<ResourceId, u32>,
    /// Ids that a rename is about: the earlier and the new ones.
    renamed: Set<ResourceId>,
    decided: Decided,
    /// The steps of each desired resource that is not kept as it is.
    steps: Map<u32, Steps>,
    /// The steps of each resource that is recorded and no longer desired.
    orphans: Map<ResourceId, Steps>,
}

/// What is to be decided anew at the next plan.
#[derive(Debug, Default)]
struct Pending {
    /// Everything.
    all: bool,
    /// Desired resources with a new spec, which is to be checked.
    unchecked: BTreeSet<u32>,
    /// Desired resources, by their places in the topology's order.
    desired: BTreeSet<u32>,
    /// Ids that are recorded, or were, and not desired.
    orphans: BTreeSet<ResourceId>,
}

/// Why a [`Planner`] has no plan. What led to it stays pending: correct it, and plan again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlannerError {
    /// The desired state is wrong.
    #[error(transparent)]
    Invalid(#[from] InvalidState),
    /// The desired state asks for something that is refused.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl Planner {
    /// A planner of this desired state, which is checked at the first [`plan`](Planner::plan).
    pub fn new(
        desired: Desired,
        (recorded, observed): (Recorded, Observed),
        registry: Registry,
        key: MarkKey,
    ) -> Self {
        Self {
            desired,
            known_hosts: BTreeSet::new(),
            recorded,
            observed,
            half_done: Set::default(),
            registry,
            key,
            vault: Arc::default(),
            kept: Kept::default(),
            sums: None,
            pending: Pending { all: true, ..Pending::default() },
        }
    }

    /// Keeps sensitive values in `vault`.
    pub(crate) fn with_vault(mut self, vault: Arc<Mutex<Vault>>) -> Self {
        self.vault = vault;
        self
    }

    /// Takes hosts of the desired state for such that were declared once, and are known only for what is on them.
    pub(crate) fn with_known_hosts(mut self, known_hosts: BTreeSet<HostName>) -> Self {
        self.known_hosts = known_hosts;
        self
    }

    /// Declares a host, or declares it otherwise.
    pub fn host(&mut self, name: &str, spec: HostSpec) {
        let name = HostName::new(name);
        self.known_hosts.remove(&name);
        self.desired.hosts.insert(name, spec);
    }

    /// Adds a resource to the desired state, or replaces the one of that id.
    pub fn set(&mut self, resource: DesiredResource) {
        let known = self.desired.resources.get_full(&resource.id);
        match known.map(|(index, _, known)| (index as u32, self.is_related_alike(known, &resource))) {
            Some((index, true)) => {
                let readers = if self.pending.all { None } else { self.readers(index) };
                let places = |planner: &Self| {
                    let places = |index: &u32| planner.places(&planner.desired.resources[*index as usize]);
                    readers.iter().flatten().map(places).collect::<Vec<_>>()
                };
                let before = places(self);
                self.desired.resources[index as usize] = resource;
                if readers.is_none() || places(self) != before {
                    self.pending.all = true;
                    return;
                }
                self.pending.unchecked.extend(readers.into_iter().flatten().chain([index]));
                self.touch(index);
            }
            Some((_, false)) | None => {
                self.desired.resources.insert(resource.id.clone(), resource);
                self.pending.all = true;
            }
        }
    }

    /// Takes a resource out of the desired state: what is recorded of it will be removed.
    pub fn remove(&mut self, id: &ResourceId) {
        if self.desired.resources.shift_remove(id).is_some() {
            self.pending.all = true;
        }
    }

    /// Takes note of what is recorded of a resource from now on; `None`: nothing.
    pub fn recorded(&mut self, id: &ResourceId, record: Option<Record>) {
        self.count(id, Counting::Out);
        match record {
            Some(record) => _ = self.recorded.insert(id.clone(), record),
            None => _ = self.recorded.remove(id),
        }
        self.count(id, Counting::In);
        self.touch_id(id);
    }

    /// Takes note of what is seen of a resource from now on; `None`: there is nothing to look at.
    pub fn observed(&mut self, id: &ResourceId, observation: Option<Observation>) {
        self.count(id, Counting::Out);
        match observation {
            Some(observation) => _ = self.observed.insert(id.clone(), observation),
            None => _ = self.observed.swap_remove(id),
        }
        self.count(id, Counting::In);
        self.touch_id(id);
    }

    /// Takes note of what may be half of what is recorded of it, from now on.
    pub(crate) fn half_done(&mut self, half_done: Set<ResourceId>) {
        let changed: Vec<ResourceId> = self.half_done.symmetric_difference(&half_done).cloned().collect();
        changed.iter().for_each(|id| self.count(id, Counting::Out));
        self.half_done = half_done;
        changed.iter().for_each(|id| self.count(id, Counting::In));
    }

    /// Counts what is recorded of a resource for the invariants.
    fn count(&mut self, id: &ResourceId, counting: Counting) {
        if self.desired.invariants.is_empty() {
            return;
        }
        let (Some(record), Some(sums)) = (self.recorded.get(id), &mut self.sums) else { return };
        let is_begun = record.is_begun() || self.half_done.contains(id);
        let of = (id, record, (self.observed.get(id), is_begun));
        if sums.recorded(&self.desired.invariants, of, counting).is_err() {
            // The next plan says which record is damaged, when it sums them up.
            self.sums = None;
        }
    }

    /// What is recorded, as far as it was told.
    pub(crate) fn recorded_ids(&self) -> impl Iterator<Item = &ResourceId> {
        self.recorded.keys()
    }

    /// The desired state as it is now.
    pub fn desired(&self) -> &Desired {
        &self.desired
    }

    /// The sensitive values that were met so far.
    pub fn vault(&self) -> Arc<Mutex<Vault>> {
        self.vault.clone()
    }

    /// The plan that leads from what is to what should be.
    ///
    /// # Errors
    /// When the desired state is wrong or asks for something that is refused. Nothing is forgotten: the next plan sees
    /// the same, and what was corrected meanwhile.
    pub fn plan(&mut self) -> Result<Plan, PlannerError> {
        if self.pending.all {
            self.decide_all()?;
        } else {
            self.decide_dirty()?;
        }
        let mut steps = Steps::with_capacity(self.kept.steps.len() + self.kept.orphans.len());
        for step in self.kept.steps.values().chain(self.kept.orphans.values()) {
            steps.add_copies(step);
        }
        let sums = match self.sums.take() {
            Some(sums) => sums,
            None => Sums::of(&self.desired.invariants, &self.input())?,
        };
        let plan = finish(steps, &self.input(), &sums);
        self.sums = Some(sums);
        let plan = plan?;
        check_outputs(&plan, &self.input())?;
        check_protected(&plan, &self.input())?;
        super::check_swept(&plan, &self.desired, &self.recorded, &self.registry)?;
        Ok(plan)
    }

    fn input(&self) -> PlanInput<'_> {
        PlanInput {
            desired: &self.desired,
            topology: &self.kept.topology,
            recorded: &self.recorded,
            observed: &self.observed,
            half_done: &self.half_done,
            registry: &self.registry,
            key: &self.key,
        }
    }

    /// Whether one resource may take the other's place without any change of order.
    fn is_related_alike(&self, old: &DesiredResource, new: &DesiredResource) -> bool {
        old.dependencies() == new.dependencies()
            && old.references == new.references
            && old.host == new.host
            && old.extra().restart_on == new.extra().restart_on
            && old.extra().renamed_from == new.extra().renamed_from
            && self.places(old) == self.places(new)
    }

    /// What a resource touches.
    fn places(&self, resource: &DesiredResource) -> Option<[Vec<Place>; 3]> {
        footprint_of(resource, &self.desired, &self.registry)
            .map(|touched| [touched.reads, touched.writes, touched.owns])
    }

    /// Those that take a value from the one at `index`, at once or through others; `None` when they are many.
    fn readers(&self, index: u32) -> Option<Vec<u32>> {
        /// Looking at more takes as long as looking at all.
        const READERS_MAX: usize = 1_000;
        let mut readers: BTreeSet<u32> = BTreeSet::new();
        let mut next = vec![index];
        while let Some(index) = next.pop() {
            let new = self.kept.needers.of(index).iter().filter(|needer| readers.insert(**needer));
            next.extend(new);
            if readers.len() > READERS_MAX {
                return None;
            }
        }
        Some(readers.into_iter().collect())
    }

    fn touch_id(&mut self, id: &ResourceId) {
        if self.pending.all {
            return;
        }
        if self.kept.renamed.contains(id) {
            self.pending.all = true;
        } else if let Some(index) = self.desired.resources.get_index_of(id) {
            self.touch(index as u32);
        } else {
            self.pending.orphans.insert(id.clone());
        }
    }

    /// A resource, and those that look at it, are to be decided anew.
    fn touch(&mut self, index: u32) {
        let rank = &self.kept.rank;
        let touched = self.kept.needers.of(index).iter().chain([&index]);
        self.pending.desired.extend(touched.map(|index| rank[*index as usize]));
    }

    fn decide_all(&mut self) -> Result<(), PlannerError> {
        let topology = self.desired.check_beside(&self.known_hosts, &self.registry)?;
        self.kept = Kept::new(topology, &self.desired);
        self.kept.renames = renames(&self.input());
        let settled = settled(&self.input());
        let order = self.kept.topology.order().iter().enumerate();
        let unsettled = order.filter(|(_, index)| !settled[**index as usize]);
        self.pending.desired = unsettled.map(|(rank, _)| rank as u32).collect();
        let is_orphan = |id: &&ResourceId| !self.desired.resources.contains_key(*id);
        // What is settled is desired and recorded; as a rule that is all.
        self.pending.orphans = match settled.iter().filter(|settled| **settled).count() {
            matched if matched == self.recorded.len() => BTreeSet::new(),
            _ => self.recorded.keys().filter(is_orphan).cloned().collect(),
        };
        self.pending.unchecked.clear();
        self.decide_dirty()?;
        self.pending.all = false;
        Ok(())
    }

    fn decide_dirty(&mut self) -> Result<(), PlannerError> {
        while let Some(index) = self.pending.unchecked.first() {
            self.desired.check_one(&self.desired.resources[*index as usize], &self.registry)?;
            self.pending.unchecked.pop_first();
        }
        while let Some(rank) = self.pending.desired.first().copied() {
            self.decide(self.kept.topology.order()[rank as usize])?;
            self.pending.desired.remove(&rank);
        }
        while let Some(id) = self.pending.orphans.first().cloned() {
            self.decide_orphan(&id)?;
            self.pending.orphans.pop_first();
        }
        Ok(())
    }

    /// Decides what happens to one desired resource. Those to whom it makes a difference are dirty afterwards.
    fn decide(&mut self, index: u32) -> Result<(), PlanError> {
        let before = self.kept.decided.known(index);
        let mut steps = Steps::with_capacity(1);
        let vault = self.vault.clone();
        let mut vault = vault.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.with_decider(|decider| decider.desired(index, &mut vault, &mut steps));
        drop(vault);
        // Even a refusal may come after others can see what was decided.
        let after = self.kept.decided.known(index);
        let Kept { rank, needers, dependents, .. } = &self.kept;
        let is_unknown = |kind: ChangeKind| kind == ChangeKind::Unknown;
        if is_unknown(before.0) != is_unknown(after.0) {
            self.pending.desired.extend(dependents.of(index).iter().map(|index| rank[*index as usize]));
        }
        if before != after {
            self.pending.desired.extend(needers.of(index).iter().map(|index| rank[*index as usize]));
        }
        result?;
        if steps.is_empty() {
            self.kept.steps.swap_remove(&index);
        } else {
            self.kept.steps.insert(index, steps);
        }
        Ok(())
    }

    fn decide_orphan(&mut self, id: &ResourceId) -> Result<(), PlanError> {
        self.kept.orphans.swap_remove(id);
        let Some(record) = self.recorded.get(id).cloned() else { return Ok(()) };
        if self.kept.renames.contains_key(id) {
            return Ok(());
        }
        let mut steps = Steps::with_capacity(1);
        self.with_decider(|decider| decider.orphan(id, &record, &mut steps))?;
        self.kept.orphans.insert(id.clone(), steps);
        Ok(())
    }

    fn with_decider<T>(&mut self, work: impl FnOnce(&mut Decider<'_>) -> T) -> T {
        let mut decided = std::mem::take(&mut self.kept.decided);
        let mut decider =
            Decider { input: self.input(), renames: &self.kept.renames, decided: &mut decided, matched: 0 };
        let result = work(&mut decider);
        self.kept.decided = decided;
        result
    }
}

impl Kept {
    /// Nothing decided, in this order.
    fn new(topology: Topology, desired: &Desired) -> Self {
        let len = desired.resources.len();
        let mut rank = vec![0; len];
        for (at, index) in topology.order().iter().enumerate() {
            rank[*index as usize] = at as u32;
        }
        let indices = 0..len as u32;
        let dependents = Adjacency::new(
            len,
            indices.flat_map(|index| topology.dependencies(index).iter().map(move |on| (*on, index))),
        );
        let mut needs = Vec::new();
        let mut renamed = Set::default();
        for (index, resource) in desired.resources.values().enumerate() {
            let referenced = resource.references.iter().map(|reference| &reference.from);
            for id in referenced.chain(&resource.extra().restart_on) {
                let on = desired.resources.get_index_of(id).expect("invariant: the state was checked");
                needs.push((on as u32, index as u32));
            }
            if let Some(from) = &resource.extra().renamed_from {
                renamed.extend([from.clone(), resource.id.clone()]);
            }
        }
        Self {
            topology,
            rank,
            dependents,
            needers: Adjacency::new(len, needs.iter().copied()),
            renamed,
            decided: Decided::new(len),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests;
