//! What the tests share: the program, a folder with what it works on, and numbers that can be had again.

mod binary;
mod place;
mod random;
mod running;

pub(crate) use binary::{docker_service, fleet, guarded, quickstart};
pub(crate) use place::{Place, Ran};
pub(crate) use random::{Random, seed};
pub(crate) use running::{Running, until};
