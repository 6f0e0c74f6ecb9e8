//! Sorting many ids: by a short prefix first, since comparing a million texts through pointers is slow.

use crate::model::ResourceId;

/// The order of `ids` as indices into them, smallest first.
pub(super) fn order_of<'a>(ids: impl ExactSizeIterator<Item = &'a ResourceId> + Clone) -> Vec<u32> {
    let skip = common_prefix(ids.clone());
    let mut keyed: Vec<(u128, u32)> = ids
        .clone()
        .enumerate()
        .map(|(index, id)| (key(&id.as_str().as_bytes()[skip..]), index as u32))
        .collect();
    keyed.sort_unstable();
    let all: Vec<&ResourceId> = ids.collect();
    // Ids that agree in the sixteen bytes that were compared are few; they are put in order by their whole texts.
    let mut start = 0;
    while start < keyed.len() {
        let end = start + keyed[start..].iter().take_while(|(key, _)| *key == keyed[start].0).count();
        if end - start > 1 {
            keyed[start..end].sort_unstable_by_key(|(_, index)| all[*index as usize]);
        }
        start = end;
    }
    keyed.into_iter().map(|(_, index)| index).collect()
}

/// Puts `items` in `order`: the item at `order[i]` comes to `i`. In place, since a second copy of a million
/// items is what costs.
pub(super) fn permute<T>(items: &mut [T], mut order: Vec<u32>) {
    /// Marks a place whose item has come.
    const DONE: u32 = u32::MAX;
    for start in 0..order.len() {
        let mut at = start;
        while order[at] != DONE {
            let from = std::mem::replace(&mut order[at], DONE) as usize;
            if from == start {
                break;
            }
            items.swap(at, from);
            at = from;
        }
    }
}

fn key(bytes: &[u8]) -> u128 {
    let mut padded = [0_u8; 16];
    let len = bytes.len().min(16);
    padded[..len].copy_from_slice(&bytes[..len]);
    u128::from_be_bytes(padded)
}

fn common_prefix<'a>(mut ids: impl Iterator<Item = &'a ResourceId>) -> usize {
    let Some(first) = ids.next() else { return 0 };
    let first = first.as_str().as_bytes();
    ids.fold(first.len(), |len, id| {
        first[..len].iter().zip(id.as_str().as_bytes()).take_while(|(a, b)| a == b).count()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn items_come_where_the_order_says(keys in prop::collection::vec(0_u32..50, 0..60)) {
            let mut order: Vec<u32> = (0..keys.len() as u32).collect();
            order.sort_by_key(|index| keys[*index as usize]);
            let expected: Vec<u32> = order.iter().map(|index| keys[*index as usize]).collect();
            let mut items = keys;
            permute(&mut items, order);
            prop_assert_eq!(items, expected);
        }

        #[test]
        fn it_sorts_as_the_standard_library_does(names in prop::collection::vec("[ab]{1,24}|[ab]?x{15,16}[ab]{1,2}", 0..40)) {
            let ids: Vec<ResourceId> = names.iter().map(|name| ResourceId::new("value", name).unwrap()).collect();
            let ours: Vec<&ResourceId> = order_of(ids.iter()).into_iter().map(|index| &ids[index as usize]).collect();
            let mut theirs: Vec<&ResourceId> = ids.iter().collect();
            theirs.sort();
            prop_assert_eq!(ours, theirs);
        }
    }
}
