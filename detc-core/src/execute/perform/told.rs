//! What can be said of fields whose sensitive values this process was not given.
//!
//! Those that are recorded were never kept, so that what is there can not be compared with them. What can be is its trace,
//! where its kind tells one: a keyed digest of it was recorded.

use std::collections::BTreeMap;

use serde_json::Value;

use super::around::Surroundings;
use crate::model::secret::{Vault, has_mark, holds_mark};
use crate::model::{Digest, Doc, Observation, Present, RecordBody};

/// Said of a field of which only its trace tells that it is another.
const OTHER: &str = "(other than it was left)";

impl Surroundings {
    /// The fields of `spec` in which a sensitive value stands that this process does not have.
    pub(super) fn lost(&self, spec: &Doc) -> Vec<String> {
        let (true, Value::Object(fields)) = (has_mark(spec.text()), spec.value()) else { return Vec::new() };
        let vault = self.vault();
        let lost = fields.into_iter().filter(|(_, value)| is_lost(value, &vault));
        lost.map(|(name, _)| name).collect()
    }

    /// An observation by `spec`, of which these fields were `lost` when it was made: a field that is as it was left is as
    /// the record says. Where nothing tells that, and what was looked for was made up, it is taken to be as the spec says.
    pub(super) fn as_told(
        &self,
        observation: Observation,
        spec: &Doc,
        base: Option<&RecordBody>,
        lost: &[String],
    ) -> Observation {
        let Observation::Present(mut present) = observation else { return observation };
        let base = base.filter(|body| has_mark(body.spec.text()));
        if lost.is_empty() && base.is_none() {
            return Observation::Present(present);
        }
        let wanted = spec.value();
        if let Some(body) = base
            && let Value::Object(recorded) = body.spec.value()
        {
            for (name, left) in recorded.into_iter().filter(|(_, left)| holds_mark(left)) {
                let is_lost = lost.contains(&name);
                if !is_lost && present.fields.get(&name) == wanted.get(&name) {
                    continue;
                }
                match self.is_as_left(&present, body, &name, &left, wanted.get(&name)) {
                    Some(true) => set(&mut present, &name, left),
                    Some(false) if !present.fields.contains_key(&name) => {
                        set(&mut present, &name, OTHER.into());
                    }
                    Some(false) | None => {}
                }
            }
        }
        let is_told = |name: &str| base.is_some_and(|body| body.traces.contains_key(name));
        for name in lost.iter().filter(|name| !is_told(name)) {
            if let (Some(seen), Some(value)) = (present.fields.get_mut(name), wanted.get(name)) {
                *seen = value.clone();
            }
        }
        Observation::Present(present)
    }

    /// Whether a field is as it was `left`, as far as its trace tells.
    fn is_as_left(
        &self,
        present: &Present,
        body: &RecordBody,
        name: &str,
        left: &Value,
        wanted: Option<&Value>,
    ) -> Option<bool> {
        let trace = present.traces.get(name)?;
        match body.traces.get(name) {
            Some(recorded) => Some(self.key.of_trace(trace) == *recorded),
            // It was recorded without one, when it was not sensitive yet. It was looked for by what is wanted, which says
            // nothing of it.
            None if wanted != Some(left) && is_lost(left, &self.vault()) => Some(true),
            None => None,
        }
    }

    /// What is recorded of the traces of those fields that have sensitive values in them.
    pub(super) fn traces(
        &self,
        spec: &Doc,
        observed: &Observation,
        before: Option<&RecordBody>,
    ) -> BTreeMap<String, Digest> {
        if !has_mark(spec.text()) {
            return BTreeMap::new();
        }
        let fields = spec.value();
        let is_marked = |name: &String| fields.get(name).is_some_and(holds_mark);
        match observed {
            Observation::Present(present) => {
                let marked = present.traces.iter().filter(|(name, _)| is_marked(name));
                marked.map(|(name, trace)| (name.clone(), self.key.of_trace(trace))).collect()
            }
            Observation::Absent
            | Observation::Needed(_)
            | Observation::Unobservable
            | Observation::Unknown(_) => {
                let before = before.map(|body| body.traces.clone()).unwrap_or_default();
                before.into_iter().filter(|(name, _)| is_marked(name)).collect()
            }
        }
    }
}

fn is_lost(value: &Value, vault: &Vault) -> bool {
    holds_mark(value) && vault.open(&mut value.clone()).is_err()
}

/// Sets a field of which it is known now what it is.
fn set(present: &mut Present, name: &str, value: Value) {
    present.fields.insert(name.to_owned(), value);
    let before = present.uncompared.len();
    present.uncompared.retain(|uncompared| uncompared != name);
    if present.uncompared.is_empty() && before > 0 {
        present.detail = None;
    }
}

#[cfg(test)]
mod tests;
