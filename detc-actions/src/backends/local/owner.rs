//! Users and groups, by name and by number.

use std::io;

use detc_core::backend::host::{Owner, Ownership};
use nix::unistd::{Gid, Group, Uid, User};

/// The numbers of the owner and group to give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) user: Option<u32>,
    pub(super) group: Option<u32>,
}

/// Looks names up; what is a number and no name stands for itself.
pub(super) fn ids(ownership: &Ownership) -> io::Result<Ids> {
    let user = |name: &String| {
        let found = User::from_name(name)?.map(|user| user.uid.as_raw());
        found.or_else(|| name.parse().ok()).ok_or_else(|| unknown("user", name))
    };
    let group = |name: &String| {
        let found = Group::from_name(name)?.map(|group| group.gid.as_raw());
        found.or_else(|| name.parse().ok()).ok_or_else(|| unknown("group", name))
    };
    Ok(Ids {
        user: ownership.owner.as_ref().map(user).transpose()?,
        group: ownership.group.as_ref().map(group).transpose()?,
    })
}

fn unknown(what: &str, name: &str) -> io::Error {
    // Not `NotFound`: that would read as if the file were missing.
    io::Error::other(format!("there is no {what} `{name}`"))
}

pub(super) fn user(id: u32) -> Owner {
    // A user database that can not be read leaves the number, which is right as well.
    let name = User::from_uid(Uid::from_raw(id)).ok().flatten().map(|user| user.name);
    Owner { id, name }
}

pub(super) fn group(id: u32) -> Owner {
    let name = Group::from_gid(Gid::from_raw(id)).ok().flatten().map(|group| group.name);
    Owner { id, name }
}
