//! One entry of a plan's text: a change in full, or many as one.

use std::fmt::Write as _;

use serde_json::Value;

use super::fold::{Entry, label};
use super::lines::{Line, compare};
use super::summary::{Shown, fields, summary};
use super::text::{Paint, Purpose, TextOptions};
use super::value::{Own, is_hidden, short, shorten, visible};
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
        let title = format!("{}{}", change.resource, self.hosts(&[index]));
        let fields = fields(self.lookup, index);
        let known_after: Vec<ResourceId> = fields.iter().flat_map(|field| sources(&field.to)).collect();
        let after = waits(self.lookup, &[index], &known_after);
        self.title(index, &title, &self.reason(change), &after);
        self.fields(&fields, 1, INDENT);
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
        let title =
            format!("{} {}{}", grouped(members.len()), label(self.lookup, members), self.hosts(members));
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
        let widest = fields.iter().map(|field| field.path.chars().count()).max().unwrap_or_default();
        let column = widest.min(NAME_MAX) + 1;
        for field in fields.iter().take(FIELDS_MAX) {
            let name = format!("{}:", visible(&field.path));
            if self.lines(field, &format!("{indent}{name}")) {
                continue;
            }
            let room = self.options.width.saturating_sub(indent.len() + column + 1).max(20);
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
        format!("{} → {}", self.side(from, side), self.side(&field.to, side))
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

/// The first change of an entry.
pub(super) fn first<'a>(lookup: &Lookup<'a>, entry: &Entry) -> &'a Change {
    lookup.change(match entry {
        Entry::One(index) => *index,
        Entry::Like { members, .. } | Entry::Various(members) => members[0],
    })
}
