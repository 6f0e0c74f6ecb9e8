use super::Reach;
use crate::place::{MachineId, Model, Placement, validate};
use crate::rebalance::dense::{Dense, NOWHERE};
use crate::testing::{Size, running_model};

const TINY: Size = Size { machines: 3, groups: 3, instances: 6, devices: 1 };

fn reach(model: &Model, start: &Placement) -> (Dense, Reach) {
    let mut dense = Dense::new(model);
    let at: Vec<u32> =
        dense.order.iter().map(|id| start.machine(*id).map_or(NOWHERE, |machine| machine.0)).collect();
    dense.movable.retain(|instance| at[*instance as usize] != NOWHERE);
    let reach = Reach::of_all(&dense, &at);
    (dense, reach)
}

#[test]
fn no_feasible_placement_goes_a_closed_way() {
    let (mut open, mut closed) = (0, 0);
    for seed in 0..120 {
        let (model, start) = running_model(seed, TINY);
        let (dense, reach) = reach(&model, &start);
        let moving: Vec<u32> = dense.movable.clone();
        let mut used = vec![false; dense.order.len() * dense.machines];
        for number in 0..dense.machines.pow(moving.len() as u32) {
            let mut placement = start.clone();
            let mut rest = number;
            for instance in &moving {
                placement.put(dense.order[*instance as usize], MachineId::new(rest % dense.machines));
                rest /= dense.machines;
            }
            if validate(&model, &placement).is_empty() {
                for instance in &moving {
                    let machine = placement.machine(dense.order[*instance as usize]).expect("it was put");
                    used[*instance as usize * dense.machines + machine.index()] = true;
                }
            }
        }
        for instance in moving {
            for machine in 0..dense.machines as u32 {
                let is_used = used[instance as usize * dense.machines + machine as usize];
                assert!(!is_used || reach.has(instance, machine), "seed {seed}: {instance} to {machine}");
                assert_eq!(reach.has(instance, machine), reach.of(instance).contains(&machine));
                match reach.has(instance, machine) {
                    true => open += 1,
                    false => closed += 1,
                }
            }
        }
    }
    assert!(open > 100 && closed > 100, "{open} open, {closed} closed: both must be met");
}
