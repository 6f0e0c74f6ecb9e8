//! That references, and files that are named, lead to what fits where they stand: found here, and not when it is applied.

use serde_json::{Value, json};

use super::{Hidden, InvalidState};
use crate::model::{
    Desired, DesiredResource, Doc, FieldPath, Map, Reference, ResourceId, collect_references, substitute,
};
use crate::resource::value::ValueSpec;
use crate::resource::{Kind, KindFacts, LATER, Registry, nearest};

/// A reference to a field that is itself a reference is followed this often: a loop is told elsewhere, and no longer chain
/// was ever written.
const HOPS_MAX: usize = 16;

/// What is known of a value before anything is done.
enum Known {
    /// The value itself.
    Value(Value),
    /// Some value of its sort.
    Like(Value, Sort),
}

impl Desired {
    /// That what is referred to is an output or a field of its kind.
    pub(super) fn check_reference(
        &self,
        reference: &Reference,
        registry: &Registry,
    ) -> Result<(), InvalidState> {
        let Some(facts) = registry.kind(reference.from.kind()).map(|kind| kind.facts()) else {
            return Ok(());
        };
        let (Some(fields), Some(outputs)) = (facts.fields, facts.outputs) else { return Ok(()) };
        let name = reference.output.segments().swap_remove(0);
        if outputs.contains(&name.as_str()) {
            return Ok(());
        }
        if fields.contains(&name.as_str()) {
            return self.check_part(reference);
        }
        let known: Vec<&str> = outputs.iter().chain(fields).copied().collect();
        let error = InvalidState::new(format!(
            "a {} has no output `{name}`: it has {}",
            facts.name,
            known.join(", ")
        ));
        Err(match nearest(&name, known) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error,
        })
    }

    /// That a field has the part of it that is referred to, as far as it is written out.
    fn check_part(&self, reference: &Reference) -> Result<(), InvalidState> {
        let Some(from) = self.resources.get(&reference.from) else { return Ok(()) };
        let spec = from.spec.value();
        let segments = reference.output.segments();
        let mut at = &spec;
        for (depth, segment) in segments.iter().enumerate() {
            // What stands there then is not known, or is told of otherwise.
            if Reference::is_form(at) || crate::model::secret::mark_of(at).is_some() {
                return Ok(());
            }
            let next = FieldPath::from_segments([segment.as_str()]);
            match next.get(at) {
                Some(part) => at = part,
                None => {
                    let whole = FieldPath::from_segments(&segments[..depth]);
                    let has = match at {
                        _ if depth == 0 => format!("has no `{segment}`: it is not given"),
                        Value::Array(items) => {
                            format!("has no `{}`: its `{whole}` has {} items", reference.output, items.len())
                        }
                        Value::Object(_) => {
                            format!("has no `{}`: its `{whole}` has no `{segment}`", reference.output)
                        }
                        _ => format!("has no `{}`: its `{whole}` has no parts", reference.output),
                    };
                    return Err(InvalidState::new(format!("{} {has}", from.id)));
                }
            }
        }
        Ok(())
    }

    /// That nothing in its spec names a resource as a reference does, and is none: it would be taken for data.
    pub(super) fn check_misread(&self, resource: &DesiredResource) -> Result<(), InvalidState> {
        if !resource.spec.may_hold_references() {
            return Ok(());
        }
        let Some((value, id)) = self.misread(&resource.spec.value()) else { return Ok(()) };
        let hint = format!(r#"write {{ "from": "{id}", "output": … }}, with one of its outputs or fields"#);
        Err(InvalidState::new(format!("{value} names {id}, and is no reference: it has no `output`"))
            .with_hint(hint))
    }

    fn misread(&self, value: &Value) -> Option<(Value, ResourceId)> {
        let named = |object: &serde_json::Map<String, Value>| {
            let id: ResourceId = object.get("from")?.as_str()?.parse().ok()?;
            (object.len() <= 2 && self.resources.contains_key(&id)).then_some(id)
        };
        match value {
            _ if Reference::is_form(value) => None,
            Value::Object(object) => match named(object) {
                Some(id) => Some((value.clone(), id)),
                None => object.values().find_map(|value| self.misread(value)),
            },
            Value::Array(items) => items.iter().find_map(|value| self.misread(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        }
    }

    /// That no two of these resources were called the same before.
    pub(super) fn check_renames(&self, renamed: impl Iterator<Item = usize>) -> Vec<InvalidState> {
        let mut now: Map<&ResourceId, &ResourceId> = Map::default();
        let mut errors = Vec::new();
        for resource in renamed.map(|index| &self.resources[index]) {
            let Some(old) = resource.given_extra().and_then(|extra| extra.renamed_from.as_ref()) else {
                continue;
            };
            if let Some(first) = now.insert(old, &resource.id) {
                let message = format!("`renamed_from` names {old}, which {first} was called as well");
                let error = InvalidState::new(message).with_hint("leave it to the one that is called so now");
                errors.push(error.of(&resource.id).located(self, resource.origin));
            }
        }
        errors
    }

    /// That a resource which is called otherwise now is of the same kind, and that its earlier name is no longer in use.
    pub(super) fn check_renamed(&self, resource: &DesiredResource) -> Result<(), InvalidState> {
        let Some(old) = &resource.extra().renamed_from else { return Ok(()) };
        if *old == resource.id {
            return Err(InvalidState::new(format!("`renamed_from` names {old} itself"))
                .with_hint("name what it was called before, or remove `renamed_from`"));
        }
        if self.resources.contains_key(old) {
            let message = format!("`renamed_from` names {old}, which is still in the desired state");
            return Err(InvalidState::new(message).with_hint(format!(
                "remove {old} when {} is what it is called now, or remove `renamed_from` when both are wanted",
                resource.id
            )));
        }
        if old.kind() != resource.id.kind() {
            let message = format!("`renamed_from` names {old}, which is of another kind");
            return Err(InvalidState::new(message)
                .with_hint("what changes its kind is removed and made anew: remove `renamed_from`"));
        }
        Ok(())
    }

    /// That what its references stand for, as far as that is known, fits where they stand.
    pub(super) fn check_referred(
        &self,
        resource: &DesiredResource,
        kind: &dyn Kind,
        registry: &Registry,
    ) -> Result<(), InvalidState> {
        // Which takes anything.
        if resource.id.kind() == ValueSpec::KIND {
            return Ok(());
        }
        for reference in &resource.references {
            let Some(known) = self.known(reference, registry, HOPS_MAX) else { continue };
            let (Known::Value(value) | Known::Like(value, _)) = &known;
            let mut spec = resource.spec.value();
            if substitute(&mut spec, &mut |other| (other == reference).then(|| value.clone())).is_err() {
                continue;
            }
            let Err(said) = kind.inspect(&Doc::new(&spec), crate::resource::Known::SomeLater) else {
                continue;
            };
            let (output, from) = (&reference.output, &reference.from);
            return Err(match known {
                Known::Value(_) => InvalidState::new(said)
                    .with_hint(format!("correct `{output}` of {from}, which stands there")),
                Known::Like(_, sort) => {
                    let said = said.split(": write ").next().unwrap_or_default();
                    let said =
                        said.replace(&format!("not {}", sort.made_up()), &format!("not {}", sort.name()));
                    let hint =
                        Sort::asked_for_in(&said).map(|sort| instead(reference, sort, registry).into());
                    let error = InvalidState::new(format!("{said}, which `{output}` of {from} is"));
                    InvalidState { hint, ..error }
                }
            });
        }
        Ok(())
    }

    /// That its kind can make something of the files that it names: where all of the spec is known, of all of it.
    pub(super) fn check_sources(
        &self,
        resource: &DesiredResource,
        facts: &KindFacts,
        registry: &Registry,
    ) -> Result<(), InvalidState> {
        let Some(text) = facts.traits.text else { return Ok(()) };
        let mut spec = resource.spec.value();
        let (mut is_complete, mut secrets) = (true, Vec::new());
        let replaced =
            substitute(&mut spec, &mut |reference| match self.known(reference, registry, HOPS_MAX) {
                Some(Known::Value(value)) => Some(value),
                Some(Known::Like(..)) | None => {
                    let secret = self.given(reference, registry, HOPS_MAX);
                    is_complete &= secret.is_some();
                    secrets.extend(secret.clone());
                    secret
                }
            });
        // What is too large is told when it is planned.
        let read = match is_complete && replaced.is_ok() {
            true => (text.read)(&spec, &self.blobs).map(drop),
            false => (text.parse)(&resource.spec.value(), &self.blobs),
        };
        read.map_err(|error| {
            let hint = error.hint().map(Box::from);
            let error = InvalidState { hint, ..InvalidState::new(error.full_message()) };
            Hidden::of(&secrets).hide(error)
        })
    }

    /// What stands in the field that a reference is to, also where that is sensitive: it must not be told.
    fn given(&self, reference: &Reference, registry: &Registry, hops: usize) -> Option<Value> {
        let from = self.resources.get(&reference.from)?;
        let outputs = registry.kind(reference.from.kind())?.facts().outputs?;
        if outputs.contains(&reference.output.segments().swap_remove(0).as_str()) {
            return None;
        }
        let spec = from.spec.value();
        let value = reference.output.get(&spec)?;
        match Reference::read(value) {
            Ok(Some(next)) => self.given(&next, registry, hops.checked_sub(1)?),
            Ok(None) | Err(_) => (!holds_references(value)).then(|| value.clone()),
        }
    }

    /// A spec, with what it takes from the fields of others, where those are known.
    pub(super) fn known_spec(&self, resource: &DesiredResource, registry: &Registry) -> Doc {
        let mut spec = resource.spec.value();
        let replaced =
            substitute(&mut spec, &mut |reference| match self.known(reference, registry, HOPS_MAX) {
                Some(Known::Value(value)) => Some(value),
                Some(Known::Like(..)) | None => None,
            });
        // What is too large is told when it is planned.
        if replaced.is_ok() { Doc::new(&spec) } else { resource.spec.clone() }
    }

    fn known(&self, reference: &Reference, registry: &Registry, hops: usize) -> Option<Known> {
        let from = self.resources.get(&reference.from)?;
        let facts = registry.kind(reference.from.kind())?.facts();
        let name = reference.output.segments().swap_remove(0);
        if facts.outputs?.contains(&name.as_str()) {
            let value = reference.output.get(facts.sample.as_ref()?)?;
            return Sort::of(value).map(|sort| Known::Like(value.clone(), sort));
        }
        let spec = from.spec.value();
        let value = reference.output.get(&spec)?;
        if let Ok(Some(next)) = Reference::read(value) {
            return self.known(&next, registry, hops.checked_sub(1)?);
        }
        let is_secret = !facts.traits.sensitive.is_empty() || !from.extra().sensitive.is_empty();
        match value {
            Value::Number(_) if is_secret => Some(Known::Like(json!(1), Sort::Number)),
            Value::Bool(_) if is_secret => Some(Known::Like(json!(false), Sort::Boolean)),
            Value::String(_) if is_secret => Some(Known::Like(json!(LATER), Sort::Text)),
            _ if is_secret || holds_references(value) => None,
            _ => Some(Known::Value(value.clone())),
        }
    }
}

fn holds_references(value: &Value) -> bool {
    let mut found = Vec::new();
    collect_references(value, &mut found).is_err() || !found.is_empty()
}

/// The sorts of values of which a type alone tells that they do not fit somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Number,
    Boolean,
    Text,
}

impl Sort {
    /// The sort of a made-up value; `None` where its type leaves that open.
    fn of(made_up: &Value) -> Option<Self> {
        match made_up {
            Value::Number(_) => Some(Self::Number),
            Value::Bool(_) => Some(Self::Boolean),
            Value::String(text) if text == LATER => Some(Self::Text),
            Value::String(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The sort that an error asks for.
    fn asked_for_in(said: &str) -> Option<Self> {
        let (_, asked) = said.split_once("must be ")?;
        let starts = |sort: &Self| match sort {
            Self::Number => asked.starts_with("a number") || asked.starts_with("a whole number"),
            Self::Boolean => asked.starts_with("true or false"),
            Self::Text => asked.starts_with("text"),
        };
        [Self::Number, Self::Boolean, Self::Text].into_iter().find(starts)
    }

    /// How an error names the value that was made up.
    fn made_up(self) -> String {
        match self {
            Self::Number => "the number 1".to_owned(),
            Self::Boolean => "false".to_owned(),
            Self::Text => format!("the text {LATER:?}"),
        }
    }

    /// How it names the sort.
    const fn name(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Text => "a text",
        }
    }
}

/// What to write in the place of a reference that is of another sort.
fn instead(reference: &Reference, sort: Sort, registry: &Registry) -> String {
    let kind = reference.from.kind();
    let sample = registry.kind(kind).and_then(|kind| kind.facts().sample.as_ref()?.as_object());
    let fitting = sample.into_iter().flatten().filter(|(_, value)| Sort::of(value) == Some(sort));
    let fitting: Vec<&str> = fitting.map(|(name, _)| name.as_str()).collect();
    let sort = sort.name();
    if fitting.is_empty() {
        return format!("refer to {sort} instead");
    }
    format!("refer to {sort} instead; such outputs of a {kind}: {}", fitting.join(", "))
}
