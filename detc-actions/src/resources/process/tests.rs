//! Real processes on this machine.

use std::fs;

use super::*;
use crate::test_util::{Bench, eventually, fields};

/// A bench whose process is ended with it, also when the test fails.
struct Daemon(Bench);

impl Daemon {
    fn new(name: &str) -> Self {
        let mut bench = Bench::new(&format!("process/{name}"));
        // Looks at it are not those by which an action confirms its start.
        bench.begun_before = true;
        Self(bench)
    }

    /// The command lines of everything that carries this bench's mark, by process number.
    fn marked(&self) -> BTreeMap<u32, String> {
        let mark = Mark::new(&self.0.cx(), &serde_json::Value::Null).marker;
        let needle = format!("DETC_PROCESS={mark}");
        let mut found = BTreeMap::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
            if String::from_utf8_lossy(&read("environ")).contains(&needle) {
                found.insert(pid, String::from_utf8_lossy(&read("cmdline")).replace('\0', " "));
            }
        }
        found
    }

    fn kill(pid: u32) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).ok();
    }

    async fn pid(&self, spec: &ProcessSpec) -> Option<u32> {
        match spec.observe(&self.0.cx()).await.unwrap() {
            Observation::Present(present) => {
                Some(present.output?["pid"].as_u64().unwrap().try_into().unwrap())
            }
            _ => None,
        }
    }

    async fn create(&self, spec: &ProcessSpec) -> ProcessOutput {
        spec.create(&self.0.cx()).await.unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.marked().into_keys().for_each(Self::kill);
    }
}

fn sh(script: &str) -> ProcessSpec {
    ProcessSpec::new(["sh", "-c", script])
}

/// Runs until it is ended.
fn endless() -> ProcessSpec {
    sh("echo hello from $0; while :; do sleep 0.05; done")
}

/// The numbers of all processes of [`endless`], told from those that they fork and that have not become a program yet: each
/// start is known by its own number.
fn ours(daemon: &Daemon) -> Vec<u32> {
    let running = daemon.marked().into_iter();
    running
        .filter(|(pid, line)| line.starts_with("sh -c echo hello") && is_start(*pid))
        .map(|(pid, _)| pid)
        .collect()
}

/// Whether a process is the one that was started, by what it was given.
fn is_start(pid: u32) -> bool {
    let variables = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    variables.split(|byte| *byte == 0).any(|it| it == format!("{}_PID={pid}", mark::VARIABLE).as_bytes())
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn it_is_started_once_and_deleted_with_all_that_it_started() {
    let daemon = Daemon::new("web/1");
    let spec = sh("echo hello; sleep 600 & sleep 601");
    assert_eq!(spec.observe(&daemon.0.cx()).await.unwrap(), Observation::Absent);
    let first = daemon.create(&spec).await;
    assert_eq!(daemon.create(&spec).await, first);
    assert_eq!(daemon.pid(&spec).await, Some(first.pid));
    assert!(first.log.contains("/state/log/web_1-"), "{}", first.log);
    assert_eq!(fs::read_to_string(&first.log).unwrap(), "hello\n");
    for _ in 0..2 {
        spec.delete(&daemon.0.cx()).await.unwrap();
    }
    assert_eq!(spec.observe(&daemon.0.cx()).await.unwrap(), Observation::Absent);
    eventually("all has ended", async || daemon.marked().is_empty().then_some(())).await;
}

#[tokio::test]
async fn it_has_its_variables_directory_and_exact_arguments_and_a_session_of_its_own() {
    let daemon = Daemon::new("a");
    let dir = daemon.0.path("a dir");
    fs::create_dir(&dir).unwrap();
    let script = r#"printf '%s|' "$PWD" "$GREETING" "$PATH" "$@"; while :; do /bin/sleep 0.05; done"#;
    let spec = ProcessSpec {
        dir: Some(dir.clone()),
        env: BTreeMap::from([("GREETING".into(), "it's $me".into()), ("PATH".into(), "/nowhere".into())]),
        ..ProcessSpec::new(["/bin/sh", "-c", script, "x", "a b", "", "'\"$x`"])
    };
    let output = daemon.create(&spec).await;
    let said = fs::read_to_string(&output.log).unwrap();
    assert_eq!(said, format!("{dir}|it's $me|/nowhere|a b||'\"$x`|"));
    let stat = fs::read_to_string(format!("/proc/{}/stat", output.pid)).unwrap();
    let session = stat.rsplit_once(") ").unwrap().1.split(' ').nth(3).unwrap().to_owned();
    assert_eq!(session, output.pid.to_string());
    let status = fs::read_to_string(format!("/proc/{}/status", output.pid)).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    assert_eq!(ignored & 0x7fff_ffff, 0, "signals that people send are not ignored: {ignored:x}");
}

#[tokio::test]
async fn one_that_was_killed_is_absent_and_is_made_again_without_its_children() {
    let daemon = Daemon::new("a");
    let spec = sh("sleep 600 & while :; do sleep 0.05; done");
    let first = daemon.create(&spec).await;
    Daemon::kill(first.pid);
    eventually("how it ended is known", async || fs::read_to_string(end_file(&daemon, &spec)).ok()).await;
    eventually("it is absent", async || daemon.pid(&spec).await.is_none().then_some(())).await;
    let orphans = daemon.marked();
    assert!(orphans.values().any(|line| line.contains("600")), "{orphans:?}");
    let second = daemon.create(&spec).await;
    assert_ne!(first.started, second.started);
    let now = daemon.marked();
    assert!(!orphans.keys().any(|pid| now.contains_key(pid)), "{orphans:?} {now:?}");
}

fn end_file(daemon: &Daemon, spec: &ProcessSpec) -> String {
    let cx = daemon.0.cx();
    Keeper::new(spec, &cx).unwrap().files.record + ".end"
}

#[tokio::test]
async fn a_start_that_goes_on_after_its_process_was_ended_does_not_come_about() {
    let daemon = Daemon::new("a");
    let (spec, cx) = (endless(), daemon.0.cx());
    let first = daemon.create(&spec).await;
    let Files { record, log } = Keeper::new(&spec, &cx).unwrap().files;
    let files = Files { record, log };
    let permit = fs::read_to_string(files.permit()).unwrap();
    let mark = Mark::new(&cx, &spec.value());
    let late = async |permit: &str| {
        let start = start::command(&spec, &mark, &files, permit, 0);
        assert!(cx.host().unwrap().run(&start).await.unwrap().success());
        eventually("the start has gone its way", async || {
            // The shell that waits for a process is all that is left of its start.
            let of_starts = daemon.marked().into_values().filter(|line| line.contains("record=")).count();
            (ours(&daemon).len() == of_starts).then_some(())
        })
        .await;
        ours(&daemon)
    };
    // It was on its way when the next began, or when it was removed.
    assert_eq!(late("an earlier one").await, [first.pid]);
    spec.delete(&cx).await.unwrap();
    assert_eq!(late(&permit).await, [0; 0]);
    assert!(!fs::exists(end_file(&daemon, &spec)).unwrap());
    // The same start with its permit does come about.
    fs::write(files.permit(), "x").unwrap();
    late("x").await;
    eventually("it runs", async || ours(&daemon).first().copied()).await;
}

#[tokio::test]
async fn many_start_at_once_on_a_host_that_takes_one_call_at_a_time() {
    use detc_core::backend::{Host, LimitedHost};
    use std::num::NonZeroUsize;
    use std::sync::Arc;
    let host: Arc<dyn Host> =
        Arc::new(LimitedHost::new(Arc::new(crate::backends::LocalHost::new("here")), NonZeroUsize::MIN));
    let daemons: Vec<Daemon> =
        ["a", "b", "c"].map(|name| Daemon(Bench::new(&format!("process/{name}")).with_host(&host))).into();
    let spec = endless();
    let (a, b, c) =
        tokio::join!(daemons[0].create(&spec), daemons[1].create(&spec), daemons[2].create(&spec));
    assert!(a.pid != b.pid && b.pid != c.pid && a.pid != c.pid);
}

#[tokio::test]
async fn a_process_that_someone_else_started_is_not_ours() {
    let daemon = Daemon::new("a");
    let spec = endless();
    let mut theirs = tokio::process::Command::new("sh")
        .args(&spec.command[1..])
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let other = Daemon::new("a");
    other.create(&spec).await;
    assert_eq!(spec.observe(&daemon.0.cx()).await.unwrap(), Observation::Absent);
    spec.delete(&daemon.0.cx()).await.unwrap();
    assert!(other.pid(&spec).await.is_some());
    assert_eq!(theirs.try_wait().unwrap(), None);
}

#[tokio::test]
async fn a_start_that_was_cut_off_leads_to_no_second_one() {
    let daemon = Daemon::new("a");
    let spec = endless();
    // The manager dies at many moments of the start; the next one finds what came of it.
    for wait in [0, 2, 5, 10, 20, 50, 100] {
        let cx = daemon.0.cx();
        let started = tokio::time::timeout(Duration::from_millis(wait), spec.create(&cx)).await;
        assert!(started.is_err());
    }
    let output = daemon.create(&spec).await;
    assert_eq!(ours(&daemon), [output.pid]);
}

#[tokio::test]
async fn one_that_overwrites_its_environment_is_found_by_its_record() {
    let daemon = Daemon::new("a");
    // A program that was started without our variables stands for one that overwrote them.
    let spec = ProcessSpec::new(["env", "-i", "/bin/sh", "-c", "while :; do /bin/sleep 0.05; done"]);
    let output = daemon.create(&spec).await;
    eventually("it has lost its mark", async || (!daemon.marked().contains_key(&output.pid)).then_some(()))
        .await;
    assert_eq!(daemon.pid(&spec).await, Some(output.pid));
    assert_eq!(daemon.create(&spec).await, output);
    spec.delete(&daemon.0.cx()).await.unwrap();
    eventually("it has ended", async || {
        (!std::path::Path::new(&format!("/proc/{}/exe", output.pid)).exists()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_its_record_it_is_found_by_its_environment() {
    let daemon = Daemon::new("a");
    let spec = endless();
    let output = daemon.create(&spec).await;
    fs::remove_dir_all(daemon.0.path("state/process")).unwrap();
    assert_eq!(daemon.create(&spec).await, output);
}

#[tokio::test]
async fn another_spec_or_token_restarts_it_and_another_health_check_does_not() {
    let mut daemon = Daemon::new("a");
    let spec = endless();
    let first = daemon.create(&spec).await;
    let checked = ProcessSpec {
        health: Some(HealthSpec { command: Some(vec!["true".into()]), ..HealthSpec::default() }),
        ..spec.clone()
    };
    assert_eq!(checked.update(&daemon.0.cx()).await.unwrap(), first);
    let changed = ProcessSpec { env: BTreeMap::from([("K".into(), "v".into())]), ..spec.clone() };
    let seen = fields(changed.observe(&daemon.0.cx()).await.unwrap());
    assert!(seen.contains(r#""env":"(neither"#), "{seen}");
    let second = changed.update(&daemon.0.cx()).await.unwrap();
    assert_ne!(first.started, second.started);
    daemon.0.triggers = Some("t2".into());
    let third = changed.update(&daemon.0.cx()).await.unwrap();
    assert_ne!(second.started, third.started);
    let Observation::Present(present) = changed.observe(&daemon.0.cx()).await.unwrap() else { panic!() };
    assert_eq!((present.triggers.as_deref(), present.health), (Some("t2"), Health::None));
    assert_eq!(ours(&daemon), [third.pid]);
}

#[tokio::test]
async fn one_that_ends_at_once_fails_with_its_status_and_its_last_words() {
    let daemon = Daemon::new("a");
    let failed = async |spec: &ProcessSpec| spec.create(&daemon.0.cx()).await.unwrap_err().to_string();
    assert_eq!(
        failed(&sh("echo one; echo bad config >&2; exit 7")).await,
        "process/a ended with exit code 7 while it started; it said:\none\nbad config"
    );
    let killed = failed(&sh("echo two; kill -KILL $$")).await;
    assert_eq!(killed, "process/a ended with signal 9 while it started; it said:\ntwo");
    let missing = failed(&ProcessSpec::new(["/no/such/program"])).await;
    assert!(missing.starts_with("process/a ended with exit code 127 while it started"), "{missing}");
    assert!(missing.contains("/no/such/program"), "{missing}");
    let dir = ProcessSpec { dir: Some(daemon.0.path("no")), ..endless() };
    assert_eq!(
        failed(&dir).await,
        format!("process/a can not be started: its directory {} does not exist on here", daemon.0.path("no"))
    );
    let log = ProcessSpec { log: Some(daemon.0.path("no/log")), ..endless() };
    assert_eq!(
        failed(&log).await,
        format!(
            "process/a can not write its log: its directory {} does not exist on here",
            daemon.0.path("no")
        )
    );
}

#[tokio::test]
async fn the_last_words_are_not_asked_of_a_device_that_never_ends() {
    let daemon = Daemon::new("a");
    let spec = ProcessSpec { log: Some("/dev/full".into()), ..sh("exit 7") };
    let cx = daemon.0.cx();
    let failed = tokio::time::timeout(Duration::from_secs(5), spec.create(&cx)).await;
    let error = failed.expect("it comes to its end").unwrap_err();
    assert_eq!(error.to_string(), "process/a ended with exit code 7 while it started");
}

#[tokio::test]
async fn a_pipe_is_no_log() {
    let daemon = Daemon::new("a");
    let log = daemon.0.path("log");
    assert!(std::process::Command::new("mkfifo").arg(&log).status().unwrap().success());
    let spec = ProcessSpec { log: Some(log.clone()), ..sh("exit 7") };
    let cx = daemon.0.cx();
    let failed = tokio::time::timeout(Duration::from_secs(20), spec.create(&cx)).await;
    let error = failed.expect("it comes to its end").unwrap_err().to_string();
    let why = format!("its log {log} is a pipe or a socket, not a file");
    assert_eq!(error, format!("process/a can not be started: {why}"));
}

#[tokio::test]
async fn one_that_ends_soon_after_its_start_has_its_status_and_last_words_in_the_look_that_confirms_it() {
    let mut daemon = Daemon::new("a");
    let until_told = r#"echo one; until [ -e "$0" ]; do sleep 0.02; done; echo bad config; exit 7"#;
    let spec = ProcessSpec::new(["sh", "-c", until_told, &daemon.0.path("go")]);
    fs::create_dir_all(daemon.0.path("state/log")).unwrap();
    fs::write(daemon.0.path("state/log/a.log"), "what an earlier one said\n").unwrap();
    daemon.create(&spec).await;
    fs::write(daemon.0.path("go"), "").unwrap();
    eventually("it is gone", async || daemon.pid(&spec).await.is_none().then_some(())).await;
    daemon.0.begun_before = false;
    let error = spec.observe(&daemon.0.cx()).await.unwrap_err();
    let said = "process/a ended with exit code 7 soon after its start; it said:\none\nbad config";
    assert_eq!(error.to_string(), said);
    daemon.0.key = "another action";
    assert_eq!(spec.observe(&daemon.0.cx()).await.unwrap(), Observation::Absent);
}

#[tokio::test]
async fn one_that_does_not_become_healthy_is_stopped_and_says_why() {
    let daemon = Daemon::new("a");
    let url = format!("http://127.0.0.1:{}/", free_port());
    let health = HealthSpec { timeout_ms: Some(600), ..HealthSpec::http(&url) };
    let spec = ProcessSpec { health: Some(health), ..endless() };
    let error = spec.create(&daemon.0.cx()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(&format!("process/a is not healthy after 600 ms: GET {url}: ")), "{text}");
    assert!(text.ends_with("; it said:\nhello from sh"), "{text}");
    assert_eq!(spec.observe(&daemon.0.cx()).await.unwrap(), Observation::Absent);
}

#[tokio::test]
async fn one_whose_health_check_hangs_was_there_and_is_not_said_to_be_missing() {
    let daemon = Daemon::new("a");
    let command = Some(["sleep", "600"].map(str::to_owned).to_vec());
    let health = HealthSpec { command, timeout_ms: Some(600), ..HealthSpec::default() };
    let spec = ProcessSpec { health: Some(health), ..endless() };
    let error = spec.create(&daemon.0.cx()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "process/a is not healthy after 600 ms: its health check has not answered; it said:\nhello from sh"
    );
}

#[tokio::test]
async fn a_web_server_is_healthy_when_it_answers_and_not_while_it_hangs() {
    let daemon = Daemon::new("web");
    let port = free_port();
    let health =
        HealthSpec { timeout_ms: Some(15_000), ..HealthSpec::http(format!("http://127.0.0.1:{port}/")) };
    let spec = ProcessSpec {
        dir: Some(daemon.0.path("")),
        health: Some(health),
        ..ProcessSpec::new(["python3", "-m", "http.server", "--bind", "127.0.0.1", &port.to_string()])
    };
    let output = daemon.create(&spec).await;
    let health = async |spec: &ProcessSpec| match spec.observe(&daemon.0.cx()).await.unwrap() {
        Observation::Present(present) => present.health,
        other => panic!("{other:?}"),
    };
    assert_eq!(health(&spec).await, Health::Healthy);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(output.pid).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let impatient = HealthSpec { timeout_ms: Some(100), ..spec.health.clone().unwrap() };
    let hanging = ProcessSpec { health: Some(impatient), ..spec.clone() };
    assert_eq!(health(&hanging).await, Health::Unhealthy);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
}

#[tokio::test]
async fn it_is_asked_to_end_and_killed_when_it_does_not() {
    let daemon = Daemon::new("a");
    let polite = sh("trap 'echo bye; exit' INT; echo up; while :; do sleep 0.05; done");
    let polite =
        ProcessSpec { stop: Some(StopSpec { signal: Some("SIGINT".into()), grace_ms: None }), ..polite };
    let output = daemon.create(&polite).await;
    polite.delete(&daemon.0.cx()).await.unwrap();
    assert_eq!(fs::read_to_string(&output.log).unwrap(), "up\nbye\n");
    let stubborn = sh("trap '' TERM; while :; do sleep 0.05; done");
    let stop = StopSpec { signal: None, grace_ms: Some(100) };
    let stubborn = ProcessSpec { stop: Some(stop), ..stubborn };
    daemon.create(&stubborn).await;
    stubborn.delete(&daemon.0.cx()).await.unwrap();
    assert_eq!(stubborn.observe(&daemon.0.cx()).await.unwrap(), Observation::Absent);
}

#[test]
fn bad_fields_are_named() {
    let of = |text: &str| {
        let spec = serde_json::from_str::<ProcessSpec>(text).map_err(|error| error.to_string())?;
        spec.inspect().map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(of(r#"{"command": ["a"], "stop": {"signal": "INT"}}"#), Ok(()));
    assert_eq!(of(r#"{"command": []}"#), Err("`command` must name a program: it is an empty list".into()));
    assert!(of(r#"{"command": ["a"], "stop": {"signal": "XYZ"}}"#).unwrap_err().contains("one of TERM"));
    assert!(of(r#"{"command": ["a"], "health": {}}"#).unwrap_err().contains("exactly one"));
    assert!(of(r#"{"command": ["a"], "env": {"DETC_PROCESS": "x"}}"#).is_err());
    assert!(of(r#"{"command": ["a"], "healht": {}}"#).unwrap_err().contains("unknown field"));
}

#[tokio::test]
async fn what_is_unhealthy_is_started_anew_once_and_not_when_it_is_a_start_that_nobody_has_waited_for() {
    let mut daemon = Daemon::new("healed");
    let first = daemon.create(&endless()).await;
    daemon.0.record_with(&endless(), &first);
    assert_eq!(daemon.create(&endless()).await.started, first.started);
    (daemon.0.heals, daemon.0.key) = (true, "healing");
    let second = daemon.create(&endless()).await;
    assert_ne!(second.started, first.started);
    for key in ["healing", "healing once more"] {
        daemon.0.key = key;
        assert_eq!(daemon.create(&endless()).await.started, second.started, "{key}, after a crash");
    }
    daemon.0.record_with(&endless(), &second);
    assert_ne!(daemon.create(&endless()).await.started, second.started);
}
