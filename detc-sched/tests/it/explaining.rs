//! Why here, why not there, why nowhere.

use std::collections::BTreeSet;

use detc_sched::explain::{why_here, why_not_there, why_nowhere};
use detc_sched::place::online::{Placer, Preference, Reason};
use detc_sched::place::{
    Builder, Group, GroupId, Hold, Instance, InstanceId, Machine, MachineId, Model, Placement, Requirement,
    ResourceId, Rule, Test,
};
use detc_sched::testing::{Exhaustive, Shape, random_model, random_running};
use expect_test::expect;

use crate::support::for_seeds;

const SHAPE: Shape = Shape { machines: 4, groups: 3, instances: 9, resources: 2, devices: 2 };

/// The model in which these reasons keep an instance from nowhere any more.
pub(crate) fn without(model: &Model, instance: InstanceId, dropped: &BTreeSet<Reason>) -> Model {
    let mut builder = Builder::from(model);
    let own = model.group_of(instance);
    let mut gone = Vec::new();
    for reason in dropped {
        let part = builder.instance_mut(instance);
        match reason {
            Reason::Lacks(resource) => *part = part.clone().with_need(*resource, 0),
            Reason::Devices => *part = part.clone().with_devices(0, 0),
            Reason::Port => *part = part.clone().without_ports(),
            Reason::Taint => {
                let group = builder.group_mut(own);
                *group = group.clone().with_toleration("odd");
            }
            Reason::Elsewhere(rule) | Reason::Rule(rule) => gone.push(*rule),
            Reason::KeptApart => {
                let keeps = |rule: &Rule| matches!(rule, Rule::Apart { group, .. } if *group == own);
                for other in (0..model.group_count()).map(GroupId::new).filter(|other| *other != own) {
                    let group = builder.group_mut(other);
                    *group = group.clone().with_rules_kept(|_, rule| !keeps(rule));
                }
            }
            other => panic!("{other} is of no model"),
        }
    }
    let group = builder.group_mut(own);
    *group = group.clone().with_rules_kept(|number, _| !gone.contains(&number));
    builder.build().expect("less is asked for")
}

/// All that could keep an instance away.
fn everything(model: &Model, instance: InstanceId) -> BTreeSet<Reason> {
    let rules = 0..model.rules(model.group_of(instance)).len();
    let resources = (0..model.resource_count()).map(|index| Reason::Lacks(ResourceId::new(index)));
    let others = [Reason::Taint, Reason::Devices, Reason::Port, Reason::KeptApart];
    // A rule keeps it away by the machine's nature, or by where others are: either way it is that rule.
    rules.map(Reason::Rule).chain(resources).chain(others).collect()
}

/// Whether an instance has a place, by trying, when these reasons are dropped.
fn is_free(model: &Model, placement: &Placement, instance: InstanceId, dropped: &BTreeSet<Reason>) -> bool {
    let model = without(model, instance, dropped);
    let one = Exhaustive::new(&model).placing(&[instance], placement);
    one.first().expect("one instance is not too much").is_some()
}

#[test]
fn what_blocks_is_minimal_and_each_way_out_frees_by_trying_everything() {
    let (mut refused, mut single) = (0, 0);
    for_seeds(1000, |seed| {
        let model = random_model(seed, &SHAPE);
        let mut placer = Placer::new(&model, &Placement::empty(&model), Preference::Tight);
        for instance in model.instances() {
            let nowhere = why_nowhere(&mut placer, &model, instance);
            if placer.place(instance).is_ok() {
                assert_eq!(nowhere, None);
                continue;
            }
            refused += 1;
            let placement = placer.placement().clone();
            let nowhere = nowhere.expect("it was refused");
            let rule = |reason: &Reason| match reason {
                Reason::Elsewhere(rule) => Reason::Rule(*rule),
                other => *other,
            };
            let blocking: BTreeSet<Reason> = nowhere.blocking.iter().map(rule).collect();
            // Nothing but what blocks is left, and it blocks; with any one less it does not.
            let mut dropped = everything(&model, instance);
            dropped.retain(|reason| !blocking.contains(reason));
            assert!(!is_free(&model, &placement, instance, &dropped), "{blocking:?} is not enough");
            for reason in &blocking {
                let mut more = dropped.clone();
                more.insert(*reason);
                assert!(
                    is_free(&model, &placement, instance, &more),
                    "{reason:?} of {blocking:?} is too much"
                );
            }
            for way in nowhere.ways_out.keys() {
                assert!(is_free(&model, &placement, instance, way), "{way:?} does not free it");
                for reason in way {
                    let mut less = way.clone();
                    less.remove(reason);
                    assert!(!is_free(&model, &placement, instance, &less), "{less:?} of {way:?} frees it");
                }
                if way.len() == 1 {
                    single += 1;
                    assert!(way.is_subset(&nowhere.blocking), "what frees by itself blocks");
                }
            }
        }
    });
    assert!(refused > 300 && single > 100 || std::env::var("DETC_SEED").is_ok(), "{refused} {single}");
}

#[test]
fn the_facts_are_those_of_the_placer() {
    let mut told = 0;
    for_seeds(500, |seed| {
        let (model, start) = random_running(seed, &SHAPE);
        let mut placer = Placer::new(&model, &start, Preference::Loose);
        if seed.is_multiple_of(3) {
            placer.close(MachineId::new(0));
        }
        let backwards = || model.instances().collect::<Vec<_>>().into_iter().rev();
        backwards().filter(|id| (id.index() as u64 + seed).is_multiple_of(2)).for_each(|id| placer.take(id));
        let waiting = backwards().filter(|id| placer.placement().machine(*id).is_none());
        for instance in waiting.collect::<Vec<_>>() {
            for machine in model.machines() {
                let obstacles = why_not_there(&placer, &model, instance, machine);
                let reasons: BTreeSet<Reason> = obstacles.iter().map(|obstacle| obstacle.reason).collect();
                assert_eq!(reasons, placer.reasons_on(instance, machine), "{instance} on {machine}");
                told += obstacles.iter().filter(|it| !model.named(*it).to_string().is_empty()).count();
            }
            // Who has no place is no matter here.
            let _ = placer.place(instance);
        }
    });
    assert!(told > 500 || std::env::var("DETC_SEED").is_ok(), "{told}");
}

#[test]
fn who_was_put_there_just_now_is_where_it_is_preferred_most() {
    for_seeds(300, |seed| {
        let model = random_model(seed, &SHAPE);
        let mut placer = Placer::new(&model, &Placement::empty(&model), Preference::Tight);
        for instance in model.instances() {
            let placed = placer.place(instance).ok();
            let here = why_here(&placer, instance);
            assert_eq!(here.as_ref().map(|here| here.machine), placed.as_ref().map(|spot| spot.machine));
            let Some(here) = here else { continue };
            assert_eq!((here.rank, here.preferred.len()), (Some(1), 0));
            for other in &here.next {
                assert_eq!(why_not_there(&placer, &model, instance, *other), []);
            }
        }
    });
}

/// Two zones of two machines, and a web, a database and a batch job.
pub(crate) fn shop() -> Model {
    let mut builder = Builder::new();
    let cores = builder.resource("cores", Hold::Freed);
    let tree = builder.tree(["zone", "rack"]);
    let [zone, _] = tree;
    for (name, path, disk) in
        [("a1", "a/1", "nvme"), ("a2", "a/2", "sata"), ("b1", "b/1", "nvme"), ("b2", "b/2", "sata")]
    {
        let machine = Machine::new(name).with_path(&tree, path).with_attribute("disk", disk);
        builder.machine(machine.with_capacity(cores, 8).with_devices(1));
    }
    let fast = Rule::Machines(Requirement::new("disk", Test::Is("nvme".to_owned())));
    let db = builder.group(Group::new("db").with_priority(2).with_rule(fast));
    let web = Group::new("web").with_priority(1).with_rule(Rule::AtMost { count: 2, per: zone });
    let web = builder.group(web.with_rule(Rule::With { group: db, within: zone }));
    let job = builder.group(Group::new("job").with_rule(Rule::Apart { group: db, within: zone }));
    builder.instances(2, &Instance::new(db).with_need(cores, 5).with_port(5432));
    builder.instances(3, &Instance::new(web).with_need(cores, 3).with_devices(1, 600));
    builder.instance(Instance::new(job).with_need(cores, 2));
    builder.build().expect("a small model")
}

#[test]
fn answers_read_as_sentences() {
    let model = shop();
    let mut placer = Placer::new(&model, &Placement::empty(&model), Preference::Tight);
    let ids: Vec<InstanceId> = model.instances().collect();
    let [db1, db2, web1, web2, web3, job] = ids[..] else { panic!("six instances") };
    placer.place(db1).expect("all is free");
    placer.place(web1).expect("the database is there");
    placer.place(web2).expect("twice in a zone");
    let mut lines = vec![model.named(&why_here(&placer, web1).expect("it is placed")).to_string()];
    let nowhere = why_nowhere(&mut placer, &model, web3).expect("two are in the zone");
    lines.push(model.named(&nowhere).to_string());
    placer.close(MachineId::new(3));
    for instance in [web3, job, db2] {
        for machine in model.machines() {
            for obstacle in why_not_there(&placer, &model, instance, machine) {
                lines.push(model.named(&obstacle).to_string());
            }
        }
    }
    expect![[r#"
        web.1 is on a1: of what fits it is preferred most
        web.3 fits none of 4 machines: 1 × too little cores left, 1 × too few devices with enough left, 2 × the rule "with db within a zone"
        enough to block it: the rule "at most 2 in a zone", and the rule "with db within a zone"
        it would fit on 1 but for too few devices with enough left, and the rule "at most 2 in a zone"
        it would fit on 2 but for the rule "with db within a zone"
        a1 has 0 of 8 cores free, and web.3 needs 3
        0 of 1 devices of a1 have 600 shares free, and web.3 needs 1
        zone a has 2 of web, and 2 may be there (rule: at most 2 in a zone)
        0 of 1 devices of a2 have 600 shares free, and web.3 needs 1
        zone a has 2 of web, and 2 may be there (rule: at most 2 in a zone)
        zone b has no db (rule: with db within a zone)
        b2 is closed
        zone b has no db (rule: with db within a zone)
        a1 has 0 of 8 cores free, and job.1 needs 2
        zone a has db (rule: in no zone with db)
        zone a has db (rule: in no zone with db)
        b2 is closed
        a1 has 0 of 8 cores free, and db.2 needs 5
        db.1 has port 5432 of a1
        on a2 it is sata (rule: where disk is nvme)
        b2 is closed
        on b2 it is sata (rule: where disk is nvme)"#]].assert_eq(&lines.join("\n"));
}

#[test]
fn who_was_looked_at_is_no_refusal() {
    let model = shop();
    let mut placer = Placer::new(&model, &Placement::empty(&model), Preference::Tight);
    let [db1, _, web1, ..] = model.instances().collect::<Vec<_>>()[..] else { panic!("six instances") };
    placer.place(db1).expect("all is free");
    placer.place(web1).expect("the database is there");
    let counts = |placer: &Placer<'_>| {
        let here = why_here(placer, web1).expect("it is placed");
        (here.next.len(), here.refusal.expect("all were looked at").reasons)
    };
    // The other machine of the zone is next, and the other zone has no database.
    assert_eq!(counts(&placer), (1, [(Reason::Rule(1), 2)].into()));
    placer.close(MachineId::new(1));
    assert_eq!(counts(&placer), (0, [(Reason::Closed, 1), (Reason::Rule(1), 2)].into()));
}
