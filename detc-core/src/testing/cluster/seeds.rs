//! Lives in which several things go wrong, drawn from a seed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use super::life::Life;
use super::trial::Reference;
use super::{Checked, Scenario};
use crate::plan::Random;
use crate::testing::Violation;
use crate::testing::calls::{Fault, Script};

/// How much goes wrong in one life at most.
const FAULTS_MAX: u64 = 6;

/// For how many calls what lasts does so at most.
const OUTAGE_MAX: u64 = 40;

/// Lives one life for each of the seeds: the scenario is drawn by the caller, what goes wrong in it, and where, by this. A
/// failure tells its seed, and the fewest of its faults with which it still fails. The same seed has the same life: run it on
/// a runtime of one thread, with its time paused.
///
/// # Panics
/// When time is not paused. When a life without faults goes wrong: with what is broken then.
pub async fn check_seeds(scenario: impl Fn(u64) -> Scenario, seeds: Range<u64>) -> Checked {
    let mut checked = Checked { calls: 0, lives: 0, lives_possible: 0, violations: Vec::new() };
    for seed in seeds {
        let reference = Reference::of(&scenario(seed)).await;
        let of_seed = |Violation { law, detail }| Violation { law, detail: format!("seed {seed}: {detail}") };
        checked.note(reference.broken.clone().map(of_seed));
        checked.calls += reference.calls.len();
        checked.lives += 1;
        checked.lives_possible += 1;
        let script = script(&mut Random(seed), reference.calls.len());
        if let Some(found) = reference.try_script(&scenario(seed), script.clone()).await {
            checked.note(Some(of_seed(shrunk(&reference, &|| scenario(seed), script, found).await)));
        }
    }
    checked
}

/// What happens in the life of this seed, call by call, each with what went wrong at it, and what there is in the end: the same
/// bytes for the same scenario and seed, on a runtime of one thread with its time paused.
///
/// # Panics
/// When time is not paused. When a life without faults goes wrong: with what is broken then.
pub async fn trace(scenario: impl Fn(u64) -> Scenario, seed: u64) -> String {
    let reference = Reference::of(&scenario(seed)).await;
    let script = script(&mut Random(seed), reference.calls.len());
    let scenario = scenario(seed);
    let ended = Life::new(&scenario).live(script).await;
    let met: BTreeMap<usize, Fault> = scenario.calls.met().into_iter().collect();
    let mut trace = String::new();
    for (at, call) in scenario.calls.touched().iter().enumerate() {
        let _ = match met.get(&at) {
            None => writeln!(trace, "{call}"),
            Some(fault) => writeln!(trace, "it {fault} {call}"),
        };
    }
    trace + &ended.words() + "\n" + &scenario.world()
}

/// Leaves out one fault after the other, as long as the same law is broken without it.
async fn shrunk(
    reference: &Reference,
    scenario: &impl Fn() -> Scenario,
    mut script: Script,
    mut found: Violation,
) -> Violation {
    for at in script.faults.clone().into_keys() {
        let mut fewer = script.clone();
        fewer.faults.remove(&at);
        if let Some(still) = reference.try_script(&scenario(), fewer.clone()).await
            && still.law == found.law
        {
            (script, found) = (fewer, still);
        }
    }
    found
}

/// What goes wrong in a life of so many calls.
fn script(random: &mut Random, calls: usize) -> Script {
    // Some hit a successor.
    let span = calls as u64 * 4 / 3 + 1;
    let count = 1 + random.below(FAULTS_MAX);
    let faults: BTreeMap<usize, Fault> =
        (0..count).map(|_| (random.below(span) as usize, fault(random))).collect();
    Script { faults, outage: 1 + random.below(OUTAGE_MAX) as usize }
}

fn fault(random: &mut Random) -> Fault {
    match random.below(11) {
        0 => Fault::CutBefore,
        1 => Fault::CutAfter,
        2 => Fault::AnswerLost,
        3 => Fault::Unreachable,
        4 => Fault::Refused,
        5 => Fault::Full,
        6 => Fault::Delayed,
        7 => Fault::Doubled,
        8 => Fault::Stale(1 + random.below(8) as u8),
        9 => Fault::Paused,
        _ => Fault::Clock(random.below(97) as i8 - 48),
    }
}
