//! A plan whose actions leave a line each, and what may be found in the ledger after a crash and at the end.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::at_sync::{die_at_sync, die_when_armed};
use crate::support::{Place, Ran};

pub(super) struct Ledger {
    pub(super) place: Place,
    names: Vec<String>,
    /// How long the journal was after the last kill; `None`: there was none.
    length: Cell<Option<usize>>,
}

/// What tells whether an action has been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// A look into the ledger.
    Unless,
    /// Nothing: at most once.
    None,
}

/// When the process is killed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kill {
    /// When it has told of so many starts and ends.
    AtPoint(usize),
    /// Just before it syncs for this time: at an exact point of its journal.
    AtSync(usize),
    /// When the first entry of its life is in the journal: just before it syncs for the first time after its first guard.
    AtEntry,
    /// After this long.
    After(Duration),
}

/// The look of a guard into the ledger. While there is a gate, it takes note of the first action that is looked for in a life, and
/// tells of no other one before the gate goes: then nothing but that action's entry can be in the first commit.
const LOOK: &str = r#"
if [ -e "$2" ]; then
    [ -e "$3" ] || echo "$0" > "$3"
    [ "$(cat "$3")" = "$0" ] || while [ -e "$2" ]; do sleep 0.01; done
fi
exec grep -qx "$0" "$1"
"#;

/// The file that is there while a life is to die at its first entry.
const GATE: &str = "gate";

/// The file that holds the name of the first action that such a life has looked for.
const FIRST: &str = "first";

/// How many actions are in a layer of the graph.
const LAYER: usize = 20;

impl Ledger {
    /// Desires so many actions, in layers: each comes after two of the layer before.
    pub(super) fn new(actions: usize, guard: Guard) -> Self {
        let place = Place::new();
        let ledger = place.text("ledger");
        let names: Vec<String> = (0..actions).map(|index| format!("a{index:03}")).collect();
        let resource = |(index, name): (usize, &String)| {
            let mut resource = json!({
                "kind": "command",
                "name": name,
                "run": ["/bin/sh", "-c", "echo \"$0\" >> \"$1\"", name, ledger],
            });
            if guard == Guard::Unless {
                resource["unless"] =
                    json!(["/bin/sh", "-c", LOOK, name, ledger, place.text(GATE), place.text(FIRST)]);
            }
            if let Some(above) = (index / LAYER).checked_sub(1) {
                let at = |position: usize| format!("command/{}", names[above * LAYER + position % LAYER]);
                resource["after"] = json!([at(index), at(index * 7 + 3)]);
            }
            resource
        };
        let resources: Vec<Value> = names.iter().enumerate().map(resource).collect();
        place.desire(&resources);
        Self { place, names, length: Cell::new(None) }
    }

    /// Applies and kills. `Some`: it ended before.
    pub(super) fn apply_and_kill(&self, kill: Kill) -> Option<Ran> {
        // One by one, the same is synced in each run, and the points of one are those of all.
        let parallel = if matches!(kill, Kill::AtSync(_) | Kill::AtEntry) { "1" } else { "8" };
        let args = ["apply", "--yes", "-v", "--parallel", parallel];
        let mut command = self.place.command(&args);
        match kill {
            Kill::AtSync(nth) => die_at_sync(&mut command, nth),
            Kill::AtEntry => {
                self.place.write(GATE, "");
                die_when_armed(&mut command, &self.place.path(FIRST));
            }
            Kill::AtPoint(_) | Kill::After(_) => {}
        }
        let running = self.place.start_as(command, &args);
        let ended = match kill {
            Kill::AtPoint(point) => {
                running.saw(point, |line| line.starts_with("  … ") || line.starts_with("  ✓ "));
                running.kill()
            }
            Kill::After(moment) => {
                running.run_for(moment);
                running.kill()
            }
            Kill::AtSync(_) | Kill::AtEntry => Some(running.wait()).filter(|ran| ran.code.is_some()),
        };
        for file in [GATE, FIRST] {
            let _was_there = fs::remove_file(self.place.path(file));
        }
        // What it had started goes on without it. The guard can tell what was done only when that has come to an end.
        self.place.wait_for_processes();
        ended
    }

    /// How often each action was done.
    pub(super) fn lines(&self) -> BTreeMap<String, usize> {
        let mut counted = BTreeMap::new();
        for line in self.place.read("ledger").lines() {
            *counted.entry(line.to_owned()).or_default() += 1;
        }
        counted
    }

    /// Nothing was done twice, what the journal says was done was done, what was done is in the journal, and that has lost nothing
    /// since the kill before. Returns how long the journal is; `None`: there is none yet, and nothing was done.
    pub(super) fn check_after_kill(&self) -> Option<usize> {
        let lines = self.lines();
        let twice: Vec<_> = lines.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "done twice: {twice:?}");
        let (before, length) = (self.length.get(), self.journal(&lines));
        assert!(length >= before, "the journal had {before:?} entries, and has {length:?}");
        assert!(length > Some(0) || lines.is_empty(), "{length:?} entries tell of {lines:?}");
        self.length.set(length);
        length
    }

    /// How many entries the journal of the first run has, which tell of no more than there is.
    fn journal(&self, lines: &BTreeMap<String, usize>) -> Option<usize> {
        let store = self.place.path(".detc/store.redb");
        if !store.exists() {
            return None;
        }
        // A copy is looked at: the next `apply` must find the store as the kill left it.
        let copied = self.place.path("copied");
        fs::create_dir_all(&copied).unwrap();
        fs::copy(store, copied.join("store.redb")).unwrap();
        let shown = self.place.fleet(&["--store", "copied", "--json", "show", "run-1"]);
        if shown.code == Some(64) {
            shown.shows("there is no run-1");
            return None;
        }
        let mut length = 0;
        for action in shown.exits(0).json()["actions"].as_array().unwrap() {
            length +=
                usize::from(!action["started_ms"].is_null()) + usize::from(!action["ended_ms"].is_null());
            let name = action["resource"].as_str().unwrap().trim_start_matches("command/");
            let done = matches!(action["outcome"]["what"].as_str(), Some("done" | "satisfied"));
            assert!(!done || lines.contains_key(name), "{name} is recorded as done, and never was");
        }
        Some(length)
    }

    /// Everything was done once, and there is nothing left to do.
    pub(super) fn check_at_end(&self) {
        let once: BTreeMap<String, usize> = self.names.iter().map(|name| (name.clone(), 1)).collect();
        assert_eq!(self.lines(), once);
        self.place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    }
}
