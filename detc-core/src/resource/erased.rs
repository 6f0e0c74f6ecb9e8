//! The erased twin of [`Resource`]: what the engine holds of a kind.

use std::fmt::{self, Debug};
use std::marker::PhantomData;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Path;

use super::late::{Late, make_up, read_late, sample_of};
use super::schema::{fields_of, schema_of};
use super::strict::Strict;
use super::{KindTraits, Removed, Resource};
use crate::action::{ActionCx, ActionError, CrashClass, Footprint};
use crate::model::secret::{has_mark, holds_mark};
use crate::model::words::in_words;
use crate::model::{DesiredResource, Digest, Doc, Observation, check_nesting, nearest};

/// How much of a spec is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// All that it says.
    All,
    /// All but what its references stand for: that is known later.
    SomeLater,
}

impl Known {
    /// How much of a resource's spec is known before anything is done.
    pub(crate) fn of(resource: &DesiredResource) -> Self {
        if resource.references.is_empty() { Self::All } else { Self::SomeLater }
    }
}

/// A kind of resources with its type forgotten. Specs come as documents; they are read into the type where they are used.
#[async_trait]
pub trait Kind: Debug + Send + Sync + 'static {
    /// Name, schema and traits.
    fn facts(&self) -> &KindFacts;

    /// Checks a spec, and tells what it touches.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    fn inspect(&self, spec: &Doc, known: Known) -> Result<Footprint, String>;

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
    /// Outputs that are made up, each of its type, as far as that tells.
    pub(crate) sample: Option<Value>,
    /// A digest of name, fields and outputs.
    pub schema: Digest,
    /// What holds for every resource of it.
    pub traits: KindTraits,
    /// Whether a spec reads as its type.
    pub(crate) reads: fn(&KindFacts, &Doc) -> Result<(), String>,
    /// A spec with its defaults filled in, and what is not known of it made up.
    pub(crate) defaults: fn(&Value) -> Option<Value>,
}

impl KindFacts {
    /// Whether a spec that another version may have written reads as this kind's type, whatever its values are: then it can be
    /// looked at and removed. What is known only later fits.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn reads(&self, spec: &Doc) -> Result<(), String> {
        (self.reads)(self, spec)
    }
}

pub(super) struct Typed<R> {
    facts: KindFacts,
    kind: PhantomData<fn() -> R>,
}

impl<R: Resource> Typed<R> {
    pub(super) fn new() -> Self {
        let (fields, outputs) = (fields_of::<R>(), fields_of::<R::Output>());
        let schema = schema_of(R::KIND, fields, outputs);
        let sample = outputs.and_then(sample_of::<R::Output>);
        let facts = KindFacts {
            name: R::KIND,
            fields,
            outputs,
            sample,
            schema,
            traits: R::traits(),
            reads: reads_as::<R>,
            defaults: with_defaults::<R>,
        };
        Self { facts, kind: PhantomData }
    }

    fn read(&self, spec: &Value, cx: &ActionCx<'_>) -> Result<R, ActionError> {
        let known = read_known(spec, &self.facts).or_else(|said| {
            // It is looked at, or removed, without a sensitive value: by what else is known of it.
            if holds_mark(spec) { read_lost(spec).ok_or(said) } else { Err(said) }
        });
        known.map_err(|said| {
            ActionError::permanent(format!("the fields of {} do not fit its kind: {said}", cx.resource()))
        })
    }

    /// A spec that something is made of. Where a value was known only later, what was checked was not yet this one.
    fn checked(&self, spec: &Value, cx: &ActionCx<'_>) -> Result<R, ActionError> {
        let typed = self.read(spec, cx)?;
        match typed.inspect() {
            Ok(_) => Ok(typed),
            Err(error) => {
                Err(ActionError::permanent(format!("the fields of {} do not fit its kind", cx.resource()))
                    .with_source(error))
            }
        }
    }

    fn output(&self, output: &R::Output) -> Result<Value, ActionError> {
        said(R::KIND, output)
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

    fn inspect(&self, spec: &Doc, known: Known) -> Result<Footprint, String> {
        let is_late = known == Known::SomeLater;
        let typed = if is_late || has_mark(spec.text()) {
            match read_late::<R>(&spec.value())
                .map_err(|error| explain_late::<R>(&self.facts, spec, &error))?
            {
                Some(typed) => typed,
                None => {
                    if !is_late && let Some(known) = footprint_of_lost::<R>(&spec.value()) {
                        return Ok(known.touching_more());
                    }
                    let like = make_up::<R>(&spec.value()).and_then(|spec| spec.inspect().ok());
                    return Ok(unknown_yet(like));
                }
            }
        } else {
            let mut deserializer = serde_json::Deserializer::from_str(spec.text());
            R::deserialize(Strict(&mut deserializer))
                .map_err(|error| explain::<R>(&self.facts, spec, &error))?
        };
        typed.inspect().map_err(|error| error.to_string())
    }

    async fn observe(&self, spec: &Value, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        self.read(spec, cx)?.observe(cx).await
    }

    async fn create(&self, spec: &Value, cx: &ActionCx<'_>) -> Result<Value, ActionError> {
        self.output(&self.checked(spec, cx)?.create(cx).await?)
    }

    async fn update(&self, spec: &Value, cx: &ActionCx<'_>) -> Result<Value, ActionError> {
        self.output(&self.checked(spec, cx)?.update(cx).await?)
    }

    async fn delete(&self, spec: &Value, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        self.read(spec, cx)?.delete(cx).await
    }
}

/// An output, as it is kept.
pub(super) fn said<T: Serialize + ?Sized>(kind: &str, output: &T) -> Result<Value, ActionError> {
    let value = serde_json::to_value(output).map_err(|error| {
        ActionError::permanent(format!("the output of {kind} can not be said in JSON")).with_source(error)
    })?;
    check_nesting(&value).map_err(|said| ActionError::permanent(format!("the output of {kind} {said}")))?;
    Ok(value)
}

/// What every resource may have besides the fields of its kind.
pub(crate) const COMMON: [&str; 10] = [
    "kind",
    "name",
    "host",
    "after",
    "restart_on",
    "labels",
    "protect",
    "sensitive",
    "ownership",
    "renamed_from",
];

/// A spec without those sensitive values that this process was not given: they are made up, and where that can not be, the
/// fields that they stand in are left out.
fn read_lost<T: DeserializeOwned>(spec: &Value) -> Option<T> {
    let typed = read_late(spec).ok().flatten().or_else(|| make_up(spec));
    typed.or_else(|| read_late(&without_marked(spec)).ok().flatten())
}

/// What such a spec touches, as far as the rest of it tells.
fn footprint_of_lost<R: Resource>(spec: &Value) -> Option<Footprint> {
    let made_up = make_up::<R>(spec).and_then(|typed| typed.inspect().ok());
    made_up.or_else(|| read_late::<R>(&without_marked(spec)).ok().flatten()?.inspect().ok())
}

fn without_marked(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Value::Object(fields) = &mut spec {
        fields.retain(|_, field| !holds_mark(field));
    }
    spec
}

/// What is known of what a spec touches of which whole structures are known only later, from some spec that it might be: how
/// its outcome is found out. Where not even that is known, it is not taken for done nor for undone by itself.
pub(super) fn unknown_yet(like: Option<Footprint>) -> Footprint {
    Footprint::new(like.map_or(CrashClass::AtMostOnce, |like| like.crash)).touching_more()
}

/// Whether a spec reads as a `T`, what is known only later left aside; or what is wrong with it, in words.
pub(super) fn reads_as<T: DeserializeOwned>(facts: &KindFacts, spec: &Doc) -> Result<(), String> {
    if has_mark(spec.text()) || spec.may_hold_references() {
        let read = read_late::<T>(&spec.value());
        read.map(drop).map_err(|error| explain_late::<T>(facts, spec, &error))
    } else {
        spec.parse::<T>().map(drop).map_err(|error| explain::<T>(facts, spec, &error))
    }
}

/// A spec as its type has it.
pub(super) fn with_defaults<T: Serialize + DeserializeOwned>(spec: &Value) -> Option<Value> {
    serde_json::to_value(make_up::<T>(spec)?).ok()
}

/// Reads a spec that is complete; or says in words what is wrong with it, and with which field.
pub(super) fn read_known<T: DeserializeOwned>(spec: &Value, facts: &KindFacts) -> Result<T, String> {
    serde_path_to_error::deserialize(Strict(spec))
        .map_err(|error| about(facts, Some(error.path()), &error.inner().to_string()))
}

/// What is wrong with a spec, in words, with the field that it is about, which is found by reading the spec once more.
pub(super) fn explain<T: DeserializeOwned>(
    facts: &KindFacts,
    spec: &Doc,
    error: &serde_json::Error,
) -> String {
    let mut deserializer = serde_json::Deserializer::from_str(spec.text());
    let again = serde_path_to_error::deserialize::<_, T>(Strict(&mut deserializer));
    about(facts, again.err().as_ref().map(serde_path_to_error::Error::path), &error.to_string())
}

/// The same of a spec that is not complete.
pub(super) fn explain_late<T: DeserializeOwned>(facts: &KindFacts, spec: &Doc, error: &str) -> String {
    let value = spec.value();
    let again = serde_path_to_error::deserialize::<_, T>(Late::new(&value));
    about(facts, again.err().as_ref().map(serde_path_to_error::Error::path), error)
}

fn about(facts: &KindFacts, path: Option<&Path>, message: &str) -> String {
    let unknown = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    let path = path.map(ToString::to_string).filter(|path| path != ".").unwrap_or_default();
    let Some(unknown) = unknown else {
        return in_words(&if path.is_empty() { message.to_owned() } else { format!("`{path}`: {message}") });
    };
    // The path of an unknown field may end with it.
    let parent = path.strip_suffix(unknown).map_or(path.as_str(), |parent| parent.trim_end_matches('.'));
    if !parent.is_empty() {
        return in_words(&format!("`{parent}`: {message}"));
    }
    let fields = facts.fields.unwrap_or_default();
    match nearest(unknown, fields.iter().copied().chain(COMMON)) {
        Some(near) => format!("unknown field `{unknown}`: did you mean `{near}`?"),
        None => format!("unknown field `{unknown}`: {} has {}", facts.name, fields.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::resource::Registry;

    #[derive(Debug, serde::Deserialize)]
    struct Spec {
        #[allow(dead_code, reason = "only whether it can be read is asked")]
        env: BTreeMap<String, String>,
    }

    #[test]
    fn a_field_that_does_not_fit_when_it_is_known_is_named() {
        let facts = Registry::new().kind("value").unwrap().facts().clone();
        let read = |spec| read_known::<Spec>(&spec, &facts).map(drop);
        assert_eq!(read(json!({"env": {"A": "5"}})), Ok(()));
        let said = "`env.A` must be text, not the number 5: write \"5\", with quotes";
        assert_eq!(read(json!({"env": {"A": 5}})), Err(said.to_owned()));
    }
}
