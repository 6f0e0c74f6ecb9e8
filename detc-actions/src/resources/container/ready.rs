//! Waits until a container works, or tells what became of it.

use std::time::Duration;

use detc_core::action::{ActionError, ErrorClass};
use detc_core::backend::containers::{
    Again, Change, Container, Containers, LogQuery, Phase, Readiness, Watch,
};
use detc_core::model::ResourceId;
use tokio::time::Instant;

use super::ContainerSpec;
use crate::resources::common::tail;

/// First wait between two looks; it doubles up to [`LOOK_MAX`].
const LOOK_FIRST: Duration = Duration::from_millis(20);

/// Longest wait between two looks where the engine tells nothing: what is ready is used at most so much later.
const LOOK_MAX: Duration = Duration::from_millis(500);

/// The same where it tells: what was told may have been missed.
const LOOK_ANYWAY: Duration = Duration::from_secs(5);

/// How many of its last lines are told of one that does not work.
const LINES: usize = 20;

/// What a look at one that was started says.
enum Look {
    /// It works now.
    Works,
    /// It is done.
    Done,
    NotYet(String),
    /// It will not work by itself.
    Failed(String),
}

/// Waits until the container of this id works; where it `is_new`, until it has for as long as it must.
pub(super) async fn wait(
    spec: &ContainerSpec,
    engine: &dyn Containers,
    (resource, id): (&ResourceId, &str),
    is_new: bool,
) -> Result<Container, ActionError> {
    let begun = Instant::now();
    let patience = spec.patience();
    let mut wait = LOOK_FIRST;
    let (mut restarts, mut works_since) = (None, None);
    // Where the engine tells nothing, it is looked at now and then.
    let (mut opening, mut is_opened, mut watch) = (engine.watch(), false, None);
    loop {
        let Some(container) = engine.container(id).await? else {
            let message = format!("{resource} was removed by somebody while it started");
            return Err(ActionError::permanent(message));
        };
        let first = *restarts.get_or_insert(container.restarts);
        let again = container.restarts - first.min(container.restarts);
        let looked = if spec.completes() { look_for_end(&container) } else { look(&container, again) };
        let is_checked = container.status.readiness != Readiness::Unchecked;
        let left = match looked {
            Look::Done => return Ok(container),
            Look::Failed(why) => return Err(failed(engine, (resource, &container), &why).await),
            Look::Works => {
                let worked = works_since.get_or_insert_with(Instant::now).elapsed();
                let min_ready = if is_new { spec.min_ready(is_checked) } else { Duration::ZERO };
                if worked >= min_ready {
                    return Ok(container);
                }
                min_ready - worked
            }
            Look::NotYet(why) => {
                works_since = None;
                if begun.elapsed() >= patience {
                    let why = format!("does not work after {} ms: {why}", patience.as_millis());
                    return Err(failed(engine, (resource, &container), &why)
                        .await
                        .with_hint("give it more time with `ready_timeout_ms`"));
                }
                patience.saturating_sub(begun.elapsed())
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait.min(left)) => {
                wait = (wait * 2).min(if watch.is_some() { LOOK_ANYWAY } else { LOOK_MAX });
            }
            // What has happened before is seen by the next look, which is at once. For a moment it is not worth opening one.
            opened = &mut opening, if (is_checked || left > LOOK_MAX) && !is_opened => {
                is_opened = true;
                watch = opened.ok();
            }
            // What is told together is looked at once.
            () = changed(&mut watch, id), if watch.is_some() => tokio::time::sleep(LOOK_FIRST).await,
        }
    }
}

/// Why one that worked works no more, if that is seen at a look. `restarts`: how often it had been started again when it worked.
pub(super) async fn failure(
    spec: &ContainerSpec,
    engine: &dyn Containers,
    (resource, id): (&ResourceId, &str),
    restarts: u32,
) -> Option<ActionError> {
    let container = engine.container(id).await.ok().flatten()?;
    let again = container.restarts.saturating_sub(restarts);
    let looked = if spec.completes() { look_for_end(&container) } else { look(&container, again) };
    match looked {
        Look::Failed(why) => Some(failed(engine, (resource, &container), &why).await),
        Look::Works | Look::Done | Look::NotYet(_) => None,
    }
}

/// Returns when the engine says to look at the container again.
async fn changed(watch: &mut Option<Watch>, id: &str) {
    while let Some(told) = watch {
        match told.next().await {
            Some(Again::One(object)) if object.name != id => {}
            Some(_) => return,
            None => *watch = None,
        }
    }
}

/// The same of one that works when it has ended. Where it is started again after a failure, that is no end.
fn look_for_end(container: &Container) -> Look {
    match container.status.phase {
        Phase::Exited(0) => Look::Done,
        Phase::Exited(code) => Look::Failed(format!("ended with exit code {code}")),
        Phase::Running | Phase::Restarting => Look::NotYet("it has not ended".to_owned()),
        phase @ (Phase::Created | Phase::Paused | Phase::Removing) => Look::NotYet(format!("it is {phase}")),
    }
}

fn look(container: &Container, restarts: u32) -> Look {
    let ended = |how: String| Look::Failed(format!("{how} while it started"));
    match (container.status.phase, container.status.readiness) {
        (Phase::Exited(code), _) => ended(format!("ended with exit code {code}")),
        (Phase::Restarting, _) => ended("ended, and is started again and again,".to_owned()),
        (Phase::Running, _) if restarts > 0 => ended("ended, and was started again,".to_owned()),
        (Phase::Running, Readiness::Healthy | Readiness::Unchecked) => Look::Works,
        (Phase::Running, Readiness::Starting) => {
            Look::NotYet("its health check has not passed yet".to_owned())
        }
        (Phase::Running, Readiness::Unhealthy) => {
            let last = container.health_log.last().map(|said| said.trim()).filter(|said| !said.is_empty());
            let said =
                last.map(|said| format!(", and said: {}", tail(said.as_bytes(), 5))).unwrap_or_default();
            Look::Failed(format!("is not healthy: its health check failed{said}"))
        }
        (phase @ (Phase::Created | Phase::Paused | Phase::Removing), _) => {
            Look::NotYet(format!("it is {phase}"))
        }
    }
}

/// That it does not work, with what the engine and it itself have said last.
async fn failed(
    engine: &dyn Containers,
    (resource, container): (&ResourceId, &Container),
    why: &str,
) -> ActionError {
    let mut message = format!("{resource} {why}");
    if !container.said.is_empty() {
        message.push_str(": ");
        message.push_str(&container.said);
    }
    // The failure itself is told also where its log can not be read.
    let lines = engine.logs(&container.id, &LogQuery::last(LINES)).await.unwrap_or_default();
    let text = lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n");
    if !text.is_empty() {
        message.push_str("; it said:\n");
        message.push_str(&tail(text.as_bytes(), LINES));
    }
    ActionError::permanent(message)
}

/// `error`, after what was started was ended again, or could not be.
pub(super) async fn ended(engine: &dyn Containers, change: &Change, error: ActionError) -> ActionError {
    match engine.change(change).await {
        Ok(()) => error,
        Err(cleanup) => ActionError::new(ErrorClass::OutcomeUnknown, error.full_message())
            .with_source(ActionError::from(cleanup)),
    }
}
