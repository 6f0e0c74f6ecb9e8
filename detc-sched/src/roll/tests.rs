//! Steps played in a small world, with every promise checked after each.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::Strategy as Roll;
use super::{Approval, Goal, Health, Instance, NonZeroU32, Step, Version, Waiting, Window, step};

/// Instances by number, and how many rounds until each unhealthy one is healthy.
#[derive(Clone, Debug)]
struct World {
    instances: BTreeMap<u32, (Version, u32)>,
    next: u32,
}

impl World {
    fn new(instances: &[(bool, u32)]) -> Self {
        let version = |&is_target: &bool| if is_target { Version::Target } else { Version::Other };
        let instances: BTreeMap<u32, (Version, u32)> =
            (0..).zip(instances.iter().map(|(is_target, sick)| (version(is_target), *sick))).collect();
        Self { next: instances.len() as u32, instances }
    }

    fn report(&self) -> Vec<Instance<u32>> {
        let health = |sick: u32| if sick == 0 { Health::Healthy } else { Health::Unhealthy };
        self.instances
            .iter()
            .map(|(&id, &(version, sick))| Instance { id, version, health: health(sick) })
            .collect()
    }

    fn others(&self) -> u32 {
        self.instances.values().filter(|(version, _)| *version == Version::Other).count() as u32
    }

    fn healthy(&self) -> u32 {
        self.instances.values().filter(|(_, sick)| *sick == 0).count() as u32
    }

    fn start(&mut self, starting: u32, rounds: u32) {
        for _ in 0..starting {
            self.instances.insert(self.next, (Version::Target, rounds));
            self.next += 1;
        }
    }

    /// A round passes.
    fn tick(&mut self) {
        for (_, sick) in self.instances.values_mut() {
            *sick = sick.saturating_sub(1);
        }
    }
}

/// Plays steps until one is neither a change nor a wait for health; `outages` are what the world does in each round:
/// one of the instances becomes unhealthy for some rounds, or vanishes.
#[track_caller]
fn play(mut world: World, goal: Goal, strategy: Roll, outages: &[(u32, u32)]) -> (World, Step<u32>) {
    let mut outages = outages.iter();
    for round in 0..1_000_u32 {
        let others = world.others();
        let (floor, ceiling) = (strategy.floor(goal), strategy.ceiling(goal, others));
        let (healthy, total) = (world.healthy(), world.instances.len() as u32);
        match step(&world.report(), goal, strategy) {
            Step::Change { start, stop, replace } => {
                assert!(start as usize + stop.len() + replace.len() > 0, "an empty change");
                // All that starts before anything stops: the most there can be.
                world.start(start, 1 + round % 3);
                assert!(world.instances.len() as u32 <= ceiling.max(total), "above the ceiling");
                for id in stop {
                    assert!(world.instances.remove(&id).is_some(), "stops {id}, which is not there");
                }
                for id in replace {
                    let replaced = world.instances.insert(id, (Version::Target, 1 + round % 2));
                    let is_other = replaced.is_some_and(|(version, _)| version == Version::Other);
                    assert!(is_other, "replaces {id} in vain");
                }
                // And all that stops before anything started serves: the fewest there can be.
                assert!(world.healthy() >= floor.min(healthy), "below the floor");
            }
            Step::Wait(Waiting::Unhealthy(ids)) => {
                assert!(ids.iter().all(|id| world.instances[id].1 > 0), "waits for the healthy");
            }
            last => return (world, last),
        }
        world.tick();
        if let Some(&(which, rounds)) = outages.next()
            && let Some(&id) = world.instances.keys().nth(which as usize)
        {
            if rounds == 0 {
                world.instances.remove(&id);
            } else if let Some((_, sick)) = world.instances.get_mut(&id) {
                *sick += rounds;
            }
        }
    }
    panic!("no end: {:?}", world.report());
}

fn windows() -> impl Strategy<Value = Window> {
    (0..4_u32, 0..4_u32).prop_filter_map("no room", |(down, up)| Window::new(down, up).ok())
}

fn strategies() -> impl Strategy<Value = Roll> {
    use Roll::{BlueGreen, Canary, Rolling};
    let approval = || prop_oneof![Just(Approval::Pending), Just(Approval::Given)];
    prop_oneof![
        windows().prop_map(Rolling),
        (1..4_u32, windows(), approval()).prop_map(|(first, window, approval)| Canary {
            first: NonZeroU32::new(first).expect("at least one"),
            window,
            approval
        }),
        approval().prop_map(|approval| BlueGreen { approval }),
    ]
}

/// Approved, as by somebody who looked.
fn approved(strategy: Roll) -> Roll {
    use Roll::{BlueGreen, Canary, Rolling};
    match strategy {
        Rolling(window) => Rolling(window),
        Canary { first, window, .. } => Canary { first, window, approval: Approval::Given },
        BlueGreen { .. } => BlueGreen { approval: Approval::Given },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_roll_ends_and_never_strays_from_its_window(
        instances in prop::collection::vec((any::<bool>(), 0..4_u32), 0..10),
        count in 0..10_u32,
        strategy in strategies(),
        outages in prop::collection::vec((0..12_u32, 0..6_u32), 0..12),
    ) {
        let goal = Goal { count };
        let (mut world, mut last) = play(World::new(&instances), goal, strategy, &outages);
        if last == Step::Wait(Waiting::Unapproved) {
            prop_assert_ne!(strategy, approved(strategy), "waits for what was given");
            (world, last) = play(world, goal, approved(strategy), &outages);
        }
        prop_assert_eq!(last, Step::Done);
        let done = |instance: &Instance<u32>| {
            instance.version == Version::Target && instance.health == Health::Healthy
        };
        prop_assert!(world.report().iter().all(done));
        prop_assert_eq!(world.instances.len() as u32, count);
    }

    #[test]
    fn what_never_becomes_healthy_stops_a_roll_within_its_window(
        olds in 1..10_u32,
        window in windows(),
    ) {
        let goal = Goal { count: olds };
        let strategy = Roll::Rolling(window);
        let mut world = World::new(&vec![(false, 0); olds as usize]);
        for _ in 0..50 {
            match step(&world.report(), goal, strategy) {
                Step::Change { start, stop, replace } => {
                    world.start(start, u32::MAX);
                    world.instances.retain(|id, _| !stop.contains(id));
                    for id in replace {
                        world.instances.insert(id, (Version::Target, u32::MAX));
                    }
                }
                Step::Wait(Waiting::Unhealthy(culprits)) => {
                    prop_assert!(!culprits.is_empty());
                    prop_assert!(world.healthy() >= strategy.floor(goal));
                    return Ok(());
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert!(false, "the roll went on");
    }
}

/// The steps of a roll of healthy old instances `a`, `b`, … when all that starts is healthy at once.
#[track_caller]
fn check(olds: u32, count: u32, strategy: Roll, expected: &str) {
    let mut world = World::new(&vec![(false, 0); olds as usize]);
    let mut story = Vec::new();
    loop {
        match step(&world.report(), Goal { count }, strategy) {
            Step::Change { start, stop, replace } => {
                story.push(format!("start {start} stop {stop:?} replace {replace:?}"));
                world.start(start, 0);
                world.instances.retain(|id, _| !stop.contains(id));
                for id in replace {
                    world.instances.insert(id, (Version::Target, 0));
                }
            }
            last => {
                story.push(format!("{last:?}"));
                break;
            }
        }
    }
    assert_eq!(story.join("\n"), expected);
}

fn window(max_unavailable: u32, max_surge: u32) -> Window {
    Window::new(max_unavailable, max_surge).expect("room")
}

#[test]
fn without_surge_instances_are_replaced_where_they_are() {
    let expected = "start 0 stop [] replace [0, 1]\nstart 0 stop [] replace [2]\nDone";
    check(3, 3, Roll::Rolling(window(2, 0)), expected);
}

#[test]
fn with_surge_new_ones_come_before_old_ones_go() {
    let expected = "start 1 stop [] replace []\nstart 0 stop [0] replace []\n\
                    start 1 stop [] replace []\nstart 0 stop [1] replace []\nDone";
    check(2, 2, Roll::Rolling(window(0, 1)), expected);
}

#[test]
fn a_canary_waits_for_somebody_and_goes_on_when_approved() {
    let first = NonZeroU32::MIN;
    let canary = Roll::Canary { first, window: window(0, 2), approval: Approval::Pending };
    check(3, 3, canary, "start 1 stop [] replace []\nstart 0 stop [0] replace []\nWait(Unapproved)");
    let expected = "start 1 stop [] replace []\nstart 1 stop [0] replace []\n\
                    start 1 stop [1] replace []\nstart 0 stop [2] replace []\nDone";
    check(3, 3, approved(canary), expected);
}

#[test]
fn blue_green_stops_the_old_only_when_all_new_ones_serve() {
    let waiting = Roll::BlueGreen { approval: Approval::Pending };
    check(2, 3, waiting, "start 3 stop [] replace []\nWait(Unapproved)");
    let expected = "start 3 stop [] replace []\nstart 0 stop [0, 1] replace []\nDone";
    check(2, 3, approved(waiting), expected);
    let world = World::new(&[(false, 0), (false, 0), (true, 0), (true, 0), (true, 1)]);
    let next = step(&world.report(), Goal { count: 3 }, approved(waiting));
    assert_eq!(next, Step::Wait(Waiting::Unhealthy(vec![4])));
}

#[test]
fn a_window_without_room_is_refused() {
    let refused = Window::new(0, 0).expect_err("no room");
    assert!(refused.to_string().starts_with("a roll needs room"));
}
