//! Laws of content that is [large](LARGE).

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};

use super::{Bench, Findings, Verdict, expect, failed, refuses, same};
use crate::backend::HostError;
use crate::backend::host::Ownership;
use crate::content::{Content, LARGE, Sum};

pub(super) async fn check(bench: &Bench<'_>, found: &mut Findings) {
    found.note("large content is written and read whole, with its mode", whole(bench).await);
    found.note("a large file beyond the limit is TooLarge", too_large(bench).await);
    found.note("after a large write that was dropped the next one is whole", dropped(bench).await);
    found.note("short content replaces large content", short(bench).await);
    found.note("content that was changed meanwhile is refused, and the old stays", changed(bench).await);
}

/// Bytes that do not repeat where pieces end.
fn large(seed: u8) -> Vec<u8> {
    let block: Vec<u8> =
        (0..10_007_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8 ^ seed).collect();
    let times = usize::try_from(LARGE).expect("invariant: it fits into memory") / block.len() + 20;
    block.repeat(times)
}

/// That the file at `path` is `content`. A difference is not told byte by byte.
async fn is_at(bench: &Bench<'_>, path: &str, content: &[u8]) -> Verdict {
    let seen = bench.content(path).await?;
    same("length and sum", &(seen.len(), Sum::of(&seen)), &(content.len(), Sum::of(content)))
}

async fn write(bench: &Bench<'_>, path: &str, content: Vec<u8>, mode: u32) -> Verdict {
    let ownership = Ownership::new(Some(mode), None, None);
    let written = bench.host.write_from(path, &content.into(), &ownership).await;
    written.map_err(|error| failed("write", &error))
}

async fn whole(bench: &Bench<'_>) -> Verdict {
    let path = bench.path("large-whole");
    for (seed, mode) in [(1, 0o640), (2, 0o4711)] {
        write(bench, &path, large(seed), mode).await?;
        is_at(bench, &path, &large(seed)).await?;
        same("the mode", &bench.mode(&path).await?, &mode)?;
    }
    let mut into = Vec::new();
    let len = bench.host.read_to(&path, u64::MAX, &mut into).await.map_err(|error| failed("read", &error))?;
    same("the length that is told", &len, &(into.len() as u64))
}

async fn too_large(bench: &Bench<'_>) -> Verdict {
    let path = bench.path("large-limit");
    write(bench, &path, large(1), 0o644).await?;
    let len = large(1).len() as u64;
    bench.host.read(&path, len).await.map_err(|error| failed("read", &error))?;
    let result = bench.host.read(&path, len - 1).await.map(|content| content.len());
    refuses("read", result, |error| matches!(error, HostError::TooLarge { .. }))
}

async fn dropped(bench: &Bench<'_>) -> Verdict {
    let path = bench.path("large-dropped");
    write(bench, &path, large(0), 0o644).await?;
    for (seed, polls) in (1..).zip([1, 5, 50]) {
        let (content, ownership) = (Content::from(large(seed)), Ownership::default());
        {
            let mut write = bench.host.write_from(&path, &content, &ownership);
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..polls {
                if write.as_mut().poll(&mut cx).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        // The very content that was dropped, or another.
        let seed = seed - seed % 2;
        write(bench, &path, large(seed), 0o644).await?;
        is_at(bench, &path, &large(seed)).await?;
    }
    Ok(())
}

async fn short(bench: &Bench<'_>) -> Verdict {
    let path = bench.path("large-short");
    write(bench, &path, large(3), 0o600).await?;
    write(bench, &path, b"short".to_vec(), 0o644).await?;
    same("the content", &bench.content(&path).await?, &b"short".to_vec())
}

async fn changed(bench: &Bench<'_>) -> Verdict {
    let source = Scratch::new();
    let path = bench.path("large-changed");
    write(bench, &path, b"old".to_vec(), 0o644).await?;
    let long = usize::try_from(LARGE).expect("invariant: it fits into memory") + 100_000;
    for len in [long, long - 50_000] {
        let begun = std::fs::write(&source.0, vec![1; long]);
        let content = begun.and_then(|()| Content::read(&source.0)).expect("the suite has a file of its own");
        std::fs::write(&source.0, vec![2; len]).expect("the suite has a file of its own");
        let result = bench.host.write_from(&path, &content, &Ownership::default()).await;
        refuses("write", result, |error| matches!(error, HostError::Refused { .. }))?;
        let seen = bench.content(&path).await?;
        expect(seen == b"old", || format!("there are {} other bytes now", seen.len()))?;
    }
    Ok(())
}

/// A file of the suite's own, beside the host.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("detc-suite-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}
