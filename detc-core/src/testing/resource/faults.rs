//! The laws of a life in which one call goes wrong: whatever happens, it comes to what it comes to when nothing happens.

use super::laws::{Life, Lived, difference_of, name};
use super::stage::{Ended, Stage, Step};
use super::{Trial, note};
use crate::action::{CrashClass, ErrorClass};
use crate::model::Observation;
use crate::resource::{Kind, Removed};
use crate::testing::Violation;
use crate::testing::calls::Fault;

pub(super) async fn check(
    kind: &dyn Kind,
    trial: &dyn Fn() -> Trial,
    life: &Life,
    found: &mut Vec<Violation>,
) {
    unseen_laws(kind, trial, life, found).await;
    for (at, lived) in life.steps.iter().enumerate() {
        for call in 0..lived.calls.len() {
            for fault in [Fault::CutBefore, Fault::CutAfter, Fault::AnswerLost, Fault::Unreachable] {
                let mut stage = Stage::new(kind, trial());
                for before in &life.steps[..at] {
                    stage.take(before.step, None).await;
                }
                let case = format!("{}, which {fault} {}", words(lived.step), lived.calls[call]);
                ending_laws(&mut stage, lived, (call, fault, &case), found).await;
                // Nobody does once more what must not be done twice.
                if life.crash != CrashClass::AtMostOnce {
                    again_laws(&mut stage, lived, &case, found).await;
                }
            }
        }
    }
}

/// That a host which can not be looked at never has nothing.
async fn unseen_laws(kind: &dyn Kind, trial: &dyn Fn() -> Trial, life: &Life, found: &mut Vec<Violation>) {
    const LAW: &str = "what can not be found out is unknown, neither absent nor changed";
    let last = life.steps.iter().rposition(|lived| lived.step != Step::Remove).unwrap_or_default();
    let mut stage = Stage::new(kind, trial());
    for lived in &life.steps[..=last] {
        stage.take(lived.step, None).await;
    }
    let Some(Ok(whole)) = stage.look(last, None).await else { return };
    for call in 0..life.look_calls {
        for fault in [Fault::Unreachable, Fault::Refused, Fault::AnswerLost] {
            let seen = stage.look(last, Some((call, fault))).await;
            let what = match seen {
                Some(Ok(Observation::Absent | Observation::Needed(_))) => "absent",
                Some(Ok(seen @ Observation::Present(_))) if seen.fingerprint() != whole.fingerprint() => {
                    "changed"
                }
                _ => continue,
            };
            let calls = stage.calls.touched();
            note(found, LAW, format!("a look that {fault} {} says that it is {what}", calls[call]));
        }
    }
}

fn words(step: Step) -> String {
    match step {
        Step::Make(at) => name(at),
        Step::Remove => "the removal".to_owned(),
    }
}

/// That a step in which a call goes wrong comes to an end, tells what may have happened, and not what did not.
async fn ending_laws(
    stage: &mut Stage<'_>,
    lived: &Lived,
    (call, fault, case): (usize, Fault, &str),
    found: &mut Vec<Violation>,
) {
    const LOST: &str = "what may have happened is told as such";
    const DONE: &str = "what was not done is not told as done";
    let before = stage.world();
    match stage.take(lived.step, Some((call, fault))).await {
        Ended::Hangs => note(found, "every call ends", case),
        Ended::Failed(error)
            if error.class() != ErrorClass::OutcomeUnknown
                && stage.world() != before
                && fault == Fault::AnswerLost =>
        {
            let detail = format!(
                "{case}: it happened, and the error is {:?}: {}",
                error.class(),
                error.full_message()
            );
            note(found, LOST, detail);
        }
        ended @ (Ended::Made(_) | Ended::Removed(Removed::Gone)) if stage.world() != lived.world => {
            let how = difference_of(&lived.world, &stage.world());
            note(found, DONE, format!("{case}: {}, and {how}", ended.words()));
        }
        Ended::Made(_) | Ended::Removed(_) | Ended::Failed(_) | Ended::CutOff => {}
    }
}

/// That the next try comes to what there is when nothing goes wrong.
async fn again_laws(stage: &mut Stage<'_>, lived: &Lived, case: &str, found: &mut Vec<Violation>) {
    const LAW: &str = "what was cut short is finished by the next try, as if nothing had happened";
    let again = stage.settle(lived.step).await;
    let now = stage.world();
    if !again.is_well() {
        note(found, LAW, format!("{case}: the next try: {}", again.words()));
    } else if now != lived.world {
        note(found, LAW, format!("{case}: {}", difference_of(&lived.world, &now)));
    } else if let Step::Make(at) = lived.step
        && let Some(why) = stage.difference(at).await
    {
        note(found, LAW, format!("{case}: {why}"));
    }
}
