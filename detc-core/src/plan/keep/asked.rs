//! What is asked of the proof: each invariant once, and twice where it is not known what works before the plan.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Proved;
use super::effects::Doubtful;
use crate::model::InvariantBound;
use crate::plan::proof::{Effect, Question};

/// What an invariant comes to if all that may be at work is.
///
/// `base` counts such things as the bound can bear it least. That alone would make it free to take them down: where nothing
/// is known to work, nothing can be lost. So a plan is proven for both ends: that none of them works, and that all do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IfAtWork {
    /// What differs: action, by how much the value before the plan does, then what it adds at its start, at its end.
    pub effects: Vec<(u32, i64, i64, i64)>,
    /// The worst value that any order, failure or crash can lead to.
    pub worst: i64,
}

/// What is to be proven of an invariant.
pub(super) struct Asked {
    /// Its place.
    pub(super) proof: usize,
    /// How what may be at work was counted.
    pub(super) of: Doubtful,
    base: i64,
    effects: Vec<Effect>,
    /// The bound that the plan must keep: the invariant's, or the value before the plan where that is worse.
    bound: InvariantBound,
}

impl Asked {
    pub(super) fn new(proof: usize, proved: &Proved, of: Doubtful) -> Self {
        let mut effects: BTreeMap<u32, (i64, i64)> =
            proved.effects.iter().map(|&(action, start, end)| (action, (start, end))).collect();
        let if_at_work = proved.if_at_work.iter().flat_map(|if_at_work| &if_at_work.effects);
        let base = match of {
            Doubtful::Worse => proved.base,
            Doubtful::Better => {
                effects.extend(if_at_work.map(|&(action, _, start, end)| (action, (start, end))));
                proved.base_if_at_work()
            }
        };
        let effects =
            effects.into_iter().map(|(action, (start, end))| Effect { action, start, end }).collect();
        let bound = match proved.invariant.bound {
            InvariantBound::AtLeast(bound) => InvariantBound::AtLeast(bound.min(base)),
            InvariantBound::AtMost(bound) => InvariantBound::AtMost(bound.max(base)),
        };
        Self { proof, of, base, effects, bound }
    }
}

pub(super) fn questions(asked: &[Asked]) -> Vec<Question<'_>> {
    asked.iter().map(|it| Question { base: it.base, effects: &it.effects, bound: it.bound }).collect()
}
