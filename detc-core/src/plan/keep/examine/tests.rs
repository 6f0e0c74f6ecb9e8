//! A plan's states by hand: which are told apart, which are drawn, and what is left of a way that was drawn.

use serde_json::json;

use super::*;
use crate::model::secret::MarkKey;
use crate::model::{DesiredResource, Selector, Set, Standing};
use crate::plan::tests::support::{World as Ground, call, id, unit, value};

/// What comes of a world's plan.
fn with_plan<T>(ground: &Ground, ask: impl FnOnce(&Plan, &PlanInput<'_>) -> T) -> T {
    let key = MarkKey::new([7; 32]);
    let topology = ground.desired.check(&ground.registry).unwrap();
    let input = PlanInput {
        desired: &ground.desired,
        topology: &topology,
        recorded: &ground.recorded,
        observed: &ground.observed,
        half_done: &ground.half_done,
        registry: &ground.registry,
        key: &key,
    };
    ask(&ground.plan(), &input)
}

/// What comes of it for the first predicate.
fn with_world<T>(ground: &Ground, ask: impl FnOnce(&World<'_>) -> T) -> T {
    let predicate = &ground.registry.predicates()[0];
    with_plan(ground, |plan, input| ask(&World::of(plan, input, predicate).unwrap()))
}

fn web(at: u32, version: &str) -> DesiredResource {
    unit(&format!("web-{at}"), json!({ "text": version }))
}

/// So many units that are restarted, and a predicate about them.
fn restarts(count: u32, predicate: Predicate) -> Ground {
    let units = |version: &'static str| (0..count).map(move |at| web(at, version));
    let mut ground = Ground::new().having(units("v1")).want(units("v2"));
    let about = Selector { kind: Some("unit".to_owned()), ..Selector::default() };
    ground.registry = ground.registry.with_predicate(predicate.about(about));
    ground
}

fn any() -> Predicate {
    Predicate::new("any", |_| Ok(()))
}

#[test]
fn of_a_way_that_was_drawn_what_it_needs_is_left() {
    let not_both = Predicate::new("not both", |state| {
        let is_down = |id: &str| state.get(id).is_some_and(|it| it.standing() == Standing::Down);
        if is_down("unit/web-0") && is_down("unit/web-2") { Err("both are".to_owned()) } else { Ok(()) }
    });
    with_world(&restarts(4, not_both), |world| {
        // Each has two events: it is away, and it is back.
        let mut events = vec![0, 2, 3, 4, 6];
        assert!(world.ask(&events).is_err());
        world.shorten(&mut events);
        assert_eq!(events, [0, 4]);
    });
    let second = Predicate::new("never two", |state| {
        let is_new = |id: &str| state.get(id).and_then(|it| it.field("text")) == Some(&json!("v2"));
        if is_new("unit/web-1") { Err("it is".to_owned()) } else { Ok(()) }
    });
    with_world(&restarts(2, second), |world| {
        let mut events = vec![0, 1, 2, 3];
        world.shorten(&mut events);
        assert_eq!(events, [2, 3], "it is away before it is back");
    });
}

#[test]
fn a_state_that_is_met_again_is_not_counted_again() {
    with_world(&restarts(3, any()), |world| {
        let mut look = Look::new(world);
        look.is_drawn = true;
        let (a, b) = (0, 2);
        let mut counts = Vec::new();
        // Each event occurs, or is undone, and then there is a look.
        for (event, occurs) in [
            (a, true),
            (a, false),
            (b, true),
            (b, false),
            (a, true),
            (b, true),
            (b, false),
            (a, false),
            (b, true),
            (a, true),
            (a, false),
            (b, false),
        ] {
            if counts.is_empty() {
                look.look();
            }
            match occurs {
                true => look.occur(event),
                false => look.undo(event),
            }
            look.look();
            counts.push(look.states);
        }
        assert_eq!(counts, [2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4]);
    });
}

#[test]
fn numbers_of_events_differ_in_both_halves() {
    let halves: Set<u64> =
        (0..1_000).flat_map(|event| [(number(event) >> 64) as u64, number(event) as u64]).collect();
    assert_eq!(halves.len(), 2_000);
    assert!(!halves.contains(&0));
}

/// A world of so many slots with so many events that do not depend on each other.
fn free<'a>(
    plan: &'a Plan,
    predicate: &'a Predicate,
    slots: usize,
    events: usize,
    has_idle: bool,
) -> World<'a> {
    let slot = Slot { id: id("value/v"), versions: Vec::new() };
    let event =
        || Event { action: 0, is_last: true, changes: Vec::new(), away: Vec::new(), does: Does::Makes };
    World {
        plan,
        predicate,
        slots: vec![slot; slots],
        base: vec![crate::model::state::NOTHING; slots],
        events: (0..events).map(|_| event()).collect(),
        poset: Poset::new(vec![Vec::new(); events]),
        has_idle,
    }
}

#[test]
fn the_more_resources_there_are_the_fewer_states_are_looked_at() {
    let (plan, any) = (Ground::new().want([value("v", json!(1))]).plan(), any());
    let states = |slots: usize, events: usize| {
        let found = free(&plan, &any, slots, events, false).examine();
        (found.states, found.drawn.is_some())
    };
    assert_eq!(states(1, 9), (Count::Exactly(512), false));
    // Twenty million in all, and two hundred states at least.
    assert_eq!(states(20_000, 9), (Count::Exactly(512), false));
    assert_eq!(states(40_000, 9), (Count::Exactly(512), true));
    assert_eq!(states(200_000, 7), (Count::Exactly(128), false));
}

#[test]
fn states_with_events_that_change_nothing_are_not_counted_exactly() {
    let (plan, any) = (Ground::new().want([value("v", json!(1))]).plan(), any());
    let found = free(&plan, &any, 1, 3, true).examine();
    assert!(matches!(found.states, Count::AtLeast(_)), "{found:?}");
    assert!(found.drawn.is_some());
}

#[test]
fn where_it_does_not_hold_before_the_first_and_the_last_state_were_looked_at() {
    let (plan, never) = (
        Ground::new().want([value("v", json!(1))]).plan(),
        Predicate::new("never", |_| Err("it does not".to_owned())),
    );
    let looked_at = |events: usize| {
        let found = free(&plan, &never, 1, events, false).examine();
        (found.looked_at, found.states)
    };
    assert_eq!(
        [looked_at(0), looked_at(1), looked_at(5)],
        [(1, Count::AtLeast(1)), (2, Count::AtLeast(2)), (2, Count::AtLeast(2))]
    );
}

#[test]
fn what_an_event_does_and_comes_after_is_told() {
    let has = [web(0, "v1"), web(1, "v1"), value("v", json!(1)), value("gone", json!(1))];
    let new = value("new", json!(1)).after(&id("unit/web-0")).after(&id("value/v"));
    let ground = Ground::new().having(has).want([web(0, "v2"), value("v", json!(2)), new, call("c")]);
    with_plan(&ground, |plan, input| {
        let Events { events, before, .. } = Events::of(plan, input, &Selector::default()).unwrap();
        let told = events.iter().zip(before).map(|(event, before)| {
            let end = if event.is_last { "." } else { "" };
            format!("{}{end} {:?} {before:?}\n", plan.action_id(event.action), event.does)
        });
        expect_test::expect![[r#"
            create:call/c. Makes []
            restart:unit/web-0 TakesAway []
            restart:unit/web-0. Makes [1]
            delete:unit/web-1. TakesAway []
            forget:value/gone. TakesAway []
            update:value/v. Makes []
            create:value/new. Makes [2, 5]
        "#]]
        .assert_eq(&told.collect::<String>());
    });
}
