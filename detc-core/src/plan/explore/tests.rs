//! States against brute force over all sets of events.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Which sets were looked at, how often, and whether each was closed.
#[derive(Default)]
struct Seen {
    now: BTreeSet<u32>,
    looked: Vec<BTreeSet<u32>>,
}

impl Walk for Seen {
    fn occur(&mut self, event: u32) {
        assert!(self.now.insert(event), "{event} occurs twice");
    }
    fn undo(&mut self, event: u32) {
        assert!(self.now.remove(&event), "{event} has not occurred");
    }
    fn look(&mut self) {
        self.looked.push(self.now.clone());
    }
}

fn posets() -> impl Strategy<Value = Vec<Vec<u32>>> {
    (0_u32..=9).prop_flat_map(|events| {
        let before = |event: u32| prop::collection::btree_set(0..event.max(1), 0..=2.min(event as usize));
        (0..events).map(before).collect::<Vec<_>>().prop_map(|before| {
            before.into_iter().map(|before| before.into_iter().collect::<Vec<u32>>()).collect()
        })
    })
}

fn is_closed(before: &[Vec<u32>], set: &BTreeSet<u32>) -> bool {
    set.iter().all(|event| before[*event as usize].iter().all(|before| set.contains(before)))
}

fn by_brute_force(before: &[Vec<u32>]) -> BTreeSet<BTreeSet<u32>> {
    let sets = (0..1_u32 << before.len()).map(|bits| {
        (0..before.len() as u32).filter(|event| bits >> event & 1 == 1).collect::<BTreeSet<u32>>()
    });
    sets.filter(|set| is_closed(before, set)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn each_closed_set_is_reached_once_and_counted(before in posets()) {
        let (poset, all) = (Poset::new(before.clone()), by_brute_force(&before));
        let mut seen = Seen::default();
        prop_assert_eq!(poset.each_state(u64::MAX, &mut seen), (all.len() as u64, true));
        prop_assert!(seen.now.is_empty());
        prop_assert_eq!(seen.looked.len(), all.len());
        prop_assert_eq!(&seen.looked.into_iter().collect::<BTreeSet<_>>(), &all);
        prop_assert_eq!(poset.count(1_000), Count::Exactly(all.len() as u64));
        let few = all.len() as u64 / 2;
        if few > 0 {
            let mut seen = Seen::default();
            prop_assert_eq!(poset.each_state(few, &mut seen), (few, false));
            prop_assert_eq!((seen.looked.len() as u64, seen.now.is_empty()), (few, true));
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_is_drawn_is_closed_and_of_few_states_all_are_met(before in posets()) {
        let (poset, all) = (Poset::new(before.clone()), by_brute_force(&before));
        let mut seen = Seen::default();
        let does = vec![Does::Neither; before.len()];
        let runs = poset.sample(&does, 40_000, &mut seen);
        prop_assert!(seen.now.is_empty() && runs >= 16);
        prop_assert!(seen.looked.iter().all(|set| is_closed(&before, set)));
        prop_assert_eq!(seen.looked.into_iter().collect::<BTreeSet<_>>(), all);
    }
}

#[test]
fn numbers_are_drawn_as_published() {
    // The first of SplitMix64 from 0.
    let mut random = Random(0);
    let drawn = [random.next(), random.next(), random.next()];
    assert_eq!(drawn, [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]);
}

#[test]
fn as_many_states_are_looked_at_as_were_asked_for_or_those_of_sixteen_runs() {
    let looked = |events: u32, looks: u64| {
        let before = (0..events).map(|event| event.checked_sub(1).into_iter().collect()).collect();
        let mut seen = Seen::default();
        let runs = Poset::new(before).sample(&vec![Does::Neither; events as usize], looks, &mut seen);
        (runs, seen.looked.len())
    };
    // Each run looks at the empty state and after each event.
    assert_eq!(looked(9, 1_000), (100, 1_000));
    assert_eq!(looked(9, 160), (16, 160));
    assert_eq!(looked(0, 20), (20, 20));
    // One less than sixteen runs have: about every second state is looked at.
    let (runs, states) = looked(9, 159);
    assert!(runs == 16 && (60..=120).contains(&states), "{runs} {states}");
    // Of long runs about one state in six is looked at.
    let (runs, states) = looked(99, 270);
    assert!(runs == 16 && (200..=350).contains(&states), "{runs} {states}");
}

#[test]
fn parts_that_do_not_depend_on_each_other_multiply() {
    // Ten pairs, one before the other: three states each.
    let pairs = (0..20).map(|event| if event % 2 == 0 { vec![] } else { vec![event - 1] });
    assert_eq!(Poset::new(pairs.collect()).count(1_000), Count::Exactly(3_u64.pow(10)));
    assert_eq!(Poset::new(vec![vec![]; 60]).count(1_000), Count::AtLeast(COUNT_MAX));
    // Twenty after one: connected, and more than are counted.
    let star = (0..21).map(|event| if event == 0 { vec![] } else { vec![0] });
    assert_eq!(Poset::new(star.collect()).count(1_000), Count::AtLeast(1_000));
}

#[test]
fn a_long_run_that_takes_away_first_is_always_drawn() {
    // What is away comes back by its next event: all at once only one order in very many has them away.
    let before: Vec<Vec<u32>> =
        (0..80).map(|event| if event % 2 == 0 { vec![] } else { vec![event - 1] }).collect();
    let does: Vec<Does> =
        (0..80).map(|event| if event % 2 == 0 { Does::TakesAway } else { Does::Makes }).collect();
    let mut seen = Seen::default();
    Poset::new(before).sample(&does, 2_000, &mut seen);
    let all_away: BTreeSet<u32> = (0..80).filter(|event| event % 2 == 0).collect();
    assert!(seen.looked.contains(&all_away));
}

/// The events of each run in the order in which they occur.
#[derive(Default)]
struct Runs(Vec<Vec<u32>>, bool);

impl Walk for Runs {
    fn occur(&mut self, event: u32) {
        if !self.1 {
            self.0.push(Vec::new());
        }
        self.1 = true;
        self.0.last_mut().unwrap().push(event);
    }
    fn undo(&mut self, _: u32) {
        self.1 = false;
    }
    fn look(&mut self) {}
}

#[test]
fn the_same_runs_are_drawn_each_time() {
    let does = [Does::Makes, Does::Neither, Does::TakesAway, Does::Neither, Does::Makes, Does::TakesAway];
    // The third and the fifth come after the first.
    let before = vec![vec![], vec![], vec![0], vec![], vec![0], vec![]];
    let mut runs = Runs::default();
    assert_eq!(Poset::new(before).sample(&does, 1, &mut runs), 16);
    // Away first, made first, then by priorities and evenly in turn.
    let text: Vec<String> = runs.0.iter().map(|run| format!("{run:?}")).collect();
    expect_test::expect![[r#"
        [5, 0, 2, 1, 3, 4]
        [0, 4, 1, 2, 3, 5]
        [3, 0, 2, 1, 4, 5]
        [5, 1, 3, 0, 4, 2]
        [0, 3, 5, 1, 2, 4]
        [5, 0, 3, 2, 1, 4]
        [1, 5, 0, 3, 4, 2]
        [1, 3, 5, 0, 4, 2]
        [3, 0, 4, 5, 2, 1]
        [1, 0, 5, 2, 4, 3]
        [3, 5, 0, 2, 4, 1]
        [3, 0, 5, 4, 1, 2]
        [5, 3, 1, 0, 2, 4]
        [1, 3, 0, 2, 5, 4]
        [5, 1, 0, 4, 2, 3]
        [1, 0, 2, 3, 5, 4]"#]]
    .assert_eq(&text.join("\n"));
}

#[test]
fn what_others_of_a_set_come_after_is_not_among_its_latest() {
    let poset = Poset::new(vec![vec![], vec![0], vec![], vec![1]]);
    let latest = |set: &[u32]| -> Vec<u32> {
        set.iter().copied().filter(|&event| poset.is_latest(event, set)).collect()
    };
    assert_eq!([latest(&[0, 1, 2, 3]), latest(&[0, 1]), latest(&[0, 2])], [vec![2, 3], vec![1], vec![0, 2]]);
}
