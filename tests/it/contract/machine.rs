//! The kinds for what a machine has beside files and processes: lines of files, scripts, accounts, packages, archives; and
//! what it is: facts.

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

/// A package of Debian that nothing else needs: whatever becomes of a test, it is gone when that ends.
struct Hello;

impl Hello {
    fn purge() {
        let _gone = Command::new("dpkg").args(["--purge", "hello"]).output();
    }

    fn version() -> Option<String> {
        let said = Command::new("hello").arg("--version").output().ok()?;
        Some(String::from_utf8(said.stdout).unwrap())
    }
}

impl Drop for Hello {
    fn drop(&mut self) {
        Self::purge();
    }
}

#[test]
fn a_package_is_installed_from_the_archive_of_the_host_and_removed() {
    let place = Place::new();
    Hello::purge();
    let _gone_in_the_end = Hello;
    let desire = |fields: &Value| {
        let mut hello = json!({ "kind": "package", "name": "p", "package": "hello" });
        hello.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        place.desire(&[hello]);
    };
    desire(&json!({}));
    place.apply();
    assert!(Hello::version().unwrap().contains("GNU Hello"));
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    let shown = Command::new("dpkg-query").args(["-W", "-f", "${Version}", "hello"]).output().unwrap();
    let version = String::from_utf8(shown.stdout).unwrap();
    desire(&json!({ "version": version }));
    place.apply();
    desire(&json!({ "version": "0-none" }));
    place.fleet(&["apply", "--yes"]).exits(1).shows("0-none");
    assert!(Hello::version().is_some());
    // Drift: somebody removes it.
    desire(&json!({ "version": version }));
    Hello::purge();
    place.fleet(&["plan", "--detailed-exitcode"]).exits(2);
    place.apply();
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert!(Hello::version().is_none());
}

#[test]
fn an_archive_is_unpacked_kept_and_replaced_by_another() {
    let place = Place::new();
    let pack = |files: &[(&str, &str)]| {
        let _none = std::fs::remove_dir_all(place.path("src"));
        for (name, text) in files {
            let path = place.path("src").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let (to, from) = (place.text("app.tar.gz"), place.text("src"));
        let packed = Command::new("tar").args(["-czf", &to, "-C", &from, "."]).status().unwrap();
        assert!(packed.success());
    };
    pack(&[("bin/app", "one"), ("conf", "x")]);
    place.desire(&[
        json!({ "kind": "archive", "name": "app", "path": place.text("opt/app"), "source": "app.tar.gz" }),
        json!({ "kind": "command", "name": "c", "run": [place.text("opt/app/bin/app")], "creates": place.text("opt/app/bin/app") }),
    ]);
    place.apply();
    assert_eq!((place.read("opt/app/bin/app"), place.read("opt/app/conf")), ("one".into(), "x".into()));
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    place.write("opt/app/conf", "drifted");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(2).shows("(1 of 2 files changed: conf)");
    place.apply();
    pack(&[("bin/app", "two")]);
    place.fleet(&["plan", "--detailed-exitcode"]).exits(2);
    place.apply();
    assert_eq!(place.read("opt/app/bin/app"), "two");
    assert!(!place.path("opt/app/conf").exists());
    std::os::unix::fs::symlink("/etc/passwd", place.path("src/link")).unwrap();
    let packed =
        Command::new("tar").current_dir(place.dir()).args(["-cf", "app.tar.gz", "-C", "src", "."]).status();
    assert!(packed.unwrap().success());
    place.fleet(&["apply", "--yes"]).exits(1).shows("`./link`, which is a symbolic link");
    assert_eq!(place.read("opt/app/bin/app"), "two");
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert!(!place.path("opt/app").exists());
}

#[test]
fn facts_are_used_by_others_and_are_as_they_are_now() {
    let place = Place::new();
    place.write("t", "{{ cpus }} {{ name }} {{ disk }}\n");
    let fact = |output: &str| json!({ "from": "facts/here", "output": output });
    place.desire(&[
        json!({ "kind": "facts", "name": "here" }),
        json!({
            "kind": "file", "name": "f", "path": place.text("f"),
            "template": {
                "source": "t",
                "vars": { "cpus": fact("cpus"), "name": fact("hostname"), "disk": fact("disks.0.path") },
            },
        }),
    ]);
    place.apply();
    let said = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let start = format!("{} {} /", said("nproc", &[]), said("uname", &["-n"]));
    assert!(place.read("f").starts_with(&start), "{} {start}", place.read("f"));
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert!(!place.path("f").exists());
}

#[test]
fn a_service_is_unknown_before_anything_is_done_where_no_systemd_is_in_charge() {
    let place = Place::new();
    if std::path::Path::new("/run/systemd/system").exists() {
        // Here it is in charge: a unit that there is not is told instead, and nothing is changed.
        place.desire(&[json!({ "kind": "service", "name": "s", "unit": "detc-none.service" })]);
        place.fleet(&["apply", "--yes"]).exits(1).shows("there is no unit detc-none.service");
        return;
    }
    place.desire(&[json!({ "kind": "service", "name": "s", "unit": "cron.service" })]);
    place.fleet(&["plan"]).shows("no systemd in charge").shows("`process`");
}
