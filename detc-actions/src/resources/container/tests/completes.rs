//! What ends by itself when it is done.

use detc_core::backend::containers::Phase;
use detc_core::model::Health;

use super::*;
use crate::test_engine::Bench;

fn done(fields: Value) -> ContainerSpec {
    let mut fields = fields;
    fields["completes"] = true.into();
    spec(fields)
}

#[tokio::test(start_paused = true)]
async fn one_that_completes_keeps_the_contract() {
    let specs = || {
        let once = |image: &str, env: Value| {
            with(json!({ "completes": true, "command": ["pwd"], "image": image, "env": env }))
        };
        [once("web:1", json!({})), once("web:1", json!({ "A": "1" })), once("web:2", json!({ "A": "1" }))]
    };
    let trial = || {
        let engine = engine();
        let removed = engine.clone();
        trial(&engine, specs()).tampered("it is removed", move || crate::test_engine::remove(&removed, "web"))
    };
    assert_eq!(check_resource::<ContainerSpec>(trial).await, []);
}

#[tokio::test(start_paused = true)]
async fn one_that_completes_works_when_it_has_ended_and_stays_as_it_is() {
    let mut bench = Bench::new("container/web", engine());
    let wanted = done(json!({ "command": ["pwd"], "restart": { "on_failure": {} } }));
    let first = bench.apply(&wanted).await;
    let there = bench.container("web").await.unwrap();
    assert_eq!((&there.id, there.status.phase), (&first.id, Phase::Exited(0)));
    assert_eq!(bench.seen(&wanted).await.health, Health::None);
    // Neither a look nor another apply has it done again.
    assert_eq!(bench.apply(&wanted).await, first);
    // With another spec it is another one, which has ended, too.
    let second = bench.apply(&done(json!({ "command": ["pwd"], "env": { "A": "1" } }))).await;
    assert_ne!(first.id, second.id);
    assert_eq!(bench.container("web").await.unwrap().status.phase, Phase::Exited(0));
    // What serves by the same words is no such one.
    let serves = bench.apply(&spec(json!({}))).await;
    assert_ne!(serves.id, second.id);
    assert_eq!(bench.container("web").await.unwrap().status.phase, Phase::Running);
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_end_well_or_in_time_has_failed() {
    let bench = Bench::new("container/web", engine());
    let error = bench.tried(&done(json!({ "command": ["crash"] }))).await.unwrap_err();
    let ended = "container/web ended with exit code 3 while it started; it said:\nbegan\nno config";
    assert_eq!(error.full_message(), ended.replace(" while it started", ""));
    assert!(bench.container("web").await.is_none());
    let error = bench.tried(&done(json!({ "ready_timeout_ms": 500 }))).await.unwrap_err();
    assert_eq!(error.full_message(), "container/web does not work after 500 ms: it has not ended");
}

#[test]
fn what_completes_is_not_begun_anew_and_not_checked() {
    let wrong = |fields| done(fields).inspect().unwrap_err().to_string();
    assert_eq!(
        wrong(json!({ "restart": "always" })),
        "`restart` must be `never` or `on_failure` where `completes` is true: it would begin anew without end"
    );
    assert_eq!(
        wrong(json!({ "health": { "command": ["true"] } })),
        "`health` can not be checked where `completes` is true: it works when it has ended"
    );
    assert_eq!(
        wrong(json!({ "min_ready_ms": 0 })),
        "`min_ready_ms` can not be given where `completes` is true: it works when it has ended"
    );
    done(json!({ "health": { "off": true }, "restart": "never" })).inspect().unwrap();
    let wrong = spec(json!({ "min_ready_ms": 86_400_001 })).inspect().unwrap_err().to_string();
    assert_eq!(wrong, "`min_ready_ms` must be at most 86400000, which is a day");
}
