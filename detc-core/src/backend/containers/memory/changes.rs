//! What is changed and removed.

use super::state::{Held, OWN_NETWORKS};
use super::*;
use crate::backend::containers::{Phase, RemoveHow, Source};

impl State {
    pub(super) fn change(&mut self, change: &Change) -> Result<ObjectRef, Why> {
        let id = match change {
            Change::Start { container } => self.start(container)?,
            Change::Stop { container, .. } => {
                let (id, held) = self.container(container)?;
                held.end(137);
                id
            }
            Change::Signal { container, signal } => {
                let (id, held) = self.container(container)?;
                if !held.runs() {
                    return Err(Why::NotRunning(container.clone()));
                }
                if !signal.starts_with("SIG") {
                    return Err(Why::Invalid(format!("there is no signal `{signal}`")));
                }
                if signal == "SIGKILL" {
                    self.exit(&id, 137);
                }
                id
            }
            Change::Rename { container, to } => {
                let (id, held) = self.container(container)?;
                if held.name == *to {
                    return Ok(ObjectRef::container(id));
                }
                super::super::check::check_name(to).map_err(Why::Invalid)?;
                if self.containers.values().any(|held| held.name == *to) {
                    return Err(Why::Taken(ObjectRef::container(to)));
                }
                self.containers.get_mut(&id).expect("invariant: it was just there").name.clone_from(to);
                id
            }
            Change::Update { container, limits, restart } => {
                let (id, held) = self.container(container)?;
                held.spec.limits = limits.clone();
                held.spec.restart = *restart;
                id
            }
            Change::Connect { container, network, attachment } => {
                let network = self.network(network)?.name.clone();
                let (id, held) = self.container(container)?;
                held.networks_mut()?.insert(network, attachment.clone());
                id
            }
            Change::Disconnect { container, network } => {
                let network = self.network(network)?.name.clone();
                let (id, held) = self.container(container)?;
                let networks = held.networks_mut()?;
                networks.remove(&network);
                if networks.is_empty() {
                    held.spec.networking = Networking::None;
                }
                id
            }
            Change::Tag { image, tag } => {
                let id = self.image_id(image)?;
                self.add_image(&id, [tag.clone()], ImageDefaults::default());
                return Ok(ObjectRef::image(id));
            }
            Change::Remove { object, how } => {
                self.remove(object, *how)?;
                return Ok(object.clone());
            }
        };
        Ok(ObjectRef::container(id))
    }

    fn remove(&mut self, object: &ObjectRef, how: RemoveHow) -> Result<(), Why> {
        match object.kind {
            ObjectKind::Container => self.remove_container(object, how),
            ObjectKind::Image => self.remove_image(object),
            ObjectKind::Network => self.remove_network(object),
            ObjectKind::Volume => self.remove_volume(object),
        }
    }

    fn remove_container(&mut self, object: &ObjectRef, how: RemoveHow) -> Result<(), Why> {
        let Ok((id, held)) = self.container(&object.name) else { return Ok(()) };
        if how == RemoveHow::Unused && held.runs() {
            return Err(Why::InUse { object: object.clone(), by: "it runs".to_owned() });
        }
        self.containers.remove(&id);
        Ok(())
    }

    fn remove_image(&mut self, object: &ObjectRef) -> Result<(), Why> {
        let Ok(id) = self.image_id(&object.name) else { return Ok(()) };
        let user = self.containers.values().find(|held| held.image == id).map(|held| held.name.clone());
        let image = self.images.get_mut(&id).expect("invariant: the id was just found");
        let is_id = object.name == id;
        if !is_id && image.references.len() > 1 {
            let latest = format!("{}:latest", object.name);
            image.references.retain(|it| *it != object.name && *it != latest);
            return Ok(());
        }
        if let Some(by) = user {
            return Err(Why::InUse { object: object.clone(), by: format!("container `{by}`") });
        }
        self.images.remove(&id);
        Ok(())
    }

    fn remove_network(&mut self, object: &ObjectRef) -> Result<(), Why> {
        let Ok(network) = self.network(&object.name) else { return Ok(()) };
        if OWN_NETWORKS.contains(&network.name.as_str()) {
            return Err(Why::Refused(format!("{} is the engine's own", network.name)));
        }
        let member = self.containers.values().find(|held| held.runs() && held.is_in(&network.name));
        if let Some(member) = member {
            let by = format!("container `{}`", member.name);
            return Err(Why::InUse { object: object.clone(), by });
        }
        let id = network.id.clone();
        self.networks.remove(&id);
        Ok(())
    }

    fn remove_volume(&mut self, object: &ObjectRef) -> Result<(), Why> {
        let mounts = |held: &&Held| {
            let mut sources = held.spec.mounts.values().map(|mount| &mount.source);
            sources.any(|source| matches!(source, Source::Volume(name) if *name == object.name))
        };
        if let Some(user) = self.containers.values().find(mounts) {
            let by = format!("container `{}`", user.name);
            return Err(Why::InUse { object: object.clone(), by });
        }
        self.volumes.remove(&object.name);
        Ok(())
    }
}

impl Held {
    fn networks_mut(&mut self) -> Result<&mut BTreeMap<String, super::super::Attachment>, Why> {
        if self.spec.networking == Networking::None {
            self.spec.networking = Networking::of([]);
        }
        match &mut self.spec.networking {
            Networking::Networks(networks) => Ok(networks),
            Networking::None | Networking::Host | Networking::Container(_) => {
                Err(Why::Refused(format!("container `{}` has no networks of its own", self.name)))
            }
        }
    }

    /// Ends, and is not started again.
    pub(super) fn end(&mut self, code: i32) {
        if self.runs() || self.phase == Phase::Restarting {
            self.phase = Phase::Exited(code);
        }
    }
}
