//! Broken input, broken stores, a broken world: each ends with an exit code and a message that says what to do, and never
//! with a panic or a hang.

mod future;
mod states;
mod stores;
