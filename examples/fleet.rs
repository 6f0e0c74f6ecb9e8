//! The plain program on the embedded command line: everything that detc manages by itself, driven by a file.
//!
//!     cargo run --release --example fleet -- -f fleet.json plan

use std::process::ExitCode;

use detc_actions::backends::{DockerHosts, LocalConnector, SshConnector};
use detc_actions::compose::{ComposeOptions, ComposeReader};
use detc_actions::resources;
use detc_core::operate::cli::App;
use detc_core::resource::Registry;
use mimalloc::MiMalloc;

/// An application chooses its allocator; this one is quick with the many small pieces that a large desired state is.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let docker = DockerHosts::new();
    let mut compose = ComposeOptions::new();
    compose.vars = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let registry = resources::register(Registry::new())
        .with_connector(docker.local(LocalConnector))
        .with_connector(docker.ssh(SshConnector::default().with_passphrases_typed()));
    let registry = docker.register(registry).with_reader(ComposeReader::new(compose));
    App::new("fleet", registry).about("Brings machines to a desired state: plan, review, apply.").main()
}
