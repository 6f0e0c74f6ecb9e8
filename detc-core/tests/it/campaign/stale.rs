//! A plan is made from a view that is out of date: of one part, it is seen how it was so many changes ago, and what is there
//! by now is another one, of another version, or none. Nothing is taken away for that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use detc_core::action::CrashClass;
use detc_core::model::{Desired, DesiredResource, ResourceId};
use detc_core::store::memory::MemoryStore;
use detc_core::store::{KeyRange, Store, Transaction, read_all};

use super::parts::{Part, Site, Thing, What, heal, manager, part};
use super::{Random, sized};

const PARTS: usize = 12;

/// Some of the parts, in one of their versions and moulds.
fn desired(random: &mut Random) -> Desired {
    const SEEN: [CrashClass; 3] =
        [CrashClass::DeterministicName, CrashClass::FindableByTag, CrashClass::CompareAndSet];
    (0..PARTS).fold(Desired::new(), |desired, at| {
        let version = random.below(3) as u32;
        let mould = u32::from(random.below(4) == 0);
        let part = Part { version, mould, class: SEEN[at % SEEN.len()] };
        let is_left_out = random.below(4) == 0;
        if is_left_out { desired } else { desired.with(DesiredResource::new(&format!("p{at}"), &part)) }
    })
}

/// Somebody else changes one of them, takes it away, or has another one in its place.
fn meddle(site: &Site, random: &mut Random) {
    let name = format!("p{}", random.below(PARTS));
    // What is like detc's own in all that a look tells counts as detc's own.
    let (version, mould) = (7 + random.below(1 << 30) as u32, random.below(2) as u32);
    let mut state = site.state();
    match (random.below(3), state.things.get_mut(&name)) {
        (0, Some(thing)) => thing.version = version,
        (1, Some(_)) => _ = state.things.remove(&name),
        (_, _) => _ = state.put(&name, version, mould),
    }
}

/// The same store once more, without who leads.
async fn copy(store: &Arc<dyn Store>) -> Arc<dyn Store> {
    let (entries, _) = read_all(&**store, KeyRange::all()).await.unwrap();
    let lasting = entries.into_iter().filter(|entry| entry.lease.is_none());
    let all = lasting.fold(Transaction::new(), |all, entry| all.put(entry.key, entry.value));
    let copy = Arc::new(MemoryStore::new()) as Arc<dyn Store>;
    copy.transact(all).await.unwrap();
    copy
}

/// What was taken away, or changed, that was not what the plan was made from, or that is desired as it was.
fn wrong(site: &Site, from: usize, view: &BTreeMap<String, Thing>, to: &Desired) -> Vec<String> {
    let state = site.state();
    let own: BTreeSet<u64> = state.own.clone();
    let mut wrong = Vec::new();
    for (name, what, before) in &state.ledger[from..] {
        let Some(before) = before else { continue };
        let asked = to.resources.get(&format!("part/{name}").parse::<ResourceId>().unwrap());
        let asked = asked.map(|one| serde_json::from_value::<Part>(one.spec.value()).unwrap());
        let is_desired = asked.is_some_and(|part| part.mould == before.mould);
        let is_alike =
            view.get(name).is_some_and(|seen| (seen.version, seen.mould) == (before.version, before.mould));
        let is_as_seen = is_alike && (own.contains(&before.serial) || view.get(name) == Some(before));
        match what {
            What::Removed if is_desired => wrong.push(format!("{name} is desired, and was removed")),
            What::Removed if !is_as_seen => wrong.push(format!(
                "{name} was removed, which was {before:?}, and was seen as {:?}",
                view.get(name)
            )),
            What::Changed if !is_as_seen => wrong.push(format!(
                "{name} was changed, which was {before:?}, and was seen as {:?}",
                view.get(name)
            )),
            What::Made | What::Changed | What::Removed => {}
        }
    }
    wrong
}

#[tokio::test(start_paused = true)]
async fn no_view_of_any_part_at_any_earlier_moment_leads_to_a_wrong_removal() {
    let (steps, seeds) = sized((9, 1), (50, 1));
    let (mut plans, mut effects) = (0, 0);
    for seed in 0..seeds {
        let mut random = Random(seed);
        let (site, store) = (Arc::new(Site::default()), Arc::new(MemoryStore::new()) as Arc<dyn Store>);
        // What there was, by the moment.
        let mut history: Vec<BTreeMap<String, Thing>> = Vec::new();
        for step in 0..steps {
            let to = desired(&mut random);
            let now = site.state().things.clone();
            for name in (0..PARTS).map(|at| format!("p{at}")) {
                for (moment, earlier) in history.iter().enumerate() {
                    if earlier.get(&name) == now.get(&name) {
                        continue;
                    }
                    let case = format!("seed {seed}, step {step}: {name} is seen as at moment {moment}");
                    let (site, store) = (Arc::new(site.copy()), copy(&store).await);
                    let manager = manager(&site, &store, 8).await.unwrap();
                    site.state().views.insert(name.clone(), earlier.get(&name).copied());
                    let planned = manager.plan(&to).await.unwrap();
                    site.state().views.clear();
                    let before = site.state().ledger.len();
                    let mut view = now.clone();
                    view.remove(&name);
                    view.extend(earlier.get(&name).map(|thing| (name.clone(), *thing)));
                    plans += 1;
                    // What has moved is held back; what does not depend on it is done.
                    let applied = manager.apply(planned).await.unwrap();
                    let found = wrong(&site, before, &view, &to);
                    assert!(found.is_empty(), "{case}: {found:?}\n{applied}");
                    effects += site.state().ledger.len() - before;
                    manager.close().await.unwrap();
                    heal(&site, &store, &to, 8).await.unwrap();
                    for (id, asked) in &to.resources {
                        let part: Part = serde_json::from_value(asked.spec.value()).unwrap();
                        let there = site.state().things.get(id.name()).map(|it| (it.version, it.mould));
                        assert_eq!(there, Some((part.version, part.mould)), "{case}: {id}");
                    }
                }
            }
            history.push(now);
            match random.below(3) {
                0 => meddle(&site, &mut random),
                _ => _ = heal(&site, &store, &to, 8).await.unwrap(),
            }
        }
    }
    assert!(plans > 20 * steps && effects > plans, "{plans} plans, {effects} effects");
    println!("{plans} plans from views that are out of date, {effects} effects: 0 wrong");
}

#[tokio::test(start_paused = true)]
async fn what_is_only_recorded_does_not_hide_that_it_is_otherwise() {
    let (site, store) = (Arc::new(Site::default()), Arc::new(MemoryStore::new()) as Arc<dyn Store>);
    let at = |version| Desired::new().with(part("p", version, CrashClass::DeterministicName));
    heal(&site, &store, &at(1), 8).await.unwrap();
    let before = site.state().things.get("p").copied();
    let manager = manager(&site, &store, 8).await.unwrap();
    site.state().views.insert("p".to_owned(), before.map(|thing| Thing { version: 2, ..thing }));
    let planned = manager.plan(&at(2)).await.unwrap();
    assert!(planned.plan.to_string().contains("record part/p (it is so already"), "{}", planned.plan);
    site.state().views.clear();
    let _applied = manager.apply(planned).await.unwrap();
    assert!(!manager.plan(&at(2)).await.unwrap().plan.is_settled(), "it is still of version 1");
    manager.close().await.unwrap();
    heal(&site, &store, &at(2), 8).await.unwrap();
    assert_eq!(site.state().things.get("p").map(|thing| thing.version), Some(2));
}
