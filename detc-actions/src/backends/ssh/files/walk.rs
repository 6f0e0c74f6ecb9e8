//! Paths, step by step.

use std::io;

use super::super::sftp::{Request, Sftp, SftpError};
use super::FileError;

/// How many links lead on, one from the other, before it is a circle: as Linux counts.
const LINKS_MAX: usize = 40;

/// The directories on the way to `path`, and `path` itself.
pub(super) fn places(path: &str) -> Vec<String> {
    let mut places = Vec::new();
    let mut at = String::new();
    for name in path.split('/').filter(|name| !name.is_empty()) {
        at.push('/');
        at.push_str(name);
        if name != "." && name != ".." {
            places.push(at.clone());
        }
    }
    places
}

/// The directory that `path` is in.
pub(in super::super) fn parent(path: &str) -> &str {
    match path.trim_end_matches('/').rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((dir, _)) => dir,
    }
}

/// That nothing is at `path`, of which the server says so. It says the same of a path that leads in a circle, and of that
/// nothing is known.
///
/// # Errors
/// When the path leads in a circle.
pub(super) async fn really_absent(sftp: &Sftp, path: &str) -> Result<(), FileError> {
    let asked: Vec<_> = places(path)
        .into_iter()
        .map(|place| (sftp.stat_link(&place), sftp.send(&Request::Stat { path: &place }), place))
        .collect();
    for (itself, led_to, place) in asked {
        let Ok(attrs) = itself.attrs().await else { return Ok(()) };
        if attrs.is_link() && led_to.attrs().await.is_err() && is_circle(sftp, place).await? {
            return Err(io::Error::other("too many symbolic links lead on, one from the other").into());
        }
    }
    Ok(())
}

async fn is_circle(sftp: &Sftp, mut place: String) -> Result<bool, FileError> {
    for _ in 0..LINKS_MAX {
        let target = match sftp.send(&Request::ReadLink { path: &place }).names().await {
            Ok(Some(names)) => {
                String::from_utf8_lossy(names.first().map_or(&[][..], Vec::as_slice)).into_owned()
            }
            Ok(None) => return Ok(false),
            // No link, or nothing: it ends here.
            Err(SftpError::Status(_)) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        place = if target.starts_with('/') { target } else { format!("{}/{target}", parent(&place)) };
    }
    Ok(true)
}
