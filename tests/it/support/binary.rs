//! The program under test. It is an example of another package, so cargo does not build it for these tests: this does,
//! when it is missing or older than what it was built from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The path of `fleet`, built in the profile of these tests.
pub(crate) fn fleet() -> &'static Path {
    static FLEET: OnceLock<PathBuf> = OnceLock::new();
    FLEET.get_or_init(|| example("fleet"))
}

/// The path of `guarded`, which has an invariant of its own.
pub(crate) fn guarded() -> &'static Path {
    static GUARDED: OnceLock<PathBuf> = OnceLock::new();
    GUARDED.get_or_init(|| example("guarded"))
}

/// The path of `quickstart`, which tells a story.
pub(crate) fn quickstart() -> &'static Path {
    static QUICKSTART: OnceLock<PathBuf> = OnceLock::new();
    QUICKSTART.get_or_init(|| example("quickstart"))
}

/// The path of `docker_service`, which tells a story of containers.
pub(crate) fn docker_service() -> &'static Path {
    static DOCKER_SERVICE: OnceLock<PathBuf> = OnceLock::new();
    DOCKER_SERVICE.get_or_init(|| example("docker_service"))
}

fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let profile = tests.parent().and_then(Path::parent).unwrap();
    let program = profile.join("examples").join(name);
    if !is_fresh(&program) {
        build(profile, name);
    }
    assert!(program.is_file(), "{} is not there, though it was built", program.display());
    program
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn build(profile: &Path, name: &str) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace()).args(["build", "--quiet", "-p", "detc-examples", "--example", name]);
    cargo.arg("--target-dir").arg(profile.parent().unwrap());
    match profile.file_name().and_then(|name| name.to_str()).unwrap() {
        "debug" => {}
        name => {
            cargo.args(["--profile", name]);
        }
    }
    let built = cargo.output().unwrap();
    assert!(built.status.success(), "{name} does not build:\n{}", String::from_utf8_lossy(&built.stderr));
}

/// Whether everything that cargo says it was built from is older.
fn is_fresh(program: &Path) -> bool {
    let changed = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let (Some(built), Ok(sources)) = (changed(program), fs::read_to_string(program.with_extension("d")))
    else {
        return false;
    };
    let older = |path: &Path| changed(path).is_some_and(|at: SystemTime| at <= built);
    let packages = ["", "detc-core", "detc-actions", "detc-sched", "examples"];
    let mut manifests = packages.iter().map(|package| workspace().join(package).join("Cargo.toml"));
    let mut named = sources.split_once(':').map_or("", |(_, after)| after).split_whitespace();
    manifests.all(|path| older(&path)) && named.all(|path| older(Path::new(path)))
}
