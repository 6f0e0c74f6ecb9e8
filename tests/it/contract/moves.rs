//! Capacity moves through the real program: an order that fits is found where there is one, and a swap that no order can do is
//! refused, with its members and with what would help.

use serde_json::{Value, json};

use crate::support::Place;

/// A service on a host: another resource than the same service on another host, as what must not be away is moved.
fn on(service: usize, host: usize) -> Value {
    json!({
        "kind": "value", "name": format!("s{service}-on-h{host}"), "input": { "mib": 64 },
        "labels": { "service": format!("s{service}"), "machine": format!("h{host}") },
    })
}

/// Desires these, each service always there, each machine with so much memory.
fn desire(place: &Place, resources: &[Value], services: usize, machines: &[i64]) {
    let up = |service: usize| {
        let labels = json!({ "service": format!("s{service}") });
        json!({ "name": format!("s{service} stays up"), "available": { "labels": labels }, "at_least": 1 })
    };
    let memory = |(machine, most): (usize, &i64)| {
        let of = json!({ "labels": { "machine": format!("h{machine}") } });
        json!({ "name": format!("memory of h{machine}"), "total": { "field": "input.mib", "of": of }, "at_most": most })
    };
    let invariants: Vec<Value> =
        (0..services).map(up).chain(machines.iter().enumerate().map(memory)).collect();
    let state = json!({ "version": 1, "resources": resources, "invariants": invariants });
    place.write("detc.json", serde_json::to_string_pretty(&state).unwrap());
}

/// Each service on the machine of its number and `offset`, of so many machines.
fn all(services: usize, offset: usize, machines: usize) -> Vec<Value> {
    (0..services).map(|service| on(service, (service + offset) % machines)).collect()
}

#[test]
fn moves_into_full_machines_are_done_from_the_free_end() {
    const SERVICES: usize = 12;
    let place = Place::new();
    let machines = vec![64; SERVICES + 1];
    desire(&place, &all(SERVICES, 0, SERVICES + 1), SERVICES, &machines);
    place.apply();
    desire(&place, &all(SERVICES, 1, SERVICES + 1), SERVICES, &machines);
    let plan = place.fleet(&["--json", "plan"]).exits(0).json();
    let ids: Vec<&str> =
        plan["actions"].as_array().unwrap().iter().map(|action| action["id"].as_str().unwrap()).collect();
    let expected = (0..SERVICES).rev().flat_map(|service| {
        let (from, to) = (service, service + 1);
        [format!("create:value/s{service}-on-h{to}"), format!("forget:value/s{service}-on-h{from}")]
    });
    assert_eq!(ids, expected.collect::<Vec<_>>());
    assert!(plan["proof"].as_array().unwrap().iter().all(|proof| proof["holds"] == true));
    place.apply();
    place.fleet(&["plan"]).exits(0).shows("Nothing to do");
}

#[test]
fn a_swap_that_no_order_can_do_is_refused_with_its_members_and_what_would_help() {
    const SERVICES: usize = 3;
    let place = Place::new();
    let mut machines = vec![100; SERVICES];
    desire(&place, &all(SERVICES, 0, SERVICES), SERVICES, &machines);
    place.apply();
    desire(&place, &all(SERVICES, 1, SERVICES), SERVICES, &machines);
    let circle = "6 actions would have to swap places in a circle: ";
    let help = "`memory of h1` at most 128 (28 more)";
    place.fleet(&["plan"]).exits(3).shows("no order helps: ").shows(circle).shows(help);
    place.fleet(&["apply", "--yes"]).exits(3).complains(circle).complains(help);
    machines[1] += 28;
    desire(&place, &all(SERVICES, 1, SERVICES), SERVICES, &machines);
    place.apply();
    place.fleet(&["plan"]).exits(0).shows("Nothing to do");
}

#[test]
fn what_takes_the_place_of_one_that_is_removed_is_made_and_the_name_that_it_had_is_asked_for() {
    let place = Place::new();
    let file = |name: &str| json!({ "kind": "file", "name": name, "path": place.text("f"), "content": name });
    place.desire(&[file("a")]);
    place.apply();
    place.desire(&[file("b")]);
    let plan = place.fleet(&["plan", "--rehearse"]).exits(0).shows("delete file/a").hides("adopt");
    plan.shows("create file/b on here (it takes the place of file/a, which is no longer desired and is removed first: was `renamed_from: file/a` meant?");
    place.fleet(&["plan", "--out", "p.plan"]).exits(0);
    place.fleet(&["apply", "p.plan", "--yes"]).exits(0).shows("Done: 2 of 2");
    assert_eq!(place.read("f"), "b");
    // It is detc's own: it goes when it is desired no more.
    place.desire(&[]);
    place.apply();
    assert!(!place.path("f").exists());
}
