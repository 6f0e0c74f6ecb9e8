//! The write of large content: what has arrived stays when the connection breaks, and the next try goes on from there.
//!
//! ```text
//! make .detc-new-FILE/ ─ open CONTENT in it, or go on with it ─▶ write… ─▶ the host tells its sum ─▶ owner, mode, sync ─▶ rename
//! ```
//!
//! The folder's name follows from that of the file, so that there is at most one, and what writes or removes the file finds it. The
//! name in it follows from the content: what an older connection may still deliver belongs there, and to no other content.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use detc_core::backend::host::{Command, Output, Ownership};
use detc_core::content::{self, Content, Sum, Summer};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::super::SshHost;
use super::super::link::Link;
use super::super::relay::{Peer, To, hand_on};
use super::super::run::RunError;
use super::super::sftp::{Open, Pending, Request, Sftp, SftpError, Status};
use super::pace::Pace;
use super::write::{explain, explain_io, finish, other_temporary_of, rename, temporary_of, to_give};
use super::{Accounts, FileError, Reading, remove, walk};
use crate::artifact::exchange::{Origin, Taking, Turned};
use crate::artifact::{beginning_command, sum_command, sum_told, timeout_of};

/// How much is read from the content's file at once, while what was read before is sent.
const PIECE_LEN: usize = 1 << 20;

/// How often it is begun anew where something comes between: connections that are gone, and of which the host does the last requests yet.
const TRIES_MAX: usize = 4;

/// A host, over one connection.
#[derive(Clone, Copy)]
pub(in super::super) struct Remote<'a> {
    pub(in super::super) host: &'a SshHost,
    pub(in super::super) link: &'a Arc<Link>,
}

impl Remote<'_> {
    async fn run(&self, command: &Command) -> Result<Output, FileError> {
        self.host.run_on(Arc::clone(self.link), command).await.map_err(|error| match error {
            RunError::NotSent(_) | RunError::Lost => FileError::Lost,
            RunError::Host(error) => FileError::Host(*error),
        })
    }

    /// The sum of the first `len` bytes of `path`. `None`: the host does not tell.
    pub(in super::super) async fn sum_of_beginning(
        &self,
        path: &str,
        len: u64,
    ) -> Result<Option<Sum>, FileError> {
        Ok(sum_told(&self.run(&beginning_command(path, len)).await?))
    }

    /// The sum of `path`, which has `len` bytes; of a host that does not tell, all is read back.
    async fn sum(&self, path: &str, len: u64) -> Result<Sum, FileError> {
        if let Some(sum) = sum_told(&self.run(&sum_command(path, len)).await?) {
            return Ok(sum);
        }
        let mut nowhere = tokio::io::sink();
        let mut reading = Reading::new(&mut nowhere);
        super::read_to(self.link.sftp().await?, path, u64::MAX, &mut reading).await?;
        Ok(reading.summer.finish())
    }
}

/// Why it is not in its place.
enum Failed {
    /// What has arrived is not what was sent, or somebody else has taken it away.
    Spoilt,
    /// Who has it did not hand it on.
    NotHandedOn(String),
    Error(FileError),
}

impl<T: Into<FileError>> From<T> for Failed {
    fn from(error: T) -> Self {
        Self::Error(error.into())
    }
}

/// Of what is there as long as nobody else does anything with it: a connection that is gone had it put in its place, or taken away.
fn gone(error: FileError) -> Failed {
    match error {
        FileError::Io(error) if error.kind() == ErrorKind::NotFound => Failed::Spoilt,
        other => other.into(),
    }
}

/// Writes `content`, and tells in `progress` how much of it is known to have arrived.
pub(in super::super) async fn write_large(
    at: Remote<'_>,
    accounts: &Accounts,
    path: &str,
    (content, ownership): (&Content, &Ownership),
    progress: &AtomicU64,
) -> Result<(), FileError> {
    let folder = match temporary_of(path) {
        Some(folder) if !path.ends_with('/') => folder,
        _ => return Err(ErrorKind::IsADirectory.into()),
    };
    let sftp = at.link.sftp().await?;
    let ids = accounts.ids(sftp, ownership).await?;
    drop(sftp.send(&Request::Remove { path: &other_temporary_of(&folder) }));
    let (mode, ids) = to_give(sftp.stat_link(path).attrs().await, ownership, ids)?;
    let dir = walk::parent(path);
    let (exchange, us) = (at.host.inner.dialer.exchange(), Peer::of(at.host));
    let mut taking = Some(exchange.source(content.sum(), &us).await);
    let mut is_second_try = false;
    loop {
        let mut part = Part::open(at, sftp, &folder, content).await?;
        progress.fetch_max(part.from, Ordering::Relaxed);
        let done = async {
            match taking.as_ref().map(Taking::from) {
                Some(Origin::Itself(path)) => {
                    part.set_apart().await.map_err(gone)?;
                    part.copy(path, content).await?;
                }
                Some(Origin::Another(peer, path)) => {
                    part.set_apart().await.map_err(gone)?;
                    part.take(peer, path, content).await?;
                }
                Some(Origin::Controller) | None => part.fill(content, progress).await?,
            }
            for pending in finish(sftp, &part.path, &part.handle, mode, ids).await.map_err(gone)? {
                pending.done().await?;
            }
            let (renamed, synced) = rename(sftp, &part.path, path, dir).await?;
            match renamed.done().await {
                Err(SftpError::Status(status)) if status.code == Status::NO_SUCH_FILE => Err(Failed::Spoilt),
                renamed => Ok((renamed?, synced.done().await?)),
            }
        };
        match done.await {
            Ok(_) => {
                if sftp.send(&Request::RemoveDir { path: &folder }).done().await.is_err() {
                    // Something came late. What can not be removed is found by the next write.
                    let _left = remove::discard(sftp, &folder).await;
                }
                exchange.has(content.sum(), &us, path);
                if let Some(taking) = taking {
                    taking.ends(Turned::Well);
                }
                return Ok(());
            }
            // Then it comes from here, on from where it is.
            Err(Failed::NotHandedOn(why)) if taking.is_some() => {
                tracing::warn!(host = %at.host, path, why, "a large file is not handed on, and comes from here");
                if let Some(taking) = taking.take() {
                    taking.ends(Turned::Badly);
                }
            }
            // It stays, and is gone on with: also where the host was only too slow to tell its sum.
            Err(Failed::Error(error @ (FileError::Lost | FileError::Host(_)))) => return Err(error),
            Err(Failed::Spoilt) if !is_second_try => {
                is_second_try = true;
                remove::discard(sftp, &folder).await?;
            }
            Err(failed) => {
                let error = match failed {
                    Failed::Error(FileError::Io(error)) if error.kind() == ErrorKind::Other => {
                        explain_io(sftp, dir, error).await
                    }
                    Failed::Error(error) => error,
                    Failed::NotHandedOn(why) => io::Error::other(why).into(),
                    Failed::Spoilt => io::Error::other("what arrived there is not what was sent").into(),
                };
                // Its room is free when it is closed and removed, also where the disk has none left to look around with.
                let path = part.path.clone();
                drop(part);
                drop(sftp.send(&Request::Remove { path: &path }));
                let _left = remove::discard(sftp, &folder).await;
                return Err(error);
            }
        }
    }
}

/// What has arrived so far, open to be written on. Dropped, it stays.
struct Part<'a> {
    at: Remote<'a>,
    sftp: &'a Sftp,
    path: String,
    handle: Vec<u8>,
    pieces: Pieces,
    /// How much was there already.
    from: u64,
}

/// What came of a try to open it.
enum Opened<'a> {
    Here(Part<'a>),
    /// Something came between, or can not be told from that.
    InTheWay(SftpError),
}

impl<'a> Part<'a> {
    async fn open(
        at: Remote<'a>,
        sftp: &'a Sftp,
        folder: &str,
        content: &Content,
    ) -> Result<Self, FileError> {
        let mut tries = 1;
        loop {
            match Self::try_open(at, sftp, folder, content).await? {
                Opened::Here(part) => return Ok(part),
                Opened::InTheWay(_) if tries < TRIES_MAX => tries += 1,
                Opened::InTheWay(error) => return Err(explain(sftp, walk::parent(folder), error).await),
            }
        }
    }

    async fn try_open(
        at: Remote<'a>,
        sftp: &'a Sftp,
        folder: &str,
        content: &Content,
    ) -> Result<Opened<'a>, FileError> {
        let path = format!("{folder}/{:.32}", content.sum().to_string());
        let mut pieces = Pieces::new(content);
        let mut from = 0;
        if !make(sftp, folder).await? {
            match left(at, sftp, folder, &path).await? {
                Some((len, sum)) if len <= content.len() && pieces.skip(len).await? == sum => from = len,
                Some(_) | None => {
                    pieces = Pieces::new(content);
                    let made = async {
                        remove::discard(sftp, folder).await?;
                        sftp.send(&Request::MakeDir { path: folder, mode: 0o700 }).done().await
                    };
                    match made.await {
                        Err(error @ SftpError::Status(_)) => return Ok(Opened::InTheWay(error)),
                        made => made?,
                    }
                }
            }
        }
        let how = if from > 0 { Open::More } else { Open::New };
        match sftp.send(&Request::Open { path: &path, how, mode: 0o600 }).handle().await {
            Ok(handle) => Ok(Opened::Here(Self { at, sftp, path, handle, pieces, from })),
            // Something is there that was not, or the other way round.
            Err(error @ SftpError::Status(_)) if from == 0 || remove::is_absent(&error) => {
                Ok(Opened::InTheWay(error))
            }
            Err(error) => Err(explain(sftp, walk::parent(folder), error).await),
        }
    }

    /// Sends what is missing, and compares all of it with what it should be.
    async fn fill(&mut self, content: &Content, progress: &AtomicU64) -> Result<(), Failed> {
        let chunk_len = self.sftp.write_len_max().await?;
        let mut pace = Pace::default();
        let mut sent: VecDeque<(Instant, Pending)> = VecDeque::new();
        let (mut offset, mut arrived) = (self.from, self.from);
        while let Some(piece) = self.pieces.next().await? {
            for data in piece.chunks(chunk_len) {
                while sent.len() * chunk_len >= pace.under_way_max()
                    && let Some((at, first)) = sent.pop_front()
                {
                    first.done().await?;
                    pace.answered(at.elapsed());
                    arrived += chunk_len as u64;
                    progress.fetch_max(arrived, Ordering::Relaxed);
                }
                let write = self.sftp.send(&Request::Write { handle: &self.handle, offset, data });
                sent.push_back((Instant::now(), write));
                offset += data.len() as u64;
            }
        }
        for (_, pending) in sent {
            pending.done().await?;
        }
        let checked = self.check(content).await;
        // Then all of it is read again: which end is to blame?
        if matches!(checked, Err(Failed::Spoilt))
            && Pieces::new(content).skip(content.len()).await? != content.sum()
        {
            return Err(content::changed().into());
        }
        checked
    }

    /// Gives it a name that no try goes on with. What hands it on may write to it yet when nobody knows of that any more; what is
    /// sent from here then is in another file.
    async fn set_apart(&mut self) -> Result<(), FileError> {
        let mut number = [0; 8];
        getrandom::fill(&mut number).expect("invariant: the system has random bytes");
        let apart = format!("{}-{:016x}", self.path, u64::from_ne_bytes(number));
        self.sftp.send(&Request::Rename { from: &self.path, to: &apart }).done().await?;
        self.path = apart;
        Ok(())
    }

    /// Copies the file `path` of the same host.
    async fn copy(&self, path: &str, content: &Content) -> Result<(), Failed> {
        const COPY: &str = "tail -c \"+$3\" -- \"$1\" >>\"$2\"";
        let from = (self.from + 1).to_string();
        let command = Command::new(["/bin/sh", "-c", COPY, "sh", path, &self.path, &from])
            .with_timeout(timeout_of(content.len()));
        let output = match self.at.run(&command).await {
            Err(FileError::Host(error)) => return Err(Failed::NotHandedOn(error.to_string())),
            output => output?,
        };
        if !output.success() {
            return Err(Failed::NotHandedOn(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        self.check_handed(content).await
    }

    /// Lets another host hand its file `path` on.
    async fn take(&self, peer: &Peer, path: &str, content: &Content) -> Result<(), Failed> {
        let holder = peer.host().ok_or_else(|| Failed::NotHandedOn("it is managed no more".to_owned()))?;
        let settings = self.at.host.settings();
        let to = To { settings, link: self.at.link, path: &self.path, from: self.from };
        hand_on(&holder, path, &to).await.map_err(Failed::NotHandedOn)?;
        self.check_handed(content).await
    }

    async fn check_handed(&self, content: &Content) -> Result<(), Failed> {
        match self.check(content).await {
            Err(Failed::Spoilt) => Err(Failed::NotHandedOn("it was something else".to_owned())),
            checked => checked,
        }
    }

    /// Compares what is there with what it should be.
    async fn check(&self, content: &Content) -> Result<(), Failed> {
        // It goes to disk while its sum is told.
        let synced = self.sftp.send(&Request::Sync { handle: &self.handle });
        let sum = self.at.sum(&self.path, content.len()).await.map_err(gone)?;
        synced.done().await?;
        if sum == content.sum() { Ok(()) } else { Err(Failed::Spoilt) }
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        self.sftp.close(&self.handle);
    }
}

/// Makes the folder. `false`: there is something already.
async fn make(sftp: &Sftp, folder: &str) -> Result<bool, FileError> {
    let mut tries = 1;
    loop {
        let error = match sftp.send(&Request::MakeDir { path: folder, mode: 0o700 }).done().await {
            Ok(()) => return Ok(true),
            Err(error) => error,
        };
        match sftp.stat_link(folder).attrs().await {
            Ok(_) => return Ok(false),
            Err(SftpError::Lost) => return Err(FileError::Lost),
            // It was there, and a connection that is gone has had it removed meanwhile.
            Err(gone) if tries < TRIES_MAX && remove::is_absent(&gone) && !remove::is_absent(&error) => {
                tries += 1;
            }
            Err(_) => return Err(explain(sftp, walk::parent(folder), error).await),
        }
    }
}

/// How much of this content an earlier try has left, and the sum of that. It must be ours: whoever else could write to it could do
/// so when it is in its place.
async fn left(
    at: Remote<'_>,
    sftp: &Sftp,
    folder: &str,
    path: &str,
) -> Result<Option<(u64, Sum)>, FileError> {
    const IS_OURS: &str = "test -d \"$1\" && test ! -L \"$1\" && test -O \"$1\" \
        && test -f \"$2\" && test ! -L \"$2\" && test -O \"$2\"";
    if !at.run(&Command::new(["/bin/sh", "-c", IS_OURS, "sh", folder, path])).await?.success() {
        return Ok(None);
    }
    const OTHERS_WRITE: u32 = 0o022;
    let (of_folder, of_file) = (sftp.stat_link(folder), sftp.stat_link(path));
    let (of_folder, of_file) = match (of_folder.attrs().await, of_file.attrs().await) {
        (Err(error), _) | (_, Err(error)) if remove::is_absent(&error) => return Ok(None),
        (of_folder, of_file) => (of_folder?, of_file?),
    };
    if [&of_folder, &of_file].iter().any(|it| it.mode.is_none_or(|mode| mode & OTHERS_WRITE != 0)) {
        return Ok(None);
    }
    let len = of_file.size.unwrap_or_default();
    let sum = at.sum_of_beginning(path, len).await?;
    Ok(sum.filter(|_| len > 0).map(|sum| (len, sum)))
}

/// A piece, with what reads on behind it.
type Ahead = (content::Reader, Vec<u8>);

/// Content, read ahead by a piece.
struct Pieces {
    content: Content,
    open: Option<content::Reader>,
    ahead: Option<JoinHandle<io::Result<Ahead>>>,
}

impl Pieces {
    fn new(content: &Content) -> Self {
        Self { content: content.clone(), open: None, ahead: None }
    }

    /// Passes over the first `len` bytes, and returns their sum.
    async fn skip(&mut self, len: u64) -> io::Result<Sum> {
        let content = self.content.clone();
        let skipped = tokio::task::spawn_blocking(move || {
            let (mut reader, mut summer) = (content.open()?, Summer::default());
            io::copy(&mut reader.by_ref().take(len), &mut summer)?;
            Ok::<_, io::Error>((reader, summer.finish()))
        });
        let (reader, sum) = joined(skipped.await)?;
        self.open = Some(reader);
        Ok(sum)
    }

    /// The next piece. `None`: that was all.
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let reading = match self.ahead.take() {
            Some(reading) => reading,
            None => self.read_ahead(),
        };
        let (reader, piece) = joined(reading.await)?;
        self.open = Some(reader);
        if piece.is_empty() {
            return Ok(None);
        }
        self.ahead = Some(self.read_ahead());
        Ok(Some(piece))
    }

    fn read_ahead(&mut self) -> JoinHandle<io::Result<Ahead>> {
        let (open, content) = (self.open.take(), self.content.clone());
        tokio::task::spawn_blocking(move || {
            let mut reader = open.map_or_else(|| content.open(), Ok)?;
            let mut piece = vec![0; PIECE_LEN];
            let mut len = 0;
            loop {
                match reader.read(&mut piece[len..])? {
                    0 => break,
                    read => len += read,
                }
            }
            piece.truncate(len);
            Ok((reader, piece))
        })
    }
}

fn joined<T>(done: Result<io::Result<T>, tokio::task::JoinError>) -> io::Result<T> {
    match done {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(io::Error::other("the runtime is shutting down")),
        },
    }
}
