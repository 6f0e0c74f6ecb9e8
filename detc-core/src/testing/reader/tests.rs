//! A zoo of readers: each defect is caught by the law that is about it.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::model::Origin;
use crate::resource::value::ValueSpec;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    None,
    LooksIntoTheFile,
    ReadsWhatIsNotThere,
    CountsItsReads,
    ForgetsTheLine,
    ForgetsTheFile,
    RefersToNothing,
    PassesOverWhatIsWrong,
    TellsNoLine,
}

/// Reads files that end in `.list`: each line is the name of a value.
#[derive(Debug)]
struct Lists {
    defect: Defect,
    reads: AtomicUsize,
}

impl StateReader for Lists {
    fn reads(&self, path: &Path) -> bool {
        let is_list = path.extension().is_some_and(|end| end == "list");
        is_list && (self.defect != Defect::LooksIntoTheFile || path.exists())
    }

    fn read(&self, path: &Path) -> Result<Desired, InvalidState> {
        let name = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Err(_) if self.defect == Defect::ReadsWhatIsNotThere => String::new(),
            read => read.map_err(|error| InvalidState::new(error.to_string()).at(&name, 0))?,
        };
        let mut read = Desired::new();
        if self.defect != Defect::ForgetsTheFile {
            read.files.push(name.clone());
        }
        for (line, value) in (1..).zip(text.lines()) {
            let input = match self.defect {
                Defect::CountsItsReads => self.reads.fetch_add(1, Ordering::Relaxed).into(),
                Defect::RefersToNothing => serde_json::json!({ "from": "value/none", "output": "input" }),
                _ => 0.into(),
            };
            let mut resource = match ValueSpec::resource(value, &input) {
                Ok(resource) => resource,
                Err(_) if self.defect == Defect::PassesOverWhatIsWrong => continue,
                Err(error) => {
                    let line = if self.defect == Defect::TellsNoLine { 0 } else { line };
                    return Err(InvalidState::new(error).at(&name, line));
                }
            };
            let line = if self.defect == Defect::ForgetsTheLine { 0 } else { line };
            resource.origin = Origin { file: 0, line };
            read.resources.insert(resource.id.clone(), resource);
        }
        Ok(read)
    }
}

fn found(defect: Defect) -> Vec<Violation> {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let files = Files::new(path("a.list", "a\nb\n")).refusing(path("b.list", "a\n\n"));
    check_reader(&Lists { defect, reads: AtomicUsize::new(0) }, &files, &Registry::new())
}

/// That a reader with `defect` breaks the law that begins with `law`.
#[track_caller]
fn caught(defect: Defect, law: &str) {
    let found = found(defect);
    assert!(found.iter().any(|violation| violation.law.starts_with(law)), "{defect:?}: {found:?}");
}

#[test]
fn a_sound_reader_conforms() {
    assert_eq!(found(Defect::None), []);
}

#[test]
fn each_defect_of_a_reader_is_caught() {
    caught(Defect::LooksIntoTheFile, "which files it reads is told by their names");
    caught(Defect::ReadsWhatIsNotThere, "a file that is not there is an error");
    caught(Defect::CountsItsReads, "a file is read the same each time");
    caught(Defect::ForgetsTheLine, "what is read has its place");
    caught(Defect::ForgetsTheFile, "what is read has its place");
    caught(Defect::RefersToNothing, "what is read is a desired state");
    caught(Defect::PassesOverWhatIsWrong, "what is wrong is told with its place");
    caught(Defect::TellsNoLine, "what is wrong is told with its place");
}
