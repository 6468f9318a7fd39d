//! Pure: patterns of tags → the tags that are followed.

use std::cmp::Ordering;

/// Tags of one base that are followed, at most.
const MOST_TAGS: usize = 32;

/// The tags to follow, and what is to be said of the choice.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) tags: Vec<String>,
    /// Patterns that lead to nothing.
    pub(super) problems: Vec<String>,
    /// What is left out on purpose.
    pub(super) notes: Vec<String>,
}

impl Chosen {
    /// These tags, as people wrote them.
    pub(super) fn exactly(tags: Vec<String>) -> Self {
        Self {
            tags,
            ..Self::default()
        }
    }
}

/// The tags that are written out, and of each pattern the newest of the repository's tags, as long as there is room.
/// `listed` is every tag of the repository, or why it is not known.
pub(super) fn choose(
    exact: Vec<String>,
    patterns: &[String],
    listed: Result<Vec<String>, String>,
) -> Chosen {
    let mut chosen = Chosen::exactly(exact);
    let all = match listed {
        Ok(all) => all,
        Err(problem) => {
            let patterns = patterns.join(", ");
            chosen.problems.push(format!("tags {patterns}: {problem}"));
            return chosen;
        }
    };
    let mut open: Vec<Vec<String>> = Vec::new();
    for pattern in patterns {
        let matching = newest_first(&all, pattern);
        if matching.is_empty() {
            chosen.problems.push(format!("no tag matches {pattern}"));
        }
        open.push(matching);
    }
    // In turns, so that the first pattern does not take all the room; no tag twice.
    let mut turns = open
        .iter()
        .map(|matching| matching.iter())
        .collect::<Vec<_>>();
    let mut is_open = true;
    while is_open && chosen.tags.len() < MOST_TAGS {
        is_open = false;
        for turn in &mut turns {
            if let Some(tag) = turn.next() {
                is_open = true;
                if !chosen.tags.contains(tag) && chosen.tags.len() < MOST_TAGS {
                    chosen.tags.push(tag.clone());
                }
            }
        }
    }
    for (pattern, matching) in patterns.iter().zip(&open) {
        let left = matching.iter().filter(|tag| !chosen.tags.contains(tag));
        let left = left.count();
        if left > 0 {
            let note = format!("{left} older tags of {pattern} are not followed");
            chosen.notes.push(note);
        }
    }
    chosen
}

/// Whether a tag is written with `*` (any characters) or `?` (one character).
pub(super) fn is_pattern(tag: &str) -> bool {
    tag.contains(['*', '?'])
}

/// The tags that match. Numbers in tags are compared as numbers.
fn newest_first(tags: &[String], pattern: &str) -> Vec<String> {
    let pattern = wildmatch::WildMatch::new(pattern);
    let matching = tags.iter().filter(|tag| pattern.matches(tag));
    let mut matching: Vec<_> = matching.cloned().collect();
    matching.sort_by(|a, b| natural(b, a));
    matching.dedup();
    matching
}

/// `9.10` is after `9.9`.
fn natural(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one, other);
    loop {
        let (a, b) = (run(one), run(other));
        let order = match (number(a), number(b)) {
            (Some(a), Some(b)) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
            _ => a.cmp(b),
        };
        if order != Ordering::Equal || a.is_empty() {
            return order;
        }
        one = one.strip_prefix(a).unwrap_or_default();
        other = other.strip_prefix(b).unwrap_or_default();
    }
}

/// The digits at the start, or what comes before the first digit.
fn run(text: &str) -> &str {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digits);
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

/// Digits without leading zeros.
fn number(run: &str) -> Option<&str> {
    let digits = run.starts_with(|c: char| c.is_ascii_digit());
    digits.then(|| run.trim_start_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, expected: &[&str]) {
        let tags = [
            "9.9",
            "9.10",
            "9.10-1214",
            "9.10-214",
            "9",
            "10.0",
            "latest",
            "9.10-1214-source",
        ];
        let tags: Vec<String> = tags.map(str::to_owned).into();
        assert_eq!(newest_first(&tags, pattern), expected);
    }

    #[test]
    fn patterns_take_the_newest() {
        let nines = ["9.10-1214-source", "9.10-1214", "9.10-214", "9.10", "9.9"];
        check("9.*", &nines);
        check("9.?", &["9.9"]);
        check("9.??", &["9.10"]);
        check("8.*", &[]);
    }

    #[test]
    fn patterns_share_the_room_and_no_tag_is_followed_twice() {
        let all = (0..40).flat_map(|number| [format!("17.{number}"), format!("21.{number}")]);
        let all: Vec<_> = all.collect();
        let patterns = ["17.*".to_owned(), "21.*".to_owned(), "21.3?".to_owned()];
        let chosen = choose(vec!["21.39".to_owned()], &patterns, Ok(all));
        assert_eq!(chosen.tags.len(), MOST_TAGS);
        let of = |start: &str| {
            chosen
                .tags
                .iter()
                .filter(|tag| tag.starts_with(start))
                .count()
        };
        assert!(of("17.") >= 10 && of("21.") >= 10, "{:?}", chosen.tags);
        let mut unique = chosen.tags.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), chosen.tags.len());
        assert_eq!(chosen.notes.len(), 2);
    }

    #[test]
    fn what_is_written_out_goes_first_and_what_is_left_out_is_told() {
        let all: Vec<_> = (0..40).map(|number| format!("1.{number}")).collect();
        let patterns = ["1.*".to_owned(), "2.*".to_owned()];
        let chosen = choose(vec!["latest".to_owned()], &patterns, Ok(all));
        assert_eq!(chosen.tags.len(), MOST_TAGS);
        assert_eq!(chosen.tags.first().map(String::as_str), Some("latest"));
        assert_eq!(chosen.notes, ["9 older tags of 1.* are not followed"]);
        assert_eq!(chosen.problems, ["no tag matches 2.*"]);
        let refused = choose(Vec::new(), &patterns, Err("no answer".to_owned()));
        assert_eq!(refused.problems, ["tags 1.*, 2.*: no answer"]);
    }

    #[test]
    fn numbers_are_compared_as_numbers_however_long() {
        let long = "9".repeat(50);
        assert_eq!(natural(&long, "10"), Ordering::Greater);
        assert_eq!(natural("1.09", "1.9"), Ordering::Equal);
        assert_eq!(natural("a", "1"), Ordering::Greater);
        assert_eq!(natural("", ""), Ordering::Equal);
    }
}
