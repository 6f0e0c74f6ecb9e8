//! Opening the database: redb's settings, and what is read from it once.

use std::fmt;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use redb::backends::InMemoryBackend;
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend as _, TableError,
};

use super::failure::{self, Failure};
use super::layout::{FORMAT, LEASES, META, META_FORMAT, META_REVISION};
use super::overlay::Overlay;
use super::place::{self, Identity};
use crate::store::{LeaseId, Revision};

/// The memory that redb may keep pages in. The upper levels of the tree of a million entries take less than 2 MiB, and
/// the leaves of ten thousand entries 4 MiB, so that the common store is read from memory and the process stays small;
/// a larger store's leaves come from the system's page cache, which costs about a microsecond per page. Dirty pages of
/// a large transaction beyond this are written out early, which is as safe: nothing refers to them before the commit.
const CACHE_BYTES: usize = 16 << 20;

/// How to open the store, at first and again after the disk was full.
pub(super) struct Opener {
    path: PathBuf,
    open: Box<dyn Fn() -> Result<Opened, Failure> + Send + Sync>,
}

/// The open database, and what else is held while it is.
#[derive(Debug)]
pub(super) struct Opened {
    // Dropped first: the place is free when the database is closed.
    pub(super) database: Database,
    _holder: Option<File>,
    /// The files of the store, by what they were when it was opened to be written.
    place: Option<[Option<Identity>; 2]>,
}

impl Opened {
    /// That the store is still at `path`. What is written to a file that was removed is lost, and another manager may
    /// lead what is in its place by now.
    pub(super) fn check_place(&self, path: &Path) -> Result<(), Failure> {
        if self.place.is_some_and(|place| place != files_of(path) || place.contains(&None)) {
            return Err(Failure::Unavailable {
                what: "writing",
                said: "it, or its folder, was removed, renamed or replaced while it was open".into(),
            });
        }
        Ok(())
    }
}

/// The store at `path` and its holder file.
fn files_of(path: &Path) -> [Option<Identity>; 2] {
    [Identity::of(path), Identity::of(&path.with_file_name("holder"))]
}

/// Opens the store in a directory.
pub(super) fn at(dir: PathBuf) -> Opener {
    let path = dir.join("store.redb");
    let file = path.clone();
    let open = move || {
        place::make_dir(&dir)?;
        let holder = place::hold(&dir)?;
        place::create(&dir, &file)?;
        let database = builder().open(&file).map_err(|error| match failure::of("opening it")(error) {
            // Nobody else has the place: these are the last moments of one that had it.
            Failure::Held => Failure::HeldForAMoment("a process that has just ended"),
            failure => failure,
        })?;
        Ok(Opened { database, _holder: Some(holder), place: Some(files_of(&file)) })
    };
    Opener { path, open: Box::new(open) }
}

/// Opens the store in a directory to read it, beside others who do. What is written stays in memory.
pub(super) fn to_read(dir: PathBuf) -> Opener {
    const WHAT: &str = "opening it";
    let path = dir.join("store.redb");
    let file = path.clone();
    let open = move || {
        let holder = place::share(&dir)?;
        let database = match holder.as_ref().map_or(Err(ErrorKind::NotFound.into()), |_| File::open(&file)) {
            Ok(file) => {
                let overlay = Overlay::new(file).map_err(failure::io(WHAT))?;
                if overlay.len().map_err(failure::io(WHAT))? == 0 {
                    return Err(Failure::Corrupt("the file is empty".into()));
                }
                builder().create_with_backend(overlay)
            }
            // There is none; or whoever makes it has not come to it, or did so just now.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                builder().create_with_backend(InMemoryBackend::new())
            }
            Err(error) => return Err(failure::io(WHAT)(error)),
        };
        Ok(Opened { database: database.map_err(failure::of(WHAT))?, _holder: holder, place: None })
    };
    Opener { path, open: Box::new(open) }
}

/// Opens a store on a storage that is not a file.
#[cfg(feature = "testing")]
pub(super) fn on<B: redb::StorageBackend>(
    path: PathBuf,
    storage: impl Fn() -> B + Send + Sync + 'static,
) -> Opener {
    let open = move || {
        let database = builder().create_with_backend(storage()).map_err(failure::of("opening it"))?;
        Ok(Opened { database, _holder: None, place: None })
    };
    Opener { path, open: Box::new(open) }
}

impl Opener {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn open(&self) -> Result<(Opened, Remembered), Failure> {
        let opened = (self.open)()?;
        let remembered = Remembered::read(&opened.database)?;
        Ok((opened, remembered))
    }

    /// Whether the failure to open it passes in a moment.
    pub(super) fn passes(&self, failure: &Failure) -> bool {
        match failure {
            Failure::HeldForAMoment(_) => true,
            Failure::Held => place::is_dead(&self.path),
            _ => false,
        }
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
