//! A desired state that is kept beside what is there, while a manager runs: a plan costs what has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use super::look::look_at_all;
use super::planned::{Sight, is_by_record};
use super::{ApplyReport, ManageError, Manager, Planned};
use crate::execute::{ProgressSink, StopHandle, Surroundings, unseen};
use crate::model::secret::Vault;
use crate::model::{Desired, DesiredResource, HostName, HostSpec, Observation, ResourceId};
use crate::plan::{Observed, Planner};

/// A desired state that a running [`Manager`] keeps in step with what is there. [`Manager::plan`] looks at everything;
/// this looks at what was named, and decides anew what that may alter.
///
/// ```
/// # use detc_core::manage::{ManageError, Manager};
/// # use detc_core::model::Desired;
/// # use detc_core::resource::value::ValueSpec;
/// # async fn f(manager: &Manager, desired: Desired) -> Result<(), Box<dyn std::error::Error>> {
/// let mut live = manager.live(desired).await?;
/// live.set(ValueSpec::resource("capacity", &serde_json::json!(12))?);
/// let planned = live.plan().await?;
/// println!("{}", planned.plan);
/// live.apply(planned).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Cost
///
/// What a [`Planner`] costs, and a look at each resource that is new, was named by [`look`](Live::look), or had a part in
/// the last plan that was applied. After a change of one resource that is independent of how many there are.
///
/// # Caveats
///
/// What others change in the world is seen when it is looked at: name what an event was about, or everything from time to
/// time. Only one `Live` of a manager should apply at a time, and nothing else: what another wrote is not read again.
#[derive(Debug)]
pub struct Live<'a> {
    manager: &'a Manager,
    planner: Planner,
    /// What looks and plans need, without what is recorded.
    around: Surroundings,
    /// What is to be looked at, and its record read again, before the next plan.
    touched: BTreeSet<ResourceId>,
    /// What has references and is not recorded: where it would be depends on what others are.
    late: BTreeSet<ResourceId>,
    /// Whether what these refer to may have changed.
    is_moved: bool,
}

impl Manager {
    /// Looks at everything once, and keeps `desired` beside it from then on.
    ///
    /// # Errors
    /// When the desired state is wrong, or the store fails.
    pub async fn live(&self, desired: Desired) -> Result<Live<'_>, ManageError> {
        desired.check(&self.registry)?;
        self.catch_up().await?;
        let mut desired = std::borrow::Cow::Owned(desired);
        self.add_known_hosts(&mut desired).await?;
        let desired = desired.into_owned();
        let vault = Arc::new(Mutex::new(Vault::new()));
        self.keep_secrets(&desired, &vault);
        let (looks, mut observed) = self.looks(&desired, &vault)?;
        let mut around = self.surroundings(&desired, vault.clone());
        let needed = looks.iter().filter_map(|look| look.host.clone()).collect();
        around.hosts = self.connect(&desired.hosts, &needed).await;
        look_at_all(&Arc::new(around.clone()), looks, &mut observed, &mut unseen()).await;
        self.add_doubts(&mut observed);
        around.recorded = Arc::default();
        let recorded = (*self.recorded()).clone();
        let planner = Planner::new(desired, (recorded, observed), self.registry.clone(), self.key.clone());
        let planner = planner.with_vault(vault);
        let mut live = Live {
            manager: self,
            planner,
            around,
            touched: BTreeSet::new(),
            late: BTreeSet::new(),
            is_moved: false,
        };
        live.late = live.desired().resources.values().filter(|it| live.is_late(it)).map(id_of).collect();
        Ok(live)
    }
}

impl Live<'_> {
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

    /// Takes a resource out of the desired state: what is recorded of it will be removed.
    pub fn remove(&mut self, id: &ResourceId) {
        self.is_moved = true;
        self.planner.remove(id);
    }

    /// Declares a host, or declares it otherwise: then it is connected anew, and what is on it is looked at again.
    pub fn host(&mut self, name: &str, spec: HostSpec) {
        let host = HostName::new(name);
        self.around.hosts.remove(&host);
        let state_dirs = self.manager.state_dirs(&BTreeMap::from([(host.clone(), spec.clone())]));
        self.around.state_dirs.extend(state_dirs);
        let on_it =
            self.desired().resources.values().filter(|resource| resource.host.as_ref() == Some(&host));
        let on_it: Vec<ResourceId> = on_it.map(id_of).collect();
        self.touched.extend(on_it);
        self.planner.host(name, spec);
    }

    /// Has a resource looked at again, and its record read again, before the next plan.
    pub fn look(&mut self, id: &ResourceId) {
        self.touched.insert(id.clone());
    }

    /// Has everything looked at again, and read again, before the next plan.
    pub fn look_at_all(&mut self) {
        self.touched.extend(self.planner.desired().resources.keys().cloned());
        self.touched.extend(self.manager.recorded().keys().cloned());
    }

    /// Looks at what is to be looked at, and plans. Changes nothing.
    ///
    /// Cancellation: a dropped call has forgotten nothing; the next one looks again.
    ///
    /// # Errors
    /// When the desired state is wrong, or asks for something that is refused: correct it, and plan again. When the store
    /// fails.
    pub async fn plan(&mut self) -> Result<Planned, ManageError> {
        self.catch_up().await?;
        let plan = Arc::new(self.planner.plan()?);
        let mut around = self.around.clone();
        around.recorded = self.manager.recorded();
        Ok(Planned { plan, around })
    }

    /// Applies a plan. Whatever comes of it, what it was about is looked at again before the next plan.
    ///
    /// Cancellation: a dropped call leaves what a crash leaves, to be resumed.
    ///
    /// # Errors
    /// Those of [`Manager::apply`].
    pub async fn apply(&mut self, planned: Planned) -> Result<ApplyReport, ManageError> {
        self.apply_with(planned, unseen(), StopHandle::new()).await
    }

    /// Applies a plan, tells `sink` how it goes, and stops in good order when `stop` says so.
    ///
    /// Cancellation: a dropped call leaves what a crash leaves, to be resumed.
    ///
    /// # Errors
    /// Those of [`Manager::apply_with`].
    pub async fn apply_with(
        &mut self,
        planned: Planned,
        sink: ProgressSink,
        stop: StopHandle,
    ) -> Result<ApplyReport, ManageError> {
        self.touched.extend(planned.plan.touched());
        self.manager.apply_with(planned, sink, stop).await
    }

    /// Reads and looks at what was touched.
    async fn catch_up(&mut self) -> Result<(), ManageError> {
        if self.is_moved || !self.touched.is_empty() {
            self.touched.extend(self.late.iter().cloned());
        }
        if self.touched.is_empty() {
            return Ok(());
        }
        self.manager.catch_up().await?;
        self.manager.refresh(self.touched.len(), || self.touched.clone()).await?;
        let recorded = self.manager.recorded();
        let vault = self.around.vault.clone();
        let (mut looks, mut observed) = (Vec::new(), Observed::default());
        for id in &self.touched {
            if let Some(resource) = self.desired().resources.get(id) {
                self.manager.keep_secrets_of(self.desired(), resource, &vault);
            }
            match self.manager.sight(self.planner.desired(), id, &vault)? {
                Sight::Look(look) => looks.push(look),
                Sight::Known(seen) => _ = observed.insert(id.clone(), seen),
                Sight::Nothing => {}
            }
        }
        let known = &self.around.hosts;
        let missing = looks.iter().filter_map(|look| look.host.clone());
        let missing = missing.filter(|host| !matches!(known.get(host), Some(Ok(_)))).collect();
        let connected = self.manager.connect(&self.planner.desired().hosts, &missing).await;
        self.around.hosts.extend(connected);
        let around = Surroundings { recorded: recorded.clone(), ..self.around.clone() };
        look_at_all(&Arc::new(around), looks, &mut observed, &mut unseen()).await;
        let doubts = self.manager.doubted();
        for id in std::mem::take(&mut self.touched) {
            self.planner.recorded(&id, recorded.get(&id).cloned());
            let doubt = doubts.get(&id).cloned().map(Observation::Unknown);
            self.planner.observed(&id, doubt.or_else(|| observed.swap_remove(&id)));
            let is_late = self.desired().resources.get(&id).is_some_and(|resource| self.is_late(resource));
            if is_late {
                self.late.insert(id)
            } else {
                self.late.remove(&id)
            };
        }
        self.is_moved = false;
        Ok(())
    }

    fn is_late(&self, resource: &DesiredResource) -> bool {
        !resource.references.is_empty()
            && !self.is_by_record(&resource.id)
            && !self.manager.recorded().contains_key(&resource.id)
    }

    fn is_by_record(&self, id: &ResourceId) -> bool {
        self.manager.registry.kind(id.kind()).is_some_and(|kind| is_by_record(kind.facts()))
    }
}

fn id_of(resource: &DesiredResource) -> ResourceId {
    resource.id.clone()
}
