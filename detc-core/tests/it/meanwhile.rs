//! What happens beside a run of the same manager, and what it leaves in flight when the store fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint};
use detc_core::execute::{StopHandle, unseen};
use detc_core::manage::{ManageError, Manager, ManagerOptions, Resumed, Settlement};
use detc_core::model::{Desired, DesiredResource, Observation, Present};
use detc_core::resource::{InvalidField, KindTraits, Registry, Removed, Resource, value::ValueSpec};
use detc_core::store::memory::MemoryStore;
use detc_core::store::{
    KeyRange, LeaseId, RangeOptions, RangeReply, Revision, Store, StoreError, Transaction, TxnReply, Watch,
    Write,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::watch;

/// A door that is open or shut.
#[derive(Debug)]
struct Door(watch::Sender<bool>);

impl Door {
    fn open() -> Self {
        Self(watch::Sender::new(true))
    }

    fn set(&self, is_open: bool) {
        self.0.send_replace(is_open);
    }

    async fn pass(&self) {
        self.0.subscribe().wait_for(|is_open| *is_open).await.unwrap();
    }
}

/// A store whose answers, and whose writes of the records of values, may be held up, and that may be full.
#[derive(Debug)]
struct Slow {
    below: MemoryStore,
    answers: Door,
    records: Door,
    is_full: AtomicBool,
}

impl Slow {
    fn new() -> Arc<Self> {
        let (answers, records) = (Door::open(), Door::open());
        Arc::new(Self { below: MemoryStore::new(), answers, records, is_full: AtomicBool::new(false) })
    }
}

#[async_trait]
impl Store for Slow {
    async fn range(&self, range: KeyRange, options: RangeOptions) -> Result<RangeReply, StoreError> {
        let answer = self.below.range(range, options).await;
        self.answers.pass().await;
        answer
    }

    async fn transact(&self, transaction: Transaction) -> Result<TxnReply, StoreError> {
        let is_record =
            |write: &Write| matches!(write, Write::Put { key, .. } if key.starts_with(b"state/value/"));
        if transaction.writes.iter().any(is_record) {
            self.records.pass().await;
        }
        if self.is_full.load(Ordering::Relaxed) {
            let source = std::io::ErrorKind::StorageFull.into();
            return Err(StoreError::Full { store: "this one".to_owned(), source });
        }
        self.below.transact(transaction).await
    }

    async fn watch(&self, range: KeyRange, from: Revision) -> Result<Watch, StoreError> {
        self.below.watch(range, from).await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.below.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<Duration, StoreError> {
        self.below.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.below.revoke(lease).await
    }
}

/// Takes until its door is open, and then has been made.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Long {}

#[derive(Debug)]
struct Site {
    door: Door,
    has_begun: AtomicBool,
    is_made: AtomicBool,
}

#[async_trait]
impl Resource for Long {
    const KIND: &'static str = "long";
    type Output = ();

    fn traits() -> KindTraits {
        KindTraits::default()
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Ok(Footprint::new(CrashClass::DeterministicName))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        Ok(match cx.backend::<Site>()?.is_made.load(Ordering::Relaxed) {
            true => Observation::Present(Present::new()),
            false => Observation::Absent,
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        let site = cx.backend::<Site>()?;
        site.has_begun.store(true, Ordering::Relaxed);
        site.door.pass().await;
        site.is_made.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn update(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        Ok(())
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        cx.backend::<Site>()?.is_made.store(false, Ordering::Relaxed);
        Ok(Removed::Gone)
    }
}

fn site() -> Arc<Site> {
    let (has_begun, is_made) = (AtomicBool::new(false), AtomicBool::new(false));
    Arc::new(Site { door: Door::open(), has_begun, is_made })
}

async fn manager(store: &Arc<Slow>, site: &Arc<Site>) -> Arc<Manager> {
    let registry = Registry::new().with_resource::<Long>().with_backend(site.clone());
    Arc::new(Manager::open(store.clone(), registry, ManagerOptions::default()).await.unwrap())
}

fn value(input: u8) -> Desired {
    Desired::new().with(ValueSpec::resource("v", &json!(input)).unwrap())
}

/// Time enough for all that does not wait for somebody.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_read_beside_a_run_is_not_taken_for_newer_than_what_the_run_has_recorded() {
    let (store, site) = (Slow::new(), site());
    let manager = manager(&store, &site).await;
    let planned = manager.plan(&value(1)).await.unwrap();
    store.records.set(false);
    let applying = tokio::spawn({
        let manager = manager.clone();
        async move { manager.apply(planned).await }
    });
    a_while().await;
    store.answers.set(false);
    let looking = tokio::spawn({
        let manager = manager.clone();
        async move { manager.status(None, &mut unseen()).await }
    });
    a_while().await;
    // The answer of before is on its way, and the run comes to its end.
    store.records.set(true);
    a_while().await;
    store.answers.set(true);
    assert!(applying.await.unwrap().unwrap().into_result().is_ok());
    looking.await.unwrap().unwrap();
    let again = manager.plan(&value(1)).await.unwrap();
    assert!(again.plan.is_settled(), "{}", again.plan);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_when_the_store_fails_comes_to_its_end() {
    let (store, site) = (Slow::new(), site());
    let manager = manager(&store, &site).await;
    site.door.set(false);
    let desired = value(1).with(DesiredResource::new("l", &Long {}));
    let planned = manager.plan(&desired).await.unwrap();
    store.records.set(false);
    let applying = tokio::spawn({
        let manager = manager.clone();
        async move { manager.apply(planned).await }
    });
    a_while().await;
    assert!(site.has_begun.load(Ordering::Relaxed));
    // What is recorded of the value finds no room.
    store.is_full.store(true, Ordering::Relaxed);
    store.records.set(true);
    a_while().await;
    site.door.set(true);
    let error = applying.await.unwrap().unwrap_err();
    assert!(matches!(error, ManageError::Store(StoreError::Full { .. })), "{error}");
    assert!(site.is_made.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_run_is_given_up_or_settled_while_it_goes_on_nor_when_it_has_ended() {
    let (store, site) = (Slow::new(), site());
    let manager = manager(&store, &site).await;
    let planned = manager.plan(&value(1)).await.unwrap();
    store.records.set(false);
    let applying = tokio::spawn({
        let manager = manager.clone();
        async move { manager.apply(planned).await }
    });
    a_while().await;
    let head = manager.interrupted().await.unwrap().expect("it is open while it goes on");
    let settlement = Settlement::NotDone("value/v".parse().unwrap());
    assert!(matches!(manager.give_up(head.clone(), "no").await, Err(ManageError::Busy)));
    assert!(matches!(manager.settle(&settlement).await, Err(ManageError::Busy)));
    store.records.set(true);
    assert!(applying.await.unwrap().unwrap().into_result().is_ok());
    for ended in [
        manager.give_up(head.clone(), "no").await.unwrap(),
        manager.resume(head, None, unseen(), StopHandle::new()).await.unwrap(),
    ] {
        assert!(
            matches!(&ended, Resumed::Superseded(_, why) if why == "it has ended meanwhile"),
            "{ended:?}"
        );
    }
    assert_eq!(manager.history().await.unwrap()[0].note, None);
}
