//! A stage for tests of what is done: props on it, and how each look and each try goes is as a test has it.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint};
use detc_core::backend::{Host, HostError, MemoryHost};
use detc_core::execute::{Outcome, RunReport, StopHandle, unseen};
use detc_core::manage::{Manager, ManagerOptions, Planned, Resumed};
use detc_core::model::{
    Desired, DesiredResource, Health, HostName, HostSpec, Observation, Present, RecordBody,
};
use detc_core::resource::{
    ChangeEffect, Connector, HostNeed, InvalidField, KindTraits, Registry, Removal, Removed, Resource,
    Unhealthy,
};
use detc_core::store::Store;
use detc_core::store::memory::MemoryStore;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is on the stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Thing {
    pub(crate) text: String,
    pub(crate) secret: Option<String>,
    pub(crate) tells: Value,
    pub(crate) triggers: Option<String>,
    pub(crate) is_ill: bool,
}

impl Thing {
    pub(crate) fn of(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }
}

/// A call of a kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) what: &'static str,
    pub(crate) place: String,
    pub(crate) begun_before: bool,
    pub(crate) heals: bool,
    pub(crate) has_sensitive_text: bool,
    pub(crate) key: String,
}

/// How a look goes.
pub(crate) enum Look {
    Sees,
    SeesNothing,
    Unknown(&'static str),
    Fails(ActionError),
}

/// How a try goes.
pub(crate) enum Try {
    Goes,
    /// Says that it went well, and it has come to nothing.
    Nothing,
    Fails(ActionError),
    /// A removal leaves it, for this reason.
    Leaves(&'static str),
    Hangs,
}

type On<T> = Box<dyn FnMut(&Call) -> T + Send>;

/// What is there by its place, and how things go.
pub(crate) struct Stage {
    things: Mutex<BTreeMap<String, Thing>>,
    on_look: Mutex<On<Look>>,
    on_try: Mutex<On<Try>>,
    calls: Mutex<Vec<Call>>,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("things", &self.things).finish_non_exhaustive()
    }
}

impl Stage {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            things: Mutex::default(),
            on_look: Mutex::new(Box::new(|_| Look::Sees)),
            on_try: Mutex::new(Box::new(|_| Try::Goes)),
            calls: Mutex::default(),
        })
    }

    /// Looks go so from now on.
    pub(crate) fn on_look(&self, look: impl FnMut(&Call) -> Look + Send + 'static) {
        *self.on_look.lock().unwrap() = Box::new(look);
    }

    /// Tries go so from now on.
    pub(crate) fn on_try(&self, tried: impl FnMut(&Call) -> Try + Send + 'static) {
        *self.on_try.lock().unwrap() = Box::new(tried);
    }

    /// Everything goes well from now on.
    pub(crate) fn all_is_well(&self) {
        self.on_look(|_| Look::Sees);
        self.on_try(|_| Try::Goes);
    }

    pub(crate) fn put(&self, place: &str, thing: Thing) {
        self.things.lock().unwrap().insert(place.to_owned(), thing);
    }

    pub(crate) fn take(&self, place: &str) {
        self.things.lock().unwrap().remove(place).expect("it is there");
    }

    pub(crate) fn at(&self, place: &str) -> Option<Thing> {
        self.things.lock().unwrap().get(place).cloned()
    }

    pub(crate) fn text(&self, place: &str) -> Option<String> {
        Some(self.at(place)?.text)
    }

    /// The calls since this was last asked.
    pub(crate) fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    fn called(&self, call: &Call) {
        self.calls.lock().unwrap().push(call.clone());
    }
}

/// What holds for a kind of props.
pub(crate) trait Role: fmt::Debug + Send + Sync + 'static {
    const KIND: &'static str;
    fn traits() -> KindTraits;
}

macro_rules! roles {
    ($($(#[$doc:meta])* $role:ident = $kind:literal: |$traits:ident| $set:block)*) => { $(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $role;

        impl Role for $role {
            const KIND: &'static str = $kind;

            fn traits() -> KindTraits {
                let mut $traits = KindTraits::default();
                $traits.replace_on = &["at"];
                $traits.sensitive = &["secret", "tells.token"];
                $set
                $traits
            }
        }
    )* };
}

roles! {
    Plain = "plain": |_traits| {}
    /// Its text is written at once.
    Written = "written": |traits| { traits.at_once = &["text"]; }
    /// It is restarted when its text changes or it is ill.
    Alive = "alive": |traits| {
        traits.change = ChangeEffect::Restart;
        traits.unhealthy = Unhealthy::Restarted;
    }
    /// There is nothing to remove, and what it has told is not seen.
    Passing = "passing": |traits| { traits.removal = Removal::Forget; }
    /// It is on a host.
    Housed = "housed": |traits| { traits.host = HostNeed::Required; }
}

/// A prop of a kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prop<R> {
    pub(crate) at: String,
    pub(crate) text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
    /// What it tells as an output, or a text of that.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(crate) tells: Value,
    pub(crate) crash: CrashClass,
    #[serde(skip)]
    role: PhantomData<fn() -> R>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    tells: Value,
}

impl<R: Role> Prop<R> {
    pub(crate) fn new(at: &str, text: &str) -> Self {
        Self {
            at: at.to_owned(),
            text: text.to_owned(),
            secret: None,
            tells: Value::Null,
            crash: CrashClass::DeterministicName,
            role: PhantomData,
        }
    }

    pub(crate) fn crash(self, crash: CrashClass) -> Self {
        Self { crash, ..self }
    }

    pub(crate) fn secret(self, secret: &str) -> Self {
        Self { secret: Some(secret.to_owned()), ..self }
    }

    pub(crate) fn tells(self, tells: Value) -> Self {
        Self { tells, ..self }
    }

    pub(crate) fn named(&self, name: &str) -> DesiredResource {
        DesiredResource::new(name, self)
    }

    /// What it tells is what a text comes to that is JSON.
    fn told(&self) -> Told {
        let parsed = self.tells.as_str().and_then(|text| serde_json::from_str(text).ok());
        Told { tells: parsed.unwrap_or_else(|| self.tells.clone()) }
    }

    fn call(&self, what: &'static str, cx: &ActionCx<'_>) -> Call {
        let host = if R::traits().host == HostNeed::Required { cx.host().ok() } else { None };
        let call = Call {
            what,
            place: host.map_or_else(|| self.at.clone(), |host| format!("{host}:{}", self.at)),
            begun_before: cx.begun_before(),
            heals: cx.heals(),
            has_sensitive_text: cx.is_sensitive("text"),
            key: cx.idempotency_key().to_owned(),
        };
        stage(cx).called(&call);
        call
    }

    async fn do_it(&self, what: &'static str, cx: &ActionCx<'_>) -> Result<Told, ActionError> {
        let (stage, call) = (stage(cx), self.call(what, cx));
        let thing = Thing {
            text: self.text.clone(),
            secret: self.secret.clone(),
            tells: self.told().tells,
            triggers: cx.triggers().map(str::to_owned),
            is_ill: false,
        };
        let tried = (stage.on_try.lock().unwrap())(&call);
        match tried {
            Try::Goes => stage.put(&call.place, thing),
            Try::Nothing => {}
            Try::Fails(error) => return Err(error),
            Try::Hangs => std::future::pending().await,
            Try::Leaves(_) => unreachable!("nothing is removed"),
        }
        Ok(self.told())
    }
}

fn stage(cx: &ActionCx<'_>) -> Arc<Stage> {
    cx.backend::<Stage>().expect("a test has one")
}

#[async_trait]
impl<R: Role> Resource for Prop<R> {
    const KIND: &'static str = R::KIND;
    type Output = Told;

    fn traits() -> KindTraits {
        R::traits()
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Ok(Footprint::new(self.crash))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let (stage, call) = (stage(cx), self.call("look", cx));
        let look = (stage.on_look.lock().unwrap())(&call);
        match look {
            Look::Sees => {}
            Look::SeesNothing => return Ok(Observation::Absent),
            Look::Unknown(why) => return Ok(Observation::Unknown(why.to_owned())),
            Look::Fails(error) => return Err(error),
        }
        let Some(thing) = stage.at(&call.place) else { return Ok(Observation::Absent) };
        let mut present = Present::new().with_field("text", thing.text).with_triggers(thing.triggers);
        if self.tells.is_object() {
            present = present.with_field("tells", thing.tells.clone());
        }
        if R::traits().removal == Removal::Delete {
            present = present.with_output(&Told { tells: thing.tells });
        }
        if let Some(secret) = thing.secret {
            present = present.with_field("secret", secret);
        }
        let health = match (R::traits().unhealthy, thing.is_ill) {
            (_, true) => Health::Unhealthy,
            (Unhealthy::Restarted, false) => Health::Healthy,
            (Unhealthy::Told, false) => Health::None,
        };
        Ok(Observation::Present(present.with_health(health)))
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<Told, ActionError> {
        self.do_it("create", cx).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<Told, ActionError> {
        self.do_it("update", cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        let (stage, call) = (stage(cx), self.call("delete", cx));
        let tried = (stage.on_try.lock().unwrap())(&call);
        match tried {
            Try::Goes => drop(stage.things.lock().unwrap().remove(&call.place)),
            Try::Nothing => {}
            Try::Fails(error) => return Err(error),
            Try::Leaves(why) => return Ok(Removed::Left(why.to_owned())),
            Try::Hangs => std::future::pending().await,
        }
        Ok(Removed::Gone)
    }
}

/// Leads to hosts that have nothing on them.
#[derive(Debug)]
struct ToAnywhere;

#[async_trait]
impl Connector for ToAnywhere {
    fn scheme(&self) -> &'static str {
        "anywhere"
    }

    fn check(&self, _: &HostSpec) -> Result<(), String> {
        Ok(())
    }

    async fn connect(&self, name: &HostName, _: &HostSpec) -> Result<Arc<dyn Host>, HostError> {
        Ok(Arc::new(MemoryHost::new(name.as_str())))
    }
}

/// A stage and who manages it.
pub(crate) struct Play {
    pub(crate) stage: Arc<Stage>,
    pub(crate) manager: Manager,
}

impl Play {
    pub(crate) async fn new() -> Self {
        Self::with(Arc::new(MemoryStore::new())).await
    }

    pub(crate) async fn with(store: Arc<dyn Store>) -> Self {
        let stage = Stage::new();
        let registry = Registry::new()
            .with_resource::<Prop<Plain>>()
            .with_resource::<Prop<Written>>()
            .with_resource::<Prop<Alive>>()
            .with_resource::<Prop<Passing>>()
            .with_resource::<Prop<Housed>>()
            .with_connector(ToAnywhere)
            .with_backend(stage.clone());
        let manager = Manager::open(store, registry, ManagerOptions::default()).await.unwrap();
        Self { stage, manager }
    }

    pub(crate) async fn plan(&self, desired: &Desired) -> Planned {
        self.manager.plan(desired).await.unwrap()
    }

    /// What is planned: each change and its reason.
    pub(crate) async fn changes(&self, desired: &Desired) -> Vec<String> {
        let planned = self.plan(desired).await;
        planned.plan.changes.iter().map(|change| format!("{}: {}", change.kind, change.reason)).collect()
    }

    pub(crate) async fn apply(&self, planned: Planned) -> RunReport {
        self.manager.apply(planned).await.unwrap().report
    }

    /// Plans and applies.
    pub(crate) async fn run(&self, desired: &Desired) -> RunReport {
        let planned = self.plan(desired).await;
        self.apply(planned).await
    }

    /// The same, which goes well.
    #[track_caller]
    pub(crate) fn runs<'a>(&'a self, desired: &'a Desired) -> impl Future<Output = RunReport> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let report = self.run(desired).await;
            assert_eq!(report.outcome, Outcome::Done, "{caller}: {report:?}");
            report
        }
    }

    /// Plans, and applies by a process that is gone in the midst of it.
    pub(crate) async fn cut_off(&self, desired: &Desired) {
        self.stage.on_try(|_| Try::Hangs);
        let planned = self.plan(desired).await;
        let applying = tokio::time::timeout(Duration::from_secs(5), self.manager.apply(planned)).await;
        assert!(applying.is_err(), "it hangs");
        self.stage.all_is_well();
    }

    /// Goes on with the run that was cut off.
    pub(crate) async fn resume(&self, desired: &Desired) -> RunReport {
        let head = self.manager.interrupted().await.unwrap().unwrap();
        let resumed = self.manager.resume(head, Some(desired), unseen(), StopHandle::new()).await;
        match resumed.unwrap() {
            Resumed::Finished(report) => report.report,
            given_up @ Resumed::Superseded(..) => panic!("{given_up}"),
        }
    }

    pub(crate) async fn give_up(&self) {
        let head = self.manager.interrupted().await.unwrap().unwrap();
        self.manager.give_up(head, "for a test").await.unwrap();
    }

    /// What is recorded of this.
    pub(crate) fn record(&self, id: &str) -> RecordBody {
        self.manager.recorded()[id].body().unwrap()
    }
}

/// Desired are these.
pub(crate) fn desired(props: impl IntoIterator<Item = DesiredResource>) -> Desired {
    let spec = || HostSpec { connect: "anywhere".to_owned(), ..HostSpec::local() };
    props.into_iter().fold(Desired::new().host("h", spec()).host("other", spec()), Desired::with)
}

/// What is said of what failed or was held back.
pub(crate) fn errors(report: &RunReport) -> Vec<&str> {
    report.failures.iter().map(|failure| failure.error.as_str()).collect()
}
