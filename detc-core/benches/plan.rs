//! How long planning takes: from nothing, with nothing to do, and after one change.
//!
//! `cargo bench -p detc-core --bench plan`

#![allow(missing_docs, reason = "what criterion generates has none")]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use detc_core::model::secret::{MarkKey, Vault};
use detc_core::model::{DesiredResource, Recorded};
use detc_core::plan::{Observed, PlanInput, Planner, build};
use detc_core::resource::Registry;
use serde_json::json;

#[path = "../examples/support/values.rs"]
mod values;

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

fn planning(criterion: &mut Criterion) {
    let registry = Registry::new();
    let key = MarkKey::new([7; 32]);
    let observed = Observed::default();
    let mut group = criterion.benchmark_group("plan");
    group.sample_size(10);
    for len in SIZES {
        let desired = values::desired(len, &registry);
        let topology = desired.check(&registry).expect("the generated state is valid");
        let half_done = Default::default();
        let input = |recorded| PlanInput {
            desired: &desired,
            topology: &topology,
            recorded,
            observed: &observed,
            half_done: &half_done,
            registry: &registry,
            key: &key,
        };
        let nothing = Recorded::default();
        let plan = || build(&input(&nothing), &mut Vault::new()).expect("there is a plan");
        let recorded = values::records(&plan());
        group.throughput(Throughput::Elements(len as u64));
        group.bench_function(BenchmarkId::new("all", len), |bencher| {
            bencher.iter_batched(|| (), |()| plan(), BatchSize::PerIteration);
        });
        group.bench_function(BenchmarkId::new("nothing", len), |bencher| {
            bencher.iter(|| build(&input(&recorded), &mut Vault::new()).expect("there is a plan"));
        });
        group.bench_function(BenchmarkId::new("check", len), |bencher| {
            bencher.iter(|| desired.check(&registry).expect("the generated state is valid"));
        });
    }
    group.finish();
}

fn one_change(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one change");
    for len in SIZES {
        let registry = Registry::new();
        let key = MarkKey::new([7; 32]);
        let desired = values::desired(len, &registry);
        let changed = desired.resources[len / 2].clone();
        let mut planner = Planner::new(desired, Default::default(), registry, key);
        let recorded = values::records(&planner.plan().expect("there is a plan"));
        for (id, record) in recorded {
            planner.recorded(&id, Some(record));
        }
        assert!(planner.plan().expect("there is a plan").is_settled(), "everything is recorded");
        let mut round = 0;
        group.bench_function(BenchmarkId::from_parameter(len), |bencher| {
            bencher.iter_batched(
                || {
                    round += 1;
                    let fields = json!({ "input": round });
                    let resource = DesiredResource::from_value("value", changed.id.name(), &fields);
                    let resource = resource.expect("the name is a name");
                    changed.dependencies().iter().fold(resource, |resource, id| resource.after(id))
                },
                |resource| {
                    planner.set(resource);
                    planner.plan().expect("there is a plan")
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, planning, one_change);
criterion_main!(benches);
