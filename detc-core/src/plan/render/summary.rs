//! The fields of many changes as one list: what is the same in all, and how many values there are of what is not.

use serde_json::Value;

use super::value::Own;
use super::{Lookup, fields_of};
use crate::diff::{Cause, ChangeKind};
use crate::model::{Digest, Map, Set, write_canonical};

/// One field as it is shown.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// Which field.
    pub(super) path: String,
    /// What it is; `None` where there was nothing before.
    pub(super) from: Option<Value>,
    /// What it will be.
    pub(super) to: Value,
    /// Whether the world drifted.
    pub(super) cause: Cause,
    /// How many values it has among those that are shown as one.
    pub(super) values: usize,
    /// How many of them have it.
    pub(super) having: usize,
}

/// The fields of one change: those that differ, or for something new all of them.
pub(super) fn fields(lookup: &Lookup<'_>, index: u32) -> Vec<Shown> {
    let change = lookup.change(index);
    let shown = |path: &str, from: Option<Value>, to: Value, cause: Cause| Shown {
        path: path.to_owned(),
        from,
        to,
        cause,
        values: 1,
        having: 1,
    };
    match (change.kind, &change.to) {
        (ChangeKind::Create, Some(spec)) => fields_of(spec)
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| shown(&name, None, value, Cause::Intent))
            .collect(),
        _ => change
            .fields
            .iter()
            .map(|field| shown(field.path.as_str(), Some(field.from.clone()), field.to.clone(), field.cause))
            .collect(),
    }
}

/// The fields of all these changes, own names taken out.
pub(super) fn summary(lookup: &Lookup<'_>, members: &[u32]) -> Vec<Shown> {
    let mut found: Map<String, (Shown, Set<Digest>)> = Map::default();
    let mut buffer = String::new();
    for member in members {
        let own = Own::new(&lookup.change(*member).resource, lookup.host(*member));
        for mut field in fields(lookup, *member) {
            field.from = field.from.map(|from| own.replace_in(&from));
            field.to = own.replace_in(&field.to);
            buffer.clear();
            write_canonical(field.from.as_ref().unwrap_or(&Value::Null), &mut buffer);
            buffer.push(' ');
            write_canonical(&field.to, &mut buffer);
            let digest = Digest::of(buffer.as_bytes());
            let (shown, values) = found
                .entry(field.path.clone())
                .or_insert_with(|| (Shown { having: 0, ..field }, Set::default()));
            shown.having += 1;
            values.insert(digest);
        }
    }
    found.into_values().map(|(shown, values)| Shown { values: values.len(), ..shown }).collect()
}
