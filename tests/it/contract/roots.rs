//! What is changed on a host that has `roots`.

use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::support::Place;

#[test]
fn a_host_with_roots_is_changed_beneath_them_alone_and_through_no_link() {
    let place = Place::new();
    for folder in ["srv", "etc"] {
        std::fs::create_dir(place.path(folder)).unwrap();
    }
    let file = |path: &str| json!({ "kind": "file", "name": path, "path": place.text(path), "content": "x" });
    let desire = |resources: &[Value]| {
        place.desire(resources);
        let mut state: Value = serde_json::from_str(&place.read("detc.json")).unwrap();
        state["hosts"]["here"]["roots"] = json!([place.text("srv")]);
        place.write("detc.json", state.to_string());
    };
    // What detc keeps for itself is elsewhere, and is none of theirs.
    let process = json!({ "kind": "process", "name": "p", "command": ["/bin/sleep", "1000"] });
    desire(&[file("srv/a"), process.clone()]);
    place.apply();

    desire(&[file("srv/a"), file("etc/b"), process.clone()]);
    let says = format!("file/etc/b: {} is beneath none of the `roots` of host here", place.text("etc/b"));
    place.fleet(&["apply", "--yes"]).exits(64).complains(&says);

    symlink(place.path("etc"), place.path("srv/conf")).unwrap();
    desire(&[file("srv/a"), file("srv/conf/c"), process]);
    let says = format!("{} is a symbolic link", place.text("srv/conf"));
    place.fleet(&["apply", "--yes"]).exits(1).shows(&says);
    assert!(!place.path("etc/c").exists() && !place.path("etc/b").exists());
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert!(!place.path("srv/a").exists());
}
