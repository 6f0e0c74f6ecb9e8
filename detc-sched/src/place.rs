//! Which instance runs on which machine.
//!
//! | module | has |
//! |---|---|
//! | [`model`] | what there is, what is to run, under which rules |
//! | [`objective`] | what is aimed at, and the [`bill`] of a placement, term by term |
//! | [`online`] | places instances one by one: filter, score, choose |
//! | [`place_all`] | places many at once, and moves others to make room |
//! | [`mod@validate`] | the independent judge of a placement |
//!
//! To improve what already runs is the business of [`rebalance`](crate::rebalance).

pub use batch::{Batch, place_all};
pub use ids::{DomainId, GroupId, InstanceId, LevelId, MachineId, ResourceId};
pub use model::{
    Builder, ConstraintError, DeviceNeed, Group, Hold, Instance, Machine, Model, ModelError, Pattern,
    PatternError, Requirement, Rule, SHARES_OF_DEVICE, Test, Wish,
};
pub use named::{Named, WithNames};
pub use objective::{Balance, Bill, Entry, Objective, Term, bill};
pub use placement::Placement;
pub use validate::{Violation, newly_broken, validate};

mod batch;
pub(crate) mod check;
mod ids;
pub mod model;
pub(crate) mod named;
pub mod objective;
pub mod online;
mod placement;
pub mod validate;
