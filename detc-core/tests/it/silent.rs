//! A host that never answers, or is not the one that it is said to be, holds up nobody else, and not for long.

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use detc_core::backend::host::{Command, Output, Ownership, Remove, Stat};
use detc_core::backend::{Host, HostError, MemoryHost};
use detc_core::diff::ChangeKind;
use detc_core::execute::{Outcome, Progress, StopHandle, unseen};
use detc_core::manage::{Manager, ManagerOptions, Resumed};
use detc_core::model::{Desired, DesiredResource, HostName, HostSpec};
use detc_core::resource::Connector;
use detc_core::store::Store;
use detc_core::store::memory::MemoryStore;
use tokio::time::Instant;

use crate::world::{Line, World};

/// A host that takes every call and answers none.
#[derive(Debug)]
struct Silent;

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("silent")
    }
}

#[async_trait]
impl Host for Silent {
    async fn run(&self, _: &Command) -> Result<Output, HostError> {
        pending().await
    }

    async fn stat(&self, _: &str) -> Result<Option<Stat>, HostError> {
        pending().await
    }

    async fn read(&self, _: &str, _: u64) -> Result<Vec<u8>, HostError> {
        pending().await
    }

    async fn write(&self, _: &str, _: &[u8], _: &Ownership) -> Result<(), HostError> {
        pending().await
    }

    async fn make_dir(&self, _: &str, _: &Ownership) -> Result<(), HostError> {
        pending().await
    }

    async fn set_ownership(&self, _: &str, _: &Ownership) -> Result<(), HostError> {
        pending().await
    }

    async fn remove(&self, _: &str, _: Remove) -> Result<(), HostError> {
        pending().await
    }
}

#[derive(Debug)]
struct ToSilence;

#[async_trait]
impl Connector for ToSilence {
    fn scheme(&self) -> &'static str {
        "silence"
    }

    fn check(&self, _: &HostSpec) -> Result<(), String> {
        Ok(())
    }

    async fn connect(&self, _: &HostName, _: &HostSpec) -> Result<Arc<dyn Host>, HostError> {
        Ok(Arc::new(Silent))
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_answers_is_waited_for_once_and_holds_up_no_other() {
    const LINES: usize = 500;
    let world = World::new();
    let registry = world.registry().with_connector(ToSilence);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let options = ManagerOptions::default();
    let patience = options.driver.check_timeout;
    let manager = Manager::open(store, registry, options).await.unwrap();
    let to = |connect: &str| HostSpec { connect: connect.to_owned(), ..HostSpec::local() };
    let mut desired = Desired::new().host("a", to("silence")).host("m", to("memory"));
    for at in 0..LINES {
        let line = |host: &str| {
            DesiredResource::new(&format!("{host}{at}"), &Line::new(&format!("{host}{at}"))).on(host)
        };
        desired = desired.with(line("a")).with(line("m"));
    }
    let began = Instant::now();
    let planned = manager.plan(&desired).await.unwrap();
    assert!(began.elapsed() < patience + Duration::from_secs(1), "{:?}", began.elapsed());
    let counts = planned.plan.counts();
    assert_eq!((counts[&ChangeKind::Unknown], counts[&ChangeKind::Create]), (LINES, LINES));
    let reasons: Vec<String> = planned.plan.unknown().map(|change| change.reason.to_string()).collect();
    let of = |what: &str| reasons.iter().filter(|reason| reason.contains(what)).count();
    assert!(of("no answer within 60 s") >= 3);
    assert!(of("not looked at: a did not answer several others within 60 s each") > LINES / 2);
}

/// Leads to the host of a world, until that is another one than it was.
#[derive(Debug)]
struct ToKnown {
    host: Arc<MemoryHost>,
    is_another: Arc<AtomicBool>,
}

#[async_trait]
impl Connector for ToKnown {
    fn scheme(&self) -> &'static str {
        "known"
    }

    fn check(&self, _: &HostSpec) -> Result<(), String> {
        Ok(())
    }

    async fn connect(&self, name: &HostName, _: &HostSpec) -> Result<Arc<dyn Host>, HostError> {
        if self.is_another.load(Ordering::SeqCst) {
            return Err(HostError::Untrusted {
                host: name.to_string(),
                what: "its key is another than it was".to_owned(),
                hint: "see whether it was installed anew".to_owned(),
            });
        }
        Ok(self.host.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_not_trusted_is_not_tried_again() {
    let world = World::new();
    let is_another = Arc::new(AtomicBool::new(false));
    let registry =
        world.registry().with_connector(ToKnown { host: world.host.clone(), is_another: is_another.clone() });
    let manager =
        Manager::open(Arc::new(MemoryStore::new()), registry, ManagerOptions::default()).await.unwrap();
    let to = HostSpec { connect: "known".to_owned(), ..HostSpec::local() };
    let desired = Desired::new().host("m", to).with(DesiredResource::new("a", &Line::new("a")).on("m"));
    let stop = StopHandle::new();
    stop.stop();
    let planned = manager.plan(&desired).await.unwrap();
    let stopped = manager.apply_with(planned, unseen(), stop).await.unwrap();
    assert_eq!(stopped.report.outcome, Outcome::Interrupted);
    is_another.store(true, Ordering::SeqCst);
    let head = manager.interrupted().await.unwrap().unwrap();
    let delays = Arc::new(AtomicU32::new(0));
    let counted = delays.clone();
    let sink = Box::new(move |progress: &Progress<'_>| {
        if matches!(progress, Progress::Delayed { .. }) {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let resumed = manager.resume(head, Some(&desired), sink, StopHandle::new()).await.unwrap();
    let Resumed::Finished(report) = resumed else { panic!("{resumed}") };
    let error = &report.report.failures[0].error;
    assert!(error.starts_with("m is not trusted: its key is another than it was"), "{error}");
    assert_eq!(delays.load(Ordering::SeqCst), 0, "it does not go better by itself");
}
