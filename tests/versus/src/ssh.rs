//! Hosts by SSH: the same tasks on each, as whole processes, with connections that are made for the run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::cost::{Cost, measure, median};
use crate::terraform::build_fleet;
use ansible::Ansible;
use hosts::Hosts;

pub mod ansible;
pub mod clients;
pub mod exchange;
pub mod hosts;
mod line;
pub mod relay;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Options {
    pub times: usize,
    /// How many connections stand for as many hosts at each sshd.
    pub names_each: usize,
    /// pyinfra's program, where it is to be measured.
    pub pyinfra: Option<PathBuf>,
    pub ansible: Option<Ansible>,
}

/// One run of one of them.
#[derive(Clone, Copy)]
struct Run {
    cost: Cost,
    /// Of all hosts together.
    hosts: Duration,
}

/// Measures all on `count` sshd, in turns, and prints a table.
pub fn compare(count: usize, options: &Options) -> anyhow::Result<()> {
    let fleet = build_fleet()?;
    let hosts = Hosts::start(count, options.names_each)?;
    prepare(&hosts)?;
    let tuned = clients::tuned(&hosts)?;
    let names = hosts.names.len();
    let mut runs: BTreeMap<String, Vec<Run>> = BTreeMap::new();
    let mut managers = vec![("detc", words([&fleet.display().to_string(), "-f", "detc.json"]))];
    managers[0].1.extend(words(["--store", "store", "--quiet", "apply", "--yes"]));
    if let Some(pyinfra) = &options.pyinfra {
        managers
            .push(("pyinfra", words([&pyinfra.display().to_string(), "-y", "inventory.py", "deploy.py"])));
    }
    if let Some(ansible) = &options.ansible {
        managers.extend(ansible.prepare(&hosts)?);
    }
    for _ in 0..options.times {
        let mut add = |what: String, run| runs.entry(what).or_default().push(run);
        for (name, command) in &managers {
            let command: Vec<&str> = command.iter().map(String::as_str).collect();
            anew(&hosts)?;
            add(format!("{name}, first"), one(&hosts, &command)?);
            let stamped = check(&hosts).with_context(|| format!("after {name}"))?;
            add(format!("{name}, second"), one(&hosts, &command)?);
            let stamped_then = check(&hosts).with_context(|| format!("after {name} again"))?;
            ensure!(stamped == stamped_then, "{name} runs the command again, though nothing has changed");
        }
        if options.names_each == 1 {
            let all: Vec<&str> = hosts.names.iter().map(|name| name.name.as_str()).collect();
            add("`ssh host true` × 16".to_owned(), one(&hosts, &clients::shell_loop(&all, ""))?);
            add("the same, tuned".to_owned(), one(&hosts, &clients::shell_loop(&all, &tuned))?);
        }
    }
    println!("\n{names} hosts, {count} sshd, medians of {}\n", options.times);
    println!(
        "| | wall time | each run | processor, controller | a host | peak memory | processor, all hosts | a host |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (what, runs) in &runs {
        let costs: Vec<Cost> = runs.iter().map(|run| run.cost).collect();
        let middle = median(&costs);
        let mut others: Vec<Duration> = runs.iter().map(|run| run.hosts).collect();
        others.sort();
        let other = others[others.len() / 2];
        let each: Vec<String> = costs.iter().map(|cost| format!("{:.2}", cost.wall.as_secs_f64())).collect();
        let of_each = |all: Duration| all.as_secs_f64() * 1e3 / names as f64;
        println!(
            "| {what} | {:.2} s | {} | {:.2} s | {:.1} ms | {:.0} MiB | {:.2} s | {:.1} ms |",
            middle.wall.as_secs_f64(),
            each.join(", "),
            middle.processor.as_secs_f64(),
            of_each(middle.processor),
            middle.peak_mib,
            other.as_secs_f64(),
            of_each(other),
        );
    }
    Ok(())
}

fn words<const N: usize>(command: [&str; N]) -> Vec<String> {
    command.map(str::to_owned).to_vec()
}

fn one(hosts: &Hosts, command: &[&str]) -> anyhow::Result<Run> {
    let before = hosts.processor()?;
    let cost = measure(hosts.dir(), &[0], command)?;
    Ok(Run { cost, hosts: hosts.processor()? - before })
}

/// Puts all files of the hosts away, and what detc knows of them.
fn anew(hosts: &Hosts) -> anyhow::Result<()> {
    for dir in ["root", "state", "store"] {
        let path = hosts.path(dir);
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
    }
    Ok(fs::create_dir(hosts.path("root"))?)
}

/// What each of them is told to do: a directory, a template of 4 KiB, a line of a file, and a command when the template changed.
fn prepare(hosts: &Hosts) -> anyhow::Result<()> {
    let template = |host: &str| {
        let mut text = format!("# rendered for {host}\nlisten = {host}:8080\n");
        for at in 0..61 {
            text += &format!("option_{at:03} = \"setting number {at} of the rendered template, padded\"\n");
        }
        text
    };
    fs::write(hosts.path("app.conf.j2"), template("{{ host.name }}"))?;
    fs::write(hosts.path("app.conf.detc"), template("{{ host }}"))?;
    fs::write(hosts.path("app.conf.ansible"), template("{{ inventory_hostname }}"))?;
    fs::write(hosts.path("deploy.py"), include_str!("ssh/deploy.py"))?;
    fs::write(hosts.path("inventory.py"), hosts.inventory()?)?;
    let (mut declared, mut resources) = (serde_json::Map::new(), Vec::new());
    for host in &hosts.names {
        let name = &host.name;
        let root = hosts.text(&format!("root/{name}"));
        declared.insert(name.clone(), hosts.declared(host)?);
        resources.extend([
            json!({"kind": "directory", "name": format!("{name}/app"), "host": name, "path": format!("{root}/app"), "mode": "0755"}),
            json!({"kind": "file", "name": format!("{name}/conf"), "host": name, "path": format!("{root}/app/app.conf"),
                "mode": "0644", "template": {"source": "app.conf.detc", "vars": {"host": name}}}),
            json!({"kind": "line", "name": format!("{name}/port"), "host": name, "path": format!("{root}/main.conf"),
                "line": "port=1234", "create": true, "after": [format!("directory/{name}/app")]}),
            json!({"kind": "command", "name": format!("{name}/stamp"), "host": name, "run": ["touch", format!("{root}/stamp")],
                "restart_on": [format!("file/{name}/conf")]}),
        ]);
    }
    let all = json!({"version": 1, "hosts": declared, "resources": resources});
    Ok(fs::write(hosts.path("detc.json"), all.to_string())?)
}

/// That all was done; and when the command was run, on each.
fn check(hosts: &Hosts) -> anyhow::Result<Vec<SystemTime>> {
    let mut stamped = Vec::new();
    for host in &hosts.names {
        let root = hosts.path(&format!("root/{}", host.name));
        let read = |name: &str| {
            fs::read_to_string(root.join(name)).with_context(|| format!("{name} of {}", host.name))
        };
        ensure!(read("app/app.conf")?.contains(&format!("rendered for {}\n", host.name)), "{}", host.name);
        ensure!(read("main.conf")? == "port=1234\n", "the line of {}", host.name);
        stamped.push(fs::metadata(root.join("stamp"))?.modified()?);
    }
    Ok(stamped)
}

/// Whether a program can be started.
pub fn is_there(program: &Path) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|said| said.status.success())
}
