//! What an action stands on: what was there before, whose that is, and where nobody has looked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use detc_core::action::{ActionError, CrashClass};
use detc_core::execute::{Outcome, RunReport};
use detc_core::model::{DesiredResource, Reference};
use serde_json::json;

use super::stage::{Alive, Housed, Look, Passing, Plain, Play, Prop, Role, Thing, Try, desired, errors};

fn plain(at: &str, text: &str) -> DesiredResource {
    Prop::<Plain>::new(at, text).named("x")
}

fn theirs() -> Thing {
    Thing::of("theirs")
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_and_is_made_elsewhere_leaves_what_is_there() {
    let housed = || Prop::<Housed>::new("/a", "ours").named("x");
    for (before, was_at, after, place) in [
        (plain("/a", "ours"), "/a", plain("/b", "ours"), "/b"),
        (housed().on("h"), "h:/a", housed().on("other"), "other:/a"),
    ] {
        for is_there in [false, true] {
            let play = Play::new().await;
            play.runs(&desired([before.clone()])).await;
            play.stage.take(was_at);
            let after = desired([after.clone()]);
            assert_eq!(play.changes(&after).await, ["create: drift: it was there and is gone"]);
            let planned = play.plan(&after).await;
            if !is_there {
                assert_eq!(play.apply(planned).await.outcome, Outcome::Done);
                assert_eq!(play.stage.text(place).as_deref(), Some("ours"));
                continue;
            }
            play.stage.put(place, theirs());
            let report = play.apply(planned).await;
            assert_eq!(report.outcome, Outcome::Refused);
            let told = "something is there already, and this was planned from what was there before";
            assert_eq!(errors(&report), [told]);
            assert_eq!(play.stage.at(place), Some(theirs()));
            // It is not known any more where it was, which it is not.
            assert!(play.manager.recorded().is_empty());
            assert_eq!(play.changes(&after).await, ["adopt: it exists already and is not recorded"]);
            play.runs(&after).await;
            play.runs(&desired([])).await;
            assert!(play.stage.at(place).is_some(), "it was there before, and is left");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_looked_at_before_it_and_after_it_and_in_the_end() {
    let play = Play::new().await;
    let ours = desired([plain("/a", "ours")]);
    play.runs(&ours).await;
    play.stage.put("/a", theirs());
    let planned = play.plan(&ours).await;
    play.stage.calls();
    assert_eq!(play.apply(planned).await.outcome, Outcome::Done);
    let calls: Vec<_> = play.stage.calls().into_iter().map(|call| call.what).collect();
    assert_eq!(calls, ["look", "update", "look", "look"]);
}

/// What a removal that may not have happened has left is not taken for gone by one look, however often it was looked at before.
#[tokio::test(start_paused = true)]
async fn each_removal_whose_end_is_not_known_takes_two_looks_that_see_nothing() {
    let play = Play::new().await;
    play.runs(&desired([plain("/a", "ours")])).await;
    let (tries, is_blind) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let (tried, blind) = (tries.clone(), is_blind.clone());
    play.stage.on_try(move |_| match tried.fetch_add(1, Relaxed) {
        0 => Try::Fails(ActionError::outcome_unknown("no answer")),
        1 => {
            blind.store(true, Relaxed);
            Try::Fails(ActionError::outcome_unknown("no answer"))
        }
        _ => Try::Goes,
    });
    play.stage.on_look(move |_| match is_blind.swap(false, Relaxed) {
        true => Look::SeesNothing,
        false => Look::Sees,
    });
    play.runs(&desired([])).await;
    assert_eq!(tries.load(Relaxed), 3);
    assert_eq!(play.stage.at("/a"), None);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_had_begun_is_removed_before_it_is_made_at_another_place() {
    let play = Play::new().await;
    play.cut_off(&desired([plain("/a", "ours")])).await;
    play.stage.put("/a", Thing::of("ours"));
    play.give_up().await;
    let elsewhere = desired([plain("/b", "ours")]);
    assert_eq!(play.changes(&elsewhere).await, ["replace: `at` can not change in place"]);
    play.runs(&elsewhere).await;
    assert_eq!((play.stage.at("/a"), play.stage.text("/b").as_deref()), (None, Some("ours")));
}

/// Where it is to be is known only when another one is made, and there something is by then.
async fn found_late<R: Role>(crash: CrashClass, then: Try) -> (Play, RunReport) {
    let play = Play::new().await;
    let first = Prop::<Plain>::new("/first", "").tells(json!("/later")).named("first");
    let next = Reference { from: first.id.clone(), output: "tells".parse().unwrap() };
    let late = Prop::<R>::new("", "ours").crash(crash).named("late");
    let late = late.bind(&"at".parse().unwrap(), next).unwrap();
    let planned = play.plan(&desired([first, late])).await;
    play.stage.put("/later", theirs());
    let mut then = Some(then);
    play.stage.on_try(move |call| match call.place.as_str() {
        "/later" => then.take().unwrap_or(Try::Goes),
        _ => Try::Goes,
    });
    let report = play.apply(planned).await;
    (play, report)
}

#[tokio::test(start_paused = true)]
async fn what_is_found_where_nobody_had_looked_is_held_back_where_it_may_be_somebody_elses() {
    let named = CrashClass::DeterministicName;
    for (play, report) in
        [found_late::<Plain>(named, Try::Goes).await, found_late::<Alive>(named, Try::Goes).await]
    {
        let told = "something is there already, and this was planned from what was there before";
        assert_eq!((report.outcome, errors(&report)), (Outcome::Refused, vec![told]));
        assert_eq!(play.stage.at("/later"), Some(theirs()));
    }
    for (play, report) in [
        // What it leaves is nobody's.
        found_late::<Passing>(named, Try::Goes).await,
        // It carries a mark of detc's.
        found_late::<Plain>(CrashClass::FindableByTag, Try::Goes).await,
    ] {
        assert_eq!(report.outcome, Outcome::Done, "{report:?}");
        assert_eq!(play.stage.text("/later").as_deref(), Some("ours"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_carries_a_mark_of_detcs_is_its_own_also_where_what_was_to_be_done_about_it_has_failed() {
    let refused = Try::Fails(ActionError::permanent("it is not to be changed"));
    let (play, report) = found_late::<Plain>(CrashClass::FindableByTag, refused).await;
    assert_eq!(report.outcome, Outcome::Failed);
    play.runs(&desired([])).await;
    assert_eq!(play.stage.at("/later"), None);
}

#[tokio::test(start_paused = true)]
async fn what_was_there_before_detc_and_is_back_by_itself_is_left() {
    let play = Play::new().await;
    let ours = desired([plain("/a", "ours")]);
    play.stage.put("/a", Thing::of("ours"));
    play.runs(&ours).await;
    play.stage.take("/a");
    let planned = play.plan(&ours).await;
    play.stage.put("/a", Thing::of("ours"));
    assert_eq!(play.apply(planned).await.tally.satisfied, 1);
    play.runs(&desired([])).await;
    assert!(play.stage.at("/a").is_some());
}

#[tokio::test(start_paused = true)]
async fn what_was_there_before_detc_is_left_also_when_it_was_changed_since() {
    let play = Play::new().await;
    play.stage.put("/a", theirs());
    for text in ["first", "second"] {
        play.runs(&desired([plain("/a", text)])).await;
        assert_eq!(play.stage.text("/a").as_deref(), Some(text));
    }
    play.runs(&desired([])).await;
    assert_eq!(play.stage.text("/a").as_deref(), Some("second"));
}

#[tokio::test(start_paused = true)]
async fn who_tries_what_an_earlier_run_has_not_ended_well_is_told_so() {
    let play = Play::new().await;
    let ours = desired([plain("/a", "ours")]);
    play.stage.on_try(|_| Try::Fails(ActionError::permanent("no")));
    for begun_before in [false, true] {
        let planned = play.plan(&ours).await;
        play.stage.calls();
        assert_eq!(play.apply(planned).await.outcome, Outcome::Failed);
        let calls = play.stage.calls();
        assert_eq!(calls[1].what, "create");
        assert!(calls.iter().all(|call| call.begun_before == begun_before), "{calls:?}");
    }
    play.stage.all_is_well();
    play.runs(&ours).await;
    let changed = desired([plain("/a", "changed")]);
    play.stage.calls();
    play.runs(&changed).await;
    assert!(play.stage.calls().iter().all(|call| !call.begun_before), "it has ended well");
}
