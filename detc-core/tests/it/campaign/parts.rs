//! A site on which parts are put up, changed and taken away, with a ledger of each effect: what is there, what was done, and
//! what was there before. Whoever works on it can be cut off at each point, loses an answer, or sees what was there earlier.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint};
use detc_core::execute::Limits;
use detc_core::manage::{ManageError, Manager, ManagerOptions, Settlement};
use detc_core::model::{Desired, DesiredResource, Observation, Present, ResourceId};
use detc_core::resource::{ChangeEffect, InvalidField, KindTraits, Registry, Removed, Resource};
use detc_core::store::{
    KeyRange, LeaseId, RangeOptions, RangeReply, Revision, Store, StoreError, Transaction, TxnReply, Watch,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// Every way in which an outcome is found out.
pub(super) const CLASSES: [CrashClass; 5] = [
    CrashClass::DeterministicName,
    CrashClass::FindableByTag,
    CrashClass::CompareAndSet,
    CrashClass::IdempotencyKey,
    CrashClass::AtMostOnce,
];

/// A part; one of another mould is another part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    pub(super) version: u32,
    pub(super) mould: u32,
    pub(super) class: CrashClass,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Made {
    serial: u64,
}

/// What there is of a part, by which it is told from another one of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Thing {
    pub(super) version: u32,
    pub(super) mould: u32,
    pub(super) serial: u64,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Made,
    Changed,
    Removed,
}

/// How an answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The call had its effect.
    Answer,
    /// The call had none, and nobody can tell.
    Call,
}

#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) things: BTreeMap<String, Thing>,
    /// What was done to what, and what was there before.
    pub(super) ledger: Vec<(String, What, Option<Thing>)>,
    keys: BTreeMap<String, u64>,
    /// Those that were made by who is under test, not put there by somebody else.
    pub(super) own: BTreeSet<u64>,
    serial: u64,
    passed: u64,
    dies_at: Option<u64>,
    /// The calls that were made to change something, and the one whose answer is lost.
    pub(super) calls: u64,
    pub(super) loses: Option<(u64, Loss)>,
    /// What is seen instead of what there is.
    pub(super) views: BTreeMap<String, Option<Thing>>,
}

/// The site.
#[derive(Debug, Default)]
pub(super) struct Site {
    state: Mutex<State>,
    died: Notify,
}

impl Site {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The same site once more.
    pub(super) fn copy(&self) -> Self {
        Self { state: Mutex::new(self.state().clone()), died: Notify::new() }
    }

    /// The process dies when it has passed so many points more.
    pub(super) fn dies_after(&self, points: Option<u64>) {
        let mut state = self.state();
        state.dies_at = points.map(|points| state.passed + points);
    }

    /// How often each part was made or changed, and removed.
    pub(super) fn counts(&self) -> BTreeMap<String, [usize; 2]> {
        let mut counts = BTreeMap::new();
        for (name, what, _) in &self.state().ledger {
            let [made, removed] = counts.entry(name.clone()).or_insert([0, 0]);
            match what {
                What::Made | What::Changed => *made += 1,
                What::Removed => *removed += 1,
            }
        }
        counts
    }

    async fn point(&self) {
        let (passed, dies_at) = {
            let mut state = self.state();
            state.passed += 1;
            (state.passed, state.dies_at)
        };
        if dies_at == Some(passed) {
            self.died.notify_one();
        }
        if dies_at.is_some_and(|at| passed >= at) {
            std::future::pending::<()>().await;
        }
    }

    /// A call that changes something.
    async fn change<T>(&self, effect: impl FnOnce(&mut State) -> T) -> Result<T, ActionError> {
        self.point().await;
        let done = {
            let mut state = self.state();
            state.calls += 1;
            let loss = state.loses.filter(|(at, _)| *at == state.calls).map(|(_, loss)| loss);
            match loss {
                Some(Loss::Call) => Err(ActionError::outcome_unknown("there was no answer")),
                Some(Loss::Answer) => {
                    effect(&mut state);
                    Err(ActionError::outcome_unknown("there was no answer"))
                }
                None => Ok(effect(&mut state)),
            }
        };
        self.point().await;
        done
    }
}

impl State {
    /// Puts something there, behind everybody's back.
    pub(super) fn put(&mut self, name: &str, version: u32, mould: u32) -> u64 {
        self.serial += 1;
        let thing = Thing { version, mould, serial: self.serial };
        self.things.insert(name.to_owned(), thing);
        self.serial
    }

    fn make(&mut self, name: &str, part: &Part, key: &str) -> Made {
        if part.class == CrashClass::IdempotencyKey
            && let Some(serial) = self.keys.get(key)
        {
            return Made { serial: *serial };
        }
        let before = self.things.get(name).copied();
        let what = if before.is_some() { What::Changed } else { What::Made };
        self.ledger.push((name.to_owned(), what, before));
        let serial = match before {
            Some(before) => {
                // What somebody else has put there is taken over whatever its mould; of detc's own the plan changes none.
                let thing = Thing { version: part.version, mould: part.mould, ..before };
                self.things.insert(name.to_owned(), thing);
                before.serial
            }
            None => self.put(name, part.version, part.mould),
        };
        self.own.insert(serial);
        self.keys.insert(key.to_owned(), serial);
        Made { serial }
    }
}

#[async_trait]
impl Resource for Part {
    const KIND: &'static str = "part";
    type Output = Made;

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.replace_on = &["mould"];
        traits.at_once = &["version", "mould"];
        traits.change = ChangeEffect::Restart;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Ok(Footprint::new(self.class))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        if matches!(self.class, CrashClass::AtMostOnce | CrashClass::IdempotencyKey) {
            return Ok(Observation::Unobservable);
        }
        let site = cx.backend::<Site>()?;
        site.point().await;
        let seen = {
            let (state, name) = (site.state(), cx.identity().name());
            state.views.get(name).copied().unwrap_or_else(|| state.things.get(name).copied())
        };
        site.point().await;
        Ok(match seen {
            None => Observation::Absent,
            Some(Thing { version, mould, serial }) => {
                let present = Present::new().with_field("version", version).with_field("mould", mould);
                Observation::Present(present.with_output(&Made { serial }))
            }
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<Made, ActionError> {
        let site = cx.backend::<Site>()?;
        site.change(|state| state.make(cx.identity().name(), self, cx.idempotency_key())).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<Made, ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        let (site, name) = (cx.backend::<Site>()?, cx.identity().name());
        let remove = |state: &mut State| {
            let before = state.things.remove(name);
            state.ledger.push((name.to_owned(), What::Removed, before));
        };
        site.change(remove).await?;
        Ok(Removed::Gone)
    }
}

/// A part, on the site that its registry has.
pub(super) fn part(name: &str, version: u32, class: CrashClass) -> DesiredResource {
    DesiredResource::new(name, &Part { version, mould: 0, class })
}

/// A store whose commits are points.
#[derive(Debug)]
struct Mortal {
    inner: Arc<dyn Store>,
    site: Arc<Site>,
}

#[async_trait]
impl Store for Mortal {
    async fn range(&self, range: KeyRange, options: RangeOptions) -> Result<RangeReply, StoreError> {
        self.inner.range(range, options).await
    }

    async fn transact(&self, transaction: Transaction) -> Result<TxnReply, StoreError> {
        self.site.point().await;
        let done = self.inner.transact(transaction).await;
        self.site.point().await;
        done
    }

    async fn watch(&self, range: KeyRange, from: Revision) -> Result<Watch, StoreError> {
        self.inner.watch(range, from).await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.inner.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<Duration, StoreError> {
        self.inner.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.inner.revoke(lease).await
    }
}

/// A manager of this site that does so many things at once.
pub(super) async fn manager(
    site: &Arc<Site>,
    store: &Arc<dyn Store>,
    at_once: usize,
) -> Result<Manager, ManageError> {
    let registry = Registry::new().with_resource::<Part>().with_backend(site.clone());
    let limits = Limits::default().with_global(at_once).with_per_host(at_once);
    let store = Arc::new(Mortal { inner: store.clone(), site: site.clone() }) as Arc<dyn Store>;
    Manager::open(store, registry, ManagerOptions::default().with_limits(limits)).await
}

/// One process, which is to bring `desired` about, and dies when its points are passed. `true`: it died.
pub(super) async fn dies(
    site: &Arc<Site>,
    store: &Arc<dyn Store>,
    desired: &Desired,
    (at_once, points): (usize, u64),
) -> bool {
    site.dies_after(Some(points));
    let life = async {
        let manager = manager(site, store, at_once).await?;
        bring_about(site, &manager, desired).await
    };
    let died = tokio::select! {
        biased;
        () = site.died.notified() => true,
        ended = life => {
            let _settled = ended.unwrap();
            false
        }
    };
    site.dies_after(None);
    died
}

/// Waits for the lease of who died to run out, and goes on until there is nothing left to do. Returns whom a person was asked
/// about.
pub(super) async fn heal(
    site: &Arc<Site>,
    store: &Arc<dyn Store>,
    desired: &Desired,
    at_once: usize,
) -> Result<BTreeSet<ResourceId>, ManageError> {
    tokio::time::sleep(Duration::from_secs(20)).await;
    let manager = manager(site, store, at_once).await?;
    let asked = bring_about(site, &manager, desired).await?;
    manager.close().await?;
    Ok(asked)
}

/// How often it is tried before that is called an endless loop.
const ROUNDS_MAX: usize = 6;

async fn bring_about(
    site: &Site,
    manager: &Manager,
    desired: &Desired,
) -> Result<BTreeSet<ResourceId>, ManageError> {
    let mut asked = BTreeSet::new();
    let mut last = String::new();
    for _ in 0..ROUNDS_MAX {
        if let Some(resumed) = manager.finish_interrupted(Some(desired)).await? {
            last = resumed.to_string();
        }
        asked.extend(settle(site, manager, desired).await?);
        let planned = manager.plan(desired).await?;
        if planned.plan.is_settled() {
            return Ok(asked);
        }
        last = format!("{last}\n{}", manager.apply(planned).await?);
    }
    panic!("it comes to no end: {last}");
}

/// A person looks for what nobody else can find out.
async fn settle(
    site: &Site,
    manager: &Manager,
    desired: &Desired,
) -> Result<BTreeSet<ResourceId>, ManageError> {
    let mut asked = BTreeSet::new();
    for (id, resource) in &desired.resources {
        let part: Part = serde_json::from_value(resource.spec.value()).unwrap();
        if part.class != CrashClass::AtMostOnce {
            continue;
        }
        let found = site.state().things.get(id.name()).is_some_and(|thing| thing.version == part.version);
        let found = if found { Settlement::Done(id.clone()) } else { Settlement::NotDone(id.clone()) };
        match manager.settle(&found).await {
            Ok(()) => _ = asked.insert(id.clone()),
            Err(ManageError::NoDoubt(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(asked)
}
