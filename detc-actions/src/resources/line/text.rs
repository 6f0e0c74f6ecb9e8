//! Changes of a text that leave all else of it as it is, to the byte. No host, no file: bytes in, bytes out.
//!
//! A text is its lines, each with its ending. What is put in ends as the first line does; where the last line has no ending,
//! what comes after it has none either, so that taking it out again gives back the same bytes.

use std::fmt;

use regex_lite::Regex;

/// What is kept in a text.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// One line.
    Line {
        /// How it reads.
        line: String,
        /// What finds the line that it takes the place of.
        pattern: Option<Regex>,
        /// How it read when it was last applied.
        before: Option<String>,
    },
    /// Whatever is between two lines, with these.
    Block { begin: String, end: String, text: String },
}

/// Where a new part goes.
#[derive(Clone, Debug)]
pub(super) enum Spot {
    End,
    /// After the last line that is like this.
    After(Regex),
    /// Before the first line that is like this.
    Before(Regex),
}

/// Why it can not be told what is there, or done what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// More than one line could be it: their numbers, from 1.
    Several { what: &'static str, lines: Vec<usize> },
    /// A block begins, and does not end, or ends and did not begin.
    Unpaired { line: usize, missing: String },
    /// No line is like the one that it was to go beside.
    NoSpot { pattern: String },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Several { what, lines } => {
                let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
                write!(f, "{what} is found in lines {}: it must be in one at most", lines.join(", "))
            }
            Self::Unpaired { line, missing } => write!(f, "line {line} has no `{missing}` to go with it"),
            Self::NoSpot { pattern } => write!(f, "no line is like `{pattern}`, beside which it is to go"),
        }
    }
}

/// The lines of a text, each with its ending.
struct Lines(Vec<Vec<u8>>);

impl Lines {
    fn of(text: &[u8]) -> Self {
        Self(text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect())
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.concat()
    }

    fn ending(&self) -> &'static [u8] {
        match self.0.first() {
            Some(first) if first.ends_with(b"\r\n") => b"\r\n",
            _ => b"\n",
        }
    }

    /// The numbers, from 0, of the lines that are so; one that is no text is never so.
    fn find(&self, is_so: impl Fn(&str) -> bool) -> Vec<usize> {
        let is_so = |line: &[u8]| std::str::from_utf8(bare(line)).is_ok_and(&is_so);
        (0..self.0.len()).filter(|at| is_so(&self.0[*at])).collect()
    }

    fn text(&self, at: usize) -> String {
        String::from_utf8_lossy(bare(&self.0[at])).into_owned()
    }

    fn insert(&mut self, at: usize, new: &[&str]) {
        let ending = self.ending();
        let unended = at > 0 && at == self.0.len() && !self.0[at - 1].ends_with(b"\n");
        if unended {
            self.0[at - 1].extend_from_slice(ending);
        }
        let new = new.iter().map(|line| [line.as_bytes(), ending].concat());
        self.0.splice(at..at, new);
        if unended && let Some(last) = self.0.last_mut() {
            last.truncate(last.len() - ending.len());
        }
    }

    fn remove(&mut self, from: usize, to: usize) {
        let last_has_none = to == self.0.len() && self.0.last().is_some_and(|line| !line.ends_with(b"\n"));
        self.0.drain(from..to);
        if last_has_none && let Some(last) = self.0.last_mut() {
            let len = bare(last).len();
            last.truncate(len);
        }
    }

    fn replace(&mut self, at: usize, new: &str) {
        let line = &mut self.0[at];
        let ending = line.split_off(bare(line).len());
        *line = [new.as_bytes(), &ending].concat();
    }
}

/// A line without its ending.
fn bare(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

impl Spot {
    fn of(&self, lines: &Lines) -> Result<usize, Problem> {
        let (found, pattern) = match self {
            Self::End => return Ok(lines.0.len()),
            Self::After(like) => (lines.find(|line| like.is_match(line)).pop().map(|at| at + 1), like),
            Self::Before(like) => (lines.find(|line| like.is_match(line)).first().copied(), like),
        };
        found.ok_or_else(|| Problem::NoSpot { pattern: pattern.to_string() })
    }
}

impl Part {
    /// How it reads in `text`; `None` when it is not in there.
    pub(super) fn look(&self, text: &[u8]) -> Result<Option<String>, Problem> {
        let lines = Lines::of(text);
        match self {
            Self::Line { line, .. } => {
                let found = self.find_line(&lines)?;
                // As it was applied last stays to be changed, also where it reads as it should somewhere else.
                let first = found.iter().find(|at| lines.text(**at) != *line).or_else(|| found.first());
                Ok(first.map(|at| lines.text(*at)))
            }
            Self::Block { begin, end, text } => Ok(find_block(&lines, begin, end)?.map(|(from, to)| {
                let inner: Vec<String> = (from + 1..to - 1).map(|at| lines.text(at)).collect();
                let is_same = inner.iter().map(String::as_str).eq(block_lines(text));
                if is_same { text.clone() } else { inner.join("\n") }
            })),
        }
    }

    /// The text with it as it should read.
    pub(super) fn put(&self, text: &[u8], spot: &Spot) -> Result<Vec<u8>, Problem> {
        let mut lines = Lines::of(text);
        match self {
            Self::Line { line, .. } => {
                let found = self.find_line(&lines)?;
                let is_there = found.iter().any(|at| lines.text(*at) == *line);
                let mut others: Vec<usize> =
                    found.into_iter().filter(|at| lines.text(*at) != *line).collect();
                if !is_there {
                    match others.is_empty() {
                        true => lines.insert(spot.of(&lines)?, &[line]),
                        false => lines.replace(others.remove(0), line),
                    }
                }
                others.into_iter().rev().for_each(|at| lines.remove(at, at + 1));
            }
            Self::Block { begin, end, text } => {
                let new: Vec<&str> =
                    std::iter::once(begin.as_str()).chain(block_lines(text)).chain([end.as_str()]).collect();
                match find_block(&lines, begin, end)? {
                    // The two lines stay as they are, and with them their endings.
                    Some((from, to)) => {
                        lines.0.drain(from + 1..to - 1);
                        lines.insert(from + 1, &new[1..new.len() - 1]);
                    }
                    None => lines.insert(spot.of(&lines)?, &new),
                }
            }
        }
        Ok(lines.bytes())
    }

    /// The text without it.
    pub(super) fn take(&self, text: &[u8]) -> Result<Vec<u8>, Problem> {
        let mut lines = Lines::of(text);
        match self {
            Self::Line { .. } => {
                self.find_line(&lines)?.into_iter().rev().for_each(|at| lines.remove(at, at + 1));
            }
            Self::Block { begin, end, .. } => {
                if let Some((from, to)) = find_block(&lines, begin, end)? {
                    lines.remove(from, to);
                }
            }
        }
        Ok(lines.bytes())
    }

    /// The lines that are this one: by the pattern one at most, otherwise by how it reads or did.
    fn find_line(&self, lines: &Lines) -> Result<Vec<usize>, Problem> {
        let Self::Line { line, pattern, before } = self else { return Ok(Vec::new()) };
        if let Some(pattern) = pattern {
            let found = lines.find(|text| pattern.is_match(text));
            match found.len() {
                0 => {}
                1 => return Ok(found),
                _ => return Err(several("what its `match` says", &found)),
            }
        }
        Ok(lines.find(|text| text == line || before.as_deref() == Some(text)))
    }
}

fn block_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').map(|line| line.strip_suffix('\n').unwrap_or(line))
}

/// From its first line to the one behind its last.
fn find_block(lines: &Lines, begin: &str, end: &str) -> Result<Option<(usize, usize)>, Problem> {
    let (begins, ends) = (lines.find(|line| line == begin), lines.find(|line| line == end));
    match (begins[..].as_ref(), ends[..].as_ref()) {
        ([], []) => Ok(None),
        ([from], [to]) if from < to => Ok(Some((*from, to + 1))),
        ([_, _, ..], _) => Err(several("the first line of its block", &begins)),
        (_, [_, _, ..]) => Err(several("the last line of its block", &ends)),
        ([from], _) => Err(Problem::Unpaired { line: from + 1, missing: end.to_owned() }),
        ([], [to]) => Err(Problem::Unpaired { line: to + 1, missing: begin.to_owned() }),
    }
}

fn several(what: &'static str, found: &[usize]) -> Problem {
    Problem::Several { what, lines: found.iter().map(|at| at + 1).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(line: &str, pattern: Option<&str>, before: Option<&str>) -> Part {
        let pattern = pattern.map(|it| Regex::new(it).unwrap());
        Part::Line { line: line.into(), pattern, before: before.map(Into::into) }
    }

    fn block(text: &str) -> Part {
        Part::Block { begin: "# BEGIN x".into(), end: "# END x".into(), text: text.into() }
    }

    #[test]
    fn what_was_put_in_is_taken_out_to_the_byte_whatever_the_rest_is() {
        let parts = [line("new", None, None), block(""), block("a\nb"), block("a\n\nb\n")];
        let texts: [&[u8]; 9] =
            [b"", b"a", b"a\n", b"\n", b"a\r\nb", b"a\r\nb\r\n", b"\xff\xfe\n\0", b"a\n\n\n", b"# x\nb\nb"];
        let like = |pattern| Regex::new(pattern).unwrap();
        for part in &parts {
            for text in texts {
                let mut spots = vec![Spot::End];
                if text.starts_with(b"a") {
                    spots.extend([Spot::After(like("^a$")), Spot::Before(like("^a$"))]);
                }
                for spot in spots {
                    let with = part.put(text, &spot).unwrap();
                    assert_eq!(part.put(&with, &spot).unwrap(), with, "twice is once: {part:?} {spot:?}");
                    assert!(part.look(&with).unwrap().is_some(), "{part:?} {spot:?} {with:?}");
                    let without = part.take(&with).unwrap();
                    assert_eq!(without, text, "{part:?} {spot:?} {:?}", String::from_utf8_lossy(&with));
                }
            }
        }
    }

    #[test]
    fn a_line_takes_the_place_of_the_one_that_its_pattern_finds() {
        let part = line("port = 2", Some("^port ="), None);
        let put = |text: &[u8]| part.put(text, &Spot::End).map(|it| String::from_utf8(it).unwrap());
        assert_eq!(put(b"a\r\nport = 1\r\nb").unwrap(), "a\r\nport = 2\r\nb");
        assert_eq!(put(b"port = 1").unwrap(), "port = 2");
        assert_eq!(put(b"a\n").unwrap(), "a\nport = 2\n");
        let error = put(b"port = 1\nx\nport = 3\n").unwrap_err().to_string();
        assert_eq!(error, "what its `match` says is found in lines 1, 3: it must be in one at most");
        assert_eq!(part.look(b"port = 1\n"), Ok(Some("port = 1".to_owned())));
    }

    #[test]
    fn a_line_that_now_reads_otherwise_leaves_nothing_of_how_it_read() {
        let part = line("new", None, Some("old"));
        for (text, wanted) in [("old\nx\n", "new\nx\n"), ("new\nold\nold\nx", "new\nx"), ("x", "x\nnew")] {
            let put = part.put(text.as_bytes(), &Spot::End).unwrap();
            assert_eq!(String::from_utf8(put).unwrap(), wanted);
        }
        assert_eq!(part.look(b"new\nold\n"), Ok(Some("old".to_owned())), "it is not done yet");
    }

    #[test]
    fn a_block_is_replaced_within_its_lines_and_a_torn_one_is_a_problem() {
        let text = b"a\n# BEGIN x\nold\n# END x\nb\n";
        let put = String::from_utf8(block("new\n").put(text, &Spot::End).unwrap()).unwrap();
        assert_eq!(put, "a\n# BEGIN x\nnew\n# END x\nb\n");
        assert_eq!(block("new\n").look(put.as_bytes()), Ok(Some("new\n".to_owned())));
        assert_eq!(block("new\n").look(text), Ok(Some("old".to_owned())));
        for (torn, why) in [
            ("# BEGIN x\nold\n", "line 1 has no `# END x` to go with it"),
            ("old\n# END x\n", "line 2 has no `# BEGIN x` to go with it"),
            ("# END x\n# BEGIN x\n", "line 2 has no `# END x` to go with it"),
        ] {
            assert_eq!(block("").take(torn.as_bytes()).unwrap_err().to_string(), why);
        }
        assert!(block("").look(b"# BEGIN x\n# BEGIN x\n# END x\n").is_err());
    }

    #[test]
    fn where_there_is_no_such_line_to_go_beside_it_says_so() {
        let spot = Spot::After(Regex::new("^\\[x]").unwrap());
        let error = line("new", None, None).put(b"a\n", &spot).unwrap_err();
        assert_eq!(error.to_string(), "no line is like `^\\[x]`, beside which it is to go");
    }
}
