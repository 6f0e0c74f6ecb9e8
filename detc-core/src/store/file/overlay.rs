//! A file that is read as it is, and written to in memory only.
//!
//! Opening a database writes: that it is open, and what it takes to be sound again after a crash. Whoever only reads a store
//! does that here, and leaves the file as it was to all others who read it at the same time.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::sync::{PoisonError, RwLock};

use redb::StorageBackend;
use redb::backends::FileBackend;

/// What is kept of each write is the whole page. redb's own pages are as long.
const PAGE: usize = 4096;

/// A storage on a file that it leaves alone.
#[derive(Debug)]
pub(super) struct Overlay {
    file: FileBackend,
    written: RwLock<Written>,
}

/// What differs from the file.
#[derive(Debug)]
struct Written {
    len: u64,
    /// How much of the file still counts: it was never shorter than this.
    kept: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
}

impl Overlay {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        let file = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Self { file, written: RwLock::new(Written { len, kept: len, pages: BTreeMap::new() }) })
    }

    /// What the file has at `offset`, as far as it counts; zeros otherwise.
    fn below(&self, kept: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = usize::try_from(kept.saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
        let (there, beyond) = out.split_at_mut(there);
        beyond.fill(0);
        if there.is_empty() { Ok(()) } else { self.file.read(offset, there) }
    }
}

/// The pages that some bytes lie in.
fn pages(offset: u64, len: usize) -> std::ops::Range<u64> {
    offset / PAGE as u64..(offset + len as u64).div_ceil(PAGE as u64)
}

/// Where a page and the `len` bytes at `offset` meet: in the page, and in the bytes.
fn meeting(page: u64, offset: u64, len: usize) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
    let page_at = page * PAGE as u64;
    let begin = page_at.max(offset);
    let end = (page_at + PAGE as u64).min(offset + len as u64);
    let from = |base: u64| (begin - base) as usize..(end - base) as usize;
    (from(page_at), from(offset))
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.written.read().unwrap_or_else(PoisonError::into_inner).len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let written = self.written.read().unwrap_or_else(PoisonError::into_inner);
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > written.len) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.below(written.kept, offset, out)?;
        for (page, bytes) in written.pages.range(pages(offset, out.len())) {
            let (of_page, of_out) = meeting(*page, offset, out.len());
            out[of_out].copy_from_slice(&bytes[of_page]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut written = self.written.write().unwrap_or_else(PoisonError::into_inner);
        (written.len, written.kept) = (len, written.kept.min(len));
        written.pages.split_off(&len.div_ceil(PAGE as u64));
        let (last, used) = (len / PAGE as u64, (len % PAGE as u64) as usize);
        if let Some(page) = written.pages.get_mut(&last) {
            page[used..].fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.written.write().unwrap_or_else(PoisonError::into_inner);
        let Written { len, kept, pages: all } = &mut *written;
        for page in pages(offset, data.len()) {
            let (of_page, of_data) = meeting(page, offset, data.len());
            let bytes = match all.entry(page) {
                Entry::Occupied(there) => there.into_mut(),
                Entry::Vacant(place) => {
                    let mut below = Box::new([0; PAGE]);
                    self.below(*kept, page * PAGE as u64, &mut below[..])?;
                    place.insert(below)
                }
            };
            bytes[of_page].copy_from_slice(&data[of_data]);
        }
        *len = (*len).max(offset + data.len() as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Does the same to an overlay and to plain bytes: both read alike, and the file stays as it was.
    #[test]
    fn it_reads_like_a_file_that_was_written_to_and_the_file_is_as_before() {
        let mut file = tempfile::tempfile().unwrap();
        let mut plain: Vec<u8> = (0..3 * PAGE + 100).map(|n| (n % 251) as u8).collect();
        let before = plain.clone();
        file.write_all(&plain).unwrap();
        let overlay = Overlay::new(file.try_clone().unwrap()).unwrap();
        let same = |plain: &[u8]| {
            assert_eq!(overlay.len().unwrap(), plain.len() as u64);
            for begin in
                [0, 1, PAGE - 1, PAGE, 2 * PAGE + 7].into_iter().filter(|begin| *begin <= plain.len())
            {
                let mut out = vec![1; plain.len() - begin];
                overlay.read(begin as u64, &mut out).unwrap();
                assert!(out == plain[begin..], "from {begin}");
            }
            let beyond = overlay.read(plain.len() as u64 - 1, &mut [0; 2]).unwrap_err();
            assert_eq!(beyond.kind(), ErrorKind::UnexpectedEof);
        };
        same(&plain);
        for (at, len) in [(5, 10), (PAGE - 3, 6), (100, 2 * PAGE), (3 * PAGE + 90, 10)] {
            let data = vec![255; len];
            overlay.write(at as u64, &data).unwrap();
            plain[at..at + len].copy_from_slice(&data);
            same(&plain);
        }
        for len in [5 * PAGE, PAGE + 9, 4 * PAGE + 1, 17, 3 * PAGE] {
            overlay.set_len(len as u64).unwrap();
            plain.resize(len, 0);
            same(&plain);
        }
        let mut now = vec![0; before.len()];
        FileBackend::new(file).unwrap().read(0, &mut now).unwrap();
        assert!(now == before);
    }
}
