//! What the ledger makes of worlds that are set by hand.

use serde_json::json;

use super::*;
use crate::model::{HostName, Selector};

/// What there is, by name and host: the memory that it takes.
type World = Arc<Mutex<BTreeMap<(&'static str, &'static str), i64>>>;

fn resource(name: &str, host: &str, mib: i64) -> DesiredResource {
    DesiredResource::from_value("box", name, &json!({ "mib": mib })).unwrap().on(host)
}

fn state(resources: &[(&str, &str, i64)]) -> Desired {
    resources.iter().map(|(name, host, mib)| resource(name, host, *mib)).fold(Desired::new(), Desired::with)
}

fn measured(world: &World) -> Kept {
    let (world, mut kept) = (world.clone(), Kept::default());
    kept.measure("box".to_owned(), move |it| {
        let host = it.host.as_ref().unwrap().as_str();
        let world = world.lock().unwrap();
        let mib = world.get(&(it.id.name(), host))?;
        Some(Present::new().with_field("mib", *mib))
    });
    kept
}

fn at_least(least: i64) -> Invariant {
    let measure = Measure::Available(Selector::default());
    Invariant { name: "up".to_owned(), measure, bound: InvariantBound::AtLeast(least) }
}

fn on_n(most: i64) -> Invariant {
    let of = Selector { host: Some(HostName::new("n")), ..Selector::default() };
    let measure = Measure::Total { field: "mib".parse().unwrap(), of };
    Invariant { name: "memory of n".to_owned(), measure, bound: InvariantBound::AtMost(most) }
}

/// Begins the second of these states in the first world, and goes through the others: what is told, and of which of them.
#[track_caller]
fn check(
    states: &[Desired; 2],
    worlds: &[&[(&'static str, &'static str, i64)]],
    told: Option<(usize, &str)>,
) {
    let world = World::default();
    let set = |there: &[(&'static str, &'static str, i64)]| {
        *world.lock().unwrap() = there.iter().map(|(name, host, mib)| ((*name, *host), *mib)).collect();
    };
    let ledger = Ledger::of(&measured(&world), states).unwrap();
    ledger.begin(0);
    set(worlds[0]);
    ledger.begin(1);
    for (at, there) in worlds.iter().enumerate() {
        set(there);
        ledger.look(at);
        // Who comes late begins nothing anew.
        ledger.begin(0);
        ledger.begin(1);
    }
    let broken = ledger.broken();
    assert_eq!(broken.as_ref().map(|broken| (broken.at, broken.words.as_str())), told);
}

#[test]
fn what_holds_when_a_state_begins_is_kept_in_it() {
    let both = || state(&[("a", "m", 1), ("b", "m", 1)]);
    let (a, b) = (("a", "m", 1), ("b", "m", 1));
    let words = "`up` is not kept: it is 1, and is to be at least 2; box/b counts";
    check(&[both(), both().invariant(at_least(2))], &[&[a, b], &[b], &[]], Some((1, words)));
    check(&[both(), both().invariant(at_least(1))], &[&[a, b], &[b], &[a]], None);
}

#[test]
fn what_does_not_hold_when_a_state_begins_becomes_no_worse() {
    let both = || state(&[("a", "m", 1), ("b", "m", 1)]);
    let (a, b) = (("a", "m", 1), ("b", "m", 1));
    check(&[both(), both().invariant(at_least(2))], &[&[], &[a], &[a, b], &[b]], None);
    let words = "`up` is not kept: it is 0, and is to be at least 1; nothing counts";
    check(&[both(), both().invariant(at_least(2))], &[&[a], &[a, b], &[]], Some((2, words)));
    let (large, huge) = (("a", "n", 3), ("a", "n", 4));
    let words = "`memory of n` is not kept: it is 4, and is to be at most 3; box/a counts";
    check(&[both(), state(&[("a", "n", 3)]).invariant(on_n(2))], &[&[large], &[huge]], Some((1, words)));
}

#[test]
fn what_moves_is_where_it_is_and_not_where_it_is_to_be() {
    let moved = || [state(&[("a", "m", 2), ("b", "n", 2)]), state(&[("a", "n", 2)]).invariant(on_n(2))];
    let (on_m, on_n, b) = (("a", "m", 2), ("a", "n", 2), ("b", "n", 2));
    check(&moved(), &[&[on_m, b], &[on_m], &[on_m, on_n], &[on_n]], None);
    let words = "`memory of n` is not kept: it is 4, and is to be at most 2; box/a, box/b counts";
    check(&moved(), &[&[on_m, b], &[on_m, on_n, b]], Some((1, words)));
}

#[test]
fn what_is_renamed_counts_once() {
    let mut other = resource("c", "m", 1);
    other.extra_mut().renamed_from = Some("box/a".parse().unwrap());
    let most = Invariant { bound: InvariantBound::AtMost(1), ..at_least(0) };
    let states = [state(&[("a", "m", 1)]), Desired::new().with(other).invariant(most)];
    check(&states, &[&[("a", "m", 1)], &[("a", "m", 1), ("c", "m", 1)]], None);
}

#[test]
fn a_promise_is_kept_from_the_state_on_at_whose_begin_it_holds() {
    let is_up = Arc::new(Mutex::new(false));
    let (seen, mut kept) = (is_up.clone(), Kept::default());
    kept.promise("it is up".to_owned(), move |wanted| {
        let holds = *seen.lock().unwrap() || wanted.resources.is_empty();
        if holds { Ok(()) } else { Err("it is down".to_owned()) }
    });
    let one = || state(&[("a", "m", 1)]);
    let ledger = Ledger::of(&kept, &[one(), one(), Desired::new()]).unwrap();
    let mut told = Vec::new();
    for (state, up) in [(0, false), (0, true), (1, true), (1, false)] {
        *is_up.lock().unwrap() = up;
        ledger.begin(state);
        ledger.look(told.len());
        told.push((ledger.broken().map(|broken| (broken.at, broken.words)), ledger.never_held().len()));
    }
    let broken = Some((3, "`it is up` is not kept: it is down".to_owned()));
    assert_eq!(told, [(None, 1), (None, 1), (None, 0), (broken, 0)]);
    let ledger = Ledger::of(&kept, &[Desired::new()]).unwrap();
    ledger.begin(0);
    ledger.look(0);
    assert!(ledger.broken().is_none());
}

#[test]
#[should_panic(
    expected = "the invariant `up` is about box/a: `Scenario::measuring` has to say how to see it"
)]
fn an_invariant_that_nobody_can_see_in_the_world_is_told() {
    let states = [state(&[("a", "m", 1)]).invariant(at_least(1))];
    let _never = Ledger::of(&Kept::default(), &states);
}

#[test]
fn where_nothing_is_to_be_kept_nothing_is_looked_at() {
    assert!(Ledger::of(&measured(&World::default()), &[state(&[("a", "m", 1)])]).is_none());
}
