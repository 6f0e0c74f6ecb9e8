//! A store as the first `fleet` wrote it, to the byte, is read and gone on with for ever: that pins redb's format, the layout
//! of the tables in it, the keys, and what is in them.
//!
//! `golden/store-1.redb.gz` is what that left when it was killed in the second of two runs: the first one made a directory, two
//! files and a command's result; the second one had changed a file, was about to start a process, and would have removed the
//! other file and made a third one. It is never altered; where the format changes, another one is added.
//!
//! `DETC_WRITE_GOLDEN=1 cargo test -p detc-tests --test it golden_store` writes it where it is missing.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::crash::die_at_sync;
use crate::support::Place;

/// Where the store was made, and is gone on with: what it has recorded has these paths.
const FOLDER: &str = "/tmp/detc-golden-1";

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/store-1.redb.gz")
}

/// The folder, for one test at a time on this machine.
fn place() -> (File, Place) {
    let lock = File::create(format!("{FOLDER}.lock")).unwrap();
    lock.lock().unwrap();
    (lock, Place::at(Path::new(FOLDER)))
}

fn file(place: &Place, name: &str, content: &str) -> Value {
    json!({ "kind": "file", "name": name, "path": place.text(&format!("root/{name}")), "content": content, "mode": "0640" })
}

fn root_and_seed(place: &Place) -> [Value; 2] {
    let script = "echo seed >> \"$0\"; echo made > \"$1\"";
    [
        json!({ "kind": "directory", "name": "root", "path": place.text("root"), "mode": "0750" }),
        json!({
            "kind": "command", "name": "seed", "creates": place.text("root/seed"), "after": ["directory/root"],
            "run": ["/bin/sh", "-c", script, place.text("ledger"), place.text("root/seed")],
        }),
    ]
}

fn desire_first(place: &Place) {
    let [root, seed] = root_and_seed(place);
    place.desire(&[root, seed, file(place, "conf", "port=1\n"), file(place, "old", "old\n")]);
}

fn desire_second(place: &Place) {
    let [root, seed] = root_and_seed(place);
    let mut last = file(place, "last", "last\n");
    last["after"] = json!(["process/web"]);
    let web = json!({
        "kind": "process", "name": "web", "dir": place.text("root"), "restart_on": ["file/conf"],
        "after": ["command/seed"], "labels": { "app": "web" }, "stop": { "grace_ms": 200 },
        "command": ["/bin/sh", "-c", "while :; do sleep 0.2; done"],
    });
    place.desire(&[root, seed, file(place, "conf", "port=2\n"), web, last]);
}

/// What became of each action of the second run, as `show` tells it.
fn second_run(place: &Place) -> Vec<String> {
    let shown = place.fleet(&["--json", "show", "run-2"]);
    if shown.code == Some(64) {
        return Vec::new();
    }
    let shown = shown.exits(0).json();
    let told = |action: &Value| {
        let became = match (&action["started_ms"], &action["outcome"]["what"]) {
            (Value::Null, Value::Null) => "not reached",
            (_, Value::Null) => "started",
            (_, what) => what.as_str().unwrap(),
        };
        format!("{} {became}", action["id"].as_str().unwrap())
    };
    let mut told: Vec<String> = shown["actions"].as_array().unwrap().iter().map(told).collect();
    told.sort();
    told
}

const LEFT: [&str; 4] = [
    "create:file/last not reached",
    "create:process/web started",
    "delete:file/old not reached",
    "update:file/conf done",
];

/// Has `fleet` killed when it was about to start the process, and keeps its store.
fn write(golden: &Path) {
    for sync in 1.. {
        let (_lock, place) = place();
        desire_first(&place);
        place.apply();
        desire_second(&place);
        let args = ["apply", "--yes", "--parallel", "1"];
        let mut command = place.command(&args);
        die_at_sync(&mut command, sync);
        assert_eq!(place.start_as(command, &args).wait().code, None, "it came to its end at last");
        let store = fs::read(place.path(".detc/store.redb")).unwrap();
        if second_run(&place) == LEFT && place.processes().is_empty() {
            let packed = File::create(golden).unwrap();
            fs::write(place.path("store.redb"), store).unwrap();
            let mut gzip = Command::new("gzip");
            gzip.args(["-9nc", &place.text("store.redb")]).stdout(packed);
            assert!(gzip.status().unwrap().success());
            return;
        }
    }
}

#[test]
fn a_store_that_the_first_fleet_left_in_the_middle_of_a_run_is_gone_on_with() {
    let golden = golden();
    if std::env::var_os("DETC_WRITE_GOLDEN").is_some() && !golden.exists() {
        write(&golden);
    }
    let (_lock, place) = place();
    fs::create_dir_all(place.path(".detc")).unwrap();
    let store = File::create(place.path(".detc/store.redb")).unwrap();
    let unpacked = Command::new("gzip").arg("-dc").stdin(File::open(golden).unwrap()).stdout(store).status();
    assert!(unpacked.unwrap().success());
    desire_second(&place);
    assert_eq!(second_run(&place), LEFT, "a reader finds it as it was left");
    // What was there when it died.
    let ownership = [("root", 0o750), ("root/conf", 0o640), ("root/old", 0o640)];
    fs::create_dir_all(place.path("root")).unwrap();
    place.write("root/conf", "port=2\n");
    place.write("root/old", "old\n");
    place.write("root/seed", "made\n");
    place.write("ledger", "seed\n");
    for (name, mode) in ownership {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(place.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    place.apply().complains("run-2 was interrupted");
    let history = place.fleet(&["--json", "history"]).exits(0).json();
    let outcomes: Vec<&Value> =
        history["runs"].as_array().unwrap().iter().map(|run| &run["outcome"]).collect();
    assert_eq!(outcomes, ["done", "done"], "it was resumed, not planned anew: {history}");
    assert_eq!((place.read("root/last"), place.read("ledger")), ("last\n".to_owned(), "seed\n".to_owned()));
    assert!(!place.path("root/old").exists(), "it is no longer desired");
    place.fleet(&["status"]).exits(0);
    assert!(!place.processes().is_empty(), "the process is there");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    // What the first version has recorded, this one removes.
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert!(!place.path("root/conf").exists() && place.processes().is_empty());
}
