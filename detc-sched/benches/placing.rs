//! How fast instances are placed one by one: onto 5,000 machines, plain and under rules, and a GPU cluster's arrivals.
//!
//! `cargo bench -p detc-sched --bench placing`

#![allow(missing_docs, reason = "what criterion generates has none")]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use detc_sched::place::online::{Mix, Placer, Preference};
use detc_sched::place::{Group, LevelId, Placement, Rule};

#[path = "generated/mod.rs"]
mod generated;

use generated::ZONES;

const MACHINES: usize = 5_000;
const INSTANCES: usize = 50_000;

fn onto_5000_machines(criterion: &mut Criterion) {
    let zone = LevelId::new(1);
    let even = Rule::Even { over: zone, domains: ZONES as u32 };
    let rules: [(&str, &dyn Fn(Group) -> Group); 4] = [
        ("plain", &|group| group),
        ("spread", &|group| group.with_rule(even.clone())),
        ("anti-affinity", &|group| group.with_rule(Rule::unique())),
        ("wishes", &|group| group.with_wish(Rule::unique(), 10).with_wish(even.clone(), 1)),
    ];
    let mut bench = criterion.benchmark_group("place");
    bench.sample_size(10).throughput(Throughput::Elements(INSTANCES as u64));
    for (name, rule) in rules {
        let model = generated::cluster(MACHINES, INSTANCES, rule);
        for (side, preference) in [("tight", Preference::Tight), ("loose", Preference::Loose)] {
            let placer = || Placer::new(&model, &Placement::empty(&model), preference.clone());
            bench.bench_function(BenchmarkId::new(name, side), |bencher| {
                bencher.iter_batched(
                    placer,
                    |mut placer| {
                        // That one has no room is no failure of the measurement.
                        model.instances().for_each(|instance| drop(placer.place(instance)));
                        placer
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
    bench.finish();
}

fn gpu_cluster(criterion: &mut Criterion) {
    const PODS: usize = 10_800;
    let model = generated::gpus(1_200, PODS);
    let mut bench = criterion.benchmark_group("gpu cluster");
    bench.sample_size(10).throughput(Throughput::Elements(PODS as u64));
    bench.bench_function("arrivals", |bencher| {
        bencher.iter(|| {
            let mix = Mix::of(&model, model.instances(), 64);
            let mut placer = Placer::new(&model, &Placement::empty(&model), Preference::Usable(mix));
            model.instances().for_each(|pod| drop(placer.place(pod)));
            placer
        });
    });
    bench.finish();
}

criterion_group!(benches, onto_5000_machines, gpu_cluster);
criterion_main!(benches);
