//! How long each phase of planning takes, and how that grows: `plan_phases 10000 100000 1000000`.
//!
//! The resources are values in ten layers, each after two of the layer before. `plan_phases --write FILE N` writes them
//! as a desired state file instead, for the command line and for other programs to read.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use detc_core::model::secret::{MarkKey, Vault};
use detc_core::model::{Desired, Digest, Record, RecordBody, Recorded, load};
use detc_core::plan::{Observed, Plan, PlanInput, build};
use detc_core::resource::Registry;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if_eq("--write").is_some() {
        let (Some(path), Some(len)) = (arguments.next(), arguments.next()) else {
            return Err("expected `--write FILE N`".into());
        };
        return Ok(std::fs::write(path, layers(len.parse()?, "g0"))?);
    }
    for len in arguments {
        phases(len.parse()?)?;
    }
    Ok(())
}

fn phases(len: usize) -> Result<(), Box<dyn Error>> {
    let registry = Registry::new();
    let key = MarkKey::new([7; 32]);
    let observed = Observed::default();
    let text = layers(len, "g0");
    println!("{len} resources");
    let mut desired = Desired::new();
    timed("read", || {
        load::merge(&mut desired, "values.json", &text, load::Format::Json, Path::new("."), &registry)
    })?;
    let topology = timed("check", || desired.check(&registry))?;
    let mut recorded = Recorded::default();
    let plan = timed("plan all", || {
        build(
            &PlanInput {
                desired: &desired,
                topology: &topology,
                recorded: &recorded,
                observed: &observed,
                registry: &registry,
                key: &key,
            },
            &mut Vault::new(),
        )
    })?;
    recorded.extend(records(&plan));
    let settled = timed("plan nothing", || {
        build(
            &PlanInput {
                desired: &desired,
                topology: &topology,
                recorded: &recorded,
                observed: &observed,
                registry: &registry,
                key: &key,
            },
            &mut Vault::new(),
        )
    })?;
    println!("  {} actions, then {}", plan.actions.len(), settled.actions.len());
    // Freeing a million resources one by one takes longer than planning them.
    std::mem::forget((desired, topology, recorded, plan));
    Ok(())
}

fn timed<T>(what: &str, phase: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = phase();
    println!("  {what:12} {:9.2} ms", began.elapsed().as_secs_f64() * 1e3);
    result
}

/// What would be recorded if the plan were carried out.
fn records(plan: &Plan) -> Recorded {
    let record = |action: &detc_core::plan::PlannedAction| {
        let recording = action.recording.as_ref()?;
        let body = RecordBody {
            adopted: false,
            made_as: None,
            spec: action.spec.clone(),
            output: serde_json::Value::Null,
            host: None,
            after: recording.after.clone(),
            extra: None,
            triggers: None,
            changed: "run-1".to_owned(),
            schema: Digest::of(b"schema"),
        };
        let record = Record::new(recording.intent, recording.relations, Digest::of(b"unobservable"), &body);
        Some((plan.change_of(action).resource.clone(), record))
    };
    plan.actions.iter().filter_map(record).collect()
}

/// `len` values in ten layers, each after two of the layer before. One in a hundred has `generation` in its input.
fn layers(len: usize, generation: &str) -> String {
    let width = (len / 10).max(1);
    let mut text = String::from("{\"version\":1,\"resources\":[\n");
    for index in 0..len {
        let generation = if index % 100 == 0 { generation } else { "g0" };
        let separator = if index > 0 { ",\n" } else { "" };
        let (layer, at) = (index / width, index % width);
        let _ = write!(
            text,
            r#"{separator}{{"kind":"value","name":"r{index}","input":"value-{index:06}-{generation}""#
        );
        if layer > 0 {
            let below = (layer - 1) * width;
            let first = below + at;
            let second = match below + (at * 7 + 3) % width {
                second if second == first => below + (at + 1) % width,
                second => second,
            };
            let _ = write!(text, r#","after":["value/r{first}","value/r{second}"]"#);
        }
        text.push('}');
    }
    text.push_str("]}\n");
    text
}
