//! Real backends for the seams of [`detc_core::backend`], one feature each.

#[cfg(feature = "docker")]
pub mod docker;

#[cfg(feature = "local")]
pub mod local;

#[cfg(any(feature = "docker", feature = "ssh"))]
mod shell;

#[cfg(feature = "ssh")]
pub mod ssh;

#[cfg(feature = "docker")]
pub use docker::{DockerEngine, DockerHosts, DockerSpec};

#[cfg(feature = "local")]
pub use local::{LocalConnector, LocalHost};

#[cfg(feature = "ssh")]
pub use ssh::{HostKeyPolicy, SshConnector, SshHost};
