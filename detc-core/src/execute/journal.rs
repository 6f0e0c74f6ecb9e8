//! The journal: what a run did, durable before anything depends on it, and enough to resume from.
//!
//! A run is kept under three keys of the store: its head (who, when, how it ended), its plan in chunks, and its log, one
//! value for each group commit. A log value is lines of JSON, an entry a line: data with names, never code positions, so
//! that another version of the program reads it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{NodeEnd, Outcome, Tally};
use crate::model::Digest;
use crate::plan::Plan;
use crate::store::{KeyRange, Store, StoreError, Transaction, TxnReply, Write, read_all};

/// The number of a run within its store, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunNumber(pub u64);

impl std::fmt::Display for RunNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "run-{}", self.0)
    }
}

impl std::str::FromStr for RunNumber {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix("run-").unwrap_or(text);
        number
            .parse()
            .map(Self)
            .map_err(|_| format!("`{text}` is not a run: expected a number, as in `run-7`"))
    }
}

/// What is known of a run at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunHead {
    /// `detc.journal/1`: changes when an older program could misread a newer journal.
    pub format: String,
    /// Its number.
    pub number: RunNumber,
    /// The plan that it executes.
    pub plan: Digest,
    /// How many actions the plan has.
    pub actions: usize,
    /// When it began, in milliseconds since 1970.
    pub began_ms: u64,
    /// When it ended; `None` while it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
    /// How it ended; `interrupted` means that it can be resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// How its actions ended.
    #[serde(default)]
    pub tally: Tally,
    /// A remark, where it was not run to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The format that this program writes.
pub const FORMAT: &str = "detc.journal/1";

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds since the run began, time between interruption and resumption not counted.
    pub at: u64,
    /// Which action: an index into the plan.
    pub action: u32,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What a log line says of its action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// It is about to be applied.
    Started,
    /// Its effect was brought about.
    Done,
    /// Its effect was there already.
    Satisfied,
    /// It failed.
    Failed {
        /// Why.
        error: String,
    },
    /// It may have happened, and that can not be found out.
    InDoubt {
        /// Why not.
        error: String,
    },
    /// It was held back: what it was planned from was no longer so.
    Held {
        /// In which way.
        how: String,
    },
    /// It comes after an action that failed or was held back.
    NotReached {
        /// That action.
        because: u32,
    },
}

impl From<&NodeEnd> for What {
    fn from(end: &NodeEnd) -> Self {
        match end {
            NodeEnd::Done => Self::Done,
            NodeEnd::Satisfied => Self::Satisfied,
            NodeEnd::Failed(error) => Self::Failed { error: error.clone() },
            NodeEnd::InDoubt(error) => Self::InDoubt { error: error.clone() },
            NodeEnd::Held(how) => Self::Held { how: how.clone() },
            NodeEnd::NotReached(because) => Self::NotReached { because: *because },
        }
    }
}

impl What {
    /// How the action ended; `None` when it has only started.
    pub fn end(&self) -> Option<NodeEnd> {
        match self {
            Self::Started => None,
            Self::Done => Some(NodeEnd::Done),
            Self::Satisfied => Some(NodeEnd::Satisfied),
            Self::Failed { error } => Some(NodeEnd::Failed(error.clone())),
            Self::InDoubt { error } => Some(NodeEnd::InDoubt(error.clone())),
            Self::Held { how } => Some(NodeEnd::Held(how.clone())),
            Self::NotReached { because } => Some(NodeEnd::NotReached(*because)),
        }
    }
}

/// Writes one line without the detour of a serializer for the two kinds that make up nearly all of a journal.
pub(super) fn append(entry: &Entry, out: &mut Vec<u8>) {
    use std::io::Write as _;
    let plain = match entry.what {
        What::Started => Some("started"),
        What::Done => Some("done"),
        What::Satisfied => Some("satisfied"),
        What::Failed { .. } | What::InDoubt { .. } | What::Held { .. } | What::NotReached { .. } => None,
    };
    match plain {
        Some(what) => write!(out, r#"{{"at":{},"action":{},"what":"{what}"}}"#, entry.at, entry.action)
            .expect("invariant: writing to memory does not fail"),
        None => serde_json::to_writer(&mut *out, entry).expect("invariant: an entry is JSON"),
    }
    out.push(b'\n');
}

/// What the keys of recorded resources begin with.
pub const STATE: &str = "state/";

/// The key of a resource's record.
pub fn state_key(id: &crate::model::ResourceId) -> Bytes {
    let mut key = Vec::with_capacity(STATE.len() + id.as_str().len());
    key.extend_from_slice(STATE.as_bytes());
    key.extend_from_slice(id.as_str().as_bytes());
    key.into()
}

/// What the keys of actions begin with that can not be probed, and have started and not ended.
pub const DOUBT: &str = "doubt/";

/// The key that holds, while such an action is under way, the record that it will have.
pub fn doubt_key(id: &crate::model::ResourceId) -> Bytes {
    format!("{DOUBT}{id}").into()
}

/// What the keys of idempotency keys begin with: of actions that have started and not ended well.
pub(crate) const TRIED: &str = "key/";

/// The key that holds the idempotency key of a resource's action.
pub(crate) fn tried_key(id: &crate::model::ResourceId) -> Bytes {
    format!("{TRIED}{id}").into()
}

const HEADS: &str = "run/";

/// The key of a run's head.
pub fn head_key(number: RunNumber) -> Bytes {
    format!("{HEADS}{:010}", number.0).into()
}

fn plan_prefix(number: RunNumber) -> String {
    format!("run-plan/{:010}/", number.0)
}

fn log_prefix(number: RunNumber) -> String {
    format!("run-log/{:010}/", number.0)
}

/// The key of the log's value number `batch`.
pub(super) fn log_key(number: RunNumber, batch: u64) -> Bytes {
    format!("{}{batch:010}", log_prefix(number)).into()
}

/// Why a journal can not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it holds can not be understood by this version.
    #[error("the journal of {number} can not be understood: {what}")]
    NotUnderstood {
        /// The run.
        number: RunNumber,
        /// What is wrong.
        what: String,
    },
}

/// Size of a plan's chunks in bytes: far below the limits of every store (etcd takes 1.5 MiB in a request).
const CHUNK: usize = 1 << 20;

/// The writes that begin a run: its head and its plan.
pub(crate) fn begin(head: &RunHead, plan: &Plan) -> Vec<Write> {
    let plan_text = Bytes::from(serde_json::to_vec(plan).expect("invariant: a plan is JSON"));
    let mut writes = vec![put_head(head)];
    for (index, start) in (0..plan_text.len()).step_by(CHUNK).enumerate() {
        let key = format!("{}{index:06}", plan_prefix(head.number)).into();
        let value = plan_text.slice(start..plan_text.len().min(start + CHUNK));
        writes.push(Write::Put { key, value, lease: None });
    }
    writes
}

/// The write that keeps a head.
pub(crate) fn put_head(head: &RunHead) -> Write {
    let value = serde_json::to_vec(head).expect("invariant: a head is JSON").into();
    Write::Put { key: head_key(head.number), value, lease: None }
}

/// The writes that drop a run's plan and log.
pub(crate) fn drop_details(number: RunNumber) -> Vec<Write> {
    vec![
        Write::DeleteRange(KeyRange::prefix(plan_prefix(number))),
        Write::DeleteRange(KeyRange::prefix(log_prefix(number))),
    ]
}

/// A run's plan and log, as they are kept.
///
/// # Errors
/// When the store fails.
pub(crate) async fn details(store: &dyn Store, number: RunNumber) -> Result<Vec<Write>, StoreError> {
    let mut kept = Vec::new();
    for prefix in [plan_prefix(number), log_prefix(number)] {
        let (entries, _) = read_all(store, KeyRange::prefix(prefix)).await?;
        let put = |entry: crate::store::Entry| Write::Put { key: entry.key, value: entry.value, lease: None };
        kept.extend(entries.into_iter().map(put));
    }
    Ok(kept)
}

/// The heads of all runs, oldest first.
///
/// # Errors
/// When the store fails, or a head can not be understood.
pub async fn heads(store: &dyn Store) -> Result<Vec<RunHead>, JournalError> {
    let (entries, _) = read_all(store, KeyRange::prefix(HEADS)).await?;
    let read = |entry: &crate::store::Entry| {
        let number = String::from_utf8_lossy(&entry.key[HEADS.len()..]).parse().unwrap_or_default();
        let not_understood = |what: String| JournalError::NotUnderstood { number: RunNumber(number), what };
        let head: RunHead =
            serde_json::from_slice(&entry.value).map_err(|error| not_understood(error.to_string()))?;
        if head.format != FORMAT {
            return Err(not_understood(format!("its format is `{}`, expected `{FORMAT}`", head.format)));
        }
        Ok(head)
    };
    entries.iter().map(read).collect()
}

/// The plan of a run; `None` when it was dropped.
///
/// # Errors
/// When the store fails, or the plan can not be understood by this version.
pub async fn plan(store: &dyn Store, number: RunNumber) -> Result<Option<Plan>, JournalError> {
    let (entries, _) = read_all(store, KeyRange::prefix(plan_prefix(number))).await?;
    if entries.is_empty() {
        return Ok(None);
    }
    let mut text = Vec::with_capacity(entries.iter().map(|entry| entry.value.len()).sum());
    for entry in entries {
        text.extend_from_slice(&entry.value);
    }
    let not_understood =
        |what: String| JournalError::NotUnderstood { number, what: format!("its plan: {what}") };
    let plan: Plan = serde_json::from_slice(&text).map_err(|error| not_understood(error.to_string()))?;
    match plan.is_ordered() {
        true => Ok(Some(plan)),
        false => Err(not_understood("an action comes after one that is not before it".to_owned())),
    }
}

/// The log of a run, in order, and how many values it is kept in.
///
/// # Errors
/// When the store fails, or a line can not be understood by this version.
pub async fn log(store: &dyn Store, number: RunNumber) -> Result<(Vec<Entry>, u64), JournalError> {
    let (values, _) = read_all(store, KeyRange::prefix(log_prefix(number))).await?;
    let mut entries = Vec::new();
    for value in &values {
        for line in value.value.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let entry = serde_json::from_slice(line)
                .map_err(|error| JournalError::NotUnderstood { number, what: format!("its log: {error}") })?;
            entries.push(entry);
        }
    }
    Ok((entries, values.len() as u64))
}

/// Commits writes, if this process still leads.
pub(crate) async fn commit_guarded(
    store: &dyn Store,
    compares: Vec<crate::store::Compare>,
    writes: Vec<Write>,
) -> Result<(), StoreError> {
    match store.transact(Transaction { compares, writes }).await? {
        TxnReply::Committed(_) => Ok(()),
        TxnReply::Conflict(conflict) => {
            let store = "that this run records in".to_owned();
            Err(match conflict.current {
                Some(leader) => {
                    StoreError::Held { store, holder: String::from_utf8_lossy(&leader.value).into_owned() }
                }
                None => StoreError::LeadLost { store },
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_whichever_way_it_was_written() {
        let all = [
            What::Started,
            What::Done,
            What::Satisfied,
            What::Failed { error: "no \"space\"".to_owned() },
            What::InDoubt { error: "lost".to_owned() },
            What::Held { how: "gone".to_owned() },
            What::NotReached { because: 3 },
        ];
        for what in all {
            let entry = Entry { at: 17, action: 4, what };
            let mut line = Vec::new();
            append(&entry, &mut line);
            assert_eq!(serde_json::from_slice::<Entry>(&line).unwrap(), entry);
            assert_eq!(line, [serde_json::to_vec(&entry).unwrap(), b"\n".to_vec()].concat());
        }
    }

    #[tokio::test]
    async fn whose_lease_ran_out_is_not_told_that_somebody_holds_the_store() {
        let store = crate::store::memory::MemoryStore::new();
        let leads = || vec![crate::store::Compare::Value("leader".into(), "me".into())];
        let error = commit_guarded(&store, leads(), Vec::new()).await.unwrap_err();
        let lost =
            "this manager does not lead the store that this run records in any more: its lease ran out";
        assert_eq!(error.to_string(), lost);
        store.transact(Transaction::new().put("leader", "process 7")).await.unwrap();
        let error = commit_guarded(&store, leads(), Vec::new()).await.unwrap_err();
        let held = "the store that this run records in is held by a live manager (process 7)";
        assert_eq!(error.to_string(), held);
    }

    #[test]
    fn a_run_is_named_by_its_number() {
        assert_eq!("run-7".parse::<RunNumber>(), Ok(RunNumber(7)));
        assert_eq!("7".parse::<RunNumber>(), Ok(RunNumber(7)));
        assert!("web".parse::<RunNumber>().unwrap_err().contains("expected a number"));
    }
}
