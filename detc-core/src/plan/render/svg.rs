//! A picture of a plan as SVG: time runs from left to right, arrows lead to what comes after.

use std::fmt::Write as _;

use super::graph::{Node, Picture, class, style};
use super::layout::{Layout, lay_out};
use super::value::shorten;

/// Pixels of one character: the fonts named in the style sheet are of one width, 12 pixels high.
const CHAR: f64 = 7.3;
/// Pixels of a box's height, and of the space beneath it.
const BOX: f64 = 40.0;
const GAP: f64 = 14.0;
/// Pixels between two columns: room for arrows to swing.
const COLUMN_GAP: f64 = 64.0;
/// Pixels around everything.
const MARGIN: f64 = 20.0;
/// Pixels for the title.
const TITLE: f64 = 34.0;
/// Most characters of a label: longer ones are in the tool tip.
const LABEL_MAX: usize = 40;
/// Pixels of the widest row of boxes without arrows.
const ROW_MAX: f64 = 1_400.0;

/// The picture as an SVG document.
pub(super) fn svg(picture: &Picture) -> String {
    let layout = lay_out(picture.nodes.len(), &picture.edges);
    let columns = columns(picture, &layout);
    let pitch = BOX + GAP;
    let deepest = layout.layers.iter().flatten().map(|cell| layout.y[*cell as usize]).fold(0.0, f64::max);
    let layered = if layout.layers.is_empty() { 0.0 } else { (deepest + 0.5) * pitch };
    let top = MARGIN + TITLE;
    let middle = |cell: u32| top + layout.y[cell as usize] * pitch - GAP / 2.0;
    let mut body = String::new();
    for arrow in &layout.arrows {
        arrow_path(arrow, &layout, &columns, &middle, &mut body);
    }
    for (layer, (x, width)) in layout.layers.iter().zip(&columns) {
        for cell in layer.iter().filter(|cell| (**cell as usize) < picture.nodes.len()) {
            draw(&picture.nodes[*cell as usize], *x, middle(*cell) - BOX / 2.0, *width, &mut body);
        }
    }
    let (loose_width, loose_height) = loose(picture, &layout, top + layered, &mut body);
    let right = columns.last().map_or(0.0, |(x, width)| x + width);
    let title_width = MARGIN + picture.title.chars().count() as f64 * CHAR * 1.2;
    let width = right.max(loose_width).max(title_width) + MARGIN;
    let height = top + layered + loose_height + MARGIN;
    let title = escape(&picture.title);
    let mut out = String::with_capacity(body.len() + 2_048);
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n\
         <title>{title}</title>\n<style>{}</style>\n\
         <defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path id=\"tip\" d=\"M0 0.5 8 4 0 7.5z\"/></marker></defs>\n\
         <rect class=\"back\" width=\"100%\" height=\"100%\"/>\n<text class=\"title\" x=\"{MARGIN}\" y=\"{:.0}\">{title}</text>",
        style(),
        MARGIN + 12.0
    );
    out.push_str(&body);
    out.push_str("</svg>\n");
    out
}

/// Left edge and width of each layer.
fn columns(picture: &Picture, layout: &Layout) -> Vec<(f64, f64)> {
    let mut x = MARGIN;
    let mut columns = Vec::with_capacity(layout.layers.len());
    for layer in &layout.layers {
        let nodes = layer.iter().filter_map(|cell| picture.nodes.get(*cell as usize));
        let width = nodes.map(box_width).fold(0.0, f64::max);
        columns.push((x, width));
        x += width + COLUMN_GAP;
    }
    columns
}

fn box_width(node: &Node) -> f64 {
    let chars = node.label.chars().count().max(node.head.chars().count()).min(LABEL_MAX);
    chars as f64 * CHAR + 20.0
}

fn arrow_path(
    arrow: &[u32],
    layout: &Layout,
    columns: &[(f64, f64)],
    middle: &dyn Fn(u32) -> f64,
    out: &mut String,
) {
    let start = layout.layers.iter().position(|layer| layer.contains(&arrow[0])).unwrap_or_default();
    let (mut x, mut y) = (columns[start].0 + columns[start].1, middle(arrow[0]));
    let _ = write!(out, "<path class=\"edge\" marker-end=\"url(#arrow)\" d=\"M{x:.0} {y:.1}");
    for (at, cell) in arrow.iter().enumerate().skip(1) {
        let (left, width) = columns[start + at];
        let (half, next) = ((x + left) / 2.0, middle(*cell));
        let _ = write!(out, "C{half:.0} {y:.1} {half:.0} {next:.1} {left:.0} {next:.1}");
        (x, y) = (left, next);
        if at + 1 < arrow.len() {
            x += width;
            let _ = write!(out, "H{x:.0}");
        }
    }
    out.push_str("\"/>\n");
}

/// Boxes without arrows, in rows beneath the others. The width and height that they take.
fn loose(picture: &Picture, layout: &Layout, top: f64, out: &mut String) -> (f64, f64) {
    let nodes = || layout.loose.iter().map(|node| &picture.nodes[*node as usize]);
    let widest = nodes().map(box_width).fold(0.0, f64::max);
    if widest == 0.0 {
        return (0.0, 0.0);
    }
    let most = ((ROW_MAX / (widest + GAP)) as usize).max(1);
    // About as wide as high, boxes being flat.
    let square =
        ((layout.loose.len() as f64 * (BOX + GAP) / (widest + GAP)).sqrt().ceil() as usize * 2).max(1);
    let per_row = most.min(square).min(layout.loose.len());
    for (at, node) in nodes().enumerate() {
        let (column, row) = (at % per_row, at / per_row);
        let (x, y) = (MARGIN + column as f64 * (widest + GAP), top + row as f64 * (BOX + GAP));
        draw(node, x, y, widest, out);
    }
    let rows = layout.loose.len().div_ceil(per_row);
    (MARGIN + per_row as f64 * (widest + GAP), rows as f64 * (BOX + GAP))
}

fn draw(node: &Node, x: f64, y: f64, width: f64, out: &mut String) {
    let class = class(node.verb);
    let (head, label) = (shorten(node.head.clone(), LABEL_MAX), shorten(node.label.clone(), LABEL_MAX));
    let _ = writeln!(
        out,
        "<g><title>{}</title><rect class=\"box {class}\" x=\"{x:.0}\" y=\"{y:.1}\" width=\"{width:.0}\" height=\"{BOX}\" rx=\"6\"/>\
         <text class=\"head\" x=\"{:.0}\" y=\"{:.1}\">{}</text><text x=\"{:.0}\" y=\"{:.1}\">{}</text></g>",
        escape(&node.tip),
        x + 10.0,
        y + 16.0,
        escape(&head),
        x + 10.0,
        y + 31.0,
        escape(&label),
    );
}

/// `text` within XML: markup escaped, characters that XML can not hold replaced.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::plan::Verb;

    fn node(label: &str, verb: Verb) -> Node {
        let (id, tip) = (label.to_owned(), format!("{verb} it"));
        Node { id, head: verb.to_string(), label: label.to_owned(), tip, verb: Some(verb) }
    }

    fn picture(title: &str, nodes: Vec<Node>, edges: &[(u32, u32)]) -> Picture {
        Picture { title: title.to_owned(), nodes, edges: edges.to_vec() }
    }

    /// What is drawn of it, without what is the same in each picture.
    #[track_caller]
    fn check(picture: &Picture, expected: &Expect) {
        let svg = svg(picture);
        let (begin, rest) = svg.split_once(" viewBox").unwrap();
        let (_, body) = rest.split_once("<text class=\"title\" ").unwrap();
        expected.assert_eq(&format!(
            "{begin}\n{}",
            body.replace("</title>", "</title>\n  ").replace("/><text", "/>\n  <text")
        ));
    }

    #[test]
    fn arrows_swing_from_column_to_column_around_what_lies_between() {
        let nodes = vec![
            node("one", Verb::Create),
            node("a longer name than the others", Verb::Delete),
            node("three", Verb::Adopt),
            node("so long a name that it does not fit into any box", Verb::Restart),
            node("alone", Verb::Forget),
            node("five", Verb::Update),
            node("last", Verb::Record),
        ];
        // To the next column, past one, and past two.
        let edges = [(0, 1), (0, 5), (1, 2), (2, 6), (3, 6), (5, 6)];
        check(
            &picture("Plan", nodes, &edges),
            &expect![[r#"
            <svg xmlns="http://www.w3.org/2000/svg" width="896" height="274"
            x="20" y="32">Plan</text>
            <path class="edge" marker-end="url(#arrow)" d="M332 101.0C364 101.0 364 74.0 396 74.0"/>
            <path class="edge" marker-end="url(#arrow)" d="M332 101.0C364 101.0 364 128.0 396 128.0"/>
            <path class="edge" marker-end="url(#arrow)" d="M628 74.0C660 74.0 660 90.1 692 90.1"/>
            <path class="edge" marker-end="url(#arrow)" d="M748 90.1C780 90.1 780 122.4 812 122.4"/>
            <path class="edge" marker-end="url(#arrow)" d="M332 165.8C364 165.8 364 165.8 396 165.8H628C660 165.8 660 149.5 692 149.5H748C780 149.5 780 122.4 812 122.4"/>
            <path class="edge" marker-end="url(#arrow)" d="M628 128.0C660 128.0 660 127.9 692 127.9H748C780 127.9 780 122.4 812 122.4"/>
            <g><title>create it</title>
              <rect class="box create" x="20" y="81.0" width="312" height="40" rx="6"/>
              <text class="head" x="30" y="97.0">create</text><text x="30" y="112.0">one</text></g>
            <g><title>restart it</title>
              <rect class="box update" x="20" y="145.8" width="312" height="40" rx="6"/>
              <text class="head" x="30" y="161.8">restart</text><text x="30" y="176.8">so long a name that it does not fit int…</text></g>
            <g><title>delete it</title>
              <rect class="box delete" x="396" y="54.0" width="232" height="40" rx="6"/>
              <text class="head" x="406" y="70.0">delete</text><text x="406" y="85.0">a longer name than the others</text></g>
            <g><title>update it</title>
              <rect class="box update" x="396" y="108.0" width="232" height="40" rx="6"/>
              <text class="head" x="406" y="124.0">update</text><text x="406" y="139.0">five</text></g>
            <g><title>adopt it</title>
              <rect class="box adopt" x="692" y="70.1" width="56" height="40" rx="6"/>
              <text class="head" x="702" y="86.1">adopt</text><text x="702" y="101.1">three</text></g>
            <g><title>record it</title>
              <rect class="box record" x="812" y="102.4" width="64" height="40" rx="6"/>
              <text class="head" x="822" y="118.4">record</text><text x="822" y="133.4">last</text></g>
            <g><title>forget it</title>
              <rect class="box delete" x="20" y="199.8" width="64" height="40" rx="6"/>
              <text class="head" x="30" y="215.8">forget</text><text x="30" y="230.8">alone</text></g>
            </svg>
        "#]],
        );
    }

    #[test]
    fn a_picture_is_as_wide_as_the_widest_of_columns_rows_and_title() {
        let size = |title: &str, nodes: usize, edges: &[(u32, u32)]| {
            let nodes = (0..nodes).map(|n| node(&format!("node {n}"), Verb::Update)).collect();
            let svg = svg(&picture(title, nodes, edges));
            let size = svg.split_once("viewBox=\"0 0 ").unwrap().1.split_once('"').unwrap().0;
            format!("{title}, {edges:?}: {size}\n")
        };
        let sizes = [
            size("Nothing to do", 0, &[]),
            size("T", 3, &[]),
            size("T", 3, &[(0, 1), (1, 2)]),
            size("A title that is longer than the row", 5, &[(0, 1)]),
            size("T", 9, &[(0, 1), (0, 2), (0, 3)]),
        ];
        expect![[r#"
            Nothing to do, []: 154 74
            T, []: 273 128
            T, [(0, 1), (1, 2)]: 359 128
            A title that is longer than the row, [(0, 1)]: 347 182
            T, [(0, 1), (0, 2), (0, 3)]: 351 344
        "#]]
        .assert_eq(&sizes.concat());
    }

    #[test]
    fn boxes_without_arrows_stand_in_rows_about_as_wide_as_high() {
        let rows = |count: usize, chars: usize| {
            let nodes = (0..count).map(|_| node(&"x".repeat(chars), Verb::Create)).collect();
            let picture = picture("", nodes, &[]);
            let mut out = String::new();
            let (width, height) = loose(&picture, &lay_out(count, &[]), 100.0, &mut out);
            let first_row = out.matches("y=\"100.0\"").count();
            let last = out.lines().last().unwrap().split_once("x=\"").unwrap().1;
            let last: String = last.split(" width").next().unwrap().replace(['"', '='], "");
            format!(
                "{count} of {chars}: {first_row} in a row, {width:.1} by {height:.0}, the last at {last}\n"
            )
        };
        let cases = [
            (1, 1),
            (2, 40),
            (3, 10),
            (10, 10),
            (12, 6),
            (30, 6),
            (49, 36),
            (52, 36),
            (52, 40),
            (200, 6),
            (200, 90),
        ];
        let text: String = cases.into_iter().map(|(count, chars)| rows(count, chars)).collect();
        expect![[r#"
            1 of 1: 1 in a row, 97.8 by 54, the last at 20 y100.0
            2 of 40: 2 in a row, 672.0 by 54, the last at 346 y100.0
            3 of 10: 3 in a row, 341.0 by 54, the last at 234 y100.0
            10 of 10: 6 in a row, 662.0 by 108, the last at 341 y154.0
            12 of 6: 6 in a row, 486.8 by 108, the last at 409 y154.0
            30 of 6: 10 in a row, 798.0 by 162, the last at 720 y208.0
            49 of 36: 4 in a row, 1207.2 by 702, the last at 20 y748.0
            52 of 36: 4 in a row, 1207.2 by 702, the last at 910 y748.0
            52 of 40: 4 in a row, 1324.0 by 702, the last at 998 y748.0
            200 of 6: 17 in a row, 1342.6 by 648, the last at 954 y694.0
            200 of 90: 4 in a row, 1324.0 by 2700, the last at 998 y2746.0
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn a_box_is_as_wide_as_its_longer_line_up_to_forty_characters() {
        let width = |head: &str, label: &str| {
            let node = Node { head: head.to_owned(), ..node(label, Verb::Create) };
            format!("{:.1}", box_width(&node))
        };
        assert_eq!(width("+ create", "x"), "78.4");
        assert_eq!(width("+", "1234567890"), "93.0");
        assert_eq!([width("+", &"x".repeat(40)), width("+", &"x".repeat(41))], ["312.0", "312.0"]);
    }

    #[test]
    fn markup_in_a_name_is_text() {
        assert_eq!(escape("a<b>&\"'\u{1}"), "a&lt;b&gt;&amp;&quot;&#39;\u{fffd}");
    }
}
