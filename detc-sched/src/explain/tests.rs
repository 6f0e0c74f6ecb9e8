//! Explanations against their definitions.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{take_down, what_moves_bought, why_nowhere};
use crate::place::online::{Placer, Preference, Reason};
use crate::place::{Placement, bill, validate};
use crate::rebalance::{Effort, Options, rebalance};
use crate::testing::{Rules, Size, model, running_model};

const SIZE: Size = Size { machines: 5, groups: 4, instances: 40, devices: 2 };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_blocks_is_enough_and_no_part_of_it_is(seed: u64) {
        let model = model(seed, SIZE, Rules::Gradual, &[]);
        let mut placer = Placer::new(&model, &Placement::empty(&model), Preference::Tight);
        for instance in model.instances() {
            if placer.place(instance).is_ok() {
                continue;
            }
            let nowhere = why_nowhere(&mut placer, &model, instance).expect("it was refused");
            let blocks = |set: &BTreeSet<Reason>| {
                model.machines().all(|machine| !placer.reasons_on(instance, machine).is_disjoint(set))
            };
            prop_assert!(blocks(&nowhere.blocking));
            for reason in &nowhere.blocking {
                let mut rest = nowhere.blocking.clone();
                rest.remove(reason);
                prop_assert!(!blocks(&rest), "{:?} is not needed in {:?}", reason, nowhere.blocking);
            }
            for (way, machines) in &nowhere.ways_out {
                let such = model.machines().filter(|at| placer.reasons_on(instance, *at) == *way).count();
                prop_assert_eq!(such, *machines);
            }
        }
    }

    #[test]
    fn taking_a_machine_down_keeps_every_rule_and_loses_nobody(seed: u64) {
        let model = model(seed, SIZE, Rules::Gradual, &[]);
        let mut placer = Placer::new(&model, &Placement::empty(&model), Preference::Loose);
        model.instances().for_each(|instance| drop(placer.place(instance)));
        let machine = model.machines().next().expect("there are machines");
        let taken = take_down(&placer, &model, &[machine]);
        prop_assert_eq!(taken.moves.len() + taken.stranded.len(), placer.residents(machine).len());
        prop_assert!(taken.moves.iter().all(|(_, to)| *to != machine));
    }
}

#[test]
fn a_single_move_bought_what_the_bill_fell_by() {
    let size = Size { machines: 4, groups: 3, instances: 12, devices: 0 };
    let mut seen = 0;
    for seed in 0..40 {
        let (model, start) = running_model(seed, size);
        let outcome = rebalance(&model, &start, &Options::new(seed), Effort::Steps(5000));
        let bought = what_moves_bought(&model, &start, &outcome.placement);
        assert!(validate(&model, &outcome.placement).is_empty());
        if let [(_, worth)] = bought[..] {
            seen += 1;
            assert_eq!(worth, bill(&model, &start).total() - outcome.bill.total());
        }
    }
    assert!(seen > 0, "no model needed one move");
}
