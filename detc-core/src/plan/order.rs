//! Which action comes after which, and the order in which a plan lists them.
//!
//! Changes and actions are large and there may be a million of each, so they are written once, into one list each, and
//! put in order at the end. What is worked with in between are indices.

use std::collections::BTreeMap;
use std::sync::Arc;

use self::through::Through;
use super::{PlanError, PlanInput, PlannedAction, Verb, sort};
use crate::action::Place;
use crate::diff::{Change, ChangeKind, Reason};
use crate::model::{Adjacency, HostName, Map, Observation, ResourceId, shortest_loop};
use crate::resource::Known;

mod through;

/// Changes with the actions that they take, in any order.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    changes: Vec<Change>,
    actions: Vec<PlannedAction>,
    steps: Vec<Step>,
}

/// One change, by indices.
#[derive(Clone, Debug)]
struct Step {
    /// The resource among the desired ones, or [`NONE`].
    index: u32,
    /// The action that makes or changes it, or [`NONE`].
    make: u32,
    /// The action that removes it, before `make`, or [`NONE`].
    remove: u32,
    /// What it came after when it was recorded.
    recorded_after: Option<Arc<[ResourceId]>>,
}

const NONE: u32 = u32::MAX;

/// The most edges of a plan: some two gigabytes while it is made. A million resources, each of which comes after dozens, have
/// fewer; `n` changes that all come before `m` others, through one that is kept, have `n·m`.
const EDGES_MAX: usize = if cfg!(test) { 200_000 } else { 50_000_000 };

impl Steps {
    /// No steps, with room for `len` of one action each.
    pub(super) fn with_capacity(len: usize) -> Self {
        Self {
            changes: Vec::with_capacity(len),
            actions: Vec::with_capacity(len),
            steps: Vec::with_capacity(len),
        }
    }

    /// Adds a change, so far without actions. `index`: the resource among the desired ones.
    pub(super) fn add(&mut self, index: Option<u32>, change: Change) -> NewStep<'_> {
        let step = Step { index: index.unwrap_or(NONE), make: NONE, remove: NONE, recorded_after: None };
        self.changes.push(change);
        self.steps.push(step);
        NewStep(self)
    }

    /// Adds copies of `other`'s steps.
    pub(super) fn add_copies(&mut self, other: &Self) {
        let shift = self.actions.len() as u32;
        let moved = |action: u32| if action == NONE { NONE } else { action + shift };
        self.changes.extend_from_slice(&other.changes);
        self.actions.extend_from_slice(&other.actions);
        self.steps.extend(other.steps.iter().map(|step| Step {
            make: moved(step.make),
            remove: moved(step.remove),
            ..step.clone()
        }));
    }

    /// How many of the steps are those of desired resources.
    pub(super) fn desired(&self) -> usize {
        self.steps.iter().filter(|step| step.index != NONE).count()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Orders the steps: changes by id, actions by depth and then by id, with all edges.
    pub(super) fn assemble(
        mut self,
        input: &PlanInput<'_>,
    ) -> Result<(Vec<Change>, Vec<PlannedAction>), PlanError> {
        let order = sort::order_of(self.changes.iter().map(|change| &change.resource));
        sort::permute(&mut self.changes, order.clone());
        sort::permute(&mut self.steps, order);
        self.hold_back_removals();
        let mut graph = Graph::new(self, input);
        graph.makes_after_dependencies()?;
        graph.removals_after_dependents();
        graph.places_are_freed_first();
        graph.list()
    }

    /// Holds back the removal of what a resource of which nothing is known was made after: it may still need it. The
    /// steps are in the order of ids, so that the reason of a removal that waits for several is always the same.
    fn hold_back_removals(&mut self) {
        let is_unknown = |at: &u32| self.changes[*at as usize].kind == ChangeKind::Unknown;
        let mut waiting: Vec<u32> = (0..self.steps.len() as u32).rev().filter(is_unknown).collect();
        if waiting.is_empty() {
            return;
        }
        let removals: Map<ResourceId, u32> = self
            .steps
            .iter()
            .enumerate()
            .filter(|(_, step)| step.index == NONE && step.remove != NONE)
            .map(|(at, _)| (self.changes[at].resource.clone(), at as u32))
            .collect();
        let mut held_back = false;
        while let Some(unknown) = waiting.pop() {
            let Some(recorded_after) = self.steps[unknown as usize].recorded_after.clone() else { continue };
            for needed in &*recorded_after {
                let Some(at) = removals.get(needed).copied() else { continue };
                if self.steps[at as usize].remove == NONE {
                    continue;
                }
                self.steps[at as usize].remove = NONE;
                let reason = Reason::Waits(self.changes[unknown as usize].resource.clone());
                let change = &mut self.changes[at as usize];
                (change.kind, change.reason) = (ChangeKind::Unknown, reason);
                waiting.push(at);
                held_back = true;
            }
        }
        if held_back {
            self.drop_unused_actions();
        }
    }

    fn drop_unused_actions(&mut self) {
        let mut number = vec![NONE; self.actions.len()];
        let used = self.steps.iter().flat_map(|step| [step.remove, step.make]);
        for action in used.filter(|action| *action != NONE) {
            number[action as usize] = 0;
        }
        let mut used = number.iter().map(|number| *number != NONE).collect::<Vec<bool>>().into_iter();
        self.actions.retain(|_| used.next().expect("invariant: one flag for each action"));
        for (next, number) in number.iter_mut().filter(|number| **number != NONE).enumerate() {
            *number = next as u32;
        }
        for step in &mut self.steps {
            for action in [&mut step.remove, &mut step.make].into_iter().filter(|action| **action != NONE) {
                *action = number[*action as usize];
            }
        }
    }
}

/// The step that was added last.
pub(super) struct NewStep<'a>(&'a mut Steps);

impl NewStep<'_> {
    fn last(&mut self) -> &mut Step {
        self.0.steps.last_mut().expect("invariant: a step was added")
    }

    /// Gives it the action that makes or changes the resource.
    pub(super) fn make(&mut self, action: PlannedAction) {
        self.last().make = self.0.actions.len() as u32;
        self.0.actions.push(action);
    }

    /// Gives it the action that removes the resource, before it is made.
    pub(super) fn remove(&mut self, action: PlannedAction) {
        self.last().remove = self.0.actions.len() as u32;
        self.0.actions.push(action);
    }

    /// Says what the resource came after when it was recorded.
    pub(super) fn was_after(&mut self, recorded: Arc<[ResourceId]>) {
        self.last().recorded_after = Some(recorded);
    }
}

/// The steps in id order, with the edges among their actions.
struct Graph<'a> {
    input: PlanInput<'a>,
    changes: Vec<Change>,
    actions: Vec<PlannedAction>,
    /// `make` and `remove` are numbers of actions, given in id order, a removal before what is made in its place.
    steps: Vec<Step>,
    numbered: Vec<Numbered>,
    /// The latter of each pair comes after the former; the same pair may be in here more than once.
    edges: Vec<(u32, u32)>,
    /// Edges from the change of what lets go to the removal of what it lets go of: kept where the order allows it.
    wishes: Vec<(u32, u32)>,
    step_of: StepOf,
}

/// What an action's number stands for.
struct Numbered {
    /// Where the action is among [`Graph::actions`].
    action: u32,
    step: u32,
}

impl<'a> Graph<'a> {
    fn new(steps: Steps, input: &PlanInput<'a>) -> Self {
        let Steps { changes, actions, mut steps } = steps;
        let mut numbered = Vec::with_capacity(actions.len());
        for (at, step) in steps.iter_mut().enumerate() {
            for action in [&mut step.remove, &mut step.make].into_iter().filter(|action| **action != NONE) {
                let number = numbered.len() as u32;
                numbered.push(Numbered { action: *action, step: at as u32 });
                *action = number;
            }
        }
        let step_of = StepOf::new(&steps, input.desired.resources.len());
        let edges = Vec::with_capacity(input.topology.edge_count().min(2 * numbered.len()));
        Self { input: *input, changes, actions, steps, numbered, edges, wishes: Vec::new(), step_of }
    }

    fn edge(&mut self, before: u32, after: u32) {
        if before != NONE && after != NONE && before != after {
            self.edges.push((before, after));
        }
    }

    /// What is made comes after what it depends on, through anything that is kept in between.
    fn makes_after_dependencies(&mut self) -> Result<(), PlanError> {
        let topology = self.input.topology;
        let changing = self.steps.iter().filter(|step| step.index != NONE).count();
        let mut through = Through::new(topology);
        let mut found: Vec<u32> = Vec::new();
        for at in 0..self.steps.len() {
            let Step { index, make, remove, .. } = self.steps[at];
            self.edge(remove, make);
            // One that changes alone has nothing to come after.
            if index == NONE || changing == 1 {
                continue;
            }
            found.clear();
            through.below(index, |index| self.step_of.get(index).is_some(), &mut found);
            for dependency in &found {
                let step = self.step_of.get(*dependency).expect("invariant: it changes");
                self.edge(self.steps[step as usize].make, make);
            }
            if self.edges.len() > EDGES_MAX {
                let resource = self.changes[at].resource.clone();
                return Err(PlanError::TooManyEdges { resource, waits: found.len() });
            }
        }
        Ok(())
    }

    /// What is removed goes after everything that depended on it: removed as well, or changed so that it does no more.
    fn removals_after_dependents(&mut self) {
        let removed: Map<ResourceId, u32> = self
            .steps
            .iter()
            .zip(&self.changes)
            .filter(|(step, _)| step.remove != NONE)
            .map(|(step, change)| (change.resource.clone(), step.remove))
            .collect();
        if removed.is_empty() {
            return;
        }
        for at in 0..self.steps.len() {
            let Step { index, make, remove, .. } = self.steps[at];
            let Some(recorded_after) = self.steps[at].recorded_after.take() else { continue };
            for dependency in &*recorded_after {
                let Some(removal) = removed.get(dependency).copied() else { continue };
                if remove != NONE {
                    self.edge(remove, removal);
                } else if make != NONE && index != NONE && !self.still_depends(index, dependency) {
                    self.wishes.push((make, removal));
                }
            }
        }
    }

    /// Whether it comes after `dependency` as desired, directly or through others: then it waits for what is made in
    /// place of what is removed, and can not go before.
    fn still_depends(&self, index: u32, dependency: &ResourceId) -> bool {
        let dependency = self.input.desired.resources.get_index_of(dependency).map(|index| index as u32);
        dependency.is_some_and(|dependency| self.input.topology.reaches(index, dependency))
    }

    /// What takes a place comes after the removal of what had it. It is made there: what was seen is gone by then.
    fn places_are_freed_first(&mut self) {
        let mut freed: BTreeMap<(Option<HostName>, Place), Vec<u32>> = BTreeMap::new();
        for (step, change) in self.steps.iter().zip(&self.changes) {
            if step.remove != NONE {
                let action = self.action(step.remove);
                for place in self.places(&change.resource, action) {
                    freed.entry((action.host.clone(), place)).or_default().push(step.remove);
                }
            }
        }
        if freed.is_empty() {
            return;
        }
        for at in 0..self.steps.len() {
            let make = self.steps[at].make;
            if make == NONE {
                continue;
            }
            let action = self.action(make);
            let host = action.host.clone();
            let mut before = None;
            for place in self.places(&self.changes[at].resource, action) {
                for removal in freed.get(&(host.clone(), place)).into_iter().flatten() {
                    self.edge(*removal, make);
                    let is_deleted = self.action(*removal).verb == Verb::Delete;
                    before = before.or(Some(*removal).filter(|_| is_deleted));
                }
            }
            if let Some(removal) = before {
                self.is_made_anew(at, removal);
            }
        }
    }

    /// What was to be adopted, and is what a removal takes away before, is made anew.
    fn is_made_anew(&mut self, at: usize, removal: u32) {
        let is_found = match &self.changes[at].reason {
            Reason::Found => true,
            Reason::Restarts(why) => **why == Reason::Found,
            _ => false,
        };
        if !is_found {
            return;
        }
        let removed = self.numbered[removal as usize].step as usize;
        let of = self.changes[removed].resource.clone();
        let make = self.numbered[self.steps[at].make as usize].action;
        let (change, action) = (&mut self.changes[at], &mut self.actions[make as usize]);
        let is_renamed = self.steps[removed].index == NONE && of.kind() == change.resource.kind();
        change.kind = ChangeKind::Create;
        change.reason = if is_renamed { Reason::Renames(of) } else { Reason::TakesPlace(of) };
        change.fields = Box::default();
        action.verb = Verb::Create;
        let extra = action.recording.as_ref().and_then(|recording| recording.extra.as_deref());
        let record = self.input.recorded.get(&change.resource);
        action.basis = super::basis(record, &Observation::Absent, extra);
    }

    fn action(&self, number: u32) -> &PlannedAction {
        &self.actions[self.numbered[number as usize].action as usize]
    }

    fn places(&self, id: &ResourceId, action: &PlannedAction) -> Vec<Place> {
        let footprint = self
            .input
            .registry
            .kind(id.kind())
            .and_then(|kind| kind.inspect(&action.spec, Known::SomeLater).ok());
        footprint.map(|footprint| footprint.writes).unwrap_or_default()
    }

    /// Lists the actions by depth, and by id where the depth is the same.
    fn list(mut self) -> Result<(Vec<Change>, Vec<PlannedAction>), PlanError> {
        let len = self.numbered.len();
        let (before, depths) = self.arrange()?;
        let deepest = depths.iter().max().map_or(0, |depth| *depth as usize + 1);
        let by_depth = depths.iter().enumerate().map(|(number, depth)| (*depth, number as u32));
        let order = Adjacency::new(deepest, by_depth).into_targets();
        let mut place = vec![0_u32; len];
        for (at, number) in order.iter().enumerate() {
            place[*number as usize] = at as u32;
        }
        let mut after: Vec<u32> = Vec::new();
        for (number, Numbered { action, step }) in self.numbered.iter().enumerate() {
            after.clear();
            after.extend(before.of(number as u32).iter().map(|before| place[*before as usize]));
            after.sort_unstable();
            after.dedup();
            let action = &mut self.actions[*action as usize];
            action.after = after.as_slice().into();
            action.change = *step;
        }
        let order = order.into_iter().map(|number| self.numbered[number as usize].action).collect();
        sort::permute(&mut self.actions, order);
        Ok((self.changes, self.actions))
    }

    /// What each action comes after and how deep it is, with as many wishes as the order allows: those on a loop are
    /// given up.
    fn arrange(&mut self) -> Result<(Adjacency, Vec<u32>), PlanError> {
        let mut wishes = std::mem::take(&mut self.wishes);
        let firm = self.edges.len();
        self.edges.extend_from_slice(&wishes);
        let before = self.before();
        let stuck = match self.depths(&before) {
            Ok(depths) => return Ok((before, depths)),
            Err(stuck) => stuck,
        };
        let loops = loops(&before, &stuck);
        wishes.retain(|(before, after)| {
            let (a, b) = (loops.get(before), loops.get(after));
            a.is_none() || a != b
        });
        self.edges.truncate(firm);
        self.edges.append(&mut wishes);
        let before = self.before();
        match self.depths(&before) {
            Ok(depths) => Ok((before, depths)),
            Err(stuck) => Err(self.stuck(&before, &stuck)),
        }
    }

    /// What each action comes directly after, some of it more than once.
    fn before(&self) -> Adjacency {
        Adjacency::new(self.numbered.len(), self.edges.iter().map(|(before, after)| (*after, *before)))
    }

    /// For each action the number of actions on the longest path before it; an error are those in or after a loop.
    fn depths(&self, before: &Adjacency) -> Result<Vec<u32>, Vec<u32>> {
        let len = self.numbered.len();
        let dependents = Adjacency::new(len, self.edges.iter().copied());
        let mut waiting: Vec<u32> = (0..len as u32).map(|number| before.of(number).len() as u32).collect();
        let mut depths = vec![0_u32; len];
        let mut ready: Vec<u32> = (0..len as u32).filter(|number| waiting[*number as usize] == 0).collect();
        let mut done = 0;
        while let Some(number) = ready.pop() {
            done += 1;
            for dependent in dependents.of(number) {
                let dependent = *dependent as usize;
                depths[dependent] = depths[dependent].max(depths[number as usize] + 1);
                waiting[dependent] -= 1;
                if waiting[dependent] == 0 {
                    ready.push(dependent as u32);
                }
            }
        }
        if done == len {
            return Ok(depths);
        }
        Err((0..len as u32).filter(|number| waiting[*number as usize] > 0).collect())
    }

    fn stuck(&self, before: &Adjacency, stuck: &[u32]) -> PlanError {
        let name = |number: &u32| {
            let step = self.numbered[*number as usize].step as usize;
            let verb = if self.steps[step].remove == *number { "delete" } else { "make" };
            format!("{verb} {}", self.changes[step].resource)
        };
        let mut members: Vec<String> = shortest_loop(before, stuck).iter().map(name).collect();
        members.extend(members.first().cloned());
        PlanError::Loop(members.join(" → "))
    }
}

/// For each of the `stuck` actions the number of the loop that it is part of.
fn loops(before: &Adjacency, stuck: &[u32]) -> Map<u32, usize> {
    let edges =
        stuck.iter().flat_map(|action| before.of(*action).iter().map(move |before| (*before, *action)));
    let graph = petgraph::graph::DiGraph::<(), ()>::from_edges(edges);
    let components = petgraph::algo::kosaraju_scc(&graph);
    let loops = components.into_iter().filter(|component| component.len() > 1).enumerate();
    let numbered = |(number, component): (usize, Vec<petgraph::graph::NodeIndex>)| {
        component.into_iter().map(move |action| (action.index() as u32, number))
    };
    loops.flat_map(numbered).collect()
}

/// The step of each desired resource that has one.
enum StepOf {
    /// Many change: an entry for each desired resource.
    Dense(Vec<u32>),
    /// Few change: an entry for each of them, so that the cost follows the change.
    Sparse(Map<u32, u32>),
}

impl StepOf {
    /// One in this many is the point from which an entry for each desired resource is the cheaper way.
    const SPARSE: usize = 16;

    fn new(steps: &[Step], desired: usize) -> Self {
        let pairs = steps
            .iter()
            .enumerate()
            .filter(|(_, step)| step.index != NONE)
            .map(|(at, step)| (step.index, at as u32));
        if steps.len() < desired / Self::SPARSE {
            return Self::Sparse(pairs.collect());
        }
        let mut dense = vec![NONE; desired];
        for (index, at) in pairs {
            dense[index as usize] = at;
        }
        Self::Dense(dense)
    }

    fn get(&self, index: u32) -> Option<u32> {
        match self {
            Self::Dense(steps) => Some(steps[index as usize]).filter(|step| *step != NONE),
            Self::Sparse(steps) => steps.get(&index).copied(),
        }
    }
}
