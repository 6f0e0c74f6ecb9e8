//! What a file is to hold.
//!
//! Small content is held in memory. What is [large](LARGE) stays in its file and is read piece by piece when it is needed, and
//! is then compared with what it was when it was first read.

use std::fmt::{self, Debug, Display};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

/// Content of more bytes than these is large: 1 MiB. It is not held in memory, its [`Digest`](crate::model::Digest) is one that hosts
/// can tell by themselves, and a transfer of it that was cut off goes on where it was. Below that, all this costs more than it saves.
pub const LARGE: u64 = 1 << 20;

/// Longest content of a file that is managed: 16 GiB, which a host needs less than a minute to tell the digest of.
pub const LEN_MAX: u64 = 16 << 30;

/// What a file is to hold. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(Body);

#[derive(Clone, PartialEq, Eq)]
enum Body {
    Held(Arc<[u8]>),
    File(Arc<Stored>),
}

#[derive(PartialEq, Eq)]
struct Stored {
    path: PathBuf,
    len: u64,
    sum: Sum,
}

impl Content {
    /// The content of the file at `path`, as it is now. A large one is read once, for its sum, and again whenever it is needed.
    ///
    /// # Errors
    /// When it can not be read, is no regular file, or is longer than [`LEN_MAX`].
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut file = open_regular(path)?;
        let meta = file.metadata()?;
        if meta.len() > LEN_MAX {
            let len = meta.len();
            return Err(io::Error::other(format!(
                "{len} bytes are more than the {LEN_MAX} that are managed"
            )));
        }
        if meta.len() <= LARGE {
            let mut bytes = Vec::new();
            file.take(LARGE + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 <= LARGE {
                return Ok(Self::from(bytes));
            }
            return Err(changed());
        }
        let mut summer = Summer::default();
        let len = io::copy(&mut file, &mut summer)?;
        if len != meta.len() {
            return Err(changed());
        }
        Ok(Self(Body::File(Arc::new(Stored { path: path.to_owned(), len, sum: summer.finish() }))))
    }

    /// How many bytes it is.
    pub fn len(&self) -> u64 {
        match &self.0 {
            Body::Held(bytes) => bytes.len() as u64,
            Body::File(stored) => stored.len,
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is [`LARGE`].
    pub fn is_large(&self) -> bool {
        self.len() > LARGE
    }

    /// Its sum: what `sha256sum` says of it. Of what is held it is computed each time.
    pub fn sum(&self) -> Sum {
        match &self.0 {
            Body::Held(bytes) => Sum::of(bytes),
            Body::File(stored) => stored.sum,
        }
    }

    /// Its bytes, where they are in memory.
    pub fn held(&self) -> Option<&Arc<[u8]>> {
        match &self.0 {
            Body::Held(bytes) => Some(bytes),
            Body::File(_) => None,
        }
    }

    /// All its bytes, read where they are not in memory.
    ///
    /// # Errors
    /// When they can not be read, are more than `limit`, or others than they were.
    pub fn bytes(&self, limit: u64) -> io::Result<Arc<[u8]>> {
        if self.len() > limit {
            let len = self.len();
            return Err(io::Error::other(format!(
                "{len} bytes are more than the {limit} that are held in memory"
            )));
        }
        match &self.0 {
            Body::Held(bytes) => Ok(Arc::clone(bytes)),
            Body::File(stored) => {
                let mut bytes = Vec::new();
                self.open()?.read_to_end(&mut bytes)?;
                if Sum::of(&bytes) != stored.sum {
                    return Err(changed());
                }
                Ok(bytes.into())
            }
        }
    }

    /// Opens it at its beginning, to be read piece by piece. No more than its length is read, and an end before that is an error.
    /// Whoever reads a large one to its end compares what was read with its [`sum`](Content::sum).
    ///
    /// # Errors
    /// When its file can not be opened.
    pub fn open(&self) -> io::Result<Reader> {
        let from = match &self.0 {
            Body::Held(bytes) => Opened::Held(Arc::clone(bytes)),
            Body::File(stored) => Opened::File(open_regular(&stored.path)?),
        };
        Ok(Reader { from, at: 0, len: self.len() })
    }
}

/// Opens a file, and nothing that would be waited for, such as a pipe, or that has no end.
fn open_regular(path: &Path) -> io::Result<File> {
    let no_regular = || io::Error::other("it is no regular file");
    if !std::fs::metadata(path)?.is_file() {
        return Err(no_regular());
    }
    let file = File::open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(no_regular()) }
}

/// What is said of content that is not what it was.
pub fn changed() -> io::Error {
    io::Error::other("the file that it comes from was changed meanwhile")
}

impl From<Arc<[u8]>> for Content {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self(Body::Held(bytes))
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Body::Held(bytes.into()))
    }
}

impl<const LEN: usize> From<&[u8; LEN]> for Content {
    fn from(bytes: &[u8; LEN]) -> Self {
        Self::from(&bytes[..])
    }
}

impl From<&[u8]> for Content {
    fn from(bytes: &[u8]) -> Self {
        Self(Body::Held(bytes.into()))
    }
}

impl Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Body::Held(bytes) => write!(f, "Content({} bytes)", bytes.len()),
            Body::File(stored) => write!(f, "Content({} bytes, {})", stored.len, stored.path.display()),
        }
    }
}

/// Reads content.
#[derive(Debug)]
pub struct Reader {
    from: Opened,
    at: u64,
    len: u64,
}

#[derive(Debug)]
enum Opened {
    Held(Arc<[u8]>),
    File(File),
}

impl Reader {
    /// Goes on at `offset`.
    ///
    /// # Errors
    /// When the file can not be read.
    pub fn seek_to(&mut self, offset: u64) -> io::Result<()> {
        if let Opened::File(file) = &mut self.from {
            file.seek(SeekFrom::Start(offset))?;
        }
        self.at = offset.min(self.len);
        Ok(())
    }
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let room = out.len().min(usize::try_from(self.len - self.at).unwrap_or(usize::MAX));
        let read = match &mut self.from {
            Opened::Held(bytes) => {
                let at = usize::try_from(self.at).expect("invariant: what is held fits into memory");
                out[..room].copy_from_slice(&bytes[at..at + room]);
                room
            }
            Opened::File(file) => file.read(&mut out[..room])?,
        };
        if read == 0 && room > 0 {
            return Err(changed());
        }
        self.at += read as u64;
        Ok(read)
    }
}

/// A SHA-256 sum: what each host can tell of its files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sum([u8; 32]);

impl Sum {
    /// The sum of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl FromStr for Sum {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a sum of 64 hex digits");
        let mut sum = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        for (at, byte) in sum.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(sum))
    }
}

/// Sums up what is written to it.
#[derive(Clone, Debug, Default)]
pub struct Summer(Sha256);

impl Summer {
    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The sum of all that was added so far.
    pub fn finish(&self) -> Sum {
        Sum(self.0.clone().finalize().into())
    }
}

impl io::Write for Summer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn large() -> Vec<u8> {
        (0..LARGE + 10).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn a_large_file_is_read_when_it_is_needed_and_from_any_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, large()).unwrap();
        let content = Content::read(&path).unwrap();
        assert!(content.held().is_none() && content.is_large());
        assert_eq!((content.len(), content.sum()), (LARGE + 10, Sum::of(&large())));
        assert_eq!(*content.bytes(LEN_MAX).unwrap(), *large());
        for content in [content, Content::from(large())] {
            let (mut reader, mut rest) = (content.open().unwrap(), Vec::new());
            reader.seek_to(LARGE).unwrap();
            reader.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, large()[LARGE as usize..]);
        }
        assert!(Content::read(dir.path()).is_err());
    }

    #[test]
    fn a_file_that_was_changed_meanwhile_is_not_taken_for_what_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, large()).unwrap();
        let content = Content::read(&path).unwrap();
        let mut other = large();
        other[7] ^= 1;
        std::fs::write(&path, &other).unwrap();
        assert!(content.bytes(LEN_MAX).unwrap_err().to_string().contains("changed meanwhile"));
        std::fs::write(&path, &other[..100]).unwrap();
        let read = content.open().unwrap().read_to_end(&mut Vec::new());
        assert!(read.unwrap_err().to_string().contains("changed meanwhile"));
    }

    #[test]
    fn a_sum_is_read_as_it_is_written() {
        let sum = Sum::of(b"abc");
        assert_eq!(sum.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(sum.to_string().parse(), Ok(sum));
        for wrong in ["", "zz", &"é".repeat(32)] {
            assert!(wrong.parse::<Sum>().is_err());
        }
    }
}
