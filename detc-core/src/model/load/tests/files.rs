//! Files as they lie on a disk.

use std::fs;
use std::path::PathBuf;

use super::super::{LEN_MAX, load};
use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// What is wrong with these files, without the name of their folder.
    #[track_caller]
    fn refuses(&self, paths: &[PathBuf], expected: &Expect) {
        let said = load(paths, &Registry::new()).unwrap_err().to_string();
        expected.assert_eq(&said.replace(&format!("{}/", self.0.path().display()), ""));
    }
}

#[test]
fn a_format_is_told_by_the_end_of_a_name() {
    let of = |name: &str| Format::of(Path::new(name)).ok();
    assert_eq!(of("fleet.json"), Some(Format::Json));
    assert_eq!([of("fleet.yaml"), of("a/fleet.yml")], [Some(Format::Yaml); 2]);
    assert_eq!(of("fleet.toml"), Some(Format::Toml));
    assert_eq!([of("fleet"), of("fleet.txt"), of("json")], [None; 3]);
}

#[test]
fn files_are_put_together_and_what_is_given_twice_is_told_with_both() {
    let folder = Folder::new();
    let value = |name: &str| format!("{{\"kind\":\"value\",\"name\":\"{name}\",\"input\":1}}");
    let of = |resources: &str, invariants: &str| {
        format!("{{\"version\":1,\n\"resources\":[\n{resources}],\n\"invariants\":[\n{invariants}]}}")
    };
    let up = r#"{"name":"up","available":{"kind":"value"},"at_least":1}"#;
    let near = r#"{"name":"near","available":{"kind":"value"},"at_least":2}"#;
    let first = folder.file("first.json", of(&value("a"), up));
    let second = folder.file("second.json", of(&value("b"), near));
    let both = load(&[first.clone(), second], &Registry::new()).unwrap();
    assert_eq!(both.resources.keys().map(ToString::to_string).collect::<Vec<_>>(), ["value/a", "value/b"]);
    assert_eq!(both.invariants.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["up", "near"]);

    let third = folder.file("third.json", of(&value("a"), &format!("{near},\n{up}")));
    let said = expect![[r#"
        third.json:6: invariant `up` is given twice
        third.json:3: value/a: is given twice; first at first.json:3"#]];
    folder.refuses(&[first, third], &said);
}

#[test]
fn what_is_no_file_to_read_is_told() {
    let folder = Folder::new();
    fs::create_dir(folder.path("folder.json")).unwrap();
    folder.refuses(
        &[folder.path("folder.json")],
        &expect!["folder.json: can not be read: it is no regular file (what a pipe brings is read from standard input, with `-f -`)"],
    );
    folder.refuses(
        &[folder.path("none.json")],
        &expect!["none.json: can not be read: No such file or directory (os error 2)"],
    );
    folder.refuses(
        &[folder.file("latin.json", b"{\"version\": 1, \"\xe9\"")],
        &expect!["latin.json: is not UTF-8 text"],
    );
    folder.refuses(
        &[folder.file("fleet.ini", "")],
        &expect!["fleet.ini: the name of a desired state file ends in .json, .yaml, .yml or .toml"],
    );
}

#[test]
fn the_longest_file_is_read_and_a_longer_one_is_not() {
    let folder = Folder::new();
    // Nothing is written: the file has a hole for its whole length.
    let long = |len| {
        let path = folder.path("long.json");
        fs::File::create(&path).unwrap().set_len(len).unwrap();
        path
    };
    folder.refuses(
        &[long(LEN_MAX + 1)],
        &expect!["long.json: is longer than 1024 MiB: split it into several files"],
    );
}

#[test]
fn a_mark_before_the_text_is_no_part_of_it() {
    let folder = Folder::new();
    let read = load(&[folder.file("fleet.json", "\u{feff}{\"version\":1}")], &Registry::new()).unwrap();
    assert_eq!(read.resources.len(), 0);
}
