//! Desired states that nobody writes on purpose, or somebody does.

use serde_json::json;

use crate::support::{Place, Ran};

#[track_caller]
fn plan(name: &str, content: impl AsRef<[u8]>) -> Ran {
    let place = Place::new();
    place.write(name, content);
    place.fleet(&["-f", name, "plan"]).exits(64).complains(name)
}

fn value(input: &str) -> String {
    format!(
        "{{\"version\": 1, \"resources\": [{{\"kind\": \"value\", \"name\": \"v\", \"input\": {input}}}]}}"
    )
}

#[test]
fn what_is_as_deep_as_it_may_be_is_kept_and_removed_again() {
    let place = Place::new();
    let deep = |word: &str| "[".repeat(64) + word + &"]".repeat(64);
    place.write("detc.json", value(&deep("1")));
    place.apply();
    place.write("detc.json", value(&deep("2")));
    place.fleet(&["plan", "--out", "p"]).exits(0);
    place.fleet(&["apply", "p", "--yes"]).exits(0);
    place.fleet(&["show", "run-2"]).exits(0);
    place.fleet(&["destroy", "--yes"]).exits(0);
}

#[test]
fn what_is_too_deep_too_long_or_too_much_is_refused() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    plan("s.json", value(&deep)).complains("nested too deeply");
    for levels in [65, 120, 125, 126, 127, 128] {
        let deep = "[".repeat(levels) + &"]".repeat(levels);
        plan("s.json", value(&deep))
            .complains("s.json:1: value/v: `input`: is nested too deeply: more than 64 levels");
    }
    plan("s.yaml", format!("version: 1\nresources:\n- {{kind: value, name: v, input: {deep}}}\n"));
    plan("s.toml", format!("version = 1\n[[resources]]\nkind = \"value\"\nname = \"v\"\ninput = {deep}\n"));
    let long = value("1").replace("\"v\"", &format!("\"{}\"", "a".repeat(2_000_000)));
    plan("s.json", long).complains("too long");
    let mut bomb = "version: 1\nx0: &x0 [a,a,a,a,a,a,a,a,a,a]\n".to_owned();
    for level in 1..12 {
        let ten = vec![format!("*x{}", level - 1); 10].join(",");
        bomb.push_str(&format!("x{level}: &x{level} [{ten}]\n"));
    }
    plan("s.yaml", bomb);
}

#[test]
fn what_is_no_text_no_number_or_no_name_is_refused() {
    plan(
        "s.json",
        b"{\"version\": 1, \"resources\": [{\"kind\": \"value\", \"name\": \"\xff\", \"input\": 1}]}",
    )
    .complains("UTF-8");
    plan("s.json", value("\"\\ud800\"")).complains("value/v");
    plan("s.json", value("1e999")).complains("value/v");
    plan("s.json", value("{\"a\": 1, \"a\": 2}")).complains("`a` is given twice");
    plan("s.json", value("1").replace("\"v\"", "\"a\\u0000b\"")).complains("control characters");
    plan("s.json", value("1").replace("\"v\"", "\"a b\"")).complains("white space");
    plan("s.yaml", "").complains("version");
    plan("s.toml", "").complains("version");
}

#[test]
fn the_mark_of_a_sensitive_value_can_not_be_forged() {
    let mark = format!("{{\"x\": [{{\"$sensitive\": \"{}\"}}]}}", "0".repeat(64));
    plan("s.json", value(&mark)).complains("value/v").complains("$sensitive");
}

#[test]
fn a_byte_order_mark_is_no_error() {
    let place = Place::new();
    place.write("s.json", format!("\u{feff}{}", value("1")));
    place.fleet(&["-f", "s.json", "plan"]).exits(0);
}

#[test]
fn a_mistake_in_yaml_tells_its_line_once() {
    let ran = plan("s.yaml", "version: 1\nresources: [\n");
    assert_eq!(ran.err.matches("line").count(), 0, "{}", ran.err);
}

#[test]
fn a_source_that_is_no_regular_file_is_refused_at_once() {
    let place = Place::new();
    assert!(std::process::Command::new("mkfifo").arg(place.path("fifo")).status().unwrap().success());
    std::fs::create_dir(place.path("dir")).unwrap();
    for source in ["fifo", "dir", "/dev/zero"] {
        place.desire(&[json!({ "kind": "file", "name": "f", "path": place.text("f"), "source": source })]);
        place.fleet(&["plan"]).exits(64).complains("file/f").complains(source);
    }
}

#[test]
fn what_can_not_be_observed_is_named_also_when_only_results_are_told() {
    let place = Place::new();
    std::fs::create_dir(place.path("d")).unwrap();
    place.desire(&[json!({ "kind": "file", "name": "f", "path": place.text("d"), "content": "" })]);
    place.fleet(&["-q", "apply", "--yes"]).exits(1).shows("file/f").shows("is a directory");
    assert!(place.path("d").is_dir());
}

#[test]
fn output_that_can_not_be_written_is_a_failure_and_told() {
    let place = Place::new();
    place.desire(&[]);
    for args in [&["plan"][..], &["--json", "plan"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ended = place.command(args).stdout(full).output().unwrap();
        assert_eq!(ended.status.code(), Some(1));
        let err = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(err.contains("standard output"), "{args:?} says {err:?}");
    }
}
