//! A host that never answers, or is not the one that it is said to be, holds up nobody else, and not for long.

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use detc_core::backend::host::{Command, Output, Ownership, Remove, Sink, Stat};
use detc_core::backend::{Host, HostError, MemoryHost};
use detc_core::content::Content;
use detc_core::diff::ChangeKind;
use detc_core::execute::{Limits, Outcome, Progress, StopHandle, unseen};
use detc_core::manage::{Manager, ManagerOptions, Resumed};
use detc_core::model::{Desired, DesiredResource, HostName, HostSpec};
use detc_core::resource::Connector;
use detc_core::store::Store;
use detc_core::store::memory::MemoryStore;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::world::{Line, World};

/// A host that takes every call, and answers one after the other, each after so long; or none.
#[derive(Debug)]
struct Slow {
    each: Option<Duration>,
    turn: Mutex<()>,
}

impl Slow {
    async fn answer(&self) {
        let _turn = self.turn.lock().await;
        match self.each {
            Some(each) => tokio::time::sleep(each).await,
            None => pending().await,
        }
    }
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("slow")
    }
}

#[async_trait]
impl Host for Slow {
    async fn run(&self, _: &Command) -> Result<Output, HostError> {
        self.answer().await;
        Ok(Output::default())
    }

    async fn stat(&self, _: &str) -> Result<Option<Stat>, HostError> {
        self.answer().await;
        Ok(None)
    }

    async fn read_to(&self, path: &str, _: u64, _: &mut Sink<'_>) -> Result<u64, HostError> {
        self.answer().await;
        Err(HostError::NotFound { host: self.to_string(), path: path.to_owned() })
    }

    async fn write_from(&self, _: &str, _: &Content, _: &Ownership) -> Result<(), HostError> {
        self.answer().await;
        Ok(())
    }

    async fn make_dir(&self, _: &str, _: &Ownership) -> Result<(), HostError> {
        self.answer().await;
        Ok(())
    }

    async fn set_ownership(&self, _: &str, _: &Ownership) -> Result<(), HostError> {
        self.answer().await;
        Ok(())
    }

    async fn remove(&self, _: &str, _: Remove) -> Result<(), HostError> {
        self.answer().await;
        Ok(())
    }
}

/// Leads to such hosts.
#[derive(Debug)]
struct ToSlow(&'static str, Option<Duration>);

#[async_trait]
impl Connector for ToSlow {
    fn scheme(&self) -> &'static str {
        self.0
    }

    fn check(&self, _: &HostSpec) -> Result<(), String> {
        Ok(())
    }

    async fn connect(&self, _: &HostName, _: &HostSpec) -> Result<Arc<dyn Host>, HostError> {
        Ok(Arc::new(Slow { each: self.1, turn: Mutex::default() }))
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_answers_is_waited_for_once_and_holds_up_no_other() {
    const LINES: usize = 500;
    let world = World::new();
    let registry = world.registry().with_connector(ToSlow("silence", None));
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    // Fewer places at a host than it has resources, so that some are still to be looked at when it counts as silent.
    let options = ManagerOptions::default().with_limits(Limits::default().with_looks(512, 64));
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

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_turn_at_a_busy_host_is_looked_at_all_the_same() {
    const LINES: usize = 100;
    let each = Duration::from_secs(10);
    let registry = World::new().registry().with_connector(ToSlow("busy", Some(each)));
    let options = ManagerOptions::default();
    assert!(options.driver.check_timeout < each * 10, "the last ones wait for longer than a look has");
    let manager = Manager::open(Arc::new(MemoryStore::new()), registry, options).await.unwrap();
    let to = HostSpec { connect: "busy".to_owned(), ..HostSpec::local() };
    let mut desired = Desired::new().host("b", to);
    for at in 0..LINES {
        desired = desired.with(DesiredResource::new(&format!("b{at}"), &Line::new("b")).on("b"));
    }
    let planned = manager.plan(&desired).await.unwrap();
    assert_eq!(planned.plan.counts()[&ChangeKind::Create], LINES);
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

/// Leads to hosts, each after a second, and counts how many are on their way.
#[derive(Debug, Default)]
struct ToMany {
    now: AtomicU32,
    most: Arc<AtomicU32>,
}

#[async_trait]
impl Connector for ToMany {
    fn scheme(&self) -> &'static str {
        "many"
    }

    fn check(&self, _: &HostSpec) -> Result<(), String> {
        Ok(())
    }

    async fn connect(&self, name: &HostName, _: &HostSpec) -> Result<Arc<dyn Host>, HostError> {
        self.most.fetch_max(1 + self.now.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        Ok(Arc::new(MemoryHost::new(name.as_str())))
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_hosts_are_connected_to_at_once_than_may_be() {
    let connector = ToMany::default();
    let most = connector.most.clone();
    let registry = World::new().registry().with_connector(connector);
    let options = ManagerOptions::default().with_limits(Limits::default().with_connects(3));
    let manager = Manager::open(Arc::new(MemoryStore::new()), registry, options).await.unwrap();
    let desired = (0..10).fold(Desired::new(), |desired, at| {
        let (name, to) = (format!("h{at}"), HostSpec { connect: "many".to_owned(), ..HostSpec::local() });
        desired.host(&name, to).with(DesiredResource::new(&name, &Line::new(&name)).on(&name))
    });
    let began = Instant::now();
    manager.plan(&desired).await.unwrap();
    assert_eq!((most.load(Ordering::SeqCst), began.elapsed().as_secs()), (3, 4));
}
