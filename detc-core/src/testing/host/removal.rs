//! Laws of [`Host::remove`](crate::backend::Host::remove).

use super::{Bench, Findings, Verdict, expect, failed, refuses, same};
use crate::backend::HostError;
use crate::backend::host::Remove;

pub(super) async fn check(bench: &Bench<'_>, found: &mut Findings) {
    found.note("removing what is absent succeeds", absent(bench).await);
    found.note("Remove::File removes a file or a link, and refuses a directory", file(bench).await);
    found.note("Remove::EmptyDirectory refuses what has contents", empty(bench).await);
    found.note("Remove::Tree removes all below and follows no link", tree(bench).await);
    found.note("the root is never removed", root(bench).await);
}

async fn remove(bench: &Bench<'_>, path: &str, how: Remove) -> Verdict {
    bench.host.remove(path, how).await.map_err(|error| failed(&format!("remove {how:?}"), &error))?;
    match bench.host.stat(path).await {
        Ok(None) => Ok(()),
        other => Err(format!("after remove {how:?} stat says {other:?}")),
    }
}

async fn absent(bench: &Bench<'_>) -> Verdict {
    let leaf = bench.file("leaf", b"").await?;
    for path in [bench.path("absent"), bench.path("absent/below"), format!("{leaf}/below")] {
        for how in [Remove::File, Remove::EmptyDirectory, Remove::Tree] {
            remove(bench, &path, how).await?;
        }
    }
    Ok(())
}

async fn file(bench: &Bench<'_>) -> Verdict {
    let target = bench.file("remove-me", b"target").await?;
    let link = bench.link("remove-me", "remove-link").await?;
    remove(bench, &link, Remove::File).await?;
    same("the link's target", &bench.content(&target).await?, &b"target".to_vec())?;
    remove(bench, &target, Remove::File).await?;
    let dir = bench.dir("remove-dir").await?;
    let result = bench.host.remove(&dir, Remove::File).await;
    refuses("remove File on a directory", result, |error| matches!(error, HostError::Invalid { .. }))
}

async fn empty(bench: &Bench<'_>) -> Verdict {
    let dir = bench.dir("full").await?;
    let inner = bench.file("full/file", b"inner").await?;
    let result = bench.host.remove(&dir, Remove::EmptyDirectory).await;
    refuses("remove EmptyDirectory", result, |error| matches!(error, HostError::NotEmpty { .. }))?;
    same("what is in it", &bench.content(&inner).await?, &b"inner".to_vec())?;
    let result = bench.host.remove(&inner, Remove::EmptyDirectory).await;
    refuses("remove EmptyDirectory on a file", result, |error| matches!(error, HostError::Invalid { .. }))?;
    remove(bench, &inner, Remove::File).await?;
    remove(bench, &dir, Remove::EmptyDirectory).await
}

async fn tree(bench: &Bench<'_>) -> Verdict {
    bench.dir("outside").await?;
    let outside = bench.file("outside/file", b"outside").await?;
    let tree = bench.dir("tree").await?;
    bench.dir("tree/a/b").await?;
    bench.file("tree/a/b/file", b"").await?;
    bench.link("../../outside", "tree/a/link").await?;
    remove(bench, &tree, Remove::Tree).await?;
    same("what a link leads to", &bench.content(&outside).await?, &b"outside".to_vec())?;
    let link = bench.link("outside", "tree-link").await?;
    remove(bench, &link, Remove::Tree).await?;
    same("what the link led to", &bench.content(&outside).await?, &b"outside".to_vec())
}

async fn root(bench: &Bench<'_>) -> Verdict {
    for path in ["/", "//"] {
        let result = bench.host.remove(path, Remove::EmptyDirectory).await;
        expect(result.is_err(), || format!("remove EmptyDirectory of {path} succeeded"))?;
    }
    Ok(())
}
