//! Moves between hosts that are full, and restarts of which some may be away: the order that keeps the invariants, and why
//! there is none.

use std::collections::{BTreeMap, BTreeSet};

use expect_test::{Expect, expect};
use serde_json::json;

use super::support::{World, unit};
use crate::model::{
    Desired, DesiredResource, FieldPath, HostName, HostSpec, Invariant, InvariantBound, Measure, Selector,
};
use crate::plan::{Plan, Verb};

/// A unit of a service, which takes one place of its host.
fn placed(service: &str, name: &str, host: &str) -> DesiredResource {
    let mut unit = unit(name, json!({ "replicas": 1 }));
    unit.host = Some(HostName::new(host));
    unit.extra_mut().labels.insert("app".to_owned(), service.to_owned());
    unit
}

fn places(host: &str, most: i64) -> Invariant {
    let of = Selector { host: Some(HostName::new(host)), ..Selector::default() };
    let field: FieldPath = "replicas".parse().unwrap();
    let measure = Measure::Total { field, of };
    Invariant { name: format!("places of {host}"), measure, bound: InvariantBound::AtMost(most) }
}

fn stays_up(service: &str, least: i64) -> Invariant {
    let labels = BTreeMap::from([("app".to_owned(), service.to_owned())]);
    let measure = Measure::Available(Selector { labels, ..Selector::default() });
    Invariant { name: format!("{service} stays up"), measure, bound: InvariantBound::AtLeast(least) }
}

/// Has the first, and wants the second, with these invariants.
fn world(
    has: impl IntoIterator<Item = DesiredResource>,
    wants: impl IntoIterator<Item = DesiredResource>,
    invariants: impl IntoIterator<Item = Invariant>,
) -> World {
    let mut world = World::new();
    let on_all = |desired: Desired| {
        let hosts: BTreeSet<HostName> =
            desired.resources.values().filter_map(|resource| resource.host.clone()).collect();
        hosts.iter().fold(desired, |desired, host| desired.host(host.as_str(), HostSpec::local()))
    };
    world.desired = on_all(has.into_iter().fold(Desired::new(), Desired::with));
    let plan = world.plan();
    world.apply(&plan);
    world.desired = on_all(wants.into_iter().fold(Desired::new(), Desired::with));
    for invariant in invariants {
        if let Measure::Total { of: Selector { host: Some(host), .. }, .. } = &invariant.measure {
            world.desired = world.desired.host(host.as_str(), HostSpec::local());
        }
        world.desired = world.desired.invariant(invariant);
    }
    world
}

/// Numbers in an order that is none.
fn mixed(count: u32) -> Vec<u32> {
    let mut all: Vec<u32> = (0..count).collect();
    all.sort_by_key(|&number| (number.wrapping_mul(2_654_435_761) >> 7, number));
    all
}

/// The most actions of these verbs that can be at work at the same time: a longest antichain, in plans of chains.
fn at_once(plan: &Plan, is_counted: impl Fn(Verb) -> bool) -> usize {
    let mut depth = vec![0_usize; plan.actions.len()];
    let mut width: BTreeMap<usize, usize> = BTreeMap::new();
    for (index, action) in plan.actions.iter().enumerate() {
        let before = action.after.iter().map(|before| {
            depth[*before as usize] + usize::from(is_counted(plan.actions[*before as usize].verb))
        });
        depth[index] = before.max().unwrap_or_default();
        if is_counted(action.verb) {
            *width.entry(depth[index]).or_default() += 1;
        }
    }
    width.into_values().max().unwrap_or_default()
}

#[track_caller]
fn refused(world: &World, expected: Expect) {
    let plan = world.plan();
    let broken: Vec<String> = plan
        .text(&Default::default())
        .lines()
        .filter(|line| line.contains("no order helps"))
        .map(str::to_owned)
        .collect();
    expected.assert_eq(&broken.join("\n").replace("; ", ";\n").replace(", that", ",\n  that"));
}

#[test]
fn of_restarts_as_many_go_on_at_a_time_as_may_be_away() {
    for (all, kept) in [(8, 7), (8, 5), (30, 20), (1_000, 900)] {
        let units = |text: &str| -> Vec<DesiredResource> {
            let unit = |at| placed("web", &format!("web-{at}"), "h1");
            let with_text = |mut unit: DesiredResource| {
                let mut fields = unit.spec.value();
                fields["text"] = text.into();
                unit.spec = crate::model::Doc::new(&fields);
                unit
            };
            (0..all).map(unit).map(with_text).collect()
        };
        let plan = world(units("old"), units("new"), [stays_up("web", kept)]).plan();
        assert!(plan.proofs[0].holds && plan.proofs[0].worst == kept, "{}", plan.proofs[0].worst);
        let away = (all - kept) as usize;
        assert_eq!(at_once(&plan, |verb| verb == Verb::Restart), away);
        assert_eq!(plan.ordered.len(), all as usize - away, "the rest waits, each for one");
    }
}

#[test]
fn a_chain_of_moves_into_full_hosts_is_ordered_from_its_free_end() {
    for count in [10_u32, 100, 1_000] {
        let hosts: Vec<String> = mixed(count + 1).iter().map(|number| format!("h{number}")).collect();
        let at = |offset: usize| {
            let unit = |at: usize| placed("web", &format!("web-{at}"), &hosts[at + offset]);
            (0..count as usize).map(unit).collect::<Vec<_>>()
        };
        let mut invariants: Vec<Invariant> = hosts.iter().map(|host| places(host, 1)).collect();
        invariants.push(stays_up("web", i64::from(count) - 1));
        let plan = world(at(0), at(1), invariants).plan();
        assert!(plan.broken().is_none(), "{:?}", plan.broken());
        assert_eq!(plan.actions.len(), 2 * count as usize);
        let moved: Vec<String> = plan
            .actions
            .iter()
            .enumerate()
            .filter(|(_, action)| action.verb == Verb::Create)
            .map(|(index, _)| plan.resource_of(index as u32).to_string())
            .collect();
        let from_the_end: Vec<String> = (0..count).rev().map(|at| format!("unit/web-{at}")).collect();
        assert_eq!(moved, from_the_end);
    }
}

#[test]
fn moves_that_are_made_first_and_removed_then_find_their_order_too() {
    // Three services on full hosts, each to the next one; only the last has a place that is free.
    let at = |offset: usize| -> Vec<DesiredResource> {
        (0..3)
            .map(|at| {
                placed(&format!("s{at}"), &format!("s{at}-on-h{}", at + offset), &format!("h{}", at + offset))
            })
            .collect()
    };
    let invariants = (0..4).map(|host| places(&format!("h{host}"), 1));
    let plan = world(at(0), at(1), invariants.chain((0..3).map(|at| stays_up(&format!("s{at}"), 1)))).plan();
    assert!(plan.broken().is_none(), "{plan}");
    let done: Vec<String> = (0..plan.actions.len() as u32).map(|index| plan.action_id(index)).collect();
    expect![[r#"
        create:unit/s2-on-h3
        delete:unit/s2-on-h2
        create:unit/s1-on-h2
        delete:unit/s1-on-h1
        create:unit/s0-on-h1
        delete:unit/s0-on-h0"#]]
    .assert_eq(&done.join("\n"));
}

#[test]
fn a_swap_of_two_full_hosts_is_refused_and_told_with_what_would_help() {
    let has = [placed("a", "a-on-h1", "h1"), placed("b", "b-on-h2", "h2")];
    let wants = [placed("a", "a-on-h2", "h2"), placed("b", "b-on-h1", "h1")];
    let invariants = || [places("h1", 1), places("h2", 1), stays_up("a", 1), stays_up("b", 1)];
    let expected = expect![[r#"
        BROKEN: places of h1: at most 1;
        now 1, and when create:unit/b-on-h1 had started, it is 2;
        no order helps: 4 actions would have to swap places in a circle: delete:unit/a-on-h1 waits for create:unit/a-on-h2 (`a stays up`),
          that for delete:unit/b-on-h2 (`places of h2`),
          that for create:unit/b-on-h1 (`b stays up`),
          that for delete:unit/a-on-h1 (`places of h1`);
        there is an order with `places of h1` at most 2 (1 more), or with `places of h2` at most 2 (1 more), or with `a stays up` at least 0 (1 less), or with `b stays up` at least 0 (1 less)."#]];
    refused(&world(has.clone(), wants.clone(), invariants()), expected);
    let mut roomy = invariants();
    roomy[1].bound = InvariantBound::AtMost(2);
    assert!(world(has, wants, roomy).plan().broken().is_none());
}

#[test]
fn a_circle_of_moves_of_which_one_may_be_away_is_refused_and_told() {
    let at = |offset: usize| -> Vec<DesiredResource> {
        (0..5).map(|at| placed("web", &format!("web-{at}"), &format!("h{}", (at + offset) % 5))).collect()
    };
    let invariants = |kept: i64| {
        (0..5).map(|host| places(&format!("h{host}"), 1)).chain([stays_up("web", kept)]).collect::<Vec<_>>()
    };
    let expected = expect![[r#"
        BROKEN: places of h0: at most 1;
        now 1, and when create:unit/web-4 had started and delete:unit/web-4 had ended, it is 2;
        no order helps: 5 actions would have to swap places in a circle: delete:unit/web-0 waits for delete:unit/web-1 (`places of h1`),
          that for delete:unit/web-2 (`places of h2`),
          that for delete:unit/web-3 (`places of h3`),
          that for delete:unit/web-4 (`places of h4`),
          that for delete:unit/web-0 (`places of h0`);
        there is an order with `places of h0` at most 2 (1 more), or with `places of h1` at most 2 (1 more), or with `places of h2` at most 2 (1 more), or with `places of h3` at most 2 (1 more), or with `places of h4` at most 2 (1 more), or with `web stays up` at least 3 (1 less)."#]];
    refused(&world(at(0), at(1), invariants(4)), expected);
    let plan = world(at(0), at(1), invariants(3)).plan();
    assert!(plan.broken().is_none(), "{plan}");
    assert_eq!(at_once(&plan, |verb| verb == Verb::Delete), 2, "one more is away, for a moment");
}
