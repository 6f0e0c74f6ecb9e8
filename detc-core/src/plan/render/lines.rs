//! Texts of several lines, line by line: what goes, what comes, and a line around it.

/// One line of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// The same in both.
    Same(&'a str),
    /// Only before.
    Gone(&'a str),
    /// Only after.
    New(&'a str),
    /// This many lines are left out.
    Skipped(usize),
}

/// Most pairs of lines that are compared: longest common subsequence takes time and space in their number.
const PAIRS_MAX: usize = 250_000;

/// How many unchanged lines are kept around each change.
const CONTEXT: usize = 1;

/// How `from` becomes `to`; `None` when the parts that differ are too long to be compared line by line.
pub(super) fn compare<'a>(from: &'a str, to: &'a str) -> Option<Vec<Line<'a>>> {
    let (a, b): (Vec<&str>, Vec<&str>) = (from.lines().collect(), to.lines().collect());
    let head = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (middle_a, middle_b) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    if middle_a.len() * middle_b.len() > PAIRS_MAX {
        return None;
    }
    let mut lines: Vec<Line<'a>> = a[..head].iter().map(|line| Line::Same(line)).collect();
    lines.extend(edits(middle_a, middle_b));
    lines.extend(a[a.len() - tail..].iter().map(|line| Line::Same(line)));
    Some(fold(&lines))
}

/// The edits along a longest common subsequence, what goes before what comes.
fn edits<'a>(a: &[&'a str], b: &[&'a str]) -> Vec<Line<'a>> {
    let width = b.len() + 1;
    let mut longest = vec![0_u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i * width + j] = if a[i] == b[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            lines.push(Line::Same(a[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < a.len() && (j == b.len() || longest[(i + 1) * width + j] >= longest[i * width + j + 1])
        {
            lines.push(Line::Gone(a[i]));
            i += 1;
        } else {
            lines.push(Line::New(b[j]));
            j += 1;
        }
    }
    lines
}

/// Leaves out unchanged lines that are not next to a change.
fn fold<'a>(lines: &[Line<'a>]) -> Vec<Line<'a>> {
    let near = |at: usize| {
        let (start, end) = (at.saturating_sub(CONTEXT), (at + CONTEXT + 1).min(lines.len()));
        lines[start..end].iter().any(|line| !matches!(line, Line::Same(_)))
    };
    let mut folded: Vec<Line<'a>> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if near(at) {
            folded.push(*line);
        } else if let Some(Line::Skipped(count)) = folded.last_mut() {
            *count += 1;
        } else {
            folded.push(Line::Skipped(1));
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_line_stands_between_its_neighbours() {
        let lines = compare("a\nb\nc\nd\ne\n", "a\nb\nC\nd\ne\n").unwrap();
        assert_eq!(
            lines,
            [
                Line::Skipped(1),
                Line::Same("b"),
                Line::Gone("c"),
                Line::New("C"),
                Line::Same("d"),
                Line::Skipped(1)
            ]
        );
    }

    #[test]
    fn texts_without_anything_in_common_are_all_gone_and_all_new() {
        assert_eq!(compare("a\n", "b\nc").unwrap(), [Line::Gone("a"), Line::New("b"), Line::New("c")]);
    }

    #[test]
    fn very_long_differences_are_not_compared() {
        let long = |c: &str| (0..600).map(|n| format!("{c}{n}\n")).collect::<String>();
        assert_eq!(compare(&long("a"), &long("b")), None);
    }
}
