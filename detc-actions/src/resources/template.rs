//! Renders templates of files: Jinja syntax, strict about what is not defined.

use detc_core::action::ActionError;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use serde_json::{Map, Value};

/// Steps that a template may take: enough for a file of some hundred thousand lines, and an end for one that loops.
const STEPS_MAX: u64 = 10_000_000;

/// Renders `text`, called `name` in errors, with `vars`.
///
/// # Errors
/// What is wrong, with the template's name, the line, and the expression that is not defined.
pub(super) fn render(name: &str, text: &str, vars: &Map<String, Value>) -> Result<String, ActionError> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
    engine.set_syntax(syntax.expect("invariant: the default delimiters are distinct"));
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    engine.set_debug(true);
    engine.set_fuel(Some(STEPS_MAX));
    engine.render_named_str(name, text, Serde(vars)).map_err(|error| explain(name, text, &error))
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
    fn bad_syntax_and_endless_loops_are_errors() {
        let error = rendered("x\n{% if %}", json!({})).unwrap_err();
        assert!(error.starts_with("line 2 of the template app.conf.j2: "), "{error}");
        let text = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}";
        assert!(rendered(text, json!({})).is_err());
    }
}
