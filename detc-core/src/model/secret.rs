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
mod tests {
    use serde_json::json;

    use super::*;

    fn key(byte: u8) -> MarkKey {
        MarkKey::new([byte; 32])
    }

    #[test]
    fn a_sealed_value_is_gone_and_comes_back_from_the_vault_only() {
        let plain = json!({"user": "web", "password": "correct horse"});
        let mut sealed = plain.clone();
        let mut vault = Vault::new();
        vault.seal(&mut sealed, &["password".parse().unwrap(), "token".parse().unwrap()], &key(1));
        assert!(!sealed.to_string().contains("horse"));
        let mut opened = sealed.clone();
        vault.open(&mut opened).unwrap();
        assert_eq!(opened, plain);
        assert_eq!(Vault::new().open(&mut sealed), Err(LostSecret));
    }

    #[test]
    fn the_same_value_has_the_same_mark_under_one_key_and_another_under_another() {
        let seal = |value: &str, byte| {
            let mut value = json!({"p": value});
            Vault::new().seal(&mut value, &["p".parse().unwrap()], &key(byte));
            value
        };
        assert_eq!(seal("a", 1), seal("a", 1));
        assert_ne!(seal("a", 1), seal("a", 2));
        assert_ne!(seal("a", 1), seal("b", 1));
    }

    #[test]
    fn secrets_are_scrubbed_from_messages() {
        let mut vault = Vault::new();
        vault.seal(&mut json!({"p": {"q": ["hunter22"]}}), &["p".parse().unwrap()], &key(1));
        assert_eq!(vault.scrub("login with hunter22 failed"), "login with (sensitive) failed");
        assert_eq!(format!("{vault:?}"), "Vault(1 values)");
    }

    #[test]
    fn a_line_of_a_secret_is_scrubbed_and_the_longest_secret_first() {
        let mut vault = Vault::new();
        let mut value =
            json!({"conf": "user=web\n  key=hunter22\n", "short": "hunter", "long": "hunter22-and-more"});
        let paths = ["conf", "short", "long"].map(|path| path.parse().unwrap());
        vault.seal(&mut value, &paths, &key(1));
        assert_eq!(vault.scrub("> key=hunter22\n"), "> (sensitive)\n");
        assert_eq!(vault.scrub("hunter22-and-more"), "(sensitive)");
    }

    #[test]
    fn what_a_cut_has_left_of_a_secret_is_scrubbed() {
        let mut vault = Vault::new();
        let long = "0123456789abcdefgß".repeat(9);
        vault.seal(
            &mut json!({"p": long, "q": "first-line\nsecond"}),
            &["p", "q"].map(|p| p.parse().unwrap()),
            &key(1),
        );
        let scrubs = |text: &str, scrubbed: &str| assert_eq!(vault.scrub(text), scrubbed);
        scrubs(&format!("said:\n…{} no", &long[100..]), "said:\n…(sensitive) no");
        scrubs(&format!("said: {}…", &long[..100]), "said: (sensitive)…");
        scrubs(&format!("…{}…", &long[7..]), "…(sensitive)…");
        scrubs("…-line\nsecond", "…(sensitive)");
        scrubs("it is cut after sec… here", "it is cut after sec… here");
        scrubs("no -line is cut", "no -line is cut");
    }

    #[test]
    fn a_part_of_a_secret_is_a_secret() {
        let mut vault = Vault::new();
        let mut value = json!({"login": {"user": "web", "words": ["correct", "horse"]}, "port": 80});
        vault.seal(&mut value, &["login".parse().unwrap()], &key(1));
        let mut part = |path: &str| vault.part(&value, &path.parse().unwrap(), &key(1));
        assert_eq!(part("port"), Some(json!(80)));
        assert_eq!(part("login.none"), None);
        let mut word = part("login.words.1").unwrap();
        assert!(mark_of(&word).is_some());
        vault.open(&mut word).unwrap();
        assert_eq!(word, "horse");
        assert_eq!(Vault::new().part(&value, &"login.user".parse().unwrap(), &key(1)), None);
        let lies = |path: &str| lies_in_mark(&value, &path.parse().unwrap());
        assert_eq!(["login.user", "login", "port", "none.user"].map(lies), [true, false, false, false]);
    }

    #[test]
    fn a_text_that_holds_a_secret_is_marked() {
        let mut vault = Vault::new();
        vault.seal(
            &mut json!({"p": "hunter22", "q": "root"}),
            &["p", "q"].map(|p| p.parse().unwrap()),
            &key(1),
        );
        let mut output = json!({"stdout": "the key is hunter22.", "path": "/root", "code": 0});
        vault.seal_tainted(&mut output, &key(1));
        assert!(mark_of(&output["stdout"]).is_some());
        assert_eq!((&output["path"], &output["code"]), (&json!("/root"), &json!(0)));
    }

    #[test]
    fn a_secret_is_found_as_json_says_it_too() {
        let mut vault = Vault::new();
        vault.seal(
            &mut json!({"pin": 1234567890123_u64, "quoted": "pa\"ss\\word-42", "few": 42}),
            &["pin", "quoted", "few"].map(|p| p.parse().unwrap()),
            &key(1),
        );
        let scrubs = |text: &str, scrubbed: &str| assert_eq!(vault.scrub(text), scrubbed);
        scrubs("the pin 1234567890123 is wrong", "the pin (sensitive) is wrong");
        scrubs(
            r#"no {"pin":1234567890123,"quoted":"pa\"ss\\word-42"}"#,
            r#"no {"pin":(sensitive),"quoted":"(sensitive)"}"#,
        );
        scrubs(r#"42 of it is cut: pa\"ss\\w…"#, "42 of it is cut: (sensitive)…");
    }

    #[test]
    fn a_number_that_is_a_secret_is_marked_wherever_it_is_printed() {
        let mut vault = Vault::new();
        let mut given = json!({"pin": 4711, "long": 1234567890123_u64, "text": "98765432", "few": 42});
        vault.seal(&mut given, &["pin", "long", "text", "few"].map(|p| p.parse().unwrap()), &key(1));
        let mut output = json!({
            "pin": 4711, "many": [1234567890123_u64, -1234567890123_i64], "read": 98765432, "few": 42, "other": 47112,
        });
        vault.seal_tainted(&mut output, &key(1));
        assert_eq!(output["pin"], given["pin"], "a number has the mark that it has where it comes from");
        for sealed in [&output["many"][0], &output["many"][1], &output["read"]] {
            assert!(mark_of(sealed).is_some(), "{output}");
        }
        assert_eq!((&output["few"], &output["other"]), (&json!(42), &json!(47112)));
    }

    #[test]
    fn an_output_whose_field_is_named_by_a_secret_is_marked_as_a_whole() {
        let mut vault = Vault::new();
        vault.seal(&mut json!({"p": "hunter22"}), &["p".parse().unwrap()], &key(1));
        let mut output = json!({"result": {"hunter22": true}, "code": 0});
        vault.seal_tainted(&mut output, &key(1));
        assert!(mark_of(&output["result"]).is_some(), "{output}");
        assert_eq!(output["code"], 0);
    }

    #[test]
    fn what_is_sensitive_in_a_pattern_is_marked_where_it_is_found_again() {
        let mut vault = Vault::new();
        let mut pattern = json!({"content": "secret", "list": ["a", "b"], "path": "/a"});
        let paths = ["content", "list.1"].map(|path| path.parse().unwrap());
        vault.seal(&mut pattern, &paths, &key(1));
        let mut seen = json!({"content": "other", "list": ["x", "y", "z"], "path": "/b"});
        vault.seal_like(&mut seen, &pattern, &key(1));
        assert!(mark_of(&seen["content"]).is_some() && mark_of(&seen["list"][1]).is_some());
        assert_eq!((&seen["path"], &seen["list"][0]), (&json!("/b"), &json!("x")));
    }
}
