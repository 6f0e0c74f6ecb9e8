//! Journals as earlier versions wrote them are resumed for ever. `golden/interrupted-1.json` is the store of the first
//! version, just after its process died in the middle of a run that makes things; `interrupted-2.json` that of one which
//! changes, replaces and removes them, with what was there then. A new one is added when the format changes, and none is ever
//! altered. `DETC_WRITE_GOLDEN=1 cargo test -p detc-core --test it golden` writes one where it is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use detc_core::execute::Outcome;
use detc_core::execute::journal::RunNumber;
use detc_core::manage::Settlement;
use detc_core::model::{Desired, DesiredResource};
use detc_core::store::memory::MemoryStore;
use detc_core::store::{KeyRange, Store, Transaction, Write, read_all};

use super::crash::die_at_commit;
use super::world::{Line, World, converge, lines};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/interrupted-1.json");
const CHANGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/interrupted-2.json");

/// A store's text keys and values, without leadership: that died with the process.
async fn dump(store: &Arc<dyn Store>) -> BTreeMap<String, String> {
    let (entries, _) = read_all(&**store, KeyRange::all()).await.unwrap();
    let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    let kept = entries.iter().filter(|entry| &entry.key[..] != b"meta/leader");
    kept.map(|entry| (text(&entry.key), text(&entry.value))).collect()
}

async fn load(golden: BTreeMap<String, String>) -> Arc<dyn Store> {
    let bytes = |text: String| text.chars().map(|c| c as u8).collect::<Vec<u8>>();
    let put = |(key, value): (String, String)| Write::Put {
        key: bytes(key).into(),
        value: bytes(value).into(),
        lease: None,
    };
    let writes = golden.into_iter().map(put).collect();
    let store = MemoryStore::new();
    store.transact(Transaction { compares: Vec::new(), writes }).await.unwrap();
    Arc::new(store)
}

#[tokio::test(start_paused = true)]
async fn a_run_that_the_first_version_left_in_the_middle_is_finished() {
    if std::env::var_os("DETC_WRITE_GOLDEN").is_some() && !Path::new(GOLDEN).exists() {
        let (world, store) = (World::new(), Arc::new(MemoryStore::new()) as Arc<dyn Store>);
        assert!(die_at_commit(&world, &store, &lines(9), 6).await);
        std::fs::write(GOLDEN, serde_json::to_string_pretty(&dump(&store).await).unwrap()).unwrap();
    }
    let golden: BTreeMap<String, String> =
        serde_json::from_str(&std::fs::read_to_string(GOLDEN).unwrap()).unwrap();
    assert!(golden.keys().any(|key| key.starts_with("run-log/")), "it was in the middle");
    let recorded: Vec<String> =
        golden.keys().filter_map(|key| key.strip_prefix("state/line/")).map(str::to_owned).collect();
    assert!(!recorded.is_empty() && recorded.len() < 9, "it was in the middle: {recorded:?}");
    let (world, store) = (World::new(), load(golden).await);
    for line in &recorded {
        world.append(line).await;
    }
    let manager = world.manager(&store).await;
    assert!(manager.interrupted().await.unwrap().is_some());
    assert_eq!(converge(&manager, &lines(9)).await, Outcome::Done);
    let expected: Vec<String> = (0..9).map(|index| format!("l{index}")).collect();
    assert_eq!(world.lines().await, expected, "what was recorded as done is not done again");
    assert_eq!(manager.history().await.unwrap().len(), 1, "it was resumed, not planned anew");
}

/// What the second version's process left.
#[derive(Serialize, Deserialize)]
struct Left {
    store: BTreeMap<String, String>,
    ledger: Vec<String>,
}

/// What is there, and what it is to become: lines that are removed, one that is replaced and what takes a value of it, one
/// that is new, and one of which nobody can find out whether it is there.
fn before_and_after() -> [Desired; 2] {
    let signed = |name: &str, text: &str, secret: Value| {
        let fields = json!({ "text": text, "secret": secret });
        DesiredResource::from_value("signed", name, &fields).unwrap().on("m")
    };
    let taken = || json!({ "from": "signed/s", "output": "letters" });
    let once = Line { once: true, ..Line::new("once") };
    [
        lines(12).with(signed("s", "short", json!("hush"))).with(signed("t", "taker", taken())),
        lines(6)
            .with(signed("s", "much-longer", json!("hush")))
            .with(signed("t", "taker", taken()))
            .with(signed("new", "new", json!(null)))
            .with(DesiredResource::new("once", &once).on("m").after(&"signed/new".parse().unwrap())),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_run_that_changes_and_removes_is_finished_whoever_began_it() {
    let [before, after] = before_and_after();
    if std::env::var_os("DETC_WRITE_GOLDEN").is_some() && !Path::new(CHANGES).exists() {
        let (world, store) = (World::new(), Arc::new(MemoryStore::new()) as Arc<dyn Store>);
        let manager = world.manager(&store).await;
        assert_eq!(converge(&manager, &before).await, Outcome::Done);
        manager.close().await.unwrap();
        assert!(die_at_commit(&world, &store, &after, 4).await);
        let left = Left { store: dump(&store).await, ledger: world.lines().await };
        std::fs::write(CHANGES, serde_json::to_string_pretty(&left).unwrap()).unwrap();
    }
    let left: Left = serde_json::from_str(&std::fs::read_to_string(CHANGES).unwrap()).unwrap();
    let log: String = left
        .store
        .iter()
        .filter(|(key, _)| key.starts_with("run-log/0000000002"))
        .map(|(_, log)| &**log)
        .collect();
    assert!(log.contains(r#""what":"done""#), "it was in the middle: {log}");
    let is_left = |line: &str| left.ledger.iter().any(|at| at == line);
    assert!(!is_left("once") && is_left("l6"), "it was in the middle: {:?}", left.ledger);
    let (world, store) = (World::new(), load(left.store).await);
    for line in &left.ledger {
        world.append(line).await;
    }
    let manager = world.manager(&store).await;
    assert!(manager.interrupted().await.unwrap().is_some());
    assert_eq!(
        converge(&manager, &after).await,
        Outcome::Failed,
        "nobody can find out whether `once` was written"
    );
    let left = ["l0", "l1", "l2", "l3", "l4", "l5", "much-longer", "new"];
    assert_eq!(
        world.lines().await,
        [&left[..], &["taker", "taker"]].concat(),
        "what is changed is written once more"
    );
    assert_eq!(manager.history().await.unwrap().len(), 2, "it was resumed, not planned anew");
    manager.settle(&Settlement::NotDone("line/once".parse().unwrap())).await.unwrap();
    assert_eq!(converge(&manager, &after).await, Outcome::Done);
    assert_eq!(world.lines().await, [&left[..], &["once", "taker", "taker"]].concat());
    assert!(manager.plan(&after).await.unwrap().plan.is_settled());
}

#[tokio::test(start_paused = true)]
async fn the_plans_that_earlier_versions_sealed_are_whole_to_this_one() {
    let first: BTreeMap<String, String> =
        serde_json::from_str(&std::fs::read_to_string(GOLDEN).unwrap()).unwrap();
    let second: Left = serde_json::from_str(&std::fs::read_to_string(CHANGES).unwrap()).unwrap();
    let mut verbs = BTreeSet::new();
    for (number, golden) in [(1, first), (1, second.store.clone()), (2, second.store)] {
        let manager = World::new().manager(&load(golden).await).await;
        let (head, plan, _) = manager.run(RunNumber(number)).await.unwrap();
        let plan = plan.unwrap();
        assert!(plan.is_intact() && plan.id == head.plan, "run-{number}: {plan}");
        verbs.extend(plan.actions.iter().map(|action| action.verb.as_str()));
    }
    assert!(verbs.len() > 2, "{verbs:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_plan_names_what_is_not_in_it_is_given_up_and_planned_anew() {
    for (what, with) in [(r#""change":1"#, r#""change":99"#), (r#""after":[0]"#, r#""after":[99]"#)] {
        let mut golden: BTreeMap<String, String> =
            serde_json::from_str(&std::fs::read_to_string(GOLDEN).unwrap()).unwrap();
        let plan = golden.iter_mut().find(|(key, _)| key.starts_with("run-plan/")).unwrap().1;
        assert!(plan.contains(what), "{plan}");
        *plan = plan.replace(what, with);
        let recorded: Vec<String> =
            golden.keys().filter_map(|key| key.strip_prefix("state/line/")).map(str::to_owned).collect();
        let (world, store) = (World::new(), load(golden).await);
        for line in &recorded {
            world.append(line).await;
        }
        let manager = world.manager(&store).await;
        assert_eq!(converge(&manager, &lines(9)).await, Outcome::Done);
        let history = manager.history().await.unwrap();
        assert_eq!((history.len(), history[1].outcome), (2, Some(Outcome::Superseded)), "{what}");
        assert!(history[1].note.as_ref().unwrap().contains("its plan"), "{:?}", history[1].note);
        assert_eq!(world.lines().await.len(), 9, "{what}");
    }
}
