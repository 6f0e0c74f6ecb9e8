//! Sensitive values: kept out of everything that is shown or stored.
//!
//! A value that must not leave the process is replaced by a mark, `{"$sensitive": DIGEST}`, before it enters a plan, a
//! record or a journal. The digest is keyed with the store's own secret, so that the mark tells whether a value has
//! changed and nothing else. A reference to a sensitive output resolves to the mark, so sensitivity follows the value
//! wherever it goes. The values themselves stay in a [`Vault`], in memory, filled from the desired state.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use serde_json::{Map, Value};

use super::texts::{LEN_MIN, Texts};
use super::{Digest, Doc, FieldPath, Reference};

const MARK: &str = "$sensitive";

/// The secret that marks are keyed with; made once for each store.
#[derive(Clone)]
pub struct MarkKey([u8; 32]);

impl MarkKey {
    /// A key of these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes, to be stored.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What is recorded of a trace. No mark is made of such a text: those are of JSON.
    pub(crate) fn of_trace(&self, trace: &str) -> Digest {
        Digest::keyed(&self.0, format!("trace {trace}").as_bytes())
    }
}

impl Debug for MarkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MarkKey(…)")
    }
}

/// Sensitive values by their marks. Printing it shows how many there are, never which.
#[derive(Clone, Default)]
pub struct Vault {
    values: BTreeMap<Digest, Value>,
    texts: Texts,
}

impl Vault {
    /// A vault without values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Marks the values of `paths` within `value`, and keeps them. Values that are marked already, null, or not there
    /// are left alone.
    pub fn seal(&mut self, value: &mut Value, paths: &[FieldPath], key: &MarkKey) {
        for path in paths {
            if let Some(part) = path.get_mut(value) {
                self.unite(part);
                self.seal_whole(part, key);
            }
        }
    }

    /// The same in what is desired: a reference says where something sensitive comes from, and is nothing sensitive
    /// itself. What is beside it is marked piece by piece, until all of it is known.
    pub(crate) fn seal_desired(&mut self, value: &mut Value, paths: &[FieldPath], key: &MarkKey) {
        for path in paths {
            if let Some(part) = path.get_mut(value) {
                self.seal_around_references(part, key);
            }
        }
    }

    fn seal_around_references(&mut self, part: &mut Value, key: &MarkKey) {
        match part {
            _ if Reference::is_form(part) => {}
            Value::Array(items) if items.iter().any(holds_reference) => {
                items.iter_mut().for_each(|item| self.seal_around_references(item, key));
            }
            Value::Object(object) if object.values().any(holds_reference) => {
                object.values_mut().for_each(|item| self.seal_around_references(item, key));
            }
            part => {
                self.unite(part);
                self.seal_whole(part, key);
            }
        }
    }

    /// Puts values back that were marked piece by piece, so that all of it has one mark. Where one is lost, they stay.
    fn unite(&self, part: &mut Value) {
        if mark_of(part).is_none() && !matches!(part, Value::String(_)) {
            let mut whole = part.clone();
            if self.open(&mut whole).is_ok() {
                *part = whole;
            }
        }
    }

    /// Marks the parts of `value` that are marked in `pattern`: what was sensitive where it came from is sensitive where
    /// it is found again.
    pub(crate) fn seal_like(&mut self, value: &mut Value, pattern: &Value, key: &MarkKey) {
        if mark_of(pattern).is_some() {
            self.seal_whole(value, key);
            return;
        }
        match (value, pattern) {
            (Value::Array(items), Value::Array(patterns)) => {
                for (item, pattern) in items.iter_mut().zip(patterns) {
                    self.seal_like(item, pattern, key);
                }
            }
            (Value::Object(object), Value::Object(patterns)) => self.seal_fields_like(object, patterns, key),
            _ => {}
        }
    }

    /// Marks the fields that are marked in `pattern`.
    pub(crate) fn seal_fields_like(
        &mut self,
        fields: &mut Map<String, Value>,
        pattern: &Map<String, Value>,
        key: &MarkKey,
    ) {
        for (name, pattern) in pattern {
            if let Some(field) = fields.get_mut(name) {
                self.seal_like(field, pattern, key);
            }
        }
    }

    /// Marks every text and number of `value` that holds something sensitive, and every object that has a field of such a
    /// name. Short ones, which occur by chance, do not count, unless a number is just that.
    pub(crate) fn seal_tainted(&mut self, value: &mut Value, key: &MarkKey) {
        let is_tainted = match value {
            Value::String(text) => self.is_tainted(text),
            Value::Number(number) => {
                let text = number.to_string();
                self.texts.contains(&text) || self.is_tainted(&text)
            }
            Value::Object(object) => object.keys().any(|name| self.is_tainted(name)),
            Value::Null | Value::Bool(_) | Value::Array(_) => false,
        };
        match value {
            value if is_tainted => self.seal_whole(value, key),
            Value::Array(items) => items.iter_mut().for_each(|item| self.seal_tainted(item, key)),
            Value::Object(object) => object.values_mut().for_each(|item| self.seal_tainted(item, key)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn is_tainted(&self, text: &str) -> bool {
        const TAINTS_MIN: usize = 8;
        self.texts.found_in(text).any(|found| found.len() >= TAINTS_MIN)
    }

    /// Keeps a value that is no part of another.
    pub(super) fn seal_alone(&mut self, mut value: Value, key: &MarkKey) {
        self.seal_whole(&mut value, key);
    }

    fn seal_whole(&mut self, part: &mut Value, key: &MarkKey) {
        if part.is_null() || mark_of(part).is_some() {
            return;
        }
        let plain = part.take();
        let digest = Digest::keyed(&key.0, Doc::new(&plain).text().as_bytes());
        *part = Value::Object(Map::from_iter([(MARK.to_owned(), Value::String(digest.to_string()))]));
        each_part(&plain, &mut |part| self.texts.insert(part));
        self.values.insert(digest, plain);
    }

    /// The part of `value` that `path` leads to, also where it lies within a marked value: it is then marked itself.
    /// `None` when there is no such part, or the marked value is not in the vault.
    pub(crate) fn part(&mut self, value: &Value, path: &FieldPath, key: &MarkKey) -> Option<Value> {
        let (mut part, mut sensitive) = (value, false);
        for segment in path.segments() {
            if let Some(digest) = mark_of(part) {
                part = self.values.get(&digest)?;
                sensitive = true;
            }
            part = match part {
                Value::Object(object) => object.get(&segment)?,
                Value::Array(items) => items.get(segment.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        let mut part = part.clone();
        if sensitive {
            self.seal_whole(&mut part, key);
        }
        Some(part)
    }

    /// Puts the values back in the place of their marks.
    ///
    /// # Errors
    /// When a value is not in the vault: it was sensitive, so it was not stored.
    pub fn open(&self, value: &mut Value) -> Result<(), LostSecret> {
        if let Some(digest) = mark_of(value) {
            *value = self.values.get(&digest).cloned().ok_or(LostSecret)?;
            return Ok(());
        }
        match value {
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.open(item)),
            Value::Object(object) => object.values_mut().try_for_each(|item| self.open(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    /// Puts the values back where they are known. Where not, the mark stays: whoever reads it makes a value up.
    pub(crate) fn open_or_make_up(&self, value: &mut Value) {
        if let Some(digest) = mark_of(value) {
            if let Some(known) = self.values.get(&digest) {
                *value = known.clone();
            }
            return;
        }
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.open_or_make_up(item)),
            Value::Object(object) => object.values_mut().for_each(|item| self.open_or_make_up(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// `spec` with those fields as `wanted` has them whose sensitive values are lost: what is looked for by them is looked
    /// for by those that are known.
    pub(crate) fn with_known(&self, spec: &Doc, wanted: &Doc) -> Doc {
        let (true, Value::Object(mut fields), Value::Object(wanted)) =
            (has_mark(spec.text()), spec.value(), wanted.value())
        else {
            return spec.clone();
        };
        for (name, field) in &mut fields {
            if self.open(&mut field.clone()).is_err()
                && let Some(known) = wanted.get(name)
            {
                *field = known.clone();
            }
        }
        Doc::new(&Value::Object(fields))
    }

    /// Whether there is nothing to keep secret.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// `text` with every sensitive string and number in it, and every line of one, replaced by `(sensitive)`, as it stands
    /// and as JSON escapes it. Those of fewer than four characters are left: replacing them would make the text unreadable and
    /// tell where they are.
    ///
    /// A text that was cut has `…` where the rest was. What stands before or after it is replaced also where it is only
    /// the beginning or the end of a sensitive string.
    pub fn scrub(&self, text: &str) -> String {
        if self.values.is_empty() {
            return text.to_owned();
        }
        self.texts.replace(&self.scrub_cuts(text), "(sensitive)")
    }

    /// `text` with what is left of sensitive strings before and after each cut replaced.
    fn scrub_cuts(&self, text: &str) -> String {
        let mut pieces: Vec<String> = text.split(CUT).map(str::to_owned).collect();
        for at in 1..pieces.len() {
            let (mut before, mut after) = (0, 0);
            for value in self.values.values() {
                each_part(value, &mut |part| {
                    before = before.max(beginning_at_end(&pieces[at - 1], part));
                    after = after.max(end_at_beginning(&pieces[at], part));
                });
            }
            if before > 0 {
                let kept = pieces[at - 1].len() - before;
                pieces[at - 1].replace_range(kept.., "(sensitive)");
            }
            if after > 0 {
                pieces[at].replace_range(..after, "(sensitive)");
            }
        }
        pieces.join(CUT)
    }
}

/// What stands in the place of the rest of a text that was cut.
const CUT: &str = "…";

/// How many bytes at the end of `text` are the beginning of `secret`.
fn beginning_at_end(text: &str, secret: &str) -> usize {
    let ends = secret.char_indices().map(|(at, _)| at).filter(|at| (LEN_MIN..=text.len()).contains(at));
    ends.rev().find(|at| text.ends_with(&secret[..*at])).unwrap_or_default()
}

/// How many bytes at the beginning of `text` are the end of `secret`.
fn end_at_beginning(text: &str, secret: &str) -> usize {
    let lengths = secret.char_indices().map(|(at, _)| secret.len() - at);
    let mut lengths = lengths.filter(|len| (LEN_MIN..=text.len()).contains(len));
    lengths.find(|len| text.starts_with(&secret[secret.len() - len..])).unwrap_or_default()
}

/// The strings of `value`, whole and each line of them: messages quote what programs print by lines. And its numbers, as
/// JSON has them.
fn each_part(value: &Value, see: &mut impl FnMut(&str)) {
    match value {
        Value::String(secret) => {
            each_form(secret, see);
            secret.lines().map(str::trim).for_each(|line| each_form(line, see));
        }
        Value::Number(number) => see(&number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| each_part(item, see)),
        Value::Object(object) => object.values().for_each(|item| each_part(item, see)),
        Value::Null | Value::Bool(_) => {}
    }
}

/// A text as it stands, and as it is given to a program within JSON, which may print that.
fn each_form(secret: &str, see: &mut impl FnMut(&str)) {
    see(secret);
    let quoted = Value::from(secret).to_string();
    let escaped = &quoted[1..quoted.len() - 1];
    if escaped != secret {
        see(escaped);
        // The `echo` of many shells prints one backslash for two.
        see(&escaped.replace(r"\\", r"\"));
    }
}

fn holds_reference(value: &Value) -> bool {
    match value {
        _ if Reference::is_form(value) => true,
        Value::Array(items) => items.iter().any(holds_reference),
        Value::Object(object) => object.values().any(holds_reference),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

impl Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({} values)", self.values.len())
    }
}

/// A sensitive value is needed that this process was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a sensitive value is needed and was not stored: give the desired state that has it, with `-f FILE`; what is to be removed, \
     and is found only by it, goes with `destroy -f FILE`, or after it was desired once with that value not sensitive"
)]
pub struct LostSecret;

/// The digest of a mark; `None` for any other value.
pub fn mark_of(value: &Value) -> Option<Digest> {
    let object = value.as_object()?;
    if object.len() != 1 {
        return None;
    }
    object.get(MARK)?.as_str()?.parse().ok()
}

/// Whether a mark stands anywhere within `value`.
pub(crate) fn holds_mark(value: &Value) -> bool {
    mark_of(value).is_some()
        || match value {
            Value::Array(items) => items.iter().any(holds_mark),
            Value::Object(object) => object.values().any(holds_mark),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
}

/// Whether what `path` leads to in `value` lies within something that is marked: it was there, and is not stored.
pub(crate) fn lies_in_mark(value: &Value, path: &FieldPath) -> bool {
    let mut part = value;
    for segment in path.segments() {
        if mark_of(part).is_some() {
            return true;
        }
        match FieldPath::from_segments([segment]).get(part) {
            Some(within) => part = within,
            None => return false,
        }
    }
    false
}

/// Whether a mark stands anywhere within `text`, a document's canonical text.
pub(crate) fn has_mark(text: &str) -> bool {
    text.contains("{\"$sensitive\":")
}

#[cfg(test)]
mod tests;
