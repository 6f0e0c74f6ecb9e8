//! The engine's events, each of which says no more than: look again.

use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{EventMessage, EventMessageTypeEnum};
use bytes::{Bytes, BytesMut};
use detc_core::backend::ContainersError;
use detc_core::backend::containers::{Again, Notifier, ObjectKind, ObjectRef, Watch};
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;

use super::DockerEngine;
use super::look::twice;
use super::words::{Fault, Said};

/// How long after a lost stream a new one is tried for, first and at most: an engine that is started again is there in a second or two,
/// and one that stays away is not asked more than twice in ten seconds.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The kinds of objects that are told of: `{"type":["container","image","network","volume"]}`, as a part of an address.
const KINDS: &str = "%7B%22type%22%3A%5B%22container%22%2C%22image%22%2C%22network%22%2C%22volume%22%5D%7D";

/// The longest event: it has the labels of its object, which are a few kilobytes.
const LINE_LEN_MAX: usize = 4 << 20;

/// What is told of a container that is nothing to look at: commands that are run in it, most of them by health checks, and looks.
const IDLE: [&str; 5] = ["exec_", "top", "resize", "attach", "detach"];

pub(super) async fn watch(engine: &DockerEngine) -> Result<Watch, ContainersError> {
    let events =
        listen(engine).await.map_err(|fault| engine.words("listen to its events").no_answer(fault))?;
    let (notifier, watch) = Watch::new();
    // The task has the client, and not what the task is owned by.
    let client = DockerEngine::clone(engine);
    engine.spawn(async move {
        tokio::select! {
            () = notifier.left() => {}
            () = keep_telling(&client, events, &notifier) => {}
        }
    });
    Ok(watch)
}

async fn keep_telling(engine: &DockerEngine, mut events: Events, notifier: &Notifier) {
    loop {
        while let Some(event) = events.next().await {
            if let Some(again) = again(&event) {
                notifier.tell(again);
            }
        }
        let mut pause = RETRY.0;
        events = loop {
            match listen(engine).await {
                Ok(events) => break events,
                Err(_) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY.1);
                }
            }
        };
        // Whatever happened in between was told to nobody.
        notifier.tell(Again::Everything);
    }
}

/// Listens from now on. What happens after this has returned is told.
async fn listen(engine: &DockerEngine) -> Result<Events, Fault> {
    // An engine says that it listens just before it does: it is told from when on by its own clock.
    let info = twice(|| engine.client().info()).await?;
    let since = info.system_time.as_deref().and_then(seconds_of);
    let since = since.map_or_else(String::new, |seconds| format!("since={seconds}&"));
    let request = Request::get(format!("/events?{since}filters={KINDS}"));
    let request = request.body(bollard::body_full(Bytes::new())).map_err(Error::from)?;
    let response = engine.raw(request).await?;
    if response.status().is_success() {
        return Ok(Events { body: response.into_body(), told: BytesMut::new() });
    }
    let code = response.status().as_u16();
    Err(Fault::Said(Said { code, message: "it tells no events".to_owned() }))
}

/// What an engine tells, an object of JSON in each line.
struct Events {
    body: Incoming,
    told: BytesMut,
}

impl Events {
    /// The next event; `None`: there are no more, or what comes is none.
    async fn next(&mut self) -> Option<EventMessage> {
        loop {
            if let Some(end) = self.told.iter().position(|byte| *byte == b'\n') {
                let line = self.told.split_to(end + 1);
                return serde_json::from_slice(&line).ok();
            }
            if self.told.len() > LINE_LEN_MAX {
                return None;
            }
            let frame = self.body.frame().await?.ok()?;
            self.told.extend_from_slice(frame.data_ref()?);
        }
    }
}

/// What is to be looked at again.
fn again(event: &EventMessage) -> Option<Again> {
    let kind = match event.typ? {
        EventMessageTypeEnum::CONTAINER => ObjectKind::Container,
        EventMessageTypeEnum::IMAGE => ObjectKind::Image,
        EventMessageTypeEnum::NETWORK => ObjectKind::Network,
        EventMessageTypeEnum::VOLUME => ObjectKind::Volume,
        _ => return None,
    };
    let action = event.action.as_deref().unwrap_or_default();
    if kind == ObjectKind::Container && IDLE.iter().any(|idle| action.starts_with(idle)) {
        return None;
    }
    let id = event.actor.as_ref()?.id.clone()?;
    Some(Again::One(ObjectRef::new(kind, id)))
}

/// Seconds since 1970 of `2026-11-29T23:05:21.47Z`, of whatever zone.
fn seconds_of(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    // Days of the civil calendar, counted from March on: H. Hinnant, "chrono-compatible low-level date algorithms", `days_from_civil`.
    let from_march = (month + 9) % 12;
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let offset = match text.get(19..)?.rsplit_once(['+', '-']) {
        None => 0,
        Some((_, zone)) => {
            let (hours, minutes) = zone.split_once(':')?;
            let offset = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
            if text.get(19..)?.contains('-') { -offset } else { offset }
        }
    };
    Some(days * 86_400 + hour * 3600 + minute * 60 + second - offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_whatever_zone() {
        assert_eq!(seconds_of("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds_of("2000-02-29T12:34:56.789Z"), Some(951_827_696));
        assert_eq!(seconds_of("2026-11-29T23:05:21.473388069Z"), Some(1_795_993_521));
        assert_eq!(seconds_of("2026-11-30T01:05:21.4+02:00"), Some(1_795_993_521));
        assert_eq!(seconds_of("2026-11-29T18:35:21-04:30"), Some(1_795_993_521));
        assert_eq!(seconds_of("yesterday"), None);
    }
}
