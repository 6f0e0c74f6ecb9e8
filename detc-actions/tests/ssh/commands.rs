//! Commands over SSH: what the suite of [`Host`](detc_core::backend::Host) can not see.

use std::path::Path;
use std::time::Duration;

use detc_core::backend::HostError;
use detc_core::backend::host::{Command, ExitStatus};

use crate::sshd::Sshd;
use crate::support::{connect, eventually};

fn sh(script: &str) -> Command {
    Command::new(["sh", "-c", script])
}

/// The process whose number a file has; waits for the file.
async fn pid_in(file: &Path) -> u32 {
    eventually("a process has written its number", async || {
        std::fs::read_to_string(file).ok()?.strip_suffix('\n')?.parse().ok()
    })
    .await
}

async fn is_gone(pid: u32) {
    eventually("the process is gone", async || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // One that nobody has waited for is as good as gone.
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    })
    .await;
}

/// The ways in which a host's `/bin/sh` may be another program.
const SHELLS: [&[&str]; 3] =
    [&["ForceCommand exec dash"], &["ForceCommand exec bash --posix"], &["ForceCommand exec busybox ash"]];

#[tokio::test]
async fn a_signal_is_told_from_a_status() {
    for shell in SHELLS {
        let sshd = Sshd::with_config(shell);
        let host = connect(&sshd.spec()).await.unwrap();
        let status = async |script: &str| host.run(&sh(script)).await.unwrap().status;
        assert_eq!(status("exit 143").await, ExitStatus::Code(143));
        assert_eq!(status("kill -TERM $$").await, ExitStatus::Signal(15));
        assert_eq!(status("kill -KILL $$").await, ExitStatus::Signal(9));
    }
}

/// Shells read their script in pieces of their own choice; what they have read too much of would be missing.
#[tokio::test]
async fn an_input_is_whole_however_long_the_command_before_it_is() {
    for shell in SHELLS {
        let sshd = Sshd::with_config(shell);
        let host = connect(&sshd.spec()).await.unwrap();
        for len in [0, 1000, 20_000] {
            let comment = "#".repeat(len);
            let input = vec![b'x'; 100_000];
            let output = host.run(&sh(&format!("cat {comment}")).with_stdin(input.clone())).await.unwrap();
            assert!(output.stdout == input, "{shell:?}, {len}: {} bytes", output.stdout.len());
        }
    }
}

#[tokio::test]
async fn what_a_start_up_file_prints_is_no_output() {
    let sshd = Sshd::with_config(&[
        r#"ForceCommand echo "welcome; disk is full"; echo oops >&2; exec /bin/sh -c "$SSH_ORIGINAL_COMMAND""#,
    ]);
    let host = connect(&sshd.spec()).await.unwrap();
    let output = host.run(&sh("echo out; echo err >&2")).await.unwrap();
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
}

#[tokio::test]
async fn a_command_that_ran_out_of_time_ends_with_all_that_it_started() {
    for shell in SHELLS {
        let sshd = Sshd::with_config(shell);
        let host = connect(&sshd.spec()).await.unwrap();
        let file = sshd.path("pid");
        let script = format!("sleep 600 & echo $! >{}; wait", file.display());
        let command = sh(&script).with_timeout(Duration::from_millis(300));
        let error = host.run(&command).await.unwrap_err();
        assert!(matches!(error, HostError::TimedOut { .. }), "{error:?}");
        is_gone(pid_in(&file).await).await;
    }
}

#[tokio::test]
async fn a_command_whose_caller_has_gone_is_ended() {
    let sshd = Sshd::start();
    let host = connect(&sshd.spec()).await.unwrap();
    let file = sshd.path("pid");
    let command = sh(&format!("echo $$ >{}; exec sleep 600", file.display()));
    let pid = tokio::select! {
        ended = host.run(&command) => panic!("it ended: {ended:?}"),
        pid = pid_in(&file) => pid,
    };
    is_gone(pid).await;
}

#[tokio::test]
async fn endless_output_is_dropped_and_does_not_hold_up_others() {
    let sshd = Sshd::start();
    let host = connect(&sshd.spec()).await.unwrap();
    let endless = Command::new(["yes"]).with_output_max(1000).with_timeout(Duration::from_secs(3));
    let others = async {
        for _ in 0..20 {
            assert!(host.stat("/").await.unwrap().is_some());
            assert!(host.run(&Command::new(["true"])).await.unwrap().success());
        }
    };
    let (endless, ()) = tokio::join!(host.run(&endless), others);
    assert!(matches!(endless, Err(HostError::TimedOut { .. })), "{endless:?}");
}

#[tokio::test]
async fn what_outlives_its_program_goes_on_when_the_connection_is_lost() {
    for shell in SHELLS {
        let sshd = Sshd::with_config(shell);
        let host = connect(&sshd.spec()).await.unwrap();
        let (pid, done) = (sshd.path("pid"), sshd.path("done"));
        let go = sshd.path("go");
        let script = format!(
            "echo $$ >{}; until [ -e {} ]; do sleep 0.05; done; echo one; echo two >&2; echo three; echo $$ >{}",
            pid.display(),
            go.display(),
            done.display()
        );
        let command = sh(&script).outliving();
        let running = host.run(&command);
        let cut = async {
            let pid = pid_in(&pid).await;
            assert!(sshd.kill_sessions() > 0);
            pid
        };
        let (lost, number) = tokio::join!(running, cut);
        assert!(matches!(lost, Err(HostError::AnswerLost { .. })), "{lost:?}");
        std::fs::write(go, "").unwrap();
        assert_eq!(pid_in(&done).await, number, "{shell:?}");
    }
}

#[tokio::test]
async fn what_a_command_leaves_in_the_background_is_not_waited_for_when_it_outlives_it() {
    let sshd = Sshd::start();
    let host = connect(&sshd.spec()).await.unwrap();
    let file = sshd.path("pid");
    let script = format!("sleep 600 & echo $! >{}; echo said", file.display());
    let output = host.run(&sh(&script).outliving()).await.unwrap();
    assert_eq!(output.stdout, b"said\n");
    let pid = pid_in(&file).await;
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    let killed = host.run(&Command::new(["kill".to_owned(), pid.to_string()])).await.unwrap();
    assert!(killed.success());
}

#[tokio::test]
async fn what_the_shell_can_not_become_is_refused_and_no_status_of_the_command() {
    for shell in SHELLS {
        let sshd = Sshd::with_config(shell);
        let host = connect(&sshd.spec()).await.unwrap();
        // Longer than a system takes as one argument.
        let error = host.run(&Command::new(["/bin/true".to_owned(), "x".repeat(200_000)])).await.unwrap_err();
        let HostError::Refused { what, source, .. } = &error else { panic!("{error:?}") };
        assert_eq!(what, "run /bin/true");
        assert!(source.to_string().contains("too long"), "{shell:?}: {source}");
        let denied = host.run(&Command::new(["/etc/passwd"])).await.unwrap_err();
        assert!(matches!(denied, HostError::Refused { .. }), "{denied:?}");
    }
}

#[tokio::test]
async fn a_variable_that_a_shell_would_change_is_refused() {
    let sshd = Sshd::start();
    let host = connect(&sshd.spec()).await.unwrap();
    let command = Command::new(["true"]).with_env([("a.b".to_owned(), String::new())].into());
    assert!(matches!(host.run(&command).await, Err(HostError::Invalid { .. })));
}

#[tokio::test]
async fn more_commands_than_a_server_has_sessions_wait_for_their_turn() {
    let sshd = Sshd::with_config(&["MaxSessions 10"]);
    let host = connect(&sshd.spec()).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..40 {
        let host = std::sync::Arc::clone(&host);
        tasks.spawn(async move {
            let output = host.run(&Command::new(["printf".to_owned(), index.to_string()])).await.unwrap();
            assert_eq!(output.stdout, index.to_string().into_bytes());
            assert!(host.stat("/").await.unwrap().is_some());
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}
