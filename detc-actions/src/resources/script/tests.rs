use detc_core::action::CrashClass;
use detc_core::backend::MemoryHost;
use detc_core::backend::host::Output;
use detc_core::testing::resource::{Trial, check_resource};
use serde_json::json;

use super::*;
use crate::test_util::Bench;

fn spec(fields: &Value) -> ScriptSpec {
    let mut all = json!({ "interpreter": ["/bin/sh"] });
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

/// A host whose interpreter writes what it is given, after what is there, to the file that the script's text names.
fn host() -> MemoryHost {
    let own = Ownership::default();
    MemoryHost::new("m").with_program("sh", |_, _| Output::default()).with_program(
        "play",
        move |command, files| {
            let path = String::from_utf8(files.read(&command.argv[1]).unwrap().to_vec()).unwrap();
            files.write(&path, command.env[INPUTS].as_bytes(), &own).unwrap();
            Output { stdout: command.env[INPUTS].clone().into_bytes(), ..Output::default() }
        },
    )
}

#[tokio::test(start_paused = true)]
async fn a_script_keeps_the_contract() {
    let specs = || {
        [1, 2].map(|port| {
            let inputs = json!({ "port": port });
            json!({ "content": "/made", "interpreter": ["play"], "creates": "/made", "inputs": inputs })
        })
    };
    let removed = |host: &MemoryHost| {
        let host = host.clone();
        move || {
            host.with_files(|files| files.remove("/made", detc_core::backend::host::Remove::File)).unwrap();
        }
    };
    let trial = || {
        let host = host();
        let tamper = removed(&host);
        Trial::in_memory(host, specs()).tampered("somebody removes what it made", tamper)
    };
    assert_eq!(check_resource::<ScriptSpec>(trial).await, []);
}

#[tokio::test]
async fn it_is_given_its_inputs_and_what_it_prints_is_its_result() {
    let mut bench = Bench::new("script/s");
    let text = b"printf '{\"given\": %s, \"also\": \"%s\"}' \"$DETC_INPUTS\" \"$A\"; echo said >&2";
    let source = Source { path: "s.sh".into(), digest: bench.blob(text) };
    let spec = spec(&json!({
        "source": source, "inputs": { "port": 80, "names": ["a b", "'"] }, "env": { "A": "x" },
    }));
    let output = spec.create(&bench.cx()).await.unwrap();
    assert_eq!(output.result, json!({ "given": { "port": 80, "names": ["a b", "'"] }, "also": "x" }));
}

#[tokio::test]
async fn its_text_is_sent_once_and_is_nobody_elses() {
    let bench = Bench::new("script/s");
    let spec = ScriptSpec::new("echo '[1]'");
    for _ in 0..2 {
        assert_eq!(spec.create(&bench.cx()).await.unwrap().result, json!([1]));
    }
    let kept: Vec<_> = std::fs::read_dir(bench.path("state/scripts")).unwrap().map(Result::unwrap).collect();
    let [kept] = kept.as_slice() else { panic!("{kept:?}") };
    use std::os::unix::fs::MetadataExt as _;
    let meta = kept.metadata().unwrap();
    assert_eq!(meta.mode() & 0o777, 0o600);
    // It was not written again.
    let before = (meta.ino(), meta.mtime_nsec());
    spec.update(&bench.cx()).await.unwrap();
    let meta = kept.metadata().unwrap();
    assert_eq!((meta.ino(), meta.mtime_nsec()), before);
}

#[tokio::test]
async fn what_prints_nothing_has_no_result_and_what_prints_no_json_has_failed() {
    let bench = Bench::new("script/s");
    assert_eq!(ScriptSpec::new(":").create(&bench.cx()).await.unwrap().result, Value::Null);
    let error = ScriptSpec::new("echo it works").create(&bench.cx()).await.unwrap_err();
    let wanted = "script/s was done, and what it printed is not one JSON value:\nit works";
    assert_eq!(error.to_string(), wanted);
    assert!(error.hint().unwrap().contains("standard error"));
    let error = ScriptSpec::new("echo no >&2; exit 4").create(&bench.cx()).await.unwrap_err();
    assert_eq!(error.to_string(), "`/bin/sh` of script/s ended with exit code 4:\nno");
}

#[tokio::test]
async fn its_guard_has_the_inputs_too() {
    let bench = Bench::new("script/s");
    let guard = "test \"$DETC_INPUTS\" = '{\"a\":1}'";
    let unless =
        |a: u32| spec(&json!({ "content": ":", "inputs": { "a": a }, "unless": ["sh", "-c", guard] }));
    assert!(matches!(unless(1).observe(&bench.cx()).await.unwrap(), Observation::Present(_)));
    assert!(matches!(unless(2).observe(&bench.cx()).await.unwrap(), Observation::Needed(_)));
}

#[test]
fn a_bad_field_is_named_and_the_guard_tells_how_its_outcome_is_found() {
    let of = |fields: Value| spec(&fields).inspect().map(|it| it.crash).map_err(|error| error.to_string());
    assert_eq!(of(json!({ "content": "" })), Ok(CrashClass::AtMostOnce));
    assert_eq!(of(json!({ "content": "", "creates": "/x" })), Ok(CrashClass::DeterministicName));
    for (fields, why) in [
        (json!({}), "`content` is missing: give it, or `source`"),
        (
            json!({ "content": "", "interpreter": [] }),
            "`interpreter` must name a program: it is an empty list",
        ),
        (
            json!({ "content": "", "env": { "DETC_INPUTS": "" } }),
            "`env` can not set DETC_INPUTS: that has the `inputs`",
        ),
        (
            json!({ "content": "", "inputs": { "a": "x".repeat(INPUTS_LEN_MAX) } }),
            "`inputs` have 102408 bytes, and at most 102400 can be given: put them into a `file`",
        ),
    ] {
        assert_eq!(of(fields).unwrap_err(), why);
    }
}

#[tokio::test]
async fn a_sensitive_text_is_on_the_host_only_while_it_runs() {
    let mut bench = Bench::new("script/s");
    bench.sensitive = vec!["content".parse().unwrap()];
    let kept = || std::fs::read_dir(bench.path("state/scripts")).map_or(0, |dir| dir.count());
    let text = "ls \"$(dirname \"$0\")\" | wc -l; exit $(printenv CODE)";
    let with = |code: &str| spec(&json!({ "content": text, "env": { "CODE": code } }));
    assert_eq!(with("0").create(&bench.cx()).await.unwrap().result, json!(1));
    assert_eq!(kept(), 0);
    let error = with("3").update(&bench.cx()).await.unwrap_err();
    assert!(error.to_string().contains("ended with exit code 3"), "{error}");
    assert_eq!(kept(), 0);
    let nowhere = spec(&json!({ "content": text, "dir": bench.path("none") }));
    nowhere.create(&bench.cx()).await.unwrap_err();
    assert_eq!(kept(), 0);
}

#[tokio::test]
async fn a_sensitive_source_is_on_the_host_only_while_it_runs() {
    let mut bench = Bench::new("script/s");
    bench.sensitive = vec!["source".parse().unwrap()];
    let source = Source { path: "s.sh".into(), digest: bench.blob(b"echo 1") };
    let spec = spec(&json!({ "source": source }));
    assert_eq!(spec.create(&bench.cx()).await.unwrap().result, json!(1));
    assert_eq!(std::fs::read_dir(bench.path("state/scripts")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_sensitive_result_is_not_told_when_it_fails() {
    let mut bench = Bench::new("script/s");
    for path in ["result", "result.a"] {
        bench.sensitive = vec![path.parse().unwrap()];
        for text in ["printf '{\"a\": \"hush\"}'; exit 3", "echo hush", "echo hush; kill -9 $$"] {
            let error = spec(&json!({ "content": text })).create(&bench.cx()).await.unwrap_err();
            let told = error.full_message();
            assert!(!told.contains("hush") && told.contains("sensitive"), "{told}");
        }
    }
}
