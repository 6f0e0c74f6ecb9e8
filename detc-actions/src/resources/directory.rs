//! `directory`: a directory, its mode and owner.
//!
//! Deleting it removes it only when it is empty: what others have put there is not ours to remove. It then stays, and is
//! forgotten. With `purge` all that is in it goes with it.

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use detc_core::backend::HostError;
use detc_core::backend::host::{FileKind, Remove};
use detc_core::model::{Observation, Present};
use detc_core::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource};
use serde::{Deserialize, Serialize};

use super::common::{Access, check_path};

/// The spec of a `directory`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectorySpec {
    /// Where it is. Missing parents are made, with mode `0755`, and stay when it is deleted.
    pub path: String,
    /// Permission bits in octal: `"0755"`. A new directory gets `0755` where none are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The owner, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The group, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Whether all that is in it is removed with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub purge: bool,
}

impl DirectorySpec {
    /// A directory at `path`, its mode and owner left open.
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), mode: None, owner: None, group: None, purge: false }
    }

    fn removal(&self, cx: &ActionCx<'_>) -> Remove {
        if self.purge && !cx.was_cut_off() { Remove::Tree } else { Remove::EmptyDirectory }
    }

    fn access(&self) -> Access<'_> {
        Access { mode: self.mode.as_deref(), owner: self.owner.as_deref(), group: self.group.as_deref() }
    }
}

#[async_trait]
impl Resource for DirectorySpec {
    const KIND: &'static str = "directory";

    type Output = ();

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.replace_on = &["path"];
        traits.host = HostNeed::Required;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        check_path("path", &self.path)?;
        self.access().check()?;
        let (footprint, place) = (Footprint::new(CrashClass::DeterministicName), Place::path(&self.path));
        let footprint = if self.purge { footprint.sweeping(place.clone()) } else { footprint };
        Ok(footprint.owning(place))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        Ok(match cx.host()?.stat(&self.path).await? {
            None => Observation::Absent,
            Some(stat) if stat.kind == FileKind::Directory => {
                Observation::Present(self.access().observe(&stat, Present::new()))
            }
            Some(stat) => Observation::Unknown(format!("{} is {}, not a directory", self.path, stat.kind)),
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        Ok(cx.host()?.make_dir(&self.path, &self.access().ownership()).await?)
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        match cx.host()?.remove(&self.path, self.removal(cx)).await {
            Ok(()) => Ok(Removed::Gone),
            Err(HostError::NotEmpty { .. }) => {
                Ok(Removed::Left(format!("{} stays, since it is not empty", self.path)))
            }
            Err(other) => Err(other.into()),
        }
    }
}

#[cfg(test)]
#[cfg(feature = "local")]
mod tests {
    use super::*;
    use crate::test_util::{Bench, fields};

    fn spec(bench: &Bench) -> DirectorySpec {
        DirectorySpec { mode: Some("750".into()), ..DirectorySpec::new(bench.path("a/b")) }
    }

    #[tokio::test]
    async fn a_directory_is_made_with_its_parents_and_twice_is_once() {
        let bench = Bench::new("directory/d");
        let spec = spec(&bench);
        assert_eq!(spec.observe(&bench.cx()).await.unwrap(), Observation::Absent);
        for _ in 0..2 {
            spec.create(&bench.cx()).await.unwrap();
            assert_eq!(fields(spec.observe(&bench.cx()).await.unwrap()), r#"{"mode":"750"}"#);
        }
    }

    #[tokio::test]
    async fn a_mode_that_drifted_is_seen_and_set_again() {
        let bench = Bench::new("directory/d");
        let spec = spec(&bench);
        spec.create(&bench.cx()).await.unwrap();
        DirectorySpec { mode: Some("0700".into()), ..spec.clone() }.update(&bench.cx()).await.unwrap();
        assert_eq!(fields(spec.observe(&bench.cx()).await.unwrap()), r#"{"mode":"0700"}"#);
        spec.update(&bench.cx()).await.unwrap();
        assert_eq!(fields(spec.observe(&bench.cx()).await.unwrap()), r#"{"mode":"750"}"#);
    }

    #[tokio::test]
    async fn a_directory_that_holds_what_is_not_ours_is_left_unless_it_is_purged() {
        let bench = Bench::new("directory/d");
        let spec = spec(&bench);
        spec.create(&bench.cx()).await.unwrap();
        std::fs::write(bench.path("a/b/theirs"), "x").unwrap();
        let removed = spec.delete(&bench.cx()).await.unwrap();
        assert!(matches!(removed, Removed::Left(why) if why.contains("it is not empty")));
        assert!(std::path::Path::new(&bench.path("a/b/theirs")).exists());
        let purged = DirectorySpec { purge: true, ..spec.clone() };
        for _ in 0..2 {
            assert_eq!(purged.delete(&bench.cx()).await.unwrap(), Removed::Gone);
        }
        assert_eq!(spec.observe(&bench.cx()).await.unwrap(), Observation::Absent);
        assert!(std::path::Path::new(&bench.path("a")).exists());
    }

    #[tokio::test]
    async fn something_else_in_its_place_is_unknown_not_absent() {
        let bench = Bench::new("directory/d");
        std::fs::write(bench.path("f"), "x").unwrap();
        let spec = DirectorySpec::new(bench.path("f"));
        let seen = spec.observe(&bench.cx()).await.unwrap();
        assert_eq!(seen, Observation::Unknown(format!("{} is a file, not a directory", spec.path)));
    }

    #[test]
    fn a_bad_field_is_named() {
        let error = |spec: DirectorySpec| spec.inspect().unwrap_err().to_string();
        assert_eq!(error(DirectorySpec::new("a")), "`path` must be an absolute path, not `a`");
        let mode = DirectorySpec { mode: Some("755x".into()), ..DirectorySpec::new("/a") };
        assert!(error(mode).starts_with("`mode` must be three or four octal digits"));
    }
}
