//! The kinds that people need on a host.
//!
//! Each lives on a [`Host`](detc_core::backend::Host) and knows nothing of how that is reached.

use detc_core::resource::Registry;

pub mod command;
mod common;
pub mod directory;
pub mod file;
pub mod process;
mod template;

pub use command::CommandSpec;
pub use directory::DirectorySpec;
pub use file::FileSpec;
pub use process::ProcessSpec;

/// `registry` with all kinds of this crate.
///
/// # Panics
/// When one of them is registered already.
#[must_use]
pub fn register(registry: Registry) -> Registry {
    registry
        .with_resource::<CommandSpec>()
        .with_resource::<DirectorySpec>()
        .with_resource::<FileSpec>()
        .with_resource::<ProcessSpec>()
}
