//! An engine in memory whose calls are watched, for the tests of the kinds that live on one.

use std::fmt::{self, Display};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use detc_core::backend::MemoryHost;
use detc_core::backend::containers::{
    Change, Containers, ContainersError, ImageDefaults, Listing, LogLine, LogQuery, MemoryContainers, New,
    Object, ObjectKind, ObjectRef, Query, Watch,
};
use detc_core::backend::host::Host;
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

/// An engine with the images `web:1` and `web:2`, whose containers serve until they are ended.
pub(crate) fn engine() -> MemoryContainers {
    let engine = MemoryContainers::new("m");
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

/// A trial on an engine.
pub(crate) fn trial(engine: &MemoryContainers, specs: impl IntoIterator<Item = Value>) -> Trial {
    let calls = Calls::new();
    let engines = Engines::new().with_engine("m", Arc::new(Watched::new(engine, &calls)));
    let seen = engine.clone();
    Trial::of_backend(calls, specs, move || world(&seen))
        .on_host(Arc::new(MemoryHost::new("m")))
        .with_backend(Arc::new(engines))
}
