//! The digest that closes a plan.

use serde::Serialize;

use super::{Plan, PlannedAction, Verb};
use crate::action::CrashClass;
use crate::diff::{Change, ChangeKind, Reason};
use crate::model::{Digest, Hasher, HostName};

impl Plan {
    /// Sets the id to the digest of everything else.
    pub(super) fn seal(&mut self) {
        self.id = self.digest();
    }

    /// Whether nothing was altered since the plan was made.
    pub fn is_intact(&self) -> bool {
        self.id == self.digest()
    }

    /// Whether all that its actions name is there, each before what comes after it.
    pub(crate) fn is_ordered(&self) -> bool {
        let proofs = self.proofs.len();
        let is_one = |action: &u32| (*action as usize) < self.actions.len();
        self.actions.iter().enumerate().all(|(at, action)| {
            (action.change as usize) < self.changes.len()
                && action.after.iter().all(|before| (*before as usize) < at)
        }) && self
            .ordered
            .iter()
            .all(|(before, after, proof)| is_one(before) && is_one(after) && (*proof as usize) < proofs)
    }

    fn digest(&self) -> Digest {
        let mut hasher = Hasher::new("detc.plan/1");
        let counts = [
            self.kinds.len(),
            self.hosts.len(),
            self.kept,
            self.left_out,
            self.changes.len(),
            self.actions.len(),
        ];
        for count in counts {
            hasher.part(&(count as u64).to_le_bytes());
        }
        for (name, schema) in &self.kinds {
            hasher.part(name.as_bytes()).part(schema.as_bytes());
        }
        for (name, host) in &self.hosts {
            hasher
                .part(name.as_str().as_bytes())
                .part(&serde_json::to_vec(host).expect("invariant: a host is JSON"));
        }
        for change in &self.changes {
            digest_change(change, &mut hasher);
        }
        for action in &self.actions {
            digest_action(action, &mut hasher);
        }
        if !self.proofs.is_empty() {
            hasher.part_with(|out| write_json(&(&self.proofs, &self.ordered), out));
        }
        if !self.examined.is_empty() {
            hasher.part_with(|out| write_json(&self.examined, out));
        }
        hasher.finish()
    }
}

/// What a kind of change is in a seal, for ever: a saved plan is opened by other versions, whatever is declared between these.
fn sealed_kind(kind: ChangeKind) -> u8 {
    match kind {
        ChangeKind::Create => 0,
        ChangeKind::Adopt => 1,
        ChangeKind::Update => 2,
        ChangeKind::Replace => 3,
        ChangeKind::Delete => 4,
        ChangeKind::Keep => 5,
        ChangeKind::Unknown => 6,
    }
}

/// The same of what an action does.
fn sealed_verb(verb: Verb) -> u8 {
    match verb {
        Verb::Create => 0,
        Verb::Adopt => 1,
        Verb::Update => 2,
        Verb::Restart => 3,
        Verb::Record => 4,
        Verb::Delete => 5,
        Verb::Forget => 6,
    }
}

/// The same of how its outcome is found out.
fn sealed_crash(crash: CrashClass) -> u8 {
    match crash {
        CrashClass::DeterministicName => 0,
        CrashClass::IdempotencyKey => 1,
        CrashClass::FindableByTag => 2,
        CrashClass::CompareAndSet => 3,
        CrashClass::AtMostOnce => 4,
    }
}

fn digest_change(change: &Change, parts: &mut Hasher) {
    // Most changes of a large plan are new and have no fields: they are told by one byte.
    let plain = change.reason == Reason::New && change.fields.is_empty();
    parts.part(change.resource.as_str().as_bytes());
    parts.part_with(|out| {
        out.extend_from_slice(&[sealed_kind(change.kind), u8::from(plain)]);
        if let Some(to) = &change.to {
            out.extend_from_slice(to.digest().as_bytes());
        }
    });
    if !plain {
        parts.part_with(|out| write_json(&(&change.reason, &change.fields), out));
    }
}

fn digest_action(action: &PlannedAction, parts: &mut Hasher) {
    parts.part_with(|out| {
        out.extend_from_slice(&[sealed_verb(action.verb), sealed_crash(action.crash)]);
        out.extend_from_slice(&action.change.to_le_bytes());
        out.extend_from_slice(action.spec.digest().as_bytes());
        out.extend_from_slice(action.basis.as_bytes());
        for before in &action.after {
            out.extend_from_slice(&before.to_le_bytes());
        }
        if action.sweeps {
            out.push(1);
        }
    });
    // Each part is framed, and what is not there is told from what is empty.
    let host = action.host.as_ref().map_or("", HostName::as_str);
    parts.part(host.as_bytes());
    let Some(recording) = &action.recording else {
        parts.part(action.recorded_as.as_ref().map_or("", |id| id.as_str()).as_bytes());
        return;
    };
    parts.part_with(|out| {
        out.extend_from_slice(recording.intent.as_bytes());
        out.extend_from_slice(recording.relations.as_bytes());
    });
    if !recording.after.is_empty() || recording.extra.is_some() || recording.renamed_from.is_some() {
        parts
            .part_with(|out| write_json(&(&recording.after, &recording.extra, &recording.renamed_from), out));
    }
    if let Some(uses) = &recording.uses {
        parts.part_with(|out| write_json(uses, out));
    }
}

fn write_json<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("invariant: a plan is JSON");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::tests::support::{World, id, value};

    #[test]
    fn a_plan_is_ordered_when_all_that_its_numbers_name_is_there_and_intact_with_all_of_its_proofs() {
        let world = World::new().want([value("a", json!(1)), value("b", json!(1)).after(&id("value/a"))]);
        let plan = world.plan();
        let is_ordered = |alter: &dyn Fn(&mut Plan)| {
            let mut plan = plan.clone();
            alter(&mut plan);
            plan.is_ordered()
        };
        assert!(is_ordered(&|_| {}));
        assert!(!is_ordered(&|plan| plan.actions[0].change = 2));
        assert!(!is_ordered(&|plan| plan.actions[1].change = 2));
        assert!(!is_ordered(&|plan| plan.actions[1].after = [1].into()));
        assert!(!is_ordered(&|plan| plan.actions[0].after = [1].into()));
        // It has no proof for the sake of which something could wait.
        assert!(!is_ordered(&|plan| plan.ordered = vec![(0, 1, 0)]));

        let mut proven = world;
        let measure = crate::model::Measure::Available(crate::model::Selector::default());
        let bound = crate::model::InvariantBound::AtLeast(0);
        let invariant = crate::model::Invariant { name: "some".to_owned(), measure, bound };
        proven.desired = proven.desired.invariant(invariant);
        let any = crate::model::Predicate::new("any", |_| Ok(()));
        proven.registry = proven.registry.with_predicate(any);
        let plan = proven.plan();
        let is_intact = |alter: &dyn Fn(&mut Plan)| {
            let mut plan = plan.clone();
            alter(&mut plan);
            plan.is_intact()
        };
        assert!(is_intact(&|_| {}));
        assert!(!is_intact(&|plan| plan.proofs[0].base += 1));
        assert!(!is_intact(&|plan| plan.ordered = vec![(0, 1, 0)]));
        assert!(!is_intact(&|plan| plan.examined[0].looked_at += 1));

        let with =
            |wait: (u32, u32, u32)| Plan { ordered: vec![(0, 1, 0), wait], ..plan.clone() }.is_ordered();
        assert_eq!(
            [with((0, 1, 0)), with((2, 1, 0)), with((0, 2, 0)), with((0, 1, 1))],
            [true, false, false, false]
        );
    }
}
