//! The seams to the world. Core knows no backend: it names what it needs of one, and ships memory implementations.

pub mod containers;
pub mod host;
pub mod limited;
pub mod memory;
mod own;
pub mod rooted;

pub use containers::{Containers, ContainersError, MemoryContainers, SharedContainers};
pub use host::{Host, HostError};
pub use limited::LimitedHost;
pub use memory::MemoryHost;
pub use own::Backends;
pub use rooted::RootedHost;
