//! Plan, apply and plan again, as whole processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::cost::{Cost, measure, median};
use crate::graph::Shape;
use crate::http;

/// Measures both on a graph of `count` values, and prints a table.
pub fn compare(count: usize, shape: Shape, times: usize, apply_max: usize) -> anyhow::Result<()> {
    let fleet = build_fleet()?;
    println!("\n{count} values, {shape:?}, medians of {times}\n");
    println!("| | Terraform | its memory | detc | its memory | ratio of times | ratio of memory |");
    println!("|---|---|---|---|---|---|---|");
    let ours = detc(&fleet, count, shape, times)?;
    let theirs = terraform(count, shape, times, apply_max)?;
    let rows = [
        ("plan from nothing", &ours.plan, Some(&theirs.plan)),
        ("apply, local state", &ours.apply, theirs.apply.as_ref()),
        ("apply, HTTP backend", &ours.apply, theirs.apply_http.as_ref()),
        ("plan, nothing to do", &ours.no_op, Some(&theirs.no_op)),
    ];
    for (what, ours, theirs) in rows {
        let ours = median(ours);
        let Some(theirs) = theirs.map(|costs| median(costs)) else {
            println!("| {what} | not run | | {} | {:.0} MiB | | |", spoken(&ours), ours.peak_mib);
            continue;
        };
        println!(
            "| {what} | {} | {:.0} MiB | {} | {:.0} MiB | {:.0} | {:.0} |",
            spoken(&theirs),
            theirs.peak_mib,
            spoken(&ours),
            ours.peak_mib,
            theirs.wall.as_secs_f64() / ours.wall.as_secs_f64(),
            theirs.peak_mib / ours.peak_mib,
        );
    }
    println!("\nEach run, wall time in seconds, in the order in which they were made:\n");
    println!("| | Terraform | detc |\n|---|---|---|");
    for (what, ours, theirs) in rows {
        println!(
            "| {what} | {} | {} |",
            theirs.map_or_else(|| "not run".to_owned(), |it| each(it)),
            each(ours)
        );
    }
    Ok(())
}

fn each(costs: &[Cost]) -> String {
    let walls: Vec<String> = costs.iter().map(|cost| format!("{:.3}", cost.wall.as_secs_f64())).collect();
    walls.join(", ")
}

fn spoken(cost: &Cost) -> String {
    format!("{:.3} s ({:.2} s of processor)", cost.wall.as_secs_f64(), cost.processor.as_secs_f64())
}

struct Ours {
    plan: Vec<Cost>,
    apply: Vec<Cost>,
    no_op: Vec<Cost>,
}

fn detc(fleet: &Path, count: usize, shape: Shape, times: usize) -> anyhow::Result<Ours> {
    let fleet = fleet.to_str().context("a path that is no text")?;
    let mut ours = Ours { plan: Vec::new(), apply: Vec::new(), no_op: Vec::new() };
    for _ in 0..times {
        let dir = place()?;
        fs::write(dir.path().join("detc.json"), shape.detc(count).to_string())?;
        let at = |arguments: &[&str]| measure(dir.path(), &[0], &[&[fleet], arguments].concat());
        ours.plan.push(at(&["plan"])?);
        ours.apply.push(at(&["apply", "--yes", "--quiet"])?);
        // 2 would say that there is something to do.
        ours.no_op.push(at(&["plan", "--detailed-exitcode"])?);
    }
    Ok(ours)
}

struct Theirs {
    plan: Vec<Cost>,
    apply: Option<Vec<Cost>>,
    apply_http: Option<Vec<Cost>>,
    no_op: Vec<Cost>,
}

fn terraform(count: usize, shape: Shape, times: usize, apply_max: usize) -> anyhow::Result<Theirs> {
    let applies = count <= apply_max;
    let (mut plan, mut apply, mut apply_http, mut no_op) = (vec![], vec![], vec![], vec![]);
    for _ in 0..times {
        let dir = configured(&shape.terraform(count, None))?;
        let at = |codes: &[i32], arguments: &[&str]| {
            measure(dir.path(), codes, &[&["terraform"], arguments].concat())
        };
        plan.push(at(&[0], &["plan", "-input=false", "-out=p"])?);
        if applies {
            apply.push(at(&[0], &["apply", "-input=false", "p"])?);
            let address = http::serve()?;
            let remote = configured(&shape.terraform(count, Some(&address)))?;
            measure(remote.path(), &[0], &["terraform", "plan", "-input=false", "-out=p"])?;
            apply_http.push(measure(remote.path(), &[0], &["terraform", "apply", "-input=false", "p"])?);
        } else {
            let state = shape.terraform_state(count);
            fs::write(dir.path().join("terraform.tfstate"), state.to_string())?;
        }
        no_op.push(at(&[0], &["plan", "-input=false", "-detailed-exitcode"])?);
    }
    Ok(Theirs { plan, apply: applies.then_some(apply), apply_http: applies.then_some(apply_http), no_op })
}

/// A folder with this configuration, initialised.
fn configured(configuration: &serde_json::Value) -> anyhow::Result<tempfile::TempDir> {
    let dir = place()?;
    fs::write(dir.path().join("main.tf.json"), configuration.to_string())?;
    measure(dir.path(), &[0], &["terraform", "init", "-input=false"])?;
    Ok(dir)
}

/// A new folder on the disk that holds the build: a system's folder for temporary files may be in memory.
fn place() -> anyhow::Result<tempfile::TempDir> {
    Ok(tempfile::tempdir_in(Path::new(env!("CARGO_MANIFEST_DIR")).join("target"))?)
}

/// Builds the program, and says where it is.
pub fn build_fleet() -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "-q", "-p", "detc-examples", "--example", "fleet"])
        .current_dir(&root)
        .status()?;
    ensure!(built.success(), "fleet can not be built");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("release/examples/fleet"))
}
