//! How long a search may go on. The library reads no clock: time is told by the caller.

use std::fmt;

/// How long a search may go on.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Effort<'a> {
    /// So many steps of each thread. The same seed, threads and steps give the same result.
    Steps(u64),
    /// Until the caller says that all is spent. It is asked every few hundred steps, by several threads.
    Until(&'a (dyn Fn() -> Spent + Sync)),
}

impl fmt::Debug for Effort<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps(steps) => f.debug_tuple("Steps").field(steps).finish(),
            Self::Until(_) => f.write_str("Until(..)"),
        }
    }
}

/// How much of an effort is spent: from nothing to [all](Spent::ALL), in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spent(u32);

impl Spent {
    /// Everything: the search returns.
    pub const ALL: Self = Self(1_000_000);

    /// `part` of `whole`, in any unit.
    pub fn of(part: u64, whole: u64) -> Self {
        let millionths = u128::from(part) * 1_000_000 / u128::from(whole.max(1));
        Self(millionths.min(1_000_000) as u32)
    }

    /// As a share from 0 to 1.
    pub(crate) fn share(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

impl Effort<'_> {
    /// What is spent after so many steps.
    pub(crate) fn spent(&self, steps: u64) -> Spent {
        match self {
            Self::Steps(all) if steps >= *all => Spent::ALL,
            Self::Steps(all) => Spent::of(steps, *all),
            Self::Until(spent) => spent(),
        }
    }
}
