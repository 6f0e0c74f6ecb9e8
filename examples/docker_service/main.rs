//! Where we are going: a service of three containers behind one name, which is asked all the time while it is rolled to its second
//! version. At least two of it are there at every moment, which is proven before anything is done, and no request is lost, which is
//! counted. In the end nothing is left on the engine.
//!
//!     cargo run --example docker_service                                  # the engine of `DOCKER_HOST`, or of this machine
//!     cargo run --example docker_service -- unix:///run/user/1000/docker.sock
//!
//! Needs busybox as a static binary, of which the image is made: nothing is pulled.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use detc_actions::backends::{DockerEngine, DockerSpec, LocalConnector};
use detc_actions::resources::container::{AttachmentSpec, CheckSpec, ContainerSpec, EndSpec};
use detc_actions::resources::image::{BuildSpec, ImageSpec};
use detc_actions::resources::{self, Engines, NetworkSpec};
use detc_core::backend::Containers;
use detc_core::backend::containers::{ObjectKind, Query};
use detc_core::manage::Manager;
use detc_core::model::{
    Desired, DesiredResource, FieldPath, HostSpec, Invariant, InvariantBound, Measure, Reference, Selector,
};
use detc_core::resource::{Registry, Source};

/// What is in the containers, and how many requests were answered: nothing of it has to do with detc.
mod web;

/// How many there are of the service.
const REPLICAS: usize = 3;

/// The service in its own terms: an image of this version, three of it that share the name `web`, changed one after the other, and
/// somebody who asks them.
fn service(version: &str, dir: &Path) -> Result<Desired, Box<dyn Error>> {
    let (context, content) = Source::read(dir, web::CONTEXT)?;
    let image = |name: &str, version: &str| {
        let mut spec = ImageSpec::new(format!("detc-example-{name}:latest"));
        spec.context = Some(context.clone());
        let args = [("VERSION".to_owned(), version.to_owned())].into();
        spec.build = Some(BuildSpec { args: Some(args), ..BuildSpec::default() });
        DesiredResource::new(name, &spec).on("here")
    };
    let id = "id".parse::<FieldPath>()?;
    let id_of = |image: &DesiredResource| Reference::new(image.id.clone(), id.clone());
    let network = DesiredResource::new("net", &NetworkSpec::new("detc-example")).on("here");
    let (web, asking) = (image("web", version), image("asking", "none"));
    let mut desired = Desired::new().host("here", HostSpec::local()).invariant(at_least_two());
    desired.blobs.insert(context.digest, content);

    let mut previous = network.id.clone();
    for replica in 1..=REPLICAS {
        let mut spec = ContainerSpec::new(format!("detc-example-web-{replica}"), "");
        let aliases = Some(vec!["web".to_owned()]);
        spec.networks.insert("detc-example".to_owned(), AttachmentSpec { aliases, addresses: None });
        spec.health = Some(CheckSpec {
            command: Some(web::CHECK.map(str::to_owned).into()),
            interval_ms: Some(200),
            ..CheckSpec::default()
        });
        spec.stop = Some(EndSpec { signal: None, grace_s: Some(5) });
        let replica = DesiredResource::new(&format!("web-{replica}"), &spec)
            .bind(&"image".parse()?, id_of(&web))?
            .on("here")
            .label("app", "web")
            .after(&previous);
        previous = replica.id.clone();
        desired = desired.with(replica);
    }
    let mut spec = ContainerSpec::new(web::ASKING, "");
    spec.command = Some(web::ASK.map(str::to_owned).into());
    spec.networks.insert("detc-example".to_owned(), AttachmentSpec::default());
    // It has nothing to finish.
    spec.stop = Some(EndSpec { signal: Some("SIGKILL".to_owned()), grace_s: None });
    let client = DesiredResource::new("asking", &spec)
        .bind(&"image".parse()?, id_of(&asking))?
        .on("here")
        .after(&previous);
    Ok(desired.with(network).with(web).with(asking).with(client))
}

fn at_least_two() -> Invariant {
    let web = Selector { labels: [("app".to_owned(), "web".to_owned())].into(), ..Selector::default() };
    Invariant {
        name: "web stays up".to_owned(),
        measure: Measure::Available(web),
        bound: InvariantBound::AtLeast(2),
    }
}

async fn converge(manager: &Manager, desired: &Desired) -> Result<(), Box<dyn Error>> {
    let planned = manager.plan(desired).await?;
    println!("{}", planned.plan);
    let applied = manager.apply(planned).await?;
    println!("{applied}\n");
    applied.into_result()?;
    Ok(())
}

/// The engine that the arguments name, or `DOCKER_HOST`, or that of this machine.
async fn engine() -> Result<Arc<dyn Containers>, Box<dyn Error>> {
    let spec = match std::env::args().nth(1) {
        Some(connect) => DockerSpec::new(connect),
        None => DockerSpec::from_env(),
    };
    let engine: Arc<dyn Containers> = Arc::new(DockerEngine::new("the engine", &spec)?);
    if let Err(error) = engine.list(&Query::new(ObjectKind::Container)).await {
        return Err(format!(
            "no engine of containers answers at {}: {error}\n\
             Start one (on Debian: apt-get install docker.io), or say where one is: \
             cargo run --example docker_service -- unix:///path/of/docker.sock",
            spec.connect
        )
        .into());
    }
    Ok(engine)
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    match run().await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let engine = engine().await?;
    let dir = std::env::temp_dir().join(format!("detc-docker-service-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join(web::CONTEXT), web::context()?)?;
    let engines = Engines::new().with_engine("here", Arc::clone(&engine));
    let registry =
        resources::register(Registry::new()).with_connector(LocalConnector).with_backend(Arc::new(engines));
    let manager = Manager::embedded(&dir.join("store"), registry).await?;
    let told = tokio::select! {
        told = story(&manager, &*engine, &dir) => told,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    if let Some(open) = manager.interrupted().await? {
        manager.give_up(open, "interrupted").await?;
    }
    println!("── Clean up: desire nothing ──\n");
    converge(&manager, &Desired::new().host("here", HostSpec::local())).await?;
    manager.close().await?;
    std::fs::remove_dir_all(dir)?;
    told
}

async fn story(manager: &Manager, engine: &dyn Containers, dir: &Path) -> Result<(), Box<dyn Error>> {
    println!("── Three containers that share a name, and one that asks it: nothing of it is there yet ──\n");
    converge(manager, &service("1", dir)?).await?;
    web::until_answered(engine, "version 1").await?;
    println!("They answer, on and on: {}\n", web::asked(engine).await?);

    println!("── Version two, while they are asked ──\n");
    converge(manager, &service("2", dir)?).await?;
    web::until_answered(engine, "version 2").await?;
    let asked = web::asked(engine).await?;
    println!("They answered: {asked}\n");
    if asked.lost > 0 {
        return Err("requests were lost".into());
    }

    println!("── And once more: all is as desired ──\n");
    let planned = manager.plan(&service("2", dir)?).await?;
    println!("{}\n", planned.plan);
    if planned.plan.is_settled() { Ok(()) } else { Err("there is something left to do".into()) }
}
