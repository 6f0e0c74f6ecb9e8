//! The process dies at each point of a plan: before and after each look, each effect and each commit, which is at each event
//! of the engine; and again at each point of the recovery.

use std::sync::Arc;

use detc_core::model::Desired;
use detc_core::store::Store;
use detc_core::store::memory::MemoryStore;

use super::parts::{CLASSES, Site, dies, heal, part};
use super::sized;

/// What comes after what.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// Ten in a row at the most.
    Columns,
    /// Each comes after two of the twenty before it.
    Layers,
    /// All but the first come after it, and the last after all.
    Fan,
}

fn desired(shape: Shape, count: usize) -> Desired {
    let id = |index: usize| format!("part/p{index:03}").parse().unwrap();
    (0..count).fold(Desired::new(), |desired, index| {
        let part = part(&format!("p{index:03}"), 1, CLASSES[index % CLASSES.len()]);
        let before: Vec<usize> = match shape {
            Shape::Columns => index.checked_sub(1).filter(|_| index % 10 != 0).into_iter().collect(),
            Shape::Layers => {
                let layer = index.saturating_sub(index % 20);
                let before = |at: usize| layer.checked_sub(20).map(|first| first + at % 20);
                [before(index), before(index * 7 + 3)].into_iter().flatten().collect()
            }
            Shape::Fan if index + 1 == count => (0..index).collect(),
            Shape::Fan => (index > 0).then_some(0).into_iter().collect(),
        };
        desired.with(before.into_iter().fold(part, |part, before| part.after(&id(before))))
    })
}

/// Looks at what there is in the end: each part once, and nothing asked but where nobody can look.
fn check(site: &Site, desired: &Desired, case: &str) {
    let counts = site.counts();
    assert_eq!(counts.len(), desired.resources.len(), "{case}: something is lost");
    for (name, [made, removed]) in counts {
        assert_eq!((made, removed), (1, 0), "{case}: {name} was made {made} times");
    }
}

/// Dies after so many points, at first, and then again. How many deaths there were.
async fn life(desired: &Desired, at_once: usize, deaths: &[u64]) -> usize {
    let (site, store) = (Arc::new(Site::default()), Arc::new(MemoryStore::new()) as Arc<dyn Store>);
    let case = format!("{at_once} at once, dies after {deaths:?} points");
    let mut died = 0;
    for points in deaths {
        if !dies(&site, &store, desired, (at_once, *points)).await {
            return died;
        }
        died += 1;
        tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    }
    if let Err(error) = heal(&site, &store, desired, at_once).await {
        panic!("{case}: {error}");
    }
    check(&site, desired, &case);
    died
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_every_event_of_the_engine_in_every_shape_and_width_is_recovered_from() {
    let (count, step) = sized((30, 23), (200, 1));
    let mut deaths = 0;
    for shape in [Shape::Columns, Shape::Layers, Shape::Fan] {
        let desired = desired(shape, count);
        for at_once in [1, 8, 200] {
            let mut points = 1;
            while life(&desired, at_once, &[points]).await == 1 {
                deaths += 1;
                points += step;
            }
            assert!(points as usize > 4 * count, "{shape:?}: only {points} points");
        }
    }
    println!("{deaths} deaths of {count} actions, 3 shapes, 3 widths: 0 lost, 0 doubled");
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_every_point_of_the_recovery_from_one_at_every_point_is_recovered_from() {
    let (count, step) = sized((10, 11), (40, 1));
    let desired = desired(Shape::Layers, count);
    let (mut pairs, mut first) = (0, 1);
    loop {
        let mut second = 1;
        let died = loop {
            let died = life(&desired, 8, &[first, second]).await;
            if died < 2 {
                break died;
            }
            pairs += 1;
            second += step;
        };
        if died == 0 {
            break;
        }
        first += step;
    }
    assert!(pairs > 2 * count, "only {pairs} pairs");
    println!("{pairs} pairs of deaths of {count} actions: 0 lost, 0 doubled");
}
