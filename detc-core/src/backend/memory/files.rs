//! A file tree in memory: directories, files, symbolic links, modes, owners, a limited disk.
//!
//! Paths resolve as on a real host: links in the middle are followed, `.` and `..` understood, loops found.
//! Permissions are kept and not enforced: a memory host does everything as root.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::{self, ErrorKind};

use crate::backend::host::{FileKind, Owner, Ownership, Remove, Stat};

/// How many links one path may lead through: as many as Linux follows.
const LINKS_MAX: usize = 40;

/// A file tree in memory. Its calls fail as system calls would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// By canonical path, without a trailing slash; the root is the empty path.
    nodes: BTreeMap<String, Node>,
    names: BTreeMap<String, u32>,
    capacity: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    mode: u32,
    owner: u32,
    group: u32,
    body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Body {
    File(Vec<u8>),
    Directory,
    Symlink(String),
}

/// Whether `path` is at or below `except`, or only leads there.
fn leads_to(path: &str, except: &str) -> bool {
    path.strip_prefix(except).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        || except.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
}

impl Files {
    /// An empty tree, owned by root, on a disk without limit.
    pub(super) fn new() -> Self {
        let root = Node { mode: 0o755, owner: 0, group: 0, body: Body::Directory };
        Self {
            nodes: BTreeMap::from([(String::new(), root)]),
            names: BTreeMap::from([("root".to_owned(), 0)]),
            capacity: u64::MAX,
        }
    }

    pub(super) fn set_capacity(&mut self, bytes: u64) {
        self.capacity = bytes;
    }

    pub(super) fn add_name(&mut self, name: &str, id: u32) {
        self.names.insert(name.to_owned(), id);
    }

    /// Bytes in all files.
    pub fn used(&self) -> u64 {
        self.nodes.values().map(Node::len).sum()
    }

    /// Every path below `path`, in order.
    pub fn list(&self, path: &str) -> Vec<String> {
        self.below(path.trim_end_matches('/')).map(|(path, _)| path.clone()).collect()
    }

    /// The paths at which this and `other` differ, but those at or below `except`.
    pub(super) fn differences(&self, other: &Self, except: &str) -> Vec<String> {
        let paths =
            self.nodes.keys().chain(other.nodes.keys().filter(|path| !self.nodes.contains_key(*path)));
        let differ =
            |path: &&String| !leads_to(path, except) && self.nodes.get(*path) != other.nodes.get(*path);
        paths.filter(differ).cloned().collect()
    }

    /// All that there is, a line for each path, but what lies at or below `except`.
    pub fn dump(&self, except: &str) -> String {
        let mut text = String::new();
        for (path, node) in self.nodes.iter().filter(|(path, _)| !leads_to(path, except)) {
            let what = match &node.body {
                Body::File(content) => format!("{:?}", String::from_utf8_lossy(content)),
                Body::Directory => "a directory".to_owned(),
                Body::Symlink(target) => format!("a link to {target}"),
            };
            let (mode, owner, group) = (node.mode, self.owner(node.owner), self.owner(node.group));
            _ = writeln!(text, "{path} ({mode:o} {owner} {group}): {what}");
        }
        text
    }

    /// Looks at a path, without following a link in the last place.
    ///
    /// # Errors
    /// When the path can not be followed to its last place; `NotFound` and `NotADirectory` mean that nothing is there.
    pub fn stat(&self, path: &str) -> io::Result<Stat> {
        let node = self.node(&self.resolve(path, Last::Kept)?)?;
        let kind = match &node.body {
            Body::File(_) => FileKind::File,
            Body::Directory => FileKind::Directory,
            Body::Symlink(_) => FileKind::Symlink,
        };
        Ok(Stat::new(kind, node.mode, node.len(), self.owner(node.owner), self.owner(node.group)))
    }

    /// Reads a file, through links.
    ///
    /// # Errors
    /// `NotFound`, `IsADirectory` and the like.
    pub fn read(&self, path: &str) -> io::Result<&[u8]> {
        match &self.node(&self.resolve(path, Last::Followed)?)?.body {
            Body::File(content) => Ok(content),
            Body::Directory => Err(ErrorKind::IsADirectory.into()),
            Body::Symlink(_) => Err(loops()),
        }
    }

    /// Replaces a file's content; a link in the last place is replaced.
    ///
    /// # Errors
    /// `NotFound` for a missing directory, `StorageFull`, `IsADirectory`; nothing has changed then.
    pub fn write(&mut self, path: &str, content: &[u8], ownership: &Ownership) -> io::Result<()> {
        let path = self.resolve(path, Last::Kept)?;
        let old = self.nodes.get(&path).filter(|node| matches!(node.body, Body::File(_) | Body::Directory));
        if let Some(Node { body: Body::Directory, .. }) = old {
            return Err(ErrorKind::IsADirectory.into());
        }
        let (mode, owner, group) = old.map_or((0o644, 0, 0), |old| (old.mode, old.owner, old.group));
        let mut node = Node { mode, owner, group, body: Body::File(content.to_vec()) };
        self.apply(&mut node, ownership)?;
        // As on a real host, the old content stays on the disk until the new one has taken its place.
        if self.used().saturating_add(node.len()) > self.capacity {
            return Err(ErrorKind::StorageFull.into());
        }
        self.nodes.insert(path, node);
        Ok(())
    }

    /// Makes a directory with its missing parents.
    ///
    /// # Errors
    /// When something else is there, or in the way.
    pub fn make_dir(&mut self, path: &str, ownership: &Ownership) -> io::Result<()> {
        let whole = path.trim_end_matches('/');
        let ends = whole.match_indices('/').skip(1).map(|(end, _)| end).chain([whole.len()]);
        for end in ends {
            let is_last = end == whole.len();
            let last = if is_last { Last::Kept } else { Last::Followed };
            let path = self.resolve(&path[..end], last)?;
            let mut node = match self.nodes.get(&path) {
                Some(node) if matches!(node.body, Body::Directory) => node.clone(),
                Some(_) => return Err(ErrorKind::AlreadyExists.into()),
                None => Node { mode: 0o755, owner: 0, group: 0, body: Body::Directory },
            };
            if is_last {
                self.apply(&mut node, ownership)?;
            }
            self.nodes.insert(path, node);
        }
        Ok(())
    }

    /// Sets mode and owner of a file or directory.
    ///
    /// # Errors
    /// `NotFound`, and `InvalidInput` for a link.
    pub fn set_ownership(&mut self, path: &str, ownership: &Ownership) -> io::Result<()> {
        let path = self.resolve(path, Last::Kept)?;
        let mut node = self.node(&path)?.clone();
        if matches!(node.body, Body::Symlink(_)) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "a symbolic link has no mode"));
        }
        self.apply(&mut node, ownership)?;
        self.nodes.insert(path, node);
        Ok(())
    }

    /// Removes what is at `path`.
    ///
    /// # Errors
    /// See [`Remove`]; `NotFound` and `NotADirectory` mean that nothing is there.
    pub fn remove(&mut self, path: &str, how: Remove) -> io::Result<()> {
        let path = self.resolve(path, Last::Kept)?;
        let is_dir = matches!(self.node(&path)?.body, Body::Directory);
        match (how, is_dir) {
            (Remove::File, true) => {
                return Err(io::Error::new(ErrorKind::InvalidInput, "it is a directory"));
            }
            (Remove::EmptyDirectory, false) => {
                return Err(io::Error::new(ErrorKind::InvalidInput, "it is no directory"));
            }
            (_, true) if path.is_empty() => {
                return Err(io::Error::new(ErrorKind::InvalidInput, "the root is not removed"));
            }
            (Remove::EmptyDirectory, true) if self.below(&path).next().is_some() => {
                return Err(ErrorKind::DirectoryNotEmpty.into());
            }
            (Remove::EmptyDirectory | Remove::Tree, true) | (Remove::File | Remove::Tree, false) => {}
        }
        for below in self.list(&path) {
            self.nodes.remove(&below);
        }
        self.nodes.remove(&path);
        Ok(())
    }

    /// Makes a symbolic link at `path` that leads to `target`.
    ///
    /// # Errors
    /// When something is there already.
    pub fn symlink(&mut self, target: &str, path: &str) -> io::Result<()> {
        let path = self.resolve(path, Last::Kept)?;
        if self.nodes.contains_key(&path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let body = Body::Symlink(target.to_owned());
        self.nodes.insert(path, Node { mode: 0o777, owner: 0, group: 0, body });
        Ok(())
    }

    /// The path that `path` leads to, through all its links. Only its last place may be missing.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, and links that lead in a circle.
    pub fn canonical(&self, path: &str) -> io::Result<String> {
        self.resolve(path, Last::Followed)
    }

    fn node(&self, path: &str) -> io::Result<&Node> {
        self.nodes.get(path).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn below(&self, path: &str) -> impl Iterator<Item = (&String, &Node)> {
        let prefix = format!("{path}/");
        self.nodes.range(prefix.clone()..).take_while(move |(path, _)| path.starts_with(&prefix))
    }

    /// The canonical path. All but the last place must exist.
    fn resolve(&self, path: &str, last: Last) -> io::Result<String> {
        let mut rest: VecDeque<String> = places(path).collect();
        let mut at = String::new();
        let mut links = 0;
        while let Some(place) = rest.pop_front() {
            if place == ".." {
                at.truncate(at.rfind('/').unwrap_or(0));
                continue;
            }
            let next = format!("{at}/{place}");
            match self.nodes.get(&next).map(|node| &node.body) {
                Some(Body::Symlink(_)) if rest.is_empty() && last == Last::Kept => at = next,
                Some(Body::Symlink(target)) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(loops());
                    }
                    if target.starts_with('/') {
                        at.clear();
                    }
                    for place in places(target).rev() {
                        rest.push_front(place);
                    }
                }
                Some(Body::Directory) => at = next,
                Some(Body::File(_)) if rest.is_empty() => at = next,
                Some(Body::File(_)) => return Err(ErrorKind::NotADirectory.into()),
                None if rest.is_empty() => at = next,
                None => return Err(ErrorKind::NotFound.into()),
            }
        }
        Ok(at)
    }

    fn owner(&self, id: u32) -> Owner {
        let name = self.names.iter().find(|(_, known)| **known == id).map(|(name, _)| name.clone());
        Owner { id, name }
    }

    fn apply(&self, node: &mut Node, ownership: &Ownership) -> io::Result<()> {
        let id = |name: &String| {
            let known = self.names.get(name).copied().or_else(|| name.parse().ok());
            known.ok_or_else(|| io::Error::other(format!("there is no user or group `{name}`")))
        };
        node.mode = ownership.mode.unwrap_or(node.mode);
        node.owner = ownership.owner.as_ref().map_or(Ok(node.owner), id)?;
        node.group = ownership.group.as_ref().map_or(Ok(node.group), id)?;
        Ok(())
    }
}

impl Node {
    fn len(&self) -> u64 {
        match &self.body {
            Body::File(content) => content.len() as u64,
            Body::Directory | Body::Symlink(_) => 0,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Followed,
    Kept,
}

fn places(path: &str) -> impl DoubleEndedIterator<Item = String> {
    path.split('/').filter(|place| !place.is_empty() && *place != ".").map(str::to_owned)
}

fn loops() -> io::Error {
    io::Error::other("too many levels of symbolic links")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Files {
        let mut files = Files::new();
        files.make_dir("/a/b", &Ownership::default()).unwrap();
        files.write("/a/b/f", b"old", &Ownership::default()).unwrap();
        files.symlink("b", "/a/link").unwrap();
        files
    }

    #[test]
    fn links_in_the_middle_are_followed_and_a_loop_is_an_error() {
        let mut files = tree();
        assert_eq!(files.read("/a/link/../b/./f").unwrap(), b"old");
        assert_eq!(files.stat("/a/link").unwrap().kind, FileKind::Symlink);
        files.symlink("/loop", "/loop").unwrap();
        assert!(files.stat("/loop/x").unwrap_err().to_string().contains("levels"));
    }

    #[test]
    fn a_full_disk_keeps_the_old_content() {
        let mut files = tree();
        files.set_capacity(8);
        let error = files.write("/a/b/f", b"longer", &Ownership::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert_eq!(files.read("/a/b/f").unwrap(), b"old");
        files.write("/a/b/f", b"short", &Ownership::default()).unwrap();
    }

    #[test]
    fn a_tree_is_removed_without_what_its_links_lead_to() {
        let mut files = tree();
        files.make_dir("/c", &Ownership::default()).unwrap();
        files.symlink("/a", "/c/a").unwrap();
        files.remove("/c", Remove::Tree).unwrap();
        assert_eq!(files.list("/"), ["/a", "/a/b", "/a/b/f", "/a/link"]);
    }
}
