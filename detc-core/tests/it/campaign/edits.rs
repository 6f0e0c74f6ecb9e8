//! The process dies, and when the next one begins something else is desired: whatever was in flight, in the end there is what
//! is desired last, and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use detc_core::action::CrashClass;
use detc_core::model::{Desired, DesiredResource};
use detc_core::store::Store;
use detc_core::store::memory::MemoryStore;

use super::parts::{Part, Site, dies, heal};
use super::{Random, sized};

/// How an outcome is found out of what can be looked at.
const CLASSES: [CrashClass; 3] =
    [CrashClass::DeterministicName, CrashClass::FindableByTag, CrashClass::CompareAndSet];

const PARTS: usize = 4;

/// A process that lives so long is mostly at its end.
const POINTS_MAX: usize = 60;

/// What is desired, and what there is when that is so: the version and the mould of each part.
#[derive(Default)]
struct Wanted {
    desired: Desired,
    things: BTreeMap<String, (u32, u32)>,
}

impl Wanted {
    fn any(random: &mut Random) -> Self {
        let mut wanted = Self::default();
        for at in 0..PARTS {
            if random.below(4) == 0 {
                continue;
            }
            let (name, class) = (format!("p{at}"), CLASSES[at % CLASSES.len()]);
            let (version, mould) = (random.below(3) as u32, u32::from(random.below(5) == 0));
            let part = DesiredResource::new(&name, &Part { version, mould, class });
            wanted.desired = wanted.desired.with(part);
            wanted.things.insert(name, (version, mould));
        }
        wanted
    }
}

/// How many processes died.
async fn life(seed: u64) -> usize {
    let mut random = Random(seed);
    let (site, store) = (Arc::new(Site::default()), Arc::new(MemoryStore::new()) as Arc<dyn Store>);
    let at_once = 1 + random.below(4);
    let mut died = 0;
    for round in 0..2 {
        let mut wanted = Wanted::default();
        for _ in 0..=random.below(4) {
            wanted = Wanted::any(&mut random);
            let points = 1 + random.below(POINTS_MAX) as u64;
            died += usize::from(dies(&site, &store, &wanted.desired, (at_once, points)).await);
            tokio::time::sleep(std::time::Duration::from_secs(20)).await;
        }
        if random.below(3) == 0 {
            wanted = Wanted::default();
        }
        if let Err(error) = heal(&site, &store, &wanted.desired, at_once).await {
            panic!("seed {seed}, round {round}: {error}");
        }
        let things = site.state().things.clone();
        let there = things.iter().map(|(name, thing)| (name.clone(), (thing.version, thing.mould)));
        let again = "DETC_CAMPAIGN=full cargo test -p detc-core --all-features --test it campaign::edits";
        assert_eq!(
            there.collect::<BTreeMap<_, _>>(),
            wanted.things,
            "seed {seed}, round {round}; again: {again}"
        );
    }
    died
}

#[tokio::test(start_paused = true)]
async fn what_was_in_flight_and_is_no_longer_desired_is_gone_however_often_it_was_edited() {
    let lives = sized(300, 20_000);
    let mut died = 0;
    for seed in 0..lives {
        died += life(seed).await;
    }
    assert!(died as u64 > lives, "only {died} deaths");
    println!("{lives} lives, {died} deaths between edits: nothing left behind, nothing lost");
}
