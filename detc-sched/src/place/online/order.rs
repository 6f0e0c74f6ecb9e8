//! Machines in the order of how much they have left of what they have least of.
//!
//! Each resource is measured against the most that any machine has of it. A machine's *scarce* resource is the one of which
//! it has least left by that measure; it stands on the shelf of that much, among those with the same scarce resource. An
//! instance is looked for from the shelf on that has as much of the scarce resource as it needs: there, others lack only
//! where they are scarcer than its greatest need, and beyond that all have room. So few are looked at in vain, however many
//! machines are full.
//!
//! Over the shelves of each resource stands a tree of maxima: the most that any machine below a node has left of each. It
//! passes over shelves on which nobody has room. (A range tree over one key, with bounds of the others in place of inner
//! trees; de Berg et al., "Computational Geometry", chapter 5.)

use std::collections::BTreeSet;

use super::Free;
use crate::place::{DeviceNeed, MachineId, Model, SHARES_OF_DEVICE};

/// Shelves of a resource: thousandths of the most that a machine has, and one for all of it.
const SHELVES: usize = 1001;

/// Leaves of the tree over them.
const LEAVES: usize = SHELVES.next_power_of_two();

/// Machines by how much they have left.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// The most that a machine has of each resource, and, last, of shares of devices.
    most: Vec<i64>,
    /// By scarce resource.
    racks: Vec<Rack>,
    place_of: Vec<Place>,
}

/// Where a machine stands, or a shelf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    rack: u16,
    shelf: u16,
}

/// From which end machines are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Fullest,
    Emptiest,
}

/// A look for room, shelf by shelf.
#[derive(Debug)]
pub(super) struct Walk {
    side: Side,
    needs: Vec<i64>,
    /// Per rack, the shelf that is next.
    next: Vec<Option<usize>>,
}

/// The shelves of one scarce resource.
#[derive(Clone, Debug)]
struct Rack {
    width: usize,
    shelves: Vec<BTreeSet<u32>>,
    /// A row for each node of the tree, from the root, at 1, on: no machine of it has more left. What has left a shelf may
    /// still count.
    most: Vec<i64>,
}

impl Order {
    pub(super) fn new(model: &Model, free: &Free) -> Self {
        let width = model.resource_count() + 1;
        let mut most = vec![0; width];
        for machine in model.machines() {
            for (part, most) in most.iter_mut().enumerate() {
                *most = capacity(model, machine, part).max(*most);
            }
        }
        let rack = || Rack {
            width,
            shelves: vec![BTreeSet::new(); SHELVES],
            most: vec![i64::MIN; 2 * LEAVES * width],
        };
        let mut order = Self {
            racks: most.iter().map(|_| rack()).collect(),
            place_of: vec![Place::default(); model.machine_count()],
            most,
        };
        for machine in model.machines() {
            order.insert(model, free, machine);
        }
        order
    }

    /// A machine has more or less left than it had.
    pub(super) fn change(&mut self, model: &Model, free: &Free, machine: MachineId) {
        let Place { rack, shelf } = self.place_of[machine.index()];
        self.racks[usize::from(rack)].remove(usize::from(shelf), machine);
        self.insert(model, free, machine);
    }

    fn insert(&mut self, model: &Model, free: &Free, machine: MachineId) {
        let width = self.most.len();
        let parts = (0..width).filter(|part| capacity(model, machine, *part) > 0);
        let left = parts.map(|part| {
            let shelf = free.left_of(machine, part, width).saturating_mul(1000) / self.most[part];
            (shelf.clamp(0, 1000) as u16, part as u16)
        });
        let (shelf, rack) = left.min().unwrap_or((1000, 0));
        self.place_of[machine.index()] = Place { rack, shelf };
        self.racks[usize::from(rack)].insert(usize::from(shelf), free, machine);
    }

    /// A walk over the shelves that may have room.
    pub(super) fn walk(&self, side: Side, needs: &[i64], devices: DeviceNeed) -> Walk {
        let mut needs = needs.to_vec();
        needs.push(i64::from(devices.count) * i64::from(devices.shares));
        let next = self.racks.iter().map(|rack| rack.next(side, None, &needs)).collect();
        Walk { side, needs, next }
    }

    /// The next shelf of a walk; of shelves of like fullness that of the first resource.
    pub(super) fn step(&self, walk: &mut Walk) -> Option<Place> {
        let shelves = walk.next.iter().enumerate().filter_map(|(rack, shelf)| Some((rack, (*shelf)?)));
        let (rack, shelf) = match walk.side {
            Side::Fullest => shelves.min_by_key(|(rack, shelf)| (*shelf, *rack)),
            Side::Emptiest => shelves.min_by_key(|(rack, shelf)| (SHELVES - shelf, *rack)),
        }?;
        walk.next[rack] = self.racks[rack].next(walk.side, Some(shelf), &walk.needs);
        Some(Place { rack: rack as u16, shelf: shelf as u16 })
    }

    /// The machines on a shelf, by number.
    pub(super) fn on(&self, Place { rack, shelf }: Place) -> impl Iterator<Item = MachineId> + '_ {
        let shelves = &self.racks[usize::from(rack)].shelves;
        shelves[usize::from(shelf)].iter().map(|machine| MachineId(*machine))
    }

    /// No machine of a shelf had room: its maxima become what they are now, not what they were.
    pub(super) fn tighten(&mut self, free: &Free, Place { rack, shelf }: Place) {
        self.racks[usize::from(rack)].tighten(free, usize::from(shelf));
    }
}

impl Rack {
    fn insert(&mut self, shelf: usize, free: &Free, machine: MachineId) {
        self.shelves[shelf].insert(machine.0);
        let node = LEAVES + shelf;
        for part in 0..self.width {
            let most = &mut self.most[node * self.width + part];
            *most = free.left_of(machine, part, self.width).max(*most);
        }
        self.climb(node);
    }

    fn remove(&mut self, shelf: usize, machine: MachineId) {
        self.shelves[shelf].remove(&machine.0);
        if self.shelves[shelf].is_empty() {
            let node = LEAVES + shelf;
            self.most[node * self.width..][..self.width].fill(i64::MIN);
            self.climb(node);
        }
    }

    fn tighten(&mut self, free: &Free, shelf: usize) {
        for part in 0..self.width {
            let left = |machine: &u32| free.left_of(MachineId(*machine), part, self.width);
            let most = self.shelves[shelf].iter().map(left).max().unwrap_or(i64::MIN);
            self.most[(LEAVES + shelf) * self.width + part] = most;
        }
        self.climb(LEAVES + shelf);
    }

    /// Sets what is above a node by what is below.
    fn climb(&mut self, mut node: usize) {
        let width = self.width;
        while node > 1 {
            node /= 2;
            let mut same = true;
            for part in 0..width {
                let most = self.most[2 * node * width + part].max(self.most[(2 * node + 1) * width + part]);
                same &= self.most[node * width + part] == most;
                self.most[node * width + part] = most;
            }
            if same {
                return;
            }
        }
    }

    /// The first shelf after another, or of all, on which there may be so much of each.
    fn next(&self, side: Side, after: Option<usize>, needs: &[i64]) -> Option<usize> {
        let fits = |node: usize| {
            let most = &self.most[node * self.width..][..self.width];
            most[0] > i64::MIN && most.iter().zip(needs).all(|(most, need)| *need <= 0 || most >= need)
        };
        // The child that comes first.
        let near = usize::from(side == Side::Emptiest);
        let mut node = match after {
            None => 1,
            Some(shelf) => beyond(LEAVES + shelf, near)?,
        };
        loop {
            if !fits(node) {
                node = beyond(node, near)?;
            } else if node >= LEAVES {
                return Some(node - LEAVES);
            } else {
                node = 2 * node + near;
            }
        }
    }
}

/// The node that comes after all that is below this one.
fn beyond(mut node: usize, near: usize) -> Option<usize> {
    while node > 1 && node % 2 != near {
        node /= 2;
    }
    (node > 1).then_some(node ^ 1)
}

/// What a machine has of resource number `part`; after the last resource, of shares of devices.
fn capacity(model: &Model, machine: MachineId, part: usize) -> i64 {
    let shares = || i64::from(SHARES_OF_DEVICE) * i64::from(model.devices(machine));
    model.capacity(machine).get(part).copied().unwrap_or_else(shares)
}

impl Free {
    /// What is left of it; of devices, what could be given.
    fn left_of(&self, machine: MachineId, part: usize, width: usize) -> i64 {
        match part + 1 == width {
            false => self.resources[machine.index() * (width - 1) + part],
            true => self.devices[machine.index()].iter().map(|shares| (*shares).max(0)).sum(),
        }
    }
}
