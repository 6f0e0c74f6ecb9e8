//! How many of a group are in each domain of a level, in a row of all domains or of those alone where there are any.
//!
//! A hundred thousand groups that are at most one on each of ten thousand machines would be four gigabytes of zeros in rows. So
//! only short rows, and those of groups that fill a good part of them, are kept whole.

use crate::place::DomainId;
use crate::place::check::SHORT_ROW_DOMAINS;

/// A row is whole where it has at most so many domains for each member of its group: a pair has to be looked for, and a million
/// instances have 128 megabytes of counts at most.
const DOMAINS_PER_MEMBER: usize = 32;

/// The counts of one group at one level.
#[derive(Clone, Debug)]
pub(super) enum Cells {
    /// Of each domain.
    Row(Vec<u32>),
    /// Of the domains where there are any, by number.
    Few(Vec<(u32, u32)>),
}

impl Cells {
    pub(super) fn new(domains: usize, members: usize) -> Self {
        match domains <= SHORT_ROW_DOMAINS.max(members.saturating_mul(DOMAINS_PER_MEMBER)) {
            true => Self::Row(vec![0; domains]),
            false => Self::Few(Vec::new()),
        }
    }

    /// How many are in a domain.
    #[inline]
    pub(super) fn count(&self, domain: DomainId) -> u32 {
        match self {
            Self::Row(row) => row[domain.index()],
            Self::Few(pairs) => match pairs.binary_search_by_key(&domain.0, |(domain, _)| *domain) {
                Ok(slot) => pairs[slot].1,
                Err(_) => 0,
            },
        }
    }

    /// One came to (1) or left (-1) a domain: how many are there now. Linear in the domains where there are any, at most.
    pub(super) fn change(&mut self, domain: DomainId, change: i32) -> u32 {
        let pairs = match self {
            Self::Row(row) => {
                let count = &mut row[domain.index()];
                *count = count.wrapping_add_signed(change);
                return *count;
            }
            Self::Few(pairs) => pairs,
        };
        match pairs.binary_search_by_key(&domain.0, |(domain, _)| *domain) {
            Ok(slot) => {
                let count = pairs[slot].1.wrapping_add_signed(change);
                pairs[slot].1 = count;
                if count == 0 {
                    pairs.remove(slot);
                }
                count
            }
            Err(slot) => {
                let count = 0_u32.wrapping_add_signed(change);
                pairs.insert(slot, (domain.0, count));
                count
            }
        }
    }

    /// The domains where there are any.
    pub(super) fn occupied(&self) -> impl Iterator<Item = DomainId> + '_ {
        let (row, pairs): (&[u32], &[(u32, u32)]) = match self {
            Self::Row(row) => (row, &[]),
            Self::Few(pairs) => (&[], pairs),
        };
        let row = row.iter().enumerate().filter(|(_, count)| **count > 0);
        let row = row.map(|(domain, _)| DomainId::new(domain));
        row.chain(pairs.iter().map(|(domain, _)| DomainId(*domain)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn both_kinds_count_alike() {
        let domains = 200;
        let (mut row, mut few) = (Cells::new(domains, 100), Cells::new(domains, 1));
        assert!(matches!((&row, &few), (Cells::Row(_), Cells::Few(_))));
        let mut rng = Rng::new(1, 1);
        for step in 0..5000 {
            let domain = DomainId::new(rng.below(domains));
            let change = if row.count(domain) > 0 && rng.below(2) == 0 { -1 } else { 1 };
            assert_eq!(row.change(domain, change), few.change(domain, change), "step {step}");
            assert_eq!(row.count(domain), few.count(domain), "step {step}");
        }
        assert!(row.occupied().eq(few.occupied()));
    }
}
