//! That invariants are about something: a slip of the pen in a selector would prove what nobody asked.

use super::{InvalidState, unknown_kind};
use crate::model::{Desired, DesiredResource, FieldPath, Invariant, InvariantBound, Measure};
use crate::resource::{KindFacts, Registry, nearest};

impl Desired {
    /// What is wrong with the invariants themselves: kinds, hosts and fields that there are not.
    pub(super) fn check_invariants(&self, registry: &Registry) -> Vec<InvalidState> {
        let wrong = |invariant: &Invariant| {
            let error = self.check_invariant(invariant, registry).err()?;
            let origin = self.invariant_origins.get(&invariant.name).copied().unwrap_or_default();
            let message = format!("invariant `{}`: {}", invariant.name, error.message);
            Some(InvalidState { message, ..error }.located(self, origin))
        };
        self.invariants.iter().filter_map(wrong).collect()
    }

    fn check_invariant(&self, invariant: &Invariant, registry: &Registry) -> Result<(), InvalidState> {
        let selector = invariant.measure.selector();
        if let Some(host) = selector.host.as_ref().filter(|host| !self.hosts.contains_key(*host)) {
            return Err(InvalidState::new(format!("host `{host}` is not declared"))
                .with_hint(format!("declared hosts: {}", self.host_names())));
        }
        let kinds: Vec<&KindFacts> = match &selector.kind {
            Some(kind) => vec![registry.kind(kind).ok_or_else(|| unknown_kind(kind, registry))?.facts()],
            None => registry.kind_names().filter_map(|kind| Some(registry.kind(kind)?.facts())).collect(),
        };
        match (&invariant.measure, invariant.bound) {
            (Measure::Available(_), InvariantBound::AtLeast(bound @ ..0)) => {
                return Err(InvalidState::new(format!("`at_least: {bound}` says nothing: it always holds"))
                    .with_hint("write how many must be there at every moment, or remove the invariant"));
            }
            (Measure::Available(_), InvariantBound::AtMost(bound @ ..0)) => {
                return Err(InvalidState::new(format!(
                    "`at_most: {bound}` can not be kept: none is the least"
                ))
                .with_hint("write how many may be there at any moment"));
            }
            _ => {}
        }
        match &invariant.measure {
            Measure::Available(_) => Ok(()),
            Measure::Total { field, .. } => check_field(field, &kinds),
        }
    }

    /// That what the invariants sum of this resource is a whole number, known before anything is done: what can not be
    /// counted can not be proven.
    pub(super) fn check_sums(&self, resource: &DesiredResource) -> Result<(), InvalidState> {
        for invariant in &self.invariants {
            let Measure::Total { field, of } = &invariant.measure else { continue };
            if !of.matches(&resource.id, resource.host.as_ref(), &resource.extra().labels) {
                continue;
            }
            let (is, hint) = match sum_of(resource, field) {
                Sum::None => continue,
                Sum::Number if resource.extra().sensitive.iter().any(|path| path.covers(field)) => {
                    ("sensitive", "take it out of `sensitive`: a sum tells it")
                }
                Sum::Number => continue,
                Sum::Later => ("known only later", "write the number itself"),
                Sum::Other => ("no whole number", "write a whole number of at most 64 bits"),
            };
            let message = format!("`{field}` is {is}, and the invariant `{}` sums it", invariant.name);
            return Err(InvalidState::new(message).with_hint(hint));
        }
        Ok(())
    }
}

/// What a resource has where an invariant sums.
enum Sum {
    None,
    Number,
    Later,
    Other,
}

fn sum_of(resource: &DesiredResource, field: &FieldPath) -> Sum {
    let fields = resource.spec.value();
    let segments = field.segments();
    let is_later = (1..=segments.len())
        .filter_map(|length| FieldPath::from_segments(&segments[..length]).get(&fields))
        .any(|value| resource.references.iter().any(|reference| reference.to_value() == *value));
    match field.get(&fields) {
        _ if is_later => Sum::Later,
        None => Sum::None,
        Some(value) if value.is_null() => Sum::None,
        Some(value) if value.as_i64().is_some() => Sum::Number,
        Some(_) => Sum::Other,
    }
}

/// That one of these kinds has such a field.
fn check_field(field: &FieldPath, kinds: &[&KindFacts]) -> Result<(), InvalidState> {
    let name = field.segments().swap_remove(0);
    if kinds.iter().any(|facts| facts.fields.is_none_or(|fields| fields.contains(&name.as_str()))) {
        return Ok(());
    }
    let mut known: Vec<&str> =
        kinds.iter().flat_map(|facts| facts.fields.unwrap_or_default()).copied().collect();
    known.sort_unstable();
    known.dedup();
    let error = InvalidState::new(match kinds {
        [only] => format!("`{field}` names no field: {} has {}", only.name, known.join(", ")),
        _ => format!("`{field}` names no field of any kind"),
    });
    Err(match nearest(&name, known) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error,
    })
}
