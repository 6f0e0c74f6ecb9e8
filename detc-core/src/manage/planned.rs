//! From a desired state to a plan that can be applied, and back from a saved one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::begun::doubt_health;
use super::look::{Look, look_at_all};
use super::{ManageError, Manager, records};
use crate::diff::{ChangeKind, Differ, intent_digest};
use crate::execute::journal::RunNumber;
use crate::execute::{ProgressSink, Surroundings, how_to_settle};
use crate::model::parallel::in_parts;
use crate::model::secret::{Vault, has_mark};
use crate::model::{
    Desired, DesiredResource, Doc, HostName, Map, Observation, RecordBody, Reference, ResourceId, substitute,
};
use crate::plan::{self, BrokenInvariant, Observed, Plan, PlanInput, Selection};
use crate::resource::{ObservedBy, Removal};

/// A plan with what is needed to apply it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Planned {
    /// The plan.
    pub plan: Arc<Plan>,
    pub(super) around: Surroundings,
    /// What was seen of everything, where the plan was made of all that.
    pub(crate) seen: Option<Arc<Observed>>,
}

impl Planned {
    /// Why [`Manager::apply`] would refuse it: it could break an invariant.
    pub fn refusal(&self) -> Option<ManageError> {
        broken(&self.plan)
    }
}

/// Why a plan that could break an invariant is refused.
pub(super) fn broken(plan: &Plan) -> Option<ManageError> {
    let BrokenInvariant { name, story, .. } = plan.broken()?;
    Some(ManageError::Broken { name, story })
}

/// An action of a saved plan that was derived from what is no longer so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleAction {
    /// The action's id.
    pub action: String,
    /// Its resource.
    pub resource: ResourceId,
    /// What moved.
    pub what: String,
}

/// How a resource is seen.
#[derive(Debug)]
pub(super) enum Sight {
    /// By a look.
    Look(Look),
    /// Without one: so.
    Known(Observation),
    /// Its record says all of it.
    Nothing,
}

impl Manager {
    /// Observes, diffs and plans everything. Changes nothing. Linear in what is desired and recorded, each of which is looked
    /// at: where a program runs on, [`live`](Self::live) looks at what has changed.
    ///
    /// What can not be seen is no error: it is unknown in the plan. A plan that could break an invariant is one too: it says so,
    /// and is refused by [`apply`](Self::apply).
    ///
    /// Cancellation: a dropped call leaves nothing behind.
    ///
    /// # Errors
    /// When the desired state is wrong, or asks for something that is refused; when the store fails, or another manager has
    /// led since this one's lease ran out.
    pub async fn plan(&self, desired: &Desired) -> Result<Planned, ManageError> {
        self.plan_with(desired, &Selection::all(), &mut crate::execute::unseen()).await
    }

    /// Observes, diffs and plans a part, and tells `sink` what is being looked at. Changes nothing.
    ///
    /// Cancellation: a dropped call leaves nothing behind.
    ///
    /// # Errors
    /// Those of [`plan`](Self::plan), and [`PlanError::NoMatch`](crate::plan::PlanError::NoMatch) of a pattern that
    /// matches nothing that is desired or recorded.
    pub async fn plan_with(
        &self,
        desired: &Desired,
        selection: &Selection,
        sink: &mut ProgressSink,
    ) -> Result<Planned, ManageError> {
        self.plan_knowing(desired, None, selection, sink).await
    }

    /// The same, with the sensitive values of `known` at hand: what is removed may be found only by one of them, and they are
    /// not recorded.
    ///
    /// Cancellation: a dropped call leaves nothing behind.
    ///
    /// # Errors
    /// Those of [`plan_with`](Self::plan_with), and what is wrong with `known`.
    pub async fn plan_knowing(
        &self,
        desired: &Desired,
        known: Option<&Desired>,
        selection: &Selection,
        sink: &mut ProgressSink,
    ) -> Result<Planned, ManageError> {
        let topology = desired.check(&self.registry)?;
        if let Some(known) = known {
            known.check(&self.registry)?;
        }
        self.catch_up().await?;
        let mut desired = std::borrow::Cow::Borrowed(desired);
        self.add_known_hosts(&mut desired).await?;
        let recorded = self.recorded();
        let vault = Arc::new(Mutex::new(Vault::new()));
        self.keep_secrets(&desired, &vault);
        if let Some(known) = known {
            self.keep_secrets(known, &vault);
        }
        let looks = self.looks(&desired, &vault)?;
        let mut around = self.surroundings(&desired, vault.clone());
        // What it is made from, and is to be compared with when it is applied.
        around.recorded = recorded.clone();
        let needed: BTreeSet<HostName> = looks.0.iter().filter_map(|look| look.host.clone()).collect();
        around.hosts = self.connect(&desired.hosts, &needed).await;
        let around = Arc::new(around);
        let mut observed = looks.1;
        look_at_all(&around, looks.0, &mut observed, sink).await;
        self.add_doubts(&desired, &mut observed);
        let half_done = self.half_done_for(!desired.invariants.is_empty()).await?;
        doubt_health(&half_done, &mut observed);
        let input = PlanInput {
            desired: &desired,
            topology: &topology,
            recorded: &recorded,
            observed: &observed,
            half_done: &half_done,
            registry: &self.registry,
            key: &self.key,
        };
        let mut known = vault.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = Arc::new(plan::build_part(&input, selection, &mut known)?);
        drop(known);
        plan::check_swept(&plan, &desired, &recorded, &self.registry)?;
        plan::check_own(&plan, &self.own_dirs(&desired.hosts), &self.registry)?;
        let around = Arc::try_unwrap(around).unwrap_or_else(|shared| (*shared).clone());
        Ok(Planned { plan, around, seen: Some(Arc::new(observed)) })
    }

    /// Whether a saved plan can be applied only with the desired state: it has sensitive values or file contents, which are
    /// not kept with it.
    pub fn needs_desired(&self, plan: &Plan) -> bool {
        let nothing = self.surroundings(&Desired::new(), Arc::new(Mutex::new(Vault::new())));
        check_complete(plan, 0..plan.actions.len() as u32, &nothing).is_err()
    }

    /// Whether the desired state asks for what an action does.
    pub(super) fn is_still_desired(
        &self,
        plan: &Plan,
        index: u32,
        desired: &Desired,
        vault: &Mutex<Vault>,
    ) -> bool {
        let (action, id) = (&plan.actions[index as usize], plan.resource_of(index));
        match (&action.recording, desired.resources.get(id)) {
            (None, None) => true,
            (Some(recording), Some(resource)) => {
                let sealed = self.seal(resource, vault);
                recording.intent == intent_digest(&sealed, resource.host.as_ref())
                    && recording.relations == resource.relations_digest()
            }
            // The first half of a replacement removes something that is still desired.
            (None, Some(_)) => plan.change_of(action).kind == ChangeKind::Replace,
            (Some(_), None) => false,
        }
    }

    pub(super) fn surroundings(&self, desired: &Desired, vault: Arc<Mutex<Vault>>) -> Surroundings {
        let mut around =
            Surroundings::new(self.registry.clone(), self.key.clone(), self.scope.clone(), RunNumber(0));
        around.recorded = self.recorded();
        around.vault = vault;
        around.blobs = Arc::new(desired.blobs.clone());
        around.state_dirs = self.state_dirs(&desired.hosts);
        around.look_timeout = self.options.driver.check_timeout;
        around.limits = self.options.limits.clone();
        around
    }

    /// Hosts that were declared when a resource was made, and are not any more, are still known for its removal.
    pub(super) async fn add_known_hosts(
        &self,
        desired: &mut std::borrow::Cow<'_, Desired>,
    ) -> Result<(), ManageError> {
        for (name, spec) in records::hosts(&*self.store).await? {
            if !desired.hosts.contains_key(&name) {
                desired.to_mut().hosts.insert(name, spec);
            }
        }
        Ok(())
    }

    /// What is in doubt can not be seen, under whatever name it is desired by now.
    pub(super) fn add_doubts(&self, desired: &Desired, observed: &mut Observed) {
        let doubted = self.doubted();
        if !doubted.is_empty() {
            let renamed = desired.resources.values().filter_map(|resource| {
                let before = resource.given_extra()?.renamed_from.as_ref()?;
                Some((resource.id.clone(), doubted.get(before)?.clone()))
            });
            observed.extend(renamed.map(|(id, why)| (id, Observation::Unknown(why))));
        }
        observed.extend(doubted.into_iter().map(|(id, why)| (id, Observation::Unknown(why))));
    }

    /// What is in doubt, with what a person is told.
    pub(super) fn doubted(&self) -> BTreeMap<ResourceId, String> {
        let why = |id: &ResourceId| format!("an earlier run may have done it; {}", how_to_settle(id));
        self.doubts().into_keys().map(|id| (id.clone(), why(&id))).collect()
    }

    pub(super) fn body(&self, id: &ResourceId) -> Result<Option<RecordBody>, ManageError> {
        let recorded = self.recorded();
        let Some(record) = recorded.get(id) else { return Ok(None) };
        record.body().map(Some).map_err(|source| ManageError::Record { resource: id.to_string(), source })
    }

    /// What is recorded under an id, of the resource whose id is `id` now: it goes on by the one that it was made under.
    pub(super) fn body_as(
        &self,
        recorded: &ResourceId,
        id: &ResourceId,
    ) -> Result<Option<RecordBody>, ManageError> {
        let mut body = self.body(recorded)?;
        if let Some(body) = body.as_mut().filter(|body| recorded != id && body.made_as.is_none()) {
            body.made_as = Some(recorded.clone());
        }
        Ok(body)
    }

    /// A spec with its sensitive values marked, which go into the vault.
    pub(super) fn seal(&self, resource: &DesiredResource, vault: &Mutex<Vault>) -> Doc {
        let Some(kind) = self.registry.kind(resource.id.kind()) else { return resource.spec.clone() };
        let differ = Differ { facts: kind.facts(), key: &self.key };
        differ.sealed(resource, &mut vault.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts into the vault what a plan of `desired` has marks of.
    pub(super) fn keep_secrets(&self, desired: &Desired, vault: &Mutex<Vault>) {
        let with_secrets = in_parts(desired.resources.len(), |range| {
            let has = |index: &usize| self.has_secrets(&desired.resources[*index]);
            range.filter(has).collect::<Vec<usize>>()
        });
        for index in with_secrets.into_iter().flatten() {
            // What a reference led to was marked where it is used.
            let _late = self.resolve_now(desired, &desired.resources[index], vault, &mut Followed::new());
        }
    }

    fn has_secrets(&self, resource: &DesiredResource) -> bool {
        self.registry.kind(resource.id.kind()).is_some_and(|kind| {
            !kind.facts().traits.sensitive.is_empty() || !resource.extra().sensitive.is_empty()
        })
    }

    /// The same for one resource.
    pub(super) fn keep_secrets_of(
        &self,
        desired: &Desired,
        resource: &DesiredResource,
        vault: &Mutex<Vault>,
    ) {
        if self.has_secrets(resource) {
            let _late = self.resolve_now(desired, resource, vault, &mut Followed::new());
        }
    }

    /// What is to be looked at, and what is known without a look.
    pub(super) fn looks(
        &self,
        desired: &Desired,
        vault: &Mutex<Vault>,
    ) -> Result<(Vec<Look>, Observed), ManageError> {
        let recorded = self.recorded();
        let mut looks = Vec::new();
        let mut known = Observed::default();
        // Of most there may be nothing to look at: that is found out on all cores, and before anything is looked up.
        let desired_ids = in_parts(desired.resources.len(), |range| {
            let ids = range
                .map(|index| desired.resources.get_index(index).expect("invariant: an index of these").0);
            ids.filter(|id| !self.is_by_record(id)).collect::<Vec<_>>()
        });
        let is_gone = |id: &&ResourceId| !self.is_by_record(id) && !desired.resources.contains_key(*id);
        let recorded: Vec<&ResourceId> = recorded.keys().collect();
        let gone = in_parts(recorded.len(), |range| {
            recorded[range].iter().copied().filter(is_gone).collect::<Vec<_>>()
        });
        for id in desired_ids.into_iter().chain(gone).flatten() {
            match self.sight(desired, id, vault)? {
                Sight::Look(look) => looks.push(look),
                Sight::Known(seen) => _ = known.insert(id.clone(), seen),
                Sight::Nothing => {}
            }
        }
        Ok((looks, known))
    }

    /// Whether its record alone can tell what is there, or nothing can: its kind is not known.
    pub(super) fn is_by_record(&self, id: &ResourceId) -> bool {
        self.registry.kind(id.kind()).is_none_or(|kind| is_by_record(kind.facts()))
    }

    /// How a resource that is desired or recorded is seen.
    pub(super) fn sight(
        &self,
        desired: &Desired,
        id: &ResourceId,
        vault: &Mutex<Vault>,
    ) -> Result<Sight, ManageError> {
        if self.is_by_record(id) {
            return Ok(Sight::Nothing);
        }
        let Some(resource) = desired.resources.get(id) else {
            let Some(body) = self.body(id)? else { return Ok(Sight::Nothing) };
            if let Some(said) = self.unread(id, &body) {
                return Ok(self.sight_of_unread(desired, id, (id, body, &said), vault));
            }
            if self.is_only_forgotten(id, &body.spec, vault) {
                return Ok(Sight::Known(Observation::Unobservable));
            }
            let (spec, host, extra) = (body.spec.clone(), body.host.clone(), body.extra.clone());
            return Ok(Sight::Look(Look { id: id.clone(), host, spec, extra, base: Some(body) }));
        };
        let is_recorded = self.recorded().contains_key(id);
        let renamed = resource.extra().renamed_from.as_ref().filter(|_| !is_recorded);
        let recorded_as = renamed.unwrap_or(id);
        let base = self.body_as(recorded_as, id)?;
        if let Some(said) = base.as_ref().and_then(|body| self.unread(id, body))
            && let Some(body) = base
        {
            return Ok(self.sight_of_unread(desired, id, (recorded_as, body, &said), vault));
        }
        let (spec, host) = match &base {
            Some(body) => (self.knowable(body, desired, resource, vault), body.host.clone()),
            None => match self.resolve_now(desired, resource, vault, &mut Followed::new()) {
                Some(spec) => (spec, resource.host.clone()),
                None => return Ok(Sight::Known(Observation::Absent)),
            },
        };
        let extra = resource.given_extra().cloned().map(Box::new);
        Ok(Sight::Look(Look { id: id.clone(), host, spec, base, extra }))
    }

    /// Whether its removal drops its record alone, and a look would need a sensitive value that is not at hand: then it is not
    /// looked at for nothing.
    fn is_only_forgotten(&self, id: &ResourceId, spec: &Doc, vault: &Mutex<Vault>) -> bool {
        let is_kept =
            self.registry.kind(id.kind()).is_some_and(|kind| kind.facts().traits.removal == Removal::Forget);
        let lost = || {
            let vault = vault.lock().unwrap_or_else(PoisonError::into_inner);
            has_mark(spec.text()) && vault.open(&mut spec.value()).is_err()
        };
        is_kept && lost()
    }

    /// The spec by which a recorded resource is looked at.
    fn knowable(
        &self,
        body: &RecordBody,
        desired: &Desired,
        resource: &DesiredResource,
        vault: &Mutex<Vault>,
    ) -> Doc {
        if !has_mark(body.spec.text()) {
            return body.spec.clone();
        }
        let wanted = self.resolve_now(desired, resource, vault, &mut Followed::new());
        let vault = vault.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.map_or_else(|| body.spec.clone(), |wanted| vault.with_known(&body.spec, &wanted))
    }

    /// A spec with its references replaced by what is known before anything is planned; `None` when something is not.
    pub(super) fn resolve_now(
        &self,
        desired: &Desired,
        resource: &DesiredResource,
        vault: &Mutex<Vault>,
        followed: &mut Followed,
    ) -> Option<Doc> {
        let spec = self.seal(resource, vault);
        if !spec.may_hold_references() {
            return Some(spec);
        }
        let mut complete = true;
        let mut value = spec.value();
        let replaced = substitute(&mut value, &mut |reference| {
            // With one that is not known the rest is of no use.
            let found = if complete { self.look_up_now(desired, reference, vault, followed) } else { None };
            complete &= found.is_some();
            found
        });
        complete &= replaced.is_ok();
        let differ = Differ { facts: self.registry.kind(resource.id.kind())?.facts(), key: &self.key };
        differ.seal(resource, &mut value, &mut vault.lock().unwrap_or_else(PoisonError::into_inner));
        complete.then(|| Doc::new(&value))
    }

    fn look_up_now(
        &self,
        desired: &Desired,
        reference: &Reference,
        vault: &Mutex<Vault>,
        followed: &mut Followed,
    ) -> Option<serde_json::Value> {
        let from = desired.resources.get(&reference.from)?;
        let facts = self.registry.kind(from.id.kind())?.facts();
        let top = reference.output.segments().swap_remove(0);
        if facts.outputs.is_none_or(|outputs| outputs.contains(&top.as_str())) {
            return self.body(&reference.from).ok()??.lookup(&reference.output);
        }
        let spec = match followed.met.get(&from.id) {
            Some(spec) => spec.clone(),
            None => {
                followed.left = followed.left.checked_sub(1)?;
                let spec = self.resolve_now(desired, from, vault, followed);
                followed.left += 1;
                followed.met.insert(from.id.clone(), spec.clone());
                spec
            }
        }?;
        let mut vault = vault.lock().unwrap_or_else(PoisonError::into_inner);
        vault.part(&spec.value(), &reference.output, &self.key)
    }
}

/// What was followed of the references of one resource: each once, however often it is met.
pub(super) struct Followed {
    /// How much further it may go.
    left: u32,
    met: Map<ResourceId, Option<Doc>>,
}

impl Followed {
    pub(super) fn new() -> Self {
        Self { left: DEPTH_MAX, met: Map::default() }
    }
}

/// How long a chain of references is followed before anything is planned.
const DEPTH_MAX: u32 = 32;

/// The id under which the resource of an action was recorded before it.
pub(super) fn base_id<'a>(action: &'a plan::PlannedAction, id: &'a ResourceId) -> &'a ResourceId {
    action.renamed_from().unwrap_or(id)
}

/// That what these actions of a plan need and it does not hold is there: half of a plan is worse than none.
pub(super) fn check_complete(
    plan: &Plan,
    actions: impl IntoIterator<Item = u32>,
    around: &Surroundings,
) -> Result<(), ManageError> {
    for index in actions {
        let (action, id) = (&plan.actions[index as usize], plan.resource_of(index));
        let is_made = !action.verb.removes() && action.verb != plan::Verb::Record;
        if is_made && !around.has_all(id, &action.spec) {
            return Err(ManageError::NotKept(id.clone()));
        }
    }
    Ok(())
}

pub(super) fn is_by_record(facts: &crate::resource::KindFacts) -> bool {
    facts.traits.observed_by == ObservedBy::Record
}
