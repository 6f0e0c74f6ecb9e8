//! Proofs against brute force over all closed sets, and counter-examples checked from scratch.

use std::ops::RangeInclusive;

use proptest::prelude::*;

use super::*;

/// A small plan with one question, owned.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) actions: u32,
    pub(super) edges: Vec<(u32, u32)>,
    base: i64,
    pub(super) effects: Vec<Effect>,
    bound: InvariantBound,
}

impl Case {
    pub(super) fn question(&self) -> Question<'_> {
        Question { base: self.base, effects: &self.effects, bound: self.bound }
    }

    /// A case of these parts.
    pub(super) fn new(
        actions: u32,
        edges: &[(u32, u32)],
        (base, bound): (i64, InvariantBound),
        effects: Vec<Effect>,
    ) -> Self {
        Self { actions, edges: edges.to_vec(), base, effects, bound }
    }

    /// Makes the bound looser by so much.
    pub(super) fn loosen(&mut self, by: i64) {
        self.bound = match self.bound {
            InvariantBound::AtLeast(least) => InvariantBound::AtLeast(least - by),
            InvariantBound::AtMost(most) => InvariantBound::AtMost(most + by),
        };
    }

    /// The value in the state of these started and ended actions, one bit an action; none for a state that is not
    /// closed.
    pub(super) fn value(&self, started: u32, ended: u32) -> Option<i64> {
        let has = |set: u32, action: u32| set >> action & 1 == 1;
        let is_closed = ended & !started == 0
            && self.edges.iter().all(|&(before, after)| !has(started, after) || has(ended, before));
        is_closed.then(|| {
            let effect = |effect: &Effect| {
                (if has(started, effect.action) { effect.start } else { 0 })
                    + if has(ended, effect.action) { effect.end } else { 0 }
            };
            self.base + self.effects.iter().map(effect).sum::<i64>()
        })
    }

    pub(super) fn breaks(&self, value: i64) -> bool {
        match self.bound {
            InvariantBound::AtLeast(least) => value < least,
            InvariantBound::AtMost(most) => value > most,
        }
    }

    /// The worst value over every closed set, by trying all sets of events.
    pub(super) fn worst(&self) -> i64 {
        let sets = 0..1_u32 << self.actions;
        let values = sets.clone().flat_map(|started| {
            // All subsets of `started`.
            let below = sets.clone().filter(move |ended| ended & !started == 0);
            below.filter_map(move |ended| self.value(started, ended))
        });
        match self.bound {
            InvariantBound::AtLeast(_) => values.min(),
            InvariantBound::AtMost(_) => values.max(),
        }
        .expect("the empty set is closed")
    }

    /// How many events the smallest state has that breaks the bound, by trying all sets of events.
    fn fewest(&self) -> Option<usize> {
        let sets = 0..1_u32 << self.actions;
        let sizes = sets.clone().flat_map(|started| {
            let below = sets.clone().filter(move |ended| ended & !started == 0);
            below.filter_map(move |ended| {
                let breaks = self.breaks(self.value(started, ended)?);
                breaks.then(|| (started.count_ones() + ended.count_ones()) as usize)
            })
        });
        sizes.min()
    }

    /// That the witness is reachable, breaks the bound, and is the smallest that does.
    #[track_caller]
    fn check(&self, witness: &Witness) {
        let bits = |actions: &[u32]| actions.iter().fold(0, |bits, action| bits | 1 << action);
        let (started, ended) = (bits(&witness.started), bits(&witness.ended));
        assert_eq!(self.value(started, ended), Some(witness.value), "{witness:?} is not what it says");
        assert!(self.breaks(witness.value), "{witness:?} breaks nothing");
        assert_eq!(Some(witness.started.len() + witness.ended.len()), self.fewest(), "{witness:?}");
    }
}

/// Plans of so many actions whose edges lead from one to a later one in a random numbering.
pub(super) fn cases(actions: RangeInclusive<u32>) -> impl Strategy<Value = Case> {
    actions.prop_flat_map(|actions| {
        let edge = (0..actions, 0..actions);
        let effect = (0..actions, -4_i64..=4, -4_i64..=4);
        (
            Just((0..actions).collect::<Vec<_>>()).prop_shuffle(),
            prop::collection::vec(edge, 0..=2 * actions as usize),
            prop::collection::vec(effect, 0..=actions as usize + 1),
            -3_i64..=3,
            prop_oneof![
                (-8_i64..=3).prop_map(InvariantBound::AtLeast),
                (-3_i64..=8).prop_map(InvariantBound::AtMost)
            ],
        )
            .prop_map(move |(names, edges, effects, base, bound)| Case {
                actions,
                edges: edges
                    .into_iter()
                    .filter(|(a, b)| a < b)
                    .map(|(a, b)| (names[a as usize], names[b as usize]))
                    .collect(),
                base,
                effects: effects
                    .into_iter()
                    .map(|(action, start, end)| Effect { action, start, end })
                    .collect(),
                bound,
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_worst_value_is_that_of_brute_force_and_the_witness_is_right(case in cases(1..=6)) {
        let order = Order::new(case.actions, &case.edges).expect("edges lead forward");
        let verdict = prove(&order, &case.question());
        let worst = case.worst();
        prop_assert_eq!(verdict.worst, worst);
        prop_assert_eq!(verdict.holds, verdict.witness.is_none());
        prop_assert_eq!(verdict.holds, !case.breaks(worst));
        if let Some(witness) = &verdict.witness {
            case.check(witness);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn questions_asked_together_are_answered_as_if_asked_alone(
        case in cases(1..=8),
        others in prop::collection::vec(cases(1..=8), 0..80),
    ) {
        let order = Order::new(case.actions, &case.edges).expect("edges lead forward");
        // The other plans' effects, on those of their actions that this plan has too.
        let others: Vec<Case> = others
            .into_iter()
            .map(|mut other| {
                other.effects.retain(|effect| effect.action < case.actions);
                other
            })
            .collect();
        let questions: Vec<Question<'_>> = others.iter().map(Case::question).collect();
        let alone: Vec<Verdict> = questions.iter().map(|question| prove(&order, question)).collect();
        prop_assert_eq!(prove_all(&order, &questions), alone);
    }
}

#[track_caller]
fn says(actions: u32, edges: &[(u32, u32)], question: &Question<'_>, expected: &str) {
    let order = Order::new(actions, edges).expect("an order");
    assert_eq!(prove(&order, question).to_string(), expected);
}

#[test]
fn what_takes_memory_before_it_is_given_back_is_found() {
    let effects = [Effect { action: 0, start: 0, end: -4096 }, Effect { action: 1, start: 3072, end: 0 }];
    let question = Question { base: 7168, effects: &effects, bound: InvariantBound::AtMost(8192) };
    says(2, &[], &question, "worst 10240, after start 1");
    says(2, &[(0, 1)], &question, "holds, worst 7168");
}

#[test]
fn a_state_that_is_bad_from_the_beginning_needs_no_event() {
    let question = Question { base: 1, effects: &[], bound: InvariantBound::AtLeast(2) };
    says(3, &[(0, 1)], &question, "worst 1, from the beginning");
}

#[test]
fn the_counter_example_names_only_what_leads_to_it() {
    // 0 gives back what 1 takes; 2 takes more after both; 3 and 4 have nothing to do with it.
    let effects = [
        Effect { action: 0, start: 0, end: -2 },
        Effect { action: 1, start: 2, end: 0 },
        Effect { action: 2, start: 1, end: 0 },
    ];
    let question = Question { base: 4, effects: &effects, bound: InvariantBound::AtMost(4) };
    says(
        5,
        &[(0, 1), (1, 2), (3, 4), (4, 0)],
        &question,
        "worst 5, after end 0, end 1, start 2, end 3, end 4",
    );
}

#[test]
fn the_smallest_counter_example_is_found_among_those_without_an_event_too_many() {
    // One way needs three restarts; of the other, which takes as much by itself, all that it waits for has to be done.
    let takes = |action, start| Effect { action, start, end: 0 };
    let effects = [takes(0, 1), takes(1, 1), takes(2, 1), takes(5, 3)];
    let question = Question { base: 0, effects: &effects, bound: InvariantBound::AtMost(2) };
    says(6, &[(3, 4), (4, 5)], &question, "worst 6, after start 0, start 1, start 2");
    says(6, &[(4, 5)], &question, "worst 6, after end 4, start 5");
    says(6, &[], &question, "worst 6, after start 5");
}

#[test]
fn what_stands_for_a_wave_that_another_waits_for_is_no_event_of_a_counter_example() {
    // Three after three others, all of them each; beside these eight that do as much together as the first of the three.
    let edges: Vec<(u32, u32)> = (0..3).flat_map(|before| (3..6).map(move |after| (before, after))).collect();
    let harm = |action, start| Effect { action, start, end: 0 };
    let effects: Vec<Effect> = (6..14).map(|action| harm(action, 1)).chain([harm(3, 8)]).collect();
    let question = Question { base: 0, effects: &effects, bound: InvariantBound::AtMost(7) };
    says(14, &edges, &question, "worst 16, after end 0, end 1, end 2, start 3");
}

#[test]
fn where_the_smallest_counter_example_takes_for_ever_to_find_one_without_an_event_too_many_is_told() {
    // Chains of one to seven actions, the last of which takes something: which of them are the fewest is a knapsack.
    let mut edges = Vec::new();
    let mut effects = Vec::new();
    let mut actions = 0;
    for chain in 0..60_u32 {
        let last = actions + chain % 7;
        edges.extend((actions..last).map(|before| (before, before + 1)));
        effects.push(Effect { action: last, start: i64::from(30 + chain * 37 % 61), end: 0 });
        actions = last + 1;
    }
    let most = effects.iter().map(|effect| effect.start).sum::<i64>() / 2;
    let question = Question { base: 0, effects: &effects, bound: InvariantBound::AtMost(most) };
    let witness = prove(&Order::new(actions, &edges).unwrap(), &question).witness.unwrap();
    let has = |list: &[u32], action: &u32| list.binary_search(action).is_ok();
    assert!(edges.iter().all(|(before, after)| !has(&witness.started, after) || has(&witness.ended, before)));
    let taken: Vec<i64> =
        effects.iter().filter(|it| has(&witness.started, &it.action)).map(|it| it.start).collect();
    assert_eq!(witness.value, taken.iter().sum::<i64>());
    // Nothing is begun that leads to none of them.
    let begun = |(before, after): &(u32, u32)| !has(&witness.started, before) || has(&witness.started, after);
    assert!(edges.iter().all(begun));
    assert!(witness.value > most && taken.iter().all(|amount| witness.value - amount <= most));
}

#[test]
fn sums_beyond_64_bits_are_still_judged_exactly() {
    let effects: Vec<Effect> =
        (0..4).map(|action| Effect { action, start: i64::MAX, end: i64::MIN }).collect();
    let question = Question { base: i64::MAX, effects: &effects, bound: InvariantBound::AtMost(i64::MAX) };
    says(4, &[], &question, &format!("worst {}, after start 0", i64::MAX));
    let question = Question { base: -1, ..question };
    says(4, &[(0, 1), (1, 2), (2, 3)], &question, &format!("holds, worst {}", i64::MAX - 1));
}

#[test]
fn of_many_broken_questions_a_hundred_have_a_witness() {
    let effects = [Effect { action: 0, start: 1, end: 0 }];
    let asked = |most: i64| Question { base: 0, effects: &effects, bound: InvariantBound::AtMost(most) };
    // One holds; all others do not.
    let questions: Vec<Question<'_>> = (0..103).map(|at| asked(i64::from(at == 7))).collect();
    let verdicts = prove_all(&Order::new(1, &[]).expect("an order"), &questions);
    let without: Vec<usize> = (0..103).filter(|at| verdicts[*at].witness.is_none()).collect();
    assert_eq!(without, [7, 101, 102]);
    assert!(verdicts[101..].iter().all(|verdict| !verdict.holds && verdict.worst == 1));
}

#[test]
fn an_end_that_comes_to_nothing_is_no_event() {
    // Two effects of one action add up, and what they leave is judged.
    let effects = [
        Effect { action: 0, start: 2, end: -1 },
        Effect { action: 0, start: -2, end: 3 },
        Effect { action: 1, start: -1, end: 0 },
    ];
    let question = Question { base: 0, effects: &effects, bound: InvariantBound::AtMost(1) };
    says(2, &[(1, 0)], &question, "holds, worst 1");
    let question = Question { bound: InvariantBound::AtMost(0), ..question };
    says(2, &[(1, 0)], &question, "worst 1, after end 0, end 1");
    says(2, &[(0, 1)], &question, "worst 2, after end 0");
}
