//! The laws of a life in which nothing goes wrong.

use serde_json::{Value, json};

use super::stage::{Ended, Stage, Step};
use super::{Trial, access, note};
use crate::action::CrashClass;
use crate::execute::{Checked, Phase};
use crate::model::{Doc, Observation};
use crate::resource::{Kind, Known, Removal, Removed};
use crate::testing::Violation;
use crate::testing::calls::Touched;

/// A life in which nothing went wrong: what each step came to.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) steps: Vec<Lived>,
    pub(super) crash: CrashClass,
    /// How many calls a look at what is there makes.
    pub(super) look_calls: usize,
}

/// A step, the calls that it made, and the world after it.
#[derive(Debug)]
pub(super) struct Lived {
    pub(super) step: Step,
    pub(super) calls: Vec<Touched>,
    pub(super) world: String,
}

/// Lives a life from nothing to nothing. `None`: it could not be lived to its end.
pub(super) async fn check(
    kind: &dyn Kind,
    trial: &dyn Fn() -> Trial,
    found: &mut Vec<Violation>,
) -> Option<Life> {
    let mut stage = Stage::new(kind, trial());
    let crash = spec_laws(&stage, found)?;
    let empty = stage.world();
    look_laws(&stage, &empty, found).await;
    let mut steps = Vec::new();
    for at in 0..stage.trial.specs.len() {
        if at > 0 {
            difference_law(&stage, at, found).await;
        }
        let ended = stage.take(Step::Make(at), None).await;
        let calls = stage.calls.touched();
        let Ended::Made(output) = ended else {
            note(
                found,
                "what can be made or changed is made or changed",
                format!("{}: {}", name(at), ended.words()),
            );
            return None;
        };
        access::check(&stage, (at, &name(at)), &calls, found);
        if let Some(why) = stage.difference(at).await {
            note(found, "what was made is there, and as the spec says", format!("{}: {why}", name(at)));
            return None;
        }
        output_law(&stage, at, &output, found).await;
        let world = stage.world();
        if crash != CrashClass::AtMostOnce {
            twice_law(&mut stage, at, &world, found).await;
        }
        steps.push(Lived { step: Step::Make(at), calls, world });
    }
    tamper_laws(kind, trial, &steps[0].world, found).await;
    let last = stage.trial.specs.len() - 1;
    let world = stage.world();
    stage.look(last, None).await;
    let look_calls = stage.calls.touched().len();
    looked(&stage, last, &world, found);
    if kind.facts().traits.removal == Removal::Delete {
        steps.push(removal_laws(&mut stage, last, &empty, found).await?);
    }
    Some(Life { steps, crash, look_calls })
}

/// What is said of a step in a violation.
pub(super) fn name(at: usize) -> String {
    match at {
        0 => "the first spec".to_owned(),
        at => format!("the change to spec {}", at + 1),
    }
}

fn spec_laws(stage: &Stage<'_>, found: &mut Vec<Violation>) -> Option<CrashClass> {
    const LATE: &str = "what is known only later is left unchecked";
    let mut crash = None;
    for at in 0..stage.trial.specs.len() {
        match stage.footprint(at) {
            Ok(footprint) => crash = crash.or(Some(footprint.crash)),
            Err(why) => {
                note(found, "a spec that is right is accepted", format!("{}: {why}", name(at)));
                return None;
            }
        }
        let fields: Vec<String> =
            stage.spec(at).as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        for field in fields {
            let mut late = stage.spec(at).clone();
            late[&field] = json!({ "from": "value/v", "output": "input" });
            if let Err(why) = stage.kind.inspect(&Doc::new(&late), Known::SomeLater) {
                note(found, LATE, format!("with `{field}` known later: {why}"));
            }
        }
    }
    crash
}

async fn look_laws(stage: &Stage<'_>, empty: &str, found: &mut Vec<Violation>) {
    const LAW: &str = "what was never made is absent";
    match stage.look(0, None).await {
        Some(Ok(Observation::Absent | Observation::Needed(_) | Observation::Unobservable)) => {}
        Some(Ok(Observation::Present(_))) => note(found, LAW, "in an empty world it is there"),
        Some(Ok(Observation::Unknown(why))) => {
            note(found, LAW, format!("in an empty world it is unknown: {why}"));
        }
        Some(Err(error)) => {
            note(found, LAW, format!("looking fails in an empty world: {}", error.full_message()));
        }
        None => note(found, LAW, "looking does not end in an empty world"),
    }
    looked(stage, 0, empty, found);
}

/// That the look that was just made, by the spec of this index, has changed nothing, and has read what is declared.
fn looked(stage: &Stage<'_>, at: usize, before: &str, found: &mut Vec<Violation>) {
    const LAW: &str = "looking changes nothing";
    let calls = stage.calls.touched();
    let looks: Vec<Touched> = calls.iter().filter(|call| !call.changes).cloned().collect();
    access::check(stage, (at, "a look"), &looks, found);
    if let Some(changing) = calls.iter().find(|call| call.changes) {
        note(found, LAW, format!("it does {changing}"));
    } else if stage.world() != before {
        note(found, LAW, difference_of(before, &stage.world()));
    }
}

async fn difference_law(stage: &Stage<'_>, at: usize, found: &mut Vec<Violation>) {
    if let Some(Ok(seen)) = stage.look(at, None).await
        && stage.judge(at, &seen, Phase::First) == Checked::Satisfied
    {
        let detail =
            format!("before {} it is seen to be as that says: what is seen is read off the spec", name(at));
        note(found, "what is seen is what is there, not what is wanted", detail);
    }
}

async fn output_law(stage: &Stage<'_>, at: usize, output: &Value, found: &mut Vec<Violation>) {
    if let Some(Ok(Observation::Present(present))) = stage.look(at, None).await
        && let Some(seen) = present.output
        && seen != *output
    {
        let detail = format!("{}: making says {output}, looking says {seen}", name(at));
        note(found, "outputs are those that a look reads off", detail);
    }
}

/// That a second time changes nothing: as a change of what is there, and as a try that knows nothing of the first.
async fn twice_law(stage: &mut Stage<'_>, at: usize, once: &str, found: &mut Vec<Violation>) {
    const LAW: &str = "what is done twice is as if it was done once";
    for (is_there, how) in [(true, "changed to what it is"), (false, "made once more")] {
        let ended = stage.make(at, is_there, None).await;
        let twice = stage.world();
        if !ended.is_well() {
            note(found, LAW, format!("{}, {how}: {}", name(at), ended.words()));
        } else if twice != *once {
            note(found, LAW, format!("{}, {how}: {}", name(at), difference_of(once, &twice)));
        } else if let Some(why) = stage.difference(at).await {
            note(found, LAW, format!("{}, {how}: {why}", name(at)));
        }
    }
}

async fn tamper_laws(kind: &dyn Kind, trial: &dyn Fn() -> Trial, made: &str, found: &mut Vec<Violation>) {
    for index in 0..trial().tampers.len() {
        let mut stage = Stage::new(kind, trial());
        let (when, tamper) = stage.trial.tampers[index].clone();
        stage.take(Step::Make(0), None).await;
        tamper();
        if let Some(Ok(seen)) = stage.look(0, None).await
            && stage.judge(0, &seen, Phase::First) == Checked::Satisfied
        {
            note(
                found,
                "what somebody else changed is seen",
                format!("when {when}, it is seen to be as it was made"),
            );
            continue;
        }
        let ended = stage.take(Step::Make(0), None).await;
        let now = stage.world();
        const UNDONE: &str = "what somebody else changed is brought back";
        if !ended.is_well() {
            note(found, UNDONE, format!("when {when}: {}", ended.words()));
        } else if let Some(why) = stage.difference(0).await {
            note(found, UNDONE, format!("when {when}: {why}"));
        } else if now != made {
            note(found, UNDONE, format!("when {when}: {}", difference_of(made, &now)));
        }
    }
}

/// That a foreign state which is not tried is not passed over in silence.
pub(super) fn all_is_tried(trial: &Trial, found: &mut Vec<Violation>) {
    const LAW: &str = "what somebody else may do is tried, or it is said why not";
    if trial.tampers.is_empty() && trial.untampered.is_none() {
        let detail = "not tried: that what somebody else changes or removes is seen, and brought back. Add to the trial what \
                      that may be, with `tampered`; where there is nothing, say why with `untampered`";
        note(found, LAW, detail);
    }
}

async fn removal_laws(
    stage: &mut Stage<'_>,
    last: usize,
    empty: &str,
    found: &mut Vec<Violation>,
) -> Option<Lived> {
    const GONE: &str = "what was removed is gone, with all that was made for it";
    let ended = stage.take(Step::Remove, None).await;
    let calls = stage.calls.touched();
    if !ended.is_well() {
        note(found, GONE, ended.words());
        return None;
    }
    access::check(stage, (last, "the removal"), &calls, found);
    let world = stage.world();
    if matches!(ended, Ended::Removed(Removed::Gone)) {
        match stage.look(last, None).await {
            Some(Ok(Observation::Absent | Observation::Needed(_) | Observation::Unobservable)) => {}
            seen => note(found, GONE, format!("a look afterwards says {seen:?}")),
        }
        if world != empty {
            note(found, GONE, difference_of(empty, &world));
        }
    }
    let again = stage.take(Step::Remove, None).await;
    if !again.is_well() || stage.world() != world {
        let detail = if again.is_well() { difference_of(&world, &stage.world()) } else { again.words() };
        note(found, "what is not there is removed without an error", detail);
    }
    Some(Lived { step: Step::Remove, calls, world })
}

/// In what two worlds differ: the first lines that are not in both.
pub(in crate::testing) fn difference_of(before: &str, after: &str) -> String {
    let missing = |all: &str, of: &str| {
        let lines: Vec<String> = of
            .lines()
            .filter(|line| all.lines().all(|other| other != *line))
            .take(3)
            .map(str::to_owned)
            .collect();
        lines
    };
    let (gone, new) = (missing(after, before), missing(before, after));
    match (gone.is_empty(), new.is_empty()) {
        (true, true) => "the world is another".to_owned(),
        (true, false) => format!("there is also {}", new.join(", ")),
        (false, true) => format!("there is no more {}", gone.join(", ")),
        (false, false) => format!("there is {} instead of {}", new.join(", "), gone.join(", ")),
    }
}
