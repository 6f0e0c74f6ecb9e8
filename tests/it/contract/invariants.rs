//! Invariants: what can not be proven is refused, and what proves nothing is not called proven.

use serde_json::{Value, json};

use crate::support::{Place, Ran};

fn value(name: &str, input: impl Into<Value>) -> Value {
    let input: Value = input.into();
    json!({ "kind": "value", "name": name, "input": input, "labels": { "app": "web" } })
}

/// Desires these with one invariant.
fn place(resources: &[Value], invariant: Value) -> Place {
    let place = Place::new();
    desire(&place, resources, invariant);
    place
}

fn desire(place: &Place, resources: &[Value], mut invariant: Value) {
    invariant["name"] = "web stays up".into();
    let state = json!({
        "version": 1, "hosts": { "here": { "connect": "local" } }, "resources": resources, "invariants": [invariant],
    });
    place.write("detc.json", serde_json::to_string_pretty(&state).unwrap());
}

fn available(at_least: i64) -> Value {
    json!({ "available": { "kind": "value", "labels": { "app": "web" } }, "at_least": at_least })
}

fn total(at_most: i64) -> Value {
    json!({ "total": { "field": "input.mib", "of": { "kind": "value" } }, "at_most": at_most })
}

fn proof(ran: &Ran) -> Value {
    ran.json()["proof"][0].clone()
}

#[test]
fn a_plan_that_could_break_an_invariant_is_refused_with_a_way_to_break_it() {
    let two = [value("a", 1), value("b", 1)];
    let place = place(&two, available(2));
    place.apply();
    desire(&place, &two[..1], available(2));
    place
        .fleet(&["plan"])
        .exits(3)
        .shows("BROKEN: web stays up: at least 2; now 2, and when ")
        .shows("forget:value/b");
    place.fleet(&["apply", "--yes"]).exits(3).complains("web stays up").complains("forget:value/b");
    let proof = proof(&place.fleet(&["--json", "plan"]).exits(3));
    assert_eq!((&proof["holds"], &proof["worst"], &proof["base"]), (&json!(false), &json!(1), &json!(2)));
    assert_eq!((&proof["invariant"], &proof["bound"]), (&json!("web stays up"), &json!({ "at_least": 2 })));
    assert_eq!(proof["counterexample"]["value"], 1);
    assert!(
        place.fleet(&["history"]).out.contains("run-1") && !place.fleet(&["history"]).out.contains("run-2")
    );
}

#[test]
fn what_each_action_does_to_an_invariant_is_told_in_json() {
    let sized = |name: &str, mib: u32| json!({ "kind": "value", "name": name, "input": { "mib": mib } });
    let place = place(&[sized("a", 10), sized("b", 20)], total(100));
    place.apply();
    // One more, one less, one that grows: while it does, it counts with the larger of both.
    desire(&place, &[sized("c", 5), sized("b", 50)], total(100));
    let plan = place.fleet(&["--json", "plan"]).exits(0).json();
    let effects = |id: &str| {
        let action = plan["actions"].as_array().unwrap().iter().find(|action| action["id"] == id);
        action.unwrap_or_else(|| panic!("no {id} in {plan}"))["effects"].clone()
    };
    let effect = |start, end| json!([{ "invariant": "web stays up", "start": start, "end": end }]);
    assert_eq!(effects("create:value/c"), effect(5, 0));
    assert_eq!(effects("update:value/b"), effect(30, 0));
    assert_eq!(effects("forget:value/a"), effect(0, -10));
    let proof = &plan["proof"][0];
    assert_eq!((&proof["bound"], &proof["counterexample"]), (&json!({ "at_most": 100 }), &Value::Null));
    assert_eq!((&proof["base"], &proof["worst"], &proof["holds"]), (&json!(30), &json!(65), &json!(true)));
}

#[test]
fn an_invariant_that_does_not_hold_yet_is_not_called_proven() {
    let two = [value("a", 1), value("b", 1)];
    let place = place(&two, available(2));
    place
        .fleet(&["plan"])
        .exits(0)
        .shows("Does not hold yet: web stays up: at least 2; now 0, never worse than 0, 2 at the end.")
        .hides("Proven");
    place.apply();
    place.fleet(&["plan"]).exits(0).shows("Proven: web stays up: at least 2; now 2, never worse than 2.");
    desire(&place, &two, available(3));
    place
        .fleet(&["plan"])
        .exits(0)
        .shows("now 2, never worse than 2, 2 at the end, where it still does not hold.")
        .hides("Proven");
}

#[test]
fn an_invariant_about_nothing_is_not_called_proven() {
    let wrong_label = json!({ "available": { "kind": "value", "labels": { "app": "wbe" } }, "at_least": 0 });
    let place = place(&[value("a", json!({ "mib": 1 }))], wrong_label);
    place
        .fleet(&["plan"])
        .exits(0)
        .shows(
            "Proves nothing: web stays up: at least 0; no resource is selected by kind value, label app=wbe.",
        )
        .hides("Proven");
    assert_eq!(proof(&place.fleet(&["--json", "plan"]).exits(0))["vacuous"], json!(true));
    let wrong_field = json!({ "total": { "field": "input.mbi", "of": { "kind": "value" } }, "at_most": 9 });
    desire(&place, &[value("a", json!({ "mib": 1 }))], wrong_field);
    place.fleet(&["plan"]).exits(0).shows("no resource selected by kind value has a number `input.mbi`.");
}

#[test]
fn a_kind_host_field_or_bound_that_can_not_be_meant_is_an_error_at_its_line() {
    for (invariant, says, next) in [
        (
            json!({ "available": { "kind": "vlaue" }, "at_least": 1 }),
            "unknown kind `vlaue`",
            "did you mean `value`?",
        ),
        (
            json!({ "available": { "kind": "process", "host": "her" }, "at_least": 1 }),
            "host `her` is not declared",
            "declared hosts: here",
        ),
        (
            json!({ "total": { "field": "memry_mib", "of": { "kind": "process" } }, "at_most": 1 }),
            "`memry_mib` names no field",
            "did you mean `memory_mib`?",
        ),
        (
            json!({ "total": { "field": "inptu", "of": {} }, "at_most": 1 }),
            "`inptu` names no field of any kind",
            "did you mean `input`?",
        ),
        (
            json!({ "available": { "kind": "process" }, "at_least": -1 }),
            "`at_least: -1` says nothing: it always holds",
            "write how many must be there",
        ),
        (
            json!({ "available": { "kind": "process" }, "at_most": -1 }),
            "`at_most: -1` can not be kept",
            "write how many may be there",
        ),
    ] {
        let place = place(&[value("a", 1)], invariant);
        let at = place.read("detc.json").lines().position(|line| line.contains("web stays up")).unwrap() + 1;
        let ran = place.fleet(&["plan"]).exits(64).complains(says).complains(next);
        ran.complains(&format!("detc.json:{at}: invariant `web stays up`: "));
        assert!(!place.path(".detc").exists(), "bad input makes no store");
    }
}

#[test]
fn what_can_not_be_counted_is_an_error_of_the_resource() {
    let later = json!({ "mib": { "from": "value/size", "output": "input" } });
    for (input, says) in [
        (json!({ "mib": "64" }), "`input.mib` is no whole number, and the invariant `web stays up` sums it"),
        (json!({ "mib": 1.5 }), "no whole number"),
        (later, "`input.mib` is known only later"),
        (json!({ "from": "value/size", "output": "input" }), "`input.mib` is known only later"),
    ] {
        let size = json!({ "kind": "value", "name": "size", "input": 64 });
        let place = place(&[size, value("a", input)], total(100));
        place.fleet(&["plan"]).exits(64).complains("value/a").complains(says);
    }
    let place = place(&[value("a", json!({ "mib": null })), value("b", json!({ "mib": 7 }))], total(7));
    place.fleet(&["plan"]).exits(0).shows("Proven: web stays up: at most 7; now 0, never worse than 7.");
}

#[test]
fn waits_are_added_where_they_keep_an_invariant() {
    let old: Vec<Value> = (0..3).map(|at| value(&format!("old-{at}"), json!({ "mib": 10 }))).collect();
    let new: Vec<Value> = (0..3).map(|at| value(&format!("new-{at}"), json!({ "mib": 10 }))).collect();
    let place = place(&old, total(40));
    place.apply();
    desire(&place, &new, total(40));
    place
        .fleet(&["plan"])
        .exits(0)
        .shows("at most 40; now 30, never worse than 40, by ")
        .shows("waits that were added.");
    place.apply();
    place.fleet(&["plan"]).exits(0).shows("Nothing to do");
}

#[test]
fn destroy_says_which_invariants_it_does_not_keep() {
    let all: Vec<Value> = (0..3).map(|at| value(&format!("v-{at}"), json!({ "mib": 10 }))).collect();
    let place = place(&all, json!({ "available": { "kind": "value" }, "at_least": 2 }));
    place.fleet(&["destroy", "--yes"]).exits(0).hides("No invariant");
    place.apply();
    let ran = place.fleet(&["destroy", "--yes"]).exits(0);
    let ran = ran.shows("\nNo invariant is kept, as everything is to go: web stays up.\n");
    ran.shows("Done: 0 of 3 actions had an effect, 3 dropped a record. ");
}

#[test]
fn what_is_beyond_64_bits_is_refused_and_never_called_proven() {
    let of = |input: i64| value("a", json!({ "mib": input }));
    let place = place(&[of(i64::MIN)], available(1));
    place.apply();
    // What is added by this is more than a number holds, and so was said to end at -1.
    desire(&place, &[of(i64::MAX)], total(1_000_000_000_000_000_000));
    place.fleet(&["plan"]).exits(64).complains("`web stays up` sums is beyond 64 bits").hides("Proven");
    let large = ["a", "b"].map(|name| value(name, json!({ "mib": i64::MAX })));
    desire(&place, &large, available(1));
    place.apply();
    desire(&place, &large[..1], total(i64::MAX));
    place.fleet(&["plan"]).exits(64).complains("apply these without the invariant first");
    desire(&place, &large[..1], available(1));
    place.apply();
    desire(&place, &large[..1], total(i64::MAX));
    place.fleet(&["plan"]).exits(0).shows("at most 9223372036854775807; now 9223372036854775807");
}

#[test]
fn of_each_of_very_many_that_are_broken_it_is_told_what_it_can_come_to() {
    let places: Vec<Value> =
        (0..102).map(|at| json!({ "kind": "value", "name": format!("v{at}"), "input": 2 })).collect();
    let invariant = |at: usize| {
        let of = json!({ "kind": "value" });
        json!({ "name": format!("few {at}"), "total": { "field": "input", "of": of }, "at_most": at })
    };
    let invariants: Vec<Value> = (0..102).map(invariant).collect();
    let place = Place::new();
    place.write(
        "detc.json",
        json!({ "version": 1, "resources": places, "invariants": invariants }).to_string(),
    );
    place
        .fleet(&["plan"])
        .exits(3)
        .shows("BROKEN: few 99: at most 99; now 0, and when create:")
        .shows("BROKEN: few 101: at most 101; now 0, and it can come to 204.");
}
