//! The plain program on the embedded command line: everything that detc manages by itself, driven by a file.
//!
//!     cargo run --release --example fleet -- -f fleet.json plan

use std::process::ExitCode;

use detc_core::operate::cli::App;
use detc_core::resource::Registry;

fn main() -> ExitCode {
    App::new("fleet", Registry::new()).main()
}
