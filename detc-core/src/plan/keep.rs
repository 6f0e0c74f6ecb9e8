//! What a plan does to the invariants: the effects of its actions, the proof, and ordering that makes a proof hold.
//!
//! The effects follow from the kind of change: making adds at the end, removing takes away at the start, a restart takes
//! away and gives back, a change of size counts the larger. Where the moment is uncertain, the number stands where it does
//! harm to the bound. An invariant that does not hold before the plan must not be made worse by it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use self::asked::{Asked, questions};
use self::effects::{Done, Doubtful, Invariants};
use super::proof::repair::repair;
use super::proof::{Order, prove_all};
use super::{Plan, PlanError, PlanInput, PlannedAction};
use crate::model::Invariant;

mod asked;
mod effects;
mod examine;
mod hopeless;
mod sums;

pub use self::asked::IfAtWork;
pub(crate) use self::examine::examine;
pub use self::examine::{Drawn, Examined, Refuted};
pub(super) use self::sums::{Counting, Sums};

/// An invariant, and the worst that can happen to it while a plan runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proved {
    /// The invariant.
    pub invariant: Invariant,
    /// Its value before the plan.
    pub base: i64,
    /// What the actions add to it: action, at its start, at its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<(u32, i64, i64)>,
    /// The worst value that any order, failure or crash can lead to.
    pub worst: i64,
    /// The same, should that be at work which may be: what an earlier run was cut off in, and actions of this plan change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_at_work: Option<IfAtWork>,
    /// Whether the bound holds in all of them, or (where it does not hold before) none of them is worse than that.
    pub holds: bool,
    /// Whether it is about nothing: no resource, desired or recorded, counts for it, so that holding means little.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub vacuous: bool,
    /// A way to break it, without any latest event of which it would not be broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counterexample: Option<Counterexample>,
    /// Why no order of the actions keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hopeless: Option<String>,
}

/// A state that a plan can reach in which an invariant is broken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counterexample {
    /// The actions that have started.
    pub started: Vec<u32>,
    /// Those that have ended, too.
    pub ended: Vec<u32>,
    /// The value then.
    pub value: i64,
}

/// What a plan could break, so that it is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokenInvariant {
    /// The invariant, or the predicate.
    pub name: String,
    /// How, in words.
    pub story: String,
}

impl Plan {
    /// The first invariant or predicate that this plan could break.
    pub fn broken(&self) -> Option<BrokenInvariant> {
        let proved = self.proofs.iter().find(|proved| !proved.holds);
        let proved = proved
            .map(|proved| BrokenInvariant { name: proved.invariant.name.clone(), story: self.story(proved) });
        proved.or_else(|| {
            let found = self.examined.iter().find(|found| !found.holds)?;
            Some(BrokenInvariant { name: found.name.clone(), story: self.story_of(found) })
        })
    }

    /// A counter-example in words; where none was looked for, since so many others are broken, what it can come to.
    pub fn story(&self, proved: &Proved) -> String {
        let hopeless =
            proved.hopeless.as_ref().map(|why| format!("; no order helps: {why}")).unwrap_or_default();
        match &proved.counterexample {
            Some(found) => {
                format!("{}, it is {}{hopeless}", self.moment(&found.started, &found.ended), found.value)
            }
            None => format!("it can come to {}{hopeless}", proved.broken_worst()),
        }
    }

    /// The same of a predicate.
    pub fn story_of(&self, examined: &Examined) -> String {
        match &examined.counterexample {
            Some(found) => format!("{}, {}", self.moment(&found.started, &found.ended), found.why),
            None => "it does not hold in some state of the whole plan".to_owned(),
        }
    }

    /// What has started and what has ended, in words.
    fn moment(&self, started: &[u32], ended: &[u32]) -> String {
        let (ended, open): (Vec<u32>, Vec<u32>) = started.iter().partition(|action| ended.contains(action));
        let named = |actions: &[u32]| {
            const SHOWN_MAX: usize = 5;
            let mut ids: Vec<String> =
                actions.iter().take(SHOWN_MAX).map(|action| self.action_id(*action)).collect();
            if actions.len() > SHOWN_MAX {
                ids.push(format!("{} more", actions.len() - SHOWN_MAX));
            }
            ids.join(", ")
        };
        let mut parts = Vec::new();
        if !open.is_empty() {
            parts.push(format!("{} had started", named(&open)));
        }
        if !ended.is_empty() {
            parts.push(format!("{} had ended", named(&ended)));
        }
        format!("when {}", parts.join(" and "))
    }

    /// The same plan, proven for the records and the world of `input`.
    ///
    /// # Errors
    /// When a record is damaged.
    pub(crate) fn proven_in(&self, input: &PlanInput<'_>) -> Result<Self, PlanError> {
        let mut plan = self.clone();
        let invariants: Vec<Invariant> = plan.proofs.iter().map(|proved| proved.invariant.clone()).collect();
        for (proved, base) in plan.proofs.iter_mut().zip(Sums::of(&invariants, input)?.bases(&invariants)?) {
            proved.base = base;
        }
        plan.prove();
        plan.examined = examine(&plan, input)?;
        Ok(plan)
    }

    /// Proves the plan anew, after its actions have changed.
    pub(super) fn prove(&mut self) {
        if self.proofs.is_empty() {
            return;
        }
        let asked = self.asked();
        let verdicts = prove_all(&self.proof_order(), &questions(&asked));
        for proved in &mut self.proofs {
            (proved.holds, proved.counterexample) = (true, None);
        }
        for (asked, verdict) in asked.into_iter().zip(verdicts) {
            let proved = &mut self.proofs[asked.proof];
            match (asked.of, &mut proved.if_at_work) {
                (Doubtful::Better, Some(if_at_work)) => if_at_work.worst = verdict.worst,
                (_, _) => proved.worst = verdict.worst,
            }
            proved.holds &= verdict.holds;
            let found = verdict.witness.map(|witness| Counterexample {
                started: witness.started,
                ended: witness.ended,
                value: witness.value,
            });
            proved.counterexample = proved.counterexample.take().or(found);
        }
    }

    fn proof_order(&self) -> Order {
        let edges: Vec<(u32, u32)> = self
            .actions
            .iter()
            .enumerate()
            .flat_map(|(after, action)| action.after.iter().map(move |before| (*before, after as u32)))
            .collect();
        Order::new(self.actions.len() as u32, &edges)
            .expect("invariant: a plan lists each action after what it comes after")
    }

    /// What is to be proven: one question for each invariant, in their order, and a second one where something may be at work.
    fn asked(&self) -> Vec<Asked> {
        let proofs = self.proofs.iter().enumerate();
        let all = proofs.clone().map(|(proof, proved)| Asked::new(proof, proved, Doubtful::Worse));
        let better = proofs.filter(|(_, proved)| proved.if_at_work.is_some());
        all.chain(better.map(|(proof, proved)| Asked::new(proof, proved, Doubtful::Better))).collect()
    }

    /// Adds order until every invariant holds, where that is possible, and otherwise says why it is not.
    pub(super) fn order_for_invariants(&mut self) {
        if self.proofs.iter().all(|proved| proved.holds) {
            return;
        }
        let asked = self.asked();
        match repair(&self.proof_order(), &questions(&asked)) {
            Ok(edges) => {
                for edge in &edges {
                    let action = &mut self.actions[edge.after as usize];
                    let mut after = std::mem::take(&mut action.after).into_vec();
                    if !after.contains(&edge.before) {
                        after.push(edge.before);
                        self.ordered.push((edge.before, edge.after, asked[edge.question].proof as u32));
                    }
                    action.after = after.into();
                }
                self.list_anew();
                self.prove();
            }
            Err(hopeless) => {
                let proofs: Vec<usize> = asked.iter().map(|asked| asked.proof).collect();
                let words = hopeless::words((self, &proofs), &hopeless);
                self.proofs[proofs[hopeless.question]].hopeless = Some(words);
            }
        }
    }

    /// Lists the actions so that each comes after what it comes after, added order included; otherwise as they were.
    fn list_anew(&mut self) {
        let len = self.actions.len();
        let mut waiting: Vec<usize> = self.actions.iter().map(|action| action.after.len()).collect();
        let mut dependents: Vec<Vec<u32>> = vec![Vec::new(); len];
        for (index, action) in self.actions.iter().enumerate() {
            for before in &action.after {
                dependents[*before as usize].push(index as u32);
            }
        }
        let mut ready: BinaryHeap<Reverse<u32>> =
            (0..len as u32).filter(|index| waiting[*index as usize] == 0).map(Reverse).collect();
        let mut place = vec![0_u32; len];
        let mut listed = 0;
        while let Some(Reverse(index)) = ready.pop() {
            place[index as usize] = listed;
            listed += 1;
            for dependent in &dependents[index as usize] {
                waiting[*dependent as usize] -= 1;
                if waiting[*dependent as usize] == 0 {
                    ready.push(Reverse(*dependent));
                }
            }
        }
        assert_eq!(listed as usize, len, "invariant: a repair makes no loop");
        let mut actions: Vec<(u32, PlannedAction)> =
            place.iter().copied().zip(std::mem::take(&mut self.actions)).collect();
        actions.sort_unstable_by_key(|(place, _)| *place);
        for (_, action) in &mut actions {
            for before in &mut action.after {
                *before = place[*before as usize];
            }
            action.after.sort_unstable();
        }
        self.actions = actions.into_iter().map(|(_, action)| action).collect();
        for proved in &mut self.proofs {
            for (action, _, _) in &mut proved.effects {
                *action = place[*action as usize];
            }
            proved.effects.sort_unstable();
            if let Some(if_at_work) = &mut proved.if_at_work {
                if_at_work.effects.iter_mut().for_each(|effect| effect.0 = place[effect.0 as usize]);
                if_at_work.effects.sort_unstable();
            }
        }
        for (before, after, _) in &mut self.ordered {
            (*before, *after) = (place[*before as usize], place[*after as usize]);
        }
        self.ordered.sort_unstable();
    }
}

impl Proved {
    /// Whether it holds before the plan.
    pub fn held_before(&self) -> bool {
        self.invariant.bound.allows(self.base)
    }

    /// The worst value, of the two where it is not known what works: the one that its bound does not allow.
    fn broken_worst(&self) -> i64 {
        let if_at_work = self.if_at_work.as_ref().map(|if_at_work| if_at_work.worst);
        if_at_work.filter(|_| self.invariant.bound.allows(self.worst)).unwrap_or(self.worst)
    }

    /// Its value when the whole plan is done.
    pub fn after(&self) -> i64 {
        let added = self.effects.iter().map(|(_, start, end)| i128::from(*start) + i128::from(*end));
        let after = i128::from(self.base) + added.sum::<i128>();
        i64::try_from(after).unwrap_or(if after < 0 { i64::MIN } else { i64::MAX })
    }

    /// Its value before the plan, should all be at work that may be.
    pub fn base_if_at_work(&self) -> i64 {
        let more = self.if_at_work.iter().flat_map(|if_at_work| &if_at_work.effects);
        more.fold(self.base, |base, effect| base.saturating_add(effect.1))
    }
}

/// Adds the invariants of the desired state to a plan, with what the actions do to each.
pub(super) fn add_proofs(plan: &mut Plan, input: &PlanInput<'_>, sums: &Sums) -> Result<(), PlanError> {
    let effects = Invariants::new(&input.desired.invariants).effects(plan, input)?;
    let values = sums.bases(&input.desired.invariants)?.into_iter().zip(effects).zip(sums.vacuous(input));
    let proved = |(invariant, ((base, done), vacuous)): (&Invariant, ((i64, Done), bool))| Proved {
        invariant: invariant.clone(),
        base,
        effects: done.effects,
        worst: 0,
        if_at_work: (!done.if_at_work.is_empty()).then_some(IfAtWork { effects: done.if_at_work, worst: 0 }),
        holds: true,
        vacuous,
        counterexample: None,
        hopeless: None,
    };
    plan.proofs.extend(input.desired.invariants.iter().zip(values).map(proved));
    plan.prove();
    plan.order_for_invariants();
    Ok(())
}
