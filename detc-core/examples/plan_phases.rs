//! How long each phase of planning takes, and how that grows: `plan_phases 10000 100000 1000000`.
//!
//! The resources are values in ten layers, each after two of the layer before. `plan_phases --write FILE N` writes them
//! as a desired state file instead, for the command line and for other programs to read.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use detc_core::execute::Outcome;
use detc_core::manage::{Manager, ManagerOptions};
use detc_core::model::secret::{MarkKey, Vault};
use detc_core::model::{Desired, DesiredResource, Recorded, load};
use detc_core::plan::{Observed, PlanInput, Planner, build};
use detc_core::resource::Registry;
use detc_core::store::memory::MemoryStore;
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
    let half_done = Default::default();
    let input = |recorded| PlanInput {
        desired: &desired,
        topology: &topology,
        recorded,
        observed: &observed,
        half_done: &half_done,
        registry: &registry,
        key: &key,
    };
    let plan = timed("plan all", || build(&input(&nothing), &mut Vault::new()))?;
    let recorded = records(&plan);
    let settled = timed("plan nothing", || build(&input(&recorded), &mut Vault::new()))?;
    println!("  {} actions, then {}", plan.actions.len(), settled.actions.len());
    let mut planner = Planner::new(desired, (recorded, observed), registry.clone(), key);
    timed("first plan", || planner.plan())?;
    for round in 0..3 {
        let resource = changed(planner.desired(), len / 2, round)?;
        let plan = timed("one change", || {
            planner.set(resource);
            planner.plan()
        })?;
        assert_eq!(plan.actions.len(), 1, "one resource changed");
    }
    let desired = planner.desired().clone();
    // Freeing a million resources one by one takes longer than planning them.
    std::mem::forget((planner, topology, plan));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    runtime.block_on(in_a_manager(desired, registry))
}

/// One change after the other in a manager that goes on running, with a store in memory.
async fn in_a_manager(desired: Desired, registry: Registry) -> Result<(), Box<dyn Error>> {
    let len = desired.resources.len();
    let options = ManagerOptions::default();
    let manager = Manager::open(Arc::new(MemoryStore::new()), registry, options).await?;
    let planned = manager.plan(&desired).await?;
    manager.apply(planned).await?.into_result()?;
    let began = Instant::now();
    let mut live = manager.live(desired).await?;
    live.plan(&manager).await?;
    shown("live", began);
    for round in 10..13 {
        let resource = changed(live.desired(), len / 2, round)?;
        let began = Instant::now();
        live.set(resource);
        let planned = live.plan(&manager).await?;
        shown("live, change", began);
        assert_eq!(planned.plan.actions.len(), 1, "one resource changed");
        let began = Instant::now();
        let report = live.apply(&manager, planned).await?.report;
        shown("and apply", began);
        assert_eq!(report.outcome, Outcome::Done, "a value has no way to fail");
        let began = Instant::now();
        assert!(live.plan(&manager).await?.plan.is_settled(), "nothing is left to do");
        shown("and plan", began);
    }
    std::mem::forget((live, manager.recorded()));
    Ok(())
}

/// The value at `index`, with another input.
fn changed(desired: &Desired, index: usize, input: u32) -> Result<DesiredResource, Box<dyn Error>> {
    let before = &desired.resources[index];
    let input = serde_json::json!({ "input": input });
    let mut resource = DesiredResource::from_value("value", before.id.name(), &input)?;
    for id in before.dependencies().iter() {
        resource = resource.after(id);
    }
    Ok(resource)
}

fn shown(what: &str, began: Instant) {
    println!("  {what:12} {:9.2} ms", began.elapsed().as_secs_f64() * 1e3);
}

fn timed<T>(what: &str, phase: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = phase();
    shown(what, began);
    result
}
