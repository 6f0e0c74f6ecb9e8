//! When a run is over, what it did is looked at once more, and what is not so any more is told.

use std::sync::Arc;

use detc_core::backend::MemoryHost;
use detc_core::backend::host::{Command, ExitStatus, Output, Ownership};
use detc_core::backend::memory::{Files, HostFault};
use detc_core::execute::{Limits, Outcome, Tally};
use detc_core::manage::{ApplyReport, Manager, ManagerOptions};
use detc_core::model::{Desired, DesiredResource, HostSpec};
use detc_core::store::memory::MemoryStore;

use super::world::{Line, World, converge};

/// A world in which one line does something to another: `x` comes back when `y` is written, `b` is never written, and takes
/// `a` away, and so does `d`, which is written.
fn world() -> World {
    let append = |command: &Command, files: &mut Files| {
        let before = String::from_utf8(files.read("/ledger").unwrap_or_default().to_vec()).unwrap();
        let mut lines: Vec<&str> = before.lines().collect();
        match command.argv[1].as_str() {
            "y" => lines.extend(["x", "y"]),
            "b" => lines.retain(|line| *line != "a"),
            "d" => {
                lines.retain(|line| *line != "a");
                lines.push("d");
            }
            line => lines.push(line),
        }
        files.write("/ledger", lines.join("\n").as_bytes(), &Ownership::default()).unwrap();
        Output { status: ExitStatus::Code(0), ..Output::default() }
    };
    World::on(MemoryHost::new("m").with_program("append", append))
}

/// A manager that does one thing after the other, in the order of their ids.
async fn manager(world: &World) -> Manager {
    let options = ManagerOptions::default().with_limits(Limits::default().with_global(1));
    Manager::open(Arc::new(MemoryStore::new()), world.registry(), options).await.unwrap()
}

fn lines(texts: &[&str]) -> Desired {
    let host = HostSpec { connect: "memory".to_owned(), ..HostSpec::local() };
    let line = |text: &&str| DesiredResource::new(text, &Line::new(text)).on("m");
    texts.iter().map(line).fold(Desired::new().host("m", host), Desired::with)
}

fn tally(done: usize, failed: usize) -> Tally {
    Tally { done, failed, ..Tally::default() }
}

fn errors(applied: &ApplyReport) -> Vec<&str> {
    applied.report.failures.iter().map(|failure| failure.error.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_looked_at_again_is_told_so_and_not_that_it_did_not_last() {
    let world = world();
    let manager = manager(&world).await;
    let planned = manager.plan(&lines(&["a"])).await.unwrap();
    // Its look, its writing, its second look: the next one is when the run is over.
    world.host.fail_call(3, HostFault::Unreachable);
    let applied = manager.apply(planned).await.unwrap();
    assert_eq!((applied.report.outcome, applied.report.tally), (Outcome::Failed, tally(0, 1)));
    let errors = errors(&applied);
    assert!(errors[0].starts_with("a second look could not confirm it: "), "{errors:?}");
    assert!(errors[0].ends_with("(`line.create`)"), "{errors:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_removed_and_is_there_again_is_told_and_removed_by_the_next_run() {
    let world = world();
    let manager = manager(&world).await;
    assert_eq!(converge(&manager, &lines(&["x"])).await, Outcome::Done);
    let planned = manager.plan(&lines(&["y"])).await.unwrap();
    let applied = manager.apply(planned).await.unwrap();
    assert_eq!((applied.report.outcome, applied.report.tally), (Outcome::Failed, tally(1, 1)));
    assert_eq!(errors(&applied), ["a second look found that it is there again (`line.delete`)"]);
    assert_eq!(world.lines().await, ["x", "y"]);
    assert_eq!(converge(&manager, &lines(&["y"])).await, Outcome::Done);
    assert_eq!(world.lines().await, ["y"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_removed_is_not_looked_for_where_something_else_took_its_place() {
    let world = world();
    let manager = manager(&world).await;
    let line = |text: &str| DesiredResource::new("l", &Line::new(text)).on("m");
    let desired = |text: &str| lines(&[]).with(line(text));
    assert_eq!(converge(&manager, &desired("x")).await, Outcome::Done);
    assert_eq!(converge(&manager, &desired("y")).await, Outcome::Done, "a replacement is no removal");
}

#[tokio::test(start_paused = true)]
async fn what_went_well_is_looked_at_again_also_where_something_else_failed() {
    let world = world();
    let manager = manager(&world).await;
    let planned = manager.plan(&lines(&["a", "b", "c"])).await.unwrap();
    let applied = manager.apply(planned).await.unwrap();
    assert_eq!((applied.report.outcome, applied.report.tally), (Outcome::Failed, tally(1, 2)));
    let errors = errors(&applied);
    assert!(errors[0].starts_with("it says that it is done, and it is not"), "{errors:?}");
    assert!(errors[1].starts_with("a second look found that it did not last"), "{errors:?}");
    assert_eq!(errors.len(), 2, "{errors:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_there_already_and_did_not_last_is_counted_so() {
    let world = world();
    let manager = manager(&world).await;
    let planned = manager.plan(&lines(&["a", "d"])).await.unwrap();
    world.append("a").await;
    let applied = manager.apply(planned).await.unwrap();
    assert_eq!((applied.report.outcome, applied.report.tally), (Outcome::Failed, tally(1, 1)));
    assert!(errors(&applied)[0].starts_with("a second look found that it did not last"), "{applied}");
}
