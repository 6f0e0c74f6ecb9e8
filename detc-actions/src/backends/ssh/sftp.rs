//! A client of SFTP that never waits between requests.
//!
//! [`Sftp::send`] queues a request and returns at once; its answer is awaited later, or never. The server does what it is
//! sent in order, so that what depends only on the order (write, set the mode, sync) costs one round trip in all, and what
//! different callers ask for shares the packets of the connection.
//!
//! What is asked, and what the answers mean for a [`Host`](detc_core::backend::Host), is in [`files`](super::files).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit, mpsc, oneshot};
use tokio::task::JoinSet;

mod wire;

use wire::Limits;
pub(super) use wire::{Attrs, Malformed, Open, Reply, Request, Status, names, volume};

/// How many files are open at once on a server that does not say how many it has room for: some systems have room for 256 in a
/// process.
const OPEN_MAX_UNKNOWN: usize = 128;

/// The most that are open at once on any: as many as calls are let through to a host.
const OPEN_MAX: usize = 1024;

/// A write has two files open, the one that is written and its directory.
const OPEN_MIN: usize = 2;

/// What is left of the server's room: it has files of its own open.
const OPEN_SPARE: u64 = 16;

/// How much content takes the place of one open file more: what is read or written at once on one host is held in memory, here.
const CONTENT_PER_PLACE: u64 = 64 << 10;

/// How much is written by one request on a server that does not say how much it takes: each takes that.
const WRITE_LEN_UNKNOWN: usize = 32 << 10;

/// How much is written by one request on a server that takes it: half as many answers. It is written as a whole or not at all, so that a
/// line that carries less before it breaks never gets on.
const WRITE_LEN_MAX: usize = 64 << 10;

/// The least that is written by one request, whatever the server says: what is on its way is counted in bytes.
const WRITE_LEN_MIN: usize = 1 << 10;

/// What a packet of a write has beside its content: number, handle, offset, lengths. A handle has 256 bytes at most.
const WRITE_HEAD_LEN: u64 = 1 + 4 + 4 + 256 + 8 + 4;

/// How much is put into one write to the connection: a few packets, so that one call's bulk does not hold up another's
/// question for long.
const BATCH_LEN_MAX: usize = 128 << 10;

/// The extension by which a server says what it has room for.
const LIMITS: &str = "limits@openssh.com";

/// How much is written by one request, a power of two, on a server that says so.
fn write_len(said: Limits) -> usize {
    let packet = said.packet_len.map(|packet| packet.saturating_sub(WRITE_HEAD_LEN));
    let most = match (said.write_len, packet) {
        (Some(write), Some(packet)) => write.min(packet),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => return WRITE_LEN_UNKNOWN,
    };
    1 << usize::try_from(most).unwrap_or(WRITE_LEN_MAX).clamp(WRITE_LEN_MIN, WRITE_LEN_MAX).ilog2()
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SftpError {
    /// The channel was closed: whether it was done is not known.
    Lost,
    /// The server said no.
    Status(Status),
    /// The server does not speak the protocol, or lacks what is needed.
    Broken(String),
}

impl From<Malformed> for SftpError {
    fn from(malformed: Malformed) -> Self {
        Self::Broken(malformed.to_string())
    }
}

/// Answers that are waited for, by number. `None` once the channel is closed.
type Waiting = Mutex<Option<BTreeMap<u32, oneshot::Sender<Reply>>>>;

/// One SFTP session. Dropped, it is closed.
#[derive(Debug)]
pub(super) struct Sftp {
    queue: mpsc::UnboundedSender<Vec<u8>>,
    state: Arc<State>,
    extensions: Vec<String>,
    /// What it has room for, asked at once and read when it is first needed.
    limits: Mutex<Option<Pending>>,
    room: OnceCell<Room>,
    /// Reads the answers, writes the requests.
    _tasks: JoinSet<()>,
}

/// What the server has room for.
#[derive(Debug)]
struct Room {
    /// For open files.
    places: Semaphore,
    all: usize,
    /// How much is written by one request.
    write_len: usize,
}

#[derive(Debug)]
struct State {
    waiting: Waiting,
    next: Mutex<u32>,
}

impl State {
    fn close(&self) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Sftp {
    /// Greets the server at the other end of `channel`, from which `buffer` was read already.
    pub(super) async fn start(channel: Channel<Msg>, mut buffer: Vec<u8>) -> Result<Self, SftpError> {
        let (mut read, write) = channel.split();
        let mut hello = Box::pin(write.data_bytes(wire::hello()));
        let mut is_sent = false;
        let version = loop {
            // How much can be sent is for the host to say: when the connection breaks before, it never does.
            tokio::select! {
                sent = &mut hello, if !is_sent => {
                    sent.map_err(|_| SftpError::Lost)?;
                    is_sent = true;
                }
                packet = next_packet(&mut read, &mut buffer) => break packet?.ok_or(SftpError::Lost)?,
            }
        };
        drop(hello);
        let extensions = wire::version(&version)?;
        let (queue, requests) = mpsc::unbounded_channel();
        let state = Arc::new(State { waiting: Mutex::new(Some(BTreeMap::new())), next: Mutex::new(0) });
        let mut tasks = JoinSet::new();
        tasks.spawn(write_requests(requests, write));
        tasks.spawn(read_replies(read, buffer, Arc::clone(&state)));
        let sftp =
            Self { queue, state, extensions, limits: Mutex::default(), room: OnceCell::new(), _tasks: tasks };
        if sftp.has(LIMITS) {
            *sftp.limits.lock().unwrap_or_else(PoisonError::into_inner) = Some(sftp.send(&Request::Limits));
        }
        Ok(sftp)
    }

    /// Waits until the server, and we, have room for `files` more open files with so much content in them.
    pub(super) async fn room(&self, files: usize, content: u64) -> Result<SemaphorePermit<'_>, SftpError> {
        let Room { places, all, .. } = self.bounds().await?;
        let for_content = usize::try_from(content / CONTENT_PER_PLACE).unwrap_or(*all);
        let wanted = u32::try_from(files.saturating_add(for_content).min(*all)).unwrap_or(u32::MAX);
        Ok(places.acquire_many(wanted).await.expect("invariant: the semaphore is never closed"))
    }

    /// How many bytes are written by one request, at most: a power of two.
    pub(super) async fn write_len_max(&self) -> Result<usize, SftpError> {
        Ok(self.bounds().await?.write_len)
    }

    async fn bounds(&self) -> Result<&Room, SftpError> {
        self.room.get_or_try_init(|| self.ask_limits()).await
    }

    async fn ask_limits(&self) -> Result<Room, SftpError> {
        let said = if self.has(LIMITS) {
            let asked = self.limits.lock().unwrap_or_else(PoisonError::into_inner).take();
            // Again, where whoever took the first answer has not waited for it.
            match asked.unwrap_or_else(|| self.send(&Request::Limits)).extended().await {
                Ok(body) => wire::limits(&body)?,
                Err(SftpError::Status(_)) => Limits::default(),
                Err(error) => return Err(error),
            }
        } else {
            Limits::default()
        };
        let all = said.open.map_or(OPEN_MAX_UNKNOWN, |open| {
            usize::try_from(open.saturating_sub(OPEN_SPARE)).unwrap_or(OPEN_MAX).clamp(OPEN_MIN, OPEN_MAX)
        });
        Ok(Room { places: Semaphore::new(all), all, write_len: write_len(said) })
    }

    /// Whether the server has an extension.
    pub(super) fn has(&self, extension: &str) -> bool {
        self.extensions.iter().any(|name| name == extension)
    }

    /// Queues a request. It is sent whether or not its answer is awaited.
    pub(super) fn send(&self, request: &Request<'_>) -> Pending {
        let (sender, answer) = oneshot::channel();
        let mut next = self.state.next.lock().unwrap_or_else(PoisonError::into_inner);
        let id = *next;
        *next = next.wrapping_add(1);
        let mut waiting = self.state.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = waiting.as_mut() {
            waiting.insert(id, sender);
            // Under the lock of `next`, so that the order of the queue is that of the numbers. A closed queue drops the
            // request, and the reader drops the waiting.
            let _closed = self.queue.send(request.packet(id));
        }
        Pending(answer)
    }

    /// Asks for what there is at `path` itself.
    pub(super) fn stat_link(&self, path: &str) -> Pending {
        self.send(&Request::StatLink { path })
    }

    /// Closes a handle; nobody waits for it.
    pub(super) fn close(&self, handle: &[u8]) {
        drop(self.send(&Request::Close { handle }));
    }
}

/// An answer that is on its way. Dropped, the request is done all the same.
#[derive(Debug)]
pub(super) struct Pending(oneshot::Receiver<Reply>);

impl Pending {
    async fn reply(self) -> Result<Reply, SftpError> {
        self.0.await.map_err(|_| SftpError::Lost)
    }

    /// Waits for a request that has no result.
    pub(super) async fn done(self) -> Result<(), SftpError> {
        match self.reply().await? {
            Reply::Status(status) if status.code == Status::OK => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    pub(super) async fn handle(self) -> Result<Vec<u8>, SftpError> {
        match self.reply().await? {
            Reply::Handle(handle) => Ok(handle),
            other => Err(unexpected(other)),
        }
    }

    /// `None`: the end.
    pub(super) async fn data(self) -> Result<Option<Vec<u8>>, SftpError> {
        match self.reply().await? {
            Reply::Data(data) => Ok(Some(data)),
            Reply::Status(status) if status.code == Status::END => Ok(None),
            other => Err(unexpected(other)),
        }
    }

    /// `None`: the end.
    pub(super) async fn names(self) -> Result<Option<Vec<Vec<u8>>>, SftpError> {
        match self.reply().await? {
            Reply::Names(names) => Ok(Some(names)),
            Reply::Status(status) if status.code == Status::END => Ok(None),
            other => Err(unexpected(other)),
        }
    }

    pub(super) async fn attrs(self) -> Result<Attrs, SftpError> {
        match self.reply().await? {
            Reply::Attrs(attrs) => Ok(attrs),
            other => Err(unexpected(other)),
        }
    }

    pub(super) async fn extended(self) -> Result<Vec<u8>, SftpError> {
        match self.reply().await? {
            Reply::Extended(body) => Ok(body),
            other => Err(unexpected(other)),
        }
    }
}

fn unexpected(reply: Reply) -> SftpError {
    match reply {
        Reply::Status(status) => SftpError::Status(status),
        _ => SftpError::from(Malformed),
    }
}

/// Sends what is queued, as much at once as waits.
async fn write_requests(mut requests: mpsc::UnboundedReceiver<Vec<u8>>, write: ChannelWriteHalf<Msg>) {
    while let Some(mut batch) = requests.recv().await {
        while batch.len() < BATCH_LEN_MAX
            && let Ok(more) = requests.try_recv()
        {
            batch.extend(more);
        }
        if write.data_bytes(batch).await.is_err() {
            return;
        }
    }
    let _closed = write.close().await;
}

/// Hands out what is answered, until the channel is closed or the server talks nonsense.
async fn read_replies(mut read: ChannelReadHalf, mut buffer: Vec<u8>, state: Arc<State>) {
    while let Ok(Some(body)) = next_packet(&mut read, &mut buffer).await {
        let Ok((id, reply)) = wire::reply(&body) else { break };
        let mut waiting = state.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = waiting.as_mut().and_then(|waiting| waiting.remove(&id)) {
            let _given_up = sender.send(reply);
        }
    }
    state.close();
}

/// The next packet's body. `None`: the channel was closed.
async fn next_packet(read: &mut ChannelReadHalf, buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>, SftpError> {
    loop {
        if let Some(head) = buffer.first_chunk::<4>() {
            let len = u32::from_be_bytes(*head) as usize;
            if len > wire::PACKET_LEN_MAX {
                return Err(SftpError::Broken(said_instead(buffer)));
            }
            if buffer.len() >= 4 + len {
                let rest = buffer.split_off(4 + len);
                let body = std::mem::replace(buffer, rest).split_off(4);
                return Ok(Some(body));
            }
        }
        match read.wait().await {
            Some(ChannelMsg::Data { data }) => buffer.extend_from_slice(&data),
            Some(ChannelMsg::Failure) => {
                return Err(SftpError::Broken("the host offers no SFTP".to_owned()));
            }
            Some(ChannelMsg::Close | ChannelMsg::Eof) | None => return Ok(None),
            Some(_) => {}
        }
    }
}

/// Where something else speaks before the server does, it is a start-up file that prints.
fn said_instead(buffer: &[u8]) -> String {
    const SHOWN_MAX: usize = 80;
    let said = String::from_utf8_lossy(&buffer[..buffer.len().min(SHOWN_MAX)]);
    format!("instead of SFTP the host says {said:?}: a start-up file of its shell prints it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_is_written_at_once_as_the_server_says() {
        let cases = [
            (None, None, WRITE_LEN_UNKNOWN),
            (Some(261_120), Some(262_144), WRITE_LEN_MAX),
            (Some(65_536), None, WRITE_LEN_MAX),
            (Some(65_535), None, 32 << 10),
            (Some(261_120), Some(65_536), 32 << 10),
            (None, Some(34_000), 32 << 10),
            (Some(10_000), Some(262_144), 8 << 10),
            (Some(1), Some(1), WRITE_LEN_MIN),
            (Some(u64::MAX), Some(u64::MAX), WRITE_LEN_MAX),
        ];
        for (write, packet, len) in cases {
            let said = Limits { packet_len: packet, write_len: write, open: None };
            assert_eq!(write_len(said), len, "{said:?}");
        }
    }
}
