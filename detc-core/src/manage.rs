//! The manager: observe → diff → plan → execute, on one store, with one leader.
//!
//! ```text
//!   open ──▶ lead ──▶ plan(desired) ──▶ Planned ──apply──▶ RunReport
//!                        ▲ observe           │ save, review, prepare again
//!                        └── status          └──▶ refused when stale
//! ```
//!
//! A manager owns its store while it is open: a second one is refused until the first has closed or died. What is here
//! ties the parts together; it decides nothing that a plan should say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::execute::journal::{self, JournalError, RunNumber};
use crate::model::secret::MarkKey;
use crate::model::{FieldPath, InvalidState, Record, Recorded, ResourceId, Set};
use crate::plan::{PlanError, PlannerError};
use crate::resource::Registry;
use crate::store::{Compare, Store, StoreError};

mod again;
mod begun;
mod clock;
mod identity;
mod lead;
mod live;
mod look;
mod options;
mod planned;
mod prepare;
mod records;
mod rehearse;
mod report;
mod resume;
mod run;
mod status;
mod tally;
mod versions;

pub use clock::{Clock, SystemClock};
pub use live::Live;
pub use options::ManagerOptions;
pub use planned::{Planned, StaleAction};
pub use rehearse::{Rehearsal, RehearsalOptions};
#[cfg(feature = "cli")]
pub(crate) use report::spoken;
pub use report::{ApplyReport, NotDone};
pub use resume::{Resumed, Settlement};
pub use status::{ResourceStatus, StatusState};

/// Manages a cluster by its desired state. See the [module](self).
///
/// ```
/// # use std::sync::Arc;
/// # use detc_core::{Desired, Manager, Registry};
/// # use detc_core::manage::ManagerOptions;
/// # use detc_core::resource::value::ValueSpec;
/// # use detc_core::store::memory::MemoryStore;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryStore::new());
/// let manager = Manager::open(store, Registry::new(), ManagerOptions::default()).await?;
/// let three = Desired::new().with(ValueSpec::resource("replicas", &3.into())?);
/// manager.apply(manager.plan(&three).await?).await?.into_result()?;
///
/// // A change is another desired state; what is no longer in it is removed.
/// let planned = manager.plan(&Desired::new()).await?;
/// assert_eq!(planned.plan.action_id(0), "forget:value/replicas");
/// manager.close().await?;
/// # Ok(())
/// # }
/// ```
pub struct Manager {
    store: Arc<dyn Store>,
    registry: Registry,
    options: ManagerOptions,
    scope: String,
    key: MarkKey,
    leadership: Mutex<Option<lead::Leadership>>,
    recorded: Mutex<Arc<Recorded>>,
    /// Whether a run wrote records that may not have been read again: it failed, or its call was dropped.
    stale: AtomicBool,
    /// Whether a run goes on: one at a time, as its journal is the one that the next one would resume.
    running: AtomicBool,
    doubts: Mutex<BTreeMap<ResourceId, bytes::Bytes>>,
    /// What the last runs that have ended tell of what they did, where that was asked.
    told: Mutex<BTreeMap<RunNumber, Arc<begun::Told>>>,
    /// Held by whoever reads again what is recorded.
    refreshing: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manager").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// Why a manager did not do as asked. Variants differ by what the caller does next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManageError {
    /// The desired state is wrong: correct it.
    #[error(transparent)]
    Invalid(#[from] InvalidState),
    /// There is no plan: the desired state asks for something that is refused.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The store failed, or another manager holds it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What an earlier version left can not be understood.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What is recorded can not be understood.
    #[error("the record of {resource} can not be read")]
    Record {
        /// The resource.
        resource: String,
        /// Why.
        #[source]
        source: crate::model::RecordError,
    },
    /// The plan was made for another state of things: plan again.
    #[error("the plan is stale: {} of its actions {} derived from what is no longer so", .0.len(), if .0.len() == 1 { "was" } else { "were" })]
    Stale(Vec<StaleAction>),
    /// The plan could break an invariant, and no order was found in which it does not.
    #[error("this plan could break the invariant `{name}`: {story}")]
    Broken {
        /// The invariant.
        name: String,
        /// How, in words.
        story: String,
    },
    /// A saved plan was not proven to keep an invariant that is to be kept by now: plan again.
    #[error("the plan was not proven to keep the invariant `{0}` as it is now")]
    Unproven(String),
    /// A saved plan needs sensitive values or file contents, which it does not hold: give the desired state with it.
    #[error("the plan does not hold the sensitive values and file contents of {0}: the desired state does")]
    NotKept(ResourceId),
    /// A run was interrupted: [finish](Manager::finish_interrupted) it first, or [give it up](Manager::give_up).
    #[error("{0} was interrupted and is not finished: resume it first, or give it up")]
    Unfinished(RunNumber),
    /// A run of this manager goes on: wait for its end.
    #[error("another run of this manager goes on")]
    Busy,
    /// The plan was made by a manager of another store.
    #[error("the plan was made with another store")]
    Foreign,
    /// A plan can be rehearsed only with all that it was made from: make it with [`Manager::plan_with`].
    #[error("what this plan was made from is not at hand: plan again, and rehearse that")]
    NotSeen,
    /// It was opened to read only.
    #[error("this manager only reads: it was opened without taking the lead")]
    ReadOnly,
    /// There is no such run.
    #[error("there is no {0}")]
    NoRun(RunNumber),
    /// There is no record of this resource to forget.
    #[error("there is no record of {0}")]
    NoRecord(ResourceId),
    /// It is not to be forgotten: this program can read what is recorded of it, and manages it.
    #[error("{0} is managed by this program: take it out of the desired state, and it is removed")]
    Managed(ResourceId),
    /// Nothing is in doubt about this resource.
    #[error("nothing is in doubt about {0}")]
    NoDoubt(ResourceId),
}

impl From<PlannerError> for ManageError {
    fn from(error: PlannerError) -> Self {
        match error {
            PlannerError::Invalid(error) => Self::Invalid(error),
            PlannerError::Plan(error) => Self::Plan(error),
        }
    }
}

impl Manager {
    /// Opens a store and takes the lead on it. What is recorded is read once, and kept in memory.
    ///
    /// When its lease runs out, since the process was paused or the store away, the next call takes the lead again, unless
    /// somebody else has had it meanwhile: then each call fails with [`StoreError::Held`], and this manager is to be dropped.
    ///
    /// Cancellation: a lead that a dropped call had taken runs out with its lease.
    ///
    /// # Errors
    /// [`StoreError::Held`] when another manager leads; otherwise when the store fails, or what it holds can not be understood.
    pub async fn open(
        store: Arc<dyn Store>,
        registry: Registry,
        options: ManagerOptions,
    ) -> Result<Self, ManageError> {
        let leadership = lead::take(&store, &options, None).await?;
        let lease = leadership.lease;
        let opened = Self::open_with(store.clone(), registry, options, Some(leadership)).await;
        if opened.is_err() {
            // Whoever tries again must not be refused by what this one held. Otherwise it runs out by itself.
            let _runs_out = store.revoke(lease).await;
        }
        opened
    }

    /// Opens the embedded store in `dir`, made when it is not there, and takes the lead on it.
    ///
    /// Cancellation: as of [`open`](Self::open).
    ///
    /// # Errors
    /// [`StoreError::Held`] when another process has it open; otherwise those of [`open`](Self::open).
    #[cfg(feature = "file-store")]
    pub async fn embedded(dir: impl AsRef<std::path::Path>, registry: Registry) -> Result<Self, ManageError> {
        let dir = dir.as_ref();
        let store = crate::store::file::FileStore::open(dir).await?;
        let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
        let options = ManagerOptions::default().with_state_dir(absolute.join("hosts").display().to_string());
        Self::open(Arc::new(store), registry, options).await
    }

    /// Opens a store to plan and to look, without taking the lead: several may do so at once, where the store allows it. What
    /// would write is refused with [`ManageError::ReadOnly`].
    ///
    /// Cancellation: a dropped call leaves nothing behind.
    ///
    /// # Errors
    /// When the store can not be opened or understood.
    pub async fn open_reader(
        store: Arc<dyn Store>,
        registry: Registry,
        options: ManagerOptions,
    ) -> Result<Self, ManageError> {
        Self::open_with(store, registry, options, None).await
    }

    /// The same manager without its store, for one that only reads and now looks at the world, which may take long: others
    /// can have the store meanwhile. It keeps what it has read, and of each run the head.
    #[cfg(feature = "cli")]
    pub(crate) async fn without_store(mut self) -> Result<Self, ManageError> {
        let heads = journal::heads(&*self.store).await?;
        let mut writes: Vec<_> = heads.iter().map(journal::put_head).collect();
        writes.push(records::put_hosts(&records::hosts(&*self.store).await?));
        let kept = Arc::new(crate::store::memory::MemoryStore::new());
        journal::commit_guarded(&*kept, Vec::new(), writes).await?;
        self.store = kept;
        Ok(self)
    }

    async fn open_with(
        store: Arc<dyn Store>,
        registry: Registry,
        options: ManagerOptions,
        leadership: Option<lead::Leadership>,
    ) -> Result<Self, ManageError> {
        let identity = identity::read_or_make(&*store, &*options.clock).await?;
        let recorded = records::read(&*store).await?;
        let doubts = records::doubts(&*store).await?;
        Ok(Self {
            store,
            registry,
            options,
            scope: identity.scope,
            key: identity.key,
            leadership: Mutex::new(leadership),
            recorded: Mutex::new(Arc::new(recorded)),
            stale: AtomicBool::new(false),
            running: AtomicBool::new(false),
            doubts: Mutex::new(doubts),
            told: Mutex::default(),
            refreshing: tokio::sync::Mutex::new(()),
        })
    }

    /// The name of the store among all stores: what a saved plan is known by to be of this one.
    pub fn store_name(&self) -> &str {
        &self.scope
    }

    /// Gives the lead back. A manager that is dropped instead gives it back when its lease has run out.
    ///
    /// Cancellation: the lead is given back, or its lease runs out.
    ///
    /// # Errors
    /// When the store fails; the lease then runs out by itself.
    pub async fn close(self) -> Result<(), ManageError> {
        let lease = self.leadership().as_ref().map(|leadership| leadership.lease);
        match lease {
            Some(lease) => Ok(self.store.revoke(lease).await?),
            None => Ok(()),
        }
    }

    /// What is recorded.
    pub fn recorded(&self) -> Arc<Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The kinds and connectors it knows.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// An output, or a field of the spec, of a recorded resource: what a reference to it would give.
    pub fn output(&self, from: &ResourceId, path: &FieldPath) -> Option<serde_json::Value> {
        self.body(from).ok()??.lookup(path)
    }

    /// Takes the only place for a run, which is given back when this is dropped.
    fn take_place(&self) -> Result<RunPlace<'_>, ManageError> {
        match self.running.swap(true, Ordering::SeqCst) {
            false => Ok(RunPlace(&self.running)),
            true => Err(ManageError::Busy),
        }
    }

    fn leadership(&self) -> MutexGuard<'_, Option<lead::Leadership>> {
        self.leadership.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leads, if it did. Reads everything again, if a run did not come to the end at which it is read, or goes on.
    async fn catch_up(&self) -> Result<(), ManageError> {
        self.lead_again().await?;
        if self.stale.load(Ordering::SeqCst) {
            if let Ok(guard) = self.guard() {
                // What a call has left behind that was dropped is written before this.
                journal::commit_guarded(&*self.store, guard, Vec::new()).await?;
            }
            self.refresh(usize::MAX, BTreeSet::new).await?;
            // What a run that goes on writes next is not in there.
            if !self.running.load(Ordering::SeqCst) {
                self.stale.store(false, Ordering::SeqCst);
            }
        }
        Ok(())
    }

    /// Reads again what is recorded of `len` resources, and everything that is in doubt. One after the other: what is read
    /// first is never taken for newer.
    async fn refresh(
        &self,
        len: usize,
        ids: impl FnOnce() -> BTreeSet<ResourceId>,
    ) -> Result<(), ManageError> {
        let _turn = self.refreshing.lock().await;
        // A record by itself costs as much to read as some dozens in a row.
        const EACH: usize = 32;
        if len.saturating_mul(EACH) > self.recorded().len() {
            let recorded = records::read(&*self.store).await?;
            *self.recorded.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(recorded);
        } else {
            let read = records::read_some(&*self.store, &ids()).await?;
            let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody else has it by now, as a rule: otherwise it is copied.
            let recorded = Arc::make_mut(&mut recorded);
            for (id, record) in read {
                match record {
                    Some(record) => _ = recorded.insert(id, record),
                    None => _ = recorded.remove(&id),
                }
            }
        }
        let doubts = records::doubts(&*self.store).await?;
        *self.doubts.lock().unwrap_or_else(PoisonError::into_inner) = doubts;
        Ok(())
    }

    /// What must hold for every write: that this manager leads.
    fn guard(&self) -> Result<Vec<Compare>, ManageError> {
        self.leadership().as_ref().map(lead::Leadership::guard).ok_or(ManageError::ReadOnly)
    }

    /// What is in doubt, and was not there before it was tried.
    fn doubted_own(&self) -> Set<ResourceId> {
        let is_own = |record: &bytes::Bytes| {
            let body = Record::from_bytes(record.clone()).and_then(|record| record.body());
            body.is_ok_and(|body| !body.adopted)
        };
        self.doubts().into_iter().filter(|(_, record)| is_own(record)).map(|(id, _)| id).collect()
    }

    fn doubts(&self) -> BTreeMap<ResourceId, bytes::Bytes> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The place of the run that goes on.
struct RunPlace<'a>(&'a AtomicBool);

impl Drop for RunPlace<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}
