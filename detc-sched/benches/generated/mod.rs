//! Models to measure with, from a fixed seed. They are like those that the published results are of, in numbers and sizes;
//! costs and counts found on them are comparable with nothing else.

#![allow(dead_code, reason = "each benchmark uses its own")]

use detc_sched::place::{
    Balance, Builder, DomainId, Group, GroupId, Hold, Instance, Machine, MachineId, Model, Objective,
    ResourceId, Rule,
};

pub(crate) const ZONES: usize = 3;

/// Shapes of instances in a cluster: each is a group.
const GROUPS: usize = 200;

/// xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((u128::from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)) * bound as u128) >> 64) as usize
    }
}

fn two_resources(builder: &mut Builder) -> [ResourceId; 2] {
    [builder.resource("cpu", Hold::Freed), builder.resource("memory", Hold::Freed)]
}

/// Machines of a few sizes, and instances of two hundred groups in mixed order; `rules` gives each group its rules.
pub(crate) fn cluster(machines: usize, instances: usize, rules: impl Fn(Group) -> Group) -> Model {
    let mut random = Random::new();
    let mut builder = Builder::new();
    let zone = builder.level("zone");
    let [cpu, memory] = two_resources(&mut builder);
    for index in 0..machines {
        builder.machine(
            Machine::new(format!("machine {index}"))
                .with_domain(zone, DomainId::new(index % ZONES))
                .with_capacity(cpu, 32_000 << (index % 2))
                .with_capacity(memory, 128_000 + 64_000 * (index % 3) as i64),
        );
    }
    let groups: Vec<(GroupId, i64, i64)> = (0..GROUPS)
        .map(|index| {
            let group = builder.group(rules(Group::new(format!("group {index}"))));
            (group, 500 + 250 * random.below(14) as i64, 1_000 + 500 * random.below(14) as i64)
        })
        .collect();
    for _ in 0..instances {
        let (group, cores, bytes) = groups[random.below(GROUPS)];
        builder.instance(Instance::new(group).with_need(cpu, cores).with_need(memory, bytes));
    }
    builder.build().expect("a model of small numbers")
}

/// Machines with up to eight devices, and instances that need a share of one, one, or several: more than there are.
pub(crate) fn gpus(machines: usize, instances: usize) -> Model {
    let mut random = Random::new();
    let mut builder = Builder::new();
    let [cpu, memory] = two_resources(&mut builder);
    for index in 0..machines {
        let devices = [8, 8, 4, 2][random.below(4)];
        builder.machine(
            Machine::new(format!("machine {index}"))
                .with_capacity(cpu, 12_000 * i64::from(devices))
                .with_capacity(memory, 64_000 * i64::from(devices))
                .with_devices(devices),
        );
    }
    let pods = builder.group(Group::new("pods"));
    for _ in 0..instances {
        let (count, shares) = match random.below(10) {
            0..=3 => (1, 100 * (1 + random.below(9) as u32)),
            4..=7 => (1, 1_000),
            8 => ([2, 4, 8][random.below(3)], 1_000),
            _ => (0, 0),
        };
        let cores =
            1_000 * (1 + random.below(4) as i64) + 6_000 * i64::from(count) * i64::from(shares) / 1_000;
        let mut pod = Instance::new(pods).with_need(cpu, cores).with_need(memory, cores * 4);
        if count > 0 {
            pod = pod.with_devices(count, shares);
        }
        builder.instance(pod);
    }
    builder.build().expect("a model of small numbers")
}

/// Like an instance of machine reassignment: safety levels, a balance, costs of moving, spread and dependencies.
pub(crate) fn reassignment(machines: usize, instances: usize) -> Model {
    let mut random = Random::new();
    let mut builder = Builder::new();
    let location = builder.level("location");
    let [cpu, memory] = two_resources(&mut builder);
    let disk = builder.resource("disk", Hold::Twice);
    for index in 0..machines {
        let mut machine =
            Machine::new(format!("machine {index}")).with_domain(location, DomainId::new(index % 10));
        for resource in [cpu, memory, disk] {
            machine = machine.with_capacity(resource, 100_000).with_safety(resource, 60_000);
        }
        builder.machine(machine);
    }
    let each = 5;
    for index in 0..instances / each {
        let mut group = Group::new(format!("service {index}")).with_rule(Rule::unique());
        group = group.with_rule(Rule::Spread { over: location, domains: 2 });
        if index % 10 == 9 {
            group = group.with_rule(Rule::With { group: GroupId::new(index - 1), within: location });
        }
        builder.group(group);
    }
    for index in 0..instances {
        let group = GroupId::new(index / each);
        // Members of a group, and of the one that it depends on, are in the same five locations.
        let machine = random.below(machines / 10) * 10 + index % each + each * (index / (each * 10) % 2);
        let mut instance = Instance::new(group)
            .running_on(MachineId::new(machine))
            .with_move_cost(1 + random.below(10) as i64);
        for resource in [cpu, memory, disk] {
            instance =
                instance.with_need(resource, 1 + random.below(2 * 50_000 * machines / instances) as i64);
        }
        builder.instance(instance);
    }
    builder.objective(
        Objective::new()
            .with_overload(cpu, 10)
            .with_overload(memory, 10)
            .with_overload(disk, 10)
            .with_balance(Balance { of: cpu, times: 2, with: memory, weight: 5 })
            .with_instance_move(1)
            .with_group_move(10),
    );
    builder.build().expect("a model of small numbers")
}

/// Shards of three replicas each, of very different sizes, on all hosts but a tenth of them, which are new.
pub(crate) fn shards(hosts: usize, shards: usize) -> Model {
    let mut random = Random::new();
    let mut builder = Builder::new();
    let domain = builder.level("domain");
    let load = two_resources(&mut builder);
    let mut totals = [0, 0];
    let old = hosts - hosts / 10;
    for index in 0..shards {
        let apart = Rule::AtMost { count: 1, per: domain };
        let shard = builder.group(Group::new(format!("shard {index}")).with_rule(apart));
        // Few are large: the sizes are like those of a power law.
        let sizes = load.map(|_| 100_000 / (100 + random.below(1_000)) as i64);
        let first = random.below(10);
        for replica in 0..3 {
            let host = random.below(old / 10) * 10 + (first + 3 * replica) % 10;
            let mut instance = Instance::new(shard).running_on(MachineId::new(host)).with_move_cost(1);
            for ((resource, size), total) in load.iter().zip(sizes).zip(&mut totals) {
                instance = instance.with_need(*resource, size);
                *total += size;
            }
            builder.instance(instance);
        }
    }
    let mut objective = Objective::new().with_instance_move(1);
    for index in 0..hosts {
        let mut host = Machine::new(format!("host {index}")).with_domain(domain, DomainId::new(index % 10));
        for (resource, total) in load.iter().zip(totals) {
            let mean = total / hosts as i64;
            host = host.with_capacity(*resource, mean * 2).with_safety(*resource, mean * 105 / 100);
            objective = objective.with_overload(*resource, 1_000);
        }
        builder.machine(host);
    }
    builder.objective(objective);
    builder.build().expect("a model of small numbers")
}

/// Items of several dimensions, and as many bins.
pub(crate) fn items(items: usize, dimensions: usize) -> Model {
    let mut random = Random::new();
    let mut builder = Builder::new();
    let sizes: Vec<ResourceId> =
        (0..dimensions).map(|index| builder.resource(format!("size {index}"), Hold::Freed)).collect();
    let group = builder.group(Group::new("items"));
    for index in 0..items {
        let (mut bin, mut item) = (Machine::new(format!("bin {index}")), Instance::new(group));
        for size in &sizes {
            bin = bin.with_capacity(*size, 1_000);
            item = item.with_need(*size, 50 + random.below(350) as i64);
        }
        builder.machine(bin);
        builder.instance(item);
    }
    builder.build().expect("a model of small numbers")
}

/// Many machines on which many instances run, some machines beyond their safety level.
pub(crate) fn running(machines: usize, instances: usize) -> Model {
    const MEMBERS: usize = 20;
    let mut random = Random::new();
    let mut builder = Builder::new();
    let zone = builder.level("zone");
    let [cpu, memory] = two_resources(&mut builder);
    for index in 0..machines {
        builder.machine(
            Machine::new(format!("machine {index}"))
                .with_domain(zone, DomainId::new(index % 10))
                .with_capacity(cpu, 128_000)
                .with_safety(cpu, 88_000)
                .with_capacity(memory, 512_000)
                .with_safety(memory, 352_000),
        );
    }
    for index in 0..instances / MEMBERS {
        builder.group(Group::new(format!("group {index}")).with_rule(Rule::AtMost { count: 4, per: zone }));
    }
    for index in 0..instances {
        let machine = random.below(machines / 10) * 10 + index % 10;
        builder.instance(
            Instance::new(GroupId::new(index / MEMBERS))
                .with_need(cpu, 200 + random.below(1_200) as i64)
                .with_need(memory, 800 + random.below(4_800) as i64)
                .running_on(MachineId::new(machine))
                .with_move_cost(1),
        );
    }
    builder
        .objective(Objective::new().with_overload(cpu, 10).with_overload(memory, 2).with_instance_move(100));
    builder.build().expect("a model of small numbers")
}
