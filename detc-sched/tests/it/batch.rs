//! Placing many at once.

use std::sync::atomic::{AtomicU64, Ordering};

use detc_sched::place::online::Preference;
use detc_sched::place::{
    Builder, Group, Hold, Instance, Machine, MachineId, Model, Placement, place_all, validate,
};
use detc_sched::rebalance::{Effort, Options, Spent};
use detc_sched::testing::{Exhaustive, Shape, random_model, random_running};

use crate::support::for_seeds;

fn nowhere(model: &Model, placement: &Placement) -> usize {
    model.instances().filter(|id| placement.machine(*id).is_none()).count()
}

#[test]
fn a_batch_breaks_nothing_and_finds_a_place_for_nearly_all_that_can_have_one() {
    let (mut possible, mut placed, mut greedy) = (0, 0, 0);
    for_seeds(1500, |seed| {
        let model = random_model(seed, &Shape::TINY);
        let empty = Placement::empty(&model);
        let all = |effort| place_all(&model, &empty, &Preference::Tight, &Options::new(seed), effort);
        let batch = all(Effort::Steps(20_000));
        assert_eq!(validate(&model, &batch.placement), []);
        assert_eq!(batch.refused.len(), nowhere(&model, &batch.placement));
        let best = Exhaustive::new(&model).first().expect("it is small");
        if batch.refused.is_empty() {
            assert!(best.is_some());
        }
        if best.is_some() {
            possible += 1;
            placed += i32::from(batch.refused.is_empty());
            greedy += i32::from(all(Effort::Steps(0)).refused.is_empty());
        }
    });
    let single = std::env::var("DETC_SEED").is_ok();
    assert!(possible > 100 && greedy < placed || single, "{placed} of {possible}, {greedy} without moves");
    // A search of a moment gives no proof; this is what is known of it.
    assert!(placed * 100 >= possible * 97 || single, "{placed} of {possible}, {greedy} without moves");
}

#[test]
fn nobody_who_has_a_place_loses_it_and_the_same_arguments_give_the_same() {
    for_seeds(150, |seed| {
        let (model, start) = random_running(seed, &Shape::SMALL.with_devices(1));
        let place =
            || place_all(&model, &start, &Preference::Loose, &Options::new(seed), Effort::Steps(8000));
        let batch = place();
        assert_eq!(validate(&model, &batch.placement), []);
        assert!(
            model
                .instances()
                .all(|id| { start.machine(id).is_none() || batch.placement.machine(id).is_some() })
        );
        assert_eq!(batch, place());
        let looks = AtomicU64::new(0);
        let spent = || Spent::of(looks.fetch_add(1, Ordering::Relaxed), 1 + seed % 40);
        let until = Effort::Until(&spent);
        let batch = place_all(&model, &start, &Preference::Loose, &Options::new(seed), until);
        assert_eq!(validate(&model, &batch.placement), []);
    });
}

#[test]
fn others_move_to_make_room_for_a_large_one() {
    let mut builder = Builder::new();
    let cores = builder.resource("cores", Hold::Freed);
    for name in ["m1", "m2", "m3"] {
        builder.machine(Machine::new(name).with_capacity(cores, 8));
    }
    let jobs = builder.group(Group::new("jobs"));
    for machine in 0..3 {
        let small = Instance::new(jobs).with_need(cores, 2).running_on(MachineId::new(machine));
        builder.instance(small);
    }
    builder.instance(Instance::new(jobs).with_need(cores, 8));
    let model = builder.build().expect("a small model");
    let start = Placement::running(&model);
    let place = |effort| place_all(&model, &start, &Preference::Tight, &Options::new(1), effort);
    assert_eq!(place(Effort::Steps(0)).refused.len(), 1);
    let batch = place(Effort::Steps(20_000));
    assert_eq!(batch.refused, []);
    assert_eq!(validate(&model, &batch.placement), []);
}
