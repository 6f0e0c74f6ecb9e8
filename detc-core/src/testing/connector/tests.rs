//! A zoo of connectors: each defect is caught by the law that is about it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, Weak};

use async_trait::async_trait;

use super::*;
use crate::backend::MemoryHost;
use crate::backend::memory::HostFault;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    None,
    ShoutsItsScheme,
    ChangesItsScheme,
    RefusesItsOwn,
    TakesWhatIsWrong,
    RefusesWithoutAWord,
    ForgetsWhatItAccepted,
    ConnectsToNothing,
    WaitsForEver,
    ConnectsOnlyOnce,
    StaysBusyWhenGivenUp,
    SaysAbsentForAway,
}

/// Connects one host in memory.
#[derive(Debug)]
struct ToMemory {
    host: MemoryHost,
    defect: Defect,
    asked: AtomicUsize,
    is_busy: AtomicBool,
    connected: Mutex<Weak<MemoryHost>>,
}

impl ToMemory {
    fn new(defect: Defect) -> Self {
        Self {
            host: MemoryHost::new("m"),
            defect,
            asked: AtomicUsize::new(0),
            is_busy: AtomicBool::new(false),
            connected: Mutex::default(),
        }
    }

    fn unreachable(name: &HostName, what: &str) -> HostError {
        HostError::Unreachable { host: name.to_string(), what: what.to_owned() }
    }
}

#[async_trait]
impl Connector for ToMemory {
    fn scheme(&self) -> &'static str {
        match self.defect {
            Defect::ShoutsItsScheme => "Memory!",
            Defect::ChangesItsScheme if self.asked.fetch_add(1, Ordering::Relaxed) % 3 == 2 => "m",
            _ => "memory",
        }
    }

    fn check(&self, spec: &HostSpec) -> Result<(), String> {
        let nth = self.asked.fetch_add(1, Ordering::Relaxed);
        match self.defect {
            Defect::RefusesItsOwn => Err("not today".to_owned()),
            Defect::ForgetsWhatItAccepted if nth % 5 == 4 => Err("not known".to_owned()),
            Defect::TakesWhatIsWrong => Ok(()),
            Defect::RefusesWithoutAWord if !spec.options.is_empty() => Err(String::new()),
            _ if !spec.options.is_empty() => Err("it has no fields".to_owned()),
            _ => Ok(()),
        }
    }

    async fn connect(&self, name: &HostName, spec: &HostSpec) -> Result<Arc<dyn Host>, HostError> {
        if self.defect == Defect::WaitsForEver {
            std::future::pending::<()>().await;
        }
        if self.is_busy.swap(true, Ordering::Relaxed) && self.defect == Defect::StaysBusyWhenGivenUp {
            return Err(Self::unreachable(name, "somebody else is on the way"));
        }
        tokio::task::yield_now().await;
        self.is_busy.store(false, Ordering::Relaxed);
        if spec.connect.ends_with("away") {
            return Err(match self.defect {
                Defect::SaysAbsentForAway => {
                    HostError::NotFound { host: name.to_string(), path: "/".to_owned() }
                }
                _ => Self::unreachable(name, "nobody is there"),
            });
        }
        let mut connected = self.connected.lock().unwrap();
        if self.defect == Defect::ConnectsOnlyOnce && connected.strong_count() > 0 {
            return Err(Self::unreachable(name, "it is in use"));
        }
        if self.defect == Defect::ConnectsToNothing {
            self.host.fail_all(Some(HostFault::Unreachable));
        }
        let host = Arc::new(self.host.clone());
        *connected = Arc::downgrade(&host);
        Ok(host)
    }
}

fn spec(connect: &str) -> HostSpec {
    HostSpec { connect: connect.to_owned(), ..HostSpec::local() }
}

fn specs() -> Specs {
    let mut wrong = spec("memory");
    wrong.options.insert("port".to_owned(), 22.into());
    Specs::new(spec("memory")).refusing(wrong).unreachable(spec("memory://away"))
}

/// That a connector with `defect` breaks the law that begins with `law`.
#[track_caller]
fn caught(defect: Defect, law: &str) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    let found = runtime.block_on(check_connector(&ToMemory::new(defect), &specs()));
    assert!(found.iter().any(|violation| violation.law.starts_with(law)), "{defect:?}: {found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sound_connector_conforms() {
    assert_eq!(check_connector(&ToMemory::new(Defect::None), &specs()).await, []);
}

#[test]
fn each_defect_of_a_connector_is_caught() {
    caught(Defect::ShoutsItsScheme, "a scheme is one that a URL can have");
    caught(Defect::ChangesItsScheme, "a connector says the same whenever it is asked");
    caught(Defect::RefusesItsOwn, "a spec that is right is accepted");
    caught(Defect::TakesWhatIsWrong, "a spec that is wrong is refused");
    caught(Defect::RefusesWithoutAWord, "a spec that is wrong is refused");
    caught(Defect::ForgetsWhatItAccepted, "a connector says the same whenever it is asked");
    caught(Defect::ConnectsToNothing, "a host that is connected answers");
    caught(Defect::WaitsForEver, "a host that is connected answers");
    caught(Defect::ConnectsOnlyOnce, "a host is connected as often as it is asked for");
    caught(Defect::StaysBusyWhenGivenUp, "a host is connected after a try that was given up");
    caught(Defect::SaysAbsentForAway, "a host that can not be reached is Unreachable");
}
