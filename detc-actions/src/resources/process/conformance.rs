//! A process keeps the contract of a resource: on a machine in memory, where each call may go wrong, and whose shell does what the
//! scripts of this kind do. That real shells do so, the other tests show.
//!
//! Of one law nothing is tried: what is read and written is declared. It goes by the paths of calls, and this kind touches more than
//! it can name ([`Footprint::touching_more`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use detc_core::backend::MemoryHost;
use detc_core::backend::host::{Command, ExitStatus, Output};
use detc_core::backend::memory::Files as Disk;
use detc_core::testing::resource::{Trial, check_resource};
use serde_json::json;

use super::mark::VARIABLE;
use super::*;
use super::{find, signal, start};

const BOOT: &str = "b1";

/// What runs on the machine.
#[derive(Debug, Default)]
struct Machine {
    last_pid: u32,
    starts: usize,
    running: BTreeMap<u32, Running>,
}

#[derive(Clone, Debug)]
struct Running {
    env: BTreeMap<String, String>,
    part: Part,
}

#[derive(Clone, Debug)]
enum Part {
    /// The process itself: how often one was started before and with it, and its command.
    Itself(usize, Vec<String>),
    /// The shell that waits for the process of this number, to note below this record how it ended while the permit is this.
    Keeper { pid: u32, record: String, permit: String },
    /// What the process of this number has started.
    Child(u32),
}

fn failed(said: &str) -> Output {
    Output { status: ExitStatus::Code(1), stderr: said.into(), ..Output::default() }
}

fn text(disk: &Disk, path: &str) -> Option<String> {
    Some(String::from_utf8(disk.read(path).ok()?.to_vec()).unwrap())
}

fn put(disk: &mut Disk, path: &str, text: &str) {
    disk.write(path, text.as_bytes(), &Ownership::default()).unwrap();
}

impl Machine {
    /// The script that is run, by its text.
    fn sh(&mut self, command: &Command, disk: &mut Disk) -> Output {
        let [_, _, script, _, given @ ..] = &command.argv[..] else { return failed("no script") };
        match (script.as_str(), given) {
            (find::SCRIPT, [marker, record]) => self.found(marker, record, disk),
            (start::SCRIPT, [_, _, record, permit, log, _, _, argv @ ..]) => {
                self.start((record, permit, log), argv, &command.env, disk)
            }
            (signal::SCRIPT, [pid, start, target, ..]) => {
                self.stop(pid.parse().unwrap(), start, target.starts_with('-'), disk);
                Output::default()
            }
            // The last words.
            (_, [_, _]) => Output::default(),
            other => panic!("{other:?}"),
        }
    }

    fn spawn(&mut self, env: &BTreeMap<String, String>, part: impl FnOnce(u32) -> Part) -> u32 {
        self.last_pid += 1;
        let mut env = env.clone();
        let part = part(self.last_pid);
        if matches!(part, Part::Itself(..)) {
            env.insert(format!("{VARIABLE}_PID"), self.last_pid.to_string());
        }
        self.running.insert(self.last_pid, Running { env, part });
        self.last_pid
    }

    /// The tick at which a process began.
    fn began(pid: u32) -> String {
        (pid * 10).to_string()
    }

    fn show(&self, pid: u32) -> String {
        let Some(running) = self.running.get(&pid) else { return String::new() };
        let ours = running.env.iter().filter(|(name, _)| name.starts_with(VARIABLE));
        let ours: String = ours.map(|(name, value)| format!("{name}={value}\n")).collect();
        format!("process {pid} S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {} 0\n{ours}", Self::began(pid))
    }

    fn found(&self, marker: &str, record: &str, disk: &Disk) -> Output {
        let mut said = format!("boot {BOOT}\n");
        let mut recorded = None;
        if let Some(line) = text(disk, record) {
            said.push_str(&format!("record {line}"));
            recorded = line.split(' ').next().and_then(|pid| pid.parse().ok());
            said.extend(recorded.map(|pid| self.show(pid)));
        }
        said.extend(text(disk, &format!("{record}.end")).map(|code| format!("ended {code}")));
        let is_marked =
            |running: &Running| running.env.get(VARIABLE).is_some_and(|value| value.starts_with(marker));
        let marked = self.running.iter().filter(|(pid, it)| is_marked(it) && Some(**pid) != recorded);
        said.extend(marked.map(|(pid, _)| self.show(*pid)));
        Output { stdout: said.into(), ..Output::default() }
    }

    fn start(
        &mut self,
        (record, permit, log): (&str, &str, &str),
        argv: &[String],
        env: &BTreeMap<String, String>,
        disk: &mut Disk,
    ) -> Output {
        let said = text(disk, log).unwrap_or_default() + "hello\n";
        if let Err(error) = disk.write(log, said.as_bytes(), &Ownership::default()) {
            return failed(&error.to_string());
        }
        _ = disk.remove(&format!("{record}.end"), Remove::File);
        if text(disk, &format!("{record}.permit")).as_deref() != Some(permit) {
            return Output::default();
        }
        self.starts += 1;
        let (starts, argv) = (self.starts, argv.to_vec());
        let pid = self.spawn(env, |_| Part::Itself(starts, argv));
        let (kept, permit) = (record.to_owned(), permit.to_owned());
        self.spawn(env, |_| Part::Keeper { pid, record: kept, permit });
        let own = |name: &str| &env[&format!("{VARIABLE}_{name}")];
        let (spec, triggers, action) = (own("SPEC"), own("TRIGGERS"), own("ACTION"));
        put(disk, record, &format!("{pid} {} {BOOT} {spec} {triggers} {action}\n", Self::began(pid)));
        Output::default()
    }

    fn stop(&mut self, pid: u32, start: &str, with_group: bool, disk: &mut Disk) {
        if start != Self::began(pid) || self.running.remove(&pid).is_none() {
            return;
        }
        if with_group {
            self.running.retain(|_, running| !matches!(running.part, Part::Child(of) if of == pid));
        }
        self.ended(pid, disk);
    }

    /// The keeper of what has ended notes that, and ends.
    fn ended(&mut self, of: u32, disk: &mut Disk) {
        self.running.retain(|_, running| match &running.part {
            Part::Keeper { pid, record, permit } if *pid == of => {
                if text(disk, &format!("{record}.permit")).as_ref() == Some(permit) {
                    put(disk, &format!("{record}.end"), "137\n");
                }
                false
            }
            Part::Keeper { .. } | Part::Itself(..) | Part::Child(_) => true,
        });
    }

    /// The process, if it runs.
    fn itself(&self) -> Option<u32> {
        let is_itself = |running: &Running| matches!(running.part, Part::Itself(..));
        self.running.iter().find(|(_, running)| is_itself(running)).map(|(pid, _)| *pid)
    }

    /// What runs, but for numbers, which are others each time.
    fn told(&self) -> String {
        let told = self.running.values().map(|Running { env, part }| {
            let own = env.iter().filter(|(name, _)| !name.starts_with(VARIABLE));
            let own: Vec<String> = own.map(|(name, value)| format!("{name}={value} ")).collect();
            match part {
                Part::Itself(start, argv) => format!("{}{argv:?} of start {start}\n", own.concat()),
                Part::Keeper { .. } => "a keeper\n".to_owned(),
                Part::Child(_) => "a child\n".to_owned(),
            }
        });
        told.collect()
    }
}

/// A machine, and the host by which it is reached: `works` succeeds while the process runs.
fn machine() -> (Arc<Mutex<Machine>>, MemoryHost) {
    let machine = Arc::new(Mutex::new(Machine::default()));
    let (shell, asked) = (Arc::clone(&machine), Arc::clone(&machine));
    let host = MemoryHost::new("m")
        .with_program("sh", move |command, disk| shell.lock().unwrap().sh(command, disk))
        .with_program("works", move |_, _| match asked.lock().unwrap().itself() {
            Some(_) => Output::default(),
            None => failed("nobody is there"),
        });
    for path in ["/srv", "/var/lib"] {
        host.with_files(|disk| disk.make_dir(path, &Ownership::default())).unwrap();
    }
    (machine, host)
}

/// What happens behind its back to the process of this number.
type Happens = fn(&mut Machine, u32, &mut Disk);

fn trial() -> Trial {
    let (machine, host) = machine();
    let specs = [
        json!({ "command": ["serve"], "env": { "A": "1" } }),
        json!({ "command": ["serve"], "env": { "A": "1" }, "health": { "command": ["works"], "timeout_ms": 5000 },
                "memory_mib": 64 }),
        json!({ "command": ["serve", "more"], "dir": "/srv", "stop": { "signal": "INT", "grace_ms": 100 } }),
    ];
    let (seen, disk) = (Arc::clone(&machine), host.clone());
    let world = move || disk.with_files(|disk| disk.dump(STATE_DIR)) + &seen.lock().unwrap().told();
    let happens = |what: Happens| {
        let (machine, host) = (Arc::clone(&machine), host.clone());
        move || {
            host.with_files(|disk| {
                let mut machine = machine.lock().unwrap();
                let pid = machine.itself().unwrap();
                what(&mut machine, pid, disk);
                // The one that takes its place is the first of its world.
                machine.starts = 0;
            });
        }
    };
    let die: Happens = |machine, pid, disk| machine.stop(pid, &Machine::began(pid), true, disk);
    let leave_a_child: Happens = |machine, pid, disk| {
        let env = machine.running[&pid].env.clone();
        machine.spawn(&env, |_| Part::Child(pid));
        machine.stop(pid, &Machine::began(pid), false, disk);
    };
    let die_with_its_keeper: Happens = |machine, _, _| machine.running.clear();
    let be_another: Happens = |_, _, disk| {
        let record = records(disk);
        let line = text(disk, &record).unwrap();
        let spec = line.split(' ').nth(3).unwrap().to_owned();
        put(disk, &record, &line.replace(&spec, "1-2-3-4"));
    };
    Trial::new(Arc::new(host.clone()), specs, world)
        .with_state_dir(STATE_DIR)
        .tampered("it dies", happens(die))
        .tampered("it dies, and what it has started runs on", happens(leave_a_child))
        .tampered("it dies and nobody notes how", happens(die_with_its_keeper))
        .tampered("it was started from another spec", happens(be_another))
}

const STATE_DIR: &str = "/var/lib/detc";

/// The one record there is.
fn records(disk: &Disk) -> String {
    let folder = format!("{STATE_DIR}/process/");
    let dump = disk.dump("/nowhere");
    let mut paths = dump.lines().filter_map(|line| line.split(' ').next());
    paths.find(|path| path.starts_with(&folder) && !path.ends_with(".permit")).unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_process_keeps_the_contract() {
    assert_eq!(check_resource::<ProcessSpec>(trial).await, []);
}
