//! Renders templates of files: Jinja syntax, strict about what is not defined.

use detc_core::action::ActionError;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use serde_json::{Map, Value};

/// Steps that a template may take: enough for a file of some hundred thousand lines, and an end for one that loops.
const STEPS_MAX: u64 = 10_000_000;

/// Longest expression or statement, as [`Tag`] measures it. The engine goes through the parts of one by calling itself, so that a very
/// long one would overflow the stack; what is longer belongs into `vars`.
const TAG_LEN_MAX: usize = 2 << 10;

/// Longest operator that is a word and makes the engine call itself: `and`, `not`. A longer name is as good as one of that length.
const WORD_LEN_MAX: usize = 3;

/// Most `elif`, for the same reason.
const ELIF_MAX: usize = 256;

/// Renders `text`, called `name` in errors, with `vars`.
///
/// # Errors
/// What is wrong, with the template's name, the line, and the expression that is not defined.
pub(super) fn render(name: &str, text: &str, vars: &Map<String, Value>) -> Result<String, ActionError> {
    check_size(name, text)?;
    engine().render_named_str(name, text, Serde(vars)).map_err(|error| explain(name, text, &error))
}

/// Parses `text`, called `name` in errors.
///
/// # Errors
/// What is wrong with its syntax, with the template's name and the line.
pub(super) fn parse(name: &str, text: &str) -> Result<(), ActionError> {
    check_size(name, text)?;
    engine().template_from_named_str(name, text).map(drop).map_err(|error| explain(name, text, &error))
}

/// That the engine can take it.
fn check_size(name: &str, text: &str) -> Result<(), ActionError> {
    match too_much(text) {
        Some((line, why)) => {
            Err(ActionError::permanent(format!("line {line} of the template {name}: {why}")))
        }
        None => Ok(()),
    }
}

fn engine() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
    engine.set_syntax(syntax.expect("invariant: the default delimiters are distinct"));
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    engine.set_debug(true);
    engine.set_fuel(Some(STEPS_MAX));
    engine
}

/// What is more in a template than the engine can take, and in which line.
fn too_much(text: &str) -> Option<(usize, String)> {
    let line_at = |at: usize| 1 + text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
    let (mut at, mut elifs) = (0, 0);
    while let Some(found) = text[at..].find('{') {
        let begin = at + found + 2;
        let raw = text.get(begin..).and_then(|rest| bare_tag_len(rest, "raw"));
        at = match (text.as_bytes().get(begin - 1), raw) {
            (Some(b'#'), _) => begin + text[begin..].find("#}")? + 2,
            (Some(b'%'), Some(len)) => end_of_raw(text, begin + len)?,
            (Some(b'{' | b'%'), _) => {
                let tag = Tag::of(&text[begin..]);
                if tag.measure > TAG_LEN_MAX {
                    let why = "what stands between braces is too long for the template engine: give it under `vars`";
                    return Some((line_at(begin), why.to_owned()));
                }
                let end = begin + tag.len;
                let first = text[begin..end].trim_start_matches(['-', '+', ' ', '\t', '\n', '\r']);
                elifs += usize::from(first.starts_with("elif"));
                if elifs > ELIF_MAX {
                    return Some((line_at(begin), format!("it has more than {ELIF_MAX} `elif`")));
                }
                end
            }
            _ => begin - 1,
        };
    }
    None
}

/// Where what is raw, and begins at `at`, ends; `None` where it does not, and nothing of it is taken.
fn end_of_raw(text: &str, mut at: usize) -> Option<usize> {
    loop {
        at += text[at..].find("{%")? + 2;
        if let Some(len) = bare_tag_len(&text[at..], "endraw") {
            return Some(at + len);
        }
    }
}

/// How long a statement is, up to and with its end, that is nothing but this word.
fn bare_tag_len(text: &str, word: &str) -> Option<usize> {
    let is_space = |c: char| c.is_ascii_whitespace();
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text).trim_start_matches(is_space);
    let rest = rest.strip_prefix(word)?.trim_start_matches(is_space);
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest).strip_prefix("%}")?;
    Some(text.len() - rest.len())
}

/// An expression or a statement.
struct Tag {
    /// How long it is, up to what ends it, as the engine takes it: that is no text, and no end of an object in it.
    len: usize,
    /// How long it would be with empty texts, names of no more than [`WORD_LEN_MAX`], single spaces, and of each list only the
    /// longest item: the engine calls itself for none of what that leaves out.
    measure: usize,
}

impl Tag {
    /// The one that `text` begins with.
    fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let (mut at, mut quote, mut word_len) = (0, None, 0);
        // The measure up to here, and where it was before the brackets that are open, each with that of the longest item so far.
        let (mut measure, mut open, mut longest) = (0, Vec::new(), 0_usize);
        while at < bytes.len() {
            let byte = bytes[at];
            if quote.is_some() {
                match byte {
                    b'\\' => at += 1,
                    _ if quote == Some(byte) => quote = None,
                    _ => {}
                }
                at += 1;
                continue;
            }
            if open.is_empty() && matches!(byte, b'}' | b'%') && bytes.get(at + 1) == Some(&b'}') {
                break;
            }
            let is_word = byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii();
            word_len = if is_word { word_len + 1 } else { 0 };
            let is_spaced = byte.is_ascii_whitespace() && at > 0 && bytes[at - 1].is_ascii_whitespace();
            measure += usize::from(word_len <= WORD_LEN_MAX && !is_spaced);
            match byte {
                b'"' | b'\'' => quote = Some(byte),
                b'(' | b'[' | b'{' => {
                    open.push((measure, longest));
                    longest = 0;
                }
                b')' | b']' | b'}' => {
                    measure = measure.max(longest);
                    longest = open.pop().map_or(measure, |(_, longest)| longest);
                }
                b',' => {
                    longest = longest.max(measure);
                    measure = open.last().map_or(0, |(begin, _)| *begin);
                }
                _ => {}
            }
            at += 1;
        }
        let unclosed = open.iter().map(|(_, longest)| *longest).max().unwrap_or_default();
        Self { len: at.min(bytes.len()), measure: measure.max(longest).max(unclosed) }
    }
}

fn explain(name: &str, text: &str, error: &minijinja::Error) -> ActionError {
    let place = match error.line() {
        Some(line) => format!("line {line} of the template {name}"),
        None => format!("the template {name}"),
    };
    let expression = error.range().and_then(|range| text.get(range)).filter(|text| !text.is_empty());
    match (error.kind(), expression) {
        (ErrorKind::UndefinedError, Some(expression)) => {
            ActionError::permanent(format!("{place}: `{expression}` is not defined"))
                .with_hint("give it under `vars`, or say what stands for it: `{{ … | default(…) }}`")
        }
        (kind, _) => {
            let detail = error.detail().map_or_else(|| kind.to_string(), str::to_owned);
            ActionError::permanent(format!("{place}: {detail}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rendered(text: &str, vars: Value) -> Result<String, String> {
        let Value::Object(vars) = vars else { panic!("variables are an object") };
        render("app.conf.j2", text, &vars).map_err(|error| error.to_string())
    }

    #[test]
    fn values_loops_and_the_last_newline_come_out_as_they_are() {
        let text = "port={{ port }}\n{% for peer in peers %}peer {{ peer.name }} <&>\n{% endfor %}";
        let vars = json!({"port": 80, "peers": [{"name": "a"}, {"name": "b"}]});
        assert_eq!(rendered(text, vars).unwrap(), "port=80\npeer a <&>\npeer b <&>\n");
    }

    #[test]
    fn what_is_not_defined_is_named_with_its_line() {
        assert_eq!(
            rendered("a\nb {{ prot }}\n", json!({"port": 80})),
            Err("line 2 of the template app.conf.j2: `prot` is not defined".to_owned())
        );
        assert_eq!(rendered("{{ prot | default('x') }}", json!({})).unwrap(), "x");
    }

    #[test]
    fn what_would_overflow_the_stack_of_the_engine_is_an_error() {
        let sum = |parts: usize| format!("a\n{{{{ 1{} }}}}", "+1".repeat(parts));
        assert_eq!(rendered(&sum(1000), json!({})).unwrap(), "a\n1001");
        let hidden = format!("a\n{{{{ {{'}}}}': '%}}'}} ~ 1{} }}}}", "+1".repeat(100_000));
        for text in [sum(100_000), hidden] {
            let error = rendered(&text, json!({})).unwrap_err();
            assert!(error.starts_with("line 2 of the template app.conf.j2: what stands between"), "{error}");
        }
        let chain =
            |len: usize| format!("{{% if x == 0 %}}{}a{{% endif %}}", "{% elif x == 1 %}b".repeat(len));
        assert_eq!(rendered(&chain(250), json!({"x": 1})).unwrap(), "b");
        let error = rendered(&chain(100_000), json!({"x": 1})).unwrap_err();
        assert!(error.ends_with("it has more than 256 `elif`"), "{error}");
        // What is no tag is as long as it likes.
        let plain = format!("{{% raw %}}}}}}{}{{% endraw %}}", "{ a }".repeat(10_000));
        assert!(rendered(&plain, json!({})).is_ok());
    }

    #[test]
    fn what_is_long_and_needs_no_stack_is_rendered() {
        let long = "it's plain\n".repeat(1_000);
        for (text, wanted) in [
            (format!("{{# `{{{{` is what {long} #}}a"), "a".to_owned()),
            (
                format!("{{%- raw -%}}{{{{ {long}{{%- endraw +%}}{{{{ 1 }}}}"),
                format!("{{{{ {}1", long.trim_end()),
            ),
            (format!("{{{{ \"{long}\" }}}}"), long),
        ] {
            assert_eq!(rendered(&text, json!({})), Ok(wanted), "{}", &text[..30]);
        }
        let ports: Vec<String> = (10_000..10_600).map(|port| port.to_string()).collect();
        let of = |open: &str, close: &str| {
            format!("{{% set ports = {open}{}{close} %}}{{{{ ports | join(' ') }}}}", ports.join(",\n  "))
        };
        for text in [of("[", "]"), of("", ""), of("[0, 1] + [", "] + [2]")] {
            let wanted = ports.join(" ");
            assert!(rendered(&text, json!({})).unwrap().contains(&wanted), "{}", &text[..30]);
        }
        let names: Vec<String> = (0..140).map(|at| format!("some_long_name == 'another {at}'")).collect();
        let text = format!("{{% if {} %}}a{{% endif %}}", names.join(" or "));
        assert_eq!(rendered(&text, json!({"some_long_name": "another 139"})).unwrap(), "a");
    }

    #[test]
    fn what_stands_in_a_list_or_behind_a_comment_is_measured_too() {
        let sum = format!("1{}", "+1".repeat(100_000));
        for text in [
            format!("{{{{ [1, {sum}, 2] }}}}"),
            format!("{{{{ [1, 2]{} }}}}", " + [1, 2]".repeat(10_000)),
            format!("{{{{ x{} }}}}", "(1, 2)".repeat(10_000)),
            format!("{{# {{{{ ' #}}{{% raw %}}{{{{ ' {{% endraw %}}{{{{ {sum} }}}}"),
            format!("{{% raw_ %}}{{{{ {sum} }}}}"),
            format!("{{{{ {}1 }}}}", "not ".repeat(10_000)),
        ] {
            let error = rendered(&text, json!({})).unwrap_err();
            assert!(error.starts_with("line 1 of the template app.conf.j2: what stands between"), "{error}");
        }
    }

    #[test]
    fn the_longest_that_is_taken_does_not_overflow_the_stack() {
        let chains = [
            "+1",
            "-",
            "not ",
            ".long_name",
            "['long text']",
            "(1, 2, 3)",
            "|e",
            " is defined",
            " and long_name",
            " if long_name",
            " == 1",
            " ~ 'long text'",
        ];
        for part in chains {
            let of = |parts: usize| match part {
                "-" | "not " => format!("{{{{ {}1 }}}}", part.repeat(parts)),
                _ => format!("{{{{ [1, 1{}, 2] }}}}", part.repeat(parts)),
            };
            let is_taken = |parts: &usize| too_much(&of(*parts)).is_none();
            let sizes: Vec<usize> = (1..=TAG_LEN_MAX).collect();
            let most = sizes.partition_point(is_taken);
            assert!(most > 100, "{part}");
            // Whatever comes of it, it comes back.
            let _any = rendered(&of(most), json!({"long_name": 1}));
        }
    }

    #[test]
    fn bad_syntax_and_endless_loops_are_errors() {
        let error = rendered("x\n{% if %}", json!({})).unwrap_err();
        assert!(error.starts_with("line 2 of the template app.conf.j2: "), "{error}");
        assert_eq!(parse("app.conf.j2", "x\n{% if %}").unwrap_err().to_string(), error);
        assert!(parse("app.conf.j2", "{{ not_defined }}").is_ok());
        let text = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}";
        assert!(rendered(text, json!({})).is_err());
    }
}
