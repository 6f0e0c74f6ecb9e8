//! Hosts that print without end, and hosts that never answer: each call on one comes to an end, and takes no more memory than others.

use std::future::Future;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command as Process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use detc_actions::backends::SshConnector;
use detc_actions::resources::{self, CommandSpec, FileSpec};
use detc_core::backend::host::{Command, Ownership, Remove};
use detc_core::backend::{Host, HostError};
use detc_core::content::Content;
use detc_core::execute::DriverOptions;
use detc_core::manage::{Manager, ManagerOptions};
use detc_core::model::{Desired, DesiredResource, HostSpec};
use detc_core::resource::Registry;
use detc_core::store::memory::MemoryStore;

use crate::sshd::Sshd;
use crate::support::connect;

/// More than any of these needs: two windows of a connection, what a thousand answers may hold, and the program itself.
const PEAK_MIB_MAX: u64 = 120;

/// Set in a process that has nothing to do but one test.
const ALONE: &str = "DETC_SSH_ALONE";

/// Whether this process has nothing else to do, so that its memory is that of the test called `test`. Otherwise one that has is
/// started, and must end well.
#[track_caller]
fn is_alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let own = std::env::current_exe().unwrap();
    let ran = Process::new(own).args(["--exact", test, "--nocapture"]).env(ALONE, "1").output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    false
}

/// The most memory that this process has had.
#[track_caller]
fn is_small() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_mib = peak.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() >> 10;
    eprintln!("{peak_mib} MiB at most");
    assert!(peak_mib < PEAK_MIB_MAX, "{peak_mib} MiB");
}

/// No call on a host may take longer here than `patience`.
async fn within<T>(patience: Duration, what: &str, call: impl Future<Output = T>) -> T {
    tokio::time::timeout(patience, call).await.unwrap_or_else(|_| panic!("{what} goes on for {patience:?}"))
}

/// All that can be asked of a host, each by its name; every one must fail in time.
async fn all_fail(host: &dyn Host, patience: Duration) {
    let (small, large) = (Content::from(&b"small"[..]), Content::from(vec![7; 8 << 20]));
    let (own, mut nowhere) = (Ownership::default(), tokio::io::sink());
    let (command, asking) = (Command::new(["true"]), Command::new(["true"]).asking());
    let at = "/tmp/detc-test-of-hosts-that-do-not-answer";
    let run = async |command: &Command| host.run(command).await.map(drop);
    tokio::join!(
        fails("run", patience, run(&command)),
        fails("ask", patience, run(&asking)),
        fails("ask as well", patience, run(&asking)),
    );
    fails("look", patience, async { host.stat("/").await.map(drop) }).await;
    fails("read", patience, async { host.read_to("/etc/passwd", 1 << 20, &mut nowhere).await.map(drop) })
        .await;
    fails("write", patience, host.write_from(at, &small, &own)).await;
    fails("write what is large", patience, host.write_from(at, &large, &own)).await;
    fails("make a directory", patience, host.make_dir(at, &own)).await;
    fails("remove", patience, host.remove(at, Remove::Tree)).await;
}

async fn fails(what: &str, patience: Duration, call: impl Future<Output = Result<(), HostError>>) {
    let began = tokio::time::Instant::now();
    let error = within(patience, what, call).await.unwrap_err();
    eprintln!("{what}: {:.1} s, {error}", began.elapsed().as_secs_f64());
}

/// Hosts on which the login shell, or what is in its place, prints and prints.
const ENDLESS: [&str; 3] =
    ["ForceCommand exec yes", "ForceCommand exec cat /dev/zero", "ForceCommand exec yes >&2"];

#[tokio::test]
async fn a_login_that_prints_without_end_is_given_up() {
    if !is_alone("hostile::a_login_that_prints_without_end_is_given_up") {
        return;
    }
    for endless in ENDLESS {
        for becoming in [None, Some("nobody")] {
            let sshd = Sshd::with_config(&[endless]);
            let mut spec = sshd.spec();
            if let Some(user) = becoming {
                spec["become"] = user.into();
            }
            eprintln!("{endless}, {becoming:?}");
            all_fail(&*connect(&spec).await.unwrap(), Duration::from_secs(20)).await;
        }
    }
    is_small();
}

#[tokio::test]
async fn output_without_end_is_dropped_and_others_are_answered() {
    if !is_alone("hostile::output_without_end_is_dropped_and_others_are_answered") {
        return;
    }
    let sshd = Sshd::start();
    let host = connect(&sshd.spec()).await.unwrap();
    let yes = Command::new(["yes"]).with_timeout(Duration::from_secs(2));
    let both = Command::new(["sh", "-c", "yes & exec yes >&2"]).with_timeout(Duration::from_secs(2));
    let mut asked = tokio::task::JoinSet::new();
    for command in [yes.clone(), both.clone(), yes.asking(), both.asking()] {
        let host = Arc::clone(&host);
        asked.spawn(async move {
            let ended = within(Duration::from_secs(30), "output", host.run(&command)).await;
            assert!(matches!(ended, Err(HostError::TimedOut { .. })), "{command:?}: {ended:?}");
        });
    }
    for at in 0..40 {
        let host = Arc::clone(&host);
        asked.spawn(async move {
            let echo = Command::new(["echo", &at.to_string()]).asking();
            let said = within(Duration::from_secs(30), "an answer", host.run(&echo)).await;
            assert_eq!(said.unwrap().stdout, format!("{at}\n").into_bytes());
            assert!(host.stat("/").await.unwrap().is_some());
        });
    }
    asked.join_all().await;
    is_small();
}

/// One that takes connections, and says to each what `say` says, over and over.
fn talker(say: &'static [u8], first: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.1.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut caller, _)) = listener.accept() {
            std::thread::spawn(move || {
                let mut alright = caller.write_all(first);
                while alright.is_ok() {
                    alright = caller.write_all(&say.repeat(1000));
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn who_talks_without_end_instead_of_shaking_hands_can_not_be_reached() {
    if !is_alone("hostile::who_talks_without_end_instead_of_shaking_hands_can_not_be_reached") {
        return;
    }
    let sshd = Sshd::start();
    for (say, first) in [
        (&b"y\n"[..], &b""[..]),
        (b"y", b""),
        (b"y\n", b"SSH-2.0-OpenSSH_9.2\r\n"),
        // Packets that are well-formed, and say nothing.
        (b"\0\0\0\x0c\x0a\x02\0\0\0\0\0\0\0\0\0\0", b"SSH-2.0-OpenSSH_9.2\r\n"),
    ] {
        let mut spec = sshd.spec();
        spec["connect"] = format!("ssh://root@127.0.1.1:{}", talker(say, first)).into();
        let error = within(Duration::from_secs(25), "a handshake", connect(&spec)).await.unwrap_err();
        assert!(matches!(error, HostError::Unreachable { .. }), "{error:?}");
        eprintln!("{error}");
    }
    is_small();
}

/// Once they are connected to, the clock goes as fast as there is nothing else to do.
#[tokio::test]
async fn a_host_that_stands_still_is_given_up() {
    let sshd = Sshd::start();
    let host = connect(&sshd.spec()).await.unwrap();
    assert!(host.stat("/").await.unwrap().is_some());
    sshd.stand_still();
    tokio::time::pause();
    all_fail(&*host, Duration::from_secs(300)).await;
}

/// In the place of `sudo`, it says nothing.
fn silent_sudo(dir: &Path) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let sudo = dir.join("sudo");
    std::fs::write(&sudo, "#!/bin/sh\nexec sleep 600\n").unwrap();
    std::fs::set_permissions(&sudo, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("SetEnv PATH={}:/usr/bin:/bin", dir.display())
}

/// It takes a minute: the host lives, and only its shell does not begin.
#[tokio::test]
async fn a_shell_that_never_begins_is_given_up() {
    const PATIENCE: Duration = Duration::from_secs(100);
    let bin = tempfile::tempdir().unwrap();
    let becomes = silent_sudo(bin.path());
    let (hangs, becoming) =
        (Sshd::with_config(&["ForceCommand exec sleep 600"]), Sshd::with_config(&[&becomes]));
    let mut spec = becoming.spec();
    spec["become"] = "nobody".into();
    let (hangs, becoming) = (connect(&hangs.spec()).await.unwrap(), connect(&spec).await.unwrap());
    let (command, asking) = (Command::new(["true"]), Command::new(["true"]).asking());
    let run = async |host: &Arc<dyn Host>, command: &Command| {
        within(PATIENCE, "a command", host.run(command)).await.unwrap_err().full_message()
    };
    let (one, two, three, four, five) = tokio::join!(
        run(&hangs, &command),
        run(&hangs, &asking),
        run(&becoming, &command),
        run(&becoming, &asking),
        async { within(PATIENCE, "a look", becoming.stat("/")).await.unwrap_err().full_message() },
    );
    for said in [one, two, three, four] {
        assert!(said.contains("said nothing within 60 s"), "{said}");
    }
    assert!(five.contains("said nothing within 60 s"), "{five}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_a_host_that_does_not_answer_is_unknown_and_the_rest_is_looked_at() {
    let sshds = [Sshd::start(), Sshd::start(), Sshd::with_config(&["ForceCommand exec sleep 600"])];
    let mut desired = Desired::new();
    for (sshd, name) in sshds.iter().zip(["well", "still", "mute"]) {
        let spec: HostSpec = serde_json::from_value(sshd.spec()).unwrap();
        desired = desired.host(name, spec);
        for at in 0..200 {
            let path = sshd.path(&format!("home/{at}")).display().to_string();
            let mut command = CommandSpec::new(["true"]);
            command.unless = Some(vec!["test".to_owned(), "-e".to_owned(), path.clone()]);
            let (file, asked) = (format!("{name}/f{at}"), format!("{name}/c{at}"));
            desired = desired
                .with(DesiredResource::new(&file, &FileSpec::new(path, "some\n")).on(name))
                .with(DesiredResource::new(&asked, &command).on(name));
        }
    }
    let registry = resources::register(Registry::new()).with_connector(SshConnector::default());
    let driver = DriverOptions::default().with_check_timeout(Duration::from_secs(10));
    let options = ManagerOptions::default().with_driver(driver).with_connect_timeout(Duration::from_secs(5));
    let manager = Manager::open(Arc::new(MemoryStore::new()), registry, options).await.unwrap();
    sshds[1].stand_still();
    let began = Instant::now();
    let planned = within(Duration::from_secs(60), "a plan", manager.plan(&desired)).await.unwrap();
    eprintln!("{:.1} s", began.elapsed().as_secs_f64());
    let unknown: Vec<String> = planned.plan.unknown().map(|change| format!("{change:?}")).collect();
    let well = unknown.iter().find(|change| change.contains("well/"));
    assert_eq!(well, None, "what answers is looked at");
    assert_eq!(unknown.len(), 800, "all of two hosts");
}
