//! What was unpacked where: kept on the host, in what detc keeps there for itself.

use std::collections::{BTreeMap, BTreeSet};

use detc_core::action::{ActionCx, ActionError};
use detc_core::backend::HostError;
use detc_core::backend::host::{Command, Ownership, Remove};
use detc_core::model::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::ArchiveSpec;
use super::content::Content;
use crate::resources::common::{of_system, tail};

/// Longest manifest: that of as many entries as an archive may have.
const LEN_MAX: u64 = 64 << 20;

/// What was unpacked into a directory, or is being.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The archive.
    pub(super) archive: Digest,
    /// Whether all of it is there, and nothing of another.
    pub(super) is_done: bool,
    /// Whether the directory was made for it.
    pub(super) has_made: bool,
    pub(super) owner: Option<String>,
    pub(super) group: Option<String>,
    pub(super) files: BTreeMap<String, File>,
    /// With their modes, each after those that it is in.
    pub(super) dirs: BTreeMap<String, u32>,
}

/// A file as it was unpacked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct File {
    /// What `sha256sum` says of it: each host has that program, and so tells of all files in one answer.
    sha256: String,
    pub(super) mode: u32,
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            archive: Digest::of(b""),
            is_done: false,
            has_made: false,
            owner: None,
            group: None,
            files: BTreeMap::new(),
            dirs: BTreeMap::new(),
        }
    }
}

impl Manifest {
    /// What is there when `content` is unpacked.
    pub(super) fn of(spec: &ArchiveSpec, content: &Content) -> Self {
        let file = |(name, mode): (&String, u32)| {
            let sum = Sha256::digest(content.file(name));
            let sha256 = sum.iter().map(|byte| format!("{byte:02x}")).collect();
            (name.clone(), File { sha256, mode })
        };
        Self {
            archive: spec.source.digest,
            owner: spec.owner.clone(),
            group: spec.group.clone(),
            files: content.files().map(file).collect(),
            dirs: content.dirs().clone(),
            ..Self::default()
        }
    }

    /// This, while it is becoming `next`: what is of either may be there.
    pub(super) fn with(&self, next: &Self, has_made: bool) -> Self {
        let mut both = Self { has_made, is_done: false, ..next.clone() };
        for (name, file) in &self.files {
            both.files.entry(name.clone()).or_insert_with(|| file.clone());
        }
        for (name, mode) in &self.dirs {
            both.dirs.entry(name.clone()).or_insert(*mode);
        }
        both
    }

    /// What lies directly in the directory.
    pub(super) fn tops(&self) -> BTreeSet<&str> {
        let names = self.files.keys().chain(self.dirs.keys());
        names.map(|name| name.split('/').next().unwrap_or(name)).collect()
    }

    /// The files that are as they were unpacked. `None`: the directory is gone.
    pub(super) async fn whole(
        &self,
        cx: &ActionCx<'_>,
        dir: &str,
    ) -> Result<Option<BTreeSet<String>>, ActionError> {
        if self.files.is_empty() {
            let is_there = cx.host()?.stat(dir).await?.is_some();
            return Ok(is_there.then(BTreeSet::new));
        }
        let sums: String =
            self.files.iter().map(|(name, file)| format!("{}  {name}\n", file.sha256)).collect();
        // A name and what is said of it, on either output.
        let output_max = 2 * sums.len() + (1 << 16);
        let command = Command::new(["sha256sum", "-c", "-"]).with_dir(Some(dir.to_owned())).with_stdin(sums);
        let command = of_system(command.with_output_max(output_max));
        let output = match cx.host()?.run(&command).await {
            Err(HostError::NotFound { path, .. }) if path == dir => return Ok(None),
            other => other?,
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let whole: BTreeSet<String> =
            text.lines().filter_map(|line| line.strip_suffix(": OK")).map(str::to_owned).collect();
        let has_said =
            text.lines().count() > 0 || String::from_utf8_lossy(&output.stderr).contains("such file");
        if output.truncated || !(output.success() || has_said) {
            let said = tail(&output.stderr, 3);
            let message = format!("the files of {} can not be looked at: {said}", cx.resource());
            return Err(ActionError::permanent(message));
        }
        Ok(Some(whole))
    }

    fn path(cx: &ActionCx<'_>, dir: &str) -> String {
        let name = Digest::of(dir.trim_end_matches('/').as_bytes());
        format!("{}/archives/{name}.json", cx.state_dir())
    }

    /// The manifest of what was unpacked into `dir`.
    pub(super) async fn load(cx: &ActionCx<'_>, dir: &str) -> Result<Option<Self>, ActionError> {
        let path = Self::path(cx, dir);
        let content = match cx.host()?.read(&path, LEN_MAX).await {
            Ok(content) => content,
            Err(HostError::NotFound { .. }) => return Ok(None),
            Err(other) => return Err(other.into()),
        };
        serde_json::from_slice(&content).map(Some).map_err(|error| {
            ActionError::permanent(format!("what {} has unpacked can not be read from {path}", cx.resource()))
                .with_source(error)
                .with_hint("remove that file and what was unpacked, and apply again")
        })
    }

    /// Keeps it for what is in `dir`.
    pub(super) async fn save(&self, cx: &ActionCx<'_>, dir: &str) -> Result<(), ActionError> {
        let (path, host) = (Self::path(cx, dir), cx.host()?);
        let content = serde_json::to_vec(self).expect("invariant: a manifest is JSON");
        host.make_dir(&format!("{}/archives", cx.state_dir()), &Ownership::default()).await?;
        Ok(host.write(&path, &content, &Ownership::default()).await?)
    }

    /// Drops what is kept for `dir`.
    pub(super) async fn forget(cx: &ActionCx<'_>, dir: &str) -> Result<(), ActionError> {
        Ok(cx.host()?.remove(&Self::path(cx, dir), Remove::File).await?)
    }
}
