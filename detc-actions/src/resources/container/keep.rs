//! Brings a container to be as its spec says: one of it, whatever was there before.
//!
//! ```text
//!   look ─▶ one fits, or does once it is changed in place ─┐
//!      └──▶ none does ─▶ make another ─▶ (stop the old) ────┴▶ start ─▶ works ─▶ takes the name ─▶ the rest goes
//!                                                                └─▶ does not: it goes; (the old is started)
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use detc_core::action::{ActionCx, ActionError};
use detc_core::backend::ContainersError;
use detc_core::backend::containers::{
    Change, Container, Containers, Limits, Listed, Networking, New, ObjectKind, ObjectRef, Phase, RemoveHow,
    Restart,
};

use super::look::{aside_suffix, is_aside, is_image, is_there, is_up, output, phase, wrong_secrets};
use super::made::{self, MADE, TRIGGERS, Told};
use super::ready::{ended, failure, wait};
use super::seen::{Seen, is_attached};
use super::{ContainerOutput, ContainerSpec, Order};
use crate::resources::engines::{engine, foreign, ours};

/// Keeps one container.
pub(super) struct Keeper<'a> {
    spec: &'a ContainerSpec,
    cx: &'a ActionCx<'a>,
    engine: Arc<dyn Containers>,
    told: Told,
    /// The ids of those that were given a name by which it is known that they go.
    aside: Mutex<BTreeSet<String>>,
}

/// What there is, and what is to be done with it.
struct Found {
    /// One that is as wanted, or is once these changes are made.
    fits: Option<(Listed, Vec<Change>)>,
    /// What is not: it goes when that works.
    rest: Vec<Listed>,
}

impl<'a> Keeper<'a> {
    pub(super) async fn new(spec: &'a ContainerSpec, cx: &'a ActionCx<'_>) -> Result<Self, ActionError> {
        let told = Told::of(spec);
        Ok(Self { spec, cx, engine: engine(cx).await?, told, aside: Mutex::default() })
    }

    /// The container, as the spec says, and working.
    pub(super) async fn ensure(&self) -> Result<ContainerOutput, ActionError> {
        if self.cx.is_sensitive("env") {
            let message =
                format!("{} has a sensitive variable, which its engine would tell", self.cx.resource());
            return Err(ActionError::permanent(message).with_hint(
                "give it under `secrets`: `secrets.NAME` becomes a file, and the variable NAME_FILE says where it is",
            ));
        }
        let found = self.find().await?;
        let (id, is_new) = match &found.fits {
            Some((one, changes)) => {
                self.change(one, changes).await?;
                (one.id.clone(), false)
            }
            None => (self.make(&found.rest).await?, true),
        };
        let runs = found.fits.as_ref().is_some_and(|(one, _)| match phase(one) {
            Phase::Running => true,
            _ => !is_up(one) && is_there(self.spec, one),
        });
        let waited = if runs { Some(self.wait(&id, !self.is_recorded(&id)).await) } else { None };
        let container = match waited {
            None => self.start(&id, is_new, &found.rest).await?,
            Some(Ok(container)) => container,
            // One that somebody has begun who is gone: it is as if it were ours.
            Some(Err(error)) if !self.is_recorded(&id) => {
                return Err(self.undone(&remove_running(&id), &found.rest, error).await);
            }
            Some(Err(error)) => return Err(error),
        };
        if let Err(error) = self.take_name(&container, &found.rest).await {
            // One that has ended meanwhile, and is begun anew, can not be renamed: then it is told that it does not work.
            let of = (self.cx.resource(), id.as_str());
            let Some(why) = failure(self.spec, &*self.engine, of, container.restarts).await else {
                return Err(error);
            };
            return Err(match self.is_recorded(&id) {
                false => self.undone(&remove_running(&id), &found.rest, why).await,
                true if !runs => self.undone(&Change::stop(&id), &found.rest, why).await,
                // It was not begun here.
                true => why,
            });
        }
        for one in &found.rest {
            self.remove(one).await?;
        }
        Ok(output(self.spec, &container))
    }

    /// Ends and removes all that there is of it.
    pub(super) async fn clear(&self) -> Result<(), ActionError> {
        if self.cx.was_cut_off() {
            self.wait_until_listed().await?;
        }
        for one in self.made().await? {
            self.remove(&one).await?;
        }
        Ok(())
    }

    /// Whoever has asked for its making is gone, and the engine lists it only when it has done that: it is waited for, 2 s at most.
    async fn wait_until_listed(&self) -> Result<(), ActionError> {
        const PAUSE: Duration = Duration::from_millis(200);
        for _ in 0..10 {
            if !ours(&*self.engine, ObjectKind::Container, self.cx).await?.is_empty() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    fn is_recorded(&self, id: &str) -> bool {
        self.cx.recorded().and_then(|body| body.output["id"].as_str()) == Some(id)
    }

    /// Waits until one works. What has worked for as long as it must before, and goes on, need not again.
    async fn wait(&self, id: &str, is_new: bool) -> Result<Container, ActionError> {
        wait(self.spec, &*self.engine, (self.cx.resource(), id), is_new).await
    }

    /// What there is of it that was once started. What was not is removed.
    async fn made(&self) -> Result<Vec<Listed>, ActionError> {
        /// How often the engine may have started one more meanwhile.
        const LOOKS_MAX: u32 = 5;
        let mut looks = 1;
        loop {
            let all = ours(&*self.engine, ObjectKind::Container, self.cx).await?;
            let is_unfinished = |one: &Listed| matches!(phase(one), Phase::Created | Phase::Removing);
            let (unfinished, made): (Vec<_>, Vec<_>) = all.into_iter().partition(is_unfinished);
            let mut is_as_listed = true;
            for one in &unfinished {
                match self.engine.change(&Change::remove(ObjectRef::container(&one.id))).await {
                    // Whoever has asked for its start is gone, and the engine has done it meanwhile.
                    Err(ContainersError::InUse { .. }) if looks < LOOKS_MAX => is_as_listed = false,
                    removed => removed?,
                }
            }
            if is_as_listed {
                return Ok(made);
            }
            looks += 1;
        }
    }

    /// Looks at what there is.
    async fn find(&self) -> Result<Found, ActionError> {
        let mut found = Found { fits: None, rest: Vec::new() };
        for one in self.made().await? {
            // One that somebody has begun to stop who is gone may end at any moment, though it runs.
            let fit = if is_aside(&one) { None } else { self.fit(&one).await? };
            match (fit, &found.fits) {
                // One that runs is taken before one that has ended.
                (Some(changes), Some((known, _)))
                    if is_there(self.spec, &one) && !is_there(self.spec, known) =>
                {
                    let known = found.fits.replace((one, changes));
                    found.rest.extend(known.map(|(known, _)| known));
                }
                (Some(changes), None) => found.fits = Some((one, changes)),
                (_, _) => found.rest.push(one),
            }
        }
        Ok(found)
    }

    /// By which changes in place one is as wanted; `None`: by none.
    async fn fit(&self, one: &Listed) -> Result<Option<Vec<Change>>, ActionError> {
        let is_to_heal = self.cx.heals() && self.is_recorded(&one.id);
        let triggers = one.labels.get(TRIGGERS).map(String::as_str);
        if is_to_heal || one.labels.get(MADE) != Some(&self.told.made) || triggers != self.cx.triggers() {
            return Ok(None);
        }
        let Some(container) = self.engine.container(&one.id).await? else { return Ok(None) };
        let image = self.engine.image(&container.image).await?;
        if !is_image(self.spec, &*self.engine, &container, image.as_ref()).await?
            || !wrong_secrets(self.spec, &*self.engine, &one.id).await?.is_empty()
        {
            return Ok(None);
        }
        let seen = Seen::new(self.spec, &container, image.as_ref());
        let mut changes = Vec::new();
        let id = || one.id.clone();
        if !seen.is_as_wanted("limits") || !seen.is_as_wanted("restart") {
            let limits = self.spec.limits.as_ref().map_or_else(Limits::default, made::limits);
            let restart = self.spec.restart.map_or(Restart::Never, made::restart);
            changes.push(Change::Update { container: id(), limits, restart });
        }
        if seen.is_as_wanted("networks") {
            return Ok(Some(changes));
        }
        let Networking::Networks(wanted) = made::networking(self.spec) else { return Ok(None) };
        let nowhere = BTreeMap::new();
        let there = match seen.networking() {
            Networking::Networks(there) => there,
            // It was made with networks, and somebody has taken it out of all of them.
            Networking::None => &nowhere,
            _ => return Ok(None),
        };
        for (network, attachment) in &wanted {
            if !there.get(network).is_some_and(|there| is_attached(attachment, there)) {
                let (network, attachment) = (network.clone(), attachment.clone());
                changes.push(Change::Connect { container: id(), network, attachment });
            }
        }
        for network in there.keys().filter(|network| !wanted.contains_key(*network)) {
            changes.push(Change::Disconnect { container: id(), network: network.clone() });
        }
        Ok(Some(changes))
    }

    async fn change(&self, one: &Listed, changes: &[Change]) -> Result<(), ActionError> {
        for change in changes {
            self.engine.change(change).await.map_err(|error| match error {
                ContainersError::Unsupported { .. } => ActionError::from(error).with_hint(format!(
                    "remove container `{}` by hand, so that another is made with these limits",
                    one.name()
                )),
                other => other.into(),
            })?;
        }
        Ok(())
    }

    /// Makes another one, under its own name where that is free.
    async fn make(&self, rest: &[Listed]) -> Result<String, ActionError> {
        let wanted = &self.spec.container;
        let is_free = |name: &str| rest.iter().all(|one| one.name() != name);
        let name = if is_free(wanted) {
            wanted.clone()
        } else {
            let mut beside = (1..).map(|at: u32| format!("{wanted}-next-{at}"));
            beside.find(|name| is_free(name)).expect("invariant: there are more numbers than containers")
        };
        let new = New::Container {
            name: name.clone(),
            spec: Box::new(made::made(self.spec, self.cx)),
            files: made::files(self.spec),
        };
        match self.engine.create(&new).await {
            Ok(id) => Ok(id),
            Err(error @ ContainersError::NotFound { .. }) => Err(ActionError::from(error).with_hint(
                "manage it with an `image`, `network` or `volume`, which comes before, or make it",
            )),
            Err(error @ ContainersError::Taken { .. }) => {
                // An engine gives the name away before it lists what it makes.
                let is_made = self.engine.container(&name).await?.is_some();
                let ours = ours(&*self.engine, ObjectKind::Container, self.cx).await?;
                if !is_made || ours.iter().any(|one| one.name() == name) {
                    let message = format!("container `{name}` is made meanwhile for somebody who is gone");
                    return Err(ActionError::transient(message));
                }
                Err(foreign(self.cx, error))
            }
            Err(error) => Err(foreign(self.cx, error)),
        }
    }

    /// Starts one, and waits until it works. What is in its place stops for it, and is given that back if it does not.
    async fn start(&self, id: &str, is_new: bool, rest: &[Listed]) -> Result<Container, ActionError> {
        if self.spec.order() == Order::StopFirst {
            for one in rest.iter().filter(|one| is_up(one)) {
                self.set_aside(one).await?;
                self.engine.change(&Change::stop(&one.id)).await?;
            }
        }
        let started = match self.engine.change(&Change::start(id)).await {
            Ok(()) => self.wait(id, true).await,
            Err(error) => Err(self.named(error).into()),
        };
        match started {
            Ok(container) => Ok(container),
            Err(error) => {
                let undo = if is_new { remove_running(id) } else { Change::stop(id) };
                Err(self.undone(&undo, rest, error).await)
            }
        }
    }

    /// `error`, after what does not work was ended, and what was in its place is there again.
    async fn undone(&self, undo: &Change, rest: &[Listed], mut error: ActionError) -> ActionError {
        error = ended(&*self.engine, undo, error).await;
        let goes = |one: &Listed| is_aside(one) || self.is_set_aside(one);
        if rest.iter().any(|one| is_up(one) && !goes(one)) {
            return error;
        }
        // One of them: that which we have stopped, or a try like this one that has died; before one that was to go before that.
        let rank = |one: &&Listed| (is_up(one) && !is_aside(one), self.is_recorded(&one.id), is_up(one));
        let could_serve = |one: &&Listed| is_up(one) || self.is_recorded(&one.id);
        let Some(one) = rest.iter().filter(could_serve).max_by_key(rank) else { return error };
        if is_aside(one) && is_up(one) {
            // The engine may end it yet: it is waited for.
            error = ended(&*self.engine, &Change::stop(&one.id), error).await;
        }
        error = ended(&*self.engine, &Change::start(&one.id), error).await;
        if goes(one) {
            let to = if is_aside(one) { &self.spec.container } else { one.name() };
            let back = Change::Rename { container: one.id.clone(), to: to.to_owned() };
            // Where it is not given it back, it serves under the other until there is another.
            let _unnamed = self.engine.change(&back).await;
        }
        error
    }

    fn is_set_aside(&self, one: &Listed) -> bool {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner).contains(&one.id)
    }

    /// Gives one that goes a name that says so, to whoever comes when we are gone. Whether its own is free then: one that is started
    /// again and again may have to be stopped first.
    async fn set_aside(&self, one: &Listed) -> Result<bool, ActionError> {
        if is_aside(one) || self.is_set_aside(one) {
            return Ok(true);
        }
        let to = format!("{}{}", self.spec.container, aside_suffix(one));
        match self.engine.change(&Change::Rename { container: one.id.clone(), to }).await {
            Ok(()) => {
                self.aside.lock().unwrap_or_else(PoisonError::into_inner).insert(one.id.clone());
                Ok(true)
            }
            Err(ContainersError::NotFound { .. }) => Ok(true),
            Err(ContainersError::Refused { .. }) => Ok(false),
            Err(error) => Err(foreign(self.cx, error)),
        }
    }

    /// Whether it is ended at once, with no time to end by itself.
    async fn is_killed(&self, one: &Listed) -> Result<bool, ActionError> {
        let Some(container) = self.engine.container(&one.id).await? else { return Ok(true) };
        let spec = &container.spec;
        let by_signal = matches!(spec.stop_signal.as_deref(), Some("SIGKILL" | "KILL" | "9"));
        Ok(by_signal || spec.stop_grace == Some(Duration::ZERO))
    }

    /// What the engine says of one that can not be started, by the name that it is to have.
    fn named(&self, error: ContainersError) -> ContainersError {
        let container = self.spec.container.clone();
        match error {
            ContainersError::NotStarted { engine, what, .. } => {
                ContainersError::NotStarted { engine, container, what }
            }
            ContainersError::PortTaken { engine, port, .. } => {
                ContainersError::PortTaken { engine, container, port }
            }
            other => other,
        }
    }

    /// Gives one its name, which another may have to give away for that.
    async fn take_name(&self, container: &Container, rest: &[Listed]) -> Result<(), ActionError> {
        let wanted = &self.spec.container;
        if container.name == *wanted {
            return Ok(());
        }
        if let Some(old) = rest.iter().find(|one| one.name() == wanted)
            && !self.set_aside(old).await?
        {
            self.engine.change(&Change::stop(&old.id)).await?;
            self.set_aside(old).await?;
        }
        let rename = Change::Rename { container: container.id.clone(), to: wanted.clone() };
        self.engine.change(&rename).await.map_err(|error| foreign(self.cx, error))
    }

    /// Ends one with the grace that it has, and removes it.
    async fn remove(&self, one: &Listed) -> Result<(), ActionError> {
        if !matches!(phase(one), Phase::Created | Phase::Exited(_) | Phase::Removing) {
            // One that is killed is gone in a moment.
            if !is_aside(one) && !self.is_killed(one).await? {
                self.set_aside(one).await?;
            }
            match self.engine.change(&Change::stop(&one.id)).await {
                Ok(()) | Err(ContainersError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.engine.change(&Change::remove(ObjectRef::container(&one.id))).await?)
    }
}

/// Ends and removes one at once: it never worked.
fn remove_running(id: &str) -> Change {
    Change::Remove { object: ObjectRef::container(id), how: RemoveHow::Running }
}
