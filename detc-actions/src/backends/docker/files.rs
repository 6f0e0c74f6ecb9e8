//! What is sent to an engine piece by piece, and files in archives.

use std::io::{self, Read};

use bytes::Bytes;
use detc_core::backend::containers::FileInside;
use detc_core::content::{self, Content, Summer};
use futures_util::{Stream, stream};

/// How much is read from a file at once: it takes less than a millisecond.
const PIECE_LEN: usize = 256 << 10;

/// How much the files that a container is made with are in all: they are configurations and secrets, and held in memory.
const FILES_LEN_MAX: u64 = 64 << 20;

/// Content, piece by piece. Its end is an error when it is not what it was any more.
pub(super) fn pieces(content: &Content) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    enum Next {
        Held(Bytes),
        Open(Content),
        More(Box<Reading>),
        End,
    }
    struct Reading {
        content: Content,
        reader: content::Reader,
        summer: Summer,
    }
    let first = match content.held() {
        Some(bytes) => Next::Held(Bytes::copy_from_slice(bytes)),
        None => Next::Open(content.clone()),
    };
    stream::try_unfold(first, |next| async move {
        let reading = match next {
            Next::Held(mut bytes) if bytes.len() > PIECE_LEN => {
                return Ok(Some((bytes.split_to(PIECE_LEN), Next::Held(bytes))));
            }
            Next::Held(bytes) if bytes.is_empty() => return Ok(None),
            Next::Held(bytes) => return Ok(Some((bytes, Next::End))),
            Next::Open(content) => {
                let reader = content.open()?;
                Box::new(Reading { content, reader, summer: Summer::default() })
            }
            Next::More(reading) => reading,
            Next::End => return Ok(None),
        };
        let read = tokio::task::spawn_blocking(move || {
            let mut reading = reading;
            let mut piece = vec![0; PIECE_LEN];
            let len = reading.reader.read(&mut piece)?;
            piece.truncate(len);
            io::Write::write_all(&mut reading.summer, &piece)?;
            Ok::<_, io::Error>((reading, piece))
        });
        let (reading, piece) = read.await.map_err(io::Error::other)??;
        if !piece.is_empty() {
            return Ok(Some((Bytes::from(piece), Next::More(reading))));
        }
        if reading.summer.finish() == reading.content.sum() { Ok(None) } else { Err(content::changed()) }
    })
}

/// An archive of files, which is unpacked at `root`. Directories that are missing are made by whoever unpacks it.
///
/// # Errors
/// What of it can not be, in words.
pub(super) fn archive(files: &[&FileInside], root: &str) -> Result<Bytes, String> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut left = FILES_LEN_MAX;
    for file in files {
        let path = inside(&file.path, root)
            .ok_or_else(|| format!("`{}` is no absolute path of a file", file.path))?;
        let bytes = file.content.bytes(left).map_err(|error| format!("{}: {error}", file.path))?;
        left -= bytes.len() as u64;
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(bytes.len() as u64);
        header.set_mode(file.ownership.mode.unwrap_or(0o400));
        header.set_uid(number(file.ownership.owner.as_deref(), &file.path)?.into());
        header.set_gid(number(file.ownership.group.as_deref(), &file.path)?.into());
        header.set_mtime(0);
        archive
            .append_data(&mut header, path, &bytes[..])
            .map_err(|error| format!("{}: {error}", file.path))?;
    }
    archive.into_inner().map(Bytes::from).map_err(|error| error.to_string())
}

/// The path beneath `root`; `None`: it is none.
fn inside<'a>(path: &'a str, root: &str) -> Option<&'a str> {
    let below = path.strip_prefix(root.trim_end_matches('/'))?.strip_prefix('/')?;
    let is_part = |part: &str| !part.is_empty() && part != "." && part != "..";
    (below.split('/').all(is_part) && !path.contains('\0')).then_some(below)
}

fn number(owner: Option<&str>, path: &str) -> Result<u32, String> {
    match owner {
        None | Some("root") => Ok(0),
        Some(owner) => owner
            .parse()
            .map_err(|_| format!("{path}: the owner `{owner}` is no number, and the image can not be asked")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::TryStreamExt;

    #[tokio::test]
    async fn content_is_sent_whole_whether_it_is_held_or_in_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for len in [0, 1, PIECE_LEN, PIECE_LEN + 1, 5 * PIECE_LEN + 7] {
            let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            std::fs::write(file.path(), &bytes).unwrap();
            for content in [Content::from(bytes.clone()), Content::read(file.path()).unwrap()] {
                let pieces: Vec<_> = pieces(&content).try_collect().await.unwrap();
                assert!(pieces.concat() == bytes, "{len} bytes");
            }
        }
    }

    #[tokio::test]
    async fn content_that_was_changed_meanwhile_ends_in_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![1; 5 * PIECE_LEN]).unwrap();
        let content = Content::read(file.path()).unwrap();
        std::fs::write(file.path(), vec![2; 5 * PIECE_LEN]).unwrap();
        assert!(pieces(&content).try_collect::<Vec<_>>().await.is_err());
    }

    #[test]
    fn a_file_of_an_archive_lies_beneath_its_root() {
        assert_eq!(inside("/run/secrets/a", "/"), Some("run/secrets/a"));
        assert_eq!(inside("/run/secrets/a", "/run"), Some("secrets/a"));
        for path in ["run/a", "/", "/a/../b", "/a//b", "/a/"] {
            assert_eq!(inside(path, "/"), None, "{path}");
        }
        assert_eq!(inside("/running/a", "/run"), None);
    }
}
