//! A folder of a test's own: desired state, store, and everything that is managed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Running, fleet, until};

pub(crate) struct Place {
    dir: TempDir,
    program: &'static Path,
}

/// A `fleet` that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) what: String,
    /// `None`: a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), program: fleet() }
    }

    /// One at exactly this path, which was never there, or what was left of it goes.
    pub(crate) fn at(path: &Path) -> Self {
        let (parent, name) = (path.parent().unwrap(), path.file_name().unwrap());
        if path.exists() {
            fs::remove_dir_all(path).unwrap();
        }
        let dir = tempfile::Builder::new().prefix(name).rand_bytes(0).tempdir_in(parent).unwrap();
        assert_eq!(dir.path(), path);
        Self { dir, program: fleet() }
    }

    /// One in which another program is run, on the same command line.
    pub(crate) fn of(program: &'static Path) -> Self {
        Self::new().running(program)
    }

    /// The same one, in which this program is run from now on.
    pub(crate) fn running(mut self, program: &'static Path) -> Self {
        self.program = program;
        self
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// The path of `name` as a desired state says it.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Desires these resources, in `detc.json`, all on the host `here`.
    pub(crate) fn desire(&self, resources: &[Value]) {
        let here: Vec<Value> = resources
            .iter()
            .map(|resource| {
                let mut resource = resource.clone();
                if resource["kind"] != "value" && resource["host"].is_null() {
                    resource["host"] = "here".into();
                }
                resource
            })
            .collect();
        let all = json!({ "version": 1, "hosts": { "here": { "connect": "local" } }, "resources": here });
        self.write("detc.json", serde_json::to_vec_pretty(&all).unwrap());
    }

    /// The program with these arguments, in this folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.current_dir(self.dir()).args(args).env_remove("NO_COLOR").stdin(Stdio::null());
        command
    }

    /// Starts the program.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        self.start_as(self.command(args), args)
    }

    /// Starts a command made by [`Place::command`] and changed since.
    pub(crate) fn start_as(&self, mut command: Command, args: &[&str]) -> Running {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Running::new(child, format!("fleet {}", args.join(" ")))
    }

    /// Runs the program to its end.
    #[track_caller]
    pub(crate) fn fleet(&self, args: &[&str]) -> Ran {
        self.start(args).wait()
    }

    /// Applies what is desired, which goes well.
    #[track_caller]
    pub(crate) fn apply(&self) -> Ran {
        self.fleet(&["apply", "--yes"]).exits(0)
    }

    /// Ends the processes that work on this folder, and waits for their end. They are known by the folder's name, which
    /// no other process has among its arguments, its variables or its working directory.
    pub(crate) fn end_processes(&self) {
        for pid in self.processes() {
            let _gone = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
        }
        self.wait_for_processes();
    }

    /// Waits until the processes that work on this folder have ended.
    pub(crate) fn wait_for_processes(&self) {
        until("the processes of a test have ended", || self.processes().is_empty());
    }

    /// The processes that work on this folder.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let name = self.dir().as_os_str().as_encoded_bytes();
        let holds = |bytes: &[u8]| bytes.windows(name.len()).any(|window| window == name);
        let is_ours = |proc: &Path| {
            let named = |file| fs::read(proc.join(file)).is_ok_and(|bytes| holds(&bytes));
            let below = fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd.starts_with(self.dir()));
            below || named("cmdline") || named("environ")
        };
        fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())))
            .filter(|(pid, proc)| *pid != std::process::id() && is_ours(proc))
            .map(|(pid, _)| pid)
            .collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end_processes();
        } else {
            for pid in self.processes() {
                let _gone = Command::new("kill").args(["-9", &pid.to_string()]).status();
            }
        }
    }
}

impl Ran {
    /// That it ended with this code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "`{}`\nout: {}\nerr: {}", self.what, self.out, self.err);
        self
    }

    /// That standard error has this in it.
    #[track_caller]
    pub(crate) fn complains(self, of: &str) -> Self {
        assert!(
            self.err.contains(of),
            "`{}` does not say {of:?}\nout: {}\nerr: {}",
            self.what,
            self.out,
            self.err
        );
        self
    }

    /// That standard output has this in it.
    #[track_caller]
    pub(crate) fn shows(self, what: &str) -> Self {
        assert!(
            self.out.contains(what),
            "`{}` does not show {what:?}\nout: {}\nerr: {}",
            self.what,
            self.out,
            self.err
        );
        self
    }

    /// That standard output does not have this in it.
    #[track_caller]
    pub(crate) fn hides(self, what: &str) -> Self {
        assert!(
            !self.out.contains(what),
            "`{}` shows {what:?}\nout: {}\nerr: {}",
            self.what,
            self.out,
            self.err
        );
        self
    }

    /// Standard output as the one JSON object that it is.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("`{}`: {error}\nout: {}\nerr: {}", self.what, self.out, self.err))
    }
}
