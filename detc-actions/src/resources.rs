//! The kinds that people need on a host.
//!
//! Each lives on a [`Host`](detc_core::backend::Host) and knows nothing of how that is reached.

use detc_core::resource::Registry;

mod accounts;
pub mod archive;
pub mod command;
pub(crate) mod common;
#[cfg(test)]
mod conformance;
#[cfg(feature = "containers")]
pub mod container;
pub mod directory;
#[cfg(feature = "containers")]
pub mod engines;
pub mod facts;
pub mod file;
pub mod group;
pub mod http;
#[cfg(feature = "containers")]
pub mod image;
pub mod line;
#[cfg(feature = "containers")]
pub mod network;
pub mod package;
pub mod process;
pub mod script;
pub mod service;
mod template;
mod turn;
pub mod user;
#[cfg(feature = "containers")]
pub mod volume;

pub use archive::ArchiveSpec;
pub use command::CommandSpec;
#[cfg(feature = "containers")]
pub use container::{ContainerOutput, ContainerSpec};
pub use directory::DirectorySpec;
#[cfg(feature = "containers")]
pub use engines::{EngineConnector, Engines};
pub use facts::{DiskFacts, FactsOutput, FactsSpec, OsFacts};
pub use file::FileSpec;
pub use group::{GroupOutput, GroupSpec};
pub use http::{CallSpec, HttpOutput, HttpSpec, ProbeSpec};
#[cfg(feature = "containers")]
pub use image::{ImageOutput, ImageSpec};
pub use line::LineSpec;
#[cfg(feature = "containers")]
pub use network::{NetworkOutput, NetworkSpec};
pub use package::{PackageOutput, PackageSpec};
pub use process::{HealthSpec, ProcessOutput, ProcessSpec, StopSpec};
pub use script::{ScriptOutput, ScriptSpec};
pub use service::ServiceSpec;
pub use user::{UserOutput, UserSpec};
#[cfg(feature = "containers")]
pub use volume::{VolumeOutput, VolumeSpec};

/// `registry` with all kinds of this crate.
///
/// # Panics
/// When one of them is registered already.
#[must_use]
pub fn register(registry: Registry) -> Registry {
    #[cfg(feature = "containers")]
    let registry = registry
        .with_resource::<ContainerSpec>()
        .with_resource::<ImageSpec>()
        .with_resource::<NetworkSpec>()
        .with_resource::<VolumeSpec>();
    registry
        .with_resource::<ArchiveSpec>()
        .with_resource::<CommandSpec>()
        .with_resource::<DirectorySpec>()
        .with_resource::<FactsSpec>()
        .with_resource::<FileSpec>()
        .with_resource::<GroupSpec>()
        .with_resource::<HttpSpec>()
        .with_resource::<LineSpec>()
        .with_resource::<PackageSpec>()
        .with_resource::<ProcessSpec>()
        .with_resource::<ScriptSpec>()
        .with_resource::<ServiceSpec>()
        .with_resource::<UserSpec>()
}

#[cfg(test)]
mod tests {
    use detc_core::model::Doc;
    use detc_core::resource::Known;
    use serde_json::{Value, json};

    use super::*;

    fn inspect(kind: &str, spec: &Value, known: Known) -> Result<String, String> {
        let registry = register(Registry::new());
        let footprint = registry.kind(kind).unwrap().inspect(&Doc::new(spec), known)?;
        let places = |places: &[detc_core::action::Place]| {
            places.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        let (reads, writes) = (places(&footprint.reads), places(&footprint.writes));
        let more = if footprint.more { " and more" } else { "" };
        Ok(format!("reads [{reads}] writes [{writes}]{more}, {}", footprint.crash))
    }

    #[test]
    fn what_a_spec_touches_follows_from_its_fields() {
        let of = |kind, spec: Value| inspect(kind, &spec, Known::All).unwrap();
        assert_eq!(
            of("directory", json!({"path": "/srv/a/"})),
            "reads [] writes [/srv/a], deterministic name"
        );
        assert_eq!(
            of("command", json!({"run": ["/bin/cp", "a", "b"], "dir": "/srv", "creates": "/srv/b"})),
            "reads [/srv /bin/cp] writes [/srv/b] and more, deterministic name"
        );
        assert_eq!(
            of("process", json!({"command": ["/opt/web", "-x"], "dir": "/srv", "log": "/var/log/web"})),
            "reads [/srv /opt/web] writes [/var/log/web] and more, findable by tag"
        );
    }

    #[test]
    fn what_is_known_later_is_left_for_later_and_the_rest_is_checked() {
        let later = json!({"from": "value/v", "output": "input"});
        for (kind, spec) in [
            ("directory", json!({"path": "/a", "mode": later, "owner": later})),
            ("file", json!({"path": later, "content": later})),
            ("command", json!({"run": ["a", later], "creates": later, "timeout_ms": later})),
            ("process", json!({"command": [later], "env": {"K": later}, "health": {"http": later}})),
            ("process", json!({"command": ["a"], "health": later, "stop": {"signal": later}})),
        ] {
            assert!(inspect(kind, &spec, Known::SomeLater).is_ok(), "{kind} {spec}");
        }
        let wrong = json!({"path": "relative", "content": later});
        assert_eq!(
            inspect("file", &wrong, Known::SomeLater),
            Err("`path` must be an absolute path, not `relative`".to_owned())
        );
    }

    #[test]
    fn an_unknown_field_is_named_with_what_may_have_been_meant() {
        assert_eq!(
            inspect("file", &json!({"path": "/a", "contnet": ""}), Known::All),
            Err("unknown field `contnet`: did you mean `content`?".to_owned())
        );
        let error = inspect("directory", &json!({"path": "/a", "mode": 755}), Known::All).unwrap_err();
        assert_eq!(error, "`mode` must be text, not the number 755: write \"755\", with quotes");
    }
}
