//! Which module of core may use which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{root, sources};

/// A part of core: a module, or what stands above the rest of a module whose name users know it by.
type Part = &'static str;

/// What reads and checks a whole desired state. It belongs to the model for those who use it, and knows the kinds: so it stands
/// above them, and the rest of the model below.
const CHECKS: Part = "model's checks";

/// The files that are [`CHECKS`].
const CHECKS_FILES: [&str; 3] = ["model/check", "model/hide", "model/load"];

/// Each part, with all that it may use. The lowest come first: none uses a later one, so that there is no cycle.
const MAY_USE: [(Part, &[Part]); 13] = [
    ("content", &[]),
    ("model", &["content"]),
    ("backend", &["content"]),
    ("store", &[]),
    ("action", &["content", "model", "backend"]),
    ("resource", &["content", "model", "backend", "action"]),
    (CHECKS, &["action", "resource"]),
    ("diff", &["model", "resource"]),
    ("plan", &["model", "action", "resource", "diff"]),
    ("execute", &["content", "model", "backend", "store", "action", "resource", "diff", "plan"]),
    ("manage", &["content", "model", "backend", "store", "action", "resource", "diff", "plan", "execute"]),
    ("operate", &["model", "store", "resource", "diff", "plan", "execute", "manage"]),
    ("testing", &["content", "model", "backend", "store", "action", "resource", "plan", "execute", "manage"]),
];

fn part_of(inner: &str) -> Part {
    let is_check = |file: &str| inner == file || inner.starts_with(&format!("{file}/"));
    if CHECKS_FILES.iter().any(|file| is_check(file)) {
        return CHECKS;
    }
    let module = inner.split('/').next().unwrap();
    let known = MAY_USE.iter().find(|(part, _)| *part == module);
    known.unwrap_or_else(|| panic!("{inner} is in no part that is listed here")).0
}

/// The names that follow `before` in a line.
fn names_after<'a>(line: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    let name =
        |rest: &'a str| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    line.split(before).skip(1).map(name)
}

/// What the model has of its checks under its own name: its other files do not use that.
fn names_of_checks(src: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(src.join("model.rs")).unwrap();
    let mut names = BTreeSet::from(["check", "hide", "load"].map(str::to_owned));
    for line in text
        .lines()
        .filter(|line| ["check", "hide", "load"].iter().any(|it| line.contains(&format!("use {it}::"))))
    {
        let listed = line.split("::").nth(1).unwrap();
        names.extend(listed.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned));
    }
    names.remove("");
    names
}

#[test]
fn each_module_of_core_uses_only_what_it_may() {
    let src = root().join("detc-core/src");
    let (mut files, mut used) = (Vec::new(), BTreeMap::<Part, BTreeSet<&str>>::new());
    sources(&src, &mut files);
    let of_checks = names_of_checks(&src);
    assert!(of_checks.contains("InvalidState"), "{of_checks:?}");
    for file in files {
        let inner = file.strip_prefix(&src).unwrap().to_str().unwrap().replace(".rs", "");
        // Tests take what helps them.
        if inner == "lib" || inner.split('/').any(|name| name == "tests") {
            continue;
        }
        let part = part_of(&inner);
        let module = inner.split('/').next().unwrap();
        let allowed = MAY_USE.iter().find(|(name, _)| *name == part).unwrap().1;
        let text = std::fs::read_to_string(&file).unwrap();
        for (number, line) in
            text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            let place = || format!("{}:{}: {line}", file.display(), number + 1);
            assert!(
                !line.contains("crate::{"),
                "{}: a line for each module, so that it is seen here",
                place()
            );
            // What an inner module reaches through `super` it reaches in its own module.
            let depth = inner.split('/').count() + usize::from(line.starts_with(' '));
            assert!(!line.contains(&"super::".repeat(depth)), "{}: it leads out of {module}", place());
            for name in names_after(line, "crate::") {
                if name == module {
                    continue;
                }
                let Some((other, _)) = MAY_USE.iter().find(|(other, _)| *other == name) else { continue };
                assert!(allowed.contains(other), "{}: {part} may not use {other}", place());
                used.entry(part).or_default().insert(other);
            }
            if part == "model" && inner != "model" {
                let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
                let is_of_checks =
                    |word: &str| of_checks.contains(word) && word.starts_with(char::is_uppercase);
                let used = words.find(|word| is_of_checks(word));
                let reached = names_after(line, "super::").find(|name| of_checks.contains(*name));
                assert_eq!((used, reached), (None, None), "{}: it is above the model", place());
            }
        }
    }
    // What is allowed is used: a list that allows more than that says nothing.
    for (part, allowed) in MAY_USE {
        let used = used.remove(part).unwrap_or_default();
        assert_eq!(allowed.iter().copied().collect::<BTreeSet<_>>(), used, "what {part} may use, and uses");
    }
}

#[test]
fn what_may_be_used_has_no_cycle() {
    let mut below = BTreeSet::new();
    for (part, allowed) in MAY_USE {
        let later: Vec<_> = allowed.iter().filter(|used| !below.contains(*used)).collect();
        assert!(later.is_empty(), "{part} may use {later:?}, which come after it");
        below.insert(part);
    }
}
