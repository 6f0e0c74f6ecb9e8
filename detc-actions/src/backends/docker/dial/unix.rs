//! An engine on this machine, by its socket.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use nix::unistd::{Gid, Group};
use tokio::net::UnixStream;

use super::{Dial, DialError, Duplex};

/// The socket of an engine.
#[derive(Debug)]
pub(in super::super) struct Unix {
    pub(in super::super) path: PathBuf,
}

#[async_trait]
impl Dial for Unix {
    async fn dial(&self) -> Result<Box<dyn Duplex>, DialError> {
        match UnixStream::connect(&self.path).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(told(&self.path, &error)),
        }
    }
}

fn told(path: &Path, error: &std::io::Error) -> DialError {
    let shown = path.display();
    match error.kind() {
        ErrorKind::NotFound => DialError::Unreachable { what: format!("there is no socket {shown}") },
        ErrorKind::ConnectionRefused => {
            DialError::Unreachable { what: format!("nobody listens at the socket {shown}") }
        }
        ErrorKind::PermissionDenied => {
            let group = std::fs::metadata(path).ok().map(|meta| group_name(meta.gid()));
            let hint = match group {
                Some(group) => format!("be root, or in the group `{group}`, which the socket belongs to"),
                None => "be root, or in the group that the socket belongs to".to_owned(),
            };
            DialError::NotLetIn { what: format!("the right to use the socket {shown} is missing"), hint }
        }
        _ => DialError::Unreachable { what: format!("{shown}: {error}") },
    }
}

fn group_name(gid: u32) -> String {
    match Group::from_gid(Gid::from_raw(gid)) {
        Ok(Some(group)) => group.name,
        Ok(None) | Err(_) => gid.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_socket_is_not_reached_is_said_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let of = |kind: ErrorKind| told(&path, &kind.into());
        let shown = path.display();
        assert_eq!(of(ErrorKind::NotFound).to_string(), format!("there is no socket {shown}"));
        assert_eq!(
            of(ErrorKind::ConnectionRefused).to_string(),
            format!("nobody listens at the socket {shown}")
        );
        std::fs::write(&path, "").unwrap();
        let group = group_name(std::fs::metadata(&path).unwrap().gid());
        assert_eq!(
            of(ErrorKind::PermissionDenied),
            DialError::NotLetIn {
                what: format!("the right to use the socket {shown} is missing"),
                hint: format!("be root, or in the group `{group}`, which the socket belongs to"),
            }
        );
    }
}
