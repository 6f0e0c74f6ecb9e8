//! Values as people read them: short, on one line, secrets and things known later in words.

use std::borrow::Cow;

use serde_json::Value;

use super::Lookup;
use crate::model::{HostName, Reference, ResourceId, secret};

/// What a resource's own name and host are replaced by where like changes are compared and shown as one.
pub(super) struct Own<'a> {
    /// Longest first, each with what stands for it.
    words: Vec<(&'a str, &'static str)>,
}

impl<'a> Own<'a> {
    /// The words of this resource: its host, its name, and the parts of its name that hold a digit (`web-17`). Words of
    /// one character are left: they stand in too many values by chance.
    pub(super) fn new(id: &'a ResourceId, host: Option<&'a HostName>) -> Self {
        let name = id.name();
        let mut words = vec![(name, "*")];
        words.extend(host.map(|host| (host.as_str(), "{host}")));
        if name.contains('/') {
            let parts = name.split('/').filter(|part| part.bytes().any(|byte| byte.is_ascii_digit()));
            words.extend(parts.map(|part| (part, "*")));
        }
        words.retain(|(word, _)| word.len() > 1);
        words.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
        Self { words }
    }

    /// `text` with the own words replaced where they stand alone; `None` when none does.
    pub(super) fn replace(&self, text: &str) -> Option<String> {
        let mut replaced: Option<String> = None;
        for (word, by) in &self.words {
            let current = replaced.as_deref().unwrap_or(text);
            if let Some(new) = replace_word(current, word, by) {
                replaced = Some(new);
            }
        }
        replaced
    }

    /// `value` with the own words replaced in its texts.
    pub(super) fn replace_in(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.replace(text).map_or_else(|| value.clone(), Value::String),
            Value::Array(items) => items.iter().map(|item| self.replace_in(item)).collect(),
            Value::Object(object) => {
                Value::Object(object.iter().map(|(key, item)| (key.clone(), self.replace_in(item))).collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
}

fn replace_word(text: &str, word: &str, by: &str) -> Option<String> {
    if !text.contains(word) {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (at, _) in text.match_indices(word) {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        if [before, after].into_iter().flatten().any(char::is_alphanumeric) {
            continue;
        }
        out.push_str(&text[done..at]);
        out.push_str(by);
        done = at + word.len();
    }
    out.push_str(&text[done..]);
    (done > 0).then_some(out)
}

/// `value` in at most about `width` characters.
pub(super) fn short(value: &Value, lookup: &Lookup<'_>, width: usize) -> String {
    let mut text = String::new();
    write(value, lookup, width, &mut text);
    shorten(text, width)
}

/// Two values in at most about `width` characters each, cut where they differ: what is alike before that is left out where
/// there is no room for all.
pub(super) fn pair(from: &Value, to: &Value, lookup: &Lookup<'_>, width: usize) -> [String; 2] {
    /// What differs only after more is shown from its beginning.
    const COMPARED_MAX: usize = 16 << 10;
    /// What is left of what is alike, so that it is seen where the difference lies.
    const KEPT: usize = 8;
    let texts = [from, to].map(|value| {
        let mut text = String::new();
        write(value, lookup, COMPARED_MAX, &mut text);
        text
    });
    let alike = texts[0].chars().zip(texts[1].chars()).take_while(|(a, b)| a == b).count();
    if texts.iter().all(|text| text.chars().count() <= width) || alike <= KEPT || alike + KEPT < width {
        return texts.map(|text| shorten(text, width));
    }
    texts.map(|text| {
        let rest: String = text.chars().skip(alike.saturating_sub(KEPT)).collect();
        shorten(format!("…{rest}"), width)
    })
}

/// The first `width` characters of `text`, the last of them `…` when there are more.
pub(super) fn shorten(text: String, width: usize) -> String {
    if text.len() <= width {
        return text;
    }
    match text.char_indices().nth(width) {
        None => text,
        Some(_) => {
            let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
            short.push('…');
            short
        }
    }
}

/// Writes `value`, and stops soon after `width` bytes.
fn write(value: &Value, lookup: &Lookup<'_>, width: usize, out: &mut String) {
    if out.len() > width {
        return;
    }
    if secret::mark_of(value).is_some() {
        out.push_str("(sensitive)");
        return;
    }
    if let Ok(Some(Reference { from, .. })) = Reference::read(value) {
        out.push_str("(known after ");
        out.push_str(&lookup.source(&from));
        out.push(')');
        return;
    }
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
        Value::String(text) => quote(text, width, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if out.len() > width {
                    break;
                }
                out.push_str(if index > 0 { ", " } else { "" });
                write(item, lookup, width, out);
            }
            out.push(']');
        }
        Value::Object(object) => {
            out.push('{');
            for (index, (key, item)) in object.iter().enumerate() {
                if out.len() > width {
                    break;
                }
                out.push_str(if index > 0 { ", " } else { "" });
                out.push_str(&visible(key));
                out.push_str(": ");
                write(item, lookup, width, out);
            }
            out.push('}');
        }
    }
}

/// Quotes the beginning of `text`: a text of megabytes is not escaped to show one line of it. Hidden characters
/// are escaped, so that a value can not move the cursor, change colours or read other than it is.
fn quote(text: &str, width: usize, out: &mut String) {
    out.push('"');
    for (count, c) in text.chars().enumerate() {
        if count > width {
            break;
        }
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_hidden(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// `text` with a space in the place of each hidden character: reasons come from the world, names of fields from users.
pub(super) fn visible(text: &str) -> String {
    text.chars().map(|c| if is_hidden(c) { ' ' } else { c }).collect()
}

/// `text` with each hidden character escaped, but for the ends of lines and tabs: what programs and systems say is shown
/// to a person as it was said, and does nothing to the terminal.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    let is_told = |c: char| is_hidden(c) && !matches!(c, '\n' | '\t');
    if !text.contains(is_told) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_told(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Whether a character is not seen, or changes how others are: controls, marks of direction, spaces without width.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn own_words_are_replaced_where_they_stand_alone() {
        let id: ResourceId = "file/web-1/conf".parse().unwrap();
        let host = HostName::new("h1");
        let own = Own::new(&id, Some(&host));
        assert_eq!(own.replace("/srv/web-1/app.conf").as_deref(), Some("/srv/*/app.conf"));
        assert_eq!(own.replace("file/web-1/conf on h1").as_deref(), Some("file/* on {host}"));
        assert_eq!(own.replace("web-12 and xh1"), None);
        assert_eq!(own.replace_in(&json!({"a": ["web-1", 1]})), json!({"a": ["*", 1]}));
    }

    #[test]
    fn the_longest_own_word_is_replaced_first_and_letters_are_left() {
        let own = |id: &str, host: &str, text: &str| {
            let (id, host): (ResourceId, _) = (id.parse().unwrap(), HostName::new(host));
            Own::new(&id, Some(&host)).replace(text)
        };
        // Of a part of the name that is also the host, the host is not what is meant.
        assert_eq!(own("file/h1/a1", "h1", "h1/a1, h1 and a1").as_deref(), Some("*, {host} and *"));
        assert_eq!(own("file/a", "b", "a and b"), None);
        assert_eq!(own("file/ab/cd", "h1", "ab and cd"), None);
        assert_eq!(own("file/ab", "h1", "ab ab-ab abc").as_deref(), Some("* *-* abc"));
    }

    #[test]
    fn what_is_written_ends_soon_after_there_is_no_more_room() {
        let plan = crate::plan::tests::support::nothing();
        let lookup = Lookup::new(&plan);
        let written = |value: &Value, width: usize| {
            let mut out = String::new();
            write(value, &lookup, width, &mut out);
            out
        };
        let list = json!((10..99).collect::<Vec<_>>());
        assert_eq!([2, 3, 4, 5].map(|width| written(&list, width)), ["[10]", "[10, ]", "[10, ]", "[10, 11]"]);
        assert_eq!(written(&json!({"aa": 10, "bb": 11, "cc": 12}), 6), "{aa: 10}");
        assert_eq!(written(&json!({"aa": 10, "bb": 11, "cc": 12}), 7), "{aa: 10, bb: }");
        assert_eq!(written(&json!("x".repeat(99)), 4), "\"xxxxx\"");
        assert_eq!(written(&json!([[[1]], true]), 9), "[[[1]], true]");
        assert_eq!(written(&json!("tab\t\"quoted\" \\ line\n"), 99), r#""tab\t\"quoted\" \\ line\n""#);
    }

    #[test]
    fn a_text_is_cut_by_characters_and_not_by_bytes() {
        let cut = |text: &str, width: usize| shorten(text.to_owned(), width);
        assert_eq!(
            [cut("éééé", 4), cut("éééé", 3), cut("abcd", 4), cut("abcd", 3)],
            ["éééé", "éé…", "abcd", "ab…"]
        );
        assert_eq!([cut("ab", 1), cut("ab", 0), cut("", 0)], ["…", "…", ""]);
    }

    #[test]
    fn what_is_not_seen_or_changes_how_others_are_is_hidden() {
        let hidden = [
            '\u{0}', '\n', '\u{7f}', '\u{9b}', '\u{200b}', '\u{200f}', '\u{202a}', '\u{202e}', '\u{2060}',
            '\u{2069}', '\u{feff}',
        ];
        assert_eq!(hidden.map(is_hidden), [true; 11]);
        let seen = [
            ' ', 'a', '\u{a0}', 'é', '\u{200a}', '\u{2010}', '\u{2029}', '\u{202f}', '\u{205f}', '\u{206a}',
            '…',
        ];
        assert_eq!(seen.map(is_hidden), [false; 11]);
        assert_eq!(visible("a\tb\u{202e}c"), "a b c");
    }

    #[test]
    fn of_two_values_the_beginning_is_shown_while_the_difference_lies_in_it() {
        let plan = crate::plan::tests::support::nothing();
        let lookup = Lookup::new(&plan);
        let text = |alike: usize, width: usize| {
            // The quote is alike, too.
            let value = |c: &str| json!(format!("{}{c}{}", "-".repeat(alike - 1), "+".repeat(30)));
            format!("{alike} of {width}: {}\n", pair(&value("a"), &value("b"), &lookup, width).join(" "))
        };
        let cases = [(11, 20), (12, 20), (13, 20), (7, 10), (8, 10), (9, 10), (40, 60), (40, 73), (40, 74)];
        let texts: String = cases.into_iter().map(|(alike, width)| text(alike, width)).collect();
        expect_test::expect![[r#"
            11 of 20: "----------a+++++++… "----------b+++++++…
            12 of 20: …--------a+++++++++… …--------b+++++++++…
            13 of 20: …--------a+++++++++… …--------b+++++++++…
            7 of 10: "------a+… "------b+…
            8 of 10: "-------a… "-------b…
            9 of 10: …--------… …--------…
            40 of 60: "---------------------------------------a++++++++++++++++++… "---------------------------------------b++++++++++++++++++…
            40 of 73: "---------------------------------------a++++++++++++++++++++++++++++++" "---------------------------------------b++++++++++++++++++++++++++++++"
            40 of 74: "---------------------------------------a++++++++++++++++++++++++++++++" "---------------------------------------b++++++++++++++++++++++++++++++"
        "#]].assert_eq(&texts);
    }

    #[test]
    fn what_others_say_keeps_its_lines_and_loses_its_power_over_the_terminal() {
        assert_eq!(plain("two\n\tlines…"), "two\n\tlines…");
        assert_eq!(plain("\u{1b}[31mred\u{7}\r\n\u{202e}b"), "\\u{1b}[31mred\\u{7}\\u{d}\n\\u{202e}b");
    }

    #[test]
    fn a_long_value_is_cut_and_control_characters_are_escaped() {
        let plan = crate::plan::tests::support::nothing();
        let lookup = Lookup::new(&plan);
        assert_eq!(short(&json!("x".repeat(1_000)), &lookup, 10), "\"xxxxxxxx…");
        assert_eq!(short(&json!("a\u{1b}[31m"), &lookup, 40), "\"a\\u{1b}[31m\"");
        assert_eq!(short(&json!({"a": [1, "b", null]}), &lookup, 40), "{a: [1, \"b\", null]}");
    }

    #[test]
    fn of_two_long_values_that_is_shown_in_which_they_differ() {
        let plan = crate::plan::tests::support::nothing();
        let lookup = Lookup::new(&plan);
        let server =
            |port: &str| json!(["/usr/bin/python3", "-m", "http.server", port, "--bind", "127.0.0.1"]);
        assert_eq!(
            pair(&server("8081"), &server("8082"), &lookup, 30),
            ["…r\", \"8081\", \"--bind\", \"127.0…", "…r\", \"8082\", \"--bind\", \"127.0…"]
        );
        assert_eq!(pair(&json!("a"), &json!("b"), &lookup, 30), ["\"a\"", "\"b\""]);
        let long = "x".repeat(100);
        assert_eq!(pair(&json!(long), &json!(format!("y{long}")), &lookup, 6), ["\"xxxx…", "\"yxxx…"]);
        assert_eq!(
            pair(&json!(long), &json!(format!("{long}y")), &lookup, 12),
            ["…xxxxxxxx\"", "…xxxxxxxxy\""]
        );
    }
}
