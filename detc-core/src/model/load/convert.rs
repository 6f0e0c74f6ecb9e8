//! YAML and TOML, turned into the JSON that says the same, with the line of each resource kept.

use super::Format;
#[cfg(feature = "yaml")]
use super::numbers;
use crate::model::InvalidState;
#[cfg(feature = "yaml")]
use crate::model::words::in_words;

/// A document as JSON.
pub(super) struct Converted {
    /// The JSON text.
    pub(super) json: String,
    /// The line of each resource in the original.
    pub(super) lines: Vec<u32>,
}

pub(super) fn to_json(text: &str, format: Format) -> Result<Converted, InvalidState> {
    match format {
        Format::Yaml => yaml(text),
        Format::Toml => toml(text),
        Format::Json => Err(InvalidState::new("is JSON already")),
    }
}

/// The document's top level: known to both formats, read again, strictly, as JSON.
#[cfg(any(feature = "yaml", feature = "toml"))]
#[derive(serde::Deserialize)]
#[serde(bound = "R: serde::Deserialize<'de>")]
struct Outline<R> {
    #[serde(default)]
    resources: Vec<R>,
    #[serde(flatten)]
    rest: std::collections::BTreeMap<String, crate::model::StrictValue>,
}

#[cfg(any(feature = "yaml", feature = "toml"))]
fn join(
    rest: std::collections::BTreeMap<String, crate::model::StrictValue>,
    resources: Vec<(crate::model::StrictValue, u32)>,
) -> Converted {
    let mut document: serde_json::Map<_, _> = rest.into_iter().map(|(key, value)| (key, value.0)).collect();
    let (resources, lines): (Vec<_>, Vec<_>) =
        resources.into_iter().map(|(value, line)| (value.0, line)).unzip();
    document.insert("resources".to_owned(), resources.into());
    let json = serde_json::to_string(&document).expect("invariant: a JSON value is JSON");
    Converted { json, lines }
}

#[cfg(feature = "yaml")]
fn yaml(text: &str) -> Result<Converted, InvalidState> {
    use serde_saphyr::Spanned;

    use crate::model::StrictValue;

    super::beyond::check(text)?;
    // As YAML 1.2 has it: `y`, `no` and `on` are texts.
    let options = serde_saphyr::options! { strict_booleans: true };
    let read = serde_saphyr::from_str_with_options(text, options);
    let outline: Outline<Spanned<StrictValue>> = read.map_err(|error: serde_saphyr::Error| {
        let line = error.location().map_or(0, |location| location.line() as u32);
        let message = error.to_string();
        let first = message.lines().next().unwrap_or_default();
        // The line is told once, by the place.
        let first = first.strip_prefix("error: ").unwrap_or(first);
        let first = match first.split_once(": ") {
            Some((place, what)) if place.starts_with("line ") => what.to_owned(),
            _ => first.to_owned(),
        };
        // Only this is asked to be a list at once; the rest is read again as JSON.
        let said = if first == "expected sequence start" {
            "`resources` must be a list".to_owned()
        } else {
            in_words(&yaml_in_words(&first))
        };
        InvalidState::new(said).at("", line)
    })?;
    for resource in &outline.resources {
        if let Some(number) = numbers::rounded(&resource.value.0, text) {
            let line = text.lines().position(|line| line.contains(number)).map_or(0, |at| at as u32 + 1);
            let message = format!("the number {number} takes more than 64 bits: write it as text");
            return Err(super::resource::hidden(&resource.value.0)
                .hide(InvalidState::new(message))
                .at("", line));
        }
    }
    let resources = outline.resources.into_iter().map(|it| (it.value, it.referenced.line() as u32)).collect();
    Ok(join(outline.rest, resources))
}

/// What the reader of YAML says, without what it tells programmers.
#[cfg(feature = "yaml")]
fn yaml_in_words(message: &str) -> String {
    if let Some(rest) = message.strip_prefix("duplicate mapping key") {
        let name = rest.strip_prefix(": ").and_then(|rest| rest.split_once(", set "));
        return name
            .map_or("a name is given twice".to_owned(), |(name, _)| format!("`{name}` is given twice"));
    }
    if let Some(limit) = message.strip_prefix("budget breached: ") {
        return match limit.split([' ', '(']).next() {
            Some("Depth") => "is nested too deeply: more than 64 levels",
            _ => "is larger than what is read as YAML, with what its aliases stand for: write it in several files, or as JSON",
        }
        .to_owned();
    }
    if let Some(number) = message.strip_prefix("non-finite float `").and_then(|rest| rest.split('`').next()) {
        return format!("{number} is no number that can be kept");
    }
    if message.starts_with("alias ") && message.contains("exceeded") {
        return "its aliases stand for more than what is read as YAML: write it in several files, or as JSON"
            .to_owned();
    }
    let plain = match message {
        "cannot deserialize null into string; use Option<String>" => {
            "a field's name is null: write it as text"
        }
        "expected string scalar" => "a field's name is expected to be text",
        "expected mapping start" => "must be an object with the field `version`",
        "alias references unknown anchor" => {
            "an alias (`*name`) names what no anchor (`&name`) has named before"
        }
        _ if message.starts_with("multiple YAML documents") => {
            "holds several YAML documents: write each in a file of its own"
        }
        _ if message.starts_with("recursive references") => "an alias stands for what it is itself a part of",
        _ => message,
    };
    plain.to_owned()
}

#[cfg(feature = "toml")]
fn toml(text: &str) -> Result<Converted, InvalidState> {
    use toml::Spanned;

    use crate::model::StrictValue;

    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let line_of = |offset: usize| 1 + ends.partition_point(|end| *end < offset) as u32;
    let outline: Outline<Spanned<toml::Value>> = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(0, |span| line_of(span.start));
        InvalidState::new(error.message().to_owned()).at("", line)
    })?;
    let resources = outline
        .resources
        .into_iter()
        .map(|it| {
            let line = line_of(it.span().start);
            if let Some((path, number)) = not_finite(it.get_ref()) {
                let message = format!("`{path}`: {number} is no number that can be kept");
                return Err(InvalidState::new(message).at("", line));
            }
            let value = serde_json::to_value(it.into_inner())
                .map_err(|error| InvalidState::new(error.to_string()).at("", line))?;
            if value.to_string().contains("$__toml_private_datetime") {
                let error = InvalidState::new("a date or time stands without quotes");
                return Err(error
                    .at("", line)
                    .with_hint("put it in quotes: values are text, numbers, booleans, lists and tables"));
            }
            Ok((StrictValue(value), line))
        })
        .collect::<Result<_, _>>()?;
    Ok(join(outline.rest, resources))
}

/// Where in a value a number is infinite or not a number, for which JSON has no words, and that number.
#[cfg(feature = "toml")]
fn not_finite(value: &toml::Value) -> Option<(crate::model::FieldPath, f64)> {
    fn find(value: &toml::Value, path: &mut Vec<String>) -> Option<f64> {
        let mut within = |name: String, value| {
            path.push(name);
            let found = find(value, path);
            if found.is_none() {
                path.pop();
            }
            found
        };
        match value {
            toml::Value::Float(number) => Some(*number).filter(|number| !number.is_finite()),
            toml::Value::Array(items) => {
                items.iter().enumerate().find_map(|(at, item)| within(at.to_string(), item))
            }
            toml::Value::Table(table) => table.iter().find_map(|(name, item)| within(name.clone(), item)),
            _ => None,
        }
    }
    let mut path = Vec::new();
    let number = find(value, &mut path)?;
    Some((crate::model::FieldPath::from_segments(path), number))
}

#[cfg(not(feature = "yaml"))]
fn yaml(_: &str) -> Result<Converted, InvalidState> {
    Err(InvalidState::new("is YAML, which this program was built without")
        .with_hint("turn on the feature `yaml`"))
}

#[cfg(not(feature = "toml"))]
fn toml(_: &str) -> Result<Converted, InvalidState> {
    Err(InvalidState::new("is TOML, which this program was built without")
        .with_hint("turn on the feature `toml`"))
}
