//! The engine as a function: events in, commands out. The world here is a script; there is no clock and no task.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::action::ErrorClass;
use crate::execute::journal::What;

fn work(after: &[&[u32]]) -> Work {
    Work {
        after: after.iter().map(|before| (*before).into()).collect(),
        crash: vec![CrashClass::DeterministicName; after.len()],
        global: 2,
        ..Work::default()
    }
}

/// A run that writes down what is commanded.
struct Played {
    engine: Engine,
    commands: Vec<Command>,
    durable: u64,
}

impl Played {
    fn new(work: Work) -> Self {
        let mut played =
            Self { engine: Engine::new(work, Retry::default()), commands: Vec::new(), durable: 0 };
        played.engine.begin(&mut played.commands);
        played
    }

    fn event(&mut self, event: Event) -> &mut Self {
        self.engine.step(event, &mut self.commands);
        self
    }

    fn sync(&mut self) -> &mut Self {
        self.durable = self.engine.journaled();
        self.event(Event::Durable(self.durable))
    }

    #[track_caller]
    fn commanded(&mut self, expected: &Expect) -> &mut Self {
        let text: Vec<String> = self.commands.drain(..).map(|command| format!("{command:?}")).collect();
        expected.assert_eq(&text.join("\n"));
        self
    }
}

fn needed() -> Checked {
    Checked::Needed("not there".to_owned())
}

#[test]
fn an_action_is_checked_recorded_applied_and_checked_again() {
    Played::new(work(&[&[]]))
        .commanded(&expect!["Check(0, First)"])
        .event(Event::Checked(0, needed()))
        .commanded(&expect!["RecordStart(0)"])
        .sync()
        .commanded(&expect!["Apply(0, 1)"])
        .event(Event::Applied(0, Applied::Done))
        .commanded(&expect!["Check(0, Verify)"])
        .event(Event::Checked(0, Checked::Satisfied))
        .commanded(&expect![[r#"
            RecordEnd(0, Done)
            Finish"#]]);
}

#[test]
fn nothing_is_applied_before_its_start_is_durable() {
    let mut played = Played::new(work(&[&[]]));
    played.event(Event::Checked(0, needed())).event(Event::Durable(0));
    assert!(!played.commands.iter().any(|command| matches!(command, Command::Apply(..))));
}

#[test]
fn what_is_there_already_is_not_applied() {
    Played::new(work(&[&[]])).event(Event::Checked(0, Checked::Satisfied)).commanded(&expect![[r#"
        Check(0, First)
        RecordEnd(0, Satisfied)
        Finish"#]]);
}

#[test]
fn an_action_that_lies_is_named() {
    let mut played = Played::new(work(&[&[]]));
    played.event(Event::Checked(0, needed())).sync().event(Event::Applied(0, Applied::Done));
    played.commands.clear();
    played.event(Event::Checked(0, Checked::Needed("`mode` is 0600".to_owned()))).commanded(&expect![[r#"
        RecordEnd(0, Failed("it says that it is done, and it is not: `mode` is 0600"))
        Finish"#]]);
}

#[test]
fn a_failure_cuts_off_what_depends_on_it_and_nothing_else() {
    let mut played = Played::new(work(&[&[], &[], &[0], &[2], &[1]]));
    played.commands.clear();
    played
        .event(Event::Checked(0, Checked::Failed(ErrorClass::Permanent, "no".to_owned())))
        .commanded(&expect![[r#"
            RecordEnd(0, Failed("no"))
            RecordEnd(2, NotReached(0))
            RecordEnd(3, NotReached(0))"#]])
        .event(Event::Checked(1, Checked::Satisfied))
        .commanded(&expect![[r#"
            RecordEnd(1, Satisfied)
            Check(4, First)"#]]);
}

#[test]
fn a_lost_answer_is_settled_by_a_check_and_never_by_a_second_apply() {
    let mut played = Played::new(work(&[&[]]));
    played.event(Event::Checked(0, needed())).sync();
    played.commands.clear();
    played
        .event(Event::Applied(0, Applied::Failed(ErrorClass::OutcomeUnknown, "lost".to_owned())))
        .commanded(&expect!["Wait(0, 200ms)"])
        .event(Event::Waited(0))
        .commanded(&expect!["Check(0, Settle)"])
        .event(Event::Checked(0, Checked::Satisfied))
        .commanded(&expect![[r#"
            RecordEnd(0, Done)
            Finish"#]]);
}

#[test]
fn what_fails_for_now_is_tried_again_with_growing_delays_and_then_given_up() {
    let mut played = Played::new(work(&[&[]]));
    played.event(Event::Checked(0, needed())).sync();
    played.commands.clear();
    let busy = || Event::Applied(0, Applied::Failed(ErrorClass::Transient, "busy".to_owned()));
    for _ in 0..4 {
        played.event(busy()).event(Event::Waited(0));
    }
    played.event(busy());
    played.commanded(&expect![[r#"
        Wait(0, 200ms)
        Apply(0, 2)
        Wait(0, 400ms)
        Apply(0, 3)
        Wait(0, 800ms)
        Apply(0, 4)
        Wait(0, 1.6s)
        Apply(0, 5)
        RecordEnd(0, Failed("busy"))
        Finish"#]]);
}

#[test]
fn a_stop_finishes_what_is_in_flight_and_begins_nothing() {
    let mut wide = work(&[&[], &[], &[], &[0]]);
    wide.global = 3;
    let mut played = Played::new(wide);
    played.event(Event::Checked(0, needed())).sync();
    played.commands.clear();
    played
        .event(Event::Stop)
        .event(Event::Checked(1, needed()))
        .event(Event::Checked(2, needed()))
        .commanded(&expect![""])
        .event(Event::Applied(0, Applied::Done))
        .event(Event::Checked(0, Checked::Satisfied))
        .commanded(&expect![[r#"
            Check(0, Verify)
            RecordEnd(0, Done)
            Finish"#]]);
    assert_eq!(played.engine.ends().flatten().count(), 1);
}

#[test]
fn after_a_crash_what_had_started_is_looked_at_first() {
    let mut engine = Engine::new(work(&[&[], &[], &[0], &[1]]), Retry::default());
    let mut commands = Vec::new();
    for (action, what) in [(0, What::Started), (1, What::Started), (0, What::Done)] {
        engine.step(Event::Journaled(action, what), &mut commands);
    }
    engine.begin(&mut commands);
    assert_eq!(commands, [Command::Check(1, Phase::Settle), Command::Check(2, Phase::First)]);
}

#[test]
fn after_a_crash_a_failure_still_cuts_off_what_depends_on_it() {
    let mut engine = Engine::new(work(&[&[], &[0], &[1]]), Retry::default());
    let mut commands = Vec::new();
    engine.step(Event::Journaled(0, What::Failed { error: "no".to_owned() }), &mut commands);
    engine.begin(&mut commands);
    let cut_off = |action| Command::RecordEnd(action, NodeEnd::NotReached(0));
    assert_eq!(commands, [cut_off(1), cut_off(2), Command::Finish]);
}

#[test]
fn an_action_that_can_not_be_probed_is_in_doubt_and_not_done_again() {
    let mut once = work(&[&[]]);
    once.crash = vec![CrashClass::AtMostOnce];
    let mut engine = Engine::new(once, Retry::default());
    let mut commands = Vec::new();
    engine.step(Event::Journaled(0, What::Started), &mut commands);
    engine.begin(&mut commands);
    engine.step(Event::Checked(0, Checked::Unknown("who knows".to_owned())), &mut commands);
    assert_eq!(
        commands,
        [
            Command::Check(0, Phase::Settle),
            Command::RecordEnd(
                0,
                NodeEnd::InDoubt("it had started, and its end was not recorded: who knows".to_owned())
            ),
            Command::Finish
        ]
    );
}

#[test]
fn what_must_not_happen_twice_is_in_doubt_when_its_outcome_can_not_be_looked_at() {
    let lost = || Applied::Failed(ErrorClass::OutcomeUnknown, "lost".to_owned());
    for (applied, class) in [
        (lost(), ErrorClass::Permanent),
        (lost(), ErrorClass::Unreachable),
        (Applied::Done, ErrorClass::Permanent),
        (Applied::Done, ErrorClass::Unreachable),
    ] {
        let mut once = work(&[&[]]);
        once.crash = vec![CrashClass::AtMostOnce];
        let mut played = Played::new(once);
        played.event(Event::Checked(0, needed())).sync().event(Event::Applied(0, applied));
        let mut ended = None;
        while ended.is_none() {
            for command in std::mem::take(&mut played.commands) {
                match command {
                    Command::Wait(..) => _ = played.event(Event::Waited(0)),
                    Command::Check(_, Phase::Verify | Phase::Settle) => {
                        played.event(Event::Checked(0, Checked::Failed(class, "no way there".to_owned())));
                    }
                    Command::RecordEnd(_, end) => ended = Some(end),
                    Command::Check(_, Phase::First) | Command::RecordStart(_) | Command::Finish => {}
                    Command::Apply(_, attempt) => assert_eq!(attempt, 1, "it is done once"),
                }
            }
        }
        assert!(matches!(&ended, Some(NodeEnd::InDoubt(why)) if why.contains("no way there")), "{ended:?}");
    }
}

#[test]
fn what_was_planned_for_another_ground_is_held_back_with_what_comes_after_it_and_the_rest_goes_on() {
    let moved = Checked::Moved("it is gone".to_owned());
    Played::new(work(&[&[], &[0], &[]]))
        .event(Event::Checked(0, moved))
        .event(Event::Checked(2, needed()))
        .commanded(&expect![[r#"
            Check(0, First)
            Check(2, First)
            RecordEnd(0, Held("it is gone"))
            RecordEnd(1, NotReached(0))
            RecordStart(2)"#]]);
}

#[test]
fn only_as_many_at_most_once_actions_are_started_as_are_applied_at_once() {
    let mut once = work(&[&[], &[], &[]]);
    once.crash = vec![CrashClass::AtMostOnce; 3];
    once.global = 1;
    let mut played = Played::new(once);
    played
        .event(Event::Checked(0, needed()))
        .commanded(&expect![[r#"
            Check(0, First)
            RecordStart(0)"#]])
        .sync()
        .commanded(&expect!["Apply(0, 1)"]);
}

#[test]
fn what_has_no_effect_starts_many_at_a_time_and_what_has_one_when_it_is_its_turn() {
    for (has_effect, starts) in [
        (
            Vec::new(),
            expect![[r#"
                RecordStart(0)
                Check(1, First)
                RecordStart(1)
                Check(2, First)"#]],
        ),
        (vec![true; 3], expect!["RecordStart(0)"]),
    ] {
        let mut one_at_a_time = work(&[&[], &[], &[]]);
        (one_at_a_time.global, one_at_a_time.has_effect) = (1, has_effect);
        let mut played = Played::new(one_at_a_time);
        played.commands.clear();
        played.event(Event::Checked(0, needed()));
        if played.commands.contains(&Command::Check(1, Phase::First)) {
            played.event(Event::Checked(1, needed()));
        }
        played.commanded(&starts);
    }
}

#[test]
fn an_action_is_applied_when_its_own_start_is_durable_and_not_what_was_written_before_it() {
    let mut played = Played::new(work(&[&[], &[]]));
    played.event(Event::Checked(0, Checked::Satisfied)).event(Event::Checked(1, needed()));
    played.commands.clear();
    assert_eq!(played.engine.journaled(), 2);
    played
        .event(Event::Durable(1))
        .commanded(&expect![""])
        .event(Event::Durable(2))
        .commanded(&expect!["Apply(1, 1)"]);
}

#[test]
fn what_has_not_begun_is_not_looked_at_again_once_the_run_is_to_stop() {
    Played::new(work(&[&[]]))
        .event(Event::Stop)
        .event(Event::Checked(0, Checked::Unknown("it is dark".to_owned())))
        .commanded(&expect![[r#"
            Check(0, First)
            Finish"#]]);
}

#[test]
fn what_can_not_be_settled_by_a_look_and_may_happen_twice_is_looked_at_again() {
    let mut played = Played::new(work(&[&[]]));
    played.event(Event::Checked(0, needed())).sync();
    played.event(Event::Applied(0, Applied::Failed(ErrorClass::OutcomeUnknown, "lost".to_owned())));
    played.event(Event::Waited(0));
    played.commands.clear();
    played
        .event(Event::Checked(0, Checked::Unknown("it is dark".to_owned())))
        .commanded(&expect!["Wait(0, 400ms)"]);
}

#[test]
fn how_often_something_is_tried_and_how_long_is_waited_is_as_it_is_set() {
    use std::time::Duration;

    let retry = Retry::default().with_delays(Duration::from_secs(1), Duration::from_secs(3));
    assert_eq!(retry.with_attempts_max(0).attempts_max, 1, "once at least");
    let (engine, commands) = (Engine::new(work(&[&[]]), retry.with_attempts_max(4)), Vec::new());
    let mut played = Played { engine, commands, durable: 0 };
    played.engine.begin(&mut played.commands);
    played.event(Event::Checked(0, needed())).sync();
    played.commands.clear();
    let busy = || Event::Applied(0, Applied::Failed(ErrorClass::Transient, "busy".to_owned()));
    for _ in 0..3 {
        played.event(busy()).event(Event::Waited(0));
    }
    played.event(busy());
    played.commanded(&expect![[r#"
        Wait(0, 1s)
        Apply(0, 2)
        Wait(0, 2s)
        Apply(0, 3)
        Wait(0, 3s)
        Apply(0, 4)
        RecordEnd(0, Failed("busy"))
        Finish"#]]);
}

proptest! {
    /// Whatever the graph, the limits, the failures and the order of answers: the run ends, every action ends once, each
    /// after what it comes after, nothing is applied before its start is durable, and no limit is exceeded.
    #[test]
    fn every_run_ends_and_keeps_the_order(
        edges in prop::collection::vec((0_u32..12, 0_u32..12), 0..24),
        global in 1_usize..5,
        choices in prop::collection::vec(any::<u16>(), 400),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut after: Vec<Vec<u32>> = vec![Vec::new(); 12];
        for (a, b) in edges {
            if a > b && !after[a as usize].contains(&b) {
                after[a as usize].push(b);
            }
        }
        let mut work = work(&[&[][..]; 12]);
        work.after = after.iter().map(|before| before.clone().into()).collect();
        work.global = global;
        let mut engine = Engine::new(work.clone(), Retry::default());
        let mut journal: Vec<(u32, What)> = Vec::new();
        let (mut commands, mut open, mut finished) = (Vec::new(), Vec::new(), false);
        let (mut started_at, mut ended): ([Option<u64>; 12], [Option<NodeEnd>; 12]) = Default::default();
        let (mut journaled, mut durable) = (0_u64, 0_u64);
        engine.begin(&mut commands);
        let mut choices = choices.into_iter().cycle();
        for _ in 0..4_000 {
            for command in commands.drain(..) {
                match command {
                    Command::RecordStart(action) => {
                        journaled += 1;
                        journal.push((action, What::Started));
                        started_at[action as usize] = Some(journaled);
                    }
                    Command::RecordEnd(action, end) => {
                        journaled += 1;
                        journal.push((action, What::from(&end)));
                        prop_assert!(ended[action as usize].is_none(), "it ended twice");
                        if matches!(end, NodeEnd::Done | NodeEnd::Satisfied) {
                            for before in &after[action as usize] {
                                let before = &ended[*before as usize];
                                prop_assert!(matches!(before, Some(NodeEnd::Done | NodeEnd::Satisfied)));
                            }
                        }
                        ended[action as usize] = Some(end);
                    }
                    Command::Apply(action, _) => {
                        prop_assert!(started_at[action as usize].is_some_and(|at| at <= durable));
                        open.push(command);
                    }
                    Command::Finish => finished = true,
                    other => open.push(other),
                }
            }
            let at_work = open.iter().filter(|command| !matches!(command, Command::Wait(..))).count();
            prop_assert!(at_work <= global, "{at_work} at once");
            if finished {
                break;
            }
            let choice = choices.next().expect("a cycle has no end");
            if open.is_empty() || choice % 5 == 0 {
                durable = journaled;
                engine.step(Event::Durable(durable), &mut commands);
                continue;
            }
            let event = match open.swap_remove(usize::from(choice / 5) % open.len()) {
                Command::Wait(action, _) => Event::Waited(action),
                Command::Apply(action, _) => Event::Applied(action, match choice % 7 {
                    0 => Applied::Failed(ErrorClass::Transient, String::new()),
                    1 => Applied::Failed(ErrorClass::OutcomeUnknown, String::new()),
                    2 if choice % 3 == 0 => Applied::Failed(ErrorClass::Permanent, String::new()),
                    _ => Applied::Done,
                }),
                Command::Check(action, phase) => Event::Checked(action, match (phase, choice % 6) {
                    (_, 0) => Checked::Unknown(String::new()),
                    (Phase::First, 2) if choice % 4 == 0 => Checked::Moved(String::new()),
                    (Phase::First, 1..=3) => needed(),
                    (Phase::Settle, 1) => needed(),
                    (_, 5) if choice % 4 == 0 => Checked::Failed(ErrorClass::Permanent, String::new()),
                    _ => Checked::Satisfied,
                }),
                other => unreachable!("{other:?} is not open"),
            };
            engine.step(event, &mut commands);
        }
        prop_assert!(finished, "the run did not end");
        prop_assert!(ended.iter().all(Option::is_some));
        journal.truncate(cut.index(journal.len() + 1));
        replays(work, &journal)?;
    }
}

/// That a run whose journal came this far knows what has ended, and goes on with what had begun before anything else.
fn replays(work: Work, journal: &[(u32, What)]) -> Result<(), TestCaseError> {
    let (len, global) = (work.after.len(), work.global);
    let (mut engine, mut commands) = (Engine::new(work, Retry::default()), Vec::new());
    let (mut ends, mut begun): (Vec<Option<NodeEnd>>, Vec<bool>) = (vec![None; len], vec![false; len]);
    for (action, what) in journal {
        engine.step(Event::Journaled(*action, what.clone()), &mut commands);
        ends[*action as usize] = what.end();
        begun[*action as usize] = what.end().is_none();
    }
    prop_assert_eq!(&commands, &[], "it has not begun");
    prop_assert!(engine.ends().eq(ends.iter().map(Option::as_ref)));
    engine.begin(&mut commands);
    let settled = commands.iter().filter_map(|command| match command {
        Command::Check(action, Phase::Settle) => Some(*action),
        _ => None,
    });
    let settled: Vec<u32> = settled.collect();
    prop_assert!(settled.iter().all(|action| begun[*action as usize]));
    prop_assert_eq!(settled.len(), begun.iter().filter(|begun| **begun).count().min(global));
    for command in commands {
        if let Command::RecordEnd(action, _) = command {
            prop_assert!(ends[action as usize].is_none(), "{action} ended twice");
        }
    }
    Ok(())
}
