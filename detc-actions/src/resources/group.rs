//! `group`: a group of a host's own, by name.

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use detc_core::model::{Observation, Present};
use detc_core::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource};
use serde::{Deserialize, Serialize};

use super::accounts::{Change, GROUPS, check_id, check_name, field, find, table};

/// The spec of a `group`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSpec {
    /// What it is called.
    pub group: String,
    /// Its number; the host chooses one where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Whether a number that the host chooses is one of those for services.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub system: bool,
}

/// What a `group` gives to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupOutput {
    /// Its number.
    pub gid: u32,
}

impl GroupSpec {
    /// The group called `name`, its number left to the host.
    pub fn new(name: impl Into<String>) -> Self {
        Self { group: name.into(), gid: None, system: false }
    }

    async fn look(&self, cx: &ActionCx<'_>) -> Result<Option<GroupOutput>, ActionError> {
        let groups = table(cx, GROUPS).await?;
        let Some(entry) = find(&groups, &self.group) else { return Ok(None) };
        let gid = field(entry, 2).parse();
        let gid =
            gid.map_err(|_| ActionError::permanent(format!("{GROUPS} has no number for {}", self.group)))?;
        Ok(Some(GroupOutput { gid }))
    }

    async fn bring_about(&self, cx: &ActionCx<'_>) -> Result<GroupOutput, ActionError> {
        let there = self.look(cx).await?;
        let mut change = Change::new(if there.is_some() { "groupmod" } else { "groupadd" });
        let is_other = |gid: &u32| there.as_ref().is_none_or(|there| there.gid != *gid);
        change.option("-g", self.gid.filter(is_other));
        if there.is_none() && self.system {
            change.flag("-r");
        }
        match there {
            Some(there) if change.is_empty() => return Ok(there),
            _ => change.run(cx, &self.group).await?,
        }
        let there = self.look(cx).await?;
        there.ok_or_else(|| {
            ActionError::permanent(format!("{} was made, and is not in {GROUPS}", cx.resource()))
        })
    }
}

#[async_trait]
impl Resource for GroupSpec {
    const KIND: &'static str = "group";

    type Output = GroupOutput;

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.replace_on = &["group"];
        traits.at_once = &["gid"];
        traits.host = HostNeed::Required;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        check_name("group", &self.group)?;
        check_id("gid", self.gid)?;
        let own = Place::name("group", &self.group);
        Ok(Footprint::new(CrashClass::DeterministicName).reading(Place::path(GROUPS)).owning(own))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let Some(there) = self.look(cx).await? else { return Ok(Observation::Absent) };
        let present = Present::new().with_output(&there);
        Ok(Observation::Present(match self.gid {
            Some(_) => present.with_field("gid", there.gid),
            None => present,
        }))
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<GroupOutput, ActionError> {
        self.bring_about(cx).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<GroupOutput, ActionError> {
        self.bring_about(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        if self.look(cx).await?.is_some() {
            Change::new("groupdel").run(cx, &self.group).await?;
        }
        Ok(Removed::Gone)
    }
}

#[cfg(test)]
#[cfg(feature = "local")]
mod tests;
