//! A GPU cluster's arrivals, as in Alibaba's trace of 2023: each pod is placed when it arrives, or dropped for good.
//!
//! ```text
//! gpu_trace NODES.csv WORKLOAD.csv OUTPUT [--seed N]
//! ```
//!
//! As in the published experiment, the mix of pods that a cluster is for is known (how often which class comes, not when),
//! and no pod is refused that has room somewhere.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use detc_sched::place::online::{Mix, Placer, Preference};
use detc_sched::place::{
    Builder, Group, GroupId, Hold, Instance, Machine, Model, Placement, Requirement, Rule, SHARES_OF_DEVICE,
    Test,
};

use inputs::{Arguments, Failure, text, told, write_lines};

mod inputs;

const USAGE: &str = "gpu_trace NODES.csv WORKLOAD.csv OUTPUT [--seed N]";

/// The most frequent classes of pods are as good as all, and take less time.
const CLASSES_MAX: usize = 64;

fn main() -> ExitCode {
    told(run)
}

fn run() -> Result<(), Failure> {
    let arguments = Arguments::read(USAGE, 3, &["seed"])?;
    // Placing is deterministic; a seed is accepted, and changes nothing.
    let _: u64 = arguments.option("seed", 0)?;
    let model = read(&text(arguments.path(0))?, &text(arguments.path(1))?)?;
    let begun = Instant::now();
    let mix = Mix::of(&model, model.instances(), CLASSES_MAX);
    let mut placer = Placer::new(&model, &Placement::empty(&model), Preference::Usable(mix));
    let mut lines = Vec::with_capacity(model.instance_count());
    let mut shares = 0_u64;
    for pod in model.instances() {
        lines.push(match placer.place(pod) {
            Ok(spot) => {
                let need = model.device_need(pod);
                shares += u64::from(need.count) * u64::from(need.shares);
                let devices: Vec<String> = spot.devices.iter().map(u32::to_string).collect();
                format!("{} {}", spot.machine.index(), devices.join(",")).trim_end().to_owned()
            }
            Err(_) => "-".to_owned(),
        });
    }
    let devices: u32 = model.machines().map(|machine| model.devices(machine)).sum();
    let all = u64::from(devices) * u64::from(SHARES_OF_DEVICE);
    println!(
        "{} pods, {:.3} % of the GPUs allocated, placed in {} ms",
        lines.len(),
        100.0 * shares as f64 / all as f64,
        begun.elapsed().as_millis()
    );
    write_lines(arguments.path(2), lines.into_iter())
}

/// Nodes are machines with devices; pods that ask for the same models of GPU are a group.
fn read(nodes: &str, workload: &str) -> Result<Model, Failure> {
    let mut builder = Builder::new();
    let cpu = builder.resource("cpu_milli", Hold::Freed);
    let memory = builder.resource("memory_mib", Hold::Freed);
    for node in Table::read(nodes)? {
        builder.machine(
            Machine::new(node.text("sn"))
                .with_capacity(cpu, node.number("cpu_milli")?)
                .with_capacity(memory, node.number("memory_mib")?)
                .with_devices(u32::try_from(node.number("gpu")?)?)
                .with_attribute("model", node.text("model")),
        );
    }
    let mut groups: BTreeMap<String, GroupId> = BTreeMap::new();
    for pod in Table::read(workload)? {
        let devices = u32::try_from(pod.number("num_gpu")?)?;
        // Without GPUs any model will do.
        let models = if devices > 0 { pod.text("gpu_spec") } else { String::new() };
        let group = *groups.entry(models.clone()).or_insert_with(|| {
            let group = Group::new(models.clone());
            builder.group(match models.as_str() {
                "" => group,
                models => group.with_rule(Rule::Machines(Requirement::new(
                    "model",
                    Test::In(models.split('|').map(str::to_owned).collect()),
                ))),
            })
        });
        let mut instance = Instance::new(group)
            .with_need(cpu, pod.number("cpu_milli")?)
            .with_need(memory, pod.number("memory_mib")?);
        if devices > 0 {
            instance = instance.with_devices(devices, u32::try_from(pod.number("gpu_milli")?)?);
        }
        builder.instance(instance);
    }
    Ok(builder.build()?)
}

/// A row of a table with named columns. No field of these files is quoted.
struct Table<'a> {
    names: Vec<&'a str>,
    fields: Vec<&'a str>,
}

impl<'a> Table<'a> {
    fn read(text: &'a str) -> Result<Vec<Self>, Failure> {
        let mut lines = text.lines();
        let names: Vec<&str> = lines.next().ok_or("a table without a first line")?.split(',').collect();
        let row = |line: &'a str| Self { names: names.clone(), fields: line.split(',').collect() };
        Ok(lines.filter(|line| !line.is_empty()).map(row).collect())
    }

    fn text(&self, name: &str) -> String {
        let column = self.names.iter().position(|column| *column == name);
        column
            .and_then(|column| self.fields.get(column))
            .map_or_else(String::new, |text| text.trim().to_owned())
    }

    fn number(&self, name: &str) -> Result<i64, Failure> {
        let text = self.text(name);
        text.parse().map_err(|_| format!("{text:?} is not a number of column {name}").into())
    }
}
