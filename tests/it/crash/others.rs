//! SIGKILL in the midst of an action, and somebody else is there before detc is again.

use serde_json::{Value, json};

use super::at_sync::die_at_sync;
use crate::support::Place;

/// More syncs than one action takes.
const SYNCS: usize = 20;

/// Places in which `resource` was planned into `p`, and applying that was cut off at each sync at which its making had begun
/// and was not recorded as done.
fn cut_off(resource: impl Fn(&Place) -> Value) -> Vec<Place> {
    let cut_off_at = |nth| {
        let place = Place::new();
        place.desire(&[resource(&place)]);
        place.fleet(&["plan", "--out", "p"]).exits(0);
        let args = ["apply", "p", "--yes"];
        let mut command = place.command(&args);
        die_at_sync(&mut command, nth);
        let ran = place.start_as(command, &args).wait();
        let status = place.fleet(&["--json", "status"]).exits(0).json();
        let detail = status["resources"][0]["detail"].as_str().unwrap_or_default();
        (ran.code.is_none() && detail.contains("making had begun")).then_some(place)
    };
    (1..=SYNCS).filter_map(cut_off_at).collect()
}

fn file(place: &Place) -> Value {
    json!({ "kind": "file", "name": "f", "path": place.text("f"), "content": "ours" })
}

#[test]
fn a_file_that_somebody_wrote_where_a_killed_apply_was_to_write_one_is_kept() {
    let places = || cut_off(file).into_iter().filter(|place| !place.path("f").exists());
    let mut count = 0;
    for place in places() {
        place.write("f", "theirs");
        place.fleet(&["apply", "p", "--yes"]).exits(3).shows("something else is there by now");
        assert_eq!(place.read("f"), "theirs");
        place.fleet(&["destroy", "--yes"]).exits(0);
        assert_eq!(place.read("f"), "theirs");
        count += 1;
    }
    for place in places() {
        place.write("f", "theirs");
        place.fleet(&["destroy", "--yes"]).exits(0).shows("somebody else made what is there");
        assert_eq!(place.read("f"), "theirs");
        count += 1;
    }
    for place in places() {
        place.write("f", "theirs");
        place.fleet(&["apply", "--abandon", "--yes"]).exits(0).shows("adopt file/f").shows("theirs");
        place.fleet(&["destroy", "--yes"]).exits(0);
        assert_eq!(place.read("f"), "ours", "it was shown, brought to what is desired, and is left");
        count += 1;
    }
    assert!(count >= 3, "{count}");
}

#[test]
fn what_somebody_put_into_a_purged_directory_whose_making_was_cut_off_is_kept() {
    let purged = |place: &Place| json!({ "kind": "directory", "name": "d", "path": place.text("d"), "purge": true, "mode": "0700" });
    for is_resumed in [true, false] {
        let places = cut_off(purged);
        assert!(!places.is_empty());
        for place in places {
            std::fs::create_dir_all(place.path("d")).unwrap();
            place.write("d/theirs", "theirs");
            if is_resumed {
                place.apply();
            }
            place.fleet(&["destroy", "--yes"]).exits(0).hides("with all that is in it");
            assert_eq!(place.read("d/theirs"), "theirs");
        }
        // Where nobody was there, nothing is left.
        for place in cut_off(purged) {
            if is_resumed {
                place.apply();
            }
            place.fleet(&["destroy", "--yes"]).exits(0);
            assert!(!place.path("d").exists());
        }
    }
}
