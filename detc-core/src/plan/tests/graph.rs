//! What is drawn.

use expect_test::{Expect, expect};
use serde_json::json;

use super::support::{World, from, id, unit, value, without_id};
use crate::plan::render::{GraphFormat, graph};

fn small() -> World {
    World::new().having([value("old", json!(0)), unit("web", json!({"path": "/a"}))]).want([
        unit("web", json!({"path": "/b"})),
        value("pid", from("unit/web", "pid")),
        value("alone", json!("\"<&>\"")),
        value("#<b>\"quoted\"", json!(1)).after(&id("value/pid")).after(&id("unit/web")),
    ])
}

#[track_caller]
fn check(world: &World, format: GraphFormat, expected: Expect) {
    let plan = world.plan();
    expected.assert_eq(&without_id(&plan, &graph(&plan, format)));
}

#[test]
fn dot_names_each_action_by_its_id() {
    check(
        &small(),
        GraphFormat::Dot,
        expect![[r##"
            digraph plan {
              label="Plan PLAN: 6 actions";
              rankdir=LR;
              node [shape=box, style="rounded,filled", fontname="sans-serif"];
              "delete:unit/web" [label="- delete on h1\nunit/web", tooltip="remove unit/web, to make it anew on h1: `path` can not change in place", fillcolor="#fbdedd", color="#c23b35"];
              "create:value/alone" [label="+ create\nvalue/alone", tooltip="create value/alone: it is not there yet", fillcolor="#dcf5e0", color="#2c8a43"];
              "forget:value/old" [label="- forget\nvalue/old", tooltip="drop the record of value/old: it is no longer in the desired state", fillcolor="#fbdedd", color="#c23b35"];
              "create:unit/web" [label="+ create on h1\nunit/web", tooltip="make unit/web anew on h1: `path` can not change in place", fillcolor="#dcf5e0", color="#2c8a43"];
              "create:value/pid" [label="+ create\nvalue/pid", tooltip="create value/pid: it is not there yet", fillcolor="#dcf5e0", color="#2c8a43"];
              "create:value/#<b>\"quoted\"" [label="+ create\nvalue/#<b>\"quoted\"", tooltip="create value/#<b>\"quoted\": it is not there yet", fillcolor="#dcf5e0", color="#2c8a43"];
              "delete:unit/web" -> "create:unit/web";
              "create:unit/web" -> "create:value/pid";
              "create:unit/web" -> "create:value/#<b>\"quoted\"";
              "create:value/pid" -> "create:value/#<b>\"quoted\"";
            }
        "##]],
    );
}

#[test]
fn mermaid_holds_no_markup_of_a_name() {
    check(
        &small(),
        GraphFormat::Mermaid,
        expect![[r#"
            ---
            title: "Plan PLAN: 6 actions"
            ---
            flowchart LR
              n0["- delete on h1<br/>unit/web"]:::delete
              n1["+ create<br/>value/alone"]:::create
              n2["- forget<br/>value/old"]:::delete
              n3["+ create on h1<br/>unit/web"]:::create
              n4["+ create<br/>value/pid"]:::create
              n5["+ create<br/>value/#35;#60;b#62;#34;quoted#34;"]:::create
              n0 --> n3
              n3 --> n4
              n3 --> n5
              n4 --> n5
              classDef create fill:#dcf5e0,stroke:#2c8a43,color:#111
              classDef adopt fill:#d8f1f5,stroke:#1b7f8c,color:#111
              classDef update fill:#fdf1cf,stroke:#b07d09,color:#111
              classDef record fill:#ececf2,stroke:#77778c,color:#111
              classDef delete fill:#fbdedd,stroke:#c23b35,color:#111
              classDef mixed fill:#e8e4f6,stroke:#6a55b0,color:#111
        "#]],
    );
}

#[test]
fn svg_draws_each_action_once_and_leaves_out_arrows_that_others_imply() {
    let svg = graph(&small().plan(), GraphFormat::Svg);
    assert_eq!(svg.matches("<rect class=\"box").count(), 6);
    assert_eq!(svg.matches("<path class=\"edge\"").count(), 3);
    assert!(svg.contains("value/#&lt;b&gt;&quot;quoted&quot;"));
    assert!(svg.len() < 8_000, "{}", svg.len());
}

#[test]
fn many_like_actions_are_one_box_in_every_format() {
    let world = World::new().want((0..5_000).map(|n| {
        let resource = value(&format!("v{n:04}"), json!(n));
        if n == 0 { resource } else { resource.after(&id("value/v0000")) }
    }));
    check(
        &world,
        GraphFormat::Dot,
        expect![[r##"
            digraph plan {
              label="Plan PLAN: 5,000 actions, like actions of a step as one";
              rankdir=LR;
              node [shape=box, style="rounded,filled", fontname="sans-serif"];
              "create:value/v0000" [label="+ create\nvalue/v0000", tooltip="create value/v0000: it is not there yet", fillcolor="#dcf5e0", color="#2c8a43"];
              "group-1" [label="+ create\n4,999 × value", tooltip="create 4,999 value, from value/v0001 to value/v4999", fillcolor="#dcf5e0", color="#2c8a43"];
              "create:value/v0000" -> "group-1";
            }
        "##]],
    );
    let svg = graph(&world.plan(), GraphFormat::Svg);
    assert_eq!(svg.matches("<rect class=\"box").count(), 2);
}

#[test]
fn a_long_chain_is_folded_by_steps() {
    let world = World::new().want((0..1_000).map(|n| {
        let resource = value(&format!("v{n:04}"), json!(n));
        if n == 0 { resource } else { resource.after(&id(&format!("value/v{:04}", n - 1))) }
    }));
    let dot = graph(&world.plan(), GraphFormat::Dot);
    assert_eq!(dot.matches(" -> ").count(), 99);
    assert!(dot.contains("10 × value"), "{dot}");
}

#[test]
fn the_last_step_of_a_chain_has_its_box() {
    // Seventy-six boxes of four steps each, of which the last has one.
    let world = World::new().want((0..301).map(|n| {
        let resource = value(&format!("v{n:03}"), json!(n));
        if n == 0 { resource } else { resource.after(&id(&format!("value/v{:03}", n - 1))) }
    }));
    let dot = graph(&world.plan(), GraphFormat::Dot);
    assert_eq!(dot.matches(" -> ").count(), 75);
    assert!(dot.contains("\"group-74\" -> \"create:value/v300\""), "{dot}");
}

#[test]
fn the_formats_are_named() {
    let read = |text: &str| text.parse::<GraphFormat>();
    assert_eq!(
        ["dot", "mermaid", "svg"].map(|text| read(text).unwrap()),
        [GraphFormat::Dot, GraphFormat::Mermaid, GraphFormat::Svg]
    );
    assert_eq!(read("png").unwrap_err(), "`png` is not a graph format: expected dot, mermaid or svg");
}

#[test]
fn two_hundred_actions_are_a_box_each() {
    let boxes = |count: usize| {
        let world = World::new().want((0..count).map(|n| value(&format!("v{n}"), json!(n))));
        graph(&world.plan(), GraphFormat::Svg).matches("<rect class=\"box").count()
    };
    assert_eq!([boxes(200), boxes(201)], [200, 1]);
}

#[test]
fn what_is_folded_says_what_is_done_to_how_many() {
    // Five hundred steps, five to a box: of two verbs, and then of two kinds with one verb.
    let resources = |at: u64| {
        let mut all = Vec::new();
        for n in 0..250 {
            let (unit, value) =
                (unit(&format!("u{n:03}"), json!({ "replicas": at })), value(&format!("v{n:03}"), json!(at)));
            let unit = if n == 0 { unit } else { unit.after(&id(&format!("value/v{:03}", n - 1))) };
            all.extend([value.after(&unit.id), unit]);
        }
        all
    };
    let plan = World::new().having(resources(1)).want(resources(2)).plan();
    let dot = without_id(&plan, &graph(&plan, GraphFormat::Dot));
    let lines: Vec<&str> = dot.lines().skip(1).take(6).chain(dot.lines().rev().take(2)).collect();
    expect![[r##"
          label="Plan PLAN: 500 actions, like actions of a step as one";
          rankdir=LR;
          node [shape=box, style="rounded,filled", fontname="sans-serif"];
          "group-0" [label="5 actions\nupdate 2 value, restart 3 unit", tooltip="update 2 value, restart 3 unit, from unit/u000 to unit/u002", fillcolor="#e8e4f6", color="#6a55b0"];
          "group-1" [label="5 actions\nupdate 3 value, restart 2 unit", tooltip="update 3 value, restart 2 unit, from value/v002 to value/v004", fillcolor="#e8e4f6", color="#6a55b0"];
          "group-2" [label="5 actions\nupdate 2 value, restart 3 unit", tooltip="update 2 value, restart 3 unit, from unit/u005 to unit/u007", fillcolor="#e8e4f6", color="#6a55b0"];
        }
          "group-98" -> "group-99";"##]].assert_eq(&lines.join("\n"));
    let wide = World::new().want(resources(1).into_iter().chain([value("z", json!(1))])).plan();
    let dot = without_id(&wide, &graph(&wide, GraphFormat::Dot));
    let lines: Vec<&str> = dot.lines().skip(1).take(6).map(str::trim_start).collect();
    expect![[r##"
          label="Plan PLAN: 501 actions, like actions of a step as one";
          rankdir=LR;
          node [shape=box, style="rounded,filled", fontname="sans-serif"];
          "group-0" [label="6 actions\ncreate 3 unit, create 3 value", tooltip="create 3 unit, create 3 value, from unit/u000 to unit/u002", fillcolor="#dcf5e0", color="#2c8a43"];
          "group-1" [label="5 actions\ncreate 2 unit, create 3 value", tooltip="create 2 unit, create 3 value, from value/v002 to value/v004", fillcolor="#dcf5e0", color="#2c8a43"];
          "group-2" [label="5 actions\ncreate 3 unit, create 2 value", tooltip="create 3 unit, create 2 value, from unit/u005 to unit/u007", fillcolor="#dcf5e0", color="#2c8a43"];"##]].assert_eq(&lines.join("\n"));
}

#[test]
fn every_sort_of_box_has_its_colour_in_the_style_sheet() {
    let svg = graph(&small().plan(), GraphFormat::Svg);
    let (_, style) = svg.split_once("<style>").unwrap();
    let (style, _) = style.split_once("</style>").unwrap();
    for class in ["create", "adopt", "update", "record", "delete", "mixed"] {
        assert!(style.contains(&format!(".{class}{{fill:#")), "{style}");
    }
    assert!(style.starts_with("text{") && style.contains("@media(prefers-color-scheme:dark){"), "{style}");
}

#[test]
fn a_plan_without_actions_is_a_picture_too() {
    check(
        &World::new(),
        GraphFormat::Dot,
        expect![[r#"
        digraph plan {
          label="Nothing to do";
          rankdir=LR;
          node [shape=box, style="rounded,filled", fontname="sans-serif"];
        }
    "#]],
    );
    assert!(graph(&World::new().plan(), GraphFormat::Svg).contains("Nothing to do"));
}

#[test]
fn the_same_plan_has_the_same_picture() {
    let plan = small().plan();
    for format in [GraphFormat::Dot, GraphFormat::Mermaid, GraphFormat::Svg] {
        assert_eq!(graph(&plan, format), graph(&small().plan(), format));
    }
}
