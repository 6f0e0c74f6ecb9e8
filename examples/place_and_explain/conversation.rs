//! A small shop: what is asked about it, and what is answered.

use std::fmt::Write;

use detc_sched::explain::{
    account_of_moves, take_down, what_would_it_take, why_here, why_not_there, why_nowhere,
};
use detc_sched::place::online::{Placer, Preference};
use detc_sched::place::{
    Builder, Group, GroupId, Hold, Instance, LevelId, Machine, MachineId, Model, ModelError, Objective,
    Placement, Requirement, Rule, Test, validate,
};
use detc_sched::rebalance::{Effort, Options, rebalance};

use super::picture::{Panel, draw};

/// What was said, and the pictures to it, by the names of their files.
pub(crate) struct Held {
    pub(crate) text: String,
    pub(crate) pictures: Vec<(&'static str, String)>,
}

/// Holds the conversation.
pub(crate) fn hold() -> Result<Held, Box<dyn std::error::Error>> {
    let mut text = String::new();
    let mut pictures = Vec::new();

    // Rules in.
    let (model, zone) = shop(None)?;
    writeln!(text, "Three zones of two machines with 8 cores each; beyond 6 a core costs 10.")?;
    for group in (0..model.group_count()).map(GroupId::new) {
        let members = model.members(group);
        let cores = model.needs(members[0])[0];
        let rules: Vec<_> = model.rules(group).iter().map(|rule| model.named(rule).to_string()).collect();
        let rules = if rules.is_empty() { "anywhere".to_owned() } else { rules.join("; ") };
        writeln!(text, "  {:<4} {} × {cores} cores, {rules}", model.group_name(group), members.len())?;
    }

    // Placement out. Who finds no place is asked why; the others go on.
    writeln!(text, "\n> Place them, the fullest machine first.")?;
    let mut placer = Placer::new(&model, &Placement::empty(&model), Preference::Tight);
    let refused: Vec<_> = model.instances().filter(|instance| placer.place(*instance).is_err()).collect();
    assert!(validate(&model, placer.placement()).is_empty(), "the judge agrees");
    write!(text, "{}", table(&model, placer.placement()))?;
    pictures.push((
        "placed.svg",
        draw(&model, &[Panel::new("Placed, the fullest first", zone, placer.placement())]),
    ));

    for instance in &refused {
        writeln!(text, "\n> Why is {} nowhere?", model.instance_name(*instance))?;
        let nowhere = why_nowhere(&mut placer, &model, *instance).ok_or("it was refused")?;
        writeln!(text, "{}", model.named(&nowhere))?;
        let there = MachineId::new(1);
        writeln!(text, "\n> Why not on {}?", model.machine_name(there))?;
        for obstacle in why_not_there(&placer, &model, *instance, there) {
            writeln!(text, "{}", model.named(&obstacle))?;
        }
    }
    let second = model.members(GroupId::new(0))[1];
    writeln!(text, "\n> Why is {} where it is?", model.instance_name(second))?;
    let here = why_here(&placer, second).ok_or("it is placed")?;
    writeln!(text, "{}", model.named(&here))?;

    // One machine lost.
    let lost = MachineId::new(0);
    writeln!(text, "\n> What if {} is lost?", model.machine_name(lost))?;
    let taken = take_down(&placer, &model, &[lost]);
    writeln!(text, "{}", model.named(&taken))?;
    pictures.push((
        "lost.svg",
        draw(&model, &[Panel::new("One machine lost", zone, &taken.after).with_lost(&[lost])]),
    ));

    let job = model.instances().last().ok_or("there are instances")?;
    writeln!(text, "\n> What would it take to fit 10 more jobs?")?;
    writeln!(text, "{}", model.named(&what_would_it_take(&model, placer.placement(), job, 10)))?;

    // It runs; now it gets better. Each move costs 1, and two are allowed.
    let (running, _) = shop(Some(placer.placement()))?;
    let before = Placement::running(&running);
    let moves = 2;
    writeln!(text, "\n> Make it better, with no more than {moves} moves. What does each buy?")?;
    let options = Options::new(1).with_moved_max(moves);
    let better = rebalance(&running, &before, &options, Effort::Steps(100_000));
    assert!(validate(&running, &better.placement).is_empty(), "the judge agrees");
    writeln!(text, "{}", running.named(&account_of_moves(&running, &before, &better.placement)))?;
    writeln!(text, "\n> What does it still cost?\n{}", running.named(&better.bill))?;
    pictures.push((
        "rebalanced.svg",
        draw(
            &running,
            &[
                Panel::new("As it runs", zone, &before),
                Panel::new("After two moves", zone, &better.placement),
            ],
        ),
    ));
    Ok(Held { text, pictures })
}

/// The model: as new, or as it runs.
fn shop(running: Option<&Placement>) -> Result<(Model, LevelId), ModelError> {
    let mut builder = Builder::new();
    let [zone] = builder.tree(["zone"]);
    let cores = builder.resource("cores", Hold::Freed);
    for index in 0..6 {
        builder.machine(
            Machine::new(format!("{}{}", ["a", "b", "c"][index / 2], index % 2 + 1))
                .with_path(&[zone], ["a", "b", "c"][index / 2])
                .with_capacity(cores, 8)
                .with_safety(cores, 6)
                .with_attribute("disk", if index % 2 == 0 { "nvme" } else { "sata" }),
        );
    }
    let fast = Rule::Machines(Requirement::new("disk", Test::Is("nvme".to_owned())));
    let db = Group::new("db").with_rule(fast).with_rule(Rule::Spread { over: zone, domains: 3 });
    let web = Group::new("web").with_rule(Rule::unique()).with_rule(Rule::AtMost { count: 2, per: zone });
    let groups = [(db.with_priority(3), 3, 4), (web.with_priority(2), 7, 2), (Group::new("job"), 5, 2)];
    let mut number = 0;
    for (group, count, needed) in groups {
        let group = builder.group(group);
        for _ in 0..count {
            let instance = Instance::new(group).with_need(cores, needed).with_move_cost(1);
            let at = running.and_then(|running| running.machines()[number]);
            builder.instance(at.into_iter().fold(instance, Instance::running_on));
            number += 1;
        }
    }
    builder.objective(Objective::new().with_overload(cores, 10).with_instance_move(1));
    Ok((builder.build()?, zone))
}

/// A line for each machine: a sign for each core, and who has it.
fn table(model: &Model, placement: &Placement) -> String {
    let mut lines = String::new();
    for machine in model.machines() {
        let here = model.instances().filter(|instance| placement.machine(*instance) == Some(machine));
        let mut used = 0;
        let names: Vec<String> = here
            .inspect(|instance| used += model.needs(*instance)[0])
            .map(|instance| model.instance_name(instance))
            .collect();
        let free = model.capacity(machine)[0] - used;
        let bar = "#".repeat(used as usize) + &".".repeat(free.max(0) as usize);
        lines += &format!("  {} {bar} {}\n", model.machine_name(machine), names.join(", "));
    }
    let nowhere = model.instances().filter(|instance| placement.machine(*instance).is_none());
    let nowhere: Vec<String> = nowhere.map(|instance| model.instance_name(instance)).collect();
    if !nowhere.is_empty() {
        lines += &format!("  nowhere: {}\n", nowhere.join(", "));
    }
    lines
}
