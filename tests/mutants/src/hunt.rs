//! Each mutant against the tests that reach it, until one fails.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::compile::Build;
use crate::cover::Test;
use crate::list::Mutant;
use crate::process::{End, run};
use crate::{Options, Result};

pub fn hunt(mutants: &[Mutant], tests: &[Test], build: &Build, options: &Options) -> Result<()> {
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    for line in fs::read_to_string(&options.results).unwrap_or_default().lines() {
        let told: Value = serde_json::from_str(line)?;
        if !options.again || !["missed", "unreached"].contains(&told["outcome"].as_str().unwrap_or_default())
        {
            known.insert(told["mutant"].as_str().unwrap_or_default().to_owned(), told);
        }
    }
    let results = OpenOptions::new().create(true).append(true).open(&options.results)?;
    let (results, known) = (Mutex::new(results), Mutex::new(known));
    let tell = |told: Value| -> Result<()> {
        writeln!(results.lock().unwrap(), "{told}")?;
        known.lock().unwrap().insert(told["mutant"].as_str().unwrap_or_default().to_owned(), told);
        Ok(())
    };
    let killers = Killers::default();
    let mut left = Vec::new();
    for (index, mutant) in mutants.iter().enumerate() {
        if known.lock().unwrap().contains_key(&mutant.name) || !mutant.name.contains(&options.only) {
            continue;
        }
        match build.unviable.get(&index) {
            Some(code) => tell(json!({ "mutant": mutant.name, "outcome": "unviable", "by": code }))?,
            None => left.push(index),
        }
    }
    // Spread over all files, the same way each time: what is done when it is broken off is a fair sample.
    left.sort_by_key(|&index| (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let (next, tell, killers) = (&Mutex::new(left.into_iter()), &tell, &killers);
    std::thread::scope(|scope| -> Result<()> {
        let workers: Vec<_> = (0..options.at_once)
            .map(|_| {
                scope.spawn(move || -> Result<()> {
                    loop {
                        let Some(index) = next.lock().unwrap().next() else { return Ok(()) };
                        let (outcome, by) = outcome(index, &mutants[index].file, tests, build, killers)?;
                        tell(json!({ "mutant": mutants[index].name, "outcome": outcome, "by": by }))?;
                    }
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })?;
    let known = known.lock().unwrap();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for told in known.values() {
        *counts.entry(told["outcome"].as_str().unwrap_or_default()).or_default() += 1;
    }
    println!("{counts:?}");
    Ok(())
}

/// What is set where no mutant is switched on.
const NO_MUTANT: &str = "none";
/// How many that were found of a file are remembered.
const KILLERS_MAX: usize = 8;

/// Which tests have last found mutants of a file: they are tried first.
#[derive(Default)]
struct Killers(Mutex<BTreeMap<String, Vec<usize>>>);

impl Killers {
    fn of(&self, file: &str) -> Vec<usize> {
        self.0.lock().unwrap().get(file).cloned().unwrap_or_default()
    }

    fn add(&self, file: &str, test: usize) {
        let mut all = self.0.lock().unwrap();
        let killers = all.entry(file.to_owned()).or_default();
        killers.retain(|&killer| killer != test);
        killers.insert(0, test);
        killers.truncate(KILLERS_MAX);
    }
}

/// Seconds of tests that run in one process: what a process costs by itself is little beside it.
const TOGETHER_S: f64 = 1.0;

/// Tests by the processes that they run in: those that are known to find much by themselves, the others together.
fn processes(first: &[usize], rest: impl Iterator<Item = usize>, tests: &[Test]) -> Vec<Vec<usize>> {
    let mut processes: Vec<Vec<usize>> = first.iter().map(|&test| vec![test]).collect();
    let mut open: BTreeMap<&Path, (Vec<usize>, f64)> = BTreeMap::new();
    for test in rest {
        let (together, takes_s) = open.entry(&tests[test].program).or_default();
        together.push(test);
        *takes_s += tests[test].takes_s;
        if *takes_s > TOGETHER_S {
            processes.push(std::mem::take(together));
            *takes_s = 0.0;
        }
    }
    processes
        .extend(open.into_values().map(|(together, _)| together).filter(|together| !together.is_empty()));
    processes
}

fn outcome(
    mutant: usize,
    file: &str,
    tests: &[Test],
    build: &Build,
    killers: &Killers,
) -> Result<(&'static str, String)> {
    let reaches = |test: &usize| tests[*test].reaches.contains(&mutant);
    let first: Vec<usize> = killers.of(file).into_iter().filter(reaches).collect();
    let rest = (0..tests.len()).filter(reaches).filter(|test| !first.contains(test));
    let processes = processes(&first, rest, tests);
    for together in &processes {
        let program = &tests[together[0]].program;
        let takes_s: f64 = together.iter().map(|&test| tests[test].takes_s).sum();
        let names: Vec<&str> = together.iter().map(|&test| tests[test].name.as_str()).collect();
        // Ten times its time, and three seconds: what still runs then does not come to an end.
        let cpu_s = (takes_s * 10.0) as u64 + 3;
        let with = mutant.to_string();
        let run = |names: &[&str], mutant: &str| -> Result<End> {
            Ok(run(program, &build.package, names, cpu_s, ("DETC_MUTANT", mutant))?.0)
        };
        // What is found is found twice, and not without the mutant: else it is the test that is unsteady, or the machine.
        match run(&names, &with)? {
            End::Passed => {}
            End::Failed(name) => {
                let again = run(&[&name], &with)?;
                if again != End::Passed && run(&[&name], NO_MUTANT)? == End::Passed {
                    if let Some(&killer) = together.iter().find(|&&test| tests[test].name == name) {
                        killers.add(file, killer);
                    }
                    return Ok(("caught", name));
                }
                eprintln!("not counted, as it does not fail again, or fails without the mutant: {name}");
            }
            End::Endless => {
                if run(&names, &with)? == End::Endless && run(&names, NO_MUTANT)? == End::Passed {
                    return Ok(("timeout", names[0].to_owned()));
                }
                eprintln!("not counted, as it comes to an end, or does not without the mutant: {}", names[0]);
            }
        }
    }
    Ok((if processes.is_empty() { "unreached" } else { "missed" }, String::new()))
}
