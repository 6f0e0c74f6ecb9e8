//! A desired state file whose hosts are reached by SSH: first run, second run with nothing to do, drift, a host that is down.

use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use crate::support::{Place, at_terminal};

#[path = "../../detc-actions/tests/ssh/sshd.rs"]
mod sshd;

#[path = "../../detc-actions/tests/ssh/wire.rs"]
mod wire;

use sshd::{Sshd, keygen};
use wire::Wire;

fn resources(place: &Place, hosts: &[&str]) -> Vec<Value> {
    let of = |host: &&str| {
        let dir = place.text(host);
        [
            json!({"kind": "directory", "name": format!("{host}/dir"), "host": host, "path": dir, "mode": "0750"}),
            json!({"kind": "file", "name": format!("{host}/conf"), "host": host, "path": format!("{dir}/conf"),
                "content": format!("of {host}\n"), "mode": "0640"}),
            json!({"kind": "command", "name": format!("{host}/stamp"), "host": host,
                "run": ["sh", "-c", "echo once >>\"$1\"", "sh", format!("{dir}/stamp")],
                "creates": format!("{dir}/stamp"), "after": [format!("file/{host}/conf")]}),
        ]
    };
    hosts.iter().flat_map(of).collect()
}

fn desire(place: &Place, sshds: &[(&str, &Sshd)]) {
    let hosts: serde_json::Map<String, Value> =
        sshds.iter().map(|(name, sshd)| ((*name).to_owned(), sshd.spec())).collect();
    let names: Vec<&str> = sshds.iter().map(|(name, _)| *name).collect();
    let all = json!({"version": 1, "hosts": hosts, "resources": resources(place, &names)});
    place.write("detc.json", serde_json::to_vec_pretty(&all).unwrap());
}

#[test]
fn hosts_by_ssh_are_brought_to_the_desired_state_and_kept_there() {
    let place = Place::new();
    let (one, two) = (Sshd::start(), Sshd::start());
    desire(&place, &[("h1", &one), ("h2", &two)]);
    let first = place.fleet(&["--json", "apply", "--yes"]).exits(0).json();
    assert_eq!((&first["outcome"], &first["actions"]["done"]), (&json!("done"), &json!(6)));
    assert_eq!((place.read("h1/conf"), place.read("h2/stamp")), ("of h1\n".to_owned(), "once\n".to_owned()));
    place.apply().shows("Nothing to do");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    place.write("h2/conf", "edited\n");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(2).shows("file/h2/conf");
    place.apply();
    assert_eq!((place.read("h2/conf"), place.read("h2/stamp")), ("of h2\n".to_owned(), "once\n".to_owned()));
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert!(!place.path("h1/conf").exists());
}

#[test]
fn a_host_that_is_down_is_unknown_and_stops_only_what_is_on_it() {
    let place = Place::new();
    let (one, mut two) = (Sshd::start(), Sshd::start());
    desire(&place, &[("h1", &one), ("h2", &two)]);
    place.apply();
    two.stop();
    place.write("h1/conf", "edited\n");
    place.write("h2/conf", "edited\n");
    place.fleet(&["apply", "--yes"]).shows("h2 can not be reached");
    assert_eq!((place.read("h1/conf"), place.read("h2/conf")), ("of h1\n".to_owned(), "edited\n".to_owned()));
    let status = place.fleet(&["--json", "status"]).json();
    let state = |resource: &str| {
        let all = status["resources"].as_array().unwrap();
        all.iter().find(|entry| entry["resource"] == resource).unwrap()["state"].clone()
    };
    assert_eq!((state("file/h1/conf"), state("file/h2/conf")), (json!("present"), json!("unknown")));
    two.run();
    place.apply();
    assert_eq!(place.read("h2/conf"), "of h2\n");
}

#[test]
fn a_large_file_is_sent_once_and_not_again_for_its_mode() {
    const LEN: usize = 70 << 20;
    let (place, sshd) = (Place::new(), Sshd::start());
    let content = |version: u8| -> Vec<u8> { (0..LEN).map(|at| (at % 251) as u8 ^ version).collect() };
    place.write("big", content(0));
    let desire = |mode: &str| {
        let file = |host: &str| {
            json!({"kind": "file", "name": host, "host": host, "path": place.text(&format!("{host}.copy")), "source": "big",
                "mode": mode})
        };
        let hosts = json!({"here": {"connect": "local"}, "h1": sshd.spec()});
        let all = json!({"version": 1, "hosts": hosts, "resources": [file("here"), file("h1")]});
        place.write("detc.json", serde_json::to_vec(&all).unwrap());
    };
    let copies = ["here.copy", "h1.copy"];
    let inodes = || copies.map(|copy| std::fs::metadata(place.path(copy)).unwrap().ino());
    desire("0644");
    place.apply();
    assert!(copies.iter().all(|copy| std::fs::read(place.path(copy)).unwrap() == content(0)));
    place.apply().shows("Nothing to do");
    let before = inodes();
    desire("0600");
    place.apply();
    assert_eq!(inodes(), before, "the very files got another mode");
    place.write("h1.copy", "edited");
    place.fleet(&["plan"]).shows("file/h1");
    place.apply();
    assert!(copies.iter().all(|copy| std::fs::read(place.path(copy)).unwrap() == content(0)));
    place.write("big", content(1));
    place.fleet(&["plan"]).shows("file/h1").shows("file/here");
    place.apply();
    assert!(copies.iter().all(|copy| std::fs::read(place.path(copy)).unwrap() == content(1)));
    place.apply().shows("Nothing to do");
}

/// Runs a program, and tells on the last line of its standard error how much memory that had at most, in KiB.
const PEAK: &str = r"
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
";

/// Applies, and says how much memory that took.
fn peak_mib_of_apply(place: &Place) -> u64 {
    let args = ["-q", "apply", "--yes"];
    let mut command = std::process::Command::new("python3");
    command.current_dir(place.dir()).args(["-c", PEAK]).arg(crate::support::fleet()).args(args);
    let ran = place.start_as(command, &args).wait().exits(0);
    ran.err.trim_end().lines().last().unwrap().parse::<u64>().unwrap() >> 10
}

#[test]
fn a_file_far_larger_than_the_memory_it_takes_is_sent_once() {
    const LEN: u64 = 300 << 20;
    /// What it takes for a file of any length, and the spare of a build that is not optimised.
    const PEAK_MIB_MAX: u64 = 100;
    let (place, sshd) = (Place::new(), Sshd::start());
    let wire = Wire::to(&sshd, || u64::MAX);
    let mut random = std::io::Read::take(std::fs::File::open("/dev/urandom").unwrap(), LEN);
    std::io::copy(&mut random, &mut std::fs::File::create(place.path("big")).unwrap()).unwrap();
    let file =
        json!({"kind": "file", "name": "big", "host": "h1", "path": place.text("copy"), "source": "big"});
    let all = json!({"version": 1, "hosts": {"h1": wire.spec(&sshd)}, "resources": [file]});
    place.write("detc.json", serde_json::to_vec(&all).unwrap());
    let first = peak_mib_of_apply(&place);
    let same = std::process::Command::new("cmp").args([place.path("big"), place.path("copy")]).status();
    assert!(same.unwrap().success());
    let sent = wire.passed().0;
    assert!((LEN..LEN * 11 / 10).contains(&sent), "{sent} bytes were sent");
    let second = peak_mib_of_apply(&place);
    let more = wire.passed().0 - sent;
    assert!(more < 100_000, "{more} bytes were sent again");
    eprintln!("{first} MiB of memory at most, and {second} MiB the second time");
    assert!(first.max(second) < PEAK_MIB_MAX, "{first} and {second} MiB");
}

/// All that is beneath a folder, as one text.
fn all_beneath(dir: &std::path::Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            all += &all_beneath(&entry.path());
        } else if let Ok(bytes) = std::fs::read(entry.path()) {
            all += &String::from_utf8_lossy(&bytes);
        }
    }
    all
}

#[test]
fn the_passphrase_of_a_key_is_typed_at_the_terminal_once_and_shown_nowhere() {
    const PASSPHRASE: &str = "open sesame";
    let place = Place::new();
    let (one, two) = (Sshd::start(), Sshd::start());
    let public = keygen(&one.path("locked"), "ed25519", PASSPHRASE);
    let mut hosts = serde_json::Map::new();
    for (name, sshd) in [("h1", &one), ("h2", &two)] {
        std::fs::write(sshd.path("authorized_keys"), format!("{public}\n")).unwrap();
        let mut spec = sshd.spec();
        spec["identity"] = one.path("locked").to_str().unwrap().into();
        hosts.insert(name.to_owned(), spec);
    }
    let all = json!({"version": 1, "hosts": hosts, "resources": resources(&place, &["h1", "h2"])});
    place.write("detc.json", serde_json::to_vec_pretty(&all).unwrap());
    let asked = format!("Passphrase of {}: ", one.path("locked").display());
    // Nobody can be asked.
    let nobody = |args: &[&str]| {
        let mut command = std::process::Command::new("setsid");
        command.arg("-w").arg(crate::support::fleet()).args(args).current_dir(place.dir());
        place.start_as(command, args).wait()
    };
    nobody(&["plan"]).shows("locked has a passphrase, and none was given");
    let ran = at_terminal(&place, &[(&asked, "shut\u{15}open sesamm\u{7f}e\r")], &["-v", "apply", "--yes"])
        .exits(0);
    assert_eq!(ran.out.matches(&asked).count(), 1, "{}", ran.out);
    assert_eq!(place.read("h2/stamp"), "once\n");
    for shown in [&ran.out, &all_beneath(place.dir()), &one.log(), &two.log()] {
        assert!(!shown.contains("sesam"), "{shown}");
    }
    let ran = at_terminal(&place, &[(&asked, "open simsim\r")], &["plan"]).shows("the passphrase is wrong");
    assert_eq!(ran.out.matches(&asked).count(), 1, "one wrong answer is enough: {}", ran.out);
    at_terminal(&place, &[(&asked, "\u{4}")], &["plan"]).shows("and none was given");
    at_terminal(&place, &[(&asked, "op\u{3}")], &["apply", "--yes"]);
}

#[test]
fn a_key_that_the_agent_has_is_not_asked_for() {
    let (place, sshd) = (Place::new(), Sshd::start());
    let socket = sshd.path("agent");
    let mut agent = std::process::Command::new("ssh-agent");
    let mut agent =
        agent.arg("-D").arg("-a").arg(&socket).stdout(std::process::Stdio::null()).spawn().unwrap();
    crate::support::until("the agent listens", || socket.exists());
    let public = keygen(&sshd.path("locked"), "ed25519", "");
    std::fs::write(sshd.path("authorized_keys"), format!("{public}\n")).unwrap();
    let run = |program: &str, args: &[&str]| {
        let mut command = std::process::Command::new(program);
        let ran = command.args(args).arg(sshd.path("locked")).env("SSH_AUTH_SOCK", &socket).output().unwrap();
        assert!(ran.status.success(), "{program}: {}", String::from_utf8_lossy(&ran.stderr));
    };
    run("ssh-add", &["-q"]);
    run("ssh-keygen", &["-q", "-p", "-P", "", "-N", "open sesame", "-f"]);
    let mut spec = sshd.spec();
    spec["identity"] = sshd.path("locked").to_str().unwrap().into();
    let all = json!({"version": 1, "hosts": {"h1": spec}, "resources": resources(&place, &["h1"])});
    place.write("detc.json", serde_json::to_vec_pretty(&all).unwrap());
    std::fs::remove_file(sshd.path("locked.pub")).unwrap();
    let args = ["apply", "--yes"];
    let mut command = place.command(&args);
    command.env("SSH_AUTH_SOCK", &socket);
    let ran = place.start_as(command, &args).wait();
    let _gone = agent.kill();
    let _status = agent.wait();
    ran.exits(0);
    assert_eq!(place.read("h1/stamp"), "once\n");
}
