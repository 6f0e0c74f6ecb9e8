//! Partial plans: some of the changes, with all that they need.

use std::fmt::{self, Display};
use std::str::FromStr;

use super::{Plan, PlanError, PlanInput, Refuted};
use crate::model::ResourceId;

/// Which part of a plan to keep.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Selection {
    /// Only these, and every action that they come after.
    pub only: Vec<Pattern>,
    /// Not these, nor any action that comes after them.
    pub except: Vec<Pattern>,
}

impl Selection {
    /// Everything.
    pub fn all() -> Self {
        Self::default()
    }

    /// Whether nothing is left out.
    pub fn is_all(&self) -> bool {
        self.only.is_empty() && self.except.is_empty()
    }

    /// Only what matches `pattern`, and what it needs.
    #[must_use]
    pub fn only(mut self, pattern: Pattern) -> Self {
        self.only.push(pattern);
        self
    }

    /// Not what matches `pattern`, nor what needs it.
    #[must_use]
    pub fn except(mut self, pattern: Pattern) -> Self {
        self.except.push(pattern);
        self
    }
}

/// A resource id in which `*` stands for any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Whether it matches.
    pub fn matches(&self, id: &ResourceId) -> bool {
        let mut parts = self.0.split('*');
        let text = id.as_str();
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

impl FromStr for Pattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            Err("a pattern is empty: it matches nothing")
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Plan {
    /// The part of the plan that `selection` names, closed under what it needs, and sealed anew.
    #[must_use]
    pub fn select(self, selection: &Selection) -> Self {
        if selection.is_all() {
            return self;
        }
        let named =
            |patterns: &[Pattern], id: &ResourceId| patterns.iter().any(|pattern| pattern.matches(id));
        let mut kept: Vec<bool> = (0..self.actions.len() as u32)
            .map(|index| selection.only.is_empty() || named(&selection.only, self.resource_of(index)))
            .collect();
        self.close_over_needs(&mut kept);
        for (index, keep) in kept.iter_mut().enumerate() {
            *keep &= !named(&selection.except, self.resource_of(index as u32));
        }
        self.drop_dependents(&mut kept);
        self.keep(&kept, selection)
    }

    /// The same of a plan that was built from `input`, whose predicates are asked again.
    ///
    /// # Errors
    /// When a pattern matches nothing that is desired or recorded, whether it changes or not.
    pub(super) fn select_of(self, selection: &Selection, input: &PlanInput<'_>) -> Result<Self, PlanError> {
        for pattern in selection.only.iter().chain(&selection.except) {
            let mut known = input.desired.resources.keys().chain(input.recorded.keys());
            if !known.any(|id| pattern.matches(id)) {
                return Err(PlanError::NoMatch(pattern.to_string()));
            }
        }
        let (whole, mut part) = (self.actions.len(), self.select(selection));
        if part.actions.len() < whole && !part.examined.is_empty() {
            part.examined = super::examine(&part, input)?;
            part.seal();
        }
        Ok(part)
    }

    /// Marks everything that a marked action comes after, and the other half of a replacement.
    fn close_over_needs(&self, kept: &mut [bool]) {
        loop {
            for index in (0..self.actions.len()).rev() {
                if kept[index] {
                    for before in &self.actions[index].after {
                        kept[*before as usize] = true;
                    }
                }
            }
            let mut begun = vec![false; self.changes.len()];
            for (action, kept) in self.actions.iter().zip(&*kept) {
                begun[action.change as usize] |= kept;
            }
            let mut added = false;
            for (action, kept) in self.actions.iter().zip(&mut *kept) {
                added |= begun[action.change as usize] && !*kept;
                *kept |= begun[action.change as usize];
            }
            if !added {
                return;
            }
        }
    }

    /// Drops whatever comes after something that is left out, and the other half of a replacement that is, until
    /// nothing more is to be dropped.
    fn drop_dependents(&self, kept: &mut [bool]) {
        loop {
            let mut whole = vec![true; self.changes.len()];
            for (action, kept) in self.actions.iter().zip(&*kept) {
                whole[action.change as usize] &= kept;
            }
            let mut dropped = false;
            for (index, action) in self.actions.iter().enumerate() {
                let complete = action.after.iter().all(|before| kept[*before as usize]);
                if kept[index] && !(complete && whole[action.change as usize]) {
                    kept[index] = false;
                    dropped = true;
                }
            }
            if !dropped {
                return;
            }
        }
    }

    fn keep(mut self, kept: &[bool], selection: &Selection) -> Self {
        let mut stays: Vec<bool> = self
            .changes
            .iter()
            .map(|change| {
                let named =
                    |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(&change.resource));
                let only = selection.only.is_empty() || named(&selection.only);
                change.kind == crate::diff::ChangeKind::Unknown && only && !named(&selection.except)
            })
            .collect();
        for (action, kept) in self.actions.iter().zip(kept) {
            if *kept {
                stays[action.change as usize] = true;
            }
        }
        let renumber = |flags: &[bool]| -> Vec<u32> {
            let mut next = 0;
            flags
                .iter()
                .map(|flag| {
                    next += u32::from(*flag);
                    next.wrapping_sub(1)
                })
                .collect()
        };
        let (change_number, action_number) = (renumber(&stays), renumber(kept));
        self.left_out += stays.iter().filter(|stays| !**stays).count();
        let mut at = stays.iter();
        self.changes.retain(|_| *at.next().expect("invariant: one flag for each change"));
        let mut at = kept.iter();
        self.actions.retain(|_| *at.next().expect("invariant: one flag for each action"));
        for action in &mut self.actions {
            action.change = change_number[action.change as usize];
            for before in &mut action.after {
                *before = action_number[*before as usize];
            }
        }
        for proved in &mut self.proofs {
            proved.effects.retain_mut(|(action, _, _)| {
                let stays = kept[*action as usize];
                *action = action_number[*action as usize];
                stays
            });
            if let Some(if_at_work) = &mut proved.if_at_work {
                if_at_work.effects.retain_mut(|effect| {
                    let stays = kept[effect.0 as usize];
                    effect.0 = action_number[effect.0 as usize];
                    stays
                });
            }
        }
        // What is reached by a part is reached by the whole: what held of that holds. A way to break it may be gone, and is
        // looked for again where the plan is to be applied.
        for found in &mut self.examined {
            found.counterexample = found.counterexample.take().and_then(|refuted| {
                let part = |actions: &[u32]| -> Option<Vec<u32>> {
                    actions.iter().map(|&at| kept[at as usize].then(|| action_number[at as usize])).collect()
                };
                Some(Refuted { started: part(&refuted.started)?, ended: part(&refuted.ended)?, ..refuted })
            });
        }
        self.ordered.retain(|(before, after, _)| kept[*before as usize] && kept[*after as usize]);
        for (before, after, _) in &mut self.ordered {
            (*before, *after) = (action_number[*before as usize], action_number[*after as usize]);
        }
        self.prove();
        self.seal();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let matches =
            |pattern: &str, id: &str| pattern.parse::<Pattern>().unwrap().matches(&id.parse().unwrap());
        assert!(matches("process/web-1", "process/web-1"));
        assert!(!matches("process/web", "process/web-1"));
        assert!(matches("process/*", "process/web-1"));
        assert!(matches("*web*", "process/web-1"));
        assert!(matches("*-1", "process/web-1"));
        assert!(matches("p*s/w*b-*1", "process/web-1"));
        assert!(!matches("p*s/x*", "process/web-1"));
        assert!(!matches("value/aa*aa", "value/aaa"));
        // What one part has matched is not there for the next.
        assert!(!matches("v*bb*b", "value/abb"));
        assert!(matches("v*bb*b", "value/abbb"));
    }
}
