//! How fast the searches are: moves evaluated a second, shards with an uneven load, packing, and a million instances.
//!
//! `cargo bench -p detc-sched --bench searching`

#![allow(missing_docs, reason = "what criterion generates has none")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use detc_sched::place::{Model, Placement};
use detc_sched::rebalance::{Effort, Options, pack, rebalance};

#[path = "generated/mod.rs"]
mod generated;

/// Moves of one thread; a few more are evaluated before the search looks at what is spent.
fn search(model: &Model, steps: u64) -> u64 {
    rebalance(model, &Placement::running(model), &Options::new(1), Effort::Steps(steps)).evaluated
}

fn reassignment(criterion: &mut Criterion) {
    const STEPS: u64 = 2_000_000;
    let model = generated::reassignment(100, 5_000);
    let mut bench = criterion.benchmark_group("reassignment");
    bench.sample_size(10).throughput(Throughput::Elements(STEPS));
    bench.bench_function("moves evaluated", |bencher| bencher.iter(|| search(&model, STEPS)));
    bench.finish();
}

fn shards(criterion: &mut Criterion) {
    let mut bench = criterion.benchmark_group("shards");
    bench.sample_size(10);
    for (hosts, shards, steps) in [(100, 1_000, 500_000), (1_000, 33_000, 4_000_000)] {
        let model = generated::shards(hosts, shards);
        bench.bench_function(BenchmarkId::new("hosts", hosts), |bencher| {
            bencher.iter(|| search(&model, steps));
        });
    }
    bench.finish();
}

fn packing(criterion: &mut Criterion) {
    let mut bench = criterion.benchmark_group("packing");
    bench.sample_size(10);
    for items in [100, 400] {
        let model = generated::items(items, 5);
        bench.bench_function(BenchmarkId::new("items", items), |bencher| {
            bencher.iter(|| pack(&model, &Options::new(1), Effort::Steps(500_000)).expect("all items fit"));
        });
    }
    bench.finish();
}

/// From the model to the first improvements, and no further.
fn size(criterion: &mut Criterion) {
    let model = generated::running(10_000, 1_000_000);
    let mut bench = criterion.benchmark_group("size");
    bench.sample_size(10);
    bench.bench_function("10,000 machines, 1,000,000 instances", |bencher| {
        bencher.iter(|| search(&model, 1_000_000));
    });
    bench.finish();
}

criterion_group!(benches, reassignment, shards, packing, size);
criterion_main!(benches);
