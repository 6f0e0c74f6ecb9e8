//! A zoo of defects: each is caught by the law that is about it, and a kind without one breaks none.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;
use crate::action::{ActionCx, ActionError, CrashClass, Footprint, Place};
use crate::backend::HostError;
use crate::backend::host::{Ownership, Remove};
use crate::model::{Observation, Present};
use crate::resource::{HostNeed, InvalidField, KindTraits, Removed};

const SOUND: u8 = 0;
const LOOKS_BY_WRITING: u8 = 1;
const SEES_WHAT_IS_WANTED: u8 = 2;
const SAYS_ABSENT_ON_ERROR: u8 = 3;
const APPENDS: u8 = 4;
const CHANGES_NOTHING: u8 = 5;
const LEAVES_SOMETHING: u8 = 6;
const FAILS_TO_REMOVE_NOTHING: u8 = 7;
const WRITES_ELSEWHERE: u8 = 8;
const SEES_HALF_AS_WHOLE: u8 = 9;
const TELLS_LOST_AS_NOT_DONE: u8 = 10;
const MAKES_UP_ITS_OUTPUT: u8 = 11;
const CHECKS_WHAT_IS_LATE: u8 = 12;
const REFUSES_WHAT_IS_THERE: u8 = 13;
const SEES_ONLY_THAT_IT_IS_THERE: u8 = 14;
const WAITS_FOR_EVER: u8 = 15;
const LEAVES_ITS_LOCK: u8 = 16;
const IS_THERE_AT_ONCE: u8 = 17;
const KEEPS_WHAT_WAS_TAMPERED_WITH: u8 = 18;
const REFUSES_ITS_OWN: u8 = 19;
const NEVER_SUCCEEDS: u8 = 20;
const IS_GONE_WHILE_CHANGED: u8 = 21;
const TAKES_MORE_MEANWHILE: u8 = 22;
const STOPS_ANOTHER_MEANWHILE: u8 = 23;
const KEEPS_ANOTHER_STOPPED: u8 = 24;
const TELLS_ONCE_AS_NOT_DONE: u8 = 25;
const REMOVES_ELSEWHERE: u8 = 26;
const REFUSES_WHAT_WAS_TAMPERED_WITH: u8 = 27;
/// No defect: it happens at most once.
const SOUND_ONCE: u8 = 28;
const SAYS_DONE_ON_ERROR: u8 = 29;
const LOOKS_ELSEWHERE: u8 = 30;
const READS_ELSEWHERE: u8 = 31;
const IS_TRIED_ALONE: u8 = 32;

/// Of another resource, which takes part as long as this is there.
const SERVED: &str = "/served";

/// A note: a file with a text, and an index in which it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note<const DEFECT: u8> {
    path: String,
    text: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Len {
    len: usize,
}

impl<const DEFECT: u8> Note<DEFECT> {
    fn index(&self) -> String {
        format!("{}.index", self.path)
    }

    fn copy(&self) -> String {
        format!("{}.copy", self.path)
    }

    async fn write(&self, cx: &ActionCx<'_>, path: &str, text: &str) -> Result<(), ActionError> {
        match cx.host()?.write(path, text.as_bytes(), &Ownership::default()).await {
            Err(error @ HostError::AnswerLost { .. })
                if matches!(DEFECT, TELLS_LOST_AS_NOT_DONE | TELLS_ONCE_AS_NOT_DONE) =>
            {
                Err(ActionError::transient(error.to_string()))
            }
            // It asks again and again, and nobody answers a second time.
            Err(HostError::AnswerLost { .. }) if DEFECT == WAITS_FOR_EVER => loop {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            },
            Err(_) if DEFECT == SAYS_DONE_ON_ERROR => Ok(()),
            done => Ok(done?),
        }
    }

    async fn text(&self, cx: &ActionCx<'_>, path: &str) -> Result<Option<String>, ActionError> {
        match cx.host()?.read(path, 1 << 10).await {
            Ok(text) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
            Err(HostError::NotFound { .. }) => Ok(None),
            Err(_) if DEFECT == SAYS_ABSENT_ON_ERROR => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[async_trait]
impl<const DEFECT: u8> Resource for Note<DEFECT> {
    const KIND: &'static str = "note";
    type Output = Len;

    fn traits() -> KindTraits {
        KindTraits { replace_on: &["path"], host: HostNeed::Required, ..KindTraits::default() }
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        let is_late = self.path == crate::resource::LATER && DEFECT != CHECKS_WHAT_IS_LATE;
        if !self.path.starts_with('/') && !is_late || DEFECT == REFUSES_ITS_OWN {
            return Err(InvalidField::new("path", "must be absolute"));
        }
        let class = match DEFECT {
            TELLS_ONCE_AS_NOT_DONE | SOUND_ONCE => CrashClass::AtMostOnce,
            _ => CrashClass::DeterministicName,
        };
        let footprint = Footprint::new(class).owning(Place::path(&self.path));
        Ok(match DEFECT {
            WRITES_ELSEWHERE => footprint,
            TAKES_MORE_MEANWHILE => {
                footprint.owning(Place::path(&self.index())).owning(Place::path(&self.copy()))
            }
            STOPS_ANOTHER_MEANWHILE => {
                footprint.owning(Place::path(&self.index())).writing(Place::path(SERVED))
            }
            KEEPS_ANOTHER_STOPPED => {
                let footprint = footprint.owning(Place::path(&self.index())).writing(Place::path(SERVED));
                footprint.suspending("value/served".parse().unwrap())
            }
            _ => footprint.owning(Place::path(&self.index())),
        })
    }

    async fn observe(&self, cx: &ActionCx<'_>) -> Result<Observation, ActionError> {
        if DEFECT == LOOKS_BY_WRITING {
            self.write(cx, &format!("{}.looked", self.path), "").await?;
        }
        if DEFECT == IS_THERE_AT_ONCE {
            return Ok(Observation::Present(Present::new()));
        }
        if DEFECT == LOOKS_ELSEWHERE {
            cx.host()?.stat(SERVED).await?;
        }
        let text = self.text(cx, &self.path).await?;
        let index = match DEFECT {
            SEES_HALF_AS_WHOLE => text.clone(),
            _ => self.text(cx, &self.index()).await?,
        };
        let mut text = match (text, index) {
            (None, None) => return Ok(Observation::Absent),
            (Some(text), Some(_)) => text,
            // Half of it is there.
            (Some(_), None) | (None, Some(_)) => {
                return Ok(Observation::Present(Present::new().with_field("text", "")));
            }
        };
        if DEFECT == SEES_WHAT_IS_WANTED {
            text.clone_from(&self.text);
        }
        let len = Len { len: text.len() };
        let present = Present::new().with_output(&len);
        Ok(Observation::Present(match DEFECT {
            SEES_ONLY_THAT_IT_IS_THERE => present,
            _ => present.with_field("text", text),
        }))
    }

    async fn create(&self, cx: &ActionCx<'_>) -> Result<Len, ActionError> {
        let host = cx.host()?;
        let before = self.text(cx, &self.path).await?;
        let lock = format!("{}.lock", self.path);
        match DEFECT {
            REFUSES_WHAT_IS_THERE if before.is_some() => {
                return Err(ActionError::permanent("it is there already"));
            }
            REFUSES_WHAT_WAS_TAMPERED_WITH if before.as_deref() == Some("scribbled") => {
                return Err(ActionError::permanent("somebody else was there"));
            }
            LEAVES_ITS_LOCK => {
                host.make_dir(&format!("{}.index", lock), &Ownership::default()).await?;
            }
            NEVER_SUCCEEDS => return Err(ActionError::transient("not today")),
            READS_ELSEWHERE => drop(self.text(cx, SERVED).await?),
            // A second copy, while the first is written.
            TAKES_MORE_MEANWHILE => self.write(cx, &self.copy(), &self.text).await?,
            STOPS_ANOTHER_MEANWHILE | KEEPS_ANOTHER_STOPPED => host.remove(SERVED, Remove::File).await?,
            _ => {}
        }
        let text = match (DEFECT, before) {
            (APPENDS, Some(before)) => before + &self.text,
            (KEEPS_WHAT_WAS_TAMPERED_WITH, Some(before)) => before,
            _ => self.text.clone(),
        };
        self.write(cx, &self.path, &text).await?;
        self.write(cx, &self.index(), "1").await?;
        match DEFECT {
            TAKES_MORE_MEANWHILE => host.remove(&self.copy(), Remove::File).await?,
            STOPS_ANOTHER_MEANWHILE => self.write(cx, SERVED, "").await?,
            _ => {}
        }
        let drift = usize::from(DEFECT == MAKES_UP_ITS_OUTPUT);
        Ok(Len { len: text.len() + drift })
    }

    async fn update(&self, cx: &ActionCx<'_>) -> Result<Len, ActionError> {
        match DEFECT {
            CHANGES_NOTHING => Ok(Len { len: self.text.len() }),
            IS_GONE_WHILE_CHANGED => {
                self.delete(cx).await?;
                self.create(cx).await
            }
            // Only making it is defective.
            APPENDS | REFUSES_WHAT_IS_THERE | LEAVES_ITS_LOCK => {
                let sound = Note::<SOUND> { path: self.path.clone(), text: self.text.clone() };
                sound.create(cx).await
            }
            _ => self.create(cx).await,
        }
    }

    async fn delete(&self, cx: &ActionCx<'_>) -> Result<Removed, ActionError> {
        let host = cx.host()?;
        if DEFECT == FAILS_TO_REMOVE_NOTHING && self.text(cx, &self.path).await?.is_none() {
            return Err(ActionError::permanent("there is nothing to remove"));
        }
        if DEFECT != LEAVES_SOMETHING {
            host.remove(&self.index(), Remove::File).await?;
        }
        host.remove(&self.path, Remove::File).await?;
        if DEFECT == REMOVES_ELSEWHERE {
            host.remove(&self.copy(), Remove::File).await?;
        }
        if DEFECT == KEEPS_ANOTHER_STOPPED {
            self.write(cx, SERVED, "").await?;
        }
        Ok(Removed::Gone)
    }
}

fn host() -> MemoryHost {
    let host = MemoryHost::new("m");
    host.with_files(|files| files.write(SERVED, b"", &Ownership::default())).unwrap();
    host
}

fn trial() -> Trial {
    let host = host();
    let tampered = host.clone();
    alone(host).tampered("somebody writes to it", move || {
        tampered.with_files(|files| files.write("/note", b"scribbled", &Ownership::default())).unwrap();
    })
}

/// A trial that does not say what somebody else does.
fn alone(host: MemoryHost) -> Trial {
    let (measured, watched) = (host.clone(), host.clone());
    let specs = ["one", "another"].map(|text| json!({ "path": "/note", "text": text }));
    Trial::in_memory(host, specs)
        .measuring("copies".parse().unwrap(), move || {
            measured.with_files(|files| i64::from(files.stat("/note.copy").is_ok()))
        })
        .watching("value/served".parse().unwrap(), move || {
            watched.with_files(|files| files.stat(SERVED).is_ok())
        })
}

async fn laws_broken_by<const DEFECT: u8>() -> Vec<String> {
    let of_defect = || if DEFECT == IS_TRIED_ALONE { alone(host()) } else { trial() };
    let broken = check_resource::<Note<DEFECT>>(of_defect).await;
    broken.into_iter().map(|violation| violation.law.to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_sound_kind_breaks_no_law() {
    assert_eq!(check_resource::<Note<SOUND>>(trial).await, []);
    assert_eq!(check_resource::<Note<SOUND_ONCE>>(trial).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_state_that_is_not_tried_is_told_unless_it_is_said_why() {
    let broken = check_resource::<Note<SOUND>>(|| alone(host())).await;
    let [untried] = &broken[..] else { panic!("{broken:?}") };
    assert!(untried.detail.starts_with("not tried: that what somebody else changes"), "{untried}");
    let said = || alone(host()).untampered("another trial of it does");
    assert_eq!(check_resource::<Note<SOUND>>(said).await, []);
    assert!(format!("{:?}", said()).contains("another trial of it does"));
}

#[tokio::test(start_paused = true)]
async fn a_value_keeps_the_contract() {
    let registry = Registry::new();
    let trial = || {
        let specs = [json!({ "input": 1 }), json!({ "input": { "a": [null, "b"] } })];
        let trial = Trial::of_backend(Calls::new(), specs, String::new);
        trial.untampered("it is in the record alone, and a look says so")
    };
    assert_eq!(check_kind(&**registry.kind("value").unwrap(), &trial).await, []);
}

#[tokio::test(start_paused = true)]
async fn each_defect_breaks_the_law_that_is_about_it() {
    let mut missed = Vec::new();
    macro_rules! broken {
        ($($defect:ident => $law:expr),+ $(,)?) => {$(
            let broken = laws_broken_by::<$defect>().await;
            if broken.iter().all(|law| law != $law) {
                missed.push(format!("{}: {broken:?}", stringify!($defect)));
            }
        )+};
    }
    broken! {
        LOOKS_BY_WRITING => "looking changes nothing",
        SEES_WHAT_IS_WANTED => "what is seen is what is there, not what is wanted",
        SAYS_ABSENT_ON_ERROR => "what can not be found out is unknown, neither absent nor changed",
        APPENDS => "what is done twice is as if it was done once",
        CHANGES_NOTHING => "what was made is there, and as the spec says",
        LEAVES_SOMETHING => "what was removed is gone, with all that was made for it",
        FAILS_TO_REMOVE_NOTHING => "what is not there is removed without an error",
        WRITES_ELSEWHERE => "what is written is declared",
        SEES_HALF_AS_WHOLE => "what was cut short is finished by the next try, as if nothing had happened",
        TELLS_LOST_AS_NOT_DONE => "what may have happened is told as such",
        MAKES_UP_ITS_OUTPUT => "outputs are those that a look reads off",
        CHECKS_WHAT_IS_LATE => "what is known only later is left unchecked",
        REFUSES_WHAT_IS_THERE => "what is done twice is as if it was done once",
        SEES_ONLY_THAT_IT_IS_THERE => "what somebody else changed is seen",
        WAITS_FOR_EVER => "every call ends",
        LEAVES_ITS_LOCK => "what was removed is gone, with all that was made for it",
        IS_THERE_AT_ONCE => "what was never made is absent",
        KEEPS_WHAT_WAS_TAMPERED_WITH => "what was made is there, and as the spec says",
        REFUSES_ITS_OWN => "a spec that is right is accepted",
        NEVER_SUCCEEDS => "what can be made or changed is made or changed",
        IS_GONE_WHILE_CHANGED => "what is changed in place stays there",
        TAKES_MORE_MEANWHILE => "what is taken while something is made or changed is stated",
        STOPS_ANOTHER_MEANWHILE => "what is kept from taking part is stated",
        KEEPS_ANOTHER_STOPPED => "what was taken meanwhile is given back",
        TELLS_ONCE_AS_NOT_DONE => "what may have happened is told as such",
        READS_ELSEWHERE => "what is read is declared",
        LOOKS_ELSEWHERE => "what is read is declared",
        REMOVES_ELSEWHERE => "what is written is declared",
        REFUSES_WHAT_WAS_TAMPERED_WITH => "what somebody else changed is brought back",
        SAYS_DONE_ON_ERROR => "what was not done is not told as done",
        IS_TRIED_ALONE => "what somebody else may do is tried, or it is said why not",
    }
    assert_eq!(missed, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_violation_tells_which_call_was_cut() {
    let broken = check_resource::<Note<SEES_HALF_AS_WHOLE>>(trial).await;
    assert_eq!(
        broken[0].to_string(),
        "the law \"what was cut short is finished by the next try, as if nothing had happened\" was broken: the first spec, which was cut off after write /note: there is no more /note.index (644 root root): \"1\""
    );
}
