//! A service keeps a `Live`, and is told of what others change. It is not told, told twice, or told too late: two looks at
//! everything later all is as desired.

use std::sync::Arc;

use detc_core::action::CrashClass;
use detc_core::manage::{Live, Manager};
use detc_core::model::{Desired, DesiredResource, ResourceId};
use detc_core::store::Store;
use detc_core::store::memory::MemoryStore;

use super::parts::{Part, Site, manager, part};
use super::{Random, sized};

const PARTS: usize = 5;

/// How many changes there are, and so many events.
const EVENTS: usize = 12;

/// After so many looks at everything all has to be as desired.
const RESYNCS_MAX: usize = 2;

/// What becomes of an event.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Missed,
    Doubled,
    /// It comes after so many others.
    Late(usize),
}

const FATES: [Fate; 4] = [Fate::Missed, Fate::Doubled, Fate::Late(1), Fate::Late(5)];

fn id(at: usize) -> ResourceId {
    format!("part/p{at}").parse().unwrap()
}

fn wanted(at: usize, version: u32) -> DesiredResource {
    part(&format!("p{at}"), version, [CrashClass::DeterministicName, CrashClass::FindableByTag][at % 2])
}

/// What happens, from the seed of a scenario: somebody else changes a part, or has it gone, or another one is desired. Returns
/// which part it was about.
fn happens(site: &Site, live: &mut Live, random: &mut Random) -> usize {
    let (at, version) = (random.below(PARTS), random.below(3) as u32);
    match random.below(4) {
        0 => _ = site.state().things.remove(&format!("p{at}")),
        1 => live.set(wanted(at, version)),
        _ => _ = site.state().put(&format!("p{at}"), version, 0),
    }
    at
}

async fn step(live: &mut Live, manager: &Manager) -> bool {
    let planned = live.plan(manager).await.unwrap();
    let is_empty = planned.plan.is_settled();
    let _applied = live.apply(manager, planned).await.unwrap();
    is_empty
}

/// One scenario, in which this becomes of these events. How many looks at everything it took in the end.
async fn resyncs(seed: u64, fates: &[(usize, Fate)]) -> usize {
    let case = format!("seed {seed}, {fates:?}");
    let mut random = Random(seed);
    let (site, store) = (Arc::new(Site::default()), Arc::new(MemoryStore::new()) as Arc<dyn Store>);
    let manager = manager(&site, &store, 8).await.unwrap();
    let first = (0..PARTS).fold(Desired::new(), |desired, at| desired.with(wanted(at, 1)));
    let mut live = manager.live(first).await.unwrap();
    step(&mut live, &manager).await;
    // What is still to come: after how many others, and about which part.
    let mut coming: Vec<(usize, usize)> = Vec::new();
    for event in 0..EVENTS {
        let about = happens(&site, &mut live, &mut random);
        let met: Vec<Fate> = fates.iter().filter(|(at, _)| *at == event).map(|(_, fate)| *fate).collect();
        let mut copies = vec![0];
        for fate in met {
            match fate {
                Fate::Missed => copies.clear(),
                Fate::Doubled => copies.extend(copies.clone()),
                Fate::Late(by) => copies.iter_mut().for_each(|after| *after += by),
            }
        }
        coming.extend(copies.into_iter().map(|after| (event + after, about)));
        for at in coming.extract_if(.., |(due, _)| *due <= event).map(|(_, at)| at).collect::<Vec<_>>() {
            live.look(&id(at));
            step(&mut live, &manager).await;
        }
    }
    for resync in 0..=RESYNCS_MAX {
        live.look_at_all();
        if step(&mut live, &manager).await {
            for (id, asked) in &live.desired().resources {
                let part: Part = serde_json::from_value(asked.spec.value()).unwrap();
                let there = site.state().things.get(id.name()).map(|thing| thing.version);
                assert_eq!(there, Some(part.version), "{case}: {id}");
            }
            return resync;
        }
    }
    panic!("{case}: after {RESYNCS_MAX} looks at everything there is still something to do");
}

#[tokio::test(start_paused = true)]
async fn events_that_are_missed_doubled_or_late_are_made_up_for_by_two_looks_at_everything() {
    let (step, random_runs) = sized((29, 60), (1, 10_000));
    let one = |fault: usize| (fault / FATES.len(), FATES[fault % FATES.len()]);
    let faults = EVENTS * FATES.len();
    let mut runs = [0; 3];
    let mut most = 0;
    for fault in 0..faults {
        most = most.max(resyncs(fault as u64, &[one(fault)]).await);
        runs[0] += 1;
    }
    for pair in (0..faults * faults).step_by(step).filter(|pair| pair / faults < pair % faults) {
        most = most.max(resyncs(pair as u64, &[one(pair / faults), one(pair % faults)]).await);
        runs[1] += 1;
    }
    for seed in 0..random_runs {
        let mut random = Random(seed);
        let many = 1 + random.below(EVENTS);
        let fates: Vec<(usize, Fate)> = (0..many).map(|_| one(random.below(faults))).collect();
        most = most.max(resyncs(seed, &fates).await);
        runs[2] += 1;
    }
    // Without any look at everything, what was missed stays as it is.
    assert!(most >= 1, "no event was needed");
    println!(
        "{} single faults, {} pairs, {} random mixes: all as desired after at most {most} looks",
        runs[0], runs[1], runs[2]
    );
}
