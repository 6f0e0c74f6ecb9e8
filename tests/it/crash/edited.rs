//! SIGKILL while the desired state is edited again and again: whatever was in flight, in the end there is what is desired
//! last, once, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use detc_core::model::Digest;

use crate::support::{Place, Random, seed};

const ROUNDS: usize = 30;

/// What is desired, and what there is when that is so.
#[derive(Default)]
struct Wanted {
    resources: Vec<Value>,
    dirs: BTreeSet<String>,
    files: BTreeMap<String, String>,
    processes: BTreeSet<String>,
}

impl Wanted {
    /// Some of three directories, each at one of two places, of two files in each, and of two processes in one of three
    /// versions.
    fn any(place: &Place, random: &mut Random) -> Self {
        let mut wanted = Self::default();
        for dir in 0..3 {
            if random.below(4) == 0 {
                continue;
            }
            let path = place.text(&format!("w/d{dir}-{}", random.below(2)));
            wanted.resources.push(json!({ "kind": "directory", "name": format!("d{dir}"), "path": path }));
            for file in 0..2 {
                if random.below(3) > 0 {
                    let path = format!("{path}/f{file}");
                    let content = format!("content {}\n", random.below(4));
                    let name = format!("d{dir}/f{file}");
                    wanted
                        .resources
                        .push(json!({ "kind": "file", "name": name, "path": path, "content": content }));
                    wanted.files.insert(path, content);
                }
            }
            wanted.dirs.insert(path);
        }
        for process in 0..2 {
            if random.below(3) > 0 {
                let name = format!("p{process}-v{}", random.below(3));
                wanted.resources.push(json!({
                    "kind": "process", "name": format!("p{process}"), "dir": place.text(""), "stop": { "grace_ms": 200 },
                    "command": ["/bin/sh", "-c", "while :; do sleep 0.2; done", name],
                }));
                wanted.processes.insert(name);
            }
        }
        wanted
    }
}

/// The versions of the processes that run, one for each. A fork that has not become a program yet is no second one: each is
/// known by its own number, which detc gave it.
fn running(place: &Place, wanted: &BTreeSet<String>) -> Vec<String> {
    let version = |pid: u32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        let args: Vec<&str> = line.split('\0').collect();
        let is_one = args.get(2).is_some_and(|script| script.starts_with("while :"));
        let version = is_one.then(|| args.get(3).map(ToString::to_string)).flatten()?;
        let variables = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let own = format!("DETC_PROCESS_PID={pid}");
        let is_own = variables.split(|byte| *byte == 0).any(|it| it == own.as_bytes());
        (is_own || !wanted.contains(&version)).then_some(version)
    };
    let mut versions: Vec<String> = place.processes().into_iter().filter_map(version).collect();
    versions.sort_unstable();
    versions
}

fn found(dir: &Path, dirs: &mut BTreeSet<String>, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let (path, text) = (entry.path(), entry.path().to_str().unwrap().to_owned());
        if path.is_dir() {
            dirs.insert(text);
            found(&path, dirs, files);
        } else {
            files.insert(text, fs::read_to_string(path).unwrap_or_default());
        }
    }
}

#[track_caller]
fn check(place: &Place, wanted: &Wanted) {
    let (mut dirs, mut files) = (BTreeSet::new(), BTreeMap::new());
    found(&place.path("w"), &mut dirs, &mut files);
    // A write that was cut off leaves one file beside the one that it was to replace, until that is written or removed.
    for path in wanted.files.keys().map(Path::new) {
        let name = Digest::of(path.file_name().unwrap().as_encoded_bytes()).to_string();
        files.remove(path.with_file_name(format!(".detc-new-{name:.32}")).to_str().unwrap());
    }
    assert_eq!((&dirs, &files), (&wanted.dirs, &wanted.files));
    assert_eq!(running(place, &wanted.processes), wanted.processes.iter().cloned().collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_of_what_was_in_flight_and_is_no_longer_desired() {
    let mut random = Random::new(seed("nothing_is_left_of_what_was_in_flight"));
    let place = Place::new();
    fs::create_dir(place.path("w")).unwrap();
    let (mut kills, mut given_up) = (0, 0);
    for round in 0..ROUNDS {
        let mut wanted = Wanted::default();
        for _ in 0..=random.below(3) {
            wanted = Wanted::any(&place, &mut random);
            place.desire(&wanted.resources);
            let running = place.start(&["apply", "--yes"]);
            running.run_for(Duration::from_millis(5 + random.below(350)));
            kills += usize::from(running.kill().is_none());
        }
        let command = if round % 7 == 6 { "destroy" } else { "apply" };
        let ran = place.fleet(&[command, "--yes"]).exits(0);
        given_up += usize::from(ran.err.contains("is given up") || ran.err.contains("not gone on with"));
        if command == "destroy" {
            wanted = Wanted::default();
        } else {
            place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
        }
        check(&place, &wanted);
    }
    println!("{ROUNDS} rounds, {kills} kills, {given_up} runs were given up");
    assert!(kills >= ROUNDS / 3, "only {kills} kills found a process alive");
}
