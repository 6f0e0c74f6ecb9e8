//! Rules in, a picture out, one machine lost, and why not: placement as a conversation.
//!
//! ```text
//! place_and_explain [OUTPUT.svg]
//! ```

use std::fmt::Write;

use detc_sched::explain::{take_down, why_nowhere};
use detc_sched::place::online::{Placer, Preference, Reason, Refusal};
use detc_sched::place::{
    Builder, DomainId, Group, Hold, Instance, InstanceId, LevelId, Machine, MachineId, Model, Placement,
    Requirement, ResourceId, Rule, Test, validate,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (model, zone, cpu) = shop()?;
    println!("Three zones of two machines with 8 cores each. In each zone one has a fast disk.");
    println!("web: 7 instances of 2 cores, at most two in a zone, no two on a machine");
    println!("db:  3 instances of 4 cores, one in each zone, on fast disks only");
    println!("job: 5 instances of 3 cores, of low priority\n");

    let mut placer = Placer::new(&model, &Placement::empty(&model), Preference::Tight);
    for instance in model.instances() {
        let group = model.group_name(model.group_of(instance)).to_owned();
        match placer.place(instance) {
            Ok(spot) => println!("{group} {instance} goes to {}", model.machine_name(spot.machine)),
            Err(refusal) => {
                println!("{group} {instance} goes nowhere: {}", told(&model, instance, &refusal));
                explain(&mut placer, &model, instance);
            }
        }
    }
    assert!(validate(&model, placer.placement()).is_empty(), "the judge agrees");

    let lost = MachineId::new(0);
    println!("\nMay {} be taken down?", model.machine_name(lost));
    let taken = take_down(&placer, &model, &[lost]);
    for (instance, machine) in &taken.moves {
        println!("{} would go to {}", named(&model, *instance), model.machine_name(*machine));
    }
    for (instance, refusal) in &taken.stranded {
        println!("{} would be nowhere: {}", named(&model, *instance), told(&model, *instance, refusal));
    }
    let last_job = model.instances().last().ok_or("there are instances")?;
    let (more, refusal) = placer.room_for_more(last_job, 20);
    println!(
        "\nOf 20 more jobs {more} would fit{}",
        refusal.map_or_else(String::new, |why| format!(": {}", told(&model, last_job, &why)))
    );

    let path = std::env::args().nth(1).unwrap_or_else(|| "placement.svg".to_owned());
    std::fs::write(&path, picture(&model, placer.placement(), zone, cpu)?)?;
    println!("\nThe picture is in {path}.");
    Ok(())
}

/// The rules of each group, in its own words and in the order in which they are added.
const RULES: [(&str, &[&str]); 2] = [
    ("web", &["no two on a machine", "at most two in a zone"]),
    ("db", &["on fast disks only", "one in each zone"]),
];

fn named(model: &Model, instance: InstanceId) -> String {
    format!("{} {instance}", model.group_name(model.group_of(instance)))
}

/// A reason as one who knows the shop would say it.
fn words(model: &Model, instance: InstanceId, reason: Reason) -> String {
    let group = model.group_name(model.group_of(instance));
    let rules = RULES.iter().find(|(name, _)| *name == group).map_or(&[][..], |(_, rules)| rules);
    let rule = |index: usize| rules.get(index).copied().unwrap_or("a rule");
    match reason {
        Reason::Elsewhere(index) => format!("\"{}\" asks for others", rule(index)),
        Reason::Rule(index) => format!("\"{}\" would be broken", rule(index)),
        Reason::Lacks(resource) => format!("too few {} are left", model.resource_name(resource)),
        other => other.to_string(),
    }
}

fn told(model: &Model, instance: InstanceId, refusal: &Refusal) -> String {
    let counts = refusal.reasons.iter();
    let parts = counts.map(|(reason, count)| format!("on {count} {}", words(model, instance, *reason)));
    parts.collect::<Vec<_>>().join(", ")
}

/// What blocks an instance everywhere, and what would free it.
fn explain(placer: &mut Placer<'_>, model: &Model, instance: InstanceId) {
    let Some(nowhere) = why_nowhere(placer, model, instance) else { return };
    println!("  what blocks it:");
    nowhere.blocking.iter().for_each(|reason| println!("  - {}", words(model, instance, *reason)));
    println!("  what would free it:");
    for (way, machines) in &nowhere.ways_out {
        let way: Vec<String> = way.iter().map(|reason| words(model, instance, *reason)).collect();
        println!("  - if it were not that {} ({machines} machines)", way.join(" and that "));
    }
}

fn shop() -> Result<(Model, LevelId, ResourceId), Box<dyn std::error::Error>> {
    let mut builder = Builder::new();
    let zone = builder.level("zone");
    let cpu = builder.resource("cores", Hold::Freed);
    for index in 0..6 {
        builder.machine(
            Machine::new(format!("{}{}", ["a", "b", "c"][index / 2], index % 2 + 1))
                .with_domain(zone, DomainId::new(index / 2))
                .with_capacity(cpu, 8)
                .with_attribute("disk", if index % 2 == 0 { "nvme" } else { "sata" }),
        );
    }
    let fast = Rule::Machines(Requirement::new("disk", Test::Is("nvme".to_owned())));
    let web = Group::new("web").with_priority(2).with_rule(Rule::unique());
    let web = builder.group(web.with_rule(Rule::AtMost { count: 2, per: zone }));
    let db = Group::new("db").with_priority(3).with_rule(fast);
    let db = builder.group(db.with_rule(Rule::Spread { over: zone, domains: 3 }));
    let job = builder.group(Group::new("job"));
    for (group, count, cores) in [(db, 3, 4), (web, 7, 2), (job, 5, 3)] {
        for _ in 0..count {
            builder.instance(Instance::new(group).with_need(cpu, cores));
        }
    }
    Ok((builder.build()?, zone, cpu))
}

/// Machines as columns, instances as boxes as high as what they need.
fn picture(
    model: &Model,
    placement: &Placement,
    zone: LevelId,
    cpu: ResourceId,
) -> Result<String, std::fmt::Error> {
    const UNIT: i64 = 20;
    let colours = ["#7aa2c9", "#8fbf8f", "#d9b382"];
    let mut svg = String::new();
    let height = 8 * UNIT + 60;
    let width = model.machine_count() * 90 + 20;
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">"#
    )?;
    for machine in model.machines() {
        let x = 20 + machine.index() * 90 + model.domain(zone, machine).index() * 4;
        let capacity = model.capacity(machine)[cpu.index()];
        let top = 20;
        writeln!(
            svg,
            r##"<rect x="{x}" y="{top}" width="70" height="{}" fill="none" stroke="#444"/>"##,
            capacity * UNIT
        )?;
        writeln!(svg, r#"<text x="{x}" y="{}">{}</text>"#, height - 16, model.machine_name(machine))?;
        let mut y = top + capacity * UNIT;
        for instance in model.instances().filter(|instance| placement.machine(*instance) == Some(machine)) {
            let need = model.needs(instance)[cpu.index()] * UNIT;
            y -= need;
            let group = model.group_of(instance);
            let colour = colours[group.index() % colours.len()];
            writeln!(
                svg,
                r##"<rect x="{x}" y="{y}" width="70" height="{need}" fill="{colour}" stroke="#444"/>"##
            )?;
            writeln!(svg, r#"<text x="{}" y="{}">{}</text>"#, x + 6, y + 15, model.group_name(group))?;
        }
    }
    writeln!(svg, "</svg>")?;
    Ok(svg)
}
