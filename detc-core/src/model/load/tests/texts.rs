//! What is wrong with a text, in the words of whoever wrote it.

use super::*;

/// What is said of each of these texts.
fn said<'a>(texts: impl IntoIterator<Item = &'a str>, format: Format) -> String {
    let said = |text| read(text, format).map_or_else(|error| error.to_string(), |_| "nothing".to_owned());
    texts.into_iter().map(said).collect::<Vec<_>>().join("\n")
}

/// A value with this input, in YAML.
fn value(input: &str) -> String {
    format!("version: 1\nresources:\n- kind: value\n  name: a\n  input: {input}\n")
}

#[test]
#[cfg(feature = "yaml")]
fn what_the_reader_of_yaml_tells_programmers_is_said_in_words() {
    let deep = value(&format!("{}{}", "[".repeat(70), "]".repeat(70)));
    let binary = value("!!binary aGVsbG8h/w==");
    let (unknown, itself) = (value("*none"), value("&a [*a]"));
    let (infinite, none) = (value("[1, .inf]"), value(".nan"));
    let key = value("{ null: 1 }");
    let texts = [
        "version: 1\nversion: 1\n",
        "version: 1\nresources: 7\n",
        "[1, 2]",
        "7",
        "version: 1\n---\nversion: 1\n",
        "version: x\n",
        "version: 1\nresources:\n- kind: value\n  name: a\n  protect: yes\n  input: 1\n",
        "version: 1\nresources:\n- kind: value\n  name: a\n  ? [b]\n  : 1\n",
        &deep,
        &binary,
        &unknown,
        &itself,
        &infinite,
        &none,
        &key,
        "version: 1\nresources:\n  - a: b: c\n",
    ];
    expect![[r#"
        fleet:2: `version` is given twice
        fleet:2: `resources` must be a list
        fleet:1: must be an object with the field `version`
        fleet:1: must be an object with the field `version`
        fleet:3: holds several YAML documents: write each in a file of its own
        fleet:1: `version` must be a whole number, 0 or more, not the text "x"
        fleet:3: value/a: `protect` must be true or false, not the text "yes": write true, without quotes
        fleet:5: a field's name is expected to be text
        fleet:5: is nested too deeply: more than 64 levels
        fleet:5: the tag `tag:yaml.org,2002:binary` is not known here (nothing is done with tags: write the value itself, or in quotes where it is text)
        fleet:5: an alias (`*name`) names what no anchor (`&name`) has named before
        fleet:5: an alias stands for what it is itself a part of
        fleet:5: .inf is no number that can be kept
        fleet:5: .nan is no number that can be kept
        fleet:5: a field's name is null: write it as text
        fleet:3: mapping values are not allowed in this context"#]].assert_eq(&said(texts, Format::Yaml));
}

#[test]
#[cfg(feature = "yaml")]
fn a_text_of_many_aliases_is_not_read() {
    let rows =
        (1..12).map(|at| format!("x{at}: &x{at} [{}]\n", vec![format!("*x{}", at - 1); 10].join(", ")));
    let bomb = format!("version: 1\nx0: &x0 [1]\n{}", rows.collect::<String>());
    expect!["fleet:8: is larger than what is read as YAML, with what its aliases stand for: write it in several files, or as JSON"].assert_eq(&said([bomb.as_str()], Format::Yaml));
}

#[test]
#[cfg(feature = "toml")]
fn toml_is_told_by_its_lines() {
    let input = |input: &str| {
        format!("version = 1\n\n[[resources]]\nkind = \"value\"\nname = \"a\"\ninput = {input}\n")
    };
    let texts =
        ["nan", "[1.5, [2.0, inf]]", "{ a = 1, b = { c = -inf } }", "[1.5, { a = 2 }]", "2026-01-08", "{"];
    let texts = texts.map(input);
    expect![[r#"
        fleet:3: `input`: NaN is no number that can be kept
        fleet:3: `input.1.1`: inf is no number that can be kept
        fleet:3: `input.b.c`: -inf is no number that can be kept
        nothing
        fleet:3: a date or time stands without quotes (put it in quotes: values are text, numbers, booleans, lists and tables)
        fleet:6: unclosed inline table, expected `}`"#]].assert_eq(&said(texts.iter().map(String::as_str), Format::Toml));
    expect![[r#"
        fleet:2: duplicate key
        fleet:2: `name` must be text, not the number 1: write "1", with quotes"#]]
    .assert_eq(&said(
        ["version = 1\nversion = 1\n", "version = 1\n[[resources]]\n\nname = 1\n"],
        Format::Toml,
    ));
}

#[test]
fn a_document_is_told_by_the_part_that_is_wrong_and_its_line() {
    let texts = [
        "{\"version\":1,\n\"hosts\":[]}",
        "{\"version\":1,\n\"hosts\":{\"h\":\n{\"conect\":\"local\"}}}",
        "{\"version\":1,\n\"hosts\":{\"h\":7}}",
        "{\"version\":1,\n\"resources\":{}}",
        "{\"version\":1,\n\"invariants\":7}",
        "{\"version\":\n\"x\"}",
        "\n\n[1]",
        "7",
        "{\"version\":1,\n\"resources\":[7]}",
    ];
    expect![[r#"
        fleet:2: `hosts`: must be an object of hosts by their names
        fleet:3: host `h`: `connect` is missing: did you mean it by `conect`?
        fleet:2: host `h` must be an object, not the number 7
        fleet:2: `resources` must be a list, not an object
        fleet:2: `invariants` must be a list, not the number 7
        fleet:2: `version` must be a whole number, 0 or more, not the text "x"
        fleet:3: a desired state must be an object, not a list (write `{ "version": 1, "resources": [ … ] }`)
        fleet:1: a desired state must be an object, not the number 7
        fleet:2: must be a resource: an object with `kind`, `name` and the fields of its kind, not the number 7"#]].assert_eq(&said(texts, Format::Json));
}

#[test]
#[cfg(feature = "yaml")]
fn the_line_of_a_name_is_where_it_stands_by_itself() {
    let texts = [
        "# version\nversions: 1\n\"version\": 2\n",
        "reversion: 1\nx: my version\nversion: 2\n",
        "version:\n- 2\n",
        "{version: 2}",
        "x: 1\n{a: 1, 'version': 2}",
        "version: 1\nhosts:\n  here: { connect: memory }\n  there: { connect: local }\n",
    ];
    expect![[r#"
        fleet:2: unknown field `versions`: did you mean `version`?
        fleet:1: unknown field `reversion`: did you mean `version`?
        fleet:1: `version` must be a whole number, 0 or more, not a list
        fleet:1: `version` is 2: this program reads version 1
        fleet:2: simple key expected ':'
        fleet:3: host here: no connector for `memory`: this program has none (a program has those that it gives its registry: `Registry::with_connector`)
        fleet:4: host there: no connector for `local`: this program has none (a program has those that it gives its registry: `Registry::with_connector`)"#]].assert_eq(&said(texts, Format::Yaml));
}

#[test]
#[cfg(feature = "yaml")]
fn a_long_number_that_is_no_value_is_none_of_yaml_either() {
    for input in ["1", "1.5", "a 18446744073709551616 b"] {
        let text = format!("# 18446744073709551616\n{}", value(input));
        assert_eq!(said([text.as_str()], Format::Yaml), "nothing");
    }
}

#[test]
fn what_is_sensitive_in_a_resource_that_can_not_be_read_is_not_told() {
    let text = r#"{"version":1,"resources":[{"kind":"value","name":"a","input":"s3cret",
        "protect":"s3cret","sensitive":["input"]}]}"#;
    expect![[r#"fleet:2: value/a: `protect` must be true or false, not the text "(sensitive)""#]]
        .assert_eq(&said([text], Format::Json));
}

#[test]
fn numbers_are_looked_at_outside_of_texts_only() {
    let of = |input: &str| {
        let text = format!(
            "{{\"version\":1,\"resources\":[{{\"kind\":\"value\",\"name\":\"a\",\"input\":{input}}}]}}"
        );
        match read(&text, Format::Json) {
            Ok(desired) => desired.resources[0].spec.text().to_owned(),
            Err(error) => error.to_string(),
        }
    };
    // The largest and the smallest that are kept, and those beside them.
    let inputs = [
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775808",
        "-9223372036854775809",
        "999999999999999999",
        "1000000000000000000",
        "9e18",
        "[9e18, \"18446744073709551616\"]",
        "[1e19, \"a \\\" 18446744073709551616\", 2]",
        "[1e19, \"\\\\\", 18446744073709551616]",
        "{\"99999999999999999999\": 1e19}",
        "[1, 99999999999999999999]",
        "[-5e18, 1.5]",
        "1234567890123456789",
        "0",
        "-0.5",
        "true",
        "\"a\\u0062\"",
        "[18446744073709551616, \"x\"]",
        "[1e19, \"é\", 2]",
    ];
    expect![[r#"
        {"input":18446744073709551615}
        fleet:1: value/a: `input`: the number 18446744073709551616 takes more than 64 bits: write it as text
        {"input":-9223372036854775808}
        fleet:1: value/a: `input`: the number -9223372036854775809 takes more than 64 bits: write it as text
        {"input":999999999999999999}
        {"input":1000000000000000000}
        {"input":9e+18}
        {"input":[9e+18,"18446744073709551616"]}
        {"input":[1e+19,"a \" 18446744073709551616",2]}
        fleet:1: value/a: `input`: the number 18446744073709551616 takes more than 64 bits: write it as text
        {"input":{"99999999999999999999":1e+19}}
        fleet:1: value/a: `input`: the number 99999999999999999999 takes more than 64 bits: write it as text
        {"input":[-5e+18,1.5]}
        {"input":1234567890123456789}
        {"input":0}
        {"input":-0.5}
        {"input":true}
        {"input":"ab"}
        fleet:1: value/a: `input`: the number 18446744073709551616 takes more than 64 bits: write it as text
        {"input":[1e+19,"é",2]}"#]]
    .assert_eq(&inputs.map(of).join("\n"));
}
