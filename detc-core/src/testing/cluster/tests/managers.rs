//! Managers that are not detc's own: a small one that is sound, and the same with one defect each, which are caught.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use super::*;
use crate::action::{CxParts, ErrorClass};
use crate::backend::host::{Command, ExitStatus, Output};
use crate::backend::memory::Files;
use crate::model::ResourceId;
use crate::store::{Compare, KeyRange, Revision, Store, Transaction, TxnReply, Write, read_all};

const FORGETS_TO_SYNC: u8 = 10;
const TRUSTS_A_STALE_VIEW: u8 = 11;
const DELETES_A_RECREATED_NAME: u8 = 12;
const RETRIES_AN_UNKNOWN_OUTCOME: u8 = 13;
const WRITES_WITHOUT_A_FENCE: u8 = 14;

const BOOK: &str = "/book";

/// For how long after a commit has begun nobody else can lead.
const SURE: Duration = Duration::from_secs(1);

/// Something that is ordered from a shop that tells nobody what it has sent, and knows an order by its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    what: String,
}

#[async_trait]
impl Resource for Order {
    const KIND: &'static str = "order";
    type Output = ();

    fn traits() -> KindTraits {
        KindTraits { host: HostNeed::Required, ..KindTraits::default() }
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Ok(Footprint::new(CrashClass::IdempotencyKey))
    }

    async fn observe(&self, _: &ActionCx<'_>) -> Result<Observation, ActionError> {
        Ok(Observation::Unobservable)
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        cx.host()?
            .run(&crate::backend::host::Command::new(["order", cx.idempotency_key(), &self.what]))
            .await?;
        Ok(())
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, _: &ActionCx<'_>) -> Result<Removed, ActionError> {
        Ok(Removed::Gone)
    }
}

/// What the manager knows of a resource.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    spec: Value,
    key: String,
    /// Whether it is known to have come about.
    done: bool,
}

/// A manager that notes each resource before it makes it, looks before it does anything, and at what it did.
struct Plain<const DEFECT: u8> {
    /// What could not be removed, to be tried again some time.
    garbage: Mutex<Vec<(ResourceId, Value)>>,
}

/// One process of it.
struct Process<'a> {
    store: &'a Arc<dyn Store>,
    registry: &'a Registry,
    /// Nobody else leads as long as this is so.
    lead: Option<Compare>,
    revision: Revision,
    known: BTreeMap<ResourceId, Known>,
    /// By key.
    unwritten: BTreeMap<String, Write>,
}

#[async_trait]
impl<const DEFECT: u8> Manages for Plain<DEFECT> {
    async fn bring_about(
        &self,
        store: &Arc<dyn Store>,
        registry: &Registry,
        state: &Desired,
    ) -> Result<(), String> {
        let mut process = Process::begin(store, registry).await?;
        if DEFECT == WRITES_WITHOUT_A_FENCE {
            process.lead = None;
        }
        let garbage = std::mem::take(&mut *self.garbage.lock().unwrap());
        let is_moved = |id: &ResourceId, known: &Known| {
            state.resources.get(id).is_none_or(|wanted| wanted.spec.value()["path"] != known.spec["path"])
        };
        let gone: Vec<ResourceId> = process
            .known
            .iter()
            .filter(|(id, known)| is_moved(id, known))
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone.into_iter().rev() {
            let spec = process.known[&id].spec.clone();
            match process.call(state, &id, &spec, Do::Delete).await {
                Err(_) if DEFECT == DELETES_A_RECREATED_NAME => {
                    self.garbage.lock().unwrap().push((id.clone(), spec));
                }
                done => _ = done.map_err(|error| error.full_message())?,
            }
            process.forget::<DEFECT>(&id).await?;
        }
        for wanted in state.resources.values() {
            process.make::<DEFECT>(state, &wanted.id, wanted.spec.value()).await?;
        }
        let unwritten = std::mem::take(&mut process.unwritten);
        process.commit(unwritten.into_values().collect()).await?;
        if DEFECT == TRUSTS_A_STALE_VIEW {
            return Ok(());
        }
        for wanted in state.resources.values() {
            if !process.is_as(state, &wanted.id, &wanted.spec.value()).await? {
                return Err(format!("{} is not as it should be", wanted.id));
            }
        }
        for (id, spec) in garbage {
            // By its name, whoever has that by now.
            _ = process.call(state, &id, &spec, Do::Delete).await;
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Do {
    Create,
    Update,
    Delete,
}

impl<'a> Process<'a> {
    async fn begin(store: &'a Arc<dyn Store>, registry: &'a Registry) -> Result<Self, String> {
        let lead = Write::Put { key: "lead".into(), value: Bytes::new(), lease: None };
        let said = |error: crate::store::StoreError| error.to_string();
        let revision = match store.transact(Transaction { compares: Vec::new(), writes: vec![lead] }).await {
            Ok(TxnReply::Committed(revision)) => revision,
            Ok(TxnReply::Conflict(_)) => return Err("nothing was compared".to_owned()),
            Err(error) => return Err(said(error)),
        };
        let (entries, _) = read_all(&**store, KeyRange::prefix("known/")).await.map_err(said)?;
        let known = entries.iter().map(|entry| {
            let id = String::from_utf8_lossy(&entry.key["known/".len()..]).parse().unwrap();
            (id, serde_json::from_slice(&entry.value).unwrap())
        });
        let known = known.collect();
        let lead = Some(Compare::Modified("lead".into(), revision));
        Ok(Self { store, registry, lead, revision, known, unwritten: BTreeMap::new() })
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), String> {
        let began = Instant::now();
        let compares = self.lead.iter().cloned().collect();
        match self.store.transact(Transaction { compares, writes }).await {
            Ok(TxnReply::Committed(_)) if began.elapsed() < SURE => Ok(()),
            // It may have been stopped meanwhile.
            Ok(TxnReply::Committed(_)) => Box::pin(self.commit(Vec::new())).await,
            Ok(TxnReply::Conflict(_)) => Err("somebody else leads".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn write<const DEFECT: u8>(&mut self, key: String, write: Write) -> Result<(), String> {
        if DEFECT == FORGETS_TO_SYNC {
            self.unwritten.insert(key, write);
            return Ok(());
        }
        self.commit(vec![write]).await
    }

    async fn note<const DEFECT: u8>(&mut self, id: &ResourceId, known: Known) -> Result<(), String> {
        let value = serde_json::to_vec(&known).unwrap().into();
        self.known.insert(id.clone(), known);
        let key = format!("known/{id}");
        self.write::<DEFECT>(key.clone(), Write::Put { key: key.into(), value, lease: None }).await
    }

    async fn forget<const DEFECT: u8>(&mut self, id: &ResourceId) -> Result<(), String> {
        self.known.remove(id);
        let key = format!("known/{id}");
        self.write::<DEFECT>(key.clone(), Write::Delete(key.into())).await
    }

    async fn make<const DEFECT: u8>(
        &mut self,
        state: &Desired,
        id: &ResourceId,
        spec: Value,
    ) -> Result<(), String> {
        let known = self.known.get(id).cloned();
        if known
            .as_ref()
            .is_some_and(|known| known.spec == spec && (known.done || DEFECT == TRUSTS_A_STALE_VIEW))
            && (DEFECT == TRUSTS_A_STALE_VIEW || self.is_as(state, id, &spec).await?)
        {
            return Ok(());
        }
        let is_open = known.as_ref().is_some_and(|known| !known.done);
        let key = match &known {
            Some(known) if is_open => known.key.clone(),
            _ => format!("{id}/{}", self.revision.0),
        };
        let mut known = Known { spec: spec.clone(), key, done: false };
        self.note::<DEFECT>(id, known.clone()).await?;
        let how = if is_open { Do::Update } else { Do::Create };
        match self.call(state, id, &spec, how).await {
            Err(error)
                if DEFECT == RETRIES_AN_UNKNOWN_OUTCOME && error.class() == ErrorClass::OutcomeUnknown =>
            {
                known.key.push_str("/again");
                self.note::<DEFECT>(id, known.clone()).await?;
                _ = self.call(state, id, &spec, how).await.map_err(|error| error.full_message())?;
            }
            made => _ = made.map_err(|error| error.full_message())?,
        }
        known.done = true;
        self.note::<DEFECT>(id, known).await
    }

    /// Whether it is as a spec says, as far as that can be seen.
    async fn is_as(&self, state: &Desired, id: &ResourceId, spec: &Value) -> Result<bool, String> {
        match self.look(state, id, spec).await.map_err(|error| error.full_message())? {
            Observation::Present(present) => Ok(present.fields.get("text") == Some(&spec["text"])),
            Observation::Unobservable => Ok(self.known.get(id).is_some_and(|known| known.done)),
            Observation::Absent | Observation::Needed(_) | Observation::Unknown(_) => Ok(false),
        }
    }

    async fn look(&self, state: &Desired, id: &ResourceId, spec: &Value) -> Result<Observation, ActionError> {
        let kind = self.registry.kind(id.kind()).unwrap().clone();
        let around = Around::of(self, state, id).await?;
        kind.observe(spec, &around.cx(self, id)).await
    }

    async fn call(
        &self,
        state: &Desired,
        id: &ResourceId,
        spec: &Value,
        what: Do,
    ) -> Result<Value, ActionError> {
        let kind = self.registry.kind(id.kind()).unwrap().clone();
        let around = Around::of(self, state, id).await?;
        let cx = around.cx(self, id);
        match what {
            Do::Create => kind.create(spec, &cx).await,
            Do::Update => kind.update(spec, &cx).await,
            Do::Delete => kind.delete(spec, &cx).await.map(|_| Value::Null),
        }
    }
}

/// What a call needs.
struct Around {
    host: Arc<dyn crate::backend::Host>,
    blobs: BTreeMap<crate::model::Digest, crate::content::Content>,
    key: String,
}

impl Around {
    async fn of(process: &Process<'_>, state: &Desired, id: &ResourceId) -> Result<Self, ActionError> {
        let (name, spec) = state.hosts.first_key_value().expect("the scenario has a host");
        let connector = process.registry.connector(&spec.connect).expect("the scenario has a connector");
        let key = process.known.get(id).map(|known| known.key.clone()).unwrap_or_default();
        Ok(Self { host: connector.connect(name, spec).await?, blobs: BTreeMap::new(), key })
    }

    fn cx<'a>(&'a self, process: &'a Process<'_>, id: &'a ResourceId) -> ActionCx<'a> {
        ActionCx::new(CxParts {
            resource: id,
            identity: id,
            host: Some(&self.host),
            backends: process.registry.backends(),
            recorded: None,
            triggers: None,
            scope: "plain",
            state_dir: STATE_DIR,
            key: &self.key,
            begun_before: false,
            sensitive: &[],
            cut_off: false,
            heals: false,
            blobs: &self.blobs,
        })
    }
}

/// Pages that come, move and go, one at the place of another that has gone; and orders.
fn scenario<const DEFECT: u8>() -> Scenario {
    let order = |command: &Command, files: &mut Files| {
        let mut book = String::from_utf8(files.read(BOOK).unwrap_or_default().to_vec()).unwrap();
        let (key, what) = (&command.argv[1], &command.argv[2]);
        if !book.lines().any(|line| line.starts_with(&format!("{key} "))) {
            book.push_str(&format!("{key} {what}\n"));
            files.write(BOOK, book.as_bytes(), &Ownership::default()).unwrap();
        }
        Output { status: ExitStatus::Code(0), ..Output::default() }
    };
    let host = MemoryHost::new("m").with_program("order", order);
    let seen = host.clone();
    let page = |name: &str, path: &str, text: &str| {
        let page = Page::<SOUND> { path: path.to_owned(), text: text.to_owned() };
        DesiredResource::new(name, &page).on("m")
    };
    let order = |what: &str| DesiredResource::new(what, &Order { what: what.to_owned() }).on("m");
    let with_order = |page: DesiredResource| Desired::new().with(page).with(order("x"));
    let pages =
        [page("a", "/a", "one"), page("a", "/b", "one"), page("c", "/a", "three"), page("c", "/a", "three")];
    let states = pages.map(with_order);
    let registry = Registry::new().with_resource::<Page<SOUND>>().with_resource::<Order>();
    // By what key something was ordered is of no interest; how often is.
    let sent = move || {
        let book = seen
            .with_files(|files| String::from_utf8_lossy(files.read(BOOK).unwrap_or_default()).into_owned());
        let files = seen.with_files(|files| files.dump(STATE_DIR));
        let files = files.lines().filter(|line| !line.starts_with(BOOK)).map(|line| format!("{line}\n"));
        let orders =
            book.lines().map(|line| format!("ordered {}\n", line.rsplit(' ').next().unwrap_or_default()));
        files.chain(orders).collect::<String>()
    };
    let mut scenario = Scenario::new(registry, states).with_host("m", host);
    scenario.worlds = vec![Box::new(sent)];
    scenario.managed_by(Plain::<DEFECT> { garbage: Mutex::new(Vec::new()) })
}

#[tokio::test(start_paused = true)]
async fn a_small_manager_that_is_sound_comes_through_every_single_fault_and_a_second_death() {
    for twice in [Twice::No, Twice::Yes] {
        let checked = check_cluster(scenario::<SOUND>, Faults { twice, ..Faults::default() }).await;
        assert!(checked.violations.is_empty(), "{checked}");
        assert!(checked.lives > 100, "{checked}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_defect_of_a_manager_breaks_the_law_that_is_about_it() {
    const ONCE: &str = "whatever goes wrong, what is there in the end is what was asked for, once";
    const AGAIN: &str =
        "whatever goes wrong, nothing is done that was done, and nothing that is not asked for";
    macro_rules! broken {
        ($($defect:ident => $law:expr, $how:expr),+ $(,)?) => {$(
            let checked = check_cluster(scenario::<$defect>, Faults::default()).await;
            let found = checked.violations.iter().find(|violation| violation.law == $law);
            let found = found.unwrap_or_else(|| panic!("{}: {checked}", stringify!($defect)));
            assert!(found.detail.contains($how), "{}: {found}", stringify!($defect));
        )+};
    }
    broken! {
        FORGETS_TO_SYNC => ONCE, "it was cut off after run order order/x/1 x",
        TRUSTS_A_STALE_VIEW => ONCE, "after commit: there is no more /a",
        DELETES_A_RECREATED_NAME => AGAIN, "it lost the answer of remove /a.index",
        RETRIES_AN_UNKNOWN_OUTCOME => ONCE, "it lost the answer of run order order/x/1 x",
        WRITES_WITHOUT_A_FENCE => ONCE, "it was paused until another had taken over, at commit: the world is another",
    }
}

/// Of the scenario only the pages: whatever is done to these twice, a successor sees it, and mends it.
fn pages() -> Scenario {
    let mut scenario = scenario::<WRITES_WITHOUT_A_FENCE>();
    for state in &mut scenario.states {
        state.resources.retain(|id, _| id.kind() == "page");
    }
    scenario
}

#[tokio::test(start_paused = true)]
async fn where_all_can_be_seen_and_mended_a_missing_fence_is_found_by_pairs_of_faults_alone() {
    for twice in [Twice::No, Twice::Yes] {
        let checked = check_cluster(pages, Faults { twice, ..Faults::default() }).await;
        assert!(checked.violations.is_empty() && checked.lives == checked.lives_possible, "{checked}");
    }
    let pairs = check_cluster(pages, Faults { twice: Twice::All, lives_max: 4_000 }).await;
    let found = pairs.violations.iter().map(ToString::to_string).collect::<String>();
    assert_eq!(found.matches("it was paused until another had taken over, at commit").count(), 2, "{pairs}");
}
