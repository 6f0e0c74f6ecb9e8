//! What is to be kept at every moment: three servers of which two have to run, brought to another version.

use serde_json::json;

use super::*;
use crate::backend::Containers;
use crate::execute::Limits;
use crate::model::{Health, Invariant, InvariantBound, Measure, Selector};
use crate::testing::services::kinds::{EMPTIES_A_NAME, Entry, Run, TAKES_AWAY_BEFORE_IT_GIVES, engine};
use crate::testing::services::{Engine, Names};

const RESTARTS_ALL_AT_ONCE: u8 = 20;
const GOES_ON_AFTER_A_FAILURE: u8 = 21;

const KEPT: &str = "whatever goes wrong, what is to be kept at every moment is kept";

const SERVERS: [&str; 3] = ["web-1", "web-2", "web-3"];

/// Whether there is one that has to be.
#[derive(Clone, Copy, PartialEq)]
enum Bound {
    TwoRun,
    Nothing,
}

/// Servers of this image, and a name of them.
fn servers(image: &str, bound: Bound) -> Desired {
    let server = |name: &&str| {
        let spec = json!({ "container": name, "image": image });
        DesiredResource::from_value("run", name, &spec).unwrap().label("app", "web")
    };
    let address = format!("10.0.0.{}", image.trim_start_matches('v'));
    let name = json!({ "entry": "web", "address": address });
    let name = DesiredResource::from_value("entry", "web", &name).unwrap();
    let desired = SERVERS.iter().map(server).fold(Desired::new().with(name), Desired::with);
    let web = Selector { labels: [("app".to_owned(), "web".to_owned())].into(), ..Selector::default() };
    let two = Invariant {
        name: "web stays up".to_owned(),
        measure: Measure::Available(web),
        bound: InvariantBound::AtLeast(2),
    };
    if bound == Bound::TwoRun { desired.invariant(two) } else { desired }
}

fn runs(engine: &Engine, name: &str) -> bool {
    engine.memory().container_now(name).is_some_and(|container| container.status.is_ready())
}

/// The servers come to be, and have another version; their name always leads somewhere.
fn scenario<const DEFECT: u8>(bound: Bound) -> (Scenario, Arc<Engine>) {
    let calls = Calls::new();
    let (engine, names) = (Arc::new(engine(calls.clone())), Arc::new(Names::new(calls.clone())));
    let (e, there, seen) = (engine.clone(), engine.clone(), engine.clone());
    let (n, known) = (names.clone(), names.clone());
    let registry = Registry::new().with_resource::<Run<DEFECT>>().with_resource::<Entry<DEFECT>>();
    let measured = move |server: &DesiredResource| {
        let health = match runs(&seen, server.spec.value()["container"].as_str()?) {
            true => Health::Healthy,
            false => Health::Unhealthy,
        };
        Some(Present::new().with_health(health))
    };
    let leads = move |_: &Desired| match known.now("web").is_empty() {
        true => Err("it leads nowhere".to_owned()),
        false => Ok(()),
    };
    let scenario = Scenario::new(registry, ["v1", "v2"].map(|image| servers(image, bound)))
        .with_service(calls.clone(), move |calls| e.called_by(calls), move || there.dump())
        .with_service(calls, move |calls| n.called_by(calls), move || names.dump())
        .measuring("run", measured)
        .keeping("the name of web", leads);
    (scenario, engine)
}

fn kept<const DEFECT: u8>() -> Scenario {
    scenario::<DEFECT>(Bound::TwoRun).0
}

#[tokio::test(start_paused = true)]
async fn what_is_proven_is_kept_in_the_world_whatever_goes_wrong() {
    let checked = check_cluster(kept::<SOUND>, Faults::default()).await;
    assert!(checked.violations.is_empty(), "{checked}");
    assert!(checked.lives > 300 && checked.lives == checked.lives_possible, "{checked}");
}

#[tokio::test(start_paused = true)]
async fn what_is_proven_is_kept_when_many_things_go_wrong_at_once() {
    let checked = check_seeds(|_| kept::<SOUND>(), 0..100).await;
    assert!(checked.violations.is_empty(), "{checked}");
}

/// A manager of servers that is its own: what is missing is made, and then one after the other is replaced, as long as all others run.
struct Rolling<const DEFECT: u8>;

#[async_trait]
impl<const DEFECT: u8> Manages for Rolling<DEFECT> {
    async fn bring_about(
        &self,
        _: &Arc<dyn Store>,
        registry: &Registry,
        state: &Desired,
    ) -> Result<(), String> {
        let (engine, names) =
            (registry.backends().get::<Engine>().unwrap(), registry.backends().get::<Names>().unwrap());
        let all = state.resources.values().filter(|it| it.id.kind() == "run");
        let specs: Vec<Run<SOUND>> = all.map(|it| serde_json::from_value(it.spec.value()).unwrap()).collect();
        let mut others = Vec::new();
        for server in &specs {
            let found = (&*engine as &dyn Containers).container(&server.container).await;
            match found.map_err(|error| error.to_string())?.filter(|found| found.status.is_ready()) {
                Some(found) if found.spec.image == server.image => {}
                Some(_) => others.push(server),
                // What does not run is of no use as it is.
                None => replace(&engine, server).await?,
            }
        }
        if DEFECT == RESTARTS_ALL_AT_ONCE {
            for server in &others {
                take_down(&engine, server).await?;
            }
        }
        let mut failed = Ok(());
        for server in others {
            match replace(&engine, server).await {
                Err(error) if DEFECT == GOES_ON_AFTER_A_FAILURE => failed = Err(error),
                replaced => replaced?,
            }
        }
        let entry = state.resources.values().find(|it| it.id.kind() == "entry").unwrap().spec.value();
        let (name, address) = (entry["entry"].as_str().unwrap(), entry["address"].as_str().unwrap());
        names.register(name, address, None).await.map_err(|error| error.to_string())?;
        for other in names.resolve(name).await.map_err(|error| error.to_string())? {
            if other != address {
                names.deregister(name, &other).await.map_err(|error| error.to_string())?;
            }
        }
        failed
    }
}

async fn take_down(engine: &Engine, server: &Run<SOUND>) -> Result<(), String> {
    let removed = server.take_down(engine).await;
    removed.map_err(|error| error.to_string())
}

async fn replace(engine: &Engine, server: &Run<SOUND>) -> Result<(), String> {
    take_down(engine, server).await?;
    server.make(engine).await.map_err(|error| error.to_string())
}

fn managed<const DEFECT: u8>() -> Scenario {
    kept::<SOUND>().managed_by(Rolling::<DEFECT>)
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_keeps_what_it_is_to_keep_comes_through_every_single_fault() {
    let checked = check_cluster(managed::<SOUND>, Faults::default()).await;
    assert!(checked.violations.is_empty(), "{checked}");
    assert!(checked.lives > 100, "{checked}");
}

#[tokio::test(start_paused = true)]
async fn what_a_manager_does_not_keep_meanwhile_is_found_by_nothing_else() {
    macro_rules! broken {
        ($($defect:ident => $law:expr, $how:expr),+ $(,)?) => {$(
            let checked = check_cluster(managed::<$defect>, Faults::default()).await;
            only(stringify!($defect), &checked, $law, $how);
        )+};
    }
    broken! {
        RESTARTS_ALL_AT_ONCE => KEPT, "without any fault; call 23 (after see container `web-2`, see container `web-3`, change stop \
             container `web-1`, change remove container `web-1`): change stop container `web-2`, and `web stays up` is not kept: \
             it is 1, and is to be at least 2; run/web-3 counts",
        GOES_ON_AFTER_A_FAILURE => KEPT, "it lost the answer of change stop container `web-1`; call 22: change stop container \
             `web-2`, and `web stays up` is not kept: it is 1, and is to be at least 2; run/web-3 counts",
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_kind_takes_away_and_does_not_say_is_found_by_nothing_else() {
    let some = Faults::default().with_lives_max(100);
    let checked = check_cluster(kept::<TAKES_AWAY_BEFORE_IT_GIVES>, some).await;
    let how = "without any fault; call 59 (after see container `web-2`, see container `web-3`, see resolve web, change stop \
               container `web-1`): change stop container `web-2`, and `web stays up` is not kept: it is 1, and is to be at least \
               2; run/web-3 counts";
    only("takes away before it gives", &checked, KEPT, how);
    let checked = check_cluster(kept::<EMPTIES_A_NAME>, some).await;
    only("empties a name", &checked, KEPT, "`the name of web` is not kept: it leads nowhere");
}

/// That this law is broken so, and no other.
#[track_caller]
fn only(defect: &str, checked: &Checked, law: &str, how: &str) {
    let found: Vec<&str> = checked.violations.iter().map(|violation| violation.law).collect();
    assert_eq!(found, [law], "{defect}: {checked}");
    assert!(checked.violations[0].detail.contains(how), "{defect}: {checked}");
}

/// One at a time, by the options of the manager alone: nothing is proven. Where it is more, two are down at some moment.
#[tokio::test(start_paused = true)]
async fn a_manager_works_by_its_options() {
    let two_run = |limit: usize| {
        let (scenario, engine) = scenario::<SOUND>(Bound::Nothing);
        let two = move |_: &Desired| match SERVERS.iter().filter(|name| runs(&engine, name)).count() {
            running @ 0..2 => Err(format!("{running} run")),
            _ => Ok(()),
        };
        let options = ManagerOptions::default().with_limits(Limits::default().with_global(limit));
        scenario.keeping("two run", two).with_options(options)
    };
    for (limit, law) in [(1, None), (3, Some(KEPT))] {
        let checked = check_cluster(|| two_run(limit), Faults::default().with_lives_max(1)).await;
        assert_eq!(checked.violations.first().map(|found| found.law), law, "{limit} at a time: {checked}");
    }
}
