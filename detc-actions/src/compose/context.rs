//! The folder that an image is built from, as a tar archive: the same files make the same bytes.

use std::fs;
use std::io::{self, Cursor};
use std::path::Path;

use detc_core::content::Content;
use detc_core::model::Digest;
use regex_lite::Regex;

/// What a context may come to, in bytes: it is held in memory.
const LEN_MAX: u64 = 1 << 30;

/// The archive of a folder and its digest, without what `.dockerignore` in it leaves out. Owners and times are in none: only what is in
/// the files, what they are called, and whether they can be run.
pub(super) fn context(folder: &Path, dockerfile: Option<&str>) -> Result<(Digest, Content), String> {
    let shown = folder.display();
    let ignored = match fs::read_to_string(folder.join(".dockerignore")) {
        Ok(text) => Ignored::read(&text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ignored::default(),
        Err(error) => return Err(format!("{shown}/.dockerignore can not be read: {error}")),
    };
    let mut paths = Vec::new();
    let failed = |error: io::Error| format!("{shown} can not be read: {error}");
    walk(folder, "", &mut paths).map_err(failed)?;
    // Else one that names the recipe would leave nothing to build by.
    let needed = [dockerfile.unwrap_or("Dockerfile"), ".dockerignore"];
    let is_in = |path: &&String| needed.contains(&path.as_str()) || !ignored.has(path);
    let mut archive = tar::Builder::new(Vec::new());
    let mut whole = 0;
    for path in paths.iter().filter(is_in) {
        whole += add(&mut archive, folder, path).map_err(failed)?;
        if whole > LEN_MAX {
            return Err(format!(
                "{shown} has more than {} MiB: leave out what is not needed, by a `.dockerignore`",
                LEN_MAX >> 20
            ));
        }
    }
    let bytes = archive.into_inner().map_err(failed)?;
    let content = Content::from(bytes);
    Ok((Digest::of_content(&content), content))
}

/// All that is beneath a folder, in order.
fn walk(folder: &Path, beneath: &str, paths: &mut Vec<String>) -> io::Result<()> {
    let mut entries: Vec<fs::DirEntry> = fs::read_dir(folder.join(beneath))?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| io::Error::other(format!("{name:?} is no UTF-8 text")))?;
        let path = if beneath.is_empty() { name.to_owned() } else { format!("{beneath}/{name}") };
        let is_dir = entry.file_type()?.is_dir();
        paths.push(path.clone());
        if is_dir {
            walk(folder, &path, paths)?;
        }
    }
    Ok(())
}

/// Adds one, and gives how long it is.
fn add(archive: &mut tar::Builder<Vec<u8>>, folder: &Path, path: &str) -> io::Result<u64> {
    let from = folder.join(path);
    let found = fs::symlink_metadata(&from)?;
    let mut header = tar::Header::new_gnu();
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    if found.is_symlink() {
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        archive.append_link(&mut header, path, fs::read_link(&from)?)?;
        return Ok(0);
    }
    if found.is_dir() {
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        archive.append_data(&mut header, path, io::empty())?;
        return Ok(0);
    }
    if !found.is_file() {
        return Err(io::Error::other(format!("{path} is no regular file")));
    }
    let bytes = fs::read(&from)?;
    header.set_mode(if is_run(&found) { 0o755 } else { 0o644 });
    header.set_size(bytes.len() as u64);
    let len = bytes.len() as u64;
    archive.append_data(&mut header, path, Cursor::new(bytes))?;
    Ok(len)
}

#[cfg(unix)]
fn is_run(found: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    found.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_run(_: &fs::Metadata) -> bool {
    false
}

/// What a `.dockerignore` leaves out (Dockerfile reference, ".dockerignore file"): the last pattern that a path, or a folder that it is
/// in, matches says whether it is left out.
#[derive(Default)]
struct Ignored {
    patterns: Vec<(Regex, bool)>,
}

impl Ignored {
    fn read(text: &str) -> Result<Self, String> {
        let mut patterns = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (pattern, leaves_out) = match line.strip_prefix('!') {
                Some(pattern) => (pattern.trim(), false),
                None => (line, true),
            };
            let pattern = pattern.trim_start_matches("./").trim_matches('/');
            let regex = Regex::new(&as_regex(pattern))
                .map_err(|_| format!("`.dockerignore` has `{line}`, which is no pattern"))?;
            patterns.push((regex, leaves_out));
        }
        Ok(Self { patterns })
    }

    fn has(&self, path: &str) -> bool {
        let matches = |regex: &Regex| {
            let above = path.match_indices('/').map(|(at, _)| &path[..at]);
            above.chain([path]).any(|path| regex.is_match(path))
        };
        self.patterns
            .iter()
            .rev()
            .find(|(regex, _)| matches(regex))
            .is_some_and(|(_, leaves_out)| *leaves_out)
    }
}

/// `*` and `?` are within one name, `**` is any number of names, `[…]` a class.
fn as_regex(pattern: &str) -> String {
    let mut regex = "^".to_owned();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("**/") {
            regex.push_str("(.*/)?");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("**") {
            regex.push_str(".*");
            rest = after;
        } else {
            match c {
                '*' => regex.push_str("[^/]*"),
                '?' => regex.push_str("[^/]"),
                '[' | ']' | '-' | '^' => regex.push(c),
                '\\' => {
                    rest = &rest[1..];
                    regex.push_str(&regex_lite::escape(&rest.chars().take(1).collect::<String>()));
                }
                other => regex.push_str(&regex_lite::escape(&other.to_string())),
            }
            rest = &rest[rest.chars().next().map_or(0, char::len_utf8)..];
        }
    }
    regex.push('$');
    regex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_that_of_docker() {
        let text = "# a comment\n*.log\n**/tmp\nbuild/\n!build/keep.txt\ndocs/*/draft?.md\n[ab].c\n./x";
        let ignored = Ignored::read(text).unwrap();
        for path in [
            "a.log",
            "tmp",
            "deep/er/tmp",
            "deep/tmp/file",
            "build",
            "build/x",
            "docs/v1/draft1.md",
            "a.c",
            "x",
            "x/y",
        ] {
            assert!(ignored.has(path), "{path}");
        }
        for path in
            ["sub/a.log", "build/keep.txt", "docs/v1/x/draft1.md", "docs/v1/draft.md", "c.c", "tmpx", "ax"]
        {
            assert!(!ignored.has(path), "{path}");
        }
    }

    #[test]
    fn the_same_files_make_the_same_archive_whenever_they_were_written() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let digests = dirs.each_ref().map(|dir| {
            fs::create_dir(dir.path().join("sub")).unwrap();
            fs::write(dir.path().join("sub/file"), "same").unwrap();
            fs::write(dir.path().join("Dockerfile"), "FROM scratch").unwrap();
            fs::write(dir.path().join(".dockerignore"), "Dockerfile\nleft-out\n").unwrap();
            let first = context(dir.path(), None).unwrap().0;
            fs::write(dir.path().join("left-out"), "never seen").unwrap();
            assert_eq!(context(dir.path(), None).unwrap().0, first);
            first
        });
        assert_eq!(digests[0], digests[1]);
        fs::write(dirs[0].path().join("sub/file"), "other").unwrap();
        let (digest, content) = context(dirs[0].path(), None).unwrap();
        assert_ne!(digest, digests[0]);
        let bytes = content.bytes(1 << 20).unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let names: Vec<String> =
            archive.entries().unwrap().map(|it| it.unwrap().path().unwrap().display().to_string()).collect();
        assert_eq!(names, [".dockerignore", "Dockerfile", "sub", "sub/file"]);
    }
}
