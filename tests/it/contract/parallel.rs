//! How much is at work at once.

use serde_json::json;

use crate::support::Place;

#[test]
fn as_many_are_at_work_at_once_as_are_asked_for_and_never_more() {
    for (parallel, commands) in [(2, 6), (12, 14)] {
        let place = Place::new();
        // Each waits until so many have begun, and a while in which one more would begin, too.
        let script = format!(
            "echo + >> ledger; until [ $(grep -c + ledger) -ge {parallel} ]; do sleep 0.05; done; \
             sleep 0.3; echo - >> ledger; : > $0"
        );
        let command = |index: usize| {
            let name = format!("c{index}");
            json!({
                "kind": "command", "name": name, "dir": place.text(""), "creates": place.text(&name),
                "run": ["/bin/sh", "-c", script, name], "timeout_ms": 30_000,
            })
        };
        place.desire(&(0..commands).map(command).collect::<Vec<_>>());
        place.fleet(&["--parallel", &parallel.to_string(), "apply", "--yes"]).exits(0);
        let (mut at_work, mut most) = (0, 0);
        for line in place.read("ledger").lines() {
            at_work = if line == "+" { at_work + 1 } else { at_work - 1 };
            most = at_work.max(most);
        }
        assert_eq!((at_work, most), (0, parallel));
    }
}
