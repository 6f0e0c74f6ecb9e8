//! Who decides a field, and what a resource is called: nothing is made anew, and nobody is written over, for either.

use serde_json::{Value, json};

use crate::support::Place;

fn file(place: &Place, owner: &Value) -> Value {
    json!({
        "kind": "file", "name": "f", "path": place.text("f"), "content": "ours", "mode": "0640",
        "ownership": { "mode": owner },
    })
}

fn mode(place: &Place) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(place.path("f")).unwrap().permissions().mode() & 0o7777
}

fn set_mode(place: &Place, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(place.path("f"), std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_seeded_or_yielded_field_is_set_once_and_then_left_to_others() {
    for owner in [json!("seed"), json!({ "yield": "operator" })] {
        let place = Place::new();
        place.desire(&[file(&place, &owner)]);
        place.apply();
        assert_eq!(mode(&place), 0o640, "{owner}");
        set_mode(&place, 0o604);
        place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
        let status = place.fleet(&["--json", "status"]).exits(0).json();
        assert_eq!(status["resources"][0]["state"], "present", "{owner}");
        let who = owner["yield"].as_str().unwrap_or("somebody else");
        let detail = format!("`mode` is as {who} has it, and not as recorded");
        assert_eq!(status["resources"][0]["detail"], detail);
        place.write("f", "drifted");
        place.apply();
        assert_eq!((place.read("f").as_str(), mode(&place)), ("ours", 0o604), "{owner}");
    }
}

#[test]
fn a_field_of_one_s_own_is_drift_when_others_set_it() {
    let place = Place::new();
    place.desire(&[file(&place, &json!("own"))]);
    place.apply();
    set_mode(&place, 0o604);
    let status = place.fleet(&["--json", "status"]).exits(0).json();
    assert_eq!(status["resources"][0]["state"], "drifted");
    place.fleet(&["plan", "--detailed-exitcode"]).exits(2).shows("\"0604\" → \"0640\" (drift)");
    place.apply();
    assert_eq!(mode(&place), 0o640);
}

#[test]
fn an_observed_field_is_never_set() {
    let place = Place::new();
    place.write("f", "theirs");
    set_mode(&place, 0o604);
    place.desire(&[file(&place, &json!("observe"))]);
    place.apply();
    assert_eq!((place.read("f").as_str(), mode(&place)), ("ours", 0o604));
    set_mode(&place, 0o600);
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_renamed_resource_is_neither_removed_nor_made() {
    let place = Place::new();
    let plain =
        |name: &str| json!({ "kind": "file", "name": name, "path": place.text("f"), "content": "ours" });
    place.desire(&[plain("old")]);
    place.apply();
    let before = std::fs::metadata(place.path("f")).unwrap().modified().unwrap();
    let mut new = plain("new");
    new["renamed_from"] = "file/old".into();
    place.desire(&[new]);
    place.fleet(&["plan"]).exits(0).shows("~ record file/new").shows("it was file/old").hides("delete");
    place.apply();
    assert_eq!(std::fs::metadata(place.path("f")).unwrap().modified().unwrap(), before);
    place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    let status = place.fleet(&["--json", "status"]).exits(0).json();
    let ids: Vec<&Value> = status["resources"].as_array().unwrap().iter().map(|it| &it["resource"]).collect();
    assert_eq!(ids, [&json!("file/new")]);
    place.fleet(&["destroy", "--yes"]).exits(0);
    assert!(!place.path("f").exists());
}
