//! Errors as the operator meets them: what, which, what next, and an exit code.

use crate::execute::journal::JournalError;
use crate::manage::{ManageError, StaleAction};
use crate::model::{InvalidState, ResourceId};
use crate::plan::PlanError;
use crate::plan::file::PlanFileError;
use crate::store::StoreError;

use super::{FAILED, INTERRUPTED, REFUSED, USAGE};

/// A command that could not be carried out.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) exit: u8,
    /// A stable word for programs.
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) resource: Option<ResourceId>,
    pub(super) hint: Option<String>,
    /// What else is wrong.
    pub(super) others: Vec<Failed>,
}

impl Failed {
    fn new(exit: u8, code: &'static str, message: impl Into<String>) -> Self {
        Self { exit, code, message: message.into(), resource: None, hint: None, others: Vec::new() }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(USAGE, "usage", message)
    }

    pub(super) fn world(message: impl Into<String>) -> Self {
        Self::new(FAILED, "failed", message)
    }

    pub(super) fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(REFUSED, code, message)
    }

    pub(super) fn interrupted(message: impl Into<String>) -> Self {
        Self::new(INTERRUPTED, "interrupted", message)
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn of(mut self, resource: &ResourceId) -> Self {
        self.resource = Some(resource.clone());
        self
    }
}

/// A message with all its causes.
fn full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl From<InvalidState> for Failed {
    fn from(mut error: InvalidState) -> Self {
        let others = std::mem::take(&mut error.others);
        let mut failed = Self::new(USAGE, "invalid", error.said());
        (failed.resource, failed.hint) = (error.resource, error.hint.map(String::from));
        failed.others = others.into_iter().map(Self::from).collect();
        failed
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        let message = full(&error);
        match error {
            StoreError::Held { .. } => Self::refused("held", message)
                .with_hint("wait until it has ended; when it has died, its hold ends by itself"),
            StoreError::Full { .. } => Self::world(message)
                .with_hint("free some room on the disk, then run the command again: it resumes"),
            StoreError::Corrupt { .. } => Self::world(message).with_hint(
                "restore its folder from a copy; or end the processes that it keeps, which have DETC_PROCESS in their \
                 environment, and begin a new one: what else is there is then adopted, and a `command` without \
                 `creates` and `unless` is run again",
            ),
            StoreError::Unavailable { .. } => {
                Self::world(message).with_hint("see that the folder of `--store` is there and can be written")
            }
            StoreError::LeadLost { .. } | StoreError::LeaseNotFound(_) => Self::world(message)
                .with_hint("run the command again: it takes the lead anew, and resumes what was begun"),
            StoreError::Compacted { .. } => {
                Self::world(message).with_hint("run the command again: it reads everything anew")
            }
            StoreError::Invalid(_) => Self::world(message)
                .with_hint("this is a fault of the program, or of its store: report it with these words"),
        }
    }
}

impl From<PlanError> for Failed {
    fn from(error: PlanError) -> Self {
        let message = full(&error);
        match &error {
            PlanError::Protected { resource, .. } => Self::refused("protected", message)
                .of(resource)
                .with_hint("take `protect` away and apply that first, when it really should go"),
            PlanError::MaySweep { resource, makes, .. } => {
                Self::refused("swept", message).of(resource).with_hint(format!(
                    "`--except {resource}` leaves it for the next plan, which knows where {makes} is"
                ))
            }
            PlanError::SweepsOwn { resource, .. } => {
                Self::refused("swept", message).of(resource).with_hint(format!(
                    "take `purge` away from {resource} and apply that first: then only what detc made is removed; or move \
                     the store elsewhere, and name it with `--store`"
                ))
            }
            PlanError::Sweeps { resource, stays, .. } => Self::refused("swept", message).of(resource).with_hint(format!(
                "take `purge` away from {resource} and apply that first; or remove {stays}, too, or rename with `renamed_from`"
            )),
            PlanError::Text { resource, hint, .. } => {
                let hint = hint.as_deref().unwrap_or("correct the file that it names, or what it refers to");
                Self::new(USAGE, "invalid", message).of(resource).with_hint(hint)
            }
            PlanError::NoMatch(_) => Self::usage(message)
                .with_hint("`status` lists what there is; `*` stands for any text"),
            PlanError::Loop(_) => Self::refused("loop", message)
                .with_hint("apply in two steps: with `--except` for some of these, and then all"),
            PlanError::TooManyEdges { resource, .. } => Self::refused("too_many_edges", message)
                .of(resource)
                .with_hint("apply what it waits for by itself first: `--only KIND/NAME`, a pattern with `*`"),
            PlanError::TooLarge { resource, .. } => {
                Self::new(USAGE, "invalid", message).of(resource).with_hint(
                    "refer to the part that is needed (`input.a.0`), or keep what is large in a file",
                )
            }
            PlanError::NoOutput { resource, from, .. } => {
                Self::refused("no_output", message).of(resource).with_hint(format!(
                    "have {from} done once more: take away what its `creates` or `unless` looks for, or change a field of it; or \
                     do not refer to what it gives"
                ))
            }
            PlanError::Beyond { .. } => Self::new(USAGE, "invalid", message).with_hint(
                "write smaller numbers, in a larger unit; where such ones are recorded already, apply these without the invariant first",
            ),
            PlanError::Record { resource, .. } => Self::world(message).of(resource).with_hint(format!(
                "restore the store's folder from a copy; or drop the record with `apply --forget {resource}`: what it is of \
                 is left as it is, and adopted where it is still desired"
            )),
        }
    }
}

impl From<PlanFileError> for Failed {
    fn from(error: PlanFileError) -> Self {
        let message = full(&error);
        match error {
            PlanFileError::Altered { .. } => {
                Self::refused("altered", message).with_hint("run `plan --out` again and review the new plan")
            }
            PlanFileError::Format { .. } => Self::usage(message)
                .with_hint("give a file that `plan --out` wrote; a desired state is named with `-f`"),
            PlanFileError::Io { tried: "written", .. } => Self::world(message)
                .with_hint("name a file with `--out` in a folder that is there and can be written"),
            PlanFileError::Io { .. } => Self::usage(message)
                .with_hint("give a file that `plan --out` wrote, or none to plan and do what is planned"),
        }
    }
}

/// What to do about a plan that could break an invariant.
pub(super) const UNBROKEN: &str =
    "change less at a time, order the changes with `after`, or change the invariant first";

/// What to do about what another version has left, or damage.
const OTHER: &str = "use the version of the program that wrote it; where that is this one, restore the store's folder from a copy";

impl From<ManageError> for Failed {
    fn from(error: ManageError) -> Self {
        match error {
            ManageError::Invalid(error) => error.into(),
            ManageError::Plan(error) => error.into(),
            ManageError::Store(error) => error.into(),
            ManageError::Stale(ref actions) => {
                let failed = Self::refused("stale", stale_message(&error, actions))
                    .with_hint("run `plan --out` again and review the new plan");
                match actions.first() {
                    Some(first) => failed.of(&first.resource),
                    None => failed,
                }
            }
            ManageError::Broken { .. } => Self::refused("invariant", error.to_string()).with_hint(UNBROKEN),
            ManageError::Unproven(_) => Self::refused("stale", error.to_string())
                .with_hint("run `plan --out` again and review the new plan"),
            ManageError::Unfinished(number) => Self::refused("unfinished", error.to_string())
                .with_hint(format!("run `apply` to finish {number}, or `apply --abandon` to give it up")),
            ManageError::NoRun(_) => {
                Self::usage(error.to_string()).with_hint("run `history` to see which there are")
            }
            ManageError::NotKept(ref resource) => Self::usage(error.to_string())
                .of(resource)
                .with_hint("name the desired state that it was planned from with `-f FILE`"),
            ManageError::NoDoubt(ref resource) => Self::usage(error.to_string())
                .of(resource)
                .with_hint("there is nothing to settle: run `status` to see how it is"),
            ManageError::NoRecord(ref resource) => Self::usage(error.to_string())
                .of(resource)
                .with_hint("there is nothing to forget: run `status` to see what is recorded"),
            ManageError::Managed(ref resource) => Self::usage(error.to_string())
                .of(resource)
                .with_hint("`--forget` is for what this program can make nothing of"),
            ManageError::Foreign => Self::refused("foreign", error.to_string())
                .with_hint("name the store that it was made with by `--store`, or run `plan --out` again"),
            ManageError::Journal(JournalError::Store(error)) => error.into(),
            ManageError::Journal(JournalError::NotUnderstood { .. }) => {
                Self::world(full(&error)).with_hint(OTHER)
            }
            ManageError::Record { ref resource, .. } => {
                let failed = Self::world(full(&error)).with_hint(OTHER);
                Self { resource: resource.parse().ok(), ..failed }
            }
            ManageError::Busy => Self::world(error.to_string()).with_hint("wait until it has ended"),
            ManageError::ReadOnly => Self::world(error.to_string()).with_hint(
                "this is a fault of the program: what changes something is asked of one that leads",
            ),
            ManageError::NotSeen => Self::usage(error.to_string())
                .with_hint("run `plan --rehearse` with the desired state, without a plan file"),
        }
    }
}

fn stale_message(error: &ManageError, actions: &[StaleAction]) -> String {
    const SHOWN_MAX: usize = 5;
    let mut message = error.to_string();
    for stale in actions.iter().take(SHOWN_MAX) {
        message.push_str(&format!("\n  {}: {}", stale.action, stale.what));
    }
    if actions.len() > SHOWN_MAX {
        message.push_str(&format!("\n  and {} more", actions.len() - SHOWN_MAX));
    }
    message
}

#[cfg(test)]
mod tests;
