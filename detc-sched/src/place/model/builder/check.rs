//! What makes a model impossible: parts that are not there, amounts that overflow, paths and versions that can not be read.

use thiserror::Error;

use super::Builder;
use crate::place::model::{Requirement, Test, is_version};
use crate::place::{DeviceNeed, DomainId, GroupId, LevelId, MachineId, ResourceId, Rule, SHARES_OF_DEVICE};

/// The greatest amount and weight. Products of two and sums over a million instances stay within 64 bits by the check
/// of [`Builder::build`]; this bound keeps that check itself within 128 bits.
const AMOUNT_MAX: i64 = 1 << 48;

/// The most devices of one machine: each has a counter, and to choose among them is linear in their number.
const DEVICES_MAX: u32 = 1 << 12;

/// The highest number of a domain: each has a counter for each group that asks about its level.
const DOMAIN_MAX: usize = 1 << 24;

/// Why no model can be made of the parts.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A part that was not added is named.
    #[error("{by} names {part}, which was not added to the model")]
    Unknown {
        /// Who names it.
        by: String,
        /// What is named.
        part: String,
    },
    /// A group's rule is about itself where it needs another.
    #[error(
        "{by} has a rule that keeps it with or apart from itself: ask for at most so many, or for a spread"
    )]
    Itself {
        /// The group.
        by: String,
    },
    /// An amount is negative or beyond 2⁴⁸.
    #[error("{of} has the amount {amount}: amounts are from 0 to 2^48")]
    Amount {
        /// Whose amount.
        of: String,
        /// The amount.
        amount: i64,
    },
    /// The costs could add up to more than 64 bits hold.
    #[error("the costs of this model can add up to more than 2^62: use coarser units or smaller weights")]
    TooLarge,
    /// The table of moves between machines does not have a row and a column for each machine.
    #[error("the table of moves has {entries} entries, and there are {machines} machines")]
    MoveTable {
        /// Entries of the table.
        entries: usize,
        /// Machines of the model.
        machines: usize,
    },
    /// A path is not one of a tree: too many parts, or an empty one.
    #[error("{by} stands in {path:?}: a path has 1 to {depth} parts, with a / between them")]
    Path {
        /// The machine.
        by: String,
        /// The path.
        path: String,
        /// How many levels the tree has.
        depth: usize,
    },
    /// A rule asks for a version that is none.
    #[error("{by} asks for the version {version:?}: a version is numbers with dots between them")]
    Version {
        /// The group.
        by: String,
        /// What was asked for.
        version: String,
    },
    /// A machine has more devices than can be told apart.
    #[error("{of} has {devices} devices: at most 4096 are told apart")]
    Devices {
        /// The machine.
        of: String,
        /// How many.
        devices: u32,
    },
    /// A domain has a number beyond 2²⁴.
    #[error("{by} stands in {domain} of {level}: domains are numbered from 0 without gaps, up to 2^24")]
    Domain {
        /// The machine.
        by: String,
        /// The level.
        level: LevelId,
        /// The domain.
        domain: DomainId,
    },
    /// More than all of a device, or no share of it.
    #[error("{of} asks for {shares} shares of a device: a device has 1 to 1000")]
    Shares {
        /// Whose need.
        of: String,
        /// What was asked for.
        shares: u32,
    },
}

impl Builder {
    pub(super) fn check_names(&self) -> Result<(), ModelError> {
        let known = |by: &str, part: String, index: usize, count: usize| match index < count {
            true => Ok(()),
            false => Err(ModelError::Unknown { by: by.to_owned(), part }),
        };
        let level = |by: &str, level: LevelId| known(by, level.to_string(), level.index(), self.levels.len());
        let group = |by: &str, id: GroupId| known(by, id.to_string(), id.index(), self.groups.len());
        let resource = |by: &str, id: ResourceId| known(by, id.to_string(), id.index(), self.resources.len());
        let machine = |by: &str, id: MachineId| known(by, id.to_string(), id.index(), self.machines.len());
        for part in &self.machines {
            let by = &part.name;
            let paths = part.paths.iter().flat_map(|(levels, _)| levels);
            part.domains.keys().chain(paths).try_for_each(|id| level(by, *id))?;
            if let Some((level, domain)) = part.domains.iter().find(|(_, domain)| domain.index() > DOMAIN_MAX)
            {
                return Err(ModelError::Domain { by: by.clone(), level: *level, domain: *domain });
            }
            if part.devices > DEVICES_MAX {
                return Err(ModelError::Devices { of: by.clone(), devices: part.devices });
            }
            part.capacity.keys().chain(part.safety.keys()).try_for_each(|id| resource(by, *id))?;
        }
        for (index, part) in self.groups.iter().enumerate() {
            let by = &part.name;
            for rule in part.rules.iter().chain(part.wishes.iter().map(|wish| &wish.rule)) {
                match rule {
                    Rule::AtMost { per: id, .. }
                    | Rule::Even { over: id, .. }
                    | Rule::Spread { over: id, .. }
                    | Rule::Together { within: id } => level(by, *id)?,
                    Rule::With { group: other, .. } | Rule::Apart { group: other, .. }
                        if other.index() == index =>
                    {
                        return Err(ModelError::Itself { by: by.clone() });
                    }
                    Rule::With { group: other, within } | Rule::Apart { group: other, within } => {
                        group(by, *other)?;
                        level(by, *within)?;
                    }
                    Rule::Machines(Requirement { test, .. }) => match test {
                        Test::VersionAtLeast(version) | Test::VersionBelow(version)
                            if !is_version(version) =>
                        {
                            return Err(ModelError::Version { by: by.clone(), version: version.clone() });
                        }
                        _ => {}
                    },
                    Rule::Pinned(machines) => machines.iter().try_for_each(|id| machine(by, *id))?,
                }
            }
        }
        for (index, part) in self.instances.iter().enumerate() {
            let by = &format!("instance {index}");
            group(by, part.group)?;
            part.needs.keys().try_for_each(|id| resource(by, *id))?;
            part.runs_on.iter().try_for_each(|id| machine(by, *id))?;
        }
        let by = "the objective";
        self.objective.resources().try_for_each(|id| resource(by, id))?;
        match self.objective.moves_between.len() {
            0 => Ok(()),
            entries if entries == self.machines.len().pow(2) => Ok(()),
            entries => Err(ModelError::MoveTable { entries, machines: self.machines.len() }),
        }
    }

    /// Amounts are in range, and the worst conceivable cost is within 64 bits.
    pub(super) fn check_amounts(&self) -> Result<(), ModelError> {
        let amount = |of: &str, amount: i64| match (0..=AMOUNT_MAX).contains(&amount) {
            true => Ok(()),
            false => Err(ModelError::Amount { of: of.to_owned(), amount }),
        };
        let mut capacity_sum = 0_i128;
        for part in &self.machines {
            for value in part.capacity.values().chain(part.safety.values()) {
                amount(&part.name, *value)?;
                capacity_sum += i128::from(*value);
            }
        }
        let mut move_sum = 0_i128;
        let mut need_sum = 0_i128;
        for (index, part) in self.instances.iter().enumerate() {
            let of = &format!("instance {index}");
            part.needs.values().try_for_each(|value| amount(of, *value))?;
            amount(of, part.move_cost)?;
            need_sum += part.needs.values().map(|value| i128::from(*value)).sum::<i128>();
            move_sum += i128::from(part.move_cost);
            let DeviceNeed { count, shares } = part.devices;
            if count > 0 && !(1..=SHARES_OF_DEVICE).contains(&shares) {
                return Err(ModelError::Shares { of: of.clone(), shares });
            }
        }
        for DeviceNeed { shares, .. } in self.objective.fragmentations() {
            if !(1..=SHARES_OF_DEVICE).contains(&shares) {
                return Err(ModelError::Shares { of: "the objective".to_owned(), shares });
            }
        }
        let wishes = self.groups.iter().flat_map(|group| &group.wishes);
        for weight in self.objective.weights().chain(wishes.clone().map(|wish| wish.weight)) {
            amount("a weight of the objective", weight)?;
        }
        let count = self.instances.len() as i128 + self.machines.len() as i128;
        // A breach counts instances or domains; a spread over more than there are lacks as many.
        let breach = |rule: &Rule| match rule {
            Rule::Spread { domains, .. } => count.max(i128::from(*domains)),
            _ => count,
        };
        let wish_sum: i128 = wishes.map(|wish| i128::from(wish.weight) * breach(&wish.rule)).sum();
        let devices: i128 = self.machines.iter().map(|part| i128::from(part.devices)).sum();
        let shares = devices * i128::from(SHARES_OF_DEVICE);
        let worst = self.objective.worst(capacity_sum + need_sum, move_sum, count, shares) + wish_sum;
        if worst < 1 << 62 { Ok(()) } else { Err(ModelError::TooLarge) }
    }
}
