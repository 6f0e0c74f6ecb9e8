//! The conformance suite of [`StateReader`].

use std::path::{Path, PathBuf};

use super::Violation;
use crate::model::load::StateReader;
use crate::model::{Desired, InvalidState};
use crate::resource::Registry;

/// What a reader is tried with.
#[derive(Clone, Debug)]
pub struct Files {
    right: PathBuf,
    wrong: Vec<PathBuf>,
}

impl Files {
    /// A file that it reads, of at least one resource.
    pub fn new(right: impl Into<PathBuf>) -> Self {
        Self { right: right.into(), wrong: Vec::new() }
    }

    /// Adds a file that it reads, and in which something is wrong.
    #[must_use]
    pub fn refusing(mut self, wrong: impl Into<PathBuf>) -> Self {
        self.wrong.push(wrong.into());
        self
    }
}

/// Tries every law of the contract. Returns the laws that were broken; none: the reader conforms. `registry` has the kinds and
/// connectors of what is read.
///
/// The law of what is refused is tried with the files that were given for that, and not at all where none was.
pub fn check_reader(reader: &dyn StateReader, files: &Files, registry: &Registry) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut note = |law, verdict: Verdict| {
        if let Err(detail) = verdict {
            found.push(Violation { law, detail });
        }
    };
    note("which files it reads is told by their names", told_by_name(reader, files));
    note("a file that is not there is an error", not_there(reader, files));
    note("a file is read the same each time", same_each_time(reader, files));
    note("what is read has its place", has_place(reader, files));
    note("what is read is a desired state", is_state(reader, files, registry));
    note("what is wrong is told with its place", tells_place(reader, files));
    found
}

/// What a law's check says: nothing, or what was seen instead.
type Verdict = Result<(), String>;

/// The file of the same name in a folder where nothing is.
fn elsewhere(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    Path::new("/nowhere-at-all").join(name)
}

fn told_by_name(reader: &dyn StateReader, files: &Files) -> Verdict {
    for path in [&files.right].into_iter().chain(&files.wrong) {
        for path in [path, path, &elsewhere(path)] {
            if !reader.reads(path) {
                return Err(format!("it does not read {}", path.display()));
            }
        }
    }
    Ok(())
}

fn not_there(reader: &dyn StateReader, files: &Files) -> Verdict {
    let path = elsewhere(&files.right);
    match reader.read(&path) {
        Err(error) => has_words(&error),
        Ok(_) => Err(format!("{} was read", path.display())),
    }
}

fn read(reader: &dyn StateReader, files: &Files) -> Result<Desired, String> {
    let desired = reader.read(&files.right).map_err(|error| error.to_string())?;
    if desired.resources.is_empty() {
        return Err(format!("{} has no resource", files.right.display()));
    }
    Ok(desired)
}

fn same_each_time(reader: &dyn StateReader, files: &Files) -> Verdict {
    let words = |desired: &Desired| -> Vec<String> {
        let resources = desired.resources.values();
        let mut words: Vec<String> = resources.map(|it| format!("{it:?}")).collect();
        words.push(format!("{:?} {:?} {:?}", desired.hosts, desired.invariants, desired.files));
        words.push(format!("{:?}", desired.blobs.keys()));
        words
    };
    let (first, second) = (words(&read(reader, files)?), words(&read(reader, files)?));
    match first.iter().zip(&second).find(|(first, second)| first != second) {
        Some((first, second)) => Err(format!("at first {first}, and then {second}")),
        None if first.len() != second.len() => Err("once more was read than another time".to_owned()),
        None => Ok(()),
    }
}

fn has_place(reader: &dyn StateReader, files: &Files) -> Verdict {
    let desired = read(reader, files)?;
    let known = desired.files.len();
    let lost = |line: u32, file: u16| line == 0 || usize::from(file) >= known;
    if let Some(resource) = desired.resources.values().find(|it| lost(it.origin.line, it.origin.file)) {
        return Err(format!("{} is of {:?}, and {known} files are told", resource.id, resource.origin));
    }
    if let Some((name, origin)) = desired.invariant_origins.iter().find(|(_, it)| lost(it.line, it.file)) {
        return Err(format!("the invariant `{name}` is of {origin:?}, and {known} files are told"));
    }
    Ok(())
}

fn is_state(reader: &dyn StateReader, files: &Files, registry: &Registry) -> Verdict {
    let mut desired = read(reader, files)?;
    for (key, resource) in &desired.resources {
        if *key != resource.id {
            return Err(format!("{} is called {key}", resource.id));
        }
    }
    // Whoever names a host twice is told so, also where it is the same.
    desired.host_files.clear();
    desired.check(registry).map(|_| ()).map_err(|error| error.to_string())
}

fn tells_place(reader: &dyn StateReader, files: &Files) -> Verdict {
    for path in &files.wrong {
        let Err(error) = reader.read(path) else { return Err(format!("{} was read", path.display())) };
        has_words(&error)?;
        if !error.place.as_ref().is_some_and(|(file, line)| !file.is_empty() && *line > 0) {
            return Err(format!("{}: no line is told of \"{}\"", path.display(), error.message));
        }
    }
    Ok(())
}

fn has_words(error: &InvalidState) -> Verdict {
    let is_said = !error.message.trim().is_empty() && error.place.is_some();
    if is_said { Ok(()) } else { Err(format!("it is told as {error:?}")) }
}

#[cfg(test)]
mod tests;
