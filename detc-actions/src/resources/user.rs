//! `user`: an account of a host's own, by name. It has no password: nobody can log in with one until somebody sets it.

use std::collections::BTreeSet;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use detc_core::backend::host::Remove;
use detc_core::model::{Observation, Present};
use detc_core::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource};
use serde::{Deserialize, Serialize};

use super::accounts::{Change, GROUPS, USERS, check_field, check_id, check_name, field, find, table};
use super::common::check_path;

/// The spec of a `user`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSpec {
    /// What it is called.
    pub user: String,
    /// Its number; the host chooses one where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Its own group, by name; one of its own name where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The other groups that it is in, all of them; not looked at where they are not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<BTreeSet<String>>,
    /// Its home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// Whether its home is made with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub make_home: bool,
    /// Whether its home is removed with it, and all that is in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub purge: bool,
    /// The program that it logs in to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether a number that the host chooses is one of those for services.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub system: bool,
}

/// What a `user` gives to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserOutput {
    /// Its number.
    pub uid: u32,
    /// The number of its own group.
    pub gid: u32,
}

/// What the tables say of a user.
struct Seen {
    output: UserOutput,
    group: String,
    groups: BTreeSet<String>,
    home: String,
    shell: String,
    comment: String,
}

/// What the tables say.
struct Tables {
    user: Option<Seen>,
    /// Whether there is a group of the user's name.
    has_group: bool,
}

impl UserSpec {
    /// The user called `name`, all else left to the host.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            user: name.into(),
            uid: None,
            group: None,
            groups: None,
            home: None,
            make_home: false,
            purge: false,
            shell: None,
            comment: None,
            system: false,
        }
    }

    async fn look(&self, cx: &ActionCx<'_>) -> Result<Tables, ActionError> {
        let (users, groups) = (table(cx, USERS).await?, table(cx, GROUPS).await?);
        let has_group = find(&groups, &self.user).is_some();
        let Some(entry) = find(&users, &self.user) else { return Ok(Tables { user: None, has_group }) };
        let number = |at: usize| {
            let wrong = || ActionError::permanent(format!("{USERS} has no number for {}", self.user));
            field(entry, at).parse::<u32>().map_err(|_| wrong())
        };
        let output = UserOutput { uid: number(2)?, gid: number(3)? };
        let own = groups.iter().find(|group| field(group, 2).parse() == Ok(output.gid));
        let others =
            groups.iter().filter(|group| field(group, 3).split(',').any(|member| member == self.user));
        let user = Seen {
            group: own.map_or_else(|| output.gid.to_string(), |group| field(group, 0).to_owned()),
            groups: others.map(|group| field(group, 0).to_owned()).collect(),
            comment: field(entry, 4).to_owned(),
            home: field(entry, 5).to_owned(),
            shell: field(entry, 6).to_owned(),
            output,
        };
        Ok(Tables { user: Some(user), has_group })
    }

    fn added(&self, has_group: bool) -> Change {
        let mut change = Change::new("useradd");
        // A group of its name may be another's, or what was left of a try that was cut off.
        let group = self.group.as_ref().or(has_group.then_some(&self.user));
        change
            .option("-u", self.uid)
            .option("-g", group)
            .option("-G", self.groups.as_ref().filter(|groups| !groups.is_empty()).map(joined))
            .option("-d", self.home.as_ref())
            .option("-s", self.shell.as_ref())
            .option("-c", self.comment.as_ref())
            .flag(if self.make_home { "-m" } else { "-M" });
        if self.system {
            change.flag("-r");
        }
        change
    }

    /// What differs, and nothing else.
    fn changed(&self, seen: &Seen) -> Change {
        let mut change = Change::new("usermod");
        change
            .option("-u", self.uid.filter(|uid| *uid != seen.output.uid))
            .option("-g", self.group.as_ref().filter(|group| **group != seen.group))
            .option("-G", self.groups.as_ref().filter(|groups| **groups != seen.groups).map(joined))
            .option("-d", self.home.as_ref().filter(|home| **home != seen.home))
            .option("-s", self.shell.as_ref().filter(|shell| **shell != seen.shell))
            .option("-c", self.comment.as_ref().filter(|comment| **comment != seen.comment));
        change
    }

    async fn bring_about(&self, cx: &ActionCx<'_>) -> Result<UserOutput, ActionError> {
        let Tables { user, has_group } = self.look(cx).await?;
        let change = match &user {
            Some(seen) => self.changed(seen),
            None => self.added(has_group),
        };
        match user {
            Some(seen) if change.is_empty() => return Ok(seen.output),
            _ => change.run(cx, &self.user).await?,
        }
        let there = self.look(cx).await?.user;
        let lost = || ActionError::permanent(format!("{} was made, and is not in {USERS}", cx.resource()));
        Ok(there.ok_or_else(lost)?.output)
    }
}

fn joined(groups: &BTreeSet<String>) -> String {
    groups.iter().map(String::as_str).collect::<Vec<_>>().join(",")
}

#[async_trait]
impl Resource for UserSpec {
    const KIND: &'static str = "user";

    type Output = UserOutput;

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.replace_on = &["user"];
        // All but its other groups, which are in another table.
        traits.at_once = &["uid", "group", "home", "shell", "comment"];
        traits.host = HostNeed::Required;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        check_name("user", &self.user)?;
        check_id("uid", self.uid)?;
        let mut footprint = Footprint::new(CrashClass::DeterministicName)
            .reading(Place::path(USERS))
            .reading(Place::path(GROUPS))
            .owning(Place::name("user", &self.user));
        let groups = self.groups.iter().flatten().map(|group| ("groups", group));
        for (field, group) in self.group.iter().map(|group| ("group", group)).chain(groups) {
            check_name(field, group)?;
            footprint = footprint.reading(Place::name("group", group));
        }
        for (field, text) in [("home", &self.home), ("shell", &self.shell), ("comment", &self.comment)] {
            check_field(field, text.as_deref().unwrap_or_default())?;
        }
        if let Some(shell) = &self.shell {
            check_path("shell", shell)?;
            footprint = footprint.reading(Place::path(shell));
        }
        match &self.home {
            Some(home) => {
                check_path("home", home)?;
                let home = Place::path(home);
                footprint = if self.make_home { footprint.writing(home.clone()) } else { footprint };
                footprint = if self.purge { footprint.sweeping(home) } else { footprint };
            }
            None if self.make_home || self.purge => {
                return Err(InvalidField::new("home", "must be given where it is made or removed"));
            }
            None => {}
        }
        Ok(footprint)
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let Some(seen) = self.look(cx).await?.user else { return Ok(Observation::Absent) };
        let mut present = Present::new().with_output(&seen.output);
        if self.uid.is_some() {
            present = present.with_field("uid", seen.output.uid);
        }
        if self.groups.is_some() {
            present = present.with_field("groups", seen.groups.into_iter().collect::<Vec<_>>());
        }
        let texts = [
            ("group", &self.group, seen.group),
            ("home", &self.home, seen.home),
            ("shell", &self.shell, seen.shell),
            ("comment", &self.comment, seen.comment),
        ];
        for (field, wanted, seen) in texts {
            if wanted.is_some() {
                present = present.with_field(field, seen);
            }
        }
        Ok(Observation::Present(present))
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<UserOutput, ActionError> {
        self.bring_about(cx).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<UserOutput, ActionError> {
        self.bring_about(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        // First the home: once the user is gone, nobody looks for it again.
        let purges = self.purge && !cx.was_cut_off();
        if let Some(home) = self.home.as_ref().filter(|_| purges) {
            cx.host()?.remove(home, Remove::Tree).await?;
        }
        if self.look(cx).await?.user.is_some() {
            Change::new("userdel").run(cx, &self.user).await?;
        }
        match &self.home {
            Some(home) if self.make_home && !purges && cx.host()?.stat(home).await?.is_some() => {
                let why = if self.purge {
                    "its making was cut off, and who made all that is in it is not known"
                } else {
                    "it has no `purge`"
                };
                Ok(Removed::Left(format!("its home {home} stays, since {why}")))
            }
            Some(_) | None => Ok(Removed::Gone),
        }
    }
}

#[cfg(test)]
#[cfg(feature = "local")]
mod tests;
