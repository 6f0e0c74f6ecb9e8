//! `docs/zoo.md` lists what the zoos hold: each defect with the law that a test asserts to catch it, and none is missing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A source with its white space made one.
fn source(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    fs::read_to_string(path).unwrap().split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(")
}

/// `writes in two parts` as the name of a constant, and of a variant.
fn idents(words: &str) -> [String; 2] {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    [words.to_uppercase().replace(' ', "_"), words.split(' ').map(capital).collect()]
}

/// The text of a constant.
fn named<'z>(zoo: &'z str, name: &str) -> &'z str {
    let of_constant = zoo.split_once(&format!("const {name}: &str = \"")).unwrap().1;
    of_constant.split('"').next().unwrap()
}

/// Where a zoo is, how it says that a defect breaks a law, with `IDENT` for the defect, and where what it says begins.
const ZOOS: [(&str, &str, &str, &str); 9] = [
    ("resource, action", "detc-core/src/testing/resource/tests.rs", "IDENT => \"", "broken! {"),
    ("host", "detc-core/src/testing/host/tests.rs", "caught(Defect::IDENT, \"", "fn a_write_in_parts"),
    (
        "containers",
        "detc-core/src/testing/containers/tests.rs",
        "caught(Defect::IDENT, \"",
        "fn defects_of_names",
    ),
    (
        "connector",
        "detc-core/src/testing/connector/tests.rs",
        "caught(Defect::IDENT, \"",
        "fn each_defect_of_a_connector",
    ),
    (
        "reader",
        "detc-core/src/testing/reader/tests.rs",
        "caught(Defect::IDENT, \"",
        "fn each_defect_of_a_reader",
    ),
    ("store", "detc-core/tests/it/broken_stores.rs", "check(IDENT, \"", "use Fault::*;"),
    ("manager", "detc-core/src/testing/cluster/tests/managers.rs", "IDENT => ", "broken! {"),
    ("manager, of servers", "detc-core/src/testing/cluster/tests/kept.rs", "IDENT => ", "broken! {"),
    ("manager, without faults", "detc-core/src/testing/cluster/tests/idle.rs", "IDENT => ", "broken! {"),
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
                asserted.split(&pattern).skip(1).any(|law| match suite {
                    // The manager's laws have names there.
                    of if of.starts_with("manager") => {
                        law.split_once(',').is_some_and(|(law, _)| named(&zoo, law) == row[2])
                    }
                    _ => law.split_once('"').is_some_and(|(law, _)| row[2].starts_with(law)),
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
            "manager, of servers" => asserted.matches(" => KEPT,").count(),
            "manager, without faults" => asserted.matches(" => LEFT,").count(),
            _ => asserted.split(before).skip(1).filter(|rest| is_one(rest)).count(),
        };
        assert_eq!(listed.len(), count, "{suite}: {place} asserts {count}");
    }
    // Kinds with a defect, which a whole manager is tried with.
    let of_kinds: Vec<&str> =
        rows.iter().filter(|row| row[0].starts_with("manager, of its kinds")).map(|row| row[1]).collect();
    let zoo = ["cluster/tests.rs", "services/kinds.rs"]
        .map(|name| source(&format!("detc-core/src/testing/{name}")));
    let zoo = zoo.concat();
    let defects = zoo.split("const ").filter_map(|rest| rest.split_once(": u8 = ")).map(|(name, _)| name);
    let defects: Vec<&str> = defects.filter(|name| *name != "SOUND").collect();
    let listed: Vec<String> = of_kinds.iter().map(|words| idents(words)[0].clone()).collect();
    assert_eq!(listed, defects);
    let is_known = |row: &&Vec<&str>| {
        row[0].starts_with("manager, of its kinds") || ZOOS.iter().any(|(suite, ..)| row[0] == *suite)
    };
    assert_eq!(rows.iter().find(|row| !is_known(row)), None, "is compared with nothing");
    // One that breaks two laws is one defect.
    let defects: BTreeSet<(&str, &str)> = rows.iter().map(|row| (row[0], row[1])).collect();
    let count = format!("[the zoo](zoo.md) has {} of them", defects.len());
    assert!(source("docs/reliability.md").contains(&count), "{count}");
    assert!(page.contains("forgets to sync") && page.contains("trusts a stale view"));
    assert!(page.contains("deletes a recreated name") && page.contains("retries an unknown outcome"));
}

/// What a source has in quotes after this.
fn quoted<'s>(source: &'s str, before: &str) -> Vec<&'s str> {
    source.split(before).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

#[test]
fn every_law_of_a_suite_is_broken_by_a_defect() {
    let of = |folder: &str, names: &[&str]| {
        let sources = names.iter().map(|name| source(&format!("detc-core/src/testing/{folder}/{name}.rs")));
        sources.collect::<Vec<_>>().concat()
    };
    let resource = of("resource", &["access", "faults", "laws", "meanwhile"]);
    let host = of("host", &["files", "large", "removal", "running", "writing"]);
    let containers = of("containers", &["fields", "files", "life", "names", "use_of", "watching"]);
    let connector = source("detc-core/src/testing/connector.rs");
    let reader = source("detc-core/src/testing/reader.rs");
    let store = source("detc-core/src/testing/store.rs");
    let (_, store) = store.split_once("laws![ ").unwrap();
    let store = store.split_once(" ] }").unwrap().0;
    let laws = [
        ("resource, action", [quoted(&resource, "found, \""), quoted(&resource, ": &str = \"")].concat()),
        ("host", quoted(&host, "found.note(\"")),
        ("connector", quoted(&connector, " note(\"")),
        ("reader", quoted(&reader, " note(\"")),
        ("containers", quoted(&containers, "found.note(\"")),
        ("store", store.split('"').skip(1).step_by(2).collect()),
    ];
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/zoo.md")).unwrap();
    for (suite, laws) in laws {
        assert!(laws.len() > 5, "{suite}: {laws:?}");
        let has_defect = |law: &&str| {
            page.lines().any(|line| {
                line.starts_with(&format!("| {suite} |")) && line.ends_with(&format!("| {law} |"))
            })
        };
        let mut without: Vec<&str> = laws.into_iter().filter(|law| !has_defect(law)).collect();
        without.sort_unstable();
        assert!(without.is_empty(), "{suite}: no defect shows that these can fail: {without:?}");
    }
}
