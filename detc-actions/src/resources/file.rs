//! `file`: a file's content, mode and owner.
//!
//! The content is given in the spec, read from a file beside the desired state file, or rendered from a template there. It
//! is compared by digest, which a host tells itself of what is large; where a small text drifted, the plan shows it.

use std::sync::Arc;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, BLOB_LEN_MAX, CrashClass, Footprint, Place};
use detc_core::backend::HostError;
use detc_core::backend::host::{FileKind, Host, Remove, Stat};
use detc_core::content::{Content, LARGE, LEN_MAX, Sum};
use detc_core::model::{Digest, Observation, Present};
use detc_core::resource::{Contents, HostNeed, InvalidField, KindTraits, Removed, Resource, Source, TextOf};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::common::{Access, check_path, is_later, missing_dir};
use super::template::{parse, render};
use crate::artifact::sum_on;

/// The spec of a `file`. Exactly one of `content`, `source` and `template` is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// Where it is. Its directory must exist.
    pub path: String,
    /// Its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// A file beside the desired state file that it is a copy of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// A template that its content is rendered from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateSpec>,
    /// Permission bits in octal: `"0644"`. A new file gets `0644` where none are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The owner, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The group, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// A template and its variables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateSpec {
    /// A file beside the desired state file, in Jinja syntax. A variable that is not defined is an error.
    pub source: Source,
    /// The variables.
    #[serde(default)]
    pub vars: Map<String, Value>,
}

impl TemplateSpec {
    fn rendered(&self, cx: &ActionCx<'_>) -> Result<String, ActionError> {
        self.rendered_from(&cx.blob(&self.source.digest)?)
    }

    fn rendered_from(&self, content: &[u8]) -> Result<String, ActionError> {
        render(&self.source.path, self.text(content)?, &self.vars)
    }

    fn parse(&self, content: &[u8]) -> Result<(), ActionError> {
        parse(&self.source.path, self.text(content)?)
    }

    fn held(&self, content: &Content) -> Result<Arc<[u8]>, ActionError> {
        content.bytes(BLOB_LEN_MAX).map_err(|error| {
            let name = &self.source.path;
            ActionError::permanent(format!("the template {name} can not be read")).with_source(error)
        })
    }

    fn text<'a>(&self, content: &'a [u8]) -> Result<&'a str, ActionError> {
        std::str::from_utf8(content).map_err(|error| {
            let name = &self.source.path;
            ActionError::permanent(format!("the template {name} is not UTF-8 text")).with_source(error)
        })
    }
}

/// The text that a complete spec and the files beside it come to.
fn text_of(spec: &Value, contents: &Contents) -> Result<Option<String>, ActionError> {
    let Ok(spec) = FileSpec::deserialize(spec) else { return Ok(None) };
    if let Some(template) = &spec.template {
        let content = contents.get(&template.source.digest);
        return content.map(|content| template.rendered_from(&template.held(content)?)).transpose();
    }
    // Nobody reads what is large.
    let content = spec.source.and_then(|source| contents.get(&source.digest)?.held());
    Ok(content.and_then(|content| String::from_utf8(content.to_vec()).ok()))
}

/// That the template of a spec is one, whatever its variables are.
fn parse_text(spec: &Value, contents: &Contents) -> Result<(), ActionError> {
    let template = spec.get("template").and_then(|template| TemplateSpec::deserialize(template).ok());
    let Some(template) = template else { return Ok(()) };
    contents.get(&template.source.digest).map_or(Ok(()), |content| template.parse(&template.held(content)?))
}

/// Said of a file of which it can not be seen whether it is as it was left.
const UNCOMPARED: &str = "its text is not compared: the template that it was rendered from is not at hand (it is with \
                          the desired state file: `-f FILE`)";

/// Longest text that a plan shows when it drifted; of others it shows length and digest.
const SHOWN_MAX: usize = 64 << 10;

impl FileSpec {
    /// The file at `path` with this content, its mode and owner left open.
    pub fn new(path: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            content: Some(content.into()),
            source: None,
            template: None,
            mode: None,
            owner: None,
            group: None,
        }
    }

    fn access(&self) -> Access<'_> {
        Access { mode: self.mode.as_deref(), owner: self.owner.as_deref(), group: self.group.as_deref() }
    }

    /// The field that gives the content.
    fn given(&self) -> &'static str {
        match (&self.content, &self.source) {
            (Some(_), _) => "content",
            (None, Some(_)) => "source",
            (None, None) => "template",
        }
    }

    /// The content it should have.
    fn wanted(&self, cx: &ActionCx<'_>) -> Result<Content, ActionError> {
        match (&self.content, &self.source, &self.template) {
            (Some(content), _, _) => Ok(content.clone().into_bytes().into()),
            (None, Some(source), _) => Ok(cx.content(&source.digest)?.clone()),
            (None, None, Some(template)) => Ok(template.rendered(cx)?.into_bytes().into()),
            (None, None, None) => Err(ActionError::permanent(format!("{} has no content", cx.resource()))),
        }
    }

    /// The field that gives the content, as it is seen: in the words of the spec where the content is as it says.
    fn seen(&self, cx: &ActionCx<'_>, seen: &Seen) -> Option<(&'static str, Value)> {
        if let Some(content) = &self.content {
            let same = seen.digest == Some(digest_of(content));
            let text = if same { content.clone() } else { seen.shown.clone() };
            return Some(("content", text.into()));
        }
        if let Some(source) = &self.source {
            let digest = seen.digest.map_or_else(|| seen.shown.clone(), |digest| digest.to_string());
            return Some(("source", json!({ "path": source.path, "digest": digest })));
        }
        let template = self.template.as_ref()?;
        // Without the template nothing can be said here of what it renders to: the record is compared.
        let same =
            |template: &TemplateSpec| Some(seen.digest == Some(digest_of(&template.rendered(cx).ok()?)));
        if same(template)? {
            return Some(("template", serde_json::to_value(template).ok()?));
        }
        // A file that is as it was left is said in the words of the record, so that a plan shows which variable changes.
        let recorded = cx.recorded().and_then(|body| body.spec.value().get("template").cloned());
        let left = recorded.filter(|template| {
            let template = serde_json::from_value(template.clone()).ok();
            template.and_then(|template| same(&template)) == Some(true)
        });
        // The text itself is not shown: it may hold a variable that is sensitive.
        Some(("template", left.unwrap_or_else(|| seen.summary.clone().into())))
    }

    /// Whether a plan can not tell from the spec that is looked at what text is there: it is another, or was made from a
    /// file that is desired no more.
    fn may_become_another(&self, cx: &ActionCx<'_>, seen: Option<&(&'static str, Value)>) -> bool {
        let Some(source) = self.source.as_ref().or(self.template.as_ref().map(|it| &it.source)) else {
            return false;
        };
        let named = || serde_json::to_value(self).expect("invariant: a spec is JSON");
        let is_another = || seen.is_none_or(|(field, value)| named()[*field] != *value);
        cx.has_contents() && (cx.blob(&source.digest).is_err() || is_another())
    }

    /// Whether what is there already is `content`, as far as that costs less than to send it.
    async fn is_there(&self, host: &dyn Host, content: &Content) -> Result<bool, HostError> {
        let found = if content.is_large() { host.stat(&self.path).await? } else { None };
        let is_alike = |stat: &Stat| stat.kind == FileKind::File && stat.size == content.len();
        match found.filter(is_alike) {
            Some(_) => Ok(sum_on(host, &self.path, content.len()).await? == Some(content.sum())),
            None => Ok(false),
        }
    }

    async fn write(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        let (host, content, ownership) = (cx.host()?, self.wanted(cx)?, self.access().ownership());
        if self.is_there(&**host, &content).await? {
            return Ok(host.set_ownership(&self.path, &ownership).await?);
        }
        host.write_from(&self.path, &content, &ownership).await.map_err(|error| match error {
            HostError::NotFound { host, .. } => {
                let dir = self.path.rsplit_once('/').map_or("/", |(dir, _)| dir);
                missing_dir(cx.resource(), "be written", dir, &host)
            }
            other => other.into(),
        })
    }
}

/// The digest of a file that holds `text`.
fn digest_of(text: &str) -> Digest {
    if text.len() as u64 > LARGE {
        Digest::of_large(&Sum::of(text.as_bytes()))
    } else {
        Digest::of(text.as_bytes())
    }
}

/// The content that is there.
struct Seen {
    /// Of a file that is not too long.
    digest: Option<Digest>,
    /// Length and digest, in words.
    summary: String,
    /// What the plan shows of it: a small text itself.
    shown: String,
}

impl Seen {
    /// The text that it is, where a person would read it.
    fn text(self) -> Option<String> {
        const LEN_MAX: usize = 16 << 10;
        (self.shown != self.summary && self.shown.len() <= LEN_MAX).then_some(self.shown)
    }

    async fn look(host: &dyn Host, path: &str, stat: &Stat) -> Result<Option<Self>, HostError> {
        let without_content = |summary: String| Self { digest: None, shown: summary.clone(), summary };
        if stat.kind != FileKind::File {
            return Ok(Some(without_content(format!("({})", stat.kind))));
        }
        // It differs from all that this kind writes.
        if stat.size > LEN_MAX {
            return Ok(Some(without_content(format!("({} bytes)", stat.size))));
        }
        if stat.size > LARGE {
            let Some(sum) = sum_on(host, path, stat.size).await? else { return Ok(None) };
            let digest = Digest::of_large(&sum);
            let summary = format!("({} bytes, {})", stat.size, digest.short());
            return Ok(Some(Self { digest: Some(digest), shown: summary.clone(), summary }));
        }
        let content = match host.read(path, LARGE).await {
            Ok(content) => content,
            // It was removed between the two looks.
            Err(HostError::NotFound { .. }) => return Ok(None),
            // It grows.
            Err(HostError::TooLarge { .. }) => {
                return Ok(Some(without_content(format!("(more than {LARGE} bytes)"))));
            }
            Err(other) => return Err(other),
        };
        let digest = Digest::of(&content);
        let summary = format!("({} bytes, {})", content.len(), digest.short());
        let text = if content.len() <= SHOWN_MAX { String::from_utf8(content).ok() } else { None };
        Ok(Some(Self { digest: Some(digest), shown: text.unwrap_or_else(|| summary.clone()), summary }))
    }
}

#[async_trait]
impl Resource for FileSpec {
    const KIND: &'static str = "file";

    type Output = ();

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.replace_on = &["path"];
        traits.at_once = &["content", "source", "template", "mode", "owner", "group"];
        traits.sources = &["source", "template.source"];
        traits.text = Some(TextOf { field: "content", read: text_of, parse: parse_text });
        traits.host = HostNeed::Required;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        check_path("path", &self.path)?;
        if matches!(self.path.rsplit('/').next(), Some("" | ".")) && !is_later(&self.path) {
            let problem = format!("must name a file: `{}` ends as a directory does", self.path);
            return Err(InvalidField::new("path", problem));
        }
        self.access().check()?;
        let given = [self.content.is_some(), self.source.is_some(), self.template.is_some()];
        match given.iter().filter(|given| **given).count() {
            1 => {}
            0 => return Err(InvalidField::new("content", "is missing: give it, or `source`, or `template`")),
            _ => {
                let problem = "can not stand beside another of `content`, `source` and `template`";
                let field = if self.content.is_some() { "content" } else { "source" };
                return Err(InvalidField::new(field, problem));
            }
        }
        Ok(Footprint::new(CrashClass::DeterministicName).owning(Place::path(&self.path)))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        let host = cx.host()?;
        let Some(stat) = host.stat(&self.path).await? else { return Ok(Observation::Absent) };
        if stat.kind == FileKind::Directory {
            return Ok(Observation::Unknown(format!("{} is a directory, not a file", self.path)));
        }
        // Nor is what others write to, or what the system itself needs, such as `/dev/null`, put out of its place.
        if stat.kind == FileKind::Other {
            return Ok(Observation::Unknown(format!("{} is {}, not a file", self.path, stat.kind)));
        }
        let Some(seen) = Seen::look(&**host, &self.path, &stat).await? else {
            return Ok(Observation::Absent);
        };
        let mut present = self.access().observe(&stat, Present::new());
        let (field, digest) = (self.seen(cx, &seen), seen.digest);
        if self.may_become_another(cx, field.as_ref()) {
            present = present.with_text(seen.text());
        }
        // What it is made of may be sensitive: that is not recorded, and its text is not to be either.
        if let Some(digest) = digest {
            present = present.with_trace(self.given(), digest.to_string());
        }
        match field {
            Some((field, value)) => present = present.with_field(field, value),
            // Nobody is to take it for as it was left.
            None => present = present.with_uncompared("template", UNCOMPARED),
        }
        Ok(Observation::Present(present))
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.write(cx).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.write(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        cx.host()?.remove(&self.path, Remove::File).await?;
        Ok(Removed::Gone)
    }
}

#[cfg(test)]
#[cfg(feature = "local")]
mod tests;
