//! A plan's graph for pictures. What is drawn is decided here; how, by the formats.
//!
//! A picture of more than two hundred boxes is read by nobody: above that, actions of one verb, kind and step are one
//! box with a count, and when there are still too many, neighbouring steps are one box each.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::json::Summary;
use super::layout::depths;
use super::{counted, grouped, svg, verb_symbol};
use crate::plan::{Plan, Verb};

/// How a graph is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphFormat {
    /// Graphviz.
    Dot,
    /// Mermaid, which many forges and wikis draw.
    Mermaid,
    /// A picture that every browser shows, with reasons as tool tips.
    Svg,
}

impl std::str::FromStr for GraphFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "dot" => Ok(Self::Dot),
            "mermaid" => Ok(Self::Mermaid),
            "svg" => Ok(Self::Svg),
            _ => Err(format!("`{text}` is not a graph format: expected dot, mermaid or svg")),
        }
    }
}

/// The plan's graph: an arrow leads from each action to those that come after it.
pub fn graph(plan: &Plan, format: GraphFormat) -> String {
    let picture = Picture::of(plan);
    match format {
        GraphFormat::Dot => dot(&picture),
        GraphFormat::Mermaid => mermaid(&picture),
        GraphFormat::Svg => svg::svg(&picture),
    }
}

/// Most boxes of a picture.
const NODES_MAX: usize = 200;

/// Most boxes when whole steps are folded: a chain, which is easier to follow than a net.
const STEPS_MAX: usize = 100;

/// What is drawn.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) title: String,
    /// Each node before all that come after it.
    pub(super) nodes: Vec<Node>,
    /// From the earlier to the later node, sorted, each once.
    pub(super) edges: Vec<(u32, u32)>,
}

/// One box.
#[derive(Debug)]
pub(super) struct Node {
    /// A name that is unique in the picture.
    pub(super) id: String,
    /// What is done: `+ create`.
    pub(super) head: String,
    /// To what: an id, or a count and a kind.
    pub(super) label: String,
    /// In full, with the reason.
    pub(super) tip: String,
    /// The colour; `None` for a mixture.
    pub(super) verb: Option<Verb>,
}

impl Picture {
    pub(super) fn of(plan: &Plan) -> Self {
        let title = match plan.is_empty() {
            true => "Nothing to do".to_owned(),
            false => format!("Plan {}: {}", plan.id.short(), counted(plan.actions.len(), "action")),
        };
        if plan.actions.len() <= NODES_MAX {
            let nodes = (0..plan.actions.len() as u32).map(|index| single(plan, index)).collect();
            let own: Vec<u32> = (0..plan.actions.len() as u32).collect();
            return Self { title, nodes, edges: edges(plan, &own) };
        }
        let depths = depths(plan);
        let mut groups: BTreeMap<(u32, Verb, &str), Vec<u32>> = BTreeMap::new();
        for (index, depth) in depths.iter().enumerate() {
            let key = (*depth, plan.actions[index].verb, plan.resource_of(index as u32).kind());
            groups.entry(key).or_default().push(index as u32);
        }
        if groups.len() <= NODES_MAX {
            let groups: Vec<Vec<u32>> = groups.into_values().collect();
            return Self::folded(plan, &title, &groups);
        }
        let steps = depths.iter().max().map_or(0, |depth| *depth as usize + 1);
        let each = steps.div_ceil(STEPS_MAX);
        let mut groups: Vec<Vec<u32>> = vec![Vec::new(); steps.div_ceil(each)];
        for (index, depth) in depths.iter().enumerate() {
            groups[*depth as usize / each].push(index as u32);
        }
        Self::folded(plan, &title, &groups)
    }

    fn folded(plan: &Plan, title: &str, groups: &[Vec<u32>]) -> Self {
        let mut group_of = vec![0_u32; plan.actions.len()];
        for (group, members) in groups.iter().enumerate() {
            for member in members {
                group_of[*member as usize] = group as u32;
            }
        }
        let nodes = groups.iter().enumerate().map(|(group, members)| many(plan, group, members)).collect();
        let title = format!("{title}, like actions of a step as one");
        Self { title, nodes, edges: edges(plan, &group_of) }
    }
}

fn edges(plan: &Plan, node_of: &[u32]) -> Vec<(u32, u32)> {
    let mut edges: Vec<(u32, u32)> = plan
        .actions
        .iter()
        .enumerate()
        .flat_map(|(index, action)| action.after.iter().map(move |before| (*before as usize, index)))
        .map(|(before, after)| (node_of[before], node_of[after]))
        .filter(|(before, after)| before != after)
        .collect();
    edges.sort_unstable();
    edges.dedup();
    edges
}

fn single(plan: &Plan, index: u32) -> Node {
    let action = &plan.actions[index as usize];
    let change = plan.change_of(action);
    let host = action.host.as_ref().map(|host| format!(" on {host}")).unwrap_or_default();
    Node {
        id: plan.action_id(index),
        head: format!("{} {}{host}", verb_symbol(action.verb), action.verb),
        label: change.resource.to_string(),
        tip: format!("{}: {}", Summary { action, change }, change.reason),
        verb: Some(action.verb),
    }
}

fn many(plan: &Plan, group: usize, members: &[u32]) -> Node {
    if let [only] = members {
        return single(plan, *only);
    }
    let mut counts: BTreeMap<(Verb, &str), usize> = BTreeMap::new();
    for member in members {
        let key = (plan.actions[*member as usize].verb, plan.resource_of(*member).kind());
        *counts.entry(key).or_default() += 1;
    }
    let parts: Vec<String> =
        counts.iter().map(|((verb, kind), count)| format!("{verb} {} {kind}", grouped(*count))).collect();
    let mut verbs: Vec<Verb> = counts.keys().map(|(verb, _)| *verb).collect();
    verbs.dedup();
    let (first, last) = (plan.resource_of(members[0]), plan.resource_of(members[members.len() - 1]));
    let tip = format!("{}, from {first} to {last}", parts.join(", "));
    let id = format!("group-{group}");
    match (verbs.as_slice(), counts.len()) {
        ([verb], 1) => Node {
            id,
            head: format!("{} {verb}", verb_symbol(*verb)),
            label: format!("{} × {}", grouped(members.len()), first.kind()),
            tip,
            verb: Some(*verb),
        },
        (verbs, _) => Node {
            id,
            head: counted(members.len(), "action"),
            label: parts.join(", "),
            tip,
            verb: if let [verb] = verbs { Some(*verb) } else { None },
        },
    }
}

/// A name for the colour of a node, used in every format.
pub(super) fn class(verb: Option<Verb>) -> &'static str {
    match verb {
        Some(Verb::Create) => "create",
        Some(Verb::Adopt) => "adopt",
        Some(Verb::Update | Verb::Restart) => "update",
        Some(Verb::Record) => "record",
        Some(Verb::Delete | Verb::Forget) => "delete",
        None => "mixed",
    }
}

/// Class, fill and border of each sort of node: light enough for black text on them.
const COLORS: [(&str, &str, &str); 6] = [
    ("create", "#dcf5e0", "#2c8a43"),
    ("adopt", "#d8f1f5", "#1b7f8c"),
    ("update", "#fdf1cf", "#b07d09"),
    ("record", "#ececf2", "#77778c"),
    ("delete", "#fbdedd", "#c23b35"),
    ("mixed", "#e8e4f6", "#6a55b0"),
];

fn dot(picture: &Picture) -> String {
    let mut out = format!("digraph plan {{\n  label={};\n", dot_text(&picture.title));
    out.push_str("  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n");
    for node in &picture.nodes {
        let (_, fill, line) = COLORS
            .iter()
            .find(|(name, ..)| *name == class(node.verb))
            .expect("invariant: each class has colours");
        let _ = writeln!(
            out,
            "  {} [label={}, tooltip={}, fillcolor=\"{fill}\", color=\"{line}\"];",
            dot_text(&node.id),
            dot_text(&format!("{}\n{}", node.head, node.label)),
            dot_text(&node.tip),
        );
    }
    for (before, after) in &picture.edges {
        let id = |index: &u32| dot_text(&picture.nodes[*index as usize].id);
        let _ = writeln!(out, "  {} -> {};", id(before), id(after));
    }
    out.push_str("}\n");
    out
}

fn dot_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

fn mermaid(picture: &Picture) -> String {
    let mut out = format!("---\ntitle: {}\n---\nflowchart LR\n", yaml_text(&picture.title));
    for (index, node) in picture.nodes.iter().enumerate() {
        let (head, label) = (mermaid_text(&node.head), mermaid_text(&node.label));
        let _ = writeln!(out, "  n{index}[\"{head}<br/>{label}\"]:::{}", class(node.verb));
    }
    for (before, after) in &picture.edges {
        let _ = writeln!(out, "  n{before} --> n{after}");
    }
    for (name, fill, line) in COLORS {
        let _ = writeln!(out, "  classDef {name} fill:{fill},stroke:{line},color:#111");
    }
    out
}

fn yaml_text(text: &str) -> String {
    serde_json::to_string(text).expect("invariant: a string is JSON")
}

/// Mermaid reads HTML and Markdown in labels; letters, digits and a few signs are safe, all else is written by number.
fn mermaid_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' ' | '/' | '-' | '_' | '.' | '+' | '=' | '~' | ',' | ':' | '×' => out.push(c),
            c if c.is_alphanumeric() => out.push(c),
            c => {
                let _ = write!(out, "#{};", u32::from(c));
            }
        }
    }
    out
}

/// The style sheet of the SVG, for bright and for dark rooms.
pub(super) fn style() -> String {
    let mut css = String::from(
        "text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#1c1c22}\
         .title{font-size:14px;font-weight:600}.head{font-size:11px;fill:#55555f}\
         .edge{fill:none;stroke:#9a9aa6;stroke-width:1.2}#tip{fill:#9a9aa6}.back{fill:#fff}rect.box{stroke-width:1.2}",
    );
    for (name, fill, line) in COLORS {
        let _ = write!(css, ".{name}{{fill:{fill};stroke:{line}}}");
    }
    css.push_str(
        "@media(prefers-color-scheme:dark){.back{fill:#16161a}.title{fill:#e8e8ee}\
         .edge{stroke:#6c6c78}#tip{fill:#6c6c78}}",
    );
    css
}
