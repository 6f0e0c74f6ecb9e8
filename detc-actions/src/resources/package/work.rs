//! Work with a package manager: one command at a time, locks waited for, what was torn mended, the index refreshed once a run.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use detc_core::action::{ActionCx, ActionError};
use detc_core::backend::HostError;
use detc_core::backend::host::{Command, Output};
use detc_core::resource::Removed;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use super::manager::{Installed, Manager, Verdict};
use crate::resources::common::{of_system, tail};
use crate::resources::turn::turn;

/// How long a command may take: what it loads may be large, and the line thin.
const TIMEOUT: Duration = Duration::from_secs(1800);

/// How long a lock that somebody else holds is waited for: longer than most unattended upgrades take.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(300);

/// How long between two tries to get it.
const LOCK_TRY_EVERY: Duration = Duration::from_secs(2);

/// In which run the index of a host was refreshed last, by this process: by store and host.
static REFRESHED: Mutex<BTreeMap<(String, String), String>> = Mutex::new(BTreeMap::new());

/// A manager of a host, at work.
#[derive(Debug)]
pub(super) struct Work<'a> {
    cx: &'a ActionCx<'a>,
    manager: &'static dyn Manager,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl<'a> Work<'a> {
    /// To look only.
    pub(super) fn looking(cx: &'a ActionCx<'a>, manager: &'static dyn Manager) -> Self {
        Self { cx, manager, _turn: None }
    }

    /// To change something, when nobody else of this process does.
    pub(super) async fn begin(
        cx: &'a ActionCx<'a>,
        manager: &'static dyn Manager,
    ) -> Result<Self, ActionError> {
        let turn = turn(&**cx.host()?, "packages").await;
        Ok(Self { cx, manager, _turn: Some(turn) })
    }

    pub(super) async fn look(&self, package: &str) -> Result<Installed, ActionError> {
        let query = self.manager.query(package).asking();
        let answer = self.run(&query).await?;
        self.manager.installed(package, &answer).ok_or_else(|| self.failed(&query, &answer))
    }

    pub(super) async fn install(&self, package: &str, version: Option<&str>) -> Result<(), ActionError> {
        let command = self.manager.install(package, version);
        let mut answer = self.change(&command).await?;
        if self.manager.judge(&answer) == Verdict::NotListed && self.is_refresh_due() {
            let refresh = self.manager.refresh();
            let refreshed = self.change(&refresh).await?;
            if self.manager.judge(&refreshed) != Verdict::Done {
                return Err(self.failed(&refresh, &refreshed));
            }
            self.note_refreshed();
            answer = self.change(&command).await?;
        }
        match self.manager.judge(&answer) {
            Verdict::Done => Ok(()),
            Verdict::NotListed => Err(self.failed(&command, &answer).with_hint(
                "correct its name or `version`, or add where it comes from to the host's sources",
            )),
            Verdict::NeededByOthers | Verdict::Locked | Verdict::Torn(_) | Verdict::Failed => {
                Err(self.failed(&command, &answer))
            }
        }
    }

    pub(super) async fn remove(&self, package: &str) -> Result<Removed, ActionError> {
        let command = self.manager.remove(package);
        let answer = self.change(&command).await?;
        match self.manager.judge(&answer) {
            Verdict::Done => Ok(Removed::Gone),
            Verdict::NeededByOthers => Ok(Removed::Left(format!(
                "the package {package} stays, since others that are installed need it"
            ))),
            Verdict::NotListed | Verdict::Locked | Verdict::Torn(_) | Verdict::Failed => {
                Err(self.failed(&command, &answer))
            }
        }
    }

    /// Runs a command that changes something: again while somebody else is at it, and once more where an earlier one was torn.
    async fn change(&self, command: &Command) -> Result<Output, ActionError> {
        // Half an installation is worse than one that nobody waits for: it goes on, and the next try finds it locked.
        let command = command.clone().with_timeout(TIMEOUT).outliving();
        let began = Instant::now();
        let mut is_mended = false;
        loop {
            let answer = self.run(&command).await?;
            match self.manager.judge(&answer) {
                Verdict::Locked if began.elapsed() < LOCK_WAIT_MAX => {
                    tokio::time::sleep(LOCK_TRY_EVERY).await;
                }
                Verdict::Torn(mend) if !is_mended => {
                    is_mended = true;
                    let mended = self.run(&mend.clone().with_timeout(TIMEOUT).outliving()).await?;
                    // Where that was locked, what comes next is, too, and is waited for.
                    if self.manager.judge(&mended) == Verdict::Failed {
                        return Err(self.failed(&mend, &mended));
                    }
                }
                _ => return Ok(answer),
            }
        }
    }

    /// The store and the host, and the run that this is part of.
    fn run_of(&self) -> ((String, String), String) {
        let (scope, key) = (self.cx.scope(), self.cx.idempotency_key());
        // The key names the store, the run and the action.
        let rest = key.strip_prefix(scope).unwrap_or(key).trim_start_matches('/');
        let run = rest.split('/').next().unwrap_or_default().to_owned();
        ((scope.to_owned(), self.cx.host().map(ToString::to_string).unwrap_or_default()), run)
    }

    fn is_refresh_due(&self) -> bool {
        let (host, run) = self.run_of();
        REFRESHED.lock().unwrap_or_else(PoisonError::into_inner).get(&host) != Some(&run)
    }

    /// Takes note that the index was refreshed: only then, as one that was cut off is of no use.
    fn note_refreshed(&self) {
        let (host, run) = self.run_of();
        REFRESHED.lock().unwrap_or_else(PoisonError::into_inner).insert(host, run);
    }

    async fn run(&self, command: &Command) -> Result<Output, ActionError> {
        match self.cx.host()?.run(&of_system(command.clone())).await {
            Err(HostError::NotFound { host, path }) => {
                let name = self.manager.facts().name;
                let message =
                    format!("{} needs `{name}`, and there is no {path} on {host}", self.cx.resource());
                Err(ActionError::permanent(message).with_hint("correct `manager`"))
            }
            other => Ok(other?),
        }
    }

    fn failed(&self, command: &Command, answer: &Output) -> ActionError {
        const LINES: usize = 8;
        let said = if answer.stderr.is_empty() { &answer.stdout } else { &answer.stderr };
        let what = command.argv.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(" ");
        let message = format!(
            "`{what}` of {} ended with {}:\n{}",
            self.cx.resource(),
            answer.status,
            tail(said, LINES)
        );
        ActionError::permanent(message)
    }
}
