//! Actions that do nothing, in stages, each action after all of the stage before.

use std::future::ready;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use detc_core::action::CrashClass;
use detc_core::execute::journal::RunNumber;
use detc_core::execute::{
    Applied, Checked, Driver, DriverOptions, Engine, NodeEnd, Outcome, Perform, Performing, Phase, Retry,
    Work,
};
use detc_core::store::Write;
use detc_core::store::memory::MemoryStore;
use steno::{
    ActionContext, ActionError, ActionRegistry, DagBuilder, Node, SagaDag, SagaId, SagaName, SagaType,
};

/// How often detc is measured; the median is printed.
const TIMES: usize = 5;

/// Measures both, and prints a table.
pub fn compare(give_up: u64) -> anyhow::Result<()> {
    println!("| | steno 0.4.1 | detc | an action | ratio |");
    println!("|---|---|---|---|---|");
    for (name, stages, width) in
        [("chain of 10,000", 10_000, 1), ("4 stages of 100", 4, 100), ("10 stages of 1,000", 10, 1_000)]
    {
        let mut ours = (0..TIMES).map(|_| one_run(stages, width)).collect::<anyhow::Result<Vec<_>>>()?;
        ours.sort_unstable();
        let ours = ours[TIMES / 2];
        let each = ours.as_secs_f64() * 1e6 / (stages * width) as f64;
        let ours_ms = ours.as_secs_f64() * 1e3;
        match saga_within(stages, width, Duration::from_secs(give_up))? {
            Some(theirs) => println!(
                "| {name} | {:.2} s | {ours_ms:.2} ms | {each:.1} µs | {:.0} |",
                theirs.as_secs_f64(),
                theirs.as_secs_f64() / ours.as_secs_f64()
            ),
            None => println!(
                "| {name} | not done in {give_up} s | {ours_ms:.2} ms | {each:.1} µs | more than {:.0} |",
                give_up as f64 / ours.as_secs_f64()
            ),
        }
    }
    Ok(())
}

/// Runs a saga in a process of its own, which can be given up.
fn saga_within(stages: usize, width: usize, give_up: Duration) -> anyhow::Result<Option<Duration>> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["one-saga", &stages.to_string(), &width.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut out = child.stdout.take().context("its output is piped")?;
    let (send, printed) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let _given_up = send.send(out.read_to_string(&mut text).map(|_| text));
    });
    let Ok(printed) = printed.recv_timeout(give_up) else {
        child.kill()?;
        child.wait()?;
        return Ok(None);
    };
    ensure!(child.wait()?.success(), "the saga failed");
    let micros = printed?.trim().parse().context("no time was printed")?;
    Ok(Some(Duration::from_micros(micros)))
}

#[derive(Debug)]
struct Nothing;

impl Perform for Nothing {
    fn check(self: Arc<Self>, _: u32, phase: Phase) -> Performing<Checked> {
        Box::pin(ready(match phase {
            Phase::First => Checked::Needed(String::new()),
            Phase::Verify | Phase::Settle => Checked::Satisfied,
        }))
    }

    fn apply(self: Arc<Self>, _: u32, _: u32) -> Performing<Applied> {
        Box::pin(ready(Applied::Done))
    }

    fn lasts(&self, _: u32) -> Duration {
        Duration::ZERO
    }

    fn starting(&self, _: u32) -> Vec<Write> {
        Vec::new()
    }

    fn records(&self, _: u32, _: &NodeEnd) -> Vec<Write> {
        Vec::new()
    }

    fn remark(&self, _: u32) -> Option<String> {
        None
    }

    fn last_error(&self, _: u32) -> String {
        String::new()
    }
}

/// One run of detc: the graph, the engine, the driver and the journal in memory.
fn one_run(stages: usize, width: usize) -> anyhow::Result<Duration> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    let began = Instant::now();
    let after = |action: usize| -> Box<[u32]> {
        let stage = action / width;
        (stage.saturating_sub(1) * width..stage * width).map(|before| before as u32).collect()
    };
    let work = Work {
        after: (0..stages * width).map(after).collect(),
        crash: vec![CrashClass::DeterministicName; stages * width],
        global: width.max(64),
        ..Work::default()
    };
    let engine = Engine::new(work, Retry::default());
    let store = Arc::new(MemoryStore::new());
    let driver = Driver::new(store, RunNumber(1), Arc::new(Nothing), DriverOptions::default());
    let report = runtime.block_on(driver.run(engine))?;
    ensure!(report.outcome == Outcome::Done, "nothing can fail");
    Ok(began.elapsed())
}

#[derive(Debug)]
struct Saga;

impl SagaType for Saga {
    type ExecContextType = ();
}

async fn nothing(_: ActionContext<Saga>) -> Result<(), ActionError> {
    Ok(())
}

/// Runs a saga of the same shape, and prints how many microseconds it took: the graph, and the run in memory.
pub fn one_saga(stages: usize, width: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let action = steno::new_action_noop_undo("nothing", nothing);
    let mut registry = ActionRegistry::new();
    registry.register(action.clone());
    let registry = Arc::new(registry);
    let began = Instant::now();
    let mut builder = DagBuilder::new(SagaName::new("stages"));
    for stage in 0..stages {
        let node = |place: usize| Node::action(format!("n{stage}_{place}"), "nothing", action.as_ref());
        match width {
            1 => builder.append(node(0)),
            _ => builder.append_parallel((0..width).map(node).collect()),
        }
    }
    // A saga ends with one action.
    builder.append(Node::action("end", "nothing", action.as_ref()));
    let dag = Arc::new(SagaDag::new(builder.build()?, serde_json::Value::Null));
    runtime.block_on(async {
        let log = slog::Logger::root(slog::Discard, slog::o!());
        let sec = steno::sec(log, Arc::new(steno::InMemorySecStore::new()));
        let id = SagaId(uuid::Uuid::new_v4());
        let done = sec.saga_create(id, Arc::new(()), dag, registry).await?;
        sec.saga_start(id).await?;
        let result = done.await;
        ensure!(result.kind.is_ok(), "the saga failed");
        println!("{}", began.elapsed().as_micros());
        anyhow::Ok(())
    })
}
