//! What comes of a try: what is looked at around it, what is said of it, and what a person is asked.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use detc_core::action::{ActionError, CrashClass};
use detc_core::execute::{Outcome, Progress, StopHandle};
use detc_core::model::{Desired, DesiredResource, Reference};
use serde_json::json;

use super::stage::{Alive, Look, Plain, Play, Prop, Thing, Try, Written, desired, errors};

fn plain(text: &str) -> DesiredResource {
    Prop::<Plain>::new("/a", text).named("x")
}

fn ours() -> Desired {
    desired([plain("ours")])
}

#[tokio::test(start_paused = true)]
async fn what_is_removed_may_hold_what_looks_like_a_reference() {
    let play = Play::new().await;
    let odd = json!({ "from": "plain/nobody", "output": "tells" });
    let first = Prop::<Plain>::new("/first", "").tells(odd.to_string().into()).named("first");
    let odd_one = Reference { from: first.id.clone(), output: "tells".parse().unwrap() };
    let holds = plain("ours").bind(&"tells".parse().unwrap(), odd_one).unwrap();
    play.runs(&desired([first, holds])).await;
    assert_eq!(play.stage.at("/a").unwrap().tells, odd);
    play.runs(&desired([])).await;
    assert_eq!(play.stage.at("/a"), None);
}

#[tokio::test(start_paused = true)]
async fn only_what_is_as_it_should_be_and_ill_is_healed() {
    let play = Play::new().await;
    let ours = desired([Prop::<Alive>::new("/a", "ours").named("x")]);
    play.runs(&ours).await;
    for (text, is_ill) in [("ours", true), ("theirs", false)] {
        play.stage.put("/a", Thing { is_ill, ..Thing::of(text) });
        play.stage.calls();
        play.runs(&ours).await;
        let calls = play.stage.calls();
        let heals: Vec<bool> =
            calls.into_iter().filter(|call| call.what == "update").map(|call| call.heals).collect();
        assert_eq!(heals, [is_ill], "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_action_is_not_done_before_what_it_made_works_where_its_kind_waits_for_that() {
    let alive = desired([Prop::<Alive>::new("/a", "ours").named("x")]);
    for (desired, outcome, told) in
        [(alive, Outcome::Failed, &["it is unhealthy"][..]), (ours(), Outcome::Done, &[])]
    {
        let play = Play::new().await;
        let stage = play.stage.clone();
        play.stage.on_try(move |_| {
            stage.put("/a", Thing { is_ill: true, ..Thing::of("ours") });
            Try::Nothing
        });
        let report = play.run(&desired).await;
        assert_eq!((report.outcome, &*errors(&report)), (outcome, told));
    }
}

#[tokio::test(start_paused = true)]
async fn what_changes_only_in_the_record_is_not_looked_at_before_the_end() {
    let play = Play::new().await;
    play.runs(&ours()).await;
    let planned = play.plan(&desired([plain("ours").label("tier", "front")])).await;
    play.stage.calls();
    assert_eq!(play.apply(planned).await.outcome, Outcome::Done);
    assert_eq!(play.stage.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_removal_leaves_on_purpose_is_no_matter_and_is_told() {
    let play = Play::new().await;
    play.runs(&desired([Prop::<Alive>::new("/a", "ours").named("x")])).await;
    play.stage.put("/a", Thing { is_ill: true, ..Thing::of("ours") });
    play.stage.on_try(|_| Try::Leaves("it has data in it"));
    let told = Arc::new(Mutex::new(Vec::new()));
    let tells = told.clone();
    let sink = Box::new(move |progress: &Progress<'_>| {
        if let Progress::Ended { remark, .. } = progress {
            tells.lock().unwrap().push(remark.map(str::to_owned));
        }
    });
    let planned = play.plan(&desired([])).await;
    let report = play.manager.apply_with(planned, sink, StopHandle::new()).await.unwrap().report;
    assert_eq!(report.outcome, Outcome::Done, "{report:?}");
    assert_eq!(report.remarks, [(0, "it has data in it".to_owned())]);
    assert_eq!(*told.lock().unwrap(), [Some("it has data in it".to_owned())]);
    assert!(play.stage.at("/a").is_some() && play.manager.recorded().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_had_begun_to_be_made_and_is_not_seen_is_removed_all_the_same() {
    let play = Play::new().await;
    play.cut_off(&ours()).await;
    play.give_up().await;
    play.stage.calls();
    play.runs(&desired([])).await;
    let calls = play.stage.calls();
    assert!(calls.iter().any(|call| call.what == "delete"), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_so_after_a_try_that_went_well_is_told_as_it_is_seen() {
    let play = Play::new().await;
    let stage = play.stage.clone();
    play.stage.on_try(move |_| {
        stage.put("/a", Thing::of("wrong"));
        Try::Nothing
    });
    let report = play.run(&ours()).await;
    let told = "it says that it is done, and it is not: `text` is \"wrong\", not \"ours\" (`plain.create`)";
    assert_eq!((report.outcome, errors(&report)), (Outcome::Failed, vec![told]));
}

/// When a look comes to nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Before,
    /// After a try that went well.
    After,
    /// After a try whose outcome is not known.
    InDoubt,
}

#[tokio::test(start_paused = true)]
async fn a_person_is_asked_only_about_what_must_not_happen_twice_and_may_have_happened() {
    for crash in [CrashClass::AtMostOnce, CrashClass::DeterministicName] {
        for when in [When::Before, When::After, When::InDoubt] {
            for fails in [false, true] {
                let play = Play::new().await;
                let once = desired([Prop::<Plain>::new("/a", "ours").crash(crash).named("x")]);
                let planned = play.plan(&once).await;
                let is_dark = Arc::new(AtomicBool::new(when == When::Before));
                let darkens = is_dark.clone();
                play.stage.on_try(move |_| {
                    darkens.store(true, Relaxed);
                    match when {
                        When::InDoubt => Try::Fails(ActionError::outcome_unknown("no answer")),
                        When::Before | When::After => Try::Goes,
                    }
                });
                play.stage.on_look(move |_| match (is_dark.load(Relaxed), fails) {
                    (false, _) => Look::Sees,
                    (true, false) => Look::Unknown("it is dark"),
                    (true, true) => Look::Fails(ActionError::permanent("it is broken")),
                });
                let report = play.apply(planned).await;
                let case = (crash, when, fails, errors(&report)[0]);
                assert_eq!(report.outcome, Outcome::Failed, "{case:?}");
                let is_asked = crash == CrashClass::AtMostOnce && when != When::Before;
                let asks = "it must not be done twice: find out whether it was done, then settle it with \
                            `apply --settle done=plain/x` or `apply --settle not-done=plain/x`";
                assert_eq!(case.3.ends_with(asks), is_asked, "{case:?}");
                assert_eq!(case.3.contains("settle"), is_asked, "{case:?}");
                assert_eq!(report.tally.in_doubt, usize::from(is_asked), "{case:?}");
            }
        }
    }
}

/// What may still come of a try that has no answer is not taken for nothing.
#[tokio::test(start_paused = true)]
async fn what_comes_late_of_a_try_that_was_given_up_is_removed() {
    let play = Play::new().await;
    play.stage.on_try(|_| Try::Fails(ActionError::outcome_unknown("no answer")));
    play.stage.on_look(|call| match call.begun_before {
        true => Look::Fails(ActionError::permanent("it is broken")),
        false => Look::Sees,
    });
    assert_eq!(play.run(&ours()).await.outcome, Outcome::Failed);
    play.stage.all_is_well();
    play.stage.put("/a", Thing::of("ours"));
    play.runs(&desired([])).await;
    assert_eq!(play.stage.at("/a"), None);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_made_meanwhile_leaves_no_doubt_of_what_must_not_happen_twice() {
    let play = Play::new().await;
    let once = Prop::<Written>::new("/a", "ours").crash(CrashClass::AtMostOnce).named("x");
    let once = desired([once]);
    play.cut_off(&once).await;
    play.stage.put("/a", Thing::of("theirs"));
    assert_eq!(play.resume(&once).await.outcome, Outcome::Refused);
    assert_eq!(play.changes(&once).await, ["adopt: it exists already and is not recorded"]);
    play.runs(&once).await;
    assert_eq!(play.stage.text("/a").as_deref(), Some("ours"));
}

#[tokio::test(start_paused = true)]
async fn what_had_begun_is_still_known_when_its_change_has_come_upon_something_else() {
    let play = Play::new().await;
    let of = |text: &str| desired([Prop::<Written>::new("/a", text).named("x")]);
    play.cut_off(&of("ours")).await;
    play.stage.put("/a", Thing::of("ours"));
    play.give_up().await;
    assert_eq!(play.changes(&of("second")).await, ["adopt: an earlier run had begun to make it"]);
    let stage = play.stage.clone();
    play.stage.on_try(move |_| {
        stage.put("/a", Thing::of("theirs"));
        Try::Fails(ActionError::outcome_unknown("no answer"))
    });
    assert_eq!(play.run(&of("second")).await.outcome, Outcome::Refused);
    play.stage.all_is_well();
    play.stage.put("/a", Thing::of("ours"));
    play.runs(&desired([])).await;
    assert_eq!(play.stage.at("/a"), None);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_has_failed_is_planned_again_as_the_change_that_it_is() {
    for crash in [CrashClass::AtMostOnce, CrashClass::DeterministicName] {
        let play = Play::new().await;
        let once = desired([Prop::<Plain>::new("/a", "ours").crash(crash).named("x")]);
        play.runs(&once).await;
        play.stage.put("/a", Thing::of("theirs"));
        play.stage.on_try(|_| Try::Fails(ActionError::permanent("it is not to be changed")));
        assert_eq!(play.run(&once).await.outcome, Outcome::Failed);
        assert_eq!(play.changes(&once).await, ["update: drift: it was changed behind detc's back"]);
    }
}

#[tokio::test(start_paused = true)]
async fn why_something_is_done_again_is_told() {
    let play = Play::new().await;
    let tries = AtomicU32::new(0);
    play.stage.on_try(move |_| match tries.fetch_add(1, Relaxed) {
        0 => Try::Fails(ActionError::transient("not now")),
        _ => Try::Goes,
    });
    let looks = AtomicU32::new(0);
    let planned = play.plan(&ours()).await;
    play.stage.on_look(move |_| match looks.fetch_add(1, Relaxed) {
        0 => Look::Unknown("it is dark"),
        _ => Look::Sees,
    });
    let told = Arc::new(Mutex::new(Vec::new()));
    let tells = told.clone();
    let sink = Box::new(move |progress: &Progress<'_>| {
        if let Progress::Delayed { why, .. } = progress {
            tells.lock().unwrap().push((*why).to_owned());
        }
    });
    let report = play.manager.apply_with(planned, sink, StopHandle::new()).await.unwrap().report;
    assert_eq!(report.outcome, Outcome::Done, "{report:?}");
    assert_eq!(*told.lock().unwrap(), ["it is dark", "not now"]);
}
