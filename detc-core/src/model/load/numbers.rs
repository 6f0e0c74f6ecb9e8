//! Whole numbers that no reader keeps exactly: better refused than rounded.

use serde_json::Value;

/// Whether this is a whole number that would be rounded.
pub(super) fn is_beyond_64_bits(raw: &str) -> bool {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    let is_whole = digits.len() > 18 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_whole && raw.parse::<u64>().is_err() && raw.parse::<i64>().is_err()
}

/// The first such number in `raw`, the JSON or YAML that `value` was read from.
pub(super) fn rounded<'a>(value: &Value, raw: &'a str) -> Option<&'a str> {
    if !may_be_rounded(value) {
        return None;
    }
    outside_texts(raw)
        .into_iter()
        .flat_map(|part| part.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '.' | '+')))
        .find(|word| is_beyond_64_bits(word))
}

/// Whether there is a number in it of the size that a rounded one has.
fn may_be_rounded(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            number.is_f64() && number.as_f64().is_some_and(|number| number.abs() >= 9e18)
        }
        Value::Array(items) => items.iter().any(may_be_rounded),
        Value::Object(object) => object.values().any(may_be_rounded),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// The parts of a text that stand in no quotes.
fn outside_texts(raw: &str) -> Vec<&str> {
    let (mut parts, mut from, mut within, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in raw.char_indices() {
        match c {
            '"' if !within => {
                parts.push(&raw[from..at]);
                within = true;
            }
            '"' if !escaped => (from, within) = (at + 1, false),
            _ => {}
        }
        escaped = within && c == '\\' && !escaped;
    }
    if !within {
        parts.push(&raw[from..]);
    }
    parts
}
