//! Random models of few kinds of rules, for the tests of this crate's own parts.

use crate::place::online::{Placer, Preference};
use crate::place::{
    Balance, Builder, DomainId, Group, GroupId, Hold, Instance, LevelId, Machine, MachineId, Model,
    Objective, Placement, Requirement, Rule, Test,
};
use crate::rng::Rng;

/// Whether a model may ask for what only a finished placement can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// Any rule.
    All,
    /// Rules that each instance keeps or breaks when it comes.
    Gradual,
}

/// How large a model is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) machines: usize,
    pub(crate) groups: usize,
    pub(crate) instances: usize,
    pub(crate) devices: u32,
}

/// A model from a seed; `running` tells where its instances run.
pub(crate) fn model(seed: u64, size: Size, rules: Rules, running: &[Option<MachineId>]) -> Model {
    let mut rng = Rng::new(seed, 7);
    let mut builder = Builder::new();
    let zone = builder.level("zone");
    let cpu = builder.resource("cpu", Hold::Freed);
    let disk = builder.resource("disk", Hold::Twice);
    for index in 0..size.machines {
        let mut machine = Machine::new(format!("machine {index}"))
            .with_domain(zone, DomainId::new(rng.below(2)))
            .with_capacity(cpu, 10 + rng.below(20) as i64)
            .with_capacity(disk, 10 + rng.below(20) as i64)
            .with_safety(cpu, 5 + rng.below(5) as i64)
            .with_safety(disk, 5 + rng.below(5) as i64)
            .with_attribute("kind", if rng.below(3) == 0 { "old" } else { "new" })
            .with_devices(rng.below(size.devices as usize + 1) as u32);
        if rng.below(8) == 0 {
            machine = machine.with_taint("odd");
        }
        builder.machine(machine);
    }
    for index in 0..size.groups {
        let mut group = Group::new(format!("group {index}")).with_priority(rng.below(3) as i32);
        for _ in 0..rng.below(3) {
            let rule = rule(&mut rng, index, zone, size, rules);
            group = if rng.below(4) == 0 { group.with_wish(rule, 7) } else { group.with_rule(rule) };
        }
        if rng.below(2) == 0 {
            group = group.with_toleration("odd");
        }
        builder.group(group);
    }
    for index in 0..size.instances {
        let mut instance = Instance::new(GroupId::new(rng.below(size.groups)))
            .with_need(cpu, rng.below(9) as i64)
            .with_need(disk, rng.below(9) as i64)
            .with_move_cost(1 + rng.below(3) as i64);
        if size.devices > 0 && rng.below(2) == 0 {
            let shares = [250, 400, 700, 1000][rng.below(4)];
            instance = instance.with_devices(1 + rng.below(2) as u32, shares);
        }
        if size.devices > 0 && rng.below(6) == 0 {
            instance = instance.with_port(80);
        }
        if let Some(machine) = running.get(index).copied().flatten() {
            instance = instance.running_on(machine);
        }
        builder.instance(instance);
    }
    let table = (0..size.machines * size.machines).map(|_| rng.below(4) as u32).collect();
    builder.objective(
        Objective::new()
            .with_overload(cpu, 10)
            .with_overload(disk, 3)
            .with_balance(Balance { of: cpu, times: 2, with: disk, weight: 2 })
            .with_instance_move(2)
            .with_group_move(3)
            .with_machine_move(1, table)
            .with_machine_use(5),
    );
    builder.build().expect("a model of small numbers")
}

fn rule(rng: &mut Rng, own: usize, zone: LevelId, size: Size, rules: Rules) -> Rule {
    let level = if rng.below(2) == 0 { zone } else { LevelId::MACHINE };
    let other = GroupId::new((own + 1 + rng.below(size.groups - 1)) % size.groups);
    match rng.below(if rules == Rules::All { 7 } else { 6 }) {
        0 => Rule::AtMost { count: 1 + rng.below(2) as u32, per: level },
        1 => Rule::Even { over: level, domains: 2 },
        2 => Rule::Together { within: zone },
        3 => Rule::Apart { group: other, within: LevelId::MACHINE },
        4 => Rule::With { group: other, within: zone },
        5 => Rule::Machines(Requirement::new("kind", Test::Is("new".to_owned()))),
        _ => Rule::Spread { over: zone, domains: 2 },
    }
}

/// A model whose instances run where they came one by one, each on the fullest machine by all resources together; those
/// that have room. What a placer prefers is not asked, so that these models stay what they are.
pub(crate) fn running_model(seed: u64, size: Size) -> (Model, Placement) {
    let empty = model(seed, size, Rules::Gradual, &[]);
    let mut start = Placement::empty(&empty);
    let mut free: Vec<Vec<i64>> = empty.machines().map(|machine| empty.capacity(machine).to_vec()).collect();
    for instance in empty.instances() {
        let placer = Placer::new(&empty, &start, Preference::Tight);
        let needs = empty.needs(instance);
        let left = |machine: &MachineId| -> i64 {
            let parts = free[machine.index()].iter().zip(needs).zip(empty.capacity(*machine));
            parts.map(|((free, need), capacity)| ((free - need) * 1000).div_euclid(*capacity)).sum()
        };
        let fits = |machine: &MachineId| placer.reasons_on(instance, *machine).is_empty();
        // Who has no room stays out of this test.
        let Some(machine) = empty.machines().filter(fits).min_by_key(left) else { continue };
        free[machine.index()].iter_mut().zip(needs).for_each(|(free, need)| *free -= need);
        start.put(instance, machine);
    }
    let model = model(seed, size, Rules::Gradual, start.machines());
    let placement = Placement::running(&model);
    (model, placement)
}
