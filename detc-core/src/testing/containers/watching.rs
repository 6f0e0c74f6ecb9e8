//! Laws of watching.

use super::{Bench, Findings, Verdict, WAIT, failed};
use crate::backend::containers::{
    Again, Change, HealthCheck, NetworkSpec, New, ObjectRef, Probe, Readiness, Test, VolumeSpec, Watch,
};
use std::time::Duration;

pub(super) async fn check(bench: &Bench<'_>, found: &mut Findings) {
    found.note("whatever changes after watch has returned is told", changes(bench).await);
    found.note("what a container does by itself is told", by_itself(bench).await);
    found.note("two watches are told the same", both(bench).await);
}

async fn watch(bench: &Bench<'_>) -> Result<Watch, String> {
    bench.engine.watch().await.map_err(|error| failed("watch", &error))
}

/// Waits until it was told to look at one of these, or at everything.
async fn told(watch: &mut Watch, objects: &[ObjectRef], what: &str) -> Verdict {
    let until = async {
        loop {
            match watch.next().await {
                Some(Again::Everything) => return Ok(()),
                Some(Again::One(object)) if objects.contains(&object) => return Ok(()),
                Some(Again::One(_)) => {}
                None => return Err(format!("the watch has ended before {what} was told")),
            }
        }
    };
    tokio::time::timeout(WAIT, until).await.unwrap_or_else(|_| Err(format!("{what} was not told")))
}

async fn changes(bench: &Bench<'_>) -> Verdict {
    let mut watch = watch(bench).await?;
    let name = bench.name("watched");
    let id = bench.create(&New::container(&name, bench.spec("watched"))).await?;
    let container = [ObjectRef::container(&id), ObjectRef::container(&name)];
    told(&mut watch, &container, "a container that was made").await?;
    bench.change(&Change::start(&name)).await?;
    told(&mut watch, &container, "a start").await?;
    bench.change(&Change::Stop { container: name.clone(), grace: Some(Duration::ZERO) }).await?;
    told(&mut watch, &container, "a stop").await?;
    bench.remove(ObjectRef::container(&name)).await?;
    told(&mut watch, &container, "a removal").await?;
    let spec = NetworkSpec { labels: bench.mark("watched").labels(), ..NetworkSpec::default() };
    let id = bench.create(&New::Network { name: name.clone(), spec }).await?;
    let network = [ObjectRef::network(&id), ObjectRef::network(&name)];
    told(&mut watch, &network, "a network that was made").await?;
    let spec = VolumeSpec { labels: bench.mark("watched").labels(), ..VolumeSpec::default() };
    bench.create(&New::Volume { name: name.clone(), spec }).await?;
    told(&mut watch, &[ObjectRef::volume(&name)], "a volume that was made").await?;
    let tag = format!("{name}:1");
    let image = bench.engine.image(bench.image).await.map_err(|error| failed("inspect", &error))?;
    let id = image.ok_or("the image is gone")?.id;
    bench.change(&Change::Tag { image: id.clone(), tag: tag.clone() }).await?;
    told(&mut watch, &[ObjectRef::image(&id), ObjectRef::image(&tag)], "a tag").await?;
    bench.change(&Change::remove(ObjectRef::image(&tag))).await
}

/// Looks whenever it is told to, and at no other time.
async fn by_itself(bench: &Bench<'_>) -> Verdict {
    let mut watch = watch(bench).await?;
    let mut probe = Probe::new(Test::Command(vec!["false".to_owned()]));
    probe.interval = Duration::from_millis(100);
    // More than are seen before the start is told.
    probe.retries = 5;
    let mut spec = bench.spec("watched-health");
    spec.health = Some(HealthCheck::Probe(probe));
    let name = bench.run("watched-health", spec).await?;
    let id = bench.container(&name).await?.id;
    let container = [ObjectRef::container(&id), ObjectRef::container(&name)];
    while bench.container(&name).await?.status.readiness != Readiness::Unhealthy {
        told(&mut watch, &container, "that it became unhealthy").await?;
    }
    bench.remove(ObjectRef::container(&name)).await
}

async fn both(bench: &Bench<'_>) -> Verdict {
    let (mut one, mut two) = (watch(bench).await?, watch(bench).await?);
    let name = bench.name("both");
    let id = bench.create(&New::container(&name, bench.spec("both"))).await?;
    let container = [ObjectRef::container(&id), ObjectRef::container(&name)];
    told(&mut one, &container, "a container that was made").await?;
    told(&mut two, &container, "a container that was made").await?;
    drop(one);
    bench.remove(ObjectRef::container(&name)).await?;
    told(&mut two, &container, "a removal").await
}
