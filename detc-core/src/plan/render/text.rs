//! A plan as a reviewer reads it: what changes and why, in which order, and what could go wrong on the way.

use std::fmt::Write as _;

use super::entry::{Writer, first};
use super::fold::{Entry, fold, one_by_one};
use super::{Lookup, counted, grouped};
use crate::action::CrashClass;
use crate::diff::ChangeKind;
use crate::plan::Plan;

/// How a plan's text is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TextOptions {
    /// Whether to use colours.
    pub color: Color,
    /// How much to show.
    pub detail: Detail,
    /// Columns of the terminal. Values are cut to fit; ids and reasons never are.
    pub width: usize,
    /// What the plan is for.
    pub purpose: Purpose,
}

/// What a plan is for: the same deletion has another reason where everything goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// To bring about what is desired.
    #[default]
    Desired,
    /// To remove everything that is recorded.
    Destroy,
}

/// Whether text has colours. What colours say is also said in words and symbols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// Plain text.
    #[default]
    Never,
    /// ANSI colours.
    Always,
}

/// How much of a plan is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Like changes as one entry, and at most a few screens of entries.
    #[default]
    Folded,
    /// Every change by itself.
    Full,
}

impl Default for TextOptions {
    /// Plain, folded, a hundred columns wide.
    fn default() -> Self {
        Self { color: Color::Never, detail: Detail::Folded, width: 100, purpose: Purpose::Desired }
    }
}

impl TextOptions {
    /// Sets whether to use colours.
    #[must_use]
    pub fn with_color(mut self, color: Color) -> Self {
        self.color = color;
        self
    }

    /// Sets how much to show.
    #[must_use]
    pub fn with_detail(mut self, detail: Detail) -> Self {
        self.detail = detail;
        self
    }

    /// Sets the columns of the terminal. Less than 40 is taken as 40.
    #[must_use]
    pub fn with_width(mut self, columns: usize) -> Self {
        self.width = columns.max(40);
        self
    }

    /// Sets what the plan is for.
    #[must_use]
    pub fn with_purpose(mut self, purpose: Purpose) -> Self {
        self.purpose = purpose;
        self
    }
}

/// Most entries of a folded text: about two screens.
const ENTRIES_MAX: usize = 24;

/// Most actions named in the list of those that could need a person.
const NAMED_MAX: usize = 5;

impl Plan {
    /// The plan for people, its changes in the order in which they are done. Linear in its changes and actions, but for
    /// putting them in order; its length depends on how many *sorts* of changes there are, not on how many changes.
    pub fn text(&self, options: &TextOptions) -> String {
        let lookup = Lookup::new(self);
        let mut writer = Writer { lookup: &lookup, options, out: String::new() };
        head(&mut writer);
        let entries = match options.detail {
            Detail::Folded => fold(&lookup),
            Detail::Full => one_by_one(&lookup),
        };
        let (shown, unshown) = match options.detail {
            Detail::Folded => foremost(&lookup, entries),
            Detail::Full => (entries, Vec::new()),
        };
        let mut has_body = true;
        for entry in &shown {
            let (start, had_body) = (writer.out.len(), has_body);
            writer.entry(entry);
            has_body = writer.out[start..].lines().nth(1).is_some();
            if had_body || has_body {
                writer.out.insert(start, '\n');
            }
        }
        left_unshown(&mut writer, &unshown);
        foot(&mut writer);
        writer.out
    }
}

/// The entries that are shown, and those that are not: what takes something away comes before everything else, then what
/// stands for the most changes. Both stay in order.
fn foremost(lookup: &Lookup<'_>, entries: Vec<Entry>) -> (Vec<Entry>, Vec<Entry>) {
    let mut ranked: Vec<usize> = (0..entries.len()).collect();
    ranked.sort_by_key(|at| {
        let takes_away =
            matches!(first(lookup, &entries[*at]).kind, ChangeKind::Replace | ChangeKind::Delete);
        (std::cmp::Reverse((takes_away, entries[*at].size())), *at)
    });
    let mut is_shown = vec![false; entries.len()];
    ranked.iter().take(ENTRIES_MAX).for_each(|at| is_shown[*at] = true);
    let mut is_shown = is_shown.into_iter();
    entries.into_iter().partition(|_| is_shown.next().expect("invariant: one flag for each entry"))
}

/// Counts first: whoever reads no further knows what kind of plan it is.
fn head(writer: &mut Writer<'_>) {
    let plan = writer.lookup.plan;
    let kept = match plan.kept {
        1 => "1 resource is as desired".to_owned(),
        kept => format!("{} are as desired", counted(kept, "resource")),
    };
    if plan.is_settled() {
        let left_out = plan.left_out > 0;
        if writer.options.purpose == Purpose::Destroy {
            let _ = writeln!(writer.out, "Nothing to destroy: nothing is recorded.");
            return;
        }
        let _ = match (plan.kept, left_out) {
            (0, false) => writeln!(writer.out, "Nothing to do: nothing is desired and nothing is recorded."),
            (0, true) => writeln!(writer.out, "Nothing to do in this part of the plan."),
            (_, false) => writeln!(writer.out, "Nothing to do: {kept}."),
            (_, true) => writeln!(writer.out, "Nothing to do in this part of the plan: {kept}."),
        };
        return;
    }
    let counts = plan.counts();
    let planned: Vec<String> = ChangeKind::ALL
        .into_iter()
        .filter(|kind| !matches!(kind, ChangeKind::Keep | ChangeKind::Unknown))
        .filter_map(|kind| {
            let count = counts.get(&kind)?;
            Some(writer.paint(Paint::of(kind), &format!("{} to {kind}", grouped(*count))))
        })
        .collect();
    let mut parts =
        vec![if planned.is_empty() { "nothing can be done".to_owned() } else { planned.join(", ") }];
    if let Some(unknown) = counts.get(&ChangeKind::Unknown) {
        parts.push(writer.paint(Paint::Unknown, &format!("{} unknown", grouped(*unknown))));
    }
    if plan.kept > 0 {
        parts.push(format!("{} as desired", grouped(plan.kept)));
    }
    let _ = writeln!(writer.out, "Plan {}: {}.", plan.id.short(), parts.join("; "));
}

fn left_unshown(writer: &mut Writer<'_>, entries: &[Entry]) {
    if entries.is_empty() {
        return;
    }
    let mut counts = std::collections::BTreeMap::<(ChangeKind, &str), usize>::new();
    for entry in entries {
        let change = first(writer.lookup, entry);
        *counts.entry((change.kind, change.resource.kind())).or_default() += entry.size();
    }
    let parts: Vec<String> = counts
        .iter()
        .map(|((kind, resource), count)| format!("{kind} {} {resource}", grouped(*count)))
        .collect();
    let total: usize = counts.values().sum();
    let _ = writeln!(
        writer.out,
        "\n… and {} not shown here: {}.",
        counted(total, "more change"),
        parts.join(", ")
    );
}

/// What a reviewer asks after what: how long is it, where could it hang, what is not done.
fn foot(writer: &mut Writer<'_>) {
    let plan = writer.lookup.plan;
    if !plan.is_empty() {
        let (steps, widest) = steps(plan);
        let actions = counted(plan.actions.len(), "action");
        let _ = match (plan.actions.len(), steps, widest) {
            (1, ..) => writeln!(writer.out, "\n1 action."),
            (_, 1, _) => writeln!(writer.out, "\n{actions}, none of which waits for another."),
            (_, _, 1) => writeln!(writer.out, "\n{actions}, one after the other."),
            (_, steps, widest) => writeln!(
                writer.out,
                "\n{actions} in {}, up to {} side by side.",
                counted(steps, "step"),
                grouped(widest)
            ),
        };
        doubtful(writer);
    }
    super::proofs::proofs(writer);
    let unknown = plan.unknown().count();
    if unknown > 0 {
        let (are, them, they) = if unknown == 1 { ("is", "it", "it") } else { ("are", "them", "they") };
        let text = format!(
            "{} {are} unknown: nothing is done to {them} until {they} can be seen.",
            counted(unknown, "resource")
        );
        let _ = writeln!(writer.out, "{}", writer.paint(Paint::Unknown, &text));
    }
    if plan.left_out > 0 {
        let verb = if plan.left_out == 1 { "is" } else { "are" };
        let _ = writeln!(
            writer.out,
            "{} {verb} left out of this partial plan.",
            counted(plan.left_out, "change")
        );
    }
}

/// The actions whose outcome nobody could find out if the process died in the middle of them.
fn doubtful(writer: &mut Writer<'_>) {
    let plan = writer.lookup.plan;
    let at_risk: Vec<u32> = (0..plan.actions.len() as u32)
        .map(|index| (index, &plan.actions[index as usize]))
        .filter(|(_, action)| action.crash == CrashClass::AtMostOnce && action.verb.has_effect())
        .map(|(index, _)| index)
        .collect();
    if at_risk.is_empty() {
        return;
    }
    let mut names: Vec<String> = at_risk.iter().take(NAMED_MAX).map(|index| plan.action_id(*index)).collect();
    if at_risk.len() > NAMED_MAX {
        names.push(format!("{} more", grouped(at_risk.len() - NAMED_MAX)));
    }
    let of_these = if at_risk.len() == 1 { "this action" } else { "one of these actions" };
    let text = format!("If detc dies during {of_these}, a person has to look: {}.", names.join(", "));
    let _ = writeln!(writer.out, "{}", writer.paint(Paint::Drift, &text));
}

/// The number of actions on the longest path, and the most that are equally far from its beginning.
fn steps(plan: &Plan) -> (usize, usize) {
    let depths = super::layout::depths(plan);
    let mut widths = vec![0_usize; depths.iter().max().map_or(0, |depth| *depth as usize + 1)];
    for depth in depths {
        widths[depth as usize] += 1;
    }
    (widths.len(), widths.into_iter().max().unwrap_or_default())
}

/// What a colour is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    Create,
    Adopt,
    Update,
    Replace,
    Delete,
    Unknown,
    Drift,
    Dim,
}

impl Paint {
    pub(super) fn of(kind: ChangeKind) -> Self {
        match kind {
            ChangeKind::Create => Self::Create,
            ChangeKind::Adopt => Self::Adopt,
            ChangeKind::Update => Self::Update,
            ChangeKind::Replace => Self::Replace,
            ChangeKind::Delete => Self::Delete,
            ChangeKind::Unknown => Self::Unknown,
            ChangeKind::Keep => Self::Dim,
        }
    }

    pub(super) fn apply(self, color: Color, text: &str) -> String {
        let code = match self {
            Self::Create => "32",
            Self::Adopt => "36",
            Self::Update | Self::Drift => "33",
            Self::Replace => "35",
            Self::Delete => "31",
            Self::Unknown => "1",
            Self::Dim => "2",
        };
        match color {
            Color::Never => text.to_owned(),
            Color::Always => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}
