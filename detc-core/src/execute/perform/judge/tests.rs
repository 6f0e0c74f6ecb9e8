//! Each thing that can be seen, in each phase, of each crash class.

use serde_json::json;

use super::*;

const CLASSES: [CrashClass; 5] = [
    CrashClass::DeterministicName,
    CrashClass::IdempotencyKey,
    CrashClass::FindableByTag,
    CrashClass::CompareAndSet,
    CrashClass::AtMostOnce,
];

const PHASES: [Phase; 3] = [Phase::First, Phase::Settle, Phase::Verify];

fn doc(spec: &Value) -> Doc {
    Doc::new(spec)
}

fn recorded(spec: &Value, triggers: Option<&str>) -> RecordBody {
    let record = json!({"spec": spec, "changed": "run-1/create", "schema": "", "triggers": triggers});
    serde_json::from_value(record).unwrap()
}

fn needed(why: &str) -> Checked {
    Checked::Needed(why.to_owned())
}

fn unknown(why: &str) -> Checked {
    Checked::Unknown(why.to_owned())
}

#[test]
fn what_can_not_be_seen_is_judged_by_its_record() {
    let wanted = doc(&json!({"a": 1}));
    let (same, other) = (recorded(&json!({"a": 1}), None), recorded(&json!({"a": 2}), None));
    for crash in CLASSES {
        let judged = |body, phase| judge(&wanted, &Observation::Unobservable, body, None, phase, crash);
        for phase in PHASES {
            assert_eq!(judged(Some(&same), phase), Checked::Satisfied);
        }
        for body in [None, Some(&other)] {
            assert_eq!(judged(body, Phase::First), needed("it is not recorded so"));
            assert_eq!(judged(body, Phase::Verify), Checked::Satisfied);
            let settled = match crash {
                CrashClass::AtMostOnce => unknown("whether it happened can not be seen"),
                _ => needed("it is not recorded"),
            };
            assert_eq!(judged(body, Phase::Settle), settled);
        }
    }
}

#[test]
fn where_nothing_was_seen_of_a_field_its_record_tells_except_of_what_must_not_be_done_twice() {
    let wanted = doc(&json!({"a": 1, "seen": 5}));
    let body = recorded(&json!({"a": 2, "seen": 6}), None);
    let seen = Observation::Present(Present::new().with_field("seen", 5));
    for crash in CLASSES {
        let judged = |phase| judge(&wanted, &seen, Some(&body), None, phase, crash);
        assert_eq!(judged(Phase::First), needed("`a` is recorded as 2, not 1"));
        assert_eq!(judged(Phase::Verify), Checked::Satisfied);
        let settled = match crash {
            CrashClass::AtMostOnce => unknown("whether it was done once more can not be seen"),
            _ => needed("`a` is recorded as 2, not 1"),
        };
        assert_eq!(judged(Phase::Settle), settled);
        // Nothing is recorded: what was seen is all that there is to go by.
        assert_eq!(judge(&wanted, &seen, None, None, Phase::First, crash), Checked::Satisfied);
    }
    let less = doc(&json!({"seen": 5}));
    let judged = judge(&less, &seen, Some(&body), None, Phase::First, CrashClass::CompareAndSet);
    assert_eq!(judged, needed("`a` is recorded as 2, and is not given any more"));
}

#[test]
fn what_it_restarts_on_is_told_by_what_was_seen_and_else_by_its_record() {
    let wanted = doc(&json!({}));
    let judged = |carried: Option<&str>, body: Option<&RecordBody>, token| {
        let seen = Observation::Present(Present::new().with_triggers(carried.map(str::to_owned)));
        judge(&wanted, &seen, body, token, Phase::First, CrashClass::DeterministicName)
    };
    let old = recorded(&json!({}), Some("old"));
    let by_sight = needed("it has not restarted since what it restarts on changed");
    let by_record = needed("it has not been done since what it restarts on changed");
    assert_eq!(judged(Some("old"), Some(&old), Some("new")), by_sight);
    assert_eq!(judged(Some("new"), Some(&old), Some("new")), Checked::Satisfied, "a record is behind");
    assert_eq!(judged(Some("old"), Some(&old), None), Checked::Satisfied, "nothing is restarted on any more");
    assert_eq!(judged(None, Some(&old), Some("new")), by_record);
    assert_eq!(judged(None, Some(&old), Some("old")), Checked::Satisfied);
    assert_eq!(judged(None, Some(&old), None), Checked::Satisfied);
    assert_eq!(judged(None, None, Some("new")), Checked::Satisfied);
}

#[test]
fn of_many_differences_five_are_told_and_the_others_counted() {
    let spec = |value: i32, count: usize| {
        let fields = (0..count).map(|at| (format!("f{at}"), Value::from(value)));
        Value::Object(fields.collect())
    };
    let told = |count| {
        let mut present = Present::new();
        for at in 0..count {
            present = present.with_field(&format!("f{at}"), 2);
        }
        seen_difference(&spec(1, count), &present, None)
    };
    assert_eq!(told(0), None);
    assert_eq!(told(1).unwrap(), "`f0` is 2, not 1");
    let five = "`f0` is 2, not 1; `f1` is 2, not 1; `f2` is 2, not 1; `f3` is 2, not 1; `f4` is 2, not 1";
    assert_eq!(told(5).unwrap(), five);
    assert_eq!(told(7).unwrap(), format!("{five}; and 2 more"));
    let within = Present::new().with_field("limits", json!({"cpu": 2}));
    let told = seen_difference(&json!({"limits": {"cpu": 1}}), &within, None);
    assert_eq!(told.unwrap(), "`limits.cpu` is 2, not 1");
}

#[test]
fn a_difference_is_told_in_the_words_of_its_sides_and_a_secret_by_neither() {
    let mark = |text: &str| {
        let mut value = json!({ "s": text });
        let mut vault = secret::Vault::new();
        vault.seal(&mut value, &["s".parse().unwrap()], &secret::MarkKey::new([7; 32]));
        value["s"].take()
    };
    assert_eq!(differing(&json!(1), &json!(2)), "1, not 2");
    assert_eq!(differing(&Value::Null, &json!(2)), "not set, and should be 2");
    assert_eq!(differing(&json!(1), &Value::Null), "1, and is not as it is where it is not given");
    assert_eq!(differing(&mark("one"), &mark("two")), "another value, which is sensitive");
    let opened = differing(&mark("one"), &json!("two"));
    assert!(opened.contains("two") && !opened.contains("one"), "{opened}");
    assert_eq!(differing(&json!("two"), &mark("one")), "\"two\", not \"(sensitive)\"");
}

#[test]
fn health_is_judged_by_what_its_kind_does_about_it() {
    const UNHEALTHY: &str = "it is unhealthy: no answer";
    const NOT_KNOWN: &str = "its health is not known: no answer";
    let judged = |health, kind, at, crash| {
        let present = Present::new().with_health(health).with_detail("no answer");
        judge_health(&Observation::Present(present), kind, at, crash)
    };
    for crash in CLASSES {
        for (phase, is_begun) in PHASES.into_iter().flat_map(|phase| [(phase, false), (phase, true)]) {
            let is_awaited = is_begun && phase != Phase::Verify;
            let works_not = |why: &str| match phase {
                Phase::First => needed(why),
                Phase::Settle if crash == CrashClass::AtMostOnce => unknown(why),
                Phase::Settle => needed(why),
                Phase::Verify => Checked::Failed(ErrorClass::Transient, why.to_owned()),
            };
            let unless = |works: bool, why: &str| if works { Checked::Satisfied } else { works_not(why) };
            let at = (phase, is_begun);
            let of = |health, kind| judged(health, kind, at, crash);
            for kind in [Unhealthy::Restarted, Unhealthy::Told] {
                assert_eq!(of(Health::Healthy, kind), Checked::Satisfied);
                assert_eq!(of(Health::None, kind), Checked::Satisfied);
            }
            assert_eq!(of(Health::Unhealthy, Unhealthy::Restarted), works_not(UNHEALTHY));
            assert_eq!(of(Health::Unhealthy, Unhealthy::Told), unless(!is_awaited, UNHEALTHY));
            assert_eq!(of(Health::Unknown, Unhealthy::Restarted), unless(!is_awaited, NOT_KNOWN));
            assert_eq!(of(Health::Unknown, Unhealthy::Told), Checked::Satisfied);
        }
        let absent = judge_health(&Observation::Absent, Unhealthy::Restarted, (Phase::First, true), crash);
        assert_eq!(absent, Checked::Satisfied, "of nothing there is no health");
    }
    let bare = |health| unhealthy(&Present::new().with_health(health));
    assert_eq!(bare(Health::Unknown), "its health is not known");
    assert_eq!(bare(Health::Unhealthy), "it is unhealthy");
}

#[test]
fn what_is_to_be_gone_is_needed_while_it_is_seen_or_can_not_be() {
    for phase in PHASES {
        assert_eq!(judge_removed(&Observation::Absent, phase), Checked::Satisfied);
        assert_eq!(judge_removed(&Observation::Needed("half".to_owned()), phase), Checked::Satisfied);
        let there = judge_removed(&Observation::Present(Present::new()), phase);
        assert_eq!(there, needed("it is still there"));
        assert_eq!(judge_removed(&Observation::Unknown("no route".to_owned()), phase), unknown("no route"));
        let unseen = match phase {
            Phase::Verify => Checked::Satisfied,
            Phase::First | Phase::Settle => needed("it is still there"),
        };
        assert_eq!(judge_removed(&Observation::Unobservable, phase), unseen);
    }
}
