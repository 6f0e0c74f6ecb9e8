//! What the scheduler programs share: their arguments, files that may be compressed, and the clock.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

use detc_sched::rebalance::Spent;
use flate2::read::MultiGzDecoder;

/// Anything that stops a program: told to its user, who reads the words.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// Runs a program, and tells what stops it.
pub(crate) fn told(run: impl FnOnce() -> Result<(), Failure>) -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Arguments: those in order, and `--name value` pairs.
pub(crate) struct Arguments {
    plain: Vec<String>,
    named: BTreeMap<String, String>,
}

impl Arguments {
    /// The program's own, of which `count` are plain, and the others options with these names; otherwise its usage is the error.
    pub(crate) fn read(usage: &str, count: usize, options: &[&str]) -> Result<Self, Failure> {
        let mut arguments = Self { plain: Vec::new(), named: BTreeMap::new() };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.strip_prefix("--") {
                Some(name) if !options.contains(&name) => {
                    return Err(format!("there is no option --{name}\nusage: {usage}").into());
                }
                Some(name) => {
                    let value =
                        words.next().ok_or_else(|| format!("--{name} needs a value\nusage: {usage}"))?;
                    arguments.named.insert(name.to_owned(), value);
                }
                None => arguments.plain.push(word),
            }
        }
        match arguments.plain.len() == count {
            true => Ok(arguments),
            false => Err(format!("usage: {usage}").into()),
        }
    }

    pub(crate) fn path(&self, index: usize) -> &Path {
        Path::new(&self.plain[index])
    }

    #[allow(dead_code, reason = "not every program has an option with a default")]
    pub(crate) fn option<T: FromStr>(&self, name: &str, default: T) -> Result<T, Failure> {
        match self.named.get(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| format!("--{name} can not be {text:?}").into()),
        }
    }
}

/// The text of a file, which may be compressed with gzip.
pub(crate) fn text(path: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| format!("read {}: {error}", path.display());
    let mut bytes = Vec::new();
    File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).map_err(failed)?;
        bytes = plain;
    }
    String::from_utf8(bytes).map_err(|_| format!("read {}: it is not text", path.display()).into())
}

/// Whole numbers separated by blanks, one after the other.
#[allow(dead_code, reason = "tables are not read as numbers")]
pub(crate) struct Numbers<'a> {
    words: std::str::SplitAsciiWhitespace<'a>,
}

#[allow(dead_code, reason = "tables are not read as numbers")]
impl<'a> Numbers<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { words: text.split_ascii_whitespace() }
    }

    pub(crate) fn next<T: FromStr>(&mut self) -> Result<T, Failure> {
        let word = self.words.next().ok_or("the file ends too early")?;
        word.parse().map_err(|_| format!("{word:?} is not a number that is expected here").into())
    }

    /// The number of a machine, a group or the like.
    pub(crate) fn index(&mut self) -> Result<usize, Failure> {
        let index: u32 = self.next()?;
        match index {
            u32::MAX => Err(format!("{index} is more than there can be").into()),
            _ => Ok(index as usize),
        }
    }

    pub(crate) fn is_at_end(&mut self) -> bool {
        self.words.clone().next().is_none()
    }
}

/// Writes a file line by line.
pub(crate) fn write_lines(path: &Path, lines: impl Iterator<Item = String>) -> Result<(), Failure> {
    let write = || {
        let mut file = BufWriter::new(File::create(path)?);
        for line in lines {
            writeln!(file, "{line}")?;
        }
        file.flush()
    };
    write().map_err(|error| format!("write {}: {error}", path.display()).into())
}

/// A time limit that began when the program did.
#[allow(dead_code, reason = "placing on arrival has no time limit")]
pub(crate) struct TimeLimit {
    begun: Instant,
    limit: Duration,
}

#[allow(dead_code, reason = "placing on arrival has no time limit")]
impl TimeLimit {
    /// `seconds` from `begun`, of which `reserve` is kept for what comes after the search.
    pub(crate) fn new(begun: Instant, seconds: f64, reserve: Duration) -> Result<Self, Failure> {
        let limit = Duration::try_from_secs_f64(seconds)
            .map_err(|error| format!("--seconds can not be {seconds}: {error}"))?;
        Ok(Self { begun, limit: limit.saturating_sub(reserve) })
    }

    pub(crate) fn spent(&self) -> Spent {
        Spent::of(self.begun.elapsed().as_micros() as u64, self.limit.as_micros() as u64)
    }
}
