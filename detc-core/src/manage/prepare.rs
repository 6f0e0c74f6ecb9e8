//! A saved plan, made ready to be applied: all that it was derived from has to be so still.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::begun::doubt_health;
use super::look::{Look, look_at_all};
use super::planned::{Planned, StaleAction, base_id, broken, check_complete};
use super::{ManageError, Manager};
use crate::diff::Reason;
use crate::execute::ProgressSink;
use crate::model::secret::Vault;
use crate::model::{Desired, HostName, Observation, Predicate, ResourceId, Set, Topology};
use crate::plan::{self, Observed, Plan, PlanInput, PlannedAction};

impl Manager {
    /// Makes a saved plan ready to be applied, if everything that it was derived from is still so. With the desired state
    /// it is checked against that as well, and sensitive values come from there.
    ///
    /// What it was proven to keep is proven anew, for the world as it is now. Linear in its actions, each of which is looked at;
    /// where it keeps invariants, in what is recorded.
    ///
    /// Cancellation: a dropped call leaves nothing behind.
    ///
    /// # Errors
    /// When the store fails, or another manager leads by now;
    /// [`ManageError::Stale`] with the actions whose ground has moved, [`ManageError::Unproven`] and [`ManageError::Broken`]
    /// where an invariant is not known to be kept any more, [`ManageError::NotKept`] where the desired state has to be given
    /// with it, and what is wrong with the desired state that was given.
    pub async fn prepare(
        &self,
        plan: Plan,
        desired: Option<&Desired>,
        sink: &mut ProgressSink,
    ) -> Result<Planned, ManageError> {
        self.catch_up().await?;
        let vault = Arc::new(Mutex::new(Vault::new()));
        let empty = Desired::new();
        if let Some(desired) = desired {
            desired.check(&self.registry)?;
        }
        let given = desired.unwrap_or(&empty);
        plan::check_swept(&plan, given, &self.recorded(), &self.registry)?;
        plan::check_own(&plan, &self.own_dirs(&plan.hosts), &self.registry)?;
        let mut around = self.surroundings(given, vault.clone());
        let mut needed: BTreeSet<HostName> =
            plan.actions.iter().filter_map(|action| action.host.clone()).collect();
        let recorded = self.recorded();
        let mut looks: Vec<Look> = Vec::new();
        let mut observed = Observed::default();
        self.keep_secrets(given, &vault);
        for (index, action) in plan.actions.iter().enumerate() {
            let id = plan.resource_of(index as u32);
            let base = self.body_as(base_id(action, id), id)?;
            let by_record = self.is_by_record(id);
            if by_record || observed.contains_key(id) {
                continue;
            }
            let (spec, host) = match &base {
                Some(body) if self.unread(id, body).is_some() => {
                    match self.look_spec_of_unread(id, &action.spec) {
                        Some(spec) => (spec, action.host.clone()),
                        None => {
                            observed.insert(id.clone(), Observation::Unobservable);
                            continue;
                        }
                    }
                }
                Some(body) => {
                    let vault = vault.lock().unwrap_or_else(PoisonError::into_inner);
                    (vault.with_known(&body.spec, &action.spec), body.host.clone())
                }
                None if action.spec.may_hold_references() => {
                    observed.insert(id.clone(), Observation::Absent);
                    continue;
                }
                None => (action.spec.clone(), action.host.clone()),
            };
            needed.extend(host.clone());
            let extra = action.recording.as_ref().and_then(|recording| recording.extra.clone());
            looks.push(Look { id: id.clone(), host, spec, extra, base });
        }
        looks.extend(self.looks_of_counted(&plan, &looks)?);
        needed.extend(looks.iter().filter_map(|look| look.host.clone()));
        around.hosts = self.connect(&plan.hosts, &needed).await;
        around.state_dirs = self.state_dirs(&plan.hosts);
        let around = Arc::new(around);
        look_at_all(&around, looks, &mut observed, sink).await;
        // What others decide is nowhere but in the world: it is had when it was looked at.
        check_complete(&plan, 0..plan.actions.len() as u32, &around)?;
        let mut stale = Vec::new();
        for (index, action) in plan.actions.iter().enumerate() {
            let id = plan.resource_of(index as u32);
            let seen = observed.get(id).unwrap_or(&Observation::Unobservable);
            let record = recorded.get(base_id(action, id));
            let body = self.body(base_id(action, id))?;
            let extra = match &action.recording {
                Some(recording) => recording.extra.as_deref(),
                None => body.as_ref().and_then(|body| body.extra.as_deref()),
            };
            // What is there now another action removes first, and has it for its own basis.
            let is_to_go =
                matches!(plan.change_of(action).reason, Reason::Renames(_) | Reason::TakesPlace(_));
            let moved = if !is_to_go && plan::basis(record, seen, extra) != action.basis {
                Some("what was recorded or observed of it has changed".to_owned())
            } else if desired.is_some() && !self.is_still_desired(&plan, index as u32, given, &vault) {
                Some("the desired state of it has changed".to_owned())
            } else if let Some(host) = action.host.as_ref().filter(|host| is_elsewhere(host, &plan, given)) {
                Some(format!("the declaration of host `{host}` has changed"))
            } else {
                self.used_otherwise(action)?.map(|from| format!("a value of {from} that it uses has changed"))
            };
            if let Some(what) = moved {
                let action = plan.action_id(index as u32);
                stale.push(StaleAction { action, resource: id.clone(), what });
            }
        }
        if !stale.is_empty() {
            return Err(ManageError::Stale(stale));
        }
        let half_done = self.half_done_for(!plan.proofs.is_empty()).await?;
        doubt_health(&half_done, &mut observed);
        self.check_proven(&plan, desired, (&observed, &half_done))?;
        let around = Arc::try_unwrap(around).unwrap_or_else(|shared| (*shared).clone());
        Ok(Planned { plan: Arc::new(plan), around, seen: None })
    }

    /// The looks at all else that the invariants of a plan count, and that predicates are about.
    fn looks_of_counted(&self, plan: &Plan, looks: &[Look]) -> Result<Vec<Look>, ManageError> {
        let asked = self.registry.predicates().iter().map(Predicate::selector);
        let summed = plan.proofs.iter().map(|proved| proved.invariant.measure.selector());
        let selectors: Vec<_> = summed.chain(asked).collect();
        let looked: Set<&ResourceId> = looks.iter().map(|look| &look.id).collect();
        let mut more = Vec::new();
        for id in self.recorded().keys() {
            let is_of_kind = |kind: &Option<String>| kind.as_ref().is_none_or(|kind| kind == id.kind());
            if looked.contains(id)
                || self.is_by_record(id)
                || !selectors.iter().any(|selector| is_of_kind(&selector.kind))
            {
                continue;
            }
            let Some(body) = self.body(id)? else { continue };
            let (labels, host) = (body.labels(), body.host.clone());
            if selectors.iter().any(|selector| selector.matches(id, host.as_ref(), &labels)) {
                let (spec, extra) = (body.spec.clone(), body.extra.clone());
                more.push(Look { id: id.clone(), host, spec, extra, base: Some(body) });
            }
        }
        Ok(more)
    }

    /// Whose value that stands in the spec of an action is another by now.
    fn used_otherwise(&self, action: &PlannedAction) -> Result<Option<ResourceId>, ManageError> {
        let uses = action.recording.as_ref().and_then(|recording| recording.uses.as_ref());
        for used in uses.into_iter().flat_map(|uses| uses.iter()) {
            let now = self.body(&used.from)?.and_then(|body| body.lookup(&used.output));
            if plan::Used::new(&used.from, &used.output, now.as_ref()) != *used {
                return Ok(Some(used.from.clone()));
            }
        }
        Ok(None)
    }

    /// That a plan keeps what it was proven to keep in the world as it is now, and all that is to be kept by now.
    fn check_proven(
        &self,
        plan: &Plan,
        desired: Option<&Desired>,
        (observed, half_done): (&Observed, &Set<ResourceId>),
    ) -> Result<(), ManageError> {
        let is_proven = |name: &str| {
            let wanted = desired?.invariants.iter().find(|invariant| invariant.name == name);
            Some(plan.proofs.iter().any(|proved| Some(&proved.invariant) == wanted))
        };
        let mut wanted = desired.iter().flat_map(|desired| &desired.invariants);
        if let Some(new) = wanted.find(|invariant| is_proven(&invariant.name) == Some(false)) {
            return Err(ManageError::Unproven(new.name.clone()));
        }
        let predicates = self.registry.predicates();
        let is_known = |name: &str| predicates.iter().any(|predicate| predicate.name() == name);
        if let Some(found) = plan.examined.iter().find(|found| !is_known(&found.name)) {
            let story = "this program has no such predicate, so that it can not be asked again".to_owned();
            return Err(ManageError::Broken { name: found.name.clone(), story });
        }
        if plan.proofs.is_empty() && predicates.is_empty() {
            return Ok(());
        }
        let input = PlanInput {
            desired: &Desired::new(),
            topology: &Topology::default(),
            recorded: &self.recorded(),
            observed,
            half_done,
            registry: &self.registry,
            key: &self.key,
        };
        broken(&plan.proven_in(&input)?).map_or(Ok(()), Err)
    }
}

/// Whether a host is declared otherwise than it was for the plan.
fn is_elsewhere(host: &HostName, plan: &Plan, desired: &Desired) -> bool {
    desired.hosts.get(host).is_some_and(|declared| plan.hosts.get(host) != Some(declared))
}
