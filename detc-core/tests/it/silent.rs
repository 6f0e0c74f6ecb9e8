//! A host that never answers holds up nobody else, and not for long.

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use detc_core::backend::host::{Command, Output, Ownership, Remove, Stat};
use detc_core::backend::{Host, HostError};
use detc_core::diff::ChangeKind;
use detc_core::manage::{Manager, ManagerOptions};
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
