//! Ways between random states, of which a rehearsal shows that they come to the same end from each of their points.

use super::*;
use crate::plan::Random;

/// A state of six servers in one of its many shapes, each of which names only those before it.
fn random(random: &mut Random) -> Desired {
    const CLASSES: [CrashClass; 4] = [
        CrashClass::DeterministicName,
        CrashClass::FindableByTag,
        CrashClass::AtMostOnce,
        CrashClass::IdempotencyKey,
    ];
    let mut desired = Desired::new();
    for who in 0..6_u64 {
        let mut draw = |below: u64| random.next() % below;
        if draw(4) == 0 {
            continue;
        }
        let class = CLASSES[(who % 4) as usize];
        let before: Vec<ResourceId> = desired.resources.keys().cloned().collect();
        // Of what can not be found out, nobody tells the output, either.
        let is_told = |id: &ResourceId| id.name() != "s2";
        let mut earlier = || before.get(draw(before.len().max(1) as u64) as usize).cloned();
        let (used, waited, watched) = (earlier(), earlier(), earlier());
        let from = used.filter(is_told).filter(|_| draw(2) == 0);
        let uses = from
            .map_or(serde_json::Value::Null, |from| serde_json::json!({ "from": from, "output": "port" }));
        let is_blind = matches!(class, CrashClass::AtMostOnce | CrashClass::IdempotencyKey);
        let fields =
            serde_json::json!({ "version": draw(2), "class": class, "is_blind": is_blind, "uses": uses });
        let mut one = DesiredResource::from_value("server", &format!("s{who}"), &fields).unwrap();
        one = one.label("app", "web");
        if let Some(id) = waited.filter(|_| draw(2) == 0) {
            one = one.after(&id);
        }
        if let Some(id) = watched.filter(|_| draw(3) == 0) {
            one = one.restart_on(&id);
        }
        desired = desired.with(one);
    }
    desired
}

/// Rehearses ways between random states from these seeds. Returns how many deaths were tried, and what went wrong.
async fn campaign(seeds: std::ops::Range<u64>) -> (usize, Vec<String>) {
    let (mut deaths, mut wrong) = (0, Vec::new());
    for seed in seeds {
        let mut drawn = Random(seed);
        let [from, mut to] = [random(&mut drawn), random(&mut drawn)];
        if seed % 2 == 0 {
            let few = (drawn.next() % 4) as i64;
            let bounds = [InvariantBound::AtLeast(few), InvariantBound::AtMost(few + 3)];
            to.invariants = bounds.map(available).to_vec();
        }
        let found: &[&str] = if seed % 3 == 0 { &["server/s0", "server/s1"] } else { &[] };
        let (manager, _) = after_finding(&from, found).await;
        let Ok(planned) = manager.plan(&to).await else { continue };
        // One that does not hold before may hold half way, and then what is left is refused.
        if planned.refusal().is_some() || planned.plan.proofs.iter().any(|proved| !proved.held_before()) {
            continue;
        }
        let options = RehearsalOptions::default();
        let rehearsal = manager.rehearse(&planned, &to, &Selection::all(), options).await.unwrap();
        deaths += rehearsal.deaths;
        wrong.extend(
            rehearsal.violations.iter().take(1).map(|(point, what)| format!("seed {seed}, {point}: {what}")),
        );
    }
    (deaths, wrong)
}

/// One is restarted that nobody can look at, and it dies in the midst of that: the next plan restarts no other beside it.
#[tokio::test]
async fn beside_what_nobody_can_look_at_and_may_be_half_done_no_other_is_taken_away() {
    let (deaths, wrong) = campaign(558..559).await;
    assert!(deaths > 40 && wrong.is_empty(), "{deaths}: {wrong:?}");
}

/// What happens once is cut off, and settled: it is in doubt no longer, so that others may be restarted.
#[tokio::test]
async fn what_is_settled_is_not_half_done_any_more() {
    for seed in [20, 84, 462] {
        let (deaths, wrong) = campaign(seed..seed + 1).await;
        assert!(deaths > 10 && wrong.is_empty(), "{deaths}: {wrong:?}");
    }
}

/// `DETC_SEEDS=FROM..TO cargo test -p detc-core --all-features --lib random_ways -- --nocapture` tries others.
#[tokio::test]
async fn random_ways_come_to_the_same_end_from_each_of_their_points() {
    let given = std::env::var("DETC_SEEDS").ok();
    let given = given.as_deref().and_then(|seeds| seeds.split_once(".."));
    let (from, to) = given.map_or((0, 40), |(from, to)| (from.parse().unwrap(), to.parse().unwrap()));
    let (deaths, wrong) = campaign(from..to).await;
    println!("{deaths} deaths from seeds {from}..{to}");
    assert!(deaths > 10 * (to - from) as usize, "only {deaths} deaths");
    assert!(
        wrong.is_empty(),
        "{} of {} go wrong:\n{}\nOne again: DETC_SEEDS=SEED..SEED+1 cargo test -p detc-core --all-features --lib random_ways",
        wrong.len(),
        to - from,
        wrong.join("\n")
    );
}
