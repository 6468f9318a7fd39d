//! Versions and dates: one type each, one order each.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A kernel release, compared as glibc does: by up to three dot-separated numbers.
///
/// Vendors backport, so only facts that user space itself compares by number may be compared so.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KernelVersion {
    numbers: [u32; 3],
    release: String,
}

impl KernelVersion {
    /// The release as `uname -r` prints it.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// Major and minor number, for people and labels.
    pub fn series(&self) -> String {
        let [major, minor, _] = self.numbers;
        format!("{major}.{minor}")
    }

    /// Major and minor number as one (5.14 is 51400), so that labels can be compared with `Gt` and `Lt`. Patches do not
    /// count: vendors' numbers there mean nothing.
    pub fn code(&self) -> u32 {
        let [major, minor, _] = self.numbers;
        major.min(9_999) * 10_000 + minor.min(99) * 100
    }

    /// The first three numbers as a version.
    pub fn dotted(&self) -> DottedVersion {
        DottedVersion(self.numbers.iter().copied().map(u64::from).collect())
    }

    /// The RHEL release that the kernel was built for: `.el9_4.` is `9.4`, `.el7.` is `7`.
    pub fn enterprise_linux(&self) -> Option<DottedVersion> {
        let tail = self.release.split_once(".el")?.1;
        let mark = tail.split('.').next()?;
        mark.replace('_', ".").parse().ok()
    }
}

impl FromStr for KernelVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut numbers = [0; 3];
        let mut found = 0;
        for (slot, part) in numbers.iter_mut().zip(text.trim().split('.')) {
            let digits: &str = part
                .split_once(|c: char| !c.is_ascii_digit())
                .map_or(part, |(digits, _)| digits);
            let Ok(number) = digits.parse() else { break };
            *slot = number;
            found += 1;
            if digits.len() < part.len() {
                break;
            }
        }
        (found >= 2)
            .then(|| Self {
                numbers,
                release: text.trim().to_owned(),
            })
            .ok_or_else(|| VersionError(text.to_owned()))
    }
}

impl Ord for KernelVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| self.release.cmp(&other.release))
    }
}

impl PartialOrd for KernelVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl KernelVersion {
    /// Whether the first three numbers are smaller than those of `other`: what ld.so compares.
    pub fn older_than(&self, other: &Self) -> bool {
        self.numbers < other.numbers
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.release)
    }
}

/// A version of numbers and dots, for example of a distribution or of glibc. A missing number counts as zero.
#[derive(Debug, Clone, Eq)]
pub struct DottedVersion(Vec<u64>);

impl DottedVersion {
    /// The first number.
    pub fn major(&self) -> u64 {
        self.0.first().copied().unwrap_or_default()
    }

    /// Whether the numbers of `prefix` are the first of this version: `9.4` starts with `9`.
    pub fn starts_with(&self, prefix: &Self) -> bool {
        self.0.starts_with(&prefix.0)
    }

    /// The version of these numbers, if there are any.
    pub(crate) fn from_numbers(numbers: impl Iterator<Item = u64>) -> Option<Self> {
        let numbers: Vec<_> = numbers.collect();
        (!numbers.is_empty()).then_some(Self(numbers))
    }

    /// Compares with the numbers of another version, without building it: rules compare with what they know by heart.
    fn compare(&self, other: impl Iterator<Item = u64>) -> Ordering {
        let mut own = self.0.iter().copied();
        for number in other {
            match own.next().unwrap_or_default().cmp(&number) {
                Ordering::Equal => {}
                order => return order,
            }
        }
        // Zeros at the end do not count.
        match own.any(|number| number > 0) {
            true => Ordering::Greater,
            false => Ordering::Equal,
        }
    }

    /// Whether this is `first` or newer. Anything in `first` that is no number counts as zero.
    pub fn is_at_least(&self, first: &str) -> bool {
        let numbers = first
            .split('.')
            .map(|part| part.parse().unwrap_or_default());
        self.compare(numbers) != Ordering::Less
    }

    /// Major and minor number: the branch that a fix is carried back to.
    pub fn branch(&self) -> (u64, u64) {
        (self.major(), self.0.get(1).copied().unwrap_or_default())
    }

    /// Whether this is at or after the first of its own branch, or, if its branch has none, at or after the last: how a fix
    /// that is carried back is told. Nothing is known against it where there are none. The oldest comes first.
    pub fn is_since<'a>(&self, mut all: impl DoubleEndedIterator<Item = &'a Self> + Clone) -> bool {
        // Nearly everything is newer than any.
        let is_newest = all.clone().next_back().is_none_or(|last| self >= last);
        let branch = self.branch();
        is_newest || all.any(|first| first.branch() == branch && self >= first)
    }

    /// This version without its last number, if one remains.
    pub fn parent(&self) -> Option<Self> {
        match self.0.split_last() {
            Some((_, rest)) if !rest.is_empty() => Some(Self(rest.to_vec())),
            _ => None,
        }
    }
}

impl FromStr for DottedVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| part.parse().ok()).flatten()
        };
        text.trim()
            .split('.')
            .map(number)
            .collect::<Option<Vec<u64>>>()
            .map(Self)
            .ok_or_else(|| VersionError(text.to_owned()))
    }
}

impl Ord for DottedVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.compare(other.0.iter().copied())
    }
}

impl PartialOrd for DottedVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for DottedVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl std::hash::Hash for DottedVersion {
    /// Equal versions have equal hashes: zeros at the end do not count.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let end = self
            .0
            .iter()
            .rposition(|number| *number != 0)
            .map_or(0, |last| last + 1);
        self.0
            .iter()
            .take(end)
            .for_each(|number| number.hash(state));
    }
}

impl fmt::Display for DottedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, number) in self.0.iter().enumerate() {
            let dot = if index > 0 { "." } else { "" };
            write!(f, "{dot}{number}")?;
        }
        Ok(())
    }
}

/// Not a version of the expected form; holds the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a version")]
pub struct VersionError(pub String);

/// A condition on a version: `9`, `9.4` (those and everything under them), `>=10`, `<8.3`, or several, all of which must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRange {
    terms: Vec<(Comparison, DottedVersion)>,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Within,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl VersionRange {
    /// Whether the version fulfils every term.
    pub fn contains(&self, version: &DottedVersion) -> bool {
        self.terms
            .iter()
            .all(|(comparison, bound)| match comparison {
                Comparison::Within => version.starts_with(bound),
                Comparison::Less => version < bound,
                Comparison::LessOrEqual => version <= bound || version.starts_with(bound),
                Comparison::Greater => version > bound && !version.starts_with(bound),
                Comparison::GreaterOrEqual => version >= bound,
            })
    }

    /// Whether no version can fulfil the terms (`>=10 <9`).
    fn is_impossible(&self) -> bool {
        let lower = self
            .terms
            .iter()
            .filter_map(|(comparison, bound)| match comparison {
                Comparison::Within | Comparison::Greater | Comparison::GreaterOrEqual => {
                    Some(bound)
                }
                Comparison::Less | Comparison::LessOrEqual => None,
            });
        let highest = lower.max();
        self.terms
            .iter()
            .any(|(comparison, bound)| match (comparison, highest) {
                (Comparison::Less, Some(lower)) => lower >= bound,
                (Comparison::LessOrEqual, Some(lower)) => {
                    lower > bound && !lower.starts_with(bound)
                }
                (Comparison::Within, Some(lower)) => lower > bound && !lower.starts_with(bound),
                _ => false,
            })
    }
}

impl FromStr for VersionRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::read(text, |version| version.parse().ok())
    }
}

impl VersionRange {
    /// A range of versions that are written in a way of their own.
    pub(crate) fn read(
        text: &str,
        parse: impl Fn(&str) -> Option<DottedVersion>,
    ) -> Result<Self, RangeError> {
        let mut terms = Vec::new();
        for term in text.split_whitespace() {
            let (comparison, version) = if let Some(rest) = term.strip_prefix(">=") {
                (Comparison::GreaterOrEqual, rest)
            } else if let Some(rest) = term.strip_prefix("<=") {
                (Comparison::LessOrEqual, rest)
            } else if let Some(rest) = term.strip_prefix('>') {
                (Comparison::Greater, rest)
            } else if let Some(rest) = term.strip_prefix('<') {
                (Comparison::Less, rest)
            } else {
                (Comparison::Within, term.strip_prefix('=').unwrap_or(term))
            };
            let version = parse(version).ok_or_else(|| RangeError::Term(term.to_owned()))?;
            terms.push((comparison, version));
        }
        let range = Self {
            terms,
            text: text.trim().to_owned(),
        };
        if range.terms.is_empty() {
            return Err(RangeError::Empty);
        }
        if range.is_impossible() {
            return Err(RangeError::Impossible(range.text));
        }
        Ok(range)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a text is no range of versions. Shown in the condition of the SupportMatrix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Nothing but white space.
    #[error("the range is empty; write for example \">=9\" or \">=8 <10\"")]
    Empty,
    /// One term cannot be read.
    #[error("{0:?} is not a version with an optional <, <=, > or >= before it")]
    Term(String),
    /// No version can fulfil all terms.
    #[error("no version can be in {0:?}")]
    Impossible(String),
}

/// A day, as it is given to the engine: nothing here asks a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// 1970-01-01.
    pub const EPOCH: Self = Self {
        year: 1970,
        month: 1,
        day: 1,
    };

    /// The day of year, month (1 to 12) and day (1 to 31).
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let valid = (1..=12).contains(&month) && (1..=31).contains(&day);
        valid.then_some(Self { year, month, day })
    }
}

impl FromStr for Date {
    type Err = VersionError;

    /// `2026-06-30`, or `2026-06` for the whole month.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('-');
        let year = parts.next().and_then(|part| part.parse().ok());
        let month = parts.next().and_then(|part| part.parse().ok());
        let day = parts.next().map_or(Some(31), |part| part.parse().ok());
        year.zip(month)
            .zip(day)
            .filter(|_| parts.next().is_none())
            .and_then(|((year, month), day)| Self::new(year, month, day))
            .ok_or_else(|| VersionError(text.to_owned()))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(text: &str) -> KernelVersion {
        text.parse().unwrap()
    }

    #[test]
    fn kernels_compare_by_their_first_three_numbers() {
        assert!(kernel("2.6.32-754.el6.x86_64").older_than(&kernel("3.2.0")));
        assert!(!kernel("5.15.153.1-2.cm2").older_than(&kernel("5.15.153")));
        assert!(!kernel("5.4.170+").older_than(&kernel("5.4.170")));
        assert!(kernel("6.12").older_than(&kernel("6.12.1")));
        assert_eq!(kernel("5.14.0-427.13.1.el9_4.x86_64").code(), 51_400);
        assert_eq!(kernel("4.18.0-553.el8_10.x86_64").series(), "4.18");
        for bad in ["", "3", "abc", "v5.4"] {
            assert!(bad.parse::<KernelVersion>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_kernel_names_its_enterprise_linux() {
        let release = |text: &str| kernel(text).enterprise_linux().map(|v| v.to_string());
        assert_eq!(
            release("5.14.0-427.26.1.el9_4.x86_64").as_deref(),
            Some("9.4")
        );
        assert_eq!(release("3.10.0-1160.el7.x86_64").as_deref(), Some("7"));
        assert_eq!(release("4.18.0-147.5.1.el8_1").as_deref(), Some("8.1"));
        assert_eq!(release("5.10.210-201.855.amzn2.x86_64"), None);
    }

    #[test]
    fn ranges_hold_what_people_mean() {
        let contains = |range: &str, version: &str| {
            range
                .parse::<VersionRange>()
                .unwrap()
                .contains(&version.parse().unwrap())
        };
        assert!(contains("9", "9.4"));
        assert!(!contains("9", "10"));
        assert!(contains(">=10", "10"));
        assert!(contains(">=10", "10.1"));
        assert!(!contains("<10", "10"));
        assert!(contains("<=9", "9.4"));
        assert!(!contains(">9", "9.4"));
        assert!(contains(">=8 <10", "9.7"));
        assert!(contains("22.04", "22.04"));
    }

    #[test]
    fn ranges_that_cannot_be_say_so() {
        let error = |range: &str| range.parse::<VersionRange>().unwrap_err().to_string();
        assert_eq!(error(">=10 <9"), "no version can be in \">=10 <9\"");
        assert_eq!(error("9 8"), "no version can be in \"9 8\"");
        assert!(error("").contains("empty"));
        assert!(error(">=x").contains("\">=x\""));
        assert!("<=9 >=9.4".parse::<VersionRange>().is_ok());
    }

    #[test]
    fn days_are_in_order() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        assert!(day("2024-06-30") < day("2024-07-01"));
        assert!(day("2025-07") >= day("2025-07-31"));
        assert!("rolling".parse::<Date>().is_err());
        assert!("2024-13-01".parse::<Date>().is_err());
    }
}
