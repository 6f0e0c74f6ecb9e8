//! `docs/proof.md`: what it shows is what the programs say, and what it quotes stands in code that compiles.

use std::fs;
use std::path::Path;

use async_trait::async_trait;
use detc_core::action::{Action, ActionCx, ActionError, Check, CrashClass, Footprint, Meanwhile};
use detc_core::model::ResourceId;
use detc_core::resource::{Known, Registry};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::support::{Place, fleet, guarded};

/// A dump of a database.
#[derive(Debug, Serialize, Deserialize)]
struct Dump {
    database: ResourceId,
    scratch_mib: u64,
}

#[async_trait]
impl Action for Dump {
    const KIND: &'static str = "dump";
    type Output = ();

    fn footprint(&self) -> Footprint {
        Footprint::new(CrashClass::DeterministicName)
            .taking("scratch_mib".parse().expect("invariant: it is a field"), 512)
            .suspending(self.database.clone())
    }

    async fn check(&self, _: &ActionCx<'_>) -> Result<Check<()>, ActionError> {
        Ok(Check::Needed("nothing is dumped here".to_owned()))
    }

    async fn apply(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        Ok(())
    }
}

#[test]
fn what_an_author_states_is_read_off_the_footprint() {
    let registry = Registry::new().with_action::<Dump>();
    let spec = detc_core::model::Doc::new(&json!({ "database": "value/db", "scratch_mib": 0 }));
    let footprint = registry.kind("dump").unwrap().inspect(&spec, Known::All).unwrap();
    let field = "scratch_mib".parse().unwrap();
    let stated = [Meanwhile::Takes { field, amount: 512 }, Meanwhile::Suspends("value/db".parse().unwrap())];
    assert_eq!(footprint.meanwhile, stated);
}

#[test]
fn what_the_page_shows_is_what_the_programs_say() {
    let page = text("docs/proof.md");
    let mut place = Place::new();
    let (mut shown, mut said) = (0, String::new());
    for block in page.split("\n```").skip(1).step_by(2) {
        let (language, body) = block.split_once('\n').unwrap();
        match language {
            "yaml" => place.write("detc.yaml", body),
            "sh" => {
                for line in body.lines() {
                    let (command, code) = line.split_once(" # ").unwrap_or((line, "0"));
                    let mut words = command.split(' ');
                    place = place.running(if words.next() == Some("guarded") { guarded() } else { fleet() });
                    said = place.fleet(&words.collect::<Vec<_>>()).exits(code.parse().unwrap()).out;
                }
            }
            "text" => {
                for line in body.lines() {
                    shown += 1;
                    assert!(said.contains(line), "the page shows\n{line}\nand it is\n{said}");
                }
            }
            "rust" => {}
            other => panic!("what is `{other}`?"),
        }
    }
    assert!(shown >= 10, "{shown} lines are shown");
}

#[test]
fn what_the_page_quotes_stands_in_code_that_compiles() {
    let page = text("docs/proof.md");
    let code = [text("examples/guarded.rs"), text("tests/it/proofs.rs")].map(|code| plain(&code));
    let quotes: Vec<&str> =
        page.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(quotes.len() >= 3, "there are {}", quotes.len());
    for quote in quotes {
        assert!(code.iter().any(|code| code.contains(&plain(quote))), "nowhere:\n{quote}");
    }
}

#[test]
fn the_line_of_a_sample_is_one_that_a_test_expects() {
    let page = text("docs/proof.md");
    let sampled = page.lines().find_map(|line| line.strip_prefix("> Sampled")).unwrap();
    assert!(text("detc-core/src/plan/tests/predicates.rs").contains(&format!("Sampled{sampled}")));
}

fn text(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

/// Lines without their indentation, none empty.
fn plain(code: &str) -> String {
    let lines = code.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.fold(String::new(), |text, line| text + line + "\n")
}
