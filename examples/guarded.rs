//! A program with an invariant of its own: one that is no sum. No server of a new version is up before its schema is.
//!
//! `docs/proof.md` shows what becomes of it. It is the plain program otherwise: `cargo run --example guarded -- plan`.

use std::process::ExitCode;

use detc_actions::backends::LocalConnector;
use detc_actions::resources;
use detc_core::model::{Predicate, Selector, State};
use detc_core::operate::cli::App;
use detc_core::resource::Registry;

/// What must hold in every state that a plan can come to.
fn schema_first() -> Predicate {
    let holds = |state: &State<'_>| {
        let schema = state.get("value/schema").and_then(|it| it.field("input")?.as_u64()).unwrap_or_default();
        let servers = state.resources().filter(|it| it.label("app") == Some("web"));
        for server in servers {
            let needs = server.field("input.schema").and_then(|it| it.as_u64()).unwrap_or_default();
            if needs > schema {
                return Err(format!("{} needs schema {needs}, and there is {schema}", server.id()));
            }
        }
        Ok(())
    };
    Predicate::new("schema first", holds)
        .about(Selector { kind: Some("value".to_owned()), ..Selector::default() })
}

fn main() -> ExitCode {
    let registry =
        resources::register(Registry::new()).with_connector(LocalConnector).with_predicate(schema_first());
    App::new("guarded", registry).about("Like fleet, with an invariant of its own.").main()
}
