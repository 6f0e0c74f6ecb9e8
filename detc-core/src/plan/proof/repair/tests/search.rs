//! How far the search for a sequence comes, and what is told of one that comes to nothing.

use super::super::sequence::sequence_within;
use super::*;

#[test]
fn a_chain_of_moves_takes_about_as_many_tries_as_it_has_members() {
    // Each into the place that the next one leaves, by whatever numbers.
    for hosts in [mixed(41), (0..=40).rev().collect(), (0..=40).collect::<Vec<u32>>()] {
        let mut chain: Vec<(u32, u32)> = (0..40).map(|at| (at, at + 1)).collect();
        chain.sort_by_key(|&(from, _)| hosts[from as usize]);
        let (edges, asked) = moves(&chain, 41, &std::array::from_fn::<bool, 41, _>(|host| host < 40));
        let order = Order::new(80, &edges).unwrap();
        // Four thousand nodes are looked at; without what is learnt from dead ends, twenty-seven thousand and more.
        let mut work = 10_000;
        let found = sequence_within(&order, &ask(&asked), &mut work);
        assert!(matches!(found, Found::Sequence(_)), "{hosts:?}: {found:?}");
    }
}

#[test]
fn who_has_to_give_way_is_found_through_what_comes_before() {
    // Each is stopped, then there is a wait, then it gives its place free, and it takes the next one; beside that, something
    // else is done before.
    const MOVES: u32 = 20;
    let names = mixed(MOVES);
    let mut asked: Vec<(i64, InvariantBound, Vec<Effect>)> = (0..=MOVES)
        .map(|host| (i64::from(host < MOVES), InvariantBound::AtMost(1), Vec::new()))
        .chain([(i64::from(MOVES), InvariantBound::AtLeast(i64::from(MOVES) - 1), Vec::new())])
        .collect();
    let mut edges = Vec::new();
    for (host, name) in (0_usize..).zip(names) {
        let [stop, wait, free, take, other, done] = std::array::from_fn(|at| 6 * name + at as u32);
        edges.extend([(stop, wait), (wait, free), (free, take), (other, done), (done, free)]);
        let effect = |action: u32, start: i64, end: i64| Effect { action, start, end };
        asked[host].2.push(effect(free, 0, -1));
        asked[host + 1].2.push(effect(take, 1, 0));
        asked[MOVES as usize + 1].2.extend([effect(stop, -1, 0), effect(take, 0, 1)]);
    }
    let order = Order::new(6 * MOVES, &edges).unwrap();
    // Twelve hundred nodes are looked at; without what is learnt from dead ends, four thousand and more.
    let mut work = 2_500;
    let found = sequence_within(&order, &ask(&asked), &mut work);
    assert!(matches!(found, Found::Sequence(_)), "{found:?}");
}

#[test]
fn a_set_of_actions_that_led_nowhere_is_not_entered_again() {
    // Eight can be done in any order, and never the ninth.
    let mut effects: Vec<Effect> = (0..8).map(|action| Effect { action, start: 1, end: 0 }).collect();
    effects.push(Effect { action: 8, start: 9, end: -9 });
    let question = Question { base: 0, effects: &effects, bound: InvariantBound::AtMost(8) };
    // For 256 sets some eleven thousand nodes are looked at; for the 40,320 orders, a hundred thousand.
    let mut work = 11_000;
    let found = sequence_within(&Order::new(9, &[]).unwrap(), &[question], &mut work);
    assert!(matches!(&found, Found::None { done } if done.len() == 8), "{found:?}");
}

#[test]
fn what_is_given_up_says_after_how_many_choices() {
    let takes = |action: u32| Effect { action, start: 1, end: 0 };
    let effects: Vec<Effect> = (0..4).map(takes).chain([Effect { action: 4, start: 0, end: -2 }]).collect();
    let question = Question { base: 0, effects: &effects, bound: InvariantBound::AtMost(2) };
    let order = Order::new(5, &[]).unwrap();
    let found = |mut work: usize| (sequence_within(&order, &[question], &mut work), work);
    assert_eq!(found(0), (Found::GaveUp { steps: 1 }, 0));
    let (all, left) = found(1_000);
    assert!(matches!(all, Found::Sequence(_)) && left > 900, "{all:?} {left}");
}

#[test]
fn relief_that_comes_before_anyhow_is_taken_without_an_edge() {
    // Each takes what the one two before it gives back, in a chain.
    let effects: Vec<Effect> = (0..6).map(|action| Effect { action, start: 1, end: -1 }).collect();
    let question = Question { base: 0, effects: &effects, bound: InvariantBound::AtMost(1) };
    let edges: Vec<(u32, u32)> = (0..5).map(|action| (action, action + 1)).collect();
    let order = Order::new(6, &edges).unwrap();
    assert_eq!(cover(&order, &[question], &[0, 1, 2, 3, 4, 5]), []);
}

#[test]
fn of_two_circles_the_one_that_no_order_can_do_is_told() {
    // Three in a circle, of which two may be away; and four, of which one may be.
    let circles = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 6), (6, 3)];
    let (edges, mut asked) = moves(&circles, 7, &[true; 7]);
    let (_, _, away) = asked.pop().unwrap();
    let (three, four): (Vec<Effect>, Vec<Effect>) = away.into_iter().partition(|effect| effect.action < 6);
    asked.push((3, InvariantBound::AtLeast(1), three));
    asked.push((4, InvariantBound::AtLeast(3), four));
    let order = Order::new(14, &edges).unwrap();
    let Err(Hopeless { why: Why::Conflict { stuck, .. }, .. }) = repair(&order, &ask(&asked)) else {
        panic!("no order can do that");
    };
    let circle: Vec<u32> = stuck.circle.iter().map(|wait| wait.action).collect();
    assert!(circle.len() > 1 && circle.iter().all(|&action| action >= 6), "{circle:?}");
}

#[test]
fn what_helps_is_looked_for_among_those_that_the_circle_is_about() {
    // The first two wait for each other; the third waits for the first, and would make room for it.
    let effect = |action: u32, start: i64, end: i64| Effect { action, start, end };
    let one = [effect(0, 1, 0), effect(1, 0, -1), effect(2, 0, -1)];
    let two = [effect(1, 1, 0), effect(0, 0, -1)];
    let three = [effect(2, 1, 0), effect(0, 0, -1)];
    let ask = |effects| Question { base: 0, effects, bound: InvariantBound::AtMost(0) };
    check(
        3,
        &[],
        &[ask(&one), ask(&two), ask(&three)],
        "no order can keep invariant 0: no order keeps it and the others at [1, 2] too: in a circle, 0 waits for 1 \
         (invariant 0), 1 waits for 0 (invariant 1); it could be done with at most 1 in invariant 0, or at most 1 in \
         invariant 1",
    );
}
