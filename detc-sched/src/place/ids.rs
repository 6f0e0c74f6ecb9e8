//! The numbers by which a model's parts are known. Each kind has its own type, so that they can not be mixed up.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $letter:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub(crate) u32);

        impl $name {
            /// The one that was added as number `index`, from 0.
            ///
            /// # Panics
            /// With 2³² and more.
            pub fn new(index: usize) -> Self {
                Self(u32::try_from(index).expect("invariant: a model has fewer than 2^32 parts of a kind"))
            }

            /// Its number, from 0.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{}"), self.0)
            }
        }
    };
}

id!(
    /// Something that machines have and instances need, counted in whole units.
    ResourceId, "r"
);
id!(
    /// A level of fault domains: machine, rack, zone. [`LevelId::MACHINE`] is always there.
    LevelId, "level"
);
id!(
    /// A fault domain within its level.
    DomainId, "d"
);
id!(
    /// A place where instances run.
    MachineId, "m"
);
id!(
    /// Instances under common rules.
    GroupId, "g"
);
id!(
    /// One thing that runs on one machine.
    InstanceId, "i"
);

impl LevelId {
    /// The finest level, in which each machine is its own domain.
    pub const MACHINE: Self = Self(0);
}
