//! What the tests share: the program, a folder with what it works on, and numbers that can be had again.

mod binary;
mod place;
mod random;
mod running;
mod terminal;

pub(crate) use binary::{docker_service, fleet, guarded, quickstart};
pub(crate) use place::{Place, Ran};
pub(crate) use random::{Random, seed};
pub(crate) use running::{Running, until};
pub(crate) use terminal::{TERMINAL, at_terminal};
