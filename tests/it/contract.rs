//! The outside contract, through the real program: what an operator or a script relies on.

mod begun;
mod changes;
mod doubtful;
mod health;
mod history;
mod input;
mod interrupt;
mod invariants;
mod kinds;
mod leftover;
mod moved;
mod moves;
mod output;
mod owned;
mod ownership;
mod predicates;
mod process;
mod readers;
mod refused;
mod rehearsal;
mod saved;
mod secrets;
mod terminal;
mod unknown;
mod words;
