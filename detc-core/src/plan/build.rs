//! From the views of all resources to a plan.

use std::collections::BTreeMap;

use super::order::{self, Step};
use super::resolve::Resolver;
use super::{Plan, PlanError, PlannedAction, Recording, Verb};
use crate::action::CrashClass;
use crate::diff::{Change, ChangeKind, Differ, Reason, View};
use crate::model::secret::{MarkKey, Vault};
use crate::model::{
    Desired, DesiredResource, Digest, Doc, Hasher, Map, Observation, Record, Recorded, ResourceId, Topology,
};
use crate::resource::{ChangeEffect, Registry, Removal};

/// What was observed, by resource. One that is not in here has nothing to look at.
pub type Observed = Map<ResourceId, Observation>;

/// What a plan is built from.
#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    /// What should be.
    pub desired: &'a Desired,
    /// Its order.
    pub topology: &'a Topology,
    /// What was done.
    pub recorded: &'a Recorded,
    /// What is.
    pub observed: &'a Observed,
    /// The kinds.
    pub registry: &'a Registry,
    /// What marks of sensitive values are keyed with.
    pub key: &'a MarkKey,
}

static UNOBSERVABLE: Observation = Observation::Unobservable;

/// Builds the plan that leads from what is to what should be. Sensitive values are put into `vault`.
///
/// Linear in the resources, and `n log n` in the changes.
///
/// # Errors
/// When a protected resource would be destroyed, or a record is damaged.
pub fn build(input: &PlanInput<'_>, vault: &mut Vault) -> Result<Plan, PlanError> {
    let mut builder = Builder::new(*input);
    for index in input.topology.order() {
        builder.desired(*index, vault)?;
    }
    builder.orphans()?;
    builder.hold_back_removals();
    builder.finish()
}

struct Builder<'a> {
    input: PlanInput<'a>,
    resolver: Resolver<'a>,
    renames: Map<ResourceId, u32>,
    steps: Vec<Step>,
    kept: usize,
    matched: usize,
}

impl<'a> Builder<'a> {
    fn new(input: PlanInput<'a>) -> Self {
        let mut renames = Map::default();
        for (index, resource) in input.desired.resources.values().enumerate() {
            if let Some(from) = resource.extra.as_ref().and_then(|extra| extra.renamed_from.as_ref())
                && input.recorded.contains_key(from)
                && !input.recorded.contains_key(&resource.id)
                && !input.desired.resources.contains_key(from)
            {
                renames.insert(from.clone(), index as u32);
            }
        }
        Self { input, resolver: Resolver::new(input), renames, steps: Vec::new(), kept: 0, matched: 0 }
    }

    fn observed(&self, id: &ResourceId) -> &'a Observation {
        if self.input.observed.is_empty() {
            return &UNOBSERVABLE;
        }
        self.input.observed.get(id).unwrap_or(&UNOBSERVABLE)
    }

    fn desired(&mut self, index: u32, vault: &mut Vault) -> Result<(), PlanError> {
        let desired = &self.input.desired.resources[index as usize];
        let kind =
            self.input.registry.kind(desired.id.kind()).expect("invariant: the desired state was checked");
        let differ = Differ { facts: kind.facts(), key: self.input.key };
        let own = self.input.recorded.get(&desired.id);
        let renamed_from = match (own, &desired.extra().renamed_from) {
            (None, Some(from)) if self.renames.contains_key(from) => Some(from),
            _ => None,
        };
        if let Some(from) = renamed_from {
            self.resolver.renamed(index, from);
        }
        let record = own.or_else(|| self.input.recorded.get(renamed_from?));
        self.matched += usize::from(record.is_some());
        let sealed = differ.sealed(desired, vault);
        let resolved = self.resolver.resolve(desired, &sealed)?;
        let observed = self.observed(&desired.id);
        let view = View { desired, resolved: &resolved, record, renamed_from, observed };
        let mut change = differ.change(view).map_err(|source| damaged(&desired.id, source))?;
        if !matches!(change.kind, ChangeKind::Keep | ChangeKind::Unknown)
            && let Some(unknown) = self.unknown_dependency(index)
        {
            change.kind = ChangeKind::Unknown;
            change.reason = Reason::Waits(unknown);
            change.to = None;
            change.fields = Box::default();
        }
        self.resolver.decided(index, &change, &sealed, &resolved);
        if change.kind == ChangeKind::Keep {
            self.kept += 1;
            return Ok(());
        }
        if change.kind == ChangeKind::Replace {
            let recorded = record.map(|record| record.body()).transpose();
            let recorded = recorded.map_err(|source| damaged(&desired.id, source))?;
            if desired.extra().protect || recorded.is_some_and(|body| body.protected()) {
                return Err(protected(&change));
            }
        }
        self.add_desired_step(index, desired, change, record, resolved.intent, renamed_from)
    }

    fn unknown_dependency(&self, index: u32) -> Option<ResourceId> {
        let dependencies = self.input.topology.dependencies(index);
        let unknown = dependencies.iter().find(|index| self.resolver.kind(**index) == ChangeKind::Unknown)?;
        Some(self.input.desired.resources[*unknown as usize].id.clone())
    }

    fn add_desired_step(
        &mut self,
        index: u32,
        desired: &DesiredResource,
        change: Change,
        record: Option<&Record>,
        intent: Digest,
        renamed_from: Option<&ResourceId>,
    ) -> Result<(), PlanError> {
        if change.kind == ChangeKind::Unknown {
            let recorded = record.map(|record| record.body()).transpose();
            let recorded = recorded.map_err(|source| damaged(&desired.id, source))?;
            let recorded_after = recorded.map(|body| body.after).unwrap_or_default();
            self.steps.push(Step { change, index: Some(index), make: None, remove: None, recorded_after });
            return Ok(());
        }
        let kind =
            self.input.registry.kind(desired.id.kind()).expect("invariant: the desired state was checked");
        let spec = change.to.clone().expect("invariant: a change that makes something has a spec");
        let late = spec.text().contains("\"from\":");
        let crash =
            kind.inspect(&spec, late).map_or(CrashClass::DeterministicName, |footprint| footprint.crash);
        let verb = match (&change.reason, change.kind) {
            (Reason::RecordOnly | Reason::Renamed(_), _) => Verb::Record,
            (Reason::Trigger(_), _) => Verb::Restart,
            (_, ChangeKind::Adopt) => Verb::Adopt,
            (_, ChangeKind::Update) if kind.facts().traits.change == ChangeEffect::Restart => Verb::Update,
            (_, ChangeKind::Update) => Verb::Update,
            (_, _) => Verb::Create,
        };
        let basis = basis(record, self.observed(&desired.id));
        let name = |index: &u32| self.input.desired.resources[*index as usize].id.clone();
        let recording = Recording {
            intent,
            relations: desired.relations_digest(),
            after: self.input.topology.dependencies(index).iter().map(name).collect(),
            extra: desired.extra.clone(),
            renamed_from: renamed_from.cloned(),
        };
        let make = PlannedAction {
            verb,
            change: 0,
            after: Box::default(),
            host: desired.host.clone(),
            spec,
            basis,
            crash,
            recording: Some(Box::new(recording)),
        };
        let mut step =
            Step { change, index: Some(index), make: Some(make), remove: None, recorded_after: Vec::new() };
        if let Some(record) = record {
            let body = record.body().map_err(|source| damaged(&desired.id, source))?;
            if step.change.kind == ChangeKind::Replace {
                step.remove = Some(removal(&body.spec, body.host.clone(), basis, Verb::Delete));
            }
            step.recorded_after = body.after;
        }
        self.steps.push(step);
        Ok(())
    }

    /// What is recorded and no longer desired.
    fn orphans(&mut self) -> Result<(), PlanError> {
        if self.matched == self.input.recorded.len() {
            return Ok(());
        }
        for (id, record) in self.input.recorded {
            if self.input.desired.resources.contains_key(id) || self.renames.contains_key(id) {
                continue;
            }
            let body = record.body().map_err(|source| damaged(id, source))?;
            let observed = self.observed(id);
            let Some(kind) = self.input.registry.kind(id.kind()) else {
                let reason = Reason::Unobserved(format!("this program has no kind `{}`", id.kind()));
                let change = Change {
                    resource: id.clone(),
                    kind: ChangeKind::Unknown,
                    reason,
                    fields: Box::default(),
                    to: None,
                };
                self.steps.push(Step {
                    change,
                    index: None,
                    make: None,
                    remove: None,
                    recorded_after: body.after,
                });
                continue;
            };
            let change = Differ { facts: kind.facts(), key: self.input.key }.removal(id, observed);
            if body.protected() && change.kind == ChangeKind::Delete {
                return Err(protected(&change));
            }
            let verb = match (kind.facts().traits.removal, observed) {
                (Removal::Forget, _) | (Removal::Delete, Observation::Absent) => Verb::Forget,
                (Removal::Delete, _) => Verb::Delete,
            };
            let remove = (change.kind == ChangeKind::Delete)
                .then(|| removal(&body.spec, body.host.clone(), basis(Some(record), observed), verb));
            self.steps.push(Step { change, index: None, make: None, remove, recorded_after: body.after });
        }
        Ok(())
    }

    /// Holds back the removal of what a resource of which nothing is known was made after: it may still need it.
    fn hold_back_removals(&mut self) {
        let mut waiting: Vec<usize> =
            (0..self.steps.len()).filter(|at| self.steps[*at].change.kind == ChangeKind::Unknown).collect();
        if waiting.is_empty() {
            return;
        }
        // In the order of ids, so that the reason of a removal that waits for several is always the same.
        waiting.sort_by(|a, b| self.steps[*b].change.resource.cmp(&self.steps[*a].change.resource));
        let removals: Map<ResourceId, usize> = (0..self.steps.len())
            .filter(|at| self.steps[*at].index.is_none())
            .map(|at| (self.steps[at].change.resource.clone(), at))
            .collect();
        while let Some(at) = waiting.pop() {
            let unknown = self.steps[at].change.resource.clone();
            for needed in self.steps[at].recorded_after.clone() {
                let Some(at) = removals.get(&needed).copied() else { continue };
                let step = &mut self.steps[at];
                if step.change.kind == ChangeKind::Delete {
                    step.change.kind = ChangeKind::Unknown;
                    step.change.reason = Reason::Waits(unknown.clone());
                    step.remove = None;
                    waiting.push(at);
                }
            }
        }
    }

    fn finish(self) -> Result<Plan, PlanError> {
        let (changes, actions) = order::assemble(self.steps, &self.input)?;
        let hosts = &self.input.desired.hosts;
        let mut kinds = BTreeMap::new();
        for change in &changes {
            let name = change.resource.kind();
            if !kinds.contains_key(name)
                && let Some(kind) = self.input.registry.kind(name)
            {
                kinds.insert(name.to_owned(), kind.facts().schema);
            }
        }
        let mut plan = Plan {
            id: Digest::of(b""),
            kinds,
            hosts: hosts.clone(),
            changes,
            kept: self.kept,
            left_out: 0,
            actions,
            proofs: Vec::new(),
            ordered: Vec::new(),
        };
        super::keep::add_proofs(&mut plan, &self.input)?;
        plan.seal();
        Ok(plan)
    }
}

fn removal(spec: &Doc, host: Option<crate::model::HostName>, basis: Digest, verb: Verb) -> PlannedAction {
    PlannedAction {
        verb,
        change: 0,
        after: Box::default(),
        host,
        spec: spec.clone(),
        basis,
        crash: CrashClass::DeterministicName,
        recording: None,
    }
}

/// The digest of what an action is derived from, besides what is desired.
pub(crate) fn basis(record: Option<&Record>, observed: &Observation) -> Digest {
    if record.is_none() && matches!(observed, Observation::Unobservable) {
        return Digest::from([0; 32]);
    }
    let mut hasher = Hasher::new("detc.basis/1");
    hasher.part(record.map_or(&[][..], |record| record.as_bytes()));
    hasher.part(observed.fingerprint().as_bytes());
    hasher.finish()
}

fn damaged(resource: &ResourceId, source: crate::model::RecordError) -> PlanError {
    PlanError::Record { resource: resource.clone(), source }
}

fn protected(change: &Change) -> PlanError {
    PlanError::Protected {
        resource: change.resource.clone(),
        verb: change.kind,
        reason: change.reason.to_string(),
    }
}
