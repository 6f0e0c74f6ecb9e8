//! Many texts, each of which is to be found wherever it stands within others.

use std::collections::BTreeSet;
use std::ops::{Bound, Range};
use std::sync::Arc;

use super::Set;

/// Shorter texts are not looked for: they stand anywhere by chance.
pub(super) const LEN_MIN: usize = 4;

/// Texts that are looked for. To look through a text takes a step for each of its bytes, however many are looked for, and
/// more only where one may begin.
#[derive(Clone, Default)]
pub(super) struct Texts {
    /// In order, so that of all beginnings of a text the longest is found by few steps down.
    all: BTreeSet<Arc<str>>,
    /// The first bytes of each.
    heads: Set<[u8; LEN_MIN]>,
}

impl Texts {
    pub(super) fn insert(&mut self, text: &str) {
        if let Some(head) = text.as_bytes().first_chunk()
            && !self.all.contains(text)
        {
            self.heads.insert(*head);
            self.all.insert(text.into());
        }
    }

    /// Whether this is one of them.
    pub(super) fn contains(&self, text: &str) -> bool {
        self.all.contains(text)
    }

    /// Where each of them stands in `text` that begins where no longer one does, in order; some may overlap.
    pub(super) fn found_in<'t>(&'t self, text: &'t str) -> impl Iterator<Item = Range<usize>> + 't {
        let begins = text.as_bytes().windows(LEN_MIN).enumerate();
        begins.filter_map(|(at, head)| {
            // A byte that a text begins with is never within a character.
            self.heads
                .contains(head)
                .then(|| self.beginning_of(&text[at..]))
                .flatten()
                .map(|len| at..at + len)
        })
    }

    /// How long the longest of them is that `text` begins with.
    fn beginning_of(&self, text: &str) -> Option<usize> {
        let mut upto = text;
        // The last that does not come after `upto` either begins it, or all that begin it begin what both have in common:
        // one that is longer would come between them.
        loop {
            let last = self.all.range::<str, _>((Bound::Unbounded, Bound::Included(upto))).next_back()?;
            if upto.starts_with(&**last) {
                return Some(last.len());
            }
            let mut common = last.bytes().zip(upto.bytes()).take_while(|(a, b)| a == b).count();
            while !upto.is_char_boundary(common) {
                common -= 1;
            }
            if common < LEN_MIN {
                return None;
            }
            upto = &upto[..common];
        }
    }

    /// `text` with `by` for each stretch of it that they cover.
    pub(super) fn replace(&self, text: &str, by: &str) -> String {
        let mut replaced = String::with_capacity(text.len());
        let mut found = self.found_in(text);
        let mut open = found.next();
        let mut upto = 0;
        while let Some(mut stretch) = open {
            open = None;
            for next in found.by_ref() {
                if next.start >= stretch.end {
                    open = Some(next);
                    break;
                }
                stretch.end = stretch.end.max(next.end);
            }
            replaced.push_str(&text[upto..stretch.start]);
            replaced.push_str(by);
            upto = stretch.end;
        }
        replaced.push_str(&text[upto..]);
        replaced
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(all: &[&str]) -> Texts {
        let mut texts = Texts::default();
        all.iter().for_each(|text| texts.insert(text));
        texts
    }

    #[test]
    fn what_overlaps_is_replaced_as_one_and_what_touches_is_not() {
        let texts = texts(&["hunter22", "22-more", "abcd", "abc"]);
        let check = |text: &str, replaced: &str| assert_eq!(texts.replace(text, "_"), replaced, "{text}");
        check("a hunter22-more b", "a _ b");
        check("abcdabcd abc", "__ abc");
        check("", "");
        check("abc", "abc");
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_a_search_for_each_finds(
            all in prop::collection::vec("[abßà]{0,7}", 0..12),
            text in "[abßà]{0,30}",
        ) {
            let texts = texts(&all.iter().map(String::as_str).collect::<Vec<_>>());
            let found: Vec<Range<usize>> = texts.found_in(&text).collect();
            let longest = |at: usize| {
                let begins = all.iter().filter(|one| one.len() >= LEN_MIN && text[at..].starts_with(one.as_str()));
                begins.map(|one| at..at + one.len()).max_by_key(|range| range.end)
            };
            let expected: Vec<Range<usize>> = text.char_indices().filter_map(|(at, _)| longest(at)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
