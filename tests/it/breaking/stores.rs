//! Stores that are damaged, in the way, full, from the future, or taken away.

use std::fs;
use std::io::Write as _;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Place, Random, seed, until};

fn one_file() -> Place {
    let place = Place::new();
    place.desire(&[json!({ "kind": "file", "name": "f", "path": place.text("f"), "content": "x" })]);
    place
}

#[test]
fn a_store_that_is_no_store_is_refused_with_its_name() {
    let place = one_file();
    place.write("file", "x");
    fs::create_dir(place.path("garbage")).unwrap();
    place.write("garbage/store.redb", "garbage");
    fs::create_dir(place.path("empty")).unwrap();
    place.write("empty/store.redb", "");
    for command in [&["apply", "--yes"][..], &["status"]] {
        let ran = place.fleet(&[&["--store", "file"], command].concat()).exits(64);
        ran.complains("the store file is a file, and not a folder");
    }
    for store in ["garbage", "empty", "file/below", "/proc/none"] {
        place.fleet(&["--store", store, "apply", "--yes"]).exits(1).complains(store).complains("hint");
    }
    place.fleet(&["--store", "garbage", "plan"]).exits(1).complains("restore").complains("end the processes");
    assert!(!place.path("f").exists());
}

#[test]
fn a_store_that_may_not_be_looked_at_is_not_taken_for_none() {
    let place = one_file();
    // A loop of links: who runs as root may look everywhere else.
    std::os::unix::fs::symlink("loop", place.path("loop")).unwrap();
    for command in [&["status"][..], &["plan"], &["destroy", "--yes"], &["apply", "--yes"]] {
        let ran = place.fleet(&[&["--store", "loop"], command].concat());
        assert_eq!(ran.code, Some(1), "{command:?}: {ran:?}");
        ran.complains("loop");
    }
    assert!(!place.path("f").exists());
}

#[test]
fn damage_anywhere_in_a_store_is_an_error_or_harmless_and_never_a_panic() {
    let place = one_file();
    place.apply();
    let whole = fs::read(place.path(".detc/store.redb")).unwrap();
    let mut random = Random::new(seed("damage_anywhere_in_a_store"));
    for round in 0..40 {
        let mut damaged = whole.clone();
        for _ in 0..1 + random.below(400) {
            let at = random.below(damaged.len() as u64) as usize;
            damaged[at] = random.below(256) as u8;
        }
        if round % 4 == 0 {
            damaged.truncate(random.below(damaged.len() as u64) as usize);
        }
        fs::write(place.path(".detc/store.redb"), damaged).unwrap();
        let ran = place.fleet(&["plan"]);
        assert!(matches!(ran.code, Some(0 | 1)) && !ran.err.contains("panicked"), "{ran:?}");
    }
}

/// A small file system of its own.
struct Disk<'a>(&'a Place);

impl<'a> Disk<'a> {
    fn new(place: &'a Place, size: &str) -> Self {
        fs::create_dir_all(place.path("disk")).unwrap();
        let options = format!("size={size}");
        let target = place.path("disk");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(target).output();
        let mounted = mounted.unwrap();
        let said = String::from_utf8_lossy(&mounted.stderr).into_owned();
        assert!(mounted.status.success(), "this test mounts a tmpfs and needs the right to: {said}");
        Self(place)
    }

    fn remount(&self, option: &str) {
        let options = format!("remount,{option}");
        let done = Command::new("mount").args(["-o", &options]).arg(self.0.path("disk")).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg(self.0.path("disk")).status();
    }
}

#[test]
fn a_full_disk_is_told_and_when_there_is_room_again_the_work_goes_on() {
    let place = Place::new();
    let disk = Disk::new(&place, "1m");
    let values: Vec<Value> = (0..600)
        .map(|n| json!({ "kind": "value", "name": format!("v{n}"), "input": "x".repeat(3000) }))
        .collect();
    place.desire(&values);
    let args = ["--store", "disk/st", "apply", "--yes"];
    place.fleet(&args).exits(1).complains("full").complains("free some room");
    disk.remount("size=64m");
    place.fleet(&args).exits(0);
    place.fleet(&["--store", "disk/st", "plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_disk_that_can_not_be_written_is_told() {
    let place = one_file();
    let disk = Disk::new(&place, "16m");
    place.fleet(&["--store", "disk/st", "apply", "--yes"]).exits(0);
    disk.remount("ro");
    let stored = |args: &[&str]| place.fleet(&[&["--store", "disk/st"], args].concat());
    for args in [&["apply", "--yes"][..], &["destroy", "--yes"], &["plan", "--out", "p"]] {
        stored(args).exits(1).complains("Read-only");
    }
    // Who only reads writes nothing there.
    stored(&["plan", "--detailed-exitcode"]).exits(0);
    stored(&["status"]).exits(0).shows("as it should be");
    stored(&["history"]).exits(0).shows("run-1");
}

#[test]
fn a_target_on_a_full_disk_fails_and_leaves_no_half_of_a_file() {
    let place = Place::new();
    let disk = Disk::new(&place, "16k");
    let path = place.text("disk/f");
    place.desire(&[json!({ "kind": "file", "name": "f", "path": path, "content": "x".repeat(100_000) })]);
    let ran = place.fleet(&["apply", "--yes"]).exits(1);
    assert!(ran.out.contains("file/f") && ran.out.contains("No space left"), "{}", ran.out);
    assert_eq!(fs::read_dir(place.path("disk")).unwrap().count(), 0);
    drop(disk);
}

#[test]
fn a_store_that_is_taken_away_stops_the_run() {
    let place = Place::new();
    let gate = place.text("gate");
    assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let script = "echo begun > \"$0\"; read go < \"$1\"; exit 0";
    place.desire(&[
        json!({ "kind": "command", "name": "first", "run": ["/bin/sh", "-c", script, place.text("begun"), gate] }),
        json!({ "kind": "file", "name": "second", "path": place.text("f"), "content": "", "after": ["command/first"] }),
    ]);
    let running = place.start(&["apply", "--yes"]);
    until("the first command has begun", || place.path("begun").exists());
    fs::rename(place.path(".detc"), place.path("elsewhere")).unwrap();
    fs::OpenOptions::new().write(true).open(&gate).unwrap().write_all(b"go\n").unwrap();
    running.wait().exits(1).complains("store");
    assert!(!place.path("f").exists(), "nothing is begun that can not be recorded");
    fs::rename(place.path("elsewhere"), place.path(".detc")).unwrap();
    place.fleet(&["history"]).exits(0).shows("interrupted");
}

#[test]
fn of_many_at_once_one_works_and_the_others_are_told_who() {
    let place = Place::new();
    let values: Vec<Value> =
        (0..2000).map(|n| json!({ "kind": "value", "name": format!("v{n}"), "input": n })).collect();
    place.desire(&values);
    let running: Vec<_> = (0..6).map(|_| place.start(&["apply", "--yes", "-q"])).collect();
    let codes: Vec<_> = running.into_iter().map(crate::support::Running::wait).collect();
    for ran in &codes {
        let held = ran.code == Some(3) && ran.err.contains("held by");
        assert!(ran.code == Some(0) || held, "{ran:?}");
    }
    assert!(codes.iter().any(|ran| ran.code == Some(0)));
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_kill_while_a_plan_is_saved_leaves_a_whole_plan_or_none() {
    let place = Place::new();
    let values: Vec<Value> = (0..3000)
        .map(|n| json!({ "kind": "value", "name": format!("v{n}"), "input": "x".repeat(500) }))
        .collect();
    place.desire(&values);
    let mut random = Random::new(seed("a_kill_while_a_plan_is_saved"));
    for _ in 0..30 {
        let running = place.start(&["plan", "-q", "--out", "p"]);
        running.run_for(std::time::Duration::from_millis(random.below(300)));
        running.kill();
        if place.path("p").exists() {
            place.fleet(&["graph", "p"]).exits(0);
            fs::remove_file(place.path("p")).unwrap();
        }
    }
    place.fleet(&["plan", "-q", "--out", "p"]).exits(0);
    place.fleet(&["graph", "p"]).exits(0);
}
