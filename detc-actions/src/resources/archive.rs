//! `archive`: a tar archive, unpacked into a directory that is its own.
//!
//! It is read here, whole, before anything is written: one that holds something that is no plain file or directory, or that
//! leads out of its directory, is refused and leaves nothing. What was unpacked is noted on the host, in a manifest, before it
//! is: so drift is seen, a try that was cut off is finished, and what is removed is what was unpacked.

use std::collections::BTreeSet;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use detc_core::backend::HostError;
use detc_core::backend::host::{Ownership, Remove};
use detc_core::model::{Observation, Present};
use detc_core::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource, Source};
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::content::Content;
use self::manifest::Manifest;
use super::common::{Access, check_path};

mod content;
mod manifest;

/// The spec of an `archive`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveSpec {
    /// The archive, a file beside the desired state file: tar, or tar and gzip.
    pub source: Source,
    /// The directory that it is unpacked into.
    pub path: String,
    /// The owner of all that is unpacked, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The group of all that is unpacked, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

impl ArchiveSpec {
    fn content(&self, cx: &ActionCx<'_>) -> Result<Content, ActionError> {
        Content::read(&cx.blob(&self.source.digest)?).map_err(|refused| {
            ActionError::permanent(format!(
                "{} is not unpacked: {} {refused}",
                cx.resource(),
                self.source.path
            ))
            .with_hint("make the archive anew, of plain files and directories only")
        })
    }

    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.path.trim_end_matches('/'))
    }

    fn owned(&self, mode: u32) -> Ownership {
        Ownership::new(Some(mode), self.owner.clone(), self.group.clone())
    }

    /// That nothing is in the way which was not unpacked by this resource.
    async fn check_free(&self, cx: &ActionCx<'_>, tops: BTreeSet<&str>) -> Result<(), ActionError> {
        for top in tops {
            let path = self.at(top);
            if cx.host()?.stat(&path).await?.is_some() {
                let message = format!(
                    "{} is not unpacked: there is {path} already, which it has not made",
                    cx.resource()
                );
                return Err(
                    ActionError::permanent(message).with_hint("move that away, or give another `path`")
                );
            }
        }
        Ok(())
    }

    async fn unpack(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        let (content, host) = (self.content(cx)?, cx.host()?);
        let before = Manifest::load(cx, &self.path).await?;
        let wanted = Manifest::of(self, &content);
        let has_made = match &before {
            Some(before) => before.has_made,
            None => host.stat(&self.path).await?.is_none(),
        };
        let before = before.unwrap_or_default();
        let tops = wanted.tops().difference(&before.tops()).copied().collect();
        self.check_free(cx, tops).await?;
        let whole = before.whole(cx, &self.path).await?.unwrap_or_default();
        before.with(&wanted, has_made).save(cx, &self.path).await?;
        // What is a file now may have been a directory, and the other way round.
        for name in before.files.keys().filter(|name| !wanted.files.contains_key(*name)) {
            remove(cx, &self.at(name), Remove::File).await?;
        }
        for name in before.dirs.keys().rev().filter(|name| !wanted.dirs.contains_key(*name)) {
            remove(cx, &self.at(name), Remove::EmptyDirectory).await?;
        }
        host.make_dir(&self.path, &Ownership::new(None, self.owner.clone(), self.group.clone())).await?;
        for (name, mode) in &wanted.dirs {
            host.make_dir(&self.at(name), &self.owned(*mode)).await?;
        }
        let stays = wanted.owner == before.owner && wanted.group == before.group;
        for (name, file) in &wanted.files {
            // What is there as it should be is not sent again.
            if !(stays && whole.contains(name) && before.files.get(name) == Some(file)) {
                host.write(&self.at(name), content.file(name), &self.owned(file.mode)).await?;
            }
        }
        Manifest { has_made, is_done: true, ..wanted }.save(cx, &self.path).await
    }
}

/// Removes what was unpacked: something else that has taken its place, or a directory that others have put something into, stays.
async fn remove(cx: &ActionCx<'_>, path: &str, how: Remove) -> Result<bool, ActionError> {
    match cx.host()?.remove(path, how).await {
        Ok(()) => Ok(true),
        Err(HostError::NotEmpty { .. } | HostError::Invalid { .. }) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

#[async_trait]
impl Resource for ArchiveSpec {
    const KIND: &'static str = "archive";

    type Output = ();

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.replace_on = &["path"];
        traits.sources = &["source"];
        traits.host = HostNeed::Required;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        check_path("path", &self.path)?;
        let place = Place::path(&self.path);
        if place == Place::path("/") {
            return Err(InvalidField::new("path", "must be a directory of its own, not `/`"));
        }
        Access { mode: None, owner: self.owner.as_deref(), group: self.group.as_deref() }.check()?;
        Ok(Footprint::new(CrashClass::DeterministicName).owning(place))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let Some(manifest) = Manifest::load(cx, &self.path).await? else { return Ok(Observation::Absent) };
        let Some(whole) = manifest.whole(cx, &self.path).await? else { return Ok(Observation::Absent) };
        let torn: Vec<&str> =
            manifest.files.keys().filter(|name| !whole.contains(*name)).map(String::as_str).collect();
        let digest = match torn.as_slice() {
            _ if !manifest.is_done => "(unpacked in part)".to_owned(),
            [] => manifest.archive.to_string(),
            [first, ..] => {
                let all = manifest.files.len();
                format!("({} of {all} files changed: {first})", torn.len())
            }
        };
        let mut present = Present::new();
        for (field, wanted, seen) in
            [("owner", &self.owner, manifest.owner), ("group", &self.group, manifest.group)]
        {
            if wanted.is_some() {
                present = present.with_field(field, json!(seen));
            }
        }
        Ok(Observation::Present(
            present.with_field("source", json!({ "path": self.source.path, "digest": digest })),
        ))
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.unpack(cx).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.unpack(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        let Some(manifest) = Manifest::load(cx, &self.path).await? else { return Ok(Removed::Gone) };
        for name in manifest.files.keys() {
            remove(cx, &self.at(name), Remove::File).await?;
        }
        let own = manifest.has_made.then(|| self.path.clone());
        let mut left = None;
        for dir in manifest.dirs.keys().rev().map(|name| self.at(name)).chain(own) {
            if !remove(cx, &dir, Remove::EmptyDirectory).await? {
                // The first: others are left because that is in them.
                left = left.or(Some(dir));
            }
        }
        Manifest::forget(cx, &self.path).await?;
        Ok(left.map_or(Removed::Gone, |dir| {
            Removed::Left(format!("{dir} holds what was not unpacked, and stays with that"))
        }))
    }
}

#[cfg(test)]
#[cfg(feature = "local")]
mod play;
#[cfg(test)]
#[cfg(feature = "local")]
mod tests;
