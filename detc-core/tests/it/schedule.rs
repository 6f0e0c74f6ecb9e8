//! In which order and how many at once a manager does what it planned, what it waits for in vain, and what it goes on with.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint};
use detc_core::execute::{Limits, Outcome, Progress, StopHandle, unseen};
use detc_core::manage::{ApplyReport, Manager, ManagerOptions, Resumed};
use detc_core::model::{Desired, DesiredResource, HostSpec, Observation, Present};
use detc_core::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource};
use detc_core::store::memory::MemoryStore;
use serde::{Deserialize, Serialize};

use super::world::World;

/// What takes a second to make, to change and to remove.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Work {
    size: u32,
    colour: String,
}

/// Where something waits without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hangs {
    Look,
    /// Before it has an effect.
    Making,
    /// When it has had its effect.
    Made,
}

/// What there is, by the store that it is managed with, and what was done.
#[derive(Debug, Default)]
struct Site {
    there: BTreeMap<String, Work>,
    /// What is at work now.
    busy: BTreeSet<String>,
    /// In the order in which it was begun.
    begun: Vec<String>,
    /// How many were at work at once, at most, whose names have this in them.
    most: BTreeMap<&'static str, usize>,
    hangs: BTreeSet<(Hangs, String)>,
}

/// What is counted: by host, by label, and all.
const GROUPS: [&str; 4] = ["", "h1-", "h2-", "-db-"];

fn site(scope: &str) -> MutexGuard<'static, BTreeMap<String, Site>> {
    static SITES: LazyLock<Mutex<BTreeMap<String, Site>>> = LazyLock::new(Mutex::default);
    let mut sites = SITES.lock().unwrap();
    sites.entry(scope.to_owned()).or_default();
    sites
}

fn at<T>(scope: &str, what: impl FnOnce(&mut Site) -> T) -> T {
    what(site(scope).get_mut(scope).unwrap())
}

async fn work(cx: &ActionCx<'_>, effect: impl FnOnce(&mut Site, String)) {
    let name = cx.resource().name().to_owned();
    let hangs = |when| at(cx.scope(), |site| site.hangs.contains(&(when, name.clone())));
    at(cx.scope(), |site| {
        site.begun.push(name.clone());
        site.busy.insert(name.clone());
        for group in GROUPS {
            let now = site.busy.iter().filter(|name| name.contains(group)).count();
            let most = site.most.entry(group).or_default();
            *most = (*most).max(now);
        }
    });
    // Time is paused: it goes on when all that may run at once waits here.
    tokio::time::sleep(Duration::from_secs(1)).await;
    if hangs(Hangs::Making) {
        pending::<()>().await;
    }
    at(cx.scope(), |site| {
        site.busy.remove(&name);
        effect(site, name.clone());
    });
    if hangs(Hangs::Made) {
        pending::<()>().await;
    }
}

#[async_trait]
impl Resource for Work {
    const KIND: &'static str = "work";
    type Output = ();

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.host = HostNeed::Required;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Ok(Footprint::new(CrashClass::DeterministicName))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let name = cx.resource().name();
        let (hangs, there) = at(cx.scope(), |site| {
            (site.hangs.contains(&(Hangs::Look, name.to_owned())), site.there.get(name).cloned())
        });
        if hangs {
            pending::<()>().await;
        }
        Ok(match there {
            Some(there) => Observation::Present(
                Present::new().with_field("size", there.size).with_field("colour", there.colour),
            ),
            None => Observation::Absent,
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        work(cx, |site, name| _ = site.there.insert(name, self.clone())).await;
        Ok(())
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        work(cx, |site, name| _ = site.there.remove(&name)).await;
        Ok(Removed::Gone)
    }
}

async fn manager(change: impl FnOnce(&mut ManagerOptions)) -> Manager {
    let registry = World::new().registry().with_resource::<Work>();
    let mut options = ManagerOptions::default();
    change(&mut options);
    Manager::open(Arc::new(MemoryStore::new()), registry, options).await.unwrap()
}

fn nothing() -> Desired {
    let host = || HostSpec { connect: "memory".to_owned(), ..HostSpec::local() };
    Desired::new().host("h1", host()).host("h2", host())
}

/// `h1-a`, after `h1-b` and so on.
fn works(names: &[(&str, &[&str])]) -> Desired {
    names.iter().fold(nothing(), |desired, (name, after)| desired.with(one(name, &Work::default(), after)))
}

fn one(name: &str, work: &Work, after: &[&str]) -> DesiredResource {
    let (host, rest) = name.split_once('-').unwrap();
    let resource = DesiredResource::new(name, work).on(host);
    let resource = if rest.starts_with("db-") { resource.label("pool", "db") } else { resource };
    after.iter().fold(resource, |resource, before| resource.after(&format!("work/{before}").parse().unwrap()))
}

async fn apply(manager: &Manager, desired: &Desired) -> ApplyReport {
    let planned = manager.plan(desired).await.unwrap();
    manager.apply(planned).await.unwrap()
}

/// What was begun since the last time, and how many at once of each group.
fn done(manager: &Manager) -> (Vec<String>, Vec<usize>) {
    at(manager.store_name(), |site| {
        let most = std::mem::take(&mut site.most);
        (std::mem::take(&mut site.begun), GROUPS.iter().map(|group| most[group]).collect())
    })
}

#[tokio::test(start_paused = true)]
async fn as_many_as_each_limit_lets_are_at_work_at_once_and_never_more() {
    let names: Vec<String> = ["h1", "h2"]
        .iter()
        .flat_map(|host| {
            (0..6).flat_map(move |index| [format!("{host}-db-{index}"), format!("{host}-web-{index}")])
        })
        .collect();
    let names: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
    for (limits, most) in [
        (Limits::default(), vec![16, 12]),
        (Limits::default().with_per_host(8), vec![16, 8, 8, 12]),
        (Limits::default().with_global(5), vec![5]),
        (Limits::default().with_per_host(3), vec![6, 3, 3]),
        (Limits::default().with_per_host(3).with_per_label("pool", "db", 1), vec![6, 3, 3, 1]),
        (Limits::default().with_global(1), vec![1, 1, 1, 1]),
    ] {
        let manager = manager(|options| options.limits = limits.clone()).await;
        for desired in [works(&names), nothing()] {
            assert_eq!(apply(&manager, &desired).await.report.outcome, Outcome::Done);
            let (begun, counted) = done(&manager);
            assert_eq!(begun.len(), names.len(), "{limits:?}");
            assert_eq!(counted[..most.len()], most, "{limits:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_what_is_ready_the_longest_path_is_begun_first() {
    let manager = manager(|options| options.limits = Limits::default().with_global(1)).await;
    let desired = works(&[
        ("h1-alone", &[]),
        ("h1-short", &[]),
        ("h1-short2", &["h1-short"]),
        ("h2-long", &[]),
        ("h2-long2", &["h2-long"]),
        ("h2-long3", &["h2-long2"]),
        ("h2-long4", &["h2-long3"]),
    ]);
    assert_eq!(apply(&manager, &desired).await.report.outcome, Outcome::Done);
    let order = ["h2-long", "h2-long2", "h1-short", "h2-long3", "h1-alone", "h1-short2", "h2-long4"];
    assert_eq!(done(&manager).0, order);
    assert_eq!(apply(&manager, &nothing()).await.report.outcome, Outcome::Done);
    let order = ["h2-long4", "h2-long3", "h1-short2", "h2-long2", "h1-alone", "h1-short", "h2-long"];
    assert_eq!(done(&manager).0, order);
}

fn failures(report: &ApplyReport) -> Vec<(String, String)> {
    let failure = |it: &detc_core::execute::Failure| (report.plan.action_id(it.action), it.error.clone());
    report.report.failures.iter().map(failure).collect()
}

#[tokio::test(start_paused = true)]
async fn a_look_that_hangs_is_given_up_and_holds_back_only_what_needs_it() {
    let manager = manager(|_| {}).await;
    let hang = |hangs: bool| {
        at(manager.store_name(), |site| {
            site.hangs = hangs.then(|| (Hangs::Look, "h1-a".to_owned())).into_iter().collect();
        });
    };
    let desired = works(&[("h1-a", &[]), ("h1-b", &["h1-a"]), ("h2-c", &[])]);
    hang(true);
    let began = tokio::time::Instant::now();
    let planned = manager.plan(&desired).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(60));
    let unknown: Vec<String> =
        planned.plan.unknown().map(|change| format!("{}: {}", change.resource, change.reason)).collect();
    assert_eq!(
        unknown,
        [
            "work/h1-a: it could not be observed: no answer within 60 s",
            "work/h1-b: it comes after work/h1-a, of which nothing is known",
        ]
    );
    hang(false);
    let planned = manager.plan(&desired).await.unwrap();
    hang(true);
    let report = manager.apply(planned).await.unwrap();
    assert_eq!(failures(&report), [("create:work/h1-a".to_owned(), "no answer within 60 s".to_owned())]);
    assert_eq!(done(&manager).0, ["h2-c"]);
}

#[tokio::test(start_paused = true)]
async fn an_apply_that_hangs_is_given_up_and_looked_at() {
    let hanging = async |hangs| {
        let manager = manager(|options| options.driver.apply_timeout = Duration::from_secs(5)).await;
        at(manager.store_name(), |site| _ = site.hangs.insert((hangs, "h1-a".to_owned())));
        let report = apply(&manager, &works(&[("h1-a", &[]), ("h1-b", &["h1-a"])])).await;
        (failures(&report), done(&manager).0)
    };
    let (failed, begun) = hanging(Hangs::Made).await;
    assert_eq!((failed, begun), (Vec::new(), vec!["h1-a".to_owned(), "h1-b".to_owned()]));
    let (failed, begun) = hanging(Hangs::Making).await;
    let said = "not done within 5 s; after that, it is not there";
    assert_eq!(failed, [("create:work/h1-a".to_owned(), said.to_owned())]);
    assert_eq!(begun, ["h1-a"; 5], "it is tried again, as nothing came of it");
}

/// A run that changes the colour of two, interrupted when the first has it; somebody changes the size of one then.
async fn resumed(moved: &str) -> (ApplyReport, Manager) {
    let manager = manager(|_| {}).await;
    let coloured = |colour: &str| {
        let work = Work { size: 1, colour: colour.to_owned() };
        nothing().with(one("h1-a", &work, &[])).with(one("h1-b", &work, &["h1-a"])).with(one(
            "h1-c",
            &Work { size: 1, colour: "red".to_owned() },
            &[],
        ))
    };
    assert_eq!(apply(&manager, &coloured("red")).await.report.outcome, Outcome::Done);
    let stop = StopHandle::new();
    let stopping = stop.clone();
    let sink = Box::new(move |progress: &Progress<'_>| {
        if let Progress::Applying { .. } = progress {
            stopping.stop();
        }
    });
    let desired = coloured("blue");
    let planned = manager.plan(&desired).await.unwrap();
    let report = manager.apply_with(planned, sink, stop).await.unwrap();
    assert_eq!(report.report.outcome, Outcome::Interrupted);
    at(manager.store_name(), |site| site.there.get_mut(moved).unwrap().size = 9);
    let open = manager.interrupted().await.unwrap().unwrap();
    let resumed = manager.resume(open, Some(&desired), unseen(), StopHandle::new()).await.unwrap();
    let Resumed::Finished(report) = resumed else { panic!("{resumed}") };
    (*report, manager)
}

#[tokio::test(start_paused = true)]
async fn on_resume_a_field_that_somebody_changed_is_not_written_over_unseen() {
    let (report, manager) = resumed("h1-a").await;
    let said = "a second look found that it did not last: `size` is 9, not 1 (`work.update`)";
    assert_eq!(failures(&report), [("update:work/h1-a".to_owned(), said.to_owned())], "it was done before");
    assert_eq!(left(&manager), "h1-a 9 blue, h1-b 1 blue, h1-c 1 red");

    let (report, manager) = resumed("h1-b").await;
    let said = "it has changed since, and this was planned from what was there before";
    assert_eq!(failures(&report), [("update:work/h1-b".to_owned(), said.to_owned())], "it was still to do");
    assert_eq!(report.report.outcome, Outcome::Refused);
    assert_eq!(left(&manager), "h1-a 1 blue, h1-b 9 red, h1-c 1 red");

    let (report, manager) = resumed("h1-c").await;
    assert_eq!(
        (report.report.outcome, failures(&report)),
        (Outcome::Done, Vec::new()),
        "it is no part of the run"
    );
    assert_eq!(left(&manager), "h1-a 1 blue, h1-b 1 blue, h1-c 9 red");
}

fn left(manager: &Manager) -> String {
    let there = at(manager.store_name(), |site| site.there.clone());
    let each: Vec<String> =
        there.iter().map(|(name, work)| format!("{name} {} {}", work.size, work.colour)).collect();
    each.join(", ")
}
