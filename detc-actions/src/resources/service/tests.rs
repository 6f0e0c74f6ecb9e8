use std::sync::Arc;

use detc_core::backend::host::{ExitStatus, Output, Ownership};
use detc_core::backend::memory::Files;
use detc_core::backend::{Host, MemoryHost};
use detc_core::testing::resource::{Trial, check_resource};
use serde_json::{Value, json};

use super::*;
use crate::test_util::Bench;

fn text(files: &Files, path: &str) -> Option<String> {
    Some(String::from_utf8(files.read(path).ok()?.to_vec()).unwrap())
}

fn put(files: &mut Files, path: &str, text: &str) {
    files.write(path, text.as_bytes(), &Ownership::default()).unwrap();
}

/// A host with systemd and one unit, which neither runs nor is enabled. What is done to it, but for looks, is in `/log`.
fn host() -> MemoryHost {
    let host = MemoryHost::new(&crate::test_util::host_name()).with_program("systemctl", play);
    host.with_files(|files| {
        put(files, "/active", "inactive");
        put(files, "/enabled", "disabled");
        put(files, "/outdated", "no");
    });
    host
}

fn play(command: &Command, files: &mut Files) -> Output {
    let argv: Vec<&str> = command.argv.iter().map(String::as_str).collect();
    let failed =
        |said: &str| Output { status: ExitStatus::Code(1), stderr: said.into(), ..Output::default() };
    let is_known = argv.last() == Some(&"web.service") || argv[1] == "daemon-reload";
    let change = |files: &mut Files, path: &str, value: &str| put(files, path, value);
    match argv[1] {
        "show" if !is_known => {
            let said = "LoadState=not-found\nActiveState=inactive\nUnitFileState=\nNeedDaemonReload=no\n";
            return Output { stdout: said.into(), ..Output::default() };
        }
        "show" => {
            let value = |path: &str| text(files, path).unwrap();
            let (active, enabled, outdated) = (value("/active"), value("/enabled"), value("/outdated"));
            let said = format!(
                "LoadState=loaded\nActiveState={active}\nUnitFileState={enabled}\nNeedDaemonReload={outdated}\n"
            );
            return Output { stdout: said.into(), ..Output::default() };
        }
        _ if !is_known => return failed("Unit not found."),
        "start" if text(files, "/broken").is_some() => return failed("Job for web.service failed."),
        "start" | "restart" | "reload-or-restart" => change(files, "/active", "active"),
        "stop" => change(files, "/active", "inactive"),
        "enable" => change(files, "/enabled", "enabled"),
        "disable" => change(files, "/enabled", "disabled"),
        "daemon-reload" => change(files, "/outdated", "no"),
        other => panic!("{other}"),
    }
    let log = text(files, "/log").unwrap_or_default();
    put(files, "/log", &format!("{log}{} ", argv[1]));
    Output::default()
}

fn log(host: &MemoryHost) -> String {
    host.with_files(|files| text(files, "/log").unwrap_or_default())
}

fn bench(host: &MemoryHost) -> Bench {
    Bench::new("service/web").with_host(&(Arc::new(host.clone()) as Arc<dyn Host>))
}

#[tokio::test(start_paused = true)]
async fn a_service_keeps_the_contract() {
    let unit = |fields: Value| {
        let mut all = json!({ "unit": "web.service" });
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        all
    };
    let specs =
        || [json!({ "enabled": true }), json!({}), json!({ "enabled": false, "reload": true })].map(unit);
    let trial = || {
        let host = host();
        let (stopped, disabled, seen) = (host.clone(), host.clone(), host.clone());
        // How often it was started is no part of what there is.
        let world = move || {
            let dump = seen.with_files(|files| files.dump("/log"));
            dump.lines().map(|line| format!("{line}\n")).collect()
        };
        Trial::new(Arc::new(host), specs(), world)
            .tampered("somebody stops it", move || {
                stopped.with_files(|files| put(files, "/active", "failed"));
            })
            .tampered("somebody disables it", move || {
                disabled.with_files(|files| put(files, "/enabled", "disabled"));
            })
    };
    assert_eq!(check_resource::<ServiceSpec>(trial).await, []);
}

#[tokio::test]
async fn it_restarts_or_reloads_when_what_it_restarts_on_has_changed_and_systemd_reads_units_first() {
    for (reload, wanted) in [(false, "daemon-reload restart "), (true, "daemon-reload reload-or-restart ")] {
        let host = host();
        host.with_files(|files| {
            put(files, "/active", "active");
            put(files, "/outdated", "yes");
        });
        let mut bench = bench(&host);
        let spec = ServiceSpec { reload, ..ServiceSpec::new("web.service") };
        bench.record(&spec);
        bench.triggers = Some("token".to_owned());
        spec.update(&bench.cx()).await.unwrap();
        assert_eq!(log(&host), wanted);
    }
}

#[tokio::test]
async fn one_that_is_to_be_idle_is_stopped_and_stays_so_when_its_record_goes() {
    let host = host();
    host.with_files(|files| {
        put(files, "/active", "active");
        put(files, "/enabled", "enabled");
    });
    let spec = ServiceSpec { running: false, enabled: Some(false), ..ServiceSpec::new("web.service") };
    let seen = crate::test_util::fields(spec.observe(&bench(&host).cx()).await.unwrap());
    assert_eq!(seen, r#"{"enabled":true,"running":true}"#);
    spec.update(&bench(&host).cx()).await.unwrap();
    spec.delete(&bench(&host).cx()).await.unwrap();
    assert_eq!(log(&host), "disable stop ");
    // What is not there does not run either.
    let none = ServiceSpec { unit: "none.service".into(), ..spec };
    let seen = crate::test_util::fields(none.observe(&bench(&host).cx()).await.unwrap());
    assert_eq!(seen, r#"{"enabled":false,"running":false}"#);
}

#[tokio::test]
async fn a_failure_and_a_missing_unit_say_what_to_do() {
    let host = host();
    host.with_files(|files| put(files, "/broken", ""));
    let error = ServiceSpec::new("web.service").create(&bench(&host).cx()).await.unwrap_err();
    let said = "`systemctl start` of service/web ended with exit code 1:\nJob for web.service failed.";
    assert_eq!(error.to_string(), said);
    assert!(error.hint().unwrap().contains("journalctl -u web.service"));
    let error = ServiceSpec::new("none.timer").create(&bench(&host).cx()).await.unwrap_err();
    assert!(error.to_string().starts_with("service/web can not be started: there is no unit none.timer on "));
}

#[tokio::test]
async fn a_host_without_systemd_is_told_before_anything_is_done_and_process_is_named() {
    let said = "System has not been booted with systemd as init system (PID 1). Can't operate.\n";
    let said = Output { status: ExitStatus::Code(1), stderr: said.into(), ..Output::default() };
    let off = MemoryHost::new("off").with_program("systemctl", move |_, _| said.clone());
    for host in [off, MemoryHost::new("off")] {
        let seen = ServiceSpec::new("web.service").observe(&bench(&host).cx()).await.unwrap();
        let why = "off has no systemd in charge, so that it has no services: keep the program there with a `process`";
        assert_eq!(seen, Observation::Unknown(why.to_owned()));
    }
}

#[test]
fn a_unit_has_its_sort_and_is_no_option() {
    let of = |unit: &str| ServiceSpec::new(unit).inspect().map(drop);
    for good in ["a.service", "getty@tty1.service", "b.timer"] {
        assert_eq!(of(good), Ok(()), "{good}");
    }
    for bad in ["nginx", ".service", "a b.service", "a.exe", "/a.service"] {
        assert!(of(bad).unwrap_err().to_string().starts_with("`unit` must be a unit"), "{bad}");
    }
}
