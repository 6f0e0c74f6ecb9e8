//! Plans from worlds that are written down, and their texts.

#![allow(clippy::needless_pass_by_value, reason = "a test hands over what it expects")]

pub(in crate::plan) mod support;

mod again;
mod begun;
mod changes;
mod counts;
mod entries;
mod file;
mod graph;
mod json;
mod late;
mod laws;
mod lost;
mod meanwhile;
mod moves;
mod order;
mod partial;
mod predicates;
mod shown;
mod sweeps;
mod text;
mod texts;
mod waits;
