//! A small world for tests of the manager: one host in memory with a ledger, and a kind whose effects can be counted.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint};
use detc_core::backend::host::{Command, ExitStatus, Output, Ownership};
use detc_core::backend::{Host, HostError, MemoryHost};
use detc_core::execute::Outcome;
use detc_core::manage::{Manager, ManagerOptions, Resumed};
use detc_core::model::{
    Desired, DesiredResource, HostName, HostSpec, Invariant, InvariantBound, Measure, Observation, Present,
    Selector,
};
use detc_core::resource::{Connector, HostNeed, InvalidField, KindTraits, Registry, Removed, Resource};
use detc_core::store::Store;
use serde::{Deserialize, Serialize};

const LEDGER: &str = "/ledger";

/// A line of the ledger. Making it twice writes it twice: that is what tests look for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) secret: Option<String>,
    #[serde(default)]
    pub(crate) once: bool,
}

impl Line {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), secret: None, once: false }
    }

    fn blind(&self) -> bool {
        self.once
    }
}

#[async_trait]
impl Resource for Line {
    const KIND: &'static str = "line";
    type Output = ();

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.replace_on = &["text"];
        traits.sensitive = &["secret"];
        traits.host = HostNeed::Required;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Ok(Footprint::new(if self.once { CrashClass::AtMostOnce } else { CrashClass::DeterministicName }))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        if self.blind() {
            return Ok(Observation::Unobservable);
        }
        let lines = ledger(&**cx.host()?).await?;
        let there = lines.contains(&self.text);
        Ok(if there {
            Observation::Present(Present::new().with_field("text", self.text.as_str()))
        } else {
            Observation::Absent
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        cx.host()?.run(&Command::new(["append", &self.text])).await?;
        Ok(())
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        let mut lines = ledger(&**cx.host()?).await?;
        lines.retain(|line| *line != self.text);
        let text: String = lines.into_iter().map(|line| line + "\n").collect();
        cx.host()?.write(LEDGER, text.as_bytes(), &Ownership::default()).await?;
        Ok(Removed::Gone)
    }
}

/// A line like any other, of which something is known only when it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signed {
    text: String,
    #[serde(default)]
    secret: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Signature {
    letters: String,
}

impl Signed {
    fn line(&self) -> Line {
        Line::new(&self.text)
    }

    fn signature(&self) -> Signature {
        Signature { letters: self.text.len().to_string() }
    }
}

#[async_trait]
impl Resource for Signed {
    const KIND: &'static str = "signed";
    type Output = Signature;

    fn traits() -> KindTraits {
        Line::traits()
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        self.line().inspect()
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        Ok(match self.line().observe(cx).await? {
            Observation::Present(present) => Observation::Present(present.with_output(&self.signature())),
            other => other,
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<Signature, ActionError> {
        self.line().create(cx).await?;
        Ok(self.signature())
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<Signature, ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        self.line().delete(cx).await
    }
}

async fn ledger(host: &dyn Host) -> Result<Vec<String>, HostError> {
    match host.read(LEDGER, 1 << 20).await {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()),
        Err(HostError::NotFound { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[derive(Debug)]
struct ToMemory(Arc<MemoryHost>);

#[async_trait]
impl Connector for ToMemory {
    fn scheme(&self) -> &'static str {
        "memory"
    }

    fn check(&self, _: &HostSpec) -> Result<(), String> {
        Ok(())
    }

    async fn connect(&self, _: &HostName, _: &HostSpec) -> Result<Arc<dyn Host>, HostError> {
        Ok(self.0.clone())
    }
}

/// The world: a host, and what manages it.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) host: Arc<MemoryHost>,
    more: fn(Registry) -> Registry,
}

impl World {
    pub(crate) fn new() -> Self {
        let append = |command: &Command, files: &mut detc_core::backend::memory::Files| {
            let mut text = files.read(LEDGER).map(<[u8]>::to_vec).unwrap_or_default();
            text.extend_from_slice(command.argv[1].as_bytes());
            text.push(b'\n');
            files.write(LEDGER, &text, &Ownership::default()).unwrap();
            Output { status: ExitStatus::Code(0), ..Output::default() }
        };
        Self::on(MemoryHost::new("m").with_program("append", append))
    }

    /// The host, for calls on files that are held in memory.
    pub(crate) fn machine(&self) -> &dyn Host {
        &*self.host
    }

    /// A world of this host.
    pub(crate) fn on(host: impl Into<Arc<MemoryHost>>) -> Self {
        Self { host: host.into(), more: |registry| registry }
    }

    /// The same world, managed by a program that knows more kinds.
    pub(crate) fn knowing(&self, more: fn(Registry) -> Registry) -> Self {
        Self { more, ..self.clone() }
    }

    pub(crate) fn registry(&self) -> Registry {
        let registry = Registry::new()
            .with_resource::<Line>()
            .with_resource::<Signed>()
            .with_connector(ToMemory(self.host.clone()));
        (self.more)(registry)
    }

    pub(crate) async fn manager(&self, store: &Arc<dyn Store>) -> Manager {
        Manager::open(store.clone(), self.registry(), ManagerOptions::default()).await.unwrap()
    }

    /// A manager that takes over from one that died: after its lease has run out. Time is paused.
    pub(crate) async fn successor(&self, store: &Arc<dyn Store>) -> Manager {
        tokio::time::sleep(Duration::from_secs(20)).await;
        self.manager(store).await
    }

    /// Writes a line behind the manager's back.
    pub(crate) async fn append(&self, line: &str) {
        self.host.run(&Command::new(["append", line])).await.unwrap();
    }

    pub(crate) async fn lines(&self) -> Vec<String> {
        let mut lines = ledger(&*self.host).await.unwrap();
        lines.sort();
        lines
    }
}

/// Lines `l0`, `l1`, … in layers of three, each after one of the layer before.
pub(crate) fn lines(count: usize) -> Desired {
    let mut desired =
        Desired::new().host("m", HostSpec { connect: "memory".to_owned(), ..HostSpec::local() });
    for index in 0..count {
        let mut line = DesiredResource::new(&format!("l{index}"), &Line::new(&format!("l{index}"))).on("m");
        if index >= 3 {
            line = line.after(&format!("line/l{}", index - 3).parse().unwrap());
        }
        desired = desired.with(line);
    }
    desired
}

/// That so many lines are there at any moment.
pub(crate) fn lines_stay(bound: i64) -> Invariant {
    let measure = Measure::Available(Selector { kind: Some("line".to_owned()), ..Selector::default() });
    Invariant { name: "lines stay".to_owned(), measure, bound: InvariantBound::AtLeast(bound) }
}

/// Finishes what was interrupted, then plans and applies.
pub(crate) async fn converge(manager: &Manager, desired: &Desired) -> Outcome {
    if let Some(open) = manager.interrupted().await.unwrap() {
        let sink = detc_core::execute::unseen();
        match manager.resume(open, Some(desired), sink, detc_core::execute::StopHandle::new()).await.unwrap()
        {
            Resumed::Finished(report) if report.report.outcome != Outcome::Done => {
                return report.report.outcome;
            }
            Resumed::Finished(_) | Resumed::Superseded(..) => {}
        }
    }
    let planned = manager.plan(desired).await.unwrap();
    manager.apply(planned).await.unwrap().report.outcome
}
