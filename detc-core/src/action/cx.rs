//! What an action is given besides its own fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ActionError;
use crate::backend::{Backends, Host};
use crate::content::Content;
use crate::model::{Digest, FieldPath, RecordBody, ResourceId};

/// Longest content that an action gets in one piece: 64 MiB, so that a dozen actions at once stay below 1 GiB.
pub const BLOB_LEN_MAX: u64 = 64 << 20;

/// The surroundings of one call of `check`, `apply`, `observe` and the like.
#[derive(Debug)]
pub struct ActionCx<'a> {
    parts: CxParts<'a>,
}

/// What an [`ActionCx`] is made of.
#[derive(Debug)]
pub struct CxParts<'a> {
    /// The resource it is about.
    pub resource: &'a ResourceId,
    /// The id that it was made under, where it was renamed since.
    pub identity: &'a ResourceId,
    /// The host it lives on.
    pub host: Option<&'a Arc<dyn Host>>,
    /// The program's own backends.
    pub backends: &'a Backends,
    /// What is recorded of the resource.
    pub recorded: Option<&'a RecordBody>,
    /// The trigger token it should be restarted for.
    pub triggers: Option<&'a str>,
    /// The store's name among all stores.
    pub scope: &'a str,
    /// A folder for what detc itself keeps on the host.
    pub state_dir: &'a str,
    /// The idempotency key of this try.
    pub key: &'a str,
    /// The fields and outputs that the desired state says are sensitive.
    pub sensitive: &'a [FieldPath],
    /// Whether an earlier try was begun whose end is not known.
    pub begun_before: bool,
    /// Whether its making was cut off, and it was found afterwards.
    pub cut_off: bool,
    /// Whether it is restarted as it is unhealthy.
    pub heals: bool,
    /// Contents of files that specs name.
    pub blobs: &'a BTreeMap<Digest, Content>,
}

impl<'a> ActionCx<'a> {
    /// Surroundings of these parts.
    pub fn new(parts: CxParts<'a>) -> Self {
        Self { parts }
    }

    /// The resource it is about.
    pub fn resource(&self) -> &ResourceId {
        self.parts.resource
    }

    /// The id that the resource was first made under: marks that are left in the world carry it, so that a rename finds
    /// them again.
    pub fn identity(&self) -> &ResourceId {
        self.parts.identity
    }

    /// The host the resource lives on.
    ///
    /// # Errors
    /// When the resource names no host.
    pub fn host(&self) -> Result<&Arc<dyn Host>, ActionError> {
        self.parts.host.ok_or_else(|| {
            ActionError::permanent(format!("{} names no host", self.parts.resource))
                .with_hint("give it a `host` that is declared under `hosts`")
        })
    }

    /// The backend of this type that the program has
    /// [registered](crate::resource::Registry::with_backend): a client of something that is no host.
    ///
    /// # Errors
    /// When it has registered none.
    pub fn backend<T: Send + Sync + 'static>(&self) -> Result<Arc<T>, ActionError> {
        self.parts.backends.get::<T>().ok_or_else(|| {
            let name = std::any::type_name::<T>();
            ActionError::permanent(format!(
                "{} needs the backend {name}, which this program does not have",
                self.parts.resource
            ))
            .with_hint("add it to the registry, with `Registry::with_backend`")
        })
    }

    /// What is recorded of the resource: its last applied spec, its outputs.
    pub fn recorded(&self) -> Option<&RecordBody> {
        self.parts.recorded
    }

    /// The trigger token that the resource should carry: it changes whenever something it restarts on has changed. A
    /// kind that restarts keeps the token with the thing itself (in a label, in an environment) and reports it in
    /// [`Present::triggers`](crate::model::Present::triggers), so that a restart is never lost and never done twice.
    pub fn triggers(&self) -> Option<&str> {
        self.parts.triggers
    }

    /// The name of the store among all stores: part of every mark that detc leaves in the world.
    pub fn scope(&self) -> &str {
        self.parts.scope
    }

    /// A folder on the host for what detc itself keeps there (logs of processes, uploads). It may not exist yet.
    pub fn state_dir(&self) -> &str {
        self.parts.state_dir
    }

    /// The key by which the other side knows a call that it has had before. For an action of
    /// [`CrashClass::IdempotencyKey`](super::CrashClass::IdempotencyKey) it is the same each time this very action is tried,
    /// in later runs too, until it has ended well, or its resource is neither desired nor
    /// recorded any more; for any other it is the same within a run, also after a crash. It names
    /// the store, the run and the action of the first try: make a digest of it where the other side takes only so many
    /// letters. Outside a run, where a resource is only looked at, it is always `observe`.
    pub fn idempotency_key(&self) -> &str {
        self.parts.key
    }

    /// Whether this was tried before and how that try ended is not known: it was cut off by a crash, its answer was lost,
    /// or it failed in one of the last runs. It may still be under way. A kind whose tries go on without the manager finds
    /// them and waits for them before it tries again.
    pub fn begun_before(&self) -> bool {
        self.parts.begun_before
    }

    /// Whether the desired state says that this field or output is sensitive, or a part of it. An action that fails has outputs
    /// that nobody has marked yet: what is in them is not told then.
    pub fn is_sensitive(&self, name: &str) -> bool {
        self.parts.sensitive.iter().any(|path| path.segments().first().is_some_and(|first| first == name))
    }

    /// Whether its making was cut off, and it was found afterwards: then it is not known who has made all that is in it. A kind
    /// that removes something with all that lies within leaves it where that is not empty.
    pub fn was_cut_off(&self) -> bool {
        self.parts.cut_off
    }

    /// Whether this restarts something that is as it should be and was seen to be
    /// [unhealthy](crate::model::Health::Unhealthy). What an earlier try has restarted by now, of this
    /// action or of one that was not seen to end, is not restarted again: it is another than the recorded one, and is only waited
    /// for.
    pub fn heals(&self) -> bool {
        self.parts.heals
    }

    /// Whether contents of files are at hand: those that the desired state names, where there is one.
    pub fn has_contents(&self) -> bool {
        !self.parts.blobs.is_empty()
    }

    /// The content of a file that the spec names, all of it in memory. A kind that only hands it on takes
    /// [`content`](ActionCx::content).
    ///
    /// # Errors
    /// When the desired state that this run was given did not bring it, it is longer than [`BLOB_LEN_MAX`], or its file was
    /// changed meanwhile.
    pub fn blob(&self, digest: &Digest) -> Result<Arc<[u8]>, ActionError> {
        self.content(digest)?.bytes(BLOB_LEN_MAX).map_err(|error| {
            ActionError::permanent(format!("{} can not have the content {}", self.resource(), digest.short()))
                .with_source(error)
                .with_hint("leave the file as it is until the run is over; plan anew where it was changed")
        })
    }

    /// The content of a file that the spec names.
    ///
    /// # Errors
    /// When the desired state that this run was given did not bring it.
    pub fn content(&self, digest: &Digest) -> Result<&Content, ActionError> {
        self.parts.blobs.get(digest).ok_or_else(|| {
            ActionError::permanent(format!(
                "the content {} that {} needs is not at hand",
                digest.short(),
                self.resource()
            ))
            .with_hint("run the command with the desired state file beside which the content is kept")
        })
    }
}
