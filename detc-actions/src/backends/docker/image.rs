//! Images: what is told of them, and how they are made.

use std::collections::BTreeSet;
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::models::ImageInspect;
use bollard::query_parameters::{BuildImageOptions, CreateImageOptions, ImportImageOptions, TagImageOptions};
use detc_core::backend::ContainersError;
use detc_core::backend::containers::{Build, Image, ImageDefaults, ImageFrom, ObjectRef, Pull};
use detc_core::content::Content;
use futures_util::{Stream, StreamExt};

use super::container::{env, given, parse_port, signal, told_health};
use super::words::{Fault, Words};
use super::{DockerEngine, files, look};

/// How long an engine may say nothing while it makes an image: a step of a build that prints nothing is to be done in that time.
const SILENCE_MAX: Duration = Duration::from_secs(1800);

/// An image, in our words.
pub(super) fn told(inspected: ImageInspect) -> Image {
    let config = inspected.config.unwrap_or_default();
    let mut defaults = ImageDefaults::default();
    defaults.entrypoint = config.entrypoint.unwrap_or_default();
    defaults.command = config.cmd.unwrap_or_default();
    defaults.env = env(config.env);
    defaults.dir = given(config.working_dir);
    defaults.user = given(config.user);
    defaults.labels = config.labels.unwrap_or_default().into_iter().collect();
    let ports = config.exposed_ports.unwrap_or_default();
    defaults.ports = ports.iter().filter_map(|port| parse_port(port)).collect();
    defaults.volumes = config.volumes.unwrap_or_default().into_iter().collect();
    defaults.health = told_health(config.healthcheck);
    defaults.stop_signal = signal(config.stop_signal.as_deref());
    let size = inspected.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
    let references = references(inspected.repo_tags, inspected.repo_digests);
    Image::new(inspected.id.unwrap_or_default(), references, size, defaults)
}

/// Tags and digests, without those that stand for none.
pub(super) fn references(tags: Option<Vec<String>>, digests: Option<Vec<String>>) -> BTreeSet<String> {
    let all = tags.into_iter().chain(digests).flatten();
    all.filter(|reference| !reference.contains("<none>")).collect()
}

/// Whether it can be called so: what a reference leaves out is the tag `latest` and the registry that engines ask first.
pub(super) fn has_reference(image: &Image, name: &str) -> bool {
    let plain = name.strip_prefix("docker.io/").unwrap_or(name);
    let plain = plain.strip_prefix("library/").unwrap_or(plain);
    let (repository, tag) = parts(plain);
    let tagged = format!("{repository}:{}", tag.unwrap_or("latest"));
    [name, plain, &tagged].into_iter().any(|it| image.references.contains(it))
}

/// The repository and the tag of a reference; a digest is no tag.
pub(super) fn parts(reference: &str) -> (&str, Option<&str>) {
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') && !reference.contains('@') => (repository, Some(tag)),
        _ => (reference, None),
    }
}

/// Makes an image, and tells its id.
pub(super) async fn make(
    engine: &DockerEngine,
    from: &ImageFrom,
    what: &str,
) -> Result<String, ContainersError> {
    let words = engine.words(what);
    match from {
        ImageFrom::Pull(from) => pull(engine, from, words).await,
        ImageFrom::Load(archive) => load(engine, archive, words).await,
        ImageFrom::Build(from) => build(engine, from, words).await,
        other => Err(words.invalid(&format!("it can not make an image of {other:?}"))),
    }
}

async fn pull(engine: &DockerEngine, from: &Pull, words: Words<'_>) -> Result<String, ContainersError> {
    let object = ObjectRef::image(&from.reference);
    let (repository, tag) = parts(&from.reference);
    // Without a tag an engine pulls all there are.
    let tag = tag.or((!from.reference.contains('@')).then_some("latest"));
    let options = CreateImageOptions {
        from_image: Some(repository.to_owned()),
        tag: tag.map(str::to_owned),
        platform: from.platform.clone().unwrap_or_default(),
        ..CreateImageOptions::default()
    };
    let login = from.login.as_ref().map(|login| DockerCredentials {
        username: Some(login.user.clone()),
        password: Some(login.password.clone()),
        ..DockerCredentials::default()
    });
    let told = engine.client().create_image(Some(options), None, login);
    match to_the_end(told, |_| ()).await {
        Ok(()) => {}
        Err(Fault::Said(said)) if said.has(&["not found"]) && !said.has(&["denied"]) => {
            return Err(words.not_found(&object));
        }
        Err(Fault::Said(said)) => return Err(refused(words, &said.message)),
        Err(fault) => return Err(words.no_answer(fault)),
    }
    id_of(engine, &from.reference, words).await
}

async fn load(engine: &DockerEngine, archive: &Content, words: Words<'_>) -> Result<String, ContainersError> {
    let options = ImportImageOptions { quiet: true, ..ImportImageOptions::default() };
    let told = engine.client().import_image_stream(options, files::pieces(archive), None);
    let mut loaded = BTreeSet::new();
    let end = to_the_end(told, |info| {
        let text = info.stream.as_deref().unwrap_or_default();
        for line in text.lines() {
            let name = line.strip_prefix("Loaded image: ").or_else(|| line.strip_prefix("Loaded image ID: "));
            loaded.extend(name.map(|name| name.trim().to_owned()));
        }
    });
    match end.await {
        Ok(()) => {}
        Err(Fault::Said(said)) => return Err(refused(words, &said.message)),
        Err(fault) => return Err(words.no_answer(fault)),
    }
    let mut ids = BTreeSet::new();
    for name in loaded {
        ids.insert(id_of(engine, &name, words).await?);
    }
    match ids.len() {
        1 => Ok(ids.pop_first().expect("invariant: there is one")),
        0 => Err(words.invalid("the archive holds no image")),
        several => Err(words.invalid(&format!("the archive holds {several} images, which are loaded now"))),
    }
}

async fn build(engine: &DockerEngine, from: &Build, words: Words<'_>) -> Result<String, ContainersError> {
    let options = BuildImageOptions {
        dockerfile: from.dockerfile.clone(),
        rm: true,
        forcerm: true,
        buildargs: Some(from.args.clone().into_iter().collect()),
        labels: Some(from.labels.clone().into_iter().collect()),
        target: from.target.clone().unwrap_or_default(),
        ..BuildImageOptions::default()
    };
    let context = bollard::body_try_stream(files::pieces(&from.context));
    let told = engine.client().build_image(options, None, Some(context));
    let mut id = None;
    let end = to_the_end(told, |info| {
        if let Some(made) = info.aux.and_then(|aux| aux.id) {
            id = Some(made);
        }
    });
    match end.await {
        Ok(()) => {}
        Err(Fault::Said(said)) => return Err(refused(words, &said.message)),
        Err(fault) => return Err(words.no_answer(fault)),
    }
    let id = id.ok_or_else(|| words.refused("it did not say what it has built"))?;
    for reference in &from.tags {
        tag(engine, &id, reference).await.map_err(|error| words.of(error, None))?;
    }
    Ok(id)
}

/// Gives an image one more tag.
pub(super) async fn tag(engine: &DockerEngine, image: &str, reference: &str) -> Result<(), Error> {
    let (repository, tag) = parts(reference);
    let options =
        TagImageOptions { repo: Some(repository.to_owned()), tag: Some(tag.unwrap_or("latest").to_owned()) };
    engine.client().tag_image(image, Some(options)).await
}

async fn id_of(engine: &DockerEngine, name: &str, words: Words<'_>) -> Result<String, ContainersError> {
    let image = look::image(engine, name).await?;
    image.map(|image| image.id).ok_or_else(|| words.not_found(&ObjectRef::image(name)))
}

fn refused(words: Words<'_>, said: &str) -> ContainersError {
    // What the archive or the recipe is to blame for is said in many words, of which these are sure.
    const WRONG: [&str; 4] =
        ["dockerfile parse error", "Dockerfile parse error", "unexpected EOF", "invalid tar"];
    if WRONG.iter().any(|word| said.contains(word)) {
        return words.invalid(said);
    }
    words.refused(said)
}

/// Reads what an engine tells while it works, to the end.
async fn to_the_end<T>(
    told: impl Stream<Item = Result<T, Error>>,
    mut each: impl FnMut(T),
) -> Result<(), Fault> {
    let mut told = std::pin::pin!(told);
    loop {
        match tokio::time::timeout(SILENCE_MAX, told.next()).await {
            Ok(Some(item)) => each(item?),
            Ok(None) => return Ok(()),
            Err(_) => return Err(Fault::Lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_a_repository_and_perhaps_a_tag() {
        assert_eq!(parts("web"), ("web", None));
        assert_eq!(parts("web:1"), ("web", Some("1")));
        assert_eq!(parts("r:5000/web"), ("r:5000/web", None));
        assert_eq!(parts("r:5000/web:1"), ("r:5000/web", Some("1")));
        assert_eq!(parts("web@sha256:00"), ("web@sha256:00", None));
    }

    #[test]
    fn an_image_is_known_by_what_a_reference_leaves_out() {
        let references = BTreeSet::from(["web:latest".to_owned(), "r:5000/a@sha256:00".to_owned()]);
        let image = Image::new("sha256:ff", references, 0, ImageDefaults::default());
        for name in ["web", "web:latest", "docker.io/library/web", "r:5000/a@sha256:00"] {
            assert!(has_reference(&image, name), "{name}");
        }
        for name in ["web:1", "we", "a", "r:5000/web"] {
            assert!(!has_reference(&image, name), "{name}");
        }
    }
}
