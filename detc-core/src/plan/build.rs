//! From the views of all resources to a plan.
//!
//! ```text
//!   topology order ──▶ settled? ──no──▶ Decider ──▶ Steps ──assemble──▶ Plan
//!                         └─yes: kept
//! ```
//!
//! What is decided of one resource is in [`decide`](super::decide); here they are gone through, all of them.

use std::collections::BTreeMap;

use super::decide::{Decider, renames, settled};
use super::keep::Sums;
use super::order::Steps;
use super::outputs::check_outputs;
use super::protect::check_protected;
use super::resolve::Decided;
use super::{Plan, PlanError, Selection};
use crate::model::secret::{MarkKey, Vault};
use crate::model::{Desired, Digest, Map, Observation, Record, Recorded, ResourceId, Set, Topology};
use crate::resource::Registry;

/// What was observed, by resource. One that is not in here has nothing to look at.
pub type Observed = Map<ResourceId, Observation>;

/// What a plan is built from.
#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    /// What should be.
    pub desired: &'a Desired,
    /// Its order.
    pub topology: &'a Topology,
    /// What was done.
    pub recorded: &'a Recorded,
    /// What is.
    pub observed: &'a Observed,
    /// What was cut off in the midst of being changed, or failed at it: where nobody can look at it, it may be half of what is
    /// recorded. Only invariants and predicates ask.
    pub half_done: &'a Set<ResourceId>,
    /// The kinds.
    pub registry: &'a Registry,
    /// What marks of sensitive values are keyed with.
    pub key: &'a MarkKey,
}

impl<'a> PlanInput<'a> {
    /// Whether what is recorded of a resource may be half of it, for all that is known.
    pub(super) fn is_half_done(&self, id: &ResourceId, record: &Record) -> bool {
        record.is_begun() || self.half_done.contains(id)
    }

    /// What is seen of a recorded resource, and whether what is recorded of it may be half of it.
    pub(super) fn seen(&self, id: &ResourceId, record: &Record) -> (Option<&'a Observation>, bool) {
        (self.observed.get(id), self.is_half_done(id, record))
    }
}

/// Builds the plan that leads from what is to what should be. Sensitive values are put into `vault`.
///
/// Linear in the resources, and `n log n` in the changes.
///
/// # Errors
/// When a protected resource would be destroyed, a value is lost, or a record is damaged.
pub fn build(input: &PlanInput<'_>, vault: &mut Vault) -> Result<Plan, PlanError> {
    build_part(input, &Selection::all(), vault)
}

/// Builds the part of that plan that is selected. Nothing is refused for what the part leaves out.
pub(crate) fn build_part(
    input: &PlanInput<'_>,
    selection: &Selection,
    vault: &mut Vault,
) -> Result<Plan, PlanError> {
    let plan = build_whole(input, vault)?.select_of(selection, input)?;
    check_outputs(&plan, input)?;
    check_protected(&plan, input)?;
    Ok(plan)
}

/// Builds the plan, whatever it destroys.
fn build_whole(input: &PlanInput<'_>, vault: &mut Vault) -> Result<Plan, PlanError> {
    let renames = renames(input);
    let settled = settled(input);
    let mut decided = Decided::new(input.desired.resources.len());
    let all_are_new = input.recorded.is_empty();
    let mut steps = Steps::with_capacity(if all_are_new { input.desired.resources.len() } else { 0 });
    let mut decider = Decider { input: *input, renames: &renames, decided: &mut decided, matched: 0 };
    for index in input.topology.order() {
        if settled[*index as usize] {
            decider.matched += 1;
        } else {
            decider.desired(*index, vault, &mut steps)?;
        }
    }
    if decider.matched < input.recorded.len() {
        for (id, record) in input.recorded {
            if !input.desired.resources.contains_key(id) && !renames.contains_key(id) {
                decider.orphan(id, record, &mut steps)?;
            }
        }
    }
    finish(steps, input, &Sums::of(&input.desired.invariants, input)?)
}

/// Makes a plan of all steps that are to be taken.
pub(super) fn finish(steps: Steps, input: &PlanInput<'_>, sums: &Sums) -> Result<Plan, PlanError> {
    let kept = input.desired.resources.len() - steps.desired();
    let (changes, actions) = steps.assemble(input)?;
    let mut kinds = BTreeMap::new();
    let mut last = "";
    for change in &changes {
        // Changes are in the order of their ids, so that each kind's are together.
        let name = change.resource.kind();
        if name != last
            && let Some(kind) = input.registry.kind(name)
        {
            kinds.insert(name.to_owned(), kind.facts().schema);
            last = name;
        }
    }
    let hosts = input.desired.hosts.clone();
    let mut plan = Plan {
        id: Digest::of(b""),
        kinds,
        hosts,
        changes,
        kept,
        left_out: 0,
        actions,
        proofs: Vec::new(),
        examined: Vec::new(),
        ordered: Vec::new(),
    };
    super::keep::add_proofs(&mut plan, input, sums)?;
    plan.examined = super::examine(&plan, input)?;
    plan.seal();
    Ok(plan)
}
