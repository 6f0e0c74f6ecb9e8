//! Images that another has taken the place of: which are kept, and which are removed.
//!
//! Images can not be labelled once they are made. So one that is superseded gets a tag of detc's own, `detc/WHOSE:N-OF`: whose it is,
//! how late it was superseded, and under which reference it was there, by its digest, as a tag has no room for it.

use std::collections::BTreeSet;

use detc_core::action::{ActionCx, ActionError};
use detc_core::backend::ContainersError;
use detc_core::backend::containers::{Change, Containers, ObjectKind, ObjectRef, Query};
use detc_core::model::{Digest, Hasher};

/// What is kept for one resource.
pub(super) struct Versions {
    /// What the tags of the resource begin with.
    whose: String,
    /// From the first that was superseded to the last.
    kept: Vec<Kept>,
}

/// One image that is kept.
struct Kept {
    number: u64,
    tag: String,
    id: String,
    /// The reference that it was there under, where it still is.
    reference: Option<String>,
}

/// How much of a digest tells two references of one resource apart.
const DIGITS: usize = 16;

fn short(reference: &str) -> String {
    Digest::of(reference.as_bytes()).to_string()[..DIGITS].to_owned()
}

impl Versions {
    /// Looks for them: one listing serves all that are looked at together.
    pub(super) async fn look(engine: &dyn Containers, cx: &ActionCx<'_>) -> Result<Self, ActionError> {
        let mut hasher = Hasher::new("detc.image/1");
        hasher.part(cx.scope().as_bytes()).part(cx.identity().as_str().as_bytes());
        let whose = format!("detc/{}:", &hasher.finish().to_string()[..2 * DIGITS]);
        let images = engine.list(&Query::new(ObjectKind::Image)).await?;
        let mut kept = Vec::new();
        for image in &*images {
            let tags = image.names.iter().filter_map(|name| Some((name, name.strip_prefix(&whose)?)));
            for (tag, rest) in tags {
                let Some((number, of)) = rest.split_once('-') else { continue };
                let Ok(number) = number.parse() else { continue };
                let reference = image.names.iter().find(|name| short(name) == of).cloned();
                kept.push(Kept { number, tag: tag.clone(), id: image.id.clone(), reference });
            }
        }
        kept.sort_by_key(|kept| kept.number);
        Ok(Self { whose, kept })
    }

    /// Keeps what is recorded, where that was made by detc: it is about to be superseded.
    pub(super) async fn keep_recorded(
        &self,
        cx: &ActionCx<'_>,
        engine: &dyn Containers,
    ) -> Result<(), ActionError> {
        let Some(body) = cx.recorded().filter(|body| !body.adopted) else { return Ok(()) };
        let Some(id) = body.output["id"].as_str() else { return Ok(()) };
        let spec = body.spec.value();
        let Some(reference) = spec["image"].as_str() else { return Ok(()) };
        if self.kept.iter().any(|kept| kept.id == id) || engine.image(id).await?.is_none() {
            return Ok(());
        }
        let number = self.kept.last().map_or(1, |last| last.number + 1);
        let tag = format!("{}{number}-{}", self.whose, short(reference));
        Ok(engine.change(&Change::Tag { image: id.to_owned(), tag }).await?)
    }

    /// How many would be removed by [`collect`](Self::collect).
    pub(super) async fn due(
        &self,
        engine: &dyn Containers,
        (current, retain): (&str, usize),
    ) -> Result<usize, ActionError> {
        let superseded = self.kept.iter().filter(|kept| kept.id != current).collect();
        let beyond = beyond(engine, superseded, retain).await?;
        Ok(beyond.map_or(0, |(kept, in_use)| kept.iter().filter(|kept| !in_use.contains(&kept.id)).count()))
    }

    /// Removes what is kept beyond the last `retain` of them, but for what a container is made of. `current` is not superseded.
    /// Returns how many had to stay though they were to go.
    pub(super) async fn collect(
        &self,
        engine: &dyn Containers,
        (current, retain): (&str, usize),
    ) -> Result<usize, ActionError> {
        let (again, superseded): (Vec<_>, Vec<_>) = self.kept.iter().partition(|kept| kept.id == current);
        for kept in again {
            remove(engine, &kept.tag).await?;
        }
        let Some((superseded, in_use)) = beyond(engine, superseded, retain).await? else { return Ok(0) };
        let mut stay = 0;
        for kept in superseded {
            // By the tag it is found again, so that goes last.
            let mut references = kept.reference.iter().chain([&kept.tag]);
            let mut all_gone = !in_use.contains(&kept.id);
            while all_gone && let Some(reference) = references.next() {
                all_gone = remove(engine, reference).await?;
            }
            stay += usize::from(!all_gone);
        }
        Ok(stay)
    }
}

/// Which of those that are superseded are beyond the last `retain`, and which images containers are made of. `None`: none are.
async fn beyond<'a>(
    engine: &dyn Containers,
    mut superseded: Vec<&'a Kept>,
    retain: usize,
) -> Result<Option<(Vec<&'a Kept>, BTreeSet<String>)>, ActionError> {
    superseded.truncate(superseded.len().saturating_sub(retain));
    if superseded.is_empty() {
        return Ok(None);
    }
    let containers = engine.list(&Query::new(ObjectKind::Container)).await?;
    Ok(Some((superseded, containers.iter().filter_map(|it| it.image.clone()).collect())))
}

/// Takes a reference away, and what has no other with it. `false`: it is used by now.
async fn remove(engine: &dyn Containers, reference: &str) -> Result<bool, ActionError> {
    match engine.change(&Change::remove(ObjectRef::image(reference))).await {
        Ok(()) => Ok(true),
        Err(ContainersError::InUse { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
