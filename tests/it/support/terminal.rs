//! A terminal, a real one: `fleet` behind a pseudo-terminal that Python holds, since the standard library here has none.

use std::process::Command;

use serde_json::json;

use super::{Place, Ran, fleet};

/// Runs a program behind a terminal of a hundred columns. For each pair it waits until the screen has shown the first
/// text since the last, and types the second. What the screen has shown goes to its standard output.
pub(crate) const TERMINAL: &str = r#"
import fcntl, json, os, pty, struct, sys, termios
says, argv = json.loads(sys.argv[1]), sys.argv[2:]
pid, screen = pty.fork()
if pid == 0:
    os.environ["TERM"] = os.environ.get("TERM_OF_TEST", "xterm")
    os.execv(argv[0], argv)
fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
shown, told = b"", 0
while True:
    try:
        data = os.read(screen, 65536)
    except OSError:
        break
    if not data:
        break
    shown += data
    while says and (at := shown.find(says[0][0].encode(), told)) >= 0:
        told = at + len(says[0][0].encode())
        os.write(screen, says.pop(0)[1].encode())
sys.stdout.buffer.write(shown)
sys.stdout.flush()
if says:
    sys.exit("it never showed " + says[0][0])
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// `fleet` at a terminal, where somebody types these when they see those.
#[track_caller]
pub(crate) fn at_terminal(place: &Place, says: &[(&str, &str)], args: &[&str]) -> Ran {
    let mut command = Command::new("python3");
    command.current_dir(place.dir()).args(["-c", TERMINAL, &json!(says).to_string()]).arg(fleet()).args(args);
    command.env_remove("NO_COLOR");
    let ran = place.start_as(command, args).wait();
    assert_eq!(ran.err, "", "{}", ran.out);
    ran
}
