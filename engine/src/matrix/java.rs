//! HF301: a JVM that does not see the limits of cgroup v2. HF302: one that gives up because `/proc/cgroups` no longer
//! lists what it looks for. Both take the node's memory for theirs, and are killed.

use crate::fact::{Evidence, Strength};
use crate::files::Seen;
use crate::finding::{Code, Severity};
use crate::host::HostFact;
use crate::matrix::{Cell, Outcome, Said};
use crate::package::{JAVA, PackageVersion};
use crate::version::{DottedVersion, KernelVersion};

pub(super) const VARIABLE: &str = "JAVA_VERSION";
/// Variables from which a JVM, or the scripts around it, takes options.
pub(super) const OPTIONS: [&str; 4] = [
    "JAVA_OPTS",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "_JAVA_OPTIONS",
];

/// A Java version: 8u342 and 1.8.0_342 are 8.342, 11.0.16.1 is itself. What comes after the numbers is a build.
pub(super) fn parse(text: &str) -> Option<DottedVersion> {
    let text = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '_' | 'u'));
    let text = text.get(..end.unwrap_or(text.len()))?;
    let numbers = text
        .split(['.', '_', 'u'])
        .map_while(|part| part.parse().ok());
    // Until 8 the major release stood second, and the update fourth.
    let skipped = text.starts_with("1.");
    let kept = numbers
        .enumerate()
        .filter(|(index, _)| !skipped || matches!(index, 1 | 3));
    DottedVersion::from_numbers(kept.map(|(_, number)| number))
}

/// The Java of an image.
struct Java<'a> {
    version: DottedVersion,
    /// The version as it is written.
    text: &'a str,
    source: Source<'a>,
}

/// What tells the Java of an image.
enum Source<'a> {
    File(&'a Seen<String>),
    Package(&'a Seen<PackageVersion>),
    Variable,
}

impl Java<'_> {
    fn evidence(&self) -> Evidence {
        match self.source {
            Source::File(seen) => seen.evidence(),
            Source::Package(seen) => seen.evidence(),
            Source::Variable => {
                Evidence::new(Strength::Stated, format!("{VARIABLE} of the environment"))
            }
        }
    }

    /// Whether its virtual machine is OpenJ9: `jdk-17.0.8+7_openj9-0.40.0`, or as its `release` file was read.
    fn is_openj9(&self) -> bool {
        self.text.to_ascii_lowercase().contains("openj9") || service_pack(self.text).is_some()
    }

    /// The build to update to so that cgroup v2 is known; none for one that knows it.
    fn build_for_v2(&self) -> Option<&'static str> {
        match service_pack(self.text) {
            Some(pack) => (pack < IBM_KNOWS_V2.0).then_some(IBM_KNOWS_V2.1),
            None => build_for_v2(&self.version, self.is_openj9()),
        }
    }
}

/// The first service release and fix pack of IBM's own Java 8 that knows cgroup v2.
const IBM_KNOWS_V2: ((u64, u64), &str) = ((8, 6), "8.0.8.6");

/// Service release and fix pack, by which IBM's own Java counts: `1.8.0_sr8fp5`.
fn service_pack(text: &str) -> Option<(u64, u64)> {
    fn number(text: &str) -> Option<(u64, &str)> {
        let end = text.find(|c: char| !c.is_ascii_digit());
        let (digits, rest) = text.split_at_checked(end.unwrap_or(text.len()))?;
        Some((digits.parse().ok()?, rest))
    }
    let (release, rest) = number(text.split_once("sr")?.1)?;
    let pack = rest.strip_prefix("fp").and_then(number);
    Some((release, pack.map_or(0, |(pack, _)| pack)))
}

/// Whether options give a Java its memory.
pub(super) fn limits(text: &str) -> bool {
    text.contains("-Xmx") || text.contains("-XX:MaxRAM")
}

/// The Java of the image, unless somebody has given it its memory.
fn java<'a>(cell: &Cell<'a>) -> Option<Java<'a>> {
    let set = |name: &&str| {
        let value = cell
            .uses
            .env
            .get(*name)
            .or_else(|| cell.contents.env.get(*name));
        value.is_some_and(|value| limits(value))
    };
    let words = cell
        .uses
        .java_options
        .iter()
        .chain(&cell.contents.start.command);
    if OPTIONS.iter().any(set) || words.into_iter().any(|word| limits(word)) {
        return None;
    }
    told(cell)
}

/// The Java of the image, as its files or its environment tell.
fn told<'a>(cell: &Cell<'a>) -> Option<Java<'a>> {
    let files = cell.files();
    let (text, source) = if let Some(seen) = files.and_then(|it| it.java.as_ref()) {
        (seen.value.as_str(), Source::File(seen))
    } else if let Some(package) = files.and_then(|it| it.package(&JAVA)) {
        (package.value.without_epoch(), Source::Package(package))
    } else {
        (cell.contents.env.get(VARIABLE)?.as_str(), Source::Variable)
    };
    Some(Java {
        version: parse(text)?,
        text,
        source,
    })
}

/// The version of the image's Java.
pub(super) fn version(cell: &Cell<'_>) -> Option<DottedVersion> {
    told(cell).map(|java| java.version)
}

/// The build to update to so that cgroup v2 is known (kubernetes.io, concepts/architecture/cgroups); none for one that
/// knows it. 9, 10 and 12 to 14 never did; from 15 on all do. OpenJ9 learned it later, in IBM's builds of 8, 11 and 17.
fn build_for_v2(version: &DottedVersion, is_openj9: bool) -> Option<&'static str> {
    let (build, knows) = match version.major() {
        8 if is_openj9 => ("8.0.382", version.is_at_least("8.382")),
        9..=11 if is_openj9 => ("11.0.20", version.is_at_least("11.0.20")),
        12..=17 if is_openj9 => ("17.0.8", version.is_at_least("17.0.8")),
        8 => ("8u372", version.is_at_least("8.372")),
        9..=11 => ("11.0.16", version.is_at_least("11.0.16")),
        _ => ("15", version.is_at_least("15")),
    };
    (!knows).then_some(build)
}

/// What helps without another JDK.
const OPTIONS_HELP: &str = "or set -Xmx and -XX:ActiveProcessorCount";

/// HF301
pub(super) fn cgroup_v2(cell: &Cell<'_>) -> Outcome {
    // The host is looked at first: it is at hand.
    if cell.host.facts.cgroup == Some(1) {
        return Outcome::Compatible;
    }
    let Some(java) = java(cell).filter(|it| it.version.major() >= 8) else {
        return Outcome::Compatible;
    };
    let Some(build) = java.build_for_v2() else {
        return Outcome::Compatible;
    };
    let text = java.text;
    match cell.host.facts.cgroup {
        None => Outcome::missing(HostFact::Cgroup),
        Some(2) => cell.says(Said {
            code: Code::HF301,
            severity: Severity::Degraded,
            image: format!("holds Java {text}, which does not see the limits of cgroup v2"),
            host: "has cgroup v2".to_owned(),
            fix: format!("update the JDK to {build} or newer, {OPTIONS_HELP}"),
            evidence: Some(java.evidence()),
            doubt: None,
        }),
        Some(_) => Outcome::Compatible,
    }
}

/// Fixes of JDK-8347129 (cpuset) and JDK-8349988 (memory). Those of 8, 11 and 17 are not verified.
fn reads_proc_cgroups(version: &DottedVersion, controller: &str) -> (bool, Option<&'static str>) {
    const UNVERIFIED: Option<&str> = Some("which build has the fix is not verified: try it there");
    let before = |first| !version.is_at_least(first);
    match (version.major(), controller) {
        (21, "cpuset") => (before("21.0.7"), None),
        (21, _) => (before("21.0.10"), None),
        (22..=24, _) => (true, None),
        // Nobody builds these any more.
        (15 | 16 | 18..=20, _) => (true, UNVERIFIED),
        (17, _) => (before("17.0.18"), UNVERIFIED),
        (11, _) => (before("11.0.32"), UNVERIFIED),
        (8, _) => (before("8.502"), UNVERIFIED),
        _ => (false, None),
    }
}

/// Before this kernel every one lists both, whatever it was built with.
const CAN_HIDE: &str = "6.12";

/// HF302: `One or more required controllers disabled at kernel level.`
pub(super) fn proc_cgroups(cell: &Cell<'_>) -> Outcome {
    const LOOKED_FOR: [&str; 2] = ["memory", "cpuset"];
    let facts = &cell.host.facts;
    let is_old = |kernel: &KernelVersion| !kernel.dotted().is_at_least(CAN_HIDE);
    let listed = facts.proc_cgroups.as_ref();
    let lists_all = listed.is_some_and(|listed| LOOKED_FOR.iter().all(|it| listed.contains(*it)));
    // A list that is told is looked at, whatever the kernel's number.
    let is_old = listed.is_none() && facts.kernel.as_ref().is_some_and(is_old);
    if lists_all || facts.cgroup == Some(1) || is_old {
        return Outcome::Compatible;
    }
    // OpenJ9 does not look there.
    let is_hotspot = |java: &Java<'_>| !java.is_openj9();
    let knows_v2 = |java: &Java<'_>| build_for_v2(&java.version, false).is_none();
    let Some(java) = java(cell).filter(|java| is_hotspot(java) && knows_v2(java)) else {
        return Outcome::Compatible;
    };
    let (version, text) = (&java.version, java.text);
    let looks = |controller: &&&str| reads_proc_cgroups(version, controller).0;
    let mut looked_for = LOOKED_FOR.iter().filter(looks).peekable();
    if looked_for.peek().is_none() {
        return Outcome::Compatible;
    }
    let Some(listed) = listed else {
        return Outcome::missing(HostFact::ProcCgroups);
    };
    let Some(missing) = looked_for.find(|it| !listed.contains(**it)) else {
        return Outcome::Compatible;
    };
    cell.says(Said {
        code: Code::HF302,
        severity: Severity::Degraded,
        image: format!("holds Java {text}, which looks for {missing} in /proc/cgroups"),
        host: "does not list it".to_owned(),
        fix: format!("update the JDK, {OPTIONS_HELP}"),
        doubt: cell
            .other_kernel()
            .or(reads_proc_cgroups(version, missing).1),
        evidence: Some(java.evidence()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ibm_counts_service_releases_and_fix_packs() {
        assert_eq!(service_pack("1.8.0_sr8fp26"), Some((8, 26)));
        assert_eq!(service_pack("1.8.0_sr6"), Some((6, 0)));
        assert_eq!(service_pack("1.8.0_342"), None);
    }

    #[test]
    fn java_writes_its_version_in_many_ways() {
        for (text, expected) in [
            ("8u342", "8.342"),
            ("1.8.0_342", "8.342"),
            ("1.8.0_342-b07", "8.342"),
            ("11.0.16.1", "11.0.16.1"),
            ("jdk-17.0.9+9", "17.0.9"),
            ("21", "21"),
            ("jdk8u372-b07", "8.372"),
        ] {
            let got = parse(text).map(|version| version.to_string());
            assert_eq!(got.as_deref(), Some(expected), "{text}");
        }
        assert_eq!(parse("openjdk"), None);
    }
}
