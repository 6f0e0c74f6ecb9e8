//! Laws of [`Host::write`](crate::backend::Host::write).

use std::task::{Context, Poll, Waker};

use super::{Bench, Findings, Verdict, expect, failed, refuses, same};
use crate::backend::HostError;
use crate::backend::host::{FileKind, Ownership};
use crate::content::Content;

pub(super) async fn check(bench: &Bench<'_>, found: &mut Findings) {
    found.note("write replaces the whole content", replaced(bench).await);
    found.note("a reader sees the old content or the new, never a part", atomic(bench).await);
    found.note("a dropped write leaves the old content or the new, never a part", dropped(bench).await);
    found.note("write sets the mode, or keeps it", modes(bench).await);
    found.note("write replaces a link and leaves its target alone", link(bench).await);
    found.note("write into a missing directory is NotFound", missing(bench).await);
    found.note("write on a directory is refused", directory(bench).await);
}

fn mode(mode: Option<u32>) -> Ownership {
    Ownership::new(mode, None, None)
}

async fn replaced(bench: &Bench<'_>) -> Verdict {
    let binary: Vec<u8> = (0..=255).collect();
    for content in [b"a longer content".to_vec(), b"short".to_vec(), binary, Vec::new()] {
        let path = bench.file("replaced", &content).await?;
        same("the content", &bench.content(&path).await?, &content)?;
    }
    Ok(())
}

/// Long enough for more than one system call, so that a host that writes in place is caught between two.
const LEN: usize = 400_000;

/// Whether `content` is all of one letter and of full length.
fn whole(content: &[u8]) -> Verdict {
    let first = content.first().copied().unwrap_or_default();
    expect(content.len() == LEN && content.iter().all(|byte| *byte == first), || {
        format!("a reader saw {} of {LEN} bytes, beginning with {:?}", content.len(), char::from(first))
    })
}

async fn atomic(bench: &Bench<'_>) -> Verdict {
    const ROUNDS: usize = 8;
    let path = bench.file("atomic", &vec![b'-'; LEN]).await?;
    let mut verdict = Ok(());
    for round in 0..ROUNDS {
        let letter = b'a' + round as u8;
        let content = Content::from(vec![letter; LEN]);
        let ownership = Ownership::default();
        let mut write = bench.host.write_from(&path, &content, &ownership);
        // The write is polled once between any two looks, so that every state it passes through can be seen.
        loop {
            let poll = std::future::poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx))).await;
            verdict = verdict.and(bench.content(&path).await.and_then(|content| whole(&content)));
            if let Poll::Ready(result) = poll {
                result.map_err(|error| failed("write", &error))?;
                break;
            }
        }
        same("the first byte", &bench.content(&path).await?.first().copied(), &Some(letter))?;
    }
    verdict
}

async fn dropped(bench: &Bench<'_>) -> Verdict {
    const POLLS: usize = 6;
    let mut verdict = Ok(());
    for polls in 0..POLLS {
        let path = bench.file(&format!("dropped-{polls}"), &vec![b'o'; LEN]).await?;
        let ownership = mode(Some(0o600));
        let content = Content::from(vec![b'n'; LEN]);
        {
            let mut write = bench.host.write_from(&path, &content, &ownership);
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..polls {
                if write.as_mut().poll(&mut cx).is_ready() {
                    break;
                }
            }
        }
        let seen = bench.content(&path).await?;
        verdict = verdict.and(whole(&seen));
        if seen.first() == Some(&b'n') {
            verdict = verdict.and(same("the mode of the new content", &bench.mode(&path).await?, &0o600));
        }
    }
    verdict
}

async fn modes(bench: &Bench<'_>) -> Verdict {
    let path = bench.path("modes");
    for (given, wanted) in [(None, 0o644), (Some(0o4711), 0o4711), (None, 0o4711), (Some(0o600), 0o600)] {
        let written = bench.host.write(&path, b"x", &mode(given)).await;
        written.map_err(|error| failed("write", &error))?;
        same(&format!("the mode after {given:?}"), &bench.mode(&path).await?, &wanted)?;
    }
    Ok(())
}

async fn link(bench: &Bench<'_>) -> Verdict {
    let target = bench.file("link-target", b"target").await?;
    let link = bench.link("link-target", "link-name").await?;
    let written = bench.host.write(&link, b"new", &mode(None)).await;
    written.map_err(|error| failed("write", &error))?;
    same("the target's content", &bench.content(&target).await?, &b"target".to_vec())?;
    same("the new content", &bench.content(&link).await?, &b"new".to_vec())?;
    let stat = bench.host.stat(&link).await.map_err(|error| failed("stat", &error))?;
    same("the kind", &stat.map(|stat| stat.kind), &Some(FileKind::File))
}

async fn missing(bench: &Bench<'_>) -> Verdict {
    let result = bench.host.write(&bench.path("no-dir/file"), b"x", &mode(None)).await;
    refuses("write", result, |error| matches!(error, HostError::NotFound { .. }))
}

async fn directory(bench: &Bench<'_>) -> Verdict {
    let dir = bench.dir("write-dir").await?;
    let result = bench.host.write(&dir, b"x", &mode(None)).await;
    refuses("write", result, |error| matches!(error, HostError::Refused { .. }))
}
