//! `http`: one call of an API that is made only when a look at the API says that it is needed.
//!
//! Both are made from where the manager runs, over plain HTTP/1.1. There is no TLS in this crate: `https` is refused, and what
//! is reached by it is called by a `script`, with the client of a host.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use detc_core::action::{ActionCx, ActionError, CrashClass, ErrorClass, Footprint};
use detc_core::model::{FieldPath, Observation, Present};
use detc_core::resource::{ChangeEffect, HostNeed, InvalidField, KindTraits, Removal, Removed, Resource};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::client::{Answer, CallError, Url};
use super::common::{is_later, tail};

mod client;

/// The spec of an `http`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSpec {
    /// The look: whether it is as it should be.
    pub probe: ProbeSpec,
    /// The call that makes it so.
    pub act: CallSpec,
    /// How long each of them may take; 30 seconds where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// A look, and what it says when all is as it should be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeSpec {
    /// Where: `http://host:port/path`.
    pub url: String,
    /// `GET` where it is not given, or `HEAD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Headers, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The status; 200 where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Values in the JSON of the answer, by their paths in it: `state.version`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub json: BTreeMap<String, Value>,
}

/// A call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallSpec {
    /// Where: `http://host:port/path`.
    pub url: String,
    /// `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// Headers, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// The body, as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// What an `http` gives to others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HttpOutput {
    /// The JSON of the look that found it as it should be; null where that is none.
    pub answer: Value,
}

/// How long a call may take where the spec does not say.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Methods of a look: they change nothing.
const LOOKS: [&str; 2] = ["GET", "HEAD"];

/// Methods of a call.
const ACTS: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];

/// What a look found.
enum Seen {
    AsItShouldBe(Value),
    /// It is not, for this reason.
    NotYet(String),
}

impl HttpSpec {
    fn timeout(&self) -> Duration {
        self.timeout_ms.map_or(TIMEOUT, Duration::from_millis)
    }

    async fn look(&self, cx: &ActionCx<'_>) -> Result<Seen, ActionError> {
        let probe = &self.probe;
        if is_later(&probe.url) || probe.headers.values().any(|value| is_later(value)) {
            return Err(ActionError::permanent("its `probe` needs a sensitive value that was not given"));
        }
        let url = parse(&probe.url)?;
        let method = probe.method.as_deref().unwrap_or("GET");
        let called = client::call(&url, method, &probe.headers, b"", self.timeout()).await;
        let what = format!("the `probe` of {}, {method} {url},", cx.resource());
        // A look has no effect: whatever became of it, nothing has happened.
        let answer = called.map_err(|error| ActionError::transient(format!("{what} failed: {error}")))?;
        probe
            .judge(&answer, cx)
            .map_err(|why| ActionError::new(why.class(), format!("{what} was answered with {why}")))
    }

    async fn act(&self, cx: &ActionCx<'_>) -> Result<HttpOutput, ActionError> {
        let act = &self.act;
        let url = parse(&act.url)?;
        let mut headers = act.headers.clone();
        let body = match (&act.json, &act.body) {
            (Some(json), _) => {
                if !headers.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
                    headers.insert("Content-Type".to_owned(), "application/json".to_owned());
                }
                json.to_string()
            }
            (None, body) => body.clone().unwrap_or_default(),
        };
        let what = format!("`{} {}` of {}", act.method, url, cx.resource());
        let answer = match client::call(&url, &act.method, &headers, body.as_bytes(), self.timeout()).await {
            Ok(answer) => answer,
            Err(CallError::NotSent(why)) => {
                return Err(ActionError::transient(format!("{what} failed: {why}")));
            }
            Err(CallError::Lost(why)) => return Err(ActionError::outcome_unknown(format!("{what}: {why}"))),
        };
        match answer.status {
            200..=299 => {}
            // It may have begun before it gave up.
            500..=599 => return Err(ActionError::outcome_unknown(said(cx, &what, &answer))),
            429 => return Err(ActionError::transient(said(cx, &what, &answer))),
            _ => return Err(ActionError::permanent(said(cx, &what, &answer))),
        }
        // It was done, though the look may fail now.
        let seen = self.look(cx).await.map_err(|error| {
            ActionError::outcome_unknown(format!("{what} was answered with {}", answer.status))
                .with_source(error)
        })?;
        match seen {
            Seen::AsItShouldBe(answer) => Ok(HttpOutput { answer }),
            Seen::NotYet(why) => Err(ActionError::permanent(format!(
                "{what} was answered with {}, and then {why}",
                answer.status
            ))
            .with_hint("correct `act`, or what `probe` asks for")),
        }
    }
}

fn said(cx: &ActionCx<'_>, what: &str, answer: &Answer) -> String {
    if cx.is_sensitive("answer") {
        return format!("{what} was answered with {}; its text is not told: it is sensitive", answer.status);
    }
    format!("{what} was answered with {}:\n{}", answer.status, tail(&answer.body, 8))
}

fn parse(url: &str) -> Result<Url, ActionError> {
    Url::parse(url).map_err(|problem| ActionError::permanent(format!("a URL {problem}")))
}

/// Why an answer does not tell whether all is as it should be.
enum Mute {
    /// By its status: it lets nobody in, or fails by itself.
    Status(u16),
    NoJson(serde_json::Error),
}

impl Mute {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Status(401 | 403) | Self::NoJson(_) => ErrorClass::Permanent,
            Self::Status(_) => ErrorClass::Transient,
        }
    }
}

impl fmt::Display for Mute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::NoJson(error) => write!(f, "what is no JSON: {error}"),
        }
    }
}

impl ProbeSpec {
    /// Whether an answer says that all is as it should be.
    fn judge(&self, answer: &Answer, cx: &ActionCx<'_>) -> Result<Seen, Mute> {
        let wanted = self.status.unwrap_or(200);
        match answer.status {
            status if status == wanted => {}
            401 | 403 | 429 | 500..=599 => return Err(Mute::Status(answer.status)),
            status => {
                return Ok(Seen::NotYet(format!("its `probe` is answered with {status}, not {wanted}")));
            }
        }
        let json: Value = match serde_json::from_slice(&answer.body) {
            Ok(json) => json,
            Err(_) if self.json.is_empty() => Value::Null,
            Err(error) => return Err(Mute::NoJson(error)),
        };
        for (path, wanted) in &self.json {
            let found = path.parse::<FieldPath>().ok().and_then(|path| path.get(&json).cloned());
            if found.as_ref() != Some(wanted) {
                if found.is_some() && cx.is_sensitive("answer") {
                    return Ok(Seen::NotYet(format!(
                        "`{path}` of the answer to its `probe` is another, which is sensitive"
                    )));
                }
                let found = found.map_or_else(|| "not there".to_owned(), |found| found.to_string());
                return Ok(Seen::NotYet(format!(
                    "`{path}` of the answer to its `probe` is {found}, not {wanted}"
                )));
            }
        }
        Ok(Seen::AsItShouldBe(json))
    }
}

fn check_url(field: &str, url: &str) -> Result<(), InvalidField> {
    if is_later(url) {
        return Ok(());
    }
    Url::parse(url).map(drop).map_err(|problem| InvalidField::new(field, problem))
}

fn check_method(field: &str, method: &str, of: &[&str]) -> Result<(), InvalidField> {
    match of.contains(&method) || is_later(method) {
        true => Ok(()),
        false => Err(InvalidField::new(
            field,
            format!("must have a `method` of {}, not `{method}`", of.join(", ")),
        )),
    }
}

fn check_headers(field: &str, headers: &BTreeMap<String, String>) -> Result<(), InvalidField> {
    let is_token =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    let own = ["host", "content-length", "connection", "transfer-encoding"];
    for (name, value) in headers {
        if !is_token(name) || own.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            return Err(InvalidField::new(field, format!("can not have the header `{name}`")));
        }
        // The value is not told: it may be a secret.
        if value.contains(|c: char| c.is_control() && c != '\u{1}') {
            return Err(InvalidField::new(field, format!("must have no line break in the header `{name}`")));
        }
    }
    Ok(())
}

#[async_trait]
impl Resource for HttpSpec {
    const KIND: &'static str = "http";

    type Output = HttpOutput;

    fn traits() -> KindTraits {
        let mut traits = KindTraits::default();
        traits.host = HostNeed::None;
        traits.change = ChangeEffect::Rerun;
        traits.in_place = &["timeout_ms", "probe"];
        traits.removal = Removal::Forget;
        traits
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        check_url("probe", &self.probe.url)?;
        check_method("probe", self.probe.method.as_deref().unwrap_or("GET"), &LOOKS)?;
        check_headers("probe", &self.probe.headers)?;
        if self.probe.method.as_deref() == Some("HEAD") && !self.probe.json.is_empty() {
            return Err(InvalidField::new(
                "probe",
                "can not look at the JSON of a `HEAD`, which has no body",
            ));
        }
        if self.probe.json.keys().any(|path| path.parse::<FieldPath>().is_err()) {
            return Err(InvalidField::new("probe", "must have paths such as `state.version` in `json`"));
        }
        check_url("act", &self.act.url)?;
        check_method("act", &self.act.method, &ACTS)?;
        check_headers("act", &self.act.headers)?;
        if self.act.json.is_some() && self.act.body.is_some() {
            return Err(InvalidField::new("act", "can not have both `json` and `body`"));
        }
        if self.timeout_ms == Some(0) {
            return Err(InvalidField::new("timeout_ms", "must be more than 0"));
        }
        // The look tells whether it was done, as the `unless` of a command does.
        let footprint = Footprint::new(CrashClass::CompareAndSet).touching_more();
        // It may look, act, and look again.
        Ok(footprint.lasting(self.timeout().saturating_mul(3)))
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        Ok(match self.look(cx).await? {
            Seen::AsItShouldBe(answer) => {
                Observation::Present(Present::new().with_output(&HttpOutput { answer }))
            }
            Seen::NotYet(why) => Observation::Needed(why),
        })
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<HttpOutput, ActionError> {
        // What an earlier try did may have come about only after it was looked last.
        if cx.begun_before()
            && let Seen::AsItShouldBe(answer) = self.look(cx).await?
        {
            return Ok(HttpOutput { answer });
        }
        self.act(cx).await
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<HttpOutput, ActionError> {
        self.act(cx).await
    }

    async fn delete(&self, _: &ActionCx<'_>) -> Result<Removed, ActionError> {
        Ok(Removed::Gone)
    }
}

#[cfg(test)]
#[cfg(feature = "local")]
mod tests;
