use super::Pool;
use crate::place::{Builder, Group, Hold, Instance, Machine, MachineId, Model, Placement, validate};
use crate::rebalance::Effort;
use crate::rebalance::dense::{Dense, NOWHERE};
use crate::rng::Rng;

const FULL: usize = 40;

/// As many machines' worth, each cut in two with a little left.
fn pairs(seed: u64) -> Model {
    let mut rng = Rng::new(seed, 7);
    let mut builder = Builder::new();
    let resources = ["cores", "memory", "disk"].map(|name| builder.resource(name, Hold::Freed));
    for index in 0..FULL {
        let machine = Machine::new(format!("m{index}"));
        builder.machine(resources.iter().fold(machine, |machine, it| machine.with_capacity(*it, 100)));
    }
    let things = builder.group(Group::new("things"));
    for _ in 0..FULL {
        let cuts = resources.map(|it| (it, 30 + rng.below(40) as i64));
        let one = cuts.iter().fold(Instance::new(things), |one, (it, cut)| one.with_need(*it, *cut));
        let rest = cuts.iter().fold(Instance::new(things), |rest, (it, cut)| rest.with_need(*it, 98 - cut));
        builder.instance(one);
        builder.instance(rest);
    }
    builder.build().expect("small numbers")
}

#[test]
fn those_that_wait_find_who_they_fit_together_with() {
    for seed in 0..20 {
        let model = pairs(seed);
        let dense = Dense::new(&model);
        let mut pool = Pool::new(&dense, &[NOWHERE; 2 * FULL]);
        let (mut rng, mut steps) = (Rng::new(seed, 0), 0);
        let at = pool.search(&Effort::Steps(400_000), &mut rng, &mut steps, 1.0);
        let at = at.unwrap_or_else(|| panic!("seed {seed}: not all found a place"));
        let mut placement = Placement::empty(&model);
        for (id, machine) in dense.order.iter().zip(at) {
            placement.put(*id, MachineId(machine));
        }
        assert_eq!(validate(&model, &placement), [], "seed {seed}");
        assert!(model.instances().all(|id| placement.machine(id).is_some()), "seed {seed}");
    }
}

#[test]
fn a_search_that_may_take_no_step_places_nobody() {
    let model = pairs(1);
    let dense = Dense::new(&model);
    let mut pool = Pool::new(&dense, &[NOWHERE; 2 * FULL]);
    let (mut rng, mut steps) = (Rng::new(1, 0), 0);
    assert_eq!(pool.search(&Effort::Steps(0), &mut rng, &mut steps, 1.0), None);
    assert_eq!(pool.waiting.len(), 2 * FULL);
}
