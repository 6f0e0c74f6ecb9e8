//! A plan whose actions leave a line each, and what may be found in the ledger after a crash and at the end.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::at_sync::die_at_sync;
use crate::support::{Place, Ran};

pub(super) struct Ledger {
    pub(super) place: Place,
    names: Vec<String>,
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
    /// After this long.
    After(Duration),
}

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
                resource["unless"] = json!(["/bin/grep", "-qx", name, ledger]);
            }
            if let Some(above) = (index / LAYER).checked_sub(1) {
                let at = |position: usize| format!("command/{}", names[above * LAYER + position % LAYER]);
                resource["after"] = json!([at(index), at(index * 7 + 3)]);
            }
            resource
        };
        let resources: Vec<Value> = names.iter().enumerate().map(resource).collect();
        place.desire(&resources);
        Self { place, names }
    }

    /// Applies and kills. `Some`: it ended before.
    pub(super) fn apply_and_kill(&self, kill: Kill) -> Option<Ran> {
        // One by one, the same is synced in each run, and the points of one are those of all.
        let parallel = if matches!(kill, Kill::AtSync(_)) { "1" } else { "8" };
        let args = ["apply", "--yes", "-v", "--parallel", parallel];
        let mut command = self.place.command(&args);
        if let Kill::AtSync(nth) = kill {
            die_at_sync(&mut command, nth);
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
            Kill::AtSync(_) => Some(running.wait()).filter(|ran| ran.code.is_some()),
        };
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

    /// Nothing was done twice, and what the journal says was done was done. Returns how long the journal was.
    pub(super) fn check_after_kill(&self) -> usize {
        let lines = self.lines();
        let twice: Vec<_> = lines.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "done twice: {twice:?}");
        // A copy is looked at: the next `apply` must find the store as the kill left it.
        let copied = self.place.path("copied");
        fs::create_dir_all(&copied).unwrap();
        if fs::copy(self.place.path(".detc/store.redb"), copied.join("store.redb")).is_err() {
            return 0;
        }
        let shown = self.place.fleet(&["--store", "copied", "--json", "show", "run-1"]);
        if shown.code == Some(64) {
            return 0;
        }
        let mut length = 0;
        for action in shown.exits(0).json()["actions"].as_array().unwrap() {
            length +=
                usize::from(!action["started_ms"].is_null()) + usize::from(!action["ended_ms"].is_null());
            let name = action["resource"].as_str().unwrap().trim_start_matches("command/");
            let done = matches!(action["outcome"]["what"].as_str(), Some("done" | "satisfied"));
            assert!(!done || lines.contains_key(name), "{name} is recorded as done, and never was");
        }
        length
    }

    /// Everything was done once, and there is nothing left to do.
    pub(super) fn check_at_end(&self) {
        let once: BTreeMap<String, usize> = self.names.iter().map(|name| (name.clone(), 1)).collect();
        assert_eq!(self.lines(), once);
        self.place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
    }
}
