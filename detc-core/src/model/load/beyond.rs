//! What YAML can say and JSON has no words for: refused where it stands, since the reader would drop it.
//!
//! A tag of an application (`!vault`, `!env`) asks for something to be done with the value, and without that the value is
//! another one. A whole number with zeros before it is one by YAML 1.2's core schema (10.3.2), was an octal one in YAML 1.1,
//! and is mostly meant as a text: a mode, a version, a time.

use granit_parser::{Event, Parser, ScalarStyle, Tag};

use crate::model::InvalidState;

/// The tags of YAML itself that say no more than what a value is.
const KNOWN: [&str; 7] = ["str", "int", "float", "bool", "null", "map", "seq"];

/// Within what the next node stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    List,
    /// A mapping, of which a key comes next.
    BeforeKey,
    /// A mapping, of which a value comes next.
    BeforeValue,
}

/// That there is nothing of this in `text`. What is no YAML is told by its reader.
pub(super) fn check(text: &str) -> Result<(), InvalidState> {
    // Most have neither, and are not read twice.
    if !text.contains('!') && !text.split(|c: char| !is_of_number(c)).any(has_leading_zero) {
        return Ok(());
    }
    let mut within = Vec::new();
    for next in Parser::new_from_str(text) {
        let Ok((event, span)) = next else { return Ok(()) };
        let is_value = within.last() != Some(&Within::BeforeKey);
        // What a tag is of may begin on a later line.
        let line = span.tag_span().map_or(span.start.line(), |tag| tag.start.line());
        let at = |message: String| InvalidState::new(message).at("", line as u32);
        let (tag, opens) = match &event {
            Event::Scalar(value, style, _, tag) => {
                if *style == ScalarStyle::Plain && tag.is_none() && is_value && has_leading_zero(value) {
                    return Err(at(format!("the number {value} begins with 0")).with_hint(format!(
                        "write it in quotes, \"{value}\", or as a number without the 0"
                    )));
                }
                (tag.as_deref(), None)
            }
            Event::SequenceStart(_, _, tag) => (tag.as_deref(), Some(Within::List)),
            Event::MappingStart(_, _, tag) => (tag.as_deref(), Some(Within::BeforeKey)),
            Event::SequenceEnd | Event::MappingEnd => {
                within.pop();
                continue;
            }
            Event::Alias(_) => (None, None),
            _ => continue,
        };
        if let Some(tag) = tag.filter(|tag| !is_known(tag)) {
            return Err(at(format!("the tag `{tag}` is not known here")).with_hint(
                "nothing is done with tags: write the value itself, or in quotes where it is text",
            ));
        }
        if let Some(last) = within.last_mut() {
            *last = match *last {
                Within::List => Within::List,
                Within::BeforeKey => Within::BeforeValue,
                Within::BeforeValue => Within::BeforeKey,
            };
        }
        within.extend(opens);
    }
    Ok(())
}

fn is_known(tag: &Tag) -> bool {
    // `!` alone says that it is text.
    let (handle, suffix) = tag.parts();
    KNOWN.iter().any(|known| tag.is_yaml_core_schema_tag(known)) || (handle.is_empty() && suffix == "!")
}

fn is_of_number(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '_')
}

fn has_leading_zero(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_leading_zeros_are_refused_where_they_stand_and_all_else_passes() {
        let said = |text: &str| check(text).err().map(|error| error.to_string());
        for (text, says) in [
            ("a: 1\nb: !env HOME\n", "2: the tag `!env` is not known here"),
            ("a:\n  - !vault\n    b: c\n", "2: the tag `!vault` is not known here"),
            ("a: !!timestamp 2001-01-01\n", "1: the tag `"),
            ("a: 0100\n", "1: the number 0100 begins with 0"),
            ("a:\n- 1\n- -08\n", "3: the number -08 begins with 0"),
            ("{a: [{b: 1, c: 00}]}", "1: the number 00 begins with 0"),
            ("a: !<env> HOME\n", "1: the tag `"),
        ] {
            let said = said(text).unwrap_or_default();
            assert!(said.contains(says), "{text:?}: {said}");
        }
        for text in [
            "a: \"0100\"\nb: !!str 0100\nc: '!env'\nd: 0\ne: 0.5\nf: 0o17\ng: 1!\n",
            "08: a\n0100: {09: b}\n",
            "a: [[1], {b: c}]\n08: b\n",
            "a: {b: [1]}\n08: c\n",
            "a: &x 1\nb: *x\n08: c\n",
            "a: &x [1]\nb: *x\nc: 2026-01-08\nd: ! 08\n",
            "a: |\n  0100 !x\n",
            "[",
        ] {
            assert_eq!(said(text), None, "{text:?}");
        }
    }
}
