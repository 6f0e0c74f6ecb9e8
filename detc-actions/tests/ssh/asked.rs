//! Commands that only ask are answered together as they are each by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use detc_core::backend::host::{Command, Output};
use detc_core::backend::{Host, HostError};
use tokio::task::JoinSet;
use tokio::time::error::Elapsed;

use crate::sshd::Sshd;
use crate::support::connect;

/// What each was answered in time, in order; all are run at once.
async fn all(
    host: &Arc<dyn Host>,
    commands: &[Command],
    patience: impl Fn(usize) -> Duration,
) -> Vec<Result<Result<Output, HostError>, Elapsed>> {
    let mut tasks = JoinSet::new();
    for (at, command) in commands.iter().cloned().enumerate() {
        let (host, patience) = (Arc::clone(host), patience(at));
        tasks.spawn(async move { (at, tokio::time::timeout(patience, host.run(&command)).await) });
    }
    let mut answers = tasks.join_all().await;
    answers.sort_by_key(|(at, _)| *at);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

fn sh(script: &str) -> Command {
    Command::new(["sh", "-c", script])
}

/// What is usual, and what is not.
fn commands(sshd: &Sshd) -> Vec<Command> {
    let dir = sshd.path("home").display().to_string();
    let env = BTreeMap::from([("DETC_A".to_owned(), "it's\n$HOME".to_owned())]);
    let mut commands = vec![
        sh("echo out; echo err >&2"),
        sh("printf 'no end'"),
        sh("printf 'a\\0b\\377\\n\\n'; printf '\\0' >&2; exit 125"),
        sh("exit 3"),
        sh("exit 126"),
        sh("exit 143"),
        sh("kill -TERM $$"),
        sh("cat; cat; echo end"),
        sh("yes | head -c 3000").with_output_max(1000),
        Command::new(["pwd"]).with_dir(Some(dir)),
        Command::new(["pwd"]).with_dir(Some("/nowhere".to_owned())),
        Command::new(["no-such-program"]),
        Command::new(["/etc/passwd"]),
        Command::new(["printenv", "DETC_A"]).with_env(env),
        sh("printenv DETC_A || echo unset"),
        sh("set -e; umask 077; cd /; export X=1; exec 3>&1; echo $((1 + 1))"),
        sh("echo \"$__detc_m\"; ! printenv | grep detc-"),
    ];
    commands.extend((0..100).map(|at| Command::new(["echo", &at.to_string()])));
    commands
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_together_is_answered_as_by_itself() {
    let sshd = Sshd::start();
    let host = connect(&sshd.spec()).await.unwrap();
    let commands = commands(&sshd);
    let mut alone = Vec::new();
    for command in &commands {
        alone.push(format!("{:?}", host.run(command).await));
    }
    let before = sshd.log().matches("Starting session").count();
    let asking: Vec<Command> = commands.iter().cloned().map(Command::asking).collect();
    let asked = all(&host, &asking, |_| LONG).await;
    for ((command, alone), asked) in commands.iter().zip(&alone).zip(asked) {
        assert_eq!(&format!("{:?}", asked.unwrap()), alone, "{command:?}");
    }
    let sessions = sshd.log().matches("Starting session").count() - before;
    assert!(sessions < commands.len() / 4, "{sessions} sessions for {} commands", commands.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_hangs_is_ended_at_its_deadline_and_the_others_are_answered() {
    let sshd = Sshd::start();
    let host = connect(&sshd.spec()).await.unwrap();
    let mut commands: Vec<Command> = (0..30).map(|at| sh(&format!("echo {at}")).asking()).collect();
    commands[7] = sh("sleep 600").with_timeout(Duration::from_secs(1)).asking();
    let asked = all(&host, &commands, |_| LONG).await;
    for (at, asked) in asked.into_iter().enumerate() {
        match (at, asked.unwrap()) {
            (7, Err(HostError::TimedOut { after, .. })) => assert_eq!(after, Duration::from_secs(1)),
            (7, other) => panic!("{other:?}"),
            (at, asked) => assert_eq!(asked.unwrap().stdout, format!("{at}\n").into_bytes()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gives_up_takes_nobody_elses_answer_away() {
    let sshd = Sshd::start();
    let host = connect(&sshd.spec()).await.unwrap();
    let commands: Vec<Command> = (0..40).map(|at| sh(&format!("sleep 0.05; echo {at}")).asking()).collect();
    // Every third gives up, some of them while they ask for others as well.
    let asked = all(&host, &commands, |at| if at % 3 == 0 { Duration::from_millis(30) } else { LONG }).await;
    for (at, asked) in asked.into_iter().enumerate() {
        match asked {
            Ok(output) => assert_eq!(output.unwrap().stdout, format!("{at}\n").into_bytes()),
            Err(_) => assert_eq!(at % 3, 0, "{at} was given up"),
        }
    }
}
