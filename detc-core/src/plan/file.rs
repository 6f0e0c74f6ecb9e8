//! Saved plans: reviewed now, applied later, exactly.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Plan;
use crate::model::Digest;

/// What a saved plan begins with. It changes when an older program could misread a newer plan.
const FORMAT: &str = "detc.plan-file/1";

#[derive(Serialize)]
struct Saved<'a> {
    format: &'static str,
    store: &'a str,
    seal: Digest,
    plan: &'a Plan,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Loaded {
    format: String,
    #[serde(default)]
    store: String,
    seal: Option<Digest>,
    plan: Plan,
}

/// A plan that was saved.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SavedPlan {
    /// The plan.
    pub plan: Plan,
    /// The name of the store that it was made with, as its manager says it; the plan means nothing with another one.
    pub store: String,
}

/// Why a saved plan can not be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlanFileError {
    /// It can not be read or written.
    #[error("the plan file {path} can not be {tried}")]
    Io {
        /// The file.
        path: String,
        /// `read` or `written`.
        tried: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no plan, or one of another format.
    #[error("{path} is not a plan that this program can read: {what}")]
    Format {
        /// The file.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// It was altered after it was made.
    #[error("the plan in {path} was altered: its content does not have the digest it was sealed with")]
    Altered {
        /// The file.
        path: String,
    },
}

/// Saves a plan that was made with the store of this name, readable by its owner alone. It appears under its name when it is
/// whole; a file or a link of that name is replaced, and nothing else is touched.
///
/// # Errors
/// When the file can not be written.
pub fn save(plan: &Plan, store: &str, path: &Path) -> Result<(), PlanFileError> {
    let failed = |source| PlanFileError::Io { path: path.display().to_string(), tried: "written", source };
    if std::fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        // A pipe or a device is written to, not replaced.
        let file = File::options().write(true).open(path).map_err(failed)?;
        return write(plan, store, file).map_err(failed);
    }
    let (file, new) = create_beside(path).map_err(failed)?;
    write(plan, store, file).and_then(|()| std::fs::rename(&new, path)).map_err(|error| {
        let _gone = std::fs::remove_file(&new);
        failed(error)
    })
}

/// Whether nothing is lost when a plan is [saved](save) there: nothing is there, or another plan, an empty file, a link, or
/// what is written to, such as a pipe. What can not be read is told by who saves.
pub fn may_be_replaced(path: &Path) -> bool {
    use std::io::Read as _;
    const BEGIN: &[u8] = br#"{"format":"detc.plan-file/"#;
    // A link is replaced itself.
    if !std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file()) {
        return true;
    }
    let mut begin = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BEGIN.len() as u64).read_to_end(&mut begin));
    read.is_err() || begin.is_empty() || begin == BEGIN
}

/// A new file in the folder of `path`, under a name that nothing else has: neither a file nor a link is written through.
fn create_beside(path: &Path) -> io::Result<(File, PathBuf)> {
    // Only what killed processes of the same id left is in the way.
    const TRIES_MAX: u32 = 1000;
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut tried = 0;
    loop {
        // The name of the plan is no part of it: with more it may be longer than a name can be.
        let new = path.with_file_name(format!(".detc-plan-{}-{tried}", std::process::id()));
        match options.open(&new) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tried < TRIES_MAX => tried += 1,
            created => return created.map(|file| (file, new)),
        }
    }
}

fn write(plan: &Plan, store: &str, file: File) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, file);
    serde_json::to_writer(&mut file, &Saved { format: FORMAT, store, seal: seal(plan, store), plan })?;
    file.write_all(b"\n")?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    match file.sync_all() {
        // A pipe can not be synced.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

/// Reads a saved plan, and checks that it is whole.
///
/// # Errors
/// When it can not be read, is no plan, or was altered.
pub fn open(path: &Path) -> Result<SavedPlan, PlanFileError> {
    let name = path.display().to_string();
    let file =
        File::open(path).map_err(|source| PlanFileError::Io { path: name.clone(), tried: "read", source })?;
    let loaded: Loaded = serde_json::from_reader(BufReader::with_capacity(1 << 20, file))
        .map_err(|error| PlanFileError::Format { path: name.clone(), what: error.to_string() })?;
    if loaded.format != FORMAT {
        let what = format!("its format is `{}`, expected `{FORMAT}`", loaded.format);
        return Err(PlanFileError::Format { path: name, what });
    }
    let sealed = loaded.seal == Some(seal(&loaded.plan, &loaded.store));
    if !loaded.plan.is_ordered() || !sealed || !loaded.plan.is_intact() {
        return Err(PlanFileError::Altered { path: name });
    }
    Ok(SavedPlan { plan: loaded.plan, store: loaded.store })
}

/// What ties a plan to its store.
fn seal(plan: &Plan, store: &str) -> Digest {
    Digest::keyed(plan.id.as_bytes(), store.as_bytes())
}
