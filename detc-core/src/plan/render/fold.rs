//! Like changes become one entry: the same kind of resource, kind of change, reason and fields, once each resource's own
//! name and host are taken out.
//!
//! One pass with a digest for each change; a run of changes that differ in nothing but their names costs a comparison.

use std::collections::BTreeMap;

use super::Lookup;
use super::value::Own;
use super::waits::before;
use crate::diff::{Cause, Change, ChangeKind, Reason};
use crate::model::{Digest, Map, write_canonical};

/// What is shown as one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// One change.
    One(u32),
    /// Changes that are alike, and the few others of their sort.
    Like { members: Vec<u32>, except: Vec<u32> },
    /// Changes of the same fields to various values.
    Various(Vec<u32>),
}

/// Fewest changes that are shown as one: two are as quickly read in full.
const LIKE_MIN: usize = 3;

/// Most changes that are shown in full in spite of being alike: a small plan is read as it is.
const FULL_MAX: usize = 8;

/// Most exceptions beneath an entry; when there are more, they are entries themselves.
const EXCEPT_MAX: usize = 5;

/// All changes as entries, each where the first of its changes is done.
pub(super) fn fold(lookup: &Lookup<'_>) -> Vec<Entry> {
    if lookup.plan.changes.len() <= FULL_MAX {
        return one_by_one(lookup);
    }
    let classes = classes(lookup).into_values();
    let entries = classes.flat_map(|class| entries(lookup, class));
    let mut entries: Vec<Entry> = entries.flat_map(|entry| readable(lookup, entry)).collect();
    entries.sort_by_cached_key(|entry| entry.changes().map(|index| lookup.place(*index)).min());
    entries
}

/// Most changes of an entry that are shown by themselves again.
const SPLIT_MAX: usize = 32;

/// The entry; or each of its changes by itself where something comes after one of them and before another: as one they would
/// read as a loop.
fn readable(lookup: &Lookup<'_>, entry: Entry) -> Vec<Entry> {
    let mut members: Vec<u32> = entry.changes().copied().collect();
    members.sort_unstable();
    let is_member = |change: &u32| members.binary_search(change).is_ok();
    let is_between = |change: &u32| !is_member(change) && before(lookup, &[*change]).iter().any(is_member);
    if members.len() < 2 || members.len() > SPLIT_MAX || !before(lookup, &members).iter().any(is_between) {
        return vec![entry];
    }
    members.into_iter().map(Entry::One).collect()
}

/// Each change by itself, in the order in which they are done.
pub(super) fn one_by_one(lookup: &Lookup<'_>) -> Vec<Entry> {
    let mut all: Vec<u32> = (0..lookup.plan.changes.len() as u32).collect();
    all.sort_unstable_by_key(|index| lookup.place(*index));
    all.into_iter().map(Entry::One).collect()
}

impl Entry {
    /// What it stands for.
    pub(super) fn changes(&self) -> impl Iterator<Item = &u32> {
        let (members, except): (&[u32], &[u32]) = match self {
            Self::One(index) => (std::slice::from_ref(index), &[]),
            Self::Like { members, except } => (members, except),
            Self::Various(members) => (members, &[]),
        };
        members.iter().chain(except)
    }

    /// How many changes it stands for.
    pub(super) fn size(&self) -> usize {
        self.changes().count()
    }
}

type Class<'a> = Map<Digest, Vec<u32>>;

fn classes<'a>(lookup: &Lookup<'a>) -> BTreeMap<(ChangeKind, &'a str), Class<'a>> {
    let mut classes: BTreeMap<(ChangeKind, &'a str), Class<'a>> = BTreeMap::new();
    let mut buffer = String::new();
    let mut last: Option<(&Change, Digest)> = None;
    for (index, change) in lookup.plan.changes.iter().enumerate() {
        let digest = match last {
            Some((other, digest)) if plainly_alike(change, other) => digest,
            _ => signature(lookup, index as u32, &mut buffer),
        };
        last = Some((change, digest));
        let class = classes.entry((change.kind, change.resource.kind())).or_default();
        class.entry(digest).or_default().push(index as u32);
    }
    classes
}

/// Whether two changes are alike without a look at names or values.
fn plainly_alike(a: &Change, b: &Change) -> bool {
    let plain = |reason: &Reason| {
        matches!(
            reason,
            Reason::New
                | Reason::Gone
                | Reason::Found
                | Reason::Intent
                | Reason::Drift
                | Reason::IntentAndDrift
                | Reason::RecordOnly
                | Reason::Overtaken
                | Reason::NotDesired
                | Reason::WasAdopted
                | Reason::WasOthers
        )
    };
    a.kind == b.kind
        && a.fields.is_empty()
        && b.fields.is_empty()
        && plain(&a.reason)
        && a.reason == b.reason
        && a.resource.kind() == b.resource.kind()
}

/// What makes changes alike: reason and fields, own names taken out.
fn signature(lookup: &Lookup<'_>, index: u32, buffer: &mut String) -> Digest {
    let change = lookup.change(index);
    let own = Own::new(&change.resource, lookup.host(index));
    buffer.clear();
    push_reason(change, &own, buffer);
    for field in &change.fields {
        buffer.push('\n');
        buffer.push_str(field.path.as_str());
        buffer.push(' ');
        for value in [&field.from, &field.to] {
            write_canonical(&own.replace_in(value), buffer);
            buffer.push(' ');
        }
        buffer.push(match field.cause {
            Cause::Intent => 'i',
            Cause::Drift => 'd',
            Cause::Both => 'b',
        });
    }
    Digest::of(buffer.as_bytes())
}

/// What changes of the same fields to various values have in common.
fn shape(lookup: &Lookup<'_>, index: u32) -> String {
    let change = lookup.change(index);
    let mut shape = String::new();
    push_reason(change, &Own::new(&change.resource, lookup.host(index)), &mut shape);
    for field in &change.fields {
        shape.push('\n');
        shape.push_str(field.path.as_str());
    }
    shape
}

fn push_reason(change: &Change, own: &Own<'_>, out: &mut String) {
    let reason = change.reason.to_string();
    out.push_str(&own.replace(&reason).unwrap_or(reason));
}

fn entries(lookup: &Lookup<'_>, class: Class<'_>) -> Vec<Entry> {
    let total: usize = class.values().map(Vec::len).sum();
    let mut variants: Vec<Vec<u32>> = class.into_values().collect();
    variants.sort_by_key(|members| (std::cmp::Reverse(members.len()), members[0]));
    if variants[0].len() >= LIKE_MIN && total - variants[0].len() <= EXCEPT_MAX.min(variants[0].len()) {
        let mut rest = variants.split_off(1).concat();
        rest.sort_unstable();
        return vec![Entry::Like { members: variants.swap_remove(0), except: rest }];
    }
    let mut entries = Vec::new();
    let mut shapes: Map<String, Vec<u32>> = Map::default();
    for members in variants {
        if members.len() >= LIKE_MIN {
            entries.push(Entry::Like { members, except: Vec::new() });
        } else {
            for member in members {
                shapes.entry(shape(lookup, member)).or_default().push(member);
            }
        }
    }
    let mut various: Vec<Vec<u32>> = shapes.into_values().collect();
    various.iter_mut().for_each(|members| members.sort_unstable());
    various.sort_by_key(|members| (std::cmp::Reverse(members.len()), members[0]));
    for members in various {
        if members.len() >= LIKE_MIN {
            entries.push(Entry::Various(members));
        } else {
            entries.extend(members.into_iter().map(Entry::One));
        }
    }
    entries
}

/// What the ids of these changes have in common: `file/web-*/conf`.
pub(super) fn label(lookup: &Lookup<'_>, members: &[u32]) -> String {
    let id = |index: &u32| lookup.change(*index).resource.as_str();
    let first = id(&members[0]);
    let bytes = first.as_bytes();
    let (mut head, mut tail) = (bytes.len(), bytes.len());
    for member in members {
        let other = id(member).as_bytes();
        head = bytes[..head].iter().zip(other).take_while(|(a, b)| a == b).count();
        let same_end = bytes.iter().rev().zip(other.iter().rev()).take(tail).take_while(|(a, b)| a == b);
        tail = same_end.count();
    }
    let shortest = members.iter().map(|member| id(member).len()).min().unwrap_or_default();
    tail = tail.min(shortest - head.min(shortest));
    let (mut before, mut after) = (first.len().min(head), first.len() - tail);
    while !first.is_char_boundary(before) {
        before -= 1;
    }
    while !first.is_char_boundary(after) {
        after += 1;
    }
    let (before, after) = (&first[..before], &first[after..]);
    // Digits that happen to be the same are part of what varies: `v*`, not `v00*` or `v*7`.
    let is_digit = |c: char| c.is_ascii_digit();
    let before = Some(before.trim_end_matches(is_digit)).filter(|text| text.contains('/')).unwrap_or(before);
    format!("{before}*{}", after.trim_start_matches(is_digit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::support::{World, value};

    #[test]
    fn a_label_says_what_ids_have_in_common() {
        let label_of = |names: &[&str]| {
            let world = World::new().want(names.iter().map(|name| value(name, serde_json::json!(1))));
            let plan = world.plan();
            let members: Vec<u32> = (0..names.len() as u32).collect();
            label(&Lookup::new(&plan), &members)
        };
        assert_eq!(label_of(&["web-1/conf", "web-12/conf"]), "value/web-*/conf");
        assert_eq!(label_of(&["v001", "v002", "v017"]), "value/v*");
        assert_eq!(label_of(&["a", "aa", "aaa"]), "value/a*");
        assert_eq!(label_of(&["zoë-x", "zoé-x"]), "value/zo*-x");
        assert_eq!(label_of(&["alpha", "beta"]), "value/*a");
        // Two letters of which the last bytes are the same.
        assert_eq!(label_of(&["x-é", "y-ũ"]), "value/*");
    }
}
