//! What a run costs beside its actions: the engine with a store in memory, and the durable journal.
//!
//! `cargo bench -p detc-core --bench engine`

#![allow(missing_docs, reason = "what criterion generates has none")]

use std::future::ready;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use detc_core::action::CrashClass;
use detc_core::execute::journal::RunNumber;
use detc_core::execute::{
    Applied, Checked, Driver, DriverOptions, Engine, NodeEnd, Outcome, Perform, Performing, Phase, Retry,
    Work,
};
use detc_core::store::file::FileStore;
use detc_core::store::memory::MemoryStore;
use detc_core::store::{Store, Write};

/// How many actions are at work at once where it is not the subject.
const WIDTH: usize = 64;

/// Actions that do nothing and are done at once. Each records this many bytes.
#[derive(Debug)]
struct Nothing {
    record: usize,
}

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

    fn records(&self, action: u32, _: &NodeEnd) -> Vec<Write> {
        if self.record == 0 {
            return Vec::new();
        }
        let key = format!("state/value/r{action}").into();
        vec![Write::Put { key, value: vec![7; self.record].into(), lease: None }]
    }

    fn remark(&self, _: u32) -> Option<String> {
        None
    }

    fn last_error(&self, _: u32) -> String {
        String::new()
    }
}

/// Actions in stages of this width, each after all of the stage before.
fn stages(stages: usize, width: usize) -> Work {
    let after = |action: usize| -> Box<[u32]> {
        let stage = action / width;
        (stage.saturating_sub(1) * width..stage * width).map(|before| before as u32).collect()
    };
    let len = stages * width;
    Work {
        after: (0..len).map(after).collect(),
        crash: vec![CrashClass::DeterministicName; len],
        global: WIDTH.max(width),
        groups: Vec::new(),
        member: Vec::new(),
        has_effect: Vec::new(),
    }
}

async fn run(store: Arc<dyn Store>, work: Work, record: usize) {
    let engine = Engine::new(work, Retry::default());
    let driver = Driver::new(store, RunNumber(1), Arc::new(Nothing { record }), DriverOptions::default());
    let report = driver.run(engine).await.expect("the store holds");
    assert_eq!(report.outcome, Outcome::Done, "nothing can fail");
}

fn overhead(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
    let runtime = runtime.expect("the system has threads");
    let mut group = criterion.benchmark_group("engine");
    group.sample_size(10);
    for (name, count, width) in
        [("chain of 10000", 10_000, 1), ("4 stages of 100", 4, 100), ("10 stages of 1000", 10, 1_000)]
    {
        group.throughput(Throughput::Elements((count * width) as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || (Arc::new(MemoryStore::new()), stages(count, width)),
                |(store, work)| runtime.block_on(run(store, work, 0)),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn journal(criterion: &mut Criterion) {
    /// What a small resource's record takes.
    const RECORD: usize = 250;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
    let runtime = runtime.expect("the system has threads");
    let mut group = criterion.benchmark_group("durable journal");
    group.sample_size(10);
    for (count, width) in [(1, 20_000), (20, 1_000), (200, 100)] {
        group.throughput(Throughput::Elements((count * width) as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{count} stages of {width}")), |bencher| {
            bencher.iter_batched(
                || {
                    // Beside the build, since a system's folder for temporary files may be in memory.
                    let dir = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR")));
                    let dir = dir.expect("the target folder can be written");
                    let store = runtime.block_on(FileStore::open(dir.path())).expect("a new store opens");
                    (dir, Arc::new(store), tree(count, width))
                },
                |(dir, store, work)| {
                    runtime.block_on(run(store, work, RECORD));
                    dir
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Stages in which each action comes after one of the stage before.
fn tree(count: usize, width: usize) -> Work {
    let mut work = stages(count, width);
    for (action, after) in work.after.iter_mut().enumerate() {
        *after = action.checked_sub(width).map(|before| before as u32).into_iter().collect();
    }
    work
}

criterion_group!(benches, overhead, journal);
criterion_main!(benches);
