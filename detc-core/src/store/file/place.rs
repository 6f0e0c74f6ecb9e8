//! The place of a store: its directory, who holds it, and how its file comes into being.
//!
//! | file | is |
//! |---|---|
//! | `store.redb` | the store |
//! | `holder` | locked by whoever has the store open, with a note of who that is; those who only read share the lock, and leave no note |
//! | `store.redb.new` | left by a process that ended while it made the store; overwritten by the next |

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use redb::backends::InMemoryBackend;
use redb::{Database, StorageBackend};

use super::failure::{self, Failure};

/// Makes `dir` and what leads to it.
pub(super) fn make_dir(dir: &Path) -> Result<(), Failure> {
    // Its owner's alone: the store has the secret that marks of sensitive values are keyed with.
    let mut making = fs::DirBuilder::new();
    making.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut making, 0o700);
    making.create(dir).map_err(failure::io("making its directory"))
}

/// Takes the lock that ends with the process, and leaves a note for those who come in vain.
///
/// redb locks its file as well; this lock is there before the file is.
pub(super) fn hold(dir: &Path) -> Result<File, Failure> {
    let open = File::options().create(true).truncate(false).write(true).open(dir.join("holder"));
    let mut file = open.map_err(failure::io(OPENING))?;
    match file.try_lock() {
        Ok(()) => {}
        // Whoever holds it shares it, if that is so: those who only read.
        Err(TryLockError::WouldBlock) => {
            return Err(match file.try_lock_shared() {
                Ok(()) => Failure::HeldForAMoment("a command that only reads it"),
                Err(error) => not_locked(error),
            });
        }
        Err(error) => return Err(not_locked(error)),
    }
    let note = note(std::process::id()) + "\n";
    // The note is a courtesy: a disk that is too full for it may still serve the store.
    let _ = file.set_len(0).and_then(|()| file.write_all(note.as_bytes()));
    Ok(file)
}

/// Who holds a store, in words.
fn note(process: u32) -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok());
    format!("process {process} on {}", host.as_deref().map_or("an unnamed host", str::trim))
}

/// Whether who left the note beside `path` has died on this machine, as far as that can be told. A lock may outlast it by a
/// moment: what it was about to start has a share of all that it had open, until it has become a program.
pub(super) fn is_dead(path: &Path) -> bool {
    let left = holder(path);
    let number = left.strip_prefix("process ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    let Some(number) = number.filter(|number| left == note(*number) && Path::new("/proc/self").exists())
    else {
        return false;
    };
    // The third field, behind a name that may hold anything. One that has ended and was not waited for is dead, too.
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Whether a store is there, or may be: who may not look finds out why when it is opened.
pub(super) fn has_store(dir: &Path) -> bool {
    dir.join("store.redb").try_exists().unwrap_or(true)
}

/// Takes a share of the lock: others who only read may have one as well, and nobody writes meanwhile. Where there is no
/// store, there is nothing to share, and nothing is made.
pub(super) fn share(dir: &Path) -> Result<Option<File>, Failure> {
    let path = dir.join("holder");
    if dir.is_dir() && !has_store(dir) && !path.exists() {
        return Ok(None);
    }
    let open = File::open(&path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            File::options().create(true).truncate(false).read(true).write(true).open(&path)
        }
        _ => Err(error),
    });
    let file = open.map_err(failure::io(OPENING))?;
    file.try_lock_shared().map_err(not_locked)?;
    Ok(Some(file))
}

const OPENING: &str = "opening its holder file";

fn not_locked(error: TryLockError) -> Failure {
    match error {
        TryLockError::WouldBlock => Failure::Held,
        TryLockError::Error(error) => failure::io("locking its holder file")(error),
    }
}

/// What tells a file from another one that takes its name; `None`: it is not there, or nothing tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

impl Identity {
    pub(super) fn of(path: &Path) -> Option<Self> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            fs::metadata(path).ok().map(|meta| Self(meta.dev(), meta.ino()))
        }
        #[cfg(not(unix))]
        {
            // Elsewhere an open file can not be removed.
            path.exists().then_some(Self(0, 0))
        }
    }
}

/// Who holds the store, as far as the note beside it tells.
pub(super) fn holder(path: &Path) -> String {
    match fs::read_to_string(path.with_file_name("holder")) {
        Ok(holder) if !holder.trim().is_empty() => holder.trim().to_string(),
        _ => "it left no note of itself".to_string(),
    }
}

/// Makes an empty store, unless there is one, so that a loss of power does not undo it.
///
/// It appears under its name when it is whole and synced, and all that leads to it is: redb writes a new file in several
/// steps, and a loss of power between them would leave one that it refuses for ever.
pub(super) fn create(dir: &Path, file: &Path) -> Result<(), Failure> {
    if !file.exists() {
        sync_way(dir).map_err(failure::io(SYNCING))?;
        write_empty(file)?;
    }
    // Even of one that is there: whoever made it may have ended before its name was synced.
    sync_dir(dir).map_err(failure::io(SYNCING))
}

const SYNCING: &str = "syncing its directory";

fn write_empty(file: &Path) -> Result<(), Failure> {
    const WHAT: &str = "making it";
    // Made in memory, where redb's syncs cost nothing.
    let image = Arc::new(InMemoryBackend::new());
    let database = Database::builder().create_with_backend(Image(Arc::clone(&image)));
    database.map_err(failure::of(WHAT))?.close().map_err(failure::of(WHAT))?;
    let copy = || -> io::Result<()> {
        let len = usize::try_from(image.len()?).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        image.read(0, &mut bytes)?;
        let new = file.with_extension("redb.new");
        let mut out = File::create(&new)?;
        out.write_all(&bytes)?;
        out.sync_data()?;
        fs::rename(new, file)
    };
    copy().map_err(failure::io(WHAT))
}

/// Makes the names durable that lead to `dir`. Which of them are new is not known: whoever made them may have ended then.
fn sync_way(dir: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    for above in fs::canonicalize(dir)?.ancestors().skip(1) {
        match sync_dir(above) {
            // Who may not list a directory did not make it, and some file systems sync no directories.
            Err(error) if matches!(error.kind(), PermissionDenied | InvalidInput | Unsupported) => {}
            done => done?,
        }
    }
    Ok(())
}

/// Makes the names in `dir` durable. Without it a loss of power could take a whole new file, synced as it is.
fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}

/// A storage in memory that outlives the database on it.
#[derive(Debug)]
struct Image(Arc<InMemoryBackend>);

impl StorageBackend for Image {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}
