//! Pairs of faults.

use serde_json::json;

use super::*;
use crate::model::{FieldPath, Reference};
use crate::testing::services::kinds::{Entry, Run, Vm, on_services};

/// Two pages in a row; the second of them changes, then it has gone.
fn pages<const DEFECT: u8>() -> Scenario {
    let page = |name: &str, text: &str| {
        let path = format!("/{name}");
        DesiredResource::new(name, &Page::<DEFECT> { path, text: text.to_owned() }).on("m")
    };
    let a = || page("a", "one");
    let both = |text: &str| Desired::new().with(a()).with(page("b", text).after(&"page/a".parse().unwrap()));
    let states = [both("two"), both("TWO"), Desired::new().with(a())];
    let registry = Registry::new().with_resource::<Page<DEFECT>>();
    Scenario::new(registry, states).with_host("m", MemoryHost::new("m"))
}

/// A machine, a name of it, and a container that comes after it; the machine grows, and another container is there.
fn services() -> Scenario {
    let resource =
        |kind: &str, fields: serde_json::Value| DesiredResource::from_value(kind, "web", &fields).unwrap();
    let all = |size: &str, container: &str| {
        let vm = resource("vm", json!({ "tag": "web", "size": size }));
        let run = resource("run", json!({ "container": container, "image": "v1" })).after(&vm.id);
        let address: FieldPath = "address".parse().unwrap();
        let of_vm = Reference::new(vm.id.clone(), address.clone());
        let entry = resource("entry", json!({ "entry": "web", "address": null })).bind(&address, of_vm);
        Desired::new().with(vm).with(run).with(entry.unwrap())
    };
    let registry = Registry::new()
        .with_resource::<Vm<SOUND>>()
        .with_resource::<Run<SOUND>>()
        .with_resource::<Entry<SOUND>>();
    on_services(Scenario::new(registry, [all("small", "web"), all("large", "other")]))
}

/// `DETC_CAMPAIGN=full cargo test --release -p detc-core --all-features --lib pairs_of_faults -- --nocapture` tries all.
async fn come_through(scenario: fn() -> Scenario) {
    let is_full = std::env::var("DETC_CAMPAIGN").is_ok_and(|much| much == "full");
    let lives_max = if is_full { usize::MAX } else { 1_500 };
    let checked = check_cluster(scenario, Faults { lives_max, twice: Twice::All }).await;
    println!("{checked}");
    assert!(checked.violations.is_empty(), "{checked}");
    assert!(checked.lives > 1_000 && checked.lives_possible > 20 * checked.calls.pow(2), "{checked}");
}

#[tokio::test(start_paused = true)]
async fn a_manager_comes_through_pairs_of_faults() {
    come_through(pages::<SOUND>).await;
}

#[tokio::test(start_paused = true)]
async fn a_manager_comes_through_pairs_of_faults_of_services() {
    come_through(services).await;
}

/// A page whose second try writes the index first, of which a look makes the whole: that takes two faults.
fn one_page() -> Scenario {
    let page = Page::<TAKES_ANOTHER_WAY_THE_SECOND_TIME> { path: "/a".to_owned(), text: "one".to_owned() };
    let state = Desired::new().with(DesiredResource::new("a", &page).on("m"));
    let registry = Registry::new().with_resource::<Page<TAKES_ANOTHER_WAY_THE_SECOND_TIME>>();
    Scenario::new(registry, [state]).with_host("m", MemoryHost::new("m"))
}

#[tokio::test(start_paused = true)]
async fn what_takes_two_faults_is_found_by_pairs_of_faults() {
    let single = check_cluster(one_page, Faults::default()).await;
    assert!(single.violations.is_empty() && single.lives == single.lives_possible, "{single}");
    let pairs = check_cluster(one_page, Faults { lives_max: 1_500, twice: Twice::All }).await;
    let found = pairs.violations.iter().map(ToString::to_string).collect::<String>();
    assert!(found.contains("there is no more /a (") && found.matches("call ").count() == 2, "{pairs}");
}
