//! `docs/zoo.md` lists what the zoos hold: each defect with the law that a test asserts to catch it, and none is missing.

use std::fs;
use std::path::Path;

/// A source with its white space made one.
fn source(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    fs::read_to_string(path).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `writes in two parts` as the name of a constant, and of a variant.
fn idents(words: &str) -> [String; 2] {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    [words.to_uppercase().replace(' ', "_"), words.split(' ').map(capital).collect()]
}

/// Where a zoo is, how it says that a defect breaks a law, with `IDENT` for the defect, and where what it says begins.
const ZOOS: [(&str, &str, &str, &str); 4] = [
    ("resource, action", "detc-core/src/testing/resource/tests.rs", "IDENT => \"", "broken! {"),
    ("host", "detc-core/src/testing/host/tests.rs", "caught(Defect::IDENT, \"", "fn a_write_in_parts"),
    ("store", "detc-core/tests/it/broken_stores.rs", "check(IDENT, \"", "use Fault::*;"),
    ("manager", "detc-core/src/testing/cluster/tests/managers.rs", "IDENT => ", "broken! {"),
];

#[test]
fn every_defect_of_the_zoos_is_listed_with_its_law_and_no_other() {
    let page = source("docs/zoo.md");
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/zoo.md")).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| suite"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert!(rows.len() >= 25, "{} are listed", rows.len());
    for (suite, place, pattern, begins) in ZOOS {
        let zoo = source(place);
        let asserted = &zoo[zoo.find(begins).unwrap()..];
        let listed: Vec<&Vec<&str>> = rows.iter().filter(|row| row[0] == suite).collect();
        for row in &listed {
            let is_caught = idents(row[1]).iter().any(|ident| {
                let pattern = pattern.replace("IDENT", ident);
                asserted.split(&pattern).skip(1).any(|law| match law.split_once('"') {
                    // The manager's laws have names there.
                    _ if suite == "manager" => zoo.contains(&format!("\"{}\"", row[2])),
                    Some((law, _)) => row[2].starts_with(law),
                    None => false,
                })
            });
            assert!(is_caught, "{row:?} is not what {place} asserts");
        }
        let (before, after) = pattern.split_once("IDENT").unwrap();
        let is_one = |rest: &str| {
            rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').starts_with(after)
        };
        let count = match suite {
            "resource, action" => asserted.matches(" => \"").count(),
            "manager" => asserted.matches(" => ONCE,").count() + asserted.matches(" => AGAIN,").count(),
            _ => asserted.split(before).skip(1).filter(|rest| is_one(rest)).count(),
        };
        assert_eq!(listed.len(), count, "{suite}: {place} asserts {count}");
    }
    assert!(page.contains("forgets to sync") && page.contains("trusts a stale view"));
    assert!(page.contains("deletes a recreated name") && page.contains("retries an unknown outcome"));
}
