//! What a process and its children cost.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike as _;
use nix::sys::wait::wait;
use nix::unistd::Pid;

/// What a whole process cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// From its start to its end.
    pub wall: Duration,
    /// User and system time, on all cores.
    pub processor: Duration,
    /// The most memory that was resident at once, of the largest process.
    pub peak_mib: f64,
}

/// Runs a command in `dir`, which ends with one of `codes`, and says what it cost. Its output goes nowhere.
pub fn measure(dir: &Path, codes: &[i32], command: &[&str]) -> anyhow::Result<Cost> {
    // A process of its own in between: what children cost is told of all of them together.
    let out = Command::new(std::env::current_exe()?)
        .arg("cost")
        .args(command)
        .current_dir(dir)
        .stdout(Stdio::null())
        .output()
        .with_context(|| format!("`{}` can not be run", command.join(" ")))?;
    let err = String::from_utf8_lossy(&out.stderr);
    let Some(line) = err.lines().last().filter(|line| line.starts_with("cost ")) else {
        bail!("`{}`: {err}", command.join(" "));
    };
    let numbers: Vec<i64> = line.split(' ').skip(1).map_while(|number| number.parse().ok()).collect();
    let [code, wall_us, processor_us, peak_kib] = numbers[..] else { bail!("`{line}` is no cost") };
    ensure!(codes.contains(&(code as i32)), "`{}` ended with {code}:\n{err}", command.join(" "));
    Ok(Cost {
        wall: Duration::from_micros(wall_us as u64),
        processor: Duration::from_micros(processor_us as u64),
        peak_mib: peak_kib as f64 / 1024.0,
    })
}

/// Runs a command, and prints what it cost.
pub fn pass_on(command: &[String]) -> anyhow::Result<()> {
    let (program, arguments) = command.split_first().context("there is no command")?;
    // What a command leaves behind comes to this process, and is counted when it has ended.
    nix::sys::prctl::set_child_subreaper(true)?;
    let began = Instant::now();
    let status = Command::new(program).args(arguments).stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("{program} can not be run"))?;
    let wall = began.elapsed();
    // What is kept for a next run, as connections are, is none of the next one's.
    end_children()?;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let processor = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    let code = status.code().context("a signal ended it")?;
    eprintln!("\ncost {code} {} {processor} {}", wall.as_micros(), usage.max_rss());
    Ok(())
}

/// Ends all that this process has to wait for, and waits for it.
fn end_children() -> anyhow::Result<()> {
    loop {
        let own = std::process::id();
        for child in std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"))?.split_whitespace() {
            // One that has gone meanwhile is as good.
            let _gone = kill(Pid::from_raw(child.parse()?), Signal::SIGTERM);
        }
        if wait().is_err() {
            return Ok(());
        }
    }
}

/// The median of each figure by itself.
pub fn median(costs: &[Cost]) -> Cost {
    let middle = |key: &dyn Fn(&Cost) -> f64| {
        let mut all: Vec<f64> = costs.iter().map(key).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Cost {
        wall: Duration::from_secs_f64(middle(&|cost| cost.wall.as_secs_f64())),
        processor: Duration::from_secs_f64(middle(&|cost| cost.processor.as_secs_f64())),
        peak_mib: middle(&|cost| cost.peak_mib),
    }
}
