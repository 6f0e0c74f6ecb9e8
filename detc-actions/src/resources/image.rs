//! `image`: what containers are made of, present on the engine of a host under one reference.
//!
//! It is pulled, loaded from an archive, or built from a context. One that is called by digest is always the same; what a tag is
//! on is compared with what the archive or the context came to. What takes the place of an image keeps the old one for a while, so
//! that a way back needs no registry: as many as `retain` says, under tags of detc's own. Those beyond are removed, unless a
//! container is made of them, whosesoever it is: then the next change tries again.

use std::collections::BTreeMap;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use detc_core::backend::ContainersError;
use detc_core::backend::containers::{Build, Change, Containers, Image, ImageFrom, New, ObjectRef, Pull};
use detc_core::model::{Doc, Observation, Present};
use detc_core::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource, Source};
use serde::{Deserialize, Serialize};

use super::common::is_later;
use super::engines::{check_labels, engine};

mod retain;

use retain::Versions;

/// The spec of an `image`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    /// What it is called: `registry/name@sha256:…`, or `name:tag`. It is pulled by that where neither an archive nor a context is
    /// given.
    pub image: String,
    /// An archive, as `docker save` writes it, which holds one image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Source>,
    /// A context that it is built from, as a tar archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Source>,
    /// How it is built from that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildSpec>,
    /// For which platform it is pulled, `linux/arm64`; the engine's own where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// How many that it takes the place of are kept; none where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain: Option<u32>,
}

/// How an image is built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildSpec {
    /// Where in the context the recipe is; `Dockerfile` where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// The recipe's arguments. The image tells them to whoever may ask: they are no place for secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<BTreeMap<String, String>>,
    /// Which stage of the recipe; the last where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Labels that the image gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
}

/// What an `image` gives to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageOutput {
    /// Its id, by which a container is made of this very one: `sha256:…`.
    pub id: String,
}

/// The label with the digest of what an image was built from. It is no [mark](detc_core::backend::containers::Mark): containers
/// have the labels of their images, and not all that are made of one are ours.
const BUILT: &str = "detc.built";

/// Where it comes from.
enum From<'a> {
    Registry,
    Archive(&'a Source),
    Context(&'a Source),
}

impl ImageSpec {
    /// The image `image` of a registry.
    pub fn new(image: impl Into<String>) -> Self {
        Self { image: image.into(), archive: None, context: None, build: None, platform: None, retain: None }
    }

    fn from(&self) -> From<'_> {
        match (&self.archive, &self.context) {
            (Some(archive), _) => From::Archive(archive),
            (None, Some(context)) => From::Context(context),
            (None, None) => From::Registry,
        }
    }

    /// The digest of what it is built from.
    fn told(&self, context: &Source) -> String {
        let build = self.build.clone().unwrap_or_default();
        let value = serde_json::json!([context.digest, build]);
        Doc::new(&value).digest().to_string()
    }

    fn retain(&self) -> usize {
        self.retain.unwrap_or_default().try_into().unwrap_or(usize::MAX)
    }

    /// Whether the image that has the reference is the one that the spec speaks of; `None`: nobody can say by looking.
    fn is_it(&self, cx: &ActionCx<'_>, image: &Image) -> Option<bool> {
        match self.from() {
            // What a registry has under a tag by now is not asked: it is there.
            From::Registry => Some(true),
            From::Context(context) => {
                let made = image.defaults.labels.get(BUILT);
                Some(made == Some(&self.told(context)))
            }
            From::Archive(archive) => {
                let recorded = cx.recorded()?;
                let is_same = recorded.output["id"].as_str() == Some(&image.id);
                let of: Option<Self> = serde_json::from_value(recorded.spec.value()).ok();
                let from_same = of?.archive.is_some_and(|of| of.digest == archive.digest);
                match (is_same, from_same) {
                    (true, true) => Some(true),
                    (false, true) | (true, false) => Some(false),
                    (false, false) => None,
                }
            }
        }
    }

    async fn make(&self, cx: &ActionCx<'_>, engine: &dyn Containers) -> Result<String, ActionError> {
        let from = match self.from() {
            From::Registry => {
                let mut pull = Pull::new(&self.image);
                pull.platform.clone_from(&self.platform);
                ImageFrom::Pull(pull)
            }
            From::Archive(archive) => ImageFrom::Load(cx.content(&archive.digest)?.clone()),
            From::Context(context) => {
                let spec = self.build.clone().unwrap_or_default();
                let mut build = Build::new(cx.content(&context.digest)?.clone());
                if let Some(dockerfile) = spec.dockerfile {
                    build.dockerfile = dockerfile;
                }
                build.args = spec.args.unwrap_or_default();
                build.target = spec.target;
                build.labels = spec.labels.unwrap_or_default();
                build.labels.insert(BUILT.to_owned(), self.told(context));
                build.tags.insert(self.image.clone());
                ImageFrom::Build(build)
            }
        };
        Ok(engine.create(&New::image(from)).await?)
    }

    async fn bring_about(&self, cx: &ActionCx<'_>) -> Result<ImageOutput, ActionError> {
        let engine = engine(cx).await?;
        let there = engine.image(&self.image).await?;
        let there = there.filter(|image| self.is_it(cx, image) == Some(true));
        let recorded = cx.recorded().and_then(|body| body.output["id"].as_str());
        if there.as_ref().map(|image| image.id.as_str()) != recorded {
            Versions::look(&*engine, cx).await?.keep_recorded(cx, &*engine).await?;
        }
        let id = match there {
            Some(image) => image.id,
            None => {
                let id = self.make(cx, &*engine).await?;
                if matches!(self.from(), From::Archive(_)) {
                    engine.change(&Change::Tag { image: id.clone(), tag: self.image.clone() }).await?;
                }
                id
            }
        };
        Versions::look(&*engine, cx).await?.collect(&*engine, (&id, self.retain())).await?;
        Ok(ImageOutput { id })
    }
}

#[async_trait]
impl Resource for ImageSpec {
    const KIND: &'static str = "image";

    type Output = ImageOutput;

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.host = HostNeed::Required;
        traits.sources = &["archive", "context"];
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        if self.image.is_empty() || self.image.starts_with("sha256:") {
            let problem = format!("must be `name@sha256:…` or `name:tag`, not `{}`", self.image);
            return Err(InvalidField::new("image", problem));
        }
        if self.archive.is_some() && self.context.is_some() {
            return Err(InvalidField::new("archive", "can not be given beside `context`"));
        }
        if self.build.is_some() && self.context.is_none() {
            return Err(InvalidField::new("build", "needs a `context` that it is built from"));
        }
        if self.platform.is_some() && (self.archive.is_some() || self.context.is_some()) {
            return Err(InvalidField::new("platform", "is only for what is pulled"));
        }
        let is_made = self.archive.is_some() || self.context.is_some();
        if is_made && self.image.contains('@') && !is_later(&self.image) {
            return Err(InvalidField::new("image", "must be `name:tag` where it is loaded or built"));
        }
        if let Some(labels) = self.build.as_ref().and_then(|build| build.labels.as_ref()) {
            check_labels(labels).map_err(|error| InvalidField::new("build", error.problem))?;
        }
        Ok(Footprint::new(CrashClass::DeterministicName).owning(Place::name("image", &self.image)))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let engine = engine(cx).await?;
        let Some(image) = engine.image(&self.image).await? else { return Ok(Observation::Absent) };
        let mut present = Present::new().with_field("image", self.image.as_str());
        // A try that was cut off may have left some. Else they are found when the next takes the place of this: that what was
        // used a moment ago is used no more is no difference.
        if cx.begun_before() {
            let due = Versions::look(&*engine, cx).await?.due(&*engine, (&image.id, self.retain())).await?;
            if due > 0 {
                present = present.with_field("image", format!("{}, and {due} that are to go", self.image));
            }
        }
        let written = serde_json::to_value(self).expect("invariant: a spec is JSON");
        for field in ["archive", "context", "build"] {
            let value = &written[field];
            match self.is_it(cx, &image) {
                Some(true) if !value.is_null() => present = present.with_field(field, value.clone()),
                Some(false) if !value.is_null() => {
                    present = present.with_field(field, format!("(what {} came from)", image.id));
                }
                Some(_) | None => {}
            }
        }
        Ok(Observation::Present(present.with_output(&ImageOutput { id: image.id })))
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<ImageOutput, ActionError> {
        self.bring_about(cx).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<ImageOutput, ActionError> {
        self.bring_about(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        let engine = engine(cx).await?;
        let stay = Versions::look(&*engine, cx).await?.collect(&*engine, ("", 0)).await?;
        let of_this = match engine.change(&Change::remove(ObjectRef::image(&self.image))).await {
            Ok(()) => 0,
            Err(ContainersError::InUse { .. }) => 1,
            Err(error) => return Err(error.into()),
        };
        match stay + of_this {
            0 => Ok(Removed::Gone),
            count => {
                Ok(Removed::Left(format!("containers are made of {count} of its images, which are kept")))
            }
        }
    }
}

#[cfg(test)]
mod tests;
