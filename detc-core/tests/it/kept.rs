//! What is recorded of what was done, found done, or came to nothing.

use detc_core::action::ActionError;
use detc_core::execute::Outcome;
use detc_core::model::{DesiredResource, Reference};
use detc_core::resource::value::ValueSpec;
use serde_json::{Value, json};

use super::stage::{Alive, Passing, Plain, Play, Prop, Thing, Try, desired};

fn plain(text: &str) -> DesiredResource {
    Prop::<Plain>::new("/a", text).named("x")
}

fn failing(call: &'static str) -> impl FnMut(&super::stage::Call) -> Try + Send {
    move |made| match made.what == call {
        true => Try::Fails(ActionError::permanent("no")),
        false => Try::Goes,
    }
}

/// What restarts on it goes by that.
#[tokio::test(start_paused = true)]
async fn what_is_found_as_it_should_be_has_not_changed_since_an_earlier_run() {
    for (wanted, meanwhile, then, changed) in [
        // Somebody put right what had changed before the update came to it, or has done what it was to do.
        (plain("first"), Some("theirs"), Some("first"), "run-1/create"),
        (plain("second"), None, Some("second"), "run-1/create"),
        // Only the record is other than it was.
        (plain("first").label("tier", "front"), None, None, "run-1/create"),
        // What somebody had done before that was planned is an effect that nobody has restarted for.
        (plain("second"), Some("second"), None, "run-2/record"),
        (plain("second"), None, None, "run-2/update"),
    ] {
        let play = Play::new().await;
        play.runs(&desired([plain("first")])).await;
        assert_eq!(play.record("plain/x").changed, "run-1/create");
        if let Some(meanwhile) = meanwhile {
            play.stage.put("/a", Thing::of(meanwhile));
        }
        let planned = play.plan(&desired([wanted])).await;
        if let Some(then) = then {
            play.stage.put("/a", Thing::of(then));
        }
        let reason = planned.plan.changes[0].reason.to_string();
        assert_eq!(play.apply(planned).await.outcome, Outcome::Done);
        assert_eq!(play.record("plain/x").changed, changed, "{reason}, then {then:?}");
    }
}

/// What is marked as a whole can not be compared in its parts by a later plan: it goes by which of both was changed last.
#[tokio::test(start_paused = true)]
async fn what_takes_a_part_of_something_sensitive_has_changed_with_it() {
    for (is_sensitive, changed) in [(true, "run-2/update"), (false, "run-1/create")] {
        let play = Play::new().await;
        let both = |more: u32| {
            let tells = json!({ "word": "open-sesame", "more": more });
            let mut source = Prop::<Plain>::new("/source", "").tells(tells).named("source");
            if is_sensitive {
                source.extra_mut().sensitive.push("tells".parse().unwrap());
            }
            let word = Reference { from: source.id.clone(), output: "tells.word".parse().unwrap() };
            let takes = plain("").bind(&"text".parse().unwrap(), word).unwrap();
            desired([source, takes])
        };
        play.runs(&both(1)).await;
        assert_eq!(play.stage.text("/a").as_deref(), Some("open-sesame"));
        let report = play.runs(&both(2)).await;
        assert_eq!((report.tally.done, report.tally.satisfied), (1, 1));
        assert_eq!(play.record("plain/x").changed, changed, "sensitive: {is_sensitive}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_it_was_restarted_for_is_recorded_as_it_is_seen_when_it_restarts_on_nothing_any_more() {
    let play = Play::new().await;
    let alive = |text: &str| Prop::<Alive>::new("/a", text).named("x");
    let value = ValueSpec::resource("v", &json!(1)).unwrap();
    play.runs(&desired([alive("first").restart_on(&value.id), value])).await;
    let first = play.record("alive/x").triggers;
    assert!(first.is_some());
    let stage = play.stage.clone();
    play.stage.on_try(move |_| {
        stage.put("/a", Thing { triggers: Some("since".to_owned()), ..Thing::of("second") });
        Try::Nothing
    });
    play.runs(&desired([alive("second")])).await;
    assert_eq!(play.record("alive/x").triggers.as_deref(), Some("since"));
}

#[tokio::test(start_paused = true)]
async fn what_is_only_recorded_anew_was_seen_as_it_was_before() {
    let play = Play::new().await;
    play.runs(&desired([plain("first")])).await;
    let seen = play.manager.recorded()["plain/x"].seen();
    play.runs(&desired([plain("first").label("tier", "front")])).await;
    assert_eq!(play.manager.recorded()["plain/x"].seen(), seen);
}

#[tokio::test(start_paused = true)]
async fn what_was_made_once_and_could_not_be_made_again_is_recorded_as_before() {
    let play = Play::new().await;
    play.runs(&desired([plain("first")])).await;
    let before = play.manager.recorded();
    play.stage.take("/a");
    play.stage.on_try(failing("create"));
    let renamed = || {
        let mut renamed = Prop::<Plain>::new("/a", "first").named("y");
        renamed.extra_mut().renamed_from = Some("plain/x".parse().unwrap());
        renamed
    };
    for again in [plain("first"), renamed()] {
        let again = desired([again]);
        assert_eq!(play.run(&again).await.outcome, Outcome::Failed);
        assert_eq!(play.manager.recorded(), before);
        assert_eq!(play.changes(&again).await, ["create: drift: it was there and is gone"]);
    }
    play.stage.all_is_well();
    play.runs(&desired([renamed()])).await;
    let recorded = play.manager.recorded();
    assert_eq!(recorded.keys().map(ToString::to_string).collect::<Vec<_>>(), ["plain/y"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_removed_to_be_made_anew_and_could_not_be_made_is_recorded_no_more() {
    let play = Play::new().await;
    play.runs(&desired([plain("first")])).await;
    play.stage.on_try(failing("create"));
    let elsewhere = desired([Prop::<Plain>::new("/b", "first").named("x")]);
    assert_eq!(play.run(&elsewhere).await.outcome, Outcome::Failed);
    assert!(play.manager.recorded().is_empty());
    assert_eq!(play.changes(&elsewhere).await, ["create: it is not there yet"]);
}

const SECRET: &str = "correct-horse";

#[tokio::test(start_paused = true)]
async fn sensitive_outputs_are_recorded_as_marks_and_so_is_what_gives_something_sensitive_away() {
    let tells = json!({ "token": SECRET, "word": "any" }).to_string();
    for (token, id) in [
        (Prop::<Plain>::new("/a", "").tells(tells.clone().into()).named("seen"), "plain/seen"),
        (Prop::<Passing>::new("/a", "").tells(tells.into()).named("told"), "passing/told"),
    ] {
        let play = Play::new().await;
        play.runs(&desired([token])).await;
        let output = play.record(id).output;
        assert_eq!(output["tells"]["word"], "any");
        assert!(!output.to_string().contains(SECRET), "{output}");
    }
    let play = Play::new().await;
    let tells = Value::from(format!("it was given {SECRET}"));
    play.runs(&desired([Prop::<Plain>::new("/a", "").secret(SECRET).tells(tells).named("x")])).await;
    assert_eq!(play.stage.at("/a").unwrap().secret.as_deref(), Some(SECRET));
    let output = play.record("plain/x").output;
    assert!(!output.is_null() && !output.to_string().contains(SECRET), "{output}");
}

#[tokio::test(start_paused = true)]
async fn what_is_seen_of_a_sensitive_field_is_marked_also_where_it_is_not_given() {
    let play = Play::new().await;
    let tells = json!({ "token": SECRET, "word": "theirs" });
    play.stage.put("/a", Thing { tells, ..Thing::of("first") });
    let ours = Prop::<Plain>::new("/a", "first").tells(json!({ "word": "ours" })).named("x");
    let planned = play.plan(&desired([ours])).await;
    let fields = planned.plan.changes[0].fields.iter().map(|field| field.path.as_str());
    assert_eq!(fields.collect::<Vec<_>>(), ["tells.token", "tells.word"]);
    let told = serde_json::to_string(&*planned.plan).unwrap();
    assert!(told.contains("theirs") && !told.contains(SECRET), "{told}");
}

#[tokio::test(start_paused = true)]
async fn who_looks_is_told_what_is_sensitive() {
    let play = Play::new().await;
    let mut sensitive = plain(SECRET);
    sensitive.extra_mut().sensitive.push("text".parse().unwrap());
    for (resource, is_sensitive) in [(sensitive, true), (plain("open"), false)] {
        play.plan(&desired([resource])).await;
        let calls = play.stage.calls();
        assert!(calls.len() == 1 && calls[0].has_sensitive_text == is_sensitive, "{calls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_sensitive_and_is_written_openly_by_now_is_no_secret_and_what_it_was_before_is() {
    let was_sensitive = async || {
        let play = Play::new().await;
        let mut sensitive = plain(SECRET);
        sensitive.extra_mut().sensitive.push("text".parse().unwrap());
        play.runs(&desired([sensitive])).await;
        play
    };
    let play = was_sensitive().await;
    play.runs(&desired([plain(SECRET)])).await;
    assert!(play.changes(&desired([plain(SECRET)])).await.is_empty());
    assert_eq!(play.record("plain/x").spec.value()["text"], SECRET);
    let play = was_sensitive().await;
    play.stage.on_try(|_| Try::Nothing);
    let report = play.run(&desired([plain("open")])).await;
    assert_eq!(report.outcome, Outcome::Failed);
    assert!(!format!("{report:?}").contains(SECRET), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_look_that_confirms_an_action_has_its_key() {
    let play = Play::new().await;
    let keyed = Prop::<Plain>::new("/a", "first").crash(detc_core::action::CrashClass::IdempotencyKey);
    let planned = play.plan(&desired([keyed.named("x")])).await;
    assert!(play.stage.calls().iter().all(|call| call.key == "observe"));
    assert_eq!(play.apply(planned).await.outcome, Outcome::Done);
    let calls: Vec<(&str, String)> =
        play.stage.calls().into_iter().map(|call| (call.what, call.key)).collect();
    let key = calls[1].1.clone();
    assert!(key.ends_with("/run-1/create:plain/x"), "{key}");
    assert_eq!(calls, ["look", "create", "look", "look"].map(|what| (what, key.clone())));
}
