//! A file that no `mod` names is not compiled, and its tests never run, in silence.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_file_beside_this_one_is_a_module_of_the_test_binary() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("it");
    let mut forgotten = Vec::new();
    find_forgotten(&root, &root.join("main.rs"), &mut forgotten);
    assert!(forgotten.is_empty(), "no `mod` names {forgotten:?}");
}

/// Looks at the files in `dir`, which are the modules of `parent`.
fn find_forgotten(dir: &Path, parent: &Path, forgotten: &mut Vec<PathBuf>) {
    let declarations = fs::read_to_string(parent).unwrap_or_default();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            find_forgotten(&path, &path.with_extension("rs"), forgotten);
        } else if path != parent && !declarations.lines().any(|line| line.ends_with(&format!("mod {name};")))
        {
            forgotten.push(path);
        }
    }
}
