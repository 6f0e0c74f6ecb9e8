//! What is counted and said of a plan beside its changes.

use std::collections::BTreeMap;

use expect_test::expect;
use serde_json::json;

use super::support::{World, call, unit, value};
use crate::diff::ChangeKind;
use crate::model::{DesiredResource, Invariant, InvariantBound, Measure, Observation, Record, Selector};
use crate::plan::render::{Detail, TextOptions};
use crate::plan::{Proved, Verb};

#[test]
fn what_is_kept_is_counted_where_something_is() {
    let two = [value("a", json!(1)), value("b", json!(1))];
    let new = World::new().want(two.clone()).plan();
    assert_eq!(new.counts(), BTreeMap::from([(ChangeKind::Create, 2)]));
    let kept = World::new().having(two.clone()).plan();
    assert_eq!(kept.counts(), BTreeMap::from([(ChangeKind::Keep, 2)]));
    let some = World::new().having(two.clone()).want([two[0].clone(), call("c")]).plan();
    let expected = [(ChangeKind::Create, 1), (ChangeKind::Delete, 1), (ChangeKind::Keep, 1)];
    assert_eq!(some.counts(), BTreeMap::from(expected));
}

#[test]
fn what_only_changes_a_record_has_no_effect_and_two_verbs_take_away() {
    use Verb::{Adopt, Create, Delete, Forget, Record, Restart, Update};
    let all = [Create, Adopt, Update, Restart, Record, Delete, Forget];
    let words = all.map(|verb| {
        format!(
            "{verb}{}{}",
            if verb.has_effect() { " +" } else { "" },
            if verb.removes() { " -" } else { "" }
        )
    });
    assert_eq!(words, ["create +", "adopt +", "update +", "restart +", "record", "delete + -", "forget -"]);
}

#[test]
fn what_is_only_recorded_anew_needs_no_person_if_detc_dies() {
    let text = |call: DesiredResource, given: DesiredResource| {
        World::new().having([call]).want([given]).plan().to_string()
    };
    assert!(!text(call("c"), call("c").label("a", "b")).contains("a person has to look"));
    let calls =
        |count: usize| World::new().want((0..count).map(|n| call(&format!("c{n}")))).plan().to_string();
    let last = |text: String| text.lines().last().unwrap().to_owned();
    assert_eq!(
        [last(calls(5)), last(calls(6))],
        [
            "If detc dies during one of these actions, a person has to look: create:call/c0, create:call/c1, create:call/c2, create:call/c3, create:call/c4.",
            "If detc dies during one of these actions, a person has to look: create:call/c0, create:call/c1, create:call/c2, create:call/c3, create:call/c4, 1 more.",
        ]
    );
}

fn units(count: usize, mode: &str) -> Vec<DesiredResource> {
    (0..count).map(|n| unit(&format!("u{n}"), json!({ "mode": mode, "replicas": 1 }))).collect()
}

/// What is said of a bound of units when so many become so many others.
fn said(
    measure: Measure,
    bound: InvariantBound,
    change: [Vec<DesiredResource>; 2],
    detail: Detail,
) -> String {
    let [has, wants] = change;
    let mut world = World::new().having(has).want(wants);
    world.desired = world.desired.invariant(Invariant { name: "bound".to_owned(), measure, bound });
    let text = world.plan().text(&TextOptions::default().with_detail(detail));
    let (_, end) = text.split_once("bound: ").unwrap();
    format!("{end}\n")
}

fn available() -> Measure {
    Measure::Available(Selector { kind: Some("unit".to_owned()), ..Selector::default() })
}

fn total() -> Measure {
    Measure::Total { field: "replicas".parse().unwrap(), of: Selector::default() }
}

#[test]
fn waits_that_were_added_are_told_up_to_four_and_all_in_full() {
    let restarts = |count: usize, detail| {
        let bound = InvariantBound::AtLeast(count as i64 - 1);
        said(available(), bound, [units(count, "a"), units(count, "b")], detail)
    };
    let texts = [
        restarts(1, Detail::Folded),
        restarts(2, Detail::Folded),
        restarts(5, Detail::Folded),
        restarts(6, Detail::Folded),
        restarts(6, Detail::Full),
    ];
    expect![[r#"
        at least 0; now 1, never worse than 0.

        at least 1; now 2, never worse than 1, by one wait that was added.
          restart:unit/u1 waits for restart:unit/u0

        at least 4; now 5, never worse than 4, by 4 waits that were added.
          restart:unit/u1 waits for restart:unit/u0
          restart:unit/u2 waits for restart:unit/u1
          restart:unit/u3 waits for restart:unit/u2
          restart:unit/u4 waits for restart:unit/u3

        at least 5; now 6, never worse than 5, by 5 waits that were added.
          restart:unit/u1 waits for restart:unit/u0
          restart:unit/u2 waits for restart:unit/u1
          restart:unit/u3 waits for restart:unit/u2
          … and 2 more

        at least 5; now 6, never worse than 5, by 5 waits that were added.
          restart:unit/u1 waits for restart:unit/u0
          restart:unit/u2 waits for restart:unit/u1
          restart:unit/u3 waits for restart:unit/u2
          restart:unit/u4 waits for restart:unit/u3
          restart:unit/u5 waits for restart:unit/u4

    "#]]
    .assert_eq(&texts.concat());
}

#[test]
fn a_bound_that_does_not_hold_yet_is_told_with_both_ends() {
    let (least, most) = (InvariantBound::AtLeast, InvariantBound::AtMost);
    let folded = |measure, bound, from: usize, to: usize| {
        said(measure, bound, [units(from, "a"), units(to, "a")], Detail::Folded)
    };
    let texts = [
        folded(available(), least(3), 1, 2),
        folded(available(), least(2), 1, 2),
        folded(available(), least(1), 1, 2),
        folded(total(), most(1), 3, 2),
        folded(total(), most(2), 3, 2),
        folded(total(), most(3), 3, 2),
    ];
    expect![[r#"
        at least 3; now 1, never worse than 1, 2 at the end, where it still does not hold.

        at least 2; now 1, never worse than 1, 2 at the end.

        at least 1; now 1, never worse than 1.

        at most 1; now 3, never worse than 3, 2 at the end, where it still does not hold.

        at most 2; now 3, never worse than 3, 2 at the end.

        at most 3; now 3, never worse than 3.

    "#]]
    .assert_eq(&texts.concat());
}

#[test]
fn what_is_added_ends_where_numbers_do() {
    let mut world = World::new().want(units(1, "a"));
    world.desired = world.desired.invariant(Invariant {
        name: "bound".to_owned(),
        measure: available(),
        bound: InvariantBound::AtLeast(0),
    });
    let proved = world.plan().proofs.remove(0);
    let after = |base: i64, effects: &[(u32, i64, i64)]| {
        Proved { base, effects: effects.to_vec(), ..proved.clone() }.after()
    };
    assert_eq!([after(1, &[]), after(1, &[(0, -3, 1), (1, 0, 4)])], [1, 3]);
    assert_eq!([after(1, &[(0, i64::MAX, 0)]), after(-1, &[(0, 0, i64::MIN)])], [i64::MAX, i64::MIN]);
}

#[test]
fn what_is_about_something_recorded_or_desired_is_not_vacuous() {
    let vacuous = |has: Vec<DesiredResource>, wants: Vec<DesiredResource>| {
        let mut world = World::new().having(has).want(wants);
        for (name, measure) in [("available", available()), ("total", total())] {
            let invariant = Invariant { name: name.to_owned(), measure, bound: InvariantBound::AtLeast(0) };
            world.desired = world.desired.invariant(invariant);
        }
        let plan = world.plan();
        plan.proofs.iter().map(|it| (it.base, it.vacuous)).collect::<Vec<_>>()
    };
    let without = || vec![unit("u0", json!({}))];
    assert_eq!(vacuous(vec![], vec![]), [(0, true), (0, true)]);
    assert_eq!(vacuous(units(2, "a"), vec![]), [(2, false), (2, false)]);
    assert_eq!(vacuous(vec![], units(2, "a")), [(0, false), (0, false)]);
    assert_eq!(vacuous(without(), vec![]), [(1, false), (0, true)]);
    assert_eq!(vacuous(vec![], without()), [(0, false), (0, true)]);
}

#[test]
fn of_what_may_work_or_not_both_ends_are_told() {
    let mut world = World::new().having(units(3, "a")).want(units(3, "b"));
    for (id, record) in world.recorded.clone().iter().take(2) {
        let begun = Record::begun(record.relations(), record.seen(), &record.body().unwrap());
        world.recorded.insert(id.clone(), begun);
        let seen = world.observed[id].clone();
        assert!(matches!(seen, Observation::Present(_)));
    }
    let invariant =
        Invariant { name: "bound".to_owned(), measure: available(), bound: InvariantBound::AtLeast(0) };
    world.desired = world.desired.invariant(invariant);
    let text = world.plan().to_string();
    expect![[r#"
        at least 0; now 1 or up to 3 (what an earlier run was cut off in may work or not), never worse than 0, nor than 0 if all of that works.
    "#]].assert_eq(text.split_once("bound: ").unwrap().1);
}
