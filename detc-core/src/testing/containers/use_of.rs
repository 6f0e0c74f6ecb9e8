//! Laws of what is in use, and of removing.

use super::{Bench, Findings, Verdict, expect, failed, refuses, same};
use crate::backend::ContainersError;
use crate::backend::containers::{
    Attachment, Change, HostPort, Mount, NetworkSpec, Networking, New, ObjectRef, Port, Source, VolumeSpec,
};

pub(super) async fn check(bench: &Bench<'_>, found: &mut Findings) {
    found.note("what runs is removed only when that is asked for", running(bench).await);
    found.note("what a container uses is not removed", used(bench).await);
    found.note("a volume outlives its containers", outlives(bench).await);
    found.note("an image that a container was made of is not removed", image(bench).await);
    found.note("an image loses a tag, and stays for what else calls it", tags(bench).await);
    found.note("a port is given to one at a time", port(bench).await);
}

async fn running(bench: &Bench<'_>) -> Verdict {
    let name = bench.run("runs", bench.spec("runs")).await?;
    let result = bench.engine.change(&Change::remove(ObjectRef::container(&name))).await;
    refuses("remove", result, |error| matches!(error, ContainersError::InUse { .. }))?;
    bench.container(&name).await?;
    bench.remove(ObjectRef::container(&name)).await?;
    expect(!bench.is_there(&ObjectRef::container(&name)).await?, || "it is still there".to_owned())?;
    let made = bench.make("runs", bench.spec("runs")).await?;
    bench.change(&Change::remove(ObjectRef::container(&made))).await
}

async fn volume(bench: &Bench<'_>, name: &str) -> Result<String, String> {
    let spec = VolumeSpec { labels: bench.mark(name).labels(), ..VolumeSpec::default() };
    bench.create(&New::Volume { name: bench.name(name), spec }).await
}

async fn used(bench: &Bench<'_>) -> Verdict {
    let volume = volume(bench, "used").await?;
    let network = bench.name("used");
    let spec = NetworkSpec { labels: bench.mark("used").labels(), ..NetworkSpec::default() };
    bench.create(&New::Network { name: network.clone(), spec }).await?;
    let mut spec = bench.spec("used");
    spec.mounts.insert("/data".into(), Mount::new(Source::Volume(volume.clone())));
    spec.networking = Networking::of([(network.clone(), Attachment::default())]);
    let name = bench.run("used", spec).await?;
    let objects = [ObjectRef::volume(&volume), ObjectRef::network(&network)];
    for object in &objects {
        let result = bench.engine.change(&Change::remove(object.clone())).await;
        refuses(&format!("remove {object}"), result, |error| matches!(error, ContainersError::InUse { .. }))?;
        expect(bench.is_there(object).await?, || format!("{object} is gone"))?;
    }
    bench.remove(ObjectRef::container(&name)).await?;
    for object in objects {
        bench.change(&Change::remove(object.clone())).await?;
        expect(!bench.is_there(&object).await?, || format!("{object} is still there"))?;
    }
    Ok(())
}

async fn outlives(bench: &Bench<'_>) -> Verdict {
    let volume = volume(bench, "outlives").await?;
    let mut spec = bench.spec("outlives");
    spec.mounts.insert("/data".into(), Mount::new(Source::Volume(volume.clone())));
    let name = bench.run("outlives", spec).await?;
    bench.remove(ObjectRef::container(&name)).await?;
    expect(bench.is_there(&ObjectRef::volume(&volume)).await?, || "it went with it".to_owned())
}

/// The suite's own image, which is put back under its name where it was lost.
async fn image(bench: &Bench<'_>) -> Verdict {
    let found = bench.engine.image(bench.image).await.map_err(|error| failed("inspect", &error))?;
    let id = found.ok_or("the image is gone")?.id;
    let name = bench.make("image", bench.spec("image")).await?;
    same("its image", &bench.container(&name).await?.image, &id)?;
    let result = bench.engine.change(&Change::remove(ObjectRef::image(&id))).await;
    refuses("remove", result, |error| matches!(error, ContainersError::InUse { .. }))?;
    expect(bench.is_there(&ObjectRef::image(&id)).await?, || "the image is gone".to_owned())
}

async fn tags(bench: &Bench<'_>) -> Verdict {
    let tag = format!("{}:1", bench.name("tag"));
    let name = bench.make("tagged", bench.spec("tagged")).await?;
    let id = bench.container(&name).await?.image;
    for _ in 0..2 {
        bench.change(&Change::Tag { image: bench.image.to_owned(), tag: tag.clone() }).await?;
    }
    let found = bench.engine.image(&tag).await.map_err(|error| failed("inspect", &error))?;
    let found = found.ok_or("it is not found by its tag")?;
    same("its id", &found.id, &id)?;
    expect(found.references.contains(&tag), || format!("{tag} is not in {:?}", found.references))?;
    bench.change(&Change::remove(ObjectRef::image(&tag))).await?;
    expect(!bench.is_there(&ObjectRef::image(&tag)).await?, || format!("{tag} is still there"))?;
    expect(bench.is_there(&ObjectRef::image(&id)).await?, || "the image is gone".to_owned())
}

async fn port(bench: &Bench<'_>) -> Verdict {
    let published = |port: Option<u16>| {
        let mut spec = bench.spec("port");
        let address = Some(std::net::Ipv4Addr::LOCALHOST.into());
        spec.ports.insert(Port::published(80, HostPort { address, port }));
        spec
    };
    let one = bench.run("p1", published(None)).await?;
    let given = bench.container(&one).await?.published;
    let [given] = given.as_slice() else { return Err(format!("it has the ports {given:?}")) };
    expect(given.port == 80 && given.host_port != 0, || format!("it has the port {given:?}"))?;
    let two = bench.make("p2", published(Some(given.host_port))).await?;
    let result = bench.engine.change(&Change::start(&two)).await;
    refuses("start", result, |error| matches!(error, ContainersError::PortTaken { .. }))?;
    bench.remove(ObjectRef::container(&one)).await?;
    bench.change(&Change::start(&two)).await?;
    bench.remove(ObjectRef::container(&two)).await
}
