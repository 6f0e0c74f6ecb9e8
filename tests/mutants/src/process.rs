//! One test in a process of its own, with an end to its time and memory.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Result;

/// Memory that a test may have, in KiB: a mutant that never stops growing ends here.
const MEMORY_KIB_MAX: u64 = 6 << 20;
/// How long a process that does nothing is waited for, in seconds.
const WALL_S_MAX: &str = "120";

#[derive(PartialEq, Eq)]
pub enum End {
    Passed,
    /// This one failed, perhaps among others.
    Failed(String),
    /// It was ended: its time or its memory was over.
    Endless,
}

/// Runs these tests in one process, one after the other. `variable` is set for it; the time is that of the processor, which
/// other programs do not prolong.
pub fn run(
    program: &Path,
    package: &Path,
    tests: &[&str],
    cpu_s: u64,
    variable: (&str, &str),
) -> Result<(End, f64)> {
    let limits = format!("ulimit -t {cpu_s}; ulimit -v {MEMORY_KIB_MAX}; ulimit -c 0; exec \"$0\" \"$@\"");
    let began = Instant::now();
    let output = Command::new("timeout")
        .args(["--signal=KILL", WALL_S_MAX, "/bin/sh", "-c", &limits])
        .arg(program)
        .arg("--exact")
        .args(tests)
        .args(["--test-threads", "1"])
        .env(variable.0, variable.1)
        .env("CARGO_MANIFEST_DIR", package)
        .env("RUST_BACKTRACE", "0")
        .env("PROPTEST_FAILURE_PERSISTENCE", "off")
        .current_dir(package)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()?;
    let end = match output.status.code() {
        Some(0) => End::Passed,
        // How a test program says that a test has failed.
        Some(101) => {
            let told = String::from_utf8_lossy(&output.stdout);
            let failed =
                told.lines().find_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
            End::Failed(failed.unwrap_or_default().to_owned())
        }
        _ => End::Endless,
    };
    Ok((end, began.elapsed().as_secs_f64()))
}
