//! Texts of which a spec only names the file: what of them changes is shown beside the digests.

use super::{PlanError, PlanInput};
use crate::diff::{Change, FieldChange};
use crate::model::secret::has_mark;
use crate::model::{DesiredResource, Doc, FieldPath, Observation, RecordBody};
use crate::resource::KindFacts;

/// Longest text that is compared: as long as a person reads, and short enough that many of them fit into one plan.
const LEN_MAX: usize = 16 << 10;

/// That something can be made of the files that a resource names, where all that it takes from others is known and stays as
/// it is. Where it refers to nothing, that was checked with the desired state.
pub(super) fn check_text(
    desired: &DesiredResource,
    to: Option<&Doc>,
    input: &PlanInput<'_>,
    facts: &KindFacts,
) -> Result<(), PlanError> {
    let (Some(text), Some(to)) = (facts.traits.text, to) else { return Ok(()) };
    // What is sensitive must not be told, and is marked here.
    if desired.references.is_empty() || to.may_hold_references() || has_mark(to.text()) {
        return Ok(());
    }
    (text.read)(&to.value(), &input.desired.blobs).map(drop).map_err(|error| PlanError::Text {
        resource: desired.id.clone(),
        problem: error.full_message(),
        hint: error.hint().map(str::to_owned),
    })
}

/// Adds to `change` how the text that is there becomes the one that is desired. Where anything of the resource is sensitive,
/// or was when it was recorded, the text may hold it, and nothing is added.
pub(super) fn add_text(
    change: &mut Change,
    desired: &DesiredResource,
    input: &PlanInput<'_>,
    facts: &KindFacts,
    (observed, body): (&Observation, Option<&RecordBody>),
) {
    let (Some(text), Observation::Present(present)) = (facts.traits.text, observed) else { return };
    let Some(to) = &change.to else { return };
    let was_sensitive = body.is_some_and(|body| {
        has_mark(body.spec.text()) || body.extra.as_ref().is_some_and(|extra| !extra.sensitive.is_empty())
    });
    if was_sensitive || has_mark(to.text()) || !desired.extra().sensitive.is_empty() {
        return;
    }
    let text_of = |spec: &Doc| (text.read)(&spec.value(), &input.desired.blobs).ok().flatten();
    // What was made from files that are still desired, and is as it was left, is made of them once more.
    let from = present.text.clone().or_else(|| text_of(&body?.spec));
    let (Some(from), Some(to)) = (from, text_of(to)) else { return };
    let is_named = |field: &&FieldChange| {
        let name = field.path.segments().swap_remove(0);
        facts.traits.sources.iter().any(|source| source.split('.').next() == Some(&name))
    };
    let cause = change.fields.iter().find(is_named).map(|field| field.cause);
    let Some(cause) = cause.filter(|_| from != to && from.len().max(to.len()) <= LEN_MAX) else { return };
    let path = FieldPath::from_segments([text.field]);
    let mut fields = std::mem::take(&mut change.fields).into_vec();
    fields.retain(|field| field.path != path);
    fields.push(FieldChange { path, from: from.into(), to: to.into(), cause });
    fields.sort_by(|a, b| a.path.cmp(&b.path));
    change.fields = fields.into();
}
