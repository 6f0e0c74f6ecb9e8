//! Variables: `$NAME` and `${NAME…}` in values, and files of them.

use std::collections::BTreeMap;

use super::node::Errors;

/// Puts variables into a text, as the Compose specification says ("Interpolation"): `$NAME`, `${NAME}`, and with another value
/// where it is not set, or empty as well (`-`, `:-`), where it is set (`+`, `:+`), or with an error (`?`, `:?`). `$$` is `$`.
///
/// A variable that is not set is an error: Compose itself warns, and takes it for empty.
pub(super) fn interpolate(text: &str, vars: &BTreeMap<String, String>) -> Result<String, String> {
    /// How deep defaults may stand in each other.
    const DEPTH_MAX: usize = 100;
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX && text.contains("${") {
            return Err(format!("more than {DEPTH_MAX} braces stand in each other"));
        }
    }
    let mut said = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        said.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            said.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let end = end_of(after).ok_or_else(|| format!("`${{{after}` has no `}}`"))?;
            said.push_str(&braced(&after[..end], vars)?);
            rest = &after[end + 1..];
        } else {
            let end = name_len(after);
            if end == 0 {
                return Err(format!("`$` in `{text}` stands before no name: write `$$` for the character"));
            }
            said.push_str(vars.get(&after[..end]).ok_or_else(|| not_set(&after[..end]))?);
            rest = &after[end..];
        }
    }
    said.push_str(rest);
    Ok(said)
}

fn not_set(name: &str) -> String {
    format!("the variable `{name}` is not set: set it, or write what it is then, as in `${{{name}:-}}`")
}

fn name_len(text: &str) -> usize {
    let is_next = |(at, c): (usize, char)| {
        let is_in = c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit());
        (!is_in).then_some(at)
    };
    text.char_indices().find_map(is_next).unwrap_or(text.len())
}

/// Where the brace is closed; those within belong to others.
fn end_of(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn braced(inner: &str, vars: &BTreeMap<String, String>) -> Result<String, String> {
    let (name, rest) = inner.split_at(name_len(inner));
    let value = vars.get(name).map(String::as_str);
    let filled = value.filter(|value| !value.is_empty());
    let wrong = || {
        format!("`${{{inner}}}` can not be read: expected a name, and then `:-`, `-`, `:+`, `+`, `:?` or `?`")
    };
    if name.is_empty() {
        return Err(wrong());
    }
    let (value, rest) = match rest.strip_prefix(':') {
        Some(rest) => (filled, rest),
        None => (value, rest),
    };
    let mut operator = rest.chars();
    match (operator.next(), value) {
        (None, Some(value)) if rest.is_empty() && !inner.ends_with(':') => Ok(value.to_owned()),
        (None, None) if !inner.ends_with(':') => Err(not_set(name)),
        (Some('-'), Some(value)) | (Some('?'), Some(value)) => Ok(value.to_owned()),
        (Some('-'), None) | (Some('+'), Some(_)) => interpolate(operator.as_str(), vars),
        (Some('+'), None) => Ok(String::new()),
        (Some('?'), None) => {
            let why = interpolate(operator.as_str(), vars)?;
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            Err(format!("the variable `{name}` is required{why}"))
        }
        (_, _) => Err(wrong()),
    }
}

/// Reads a file of variables: `NAME=VALUE` lines, comments, `export` before a name. Values in single quotes are as they are; others
/// may have variables, those before them and `vars`. A name alone has the value that it has in `vars`, if it has one there.
pub(super) fn read_file(
    file: &str,
    text: &str,
    vars: &BTreeMap<String, String>,
    errors: &mut Errors,
    line_of_file: u32,
) -> BTreeMap<String, String> {
    let mut read = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(value.trim_start())),
            None => (line, None),
        };
        let value = match value {
            _ if name.is_empty() || name.contains(char::is_whitespace) => {
                Err("expected `NAME=VALUE`".to_owned())
            }
            None => Ok(vars.get(name).cloned()),
            Some(value) => {
                let mut known = vars.clone();
                known.extend(read.clone());
                value_of(value, &known).map(Some)
            }
        };
        match value {
            Ok(Some(value)) => {
                read.insert(name.to_owned(), value);
            }
            Ok(None) => {}
            Err(why) => errors.wrong(line_of_file, format!("{file}:{number}: {why}")).unwrap_or_default(),
        }
    }
    read
}

fn value_of(value: &str, vars: &BTreeMap<String, String>) -> Result<String, String> {
    let quoted = |quote: char| {
        let inner = value.strip_prefix(quote)?;
        let end = match quote {
            '\'' => inner.find(quote)?,
            _ => {
                let mut escaped = false;
                inner.char_indices().find_map(|(at, c)| {
                    let ends = c == quote && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends.then_some(at)
                })?
            }
        };
        let after = inner[end + 1..].trim_start();
        (after.is_empty() || after.starts_with('#')).then_some(&inner[..end])
    };
    if value.starts_with('\'') {
        return quoted('\'').map(str::to_owned).ok_or_else(|| "a quote is not closed".to_owned());
    }
    if value.starts_with('"') {
        let inner = quoted('"').ok_or_else(|| "a quote is not closed".to_owned())?;
        return interpolate(&unescaped(inner), vars);
    }
    let plain = value.split_once(" #").map_or(value, |(value, _)| value).trim_end();
    interpolate(plain, vars)
}

fn unescaped(text: &str) -> String {
    let mut said = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, false) => said.push(c),
            (_, true) => match chars.next() {
                Some('n') => said.push('\n'),
                Some('t') => said.push('\t'),
                Some('r') => said.push('\r'),
                // So that it is no variable.
                Some('$') => said.push_str("$$"),
                Some(other) => said.push(other),
                None => said.push('\\'),
            },
        }
    }
    said
}
