//! Devices and ports in a search.
//!
//! ```text
//!   at home, where it was at the start ─▶ keeps the devices that it has ─┐
//!   visitors, those that need most of a device first ─▶ best fit ────────┴▶ what is free of each, who does not fit
//! ```
//!
//! Which devices an instance has is a function of who is on its machine: so a search keeps no more than where instances are, and what
//! is moved back is as it was. Who is not moved is not given other devices either: that would be a restart. Visitors do not
//! run yet, and are arranged anew with each that comes or goes.
//!
//! Best fit decreasing is no proof: visitors that could be arranged otherwise may not fit, and then the move is not made.

use std::cmp::Reverse;

use super::dense::{Dense, NOWHERE};
use super::state::State;
use crate::place::objective::unusable;
use crate::place::online::devices_for;
use crate::place::{DeviceNeed, MachineId, Model, Placement, SHARES_OF_DEVICE};

/// What one is fined that does not fit: more than moves gain, as a rule. What has any fine is no result.
const MISFIT: i64 = 1 << 50;

/// What instances claim of devices and ports.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    /// The number of each instance's claim, or [`NOWHERE`]; empty, when nobody has one.
    of: Vec<u32>,
    claims: Vec<Claim>,
    /// Per machine.
    devices: Vec<u32>,
    fragmentations: Vec<(DeviceNeed, i64)>,
}

#[derive(Clone, Debug)]
struct Claim {
    /// Where it was at the start.
    home: u32,
    /// What it had there.
    devices: Vec<u32>,
    need: DeviceNeed,
    ports: Vec<u16>,
}

/// The claims on each machine, as a placement has them.
#[derive(Clone, Debug)]
pub(crate) struct Claimants {
    on: Vec<Vec<u32>>,
    standings: Vec<Standing>,
    misfits: usize,
}

/// What is with the claims on one machine.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    cost: i64,
    /// How many visitors have not what they need.
    misfits: usize,
}

impl Claims {
    /// The claims of a model whose search begins at `start`.
    pub(crate) fn new(model: &Model, start: &Placement, dense: &Dense) -> Self {
        let mut claims = Self::default();
        for (index, id) in dense.order.iter().enumerate() {
            let (need, ports) = (model.device_need(*id), model.ports(*id));
            if need.count == 0 && ports.is_empty() {
                continue;
            }
            claims.of.resize(dense.order.len(), NOWHERE);
            claims.of[index] = claims.claims.len() as u32;
            claims.claims.push(Claim {
                home: start.machine(*id).map_or(NOWHERE, |machine| machine.0),
                devices: start.devices(*id).to_vec(),
                need,
                ports: ports.to_vec(),
            });
        }
        if claims.any() {
            claims.devices = model.machines().map(|machine| model.devices(machine)).collect();
            claims.fragmentations.clone_from(&model.objective.fragmentations);
        }
        claims
    }

    /// Whether anybody has a claim.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        !self.of.is_empty()
    }

    /// Whether moves of those with claims cost more or less for them.
    #[inline]
    pub(crate) fn may_cost(&self) -> bool {
        self.any() && !self.fragmentations.is_empty()
    }

    #[inline]
    fn claim(&self, instance: u32) -> Option<&Claim> {
        let claim = *self.of.get(instance as usize)?;
        self.claims.get(claim as usize)
    }

    /// Whether an instance may be moved: it has just what it needs. What is wrong with the others is for the caller to mend.
    pub(crate) fn lets_move(&self, instance: u32) -> bool {
        let Some(claim) = self.claim(instance).filter(|claim| claim.home != NOWHERE) else { return true };
        let mut given = claim.devices.clone();
        given.sort_unstable();
        given.dedup();
        let there = |device: &u32| *device < self.devices[claim.home as usize];
        given.len() == claim.need.count as usize
            && given.len() == claim.devices.len()
            && given.iter().all(there)
    }

    /// What is free of each device when these are on a machine, and how many do not fit. Visitors are told with their devices.
    fn arrange(
        &self,
        machine: u32,
        on: impl Iterator<Item = u32>,
        mut told: impl FnMut(u32, &[u32]),
    ) -> (Vec<i64>, usize) {
        let mut free = vec![i64::from(SHARES_OF_DEVICE); self.devices[machine as usize] as usize];
        let mut ports: Vec<u16> = Vec::new();
        let take = |free: &mut [i64], devices: &[u32], shares: u32| {
            for device in devices {
                // At the start there may be one that the machine does not have.
                if let Some(free) = free.get_mut(*device as usize) {
                    *free -= i64::from(shares);
                }
            }
        };
        let mut visitors: Vec<(u32, &Claim)> = Vec::new();
        for instance in on {
            let claim = self.claim(instance).expect("invariant: only those with a claim are kept");
            if claim.home == machine {
                take(&mut free, &claim.devices, claim.need.shares);
                ports.extend_from_slice(&claim.ports);
            } else {
                visitors.push((instance, claim));
            }
        }
        visitors.sort_unstable_by_key(|(instance, claim)| {
            (Reverse(claim.need.shares), Reverse(claim.need.count), *instance)
        });
        let mut misfits = 0;
        for (instance, claim) in visitors {
            match devices_for(&free, claim.need) {
                Some(devices) => {
                    take(&mut free, &devices, claim.need.shares);
                    told(instance, &devices);
                }
                None => misfits += 1,
            }
            misfits += claim.ports.iter().filter(|port| ports.contains(port)).count();
            ports.extend_from_slice(&claim.ports);
        }
        (free, misfits)
    }

    fn standing(&self, machine: u32, on: impl Iterator<Item = u32>) -> Standing {
        let (free, misfits) = self.arrange(machine, on, |_, _| {});
        let mut cost = 0;
        if !self.fragmentations.is_empty() {
            let free: Vec<i128> = free.into_iter().map(|free| i128::from(free.max(0))).collect();
            let of = |(need, weight): &(DeviceNeed, i64)| unusable(&free, *need) as i64 * weight;
            cost = self.fragmentations.iter().map(of).sum();
        }
        Standing { cost, misfits }
    }

    /// Gives those that are elsewhere than at the start the devices that they have there.
    pub(crate) fn write_out(&self, dense: &Dense, at: &[u32], placement: &mut Placement) {
        if !self.any() {
            return;
        }
        for (machine, on) in self.residents(dense, at).into_iter().enumerate() {
            self.arrange(machine as u32, on.into_iter(), |instance, devices| {
                let id = dense.order[instance as usize];
                placement.put_on_devices(id, MachineId::new(machine), devices.to_vec());
            });
        }
    }

    fn residents(&self, dense: &Dense, at: &[u32]) -> Vec<Vec<u32>> {
        let mut on = vec![Vec::new(); dense.machines];
        for (instance, machine) in at.iter().enumerate().filter(|(_, machine)| **machine != NOWHERE) {
            if self.claim(instance as u32).is_some() {
                on[*machine as usize].push(instance as u32);
            }
        }
        on
    }
}

impl Claimants {
    /// The claims as they are when each instance is `at` a machine; none, when nobody has one.
    pub(crate) fn new(dense: &Dense, at: &[u32]) -> Option<Self> {
        if !dense.claims.any() {
            return None;
        }
        let on = dense.claims.residents(dense, at);
        let standing =
            |(machine, on): (usize, &Vec<u32>)| dense.claims.standing(machine as u32, on.iter().copied());
        let standings: Vec<Standing> = on.iter().enumerate().map(standing).collect();
        let misfits = standings.iter().map(|standing| standing.misfits).sum();
        Some(Self { on, standings, misfits })
    }

    /// What those that do not fit are fined.
    pub(crate) fn fine(&self) -> i64 {
        i64::try_from(self.misfits).unwrap_or(i64::MAX).saturating_mul(MISFIT)
    }

    /// Moves an instance: what the cost becomes more.
    pub(crate) fn shift(&mut self, dense: &Dense, instance: u32, from: u32, to: u32) -> i64 {
        if dense.claims.claim(instance).is_none() {
            return 0;
        }
        self.on[from as usize].retain(|other| *other != instance);
        self.on[to as usize].push(instance);
        let mut change = 0;
        for machine in [from, to] {
            let on = self.on[machine as usize].iter().copied();
            let standing = dense.claims.standing(machine, on);
            let before = std::mem::replace(&mut self.standings[machine as usize], standing);
            self.misfits = self.misfits + standing.misfits - before.misfits;
            change += standing.cost - before.cost;
        }
        change
    }

    /// What a machine costs more when one goes and another comes; none, when more do not fit.
    fn change(&self, dense: &Dense, machine: u32, goes: u32, comes: u32) -> Option<i64> {
        let comes = Some(comes).filter(|comes| dense.claims.claim(*comes).is_some());
        let stay = self.on[machine as usize].iter().copied().filter(|on| *on != goes);
        let standing = dense.claims.standing(machine, stay.chain(comes));
        let before = self.standings[machine as usize];
        (standing.misfits <= before.misfits).then_some(standing.cost - before.cost)
    }
}

impl State<'_> {
    /// What an instance's going to a machine costs for devices; none, when it or another could not have what it needs.
    #[inline]
    pub(crate) fn claim_delta(&self, instance: u32, to: u32) -> Option<i64> {
        let Some(claimants) = self.claimants.as_ref() else { return Some(0) };
        if self.dense.claims.claim(instance).is_none() {
            return Some(0);
        }
        let from = self.at[instance as usize];
        let comes = claimants.change(self.dense, to, NOWHERE, instance)?;
        Some(comes + claimants.change(self.dense, from, instance, NOWHERE)?)
    }

    /// The same for two that change places.
    #[inline]
    pub(crate) fn claim_swap_delta(&self, left: u32, right: u32) -> Option<i64> {
        let Some(claimants) = self.claimants.as_ref() else { return Some(0) };
        let claims = &self.dense.claims;
        if claims.claim(left).is_none() && claims.claim(right).is_none() {
            return Some(0);
        }
        let (a, b) = (self.at[left as usize], self.at[right as usize]);
        Some(claimants.change(self.dense, a, left, right)? + claimants.change(self.dense, b, right, left)?)
    }
}
