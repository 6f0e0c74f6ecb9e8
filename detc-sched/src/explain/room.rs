//! What would it take to fit 20 more?
//!
//! Each answer is tried out on a changed copy of the model, by placing: what is told to suffice does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Nowhere, why_nowhere};
use crate::place::model::DeviceNeed;
use crate::place::named::listed;
use crate::place::online::{Placer, Preference, Reason};
use crate::place::{DomainId, InstanceId, MachineId, Model, Named, Objective, Placement, Rule};

/// How many more would fit, and what would it take to fit all that are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Like which instance.
    pub like: InstanceId,
    /// How many more are wanted.
    pub wanted: usize,
    /// Where those would go that fit as things are.
    pub spots: Vec<MachineId>,
    /// Why the next one does not fit; none when all do.
    pub nowhere: Option<Nowhere>,
    /// What would help, the best of a kind first.
    pub ways: Vec<Way>,
}

/// Something that would help.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Way {
    /// So many more machines like one that is there, in the same domains, with other names: then all fit.
    Machines {
        /// Like which.
        like: MachineId,
        /// How many.
        count: usize,
    },
    /// Without one of the reasons: a rule dropped, a taint tolerated, a resource not needed.
    Without {
        /// Which.
        reason: Reason,
        /// How many would fit then.
        fits: usize,
    },
    /// With instances of lower priority giving way.
    Displacing {
        /// How many would fit then.
        fits: usize,
        /// Who would be nowhere.
        victims: Vec<InstanceId>,
    },
}

/// Kinds of machines that are offered: each is tried out some ten times.
const KINDS_MAX: usize = 16;

/// How many more instances like one would fit beside what is placed, and what would it take to fit all that are wanted. Placing
/// is tight and nothing is moved: more may fit after a [rebalance](crate::rebalance).
///
/// The new instances are of the same group and count in its rules. Copies the model for each way, and places all that are
/// wanted a few times for each.
pub fn what_would_it_take(model: &Model, placement: &Placement, like: InstanceId, wanted: usize) -> Room {
    let trial = Trial { model, placement, like, wanted };
    let more = trial.with_more();
    let mut placer = trial.placer(&more);
    let spots = trial.fill(&mut placer);
    let mut room = Room { like, wanted, nowhere: None, ways: Vec::new(), spots };
    if room.spots.len() == wanted {
        return room;
    }
    let next = trial.new_instances().nth(room.spots.len()).unwrap_or(like);
    room.nowhere = why_nowhere(&mut placer, &more, next).map(|nowhere| Nowhere { instance: like, ..nowhere });
    let reasons: BTreeSet<Reason> =
        room.nowhere.iter().flat_map(|nowhere| nowhere.ways_out.keys().flatten().copied()).collect();
    for reason in reasons {
        let mut other = more.clone();
        trial.drop_reason(&mut other, reason);
        let fits = trial.fill(&mut trial.placer(&other)).len();
        if fits > room.spots.len() {
            room.ways.push(Way::Without { reason, fits });
        }
    }
    room.ways.extend(trial.displacing(&more, room.spots.len()));
    let kinds = kinds(model);
    room.ways.extend(kinds.into_iter().take(KINDS_MAX).filter_map(|like| trial.machines(&more, like)));
    let key = |way: &Way| match way {
        Way::Machines { like, count } => (0, *count, like.index()),
        Way::Displacing { fits, victims } => (1, wanted - fits, victims.len()),
        Way::Without { fits, .. } => (2, wanted - fits, 0),
    };
    room.ways.sort_by_key(key);
    room
}

/// One of each kind of machine: with the same capacities, attributes, taints, devices and domains.
fn kinds(model: &Model) -> Vec<MachineId> {
    let mut seen = BTreeMap::new();
    for machine in model.machines() {
        let mut attributes = model.attributes(machine).clone();
        attributes.retain(|_, value| value != model.machine_name(machine));
        let domains: Vec<_> = model.domains.iter().skip(1).map(|level| level[machine.index()]).collect();
        let key =
            (model.capacity(machine), attributes, model.taints(machine), model.devices(machine), domains);
        seen.entry(key).or_insert(machine);
    }
    let mut kinds: Vec<MachineId> = seen.into_values().collect();
    kinds.sort_unstable();
    kinds
}

struct Trial<'a> {
    model: &'a Model,
    placement: &'a Placement,
    like: InstanceId,
    wanted: usize,
}

impl Trial<'_> {
    fn new_instances(&self) -> impl Iterator<Item = InstanceId> + use<> {
        let first = self.model.instance_count();
        (first..first + self.wanted).map(InstanceId::new)
    }

    /// The model with as many more as are wanted. Costs are of no concern.
    fn with_more(&self) -> Model {
        let mut model = self.model.clone();
        let (like, group) = (self.like.index(), self.model.group_of(self.like));
        for instance in self.new_instances() {
            model.members[group.index()].push(instance);
            model.group_of.push(group);
            model.needs.extend_from_slice(self.model.needs(self.like));
            model.move_costs.push(model.move_costs[like]);
            model.device_needs.push(model.device_needs[like]);
            model.runs_on.push(None);
            if let Some(ports) = self.model.ports.get(&self.like) {
                model.ports.insert(instance, ports.clone());
            }
        }
        model.objective = Objective::new();
        model
    }

    fn placer<'m>(&self, model: &'m Model) -> Placer<'m> {
        let mut start = Placement::empty(model);
        for instance in self.model.instances() {
            if let Some(machine) = self.placement.machine(instance) {
                start.put_on_devices(instance, machine, self.placement.devices(instance).to_vec());
            }
        }
        Placer::new(model, &start, Preference::Tight)
    }

    /// Places the new ones until one does not fit.
    fn fill(&self, placer: &mut Placer<'_>) -> Vec<MachineId> {
        self.new_instances().map_while(|id| placer.place(id).ok()).map(|spot| spot.machine).collect()
    }

    fn drop_reason(&self, model: &mut Model, reason: Reason) {
        let group = self.model.group_of(self.like);
        match reason {
            Reason::Taint => {
                let taints = model.taints.iter().flatten().cloned().collect::<BTreeSet<String>>();
                model.groups[group.index()].tolerations.extend(taints);
            }
            Reason::Elsewhere(rule) | Reason::Rule(rule) => {
                model.groups[group.index()].rules.remove(rule);
            }
            Reason::Lacks(resource) => {
                let width = model.resource_count();
                for instance in self.new_instances() {
                    model.needs[instance.index() * width + resource.index()] = 0;
                }
            }
            Reason::Devices => {
                self.new_instances().for_each(|id| model.device_needs[id.index()] = DeviceNeed::default());
            }
            Reason::Port => self.new_instances().for_each(|id| drop(model.ports.remove(&id))),
            Reason::KeptApart => {
                let keeps = |rule: &Rule| matches!(rule, Rule::Apart { group: other, .. } if *other == group);
                model.groups.iter_mut().for_each(|other| other.rules.retain(|rule| !keeps(rule)));
            }
            // The new ones run nowhere, and nothing is closed.
            Reason::Closed | Reason::Leaving(_) => {}
        }
    }

    fn displacing(&self, more: &Model, fitting: usize) -> Option<Way> {
        let mut placer = self.placer(more);
        let (mut fits, mut victims) = (0, Vec::new());
        for instance in self.new_instances() {
            let Ok(spot) = placer.place_displacing(instance) else { break };
            fits += 1;
            victims.extend(spot.victims);
        }
        // New ones of lower priority do not exist: all are alike.
        victims.sort_unstable();
        (fits > fitting).then_some(Way::Displacing { fits, victims })
    }

    /// The least number of machines with which all fit, as far as more machines never make it worse.
    fn machines(&self, more: &Model, like: MachineId) -> Option<Way> {
        let mut larger = more.clone();
        let first = larger.machine_count();
        for number in 0..self.wanted {
            let index = like.index();
            let (name, again) =
                (&more.machine_names[index], format!("{} again {number}", more.machine_names[index]));
            // What is the name of the one is not that of the other.
            let attributes = more.attributes[index]
                .iter()
                .map(|(key, value)| (key.clone(), if value == name { again.clone() } else { value.clone() }));
            larger.attributes.push(attributes.collect());
            larger.machine_names.push(again.clone());
            larger.capacities.extend_from_slice(more.capacity(like));
            larger.safeties.extend_from_slice(more.safety(like));
            larger.taints.push(more.taints[index].clone());
            larger.devices.push(more.devices[index]);
            for (level, domains) in larger.domains.iter_mut().enumerate() {
                domains.push(if level == 0 { DomainId::new(first + number) } else { domains[index] });
            }
        }
        larger.domain_counts[0] = larger.machine_count() as u32;
        let placer = self.placer(&larger);
        let suffice = |count: usize| {
            let mut placer = placer.clone();
            (first + count..larger.machine_count()).for_each(|machine| placer.close(MachineId::new(machine)));
            self.fill(&mut placer).len() == self.wanted
        };
        if !suffice(self.wanted) {
            return None;
        }
        let (mut few, mut enough) = (0, self.wanted);
        while few + 1 < enough {
            let middle = few.midpoint(enough);
            if suffice(middle) {
                enough = middle;
            } else {
                few = middle;
            }
        }
        Some(Way::Machines { like, count: enough })
    }
}

impl Named for Room {
    fn fmt_named(&self, model: &Model, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = model.group_of(self.like);
        let (fits, wanted) = (self.spots.len(), self.wanted);
        write!(f, "{fits} of {wanted} more like {} fit", model.instance_name(self.like))?;
        if let Some(nowhere) = &self.nowhere {
            let refusal = (group, nowhere.refusal.clone());
            write!(f, "; then: {}", model.named(&refusal))?;
        }
        // Kinds of machines of which as many are enough stand in one line.
        let machines = |way: &Way| match way {
            Way::Machines { like, count } => Some((*like, *count)),
            Way::Displacing { .. } | Way::Without { .. } => None,
        };
        let count = |way: &Way| machines(way).map(|(_, count)| count);
        let is_alike = |one: &Way, other: &Way| count(one).is_some() && count(one) == count(other);
        for ways in self.ways.chunk_by(is_alike) {
            match &ways[0] {
                Way::Machines { count, .. } => {
                    let like: Vec<MachineId> =
                        ways.iter().filter_map(machines).map(|(like, _)| like).collect();
                    let noun = if *count == 1 { "machine" } else { "machines" };
                    let one_of = if like.len() == 1 { "" } else { "one of " };
                    write!(f, "\n  all, with {count} more {noun} like {one_of}{}", listed(model, &like))?;
                }
                Way::Without { reason, fits } => {
                    write!(f, "\n  {fits}, but for {}", model.named(&(group, *reason)))?;
                }
                Way::Displacing { fits, victims } => write!(
                    f,
                    "\n  {fits}, if {} of lower priority gave way: {}",
                    victims.len(),
                    listed(model, victims)
                )?,
            }
        }
        Ok(())
    }
}
