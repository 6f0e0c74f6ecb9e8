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
    use super::*;

    #[test]
    fn markup_in_a_name_is_text() {
        assert_eq!(escape("a<b>&\"'\u{1}"), "a&lt;b&gt;&amp;&quot;&#39;\u{fffd}");
    }
}
