//! One entry of a plan's text: a change in full, or many as one.

use std::fmt::Write as _;

use serde_json::Value;

use super::fold::{Entry, label};
use super::lines::{Line, compare};
use super::summary::{Shown, fields, summary};
use super::text::{Paint, Purpose, TextOptions};
use super::value::{Own, is_hidden, pair, short, shorten, visible};
use super::waits::{sources, waits};
use super::{Lookup, counted, grouped, symbol};
use crate::diff::{Cause, Change, ChangeKind, Reason};
use crate::model::{HostName, ResourceId, Set, secret};

/// Most changes whose values are all compared to say what they have in common; of more, one is shown as an example.
/// Parsing this many specs takes a few milliseconds.
const COMPARED_MAX: usize = 2_000;

/// Most fields of one entry.
const FIELDS_MAX: usize = 16;

/// Most lines of one text's comparison.
const LINES_MAX: usize = 24;

/// Widest column of field names that is aligned.
const NAME_MAX: usize = 24;

/// What stands before each line beneath a title.
const INDENT: &str = "    ";

/// Most hosts that are named; of more their number is given.
const HOSTS_MAX: usize = 3;

/// Writes entries one after the other.
pub(super) struct Writer<'a> {
    pub(super) lookup: &'a Lookup<'a>,
    pub(super) options: &'a TextOptions,
    pub(super) out: String,
}

impl Writer<'_> {
    pub(super) fn entry(&mut self, entry: &Entry) {
        match entry {
            Entry::One(index) => self.one(*index),
            Entry::Like { members, except } => self.like(members, except),
            Entry::Various(members) => self.many(members),
        }
    }

    fn one(&mut self, index: u32) {
        let change = self.lookup.change(index);
        let title = format!("{}{}{}", change.resource, self.contents(&[index]), self.hosts(&[index]));
        let fields = fields(self.lookup, index);
        let after = waits(self.lookup, &[index], &self.told(&fields));
        self.title(index, &title, &self.reason(change), &after);
        self.fields(&fields, 1, INDENT);
    }

    /// What the lines of these fields say that it comes after.
    fn told(&self, fields: &[Shown]) -> Vec<ResourceId> {
        let room = self.room(fields, INDENT);
        let of_field = |field: &Shown| {
            let text = self.value(field, room);
            let is_told =
                move |id: &ResourceId| text.contains(&format!("(known after {})", self.lookup.source(id)));
            sources(&field.to).into_iter().filter(is_told)
        };
        fields.iter().take(FIELDS_MAX).flat_map(of_field).collect()
    }

    fn like(&mut self, members: &[u32], except: &[u32]) {
        self.many(members);
        if except.is_empty() {
            return;
        }
        let text = self.paint(Paint::Dim, &format!("except {}:", grouped(except.len())));
        let _ = writeln!(self.out, "    {text}");
        for index in except {
            let change = self.lookup.change(*index);
            let fields: Vec<String> =
                fields(self.lookup, *index).iter().map(|field| self.inline(field)).collect();
            let what = match fields.is_empty() {
                true => visible(&self.reason(change)),
                false => fields.join(", "),
            };
            let host = self.hosts(&[*index]);
            let line = format!("{}{host}: {what}", change.resource);
            let _ = writeln!(self.out, "      {}", shorten(line, self.options.width.saturating_sub(6)));
        }
    }

    /// Many changes under one title.
    fn many(&mut self, members: &[u32]) {
        let first = members[0];
        let change = self.lookup.change(first);
        let own = Own::new(&change.resource, self.lookup.host(first));
        let reason = self.reason(change);
        let reason = own.replace(&reason).unwrap_or(reason);
        let title = format!(
            "{} {}{}{}",
            grouped(members.len()),
            label(self.lookup, members),
            self.contents(members),
            self.hosts(members)
        );
        self.title(first, &title, &reason, &waits(self.lookup, members, &[]));
        if members.len() <= COMPARED_MAX {
            let summary = summary(self.lookup, members);
            self.fields(&summary, members.len(), INDENT);
            return;
        }
        let fields = fields(self.lookup, first);
        if !fields.is_empty() {
            let text = self.paint(Paint::Dim, &format!("for example {}:", change.resource));
            let _ = writeln!(self.out, "    {text}");
            self.fields(&fields, 1, "      ");
        }
    }

    fn title(&mut self, index: u32, title: &str, reason: &str, after: &str) {
        let change = self.lookup.change(index);
        let verb = self.lookup.action(index).map(|action| action.verb);
        let word = match (change.kind, verb) {
            (ChangeKind::Update, Some(verb)) | (ChangeKind::Delete, Some(verb)) => verb.as_str(),
            (kind, _) => kind.as_str(),
        };
        let head = self.paint(Paint::of(change.kind), &format!("{} {word}", symbol(change.kind)));
        let why = self.paint(Paint::Dim, &format!("({}{after})", visible(reason)));
        let _ = writeln!(self.out, "{head} {title} {why}");
    }

    fn reason(&self, change: &Change) -> String {
        match (&change.reason, self.options.purpose) {
            (Reason::NotDesired, Purpose::Destroy) => "it is to be destroyed".to_owned(),
            (reason, _) => reason.to_string(),
        }
    }

    /// What is removed along with these.
    fn contents(&self, members: &[u32]) -> String {
        let actions = &self.lookup.plan.actions;
        let sweeps = |member: &&u32| {
            let Some(action) = self.lookup.action(**member) else { return false };
            // What is made anew comes after its own removal.
            let removal =
                |index: &u32| actions[*index as usize].change == **member && actions[*index as usize].sweeps;
            action.sweeps || action.after.iter().any(removal)
        };
        match members.iter().filter(sweeps).count() {
            0 => String::new(),
            1 if members.len() == 1 => " with all that is in it".to_owned(),
            count if count == members.len() => " with all that is in them".to_owned(),
            count => format!(" ({} of them with all that is in them)", grouped(count)),
        }
    }

    /// ` on h1`, ` on h1, h2`, ` on 5,000 hosts`; nothing where there is no host.
    fn hosts(&self, members: &[u32]) -> String {
        let mut hosts: Set<&HostName> = Set::default();
        hosts.extend(members.iter().filter_map(|member| self.lookup.host(*member)));
        if hosts.is_empty() {
            return String::new();
        }
        if hosts.len() > HOSTS_MAX {
            return format!(" on {}", counted(hosts.len(), "host"));
        }
        let names: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
        format!(" on {}", names.join(", "))
    }

    /// The lines of fields, of `of` changes shown as one.
    fn fields(&mut self, fields: &[Shown], of: usize, indent: &str) {
        let (column, room) = (column(fields), self.room(fields, indent));
        for field in fields.iter().take(FIELDS_MAX) {
            let name = format!("{}:", visible(&field.path));
            if self.lines(field, &format!("{indent}{name}")) {
                continue;
            }
            let mut text = self.value(field, room);
            if field.values > 1 {
                text = format!("{} different values, such as {text}", grouped(field.values));
            }
            if field.having < of && of > 1 {
                let _ = write!(text, " (in {} of them)", grouped(field.having));
            }
            let drift = self.drift(field);
            let _ = writeln!(self.out, "{indent}{name:<column$} {text}{drift}");
        }
        if fields.len() > FIELDS_MAX {
            let _ = writeln!(self.out, "{indent}… and {}", counted(fields.len() - FIELDS_MAX, "more field"));
        }
    }

    /// How much of a line is left for a value.
    fn room(&self, fields: &[Shown], indent: &str) -> usize {
        self.options.width.saturating_sub(indent.len() + column(fields) + 1).max(20)
    }

    fn drift(&self, field: &Shown) -> String {
        match field.cause {
            Cause::Drift => format!(" {}", self.paint(Paint::Drift, "(drift)")),
            Cause::Both => format!(" {}", self.paint(Paint::Drift, "(and drift)")),
            Cause::Intent => String::new(),
        }
    }

    fn value(&self, field: &Shown, room: usize) -> String {
        let Some(from) = &field.from else { return self.side(&field.to, room) };
        if secret::mark_of(from).is_some() && secret::mark_of(&field.to).is_some() {
            return "(sensitive), another value".to_owned();
        }
        let side = (room.saturating_sub(3) / 2).max(10);
        let has_lines = |value: &Value| value.as_str().is_some_and(|text| text.lines().count() > 1);
        if [from, &field.to].into_iter().any(|value| value.is_null() || has_lines(value)) {
            return format!("{} → {}", self.side(from, side), self.side(&field.to, side));
        }
        pair(from, &field.to, self.lookup, side).join(" → ")
    }

    fn side(&self, value: &Value, room: usize) -> String {
        let lines = value.as_str().map_or(0, |text| text.lines().count());
        match value {
            Value::Null => "(none)".to_owned(),
            _ if lines > 1 => {
                let note = format!(" ({lines} lines)");
                short(value, self.lookup, room.saturating_sub(note.len()).max(10)) + &note
            }
            _ => short(value, self.lookup, room),
        }
    }

    fn inline(&self, field: &Shown) -> String {
        /// Enough to tell values apart; the exceptions of one entry are lines, not paragraphs.
        const ROOM: usize = 48;
        let drift = match field.cause {
            Cause::Intent => "",
            Cause::Drift => " (drift)",
            Cause::Both => " (and drift)",
        };
        format!("{}: {}{drift}", visible(&field.path), self.value(field, ROOM))
    }

    /// A text of several lines that becomes another, line by line. `false`: it is no such field.
    fn lines(&mut self, field: &Shown, name: &str) -> bool {
        let (Some(Value::String(from)), Value::String(to)) = (&field.from, &field.to) else { return false };
        if field.values > 1 || (from.lines().count() < 2 && to.lines().count() < 2) {
            return false;
        }
        let Some(lines) = compare(from, to) else { return false };
        let count = |wanted: fn(&Line<'_>) -> bool| lines.iter().filter(|line| wanted(line)).count();
        let (gone, new) =
            (count(|line| matches!(line, Line::Gone(_))), count(|line| matches!(line, Line::New(_))));
        if gone + new == 0 {
            // They differ in how lines end: better seen escaped, on one line.
            return false;
        }
        let drift = self.drift(field);
        let _ = writeln!(self.out, "{name} {} out, {} in{drift}", counted(gone, "line"), grouped(new));
        let room = self.options.width.saturating_sub(8).max(20);
        let clean = |text: &str| -> String {
            let text = text.chars().map(|c| if is_hidden(c) && c != '\t' { '\u{fffd}' } else { c });
            shorten(text.take(room + 1).collect(), room)
        };
        for line in lines.iter().take(LINES_MAX) {
            let text = match line {
                Line::Same(text) => format!("  {}", clean(text)),
                Line::Gone(text) => self.paint(Paint::Delete, &format!("- {}", clean(text))),
                Line::New(text) => self.paint(Paint::Create, &format!("+ {}", clean(text))),
                Line::Skipped(count) => {
                    self.paint(Paint::Dim, &format!("  … {} alike", counted(*count, "line")))
                }
            };
            let _ = writeln!(self.out, "      {}", text.trim_end());
        }
        if lines.len() > LINES_MAX {
            let _ = writeln!(self.out, "        … and {}", counted(lines.len() - LINES_MAX, "more line"));
        }
        true
    }

    pub(super) fn paint(&self, paint: Paint, text: &str) -> String {
        paint.apply(self.options.color, text)
    }
}

/// How wide the column of names is.
fn column(fields: &[Shown]) -> usize {
    let widest = fields.iter().map(|field| field.path.chars().count()).max().unwrap_or_default();
    widest.min(NAME_MAX) + 1
}

/// The first change of an entry.
pub(super) fn first<'a>(lookup: &Lookup<'a>, entry: &Entry) -> &'a Change {
    lookup.change(match entry {
        Entry::One(index) => *index,
        Entry::Like { members, .. } | Entry::Various(members) => members[0],
    })
}
