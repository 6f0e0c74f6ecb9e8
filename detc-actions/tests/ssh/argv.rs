//! That an argument vector arrives byte for byte, whatever shell the user logs in with, and whatever `/bin/sh` is.
//!
//! `DETC_SSH_ARGV` sets how many vectors are tried for each shell (100000 is the full run), `DETC_SSH_SEED` repeats one.

use std::collections::BTreeMap;
use std::sync::Arc;

use detc_core::backend::Host;
use detc_core::backend::host::Command;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokio::task::JoinSet;

use crate::sshd::Sshd;
use crate::support::connect;

/// Vectors that are tried in each test run; those of one connection are sent by several at once.
const VECTORS: usize = 400;
const AT_ONCE: usize = 8;

/// How many vectors one command gets, each ended by an argument that none of them has.
const VECTORS_PER_COMMAND: usize = 20;
const END: &str = "\u{1}end of the vector\u{1}";

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

/// Any texts, and with preference those that shells read otherwise.
fn argument() -> impl Strategy<Value = String> {
    let nasty = prop::sample::select(vec![
        "'",
        "\"",
        "\\",
        "$",
        "`",
        "!",
        "*",
        "?",
        "~",
        "#",
        ";",
        "&",
        "|",
        "<",
        ">",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        " ",
        "\t",
        "\n",
        "\r",
        "\u{b}",
        "\u{7f}",
        "\u{1}",
        "\u{88}",
        "\u{201c}",
        "-n",
        "--",
        "=",
        "%s",
        "\\0",
        "\\'",
        "''",
        "$(",
        "${",
        "\n\n",
        "é",
        "\u{1f980}",
    ]);
    let any_but_nul = any::<char>().prop_filter_map("NUL", |c| (c != '\0').then(|| c.to_string()));
    prop::collection::vec(
        prop_oneof![3 => nasty.prop_map(str::to_owned), 2 => any_but_nul, 1 => "[ -~]{1,8}"],
        0..12,
    )
    .prop_map(|parts| parts.concat())
}

/// What `printf '%s\0' ARGUMENTS` prints of these.
fn printed(arguments: &[String]) -> Vec<u8> {
    let mut printed: Vec<u8> =
        arguments.iter().flat_map(|argument| [argument.as_bytes(), b"\0"].concat()).collect();
    if arguments.is_empty() {
        printed.push(0);
    }
    printed
}

/// Sends vectors as the arguments, a variable and the directory of commands, and reads them back.
async fn round_trips(shell: &str, config: &[&str]) {
    let count = number("DETC_SSH_ARGV", VECTORS as u64) as usize;
    let seed = number("DETC_SSH_SEED", 7);
    eprintln!("{shell}: {count} vectors; repeat with DETC_SSH_ARGV={count} DETC_SSH_SEED={seed}");
    let sshd = Sshd::with_config(config);
    let host = connect(&sshd.spec()).await.unwrap();
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let vectors = prop::collection::vec(argument(), 0..6);
    let mut tasks: JoinSet<()> = JoinSet::new();
    for _ in 0..count.div_ceil(VECTORS_PER_COMMAND) {
        let batch: Vec<Vec<String>> =
            (0..VECTORS_PER_COMMAND).map(|_| vectors.new_tree(&mut runner).unwrap().current()).collect();
        let value = argument().new_tree(&mut runner).unwrap().current();
        if tasks.len() == AT_ONCE {
            tasks.join_next().await.unwrap().unwrap();
        }
        tasks.spawn(check(Arc::clone(&host), batch, value));
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

async fn check(host: Arc<dyn Host>, batch: Vec<Vec<String>>, value: String) {
    let mut arguments: Vec<String> = Vec::new();
    for vector in batch {
        arguments.extend(vector);
        arguments.push(END.to_owned());
    }
    let mut argv = vec!["printf".to_owned(), "%s\\0".to_owned()];
    argv.extend(arguments.iter().cloned());
    let command = Command::new(argv);
    let wanted = printed(&arguments);
    for command in [command.clone(), command.asking()] {
        let output = host.run(&command).await.unwrap();
        assert!(output.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&wanted));
        assert_eq!(output.stdout, wanted);
    }
    let env = BTreeMap::from([("DETC_VALUE".to_owned(), value.clone())]);
    let output = host.run(&Command::new(["printenv", "DETC_VALUE"]).with_env(env).asking()).await.unwrap();
    assert_eq!(output.stdout, format!("{value}\n").into_bytes());
}

/// The user's shell is what sshd hands the command line to; `ForceCommand` puts another in its place, or in the place of
/// the host's `/bin/sh`, which reads all else.
macro_rules! through {
    ($($test:ident: $shell:literal, $config:expr;)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            round_trips($shell, $config).await;
        })*
    };
}

through! {
    arguments_arrive_through_the_users_own_shell: "own", &[];
    arguments_arrive_through_a_login_shell_that_is_bash: "bash", &[r#"ForceCommand exec bash -c "$SSH_ORIGINAL_COMMAND""#];
    arguments_arrive_through_a_login_shell_that_is_busybox: "busybox ash", &[r#"ForceCommand exec busybox ash -c "$SSH_ORIGINAL_COMMAND""#];
    arguments_arrive_where_sh_is_dash: "dash as sh", &["ForceCommand exec dash"];
    arguments_arrive_where_sh_is_bash: "bash as sh", &["ForceCommand exec bash --posix"];
    arguments_arrive_where_sh_is_busybox: "busybox ash as sh", &["ForceCommand exec busybox ash"];
}
