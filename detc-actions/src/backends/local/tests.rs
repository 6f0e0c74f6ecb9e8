//! What the conformance suite can not see from outside.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use detc_core::backend::host::ExitStatus;
use detc_core::testing::connector::{Specs, check_connector};
use detc_core::testing::host::check_host;
use tempfile::TempDir;

use super::*;
use crate::test_util::eventually;

fn bench() -> (LocalHost, TempDir) {
    (LocalHost::new("here"), tempfile::tempdir().unwrap())
}

fn path(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).to_str().unwrap().to_owned()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn sh(script: &str) -> Command {
    Command::new(["sh", "-c", script])
}

#[tokio::test]
async fn the_local_host_conforms() {
    let (host, dir) = bench();
    assert_eq!(check_host(&host, dir.path().to_str().unwrap()).await, []);
    assert_eq!(names(dir.path()).iter().find(|name| name.starts_with(".detc-new")), None);
}

#[tokio::test]
async fn what_a_crashed_write_left_is_taken_away_by_the_next() {
    let (host, dir) = bench();
    let file = path(&dir, "f");
    let leftover = dir.path().join(replace::temporary_name("f".as_ref()));
    fs::write(&leftover, "half").unwrap();
    host.write_from(&file, &b"whole".into(), &Ownership::default()).await.unwrap();
    assert_eq!(names(dir.path()), ["f"]);
    symlink("f", &leftover).unwrap();
    host.write_from(&file, &b"new".into(), &Ownership::default()).await.unwrap();
    assert_eq!((names(dir.path()), fs::read(&file).unwrap()), (vec!["f".to_owned()], b"new".to_vec()));
}

#[tokio::test]
async fn a_directory_with_nothing_but_leftovers_is_empty() {
    let (host, dir) = bench();
    let sub = path(&dir, "d");
    fs::create_dir(&sub).unwrap();
    fs::write(format!("{sub}/.detc-new-x"), "half").unwrap();
    host.remove(&sub, Remove::EmptyDirectory).await.unwrap();
    assert_eq!(names(dir.path()), [""; 0]);
}

#[tokio::test]
async fn many_writers_of_one_file_leave_one_whole_content_and_nothing_else() {
    let (host, dir) = bench();
    let file = path(&dir, "f");
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..16_u8 {
        let (host, file) = (host.clone(), file.clone());
        writers.spawn(async move {
            host.write_from(&file, &vec![writer; 100_000].into(), &Ownership::default()).await.unwrap();
        });
    }
    writers.join_all().await;
    let content = fs::read(&file).unwrap();
    assert!(content.len() == 100_000 && content.iter().all(|byte| *byte == content[0]));
    assert_eq!(names(dir.path()), ["f"]);
}

#[tokio::test]
async fn a_write_that_was_given_up_does_not_take_place_later() {
    let (host, dir) = bench();
    let file = path(&dir, "f");
    host.write_from(&file, &b"old".into(), &Ownership::default()).await.unwrap();
    // A lock on the temporary file holds the write up until it has been dropped.
    let held = dir.path().join(replace::temporary_name("f".as_ref()));
    let lock = File::create(&held).unwrap();
    lock.lock().unwrap();
    let (content, ownership) = (b"late".into(), Ownership::default());
    let write = host.write_from(&file, &content, &ownership);
    assert!(tokio::time::timeout(Duration::from_millis(20), write).await.is_err());
    drop(lock);
    // The late write takes the held file for a leftover, makes its own, and gives up; looked at until it had the time to.
    let mut quiet = 0;
    while quiet < 20 {
        quiet = if names(dir.path()) == ["f"] { quiet + 1 } else { 0 };
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(fs::read(&file).unwrap(), b"old");
    }
}

#[tokio::test]
async fn mode_and_owner_are_there_before_the_file_is() {
    let (host, dir) = bench();
    let file = path(&dir, "f");
    let owner = nix::unistd::geteuid().as_raw().to_string();
    let ownership = Ownership::new(Some(0o640), Some(owner.clone()), None);
    host.write_from(&file, &b"x".into(), &ownership).await.unwrap();
    let stat = host.stat(&file).await.unwrap().unwrap();
    assert_eq!(stat.mode, 0o640);
    assert!(stat.owner.is(&owner));
    fs::set_permissions(&file, Permissions::from_mode(0o4755)).unwrap();
    host.write_from(&file, &b"y".into(), &Ownership::default()).await.unwrap();
    assert_eq!(host.stat(&file).await.unwrap().unwrap().mode, 0o4755);
}

#[tokio::test]
async fn a_file_in_the_place_of_a_directory_is_refused_and_says_so() {
    let host = LocalHost::new("here");
    let error = host.write_from("/dev/null/x", &b"x".into(), &Ownership::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "here refused to write /dev/null/x");
}

#[tokio::test]
async fn a_pipe_without_a_writer_is_refused_at_once() {
    let (host, dir) = bench();
    let pipe = path(&dir, "pipe");
    nix::unistd::mkfifo(pipe.as_str(), nix::sys::stat::Mode::S_IRUSR).unwrap();
    let error = host.read_to(&pipe, 10, &mut Vec::new()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("here refused to read {pipe}"));
}

#[tokio::test]
async fn a_signal_is_told_apart_from_a_code() {
    let (host, _dir) = bench();
    assert_eq!(host.run(&sh("kill -KILL $$")).await.unwrap().status, ExitStatus::Signal(9));
    assert_eq!(host.run(&sh("exit 7")).await.unwrap().status, ExitStatus::Code(7));
}

fn alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with(['Z', 'X']))
}

/// A command that starts a child, tells its number in `file`, and waits.
fn family(file: &str) -> Command {
    sh(&format!("trap '' TERM; sleep 600 & echo $! > {file}.tmp; mv {file}.tmp {file}; wait; sleep 600"))
}

async fn pid_in(file: &str) -> String {
    eventually("the child has started", async || fs::read_to_string(file).ok()).await.trim().to_owned()
}

#[tokio::test]
async fn all_that_a_dropped_command_started_is_ended() {
    let (host, dir) = bench();
    let file = path(&dir, "pid");
    let command = family(&file);
    let mut run = host.run(&command);
    let pid = tokio::select! {
        ended = &mut run => panic!("{ended:?}"),
        pid = pid_in(&file) => pid,
    };
    assert!(alive(&pid));
    drop(run);
    eventually("the child has ended", async || (!alive(&pid)).then_some(())).await;
}

#[tokio::test]
async fn one_that_outlives_has_ended_when_its_program_has_and_what_it_left_behind_may_still_print() {
    let (host, dir) = bench();
    let (go, made) = (path(&dir, "go"), path(&dir, "made"));
    let prints = "head -c 300000 /dev/zero && head -c 300000 /dev/zero >&2";
    let script = format!(
        "(until [ -e {go} ]; do sleep 0.02; done; {prints} && : > {made}) & echo begun; echo said >&2; exit 3"
    );
    let output = host.run(&sh(&script).outliving()).await.unwrap();
    assert_eq!((output.stdout, output.stderr), (b"begun\n".to_vec(), b"said\n".to_vec()));
    assert_eq!((output.status, output.truncated), (ExitStatus::Code(3), false));
    fs::write(&go, "").unwrap();
    eventually("it has printed", async || Path::new(&made).exists().then_some(())).await;
}

#[tokio::test]
async fn what_one_that_outlives_is_about_to_print_when_it_ends_is_read() {
    let (host, _dir) = bench();
    let output = host.run(&sh("(sleep 0.1; echo late) & echo early").outliving()).await.unwrap();
    assert_eq!(output.stdout, b"early\nlate\n");
    let long = sh("head -c 300000 /dev/zero").outliving().with_output_max(1000);
    let output = host.run(&long).await.unwrap();
    assert_eq!((output.stdout.len(), output.truncated), (1000, true));
}

#[tokio::test]
async fn what_a_command_prints_while_it_cleans_up_does_not_end_it() {
    let (host, dir) = bench();
    let cleaned = path(&dir, "cleaned");
    let script = format!("trap 'head -c 300000 /dev/zero && : > {cleaned}; exit' TERM; sleep 600 & wait");
    for command in [sh(&script), sh(&script).outliving()] {
        host.run(&command.with_timeout(Duration::from_millis(300))).await.unwrap_err();
        fs::remove_file(&cleaned).unwrap();
    }
}

#[tokio::test]
async fn at_the_deadline_a_command_may_clean_up_and_all_that_it_started_is_ended() {
    let (host, dir) = bench();
    let (file, cleaned) = (path(&dir, "pid"), path(&dir, "cleaned"));
    let script = format!(
        "trap 'touch {cleaned}; exit' TERM; (trap '' TERM; echo $(exec sh -c 'echo $PPID') > {file}; sleep 600) & wait"
    );
    let error = host.run(&sh(&script).with_timeout(Duration::from_millis(300))).await.unwrap_err();
    assert!(matches!(error, HostError::TimedOut { .. }), "{error:?}");
    assert!(Path::new(&cleaned).exists());
    let pid = pid_in(&file).await;
    eventually("the child has ended", async || (!alive(&pid)).then_some(())).await;
}

#[tokio::test]
async fn a_connector_refuses_what_a_local_host_does_not_have() {
    let spec = |text: &str| serde_json::from_str::<HostSpec>(text).unwrap();
    assert_eq!(LocalConnector.check(&spec(r#"{"connect": "local"}"#)), Ok(()));
    assert_eq!(LocalConnector.check(&spec(r#"{"connect": "local", "state_dir": "/srv/detc"}"#)), Ok(()));
    assert!(LocalConnector.check(&spec(r#"{"connect": "local", "state_dir": "detc"}"#)).is_err());
    assert!(LocalConnector.check(&spec(r#"{"connect": "local://x"}"#)).is_err());
    assert!(LocalConnector.check(&spec(r#"{"connect": "local", "identity": "id"}"#)).is_err());
}

#[tokio::test]
async fn what_is_missing_where_something_is_written_is_the_directory() {
    let (host, dir) = bench();
    let error = host.write_from(&path(&dir, "etc/s"), &b"".into(), &Ownership::default()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{} does not exist on here", path(&dir, "etc")));
}

#[tokio::test]
async fn the_connector_keeps_the_contract() {
    let with = |name: &str, value: &str| {
        let mut spec = HostSpec::local();
        spec.options.insert(name.to_owned(), value.into());
        spec
    };
    let far = HostSpec { connect: "local://elsewhere".to_owned(), ..HostSpec::local() };
    let specs = Specs::new(with("state_dir", "/var/lib/detc"))
        .refusing(with("port", "22"))
        .refusing(with("state_dir", "relative"))
        .refusing(far);
    assert_eq!(check_connector(&LocalConnector, &specs).await, []);
}
