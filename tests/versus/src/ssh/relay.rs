//! One large file to each of some hosts: handed on from host to host, or all of it from here.

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use detc_actions::backends::SshConnector;
use detc_core::backend::host::Ownership;
use detc_core::content::Content;
use detc_core::resource::Connector as _;
use tokio::task::JoinSet;

use super::hosts::{Hosts, PORT};
use super::line::{Sent, open};
use super::{anew, clients};
use crate::cost::{Cost, measure, median};

/// How it gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// The hosts hand it on to each other.
    HandedOn,
    /// Each gets it from here.
    FromHere,
}

/// Sends `mib` MiB to `count` hosts, in turns by each way, and prints what it took and what left.
pub fn compare(count: usize, mib: u64, times: usize) -> anyhow::Result<()> {
    let hosts = Hosts::start(count, 1)?;
    let len = mib << 20;
    let mut random = fs::File::open("/dev/urandom")?.take(len);
    ensure!(std::io::copy(&mut random, &mut fs::File::create(hosts.path("big"))?)? == len);
    let own = std::env::current_exe()?.display().to_string();
    let loops = shell_loop(&hosts);
    let ways: [(&str, Vec<&str>); 3] = [
        ("detc, handed on", vec![&own, "one-transfer", "handed-on"]),
        ("detc, all from here", vec![&own, "one-transfer", "from-here"]),
        ("`ssh host 'cat >FILE'`, all at once", vec!["sh", "-c", &loops]),
    ];
    write_specs(&hosts, None)?;
    let mut costs = vec![Vec::new(); ways.len()];
    for _ in 0..times {
        for ((name, command), costs) in ways.iter().zip(&mut costs) {
            anew(&hosts)?;
            costs.push(measure(hosts.dir(), &[0], command).with_context(|| (*name).to_owned())?);
            check(&hosts).with_context(|| (*name).to_owned())?;
        }
    }
    println!("\n{mib} MiB to each of {count} hosts, medians of {times}\n");
    println!(
        "| | wall time | each run | processor here | peak memory of the largest process | left here | from host to host |"
    );
    println!("|---|---|---|---|---|---|---|");
    for ((name, command), costs) in ways.iter().zip(&costs) {
        // Counted in a run of its own: who counts takes part of the processors.
        let sent = Arc::default();
        write_specs(&hosts, Some(&sent))?;
        anew(&hosts)?;
        let counted = match command[0] == own {
            true => {
                measure(hosts.dir(), &[0], command)?;
                let files = |bytes: u64| format!("{:.2} × the file", bytes as f64 / len as f64);
                (files(sent.left_here()), files(sent.handed_on()))
            }
            false => ("not counted".to_owned(), String::new()),
        };
        print(name, costs, &counted);
    }
    Ok(())
}

fn print(name: &str, costs: &[Cost], (here, hosts): &(String, String)) {
    let middle = median(costs);
    let each: Vec<String> = costs.iter().map(|cost| format!("{:.2}", cost.wall.as_secs_f64())).collect();
    println!(
        "| {name} | {:.2} s | {} | {:.2} s | {:.0} MiB | {here} | {hosts} |",
        middle.wall.as_secs_f64(),
        each.join(", "),
        middle.processor.as_secs_f64(),
        middle.peak_mib,
    );
}

/// Writes how the hosts are reached: as they are, or over lines that count.
fn write_specs(hosts: &Hosts, sent: Option<&Arc<Sent>>) -> anyhow::Result<()> {
    let mut declared = serde_json::Map::new();
    let mut known = fs::read_to_string(hosts.path("known_hosts"))?;
    for name in &hosts.names {
        let mut spec = hosts.declared(name)?;
        if let Some(sent) = sent {
            let port = open(&name.address, PORT, sent)?;
            let text = spec["connect"].as_str().context("no text")?;
            spec["connect"] = text.replace(&format!(":{PORT}"), &format!(":{port}")).into();
            let line = known.lines().find(|line| line.starts_with(&format!("[{}]:", name.address)));
            let key = line.and_then(|line| line.split_once(' ')).context("no key")?.1.to_owned();
            writeln!(known, "[{}]:{port} {key}", name.address)?;
        }
        declared.insert(name.name.clone(), spec);
    }
    fs::write(hosts.path("known_hosts"), known)?;
    Ok(fs::write(hosts.path("hosts.json"), serde_json::to_string(&declared)?)?)
}

fn check(hosts: &Hosts) -> anyhow::Result<()> {
    let sum = Content::read(&hosts.path("big"))?.sum();
    for name in &hosts.names {
        let there = Content::read(&hosts.path(&format!("root/{}", name.name)))?;
        ensure!(there.sum() == sum, "{} has something else", name.name);
    }
    Ok(())
}

fn shell_loop(hosts: &Hosts) -> String {
    let mut line = String::new();
    for name in &hosts.names {
        let ssh = "ssh -F ssh_config -c aes128-gcm@openssh.com";
        let to = hosts.text(&format!("root/{}", name.name));
        write!(line, "{ssh} {} 'cat >{to}' <big & ", name.name).expect("writing to a text does not fail");
    }
    line + "wait"
}

/// Sends the file `big` of the working directory to each host of `hosts.json`.
pub fn one(way: Way) -> anyhow::Result<()> {
    let hosts = clients::hosts()?;
    let to = std::env::current_dir()?.join("root");
    let content = Content::read("big".as_ref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (connector, mut tasks) = (SshConnector::default(), JoinSet::new());
        for (name, mut spec) in hosts {
            if way == Way::HandedOn {
                spec.options.insert("relay".to_owned(), "all".into());
            }
            let (connector, content) = (connector.clone(), content.clone());
            let path = to.join(name.as_str()).display().to_string();
            tasks.spawn(async move {
                let host = connector.connect(&name, &spec).await?;
                host.write_from(&path, &content, &Ownership::default()).await?;
                anyhow::Ok(host)
            });
        }
        // Who has it stays, and hands it on.
        let mut have = Vec::new();
        while let Some(done) = tasks.join_next().await {
            have.push(done??);
        }
        Ok(())
    })
}
