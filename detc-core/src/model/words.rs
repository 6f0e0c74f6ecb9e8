//! What a reader says of a text that does not fit, in the words of whoever wrote the text.

use super::nearest;

/// The message of serde or a parser, without Rust's names for things, and with what to write instead where that is known.
pub(crate) fn in_words(message: &str) -> String {
    let message = match message.rfind(" at line ") {
        Some(at) => &message[..at],
        None => message,
    };
    for pattern in ["invalid type: ", "invalid value: ", "invalid length "] {
        if let Some((before, what)) = message.split_once(pattern)
            && let Some(at) = what.rfind(", expected ")
        {
            let (found, expected) = (&what[..at], &what[at + ", expected ".len()..]);
            let found = if pattern == "invalid length " { "sequence" } else { found };
            let subject = before.trim_end_matches(": ");
            let said =
                format!("must be {}, not {}{}", wanted(expected), given(found), instead(found, expected));
            return if subject.is_empty() { said } else { format!("{subject} {said}") };
        }
    }
    if let Some((before, rest)) = message.split_once("unknown field `")
        && let Some((name, expected)) = rest.split_once('`')
    {
        return format!("{before}unknown field `{name}`: {}", choice(name, expected));
    }
    if let Some((before, rest)) = message.split_once("unknown variant `")
        && let Some((name, expected)) = rest.split_once('`')
    {
        return format!("{before}`{name}` is not known here: {}", choice(name, expected));
    }
    for (pattern, what) in [("missing field `", "is missing"), ("duplicate field `", "is given twice")] {
        if let Some((before, rest)) = message.split_once(pattern) {
            return format!("{before}`{} {what}", rest.trim_end());
        }
    }
    syntax(message)
}

/// What to write in the place of an unknown name, of those that were `expected`.
fn choice(name: &str, expected: &str) -> String {
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "it takes none".to_owned(),
        None => format!("expected {}", known.join(", ")),
    }
}

fn wanted(expected: &str) -> String {
    let plain = match expected {
        "a string" | "a borrowed string" | "string" | "a character" => "text",
        "a sequence" => "a list",
        "a map" => "an object",
        "a boolean" => "true or false",
        "string or map" => "text or an object",
        "f32" | "f64" => "a number",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        _ if expected.starts_with("a nonzero ") => "a whole number, 1 or more",
        _ if expected.starts_with("struct ") => "an object",
        _ if expected.starts_with("a tuple") || expected.starts_with("tuple ") => "a list",
        other => other,
    };
    plain.to_owned()
}

fn given(found: &str) -> String {
    match found.split_once(' ') {
        Some(("string", text)) => format!("the text {}", short(text)),
        Some(("integer", number)) => format!("the number {}", number.trim_matches('`')),
        Some(("floating", rest)) => format!("the number {}", float(rest)),
        Some(("boolean", value)) => value.trim_matches('`').to_owned(),
        _ => match found {
            "map" => "an object".to_owned(),
            "sequence" => "a list".to_owned(),
            "unit value" | "Option value" => "null".to_owned(),
            other => other.to_owned(),
        },
    }
}

fn float(rest: &str) -> &str {
    let number = rest.trim_start_matches("point ").trim_matches('`');
    number.strip_suffix(".0").unwrap_or(number)
}

fn short(text: &str) -> String {
    const LEN_MAX: usize = 60;
    match text.char_indices().nth(LEN_MAX) {
        Some((at, _)) => format!("{}…\"", &text[..at]),
        None => text.to_owned(),
    }
}

/// What to write instead, where what was meant is plain to see.
fn instead(found: &str, expected: &str) -> String {
    let text = found.strip_prefix("string ").and_then(|quoted| serde_json::from_str::<String>(quoted).ok());
    match (text, expected) {
        (Some(text), "a sequence") if text.len() <= 60 && !text.trim().is_empty() => {
            let items: Vec<String> = text.split_whitespace().map(|item| format!("{item:?}")).collect();
            format!(": write [{}]", items.join(", "))
        }
        (Some(text), "a boolean") => match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "true" | "y" => ": write true, without quotes".to_owned(),
            "no" | "off" | "false" | "n" => ": write false, without quotes".to_owned(),
            _ => String::new(),
        },
        (Some(text), "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64" | "f64")
            if text.parse::<f64>().is_ok() =>
        {
            format!(": write {text}, without quotes")
        }
        (None, "a string") => match found.split_once(' ') {
            Some(("integer", number)) => format!(": write \"{}\", with quotes", number.trim_matches('`')),
            Some(("floating", rest)) => format!(": write \"{}\", with quotes", float(rest)),
            Some(("boolean", _)) => ": write it with quotes".to_owned(),
            _ => String::new(),
        },
        _ => String::new(),
    }
}

fn syntax(message: &str) -> String {
    let plain = match message {
        "EOF while parsing a list" => "ends in the middle of a list: `]` is missing",
        "EOF while parsing an object" => "ends in the middle of an object: `}` is missing",
        "EOF while parsing a string" => "ends in the middle of a text: `\"` is missing",
        "EOF while parsing a value" => "ends where a value is expected",
        "expected value" => "a value is expected here",
        "key must be a string" => {
            "a field's name in quotes is expected here; no comma may stand before the last `}`"
        }
        "trailing comma" => "no comma may stand before the closing bracket",
        "trailing characters" => "something follows the end of the document",
        "recursion limit exceeded" => "is nested too deeply: more than 64 levels",
        "number out of range" => "the number is too large to be kept: write it as text",
        _ if message.starts_with("control character") => {
            "a text holds a line break or another control character: write `\\n` for a line break"
        }
        _ if message.contains("found a tab") => "YAML is indented with spaces, and there is a tab",
        other => other,
    };
    plain.to_owned()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::in_words;

    #[test]
    fn what_serde_says_is_said_in_words() {
        let said: Vec<String> = [
            "invalid type: integer `644`, expected a string",
            "`mode`: invalid type: floating point `644.0`, expected a string at line 1 column 12",
            "`content`: invalid type: boolean `true`, expected a string",
            "`run`: invalid type: string \"ls -l, expected /\", expected a sequence",
            "`after`: invalid type: string \"value/b\", expected a sequence",
            "`protect`: invalid type: string \"Yes\", expected a boolean",
            "`timeout_ms`: invalid type: string \"5s\", expected u64",
            "`timeout_ms`: invalid type: string \"5\", expected u64",
            "`timeout_ms`: invalid value: integer `-5`, expected u64",
            "`env`: invalid type: sequence, expected a map",
            "host `here`: invalid type: string \"local\", expected struct HostSpec",
            "`protect`: invalid type: string \"off\", expected a boolean",
            "`protect`: invalid type: string \"maybe\", expected a boolean",
            "`count`: invalid value: integer `0`, expected a nonzero u32",
            "`pair`: invalid type: map, expected a tuple of size 2",
            "`pair`: invalid type: map, expected tuple struct Pair",
            "`run`: invalid type: string \" \", expected a sequence",
            "`run`: invalid type: string \"123456789 123456789 123456789 123456789 123456789 123456789 \", expected a sequence",
            "`run`: invalid type: string \"123456789 123456789 123456789 123456789 123456789 123456789 1\", expected a sequence",
            "control character (\\u0000-\\u001F) found while parsing a string at line 2 column 0",
            "invalid length 0, expected struct Document with 4 elements",
            "invalid type: map, expected a resource: an object with `kind`",
            "host `here`: missing field `connect`",
            "unknown field `resource`, expected one of `version`, `resources`",
            "`stop`: unknown field `timeout_ms`, expected `signal` or `grace_ms`",
            "unknown field `x`, there are no fields",
            "unknown variant `yeild`, expected one of `own`, `yield`",
            "duplicate field `version`",
            "expected `,` or `}` at line 3 column 1",
        ]
        .map(in_words)
        .into();
        expect![[r#"
            must be text, not the number 644: write "644", with quotes
            `mode` must be text, not the number 644: write "644", with quotes
            `content` must be text, not true: write it with quotes
            `run` must be a list, not the text "ls -l, expected /": write ["ls", "-l,", "expected", "/"]
            `after` must be a list, not the text "value/b": write ["value/b"]
            `protect` must be true or false, not the text "Yes": write true, without quotes
            `timeout_ms` must be a whole number, 0 or more, not the text "5s"
            `timeout_ms` must be a whole number, 0 or more, not the text "5": write 5, without quotes
            `timeout_ms` must be a whole number, 0 or more, not the number -5
            `env` must be an object, not a list
            host `here` must be an object, not the text "local"
            `protect` must be true or false, not the text "off": write false, without quotes
            `protect` must be true or false, not the text "maybe"
            `count` must be a whole number, 1 or more, not the number 0
            `pair` must be a list, not an object
            `pair` must be a list, not an object
            `run` must be a list, not the text " "
            `run` must be a list, not the text "123456789 123456789 123456789 123456789 123456789 123456789…": write ["123456789", "123456789", "123456789", "123456789", "123456789", "123456789"]
            `run` must be a list, not the text "123456789 123456789 123456789 123456789 123456789 123456789…"
            a text holds a line break or another control character: write `\n` for a line break
            must be an object, not a list
            must be a resource: an object with `kind`, not an object
            host `here`: `connect` is missing
            unknown field `resource`: did you mean `resources`?
            `stop`: unknown field `timeout_ms`: expected signal, grace_ms
            unknown field `x`: it takes none
            `yeild` is not known here: did you mean `yield`?
            `version` is given twice
            expected `,` or `}`"#]]
        .assert_eq(&said.join("\n"));
    }
}
