//! `line`: one line, or one block of lines, of a file that is otherwise somebody else's.
//!
//! The rest of the file stays as it is, to the byte. A file that detc has all of is a `file`.

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use detc_core::backend::HostError;
use detc_core::backend::host::{FileKind, Ownership, Remove};
use detc_core::model::{Observation, Present};
use detc_core::resource::{HostNeed, InvalidField, KindTraits, Removed, Resource};
use regex_lite::Regex;
use serde::{Deserialize, Serialize};

use self::text::{Part, Problem, Spot};
use super::common::{check_path, is_later, missing_dir};
use super::turn::turn;

mod text;

/// The spec of a `line`. Exactly one of `line` and `block` is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineSpec {
    /// The file.
    pub path: String,
    /// The line, without its ending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// A regular expression that finds the line which `line` takes the place of. It finds `line` itself, too.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Several lines, kept between two that `marker` makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<String>,
    /// The lines before and after a block: `# {mark} web`, where `{mark}` becomes `BEGIN` and `END`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// Where it is put when it is not there yet; at the end where this is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insert: Option<Insert>,
    /// Whether a file that is missing is made. When it is removed, and nothing else is in the file, that goes with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub create: bool,
}

/// Beside which line a new one is put. It stays where it is when this changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Insert {
    /// After the last one that this regular expression finds.
    After(String),
    /// Before the first one that it finds.
    Before(String),
}

/// What `marker` has for `BEGIN` and `END`.
const MARK: &str = "{mark}";

/// Longest file that is changed: it is read and written as a whole, and people read what it has.
const LEN_MAX: u64 = 16 << 20;

impl LineSpec {
    /// The line that reads `line` in the file at `path`.
    pub fn new(path: impl Into<String>, line: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line: Some(line.into()),
            pattern: None,
            block: None,
            marker: None,
            insert: None,
            create: false,
        }
    }

    /// What is kept in the file, by this spec and by what was applied last.
    fn part(&self, cx: &ActionCx<'_>) -> Result<Part, ActionError> {
        if let (Some(block), Some(marker)) = (&self.block, &self.marker) {
            let [begin, end] = ["BEGIN", "END"].map(|mark| marker.replace(MARK, mark));
            return Ok(Part::Block { begin, end, text: block.clone() });
        }
        let recorded: Option<Self> =
            cx.recorded().and_then(|body| serde_json::from_value(body.spec.value()).ok());
        let before = recorded.filter(|recorded| recorded.path == self.path).and_then(|it| it.line);
        let pattern = self.pattern.as_deref().map(|pattern| regex("match", pattern)).transpose();
        let pattern = pattern.map_err(|error| ActionError::permanent(error.to_string()))?;
        Ok(Part::Line { line: self.line.clone().unwrap_or_default(), pattern, before })
    }

    fn spot(&self) -> Result<Spot, ActionError> {
        let like =
            |text: &str| regex("insert", text).map_err(|error| ActionError::permanent(error.to_string()));
        Ok(match &self.insert {
            None => Spot::End,
            Some(Insert::After(text)) => Spot::After(like(text)?),
            Some(Insert::Before(text)) => Spot::Before(like(text)?),
        })
    }

    /// The file's content; `None` when there is no file.
    async fn read(&self, cx: &ActionCx<'_>) -> Result<Option<Vec<u8>>, ActionError> {
        match cx.host()?.read(&self.path, LEN_MAX).await {
            Ok(content) => Ok(Some(content)),
            Err(HostError::NotFound { .. }) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    /// What is in the way of a look at the file, in words.
    async fn obstacle(&self, cx: &ActionCx<'_>) -> Result<Option<String>, ActionError> {
        let kind = cx.host()?.stat(&self.path).await?.map(|stat| stat.kind);
        Ok(match kind {
            None | Some(FileKind::File) => None,
            // To write to it would put a file in its place, and leave what it leads to as it is.
            Some(FileKind::Symlink) => {
                Some(format!("{} is a symbolic link: give the path that it leads to", self.path))
            }
            Some(kind) => Some(format!("{} is {kind}, not a file", self.path)),
        })
    }

    fn problem(&self, cx: &ActionCx<'_>, problem: &Problem) -> ActionError {
        ActionError::permanent(format!("{} can not be kept in {}: {problem}", cx.resource(), self.path))
            .with_hint("look at the file, and correct it or the fields")
    }

    async fn put(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        let (part, spot, host) = (self.part(cx)?, self.spot()?, cx.host()?);
        let _turn = turn(&**host, &self.path).await;
        if let Some(obstacle) = self.obstacle(cx).await? {
            return Err(ActionError::permanent(obstacle));
        }
        let before = match self.read(cx).await? {
            Some(before) => before,
            None if self.create => Vec::new(),
            None => {
                let message =
                    format!("{} has no file to be kept in: {} is not there", cx.resource(), self.path);
                return Err(
                    ActionError::permanent(message).with_hint("make it with a `file`, or set `create`")
                );
            }
        };
        let after = part.put(&before, &spot).map_err(|problem| self.problem(cx, &problem))?;
        if after == before {
            return Ok(());
        }
        host.write(&self.path, &after, &Ownership::default()).await.map_err(|error| match error {
            HostError::NotFound { host, .. } => {
                let dir = self.path.rsplit_once('/').map_or("/", |(dir, _)| dir);
                missing_dir(cx.resource(), "be written", dir, &host)
            }
            other => other.into(),
        })
    }

    fn check_line(&self, line: &str) -> Result<(), InvalidField> {
        if line.is_empty() || line.contains(['\n', '\r', '\0']) {
            return Err(InvalidField::new("line", "must be one line, without its ending and not empty"));
        }
        if self.marker.is_some() {
            return Err(InvalidField::new("marker", "is for a `block`"));
        }
        let Some(pattern) = self.pattern.as_deref().filter(|pattern| !is_later(pattern)) else {
            return Ok(());
        };
        if !regex("match", pattern)?.is_match(line) && !is_later(line) {
            let problem = format!(
                "must find the line that it is to become, `{line}`, too: \
                                   otherwise nobody would find that again"
            );
            return Err(InvalidField::new("match", problem));
        }
        Ok(())
    }

    fn check_block(&self, block: &str) -> Result<(), InvalidField> {
        if self.pattern.is_some() {
            return Err(InvalidField::new("match", "is for a `line`: a block is found by its marker"));
        }
        let Some(marker) = &self.marker else {
            let problem = format!("is missing: a block needs one, such as `# {MARK} web`");
            return Err(InvalidField::new("marker", problem));
        };
        if is_later(marker) {
            return Ok(());
        }
        if marker.matches(MARK).count() != 1 || marker.contains(['\n', '\r', '\0']) {
            let problem = format!("must be one line in which `{MARK}` stands once, not `{marker}`");
            return Err(InvalidField::new("marker", problem));
        }
        let marks = ["BEGIN", "END"].map(|mark| marker.replace(MARK, mark));
        if block.lines().any(|line| marks.iter().any(|mark| mark == line)) || block.contains(['\r', '\0']) {
            let problem = "must hold none of the lines that `marker` makes, and end its lines with `\\n`";
            return Err(InvalidField::new("block", problem));
        }
        Ok(())
    }
}

fn regex(field: &str, pattern: &str) -> Result<Regex, InvalidField> {
    Regex::new(pattern)
        .map_err(|error| InvalidField::new(field, format!("is no regular expression: {error}: `{pattern}`")))
}

#[async_trait]
impl Resource for LineSpec {
    const KIND: &'static str = "line";

    type Output = ();

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.replace_on = &["path", "marker"];
        traits.at_once = &["line", "block"];
        traits.host = HostNeed::Required;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        check_path("path", &self.path)?;
        let what = match (&self.line, &self.block) {
            (Some(line), None) => {
                self.check_line(line)?;
                self.pattern.as_ref().unwrap_or(line)
            }
            (None, Some(block)) => {
                self.check_block(block)?;
                self.marker.as_ref().unwrap_or(block)
            }
            (None, None) => return Err(InvalidField::new("line", "is missing: give it, or `block`")),
            (Some(_), Some(_)) => return Err(InvalidField::new("line", "can not stand beside `block`")),
        };
        if let Some(Insert::After(pattern) | Insert::Before(pattern)) = &self.insert
            && !is_later(pattern)
        {
            regex("insert", pattern)?;
        }
        let path = Place::path(&self.path);
        let own = Place::name("line", &format!("{path}: {what}"));
        // It comes after whoever makes the file. It writes the file, too, and so do others: they take turns, in whatever
        // order, so that it is no place of the plan's.
        Ok(Footprint::new(CrashClass::DeterministicName).reading(path).owning(own).touching_more())
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        if let Some(obstacle) = self.obstacle(cx).await? {
            return Ok(Observation::Unknown(obstacle));
        }
        let Some(content) = self.read(cx).await? else { return Ok(Observation::Absent) };
        let field = if self.block.is_some() { "block" } else { "line" };
        Ok(match self.part(cx)?.look(&content) {
            Ok(Some(seen)) => Observation::Present(Present::new().with_field(field, seen)),
            Ok(None) => Observation::Absent,
            Err(problem) => Observation::Unknown(format!("in {}, {problem}", self.path)),
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.put(cx).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<(), ActionError> {
        self.put(cx).await
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        let (part, host) = (self.part(cx)?, cx.host()?);
        let _turn = turn(&**host, &self.path).await;
        let Some(before) = self.read(cx).await? else { return Ok(Removed::Gone) };
        let after = part.take(&before).map_err(|problem| self.problem(cx, &problem))?;
        if after.is_empty() && self.create {
            host.remove(&self.path, Remove::File).await?;
        } else if after != before {
            host.write(&self.path, &after, &Ownership::default()).await?;
        }
        Ok(Removed::Gone)
    }
}

#[cfg(test)]
#[cfg(feature = "local")]
mod tests;
