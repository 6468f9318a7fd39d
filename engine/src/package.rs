//! Versions of packages: each family has an order of its own.

use std::cmp::Ordering;
use std::fmt;

use crate::version::DottedVersion;

/// Who made a package, and so how its versions compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// `dpkg`: Debian, Ubuntu.
    Dpkg,
    /// `apk`: Alpine, Wolfi.
    Apk,
    /// `rpm`: RHEL, SUSE, Amazon Linux.
    Rpm,
}

/// The packages whose versions are read from an image: those that rules ask for, and the C libraries.
pub const READ: [&str; 28] = [
    "coreutils",
    "coreutils-single",
    "glibc",
    "java-1.8.0-amazon-corretto",
    "java-1.8.0-openjdk-headless",
    "java-11-amazon-corretto-headless",
    "java-11-openjdk-headless",
    "java-17-amazon-corretto-headless",
    "java-17-openjdk-headless",
    "java-21-amazon-corretto-headless",
    "java-21-openjdk-headless",
    "libc6",
    "libselinux",
    "libselinux1",
    "mongodb-enterprise-server",
    "mongodb-org-server",
    "musl",
    "openjdk-11-jre-headless",
    "openjdk-17-jre-headless",
    "openjdk-21-jre-headless",
    "openjdk-8-jre-headless",
    "openjdk11-jre-headless",
    "openjdk17-jre-headless",
    "openjdk21-jre-headless",
    "openjdk8-jre-base",
    "openssl-fips-provider",
    "percona-server-mongodb-server",
    "systemd",
];

/// Of these the packages of HotSpot, of which some have no `release` file: those of Debian, RHEL, Alpine and Amazon, the
/// newest first.
pub const JAVA: [&str; 16] = [
    "openjdk-21-jre-headless",
    "openjdk-17-jre-headless",
    "openjdk-11-jre-headless",
    "openjdk-8-jre-headless",
    "java-21-openjdk-headless",
    "java-17-openjdk-headless",
    "java-11-openjdk-headless",
    "java-1.8.0-openjdk-headless",
    "openjdk21-jre-headless",
    "openjdk17-jre-headless",
    "openjdk11-jre-headless",
    "openjdk8-jre-base",
    "java-21-amazon-corretto-headless",
    "java-17-amazon-corretto-headless",
    "java-11-amazon-corretto-headless",
    "java-1.8.0-amazon-corretto",
];

/// The version of an installed package, with epoch and release where it has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageVersion {
    family: Family,
    text: String,
}

impl PackageVersion {
    /// A version as the family writes it: `[epoch:]version[-release]`.
    pub fn new(family: Family, text: impl Into<String>) -> Self {
        Self {
            family,
            text: text.into(),
        }
    }

    /// The family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The version as it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn parts(&self) -> (u64, &str, &str) {
        let (epoch, rest) = match self.text.split_once(':') {
            Some((epoch, rest)) => (epoch.parse().unwrap_or_default(), rest),
            None => (0, self.text.as_str()),
        };
        let (version, release) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (epoch, version, release)
    }

    /// The version as it is written, without its epoch.
    pub fn without_epoch(&self) -> &str {
        self.text.split_once(':').map_or(&*self.text, |it| it.1)
    }

    /// The numbers that upstream gave it: `1:2.36-9+deb12u4` is `2.36`. What comes after them (`~rc1`, `_git2024`) is
    /// left out.
    pub fn upstream(&self) -> Option<DottedVersion> {
        let (_, version, _) = self.parts();
        let end = version.find(|c: char| !c.is_ascii_digit() && c != '.');
        let numbers = version.get(..end.unwrap_or(version.len()))?;
        numbers.trim_end_matches('.').parse().ok()
    }

    /// Compares with another version of the same family, as its package manager does. `None` across families.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        if self.family != other.family {
            return None;
        }
        let ((epoch, version, release), (epoch2, version2, release2)) =
            (self.parts(), other.parts());
        let segments = match self.family {
            Family::Rpm => rpm,
            Family::Dpkg => dpkg,
            Family::Apk => apk,
        };
        Some(
            epoch
                .cmp(&epoch2)
                .then_with(|| segments(version, version2))
                .then_with(|| segments(release, release2)),
        )
    }
}

impl fmt::Display for PackageVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Splits off the longest start of which `is` holds.
fn take(text: &str, is: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !is(c)).unwrap_or(text.len()))
}

/// Runs of digits of any length, as numbers.
fn numbers(one: &str, other: &str) -> Ordering {
    let (one, other) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

/// rpmvercmp: runs of digits and of letters, separators only separate, `~` sorts before the end and `^` after it.
fn rpm(mut one: &str, mut other: &str) -> Ordering {
    let is_separator = |c: char| !c.is_ascii_alphanumeric() && c != '~' && c != '^';
    loop {
        one = take(one, is_separator).1;
        other = take(other, is_separator).1;
        for (mark, with, at_end) in [
            ('~', Ordering::Less, Ordering::Less),
            ('^', Ordering::Less, Ordering::Greater),
        ] {
            match (one.strip_prefix(mark), other.strip_prefix(mark)) {
                (Some(rest), Some(rest2)) => (one, other) = (rest, rest2),
                (Some(_), None) if other.is_empty() => return at_end,
                (Some(_), None) => return with,
                (None, Some(_)) if one.is_empty() => return at_end.reverse(),
                (None, Some(_)) => return with.reverse(),
                (None, None) => {}
            }
        }
        if one.is_empty() || other.is_empty() {
            return one.len().cmp(&other.len());
        }
        let digits = |c: char| c.is_ascii_digit();
        let letters = |c: char| c.is_ascii_alphabetic();
        let numeric = one.starts_with(digits);
        let (run, rest) = match numeric {
            true => take(one, digits),
            false => take(one, letters),
        };
        let (run2, rest2) = match numeric {
            true => take(other, digits),
            false => take(other, letters),
        };
        let order = match (numeric, run.is_empty() || run2.is_empty()) {
            // A number is newer than letters in its place. (Two marks in a row come round again.)
            (_, true) if run.is_empty() && run2.is_empty() => Ordering::Equal,
            (true, true) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (true, false) => numbers(run, run2),
            (false, false) => run.cmp(run2),
        };
        if order != Ordering::Equal {
            return order;
        }
        (one, other) = (rest, rest2);
    }
}

/// Debian policy 5.6.12: runs of non-digits, in which letters sort before all else and `~` before the end, and of digits.
fn dpkg(mut one: &str, mut other: &str) -> Ordering {
    let weight = |c: Option<char>| match c {
        Some('~') => -1,
        None => 0,
        Some(c) if c.is_ascii_alphabetic() => c as i32,
        Some(c) => c as i32 + 0x11_0000,
    };
    loop {
        let (run, rest) = take(one, |c| !c.is_ascii_digit());
        let (run2, rest2) = take(other, |c| !c.is_ascii_digit());
        let (mut left, mut right) = (run.chars(), run2.chars());
        loop {
            let (a, b) = (left.next(), right.next());
            match weight(a).cmp(&weight(b)) {
                Ordering::Equal if a.is_none() => break,
                Ordering::Equal => {}
                order => return order,
            }
        }
        let (digits, rest) = take(rest, |c| c.is_ascii_digit());
        let (digits2, rest2) = take(rest2, |c| c.is_ascii_digit());
        match numbers(digits, digits2) {
            Ordering::Equal if rest.is_empty() && rest2.is_empty() => return Ordering::Equal,
            Ordering::Equal => (one, other) = (rest, rest2),
            order => return order,
        }
    }
}

/// apk-tools: numbers and dots, one letter, suffixes of which those before a release sort before the end. The release
/// (`r3`) comes here on its own.
fn apk(one: &str, other: &str) -> Ordering {
    const BEFORE: [&str; 4] = ["alpha", "beta", "pre", "rc"];
    let split = |text: &str| {
        let (main, suffixes) = text.split_once('_').unwrap_or((text, ""));
        (main.to_owned(), suffixes.to_owned())
    };
    let ((main, suffixes), (main2, suffixes2)) = (split(one), split(other));
    let suffix = |text: &str| {
        let (name, number) = take(text, |c| c.is_ascii_alphabetic());
        let rank = match BEFORE.iter().position(|it| *it == name) {
            Some(position) => position as i32 - 10,
            None if name.is_empty() => 0,
            // Those after a release: in the order of apk-tools.
            None => ["cvs", "svn", "git", "hg", "p"]
                .iter()
                .position(|it| *it == name)
                .map_or(9, |position| position as i32 + 1),
        };
        (rank, number.parse::<u64>().unwrap_or_default())
    };
    rpm(&main, &main2).then_with(|| suffix(&suffixes).cmp(&suffix(&suffixes2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn ascending(family: Family, versions: &[&str]) {
        for pair in versions.windows(2) {
            let [older, newer] = [pair[0], pair[1]].map(|text| PackageVersion::new(family, text));
            assert_eq!(
                older.compare(&newer),
                Some(Ordering::Less),
                "{older} {newer}"
            );
            assert_eq!(
                newer.compare(&older),
                Some(Ordering::Greater),
                "{newer} {older}"
            );
            assert_eq!(newer.compare(&newer), Some(Ordering::Equal), "{newer}");
        }
    }

    #[test]
    fn rpm_orders_by_segments() {
        ascending(
            Family::Rpm,
            &[
                "2.0.94-5.3.el6",
                "2.0.94-5.3.el6_4.1",
                "2.0.94-5.8.el6",
                "2.0.94-7.el6",
                "2.1.0-1",
                "2.10-1",
                "1:0.1-1",
            ],
        );
        ascending(
            Family::Rpm,
            &["1.0~rc1-1", "1.0-1", "1.0^git1-1", "1.0.1-1"],
        );
        ascending(Family::Rpm, &["1.a-1", "1.1-1"]);
        ascending(Family::Rpm, &["10-1", "9999999999999999999999-1"]);
    }

    #[test]
    fn dpkg_orders_by_runs() {
        ascending(
            Family::Dpkg,
            &[
                "2.36~rc1-1",
                "2.36-9",
                "2.36-9+deb12u4",
                "2.36-9+deb12u14",
                "2.36-10",
                "2.36+dfsg-1",
                "1:1.0",
            ],
        );
        ascending(Family::Dpkg, &["1.0~~", "1.0~", "1.0", "1.0a", "1.0+"]);
    }

    #[test]
    fn apk_orders_suffixes_around_the_release() {
        ascending(
            Family::Apk,
            &[
                "1.2_alpha1-r0",
                "1.2_rc2-r0",
                "1.2-r0",
                "1.2-r10",
                "1.2_p1-r0",
                "1.2.3-r0",
                "1.10-r0",
            ],
        );
    }

    #[test]
    fn upstream_is_what_comes_before_the_packager() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            let version = PackageVersion::new(Family::Dpkg, text);
            let upstream = version.upstream().map(|it| it.to_string());
            assert_eq!(upstream.as_deref().unwrap_or("none"), expected, "{text}");
        }
        check("2.36-9+deb12u4", "2.36");
        check("1:4.13+dfsg1-1", "4.13");
        check("1.2.5_git20240512-r0", "1.2.5");
        check("252.31-1~deb12u1", "252.31");
        check("3.5-", "3.5");
        check("latest", "none");
    }

    #[test]
    fn families_do_not_compare() {
        let rpm = PackageVersion::new(Family::Rpm, "1");
        assert_eq!(rpm.compare(&PackageVersion::new(Family::Dpkg, "1")), None);
    }
}
