//! Kills the program at an exact point of what it makes durable.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Has the process that `command` starts killed just before it syncs for the `nth` time.
pub(crate) fn die_at_sync(command: &mut Command, nth: usize) {
    command.env("LD_PRELOAD", library()).env("DETC_TEST_DIE_AT", nth.to_string());
}

/// The same just before the first sync once the file `armed` is there.
pub(super) fn die_when_armed(command: &mut Command, armed: &Path) {
    die_at_sync(command, 1);
    command.env("DETC_TEST_DIE_ARMED", armed);
}

/// The library that counts syncs, built once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<(PathBuf, tempfile::TempDir)> = OnceLock::new();
    let (library, _) = LIBRARY.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("die_at_sync.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("die_at_sync.c");
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
