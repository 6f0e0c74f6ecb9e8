//! Commands that go on when the process that started them is killed: while one does, it is not started again.

use serde_json::{Value, json};

use crate::support::{Place, Ran, Running, until};

/// Begins, waits until it is let go, and leaves a line. What tells that it is done tells it only then. It prints all the
/// time, and whoever reads that is gone.
const SCRIPT: &str = "cut -d\" \" -f5 /proc/$$/stat > group; echo begun >> begun; until [ -e go ]; do echo out; echo err >&2; sleep 0.02; done; \
                      echo out; echo err >&2; echo x >> ledger; : > made";

struct Orphaned(Place);

/// What tells that the command is done.
fn guards(place: &Place) -> [(&'static str, Value); 2] {
    [
        ("unless", json!(["/bin/grep", "-qx", "x", place.text("ledger")])),
        ("creates", json!(place.text("made"))),
    ]
}

impl Orphaned {
    /// A command that was begun by an `apply` that was killed, with these further fields, and that still runs.
    fn new(fields: &Value) -> Self {
        Self::in_place(Place::new(), fields)
    }

    fn in_place(place: Place, fields: &Value) -> Self {
        let mut command = json!({ "kind": "command", "name": "c", "dir": place.text(""), "run": ["/bin/sh", "-c", SCRIPT] });
        command.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        place.desire(&[command]);
        let running = place.start(&["apply", "--yes"]);
        until("the command has begun", || !place.read("begun").is_empty());
        assert!(running.kill().is_none());
        assert!(!place.processes().is_empty());
        Self(place)
    }

    fn let_go(&self) {
        self.0.write("go", "");
    }

    /// Starts the program, and lets the command go when that is about to do something.
    #[track_caller]
    fn let_go_during(&self, args: &[&str]) -> Ran {
        let running: Running = self.0.start(args);
        running.saw(1, |line| line.starts_with("  … "));
        self.let_go();
        running.wait()
    }

    fn group(&self) -> String {
        self.0.read("group").trim_end().to_owned()
    }

    /// It was begun once and done once, and there is nothing left to do.
    #[track_caller]
    fn was_done_once(&self) {
        assert_eq!((self.0.read("begun").as_str(), self.0.read("ledger").as_str()), ("begun\n", "x\n"));
        self.0.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    }
}

#[test]
fn a_command_that_still_runs_after_a_kill_is_waited_for_and_not_run_again() {
    for guard in 0..2 {
        let place = Place::new();
        let (field, value) = guards(&place)[guard].clone();
        let orphaned = Orphaned::in_place(place, &json!({ field: value }));
        orphaned.let_go_during(&["apply", "--yes", "-v"]).exits(0);
        orphaned.was_done_once();
    }
}

#[test]
fn a_command_that_ended_between_a_kill_and_the_next_apply_is_not_run_again() {
    let place = Place::new();
    let [(field, value), _] = guards(&place);
    let orphaned = Orphaned::in_place(place, &json!({ field: value }));
    orphaned.let_go();
    orphaned.0.wait_for_processes();
    orphaned.0.apply();
    orphaned.was_done_once();
}

#[test]
fn a_command_that_died_with_its_manager_is_run_again_at_once() {
    let place = Place::new();
    let [(field, value), _] = guards(&place);
    let orphaned = Orphaned::in_place(place, &json!({ field: value }));
    orphaned.0.end_processes();
    orphaned.let_go();
    orphaned.0.apply();
    assert_eq!(orphaned.0.read("begun"), "begun\nbegun\n");
    assert_eq!(orphaned.0.read("ledger"), "x\n");
}

#[test]
fn a_command_that_still_runs_is_waited_for_though_its_run_was_given_up() {
    let place = Place::new();
    let [(field, value), _] = guards(&place);
    let orphaned = Orphaned::in_place(place, &json!({ field: value }));
    orphaned.let_go_during(&["apply", "--yes", "--abandon", "-v"]).exits(0);
    orphaned.was_done_once();
}

#[test]
fn a_command_that_outlasts_the_patience_of_the_next_apply_is_named_and_never_doubled() {
    let place = Place::new();
    let [(field, value), _] = guards(&place);
    let orphaned = Orphaned::in_place(place, &json!({ field: value, "timeout_ms": 200 }));
    let group = orphaned.group();
    // The second and third are new runs: they know it from the ones that failed.
    for _ in 0..3 {
        let ran = orphaned.0.fleet(&["--json", "apply", "--yes"]).exits(1).json();
        let error = format!(
            "process group {group} (`/bin/sh`), which an earlier try of command/c started, still runs after 200 ms; wait \
             for its end, or end it with `kill -TERM -{group}` on here, and apply again"
        );
        assert_eq!(ran["failures"][0]["error"], error, "{ran}");
    }
    orphaned.let_go();
    orphaned.0.wait_for_processes();
    orphaned.0.apply();
    orphaned.was_done_once();
}

#[test]
fn an_unguarded_command_that_still_runs_is_named_and_not_run_again_even_where_a_person_says_so() {
    let orphaned = Orphaned::new(&json!({}));
    let names_it = format!(
        "process group {} (`/bin/sh`), which an earlier try of command/c started, still runs",
        orphaned.group()
    );
    orphaned.0.fleet(&["apply", "--yes"]).exits(1).shows(&names_it).shows("--settle");
    orphaned.0.fleet(&["apply", "--yes", "--settle", "not-done=command/c"]).exits(1).shows(&names_it);
    orphaned.let_go();
    orphaned.0.wait_for_processes();
    assert_eq!((orphaned.0.read("begun").as_str(), orphaned.0.read("ledger").as_str()), ("begun\n", "x\n"));
}

#[test]
fn a_daemon_that_a_command_left_behind_is_not_waited_for() {
    // It leads no group, or a session that it made for itself, and then holds none of the command's outputs.
    for daemon in ["sleep 600", "setsid sleep 600 </dev/null >/dev/null 2>&1"] {
        let place = Place::new();
        let script = format!("{daemon} & echo begun >> begun; exit 1");
        place.desire(&[json!({
            "kind": "command", "name": "c", "dir": place.text(""), "creates": place.text("made"),
            "timeout_ms": 5000, "run": ["/bin/sh", "-c", script],
        })]);
        for _ in 0..2 {
            place.fleet(&["apply", "--yes"]).exits(1).shows("exit code 1");
        }
        assert_eq!(place.read("begun"), "begun\nbegun\n");
    }
}

#[test]
fn a_command_that_has_a_session_of_its_own_for_its_work_is_waited_for_while_it_waits_itself() {
    let place = Place::new();
    let (field, value) = guards(&place)[1].clone();
    let quiet = format!("setsid sh -c '{SCRIPT}' </dev/null >/dev/null 2>&1; true");
    let fields = json!({ field: value, "run": ["/bin/sh", "-c", quiet] });
    let orphaned = Orphaned::in_place(place, &fields);
    orphaned.let_go_during(&["apply", "--yes", "-v"]).exits(0);
    orphaned.was_done_once();
}

#[test]
fn a_command_that_still_runs_is_waited_for_though_a_run_that_went_well_lies_between() {
    for renamed in [false, true] {
        let place = Place::new();
        let [_, (field, value)] = guards(&place);
        let orphaned = Orphaned::in_place(place, &json!({ field: value }));
        let place = &orphaned.0;
        let mut all: Value = serde_json::from_str(&place.read("detc.json")).unwrap();
        let command = &mut all["resources"][0];
        if renamed {
            (command["name"], command["renamed_from"]) = ("other".into(), "command/c".into());
        }
        let file =
            json!({ "kind": "file", "name": "f", "host": "here", "path": place.text("f"), "content": "x" });
        all["resources"].as_array_mut().unwrap().push(file);
        place.write("detc.json", all.to_string());
        place.fleet(&["apply", "--yes", "--only", "file/f"]).exits(0);
        orphaned.let_go_during(&["apply", "--yes", "-v"]).exits(0);
        orphaned.was_done_once();
    }
}
