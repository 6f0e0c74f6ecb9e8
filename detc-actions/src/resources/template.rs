//! Renders templates of files: Jinja syntax, strict about what is not defined.

use detc_core::action::ActionError;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use serde_json::{Map, Value};

/// Steps that a template may take: enough for a file of some hundred thousand lines, and an end for one that loops.
const STEPS_MAX: u64 = 10_000_000;

/// Longest expression or statement. The engine goes through the parts of one by calling itself, so that a very long one would
/// overflow the stack; what is longer belongs into `vars`.
const TAG_LEN_MAX: usize = 2 << 10;

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
    while let Some(found) = text[at..].find("{{").into_iter().chain(text[at..].find("{%")).min() {
        let begin = at + found + 2;
        let len = tag_len(&text[begin..]);
        if len > TAG_LEN_MAX {
            let why = format!(
                "what stands between braces is longer than {TAG_LEN_MAX} bytes: give it under `vars`"
            );
            return Some((line_at(begin), why));
        }
        at = begin + len;
        let first = text[begin..at].trim_start_matches(['-', '+', ' ', '\t', '\n', '\r']);
        elifs += usize::from(first.starts_with("elif"));
        if elifs > ELIF_MAX {
            return Some((line_at(begin), format!("it has more than {ELIF_MAX} `elif`")));
        }
    }
    None
}

/// How long an expression or a statement is, up to what ends it, as the engine takes it: that is no text, and no end of an object in
/// it.
fn tag_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut quote) = (0, 0_usize, None);
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, b'}' | b'%') if depth == 0 && bytes.get(at + 1) == Some(&b'}') => return at,
            (None, b'(' | b'[' | b'{') => depth += 1,
            (None, b')' | b']' | b'}') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
        at += 1;
    }
    bytes.len()
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
    fn bad_syntax_and_endless_loops_are_errors() {
        let error = rendered("x\n{% if %}", json!({})).unwrap_err();
        assert!(error.starts_with("line 2 of the template app.conf.j2: "), "{error}");
        assert_eq!(parse("app.conf.j2", "x\n{% if %}").unwrap_err().to_string(), error);
        assert!(parse("app.conf.j2", "{{ not_defined }}").is_ok());
        let text = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}";
        assert!(rendered(text, json!({})).is_err());
    }
}
