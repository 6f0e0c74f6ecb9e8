//! Which tests come to which mutants, and how long each takes.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use crate::compile::Build;
use crate::process::{End, run};
use crate::{Options, Result};

pub struct Test {
    pub program: PathBuf,
    pub name: String,
    pub takes_s: f64,
    /// The mutants that it comes to.
    pub reaches: BTreeSet<usize>,
}

/// Runs each test once, alone; those that pass, the quickest first.
pub fn cover(build: &Build, options: &Options) -> Result<Vec<Test>> {
    let mut names = Vec::new();
    for program in &build.programs {
        let output = Command::new(program).arg("--list").args(["--format", "terse"]).output()?;
        for line in String::from_utf8(output.stdout)?.lines() {
            if let Some(name) = line.strip_suffix(": test") {
                names.push((program.clone(), name.to_owned()));
            }
        }
    }
    let (next, tests) = (Mutex::new(names.into_iter().enumerate()), Mutex::new(Vec::new()));
    let (next, tests) = (&next, &tests);
    std::thread::scope(|scope| -> Result<()> {
        let workers: Vec<_> = (0..options.at_once)
            .map(|_| {
                scope.spawn(move || -> Result<()> {
                    loop {
                        let Some((index, (program, name))) = next.lock().unwrap().next() else {
                            return Ok(());
                        };
                        let path = options.work.canonicalize()?.join(format!("cover-{index}"));
                        let _ = fs::remove_file(&path);
                        let variable = ("DETC_MUTANT_COVER", path.to_str().ok_or("a path that is no text")?);
                        // A test that takes too long is ended, and is not among those that pass.
                        let limit_s = options.slowest_s.ceil() as u64;
                        let (end, takes_s) = run(&program, &build.package, &[&name], limit_s, variable)?;
                        let reaches = fs::read_to_string(&path).unwrap_or_default();
                        let _ = fs::remove_file(&path);
                        let reaches = reaches.lines().filter_map(|line| line.parse().ok()).collect();
                        match end {
                            End::Passed => {
                                tests.lock().unwrap().push(Test { program, name, takes_s, reaches });
                            }
                            End::Failed(_) => eprintln!("fails without a mutant, and is left out: {name}"),
                            End::Endless => eprintln!("takes too long, and is left out: {name}"),
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })?;
    let mut tests = std::mem::take(&mut *tests.lock().unwrap());
    tests.retain(|test: &Test| test.takes_s <= options.slowest_s);
    tests.sort_by(|a, b| a.takes_s.total_cmp(&b.takes_s));
    for test in &tests {
        eprintln!("{:.2} s: {}", test.takes_s, test.name);
    }
    eprintln!("{} tests, {:.0} s", tests.len(), tests.iter().map(|test| test.takes_s).sum::<f64>());
    Ok(tests)
}
