//! What can be stated, and what it means.

use std::collections::{BTreeMap, BTreeSet};

use detc_sched::place::{
    Builder, Group, Hold, Instance, LevelId, Machine, MachineId, Model, ModelError, Pattern, Placement,
    Requirement, Rule, Test, validate,
};
use expect_test::expect;

fn set(items: &str) -> BTreeSet<String> {
    items.split(' ').map(str::to_owned).collect()
}

fn text(value: &str) -> String {
    value.to_owned()
}

fn like(pattern: &str) -> Pattern {
    Pattern::new(pattern).expect("it is well formed")
}

/// Which of the values pass; `-` is a machine without the attribute.
#[track_caller]
fn passes(test: Test, values: &[&str], expected: &str) {
    let requirement = Requirement::new("it", test);
    let passing = |value: &&&str| {
        let attributes = match **value {
            "-" => BTreeMap::new(),
            value => BTreeMap::from([(text("it"), text(value))]),
        };
        requirement.holds(&attributes)
    };
    let passed: Vec<&str> = values.iter().filter(passing).copied().collect();
    assert_eq!(passed.join(" "), expected, "{requirement}");
}

#[test]
fn tests_of_texts() {
    let values = ["a1", "a2", "b1", "", "-"];
    passes(Test::Present, &values, "a1 a2 b1 ");
    passes(Test::Absent, &values, "-");
    passes(Test::Is(text("a1")), &values, "a1");
    passes(Test::IsNot(text("a1")), &values, "a2 b1  -");
    passes(Test::In(set("a1 b1")), &values, "a1 b1");
    passes(Test::NotIn(set("a1 b1")), &values, "a2  -");
    passes(Test::Like(like("a.")), &values, "a1 a2");
    passes(Test::Like(like("a|b1")), &values, "b1");
    passes(Test::Like(like("1")), &values, "");
    passes(Test::Unlike(like("a.")), &values, "b1  -");
}

#[test]
fn tests_of_lists() {
    let values = ["ssd", "ssd,avx", "avx , gpu", "ssdx", "-"];
    passes(Test::HasAll(set("ssd avx")), &values, "ssd,avx");
    passes(Test::HasAny(set("ssd gpu")), &values, "ssd ssd,avx avx , gpu");
    passes(Test::HasNone(set("ssd gpu")), &values, "ssdx -");
}

#[test]
fn tests_of_numbers() {
    let values = ["-3", "9", "10", "11", " 10 ", "10.5", "many", "-"];
    passes(Test::Below(10), &values, "-3 9");
    passes(Test::AtMost(10), &values, "-3 9 10  10 ");
    passes(Test::AtLeast(10), &values, "10 11  10 ");
    passes(Test::Above(10), &values, "11");
}

#[test]
fn tests_of_versions() {
    let values =
        ["1.9", "v1.10", "1.10.0", "1.10-rc.2", "1.10-rc.10", "1.10+build", "2", "1.x", "new", "", "-"];
    passes(Test::VersionAtLeast(text("1.10")), &values, "v1.10 1.10.0 1.10+build 2");
    passes(Test::VersionBelow(text("1.10")), &values, "1.9 1.10-rc.2 1.10-rc.10");
    passes(Test::VersionAtLeast(text("1.10-rc.3")), &values, "v1.10 1.10.0 1.10-rc.10 1.10+build 2");
    passes(Test::VersionBelow(text("1.10-rc.3")), &values, "1.9 1.10-rc.2");
}

#[test]
fn requirements_read_as_sentences() {
    let tests = [
        Test::Present,
        Test::Absent,
        Test::Is(text("a")),
        Test::IsNot(text("a")),
        Test::In(set("a b")),
        Test::NotIn(set("a b")),
        Test::Like(like("a.*|b")),
        Test::Unlike(like("a.*")),
        Test::Below(1),
        Test::Above(1),
        Test::AtLeast(1),
        Test::AtMost(1),
        Test::HasAll(set("a b")),
        Test::HasAny(set("a b")),
        Test::HasNone(set("a b")),
        Test::VersionAtLeast(text("1.2")),
        Test::VersionBelow(text("1.2")),
    ];
    let lines = tests.map(|test| Requirement::new("it", test).to_string());
    expect![[r#"
        it is known
        it is not known
        it is a
        it is not a
        it is one of a, b
        it is none of a, b
        it is like a.*|b
        it is not like a.*
        it is below 1
        it is above 1
        it is at least 1
        it is at most 1
        it has a, b
        it has one of a, b
        it has none of a, b
        it is version 1.2 or later
        it is before version 1.2"#]]
    .assert_eq(&lines.join("\n"));
}

/// A tree of four levels, and one group.
fn world(paths: &[&str]) -> (Builder, [LevelId; 4]) {
    let mut builder = Builder::new();
    let tree = builder.tree(["region", "zone", "row", "rack"]);
    for (index, path) in paths.iter().enumerate() {
        builder.machine(Machine::new(format!("m{index}")).with_path(&tree, *path));
    }
    (builder, tree)
}

#[test]
fn a_tree_of_any_depth_tells_where_machines_stand() {
    let (builder, tree) =
        world(&["eu/a/1/7", "eu/a/1/8", "eu/a/2/7", "us/a/1/7", "eu/a", "eu/a", "us", "eu/a/1/7"]);
    let model = builder.build().expect("all paths fit");
    let row = |level: LevelId| {
        let name = |machine| model.domain_name(level, model.domain(level, machine)).into_owned();
        model.machines().map(name).collect::<Vec<_>>().join(" ")
    };
    let rows = tree.map(row).join("\n");
    expect![[r#"
        eu eu eu us eu eu us eu
        eu/a eu/a eu/a us/a eu/a eu/a us/ eu/a
        eu/a/1 eu/a/1 eu/a/2 us/a/1 eu/a/ eu/a/ us/ eu/a/1
        eu/a/1/7 eu/a/1/8 eu/a/2/7 us/a/1/7 eu/a/ eu/a/ us/ eu/a/1/7"#]]
    .assert_eq(&rows);
    assert_eq!(tree.map(|level| model.domain_count(level)), [2, 3, 5, 6]);
}

#[test]
fn a_path_that_does_not_fit_the_tree_is_refused() {
    for path in ["eu/a/1/7/9", "eu//1", "", "/eu"] {
        let (builder, _) = world(&["eu", path]);
        let error = builder.build().expect_err("it does not fit");
        assert_eq!(error, ModelError::Path { by: text("m1"), path: text(path), depth: 4 });
    }
    expect![[r#"m1 stands in "eu//1": a path has 1 to 4 parts, with a / between them"#]]
        .assert_eq(&world(&["eu", "eu//1"]).0.build().expect_err("an empty part").to_string());
}

#[test]
fn what_can_not_be_is_refused_with_its_name() {
    let refused = |change: &dyn Fn(&mut Builder)| {
        let (mut builder, _) = world(&["eu"]);
        change(&mut builder);
        builder.build().expect_err("it can not be").to_string()
    };
    let version = Rule::Machines(Requirement::new("os", Test::VersionAtLeast(text("12.x"))));
    let unknown = LevelId::new(9);
    let lines = [
        refused(&|builder| {
            builder.group(Group::new("web").with_rule(version.clone()));
        }),
        refused(&|builder| {
            builder.machine(Machine::new("big").with_devices(5000));
        }),
        refused(&|builder| {
            builder.machine(Machine::new("far").with_path(&[unknown], "a"));
        }),
        refused(&|builder| {
            let group = builder.group(Group::new("web"));
            builder.instance(Instance::new(group).with_devices(1, 1001));
        }),
        refused(&|builder| {
            let cpu = builder.resource("cpu", Hold::Freed);
            builder.machine(Machine::new("minus").with_capacity(cpu, -1));
        }),
        refused(&|builder| {
            let level = builder.level("pod");
            let domain = detc_sched::place::DomainId::new(1 << 25);
            builder.machine(Machine::new("far").with_domain(level, domain));
        }),
    ];
    expect![[r#"
        web asks for the version "12.x": a version is numbers with dots between them
        big has 5000 devices: at most 4096 are told apart
        far names level9, which was not added to the model
        instance 0 asks for 1001 shares of a device: a device has 1 to 1000
        minus has the amount -1: amounts are from 0 to 2^48
        far stands in d33554432 of level5: domains are numbered from 0 without gaps, up to 2^24"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn a_port_that_is_told_twice_is_one_port() {
    let mut builder = Builder::new();
    builder.machine(Machine::new("m"));
    let web = builder.group(Group::new("web"));
    builder.instance(Instance::new(web).with_port(80).with_port(22).with_port(80));
    let model = builder.build().expect("a small model");
    let mut placement = Placement::empty(&model);
    let instance = model.instances().next().expect("there is one");
    placement.put(instance, MachineId::new(0));
    assert_eq!(model.ports(instance), [22, 80]);
    assert_eq!(validate(&model, &placement), []);
}

/// Four machines: two in rack 1, one in rack 2, one in no rack; and a group under a constraint of Marathon.
fn marathon(constraint: &[&str], instances: usize) -> Model {
    let mut builder = Builder::new();
    for (name, rack) in [("a1", "1"), ("a2", "1"), ("b1", "2")] {
        builder.machine(Machine::new(name).with_attribute("rack", rack));
    }
    builder.machine(Machine::new("b2"));
    let rules = builder.marathon(constraint).expect("it is one of Marathon's");
    let group = builder.group(Group::new("web").with_rules(rules));
    builder.instances(instances, &Instance::new(group));
    builder.build().expect("a small model")
}

/// All ways to place two instances that a constraint allows.
#[track_caller]
fn allows(constraint: &[&str], expected: &str) {
    let model = marathon(constraint, 2);
    let mut allowed = Vec::new();
    for (left, right) in (0..4).flat_map(|left| (left..4).map(move |right| (left, right))) {
        let mut placement = Placement::empty(&model);
        for (instance, machine) in model.instances().zip([left, right]) {
            placement.put(instance, MachineId::new(machine));
        }
        if validate(&model, &placement).is_empty() {
            let name = |index| model.machine_name(MachineId::new(index)).to_owned();
            allowed.push(format!("{}+{}", name(left), name(right)));
        }
    }
    assert_eq!(allowed.join(" "), expected, "{constraint:?}");
}

#[test]
fn marathons_constraints_mean_what_they_mean_there() {
    allows(&["hostname", "UNIQUE"], "a1+a2 a1+b1 a1+b2 a2+b1 a2+b2 b1+b2");
    allows(&["hostname", "MAX_PER", "2"], "a1+a1 a1+a2 a1+b1 a1+b2 a2+a2 a2+b1 a2+b2 b1+b1 b1+b2 b2+b2");
    allows(&["hostname", "CLUSTER"], "a1+a1 a2+a2 b1+b1 b2+b2");
    allows(&["hostname", "CLUSTER", "a2"], "a2+a2");
    allows(&["hostname", "LIKE", "a."], "a1+a1 a1+a2 a2+a2");
    allows(&["hostname", "UNLIKE", "a."], "b1+b1 b1+b2 b2+b2");
    allows(&["rack", "UNIQUE"], "a1+b1 a2+b1");
    allows(&["rack", "MAX_PER", "1"], "a1+b1 a2+b1");
    allows(&["rack", "GROUP_BY"], "a1+b1 a2+b1");
    allows(&["rack", "GROUP_BY", "2"], "a1+b1 a2+b1");
    allows(&["rack", "GROUP_BY", "1"], "a1+a1 a1+a2 a1+b1 a2+a2 a2+b1 b1+b1");
    allows(&["rack", "CLUSTER"], "a1+a1 a1+a2 a2+a2 b1+b1");
    allows(&["rack", "CLUSTER", "1"], "a1+a1 a1+a2 a2+a2");
    allows(&["rack", "IS", "2"], "b1+b1");
    allows(&["rack", "UNLIKE", "1"], "b1+b1 b1+b2 b2+b2");
}

#[test]
fn what_is_no_constraint_is_refused_with_what_was_read() {
    let mut builder = Builder::new();
    let mut refused = |constraint: &[&str]| builder.marathon(constraint).expect_err("none").to_string();
    let lines = [
        refused(&[]),
        refused(&["rack", "ABOVE", "3"]),
        refused(&["rack", "MAX_PER", "two"]),
        refused(&["rack", "GROUP_BY", "0"]),
        refused(&["rack", "LIKE", "("]),
    ];
    expect![[r#"
        read the constraint []: it is a field, one of UNIQUE, CLUSTER, GROUP_BY, LIKE, UNLIKE, MAX_PER and IS, and a value where there is one
        read the constraint ["rack", "ABOVE", "3"]: it is a field, one of UNIQUE, CLUSTER, GROUP_BY, LIKE, UNLIKE, MAX_PER and IS, and a value where there is one
        read the constraint ["rack", "MAX_PER", "two"]: its value is a whole number above 0
        read the constraint ["rack", "GROUP_BY", "0"]: its value is a whole number above 0
        read the constraint ["rack", "LIKE", "("]"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn a_wish_for_more_domains_than_there_are_counts_in_full() {
    let build = |domains: u32, weight: i64| {
        let mut builder = Builder::new();
        builder.machine(Machine::new("m1"));
        let zone = builder.level("zone");
        let group = Group::new("web").with_wish(Rule::Spread { over: zone, domains }, weight);
        let group = builder.group(group);
        builder.instance(Instance::new(group));
        builder.build().map(drop)
    };
    assert_eq!(build(1 << 30, 1 << 31), Ok(()));
    assert_eq!(build(1 << 30, 1 << 32), Err(ModelError::TooLarge));
}
