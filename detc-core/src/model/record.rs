//! What was done: for each managed resource, what was applied and what came of it.
//!
//! A record is stored as a short header, which is all that a plan without changes reads, and a body in JSON, which is
//! read only where something differs. So a no-op plan of a million resources compares a million headers and parses
//! nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::{Digest, Doc, Extra, FieldPath, HostName, ResourceId};

/// All records, in the order of their ids, as a store gives them.
pub type Recorded = BTreeMap<ResourceId, Record>;

/// One record as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record(Bytes);

/// Why stored bytes are no record.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The format is one that this version does not know.
    #[error("record format {0} is not known to this version, which knows {FORMAT}")]
    Format(u8),
    /// The bytes are damaged.
    #[error("a record is damaged")]
    Damaged(#[source] Option<serde_json::Error>),
}

/// The first byte of a record. It changes when the header's layout does; the body is JSON and grows by fields.
const FORMAT: u8 = 1;
const INTENT: std::ops::Range<usize> = 1..33;
const RELATIONS: std::ops::Range<usize> = 33..65;
const SEEN: std::ops::Range<usize> = 65..97;
const BODY: usize = 97;

/// Stands for the intent of what is not made yet, so that nothing desired is ever the same.
const BEGUN: Digest = Digest::NONE;

/// The part of a record that a plan reads only when it must.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordBody {
    /// The id that the thing was made under, where it was renamed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_as: Option<ResourceId>,
    /// It was there before it was recorded: when it is no longer desired, it is left as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// Its making was cut off, and it was found afterwards to be detc's own: what lies within may be somebody else's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_off: bool,
    /// The spec as it was applied: references resolved, sensitive values marked.
    pub spec: Doc,
    /// The outputs that came of it.
    #[serde(default, skip_serializing_if = "is_empty_object")]
    pub output: Value,
    /// The host it lives on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// What it was ordered after, references and triggers included: deletion goes the other way.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub after: Arc<[ResourceId]>,
    /// Labels, protection and the like, for the time when it is no longer desired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Box<Extra>>,
    /// The trigger token that it was last restarted for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggers: Option<String>,
    /// For fields that have sensitive values in them: a keyed digest of the [trace](super::Present::with_trace) that was seen.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub traces: BTreeMap<String, Digest>,
    /// Which run last had an effect on it, and what it did.
    pub changed: String,
    /// The schema of its kind when it was recorded, by the first digits of its digest: a record is to be short.
    pub schema: String,
}

fn is_empty_object(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty)
}

impl Record {
    /// A record of `body`. `intent` is the digest of the desired spec (references unresolved, sensitive values marked),
    /// `relations` that of everything else desired of it, `seen` the fingerprint of its last observation.
    pub fn new(intent: Digest, relations: Digest, seen: Digest, body: &RecordBody) -> Self {
        let mut bytes = Vec::with_capacity(BODY + 192);
        bytes.push(FORMAT);
        for digest in [intent, relations, seen] {
            bytes.extend_from_slice(digest.as_bytes());
        }
        serde_json::to_writer(&mut bytes, body).expect("invariant: a record is JSON");
        Self(bytes.into())
    }

    /// The record of something whose making begins: it is known to be detc's own, wherever that may end.
    pub fn begun(relations: Digest, seen: Digest, body: &RecordBody) -> Self {
        Self::new(BEGUN, relations, seen, body)
    }

    /// Whether it is only known that its making had begun.
    pub fn is_begun(&self) -> bool {
        self.intent() == BEGUN
    }

    /// The record that was stored as `bytes`.
    ///
    /// # Errors
    /// When the header is damaged or of another format. The body is not looked at.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, RecordError> {
        match bytes.first() {
            Some(&FORMAT) if bytes.len() > BODY => Ok(Self(bytes)),
            Some(&FORMAT) | None => Err(RecordError::Damaged(None)),
            Some(&other) => Err(RecordError::Format(other)),
        }
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The digest of the spec that was desired.
    pub fn intent(&self) -> Digest {
        self.digest(INTENT)
    }

    /// The digest of relations, labels and protection that were desired.
    pub fn relations(&self) -> Digest {
        self.digest(RELATIONS)
    }

    /// The fingerprint of the last observation.
    pub fn seen(&self) -> Digest {
        self.digest(SEEN)
    }

    fn digest(&self, range: std::ops::Range<usize>) -> Digest {
        let bytes: [u8; 32] = self.0[range].try_into().expect("invariant: a record's header is whole");
        bytes.into()
    }

    /// A digest of the whole record.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.0)
    }

    /// The rest of the record.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn body(&self) -> Result<RecordBody, RecordError> {
        serde_json::from_slice(&self.0[BODY..]).map_err(|error| RecordError::Damaged(Some(error)))
    }
}

impl RecordBody {
    /// What a reference to this resource resolves to: an output, or else a field of its spec.
    pub fn lookup(&self, path: &FieldPath) -> Option<Value> {
        path.get(&self.output).cloned().or_else(|| path.get(&self.spec.value()).cloned())
    }

    /// Its labels.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.extra.as_ref().map(|extra| extra.labels.clone()).unwrap_or_default()
    }

    /// Whether plans that destroy it are refused.
    pub fn protected(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.protect)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body() -> RecordBody {
        RecordBody {
            made_as: None,
            adopted: false,
            cut_off: false,
            spec: Doc::new(&json!({"input": {"a": 1}})),
            output: json!({"pid": 7}),
            host: None,
            after: ["value/a".parse().unwrap()].into(),
            extra: None,
            triggers: None,
            traces: BTreeMap::new(),
            changed: "run-1/create".to_owned(),
            schema: Digest::of(b"schema").short(),
        }
    }

    #[test]
    fn a_record_reads_back() {
        let record = Record::new(Digest::of(b"i"), Digest::of(b"r"), Digest::of(b"s"), &body());
        let read = Record::from_bytes(record.as_bytes().clone()).unwrap();
        assert_eq!(
            (read.intent(), read.relations(), read.seen()),
            (Digest::of(b"i"), Digest::of(b"r"), Digest::of(b"s"))
        );
        assert_eq!(read.body().unwrap(), body());
        assert_eq!(read.body().unwrap().lookup(&"pid".parse().unwrap()), Some(json!(7)));
        assert_eq!(read.body().unwrap().lookup(&"input.a".parse().unwrap()), Some(json!(1)));
    }

    /// Earlier versions recorded the whole digest of the schema, and which action it was. Both are kept as they are: what
    /// restarts on this resource compares them with what it was restarted for.
    #[test]
    fn a_record_of_an_earlier_version_reads_as_it_was_written() {
        let schema = Digest::of(b"schema").to_string();
        let earlier = json!({"spec": {"input": 1}, "changed": "run-1/create:value/b", "schema": schema});
        let bytes = [&[FORMAT; BODY][..], earlier.to_string().as_bytes()].concat();
        let read = Record::from_bytes(bytes.into()).unwrap().body().unwrap();
        assert_eq!((read.changed.as_str(), read.schema), ("run-1/create:value/b", schema));
    }

    #[test]
    fn an_unknown_format_and_a_short_record_are_refused() {
        let error = Record::from_bytes(Bytes::from_static(&[9; 200])).unwrap_err();
        assert_eq!(error.to_string(), "record format 9 is not known to this version, which knows 1");
        for len in [1, 90, BODY] {
            assert!(Record::from_bytes(vec![FORMAT; len].into()).is_err(), "{len} bytes");
        }
    }
}
