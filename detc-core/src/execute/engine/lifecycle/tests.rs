//! The whole table of the lifecycle: what follows in each state from each thing that may happen.

use std::panic::catch_unwind;

use expect_test::expect;

use super::*;

fn states() -> Vec<State> {
    let checks = [Phase::First, Phase::Verify, Phase::Settle].map(Next::Check);
    let all = [State::Waiting(0), State::Waiting(2), State::Begun, State::Starting, State::Applying];
    let mut states: Vec<State> = all.into();
    states.extend([Phase::First, Phase::Verify, Phase::Settle].map(State::Checking));
    for next in checks.into_iter().chain([Next::Apply]) {
        states.extend([State::Queued(next), State::Delayed(next)]);
    }
    states.push(State::Ended(NodeEnd::Done));
    states
}

/// What happens, each with a name.
fn happenings() -> Vec<(&'static str, Happening)> {
    vec![
        ("journaled start", Happening::JournaledStart),
        ("journaled end", Happening::JournaledEnd(NodeEnd::Done)),
        ("go", Happening::Go),
        ("freed", Happening::Freed),
        ("cut off", Happening::CutOff(7)),
        ("turn", Happening::Turn),
        ("durable", Happening::Durable),
        ("satisfied", Happening::Checked(Checked::Satisfied)),
        ("needed", Happening::Checked(Checked::Needed("why".to_owned()))),
        ("unknown", Happening::Checked(Checked::Unknown("why".to_owned()))),
        ("done", Happening::Applied(Applied::Done)),
        ("lost", Happening::Applied(Applied::Failed(ErrorClass::OutcomeUnknown, "why".to_owned()))),
        ("waited", Happening::Waited),
    ]
}

fn known() -> Known {
    Known {
        crash: vec![CrashClass::AtMostOnce],
        attempts: vec![1],
        looks: vec![0],
        lost: BTreeMap::new(),
        retry: Retry::default(),
        stopping: false,
    }
}

#[test]
fn in_each_state_something_follows_from_what_may_happen_and_nothing_else_happens() {
    let mut table = String::new();
    for state in states() {
        table.push_str(&format!("{state:?}\n"));
        for (name, happening) in happenings() {
            if let Ok(follows) = catch_unwind(|| follow(&state, happening, 0, &known())) {
                table.push_str(&format!("    {name}: {follows:?}\n"));
            }
        }
    }
    expect![[r#"
        Waiting(0)
            journaled start: Begin
            journaled end: Take(Done)
            go: Queue(Check(First))
            cut off: End(NotReached(7))
        Waiting(2)
            journaled start: Begin
            journaled end: Take(Done)
            go: Stay
            freed: Wait(1)
            cut off: End(NotReached(7))
        Begun
            journaled start: Stay
            journaled end: Take(Done)
            go: Queue(Check(Settle))
            freed: Stay
            cut off: Stay
        Starting
            freed: Stay
            cut off: Stay
            durable: Queue(Apply)
        Applying
            freed: Stay
            cut off: Stay
            done: Check(Verify)
            lost: Delay(Delay { next: Check(Settle), tries: 1, time: 200ms, lost: Some("why") })
        Checking(First)
            freed: Stay
            cut off: Stay
            satisfied: End(Satisfied)
            needed: Start
            unknown: Delay(Delay { next: Check(First), tries: 1, time: 200ms, lost: None })
        Checking(Verify)
            freed: Stay
            cut off: Stay
            satisfied: End(Done)
            needed: End(Failed("it says that it is done, and it is not: why"))
            unknown: Delay(Delay { next: Check(Verify), tries: 1, time: 200ms, lost: None })
        Checking(Settle)
            freed: Stay
            cut off: Stay
            satisfied: End(Done)
            needed: Queue(Apply)
            unknown: End(InDoubt("it had started, and its end was not recorded: why"))
        Queued(Check(First))
            freed: Stay
            cut off: Stay
            turn: Check(First)
        Delayed(Check(First))
            freed: Stay
            cut off: Stay
            waited: Queue(Check(First))
        Queued(Check(Verify))
            freed: Stay
            cut off: Stay
            turn: Check(Verify)
        Delayed(Check(Verify))
            freed: Stay
            cut off: Stay
            waited: Queue(Check(Verify))
        Queued(Check(Settle))
            freed: Stay
            cut off: Stay
            turn: Check(Settle)
        Delayed(Check(Settle))
            freed: Stay
            cut off: Stay
            waited: Queue(Check(Settle))
        Queued(Apply)
            freed: Stay
            cut off: Stay
            turn: Apply
        Delayed(Apply)
            freed: Stay
            cut off: Stay
            waited: Queue(Apply)
        Ended(Done)
            journaled start: Stay
            journaled end: Stay
            go: Stay
            freed: Stay
            cut off: Stay
    "#]]
    .assert_eq(&table);
}
