//! What must stay true of the source tree itself: layering, dependencies, licences, sizes.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn cargo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(args).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

mod layers;

fn tree(args: &[&str]) -> Vec<String> {
    let all = [&["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}"][..], args].concat();
    cargo(&all).lines().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
}

#[test]
fn the_crates_depend_on_core_and_never_on_each_other() {
    let ours = |package: &str| -> Vec<String> {
        let mut names = tree(&["-p", package, "--all-features"]);
        names.retain(|name| name.starts_with("detc-") && name != package);
        names.sort();
        names.dedup();
        names
    };
    assert_eq!(ours("detc-core"), Vec::<String>::new());
    assert_eq!(ours("detc-actions"), ["detc-core"]);
    assert!(!ours("detc-sched").contains(&"detc-actions".to_owned()));
}

#[test]
fn a_default_core_has_no_network_no_tls_and_no_web_server() {
    let names = tree(&["-p", "detc-core"]);
    assert!(names.contains(&"tokio".to_owned()), "the tree is read: {names:?}");
    for banned in
        ["hyper", "reqwest", "rustls", "openssl", "native-tls", "axum", "mio", "socket2", "clap", "russh"]
    {
        assert!(!names.contains(&banned.to_owned()), "a default build of detc-core has {banned}");
    }
}

#[test]
fn every_dependency_has_an_accepted_licence_and_comes_from_the_registry() {
    const ACCEPTED: [&str; 9] = [
        "MIT",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Zlib",
        "Unicode-3.0",
        "CC0-1.0",
        "Unlicense",
    ];
    let metadata: serde_json::Value =
        serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--all-features"])).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 20);
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or("none");
        // `A OR B` needs one accepted name; `A AND B` is met by all of ours being permissive, one by one.
        let names = licence.replace(" WITH LLVM-exception", "").replace(['(', ')'], "");
        let accepted = names.split(" AND ").all(|part| {
            part.split(" OR ").flat_map(|name| name.split('/')).any(|name| ACCEPTED.contains(&name.trim()))
        });
        assert!(accepted, "{name} has the licence {licence}");
        if let Some(source) = package["source"].as_str() {
            assert!(source.starts_with("registry+"), "{name} comes from {source}");
        }
    }
}

#[test]
fn the_readme_lists_the_features_that_there_are() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for krate in ["detc-core", "detc-actions", "detc-sched"] {
        let manifest = std::fs::read_to_string(root().join(krate).join("Cargo.toml")).unwrap();
        let features = manifest.split("[features]\n").nth(1).unwrap_or_default().split("\n[").next().unwrap();
        let names = features.lines().filter(|line| !line.starts_with('#'));
        let mut there: Vec<&str> = names.filter_map(|line| Some(line.split_once(" = ")?.0)).collect();
        there.retain(|name| *name != "default");
        let rows = readme.lines().filter(|line| line.contains(&format!("` | {krate} | ")));
        let names = |row: &str| row.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let mut listed: Vec<String> =
            rows.flat_map(|row| names(row.split_once(&format!(" | {krate}")).unwrap().0)).collect();
        listed.sort();
        there.sort_unstable();
        assert_eq!(listed, there, "{krate}");
    }
}

#[test]
fn no_file_holds_several_rooms() {
    const LINES_MAX: usize = 800;
    for package in ["detc-core", "detc-actions", "detc-sched", "examples", "tests"] {
        let mut files = Vec::new();
        sources(&root().join(package), &mut files);
        for file in files {
            let lines = std::fs::read_to_string(&file).unwrap().lines().count();
            assert!(lines <= LINES_MAX, "{} has {lines} lines", file.display());
        }
    }
}

#[test]
fn nothing_but_the_known_is_at_the_top() {
    let known = [
        "Cargo.lock",
        "Cargo.toml",
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        ".clippy.toml",
        "detc-actions",
        "detc-core",
        "detc-sched",
        "docs",
        "examples",
        ".rustfmt.toml",
        "target",
        "tests",
    ];
    for entry in std::fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.starts_with('.') || known.contains(&name.as_str()), "{name} does not belong at the top");
    }
}
