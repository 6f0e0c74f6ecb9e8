//! One world, and one resource that is looked at, made, changed and removed in it, as the engine would.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Trial;
use crate::action::{ActionCx, ActionError, CrashClass, CxParts, Footprint};
use crate::backend::{Backends, Host};
use crate::content::Content;
use crate::execute::{Checked, Phase, judge};
use crate::model::{Digest, Doc, Observation, RecordBody, ResourceId};
use crate::resource::{Kind, Known, Removed, of_spec};
use crate::testing::calls::{Calls, Fault, Watched};

/// No call of a trial takes longer than this.
const CALL_TIME_MAX: Duration = Duration::from_secs(60);

/// What is done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is brought to the spec of this index.
    Make(usize),
    /// It is removed.
    Remove,
}

/// How a step ended.
#[derive(Debug)]
pub(super) enum Ended {
    Made(Value),
    Removed(Removed),
    Failed(ActionError),
    /// Its caller was gone.
    CutOff,
    /// It did not end.
    Hangs,
}

impl Ended {
    pub(super) fn words(&self) -> String {
        match self {
            Self::Made(_) => "it was made".to_owned(),
            Self::Removed(Removed::Gone) => "it was removed".to_owned(),
            Self::Removed(Removed::Left(why)) => format!("it was left: {why}"),
            Self::Failed(error) => format!("it failed: {}", error.full_message()),
            Self::CutOff => "it was cut off".to_owned(),
            Self::Hangs => format!("it had not ended after {} s", CALL_TIME_MAX.as_secs()),
        }
    }

    pub(super) fn is_well(&self) -> bool {
        matches!(self, Self::Made(_) | Self::Removed(_))
    }
}

/// A world in the midst of a trial.
pub(super) struct Stage<'a> {
    pub(super) kind: &'a dyn Kind,
    pub(super) id: ResourceId,
    pub(super) trial: Trial,
    pub(super) calls: Calls,
    host: Option<Arc<dyn Host>>,
    backends: Backends,
    blobs: BTreeMap<Digest, Content>,
    /// What is recorded: the last spec that was applied, and its output.
    pub(super) recorded: Option<RecordBody>,
    /// The spec that it was last brought to, or tried to.
    at: usize,
    /// Whether the end of an earlier try is not known.
    begun_before: bool,
}

impl<'a> Stage<'a> {
    pub(super) fn new(kind: &'a dyn Kind, trial: Trial) -> Self {
        let calls = trial.calls.clone();
        let watched = |host| Arc::new(Watched::new(host, calls.clone())) as Arc<dyn Host>;
        let host = trial.host.clone().map(watched);
        let backends = trial.backends.clone();
        let id = ResourceId::new(kind.facts().name, "trial").expect("invariant: a kind's name begins an id");
        let blobs = trial.blobs.clone();
        Self { kind, id, trial, calls, host, backends, blobs, recorded: None, at: 0, begun_before: false }
    }

    pub(super) fn spec(&self, at: usize) -> &Value {
        &self.trial.specs[at]
    }

    pub(super) fn world(&self) -> String {
        (self.trial.world)()
    }

    /// What the spec of this index touches.
    pub(super) fn footprint(&self, at: usize) -> Result<Footprint, String> {
        self.kind.inspect(&Doc::new(self.spec(at)), Known::All)
    }

    /// Looks at it by the spec of this index. `None`: the look does not end.
    pub(super) async fn look(
        &self,
        at: usize,
        fault: Option<(usize, Fault)>,
    ) -> Option<Result<Observation, ActionError>> {
        self.calls.begin(fault);
        let cx = self.cx();
        let looked = self.until_cut(self.kind.observe(self.spec(at), &cx)).await.ok()?;
        Some(looked.map(|seen| of_spec(self.kind.facts(), self.spec(at), None, seen)))
    }

    /// Takes a step as the engine does: looks, and makes or changes. It is recorded when it went well.
    pub(super) async fn take(&mut self, step: Step, fault: Option<(usize, Fault)>) -> Ended {
        let ended = match step {
            Step::Make(at) => {
                let is_there = matches!(self.look(at, None).await, Some(Ok(Observation::Present(_))));
                self.make(at, is_there, fault).await
            }
            Step::Remove => {
                self.calls.begin(fault);
                let cx = self.cx();
                let removed = self.until_cut(self.kind.delete(self.spec(self.at), &cx)).await;
                removed.map_or_else(|lost| lost, |removed| removed.map_or_else(Ended::Failed, Ended::Removed))
            }
        };
        self.begun_before = !ended.is_well();
        match (&ended, step) {
            (Ended::Made(output), Step::Make(at)) => self.record(at, output.clone()),
            (Ended::Removed(_), _) => self.recorded = None,
            _ => {}
        }
        ended
    }

    /// Settles a step whose end is not known, as the engine does: nothing is done where a look finds it done.
    pub(super) async fn settle(&mut self, step: Step) -> Ended {
        let at = if let Step::Make(at) = step { at } else { self.at };
        let seen = self.look(at, None).await;
        match (seen, step) {
            (Some(Ok(seen)), Step::Make(at))
                if self.judge(at, &seen, Phase::Settle) == Checked::Satisfied =>
            {
                let output = if let Observation::Present(present) = seen { present.output } else { None };
                let output = output.unwrap_or_default();
                self.record(at, output.clone());
                Ended::Made(output)
            }
            (Some(Ok(Observation::Absent | Observation::Needed(_))), Step::Remove) => {
                self.recorded = None;
                Ended::Removed(Removed::Gone)
            }
            _ => self.take(step, None).await,
        }
    }

    /// Makes it, or changes what is there, by the spec of this index.
    pub(super) async fn make(&mut self, at: usize, is_there: bool, fault: Option<(usize, Fault)>) -> Ended {
        self.at = at;
        self.calls.begin(fault);
        let cx = self.cx();
        let made = match is_there {
            true => self.until_cut(self.kind.update(self.spec(at), &cx)).await,
            false => self.until_cut(self.kind.create(self.spec(at), &cx)).await,
        };
        made.map_or_else(|lost| lost, |made| made.map_or_else(Ended::Failed, Ended::Made))
    }

    /// Whether what was seen is as the spec of this index says: after it was applied, or before.
    pub(super) fn judge(&self, at: usize, seen: &Observation, phase: Phase) -> Checked {
        let recorded = self.recorded.as_ref();
        judge(&Doc::new(self.spec(at)), seen, recorded, None, phase, CrashClass::DeterministicName)
    }

    /// Looks, and says in what it is not as the spec of this index says.
    pub(super) async fn difference(&self, at: usize) -> Option<String> {
        match self.look(at, None).await {
            None => Some("looking at it does not end".to_owned()),
            Some(Err(error)) => Some(format!("looking at it fails: {}", error.full_message())),
            Some(Ok(seen)) => match self.judge(at, &seen, Phase::Verify) {
                Checked::Satisfied => None,
                Checked::Needed(why)
                | Checked::Moved(why)
                | Checked::Unknown(why)
                | Checked::Failed(_, why) => Some(why),
            },
        }
    }

    fn record(&mut self, at: usize, output: Value) {
        let verb = if self.recorded.is_none() { "create" } else { "update" };
        self.recorded = Some(RecordBody {
            made_as: None,
            adopted: false,
            cut_off: false,
            spec: Doc::new(self.spec(at)),
            output,
            host: None,
            after: [].into(),
            extra: None,
            triggers: None,
            traces: Default::default(),
            changed: format!("run-1/{verb}"),
            schema: self.kind.facts().schema.short(),
        });
    }

    fn cx(&self) -> ActionCx<'_> {
        ActionCx::new(CxParts {
            resource: &self.id,
            identity: &self.id,
            host: self.host.as_ref(),
            backends: &self.backends,
            recorded: self.recorded.as_ref(),
            triggers: None,
            scope: "trial",
            state_dir: &self.trial.state_dir,
            key: "trial/run-1/create",
            begun_before: self.begun_before,
            sensitive: &[],
            cut_off: false,
            heals: false,
            blobs: &self.blobs,
        })
    }

    /// Drives a call until it ends, or until its caller is to be gone.
    async fn until_cut<T>(&self, call: Pin<Box<dyn Future<Output = T> + Send + '_>>) -> Result<T, Ended> {
        match tokio::time::timeout(CALL_TIME_MAX, self.calls.until_cut(call)).await {
            Ok(Some(done)) => Ok(done),
            Ok(None) => Err(Ended::CutOff),
            Err(_) => Err(Ended::Hangs),
        }
    }
}
