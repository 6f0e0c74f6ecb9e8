//! The answer to a call is lost, whatever it was to do, and however its outcome is found out.

use std::sync::Arc;

use detc_core::action::CrashClass;
use detc_core::model::{Desired, DesiredResource};
use detc_core::store::Store;
use detc_core::store::memory::MemoryStore;

use super::parts::{CLASSES, Loss, Part, Site, What, heal};

/// What is done to the part, and how many calls that takes.
const WAYS: [(&str, u64); 4] = [("make", 1), ("change", 1), ("replace", 2), ("remove", 1)];

/// Before it and after it.
fn states(way: &str, class: CrashClass) -> [Desired; 2] {
    let state = |version: u32, mould: u32| {
        Desired::new().with(DesiredResource::new("p", &Part { version, mould, class }))
    };
    match way {
        "make" => [Desired::new(), state(1, 0)],
        "change" => [state(1, 0), state(2, 0)],
        "replace" => [state(1, 0), state(1, 1)],
        _ => [state(1, 0), Desired::new()],
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_settled_by_a_look_or_a_key_and_never_by_a_second_try_in_the_dark() {
    let (mut lost, mut asked_about) = (0, 0);
    for class in CLASSES {
        for (way, calls) in WAYS {
            for call in 1..=calls {
                for loss in [Loss::Answer, Loss::Call] {
                    let case = format!("{way}, {class:?}, call {call}, the {loss:?} is lost");
                    let (site, store) =
                        (Arc::new(Site::default()), Arc::new(MemoryStore::new()) as Arc<dyn Store>);
                    let [before, after] = states(way, class);
                    heal(&site, &store, &before, 8).await.unwrap();
                    let earlier = site.state().ledger.len();
                    let of = site.state().calls;
                    site.state().loses = Some((of + call, loss));
                    let asked = heal(&site, &store, &after, 8).await.unwrap();
                    assert!(site.state().calls >= of + call, "{case}: there was no such call");
                    lost += 1;
                    asked_about += asked.len();
                    let effects = site.state().ledger[earlier..].to_vec();
                    let removals = effects.iter().filter(|(_, what, _)| *what == What::Removed);
                    let made = effects.len() - removals.clone().count();
                    // To remove what is not there is no effect.
                    let removed = removals.filter(|(_, _, before)| before.is_some()).count();
                    let should =
                        (usize::from(way != "remove"), usize::from(matches!(way, "replace" | "remove")));
                    assert_eq!((made, removed), should, "{case}: made and removed");
                    assert!(asked.is_empty() || class == CrashClass::AtMostOnce, "{case}: {asked:?}");
                }
            }
        }
    }
    assert!(asked_about > 0, "nobody can look for what happens at most once");
    println!("{lost} lost answers: 0 blind second runs; asked about {asked_about}, all of them at most once");
}
