//! A YAML file as a tree that knows its lines.

use std::fmt;

use detc_core::model::InvalidState;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

/// What is wrong with a file, in the order of its lines.
pub(super) struct Errors {
    file: String,
    list: Vec<InvalidState>,
}

impl Errors {
    pub(super) fn of(file: &str) -> Self {
        Self { file: file.to_owned(), list: Vec::new() }
    }

    /// Adds one. Always `None`: what is wrong has no value.
    pub(super) fn wrong<T>(&mut self, line: u32, message: impl Into<String>) -> Option<T> {
        self.list.push(InvalidState::new(message).at(&self.file, line));
        None
    }

    /// Adds one that says what to do next.
    pub(super) fn hint<T>(&mut self, line: u32, message: impl Into<String>, hint: &str) -> Option<T> {
        self.list.push(InvalidState::new(message).at(&self.file, line).with_hint(hint));
        None
    }

    /// All of them as one; `None` when there are none.
    pub(super) fn finish(mut self) -> Option<InvalidState> {
        self.list.sort_by_key(|error| error.place.as_ref().map_or(0, |(_, line)| *line));
        let mut errors = self.list.into_iter();
        let mut first = errors.next()?;
        first.others.extend(errors);
        Some(first)
    }
}

/// A value, and the line on which it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: u32,
    pub(super) value: Raw,
}

#[derive(Clone, Debug)]
pub(super) enum Raw {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A field of a map.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) line: u32,
    pub(super) node: Node,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Spanned::<Raw>::deserialize(deserializer)?;
        Ok(Self { line: line(&read.defined), value: read.value })
    }
}

fn line(location: &serde_saphyr::Location) -> u32 {
    location.line().try_into().unwrap_or(u32::MAX)
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(i64::try_from(value).map_or_else(|_| Raw::Text(value.to_string()), Raw::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(name) = fields.next_key::<Spanned<String>>()? {
            let node = fields.next_value()?;
            map.push(Entry { line: line(&name.defined), name: name.value, node });
        }
        Ok(Raw::Map(map))
    }
}

impl Node {
    /// Reads a whole file.
    pub(super) fn read(text: &str, errors: &mut Errors) -> Option<Self> {
        // As YAML 1.2 has it: `y`, `no` and `on` are texts.
        let options = serde_saphyr::options! { strict_booleans: true };
        let error = match serde_saphyr::from_str_with_options(text, options) {
            Ok(node) => return Some(node),
            Err(error) => error,
        };
        let line = error.location().map_or(0, |location| location.line() as u32);
        let told = error.to_string();
        let first = told.lines().next().unwrap_or_default();
        let first = first.strip_prefix("error: ").unwrap_or(first);
        // The line is told once, by the place.
        let first = match first.split_once(": ") {
            Some((place, what)) if place.starts_with("line ") => what,
            _ => first,
        };
        let twice =
            first.strip_prefix("duplicate mapping key: ").and_then(|rest| rest.split(", set ").next());
        if let Some(name) = twice {
            return errors.wrong(line, format!("`{name}` is given twice"));
        }
        errors.wrong(line, format!("can not be read as YAML: {first}"))
    }

    /// What it is, in words.
    pub(super) fn is(&self) -> &'static str {
        match self.value {
            Raw::Null => "nothing",
            Raw::Bool(_) => "true or false",
            Raw::Int(_) | Raw::Float(_) => "a number",
            Raw::Text(_) => "a text",
            Raw::List(_) => "a list",
            Raw::Map(_) => "a map",
        }
    }

    fn expected<T>(&self, what: &str, expected: &str, errors: &mut Errors) -> Option<T> {
        errors.wrong(self.line, format!("`{what}` is {}: expected {expected}", self.is()))
    }

    /// A text, or what is written like one: numbers and booleans as they are.
    pub(super) fn text(&self, what: &str, errors: &mut Errors) -> Option<String> {
        match &self.value {
            Raw::Bool(value) => Some(value.to_string()),
            Raw::Int(value) => Some(value.to_string()),
            Raw::Float(value) => Some(value.to_string()),
            Raw::Text(value) => Some(value.clone()),
            Raw::Null | Raw::List(_) | Raw::Map(_) => self.expected(what, "a text", errors),
        }
    }

    /// A whole number that is not negative; it may have been put into a text.
    pub(super) fn count(&self, what: &str, errors: &mut Errors) -> Option<u64> {
        let count = match &self.value {
            Raw::Int(value) => u64::try_from(*value).ok(),
            Raw::Text(value) => value.parse().ok(),
            Raw::Null | Raw::Bool(_) | Raw::Float(_) | Raw::List(_) | Raw::Map(_) => None,
        };
        count.or_else(|| self.expected(what, "a whole number, 0 or more", errors))
    }

    pub(super) fn count_u32(&self, what: &str, errors: &mut Errors) -> Option<u32> {
        let count = self.count(what, errors)?;
        u32::try_from(count)
            .ok()
            .or_else(|| errors.wrong(self.line, format!("`{what}` is {count}: at most {} can be", u32::MAX)))
    }

    pub(super) fn flag(&self, what: &str, errors: &mut Errors) -> Option<bool> {
        match &self.value {
            Raw::Bool(value) => Some(*value),
            Raw::Text(value) if value == "true" => Some(true),
            Raw::Text(value) if value == "false" => Some(false),
            _ => self.expected(what, "true or false", errors),
        }
    }

    /// The items of a list.
    pub(super) fn list(&self, what: &str, errors: &mut Errors) -> Option<&[Self]> {
        match &self.value {
            Raw::List(items) => Some(items),
            _ => self.expected(what, "a list", errors),
        }
    }

    /// Texts: one, or a list of them.
    pub(super) fn texts(&self, what: &str, errors: &mut Errors) -> Option<Vec<String>> {
        match &self.value {
            Raw::List(items) => items.iter().map(|item| item.text(what, errors)).collect(),
            _ => Some(vec![self.text(what, errors)?]),
        }
    }

    /// The fields of a map, each to be asked for; nothing has none.
    pub(super) fn fields(&self, what: &str, errors: &mut Errors) -> Option<Fields> {
        let left = match &self.value {
            Raw::Map(entries) => entries.clone(),
            Raw::Null => Vec::new(),
            _ => return self.expected(what, "a map", errors),
        };
        Some(Fields { what: what.to_owned(), line: self.line, left })
    }

    /// The entries of a map; nothing has none.
    pub(super) fn entries(&self, what: &str, errors: &mut Errors) -> Option<&[Entry]> {
        match &self.value {
            Raw::Map(entries) => Some(entries),
            Raw::Null => Some(&[]),
            _ => self.expected(what, "a map", errors),
        }
    }

    /// Names with values: a map, or a list of `NAME=VALUE`. A name without a value has none.
    pub(super) fn pairs(&self, what: &str, errors: &mut Errors) -> Option<Vec<(String, Option<String>)>> {
        match &self.value {
            Raw::List(items) => {
                let pair = |item: &Self| {
                    let text = item.text(what, errors)?;
                    Some(match text.split_once('=') {
                        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                        None => (text, None),
                    })
                };
                items.iter().map(pair).collect()
            }
            Raw::Map(entries) => {
                let pair = |entry: &Entry| {
                    let value = match entry.node.value {
                        Raw::Null => None,
                        _ => Some(entry.node.text(&format!("{what}.{}", entry.name), errors)?),
                    };
                    Some((entry.name.clone(), value))
                };
                entries.iter().map(pair).collect()
            }
            Raw::Null => Some(Vec::new()),
            _ => self.expected(what, "a map, or a list of `NAME=VALUE`", errors),
        }
    }

    /// Changes all its texts.
    pub(super) fn each_text(&mut self, change: &mut impl FnMut(u32, &mut String)) {
        match &mut self.value {
            Raw::Text(text) => change(self.line, text),
            Raw::List(items) => items.iter_mut().for_each(|item| item.each_text(change)),
            Raw::Map(entries) => entries.iter_mut().for_each(|entry| entry.node.each_text(change)),
            Raw::Null | Raw::Bool(_) | Raw::Int(_) | Raw::Float(_) => {}
        }
    }
}

/// The fields of a map that nobody has asked for yet.
pub(super) struct Fields {
    what: String,
    pub(super) line: u32,
    left: Vec<Entry>,
}

impl Fields {
    /// What stands at `name`; what is nothing there is not given.
    pub(super) fn take(&mut self, name: &str) -> Option<Node> {
        let at = self.left.iter().position(|entry| entry.name == name)?;
        let node = self.left.remove(at).node;
        if matches!(node.value, Raw::Null) { None } else { Some(node) }
    }

    /// The line of what stands at `name`; that of all where nothing does.
    pub(super) fn line_of(&self, name: &str) -> u32 {
        self.left.iter().find(|entry| entry.name == name).map_or(self.line, |entry| entry.line)
    }

    /// What a field is called, from the top of the file on.
    pub(super) fn path(&self, name: &str) -> String {
        if self.what.is_empty() { name.to_owned() } else { format!("{}.{name}", self.what) }
    }

    pub(super) fn text(&mut self, name: &str, errors: &mut Errors) -> Option<String> {
        let path = self.path(name);
        self.take(name)?.text(&path, errors)
    }

    pub(super) fn flag(&mut self, name: &str, errors: &mut Errors) -> Option<bool> {
        let path = self.path(name);
        self.take(name)?.flag(&path, errors)
    }

    pub(super) fn count(&mut self, name: &str, errors: &mut Errors) -> Option<u64> {
        let path = self.path(name);
        self.take(name)?.count(&path, errors)
    }

    pub(super) fn count_u32(&mut self, name: &str, errors: &mut Errors) -> Option<u32> {
        let path = self.path(name);
        self.take(name)?.count_u32(&path, errors)
    }

    /// Names with values.
    pub(super) fn pairs(&mut self, name: &str, errors: &mut Errors) -> Vec<(String, Option<String>)> {
        let path = self.path(name);
        self.take(name).and_then(|node| node.pairs(&path, errors)).unwrap_or_default()
    }

    /// Labels: what has no value has an empty one.
    pub(super) fn labels(&mut self, errors: &mut Errors) -> std::collections::BTreeMap<String, String> {
        let pairs = self.pairs("labels", errors);
        pairs.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect()
    }

    /// What nobody has asked for is not supported, each with its line; but for extensions (`x-…`).
    pub(super) fn finish(self, supported: &[&'static str], errors: &mut Errors) {
        for entry in self.left.iter().filter(|entry| !entry.name.starts_with("x-")) {
            let path = self.path(&entry.name);
            let near = detc_core::model::nearest(&entry.name, supported.iter().copied());
            let near = near.map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
            let () = errors.wrong(entry.line, format!("`{path}` is not supported{near}")).unwrap_or_default();
        }
    }
}
