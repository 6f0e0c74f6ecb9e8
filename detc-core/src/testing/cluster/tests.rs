//! The checker finds what a manager would do wrong with kinds that are wrong, and nothing with those that are right.

use std::ops::Range;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::seeds::Random;
use super::*;
use crate::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use crate::backend::HostError;
use crate::backend::host::{Ownership, Remove};
use crate::model::{DesiredResource, Observation, Present};
use crate::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource};

mod managers;

const SOUND: u8 = 0;
const COUNTS_ITS_TRIES: u8 = 1;
const SAYS_ABSENT_ON_ERROR: u8 = 2;
const SEES_HALF_AS_WHOLE: u8 = 3;

/// A page, and the index in which it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page<const DEFECT: u8> {
    path: String,
    text: String,
}

impl<const DEFECT: u8> Page<DEFECT> {
    fn index(&self) -> String {
        format!("{}.index", self.path)
    }

    async fn text(&self, cx: &ActionCx<'_>, path: &str) -> Result<Option<String>, ActionError> {
        match cx.host()?.read(path, 1 << 10).await {
            Ok(text) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
            Err(HostError::NotFound { .. }) => Ok(None),
            Err(_) if DEFECT == SAYS_ABSENT_ON_ERROR => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[async_trait]
impl<const DEFECT: u8> Resource for Page<DEFECT> {
    const KIND: &'static str = "page";
    type Output = ();

    fn traits() -> KindTraits {
        KindTraits { replace_on: &["path"], host: HostNeed::Required, ..KindTraits::default() }
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        let footprint = Footprint::new(CrashClass::DeterministicName);
        Ok(footprint.owning(Place::path(&self.path)).owning(Place::path(&self.index())))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let text = self.text(cx, &self.path).await?;
        let index = match DEFECT {
            SEES_HALF_AS_WHOLE => text.clone(),
            _ => self.text(cx, &self.index()).await?,
        };
        Ok(match (text, index) {
            (None, None) => Observation::Absent,
            (Some(text), Some(_)) => Observation::Present(Present::new().with_field("text", text)),
            (Some(_), None) | (None, Some(_)) => Observation::Present(Present::new().with_field("text", "")),
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        let (host, own) = (cx.host()?, Ownership::default());
        if DEFECT == COUNTS_ITS_TRIES {
            let tries = format!("{}.tries", self.path);
            let before = self.text(cx, &tries).await?.unwrap_or_default();
            host.write(&tries, (before + "x").as_bytes(), &own).await?;
        }
        host.write(&self.path, self.text.as_bytes(), &own).await?;
        Ok(host.write(&self.index(), b"1", &own).await?)
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        let host = cx.host()?;
        host.remove(&self.index(), Remove::File).await?;
        host.remove(&self.path, Remove::File).await?;
        Ok(Removed::Gone)
    }
}

/// Three pages in a row; one of them changed, one moved; then one of them gone.
fn scenario<const DEFECT: u8>() -> Scenario {
    let page = |name: &str, path: &str, text: &str| {
        DesiredResource::new(name, &Page::<DEFECT> { path: path.to_owned(), text: text.to_owned() }).on("m")
    };
    let after = |page: DesiredResource, before: &str| page.after(&before.parse().unwrap());
    let all = |b: &str, c: &str| {
        Desired::new()
            .with(page("a", "/a", "one"))
            .with(after(page("b", "/b", b), "page/a"))
            .with(after(page("c", c, "three"), "page/b"))
    };
    let states = [all("two", "/c"), all("TWO", "/d"), Desired::new().with(page("a", "/a", "one"))];
    let registry = Registry::new().with_resource::<Page<DEFECT>>();
    Scenario::new(registry, states).with_host("m", MemoryHost::new("m"))
}

#[tokio::test(start_paused = true)]
async fn a_manager_of_sound_kinds_comes_through_every_single_fault() {
    let checked = check_cluster(scenario::<SOUND>, Faults::default()).await;
    assert!(checked.violations.is_empty(), "{checked}");
    assert_eq!(checked.lives, checked.lives_possible, "{checked}");
    assert!(checked.lives > 200, "{checked}");
}

#[tokio::test(start_paused = true)]
async fn and_through_a_second_death() {
    let faults = Faults { lives_max: 100, twice: Twice::Yes };
    let checked = check_cluster(scenario::<SOUND>, faults).await;
    assert!(checked.violations.is_empty(), "{checked}");
    assert!((50..=100).contains(&checked.lives), "{checked}");
}

#[tokio::test(start_paused = true)]
async fn defects_of_kinds_are_found_in_the_world_that_they_leave() {
    for (what, checked) in [
        (
            "it was cut off after write /a.tries: there is /a.tries (644 root root): \"xx\" instead of /a.tries (644 root \
             root): \"x\"",
            check_cluster(scenario::<COUNTS_ITS_TRIES>, Faults::default()).await,
        ),
        (
            "it reached nothing any more from read /c.index: there is also /c (644 root root)",
            check_cluster(scenario::<SAYS_ABSENT_ON_ERROR>, Faults::default()).await,
        ),
        (
            "it was cut off after write /a: there is no more /a.index",
            check_cluster(scenario::<SEES_HALF_AS_WHOLE>, Faults::default()).await,
        ),
    ] {
        let found = checked.violations.first().map(ToString::to_string).unwrap_or_default();
        assert!(found.contains("what was asked for, once") && found.contains(what), "{what}: {checked}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_comes_through_many_faults_at_once() {
    let checked = check_seeds(|_| scenario::<SOUND>(), 0..300).await;
    assert!(checked.violations.is_empty(), "{checked}");
}

/// Two or three states of two to five pages on two hosts, some of which come after others.
fn random_world(seed: u64) -> Scenario {
    let mut random = Random(seed ^ 0x5eed);
    let pages = 2 + random.below(4);
    let states = 2 + random.below(2);
    let mut state = || {
        (0..pages).fold(Desired::new(), |desired, at| {
            let path = format!("/{}{at}", ["p", "q"][usize::from(random.below(4) == 0)]);
            let text = ["one", "two", "three"][random.below(3) as usize].to_owned();
            let host = ["m", "n"][(at % 2) as usize];
            let mut page = DesiredResource::new(&format!("p{at}"), &Page::<SOUND> { path, text }).on(host);
            let before = random.below(at + 1);
            let before = format!("page/p{before}").parse().unwrap();
            if random.below(2) == 0 && desired.resources.contains_key(&before) {
                page = page.after(&before);
            }
            if random.below(5) == 0 { desired } else { desired.with(page) }
        })
    };
    let states: Vec<Desired> = (0..states).map(|_| state()).collect();
    let registry = Registry::new().with_resource::<Page<SOUND>>();
    let hosts = ["m", "n"].map(|name| (name, MemoryHost::new(name)));
    hosts
        .into_iter()
        .fold(Scenario::new(registry, states), |scenario, (name, host)| scenario.with_host(name, host))
}

/// `DETC_SEEDS=FROM..TO cargo test --release -p detc-core --all-features --lib random_worlds -- --nocapture` tries others.
#[test]
fn it_comes_through_random_worlds_with_all_faults() {
    /// Of each slice the first failure of each law is told: few enough that one run finds nearly all.
    const SLICE: u64 = 10;
    let given = std::env::var("DETC_SEEDS").ok();
    let given = given.as_deref().and_then(|seeds| seeds.split_once(".."));
    let (from, to) = given.map_or((0, 2_000), |(from, to)| (from.parse().unwrap(), to.parse().unwrap()));
    // Each thread has a world of its own, and a time of its own.
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let part = |at: u64| from + (to - from) * at / threads..from + (to - from) * (at + 1) / threads;
    let lived = std::thread::scope(|scope| {
        let live = |seeds: Range<u64>| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            let runtime = runtime.unwrap();
            let slices = seeds.clone().step_by(SLICE as usize).map(|at| at..(at + SLICE).min(seeds.end));
            slices.map(|seeds| runtime.block_on(check_seeds(random_world, seeds))).collect::<Vec<_>>()
        };
        let parts: Vec<_> = (0..threads).map(|at| scope.spawn(move || live(part(at)))).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect::<Vec<_>>()
    });
    let broken: Vec<String> =
        lived.iter().flat_map(|checked| &checked.violations).map(ToString::to_string).collect();
    assert!(
        broken.is_empty(),
        "{} of {} worlds, or more, end otherwise:\n{}",
        broken.len(),
        to - from,
        broken.join("\n")
    );
    let sum = |of: fn(&Checked) -> usize| lived.iter().map(of).sum::<usize>();
    let (lives, calls) = (sum(|checked| checked.lives), sum(|checked| checked.calls));
    println!("{lives} worlds from seeds {from}..{to}, {calls} calls without faults: none ends otherwise");
    assert_eq!(lives as u64, to - from);
}

/// A page is removed to be made elsewhere. That is cut short, and the next look is answered from before the page was there: in
/// the same run, and in the next one.
#[tokio::test(start_paused = true)]
async fn what_a_removal_has_left_is_not_taken_for_gone_by_one_look_that_is_out_of_date() {
    for seed in [3_493, 5_457] {
        let checked = check_seeds(random_world, seed..seed + 1).await;
        assert!(checked.violations.is_empty(), "{checked}");
    }
}

/// A page is made, its second write is refused, and the look after that is answered from before the first one.
#[tokio::test(start_paused = true)]
async fn what_a_failed_making_has_left_is_not_taken_for_nothing_by_one_look_that_is_out_of_date() {
    let checked = check_seeds(random_world, 14_828..14_829).await;
    assert!(checked.violations.is_empty(), "{checked}");
}

/// A host is away, and what is to be made there is to be tried again. The manager is paused meanwhile, and another brings about
/// the state after that.
#[tokio::test(start_paused = true)]
async fn who_was_paused_does_not_try_again_what_others_have_undone() {
    let checked = check_seeds(random_world, 9_071..9_072).await;
    assert!(checked.violations.is_empty(), "{checked}");
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_has_the_same_trace_byte_for_byte() {
    let mut traces = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let once = trace(random_world, seed).await;
        assert_eq!(once, trace(random_world, seed).await, "seed {seed}");
        assert!(once.contains("it ") && once.contains("commit"), "{once}");
        traces.insert(once);
    }
    assert_eq!(traces.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_failure_tells_its_seed_and_the_fewest_faults_and_comes_again() {
    let once = check_seeds(|_| scenario::<COUNTS_ITS_TRIES>(), 0..30).await;
    let again = check_seeds(|_| scenario::<COUNTS_ITS_TRIES>(), 0..30).await;
    assert_eq!(once.violations, again.violations);
    let found = once.violations.first().map(|found| found.detail.clone()).unwrap_or_default();
    assert!(found.starts_with("seed ") && found.matches("call ").count() == 1, "{once}");
}
