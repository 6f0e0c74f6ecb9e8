//! May I take these machines down, and what would it take to fit more?

use detc_sched::explain::{Way, take_down, what_would_it_take};
use detc_sched::place::online::{Placer, Preference};
use detc_sched::place::{Builder, InstanceId, MachineId, Model, Placement, validate};
use detc_sched::testing::{Exhaustive, Shape, random_model, random_running};
use expect_test::expect;

use crate::explaining::{shop, without};
use crate::support::for_seeds;

#[test]
fn a_yes_breaks_nothing_and_a_no_for_one_instance_is_right() {
    let (mut yes, mut no, mut right) = (0, 0, 0);
    for_seeds(2000, |seed| {
        let (model, start) = random_running(seed, &Shape::TINY.with_devices(2));
        let placer = Placer::new(&model, &start, Preference::Tight);
        let mut machines = vec![MachineId::new(seed as usize % model.machine_count())];
        if seed.is_multiple_of(5) {
            machines.push(MachineId::new(0));
        }
        let mut leaving: Vec<_> =
            machines.iter().flat_map(|machine| placer.residents(*machine)).copied().collect();
        leaving.sort_unstable();
        leaving.dedup();
        let taken = take_down(&placer, &model, &machines);
        assert_eq!(taken.moves.len() + taken.stranded.len(), leaving.len());
        assert!(taken.moves.iter().all(|(_, to)| !machines.contains(to)));
        for instance in model.instances().filter(|id| !leaving.contains(id)) {
            assert_eq!(taken.after.machine(instance), start.machine(instance));
        }
        assert_eq!(validate(&model, &taken.after), taken.broken);
        let possible = Exhaustive::new(&model).placing(&leaving, &start).without(&machines);
        let possible = possible.first().expect("it is small").is_some();
        if taken.is_harmless() {
            yes += 1;
            assert!(possible);
        } else {
            no += 1;
            right += i32::from(!possible);
            assert!(leaving.len() > 1 || !possible, "the only one has a place");
        }
    });
    println!("{yes} yes, {no} no, of which {right} because it can not be");
    assert!(yes > 300 && right > 300 || std::env::var("DETC_SEED").is_ok(), "{yes} {no} {right}");
}

/// The model with more instances, and machines, made by the builder.
fn larger(model: &Model, like: InstanceId, more: usize, machines: &[(MachineId, usize)]) -> Model {
    let mut builder = Builder::from(model);
    let part = builder.instance_mut(like).clone();
    builder.instances(more, &part);
    for (machine, count) in machines {
        for number in 0..*count {
            let part = builder.machine_mut(*machine).clone();
            builder.machine(part.with_name(format!("new {number}")));
        }
    }
    builder.objective(detc_sched::place::Objective::new());
    builder.build().expect("somewhat more")
}

/// The same placement in a larger model.
fn carried(model: &Model, placement: &Placement, larger: &Model) -> Placement {
    let mut carried = Placement::empty(larger);
    for instance in model.instances() {
        if let Some(machine) = placement.machine(instance) {
            carried.put_on_devices(instance, machine, placement.devices(instance).to_vec());
        }
    }
    carried
}

#[test]
fn what_is_said_to_suffice_does_by_trying_everything() {
    const WANTED: usize = 3;
    let (mut machines, mut dropped, mut refused) = (0, 0, 0);
    for_seeds(1000, |seed| {
        let shape = Shape { machines: 3, instances: 6, resources: 2, ..Shape::TINY }.with_devices(1);
        let model = random_model(seed, &shape);
        let mut placer = Placer::new(&model, &Placement::empty(&model), Preference::Tight);
        model.instances().for_each(|instance| drop(placer.place(instance)));
        let placement = placer.placement();
        let like = InstanceId::new(seed as usize % model.instance_count());
        let room = what_would_it_take(&model, placement, like, WANTED);
        // Whether so many of them have a place, by trying.
        let fit = |other: &Model, count: usize| {
            let new: Vec<_> = other.instances().skip(model.instance_count()).take(count).collect();
            let start = carried(&model, placement, other);
            Exhaustive::new(other).placing(&new, &start).first().expect("it is small").is_some()
        };
        let more = larger(&model, like, WANTED, &[]);
        assert!(fit(&more, room.spots.len()), "{room:?}");
        assert_eq!(room.nowhere.is_none(), room.spots.len() == WANTED);
        if room.spots.is_empty() {
            refused += 1;
            assert!(!fit(&more, 1), "one has a place");
        }
        for way in &room.ways {
            match way {
                Way::Machines { like: machine, count } => {
                    machines += 1;
                    assert!(fit(&larger(&model, like, WANTED, &[(*machine, *count)]), WANTED));
                }
                Way::Without { reason, fits } => {
                    dropped += 1;
                    // Dropped for the new ones, whose numbers are the last.
                    let new: Vec<_> = more.instances().skip(model.instance_count()).collect();
                    let other = new.iter().fold(more.clone(), |other, instance| {
                        let again = dropped_before(&more, &other, *instance);
                        if again { other } else { without(&other, *instance, &[*reason].into()) }
                    });
                    assert!(*fits > room.spots.len());
                    assert!(fit(&other, *fits), "{way:?}");
                }
                Way::Displacing { victims, .. } => {
                    let lower = |id: &InstanceId| model.priority(*id) < model.priority(like);
                    assert!(!victims.is_empty() && victims.iter().all(lower));
                }
                _ => panic!("a new way needs a new test"),
            }
        }
    });
    println!("{machines} with machines, {dropped} with less asked, {refused} refused");
    let enough = machines > 50 && dropped > 100 && refused > 100;
    assert!(enough || std::env::var("DETC_SEED").is_ok(), "{machines} {dropped} {refused}");
}

/// Whether a rule of the group was dropped already: rules are the group's, needs are each instance's.
fn dropped_before(before: &Model, now: &Model, instance: InstanceId) -> bool {
    let group = before.group_of(instance);
    before.rules(group).len() != now.rules(group).len()
}

#[test]
fn answers_read_as_sentences() {
    let model = shop();
    let mut placer = Placer::new(&model, &Placement::empty(&model), Preference::Tight);
    let ids: Vec<InstanceId> = model.instances().collect();
    model.instances().for_each(|instance| drop(placer.place(instance)));
    let [down, both] = [&[2][..], &[0, 2]]
        .map(|machines| machines.iter().map(|machine| MachineId::new(*machine)).collect::<Vec<_>>());
    let mut lines = vec![
        model.named(&take_down(&placer, &model, &down)).to_string(),
        model.named(&take_down(&placer, &model, &both)).to_string(),
        model.named(&take_down(&placer, &model, &[MachineId::new(3)])).to_string(),
    ];
    for like in [ids[0], ids[2], ids[5]] {
        lines.push(model.named(&what_would_it_take(&model, placer.placement(), like, 5)).to_string());
    }
    expect![[r#"
        no: 2 instances leave b1
          db.2 would be nowhere: 1 × closed, 2 × the rule "where disk is nvme", 1 × too little cores left
          web.2 would be nowhere: 1 × closed, 1 × too little cores left, 1 × too few devices with enough left, 1 × the rule "with db within a zone"
        no: 4 instances leave a1, b1
          db.1 would be nowhere: 2 × closed, 2 × the rule "where disk is nvme"
          db.2 would be nowhere: 2 × closed, 2 × the rule "where disk is nvme"
          web.1 would be nowhere: 2 × closed, 1 × too few devices with enough left, 1 × the rule "with db within a zone"
          web.2 would be nowhere: 2 × closed, 1 × too few devices with enough left, 1 × the rule "with db within a zone"
          broken would be: web breaks its rule "with db within a zone", by 1
        yes: 0 instances leave b2
        0 of 5 more like db.1 fit; then: 2 × the rule "where disk is nvme", 2 × too little cores left
          all, with 5 more machines like one of a1, b1
          2, but for the rule "where disk is nvme"
        1 of 5 more like web.1 fit; then: 2 × too little cores left, 2 × too few devices with enough left
        0 of 5 more like job.1 fit; then: 2 × too little cores left, 2 × the rule "in no zone with db"
          5, but for the rule "in no zone with db""#]].assert_eq(&lines.join("\n"));
}
