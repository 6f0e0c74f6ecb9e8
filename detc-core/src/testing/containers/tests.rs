use std::fmt::{self, Display};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::*;
use crate::backend::containers::{
    Access, Again, Limits, LogLine, LogQuery, MemoryContainers, Networking, Notifier, Object, Phase,
    Readiness, Restart, Source, VolumeSpec, Watch,
};
use crate::backend::memory::HostFault;
use crate::backend::{Host, MemoryHost, SharedContainers};

/// An engine with a defect.
#[derive(Debug)]
struct Broken {
    inner: MemoryContainers,
    defect: Defect,
    /// Where it watches in its own way.
    watches: Mutex<Vec<Notifier>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    TakesOver,
    StartsWhatItMakes,
    FindsNoIds,
    FailsToRemoveTheAbsent,
    IgnoresLabels,
    ListsOnlyWhatRuns,
    MixesUpNames,
    MakesVolumesByTheWay,
    ForgetsEnvironment,
    ForgetsAliases,
    TellsDefaultLimits,
    UpdatesNothing,
    ForgetsFiles,
    TellsFiles,
    KillsOnRemove,
    RemovesVolumes,
    ForgetsExitCode,
    TellsFirstLines,
    RunningIsReady,
    StopsNothing,
    TellsOneOfTwo,
    IsSilentOnRemoval,
    IsSilentByItself,
    RunsWhatIsStopped,
    FailsOnSecondStart,
    RenamesNothing,
    RefusesToStart,
    RefusesUnknownPrograms,
    ForgetsOptions,
    PublishesTwice,
    SignalsNothing,
    IsTheMachine,
    LosesColdFiles,
    HasNoRoom,
    KeepsTags,
    SaysImagesRemoved,
    SaysOthersRemoved,
    RefusesWhatIsInvalid,
}

fn engine() -> MemoryContainers {
    let engine = MemoryContainers::new("e1");
    let env = [("PATH".to_owned(), "/bin".to_owned())].into();
    engine.add_image("suite:1", ImageDefaults { env, dir: Some("/".into()), ..ImageDefaults::default() });
    engine
}

impl Broken {
    fn has(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn engine(&self) -> &dyn Containers {
        &self.inner
    }

    /// Whether it tells of changes by itself.
    fn tells(&self) -> bool {
        matches!(self.defect, Defect::TellsOneOfTwo | Defect::IsSilentOnRemoval | Defect::IsSilentByItself)
    }

    fn refused(&self, what: &str) -> ContainersError {
        let (engine, what, said) = (self.to_string(), what.to_owned(), "no".to_owned());
        ContainersError::Refused { engine, what, said }
    }

    fn tell(&self) {
        self.watches.lock().unwrap().iter().for_each(|watch| watch.tell(Again::Everything));
    }
}

impl Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken {}", self.inner)
    }
}

#[async_trait]
impl Containers for Broken {
    async fn list(&self, query: &Query) -> Result<Listing, ContainersError> {
        let mut query = query.clone();
        if self.has(Defect::IgnoresLabels) {
            query.labels.retain(|name, _| name.starts_with(Mark::PREFIX));
        }
        let mut listed = self.inner.list(&query).await?.to_vec();
        if self.has(Defect::ListsOnlyWhatRuns) {
            listed.retain(|it| it.status.as_ref().is_none_or(|status| status.phase == Phase::Running));
        }
        if self.has(Defect::MixesUpNames) {
            listed.reverse();
        }
        Ok(listed.into())
    }

    async fn inspect(&self, object: &ObjectRef) -> Result<Option<Object>, ContainersError> {
        let mut found = self.inner.inspect(object).await?;
        match &mut found {
            Some(Object::Network(network)) if self.has(Defect::ForgetsOptions) => {
                network.spec.options.clear();
            }
            Some(Object::Volume(volume)) if self.has(Defect::ForgetsOptions) => volume.spec.options.clear(),
            _ => {}
        }
        let Some(Object::Container(mut container)) = found else { return Ok(found) };
        if self.has(Defect::FindsNoIds) && object.name == container.id {
            return Ok(None);
        }
        let spec = &mut container.spec;
        if self.has(Defect::ForgetsEnvironment) {
            spec.env.clear();
        }
        if self.has(Defect::TellsDefaultLimits) {
            spec.limits = Limits::default();
        }
        if let (true, Networking::Networks(networks)) =
            (self.has(Defect::ForgetsAliases), &mut spec.networking)
        {
            networks.values_mut().for_each(|attached| attached.aliases.clear());
        }
        if self.has(Defect::TellsFiles)
            && let Ok(content) = self.inner.host(&container.id).read("/run/suite/deep/secret", 100).await
        {
            container.said = String::from_utf8_lossy(&content).into_owned();
        }
        if let (true, Phase::Exited(_)) = (self.has(Defect::ForgetsExitCode), container.status.phase) {
            container.status.phase = Phase::Exited(0);
        }
        if self.has(Defect::RunningIsReady) && container.status.readiness != Readiness::Unchecked {
            container.status.readiness = Readiness::Healthy;
        }
        Ok(Some(Object::Container(container)))
    }

    async fn create(&self, new: &New) -> Result<String, ContainersError> {
        if let New::Container { name, spec, files } = new {
            if self.has(Defect::MakesVolumesByTheWay) {
                for mount in spec.mounts.values() {
                    if let Source::Volume(name) = &mount.source {
                        let spec = VolumeSpec::default();
                        self.inner.create(&New::Volume { name: name.clone(), spec }).await.ok();
                    }
                }
            }
            if self.has(Defect::ForgetsFiles) && spec.root == Access::ReadOnly && !files.is_empty() {
                return self.inner.create(&New::container(name, (**spec).clone())).await;
            }
        }
        let made = self.inner.create(new).await;
        self.tell();
        match (made, new) {
            (Ok(id), New::Container { .. }) if self.has(Defect::StartsWhatItMakes) => {
                self.inner.change(&Change::start(&id)).await?;
                Ok(id)
            }
            (Err(ContainersError::Invalid { .. }), _) if self.has(Defect::RefusesWhatIsInvalid) => {
                Err(self.refused(&new.to_string()))
            }
            (Err(ContainersError::Taken { object, .. }), _) if self.has(Defect::TakesOver) => Ok(object.name),
            (made, _) => made,
        }
    }

    async fn change(&self, change: &Change) -> Result<(), ContainersError> {
        match change {
            Change::Start { container } if self.has(Defect::FailsOnSecondStart) => {
                let found = self.engine().container(container).await?;
                if found.is_some_and(|it| it.status.phase == Phase::Running) {
                    return Err(self.refused(&change.to_string()));
                }
            }
            Change::Update { .. } if self.has(Defect::UpdatesNothing) => return Ok(()),
            Change::Rename { .. } if self.has(Defect::RenamesNothing) => return Ok(()),
            Change::Start { .. } if self.has(Defect::RefusesToStart) => {
                return Err(self.refused(&change.to_string()));
            }
            Change::Signal { .. } if self.has(Defect::SignalsNothing) => return Ok(()),
            Change::Remove { object, .. }
                if object.kind == ObjectKind::Image
                    && object.name.contains(':')
                    && self.has(Defect::KeepsTags) =>
            {
                return Ok(());
            }
            Change::Stop { .. } if self.has(Defect::StopsNothing) => return Ok(()),
            Change::Stop { container, .. } if self.has(Defect::RunsWhatIsStopped) => {
                let found = self.engine().container(container).await?;
                self.inner.change(change).await?;
                let restart = found.map(|it| it.spec.restart);
                if restart == Some(Restart::Always) {
                    self.inner.change(&Change::start(container)).await?;
                }
                return Ok(());
            }
            Change::Remove { object, .. }
                if self.has(Defect::FailsToRemoveTheAbsent)
                    && self.inner.inspect(object).await?.is_none() =>
            {
                return Err(ContainersError::NotFound { engine: self.to_string(), object: object.clone() });
            }
            Change::Remove { object, .. } if self.has(Defect::KillsOnRemove) => {
                let change = Change::Remove { object: object.clone(), how: RemoveHow::Running };
                return self.inner.change(&change).await;
            }
            Change::Remove { object, .. } if self.has(Defect::RemovesVolumes) => {
                let found = self.inner.inspect(object).await?;
                self.inner.change(change).await?;
                if let Some(Object::Container(container)) = found {
                    for mount in container.spec.mounts.into_values() {
                        if let Source::Volume(name) = mount.source {
                            self.inner.change(&Change::remove(ObjectRef::volume(name))).await.ok();
                        }
                    }
                }
                return Ok(());
            }
            _ => {}
        }
        let mut done = self.inner.change(change).await;
        let is_of_image = matches!(change, Change::Remove { object, .. } if object.kind == ObjectKind::Image);
        match &done {
            Err(ContainersError::NotStarted { .. }) if self.has(Defect::RefusesUnknownPrograms) => {
                done = Err(self.refused(&change.to_string()));
            }
            Err(ContainersError::PortTaken { .. }) if self.has(Defect::PublishesTwice) => done = Ok(()),
            Err(ContainersError::InUse { .. }) if self.has(Defect::SaysImagesRemoved) && is_of_image => {
                done = Ok(());
            }
            Err(ContainersError::InUse { .. }) if self.has(Defect::SaysOthersRemoved) && !is_of_image => {
                done = Ok(());
            }
            _ => {}
        }
        if !(self.has(Defect::IsSilentOnRemoval) && matches!(change, Change::Remove { .. })) {
            self.tell();
        }
        done
    }

    async fn logs(&self, container: &str, query: &LogQuery) -> Result<Vec<LogLine>, ContainersError> {
        if self.has(Defect::TellsFirstLines) {
            let mut all = self.inner.logs(container, &LogQuery::last(usize::MAX)).await?;
            all.truncate(query.lines_max);
            return Ok(all);
        }
        self.inner.logs(container, query).await
    }

    async fn watch(&self) -> Result<Watch, ContainersError> {
        if !self.tells() {
            return self.inner.watch().await;
        }
        let (notifier, watch) = Watch::new();
        let mut watches = self.watches.lock().unwrap();
        if self.has(Defect::TellsOneOfTwo) {
            watches.clear();
        }
        watches.push(notifier);
        Ok(watch)
    }

    fn host(&self, container: &str) -> Arc<dyn Host> {
        let runs = || {
            let found = self.inner.container_now(container);
            found.is_some_and(|it| it.status.phase == Phase::Running)
        };
        let other = MemoryHost::new("other");
        match self.defect {
            Defect::IsTheMachine => Arc::new(other),
            Defect::LosesColdFiles if !runs() => Arc::new(other),
            Defect::HasNoRoom => {
                other.fail_all(Some(HostFault::Refused(std::io::ErrorKind::StorageFull)));
                Arc::new(other)
            }
            _ => self.inner.host(container),
        }
    }
}

async fn check(engine: &dyn Containers) -> String {
    let found = check_containers(engine, "suite:1", "suite").await;
    found.iter().map(|violation| format!("{violation}\n")).collect()
}

/// That an engine with `defect` breaks the law that begins with `law`.
#[track_caller]
fn caught(defect: Defect, law: &str) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let broken = Broken { inner: engine(), defect, watches: Mutex::default() };
    let found = runtime.block_on(check_containers(&broken, "suite:1", "suite"));
    assert!(found.iter().any(|violation| violation.law.starts_with(law)), "{defect:?}: {found:#?}");
}

#[tokio::test(start_paused = true)]
async fn the_memory_engine_conforms_and_nothing_is_left() {
    let engine = engine();
    let before = engine.dump();
    assert_eq!(check(&engine).await, "");
    assert_eq!(engine.dump(), before);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_shared_conforms() {
    assert_eq!(check(&SharedContainers::new(Arc::new(engine()))).await, "");
}

#[tokio::test(start_paused = true)]
async fn the_suite_needs_its_image() {
    let said = check(&MemoryContainers::new("e1")).await;
    assert!(said.contains("the image of the suite is there"), "{said}");
}

#[test]
fn defects_of_names_and_listings_are_caught() {
    caught(Defect::TakesOver, "what is there is not taken over");
    caught(Defect::FindsNoIds, "an object is found by its name and by its id");
    caught(Defect::FailsToRemoveTheAbsent, "what is absent is inspected as None");
    caught(Defect::IgnoresLabels, "a listing has all that carry the labels");
    caught(Defect::ListsOnlyWhatRuns, "a listing tells how a container is");
    caught(Defect::MixesUpNames, "a listing has all that carry the labels");
    caught(Defect::MakesVolumesByTheWay, "what needs something that is not there");
    caught(Defect::RefusesWhatIsInvalid, "what can not be as it is written is Invalid");
    caught(Defect::RenamesNothing, "a container has another name when it was renamed");
}

#[test]
fn defects_of_fields_are_caught() {
    caught(Defect::ForgetsEnvironment, "a container is told as it was asked for");
    caught(Defect::TellsDefaultLimits, "a container is told as it was asked for");
    caught(Defect::ForgetsAliases, "a container is in the networks");
    caught(Defect::UpdatesNothing, "an update of limits and restarts");
    caught(Defect::ForgetsOptions, "a network and a volume are told");
}

#[test]
fn defects_of_life_are_caught() {
    caught(Defect::StartsWhatItMakes, "a container that was made does not run");
    caught(Defect::FailsOnSecondStart, "starting what runs");
    caught(Defect::StopsNothing, "starting what runs");
    caught(Defect::ForgetsExitCode, "how a container ended");
    caught(Defect::TellsFirstLines, "the last lines of a log");
    caught(Defect::RunsWhatIsStopped, "one that is stopped is not started again");
    caught(Defect::RunningIsReady, "what a health check comes to");
    caught(Defect::RefusesToStart, "a container runs");
    caught(Defect::RefusesUnknownPrograms, "a container whose program does not exist");
    caught(Defect::SignalsNothing, "a signal reaches what runs");
}

#[test]
fn defects_of_removing_are_caught() {
    caught(Defect::KillsOnRemove, "what runs is removed only when");
    caught(Defect::RemovesVolumes, "a volume outlives its containers");
    caught(Defect::SaysOthersRemoved, "what a container uses is not removed");
    caught(Defect::SaysImagesRemoved, "an image that a container was made of");
    caught(Defect::KeepsTags, "an image loses a tag");
    caught(Defect::PublishesTwice, "a port is given to one at a time");
}

#[test]
fn defects_of_files_are_caught() {
    caught(Defect::ForgetsFiles, "a container begins with its files");
    caught(Defect::TellsFiles, "a container begins with its files");
    caught(Defect::LosesColdFiles, "files are written and read while a container does not run");
    caught(Defect::IsTheMachine, "a command in a container that does not run is refused");
    caught(Defect::IsTheMachine, "what is done in a container that is not there is NotFound");
    caught(Defect::HasNoRoom, "a directory is made in a container");
}

#[test]
fn defects_of_watching_are_caught() {
    caught(Defect::IsSilentOnRemoval, "whatever changes after watch");
    caught(Defect::IsSilentByItself, "what a container does by itself");
    caught(Defect::TellsOneOfTwo, "two watches are told the same");
}
