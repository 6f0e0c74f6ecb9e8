//! The erased twin of [`Resource`]: what the engine holds of a kind.

use std::fmt::{self, Debug};
use std::marker::PhantomData;

use async_trait::async_trait;
use serde_json::Value;

use super::late::read_late;
use super::schema::{fields_of, nearest, schema_of};
use super::{KindTraits, Removed, Resource};
use crate::action::{ActionCx, ActionError, Footprint};
use crate::model::{Digest, Doc, Observation};

/// A kind of resources with its type forgotten. Specs come as documents; they are read into the type where they are used.
#[async_trait]
pub trait Kind: Debug + Send + Sync + 'static {
    /// Name, schema and traits.
    fn facts(&self) -> &KindFacts;

    /// Checks a spec, and tells what it touches. `late`: some of it is known only later.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    fn inspect(&self, spec: &Doc, late: bool) -> Result<Footprint, String>;

    /// See [`Resource::observe`].
    async fn observe(&self, spec: &Value, cx: &ActionCx<'_>) -> Result<Observation, ActionError>;

    /// See [`Resource::create`].
    async fn create(&self, spec: &Value, cx: &ActionCx<'_>) -> Result<Value, ActionError>;

    /// See [`Resource::update`].
    async fn update(&self, spec: &Value, cx: &ActionCx<'_>) -> Result<Value, ActionError>;

    /// See [`Resource::delete`].
    async fn delete(&self, spec: &Value, cx: &ActionCx<'_>) -> Result<Removed, ActionError>;
}

/// What is known of a kind without a spec.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KindFacts {
    /// Its name.
    pub name: &'static str,
    /// The names of its fields, as far as its type tells.
    pub fields: Option<&'static [&'static str]>,
    /// The names of its outputs, as far as their type tells.
    pub outputs: Option<&'static [&'static str]>,
    /// A digest of name, fields and outputs.
    pub schema: Digest,
    /// What holds for every resource of it.
    pub traits: KindTraits,
}

pub(super) struct Typed<R> {
    facts: KindFacts,
    kind: PhantomData<fn() -> R>,
}

impl<R: Resource> Typed<R> {
    pub(super) fn new() -> Self {
        let (fields, outputs) = (fields_of::<R>(), fields_of::<R::Output>());
        let schema = schema_of(R::KIND, fields, outputs);
        let facts = KindFacts { name: R::KIND, fields, outputs, schema, traits: R::traits() };
        Self { facts, kind: PhantomData }
    }

    fn read(&self, spec: &Value, cx: &ActionCx<'_>) -> Result<R, ActionError> {
        R::deserialize(spec).map_err(|error| {
            ActionError::permanent(format!("the fields of {} do not fit its kind: {error}", cx.resource()))
        })
    }

    fn output(&self, output: &R::Output) -> Result<Value, ActionError> {
        serde_json::to_value(output).map_err(|error| {
            ActionError::permanent(format!("the output of {} can not be said in JSON", R::KIND))
                .with_source(error)
        })
    }

    fn explain(&self, error: &str) -> String {
        let unknown = error.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
        let Some(unknown) = unknown else { return error.to_owned() };
        let fields = self.facts.fields.unwrap_or_default();
        match nearest(unknown, fields.iter().copied()) {
            Some(near) => format!("unknown field `{unknown}`: did you mean `{near}`?"),
            None => format!("unknown field `{unknown}`: {} has {}", R::KIND, fields.join(", ")),
        }
    }
}

impl<R> Debug for Typed<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({})", self.facts.name)
    }
}

#[async_trait]
impl<R: Resource> Kind for Typed<R> {
    fn facts(&self) -> &KindFacts {
        &self.facts
    }

    fn inspect(&self, spec: &Doc, late: bool) -> Result<Footprint, String> {
        let typed = if late {
            match read_late::<R>(&spec.value()).map_err(|error| self.explain(&error))? {
                Some(typed) => typed,
                None => return Ok(Footprint::new(crate::action::CrashClass::DeterministicName)),
            }
        } else {
            spec.parse::<R>().map_err(|error| self.explain(&plain(&error)))?
        };
        typed.inspect().map_err(|error| error.to_string())
    }

    async fn observe(&self, spec: &Value, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        self.read(spec, cx)?.observe(cx).await
    }

    async fn create(&self, spec: &Value, cx: &ActionCx<'_>) -> Result<Value, ActionError> {
        self.output(&self.read(spec, cx)?.create(cx).await?)
    }

    async fn update(&self, spec: &Value, cx: &ActionCx<'_>) -> Result<Value, ActionError> {
        self.output(&self.read(spec, cx)?.update(cx).await?)
    }

    async fn delete(&self, spec: &Value, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        self.read(spec, cx)?.delete(cx).await
    }
}

/// The message without serde_json's position, which is one within the canonical text and means nothing to people.
pub(super) fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}
