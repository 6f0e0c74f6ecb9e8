//! A desired state that is kept beside what is there, while a manager runs: a plan costs what has changed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use super::begun::doubt_health;
use super::look::look_at_all;
use super::planned::{Sight, is_by_record};
use super::{ApplyReport, ManageError, Manager, Planned};
use crate::content::Content;
use crate::execute::{ProgressSink, StopHandle, Surroundings, unseen};
use crate::model::secret::Vault;
use crate::model::{Desired, DesiredResource, Digest, HostName, HostSpec, Observation, ResourceId, Set};
use crate::plan::{Observed, Planner};

/// A desired state that a running [`Manager`] keeps in step with what is there. [`Manager::plan`] looks at everything;
/// this looks at what was named, and decides anew what that may alter. It holds no reference to its manager, so that a
/// service keeps both side by side; with another manager than its own it plans nothing.
///
/// ```
/// # use detc_core::manage::{ManageError, Manager};
/// # use detc_core::model::Desired;
/// # use detc_core::resource::value::ValueSpec;
/// # async fn f(manager: &Manager, desired: Desired) -> Result<(), Box<dyn std::error::Error>> {
/// let mut live = manager.live(desired).await?;
/// live.set(ValueSpec::resource("capacity", &serde_json::json!(12))?);
/// let planned = live.plan(manager).await?;
/// println!("{}", planned.plan);
/// live.apply(manager, planned).await?.into_result()?;
/// # Ok(())
/// # }
/// ```
///
/// # Cost
///
/// What a [`Planner`] costs, and a look at each resource that is new, was named by [`look`](Live::look), or had a part in
/// the last plan that was applied. After a change of one resource that is independent of how many there are. With
/// invariants also the reading, once, of those of the last runs that did not end well.
///
/// # Caveats
///
/// What others change in the world is seen when it is looked at: name what an event was about, or everything from time to
/// time. Only one `Live` of a manager should apply at a time, and nothing else: what another wrote is not read again.
#[derive(Debug)]
pub struct Live {
    planner: Planner,
    /// What looks and plans need, without what is recorded.
    around: Surroundings,
    /// What is to be looked at, and its record read again, before the next plan.
    touched: BTreeSet<ResourceId>,
    /// What the last runs began and did not end well, where there are invariants: whether it works is in doubt.
    half_done: Set<ResourceId>,
    /// What has references and is not recorded: where it would be depends on what others are.
    late: BTreeSet<ResourceId>,
    /// Whether what these refer to may have changed.
    is_moved: bool,
    /// Whether everything is to be looked at, and read again.
    all: bool,
    /// Whether hosts were declared since the last look.
    has_new_hosts: bool,
}

impl Manager {
    /// Looks at everything once, and keeps `desired` beside it from then on.
    ///
    /// Cancellation: a dropped call leaves nothing behind.
    ///
    /// # Errors
    /// When the desired state is wrong, or the store fails.
    pub async fn live(&self, desired: Desired) -> Result<Live, ManageError> {
        desired.check(&self.registry)?;
        self.catch_up().await?;
        let declared: BTreeSet<HostName> = desired.hosts.keys().cloned().collect();
        let mut desired = std::borrow::Cow::Owned(desired);
        self.add_known_hosts(&mut desired).await?;
        let desired = desired.into_owned();
        let known_hosts = desired.hosts.keys().filter(|name| !declared.contains(*name)).cloned().collect();
        let vault = Arc::new(Mutex::new(Vault::new()));
        self.keep_secrets(&desired, &vault);
        let (looks, mut observed) = self.looks(&desired, &vault)?;
        let mut around = self.surroundings(&desired, vault.clone());
        let needed = looks.iter().filter_map(|look| look.host.clone()).collect();
        around.hosts = self.connect(&desired.hosts, &needed).await;
        look_at_all(&Arc::new(around.clone()), looks, &mut observed, &mut unseen()).await;
        self.add_doubts(&desired, &mut observed);
        let half_done = self.half_done_for(!desired.invariants.is_empty()).await?;
        doubt_health(&half_done, &mut observed);
        around.recorded = Arc::default();
        let recorded = (*self.recorded()).clone();
        let planner = Planner::new(desired, (recorded, observed), self.registry.clone(), self.key.clone());
        let mut planner = planner.with_vault(vault).with_known_hosts(known_hosts);
        planner.half_done(half_done.clone());
        let mut live = Live {
            planner,
            around,
            touched: BTreeSet::new(),
            late: BTreeSet::new(),
            half_done,
            is_moved: false,
            all: false,
            has_new_hosts: false,
        };
        let late = live.desired().resources.values().filter(|it| live.is_late(it, self));
        live.late = late.map(id_of).collect();
        Ok(live)
    }
}

impl Live {
    /// The desired state as it is now.
    pub fn desired(&self) -> &Desired {
        self.planner.desired()
    }

    /// Adds a resource to the desired state, or replaces the one of that id. It is checked at the next plan.
    pub fn set(&mut self, resource: DesiredResource) {
        if !self.is_by_record(&resource.id) {
            self.touched.insert(resource.id.clone());
        }
        self.is_moved = true;
        self.planner.set(resource);
    }

    /// Takes a resource out of the desired state: what is recorded of it will be removed. Returns whether it was desired.
    pub fn remove(&mut self, id: &ResourceId) -> bool {
        let was_desired = self.desired().resources.contains_key(id);
        self.is_moved = true;
        self.planner.remove(id);
        was_desired
    }

    /// Adds the content of a file that a spec names by its digest, as a [`Source`](crate::resource::Source) does.
    pub fn content(&mut self, content: impl Into<Content>) -> Digest {
        let content = content.into();
        let digest = Digest::of_content(&content);
        Arc::make_mut(&mut self.around.blobs).insert(digest, content);
        digest
    }

    /// Declares a host, or declares it otherwise: then it is connected anew, and what is on it is looked at again.
    pub fn host(&mut self, name: &str, spec: HostSpec) {
        let host = HostName::new(name);
        self.around.hosts.remove(&host);
        self.has_new_hosts = true;
        let on_it =
            self.desired().resources.values().filter(|resource| resource.host.as_ref() == Some(&host));
        let on_it: Vec<ResourceId> = on_it.map(id_of).collect();
        self.touched.extend(on_it);
        self.planner.host(name, spec);
    }

    /// Has a resource looked at again, and its record read again, before the next plan. An id that is neither desired nor
    /// recorded is nothing to look at.
    pub fn look(&mut self, id: &ResourceId) {
        self.touched.insert(id.clone());
    }

    /// Has everything looked at again, and read again, before the next plan.
    pub fn look_at_all(&mut self) {
        self.all = true;
    }

    /// Looks at what is to be looked at, and plans. Changes nothing.
    ///
    /// Cancellation: a dropped call has forgotten nothing; the next one looks again.
    ///
    /// # Errors
    /// When the desired state is wrong, or asks for something that is refused: correct it, and plan again. When the store
    /// fails. [`ManageError::Foreign`] when `manager` is not the one that it was made by.
    pub async fn plan(&mut self, manager: &Manager) -> Result<Planned, ManageError> {
        if self.around.scope != manager.scope {
            return Err(ManageError::Foreign);
        }
        self.catch_up(manager).await?;
        let plan = Arc::new(self.planner.plan()?);
        crate::plan::check_own(&plan, &manager.own_dirs(&plan.hosts), &manager.registry)?;
        let mut around = self.around.clone();
        around.recorded = manager.recorded();
        Ok(Planned { plan, around, seen: None })
    }

    /// Applies a plan. Whatever comes of it, what it was about is looked at again before the next plan.
    ///
    /// Cancellation: a dropped call leaves what a crash leaves, to be resumed.
    ///
    /// # Errors
    /// Those of [`Manager::apply`].
    pub async fn apply(&mut self, manager: &Manager, planned: Planned) -> Result<ApplyReport, ManageError> {
        self.apply_with(manager, planned, unseen(), StopHandle::new()).await
    }

    /// Applies a plan, tells `sink` how it goes, and stops in good order when `stop` says so.
    ///
    /// Cancellation: a dropped call leaves what a crash leaves, to be resumed.
    ///
    /// # Errors
    /// Those of [`Manager::apply_with`].
    pub async fn apply_with(
        &mut self,
        manager: &Manager,
        planned: Planned,
        sink: ProgressSink,
        stop: StopHandle,
    ) -> Result<ApplyReport, ManageError> {
        self.touched.extend(planned.plan.touched());
        manager.apply_with(planned, sink, stop).await
    }

    /// Reads and looks at what was touched.
    async fn catch_up(&mut self, manager: &Manager) -> Result<(), ManageError> {
        if self.has_new_hosts {
            self.around.state_dirs.extend(manager.state_dirs(&self.planner.desired().hosts));
            self.has_new_hosts = false;
        }
        if self.is_moved || !self.touched.is_empty() {
            self.touched.extend(self.late.iter().cloned());
        }
        if self.touched.is_empty() && !self.all {
            return Ok(());
        }
        manager.catch_up().await?;
        let half_done = manager.half_done_for(!self.planner.desired().invariants.is_empty()).await?;
        // What is in doubt by now, and what is no longer: a run that told of it may be too long ago.
        self.touched.extend(half_done.symmetric_difference(&self.half_done).cloned());
        let len = if self.all { usize::MAX } else { self.touched.len() };
        manager.refresh(len, || self.touched.clone()).await?;
        let recorded = manager.recorded();
        if self.all {
            // What others have recorded since, and what they have removed.
            let known = self.planner.recorded_ids().chain(recorded.keys());
            self.touched.extend(known.chain(self.planner.desired().resources.keys()).cloned());
        }
        let vault = self.around.vault.clone();
        let (mut looks, mut observed) = (Vec::new(), Observed::default());
        for id in &self.touched {
            if let Some(resource) = self.desired().resources.get(id) {
                manager.keep_secrets_of(self.desired(), resource, &vault);
            }
            match manager.sight(self.planner.desired(), id, &vault)? {
                Sight::Look(look) => looks.push(look),
                Sight::Known(seen) => _ = observed.insert(id.clone(), seen),
                Sight::Nothing => {}
            }
        }
        let known = &self.around.hosts;
        let missing = looks.iter().filter_map(|look| look.host.clone());
        let missing = missing.filter(|host| !matches!(known.get(host), Some(Ok(_)))).collect();
        let connected = manager.connect(&self.planner.desired().hosts, &missing).await;
        self.around.hosts.extend(connected);
        let around = Surroundings { recorded: recorded.clone(), ..self.around.clone() };
        look_at_all(&Arc::new(around), looks, &mut observed, &mut unseen()).await;
        doubt_health(&half_done, &mut observed);
        self.planner.half_done(half_done.clone());
        self.half_done = half_done;
        let doubts = manager.doubted();
        for id in std::mem::take(&mut self.touched) {
            self.planner.recorded(&id, recorded.get(&id).cloned());
            let desired = self.planner.desired().resources.get(&id);
            let before = desired.and_then(|resource| resource.given_extra()?.renamed_from.as_ref());
            let doubt = doubts.get(&id).or_else(|| doubts.get(before?));
            let doubt = doubt.cloned().map(Observation::Unknown);
            self.planner.observed(&id, doubt.or_else(|| observed.swap_remove(&id)));
            let is_late =
                self.desired().resources.get(&id).is_some_and(|resource| self.is_late(resource, manager));
            if is_late {
                self.late.insert(id)
            } else {
                self.late.remove(&id)
            };
        }
        (self.is_moved, self.all) = (false, false);
        Ok(())
    }

    fn is_late(&self, resource: &DesiredResource, manager: &Manager) -> bool {
        !resource.references.is_empty()
            && !self.is_by_record(&resource.id)
            && !manager.recorded().contains_key(&resource.id)
    }

    fn is_by_record(&self, id: &ResourceId) -> bool {
        self.around.registry.kind(id.kind()).is_some_and(|kind| is_by_record(kind.facts()))
    }
}

fn id_of(resource: &DesiredResource) -> ResourceId {
    resource.id.clone()
}

#[cfg(test)]
mod tests;
