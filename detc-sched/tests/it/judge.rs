//! The judge itself: each thing that can be wrong is found, and told.

use std::collections::BTreeSet;

use detc_sched::place::{
    Balance, Builder, DeviceNeed, Group, GroupId, Hold, Instance, InstanceId, LevelId, Machine, MachineId,
    Model, Objective, Placement, Requirement, Rule, Test, bill, newly_broken, validate,
};
use detc_sched::testing::{Shape, random_running};
use expect_test::expect;

use crate::support::for_seeds;

/// Two machines in two zones, and what the parts of a test add.
fn world(change: impl FnOnce(&mut Builder, GroupId, LevelId)) -> (Model, Vec<InstanceId>) {
    let mut builder = Builder::new();
    let cpu = builder.resource("cpu", Hold::Freed);
    let disk = builder.resource("disk", Hold::Twice);
    let tree = builder.tree(["zone"]);
    for (name, path) in [("m1", "a"), ("m2", "b")] {
        let machine = Machine::new(name).with_capacity(cpu, 5).with_capacity(disk, 5).with_devices(2);
        builder.machine(machine.with_path(&tree, path).with_attribute("os", name));
    }
    let group = builder.group(Group::new("web"));
    change(&mut builder, group, tree[0]);
    let model = builder.build().expect("a small model");
    let ids = model.instances().collect();
    (model, ids)
}

/// What the judge tells of instances on these machines (0 is nowhere), and devices.
#[track_caller]
fn told(
    (model, ids): (Model, Vec<InstanceId>),
    at: &[usize],
    devices: &[&[u32]],
    expected: &expect_test::Expect,
) {
    let mut placement = Placement::empty(&model);
    for (index, machine) in at.iter().enumerate().filter(|(_, machine)| **machine > 0) {
        let devices = devices.get(index).map_or(Vec::new(), |devices| devices.to_vec());
        placement.put_on_devices(ids[index], MachineId::new(machine - 1), devices);
    }
    let lines: Vec<String> = validate(&model, &placement)
        .iter()
        .map(|violation| format!("{} | {violation}", model.named(violation)))
        .collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn what_is_wrong_is_told_with_names_and_with_numbers() {
    let cpu = detc_sched::place::ResourceId::new(0);
    let disk = detc_sched::place::ResourceId::new(1);
    let needing = |resource, amount| {
        world(move |builder, group, _| {
            let first = MachineId::new(0);
            let part = Instance::new(group).with_need(resource, amount);
            builder.instances(2, &part.clone().running_on(first));
            builder.instance(part);
        })
    };
    told(needing(cpu, 2), &[1, 1, 2], &[], &expect![""]);
    told(
        needing(cpu, 3),
        &[1, 1, 2],
        &[],
        &expect!["m1 has 5 cpu, and 6 are used | m0 has 5 of r0, and 6 are used"],
    );
    told(needing(cpu, 2), &[2, 1, 1], &[], &expect![""]);
    told(
        needing(disk, 2),
        &[2, 1, 1],
        &[],
        &expect![
            "m1 has 5 disk, and 6 are occupied during the moves | m0 has 5 of r1, and 6 are occupied during the moves"
        ],
    );
    let ruled = |rule: fn(GroupId, LevelId) -> Rule| {
        world(move |builder, group, zone| {
            let other = builder.group(Group::new("db"));
            let part = builder.group_mut(group);
            *part = part.clone().with_rule(rule(other, zone));
            builder.instances(2, &Instance::new(group));
            builder.instance(Instance::new(other));
        })
    };
    told(
        ruled(|_, _| Rule::unique()),
        &[1, 1],
        &[],
        &expect![[r#"web breaks its rule "at most 1 in a machine", by 1 | rule 0 of g0 is broken by 1"#]],
    );
    told(
        ruled(|_, over| Rule::Even { over, domains: 2 }),
        &[2, 2],
        &[],
        &expect![[r#"web breaks its rule "even over 2 × zone", by 1 | rule 0 of g0 is broken by 1"#]],
    );
    told(
        ruled(|_, over| Rule::Spread { over, domains: 2 }),
        &[2, 2],
        &[],
        &expect![[r#"web breaks its rule "in at least 2 × zone", by 1 | rule 0 of g0 is broken by 1"#]],
    );
    told(ruled(|_, over| Rule::Spread { over, domains: 2 }), &[2, 0], &[], &expect![""]);
    told(
        ruled(|_, within| Rule::Together { within }),
        &[1, 2],
        &[],
        &expect![[r#"web breaks its rule "together within a zone", by 1 | rule 0 of g0 is broken by 1"#]],
    );
    told(
        ruled(|group, within| Rule::With { group, within }),
        &[1, 2, 1],
        &[],
        &expect![[r#"web breaks its rule "with db within a zone", by 1 | rule 0 of g0 is broken by 1"#]],
    );
    told(
        ruled(|group, within| Rule::With { group, within }),
        &[1, 2],
        &[],
        &expect![[r#"web breaks its rule "with db within a zone", by 2 | rule 0 of g0 is broken by 2"#]],
    );
    told(
        ruled(|group, within| Rule::Apart { group, within }),
        &[1, 2, 1],
        &[],
        &expect![[r#"web breaks its rule "in no zone with db", by 1 | rule 0 of g0 is broken by 1"#]],
    );
    let first = |_, _| Rule::Machines(Requirement::new("os", Test::Is("m1".to_owned())));
    told(
        ruled(first),
        &[1, 2],
        &[],
        &expect![[r#"web breaks its rule "where os is m1", by 1 | rule 0 of g0 is broken by 1"#]],
    );
    told(
        ruled(|_, _| Rule::Pinned(vec![MachineId::new(0)])),
        &[2, 2],
        &[],
        &expect![[r#"web breaks its rule "only on m1", by 2 | rule 0 of g0 is broken by 2"#]],
    );
    let tainted = world(|builder, group, _| {
        let machine = builder.machine_mut(MachineId::new(1));
        *machine = machine.clone().with_taint("broken");
        builder.instances(2, &Instance::new(group));
    });
    told(
        tainted,
        &[1, 2],
        &[],
        &expect!["web.2 does not tolerate the taints of m2 | i1 does not tolerate the taints of m1"],
    );
    let devices = || {
        world(|builder, group, _| {
            builder.instances(3, &Instance::new(group).with_devices(1, 600).with_port(80));
        })
    };
    told(devices(), &[1, 2], &[&[0], &[1]], &expect![""]);
    told(
        devices(),
        &[1, 2],
        &[&[0, 1], &[]],
        &expect![[r#"
        web.1 does not have the devices that it needs | i0 does not have the devices that it needs
        web.2 does not have the devices that it needs | i1 does not have the devices that it needs"#]],
    );
    told(
        devices(),
        &[1, 2],
        &[&[2], &[1, 1]],
        &expect![[r#"
        web.1 does not have the devices that it needs | i0 does not have the devices that it needs
        web.2 does not have the devices that it needs | i1 does not have the devices that it needs"#]],
    );
    told(
        devices(),
        &[1, 1],
        &[&[1], &[1]],
        &expect![[r#"
        port 80 of m1 is given to two instances | port 80 of m0 is given to two instances
        device 1 of m1 is given out by 1200 shares | device 1 of m0 is given out by 1200 shares"#]],
    );
}

#[test]
fn what_is_as_bad_as_it_was_is_not_newly_broken() {
    let (model, ids) = world(|builder, group, _| {
        let part = builder.group_mut(group);
        *part = part.clone().with_rule(Rule::unique());
        builder.instances(4, &Instance::new(group).with_need(detc_sched::place::ResourceId::new(0), 3));
    });
    let told = |machines: [usize; 4]| {
        let mut placement = Placement::empty(&model);
        for (instance, machine) in ids.iter().zip(machines).filter(|(_, machine)| *machine > 0) {
            placement.put(*instance, MachineId::new(machine - 1));
        }
        validate(&model, &placement)
    };
    assert_eq!(newly_broken(&told([1, 1, 2, 2]), told([1, 1, 2, 0])), []);
    assert_eq!(newly_broken(&told([1, 1, 2, 2]), told([1, 1, 2, 2])), []);
    let worse = newly_broken(&told([1, 1, 2, 0]), told([1, 1, 1, 0]));
    let lines: Vec<String> = worse.iter().map(|violation| model.named(violation).to_string()).collect();
    expect![[r#"
        m1 has 5 cpu, and 9 are used
        web breaks its rule "at most 1 in a machine", by 2"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn a_feasible_placement_made_worse_on_purpose_is_found_out() {
    let mut found = BTreeSet::new();
    for_seeds(1000, |seed| {
        let (model, start) = random_running(seed, &Shape::TINY.with_devices(2));
        assert_eq!(validate(&model, &start), []);
        for instance in model.instances() {
            let Some(machine) = start.machine(instance) else { continue };
            // A machine's room taken away to less than what is there.
            for (index, need) in model.needs(instance).iter().enumerate().filter(|(_, need)| **need > 0) {
                let used: i64 = model
                    .instances()
                    .filter(|id| start.machine(*id) == Some(machine))
                    .map(|id| model.needs(id)[index])
                    .sum();
                let mut builder = Builder::from(&model);
                let resource = detc_sched::place::ResourceId::new(index);
                let part = builder.machine_mut(machine);
                *part = part.clone().with_capacity(resource, used - 1);
                let less = builder.build().expect("used is at least the need");
                assert!(!validate(&less, &start).is_empty(), "{need} of {resource}");
                found.insert("capacity");
            }
            let need = model.device_need(instance);
            if need.count > 0 {
                let mut other = start.clone();
                other.put(instance, machine);
                assert!(!validate(&model, &other).is_empty());
                let devices = vec![model.devices(machine); need.count as usize];
                other.put_on_devices(instance, machine, devices);
                assert!(!validate(&model, &other).is_empty());
                found.insert("devices");
            }
            // Rules that the placement breaks, on the instance's group.
            let members = model.members(model.group_of(instance));
            let placed: BTreeSet<MachineId> = members.iter().filter_map(|id| start.machine(*id)).collect();
            let broken = [
                Rule::AtMost { count: 0, per: LevelId::MACHINE },
                Rule::Pinned(Vec::new()),
                Rule::Machines(Requirement::new("hostname", Test::Absent)),
                Rule::Spread { over: LevelId::MACHINE, domains: members.len() as u32 + 1 },
            ];
            let together = Rule::Together { within: LevelId::MACHINE };
            for rule in broken.into_iter().chain((placed.len() > 1).then_some(together)) {
                let mut builder = Builder::from(&model);
                let part = builder.group_mut(model.group_of(instance));
                *part = part.clone().with_rule(rule.clone());
                let stricter = builder.build().expect("one rule more");
                assert!(!validate(&stricter, &start).is_empty(), "{rule}");
                found.insert("rules");
            }
        }
    });
    assert!(found.len() == 3 || std::env::var("DETC_SEED").is_ok(), "{found:?}");
}

#[test]
fn the_order_of_machines_and_instances_does_not_matter_to_the_judge() {
    for_seeds(500, |seed| {
        let (model, start) = random_running(seed, &Shape::SMALL.with_devices(2));
        // Another placement, feasible or not: all turn by one machine.
        let count = model.machine_count();
        let mut turned = start.clone();
        for instance in model.instances() {
            if let Some(machine) = start.machine(instance) {
                let next = MachineId::new((machine.index() + seed as usize) % count);
                turned.put_on_devices(instance, next, start.devices(instance).to_vec());
            }
        }
        // Where there is no table, there is one of nothing.
        let mut builder = Builder::from(&model);
        let of = |index: usize| {
            model.objective().way(MachineId::new(index / count), MachineId::new(index % count))
        };
        let table = (0..count * count).map(of).collect();
        builder.objective(model.objective().clone().with_machine_move(1, table));
        let model = builder.build().expect("the same parts");
        let mirrored = mirrored(&model);
        for placement in [&start, &turned] {
            let mut other = Placement::empty(&mirrored);
            for instance in model.instances() {
                if let Some(machine) = placement.machine(instance) {
                    let [instance, machine] =
                        [(instance.index(), model.instance_count()), (machine.index(), count)]
                            .map(|(index, count)| count - 1 - index);
                    let from = InstanceId::new(model.instance_count() - 1 - instance);
                    other.put_on_devices(
                        InstanceId::new(instance),
                        MachineId::new(machine),
                        placement.devices(from).to_vec(),
                    );
                }
            }
            assert_eq!(bill(&model, placement), bill(&mirrored, &other));
            assert_eq!(validate(&model, placement).len(), validate(&mirrored, &other).len());
        }
    });
}

/// The model with machines and instances in the opposite order.
fn mirrored(model: &Model) -> Model {
    let mut parts = Builder::from(model);
    let mut builder = Builder::from(model);
    let count = model.machine_count();
    let machine = |machine: MachineId| MachineId::new(count - 1 - machine.index());
    for id in model.machines() {
        *builder.machine_mut(machine(id)) = parts.machine_mut(id).clone();
    }
    for id in model.instances() {
        let mut part = parts.instance_mut(id).clone();
        if let Some(origin) = model.runs_on(id) {
            part = part.running_on(machine(origin));
        }
        *builder.instance_mut(InstanceId::new(model.instance_count() - 1 - id.index())) = part;
    }
    for group in (0..model.group_count()).map(GroupId::new) {
        let pinned = |rule: &Rule| match rule {
            Rule::Pinned(machines) => Rule::Pinned(machines.iter().map(|id| machine(*id)).collect()),
            other => other.clone(),
        };
        let part = parts.group_mut(group).clone();
        let mut turned = part.clone().with_rules_kept(|_, _| false).without_wishes();
        turned = turned.with_rules(part.rules().iter().map(pinned));
        for wish in part.wishes() {
            turned = turned.with_wish(pinned(&wish.rule), wish.weight);
        }
        *builder.group_mut(group) = turned;
    }
    // The table of moves is told anew, since its rows and columns are machines.
    let of =
        |index: usize| model.objective().way(MachineId::new(index / count), MachineId::new(index % count));
    let table = (0..count * count).rev().map(of).collect();
    builder.objective(model.objective().clone().with_machine_move(1, table));
    builder.build().expect("the same parts")
}

#[test]
fn a_bill_names_each_term_with_its_part() {
    let mut builder = Builder::new();
    let cpu = builder.resource("cpu", Hold::Freed);
    let memory = builder.resource("memory", Hold::Freed);
    let machines = ["m1", "m2", "m3"].map(|name| {
        let machine = Machine::new(name).with_capacity(cpu, 8).with_capacity(memory, 8).with_safety(cpu, 4);
        builder.machine(machine.with_devices(2))
    });
    let db = builder.group(Group::new("db"));
    let apart = Rule::Apart { group: db, within: LevelId::MACHINE };
    let web = builder.group(Group::new("web").with_wish(Rule::unique(), 7).with_wish(apart, 9));
    for (group, at, cost) in [(web, 0, 3), (web, 1, 4), (db, 2, 5)] {
        let instance = Instance::new(group).with_need(cpu, 3).with_need(memory, 2).with_devices(1, 400);
        builder.instance(instance.running_on(machines[at]).with_move_cost(cost));
    }
    builder.objective(
        Objective::new()
            .with_overload(cpu, 10)
            .with_balance(Balance { of: memory, times: 2, with: cpu, weight: 1 })
            .with_instance_move(2)
            .with_group_move(3)
            .with_machine_move(5, vec![0, 1, 2, 3, 0, 4, 5, 6, 0])
            .with_machine_use(11)
            .with_fragmentation(DeviceNeed { count: 2, shares: 500 }, 1),
    );
    let model = builder.build().expect("a small model");
    let mut placement = Placement::empty(&model);
    for (instance, device) in model.instances().zip([0, 1, 0]) {
        placement.put_on_devices(instance, machines[0], vec![device]);
    }
    expect![[r#"
        cpu beyond safety                                  5 × 10         =                 50
        free memory without 2 cpu                         21 × 1          =                 21
        moved instances                                    9 × 2          =                 18
        most moved of one group                            1 × 3          =                  3
        ways moved                                         8 × 5          =                 40
        machines in use                                    1 × 11         =                 11
        device shares of no use to 2 × 500               800 × 1          =                800
        web's wish "at most 1 in a machine"                1 × 7          =                  7
        web's wish "in no machine with db"                 1 × 9          =                  9
        total                                                                              959"#]]
    .assert_eq(&model.named(&bill(&model, &placement)).to_string());
}
