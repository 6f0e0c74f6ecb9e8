//! `network`: what containers of one engine reach each other by.
//!
//! An engine can change nothing of a network. So another is made under its name: the containers of this cluster that are in it are
//! disconnected, and connected again as they were. What is foreign in it is never touched, and keeps it as it is. A try that is
//! cut off in between leaves containers without it; the next plan finds them so, and connects them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use detc_core::backend::containers::{
    self as engine, Attachment, Change, Containers, Listed, Mark, Network, Networking, New, ObjectKind,
    ObjectRef, Query, Subnet,
};
use detc_core::model::{Doc, Observation, Present};
use detc_core::resource::{ChangeEffect, HostNeed, InvalidField, KindTraits, Removed, Resource};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::container::check_name;
use super::engines::{check_labels, engine, foreign, mark, ours, without_marks};

pub(crate) mod nets;

/// The spec of a `network`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    /// What it is called on the engine.
    pub network: String,
    /// Which driver makes it; `bridge` where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The driver's options.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Whether nothing leads out of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal: Option<bool>,
    /// Whether it has IPv6 beside IPv4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<bool>,
    /// Its addresses; the engine's choice where none are given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<SubnetSpec>,
    /// Labels that the engine shows. Those that begin with `detc.` are detc's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub engine_labels: BTreeMap<String, String>,
}

/// Addresses of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubnetSpec {
    /// All of them: `10.1.0.0/16`.
    pub subnet: String,
    /// Which part of it containers get theirs from; all of it where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// The way out; the engine's choice where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
}

/// What a `network` gives to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkOutput {
    /// Its id on the engine: another when another was made under its name.
    pub id: String,
    /// What it is called there.
    pub name: String,
}

impl NetworkSpec {
    /// The network called `network`, a bridge of the engine's choice.
    pub fn new(network: impl Into<String>) -> Self {
        Self {
            network: network.into(),
            driver: None,
            options: BTreeMap::new(),
            internal: None,
            ipv6: None,
            subnets: Vec::new(),
            engine_labels: BTreeMap::new(),
        }
    }

    /// What the engine is to make.
    fn made(&self) -> engine::NetworkSpec {
        let mut made = engine::NetworkSpec::default();
        if let Some(driver) = &self.driver {
            made.driver.clone_from(driver);
        }
        made.options = self.options.clone();
        made.is_internal = self.internal == Some(true);
        made.has_ipv6 = self.ipv6 == Some(true);
        made.subnets = self.subnets.iter().map(subnet).collect();
        made.subnets.sort();
        made.labels = self.engine_labels.clone();
        made
    }

    /// The digest of what it is made of.
    fn told(&self) -> String {
        let fields = fields(&self.made());
        Doc::new(&Value::Object(fields.into_iter().map(|(name, it)| (name.to_owned(), it)).collect()))
            .digest()
            .to_string()
    }

    fn output(&self, id: &str) -> NetworkOutput {
        NetworkOutput { id: id.to_owned(), name: self.network.clone() }
    }

    /// What is there of it.
    async fn look(&self, cx: &ActionCx<'_>) -> Result<Option<Listed>, ActionError> {
        let all = ours(&*engine(cx).await?, ObjectKind::Network, cx).await?;
        Ok(all.into_iter().find(|one| one.name() == self.network))
    }

    /// What the spec has, as it is.
    fn tell(&self, seen: &Network) -> Present {
        let (wanted, mut there) = (self.made(), seen.spec.clone());
        there.labels = without_marks(there.labels);
        there.subnets.sort();
        if wanted.subnets.is_empty() {
            there.subnets.clear();
        }
        for (there, wanted) in there.subnets.iter_mut().zip(&wanted.subnets) {
            // What is the engine's choice is not compared.
            there.gateway = there.gateway.filter(|_| wanted.gateway.is_some());
        }
        let written = serde_json::to_value(self).expect("invariant: a spec is JSON");
        let wanted: BTreeMap<_, _> = fields(&wanted).into();
        fields(&there).into_iter().fold(Present::new(), |present, (name, seen)| {
            let is_same = wanted[name] == seen;
            let as_written = Some(&written[name]).filter(|written| is_same && !written.is_null());
            present.with_field(name, as_written.cloned().unwrap_or(seen))
        })
    }

    async fn make(&self, cx: &ActionCx<'_>, engine: &dyn Containers) -> Result<String, ActionError> {
        let mut spec = self.made();
        spec.labels.extend(mark(cx, &self.told()).labels());
        let new = New::Network { name: self.network.clone(), spec };
        engine.create(&new).await.map_err(|error| foreign(cx, error))
    }

    async fn bring_about(&self, cx: &ActionCx<'_>) -> Result<NetworkOutput, ActionError> {
        let engine = engine(cx).await?;
        let id = match self.look(cx).await? {
            None => self.make(cx, &*engine).await?,
            Some(one) if one.mark().is_some_and(|mark| mark.spec == self.told()) => one.id,
            Some(one) => self.make_anew(cx, &*engine, &one).await?,
        };
        Ok(self.output(&id))
    }

    /// Makes another one under its name.
    async fn make_anew(
        &self,
        cx: &ActionCx<'_>,
        engine: &dyn Containers,
        old: &Listed,
    ) -> Result<String, ActionError> {
        let members = self.members(cx, engine).await?;
        let network = || self.network.clone();
        for (container, _) in &members {
            engine.change(&Change::Disconnect { container: container.clone(), network: network() }).await?;
        }
        engine.change(&Change::remove(ObjectRef::network(&old.id))).await?;
        let id = self.make(cx, engine).await?;
        for (container, attachment) in members {
            engine.change(&Change::Connect { container, network: network(), attachment }).await?;
        }
        Ok(id)
    }

    /// The containers of this cluster that are in it, and how.
    async fn members(
        &self,
        cx: &ActionCx<'_>,
        engine: &dyn Containers,
    ) -> Result<Vec<(String, Attachment)>, ActionError> {
        let all = engine.list(&Query::new(ObjectKind::Container)).await?;
        let mut members = Vec::new();
        for one in all.iter().filter(|one| one.networks.contains(&self.network)) {
            if one.labels.get(Mark::CLUSTER).map(String::as_str) != Some(cx.scope()) {
                let message = format!(
                    "{} can not be made anew: container `{}` is in it, and is not of this cluster",
                    cx.resource(),
                    one.name()
                );
                return Err(ActionError::permanent(message)
                    .with_hint("disconnect it, or give the new network another name"));
            }
            if let Some(container) = engine.container(&one.id).await?
                && let Networking::Networks(networks) = container.spec.networking
                && let Some(attachment) = networks.get(&self.network)
            {
                members.push((one.id.clone(), attachment.clone()));
            }
        }
        Ok(members)
    }
}

fn subnet(spec: &SubnetSpec) -> Subnet {
    let mut subnet = Subnet::new(&spec.subnet);
    subnet.range.clone_from(&spec.range);
    subnet.gateway = spec.gateway;
    subnet
}

/// The fields of a network, as they would be written.
fn fields(made: &engine::NetworkSpec) -> [(&'static str, Value); 6] {
    let subnet =
        |it: &Subnet| SubnetSpec { subnet: it.subnet.clone(), range: it.range.clone(), gateway: it.gateway };
    let subnets: Vec<SubnetSpec> = made.subnets.iter().map(subnet).collect();
    [
        ("driver", json!(made.driver)),
        ("options", json!(made.options)),
        ("internal", json!(made.is_internal)),
        ("ipv6", json!(made.has_ipv6)),
        ("subnets", json!(subnets)),
        ("engine_labels", json!(made.labels)),
    ]
}

#[async_trait]
impl Resource for NetworkSpec {
    const KIND: &'static str = "network";

    type Output = NetworkOutput;

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.host = HostNeed::Required;
        traits.replace_on = &["network"];
        traits.change = ChangeEffect::Restart;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        check_name("network", &self.network)?;
        check_labels(&self.engine_labels)?;
        nets::check(&self.subnets).map_err(|problem| InvalidField::new("subnets", problem))?;
        Ok(Footprint::new(CrashClass::FindableByTag).owning(Place::name("network", &self.network)))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let Some(one) = self.look(cx).await? else { return Ok(Observation::Absent) };
        let present = match one.mark() {
            // Nothing of it can have been changed since.
            Some(mark) if mark.spec == self.told() => {
                let made = Network::new(&one.id, &self.network, self.made());
                self.tell(&made)
            }
            _ => match engine(cx).await?.network(&one.id).await? {
                Some(seen) => self.tell(&seen),
                None => return Ok(Observation::Absent),
            },
        };
        let present = present.with_field("network", self.network.as_str());
        Ok(Observation::Present(present.with_output(&self.output(&one.id))))
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<NetworkOutput, ActionError> {
        self.bring_about(cx).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<NetworkOutput, ActionError> {
        self.bring_about(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        if let Some(one) = self.look(cx).await? {
            engine(cx).await?.change(&Change::remove(ObjectRef::network(&one.id))).await?;
        }
        Ok(Removed::Gone)
    }
}

#[cfg(test)]
mod tests;
