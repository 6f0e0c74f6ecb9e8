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
    use proptest::prelude::*;

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
        let long = |c: &str, lines: usize| (0..lines).map(|n| format!("{c}{n}\n")).collect::<String>();
        assert_eq!(compare(&long("a", 500), &long("b", 501)), None);
        // As many pairs as are compared, and what is alike around them does not count.
        let within = |c: &str| format!("head\n{}tail\ntail\n", long(c, 500));
        let (from, to) = (within("a"), within("b"));
        let lines = compare(&from, &to).unwrap();
        assert_eq!(lines.len(), 1 + 500 + 500 + 2);
    }

    #[test]
    fn a_line_that_is_there_once_more_comes_after_those_that_are_alike() {
        use Line::{New, Same, Skipped};
        assert_eq!(compare("x\nx\n", "x\nx\nx\n").unwrap(), [Skipped(1), Same("x"), New("x")]);
        assert_eq!(compare("x\nx\nx\n", "x\n").unwrap(), [Same("x"), Line::Gone("x"), Line::Gone("x")]);
        assert_eq!(compare("x\n", "x\n").unwrap(), [Skipped(1)]);
    }

    #[test]
    fn between_two_changes_at_most_their_neighbours_are_shown() {
        use Line::{Gone, New, Same, Skipped};
        assert_eq!(
            compare("0\n1\na\n2\nb\n3\n4\nc\n5\n6\n7\n8\nd\n9\n", "0\n1\n2\n3\n4\n5\n6\n7\n8\nD\n9\n")
                .unwrap(),
            [
                Skipped(1),
                Same("1"),
                Gone("a"),
                Same("2"),
                Gone("b"),
                Same("3"),
                Same("4"),
                Gone("c"),
                Same("5"),
                Skipped(2),
                Same("8"),
                Gone("d"),
                New("D"),
                Same("9"),
            ]
        );
    }

    /// How many lines two texts have in common at most, in order, by trying all.
    fn in_common(a: &[&str], b: &[&str]) -> usize {
        let ([first, rest @ ..], [other, others @ ..]) = (a, b) else { return 0 };
        if first == other {
            1 + in_common(rest, others)
        } else {
            in_common(rest, b).max(in_common(a, others))
        }
    }

    proptest! {
        #[test]
        fn what_is_left_and_what_comes_is_the_other_text_by_as_few_lines_as_can_be(
            a in prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 0..7),
            b in prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 0..7),
        ) {
            let edits = edits(&a, &b);
            let side = |with: fn(&Line<'static>) -> bool| -> Vec<&str> {
                let lines = edits.iter().filter(|line| with(line));
                lines.map(|line| match line { Line::Same(text) | Line::Gone(text) | Line::New(text) => *text, Line::Skipped(_) => "" }).collect()
            };
            prop_assert_eq!(side(|line| !matches!(line, Line::New(_))), a.clone());
            prop_assert_eq!(side(|line| !matches!(line, Line::Gone(_))), b.clone());
            let alike = side(|line| matches!(line, Line::Same(_))).len();
            prop_assert_eq!(alike, in_common(&a, &b));

            // And with all that is alike around it.
            let (from, to) = (a.join("\n"), b.join("\n"));
            let lines = compare(&from, &to).unwrap();
            let count = |line: &Line<'_>| match line { Line::Skipped(count) => *count, Line::Same(_) | Line::Gone(_) => 1, Line::New(_) => 0 };
            prop_assert_eq!(lines.iter().map(count).sum::<usize>(), a.len());
        }
    }
}
