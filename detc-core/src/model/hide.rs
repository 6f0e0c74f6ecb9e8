//! Takes what is sensitive in a spec out of what is said of it.
//!
//! What is wrong with a spec is told before anything is marked, and its reader quotes what it does not like. Here the texts
//! and numbers of the sensitive fields are looked for in the message itself.

use serde_json::Value;

use super::secret::{MarkKey, Vault};
use super::{FieldPath, InvalidState, Reference};

const HIDDEN: &str = "(sensitive)";

/// What must not be told of a spec.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    vault: Vault,
    texts: Vec<String>,
    numbers: Vec<f64>,
}

impl Hidden {
    /// All that is in these values.
    pub(super) fn of(values: &[Value]) -> Self {
        let all = Value::from_iter(values.iter().cloned().enumerate().map(|(at, it)| (at.to_string(), it)));
        let paths: Vec<FieldPath> =
            (0..values.len()).map(|at| FieldPath::from_segments([at.to_string()])).collect();
        Self::new(&all, &paths)
    }

    /// What is in these parts of `spec`.
    pub(super) fn new<'p>(spec: &Value, paths: impl IntoIterator<Item = &'p FieldPath>) -> Self {
        let mut hidden = Self::default();
        for path in paths {
            if let Some(part) = path.get(spec) {
                hidden.add(part);
            }
        }
        // Messages quote a text as it stands, or escaped as Rust does.
        let texts = hidden.texts.iter();
        let forms = texts.flat_map(|text| [text.clone(), text.escape_debug().to_string()]);
        let forms = forms.map(Value::String).collect();
        hidden.vault.seal_alone(Value::Array(forms), &MarkKey::new([0; 32]));
        hidden
    }

    fn add(&mut self, part: &Value) {
        match part {
            // It says where something sensitive comes from, and is nothing sensitive itself.
            part if Reference::is_form(part) => {}
            Value::String(text) => self.texts.push(text.clone()),
            Value::Number(number) => self.numbers.extend(number.as_f64()),
            Value::Array(items) => items.iter().for_each(|item| self.add(item)),
            Value::Object(object) => object.values().for_each(|item| self.add(item)),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// What is wrong, without what is hidden.
    pub(super) fn hide(&self, mut error: InvalidState) -> InvalidState {
        if !self.texts.is_empty() || !self.numbers.is_empty() {
            error.message = self.hide_text(&error.message);
            error.hint = error.hint.map(|hint| self.hide_text(&hint).into());
        }
        error
    }

    /// The same of a text.
    pub(super) fn hide_text(&self, text: &str) -> String {
        let text = self.vault.scrub(text);
        let text = ['"', '`'].into_iter().fold(text, |text, quote| self.hide_quoted(&text, quote));
        self.hide_numbers(&text)
    }

    /// `text` with those quoted parts replaced that are a part of a hidden text, however short. What it begins with is the
    /// name of a field.
    fn hide_quoted(&self, text: &str, quote: char) -> String {
        let is_hidden = |part: &str| !part.is_empty() && self.texts.iter().any(|text| text.contains(part));
        let parts = text.split(quote).enumerate().map(|(at, part)| {
            let is_name = at == 1 && text.starts_with(quote);
            if at % 2 == 1 && !is_name && is_hidden(part) { HIDDEN } else { part }
        });
        parts.collect::<Vec<_>>().join(&quote.to_string())
    }

    fn hide_numbers(&self, text: &str) -> String {
        let belongs = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
        let (mut out, mut rest) = (String::new(), text);
        while let Some(start) = rest.find(belongs) {
            let (before, number) = rest.split_at(start);
            let (number, after) = number.split_at(number.find(|c| !belongs(c)).unwrap_or(number.len()));
            let is_hidden = number.parse::<f64>().is_ok_and(|number| self.numbers.contains(&number));
            out.push_str(before);
            out.push_str(if is_hidden { HIDDEN } else { number });
            rest = after;
        }
        out + rest
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(spec: &Value, message: &str, hidden: &str) {
        let paths = ["mode".parse().unwrap(), "env".parse().unwrap()];
        let error = InvalidState::new(message).with_hint(message);
        let error = Hidden::new(spec, &paths).hide(error);
        assert_eq!((error.message.as_str(), error.hint.as_deref()), (hidden, Some(hidden)));
    }

    #[test]
    fn a_message_has_no_sensitive_text_as_it_stands_escaped_cut_or_in_parts() {
        check(&json!({"mode": "S3cr3t"}), "octal, not \"S3cr3t\"", "octal, not \"(sensitive)\"");
        check(&json!({"mode": "S\n3cr3t"}), "not \"S\\n3cr3t\"", "not \"(sensitive)\"");
        check(
            &json!({"mode": "a b", "env": {"A": ["x"]}}),
            "not `x`: write [\"a\", \"b\"]",
            "not `(sensitive)`: write [\"(sensitive)\", \"(sensitive)\"]",
        );
        check(&json!({"mode": "http://u:pass@h"}), "has `pass@h` for a port", "has `(sensitive)` for a port");
        let long = "0123456789".repeat(9);
        check(&json!({"mode": long}), &format!("not \"{}…\"", &long[..60]), "not \"(sensitive)…\"");
    }

    #[test]
    fn a_message_has_no_sensitive_number() {
        check(
            &json!({"mode": 644}),
            "not the number 644: write \"644\"",
            "not the number (sensitive): write \"(sensitive)\"",
        );
        let raw = "123456789012345678901234567890";
        let spec = serde_json::from_str(&format!("{{\"mode\": {raw}}}")).unwrap();
        check(&spec, &format!("the number {raw} takes more"), "the number (sensitive) takes more");
    }

    #[test]
    fn what_is_not_sensitive_is_told() {
        let spec = json!({"mode": "/the/mode", "path": "S3cr3t", "env": {"A": null, "B": true}});
        for message in ["`mode` must be octal", "not \"S3cr3t\"", "must be true or false, not true", "line 7"]
        {
            check(&spec, message, message);
        }
    }
}
