//! Opening the file: its place, its lock, redb's settings, and what is read from it once.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use redb::{Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, TableError};

use super::failure::{self, Failure};
use super::layout::{FORMAT, LEASES, META, META_FORMAT, META_REVISION};
use crate::store::{LeaseId, Revision};

/// The memory that redb may keep pages in. The upper levels of the tree of a million entries take less than 2 MiB, and
/// the leaves of ten thousand entries 4 MiB, so that the common store is read from memory and the process stays small;
/// a larger store's leaves come from the system's page cache, which costs about a microsecond per page. Dirty pages of
/// a large transaction beyond this are written out early, which is as safe: nothing refers to them before the commit.
const CACHE_BYTES: usize = 16 << 20;

/// How to open the store, at first and again after the disk was full.
pub(super) struct Opener {
    path: PathBuf,
    #[expect(clippy::type_complexity, reason = "named by the field")]
    open: Box<dyn Fn() -> Result<Database, Failure> + Send + Sync>,
}

/// Opens the store in a directory.
pub(super) fn at(dir: PathBuf) -> Opener {
    let path = dir.join("store.redb");
    let file = path.clone();
    let open = move || {
        let created = !file.exists();
        if created {
            make_dir(&dir)?;
        }
        let database = builder().create(&file).map_err(failure::of("opening it"))?;
        fs::write(dir.join("holder"), myself()).map_err(failure::io("writing its holder file"))?;
        if created {
            sync_dir(&dir)?;
        }
        Ok(database)
    };
    Opener { path, open: Box::new(open) }
}

/// Opens a store on a storage that is not a file.
#[cfg(feature = "testing")]
pub(super) fn on<B: redb::StorageBackend>(
    path: PathBuf,
    storage: impl Fn() -> B + Send + Sync + 'static,
) -> Opener {
    let open = move || builder().create_with_backend(storage()).map_err(failure::of("opening it"));
    Opener { path, open: Box::new(open) }
}

impl Opener {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn open(&self) -> Result<(Database, Remembered), Failure> {
        let database = (self.open)()?;
        let remembered = Remembered::read(&database)?;
        Ok((database, remembered))
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Opener").field(&self.path).finish()
    }
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Makes `dir` and what leads to it, so that a loss of power does not undo it.
fn make_dir(dir: &Path) -> Result<(), Failure> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(failure::io("making its directory"))?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => Ok(()),
    }
}

/// Makes the names in `dir` durable. Without it a loss of power could take a whole new file, synced as it is.
fn sync_dir(dir: &Path) -> Result<(), Failure> {
    if cfg!(unix) {
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(failure::io("syncing its directory"))?;
    }
    Ok(())
}

/// What this process writes of itself into the holder file.
fn myself() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok());
    let host = host.as_deref().map_or("an unnamed host", str::trim);
    format!("process {} on {host}\n", std::process::id())
}

/// Who holds the store, as far as the holder file beside it tells.
pub(super) fn holder(path: &Path) -> String {
    match fs::read_to_string(path.with_file_name("holder")) {
        Ok(holder) if !holder.trim().is_empty() => holder.trim().to_string(),
        _ => "it left no note of itself".to_string(),
    }
}

/// What a store knows of itself when it opens.
#[derive(Debug)]
pub(super) struct Remembered {
    pub(super) revision: Revision,
    pub(super) leases: Vec<(LeaseId, Duration)>,
}

impl Remembered {
    fn read(database: &Database) -> Result<Self, Failure> {
        let snapshot = database.begin_read().map_err(failure::of("reading it"))?;
        let (format, revision) = match snapshot.open_table(META) {
            Err(TableError::TableDoesNotExist(_)) => (FORMAT, 0),
            table => {
                let table = table.map_err(failure::of("reading it"))?;
                let number =
                    |name| Ok(table.get(name).map_err(failure::of("reading it"))?.map(|n| n.value()));
                (number(META_FORMAT)?.unwrap_or(0), number(META_REVISION)?.unwrap_or(0))
            }
        };
        if format != FORMAT {
            let what = format!("its format is {format}, and this program knows only format {FORMAT}");
            return Err(Failure::Corrupt(what));
        }
        let mut leases = Vec::new();
        match snapshot.open_table(LEASES) {
            Err(TableError::TableDoesNotExist(_)) => {}
            table => {
                let table = table.map_err(failure::of("reading its leases"))?;
                for lease in table.iter().map_err(failure::of("reading its leases"))? {
                    let (lease, ttl) = lease.map_err(failure::of("reading its leases"))?;
                    leases.push((LeaseId(lease.value()), Duration::from_millis(ttl.value())));
                }
            }
        }
        Ok(Self { revision: Revision(revision), leases })
    }
}

/// The revision of a snapshot.
pub(super) fn revision(snapshot: &ReadTransaction) -> Result<Revision, Failure> {
    match snapshot.open_table(META) {
        Err(TableError::TableDoesNotExist(_)) => Ok(Revision(0)),
        table => {
            let table = table.map_err(failure::of("reading it"))?;
            let revision = table.get(META_REVISION).map_err(failure::of("reading it"))?;
            Ok(Revision(revision.map_or(0, |revision| revision.value())))
        }
    }
}
