//! The kinds of this crate keep the contract of a resource: on a memory host, where each call may go wrong, and on this
//! machine.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use detc_core::backend::MemoryHost;
use detc_core::backend::host::{Ownership, Remove};
use detc_core::testing::resource::{Trial, check_resource};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{CommandSpec, DirectorySpec, FileSpec};
use crate::backends::LocalHost;

/// A trial on a memory host with a directory for what is made.
fn in_memory(specs: impl IntoIterator<Item = Value>) -> (MemoryHost, Trial) {
    let host = MemoryHost::new("m").with_user("www", 33);
    host.with_files(|files| files.make_dir("/srv", &Ownership::default())).unwrap();
    (host.clone(), Trial::in_memory(host, specs))
}

/// What there is below `path`, with modes and contents.
fn listing(path: &Path) -> String {
    let mut text = String::new();
    let mut entries: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        let meta = fs::symlink_metadata(&entry).unwrap();
        _ = writeln!(text, "{} {:o} {:?}", entry.display(), meta.mode(), fs::read(&entry).ok());
        if meta.is_dir() {
            text.push_str(&listing(&entry));
        }
    }
    text
}

/// A trial on this machine, in a folder of its own: `specs` of that folder, in which somebody removes what was made, called `name`.
fn here<const N: usize>(name: &str, specs: impl Fn(&str) -> [Value; N]) -> Trial {
    let (dir, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let specs = specs(dir.path().to_str().unwrap());
    let made = dir.path().join(name);
    let host = Arc::new(LocalHost::new("here"));
    let state_dir = state.path().to_str().unwrap().to_owned();
    let world = move || {
        let _kept = &state;
        // Each run of the program names its folder anew.
        listing(dir.path()).replace(dir.path().to_str().unwrap(), "")
    };
    Trial::new(host, specs, world).with_state_dir(state_dir).tampered("somebody removes it", move || {
        if made.is_dir() { fs::remove_dir_all(&made) } else { fs::remove_file(&made) }.unwrap();
    })
}

#[tokio::test(start_paused = true)]
async fn a_file_keeps_the_contract() {
    let specs = || {
        [
            json!({ "path": "/srv/f", "content": "one", "mode": "0644" }),
            json!({ "path": "/srv/f", "content": "two", "mode": "0600" }),
            json!({ "path": "/srv/f", "content": "two", "mode": "0640", "owner": "www" }),
        ]
    };
    let trial = || {
        let (host, trial) = in_memory(specs());
        let (written, removed, opened) = (host.clone(), host.clone(), host);
        let own = Ownership::default();
        trial
            .tampered("somebody writes to it", move || {
                written.with_files(|files| files.write("/srv/f", b"x", &own)).unwrap();
            })
            .tampered("somebody removes it", move || {
                removed.with_files(|files| files.remove("/srv/f", Remove::File)).unwrap();
            })
            .tampered("somebody opens it to all", move || {
                let all = Ownership::new(Some(0o666), None, None);
                opened.with_files(|files| files.write("/srv/f", b"one", &all)).unwrap();
            })
    };
    assert_eq!(check_resource::<FileSpec>(trial).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_directory_keeps_the_contract() {
    let specs = || [json!({ "path": "/srv/b", "mode": "0750" }), json!({ "path": "/srv/b", "mode": "0700" })];
    let trial = || {
        let (host, trial) = in_memory(specs());
        let (removed, opened) = (host.clone(), host);
        trial
            .tampered("somebody removes it", move || {
                removed.with_files(|files| files.remove("/srv/b", Remove::Tree)).unwrap();
            })
            .tampered("somebody opens it to all", move || {
                let all = Ownership::new(Some(0o777), None, None);
                opened.with_files(|files| files.set_ownership("/srv/b", &all)).unwrap();
            })
    };
    assert_eq!(check_resource::<DirectorySpec>(trial).await, []);
}

#[tokio::test]
async fn files_directories_and_guarded_commands_keep_it_on_this_machine() {
    let file = |dir: &str| {
        let path = format!("{dir}/f");
        [json!({ "path": path, "content": "one" }), json!({ "path": path, "content": "two", "mode": "0600" })]
    };
    assert_eq!(check_resource::<FileSpec>(|| here("f", file)).await, []);
    let directory = |dir: &str| {
        let path = format!("{dir}/d");
        [json!({ "path": path }), json!({ "path": path, "mode": "0700" })]
    };
    assert_eq!(check_resource::<DirectorySpec>(|| here("d", directory)).await, []);
    let command = |dir: &str| {
        [json!({ "run": ["/bin/cp", "/etc/hostname", "made"], "creates": format!("{dir}/made"), "dir": dir })]
    };
    assert_eq!(check_resource::<CommandSpec>(|| here("made", command)).await, []);
}
