//! Small random models of every kind that the builder takes.

use crate::place::model::Pattern;
use crate::place::{
    Balance, Builder, DeviceNeed, Group, GroupId, Hold, Instance, LevelId, Machine, MachineId, Model,
    Objective, Placement, Requirement, ResourceId, Rule, Test, validate,
};
use crate::rng::Rng;

/// How large a random model is at most. Each number is drawn from one (resources and devices from none) to this.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Machines.
    pub machines: usize,
    /// Groups.
    pub groups: usize,
    /// Instances.
    pub instances: usize,
    /// Resources.
    pub resources: usize,
    /// Devices of a machine.
    pub devices: usize,
}

impl Shape {
    /// Small enough to try everything.
    pub const TINY: Self = Self { machines: 4, groups: 3, instances: 6, resources: 2, devices: 0 };

    /// Too large for that, small enough for thousands of them.
    pub const SMALL: Self = Self { machines: 12, groups: 6, instances: 40, resources: 3, devices: 0 };

    /// With devices, and ports.
    #[must_use]
    pub const fn with_devices(mut self, devices: usize) -> Self {
        self.devices = devices;
        self
    }
}

/// A model in which nothing runs yet. Not all of its instances may have a place.
pub fn random_model(seed: u64, shape: &Shape) -> Model {
    builder(seed, shape).build().expect("invariant: what is drawn is in range")
}

/// A model in which instances run, and that placement. It is feasible: rules that it would break are wishes. Some instances
/// may run nowhere.
pub fn random_running(seed: u64, shape: &Shape) -> (Model, Placement) {
    let mut builder = builder(seed, shape);
    let mut rng = Rng::new(seed, 2);
    let model = builder.clone().build().expect("invariant: what is drawn is in range");
    let mut placement = Placement::empty(&model);
    for instance in model.instances() {
        for _ in 0..3 {
            let machine = MachineId::new(rng.below(model.machine_count()));
            let wanted = model.device_need(instance).count;
            let first = rng.below(3) as u32;
            placement.put_on_devices(instance, machine, (first..first + wanted).collect());
            if validate(&model, &placement).iter().all(|broken| keeps_room(&model, broken)) {
                break;
            }
            placement.take(instance);
        }
    }
    for instance in model.instances() {
        if let Some(machine) = placement.machine(instance) {
            let part = builder.instance_mut(instance);
            *part = part.clone().running_on(machine);
        }
    }
    for group in 0..model.group_count() {
        let id = GroupId::new(group);
        let broken: Vec<usize> = validate(&model, &placement)
            .iter()
            .filter_map(|violation| match violation {
                validate::Violation::Rule { group, rule, .. } if *group == id => Some(*rule),
                _ => None,
            })
            .collect();
        let mut part = builder.group_mut(id).clone().with_rules_kept(|rule, _| !broken.contains(&rule));
        for rule in broken {
            part = part.with_wish(model.rules(id)[rule].clone(), 1 + rng.below(20) as i64);
        }
        *builder.group_mut(id) = part;
    }
    (builder.build().expect("invariant: what is drawn is in range"), placement)
}

/// Whether those who come later may make it good again.
fn keeps_room(model: &Model, violation: &validate::Violation) -> bool {
    match violation {
        validate::Violation::Rule { group, rule, .. } => {
            matches!(model.rules(*group)[*rule], Rule::Spread { .. } | Rule::With { .. })
        }
        _ => false,
    }
}

/// What a model is drawn from.
struct Draw {
    rng: Rng,
    levels: [LevelId; 4],
    resources: Vec<ResourceId>,
    machines: usize,
    groups: usize,
}

fn builder(seed: u64, shape: &Shape) -> Builder {
    let mut rng = Rng::new(seed, 1);
    let mut builder = Builder::new();
    let tree = builder.tree(["zone", "rack"]);
    let power = builder.level_of_attribute("power");
    let names = ["cpu", "memory", "disk", "net"];
    let resources = (0..rng.below(shape.resources + 1)).map(|index| {
        let hold = if rng.below(2) == 0 { Hold::Freed } else { Hold::Twice };
        builder.resource(names[index % names.len()], hold)
    });
    let resources = resources.collect();
    let [machines, groups, instances] =
        [shape.machines, shape.groups, shape.instances].map(|most| 1 + rng.below(most));
    let levels = [LevelId::MACHINE, tree[0], tree[1], power];
    let mut draw = Draw { rng, levels, resources, machines, groups };
    for index in 0..machines {
        let machine = draw.machine(index, &tree, shape.devices);
        builder.machine(machine);
    }
    for index in 0..groups {
        let group = draw.group(index);
        builder.group(group);
    }
    for _ in 0..instances {
        let instance = draw.instance(shape.devices);
        builder.instance(instance);
    }
    let objective = draw.objective(shape.devices);
    builder.objective(objective);
    builder
}

impl Draw {
    fn one_in(&mut self, many: usize) -> bool {
        self.rng.below(many) == 0
    }

    fn machine(&mut self, index: usize, tree: &[LevelId; 2], devices: usize) -> Machine {
        let path = ["a", "a/1", "a/2", "b/1", "c/1"][self.rng.below(5)];
        let mut machine = Machine::new(format!("m{index}"))
            .with_path(tree, path)
            .with_attribute("kind", ["old", "new"][self.rng.below(2)])
            .with_attribute("cores", ["8", "16", "many"][self.rng.below(3)])
            .with_attribute("kernel", ["5.9", "5.10", "6.0-rc.1", "6"][self.rng.below(4)])
            .with_devices(self.rng.below(devices + 1) as u32);
        if !self.one_in(3) {
            machine = machine.with_attribute("power", ["left", "right"][self.rng.below(2)]);
        }
        for resource in self.resources.clone() {
            let capacity = self.rng.below(20) as i64;
            machine = machine.with_capacity(resource, capacity);
            if self.one_in(2) {
                machine = machine.with_safety(resource, self.rng.below(15) as i64);
            }
        }
        if self.one_in(6) { machine.with_taint("odd") } else { machine }
    }

    fn group(&mut self, index: usize) -> Group {
        let mut group = Group::new(format!("g{index}")).with_priority(self.rng.below(3) as i32);
        for _ in 0..self.rng.below(3) {
            let Some(rule) = self.rule(index) else { continue };
            let weight = self.rng.below(30) as i64;
            group = if self.one_in(3) { group.with_wish(rule, weight) } else { group.with_rule(rule) };
        }
        if self.one_in(2) { group.with_toleration("odd") } else { group }
    }

    fn rule(&mut self, own: usize) -> Option<Rule> {
        let level = self.levels[self.rng.below(self.levels.len())];
        let other = GroupId::new((own + 1 + self.rng.below(self.groups)) % self.groups);
        let domains = self.rng.below(4) as u32;
        Some(match self.rng.below(9) {
            0 => Rule::unique(),
            1 => Rule::AtMost { count: 1 + self.rng.below(3) as u32, per: level },
            2 => Rule::Even { over: level, domains },
            3 => Rule::Spread { over: level, domains },
            4 => Rule::Together { within: level },
            5 if other.index() != own => Rule::With { group: other, within: level },
            6 if other.index() != own => Rule::Apart { group: other, within: level },
            7 => Rule::Machines(self.requirement()),
            8 => Rule::Pinned((0..self.machines).filter(|_| !self.one_in(3)).map(MachineId::new).collect()),
            _ => return None,
        })
    }

    fn requirement(&mut self) -> Requirement {
        let set = |items: &[&str]| items.iter().map(ToString::to_string).collect();
        let like = |pattern: &str| Pattern::new(pattern).expect("invariant: it is well formed");
        let (attribute, test) = match self.rng.below(12) {
            0 => ("power", Test::Present),
            1 => ("power", Test::Absent),
            2 => ("kind", Test::Is("new".to_owned())),
            3 => ("power", Test::IsNot("left".to_owned())),
            4 => ("cores", Test::In(set(&["8", "16"]))),
            5 => ("power", Test::NotIn(set(&["right"]))),
            6 => ("hostname", Test::Like(like("m[0-2]"))),
            7 => ("hostname", Test::Unlike(like("m[12]"))),
            8 => ("cores", Test::AtLeast(16)),
            9 => ("cores", Test::Below(16)),
            10 => ("kernel", Test::VersionAtLeast("5.10".to_owned())),
            _ => ("kernel", Test::VersionBelow("6.0".to_owned())),
        };
        Requirement::new(attribute, test)
    }

    fn instance(&mut self, devices: usize) -> Instance {
        let mut instance =
            Instance::new(GroupId::new(self.rng.below(self.groups))).with_move_cost(self.rng.below(4) as i64);
        for resource in self.resources.clone() {
            instance = instance.with_need(resource, self.rng.below(9) as i64);
        }
        if devices > 0 && self.one_in(2) {
            let shares = [250, 400, 700, 1000][self.rng.below(4)];
            instance = instance.with_devices(1 + self.rng.below(2) as u32, shares);
        }
        if devices > 0 && self.one_in(4) {
            instance = instance.with_port(80 + self.rng.below(2) as u16);
        }
        instance
    }

    fn objective(&mut self, devices: usize) -> Objective {
        let mut objective = Objective::new()
            .with_instance_move(self.rng.below(3) as i64)
            .with_group_move(self.rng.below(4) as i64)
            .with_machine_use(self.rng.below(8) as i64);
        for resource in self.resources.clone() {
            objective = objective.with_overload(resource, self.rng.below(12) as i64);
            let (of, with) = (resource, self.resources[self.rng.below(self.resources.len())]);
            if of != with && self.one_in(2) {
                let (times, weight) = (1 + self.rng.below(2) as i64, self.rng.below(4) as i64);
                objective = objective.with_balance(Balance { of, times, with, weight });
            }
        }
        if devices > 0 && self.one_in(2) {
            let need =
                DeviceNeed { count: 1 + self.rng.below(2) as u32, shares: [300, 700][self.rng.below(2)] };
            objective = objective.with_fragmentation(need, 1);
        }
        if self.one_in(2) {
            let table = (0..self.machines * self.machines).map(|_| self.rng.below(5) as u32).collect();
            objective = objective.with_machine_move(1, table);
        }
        objective
    }
}
