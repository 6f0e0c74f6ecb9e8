//! What an archive holds, and whether it may be unpacked. Nothing is written here.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};

/// Most bytes of an archive when it is no longer compressed: it is held in memory while it is unpacked, and a small file can
/// become very large.
const UNPACKED_MAX: u64 = if cfg!(test) { 4 << 20 } else { 256 << 20 };

/// Most entries: each is a call to the host, and a line of the manifest.
const ENTRIES_MAX: usize = 20_000;

/// Longest name below the directory: with that, what Linux takes as a path.
const NAME_LEN_MAX: usize = 1024;

/// The bytes of which a tar archive has a multiple; one of zeros ends it.
const BLOCK: usize = 512;

/// The bits of a mode that make a file more than it is: its owner's rights for whoever runs it, and the like.
const SPECIAL_BITS: u32 = 0o7000;

/// An archive that may be unpacked.
#[derive(Debug)]
pub(super) struct Content {
    tar: Vec<u8>,
    files: BTreeMap<String, Entry>,
    dirs: BTreeMap<String, u32>,
}

#[derive(Debug)]
struct Entry {
    mode: u32,
    bytes: Range<usize>,
}

/// Why an archive is not unpacked.
#[derive(Debug)]
pub(super) enum Refused {
    /// It is not what it should be, or cut off.
    Unreadable(io::Error),
    /// The block that ends an archive is missing: it is only the beginning of one.
    CutOff,
    /// It would take more memory than it may.
    TooLarge,
    TooMany,
    /// An entry is no plain file or directory.
    Special {
        name: String,
        what: &'static str,
    },
    /// An entry would be somewhere else, or could be taken for something else.
    BadName {
        name: String,
        why: &'static str,
    },
    /// Two entries are at one place.
    Twice {
        name: String,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "can not be read as tar or tar and gzip: {error}"),
            Self::CutOff => f.write_str("is cut off: what ends a tar archive is missing"),
            Self::TooLarge => write!(f, "is more than {} MiB when it is unpacked", UNPACKED_MAX >> 20),
            Self::TooMany => write!(f, "has more than {ENTRIES_MAX} entries"),
            Self::Special { name, what } => write!(f, "holds `{name}`, which is {what}"),
            Self::BadName { name, why } => write!(f, "holds `{name}`, a name that {why}"),
            Self::Twice { name } => write!(f, "holds `{name}` more than once"),
        }
    }
}

impl Content {
    /// Reads an archive, and everything in it.
    ///
    /// # Errors
    /// Why it may not be unpacked.
    pub(super) fn read(archive: &[u8]) -> Result<Self, Refused> {
        let tar = plain(archive)?;
        let (mut files, mut dirs) = (BTreeMap::new(), BTreeMap::new());
        let mut end = 0;
        for (count, entry) in Archive::new(&tar[..]).entries().map_err(Refused::Unreadable)?.enumerate() {
            let entry = entry.map_err(Refused::Unreadable)?;
            if count >= ENTRIES_MAX {
                return Err(Refused::TooMany);
            }
            end = (entry.raw_file_position() + entry.size()).next_multiple_of(BLOCK as u64) as usize;
            let kind = entry.header().entry_type();
            // Remarks on all that follows, as `git archive` makes one.
            if kind == EntryType::XGlobalHeader {
                continue;
            }
            let raw = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let name = name_of(&raw)?;
            let mode = entry.header().mode().map_err(Refused::Unreadable)?;
            if let Some(what) = special(kind, mode) {
                return Err(Refused::Special { name: raw, what });
            }
            match (kind == EntryType::Directory, name.is_empty()) {
                // The directory itself, which is not the archive's.
                (true, true) => {}
                (true, false) => {
                    // Whoever unpacks must be able to write into it.
                    dirs.insert(name, (mode & 0o777) | 0o700);
                }
                (false, true) => return Err(Refused::BadName { name: raw, why: "is none" }),
                (false, false) => {
                    let from = entry.raw_file_position() as usize;
                    let bytes = from..from + entry.size() as usize;
                    if tar.get(bytes.clone()).is_none() {
                        return Err(Refused::Unreadable(io::ErrorKind::UnexpectedEof.into()));
                    }
                    if files.insert(name, Entry { mode: mode & 0o777, bytes }).is_some() {
                        return Err(Refused::Twice { name: raw });
                    }
                }
            }
        }
        if tar.get(end..end.saturating_add(BLOCK)).is_none_or(|block| block.iter().any(|byte| *byte != 0)) {
            return Err(Refused::CutOff);
        }
        add_parents(&files, &mut dirs);
        match files.keys().find(|name| dirs.contains_key(*name)) {
            Some(name) => Err(Refused::Twice { name: name.clone() }),
            None => Ok(Self { tar, files, dirs }),
        }
    }

    /// The content of a file.
    pub(super) fn file(&self, name: &str) -> &[u8] {
        &self.tar[self.files[name].bytes.clone()]
    }

    /// Names and modes of all files.
    pub(super) fn files(&self) -> impl Iterator<Item = (&String, u32)> {
        self.files.iter().map(|(name, entry)| (name, entry.mode))
    }

    /// Names and modes of all directories, each after those that it is in.
    pub(super) fn dirs(&self) -> &BTreeMap<String, u32> {
        &self.dirs
    }
}

/// The archive as it is when it is not compressed.
fn plain(archive: &[u8]) -> Result<Vec<u8>, Refused> {
    const GZIP: &[u8] = &[0x1f, 0x8b];
    let mut tar = Vec::new();
    let read = match archive.starts_with(GZIP) {
        true => MultiGzDecoder::new(archive).take(UNPACKED_MAX + 1).read_to_end(&mut tar),
        false => archive.take(UNPACKED_MAX + 1).read_to_end(&mut tar),
    };
    match read {
        Err(error) => Err(Refused::Unreadable(error)),
        Ok(len) if len as u64 > UNPACKED_MAX => Err(Refused::TooLarge),
        Ok(_) => Ok(tar),
    }
}

fn special(kind: EntryType, mode: u32) -> Option<&'static str> {
    match kind {
        EntryType::Regular | EntryType::Directory if mode & SPECIAL_BITS == 0 => None,
        EntryType::Regular | EntryType::Directory => Some("setuid, setgid or sticky"),
        EntryType::Symlink => Some("a symbolic link"),
        EntryType::Link => Some("a hard link"),
        EntryType::Char | EntryType::Block => Some("a device"),
        EntryType::Fifo => Some("a pipe"),
        EntryType::GNUSparse => Some("a file with holes"),
        _ => Some("neither a file nor a directory"),
    }
}

/// The name of an entry below the directory that it is unpacked into; empty for that itself.
fn name_of(raw: &str) -> Result<String, Refused> {
    let bad = |why| Refused::BadName { name: raw.to_owned(), why };
    if raw.starts_with('/') {
        return Err(bad("is absolute"));
    }
    let parts: Vec<&str> = raw.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err(bad("goes up"));
    }
    // A list of check sums has them escaped, in more than one way; and one that is no UTF-8 would be another name.
    if raw.contains(|c: char| c.is_control() || c == '\\' || c == char::REPLACEMENT_CHARACTER) {
        return Err(bad("holds what is no plain letter"));
    }
    let name = parts.join("/");
    if name.len() > NAME_LEN_MAX { Err(bad("is too long")) } else { Ok(name) }
}

/// Directories that files and directories are in and that are no entries themselves.
fn add_parents(files: &BTreeMap<String, Entry>, dirs: &mut BTreeMap<String, u32>) {
    let names: Vec<String> = files.keys().chain(dirs.keys()).cloned().collect();
    for name in names {
        for (at, _) in name.match_indices('/') {
            dirs.entry(name[..at].to_owned()).or_insert(0o755);
        }
    }
}
