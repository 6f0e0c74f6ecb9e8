//! Where a saved plan goes, and what it may take the place of.

use std::fs;
use std::path::Path;

use super::support::nothing;
use crate::plan::file::{may_be_replaced, open, save};

/// The names in a folder.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_plan_takes_the_place_of_a_file_and_leaves_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plan");
    fs::write(&path, "another, much longer ".repeat(1_000)).unwrap();
    save(&nothing(), "s1", &path).unwrap();
    assert_eq!(open(&path).unwrap().plan, nothing());
    assert_eq!(names(dir.path()), ["plan"]);
}

#[cfg(unix)]
#[test]
fn a_link_is_replaced_and_what_it_leads_to_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let (path, target) = (dir.path().join("plan"), dir.path().join("target"));
    fs::write(&target, "precious").unwrap();
    std::os::unix::fs::symlink(&target, &path).unwrap();
    assert!(may_be_replaced(&path));
    save(&nothing(), "s1", &path).unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_is_written_to_and_not_replaced() {
    // It can not be synced, and is no file before and after.
    save(&nothing(), "s1", Path::new("/dev/null")).unwrap();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    let full = save(&nothing(), "s1", Path::new("/dev/full")).unwrap_err();
    assert_eq!(full.to_string(), "the plan file /dev/full can not be written");
}

#[test]
fn what_can_not_be_written_is_told_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let missing = save(&nothing(), "s1", &dir.path().join("none/plan")).unwrap_err().to_string();
    assert!(missing.ends_with("none/plan can not be written"), "{missing}");
    let folder = save(&nothing(), "s1", dir.path()).unwrap_err().to_string();
    assert!(folder.ends_with("can not be written"), "{folder}");
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn what_killed_processes_left_is_in_nobodys_way_until_it_is_a_thousand_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plan");
    let left = |tried: u32| dir.path().join(format!(".detc-plan-{}-{tried}", std::process::id()));
    (0..1_000).for_each(|tried| fs::write(left(tried), "left").unwrap());
    save(&nothing(), "s1", &path).unwrap();
    assert_eq!(fs::read_to_string(left(999)).unwrap(), "left");
    assert!(open(&path).is_ok() && !left(1_000).exists());
    fs::write(left(1_000), "left").unwrap();
    save(&nothing(), "s1", &path).unwrap_err();
    assert!(!left(1_001).exists());
}

#[test]
fn only_what_is_a_plan_or_nothing_may_be_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plan");
    assert!(may_be_replaced(&path) && may_be_replaced(dir.path()));
    save(&nothing(), "s1", &path).unwrap();
    assert!(may_be_replaced(&path));
    let holding = |text: &str| {
        fs::write(&path, text).unwrap();
        may_be_replaced(&path)
    };
    let of_other_versions = [r#"{"format":"detc.plan-file/"#, r#"{"format":"detc.plan-file/9","#, ""];
    assert_eq!(of_other_versions.map(holding), [true; 3]);
    let of_others = ["{", "notes", r#"{"format":"detc.plan-file"}"#, r#" {"format":"detc.plan-file/1"}"#];
    assert_eq!(of_others.map(holding), [false; 4]);
}
