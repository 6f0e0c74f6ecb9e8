//! How long each phase of planning takes, and how that grows: `plan_phases 10000 100000 1000000`.
//!
//! The resources are values in ten layers, each after two of the layer before. `plan_phases --write FILE N` writes them
//! as a desired state file instead, for the command line and for other programs to read.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use detc_core::model::secret::{MarkKey, Vault};
use detc_core::model::{Desired, DesiredResource, Recorded, load};
use detc_core::plan::{Observed, PlanInput, Planner, build};
use detc_core::resource::Registry;
use values::{layers, records};

#[path = "support/values.rs"]
mod values;

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
    let nothing = Recorded::default();
    let input = |recorded| PlanInput {
        desired: &desired,
        topology: &topology,
        recorded,
        observed: &observed,
        registry: &registry,
        key: &key,
    };
    let plan = timed("plan all", || build(&input(&nothing), &mut Vault::new()))?;
    let recorded = records(&plan);
    let settled = timed("plan nothing", || build(&input(&recorded), &mut Vault::new()))?;
    println!("  {} actions, then {}", plan.actions.len(), settled.actions.len());
    let mut planner = Planner::new(desired, (recorded, observed), registry, key);
    timed("first plan", || planner.plan())?;
    for round in 0..3 {
        let changed = planner.desired().resources[len / 2].clone();
        let input = serde_json::json!({ "input": round });
        let mut resource = DesiredResource::from_value("value", changed.id.name(), &input)?;
        for id in changed.dependencies().iter() {
            resource = resource.after(id);
        }
        let plan = timed("one change", || {
            planner.set(resource);
            planner.plan()
        })?;
        assert_eq!(plan.actions.len(), 1, "one resource changed");
    }
    // Freeing a million resources one by one takes longer than planning them.
    std::mem::forget((planner, topology, plan));
    Ok(())
}

fn timed<T>(what: &str, phase: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = phase();
    println!("  {what:12} {:9.2} ms", began.elapsed().as_secs_f64() * 1e3);
    result
}
