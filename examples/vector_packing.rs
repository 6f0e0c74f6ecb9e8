//! Vector bin packing: items of several dimensions into as few equal bins as can be.
//!
//! ```text
//! vector_packing INSTANCE.vbp OUTPUT --seconds S [--threads T] [--seed N]
//! ```
//!
//! Bins are machines, of which there are as many as items; none is preferred, and few are used.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use detc_sched::place::{Builder, Group, Hold, Instance, Machine, Model};
use detc_sched::rebalance::{Effort, Options, pack};

use inputs::{Arguments, Failure, Numbers, TimeLimit, text, told, write_lines};

mod inputs;

const USAGE: &str = "vector_packing INSTANCE.vbp OUTPUT --seconds S [--threads T] [--seed N]";

fn main() -> ExitCode {
    told(run)
}

fn run() -> Result<(), Failure> {
    let begun = Instant::now();
    let arguments = Arguments::read(USAGE, 2, &["seconds", "threads", "seed"])?;
    let seconds: f64 = arguments.option("seconds", 1.0)?;
    let model = read(&text(arguments.path(0))?)?;
    let reserve = Duration::from_millis(5) + begun.elapsed();
    let limit = TimeLimit::new(begun, seconds, reserve)?;
    let options = Options::new(arguments.option("seed", 1)?).with_threads(arguments.option("threads", 2)?);
    let packed = pack(&model, &options, Effort::Until(&|| limit.spent()))
        .ok_or("an item does not fit an empty bin")?;
    let mut used: Vec<_> = packed.machines().iter().flatten().collect();
    used.sort_unstable();
    used.dedup();
    println!("{} bins, {} ms", used.len(), begun.elapsed().as_millis());
    let bins = packed.machines().iter().flatten().map(|machine| machine.index().to_string());
    write_lines(arguments.path(1), bins)
}

fn read(text: &str) -> Result<Model, Failure> {
    let mut numbers = Numbers::new(text);
    let mut builder = Builder::new();
    let dimensions = numbers.index()?;
    let resources: Vec<_> =
        (0..dimensions).map(|index| builder.resource(format!("dimension {index}"), Hold::Freed)).collect();
    let capacities = (0..dimensions).map(|_| numbers.next()).collect::<Result<Vec<i64>, _>>()?;
    let items = builder.group(Group::new("items"));
    let mut count = 0;
    for _ in 0..numbers.index()? {
        let sizes = (0..dimensions).map(|_| numbers.next()).collect::<Result<Vec<i64>, _>>()?;
        for _ in 0..numbers.index()? {
            let item = resources.iter().zip(&sizes);
            builder.instance(
                item.fold(Instance::new(items), |item, (resource, size)| item.with_need(*resource, *size)),
            );
            count += 1;
        }
    }
    if !numbers.is_at_end() {
        return Err("there are numbers left over".into());
    }
    for index in 0..count {
        let bin = Machine::new(format!("bin {index}"));
        builder.machine(
            resources
                .iter()
                .zip(&capacities)
                .fold(bin, |bin, (resource, capacity)| bin.with_capacity(*resource, *capacity)),
        );
    }
    Ok(builder.build()?)
}
