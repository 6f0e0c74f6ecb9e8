//! Which action comes after which, and the order in which a plan lists them.

use std::collections::BTreeMap;

use super::{PlanError, PlanInput, PlannedAction, sort};
use crate::action::Place;
use crate::diff::Change;
use crate::model::{HostName, Map, ResourceId, Set};

/// One change with the actions that it takes.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) change: Change,
    /// The resource among the desired ones.
    pub(super) index: Option<u32>,
    /// The action that makes or changes it.
    pub(super) make: Option<PlannedAction>,
    /// The action that removes it, before `make`.
    pub(super) remove: Option<PlannedAction>,
    /// What it came after when it was recorded.
    pub(super) recorded_after: Vec<ResourceId>,
}

const NONE: u32 = u32::MAX;

/// Orders the steps: changes by id, actions by depth and then by id, with all edges.
pub(super) fn assemble(
    steps: Vec<Step>,
    input: &PlanInput<'_>,
) -> Result<(Vec<Change>, Vec<PlannedAction>), PlanError> {
    let mut graph = Graph::new(steps, input);
    graph.makes_after_dependencies();
    graph.removals_after_dependents();
    graph.places_are_freed_first();
    graph.list()
}

struct Graph<'a> {
    input: PlanInput<'a>,
    steps: Vec<Step>,
    /// For each action: its step, and whether it removes. Numbered by steps in id order.
    actions: Vec<(u32, bool)>,
    after: Vec<Vec<u32>>,
    /// From the change of what lets go to the removal of what it lets go of: kept where the order allows it.
    wishes: Vec<(u32, u32)>,
    make_of: Vec<u32>,
    remove_of: Vec<u32>,
    /// The step of each desired resource, `NONE` for what is kept.
    step_of_desired: Vec<u32>,
}

impl<'a> Graph<'a> {
    fn new(steps: Vec<Step>, input: &PlanInput<'a>) -> Self {
        let order = sort::order_of(steps.iter().map(|step| &step.change.resource));
        let mut slots: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
        let steps: Vec<Step> = order
            .into_iter()
            .map(|index| slots[index as usize].take().expect("invariant: an order names each index once"))
            .collect();
        let mut graph = Self {
            input: *input,
            actions: Vec::with_capacity(steps.len()),
            after: Vec::new(),
            wishes: Vec::new(),
            make_of: vec![NONE; steps.len()],
            remove_of: vec![NONE; steps.len()],
            step_of_desired: vec![NONE; input.desired.resources.len()],
            steps,
        };
        for (at, step) in graph.steps.iter().enumerate() {
            if step.remove.is_some() {
                graph.remove_of[at] = graph.actions.len() as u32;
                graph.actions.push((at as u32, true));
            }
            if step.make.is_some() {
                graph.make_of[at] = graph.actions.len() as u32;
                graph.actions.push((at as u32, false));
            }
            if let Some(index) = step.index {
                graph.step_of_desired[index as usize] = at as u32;
            }
        }
        graph.after = vec![Vec::new(); graph.actions.len()];
        graph
    }

    fn edge(&mut self, before: u32, after: u32) {
        if before != NONE && after != NONE && before != after {
            self.after[after as usize].push(before);
        }
    }

    /// What is made comes after what it depends on, through anything that is kept in between.
    fn makes_after_dependencies(&mut self) {
        let topology = self.input.topology;
        let changing = self.steps.iter().filter(|step| step.index.is_some()).count();
        for at in 0..self.steps.len() {
            let make = self.make_of[at];
            self.edge(self.remove_of[at], make);
            let Some(index) = self.steps[at].index else { continue };
            let mut stack: Vec<u32> = topology.dependencies(index).to_vec();
            let mut seen = Set::<u32>::default();
            while let Some(dependency) = stack.pop() {
                let step = self.step_of_desired[dependency as usize];
                if step != NONE {
                    self.edge(self.make_of[step as usize], make);
                } else if changing > 1 && seen.insert(dependency) {
                    stack.extend_from_slice(topology.dependencies(dependency));
                }
            }
        }
    }

    /// What is removed goes after everything that depended on it: removed as well, or changed so that it does no more.
    fn removals_after_dependents(&mut self) {
        if self.remove_of.iter().all(|remove| *remove == NONE) {
            return;
        }
        let removed: Map<ResourceId, u32> = self
            .steps
            .iter()
            .zip(&self.remove_of)
            .filter(|(_, remove)| **remove != NONE)
            .map(|(step, remove)| (step.change.resource.clone(), *remove))
            .collect();
        for at in 0..self.steps.len() {
            for dependency in std::mem::take(&mut self.steps[at].recorded_after) {
                let Some(removal) = removed.get(&dependency).copied() else { continue };
                if self.remove_of[at] != NONE {
                    self.edge(self.remove_of[at], removal);
                } else if self.steps[at].index.is_some() && !self.still_depends(at, &dependency) {
                    self.wishes.push((self.make_of[at], removal));
                }
            }
        }
    }

    /// Whether it comes after `dependency` as desired, directly or through others: then it waits for what is made in
    /// place of what is removed, and can not go before.
    fn still_depends(&self, at: usize, dependency: &ResourceId) -> bool {
        let (Some(index), resources) = (self.steps[at].index, &self.input.desired.resources) else {
            return false;
        };
        let dependency = resources.get_index_of(dependency).map(|index| index as u32);
        dependency.is_some_and(|dependency| self.input.topology.reaches(index, dependency))
    }

    /// What takes a place comes after the removal of what had it.
    fn places_are_freed_first(&mut self) {
        let mut freed: BTreeMap<(Option<HostName>, Place), Vec<u32>> = BTreeMap::new();
        for (step, remove) in self.steps.iter().zip(&self.remove_of) {
            if let Some(action) = &step.remove {
                for place in self.places(&step.change.resource, action) {
                    freed.entry((action.host.clone(), place)).or_default().push(*remove);
                }
            }
        }
        if freed.is_empty() {
            return;
        }
        for at in 0..self.steps.len() {
            let Some(action) = &self.steps[at].make else { continue };
            let host = action.host.clone();
            for place in self.places(&self.steps[at].change.resource, action) {
                for removal in freed.get(&(host.clone(), place)).into_iter().flatten() {
                    self.edge(*removal, self.make_of[at]);
                }
            }
        }
    }

    fn places(&self, id: &ResourceId, action: &PlannedAction) -> Vec<Place> {
        let footprint =
            self.input.registry.kind(id.kind()).and_then(|kind| kind.inspect(&action.spec, true).ok());
        footprint.map(|footprint| footprint.writes).unwrap_or_default()
    }

    /// Lists the actions by depth, and by id where the depth is the same.
    fn list(mut self) -> Result<(Vec<Change>, Vec<PlannedAction>), PlanError> {
        let depths = self.arrange()?;
        let mut order: Vec<u32> = (0..self.actions.len() as u32).collect();
        order.sort_unstable_by_key(|action| (depths[*action as usize], *action));
        let mut place = vec![0_u32; order.len()];
        for (at, action) in order.iter().enumerate() {
            place[*action as usize] = at as u32;
        }
        let (mut changes, mut makes, mut removes) = (Vec::new(), Vec::new(), Vec::new());
        for step in self.steps {
            changes.push(step.change);
            makes.push(step.make);
            removes.push(step.remove);
        }
        let mut actions = Vec::with_capacity(order.len());
        for number in order {
            let (step, is_removal) = self.actions[number as usize];
            let slot = if is_removal { &mut removes } else { &mut makes };
            let mut action = slot[step as usize].take().expect("invariant: an action is listed once");
            let mut after: Vec<u32> =
                self.after[number as usize].iter().map(|before| place[*before as usize]).collect();
            after.sort_unstable();
            action.after = after.into();
            action.change = step;
            actions.push(action);
        }
        Ok((changes, actions))
    }

    /// The depths of all actions, with as many wishes as the order allows: those on a loop are given up.
    fn arrange(&mut self) -> Result<Vec<u32>, PlanError> {
        for after in &mut self.after {
            after.sort_unstable();
            after.dedup();
        }
        let mut wishes = std::mem::take(&mut self.wishes);
        wishes.sort_unstable();
        wishes.dedup();
        wishes.retain(|(before, after)| {
            *before != NONE && self.after[*after as usize].binary_search(before).is_err()
        });
        for (before, after) in &wishes {
            self.after[*after as usize].push(*before);
        }
        let stuck = match self.depths() {
            Ok(depths) => return Ok(depths),
            Err(stuck) => stuck,
        };
        let loops = loops(&self.after, &stuck);
        for (before, after) in wishes {
            let (a, b) = (loops.get(&before), loops.get(&after));
            if a.is_some() && a == b {
                self.after[after as usize].retain(|other| *other != before);
            }
        }
        self.depths().map_err(|stuck| {
            let names = stuck.iter().take(8).map(|action| {
                let (step, removes) = self.actions[*action as usize];
                let verb = if removes { "delete" } else { "make" };
                format!("{verb} {}", self.steps[step as usize].change.resource)
            });
            PlanError::Loop(names.collect::<Vec<String>>().join(", "))
        })
    }

    /// For each action the number of actions on the longest path before it; an error are those in or after a loop.
    fn depths(&self) -> Result<Vec<u32>, Vec<u32>> {
        let len = self.after.len();
        let mut waiting: Vec<u32> = self.after.iter().map(|after| after.len() as u32).collect();
        let mut dependents: Vec<Vec<u32>> = vec![Vec::new(); len];
        for (action, after) in self.after.iter().enumerate() {
            for before in after {
                dependents[*before as usize].push(action as u32);
            }
        }
        let mut depths = vec![0_u32; len];
        let mut ready: Vec<u32> = (0..len as u32).filter(|action| waiting[*action as usize] == 0).collect();
        let mut done = 0;
        while let Some(action) = ready.pop() {
            done += 1;
            for dependent in &dependents[action as usize] {
                let dependent = *dependent as usize;
                depths[dependent] = depths[dependent].max(depths[action as usize] + 1);
                waiting[dependent] -= 1;
                if waiting[dependent] == 0 {
                    ready.push(dependent as u32);
                }
            }
        }
        if done == len {
            return Ok(depths);
        }
        Err((0..len as u32).filter(|action| waiting[*action as usize] > 0).collect())
    }
}

/// For each of the `stuck` actions the number of the loops that it is part of.
fn loops(after: &[Vec<u32>], stuck: &[u32]) -> Map<u32, usize> {
    let edges =
        stuck.iter().flat_map(|action| after[*action as usize].iter().map(move |before| (*before, *action)));
    let graph = petgraph::graph::DiGraph::<(), ()>::from_edges(edges);
    let components = petgraph::algo::kosaraju_scc(&graph);
    let loops = components.into_iter().filter(|component| component.len() > 1).enumerate();
    let numbered = |(number, component): (usize, Vec<petgraph::graph::NodeIndex>)| {
        component.into_iter().map(move |action| (action.index() as u32, number))
    };
    loops.flat_map(numbered).collect()
}
