//! Reads a command's outputs in place of a manager that died.
//!
//! A command whose outputs nobody reads is ended by the first line that it prints (SIGPIPE). So a shell stands by that holds
//! the reading ends, too, and waits on a pipe that it shares with the manager alone. When that is closed, which a kill does
//! as well, it reads what the command prints, to the end, and drops it: the command is not disturbed, and no file grows.
//!
//! The other shape, files for the outputs, has no bound where nobody is left to cut them, least of all for a daemon that a
//! command leaves behind.

use std::io::{self, PipeReader, PipeWriter};

use tokio::process::{Child, Command};

/// Waits on its input; then reads its standard output and error, which are the reading ends. It opens them anew where it
/// can: the manager does not block when it reads, and what both hold does not block either.
const SCRIPT: &str = r#"
read -r nothing
if [ -e /proc/self/fd/1 ]; then
  cat </proc/self/fd/1 >/dev/null &
  exec cat </proc/self/fd/2 >/dev/null
fi
cat <&1 >/dev/null &
exec cat <&2 >/dev/null
"#;

/// A reader that stands by. Dropped, it reads what is still to come.
pub(super) struct StandIn {
    shell: Child,
    _manager_lives: PipeWriter,
}

impl StandIn {
    /// Stands by for whoever reads these outputs. `None`: there is no shell, and the command has to do without.
    pub(super) fn for_reader_of(stdout: &PipeReader, stderr: &PipeReader) -> Option<Self> {
        Self::spawn(stdout, stderr).ok()
    }

    fn spawn(stdout: &PipeReader, stderr: &PipeReader) -> io::Result<Self> {
        let (life, manager_lives) = io::pipe()?;
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "sh"]).env_clear().current_dir("/");
        if let Some(path) = std::env::var_os("PATH") {
            shell.env("PATH", path);
        }
        // In a group of its own, so that no signal for the manager's or the command's reaches it.
        let shell = shell
            .stdin(life)
            .stdout(stdout.try_clone()?)
            .stderr(stderr.try_clone()?)
            .process_group(0)
            .spawn()?;
        Ok(Self { shell, _manager_lives: manager_lives })
    }

    /// There is nothing left to read.
    pub(super) fn dismiss(mut self) {
        let _gone = self.shell.start_kill();
    }
}
