//! What is sealed is seen nowhere, and comes back where it is needed.

use serde_json::json;

use super::*;

fn key(byte: u8) -> MarkKey {
    MarkKey::new([byte; 32])
}

#[test]
fn a_sealed_value_is_gone_and_comes_back_from_the_vault_only() {
    let plain = json!({"user": "web", "password": "correct horse"});
    let mut sealed = plain.clone();
    let mut vault = Vault::new();
    vault.seal(&mut sealed, &["password".parse().unwrap(), "token".parse().unwrap()], &key(1));
    assert!(!sealed.to_string().contains("horse"));
    let mut opened = sealed.clone();
    vault.open(&mut opened).unwrap();
    assert_eq!(opened, plain);
    assert_eq!(Vault::new().open(&mut sealed), Err(LostSecret));
}

#[test]
fn the_same_value_has_the_same_mark_under_one_key_and_another_under_another() {
    let seal = |value: &str, byte| {
        let mut value = json!({"p": value});
        Vault::new().seal(&mut value, &["p".parse().unwrap()], &key(byte));
        value
    };
    assert_eq!(seal("a", 1), seal("a", 1));
    assert_ne!(seal("a", 1), seal("a", 2));
    assert_ne!(seal("a", 1), seal("b", 1));
}

#[test]
fn secrets_are_scrubbed_from_messages() {
    let mut vault = Vault::new();
    vault.seal(&mut json!({"p": {"q": ["hunter22"]}}), &["p".parse().unwrap()], &key(1));
    assert_eq!(vault.scrub("login with hunter22 failed"), "login with (sensitive) failed");
    assert_eq!(format!("{vault:?}"), "Vault(1 values)");
}

#[test]
fn a_line_of_a_secret_is_scrubbed_and_the_longest_secret_first() {
    let mut vault = Vault::new();
    let mut value =
        json!({"conf": "user=web\n  key=hunter22\n", "short": "hunter", "long": "hunter22-and-more"});
    let paths = ["conf", "short", "long"].map(|path| path.parse().unwrap());
    vault.seal(&mut value, &paths, &key(1));
    assert_eq!(vault.scrub("> key=hunter22\n"), "> (sensitive)\n");
    assert_eq!(vault.scrub("hunter22-and-more"), "(sensitive)");
}

#[test]
fn what_a_cut_has_left_of_a_secret_is_scrubbed() {
    let mut vault = Vault::new();
    let long = "0123456789abcdefgß".repeat(9);
    vault.seal(
        &mut json!({"p": long, "q": "first-line\nsecond"}),
        &["p", "q"].map(|p| p.parse().unwrap()),
        &key(1),
    );
    let scrubs = |text: &str, scrubbed: &str| assert_eq!(vault.scrub(text), scrubbed);
    scrubs(&format!("said:\n…{} no", &long[100..]), "said:\n…(sensitive) no");
    scrubs(&format!("said: {}…", &long[..100]), "said: (sensitive)…");
    scrubs(&format!("…{}…", &long[7..]), "…(sensitive)…");
    scrubs("…-line\nsecond", "…(sensitive)");
    scrubs("it is cut after sec… here", "it is cut after sec… here");
    scrubs("no -line is cut", "no -line is cut");
}

#[test]
fn a_part_of_a_secret_is_a_secret() {
    let mut vault = Vault::new();
    let mut value = json!({"login": {"user": "web", "words": ["correct", "horse"]}, "port": 80});
    vault.seal(&mut value, &["login".parse().unwrap()], &key(1));
    let mut part = |path: &str| vault.part(&value, &path.parse().unwrap(), &key(1));
    assert_eq!(part("port"), Some(json!(80)));
    assert_eq!(part("login.none"), None);
    let mut word = part("login.words.1").unwrap();
    assert!(mark_of(&word).is_some());
    vault.open(&mut word).unwrap();
    assert_eq!(word, "horse");
    assert_eq!(Vault::new().part(&value, &"login.user".parse().unwrap(), &key(1)), None);
    let lies = |path: &str| lies_in_mark(&value, &path.parse().unwrap());
    assert_eq!(["login.user", "login", "port", "none.user"].map(lies), [true, false, false, false]);
}

#[test]
fn a_text_that_holds_a_secret_is_marked() {
    let mut vault = Vault::new();
    vault.seal(&mut json!({"p": "hunter22", "q": "root"}), &["p", "q"].map(|p| p.parse().unwrap()), &key(1));
    let mut output = json!({"stdout": "the key is hunter22.", "path": "/root", "code": 0});
    vault.seal_tainted(&mut output, &key(1));
    assert!(mark_of(&output["stdout"]).is_some());
    assert_eq!((&output["path"], &output["code"]), (&json!("/root"), &json!(0)));
}

#[test]
fn a_secret_is_found_as_json_says_it_too() {
    let mut vault = Vault::new();
    vault.seal(
        &mut json!({"pin": 1234567890123_u64, "quoted": "pa\"ss\\word-42", "few": 42}),
        &["pin", "quoted", "few"].map(|p| p.parse().unwrap()),
        &key(1),
    );
    let scrubs = |text: &str, scrubbed: &str| assert_eq!(vault.scrub(text), scrubbed);
    scrubs("the pin 1234567890123 is wrong", "the pin (sensitive) is wrong");
    scrubs(
        r#"no {"pin":1234567890123,"quoted":"pa\"ss\\word-42"}"#,
        r#"no {"pin":(sensitive),"quoted":"(sensitive)"}"#,
    );
    scrubs(r#"42 of it is cut: pa\"ss\\w…"#, "42 of it is cut: (sensitive)…");
}

#[test]
fn a_number_that_is_a_secret_is_marked_wherever_it_is_printed() {
    let mut vault = Vault::new();
    let mut given = json!({"pin": 4711, "long": 1234567890123_u64, "text": "98765432", "few": 42});
    vault.seal(&mut given, &["pin", "long", "text", "few"].map(|p| p.parse().unwrap()), &key(1));
    let mut output = json!({
        "pin": 4711, "many": [1234567890123_u64, -1234567890123_i64], "read": 98765432, "few": 42, "other": 47112,
    });
    vault.seal_tainted(&mut output, &key(1));
    assert_eq!(output["pin"], given["pin"], "a number has the mark that it has where it comes from");
    for sealed in [&output["many"][0], &output["many"][1], &output["read"]] {
        assert!(mark_of(sealed).is_some(), "{output}");
    }
    assert_eq!((&output["few"], &output["other"]), (&json!(42), &json!(47112)));
}

#[test]
fn an_output_whose_field_is_named_by_a_secret_is_marked_as_a_whole() {
    let mut vault = Vault::new();
    vault.seal(&mut json!({"p": "hunter22"}), &["p".parse().unwrap()], &key(1));
    let mut output = json!({"result": {"hunter22": true}, "code": 0});
    vault.seal_tainted(&mut output, &key(1));
    assert!(mark_of(&output["result"]).is_some(), "{output}");
    assert_eq!(output["code"], 0);
}

#[test]
fn what_is_sensitive_in_a_pattern_is_marked_where_it_is_found_again() {
    let mut vault = Vault::new();
    let mut pattern = json!({"content": "secret", "list": ["a", "b"], "path": "/a"});
    let paths = ["content", "list.1"].map(|path| path.parse().unwrap());
    vault.seal(&mut pattern, &paths, &key(1));
    let mut seen = json!({"content": "other", "list": ["x", "y", "z"], "path": "/b"});
    vault.seal_like(&mut seen, &pattern, &key(1));
    assert!(mark_of(&seen["content"]).is_some() && mark_of(&seen["list"][1]).is_some());
    assert_eq!((&seen["path"], &seen["list"][0]), (&json!("/b"), &json!("x")));
}

#[test]
fn a_key_is_stored_as_its_bytes_and_printed_without_them() {
    let key = key(7);
    assert_eq!(key.as_bytes(), &[7; 32]);
    assert_eq!(format!("{key:?}"), "MarkKey(…)");
}

#[test]
fn a_vault_is_empty_until_something_is_kept() {
    let mut vault = Vault::new();
    assert!(vault.is_empty());
    vault.seal(&mut json!({"p": "secret"}), &["p".parse().unwrap()], &key(1));
    assert!(!vault.is_empty());
}

#[test]
fn what_is_desired_beside_a_reference_is_sealed_piece_by_piece_and_united_when_all_is_known() {
    let reference = json!({"from": "value/a", "output": "input"});
    let path = ["p".parse().unwrap()];
    let seal = |vault: &mut Vault, desired: &serde_json::Value| {
        let mut sealed = json!({"p": desired});
        vault.seal_desired(&mut sealed, &path, &key(1));
        sealed["p"].take()
    };
    let is_mark = |value: &serde_json::Value| mark_of(value).is_some();
    let mut vault = Vault::new();
    assert_eq!(seal(&mut vault, &reference), reference, "it says where something comes from");
    let list = seal(&mut vault, &json!(["one", reference, {"deep": ["two", reference]}]));
    assert!(is_mark(&list[0]) && is_mark(&list[2]["deep"][0]), "{list}");
    assert_eq!((&list[1], &list[2]["deep"][1]), (&reference, &reference));
    let object = seal(&mut vault, &json!({"a": "one", "b": reference, "c": {"d": 1}}));
    assert!(is_mark(&object["a"]) && is_mark(&object["c"]), "{object}");
    assert_eq!(object["b"], reference);
    for whole in [json!(["one", "two"]), json!({"a": "one"}), json!("one")] {
        assert!(is_mark(&seal(&mut vault, &whole)), "{whole}");
    }
    // Known by now, it has the same mark as if it had been written as a whole.
    let mut known = json!({"p": ["one", "two"]});
    known["p"][0] = list[0].clone();
    vault.seal(&mut known, &path, &key(1));
    assert_eq!(known["p"], seal(&mut vault, &json!(["one", "two"])));
    // Where a piece is lost, the others are not put together with it.
    let mut lost = json!({"p": [list[0], "two"]});
    Vault::new().seal(&mut lost, &path, &key(1));
    assert_ne!(lost["p"], known["p"]);
}
