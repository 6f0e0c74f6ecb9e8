//! What systemd says of a unit: text in, states out.

use std::collections::BTreeMap;

/// A unit, as systemd sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    load: String,
    /// `active`, `inactive`, `failed` and the like.
    pub(super) active: String,
    file: String,
    /// Whether its file has changed since systemd read it.
    pub(super) is_outdated: bool,
}

impl Unit {
    /// What is asked for.
    pub(super) const PROPERTIES: &'static str = "LoadState,ActiveState,UnitFileState,NeedDaemonReload";

    /// Reads it; `None` when it is not all there.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut values: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let mut value = |name: &str| values.remove(name).map(str::to_owned);
        Some(Self {
            load: value("LoadState")?,
            active: value("ActiveState")?,
            file: value("UnitFileState")?,
            is_outdated: value("NeedDaemonReload")? == "yes",
        })
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.load != "not-found"
    }

    /// Whether it runs, or is on its way there.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.active.as_str(), "active" | "reloading" | "activating")
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.file == "enabled"
    }
}
