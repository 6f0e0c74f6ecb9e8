//! Laws of looking at files and directories: `stat`, `read`, `make_dir`, `set_ownership`.

use super::{Bench, Findings, Verdict, expect, failed, refuses, same};
use crate::backend::HostError;
use crate::backend::host::{FileKind, Ownership, Remove};

pub(super) async fn check(bench: &Bench<'_>, found: &mut Findings) {
    found.note("a relative path is refused", relative(bench).await);
    found.note("stat tells what is there", stat(bench).await);
    found.note("stat does not follow a link", stat_link(bench).await);
    found.note("absent is None for stat", stat_absent(bench).await);
    found.note("what could not be found out is an error, never absent", unknown(bench).await);
    found.note("read follows a link", read_link(bench).await);
    found.note("absent is NotFound for read", read_absent(bench).await);
    found.note("a file beyond the limit is TooLarge", too_large(bench).await);
    found.note("make_dir makes missing parents", parents(bench).await);
    found.note("make_dir keeps what exists", existing(bench).await);
    found.note("make_dir refuses a place where something else is", occupied(bench).await);
    found.note("set_ownership sets the mode", set_mode(bench).await);
    found.note("set_ownership refuses a link, and fails where nothing is", set_nothing(bench).await);
    found.note("an owner that is not known is refused", unknown_owner(bench).await);
}

fn mode(mode: u32) -> Ownership {
    Ownership::new(Some(mode), None, None)
}

async fn relative(bench: &Bench<'_>) -> Verdict {
    let host = bench.host;
    let right: fn(&HostError) -> bool = |error| matches!(error, HostError::Invalid { .. });
    let none = Ownership::default();
    for path in ["detc-suite", "./detc-suite", ""] {
        refuses("stat", host.stat(path).await, right)?;
        refuses("read", host.read(path, 1).await, right)?;
        refuses("write", host.write(path, b"", &none).await, right)?;
        refuses("make_dir", host.make_dir(path, &none).await, right)?;
        refuses("set_ownership", host.set_ownership(path, &none).await, right)?;
        refuses("remove", host.remove(path, Remove::File).await, right)?;
    }
    Ok(())
}

async fn stat(bench: &Bench<'_>) -> Verdict {
    let (file, dir) = (bench.file("stat-file", b"12345").await?, bench.dir("stat-dir").await?);
    for (path, kind, size) in [(file, FileKind::File, Some(5)), (dir, FileKind::Directory, None)] {
        let stat = bench.host.stat(&path).await.map_err(|error| failed("stat", &error))?;
        let stat = stat.ok_or_else(|| format!("stat says that {path} is absent"))?;
        same("the kind", &stat.kind, &kind)?;
        same("the size", &stat.size, &size.unwrap_or(stat.size))?;
        expect(stat.mode <= 0o7777, || format!("mode {:o} has more than permission bits", stat.mode))?;
    }
    Ok(())
}

async fn stat_link(bench: &Bench<'_>) -> Verdict {
    for target in ["/", "nowhere"] {
        let name = format!("stat-link-{}", target.trim_matches('/'));
        let link = bench.link(target, &name).await?;
        let stat = bench.host.stat(&link).await.map_err(|error| failed("stat", &error))?;
        same("the kind", &stat.map(|stat| stat.kind), &Some(FileKind::Symlink))?;
    }
    Ok(())
}

async fn stat_absent(bench: &Bench<'_>) -> Verdict {
    let file = bench.file("stat-leaf", b"").await?;
    for path in [bench.path("absent"), bench.path("absent/below"), format!("{file}/below")] {
        match bench.host.stat(&path).await {
            Ok(None) => {}
            other => return Err(format!("stat of {path}: {other:?}")),
        }
    }
    Ok(())
}

async fn unknown(bench: &Bench<'_>) -> Verdict {
    let link = bench.link("loop", "loop").await?;
    let result = bench.host.stat(&format!("{link}/below")).await;
    refuses("stat through links that lead in a circle", result, |error| {
        !matches!(error, HostError::NotFound { .. })
    })
}

async fn read_link(bench: &Bench<'_>) -> Verdict {
    bench.file("read-target", b"target").await?;
    let link = bench.link("read-target", "read-link").await?;
    same("the content", &bench.content(&link).await?, &b"target".to_vec())
}

async fn read_absent(bench: &Bench<'_>) -> Verdict {
    for name in ["absent", "absent/below"] {
        let result = bench.host.read(&bench.path(name), 10).await;
        refuses("read", result, |error| matches!(error, HostError::NotFound { .. }))?;
    }
    Ok(())
}

async fn too_large(bench: &Bench<'_>) -> Verdict {
    let path = bench.file("large", b"12345").await?;
    let exact = bench.host.read(&path, 5).await.map_err(|error| failed("read", &error))?;
    same("a file just as long as the limit", &exact, &b"12345".to_vec())?;
    let result = bench.host.read(&path, 4).await;
    refuses("read", result, |error| matches!(error, HostError::TooLarge { limit: 4, .. }))
}

async fn parents(bench: &Bench<'_>) -> Verdict {
    let path = bench.path("p/q/r");
    let made = bench.host.make_dir(&path, &mode(0o700)).await;
    made.map_err(|error| failed("make_dir", &error))?;
    same("the mode of the directory", &bench.mode(&path).await?, &0o700)?;
    same("the mode of its parent", &bench.mode(&bench.path("p/q")).await?, &0o755)
}

async fn existing(bench: &Bench<'_>) -> Verdict {
    let dir = bench.dir("kept").await?;
    same("the mode where none is given", &bench.mode(&dir).await?, &0o755)?;
    let file = bench.file("kept/file", b"kept").await?;
    for (ownership, wanted) in [(mode(0o750), 0o750), (Ownership::default(), 0o750)] {
        let made = bench.host.make_dir(&dir, &ownership).await;
        made.map_err(|error| failed("make_dir", &error))?;
        same("the mode", &bench.mode(&dir).await?, &wanted)?;
    }
    same("what is in it", &bench.content(&file).await?, &b"kept".to_vec())
}

async fn occupied(bench: &Bench<'_>) -> Verdict {
    let file = bench.file("occupied", b"file").await?;
    let result = bench.host.make_dir(&file, &mode(0o700)).await;
    refuses("make_dir on a file", result, |error| matches!(error, HostError::Refused { .. }))?;
    same("the file", &bench.content(&file).await?, &b"file".to_vec())
}

async fn set_mode(bench: &Bench<'_>) -> Verdict {
    let (file, dir) = (bench.file("owned-file", b"").await?, bench.dir("owned-dir").await?);
    for path in [file, dir] {
        let set = bench.host.set_ownership(&path, &mode(0o2750)).await;
        set.map_err(|error| failed("set_ownership", &error))?;
        same("the mode", &bench.mode(&path).await?, &0o2750)?;
    }
    Ok(())
}

async fn set_nothing(bench: &Bench<'_>) -> Verdict {
    let target = bench.file("owned-target", b"").await?;
    let link = bench.link("owned-target", "owned-link").await?;
    let result = bench.host.set_ownership(&link, &mode(0o600)).await;
    refuses("set_ownership of a link", result, |error| matches!(error, HostError::Invalid { .. }))?;
    same("the mode of the link's target", &bench.mode(&target).await?, &0o644)?;
    let result = bench.host.set_ownership(&bench.path("absent"), &mode(0o600)).await;
    refuses("set_ownership of nothing", result, |error| matches!(error, HostError::NotFound { .. }))
}

async fn unknown_owner(bench: &Bench<'_>) -> Verdict {
    let path = bench.path("owned-by-nobody-known");
    let ownership = Ownership::new(None, Some("detc-no-such-user".to_owned()), None);
    let result = bench.host.write(&path, b"x", &ownership).await;
    refuses("write", result, |error| matches!(error, HostError::Refused { .. }))?;
    match bench.host.stat(&path).await {
        Ok(None) => Ok(()),
        other => Err(format!("the refused write left something: {other:?}")),
    }
}
