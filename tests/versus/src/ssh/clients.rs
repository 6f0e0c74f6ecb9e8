//! Clients: each connects to each host and runs `true` there, all hosts at once.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use detc_core::backend::host::Command as HostCommand;
use detc_core::model::{HostName, HostSpec};
use detc_core::resource::Connector as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::hosts::Hosts;
use crate::cost::{Cost, measure, median};

/// A library that speaks SSH.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Client {
    /// As detc has it: russh, in the process.
    Russh,
    /// The crate `openssh`, which drives the system's `ssh`.
    Openssh,
}

/// How many connect at once.
const AT_ONCE: usize = 16;

/// Measures all, in turns, and prints a table.
pub fn compare(count: usize, times: usize) -> anyhow::Result<()> {
    let hosts = Hosts::start(count, 1)?;
    let tuned = tuned(&hosts)?;
    let mut declared = serde_json::Map::new();
    for name in &hosts.names {
        declared.insert(name.name.clone(), hosts.declared(name)?);
    }
    std::fs::write(hosts.path("hosts.json"), serde_json::to_string(&declared)?)?;
    let own = std::env::current_exe()?.display().to_string();
    let all: Vec<&str> = hosts.names.iter().map(|name| name.name.as_str()).collect();
    let (shipped, tuned) = (shell_loop(&all, ""), shell_loop(&all, &tuned));
    let rows: [(&str, Vec<&str>); 4] = [
        ("russh, as detc has it", vec![&own, "one-client", "russh"]),
        ("the crate `openssh`", vec![&own, "one-client", "openssh"]),
        ("`ssh`", shipped.to_vec()),
        ("`ssh`, tuned", tuned.to_vec()),
    ];
    let mut runs = vec![Vec::new(); rows.len()];
    for _ in 0..times {
        for ((_, command), (costs, others)) in rows.iter().zip(runs.iter_mut().map(|runs| (runs, &hosts))) {
            let before = others.processor()?;
            let cost = measure(hosts.dir(), &[0], command)?;
            costs.push((cost, others.processor()? - before));
        }
    }
    println!("\n{count} hosts, {AT_ONCE} at once, medians of {times}\n");
    println!(
        "| | wall time | processor here, a host | peak memory of the largest process | processor of a host |"
    );
    println!("|---|---|---|---|---|");
    for ((what, _), runs) in rows.iter().zip(&runs) {
        let costs: Vec<Cost> = runs.iter().map(|(cost, _)| *cost).collect();
        let mut others: Vec<f64> =
            runs.iter().map(|(_, other)| other.as_secs_f64() * 1e3 / count as f64).collect();
        others.sort_by(f64::total_cmp);
        let cost = median(&costs);
        println!(
            "| {what} | {:.3} s | {:.1} ms | {:.0} MiB | {:.1} ms |",
            cost.wall.as_secs_f64(),
            cost.processor.as_secs_f64() * 1e3 / count as f64,
            cost.peak_mib,
            others[others.len() / 2],
        );
    }
    Ok(())
}

/// The hosts of `hosts.json` in the working directory.
pub fn hosts() -> anyhow::Result<BTreeMap<HostName, HostSpec>> {
    Ok(serde_json::from_str(&std::fs::read_to_string("hosts.json")?)?)
}

/// Connects to each host of `hosts.json` in the working directory, and runs `true` there.
pub fn one(client: Client) -> anyhow::Result<()> {
    let hosts = hosts()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (places, mut tasks) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
        for (name, spec) in hosts {
            let places = Arc::clone(&places);
            tasks.spawn(async move {
                let _place = places.acquire_owned().await?;
                match client {
                    Client::Russh => {
                        let host =
                            detc_actions::backends::SshConnector::default().connect(&name, &spec).await?;
                        ensure!(host.run(&HostCommand::new(["true"])).await?.success());
                    }
                    Client::Openssh => {
                        let session = openssh::SessionBuilder::default()
                            .config_file("ssh_config")
                            .known_hosts_check(openssh::KnownHosts::Strict)
                            .connect(name.as_str())
                            .await?;
                        ensure!(session.command("true").status().await?.success());
                        session.close().await?;
                    }
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok(())
    })
}

/// What `ssh` is started with so that it stalls nowhere and computes little, in words that a shell reads.
pub fn tuned(hosts: &Hosts) -> anyhow::Result<String> {
    std::fs::write(hosts.path("nodelay.c"), include_str!("nodelay.c"))?;
    let (source, library) = (hosts.text("nodelay.c"), hosts.text("nodelay.so"));
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o", &library, &source, "-ldl"]).status();
    if !built.context("there is no `cc`")?.success() {
        bail!("nodelay.c can not be built");
    }
    Ok(format!("LD_PRELOAD={library} ssh -o KexAlgorithms=curve25519-sha256"))
}

/// A shell that runs `ssh host true` for each host, so many at once.
pub fn shell_loop(names: &[&str], ssh: &str) -> [&'static str; 3] {
    let ssh = if ssh.is_empty() { "ssh" } else { ssh };
    let mut line = "printf '%s\\n'".to_owned();
    for name in names {
        write!(line, " {name}").expect("writing to a text does not fail");
    }
    write!(line, " | env {} xargs -P {AT_ONCE} -I@ {} -n -F ssh_config @ true", variables(ssh), program(ssh))
        .expect("writing to a text does not fail");
    // It lives for as long as the program, which measures and ends.
    ["sh", "-c", line.leak()]
}

fn variables(ssh: &str) -> &str {
    ssh.split_once(" ssh ").map_or("", |(variables, _)| variables)
}

fn program(ssh: &str) -> String {
    ssh.split_once(" ssh ").map_or_else(|| ssh.to_owned(), |(_, options)| format!("ssh {options}"))
}
