//! Where we are going: an application that runs a small cluster *of itself*. Three servers come up, are rolled to a new
//! version one after the other, one is killed and healed, and at the end there is nothing left to do.
//!
//!     cargo run --example quickstart

use std::error::Error;
use std::io::Write as _;

use detc_actions::backends::LocalConnector;
use detc_actions::resources::{self, HealthSpec, ProcessSpec};
use detc_core::execute::{Progress, ProgressSink, StopHandle};
use detc_core::manage::Manager;
use detc_core::model::{Desired, DesiredResource, HostSpec};
use detc_core::resource::Registry;

/// What this application serves, and how one asks it: nothing of it has to do with detc.
mod web;

/// `println!` for a reader who may have seen enough, and be gone: what was begun is brought to its end all the same.
macro_rules! say {
    ($($text:tt)*) => { _ = writeln!(std::io::stdout(), $($text)*) };
}

/// The cluster in the application's own terms: a server on each port, changed one after the other.
fn cluster(version: &str, ports: &[u16]) -> Result<Desired, Box<dyn Error>> {
    let program = std::env::current_exe()?.display().to_string();
    let mut desired = Desired::new().host("here", HostSpec::local());
    let mut previous = None;
    for (index, port) in ports.iter().enumerate() {
        let mut spec = ProcessSpec::new([&program, "serve", &port.to_string()]);
        spec.env.insert("VERSION".to_owned(), version.to_owned());
        spec.health = Some(HealthSpec::http(format!("http://127.0.0.1:{port}/")));
        let mut web =
            DesiredResource::new(&format!("web-{}", index + 1), &spec).on("here").label("app", "web");
        if let Some(previous) = &previous {
            web = web.after(previous);
        }
        previous = Some(web.id.clone());
        desired = desired.with(web);
    }
    Ok(desired)
}

async fn converge(manager: &Manager, desired: &Desired, stop: &StopHandle) -> Result<(), Box<dyn Error>> {
    let planned = manager.plan(desired).await?;
    say!("{}", planned.plan);
    let plan = planned.plan.clone();
    let progress: ProgressSink = Box::new(move |progress| {
        if let Progress::Ended { action, took, .. } = progress {
            say!("  {} has ended after {} ms", plan.action_id(*action), took.as_millis());
        }
    });
    let applied = manager.apply_with(planned, progress, stop.clone()).await?;
    say!("{applied}\n");
    applied.into_result()?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    if let [_, command, port] = &args[..]
        && command == "serve"
    {
        return web::serve(port.parse()?, &std::env::var("VERSION")?);
    }
    let dir = std::env::temp_dir().join(format!("detc-quickstart-{}", std::process::id()));
    let registry = resources::register(Registry::new()).with_connector(LocalConnector);
    let manager = Manager::embedded(&dir, registry).await?;
    let ports = web::free_ports(3)?;
    let stop = StopHandle::new();
    let told = tokio::select! {
        biased;
        // An interrupt, from the first moment on, finishes what is in flight, so that all of it is known and taken away again.
        never = async { web::asked_to_end().await.map(|()| stop.stop())?; std::future::pending().await } => never,
        told = story(&manager, &ports, &stop) => told,
    };
    if let Some(open) = manager.interrupted().await? {
        manager.give_up(open, "interrupted").await?;
    }
    say!("── Clean up: desire nothing ──\n");
    converge(&manager, &Desired::new(), &StopHandle::new()).await?;
    manager.close().await?;
    std::fs::remove_dir_all(dir)?;
    told
}

async fn story(manager: &Manager, ports: &[u16], stop: &StopHandle) -> Result<(), Box<dyn Error>> {
    say!("── Three servers, of which nothing is there yet ──\n");
    converge(manager, &cluster("v1", ports)?, stop).await?;
    say!("They answer: {}\n", web::answers(ports, "v1")?);

    say!("── A new version, rolled out one server after the other ──\n");
    converge(manager, &cluster("v2", ports)?, stop).await?;
    say!("They answer: {}\n", web::answers(ports, "v2")?);

    say!("── Somebody kills web-2 behind our back ──\n");
    let pid = manager.output(&"process/web-2".parse()?, &"pid".parse()?).ok_or("web-2 has no pid")?;
    std::process::Command::new("kill").args(["-9", &pid.to_string()]).status()?;
    web::until_gone(ports[1]).await?;
    converge(manager, &cluster("v2", ports)?, stop).await?;
    say!("They answer: {}\n", web::answers(ports, "v2")?);

    say!("── And once more: all is as desired ──\n");
    let planned = manager.plan(&cluster("v2", ports)?).await?;
    say!("{}\n", planned.plan);
    if planned.plan.is_settled() { Ok(()) } else { Err("there is something left to do".into()) }
}
