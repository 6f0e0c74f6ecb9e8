//! The laws of what is touched: a kind says which places it reads and writes, and order follows from that alone.

use super::note;
use super::stage::Stage;
use crate::action::Place;
use crate::testing::Violation;
use crate::testing::calls::{MAKE_DIR, READ, REMOVE, STAT, Touched};

/// That a step, called so, has read and changed nothing but what the spec of this index declares, and what detc keeps for itself.
///
/// What lies above a declared place may be looked at, but not read. What a command or a backend that is no host touches has no
/// path, and is not seen.
pub(super) fn check(
    stage: &Stage<'_>,
    (at, step): (usize, &str),
    calls: &[Touched],
    found: &mut Vec<Violation>,
) {
    const WRITTEN: &str = "what is written is declared";
    const SEEN: &str = "what is read is declared";
    let Ok(footprint) = stage.footprint(at) else { return };
    if footprint.more {
        return;
    }
    let state_dir = Place::path(&stage.trial.state_dir);
    let written = || footprint.writes.iter().chain([&state_dir]);
    let known = || written().chain(&footprint.reads).chain(&footprint.sweeps);
    let is_declared = |call: &Touched| {
        let place = Place::path(&call.path);
        let is_within = |outer: &Place| place == *outer || place.lies_within(outer);
        let leads_to = |inner: &Place| inner.lies_within(&place);
        match call.what {
            STAT => known().any(|declared| is_within(declared) || leads_to(declared)),
            READ => known().any(is_within),
            // The missing parents of what is made are made with it.
            MAKE_DIR => written().any(|declared| is_within(declared) || leads_to(declared)),
            REMOVE => written().chain(&footprint.sweeps).any(is_within),
            _ if call.is_of_file() => written().any(is_within),
            _ => true,
        }
    };
    for call in calls.iter().filter(|call| !is_declared(call)) {
        let (law, verb, declared) = match call.changes {
            true => (WRITTEN, "writes", words(footprint.writes.iter())),
            false => {
                let read = footprint.reads.iter().chain(&footprint.writes);
                (SEEN, "reads or writes", words(read))
            }
        };
        note(found, law, format!("{step} does {call}, and says that it {verb} {declared}"));
    }
}

fn words<'p>(places: impl Iterator<Item = &'p Place>) -> String {
    let places: Vec<String> = places.map(ToString::to_string).collect();
    if places.is_empty() { "nothing".to_owned() } else { places.join(", ") }
}
