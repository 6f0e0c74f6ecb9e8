//! Laws of containers as hosts, and of the files that they begin with.

use super::{Bench, Findings, Verdict, expect, failed, same};
use crate::backend::HostError;
use crate::backend::containers::{Access, Change, FileInside, LogQuery, New, ObjectRef, Phase};
use crate::backend::host::{Command, ExitStatus, Ownership};
use crate::testing::host::check_host;

pub(super) async fn check(bench: &Bench<'_>, found: &mut Findings) {
    found.note("a container begins with its files, and nobody tells of them", given(bench).await);
    found.note("files are written and read while a container does not run", stopped(bench).await);
    found.note("a command in a container that does not run is refused", not_running(bench).await);
    found.note("what is done in a container that is not there is NotFound", missing(bench).await);
    let name = match bench.run("host", bench.spec("host")).await {
        Ok(name) => name,
        Err(detail) => return found.note("a container runs", Err(detail)),
    };
    let host = bench.engine.host(&name);
    let scratch = "/detc-suite";
    let made = host.make_dir(scratch, &Ownership::default()).await;
    found.note("a directory is made in a container", made.map_err(|error| error.to_string()));
    found.0.extend(check_host(&*host, scratch).await);
}

async fn given(bench: &Bench<'_>) -> Verdict {
    const SECRET: &str = "not to be told 8f3a";
    for root in [Access::ReadWrite, Access::ReadOnly] {
        let mut spec = bench.spec_of("given", &["sleep", "600"]);
        spec.root = root;
        let files = vec![
            FileInside::new("/run/suite/deep/secret", SECRET.as_bytes()),
            FileInside::new("/run/suite/other", b"other").with_ownership(Ownership::new(
                Some(0o640),
                Some("7".into()),
                None,
            )),
        ];
        let name = bench.name("given");
        bench.create(&New::Container { name: name.clone(), spec: Box::new(spec), files }).await?;
        let shown = format!("{:?}", bench.container(&name).await?);
        expect(!shown.contains(SECRET), || format!("inspect shows it: {shown}"))?;
        bench.change(&Change::start(&name)).await?;
        let host = bench.engine.host(&name);
        let read = host.read("/run/suite/deep/secret", 1 << 10).await.map_err(|error| error.to_string())?;
        same("the content", &String::from_utf8_lossy(&read).into_owned(), &SECRET.to_owned())?;
        for (path, mode, owner) in [("/run/suite/deep/secret", 0o400, 0), ("/run/suite/other", 0o640, 7)] {
            let stat = host.stat(path).await.map_err(|error| error.to_string())?;
            same(path, &stat.map(|stat| (stat.mode, stat.owner.id)), &Some((mode, owner)))?;
        }
        bench.remove(ObjectRef::container(&name)).await?;
    }
    Ok(())
}

async fn stopped(bench: &Bench<'_>) -> Verdict {
    let name = bench.make("cold", bench.spec_of("cold", &["cat", "/greeting"])).await?;
    let host = bench.engine.host(&name);
    let written = host.write("/greeting", b"hello\n", &Ownership::default()).await;
    written.map_err(|error| format!("write failed: {error}"))?;
    let read = host.read("/greeting", 100).await.map_err(|error| format!("read failed: {error}"))?;
    same("the content", &read, &b"hello\n".to_vec())?;
    bench.change(&Change::start(&name)).await?;
    bench.until(&name, "ended", |it| it.status.phase == Phase::Exited(0)).await?;
    let log = bench.engine.logs(&name, &LogQuery::last(5)).await.map_err(|error| failed("logs", &error))?;
    let log: Vec<_> = log.into_iter().map(|line| line.text).collect();
    same("what it read", &log, &vec!["hello".to_owned()])
}

async fn not_running(bench: &Bench<'_>) -> Verdict {
    let name = bench.make("still", bench.spec("still")).await?;
    match bench.engine.host(&name).run(&Command::new(["pwd"])).await {
        Err(HostError::Refused { .. }) => {}
        other => return Err(format!("run: {other:?}")),
    }
    bench.change(&Change::start(&name)).await?;
    let output = bench.engine.host(&name).run(&Command::new(["pwd"])).await;
    same("its status", &output.map_err(|error| error.to_string())?.status, &ExitStatus::Code(0))
}

async fn missing(bench: &Bench<'_>) -> Verdict {
    let host = bench.engine.host(&bench.name("missing"));
    for result in [
        host.run(&Command::new(["pwd"])).await.map(drop),
        host.stat("/").await.map(drop),
        host.write("/a", b"", &Ownership::default()).await,
    ] {
        expect(matches!(result, Err(HostError::NotFound { .. })), || format!("{result:?}"))?;
    }
    Ok(())
}
