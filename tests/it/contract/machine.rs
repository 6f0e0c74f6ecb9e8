//! The kinds for what a machine has beside files and processes: lines of files, scripts, accounts.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::Place;

#[test]
fn lines_of_one_file_need_no_order_and_the_rest_of_it_stays_to_the_byte() {
    let place = Place::new();
    let before = b"# mine\r\nport = 1\r\n\xff";
    place.write("conf", before);
    let line = |name: &str, fields: Value| {
        let mut line = json!({ "kind": "line", "name": name, "path": place.text("conf") });
        line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        line
    };
    let mut all: Vec<Value> =
        (0..8).map(|at| line(&format!("n{at}"), json!({ "line": format!("line {at}") }))).collect();
    all.push(line(
        "block",
        json!({ "block": "a\nb\n", "marker": "# {mark} x", "insert": { "before": "^port" } }),
    ));
    place.desire(&all);
    place.apply().shows("9 of 9");
    let after = std::fs::read(place.path("conf")).unwrap();
    let text = String::from_utf8_lossy(&after).into_owned();
    assert!(text.starts_with("# mine\r\n# BEGIN x\r\na\r\nb\r\n# END x\r\nport = 1\r\n"), "{text}");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    place.write("conf", text.replace("line 3\r\n", "").replace("\r\nb\r\n", "\r\nx\r\n"));
    place
        .fleet(&["plan", "--detailed-exitcode"])
        .exits(2)
        .shows("line/n3")
        .shows("line/block")
        .hides("line/n4");
    place.apply();
    place.write("conf", after);
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert_eq!(std::fs::read(place.path("conf")).unwrap(), before);
}

#[test]
fn a_line_comes_after_the_file_that_it_is_in_and_is_shown_as_it_changes() {
    let place = Place::new();
    let desire = |port: u32| {
        place.desire(&[
            json!({
                "kind": "line", "name": "a", "path": place.text("d/f"), "line": format!("port = {port}"),
                "match": "^port",
            }),
            json!({
                "kind": "file", "name": "z", "path": place.text("d/f"), "content": "first\n",
                "ownership": { "content": "seed" },
            }),
            json!({ "kind": "directory", "name": "z", "path": place.text("d") }),
        ]);
    };
    desire(1);
    place.apply();
    assert_eq!(place.read("d/f"), "first\nport = 1\n");
    desire(2);
    place.fleet(&["plan"]).exits(0).shows("port = 1").shows("port = 2");
    place.apply();
    assert_eq!(place.read("d/f"), "first\nport = 2\n");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn what_a_script_prints_is_used_by_others_and_it_is_run_again_when_its_inputs_change() {
    let place = Place::new();
    place.write("s.sh", "echo ran >> ran; printf '{\"given\": %s}' \"$DETC_INPUTS\"");
    let desire = |port: &str| {
        place.desire(&[
            json!({
                "kind": "script", "name": "s", "source": "s.sh", "inputs": { "port": port },
                "interpreter": ["/bin/sh"], "dir": place.text(""),
            }),
            json!({
                "kind": "file", "name": "f", "path": place.text("f"),
                "content": { "from": "script/s", "output": "result.given.port" },
            }),
        ]);
    };
    desire("80");
    place.apply();
    assert_eq!(place.read("f"), "80");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    desire("81");
    place.apply();
    assert_eq!(place.read("f"), "81");
    assert_eq!(place.read("ran"), "ran\nran\n");
}

/// Accounts of this machine that a test makes: whatever becomes of it, they are gone when it ends.
struct Accounts {
    user: String,
    group: String,
}

impl Accounts {
    fn new() -> Self {
        let id = std::process::id();
        Self { user: format!("detc-u{id}"), group: format!("detc-g{id}") }
    }

    fn entry(table: &str, name: &str) -> String {
        let got = Command::new("getent").args([table, name]).output().unwrap();
        String::from_utf8(got.stdout).unwrap().trim_end().to_owned()
    }
}

impl Drop for Accounts {
    fn drop(&mut self) {
        for (program, name) in [("userdel", &self.user), ("groupdel", &self.group)] {
            let _gone = Command::new(program).arg(name).output();
        }
    }
}

#[test]
fn users_and_groups_of_the_machine_are_made_changed_and_removed() {
    let (place, accounts) = (Place::new(), Accounts::new());
    let (Accounts { user, group }, home) = (&accounts, place.text("home"));
    let desire = |shell: &str, groups: Value| {
        place.desire(&[
            json!({
                "kind": "user", "name": "u", "user": user, "group": group, "groups": groups, "shell": shell,
                "home": home, "make_home": true, "purge": true, "system": true, "comment": "of a test",
            }),
            json!({ "kind": "group", "name": "g", "group": group, "system": true }),
            json!({
                "kind": "file", "name": "f", "path": place.text("home/f"), "content": "x", "owner": user,
                "after": ["user/u"],
            }),
        ]);
    };
    desire("/bin/false", json!([]));
    place.apply();
    let passwd = Accounts::entry("passwd", user);
    assert!(passwd.ends_with(&format!(":of a test:{home}:/bin/false")), "{passwd}");
    let gid = Accounts::entry("group", group).split(':').nth(2).unwrap().to_owned();
    assert_eq!(passwd.split(':').nth(3), Some(gid.as_str()));
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    desire("/bin/sh", json!(["adm"]));
    place.fleet(&["plan"]).exits(0).shows("/bin/false").shows("adm");
    place.apply();
    assert!(Accounts::entry("passwd", user).ends_with(":/bin/sh"));
    assert!(Accounts::entry("group", "adm").contains(user));
    // Drift.
    assert!(Command::new("usermod").args(["-s", "/bin/false", user]).status().unwrap().success());
    place.fleet(&["plan", "--detailed-exitcode"]).exits(2).shows("drift");
    place.apply();
    assert!(Accounts::entry("passwd", user).ends_with(":/bin/sh"));
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert_eq!((Accounts::entry("passwd", user), Accounts::entry("group", group)), Default::default());
    assert!(!place.path("home").exists());
}
