//! An engine in memory whose calls are watched, for the tests of the kinds that live on one.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CxParts};
use detc_core::backend::containers::{
    Change, Container, Containers, ContainersError, ImageDefaults, Listed, Listing, LogLine, LogQuery,
    MemoryContainers, NetworkSpec, New, Object, ObjectKind, ObjectRef, Phase, Query, RemoveHow, VolumeSpec,
    Watch,
};
use detc_core::backend::host::{Command, ExitStatus, Host, Output};
use detc_core::backend::memory::Files;
use detc_core::backend::{Backends, MemoryHost};
use detc_core::model::{Digest, FieldPath, Observation, Present, RecordBody, ResourceId};
use detc_core::resource::Resource;
use detc_core::testing::resource::{CallError, Calls, Trial};
use serde_json::Value;

use crate::resources::Engines;

/// An engine whose calls go wrong as they are to.
#[derive(Debug)]
pub(crate) struct Watched {
    inner: MemoryContainers,
    calls: Calls,
}

impl Watched {
    pub(crate) fn new(inner: &MemoryContainers, calls: &Calls) -> Self {
        Self { inner: inner.clone(), calls: calls.clone() }
    }

    fn said(&self, what: &str, error: CallError) -> ContainersError {
        let (engine, what) = (self.inner.to_string(), what.to_owned());
        match error {
            CallError::AnswerLost => ContainersError::AnswerLost { engine, what },
            CallError::Unreachable => ContainersError::Unreachable { engine, what },
            other => ContainersError::Refused { engine, what, said: other.to_string() },
        }
    }

    async fn look<T: Send>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, ContainersError>> + Send,
    ) -> Result<T, ContainersError> {
        self.calls.look(what, call).await.unwrap_or_else(|error| Err(self.said(what, error)))
    }
}

impl Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.inner, f)
    }
}

#[async_trait]
impl Containers for Watched {
    async fn list(&self, query: &Query) -> Result<Listing, ContainersError> {
        self.look(&format!("list {}s", query.kind), self.inner.list(query)).await
    }

    async fn inspect(&self, object: &ObjectRef) -> Result<Option<Object>, ContainersError> {
        self.look(&format!("inspect {object}"), self.inner.inspect(object)).await
    }

    async fn create(&self, new: &New) -> Result<String, ContainersError> {
        let what = new.to_string();
        let done = self.calls.change(&what, self.inner.create(new)).await;
        done.unwrap_or_else(|error| Err(self.said(&what, error)))
    }

    async fn change(&self, change: &Change) -> Result<(), ContainersError> {
        let what = change.to_string();
        let done = self.calls.change(&what, self.inner.change(change)).await;
        done.unwrap_or_else(|error| Err(self.said(&what, error)))
    }

    async fn logs(&self, container: &str, query: &LogQuery) -> Result<Vec<LogLine>, ContainersError> {
        self.look("logs", self.inner.logs(container, query)).await
    }

    async fn watch(&self) -> Result<Watch, ContainersError> {
        self.look("watch", self.inner.watch()).await
    }

    fn host(&self, container: &str) -> Arc<dyn Host> {
        self.inner.host(container)
    }
}

/// What a call in memory comes to, which never waits.
pub(crate) fn now<T>(call: impl Future<Output = T>) -> T {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("a call in memory waits"),
    }
}

/// An engine with the images `web:1` and `web:2`, whose containers serve until they are ended, and with the networks `back` and
/// `front` and the volume `data`, which are others'.
pub(crate) fn engine() -> MemoryContainers {
    let engine = MemoryContainers::new("m").with_program("crash", |_: &Command, _: &mut Files| {
        let (stdout, stderr) = (b"began\nno config\n".to_vec(), Vec::new());
        Output { status: ExitStatus::Code(3), stdout, stderr, truncated: false }
    });
    for name in ["back", "front"] {
        let new = New::Network { name: name.to_owned(), spec: NetworkSpec::default() };
        now(engine.create(&new)).expect("an engine in memory answers");
    }
    let new = New::Volume { name: "data".to_owned(), spec: VolumeSpec::default() };
    now(engine.create(&new)).expect("an engine in memory answers");
    for reference in ["web:1", "web:2"] {
        let mut defaults = ImageDefaults::default();
        defaults.command = vec!["sleep".to_owned(), "1000".to_owned()];
        defaults.env.insert("VERSION".to_owned(), reference.to_owned());
        engine.add_image(reference, defaults);
    }
    engine
}

/// All that an engine has, but for ids.
pub(crate) fn world(engine: &MemoryContainers) -> String {
    let mut text = engine.dump();
    let containers =
        now(engine.list(&Query::new(ObjectKind::Container))).expect("an engine in memory answers");
    for listed in &*containers {
        let container =
            now((engine as &dyn Containers).container(&listed.id)).expect("an engine in memory answers");
        let container = container.expect("it was just listed");
        text.push_str(&format!("{} is {:?}\n", container.name, container.spec));
    }
    text
}

/// Somebody removes a container.
pub(crate) fn remove(engine: &MemoryContainers, name: &str) {
    remove_object(engine, ObjectRef::container(name));
}

/// Somebody removes something that nothing uses, or a container.
pub(crate) fn remove_object(engine: &MemoryContainers, object: ObjectRef) {
    let change = Change::Remove { object, how: RemoveHow::Running };
    now(engine.change(&change)).expect("an engine in memory answers");
}

/// How much memory the containers that run may use.
pub(crate) fn memory_mib(engine: &MemoryContainers) -> i64 {
    let listed = now(engine.list(&Query::new(ObjectKind::Container))).expect("an engine in memory answers");
    let running = listed.iter().filter(|it| it.status.as_ref().is_some_and(|it| it.phase == Phase::Running));
    let of = |it: &Listed| {
        let container =
            now((engine as &dyn Containers).container(&it.id)).expect("an engine in memory answers");
        container.and_then(|it| it.spec.limits.memory_bytes).unwrap_or_default() >> 20
    };
    running.map(of).sum::<u64>().try_into().expect("it is little")
}

/// A trial on an engine.
pub(crate) fn trial(engine: &MemoryContainers, specs: impl IntoIterator<Item = Value>) -> Trial {
    let calls = Calls::new();
    let engines = Engines::new().with_engine("m", Arc::new(Watched::new(engine, &calls)));
    let seen = engine.clone();
    Trial::of_backend(calls, specs, move || world(&seen))
        .on_host(Arc::new(MemoryHost::new("m")))
        .with_backend(Arc::new(engines))
}

/// The surroundings of one resource on an engine.
pub(crate) struct Bench {
    pub(crate) engine: MemoryContainers,
    id: ResourceId,
    host: Arc<dyn Host>,
    backends: Backends,
    recorded: Option<RecordBody>,
    pub(crate) triggers: Option<String>,
    pub(crate) heals: bool,
    pub(crate) cut_off: bool,
    pub(crate) sensitive: Vec<FieldPath>,
}

impl Bench {
    pub(crate) fn new(id: &str, engine: MemoryContainers) -> Self {
        let direct = Arc::new(engine.clone());
        Self::through(direct, id, engine)
    }

    /// Where calls go through something to the engine.
    pub(crate) fn through(way: Arc<dyn Containers>, id: &str, engine: MemoryContainers) -> Self {
        let engines = Engines::new().with_engine("m", way);
        Self {
            engine,
            id: id.parse().expect("it is an id"),
            host: Arc::new(MemoryHost::new("m")),
            backends: Backends::none().with(Arc::new(engines)),
            recorded: None,
            triggers: None,
            heals: false,
            cut_off: false,
            sensitive: Vec::new(),
        }
    }

    /// The same surroundings of another resource.
    pub(crate) fn of(&self, id: &str) -> Self {
        let (host, backends) = (Arc::clone(&self.host), self.backends.clone());
        Self { host, backends, ..Self::new(id, self.engine.clone()) }
    }

    pub(crate) fn cx(&self) -> ActionCx<'_> {
        ActionCx::new(CxParts {
            resource: &self.id,
            identity: &self.id,
            host: Some(&self.host),
            backends: &self.backends,
            recorded: self.recorded.as_ref(),
            triggers: self.triggers.as_deref(),
            scope: "c1",
            state_dir: "/var/lib/detc",
            key: "key",
            begun_before: false,
            sensitive: &self.sensitive,
            cut_off: self.cut_off,
            heals: self.heals,
            blobs: const { &BTreeMap::new() },
        })
    }

    /// Makes or changes it to be as `spec` says, and records that.
    pub(crate) async fn apply<R: Resource>(&mut self, spec: &R) -> R::Output {
        let done = self.tried(spec).await.unwrap_or_else(|error| panic!("{}", error.full_message()));
        let schema = Digest::of(b"schema");
        let body = serde_json::json!({"spec": spec, "output": done, "changed": "1/a", "schema": schema});
        self.recorded = Some(serde_json::from_value(body).expect("it is a record"));
        self.recorded.as_mut().expect("it was just set").triggers = self.triggers.clone();
        done
    }

    /// Makes or changes it to be as `spec` says; what it comes to.
    pub(crate) async fn tried<R: Resource>(&self, spec: &R) -> Result<R::Output, ActionError> {
        match spec.observe(&self.cx()).await? {
            Observation::Present(_) => spec.update(&self.cx()).await,
            _ => spec.create(&self.cx()).await,
        }
    }

    /// What is seen of it.
    pub(crate) async fn seen<R: Resource>(&self, spec: &R) -> Present {
        match spec.observe(&self.cx()).await {
            Ok(Observation::Present(present)) => present,
            other => panic!("not present: {other:?}"),
        }
    }

    /// A container of the engine.
    pub(crate) async fn container(&self, name: &str) -> Option<Container> {
        (&self.engine as &dyn Containers).container(name).await.expect("an engine in memory answers")
    }
}
