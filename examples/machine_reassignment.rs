//! Machine reassignment as in the ROADEF/EURO challenge of 2012: improves which process runs on which machine.
//!
//! ```text
//! machine_reassignment MODEL INITIAL OUTPUT --seconds S [--threads T] [--seed N]
//! ```

use std::process::ExitCode;
use std::time::{Duration, Instant};

use detc_sched::place::{
    Balance, Builder, DomainId, Group, GroupId, Hold, Instance, LevelId, Machine, MachineId, Model,
    Objective, Placement, ResourceId, Rule,
};
use detc_sched::rebalance::{Effort, Options, rebalance};

use inputs::{Arguments, Failure, Numbers, TimeLimit, text, told, write_lines};

mod inputs;

const USAGE: &str = "machine_reassignment MODEL INITIAL OUTPUT --seconds S [--threads T] [--seed N]";

fn main() -> ExitCode {
    told(run)
}

fn run() -> Result<(), Failure> {
    let begun = Instant::now();
    let arguments = Arguments::read(USAGE, 3, &["seconds", "threads", "seed"])?;
    let seconds: f64 = arguments.option("seconds", 60.0)?;
    let model = read(&text(arguments.path(0))?, &text(arguments.path(1))?)?;
    // Freeing and writing is kept in proportion to what reading took.
    let reserve = Duration::from_millis(50) + begun.elapsed();
    let limit = TimeLimit::new(begun, seconds, reserve)?;
    let options = Options::new(arguments.option("seed", 1)?).with_threads(arguments.option("threads", 2)?);
    let searched = Instant::now();
    let outcome = rebalance(&model, &Placement::running(&model), &options, Effort::Until(&|| limit.spent()));
    let rate = outcome.evaluated as f64 / searched.elapsed().as_secs_f64() / 1e6;
    let machines = outcome.placement.machines().iter();
    write_lines(
        arguments.path(2),
        machines.map(|machine| machine.map_or_else(String::new, |machine| machine.index().to_string())),
    )?;
    println!("{}", outcome.bill);
    println!("{} moves evaluated, {rate:.2} million a second", outcome.evaluated);
    Ok(())
}

/// The model file (see the challenge's statement for the order of its numbers) and where the processes run.
fn read(model: &str, initial: &str) -> Result<Model, Failure> {
    let mut numbers = Numbers::new(model);
    let mut initial = Numbers::new(initial);
    let mut builder = Builder::new();
    let mut objective = Objective::new();
    let neighbourhood = builder.level("neighbourhood");
    let location = builder.level("location");

    let mut resources = Vec::new();
    for index in 0..numbers.index()? {
        let hold = if numbers.next::<u8>()? == 1 { Hold::Twice } else { Hold::Freed };
        let resource = builder.resource(format!("resource {index}"), hold);
        objective = objective.with_overload(resource, numbers.next()?);
        resources.push(resource);
    }

    let mut moves_between = Vec::new();
    let machines = numbers.index()?;
    for index in 0..machines {
        let mut machine = Machine::new(format!("machine {index}"))
            .with_domain(neighbourhood, DomainId::new(numbers.index()?))
            .with_domain(location, DomainId::new(numbers.index()?));
        for resource in &resources {
            machine = machine.with_capacity(*resource, numbers.next()?);
        }
        for resource in &resources {
            machine = machine.with_safety(*resource, numbers.next()?);
        }
        for _ in 0..machines {
            moves_between.push(numbers.next()?);
        }
        builder.machine(machine);
    }

    for index in 0..numbers.index()? {
        builder.group(service(index, &mut numbers, neighbourhood, location)?);
    }

    for _ in 0..numbers.index()? {
        let mut process = Instance::new(GroupId::new(numbers.index()?));
        for resource in &resources {
            process = process.with_need(*resource, numbers.next()?);
        }
        let process = process.with_move_cost(numbers.next()?);
        builder.instance(process.running_on(MachineId::new(initial.next()?)));
    }

    for _ in 0..numbers.index()? {
        let of = ResourceId::new(numbers.index()?);
        let with = ResourceId::new(numbers.index()?);
        let (times, weight) = (numbers.next()?, numbers.next()?);
        objective = objective.with_balance(Balance { of, times, with, weight });
    }
    builder.objective(
        objective
            .with_instance_move(numbers.next()?)
            .with_group_move(numbers.next()?)
            .with_machine_move(numbers.next()?, moves_between),
    );
    if !numbers.is_at_end() || !initial.is_at_end() {
        return Err("there are numbers left over".into());
    }
    Ok(builder.build()?)
}

fn service(
    index: usize,
    numbers: &mut Numbers<'_>,
    neighbourhood: LevelId,
    location: LevelId,
) -> Result<Group, Failure> {
    let mut group = Group::new(format!("service {index}"))
        .with_rule(Rule::unique())
        .with_rule(Rule::Spread { over: location, domains: numbers.next()? });
    for _ in 0..numbers.index()? {
        let group_needed = GroupId::new(numbers.index()?);
        group = group.with_rule(Rule::With { group: group_needed, within: neighbourhood });
    }
    Ok(group)
}
