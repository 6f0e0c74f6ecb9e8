//! Commands: run, guarded, in doubt.

use super::*;
use crate::test_util::{Bench, eventually};

#[tokio::test]
async fn it_is_done_when_its_path_is_there() {
    let bench = Bench::new("command/c");
    let creates = bench.path("made");
    let spec = CommandSpec { creates: Some(creates.clone()), ..CommandSpec::new(["touch", &creates]) };
    assert_eq!(spec.observe(&bench.cx()).await.unwrap(), Observation::Absent);
    spec.create(&bench.cx()).await.unwrap();
    assert_eq!(spec.observe(&bench.cx()).await.unwrap(), Observation::Present(Present::new()));
}

#[tokio::test]
async fn a_command_that_does_not_make_what_it_should_has_failed() {
    let bench = Bench::new("command/c");
    let creates = bench.path("made");
    let spec = CommandSpec { creates: Some(creates.clone()), ..CommandSpec::new(["true"]) };
    let error = spec.create(&bench.cx()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("command/c ended well, and {creates} is not there"));
}

#[tokio::test]
async fn a_test_tells_whether_it_is_done() {
    let bench = Bench::new("command/c");
    let unless = |argv: &[&str]| CommandSpec {
        unless: Some(argv.iter().map(|&text| text.to_owned()).collect()),
        ..CommandSpec::new(["true"])
    };
    let seen = unless(&["true"]).observe(&bench.cx()).await.unwrap();
    assert_eq!(seen, Observation::Present(Present::new()));
    for (argv, why) in [
        (&["false"][..], "its `unless`, `false`, ended with exit code 1"),
        (
            &["sh", "-c", "echo out; echo a >&2; echo the table is missing >&2; exit 3"],
            "its `unless`, `sh`, ended with exit code 3: the table is missing",
        ),
        (&["detc-no-such-program"], "its `unless` can not be run: there is no detc-no-such-program"),
    ] {
        assert_eq!(unless(argv).observe(&bench.cx()).await.unwrap(), Observation::Needed(why.to_owned()));
    }
    let seen = CommandSpec::new(["true"]).observe(&bench.cx()).await.unwrap();
    assert_eq!(seen, Observation::Unobservable);
}

#[tokio::test]
async fn its_output_is_exact_and_it_has_its_variables_and_directory() {
    let bench = Bench::new("command/c");
    let spec = CommandSpec {
        env: BTreeMap::from([("GREETING".into(), "hello".into())]),
        dir: Some(bench.path("")),
        ..CommandSpec::new(["sh", "-c", "touch here; printf ' %s \\n\\n' \"$GREETING $1\"", "sh", "$x;y"])
    };
    let output = spec.create(&bench.cx()).await.unwrap();
    assert_eq!(output, CommandOutput { stdout: " hello $x;y \n\n".into(), code: 0 });
    assert!(std::path::Path::new(&bench.path("here")).exists());
}

#[tokio::test]
async fn a_failure_tells_the_code_and_what_was_said() {
    let bench = Bench::new("command/c");
    let spec = CommandSpec::new(["sh", "-c", "echo out; echo wrong >&2; exit 3"]);
    let error = spec.create(&bench.cx()).await.unwrap_err();
    assert_eq!(error.to_string(), "`sh` of command/c ended with exit code 3:\nwrong");
}

#[tokio::test]
async fn a_command_out_of_time_has_an_unknown_outcome() {
    let bench = Bench::new("command/c");
    let spec = CommandSpec { timeout_ms: Some(30), ..CommandSpec::new(["sleep", "600"]) };
    let error = spec.create(&bench.cx()).await.unwrap_err();
    assert_eq!(error.class(), detc_core::action::ErrorClass::OutcomeUnknown);
    assert_eq!(error.to_string(), "`sleep` of command/c was ended after its `timeout_ms`, 30 ms");
    assert!(error.hint().unwrap().contains("timeout_ms"));
}

/// A command that leaves a line, in a place where an earlier try of it may still be under way.
fn tried_before() -> (Bench, CommandSpec) {
    let mut bench = Bench::new("command/c");
    bench.begun_before = true;
    let (made, runs) = (bench.path("made"), bench.path("runs"));
    let argv = ["sh", "-c", "echo ran >> \"$1\"; : > \"$0\"", &made, &runs];
    let spec = CommandSpec { creates: Some(made.clone()), ..CommandSpec::new(argv) };
    (bench, spec)
}

fn runs(bench: &Bench) -> usize {
    std::fs::read_to_string(bench.path("runs")).map_or(0, |text| text.lines().count())
}

#[tokio::test]
async fn what_an_earlier_try_did_since_the_last_look_is_not_done_again() {
    let (bench, spec) = tried_before();
    std::fs::write(bench.path("made"), "").unwrap();
    let error = spec.create(&bench.cx()).await.unwrap_err();
    assert_eq!(error.class(), detc_core::action::ErrorClass::OutcomeUnknown);
    assert_eq!(error.to_string(), "an earlier try of command/c has done it meanwhile");
    assert_eq!(runs(&bench), 0);
    std::fs::remove_file(bench.path("made")).unwrap();
    spec.create(&bench.cx()).await.unwrap();
    spec.update(&bench.cx()).await.unwrap();
    assert_eq!(runs(&bench), 2);
}

/// Runs a command with the mark of this resource, while `meanwhile` is done.
async fn while_one_runs(bench: &Bench, meanwhile: impl AsyncFnOnce()) {
    let cx = bench.cx();
    let mut slow = Command::new(["sh", "-c", "echo begun; exec sleep 600"]);
    slow.env.insert(orphan::VARIABLE.to_owned(), orphan::mark(&cx));
    let host = cx.host().unwrap();
    tokio::select! {
        ended = host.run(&slow) => panic!("{ended:?}"),
        () = async {
            eventually("it runs", async || orphan::find(&cx, "sh").await.unwrap().map(drop)).await;
            meanwhile().await;
        } => {}
    }
}

#[tokio::test]
async fn a_try_that_still_runs_is_waited_for_and_then_named() {
    let (bench, spec) = tried_before();
    let impatient = CommandSpec { timeout_ms: Some(1), ..spec };
    while_one_runs(&bench, async || {
        for error in [impatient.create(&bench.cx()).await, impatient.update(&bench.cx()).await] {
            let error = error.unwrap_err();
            assert!(error.to_string().ends_with("started, still runs after 1 ms"), "{error}");
            assert!(error.hint().unwrap().contains("`kill -TERM -"), "{error:?}");
        }
    })
    .await;
    assert_eq!(runs(&bench), 0);
}

#[tokio::test]
async fn a_command_of_another_store_is_not_waited_for() {
    let (bench, spec) = tried_before();
    let (other, _) = tried_before();
    while_one_runs(&other, async || drop(spec.create(&bench.cx()).await.unwrap())).await;
    assert_eq!(runs(&bench), 1);
}

#[test]
fn how_its_outcome_is_found_out_follows_from_the_guard() {
    let class = |text: &str| {
        let spec: CommandSpec = serde_json::from_str(text).unwrap();
        spec.inspect().map(|footprint| footprint.crash).map_err(|error| error.to_string())
    };
    assert_eq!(class(r#"{"run": ["a"]}"#), Ok(CrashClass::AtMostOnce));
    assert_eq!(class(r#"{"run": ["a"], "creates": "/x"}"#), Ok(CrashClass::DeterministicName));
    assert_eq!(class(r#"{"run": ["a"], "unless": ["b"]}"#), Ok(CrashClass::CompareAndSet));
    assert_eq!(class(r#"{"run": []}"#), Err("`run` must name a program: it is an empty list".to_owned()));
    assert!(class(r#"{"run": ["a"], "unless": ["b"], "creates": "/x"}"#).is_err());
    let own = class(r#"{"run": ["a"], "env": {"DETC_COMMAND": "x"}}"#).unwrap_err();
    assert_eq!(own, "`env` can not set DETC_COMMAND: it is detc's own");
}

#[test]
fn an_apply_has_the_time_that_the_spec_gives_it() {
    let lasts = |text: &str| {
        let spec: CommandSpec = serde_json::from_str(text).unwrap();
        spec.inspect().unwrap().lasts_ms_max
    };
    assert_eq!(lasts(r#"{"run": ["a"], "timeout_ms": 7200000}"#), Some(14_400_000));
    assert_eq!(lasts(&format!(r#"{{"run": ["a"], "timeout_ms": {}}}"#, u64::MAX)), Some(u64::MAX));
    assert_eq!(lasts(r#"{"run": ["a"]}"#), None);
}

#[tokio::test]
async fn a_sensitive_output_is_not_told_when_it_fails() {
    let mut bench = Bench::new("command/c");
    bench.sensitive = vec!["stdout".parse().unwrap()];
    for (end, how) in [("exit 3", "exit code 3"), ("kill -9 $$", "signal 9")] {
        let spec = CommandSpec::new(["sh", "-c", &format!("echo hush; {end}")]);
        let error = spec.create(&bench.cx()).await.unwrap_err().full_message();
        let told = "what it said is not told: its output is sensitive";
        assert_eq!(error, format!("`sh` of command/c ended with {how}; {told}"));
    }
}

#[tokio::test]
async fn an_unless_that_a_signal_ended_says_nothing() {
    let bench = Bench::new("command/c");
    let unless = ["sh", "-c", "kill -9 $$"].map(str::to_owned).to_vec();
    let spec = CommandSpec { unless: Some(unless), ..CommandSpec::new(["true"]) };
    let seen = spec.observe(&bench.cx()).await.unwrap();
    assert_eq!(seen, Observation::Unknown("its `unless`, `sh`, was ended by signal 9".to_owned()));
}

#[test]
fn a_variable_that_holds_a_nul_byte_is_refused() {
    let env = BTreeMap::from([("A".to_owned(), "a\0b".to_owned())]);
    let error = CommandSpec { env, ..CommandSpec::new(["true"]) }.inspect().unwrap_err();
    assert_eq!(error.to_string(), "`env` must not hold a NUL byte, as `A` does");
}
