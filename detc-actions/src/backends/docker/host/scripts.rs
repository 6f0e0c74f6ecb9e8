//! What the shell of a container is told to do with files, and what its answers mean.
//!
//! Each script ends with a code that says what the caller does next; what programs print goes along where none does.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use detc_core::backend::host::{Command, ExitStatus, FileKind, Output, Owner, Ownership, Stat};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::exec::{Feed, Job};
use crate::backends::shell::script::Mark;

/// How long a call on files may take: a large file over a slow line.
const TIMEOUT: Duration = Duration::from_secs(6 * 3600);

/// How much of what programs say is kept: more than an engine sends in one piece, of which the first may hold the beginning of what
/// is read.
const SAID_MAX: usize = 1 << 20;

const NO_DIRECTORY: i32 = 91;
const TOO_LARGE: i32 = 93;
const INVALID: i32 = 94;
const NOT_EMPTY: i32 = 95;
/// Why something could not be looked at is in what was printed.
const UNSEEN: i32 = 96;

/// What a script came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// All is done; what it has printed.
    Well(String),
    Absent,
    /// The directory that it would be in is not there.
    NoDirectory,
    TooLarge,
    Invalid(String),
    NotEmpty,
    Refused(String),
}

impl Done {
    pub(super) fn of(output: &Output) -> Self {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        match output.status {
            ExitStatus::Code(0) => Self::Well(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            ExitStatus::Code(NO_DIRECTORY) => Self::NoDirectory,
            ExitStatus::Code(TOO_LARGE) => Self::TooLarge,
            ExitStatus::Code(INVALID) => Self::Invalid(said),
            ExitStatus::Code(NOT_EMPTY) => Self::NotEmpty,
            ExitStatus::Code(UNSEEN) if is_absent(&said) => Self::Absent,
            ExitStatus::Code(_) | ExitStatus::Signal(_) if said.is_empty() => {
                Self::Refused(format!("it ended with {}", output.status))
            }
            ExitStatus::Code(_) | ExitStatus::Signal(_) => Self::Refused(said),
        }
    }
}

/// Whether what could not be looked at is not there, by what the system says of it.
fn is_absent(said: &str) -> bool {
    said.ends_with(": No such file or directory") || said.ends_with(": Not a directory")
}

/// A script as a job, which is root's.
pub(super) fn job(script: &str, arguments: &[&str], feed: Feed, taken: Option<mpsc::Sender<Bytes>>) -> Job {
    let argv = ["/bin/sh", "-c", script, "detc"].into_iter().chain(arguments.iter().copied());
    let mut command = Command::new(argv).with_timeout(TIMEOUT).with_output_max(SAID_MAX);
    command.env = BTreeMap::from([("LC_ALL".to_owned(), "C".to_owned())]);
    Job { command, user: Some("0:0".to_owned()), feed, taken }
}

pub(super) fn octal(mode: Option<u32>) -> String {
    mode.map(|mode| format!("{mode:04o}")).unwrap_or_default()
}

pub(super) fn words_of(ownership: &Ownership) -> (String, &str, &str) {
    (
        octal(ownership.mode),
        ownership.owner.as_deref().unwrap_or_default(),
        ownership.group.as_deref().unwrap_or_default(),
    )
}

/// What a new file is called before it is in its place.
pub(super) struct NewName {
    /// This one.
    pub(super) this: String,
    /// What all begin with that were to be put in that place: crashed writes have left them.
    pub(super) all: String,
}

pub(super) fn new_name(path: &str) -> NewName {
    let dir = path.trim_end_matches('/').rsplit_once('/').map_or("", |(dir, _)| dir);
    let sum = Sha256::digest(path.as_bytes());
    let sum: String = sum.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let all = format!("{dir}/.detc-new-{sum}-");
    NewName { this: format!("{all}{}", Mark::new().as_str()), all }
}

/// `PATH`
pub(super) const STAT: &str = r#"stat -c '%f %s %u %g %U %G' "$1" || exit 96"#;

/// `PATH LIMIT`
pub(super) const READ: &str = r#"
m=$(stat -L -c '%f %s' "$1") || exit 96
case $m in 8???\ *) ;; *) echo "it is no regular file" >&2; exit 92 ;; esac
[ "${m#* }" -le "$2" ] || exit 93
exec cat "$1"
"#;

/// `PATH ALL THIS LEN …`: what a write needs, and leaves, before the content comes.
macro_rules! begin {
    () => {
        r#"
p=$1 n=$3 len=$4 mode=$5 own=$6 group=$7
d=${p%/*}; [ -d "${d:-/}" ] || exit 91
if [ -d "$p" ] && [ ! -L "$p" ]; then echo "a directory is there" >&2; exit 92; fi
"#
    };
}

/// Takes the content. It is complete when it is as long as it is to be.
macro_rules! bring {
    () => {
        r#"
rm -f "$2"*
(umask 077; cat >"$n") || { rm -f "$n"; exit 97; }
x=$(wc -c <"$n")
if [ "$x" -ne "$len" ]; then rm -f "$n"; echo "its end did not come: $x of $len bytes" >&2; exit 97; fi
"#
    };
}

/// Gives it its mode and owner, and puts it in its place.
macro_rules! place {
    () => {
        r#"
trap 'rm -f "$n"' EXIT
if [ -f "$p" ] && [ ! -L "$p" ]; then
  o=$(stat -c '%a %u %g' "$p") || exit 97
  [ -n "$mode" ] || mode=${o%% *}
  o=${o#* }; [ -n "$own" ] || own=${o% *}; [ -n "$group" ] || group=${o#* }
fi
if [ -n "$own$group" ]; then chown "$own${group:+:$group}" "$n" || exit 97; fi
chmod "${mode:-0644}" "$n" || exit 97
sync "$n" 2>/dev/null || sync
if mv -fT "$n" "$p" 2>/dev/null; then exit 0; fi
[ ! -L "$p" ] || rm -f "$p"
mv -f "$n" "$p" || exit 97
"#
    };
}

/// `PATH ALL THIS LEN MODE OWNER GROUP`, with the content as input.
pub(super) const WRITE: &str = concat!(begin!(), bring!(), place!());
/// The same, but that it is not put in its place.
pub(super) const BRING: &str = concat!(begin!(), bring!());
/// The same of what was brought.
pub(super) const PLACE: &str = concat!(begin!(), place!());

/// `PATH MODE OWNER GROUP`
pub(super) const MAKE_DIR: &str = r#"
mode=$2
if [ ! -d "$1" ]; then
  (umask 022; mkdir -p "$1") || exit 97
  mode=${mode:-0755}
fi
if [ -n "$3$4" ]; then chown "$3${4:+:$4}" "$1" || exit 97; fi
if [ -n "$mode" ]; then chmod "$mode" "$1" || exit 97; fi
"#;

/// `PATH MODE OWNER GROUP`
pub(super) const SET_OWNERSHIP: &str = r#"
m=$(stat -c '%f %a' "$1") || exit 96
case $m in a*) echo "$1 is a symbolic link" >&2; exit 94 ;; esac
if [ -n "$3$4" ]; then chown "$3${4:+:$4}" "$1" || exit 97; fi
chmod "${2:-${m#* }}" "$1" || exit 97
"#;

/// `PATH`
pub(super) const REMOVE_FILE: &str = r#"
m=$(stat -c '%f' "$1") || exit 96
case $m in 4???) echo "$1 is a directory" >&2; exit 94 ;; esac
rm -f "$1" || exit 97
"#;

/// `PATH`
pub(super) const REMOVE_EMPTY: &str = r#"
m=$(stat -c '%f' "$1") || exit 96
case $m in 4???) ;; *) echo "$1 is no directory" >&2; exit 94 ;; esac
[ -z "$(ls -A "$1")" ] || exit 95
rmdir "$1" || exit 97
"#;

/// `PATH`
pub(super) const REMOVE_TREE: &str = r#"
stat -c '%f' "$1" || exit 96
rm -rf "$1" || exit 97
"#;

/// What [`STAT`] has printed.
pub(super) fn stat_of(said: &str) -> Option<Stat> {
    let mut words = said.split(' ');
    let mode = u32::from_str_radix(words.next()?, 16).ok()?;
    let size = words.next()?.parse().ok()?;
    let (user, group) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let mut owner = |id: u32| {
        let name = words.next().filter(|name| *name != "UNKNOWN" && *name != id.to_string());
        Owner { id, name: name.map(str::to_owned) }
    };
    let (owner, group) = (owner(user), owner(group));
    let kind = match mode & 0o170_000 {
        0o100_000 => FileKind::File,
        0o040_000 => FileKind::Directory,
        0o120_000 => FileKind::Symlink,
        _ => FileKind::Other,
    };
    Some(Stat::new(kind, mode & 0o7777, size, owner, group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_of_a_path_is_read() {
        let owner = |id, name: Option<&str>| Owner { id, name: name.map(str::to_owned) };
        assert_eq!(
            stat_of("89c9 12 0 7 root UNKNOWN"),
            Some(Stat::new(FileKind::File, 0o4711, 12, owner(0, Some("root")), owner(7, None)))
        );
        assert_eq!(stat_of("41ed 4096 0 0 root root").map(|stat| stat.kind), Some(FileKind::Directory));
        assert_eq!(stat_of("a1ff 7 0 0 root root").map(|stat| stat.kind), Some(FileKind::Symlink));
        assert_eq!(stat_of("no"), None);
    }

    #[test]
    fn absent_is_told_apart_from_what_could_not_be_found_out() {
        let of = |code, stderr: &str| {
            Done::of(&Output {
                status: ExitStatus::Code(code),
                stdout: Vec::new(),
                stderr: stderr.into(),
                truncated: false,
            })
        };
        assert_eq!(of(96, "stat: can't stat '/a': No such file or directory\n"), Done::Absent);
        assert_eq!(of(96, "stat: cannot statx '/a/b': Not a directory"), Done::Absent);
        let circle = "stat: can't stat '/a': Symbolic link loop";
        assert_eq!(of(96, circle), Done::Refused(circle.to_owned()));
        assert_eq!(of(127, ""), Done::Refused("it ended with exit code 127".to_owned()));
    }

    #[test]
    fn a_new_file_is_beside_the_one_that_it_replaces() {
        let name = new_name("/srv/app.conf");
        assert!(name.this.starts_with(&name.all) && name.all.starts_with("/srv/.detc-new-"), "{}", name.this);
        assert!(new_name("/a").all.starts_with("/.detc-new-"));
        assert_ne!(new_name("/srv/app.conf").this, name.this);
        assert_eq!(new_name("/srv/app.conf").all, name.all);
    }
}
