use std::io;

use super::*;
use crate::action::Place;
use crate::diff::ChangeKind;

use crate::execute::journal::{JournalError, RunNumber};
use crate::model::{RecordError, TooLarge};

fn id() -> ResourceId {
    "file/f".parse().unwrap()
}

/// One error of every variant of a type: of a new one there is none, and this does not compile.
macro_rules! every {
    ($type:ident { $($variant:ident => $error:expr,)+ }) => {{
        let _all_are_here = |error: &$type| match error {
            $($type::$variant { .. } => (),)+
        };
        let all: Vec<(&str, Failed)> = vec![
            $((concat!(stringify!($type), "::", stringify!($variant)), Failed::from($error)),)+
        ];
        all
    }};
}

fn of_stores() -> Vec<(&'static str, Failed)> {
    let store = || ".detc".to_owned();
    every!(StoreError {
        Compacted => StoreError::Compacted { asked: 1, oldest: 2 },
        LeaseNotFound => StoreError::LeaseNotFound(1),
        LeadLost => StoreError::LeadLost { store: store() },
        Held => StoreError::Held { store: store(), holder: "process 1".to_owned() },
        Full => StoreError::Full { store: store(), source: io::ErrorKind::StorageFull.into() },
        Unavailable => StoreError::Unavailable {
            store: store(),
            what: "opening it failed".to_owned(),
            source: "no".into(),
        },
        Corrupt => StoreError::Corrupt { store: store(), what: "no magic".to_owned() },
        Invalid => StoreError::Invalid("too large".to_owned()),
    })
}

fn of_plans() -> Vec<(&'static str, Failed)> {
    let place = || Place::path("/srv");
    let mut all = every!(PlanError {
        Protected => PlanError::Protected { resource: id(), verb: ChangeKind::Delete, reason: "gone".to_owned() },
        Sweeps => PlanError::Sweeps { resource: id(), place: place(), stays: id() },
        SweepsOwn => PlanError::SweepsOwn { resource: id(), place: place(), dir: "/srv/.detc".to_owned() },
        MaySweep => PlanError::MaySweep { resource: id(), place: place(), makes: id() },
        Loop => PlanError::Loop("a, b".to_owned()),
        TooManyEdges => PlanError::TooManyEdges { resource: id(), waits: 1 << 30 },
        Text => PlanError::Text { resource: id(), problem: "`name` is not defined".to_owned(), hint: None },
        NoOutput => PlanError::NoOutput { resource: id(), from: id(), output: "stdout".parse().unwrap() },
        TooLarge => PlanError::TooLarge { resource: id(), source: TooLarge },
        Beyond => PlanError::Beyond { invariant: "memory".to_owned() },
        Record => PlanError::Record { resource: id(), source: RecordError::Format(9) },
        NoMatch => PlanError::NoMatch("web-*".to_owned()),
    });
    let io =
        |tried| PlanFileError::Io { path: "p".to_owned(), tried, source: io::ErrorKind::NotFound.into() };
    all.extend(every!(PlanFileError {
        Io => io("read"),
        Format => PlanFileError::Format { path: "p".to_owned(), what: "no JSON".to_owned() },
        Altered => PlanFileError::Altered { path: "p".to_owned() },
    }));
    all.push(("PlanFileError::Io, written", io("written").into()));
    all
}

fn of_managers() -> Vec<(&'static str, Failed)> {
    let run = RunNumber(7);
    let stale =
        StaleAction { action: "create:file/f".to_owned(), resource: id(), what: "it is there".to_owned() };
    every!(ManageError {
        Invalid => ManageError::Invalid(InvalidState::new("no").of(&id()).with_hint("do")),
        Plan => ManageError::Plan(PlanError::Record { resource: id(), source: RecordError::Format(9) }),
        Store => ManageError::Store(StoreError::LeaseNotFound(1)),
        Journal => ManageError::Journal(JournalError::NotUnderstood { number: run, what: "its log".to_owned() }),
        Record => ManageError::Record { resource: id().to_string(), source: RecordError::Damaged(None) },
        Stale => ManageError::Stale(vec![stale]),
        Broken => ManageError::Broken { name: "up".to_owned(), story: "both stop".to_owned() },
        Unproven => ManageError::Unproven("up".to_owned()),
        NotKept => ManageError::NotKept(id()),
        Unfinished => ManageError::Unfinished(run),
        Busy => ManageError::Busy,
        Foreign => ManageError::Foreign,
        NotSeen => ManageError::NotSeen,
        ReadOnly => ManageError::ReadOnly,
        NoRun => ManageError::NoRun(run),
        NoRecord => ManageError::NoRecord(id()),
        Managed => ManageError::Managed(id()),
        NoDoubt => ManageError::NoDoubt(id()),
    })
}

#[test]
fn every_error_says_what_to_do_next_and_of_which_resource_it_is() {
    let all = || of_stores().into_iter().chain(of_plans()).chain(of_managers());
    let without: Vec<&str> = all()
        .filter(|(_, failed)| failed.hint.as_deref().is_none_or(str::is_empty))
        .map(|(name, _)| name)
        .collect();
    assert!(without.is_empty(), "without a hint: {without:#?}");
    // Each that tells of the resource names it to programs, too.
    let unnamed =
        all().filter(|(_, failed)| failed.message.contains("file/f") && failed.resource != Some(id()));
    let unnamed: Vec<&str> = unnamed.map(|(name, _)| name).collect();
    assert!(unnamed.is_empty(), "without its resource: {unnamed:#?}");
}

#[test]
fn a_journal_that_can_not_be_written_is_the_stores_error() {
    let full = || StoreError::Full { store: ".detc".to_owned(), source: io::ErrorKind::StorageFull.into() };
    let failed = Failed::from(ManageError::Journal(JournalError::Store(full())));
    assert_eq!((failed.message, failed.hint), {
        let store = Failed::from(full());
        (store.message, store.hint)
    });
}
