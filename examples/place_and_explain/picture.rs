//! A placement as a picture: zones as frames, machines as columns, instances as boxes as high as what they need.
//!
//! SVG without a background: lines and texts are dark, or light where the reader prefers that. Each box has its name, and
//! the colours (Okabe and Ito, "Color Universal Design", 2008) are told apart by the colour-blind, too.

use std::fmt::Write;

use detc_sched::place::{DomainId, GroupId, InstanceId, LevelId, MachineId, Model, Placement};

/// One placement, what is written over it, and the level that frames are drawn for. Heights are of the first resource.
pub(crate) struct Panel<'a> {
    title: &'static str,
    placement: &'a Placement,
    zone: LevelId,
    lost: &'a [MachineId],
}

impl<'a> Panel<'a> {
    pub(crate) fn new(title: &'static str, zone: LevelId, placement: &'a Placement) -> Self {
        Self { title, placement, zone, lost: &[] }
    }

    /// These machines are crossed out.
    pub(crate) fn with_lost(mut self, lost: &'a [MachineId]) -> Self {
        self.lost = lost;
        self
    }
}

const UNIT: i64 = 18;
const COLUMN: i64 = 64;
const STEP: i64 = COLUMN + 16;
const TOP: i64 = 64;
const LEFT: i64 = 20;

/// Fill and text of each group.
const COLOURS: [(&str, &str); 3] = [("#0072b2", "#ffffff"), ("#e69f00", "#000000"), ("#bbbbbb", "#000000")];

const STYLE: &str = ".t{fill:#1f2328}.l{stroke:#57606a;fill:none}.f{fill:#8c959f;fill-opacity:.15}\
.s{stroke:#d1242f;stroke-width:2;stroke-dasharray:5 3}.x{stroke:#d1242f;stroke-width:3}\
@media(prefers-color-scheme:dark){.t{fill:#e6edf3}.l{stroke:#9ea7b3}.s,.x{stroke:#ff7b72}}";

/// Draws placements below each other.
pub(crate) fn draw(model: &Model, panels: &[Panel<'_>]) -> String {
    let machines = model.machine_count() as i64;
    let tallest = model.machines().map(|machine| model.capacity(machine)[0]).max().unwrap_or(0);
    let height = TOP + tallest * UNIT + 56;
    let width = LEFT + machines * STEP + 3 * 12 + STEP + 20;
    let whole = height * panels.len() as i64 + 34;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {whole}\" width=\"{width}\" \
         height=\"{whole}\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n",
        panels.iter().map(|panel| panel.title).collect::<Vec<_>>().join("; ")
    );
    for (index, panel) in panels.iter().enumerate() {
        svg += &format!("<g transform=\"translate(0 {})\">\n", index as i64 * height);
        svg += &drawn(model, panel, tallest);
        svg += "</g>\n";
    }
    svg += &legend(model, whole - 22);
    svg + "</svg>\n"
}

fn text(x: i64, y: i64, more: &str, text: &str) -> String {
    format!("<text x=\"{x}\" y=\"{y}\" {more}>{text}</text>\n")
}

/// Zones are set apart.
fn left_of(model: &Model, zone: LevelId, machine: MachineId) -> i64 {
    LEFT + machine.index() as i64 * STEP + model.domain(zone, machine).index() as i64 * 12
}

fn drawn(model: &Model, panel: &Panel<'_>, tallest: i64) -> String {
    let bottom = TOP + tallest * UNIT;
    let mut svg = text(LEFT, 20, "class=\"t\" font-size=\"15\" font-weight=\"bold\"", panel.title);
    let zone = panel.zone;
    for domain in (0..model.domain_count(zone)).map(DomainId::new) {
        let inside: Vec<i64> = model
            .machines()
            .filter(|machine| model.domain(zone, *machine) == domain)
            .map(|machine| left_of(model, panel.zone, machine))
            .collect();
        let (Some(first), Some(last)) = (inside.first(), inside.last()) else { continue };
        let (x, y, width) = (first - 7, 34, last - first + COLUMN + 14);
        let _ = writeln!(
            svg,
            "<rect class=\"f\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{}\" rx=\"6\"/>",
            bottom - y + 46
        );
        let name = format!("{} {}", model.level_name(zone), model.domain_name(zone, domain));
        svg += &text(*first, y + 17, "class=\"t\"", &name);
    }
    for machine in model.machines() {
        svg += &column(model, panel, machine, bottom);
    }
    let nowhere: Vec<InstanceId> =
        model.instances().filter(|instance| panel.placement.machine(*instance).is_none()).collect();
    if !nowhere.is_empty() {
        let x = LEFT + model.machine_count() as i64 * STEP + 3 * 12 + 8;
        svg += &text(x, 51, "class=\"t\"", "nowhere");
        let mut y = bottom;
        for instance in nowhere {
            svg += &boxed(model, instance, x, &mut y);
        }
    }
    svg
}

fn column(model: &Model, panel: &Panel<'_>, machine: MachineId, bottom: i64) -> String {
    let (x, capacity) = (left_of(model, panel.zone, machine), model.capacity(machine)[0]);
    let mut svg = String::new();
    let (mut y, mut used) = (bottom, 0);
    for instance in model.instances() {
        if panel.placement.machine(instance) == Some(machine) {
            used += model.needs(instance)[0];
            svg += &boxed(model, instance, x, &mut y);
        }
    }
    let (top, tall) = (bottom - capacity * UNIT, capacity * UNIT);
    let _ = writeln!(
        svg,
        "<rect class=\"l\" x=\"{x}\" y=\"{top}\" width=\"{COLUMN}\" height=\"{tall}\" stroke-width=\"1.5\"/>"
    );
    let middle = x + COLUMN / 2;
    let centred = "class=\"t\" text-anchor=\"middle\"";
    svg +=
        &text(middle, bottom + 17, &format!("{centred} font-weight=\"bold\""), model.machine_name(machine));
    let disk = model.attributes(machine).get("disk").map_or("", String::as_str);
    let (below, right) = (bottom + 34, x + COLUMN);
    if panel.lost.contains(&machine) {
        svg += &text(middle, below, centred, "lost");
        let _ =
            writeln!(svg, "<path class=\"x\" d=\"M{x} {top}L{right} {bottom}M{right} {top}L{x} {bottom}\"/>");
        return svg;
    }
    svg += &text(
        middle,
        below,
        &format!("{centred} font-size=\"11\""),
        &format!("{used} of {capacity}, {disk}"),
    );
    let safety = model.safety(machine)[0];
    if safety < capacity {
        let y = bottom - safety * UNIT;
        let _ = writeln!(svg, "<path class=\"s\" d=\"M{} {y}H{}\"/>", x - 4, right + 4);
    }
    svg
}

/// An instance on top of what is there already.
fn boxed(model: &Model, instance: InstanceId, x: i64, y: &mut i64) -> String {
    let tall = model.needs(instance)[0] * UNIT;
    *y -= tall;
    let (fill, ink) = COLOURS[model.group_of(instance).index() % COLOURS.len()];
    let mut svg = format!(
        "<rect x=\"{x}\" y=\"{y}\" width=\"{COLUMN}\" height=\"{tall}\" fill=\"{fill}\" stroke=\"#1f2328\"/>\n"
    );
    let style = format!("fill=\"{ink}\" text-anchor=\"middle\"");
    svg += &text(x + COLUMN / 2, *y + tall / 2 + 4, &style, &model.instance_name(instance));
    svg
}

fn legend(model: &Model, y: i64) -> String {
    let mut svg = String::new();
    let mut x = LEFT;
    for group in (0..model.group_count()).map(GroupId::new) {
        let (fill, _) = COLOURS[group.index() % COLOURS.len()];
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"14\" height=\"14\" fill=\"{fill}\" stroke=\"#1f2328\"/>"
        );
        svg += &text(x + 20, y + 12, "class=\"t\"", model.group_name(group));
        x += STEP;
    }
    let _ = writeln!(svg, "<path class=\"s\" d=\"M{x} {}h24\"/>", y + 7);
    svg + &text(x + 30, y + 12, "class=\"t\"", "safety level: what is beyond it costs")
}
