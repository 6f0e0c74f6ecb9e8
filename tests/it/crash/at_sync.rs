//! What the program makes durable: it is killed at an exact point of that, or it is noted.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::Place;

/// Has the process that `command` starts killed just before it syncs for the `nth` time.
pub(crate) fn die_at_sync(command: &mut Command, nth: usize) {
    command.env("LD_PRELOAD", library()).env("DETC_TEST_DIE_AT", nth.to_string());
}

/// The same just before the first sync once the file `armed` is there.
pub(super) fn die_when_armed(command: &mut Command, armed: &Path) {
    die_at_sync(command, 1);
    command.env("DETC_TEST_DIE_ARMED", armed);
}

/// Has it noted what is synced, in the file `notes`, a path in each line.
fn note_syncs(command: &mut Command, notes: &Path) {
    command.env("LD_PRELOAD", library()).env("DETC_TEST_SYNCED", notes);
}

/// The library that sees each sync, built once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<(PathBuf, tempfile::TempDir)> = OnceLock::new();
    let (library, _) = LIBRARY.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("at_sync.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("at_sync.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        (library, dir)
    });
    library
}

#[test]
fn all_that_leads_to_a_new_store_is_synced_before_its_first_commit() {
    let place = Place::new();
    place.desire(&[]);
    let above = std::fs::canonicalize(place.path(".")).unwrap();
    // Made by one that has ended before it synced anything.
    std::fs::create_dir(above.join("left")).unwrap();
    for (dir, ways) in [("one", &[""][..]), ("a/b/c", &["", "a", "a/b"]), ("left/over", &["", "left"])] {
        let notes = above.join("notes");
        let mut command = place.command(&["apply", "--yes"]);
        command.args(["--store", dir]).current_dir(&above);
        note_syncs(&mut command, &notes);
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let synced = std::fs::read_to_string(&notes).unwrap();
        let synced: Vec<&Path> = synced.lines().map(Path::new).collect();
        let commit = synced.iter().position(|path| *path == above.join(dir).join("store.redb"));
        let (before, after) = synced.split_at(commit.expect("the store is synced"));
        for way in ways.iter().map(|way| above.join(way)).chain([above.join(dir)]) {
            // A path that is joined to nothing ends with a slash, which is no part of a path's comparison.
            assert!(before.contains(&&*way), "{} is not synced: {before:?}, then {after:?}", way.display());
        }
        std::fs::remove_file(notes).unwrap();
    }
}
