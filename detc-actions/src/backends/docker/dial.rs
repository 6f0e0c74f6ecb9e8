//! What leads to an engine: any stream that takes and gives bytes can carry its API.

use std::error::Error;
use std::fmt::{self, Debug, Display};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

#[cfg(feature = "ssh")]
mod ssh;
mod tcp;
mod unix;

#[cfg(feature = "ssh")]
pub(super) use ssh::Through;

pub(super) use tcp::{Tcp, Tls, of_tls};
pub(super) use unix::Unix;

/// Both directions of a connection.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A way to an engine.
///
/// # Contract
///
/// - Each call makes a connection of its own, on which nothing was said yet. Several are open at once.
/// - The end of what is written (`shutdown`) is told to the other side, which may still answer: an exec that reads its input to the
///   end needs it.
#[async_trait]
pub trait Dial: Debug + Send + Sync + 'static {
    /// Connects.
    ///
    /// # Errors
    /// Why there is no connection, in words.
    async fn dial(&self) -> Result<Box<dyn Duplex>, DialError>;
}

/// Why an engine was not reached. Nothing was asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialError {
    /// Nobody answers there.
    Unreachable {
        /// What happened.
        what: String,
    },
    /// It is not the one that it is said to be.
    Untrusted {
        /// Why.
        what: String,
        /// What to do next.
        hint: String,
    },
    /// It does not let us in.
    NotLetIn {
        /// What came of what was offered.
        what: String,
        /// What to do next.
        hint: String,
    },
}

impl Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { what } | Self::Untrusted { what, .. } | Self::NotLetIn { what, .. } => {
                f.pad(what)
            }
        }
    }
}

impl Error for DialError {}
