//! Users and groups of a host, by name and by number.
//!
//! From a number to a name the SFTP server leads (OpenSSH since 8.7); from a name to a number, and where it does not, the
//! host's own files do.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use detc_core::backend::host::{Owner, Ownership};

use super::super::sftp::{Request, Sftp, SftpError, names};
use super::FileError;

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// Longest file of users or groups that is read: half a million of them.
const FILE_LEN_MAX: u64 = 32 << 20;

/// The numbers of the owner and group to give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) user: Option<u32>,
    pub(super) group: Option<u32>,
}

/// Names that were seen on a connection. A number without a name is asked for again: it may get one.
#[derive(Debug, Default)]
pub(in super::super) struct Accounts {
    users: Mutex<BTreeMap<u32, String>>,
    groups: Mutex<BTreeMap<u32, String>>,
}

impl Accounts {
    /// The user and the group of these numbers.
    pub(super) async fn owners(&self, sftp: &Sftp, user: u32, group: u32) -> Result<[Owner; 2], FileError> {
        let mut found = [self.known(&self.users, user), self.known(&self.groups, group)];
        if found.iter().any(Option::is_none) {
            found = self.ask(sftp, user, group).await?;
            for (names, id, name) in [(&self.users, user, &found[0]), (&self.groups, group, &found[1])] {
                if let Some(name) = name {
                    names.lock().unwrap_or_else(PoisonError::into_inner).insert(id, name.clone());
                }
            }
        }
        let [user_name, group_name] = found;
        Ok([Owner { id: user, name: user_name }, Owner { id: group, name: group_name }])
    }

    fn known(&self, names: &Mutex<BTreeMap<u32, String>>, id: u32) -> Option<String> {
        names.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    async fn ask(&self, sftp: &Sftp, user: u32, group: u32) -> Result<[Option<String>; 2], FileError> {
        if sftp.has("users-groups-by-id@openssh.com") {
            match sftp.send(&Request::Names { user, group }).extended().await {
                Ok(body) => return Ok(names(&body).map_err(SftpError::from)?),
                Err(SftpError::Status(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let (users, groups) = (entries(sftp, USERS).await?, entries(sftp, GROUPS).await?);
        let of = |entries: Vec<(String, u32)>, id| {
            entries.into_iter().find(|(_, own)| *own == id).map(|(name, _)| name)
        };
        Ok([of(users, user), of(groups, group)])
    }

    /// Looks names up; what is a number and no name stands for itself.
    pub(super) async fn ids(&self, sftp: &Sftp, ownership: &Ownership) -> Result<Ids, FileError> {
        Ok(Ids {
            user: id(sftp, USERS, "user", ownership.owner.as_deref()).await?,
            group: id(sftp, GROUPS, "group", ownership.group.as_deref()).await?,
        })
    }
}

async fn id(sftp: &Sftp, file: &str, what: &str, name: Option<&str>) -> Result<Option<u32>, FileError> {
    let Some(name) = name else { return Ok(None) };
    let found = entries(sftp, file).await?.into_iter().find(|(own, _)| own == name).map(|(_, id)| id);
    match found.or_else(|| name.parse().ok()) {
        Some(id) => Ok(Some(id)),
        None => Err(io::Error::other(format!("there is no {what} `{name}`")).into()),
    }
}

/// The names and numbers in a file of users or groups. One that can not be read has none.
async fn entries(sftp: &Sftp, file: &str) -> Result<Vec<(String, u32)>, FileError> {
    let content = match super::read(sftp, file, FILE_LEN_MAX).await {
        Ok(content) => content.unwrap_or_default(),
        Err(FileError::Io(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&content);
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        Some((name.to_owned(), id.parse().ok()?))
    };
    Ok(text.lines().filter_map(entry).collect())
}
