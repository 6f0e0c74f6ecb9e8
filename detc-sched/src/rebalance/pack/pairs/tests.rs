use std::sync::Arc;

use super::{Fits, NOBODY, Pairs, ones};
use crate::place::{Builder, Group, Hold, Instance, Machine, MachineId, Model, Placement, validate};
use crate::rebalance::Effort;
use crate::rebalance::dense::Dense;
use crate::rng::Rng;

/// Machines of which each is cut in two, and of which each is cut in three, with a little left.
const IN_TWO: usize = 14;
const IN_THREE: usize = 6;
const ITEMS: usize = 2 * IN_TWO + 3 * IN_THREE;

fn cut(seed: u64) -> Model {
    let mut rng = Rng::new(seed, 7);
    let mut builder = Builder::new();
    let resources = ["cores", "memory"].map(|name| builder.resource(name, Hold::Freed));
    for index in 0..ITEMS {
        let machine = Machine::new(format!("m{index}"));
        builder.machine(resources.iter().fold(machine, |machine, it| machine.with_capacity(*it, 100)));
    }
    let things = builder.group(Group::new("things"));
    for machine in 0..IN_TWO + IN_THREE {
        let mut parts = vec![Instance::new(things); if machine < IN_TWO { 2 } else { 3 }];
        for resource in resources {
            let mut left = 98;
            let last = parts.len() - 1;
            for (index, part) in parts.iter_mut().enumerate() {
                let need = if index == last { left } else { 20 + rng.below(21) as i64 };
                left -= need;
                *part = part.clone().with_need(resource, need);
            }
        }
        for part in parts {
            builder.instance(part);
        }
    }
    builder.build().expect("small numbers")
}

fn placement(model: &Model, dense: &Dense, at: &[u32]) -> Placement {
    let mut placement = Placement::empty(model);
    for (id, machine) in dense.order.iter().zip(at) {
        placement.put(*id, MachineId(*machine));
    }
    placement
}

#[test]
fn cut_machines_are_put_together_again() {
    let mut found = 0;
    for seed in 0..20 {
        let model = cut(seed);
        let dense = Dense::new(&model);
        let (effort, mut steps) = (Effort::Steps(1_500_000), 0);
        let fits = Arc::new(Fits::new(&dense, &effort, &mut steps).expect("some fit together"));
        let alone: Vec<u32> = (0..ITEMS as u32).collect();
        let mut pairs = Pairs::new(fits, &alone).expect("each is alone");
        let mut rng = Rng::new(seed, 0);
        let at = pairs.search(IN_TWO + IN_THREE, &effort, &mut rng, &mut steps, 1.0);
        if let Some(at) = at {
            found += 1;
            assert_eq!(validate(&model, &placement(&model, &dense, &at)), [], "seed {seed}");
            assert!(at.iter().all(|machine| (*machine as usize) < IN_TWO + IN_THREE), "seed {seed}");
        }
    }
    assert!(found >= 18, "{found} of 20");
}

#[test]
fn after_every_move_all_fit_together_and_what_is_saved_is_counted_right() {
    let model = cut(3);
    let dense = Dense::new(&model);
    let (effort, mut steps) = (Effort::Steps(u64::MAX), 0);
    let fits = Arc::new(Fits::new(&dense, &effort, &mut steps).expect("some fit together"));
    let alone: Vec<u32> = (0..ITEMS as u32).collect();
    let mut pairs = Pairs::new(fits, &alone).expect("each is alone");
    let mut rng = Rng::new(3, 0);
    for _ in 0..20_000 {
        pairs.try_set(&mut rng);
        let now = &pairs.now;
        let at = now.write_out();
        let mut machines = at.clone();
        machines.sort_unstable();
        machines.dedup();
        assert_eq!(machines.len(), ITEMS - now.saved);
        assert_eq!(validate(&model, &placement(&model, &dense, &at)), []);
        let is_alone = |item: usize| now.set_of[item] == NOBODY && now.mates[item] == NOBODY;
        assert!(ones(&now.alone).eq((0..ITEMS).filter(|item| is_alone(*item))));
        assert!(ones(&now.in_sets).eq((0..ITEMS).filter(|item| now.set_of[*item] != NOBODY)));
    }
}

#[test]
fn prices_tell_about_how_many_machines_it_takes() {
    for seed in 0..5 {
        let model = cut(seed);
        let dense = Dense::new(&model);
        let fits = Fits::new(&dense, &Effort::Steps(u64::MAX), &mut 0).expect("some fit together");
        let prices = fits.prices(&Effort::Steps(u64::MAX), &mut 0);
        let most = |sets: &mut dyn Iterator<Item = f64>| sets.fold(0.0, f64::max);
        let mut threes =
            fits.threes.iter().map(|three| three.iter().map(|item| prices[*item as usize]).sum::<f64>());
        let dearest = most(&mut threes).max(most(&mut (0..ITEMS).flat_map(|one| {
            let (fits, prices) = (&fits, &prices);
            ones(fits.row(one)).map(move |other| prices[one] + prices[other])
        })));
        let sum: f64 = prices.iter().sum();
        let machines = (IN_TWO + IN_THREE) as f64;
        // Made smaller until none is above one, they are a lower bound.
        assert!(dearest < 1.1, "seed {seed}: {dearest}");
        assert!(sum / dearest <= machines + 1e-6 && sum > 0.95 * machines, "seed {seed}: {sum}");
    }
}
