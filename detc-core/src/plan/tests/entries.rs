//! How changes are shown: which of them as one, and how much of each.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::support::{World, call, id, unit, value, without_id};
use crate::model::{HostSpec, Observation, Present, Record, RecordBody};
use crate::plan::render::{Detail, TextOptions};

/// The lines between the first and the last paragraph.
fn body(world: &World, width: usize) -> String {
    let plan = world.plan();
    let text = without_id(&plan, &plan.text(&TextOptions::default().with_width(width)));
    let (_, rest) = text.split_once('\n').unwrap();
    rest.rsplit_once("\n\n").unwrap().0.trim_start().to_owned() + "\n"
}

#[track_caller]
fn check(world: &World, width: usize, expected: Expect) {
    expected.assert_eq(&body(world, width));
}

/// Units with one field before and after.
fn changed(field: &str, values: impl IntoIterator<Item = (Value, Value)>) -> World {
    let (from, to): (Vec<Value>, Vec<Value>) = values.into_iter().unzip();
    let units = |values: Vec<Value>| {
        let unit = |(n, value): (usize, Value)| unit(&format!("u{n:02}"), json!({ field: value }));
        values.into_iter().enumerate().map(unit).collect::<Vec<_>>()
    };
    World::new().having(units(from)).want(units(to))
}

#[test]
fn a_text_of_several_lines_is_compared_line_by_line() {
    let lines = |c: &str, count: usize| (0..count).map(|n| format!("{c}{n}\n")).collect::<String>();
    let long = format!("\tone\u{1b} {}", "x".repeat(60));
    check(
        &changed(
            "text",
            [
                (json!("one"), json!("one\ntwo\nthree")),
                (json!("one\ntwo"), json!("one\r\ntwo")),
                (json!(lines("a", 12)), json!(lines("b", 12))),
                (json!(lines("a", 12)), json!(lines("b", 13))),
                (json!(null), json!("one\ntwo")),
                (json!("one"), json!("two")),
                (json!(format!("{long}\nb")), json!(format!("{long}\nc"))),
            ],
        )
        .drift("unit/u00", "text", json!("none\nof these")),
        40,
        expect![[r#"
            ~ restart unit/u00 on h1 (the desired state changed, and it was changed behind detc's back)
                text: 2 lines out, 3 in (and drift)
                  - none
                  - of these
                  + one
                  + two
                  + three

            ~ restart unit/u01 on h1 (the desired state changed)
                text: "one\ntwo" (2 lines) → "one\u{d}… (2 lines)

            ~ restart unit/u02 on h1 (the desired state changed)
                text: 12 lines out, 12 in
                  - a0
                  - a1
                  - a2
                  - a3
                  - a4
                  - a5
                  - a6
                  - a7
                  - a8
                  - a9
                  - a10
                  - a11
                  + b0
                  + b1
                  + b2
                  + b3
                  + b4
                  + b5
                  + b6
                  + b7
                  + b8
                  + b9
                  + b10
                  + b11

            ~ restart unit/u03 on h1 (the desired state changed)
                text: 12 lines out, 13 in
                  - a0
                  - a1
                  - a2
                  - a3
                  - a4
                  - a5
                  - a6
                  - a7
                  - a8
                  - a9
                  - a10
                  - a11
                  + b0
                  + b1
                  + b2
                  + b3
                  + b4
                  + b5
                  + b6
                  + b7
                  + b8
                  + b9
                  + b10
                  + b11
                    … and 1 more line

            ~ restart unit/u04 on h1 (the desired state changed)
                text: (none) → "one\ntwo" (2 lines)

            ~ restart unit/u05 on h1 (the desired state changed)
                text: "one" → "two"

            ~ restart unit/u06 on h1 (the desired state changed)
                text: 1 line out, 1 in
                    	one� xxxxxxxxxxxxxxxxxxxxxxxxx…
                  - b
                  + c
        "#]],
    );
}

#[test]
fn of_a_long_value_that_part_is_shown_for_which_there_is_room() {
    let world = changed(
        "mode",
        [
            (json!("x".repeat(60)), json!("y".repeat(60))),
            (json!(format!("{}a", "x".repeat(60))), json!(format!("{}b", "x".repeat(60)))),
            (json!(null), json!("z".repeat(60))),
        ],
    );
    check(
        &world,
        60,
        expect![[r#"
        ~ restart unit/u00 on h1 (the desired state changed)
            mode: "xxxxxxxxxxxxxxxxxxxxx… → "yyyyyyyyyyyyyyyyyyyyy…

        ~ restart unit/u01 on h1 (the desired state changed)
            mode: …xxxxxxxxa" → …xxxxxxxxb"

        ~ restart unit/u02 on h1 (the desired state changed)
            mode: (none) → "zzzzzzzzzzzzzzzzzzzzz…
    "#]],
    );
    let new = value("v", json!({ "text": "one\ntwo\nthree", "list": (0..40).collect::<Vec<_>>() }));
    let text = unit("u", json!({ "text": format!("one\n{}", "long ".repeat(30)), "mode": "m".repeat(60) }));
    check(
        &World::new().want([new, text]),
        50,
        expect![[r#"
        + create unit/u on h1 (it is not there yet)
            mode: "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm…
            path: "/u"
            text: "one\nlong long long long lon… (2 lines)

        + create value/v (it is not there yet)
            input: {list: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …
    "#]],
    );
}

#[test]
fn of_many_fields_sixteen_are_shown() {
    let fields = |to: &str, count: usize| {
        let fields = (0..count).map(|n| (format!("field_{n:02}"), json!(to)));
        Value::Object(fields.chain([("a_name_that_is_longer_than_a_column".to_owned(), json!(to))]).collect())
    };
    let all = |to| [15, 16, 17].map(|count| value(&format!("v{count}"), fields(to, count)));
    check(
        &World::new().having(all("a")).want(all("b")),
        100,
        expect![[r#"
        ~ update value/v15 (the desired state changed)
            input.a_name_that_is_longer_than_a_column: "a" → "b"
            input.field_00:           "a" → "b"
            input.field_01:           "a" → "b"
            input.field_02:           "a" → "b"
            input.field_03:           "a" → "b"
            input.field_04:           "a" → "b"
            input.field_05:           "a" → "b"
            input.field_06:           "a" → "b"
            input.field_07:           "a" → "b"
            input.field_08:           "a" → "b"
            input.field_09:           "a" → "b"
            input.field_10:           "a" → "b"
            input.field_11:           "a" → "b"
            input.field_12:           "a" → "b"
            input.field_13:           "a" → "b"
            input.field_14:           "a" → "b"

        ~ update value/v16 (the desired state changed)
            input.a_name_that_is_longer_than_a_column: "a" → "b"
            input.field_00:           "a" → "b"
            input.field_01:           "a" → "b"
            input.field_02:           "a" → "b"
            input.field_03:           "a" → "b"
            input.field_04:           "a" → "b"
            input.field_05:           "a" → "b"
            input.field_06:           "a" → "b"
            input.field_07:           "a" → "b"
            input.field_08:           "a" → "b"
            input.field_09:           "a" → "b"
            input.field_10:           "a" → "b"
            input.field_11:           "a" → "b"
            input.field_12:           "a" → "b"
            input.field_13:           "a" → "b"
            input.field_14:           "a" → "b"
            … and 1 more field

        ~ update value/v17 (the desired state changed)
            input.a_name_that_is_longer_than_a_column: "a" → "b"
            input.field_00:           "a" → "b"
            input.field_01:           "a" → "b"
            input.field_02:           "a" → "b"
            input.field_03:           "a" → "b"
            input.field_04:           "a" → "b"
            input.field_05:           "a" → "b"
            input.field_06:           "a" → "b"
            input.field_07:           "a" → "b"
            input.field_08:           "a" → "b"
            input.field_09:           "a" → "b"
            input.field_10:           "a" → "b"
            input.field_11:           "a" → "b"
            input.field_12:           "a" → "b"
            input.field_13:           "a" → "b"
            input.field_14:           "a" → "b"
            … and 2 more fields
    "#]],
    );
}

#[test]
fn up_to_three_hosts_are_named() {
    let units = |hosts: usize| {
        (0..10)
            .map(move |n| unit(&format!("u{n}"), json!({ "mode": "m" })).on(&format!("h{}", n % hosts + 1)))
    };
    let title = |hosts: usize| {
        let mut world = World::new().want(units(hosts));
        for host in ["h3", "h4"] {
            world.desired = world.desired.host(host, HostSpec::local());
        }
        body(&world, 100).lines().next().unwrap().to_owned()
    };
    assert_eq!(title(1), "+ create 10 unit/u* on h1 (it is not there yet)");
    assert_eq!(title(3), "+ create 10 unit/u* on h1, h2, h3 (it is not there yet)");
    assert_eq!(title(4), "+ create 10 unit/u* on 4 hosts (it is not there yet)");
}

#[test]
fn what_only_some_have_is_said_to_be_theirs() {
    let unit = |n: u32| match n % 3 {
        0 => unit(&format!("u{n}"), json!({ "mode": "a", "text": n.to_string() })),
        1 => unit(&format!("u{n}"), json!({ "replicas": 1 })),
        _ => unit(&format!("u{n}"), json!({})),
    };
    check(
        &World::new().want((0..10).map(unit)),
        100,
        expect![[r#"
        + create 10 unit/u* on h1 (it is not there yet)
            mode:     "a" (in 4 of them)
            path:     "/*"
            text:     4 different values, such as "0" (in 4 of them)
            replicas: 1 (in 3 of them)
    "#]],
    );
}

/// The entries of units whose mode changes to these letters, one for each.
fn entries(modes: &str) -> String {
    let pairs = modes.chars().map(|mode| (json!("0"), json!(mode.to_string())));
    let text = body(&changed("mode", pairs), 100);
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let parts: Vec<String> = lines
        .map(|line| {
            let line = line.trim().replace(" on h1", "").replace(" (the desired state changed)", "");
            line.replace("~ restart ", "").replace("mode: \"0\" → ", "").replace("unit/", "")
        })
        .collect();
    format!("{modes}: {}\n", parts.join(" | "))
}

#[test]
fn three_of_a_sort_are_one_entry_with_up_to_five_others() {
    let all = [
        "aaaaaaaa",
        "aaaaaaaaa",
        "aaaaaabbbbb",
        "aaaaaabbbbbb",
        "aaaaabcdef",
        "aaaaabcdefg",
        "aaaabcdef",
        "aaaabcdeff",
        "aaabbbccc",
        "aabbccddee",
        "aaaaaabbbbbbcd",
        "aaaaaabbbbbbccd",
    ];
    expect![[r#"
        aaaaaaaa: u00 | "a" | u01 | "a" | u02 | "a" | u03 | "a" | u04 | "a" | u05 | "a" | u06 | "a" | u07 | "a"
        aaaaaaaaa: 9 u* | "a"
        aaaaaabbbbb: 6 u* | "a" | except 5: | u06: "b" | u07: "b" | u08: "b" | u09: "b" | u10: "b"
        aaaaaabbbbbb: 6 u* | "a" | 6 u* | "b"
        aaaaabcdef: 5 u* | "a" | except 5: | u05: "b" | u06: "c" | u07: "d" | u08: "e" | u09: "f"
        aaaaabcdefg: 5 u* | "a" | 6 u* | mode: 6 different values, such as "0" → "b"
        aaaabcdef: 4 u* | "a" | 5 u* | mode: 5 different values, such as "0" → "b"
        aaaabcdeff: 4 u* | "a" | 6 u* | mode: 5 different values, such as "0" → "b"
        aaabbbccc: 3 u* | "a" | 3 u* | "b" | 3 u* | "c"
        aabbccddee: 10 u* | mode: 5 different values, such as "0" → "a"
        aaaaaabbbbbbcd: 6 u* | "a" | 6 u* | "b" | u12 | "c" | u13 | "d"
        aaaaaabbbbbbccd: 6 u* | "a" | 6 u* | "b" | 3 u* | mode: 2 different values, such as "0" → "c"
    "#]].assert_eq(&all.map(entries).concat());
}

#[test]
fn exceptions_are_told_by_their_reasons_where_no_field_differs() {
    let units = |count: usize| (0..count).map(|n| unit(&format!("u{n:02}"), json!({})));
    let mut world = World::new().having(units(12)).want([]);
    // Two were there before.
    for resource in [id("unit/u03"), id("unit/u07")] {
        let record = &world.recorded[&resource];
        let body = RecordBody { adopted: true, ..record.body().unwrap() };
        let record = Record::new(record.intent(), record.relations(), record.seen(), &body);
        world.recorded.insert(resource, record);
    }
    check(
        &world,
        100,
        expect![[r#"
        - delete 10 unit/u* on h1 (it is no longer in the desired state)
            except 2:
              unit/u03 on h1: it was there before detc and is left as it is; only its record is dropped
              unit/u07 on h1: it was there before detc and is left as it is; only its record is dropped
    "#]],
    );
    let found = |mode: &str| Observation::Present(Present::new().with_field("mode", mode));
    let world = (0..12).fold(
        World::new().want((0..12).map(|n| unit(&format!("u{n:02}"), json!({ "mode": "0644" })))),
        |world, n| world.see(&format!("unit/u{n:02}"), found(if n == 5 { "0600" } else { "0644" })),
    );
    check(
        &world,
        60,
        expect![[r#"
        = adopt 11 unit/u* on h1 (it exists already and is not recorded; it is restarted)
            except 1:
              unit/u05 on h1: mode: "0600" → "0644"
    "#]],
    );
}

#[test]
fn as_many_as_are_compared_are_told_by_what_they_have_in_common() {
    let values = |count: usize| World::new().want((0..count).map(|n| value(&format!("v{n}"), json!(1))));
    assert_eq!(body(&values(2_000), 100), "+ create 2,000 value/v* (it is not there yet)\n    input: 1\n");
    assert_eq!(
        body(&values(2_001), 100),
        "+ create 2,001 value/v* (it is not there yet)\n    for example value/v0:\n      input: 1\n"
    );
}

#[test]
fn more_than_are_read_one_by_one_stay_one_entry_whatever_lies_between() {
    let entries = |count: usize| {
        let values = (0..count).map(|n| {
            let value = value(&format!("v{n:02}"), json!(1));
            if n == 1 { value.after(&id("call/c")) } else { value }
        });
        let world = World::new().want(values.chain([call("c").after(&id("value/v00"))]));
        body(&world, 100).matches("+ create ").count()
    };
    assert_eq!([entries(9), entries(23), entries(32), entries(33)], [10, 24, 24, 2]);
}

#[test]
fn what_is_waited_for_is_named_up_to_three_and_then_by_kinds() {
    let title = |before: &[&str]| {
        let kinds = |name: &str| match name.split_once('/').unwrap() {
            ("value", name) => value(name, json!(1)),
            ("call", name) => call(name),
            (_, name) => unit(name, json!({})),
        };
        let last = before.iter().fold(value("last", json!(1)), |last, name| last.after(&id(name)));
        let world = World::new().want(before.iter().map(|name| kinds(name)).chain([last]));
        let body = body(&world, 100);
        let line = body.lines().find(|line| line.contains("value/last")).unwrap().to_owned();
        line.replace("+ create value/last (it is not there yet; after ", "").replace(')', "\n")
    };
    let titles = [
        title(&["value/a", "value/b", "call/c"]),
        title(&["value/a", "value/b", "call/c", "unit/d"]),
        title(&["value/a1", "value/a2", "value/a3", "value/a4"]),
        title(&["unit/x1/a", "unit/x2/a", "value/b", "call/c", "call/d"]),
    ];
    expect![[r#"
        call/c, value/a, value/b
        call/c, unit/d, 2 value/*
        4 value/a*
        2 call/*, 2 unit/x*/a, value/b
    "#]]
    .assert_eq(&titles.concat());
}

#[test]
fn what_others_imply_is_left_out_of_up_to_sixteen() {
    // Each is removed before the one that it comes after, and all before the one that they all come after.
    let waits = |count: usize| {
        let values = (0..count).map(|n| {
            let value = value(&format!("v{n:02}"), json!(1)).after(&id("value/base"));
            if n == 0 { value } else { value.after(&id(&format!("value/v{:02}", n - 1))) }
        });
        let world = World::new().having(values.chain([value("base", json!(1))])).want([]);
        let text = world.plan().text(&TextOptions::default().with_detail(Detail::Full));
        let line = text.lines().find(|line| line.contains("value/base (")).unwrap();
        line.rsplit_once("; ").unwrap().1.to_owned()
    };
    assert_eq!([waits(16), waits(17)], ["after value/v00)", "after 17 value/v*)"]);
}
