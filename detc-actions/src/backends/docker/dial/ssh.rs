//! An engine on a machine that is reached by SSH: its socket, over the connection that there is anyway.

use async_trait::async_trait;
use detc_core::backend::HostError;

use super::{Dial, DialError, Duplex};
use crate::backends::ssh::SshHost;

/// The socket of an engine on another machine. Nothing of the engine has to be reached over the network.
#[derive(Debug)]
pub(in super::super) struct Through {
    pub(in super::super) host: SshHost,
    pub(in super::super) socket: String,
}

#[async_trait]
impl Dial for Through {
    async fn dial(&self) -> Result<Box<dyn Duplex>, DialError> {
        match self.host.socket(&self.socket).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(told(&error, &self.socket)),
        }
    }
}

fn told(error: &HostError, socket: &str) -> DialError {
    match error {
        HostError::Untrusted { hint, .. } => {
            DialError::Untrusted { what: error.to_string(), hint: hint.clone() }
        }
        HostError::NotLetIn { hint, .. } => {
            DialError::NotLetIn { what: error.to_string(), hint: hint.clone() }
        }
        HostError::Refused { source, .. } => DialError::NotLetIn {
            what: format!("{error}: {source}"),
            hint: format!(
                "see that an engine listens at {socket} there, that the user may use it (its group is often `docker`), and \
                 that sshd has no `AllowStreamLocalForwarding no`"
            ),
        },
        _ => DialError::Unreachable { what: error.to_string() },
    }
}
