//! Shards on hosts: brings all hosts down to a load, with few moves.
//!
//! ```text
//! shard_rebalance INSTANCE OUTPUT --seconds S [--max-load 1.05]
//! ```
//!
//! The wanted load is each host's safety level, what is beyond it is dear, and each move costs one: the fewest moves that
//! take off all overload. No two replicas of a shard are in one domain.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use detc_sched::place::{
    Builder, DomainId, Group, GroupId, Hold, Instance, Machine, MachineId, Model, Objective, Placement, Rule,
};
use detc_sched::rebalance::{Effort, Options, rebalance};

use inputs::{Arguments, Failure, Numbers, TimeLimit, text, told, write_lines};

mod inputs;

const USAGE: &str = "shard_rebalance INSTANCE OUTPUT --seconds S [--max-load 1.05] [--threads T] [--seed N]";

/// What each unit beyond the wanted load costs: more than any number of moves that could take it off.
const OVERLOAD: i64 = 1000;

fn main() -> ExitCode {
    told(run)
}

fn run() -> Result<(), Failure> {
    let begun = Instant::now();
    let arguments = Arguments::read(USAGE, 2, &["seconds", "max-load", "threads", "seed"])?;
    let seconds: f64 = arguments.option("seconds", 2.0)?;
    let max_load: f64 = arguments.option("max-load", 1.05)?;
    let model = read(&text(arguments.path(0))?, max_load)?;
    let reserve = Duration::from_millis(5) + begun.elapsed();
    let limit = TimeLimit::new(begun, seconds, reserve)?;
    let options = Options::new(arguments.option("seed", 1)?).with_threads(arguments.option("threads", 2)?);
    let outcome = rebalance(&model, &Placement::running(&model), &options, Effort::Until(&|| limit.spent()));
    let machines = outcome.placement.machines().iter();
    write_lines(
        arguments.path(1),
        machines.map(|machine| machine.map_or_else(String::new, |machine| machine.index().to_string())),
    )?;
    println!("{}", outcome.bill);
    println!("{} moves evaluated, {} ms", outcome.evaluated, begun.elapsed().as_millis());
    Ok(())
}

fn read(text: &str, max_load: f64) -> Result<Model, Failure> {
    let (first, rest) = text.split_once('\n').ok_or("the file is empty")?;
    let counts: Vec<usize> = first.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [hosts, _, dimensions, shards, replicas] = counts[..] else {
        return Err("the first line is not 'hosts H domains F dims D shards S replicas R'".into());
    };
    let mut numbers = Numbers::new(rest);
    let mut builder = Builder::new();
    let domain = builder.level("domain");
    let resources: Vec<_> =
        (0..dimensions).map(|index| builder.resource(format!("load {index}"), Hold::Freed)).collect();
    let mut machines = Vec::new();
    for index in 0..hosts {
        let at = DomainId::new(numbers.index()?);
        let mut machine = Machine::new(format!("host {index}")).with_domain(domain, at);
        for resource in &resources {
            machine = machine.with_capacity(*resource, numbers.next()?);
        }
        machines.push(machine);
    }
    for index in 0..shards {
        let apart = Rule::AtMost { count: 1, per: domain };
        builder.group(Group::new(format!("shard {index}")).with_rule(apart));
    }
    let mut totals = vec![0_i64; dimensions];
    for _ in 0..replicas {
        let shard = GroupId::new(numbers.index()?);
        let mut replica = Instance::new(shard).running_on(MachineId::new(numbers.index()?)).with_move_cost(1);
        for (resource, total) in resources.iter().zip(&mut totals) {
            let size = numbers.next()?;
            *total += size;
            replica = replica.with_need(*resource, size);
        }
        builder.instance(replica);
    }
    if !numbers.is_at_end() {
        return Err("there is more in the file than its first line says".into());
    }
    let mut objective = Objective::new().with_instance_move(1);
    for (resource, total) in resources.iter().zip(totals) {
        let wanted = (max_load * total as f64 / hosts as f64).floor() as i64;
        machines = machines.into_iter().map(|machine| machine.with_safety(*resource, wanted)).collect();
        objective = objective.with_overload(*resource, OVERLOAD);
    }
    for machine in machines {
        builder.machine(machine);
    }
    builder.objective(objective);
    Ok(builder.build()?)
}
