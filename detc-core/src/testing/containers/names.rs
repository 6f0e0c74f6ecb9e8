//! Laws of names, labels and listings.

use super::{Bench, Findings, Verdict, expect, refuses, same};
use crate::backend::ContainersError;
use crate::backend::containers::{
    Attachment, Change, LogQuery, Mark, Mount, NetworkSpec, Networking, New, ObjectKind, ObjectRef, Phase,
    Source, VolumeSpec,
};

pub(super) async fn check(bench: &Bench<'_>, found: &mut Findings) {
    found.note("an object is found by its name and by its id", found_by_both(bench).await);
    found.note("what is there is not taken over, and stays as it is", taken(bench).await);
    found.note("what is absent is inspected as None", absent(bench).await);
    found.note("what needs something that is not there is NotFound", needs(bench).await);
    found.note("what can not be as it is written is Invalid", invalid(bench).await);
    found.note("a listing has all that carry the labels, and nothing else", listed(bench).await);
    found.note("a listing tells how a container is, and is in order of names", told(bench).await);
    found.note(
        "a container has another name when it was renamed, and never one that is taken",
        renamed(bench).await,
    );
}

fn network(bench: &Bench<'_>, name: &str) -> New {
    let spec = NetworkSpec { labels: bench.mark(name).labels(), ..NetworkSpec::default() };
    New::Network { name: bench.name(name), spec }
}

fn volume(bench: &Bench<'_>, name: &str) -> New {
    let spec = VolumeSpec { labels: bench.mark(name).labels(), ..VolumeSpec::default() };
    New::Volume { name: bench.name(name), spec }
}

async fn found_by_both(bench: &Bench<'_>) -> Verdict {
    let container = New::container(bench.name("n1"), bench.spec("n1"));
    for (kind, new) in [
        (ObjectKind::Container, container),
        (ObjectKind::Network, network(bench, "n1")),
        (ObjectKind::Volume, volume(bench, "n1")),
    ] {
        let id = bench.create(&new).await?;
        for called in [&id, &bench.name("n1")] {
            let object = ObjectRef::new(kind, called);
            expect(bench.is_there(&object).await?, || format!("{object} is not found"))?;
        }
        if kind == ObjectKind::Container {
            let found = bench.container(&id).await?;
            same("id and name", &(found.id, found.name), &(id, bench.name("n1")))?;
        }
    }
    let object = ObjectRef::image(bench.image);
    let image = bench.engine.image(bench.image).await.ok().flatten();
    let image = image.ok_or_else(|| format!("{object} is not found"))?;
    expect(bench.is_there(&ObjectRef::image(&image.id)).await?, || format!("{} is not found", image.id))?;
    same("the image of a container", &bench.container(&bench.name("n1")).await?.image, &image.id)
}

async fn taken(bench: &Bench<'_>) -> Verdict {
    let name = bench.make("taken", bench.spec("taken")).await?;
    let before = bench.container(&name).await?;
    let mut other = bench.spec("other");
    other.env.insert("OTHER".into(), "1".into());
    let again = bench.engine.create(&New::container(&name, other)).await;
    refuses("create", again, |error| matches!(error, ContainersError::Taken { .. }))?;
    same("the container", &bench.container(&name).await?, &before)?;
    for new in [network(bench, "taken"), volume(bench, "taken")] {
        bench.create(&new).await?;
        // Also where what is asked for is what is there: whose it is has to be looked at.
        let again = bench.engine.create(&new).await;
        refuses(&new.to_string(), again, |error| matches!(error, ContainersError::Taken { .. }))?;
    }
    let spec = VolumeSpec { labels: bench.mark("other").labels(), ..VolumeSpec::default() };
    let again = bench.engine.create(&New::Volume { name: bench.name("taken"), spec }).await;
    refuses("create", again, |error| matches!(error, ContainersError::Taken { .. }))?;
    let query = bench.mark("taken").same_resource(ObjectKind::Network);
    same("networks of that name", &bench.list(&query).await?.len(), &1)
}

async fn absent(bench: &Bench<'_>) -> Verdict {
    for kind in [ObjectKind::Image, ObjectKind::Container, ObjectKind::Network, ObjectKind::Volume] {
        let object = ObjectRef::new(kind, bench.name("absent"));
        expect(!bench.is_there(&object).await?, || format!("{object} is there"))?;
        bench.remove(object).await?;
    }
    let name = bench.name("absent");
    let (container, network) = (name.clone(), Networking::DEFAULT.to_owned());
    for change in [
        Change::start(&name),
        Change::stop(&name),
        Change::Signal { container: container.clone(), signal: "SIGHUP".into() },
        Change::Rename { container: container.clone(), to: bench.name("other") },
        Change::Connect { container, network, attachment: Attachment::default() },
        Change::Tag { image: name.clone(), tag: format!("{name}:1") },
    ] {
        let result = bench.engine.change(&change).await;
        refuses(&change.to_string(), result, |error| matches!(error, ContainersError::NotFound { .. }))?;
    }
    let result = bench.engine.logs(&name, &LogQuery::last(1)).await;
    refuses("logs", result, |error| matches!(error, ContainersError::NotFound { .. }))
}

async fn needs(bench: &Bench<'_>) -> Verdict {
    let mut no_image = bench.spec("needs");
    no_image.image = format!("{}:none", bench.name("no-image"));
    let mut no_volume = bench.spec("needs");
    no_volume.mounts.insert("/data".into(), Mount::new(Source::Volume(bench.name("no-volume"))));
    for spec in [no_image, no_volume] {
        let result = bench.engine.create(&New::container(bench.name("needs"), spec)).await;
        refuses("create", result, |error| matches!(error, ContainersError::NotFound { .. }))?;
        let object = ObjectRef::container(bench.name("needs"));
        expect(!bench.is_there(&object).await?, || format!("{object} was made"))?;
    }
    let object = ObjectRef::volume(bench.name("no-volume"));
    expect(!bench.is_there(&object).await?, || format!("{object} was made by the way"))?;
    let mut no_network = bench.spec("needs");
    no_network.networking = Networking::of([(bench.name("no-network"), Attachment::default())]);
    let name = bench.name("needs");
    let result = match bench.engine.create(&New::container(&name, no_network)).await {
        Ok(_) => bench.engine.change(&Change::start(&name)).await,
        Err(error) => Err(error),
    };
    refuses("create and start", result, |error| matches!(error, ContainersError::NotFound { .. }))
}

async fn invalid(bench: &Bench<'_>) -> Verdict {
    let mut bad_variable = bench.spec("invalid");
    bad_variable.env.insert("A=B".into(), String::new());
    let mut relative = bench.spec("invalid");
    relative.mounts.insert("data".into(), Mount::new(Source::Anonymous));
    for (name, spec) in [
        (bench.name("invalid"), bad_variable),
        (bench.name("invalid"), relative),
        (bench.name("no/name"), bench.spec("invalid")),
    ] {
        let result = bench.engine.create(&New::container(name, spec)).await;
        refuses("create", result, |error| matches!(error, ContainersError::Invalid { .. }))?;
    }
    Ok(())
}

async fn listed(bench: &Bench<'_>) -> Verdict {
    for name in ["l2", "l1"] {
        let mut spec = bench.spec(name);
        spec.labels.insert("suite".into(), "listed".into());
        bench.make(name, spec).await?;
    }
    let names = |kind: ObjectKind, label: (&'static str, &'static str)| async move {
        let query = Mark::all_of(kind, bench.scope).with_label(label.0, label.1);
        let listing = bench.list(&query).await?;
        Ok::<_, String>(listing.iter().map(|listed| listed.name().to_owned()).collect::<Vec<_>>())
    };
    let kind = ObjectKind::Container;
    same(
        "with both labels",
        &names(kind, ("suite", "listed")).await?,
        &vec![bench.name("l1"), bench.name("l2")],
    )?;
    same("with another value", &names(kind, ("suite", "other")).await?, &Vec::new())?;
    same("with a part of the value", &names(kind, ("suite", "list")).await?, &Vec::new())?;
    same("of another kind", &names(ObjectKind::Volume, ("suite", "listed")).await?, &Vec::new())?;
    let listing = bench.list(&bench.mark("l1").same_resource(kind)).await?;
    let mark = listing.first().and_then(|listed| listed.mark());
    same("the mark", &mark, &Some(bench.mark("l1")))
}

async fn told(bench: &Bench<'_>) -> Verdict {
    let runs = bench.run("t1", bench.spec("told")).await?;
    let ended = bench.run("t2", bench.spec_of("told", &["false"])).await?;
    bench.until(&ended, "ended", |it| it.status.phase == Phase::Exited(1)).await?;
    let made = bench.make("t3", bench.spec("told")).await?;
    let listing = bench.list(&bench.mark("told").same_resource(ObjectKind::Container)).await?;
    let names: Vec<_> = listing.iter().map(|listed| listed.name().to_owned()).collect();
    same("the names", &names, &vec![runs, ended, made])?;
    for listed in &*listing {
        let full = bench.container(&listed.id).await?;
        same("how it is", &listed.status, &Some(full.status))?;
        same("its image", &listed.image, &Some(full.image))?;
        same("its networks", &listed.networks, &[Networking::DEFAULT.to_owned()].into())?;
        bench.remove(ObjectRef::container(&listed.id)).await?;
    }
    Ok(())
}

async fn renamed(bench: &Bench<'_>) -> Verdict {
    let one = bench.run("r1", bench.spec("renamed")).await?;
    let two = bench.make("r2", bench.spec("renamed")).await?;
    let rename = |to: &str| Change::Rename { container: one.clone(), to: to.to_owned() };
    let result = bench.engine.change(&rename(&two)).await;
    refuses("rename", result, |error| matches!(error, ContainersError::Taken { .. }))?;
    let before = bench.container(&one).await?;
    bench.change(&rename(&bench.name("r3"))).await?;
    let after = bench.container(&bench.name("r3")).await?;
    same("id and phase", &(after.id, after.status), &(before.id, before.status))?;
    let object = ObjectRef::container(&one);
    expect(!bench.is_there(&object).await?, || format!("{object} is still there"))?;
    bench.remove(ObjectRef::container(bench.name("r3"))).await
}
